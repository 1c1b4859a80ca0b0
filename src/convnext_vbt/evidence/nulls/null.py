"""A null: what luck alone would have earned, beside what was earned.

Every null gives the Sharpe ratios of draws in which something that the headline claims to know is
destroyed. p = (1 + draws at least as good) / (1 + draws), Phipson and Smyth (2010).
Dimension: M draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from convnext_vbt.evidence.headline import Headline
from convnext_vbt.evidence.selection import USUAL, Preset
from convnext_vbt.evidence.stages import Stages
from convnext_vbt.trading.sweep import SweepResult

NUM_DRAWS = 1_000
"""Of a null that trades the same predictions again."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Null:
    """An observed Sharpe ratio among those of the null, all annual."""

    observed: float
    draws: np.ndarray = field(repr=False)
    """Sharpe ratios, float64 (M,); NaN where there is none."""
    total_returns: np.ndarray = field(repr=False)
    """Net returns of the same draws over the window, (M,)."""
    as_good: int
    """Draws at least as good; one without a Sharpe ratio counts among them."""
    p_value: float
    """Share of draws at least as good, +1 correction; NaN where there is nothing to compare."""
    reason: str = ""
    """Why the p-value is undefined; empty where it is defined."""

    @property
    def median_sharpe(self) -> float:
        """Of the draws: for random sides that is the baseline that trades as often, by coin."""
        return _median(self.draws)

    @property
    def median_return(self) -> float:
        """Median net return of the draws."""
        return _median(self.total_returns)


def compare(
    observed: float, draws: np.ndarray, total_returns: np.ndarray, reason: str = ""
) -> Null:
    """The null of these draws. A draw without a Sharpe ratio counts as one that did as well."""
    if not reason and not math.isfinite(observed):
        reason = "the strategy has no Sharpe ratio"
    as_good = int((~(draws < observed)).sum())
    return Null(
        observed=observed,
        draws=draws,
        total_returns=total_returns,
        as_good=as_good,
        p_value=math.nan if reason else (1 + as_good) / (1 + len(draws)),
        reason=reason,
    )


def undefined(observed: float, reason: str) -> Null:
    """A null without a draw."""
    return compare(observed, np.zeros(0), np.zeros(0), reason)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """What a null is drawn for."""

    result: SweepResult
    headline: Headline
    preset: Preset = USUAL
    num_draws: int = NUM_DRAWS
    stages: Stages | None = None
    """The strategy's, where it may be trained again."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NullTest:
    """A null by name: how it is drawn, and what it is called wherever it is shown."""

    name: str
    """Its key in metrics.json."""
    title: str
    """As in "the strategy on TITLE"."""
    question: str
    """What it answers."""
    draws: str
    """What the draws are and did, a clause that follows their number."""
    meaning: str
    """What it says when many draws do as well, a sentence."""
    draw: Callable[[Case], Null]
    retrains: bool = False
    """Whether each draw is a whole walk-forward: only where `Case.stages` is given."""

    def sentence(self, null: Null) -> str:
        """What came out, in one sentence."""
        if null.reason:
            return f"No p-value on {self.title}: {null.reason}."
        how = "Retrained" if self.retrains else "Traded again"
        return (
            f"{how} {len(null.draws):,} times on {self.title}: p = {null.p_value:.2f}, median "
            f"Sharpe {null.median_sharpe:.2f}."
        )


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else math.nan


def traded_again(null: Callable[..., Null]) -> Callable[[Case], Null]:
    """How a null of the headline's own positions is drawn for a case.

    `null` takes a sweep and a selection, and `risk`, `draws` and `seed`.
    """

    def draw(case: Case) -> Null:
        return null(
            case.result,
            case.headline.selection,
            risk=case.headline.risk,
            draws=case.num_draws,
            seed=case.preset.seed,
        )

    return draw
