"""What each split came to, and the predictions that all of them make together.

Dimensions: T bars, N symbols, K = 3 classes, M members of an ensemble.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from convnext_vbt.learning.calibration import (
    OutOfFold,
    Said,
    calibrated_fit,
    said_in_test,
)
from convnext_vbt.learning.combinations import path_parts, tested_ranges
from convnext_vbt.learning.features import Features
from convnext_vbt.learning.fitting import FittedSplit, log_proba_range
from convnext_vbt.learning.labels import NO_LABEL, Labels
from convnext_vbt.learning.primary import taken
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import CLASSES, Predictions, Range, Split, SplitFit, Target
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
    """Uncalibrated log-probabilities of the test range, float32 (M + 1, bars, N, K).

    NaN between the groups of a combination, which are bars that it learned from.
    """
    fits, (start, stop) = (fitted, *fitted.members), split.test
    shape = (len(fits), stop - start, features.values.shape[1], len(CLASSES))
    out = np.full(shape, np.nan, dtype=np.float32)
    for first, last in tested_ranges(split):
        for m, one in enumerate(fits):
            out[m, first - start : last - start] = log_proba_range(one, features, first, last)
    return out


def assemble(
    bars: Bars,
    labels: Labels,
    outcomes: Sequence[Outcome],
    target: Target | None,
    *,
    calibrated: bool,
    sides: np.ndarray | None = None,
) -> Predictions:
    """The predictions of all test ranges, those of an ensemble's members among them.

    `outcomes` come in order of time: what a split's direction is worth is learned from those
    before it, whoever computed them and when. Without `calibrated` probabilities are what they are.
    `sides` are a primary's, int8 (T, N): no prediction speaks against them (`primary.taken`).
    """
    parts = [(place, outcome.split.test) for place, outcome in enumerate(outcomes)]
    whole, *members = (
        _predictions(
            bars, outcomes, parts, target, _calibrate(labels, outcomes, m, calibrated), m, sides
        )
        for m in range(len(outcomes[0].fits))
    )
    return replace(whole, members=tuple(members))


def assemble_paths(
    bars: Bars,
    labels: Labels,
    outcomes: Sequence[Outcome],
    target: Target | None,
    *,
    calibrated: bool,
    sides: np.ndarray | None = None,
) -> Iterator[Predictions]:
    """The predictions of each path through the outcomes of combinations; see `path_parts`.

    Each combination is calibrated on its own predictions out of fold and nothing else: none comes
    before another. Of an ensemble, what its networks say together. A symbol that was learned from
    later bars is predicted from its first label on: before that its volatility is not known.
    """
    young_TN = np.arange(len(bars))[:, None] < (labels.values != NO_LABEL).argmax(axis=0)
    outcomes = [_without(outcome, young_TN) for outcome in outcomes]
    fits = [_calibrate(labels, [outcome], 0, calibrated)[0] for outcome in outcomes]
    for parts in path_parts([outcome.split for outcome in outcomes]):
        used = sorted({place for place, _ in parts})
        own = [(used.index(place), tested) for place, tested in parts]
        chosen = [outcomes[place] for place in used]
        yield _predictions(bars, chosen, own, target, [fits[place] for place in used], 0, sides)


def _without(outcome: Outcome, rows_TN: np.ndarray) -> Outcome:
    """The outcome without predictions at some bars."""
    rows = rows_TN[slice(*outcome.split.test), :, None]
    return replace(outcome, log_proba=np.where(rows, np.float32(np.nan), outcome.log_proba))


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
    parts: Sequence[tuple[int, Range]],
    target: Target | None,
    fits: Sequence[SplitFit],
    m: int,
    sides: np.ndarray | None,
) -> Predictions:
    """What the outcomes of these places say of the ranges beside them."""
    shape = (len(bars), len(bars.symbols))
    proba_TNK = np.full((*shape, 3), np.nan, dtype=np.float32)
    split_TN = np.full(shape, -1, dtype=np.int16)
    for place, (start, stop) in parts:
        split = outcomes[place].split
        said_TNK = outcomes[place].log_proba[m][start - split.test[0] : stop - split.test[0]]
        proba_TNK[start:stop] = apply(fits[place], said_TNK)
        split_TN[start:stop][np.isfinite(said_TNK).all(axis=2)] = split.number
    if sides is not None:
        proba_TNK = taken(proba_TNK, sides)
    quantiles, nonconformity = [], []
    for outcome, fit in zip(outcomes, fits, strict=True):
        trained = outcome.out_of_fold[m]
        proba_RK = apply(fit, trained.log_proba)
        if sides is not None:
            proba_RK = taken(proba_RK, np.ones(len(proba_RK)))
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
