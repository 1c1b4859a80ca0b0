"""Meta-labelling: a primary says which side, the model whether its trade works and how surely.

Lopez de Prado 2018, ch. 3.6. Labels stay DOWN, STAY and UP, but of bars with a side alone; so on
the primary's side UP (or DOWN) is that its trade reaches the target first. What the model reads has
the side among its columns, and the side times every feature that the mirror (1 / price) leaves as
it is. Mirrored bars have the other side: a model that learns from both views learns one thing,
whether a trade works, of longs and shorts alike.
Dimensions: T bars, N symbols, F features, K = 3 classes, R rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from convnext_vbt.learning.features import Features
from convnext_vbt.predictions import DOWN, STAY, UP

SIDE = "primary"
"""The column that holds the sides."""


def with_sides(features: Features, sides_TN: np.ndarray) -> Features:
    """The features, the sides (-1, 0, 1), and the sides times what the mirror leaves of each.

    Without a mirrored view that is the feature itself.
    """
    values, mirrored = features.values, features.mirrored
    even = values if mirrored is None else (values + mirrored) / 2
    side = np.where(np.isnan(values).any(axis=2), np.nan, sides_TN)[:, :, None]
    sided = np.concatenate([side, side * even], axis=2, dtype=np.float32)
    return replace(
        features,
        names=(*features.names, SIDE, *(f"{SIDE} x {name}" for name in features.names)),
        values=np.concatenate([values, sided], axis=2),
        mirrored=None if mirrored is None else np.concatenate([mirrored, -sided], axis=2),
    )


def sides_of(features: Features) -> np.ndarray | None:
    """The primary's sides among the features, int8 (T, N), 0 where there are none; None without."""
    if SIDE not in features.names:
        return None
    column_TN = features.values[:, :, features.names.index(SIDE)]
    return np.asarray(np.nan_to_num(column_TN), dtype=np.int8)


def as_long(
    log_proba_RK: np.ndarray, y_R: np.ndarray, sides_R: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows as if every side were long: of short ones UP and DOWN are exchanged, -1 stays."""
    short = sides_R < 0
    flipped = np.where(short[:, None], log_proba_RK[:, ::-1], log_proba_RK)
    return flipped, np.where(short & (y_R >= 0), UP - y_R, y_R).astype(y_R.dtype)


def taken(proba: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Probabilities (..., K) that never speak for the side that the primary is not on.

    Where the model holds that side for likelier, both get half of what is not STAY, and such a tie
    enters nothing. Without a side (0) it is STAY for certain; NaN stays NaN.
    """
    out = proba.copy()
    against = ((sides > 0) & (proba[..., DOWN] > proba[..., UP])) | (
        (sides < 0) & (proba[..., UP] > proba[..., DOWN])
    )
    half = (proba[..., UP] + proba[..., DOWN]) / 2
    for k in (DOWN, UP):
        out[..., k] = np.where(against, half, proba[..., k])
    out[(sides == 0) & ~np.isnan(proba[..., STAY])] = np.eye(3)[STAY]
    return out
