"""What a split may know of predictions from elsewhere: those of earlier test ranges, and no more.

Ours are calibrated out of fold on the training range; of others only what they said out of sample
is there. Dimensions: T bars, N symbols, K = 3 classes, S splits, R rows, over all symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError, InputTypeError
from convnext_vbt.predictions.slopes import (
    BEFOREHAND,
    apply,
    confidence_quantiles,
    fit_move,
    update_direction,
)
from convnext_vbt.predictions.types import CLASSES, DOWN, QUANTILE_LEVELS, STAY, UP, Split, SplitFit

LEAST = 1e-6
"""What a probability of 0 counts as where its logarithm is taken: one in a million."""


class Outcomes(Protocol):
    """Classes and the bars by which they are known: what `barrier_labels` gives."""

    @property
    def values(self) -> np.ndarray:
        """int8 (T, N): DOWN 0, STAY 1, UP 2, -1 for none."""

    @property
    def end(self) -> np.ndarray:
        """int64 (T, N): the bar at whose close the class is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """`Outcomes` of a frame of classes."""

    values: np.ndarray
    end: np.ndarray


def earlier_quantiles(splits: Sequence[Split], proba_TNK: np.ndarray) -> np.ndarray:
    """Each split's quantiles of confidence over the test ranges before its own, float32 (S, 1001).

    NaN for the first one: nothing precedes it, so that no quantile is met there.
    """
    rows = [_said(proba_TNK[: split.test[0]]) for split in splits]
    return np.stack([_quantiles(proba_RK) for proba_RK in rows])


def calibrated(
    splits: Sequence[Split], proba_TNK: np.ndarray, outcomes: Outcomes
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (T, N, K) and quantiles (S, 1001), of each split by what was known before it.

    Both slopes of `predictions.slopes` are learned from the predictions of earlier test ranges
    whose class was known before the split's first bar; the quantiles are those of all earlier
    predictions under the same slopes. The first split has the prior's slopes. Where P(STAY) is 0
    throughout there is no move to calibrate, only a direction.
    """
    values_TN, end_TN = outcomes.values, outcomes.end
    log_TNK = np.log(np.maximum(proba_TNK, LEAST, dtype=np.float64))
    has_stay = bool((proba_TNK[..., STAY] > 0).any())
    out_TNK, quantiles = proba_TNK.copy(), []
    for split in splits:
        first = split.test[0]
        said_TN = np.isfinite(proba_TNK[:first]).all(axis=2)
        known_TN = said_TN & (values_TN[:first] >= 0) & (end_TN[:first] < first)
        lasting = (end_TN[:first] - np.arange(first)[:, None])[known_TN]
        weight = 1.0 / max(1.0, float(lasting.mean())) if len(lasting) else 1.0
        fit = _slopes(
            log_TNK[:first][known_TN], values_TN[:first][known_TN], weight, split, has_stay
        )
        rows = slice(*split.test)
        out_TNK[rows] = _applied(fit, log_TNK[rows], has_stay)
        quantiles.append(_quantiles(_applied(fit, log_TNK[:first][said_TN], has_stay)))
    return out_TNK.astype(np.float32), np.stack(quantiles)


def outcomes_of(
    given: Any, index: pd.DatetimeIndex, symbols: tuple[str, ...], horizon: int | None
) -> Outcomes:
    """The outcomes that a caller gives: labels, or classes of which each is known `horizon` later.

    Classes are a frame (T, N) or a series: 0, 1, 2 or "DOWN", "STAY", "UP"; -1 or NaN for none.
    Raises `InputError` for what does not belong to these bars.
    """
    shape = (len(index), len(symbols))
    if not isinstance(given, pd.DataFrame | pd.Series):
        if not hasattr(given, "values") or not hasattr(given, "end"):
            raise InputTypeError(
                f"outcomes must be labels, as cv.barrier_labels(bars) makes them, or a frame of "
                f"classes, got {type(given).__name__}"
            )
        if horizon is not None:
            raise InputError("horizon is for a frame of classes; labels know their own ends")
        if given.values.shape != shape:
            raise InputError(f"labels of {given.values.shape} do not belong to bars of {shape}")
        labels: Outcomes = given
        return labels
    if horizon is None or horizon < 1:
        raise InputError(
            f"horizon must say after how many bars a class is known, at least 1, got {horizon}"
        )
    frame = given.to_frame() if isinstance(given, pd.Series) else given
    times = pd.DatetimeIndex(frame.index)
    times = times.tz_localize("UTC") if times.tz is None else times.tz_convert("UTC")
    if frame.shape != shape or not times.equals(index):
        raise InputError(
            f"classes of {frame.shape} must have the predictions' index and columns {shape}; use "
            "reindex"
        )
    named = (
        frame.replace({name: k for k, name in enumerate(CLASSES)}) if _in_words(frame) else frame
    )
    values = named.astype(np.float64).fillna(-1.0).to_numpy()
    wrong = ~np.isin(values, (-1, DOWN, STAY, UP))
    if wrong.any():
        raise InputError(
            f"classes are 0 (DOWN), 1 (STAY), 2 (UP) or -1, got {values[wrong][0]:g}; of returns "
            "make classes first"
        )
    end = np.minimum(np.arange(len(index)) + horizon, len(index) - 1)
    return Known(values=values.astype(np.int8), end=np.tile(end[:, None], (1, shape[1])))


def _in_words(frame: pd.DataFrame) -> bool:
    return any(not pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes)


def _said(proba_TNK: np.ndarray) -> np.ndarray:
    there: np.ndarray = proba_TNK[np.isfinite(proba_TNK).all(axis=2)]
    return there


def _quantiles(proba_RK: np.ndarray) -> np.ndarray:
    if not len(proba_RK):
        return np.full(len(QUANTILE_LEVELS), np.nan, dtype=np.float32)
    return confidence_quantiles(proba_RK)


def _slopes(
    log_RK: np.ndarray, y_R: np.ndarray, weight: float, split: Split, has_stay: bool
) -> SplitFit:
    intercept, slope = fit_move(log_RK, y_R, weight) if has_stay else (0.0, 1.0)
    belief = update_direction(BEFOREHAND, log_RK, y_R, weight)
    return SplitFit(
        number=split.number, epochs=None, valid_loss=np.nan, prior_loss=np.nan, prior=(np.nan,) * 3,
        move_intercept=intercept, move_slope=slope, direction_slope=max(0.0, belief.mean),
    )  # fmt: skip


def _applied(fit: SplitFit, log_proba: np.ndarray, has_stay: bool) -> np.ndarray:
    proba = apply(fit, log_proba)
    if has_stay:
        return proba
    moves = proba[..., [DOWN, UP]].sum(axis=-1)
    proba[..., STAY] = np.where(np.isnan(moves), np.nan, 0.0)
    proba[..., [DOWN, UP]] /= moves[..., None]
    return proba
