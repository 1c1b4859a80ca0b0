"""Which way it goes: many small regressions, averaged by how well they foretell out of fold.

A market is seldom of more than one kind, and a year of overlapping labels is worth a few hundred
outcomes: a regression on everything that might matter pays for each column. So each candidate reads
the features under one penalty, or not at all, and one expert (a column that somebody else learned),
or none. They are averaged with weights exp(-loss out of fold): pseudo-Bayesian model averaging
(Yao, Vehtari, Simpson and Gelman 2018, "Using stacking to average Bayesian predictive
distributions").
Labels that last B bars overlap: each row counts as 1 / B outcomes, in fits and in weights. All
candidates are linear, so their average is one line of coefficients.
Dimensions: R rows, C features, E experts, M candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from convnext_vbt.learning.folds import FoldRows
from convnext_vbt.learning.models.ridge import THINNING, newton

FEATURE_DEVIATIONS = (0.02, 0.07, 0.2, 0.7)
"""Normal priors of the features' coefficients, around 0: each is a candidate of its own."""
EXPERT_DEVIATION = 1.5
"""That of an expert's."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Averaged:
    """The mean of all candidates."""

    coef: np.ndarray
    """float64 (C + E,)."""
    logit: np.ndarray
    """float64 (R,), out of fold."""
    trust: np.ndarray
    """float64 (E + 1,): summed weight of the candidates that read each expert, or none (last)."""


def averaged(
    features_RC: np.ndarray,
    experts_RE: np.ndarray,
    yes_R: np.ndarray,
    rows_R: np.ndarray,
    folds: Sequence[FoldRows],
    *,
    label_bars: float,
) -> Averaged:
    """Coefficients of the logit of `yes_R` at `rows_R`, and its values out of fold at all rows."""
    x_RC = np.hstack([features_RC, experts_RE])
    num_experts = experts_RE.shape[1]
    weight = 1.0 / max(1.0, label_bars)

    def candidates(rows: np.ndarray) -> np.ndarray:
        thinned = np.flatnonzero(rows)[::THINNING]
        made = _candidates(x_RC[thinned], yes_R[thinned], num_experts, weight * THINNING)
        return np.stack(list(made))

    coef_MC = candidates(rows_R)
    logit_MR = np.empty((len(coef_MC), len(x_RC)))
    for fold in folds:
        held = fold.held.numpy()
        logit_MR[:, held] = candidates(fold.fit.numpy() & rows_R) @ x_RC[held].T
    sign_R = np.where(yes_R[rows_R], -1.0, 1.0)
    loss_M = weight * np.logaddexp(0, sign_R * logit_MR[:, rows_R]).sum(axis=1)
    weight_M = np.exp(loss_M.min() - loss_M)
    weight_M /= weight_M.sum()
    trust = weight_M.reshape(num_experts + 1, -1).sum(axis=1)
    return Averaged(coef=weight_M @ coef_MC, logit=weight_M @ logit_MR, trust=trust)


def _candidates(
    x_RC: np.ndarray, yes_R: np.ndarray, num_experts: int, weight: float
) -> Iterator[np.ndarray]:
    """Coefficients (C + E,): for each expert and for none, without features and by penalty.

    With neither it is a coin.
    """
    first = x_RC.shape[1] - num_experts
    features = np.arange(first)
    for expert in (*range(first, x_RC.shape[1]), None):
        own = features[:0] if expert is None else np.array([expert])
        coef = np.zeros(x_RC.shape[1])
        coef[own] = _fit(x_RC[:, own], yes_R, coef[own], np.full(len(own), _price(weight)))
        yield coef
        both = np.append(features, own)
        x = x_RC[:, both]
        for deviation in FEATURE_DEVIATIONS:
            penalty = np.full(len(both), (EXPERT_DEVIATION / deviation) ** 2)
            penalty[first:] = 1.0
            coef = coef.copy()
            coef[both] = _fit(x, yes_R, coef[both], penalty * _price(weight))
            yield coef


def _price(weight: float) -> float:
    """The penalty of an expert's coefficient beside a sum of losses that count `weight` each."""
    return 1.0 / (weight * EXPERT_DEVIATION**2)


def _fit(x_RC: np.ndarray, yes_R: np.ndarray, coef: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    return newton(x_RC, yes_R, coef, penalty)[0] if len(coef) and len(x_RC) else coef
