"""The slopes by which probabilities are made true: whether the price moves, and where to.

Each is learned by itself from predictions and what came of them. Labels overlap: those that last
B bars are worth 1 / B outcomes.
Dimensions: K = 3 classes, R rows, over all symbols; a class of -1 is one that nobody knows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from convnext_vbt.predictions.types import DOWN, QUANTILE_LEVELS, STAY, UP, SplitFit

MOVE_DEVIATION = 0.5
"""Of the normal priors of the move's constant, around 0, and of its slope, around 1."""
COIN, TRUE = 0, 1
"""What a claimed direction may be worth: next to nothing, or about what it says."""
TRUE_SHARE = 0.2
"""How probable the latter is beforehand: confidence in direction is mostly a coin's."""
SLOPES, SLOPE_DEVIATION = (0.0, 1.0), 0.25
"""The normal priors of the direction's slope in the two cases. The deviation comes back once a
split has seen its own training range: predictions out of fold lie between bars that were learned
from, not after them."""
MOST_ITERATIONS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """What is believed of the direction's slope: a normal for each case, and their weights."""

    weights: tuple[float, float]
    means: tuple[float, float]
    deviations: tuple[float, float]

    @property
    def mean(self) -> float:
        """Over both cases."""
        return float(np.dot(self.weights, self.means))

    @property
    def deviation(self) -> float:
        """Likewise."""
        squares = np.square(self.deviations) + np.square(np.array(self.means) - self.mean)
        return math.sqrt(float(np.dot(self.weights, squares)))


BEFOREHAND = Belief(
    weights=(1.0 - TRUE_SHARE, TRUE_SHARE), means=SLOPES, deviations=(SLOPE_DEVIATION,) * 2
)


def fit_move(log_proba_RK: np.ndarray, y_R: np.ndarray, weight: float) -> tuple[float, float]:
    """Constant and slope of log(P(move) / P(STAY)): the posterior's mode, the slope at least 0.

    Each row is worth `weight` outcomes, so that a short training range cannot do much harm.
    """
    known = y_R >= 0
    x_R, moved_R = _move_logit(log_proba_RK[known]), y_R[known] != STAY
    for columns in (np.stack([np.ones_like(x_R), x_R]), np.stack([np.ones_like(x_R)])):
        prior = np.array([0.0, 1.0])[: len(columns)]
        mode, _ = _mode(columns, moved_R, weight, prior, MOVE_DEVIATION)
        if len(columns) == 1 or mode[1] >= 0:
            break
    return float(mode[0]), float(mode[1]) if len(mode) > 1 else 0.0


def update_direction(
    belief: Belief, log_proba_RK: np.ndarray, y_R: np.ndarray, weight: float
) -> Belief:
    """What is believed of the slope of log(P(UP) / P(DOWN)) after rows that moved.

    Each case by the mode and curvature of its posterior (Laplace's approximation), the cases by
    their evidence (MacKay 2003, ch. 27 and 28); each row is worth `weight` outcomes.
    """
    moved = (y_R >= 0) & (y_R != STAY)
    x_R, up_R = _direction_logit(log_proba_RK[moved]), y_R[moved] == UP
    modes, deviations, logs = [], [], []
    for share, mean, deviation in zip(belief.weights, belief.means, belief.deviations, strict=True):
        mode, precision = _mode(x_R[None], up_R, weight, np.array([mean]), deviation)
        slope, found = float(mode[0]), 1.0 / math.sqrt(float(precision[0, 0]))
        loss = weight * float(np.logaddexp(0.0, np.where(up_R, -slope, slope) * x_R).sum())
        pull = 0.5 * ((slope - mean) / deviation) ** 2
        logs.append(math.log(share) - loss - pull + math.log(found / deviation))
        modes.append(slope)
        deviations.append(found)
    coin = 1.0 / (1.0 + math.exp(min(logs[TRUE] - logs[COIN], 700.0)))
    share = max(coin, 1e-12)  # nothing is impossible, so that its logarithm is finite
    return Belief(
        weights=(share, max(1.0 - share, 1e-12)),
        means=(modes[COIN], modes[TRUE]),
        deviations=(deviations[COIN], deviations[TRUE]),
    )


def apply(fit: SplitFit, log_proba: np.ndarray) -> np.ndarray:
    """Calibrated probabilities, float32, of log-probabilities (..., K); NaN stays NaN."""
    direction = fit.direction_slope * _direction_logit(log_proba)
    move = fit.move_intercept + fit.move_slope * _move_logit(log_proba)
    moves, ups = expit(move), expit(direction)
    proba = np.stack([moves * (1.0 - ups), 1.0 - moves, moves * ups], axis=-1)
    return np.asarray(proba, dtype=np.float32)


def confidence_quantiles(proba_RK: np.ndarray) -> np.ndarray:
    """Quantiles of max(P(UP), P(DOWN)), float32 (1001,)."""
    confidence = proba_RK[:, [DOWN, UP]].max(axis=1)
    return np.asarray(np.quantile(confidence, QUANTILE_LEVELS), dtype=np.float32)


def conformal_scores(proba_RK: np.ndarray, y_R: np.ndarray) -> np.ndarray:
    """Quantiles of 1 - P(true class) at the labelled rows, each one of them, float32 (1001,)."""
    known = y_R >= 0
    scores = 1.0 - proba_RK[known, y_R[known]]
    return np.asarray(np.quantile(scores, QUANTILE_LEVELS, method="nearest"), dtype=np.float32)


def _move_logit(log_proba: np.ndarray) -> np.ndarray:
    """log(P(UP or DOWN) / P(STAY)), float64."""
    wide = log_proba.astype(np.float64)
    with np.errstate(invalid="ignore"):  # numpy warns of NaN here, which only stays what it is
        logit: np.ndarray = np.logaddexp(wide[..., DOWN], wide[..., UP]) - wide[..., STAY]
    return logit


def _direction_logit(log_proba: np.ndarray) -> np.ndarray:
    """log(P(UP) / P(DOWN)), float64."""
    wide = log_proba.astype(np.float64)
    logit: np.ndarray = wide[..., UP] - wide[..., DOWN]
    return logit


def _mode(
    x_CR: np.ndarray, yes_R: np.ndarray, weight: float, prior_C: np.ndarray, deviation: float
) -> tuple[np.ndarray, np.ndarray]:
    """The mode of a logistic regression's posterior and its precision matrix there, by Newton.

    Sums are numpy's own, not those of a matrix library, whose threads change their order.
    """
    coef, precision = prior_C.copy(), np.eye(len(prior_C)) / deviation**2
    for _ in range(MOST_ITERATIONS):
        proba_R = expit((x_CR * coef[:, None]).sum(axis=0))
        slope_C = weight * (x_CR * (proba_R - yes_R)).sum(axis=1) + (coef - prior_C) / deviation**2
        curved_R = weight * proba_R * (1.0 - proba_R)
        curvature = (x_CR[:, None] * x_CR[None] * curved_R).sum(axis=2)
        precision = curvature + np.eye(len(coef)) / deviation**2
        step = np.linalg.solve(precision, slope_C)
        coef = coef - step
        if np.abs(step).max() < 1e-10:
            break
    return coef, precision
