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
AT_ONCE = 10
"""Rounds between two looks at the loss out of fold; boosting stops at the first that is worse."""


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


def _trees(task: FitTask, rounds: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=rounds,
        max_leaf_nodes=15,
        min_samples_leaf=100,
        l2_regularization=1.0,
        early_stopping=False,
        warm_start=True,
        random_state=task.seed,
    )


def _fit(task: FitTask) -> Learned:
    """As many rounds as have the least loss out of fold, all folds growing side by side."""
    x, y = task.train.last_bars.double().numpy(), task.train.y.numpy()
    data = [with_every_class(x[fold.fit.numpy()], y[fold.fit.numpy()]) for fold in task.folds]
    grown = [_trees(task, 0) for _ in task.folds]
    best, best_loss, rounds = torch.empty(0), np.inf, 0
    while rounds < MOST_ROUNDS:
        stages = torch.empty(AT_ONCE, len(y), len(CLASSES))
        for fold, trees, (x_fit, y_fit, weight) in zip(task.folds, grown, data, strict=True):
            trees.max_iter += AT_ONCE
            trees.fit(x_fit, y_fit, sample_weight=weight)
            new = itertools.islice(trees.staged_predict_proba(x[fold.held.numpy()]), rounds, None)
            stages[:, fold.held] = torch.stack([_log(proba) for proba in new])
        losses = np.array([task.train.loss(stage) for stage in stages])
        if losses.min() >= best_loss:
            break
        first, best_loss = rounds, losses.min()
        best, kept = stages[losses.argmin()], first + int(losses.argmin()) + 1
        rounds += AT_ONCE
    known = y >= 0
    x_all, y_all, weight = with_every_class(x[known], y[known])
    trees = _trees(task, kept).fit(x_all, y_all, sample_weight=weight)
    return Learned(predictor=Boosting(trees=trees), out_of_fold=best, epochs=kept)


BOOSTING = ModelKind(name="gradient boosting", fit=_fit, restore=None)
