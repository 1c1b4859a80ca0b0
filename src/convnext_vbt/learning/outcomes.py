"""What each split came to, and the predictions that all of them make together.

Dimensions: T bars, N symbols, K = 3 classes, M members of an ensemble.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from convnext_vbt.learning.features import Features
from convnext_vbt.learning.fitting import FittedSplit, predict_range
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions, Split, SplitFit, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One split's part in the predictions, and what there is to tell of it."""

    split: Split
    fits: tuple[SplitFit, ...]
    """M + 1 of them, as of all that follows: the ensemble's first, then each member's."""
    quantiles: list[np.ndarray]
    nonconformity: list[np.ndarray]
    receptive_field: int
    proba: np.ndarray
    """float32 (M + 1, bars of the test range, N, K)."""
    cached: bool
    notes: tuple[tuple[int, str], ...]
    """What the log should say, each with its level; workers have no log of their own."""
    seconds: float = 0.0


def outcome_of(
    split: Split,
    fitted: FittedSplit,
    proba: np.ndarray,
    *,
    cached: bool = False,
    notes: Sequence[tuple[int, str]] = (),
) -> Outcome:
    """The outcome of a split that predicts `proba`, as `predict_test` gives it."""
    fits = (fitted, *fitted.members)
    return Outcome(
        split=split,
        fits=tuple(one.fit for one in fits),
        quantiles=[one.quantiles for one in fits],
        nonconformity=[one.nonconformity for one in fits],
        receptive_field=fitted.receptive_field,
        proba=proba,
        cached=cached,
        notes=tuple(notes),
    )


def predict_test(fitted: FittedSplit, features: Features, split: Split) -> np.ndarray:
    """Probabilities of the test range, float32 (M + 1, bars, N, K)."""
    fits = (fitted, *fitted.members)
    return np.stack([predict_range(one, features, *split.test) for one in fits])


def assemble(bars: Bars, outcomes: Sequence[Outcome], target: Target) -> Predictions:
    """The predictions of all test ranges, those of an ensemble's members among them."""
    whole, *members = (
        _predictions(bars, outcomes, target, m) for m in range(len(outcomes[0].fits))
    )
    return replace(whole, members=tuple(members))


def _predictions(bars: Bars, outcomes: Sequence[Outcome], target: Target, m: int) -> Predictions:
    """The ensemble's (m = 0), or a member's."""
    shape = (len(bars), len(bars.symbols))
    proba_TNK = np.full((*shape, 3), np.nan, dtype=np.float32)
    split_TN = np.full(shape, -1, dtype=np.int16)
    for outcome in outcomes:
        rows = slice(*outcome.split.test)
        proba_TNK[rows] = outcome.proba[m]
        made = np.isfinite(outcome.proba[m]).all(axis=2)
        split_TN[rows][made] = outcome.split.number
    return Predictions(
        index=bars.index,
        symbols=bars.symbols,
        proba=proba_TNK,
        split=split_TN,
        splits=tuple(outcome.split for outcome in outcomes),
        fits=tuple(outcome.fits[m] for outcome in outcomes),
        quantiles=np.stack([outcome.quantiles[m] for outcome in outcomes]),
        nonconformity=np.stack([outcome.nonconformity[m] for outcome in outcomes]),
        target=target,
        receptive_field=outcomes[0].receptive_field,
    )
