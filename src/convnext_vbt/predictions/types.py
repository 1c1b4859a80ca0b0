"""What predictions speak of: classes, splits and the target. Bars are counted from 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from convnext_vbt.errors import InputError

CLASSES = ("DOWN", "STAY", "UP")
DOWN, STAY, UP = range(3)
QUANTILE_LEVELS = np.linspace(0.0, 1.0, 1001)

Range = tuple[int, int]
"""A half-open range of bars [start, stop)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One walk-forward split: half-open ranges of bars, the first purged before the second."""

    number: int
    train: Range
    """All that is learned from: each choice out of fold, then the model on every label of it.

    Of predictions from elsewhere it is what they say (`Predictions.from_frames`); an empty one is
    that nobody says."""
    test: Range
    folds: int = 5
    """Into how many contiguous folds `train` is cut for predictions out of fold."""
    embargo: int = 0
    """Bars dropped on both sides of a fold on top of the purge, and before `test`."""
    valid: Range | None = None
    """That stopped the training, in runs of versions before 0.3; then `train` ends before it."""
    calibration: Range | None = None
    """That set temperature and quantiles of confidence, in runs of versions before 0.3."""

    @property
    def tells_train(self) -> bool:
        """Whether it is known what was learned from."""
        return self.train[0] < self.train[1]

    @property
    def learned_later(self) -> bool:
        """Whether bars of the test range, or after it, were learned from."""
        return self.tells_train and self.train[1] > self.test[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFit:
    """What training one split came to; losses are log-losses in nats per bar."""

    number: int
    epochs: int | None
    """Optimiser steps, iterations or rounds up to the weights that were kept; None where a network
    is taken as it is, trained beforehand."""
    valid_loss: float
    """Out of fold, before calibration."""
    prior_loss: float
    """Log-loss out of fold of the class frequencies."""
    prior: tuple[float, float, float]
    """Class frequencies of the training range: DOWN, STAY, UP."""
    num_scores: int = 0
    """Bars that `Predictions.nonconformity` is of."""
    move_intercept: float = 0.0
    """Added to log(P(UP or DOWN) / P(STAY)) after it was multiplied by `move_slope`."""
    move_slope: float = 1.0
    direction_slope: float = 1.0
    """What log(P(UP) / P(DOWN)) was multiplied by, learned from what came before the test range."""
    direction_error: float | None = None
    """Standard deviation of that slope's posterior; None where no slope was learned."""

    @property
    def learned(self) -> bool:
        """Whether the loss out of fold beat that of the base rates."""
        return self.valid_loss < self.prior_loss - 1e-6  # less is rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the probabilities speak of, so that the trade taken can be the trade predicted.

    Barriers lie `up` and `down` x sigma_t x sqrt(horizon) from the next bar's open, sigma being
    `market.volatility.ewma_volatility(halflife=halflife)`. For kind "fixed" the class is decided
    at the horizon's close, outside a dead zone of those widths, and no barrier is touched.
    """

    kind: Literal["barrier", "fixed"] = "barrier"
    horizon: int = 24
    """Bars after the signal bar in which the outcome is decided."""
    up: float = 1.0
    down: float = 1.0
    halflife: float = 24.0
    """Of the volatility, in bars."""

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise InputError(f"horizon must be at least 1 bar, got {self.horizon}")
        for name in ("up", "down", "halflife"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} must be positive and finite, got {getattr(self, name)}")
