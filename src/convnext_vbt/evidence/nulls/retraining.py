"""The draws of a null that trains again: each one a whole walk-forward, its rule selected anew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from convnext_vbt.evidence.accounts import daily_returns
from convnext_vbt.evidence.nulls.null import Null, compare
from convnext_vbt.evidence.selection import Preset, nested_selection
from convnext_vbt.evidence.stats import sharpe_ratio
from convnext_vbt.trading.sweep import SweepResult

NUM_DRAWS = 9
"""With 9 draws the smallest p-value is 0.1."""


def retrained(
    draw: Callable[[np.random.Generator], SweepResult],
    preset: Preset,
    observed: float,
    draws: int,
) -> Null:
    """The headline's account of each sweep that `draw` makes; every draw has a seed of its own.

    A draw that never trades has learned to wait: it earned nothing, and its Sharpe ratio is 0.
    """
    sharpes, growths = np.empty(draws), np.empty(draws)
    for m, child in enumerate(np.random.SeedSequence(preset.seed).spawn(draws)):
        res = draw(np.random.default_rng(child))
        returns = daily_returns(nested_selection(res, preset).account)
        sharpes[m] = sharpe_ratio(returns, res.bars.days_per_year) if returns.any() else 0.0
        growths[m] = np.prod(1.0 + returns)
    return compare(observed, sharpes, growths - 1.0)
