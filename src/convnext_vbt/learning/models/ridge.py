"""Penalised logistic regression by Newton's method, for one strength after another.

Dimensions: C columns, R rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.special import expit

TOLERANCE = 1e-4
"""Newton's method stops after a step that moves no coefficient by more: the next one would move
them by its square."""
THINNING = 2
"""One of so many rows is fitted on: labels overlap, so that hardly less is known."""
MOST_ITERATIONS = 50
FREE = 1e-8
"""The penalty of a constant that is to have none: enough to keep it finite for a lone class."""


def ridge_path(
    x_RC: np.ndarray, yes_R: np.ndarray, strengths: Sequence[float]
) -> Iterator[tuple[np.ndarray, int]]:
    """Coefficients (C,) of penalised logistic regression for ascending strengths, and iterations.

    Each minimises strength x sum of log-losses + half the squared coefficients by Newton's method
    (iteratively reweighted least squares; Hastie et al. 2009, section 4.4.1) from the one before.
    The last column is the constant, which is not penalised.
    """
    coef = np.zeros(x_RC.shape[1])
    for strength in strengths:
        penalty_C = np.full(x_RC.shape[1], 1.0 / strength)
        penalty_C[-1] = FREE
        coef, iterations = newton(x_RC, yes_R, coef, penalty_C)
        yield coef, iterations


def newton(
    x_RC: np.ndarray, yes_R: np.ndarray, coef: np.ndarray, penalty_C: np.ndarray
) -> tuple[np.ndarray, int]:
    """The minimum of the summed log-loss + penalty / 2 x squares, and the iterations it took.

    A step that would lead uphill is halved until it does not.
    """
    sign_R = np.where(yes_R, -1.0, 1.0)

    def cost(at: np.ndarray, logit_R: np.ndarray) -> float:
        loss = np.logaddexp(0, sign_R * logit_R).sum()
        return float(loss + 0.5 * (penalty_C * at**2).sum())

    logit_R = x_RC @ coef
    value = cost(coef, logit_R)
    iterations = 0
    while iterations < MOST_ITERATIONS:
        iterations += 1
        proba_R = expit(logit_R)
        slope_C = x_RC.T @ (proba_R - yes_R) + penalty_C * coef
        curvature = (x_RC * (proba_R * (1.0 - proba_R))[:, None]).T @ x_RC
        step = np.linalg.solve(curvature + np.diag(penalty_C), slope_C)
        before, share = value, 1.0
        while share > TOLERANCE:
            logit_R = x_RC @ (coef - share * step)
            value = cost(coef - share * step, logit_R)
            if value <= before + 1e-9 * abs(before):  # but for rounding
                break
            share /= 2
        coef = coef - share * step
        if np.abs(step).max() < TOLERANCE:
            break
    return coef, iterations
