"""Nulls that train again: on labels without meaning, and on bars without memory.

Dimensions: T bars, N symbols.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.evidence.nulls import Null, compare
from convnext_vbt.evidence.selection import USUAL, Preset, nested_selection
from convnext_vbt.evidence.stages import Stages
from convnext_vbt.evidence.stats import sharpe_ratio
from convnext_vbt.evidence.window import daily_returns
from convnext_vbt.market.bars import FIELDS, Bars
from convnext_vbt.trading.sweep import SweepResult

NUM_DRAWS = 9
"""Each draw is a whole walk-forward; with 9 the smallest p-value is 0.1."""


def shuffled_labels_null(
    bars: Bars,
    stages: Stages,
    preset: Preset = USUAL,
    *,
    observed: float,
    draws: int = NUM_DRAWS,
) -> Null:
    """Train every split anew on labels that are permuted in time within each symbol.

    Class frequencies, bars and everything after the training stay as they are. A high Sharpe ratio
    here means that it does not come from what was learned. `observed` is the headline's, annual.
    """
    features, labels = stages.features(bars), stages.labels(bars)
    splits = stages.splits(labels)

    def draw(rng: np.random.Generator) -> SweepResult:
        preds = stages.predict(bars, features, shuffled_labels(labels, rng), splits)
        return stages.sweep(bars, preds)

    return _retrained(draw, preset, observed, draws)


def bootstrapped_bars_null(
    bars: Bars,
    stages: Stages,
    preset: Preset = USUAL,
    *,
    observed: float,
    block_bars: float,
    draws: int = NUM_DRAWS,
) -> Null:
    """Run everything on bars that are drawn from these in blocks of `block_bars` on average.

    What the bars know of each other over longer than a block is gone; what they know within one
    stays, and so does an edge that needs no longer memory. A fraction of the label's horizon is a
    null for most strategies. `observed` is the headline's Sharpe ratio, annual.
    """

    def draw(rng: np.random.Generator) -> SweepResult:
        drawn = bootstrapped_bars(bars, block_bars, rng)
        labels = stages.labels(drawn)
        preds = stages.predict(drawn, stages.features(drawn), labels, stages.splits(labels))
        return stages.sweep(drawn, preds)

    return _retrained(draw, preset, observed, draws)


def shuffled_labels(labels: Any, rng: np.random.Generator) -> Any:
    """The labels with each symbol's known values in random order; -1 stays where it is."""
    values = labels.values.copy()
    for column in values.T:
        known = column >= 0
        column[known] = rng.permutation(column[known])
    return replace(labels, values=values)


def bootstrapped_bars(bars: Bars, block_bars: float, rng: np.random.Generator) -> Bars:
    """Bars of the same times whose moves are drawn in blocks, all symbols together.

    Stationary bootstrap (Politis and Romano 1994): every bar follows its predecessor's successor,
    or with probability 1 / block_bars any bar at all. A bar is drawn as its prices over the
    symbol's close before it, with its volume; a missing bar is drawn as missing.

    Raises `ValueError` for blocks shorter than one bar, and where a symbol is never drawn.
    """
    if not block_bars >= 1:
        raise InputError(f"block_bars must be at least 1, got {block_bars:g}")
    count = len(bars)
    jumps = rng.random(count) < 1 / block_bars
    jumps[0] = True
    start = np.flatnonzero(jumps)
    block = np.cumsum(jumps) - 1
    rows = (rng.integers(0, count, len(start))[block] + np.arange(count) - start[block]) % count
    first_open = pd.DataFrame(bars.open).bfill().iloc[0]
    before = pd.DataFrame(bars.close).ffill().shift(1).fillna(first_open).to_numpy()
    moves = {name: (getattr(bars, name) / before)[rows] for name in FIELDS if name != "volume"}
    steps = np.where(np.isnan(moves["close"]), 1.0, moves["close"])
    level = np.cumprod(np.vstack([before[:1], steps[:-1]]), axis=0)
    prices = {name: move * level for name, move in moves.items()}
    funding = None if bars.funding is None else bars.funding[rows]
    return replace(bars, volume=bars.volume[rows], funding=funding, **prices)


def _retrained(
    draw: Callable[[np.random.Generator], SweepResult],
    preset: Preset,
    observed: float,
    draws: int,
) -> Null:
    sharpes, growths = np.empty(draws), np.empty(draws)
    for m, child in enumerate(np.random.SeedSequence(preset.seed).spawn(draws)):
        res = draw(np.random.default_rng(child))
        returns = daily_returns(nested_selection(res, preset).simulation)
        sharpes[m] = sharpe_ratio(returns, res.bars.days_per_year)
        growths[m] = np.prod(1.0 + returns)
    return compare(observed, sharpes, growths - 1.0)
