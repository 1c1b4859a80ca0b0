"""Gradient-boosted trees on the last bar's features: the baseline of `evidence = "full"`.

Dimensions: F features, K = 3 classes, R rows of a range, over all symbols.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.models.last_bar import LEAST, with_every_class
from convnext_vbt.learning.models.protocol import FitTask, Learned, ModelKind
from convnext_vbt.predictions import CLASSES

MOST_ROUNDS = 200
PATIENCE = 10
"""Rounds without improvement out of fold after which a fold's trees grow no further."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Boosting:
    """Gradient-boosted trees on the last bar's features."""

    trees: Any
    """scikit-learn's fitted `HistGradientBoostingClassifier`."""

    def log_proba(self, held: HeldOut) -> Tensor:
        """Log-probabilities at the rows, (R, K)."""
        x_RF = held.last_bars.numpy()
        if not len(x_RF):
            return torch.empty(0, len(CLASSES))
        return _log(self.trees.predict_proba(x_RF))

    def tensors(self) -> dict[str, Tensor]:
        """None: trees are grown again, which gives the same ones."""
        return {}


def _log(proba: np.ndarray) -> Tensor:
    return torch.from_numpy(np.log(np.maximum(proba, LEAST))).float()


def _grown(task: FitTask, x: np.ndarray, y: np.ndarray, rounds: int, **stopping: Any) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    x_fit, y_fit, weight = with_every_class(x, y)
    trees = HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=rounds,
        max_leaf_nodes=15,
        min_samples_leaf=100,
        l2_regularization=1.0,
        early_stopping=bool(stopping),
        n_iter_no_change=PATIENCE,
        tol=0.0,
        random_state=task.seed,
    )
    return trees.fit(x_fit, y_fit, sample_weight=weight, **stopping)


def _fit(task: FitTask) -> Learned:
    """As many rounds as have the least loss out of fold.

    A fold's trees stop where they no longer get better at it; then their last loss goes on.
    """
    x, y = task.train.last_bars.double().numpy(), task.train.y.numpy()
    known = y >= 0
    losses, in_folds = np.zeros(MOST_ROUNDS), []
    for fold in task.folds:
        fit, held = fold.fit.numpy(), fold.held.numpy() & known
        trees = _grown(task, x[fit], y[fit], MOST_ROUNDS, X_val=x[held], y_val=y[held])
        curve = -trees.validation_score_[1:]  # the first is that of no tree at all
        losses += held.sum() * np.pad(curve, (0, MOST_ROUNDS - len(curve)), mode="edge")
        in_folds.append(trees)
    rounds = 1 + int(losses.argmin())
    log_proba = torch.empty(len(y), len(CLASSES))
    for fold, trees in zip(task.folds, in_folds, strict=True):
        stages = trees.staged_predict_proba(x[fold.held.numpy()])
        last = min(rounds, trees.n_iter_) - 1
        log_proba[fold.held] = _log(next(itertools.islice(stages, last, None)))
    trees = _grown(task, x[known], y[known], rounds)
    return Learned(predictor=Boosting(trees=trees), out_of_fold=log_proba, epochs=rounds)


BOOSTING = ModelKind(name="gradient boosting", fit=_fit, restore=None)
