"""Logistic regression on the last bar's features: a baseline, and the network's own base."""

from __future__ import annotations

import numpy as np
import torch

from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.models.last_bar import (
    Linear,
    labelled_rows,
    restore_linear,
    with_every_class,
)
from convnext_vbt.learning.models.protocol import FitTask, Learned, ModelKind

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Values of logistic regression's C: the one with the least validation loss is taken."""


def fit_logistic(train: HeldOut, valid: HeldOut) -> tuple[Linear, int]:
    """Logistic regression, as strong a penalty as `valid` likes best, and its iterations."""
    from sklearn.linear_model import LogisticRegression

    x, y, weight = with_every_class(*labelled_rows(train))
    best: tuple[float, Linear, int] | None = None
    for strength in STRENGTHS:
        fitted = LogisticRegression(C=strength, max_iter=1000).fit(x, y, sample_weight=weight)
        linear = Linear(
            coef=torch.from_numpy(np.ascontiguousarray(fitted.coef_)),  # as its file wants it
            intercept=torch.from_numpy(fitted.intercept_),
        )
        loss = valid.loss(linear.log_proba(valid))
        if best is None or loss < best[0]:
            best = loss, linear, int(fitted.n_iter_[0])
    assert best is not None
    return best[1:]


def _fit(task: FitTask) -> Learned:
    linear, iterations = fit_logistic(task.train, task.valid)
    return Learned(predictor=linear, epochs=iterations)


LOGISTIC = ModelKind(name="logistic regression", fit=_fit, restore=restore_linear)
