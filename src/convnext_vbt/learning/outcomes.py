"""What each split came to, and the predictions that all of them make together.

Dimensions: T bars, N symbols, K = 3 classes, M members of an ensemble.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from convnext_vbt.learning.calibration import (
    OutOfFold,
    Said,
    calibrated_fit,
    said_in_test,
)
from convnext_vbt.learning.features import Features
from convnext_vbt.learning.fitting import FittedSplit, log_proba_range
from convnext_vbt.learning.labels import Labels
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions, Split, SplitFit, Target
from convnext_vbt.predictions.slopes import apply, confidence_quantiles, conformal_scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One split's part in the predictions, and what there is to tell of it."""

    split: Split
    fits: tuple[SplitFit, ...]
    """M + 1 of them, as of all that follows: the ensemble's first, then each member's."""
    out_of_fold: list[OutOfFold]
    receptive_field: int
    log_proba: np.ndarray
    """float32 (M + 1, bars of the test range, N, K), uncalibrated."""
    cached: bool
    notes: tuple[tuple[int, str], ...]
    """What the log should say, each with its level; workers have no log of their own."""
    seconds: float = 0.0


def outcome_of(
    split: Split,
    fitted: FittedSplit,
    log_proba: np.ndarray,
    *,
    cached: bool = False,
    notes: Sequence[tuple[int, str]] = (),
) -> Outcome:
    """The outcome of a split that predicts `log_proba`, as `predict_test` gives it."""
    fits = (fitted, *fitted.members)
    return Outcome(
        split=split,
        fits=tuple(one.fit for one in fits),
        out_of_fold=[one.out_of_fold for one in fits],
        receptive_field=fitted.receptive_field,
        log_proba=log_proba,
        cached=cached,
        notes=tuple(notes),
    )


def predict_test(fitted: FittedSplit, features: Features, split: Split) -> np.ndarray:
    """Uncalibrated log-probabilities of the test range, float32 (M + 1, bars, N, K)."""
    fits = (fitted, *fitted.members)
    return np.stack([log_proba_range(one, features, *split.test) for one in fits])


def assemble(
    bars: Bars,
    labels: Labels,
    outcomes: Sequence[Outcome],
    target: Target | None,
    *,
    calibrated: bool,
) -> Predictions:
    """The predictions of all test ranges, those of an ensemble's members among them.

    `outcomes` come in order of time: what a split's direction is worth is learned from those
    before it, whoever computed them and when. Without `calibrated` probabilities are what they are.
    """
    whole, *members = (
        _predictions(bars, outcomes, target, _calibrate(labels, outcomes, m, calibrated), m)
        for m in range(len(outcomes[0].fits))
    )
    return replace(whole, members=tuple(members))


def _calibrate(
    labels: Labels, outcomes: Sequence[Outcome], m: int, calibrated: bool
) -> list[SplitFit]:
    """The fit of each split with its slopes: the ensemble's (m = 0), or a member's."""
    if not calibrated:
        return [outcome.fits[m] for outcome in outcomes]
    fits: list[SplitFit] = []
    earlier: list[Said] = []
    for outcome in outcomes:
        split = outcome.split
        fits.append(calibrated_fit(outcome.fits[m], outcome.out_of_fold[m], earlier, split))
        earlier.append(said_in_test(outcome.log_proba[m], labels, split))
    return fits


def _predictions(
    bars: Bars,
    outcomes: Sequence[Outcome],
    target: Target | None,
    fits: Sequence[SplitFit],
    m: int,
) -> Predictions:
    shape = (len(bars), len(bars.symbols))
    proba_TNK = np.full((*shape, 3), np.nan, dtype=np.float32)
    split_TN = np.full(shape, -1, dtype=np.int16)
    quantiles, nonconformity = [], []
    for outcome, fit in zip(outcomes, fits, strict=True):
        rows = slice(*outcome.split.test)
        proba_TNK[rows] = apply(fit, outcome.log_proba[m])
        made = np.isfinite(outcome.log_proba[m]).all(axis=2)
        split_TN[rows][made] = outcome.split.number
        trained = outcome.out_of_fold[m]
        proba_RK = apply(fit, trained.log_proba)
        quantiles.append(confidence_quantiles(proba_RK))
        nonconformity.append(conformal_scores(proba_RK, trained.y))
    return Predictions(
        index=bars.index,
        symbols=bars.symbols,
        proba=proba_TNK,
        split=split_TN,
        splits=tuple(outcome.split for outcome in outcomes),
        fits=tuple(fits),
        quantiles=np.stack(quantiles),
        nonconformity=np.stack(nonconformity),
        target=target,
        receptive_field=outcomes[0].receptive_field,
    )
