"""How a split's own predictions are made true: see `predictions.slopes`.

Both slopes are calibrated on predictions out of fold, the direction also on what earlier splits had
predicted out of sample by then.
Dimensions: T bars, N symbols, K = 3 classes, R rows, over all symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from convnext_vbt.learning.labels import NO_LABEL, Labels
from convnext_vbt.predictions import Range, Split, SplitFit
from convnext_vbt.predictions.slopes import (
    BEFOREHAND,
    SLOPE_DEVIATION,
    fit_move,
    update_direction,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutOfFold:
    """What one model says of its split's training range out of fold, uncalibrated."""

    log_proba: np.ndarray
    """float32 (R, K); beside a primary only rows with a side, those of shorts as if long."""
    y: np.ndarray
    """int8 (R,): the rows' labels, -1 for none."""
    label_bars: float
    """How many bars a label of the training range lasts on average."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Said:
    """What one model said of its split's test range, uncalibrated, and what came."""

    log_proba: np.ndarray
    """float32 (R, K)."""
    y: np.ndarray
    """int8 (R,)."""
    end: np.ndarray
    """int64 (R,): the bar at whose close each label is known."""


def label_bars(labels: Labels, bars: Range) -> float:
    """How many bars a label lasts on average, from its own to the one that decides it."""
    lasting_TN = (labels.end - np.arange(len(labels.end))[:, None])[slice(*bars)]
    return float(lasting_TN[labels.values[slice(*bars)] != NO_LABEL].mean())


def said_in_test(log_proba_TNK: np.ndarray, labels: Labels, split: Split) -> Said:
    """The labelled rows of a test range, of log-probabilities (bars of it, N, K), NaN for none."""
    test = slice(*split.test)
    y_TN, end_TN = labels.values[test], labels.end[test]
    rows = (y_TN != NO_LABEL) & np.isfinite(log_proba_TNK).all(axis=2)
    return Said(log_proba=log_proba_TNK[rows], y=y_TN[rows], end=end_TN[rows])


def known_before(said: Sequence[Said], bar: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities (R, K) and labels (R,) of all rows whose outcome is known before a bar."""
    early = [one.end < bar for one in said]
    return (
        np.concatenate([one.log_proba[rows] for one, rows in zip(said, early, strict=True)]),
        np.concatenate([one.y[rows] for one, rows in zip(said, early, strict=True)]),
    )


def calibrated_fit(
    fit: SplitFit, out_of_fold: OutOfFold, earlier: Sequence[Said], split: Split
) -> SplitFit:
    """A split's fit with the slopes that its probabilities are calibrated by.

    Of the `earlier` splits only outcomes that are known before the test range are looked at.
    """
    weight = 1.0 / max(1.0, out_of_fold.label_bars)
    intercept, slope = fit_move(out_of_fold.log_proba, out_of_fold.y, weight)
    belief = update_direction(BEFOREHAND, out_of_fold.log_proba, out_of_fold.y, weight)
    first, second = (max(deviation, SLOPE_DEVIATION) for deviation in belief.deviations)
    belief = replace(belief, deviations=(first, second))
    if earlier:
        belief = update_direction(belief, *known_before(earlier, split.test[0]), weight)
    return replace(
        fit,
        move_intercept=intercept,
        move_slope=slope,
        direction_slope=max(0.0, belief.mean),
        direction_error=belief.deviation,
    )
