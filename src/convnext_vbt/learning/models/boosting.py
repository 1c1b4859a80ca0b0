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
from convnext_vbt.learning.models.last_bar import LEAST, labelled_rows, with_every_class
from convnext_vbt.learning.models.protocol import FitTask, Learned, ModelKind
from convnext_vbt.predictions import CLASSES

MOST_ROUNDS = 200
PATIENCE = 10
"""Boosting rounds without improvement on the validation range after which it stops."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Boosting:
    """The first `rounds` rounds of gradient-boosted trees on the last bar's features."""

    trees: Any
    """scikit-learn's fitted `HistGradientBoostingClassifier`."""
    rounds: int

    def log_proba(self, held: HeldOut) -> Tensor:
        """Log-probabilities at the rows, (R, K)."""
        x_RF = held.last_bars.numpy()
        if not len(x_RF):
            return torch.empty(0, len(CLASSES))
        stages = self.trees.staged_predict_proba(x_RF)
        proba = next(itertools.islice(stages, self.rounds - 1, None))
        return torch.from_numpy(np.log(np.maximum(proba, LEAST))).float()

    def tensors(self) -> dict[str, Tensor]:
        """None: trees are grown again, which gives the same ones."""
        return {}


def _fit(task: FitTask) -> Learned:
    from sklearn.ensemble import HistGradientBoostingClassifier

    x, y, weight = with_every_class(*labelled_rows(task.train))
    x_valid, y_valid = labelled_rows(task.valid)
    trees = HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=MOST_ROUNDS,
        max_leaf_nodes=15,
        min_samples_leaf=100,
        l2_regularization=1.0,
        early_stopping=True,
        n_iter_no_change=PATIENCE,
        tol=0.0,
        random_state=task.seed,
    ).fit(x, y, sample_weight=weight, X_val=x_valid, y_val=y_valid)
    losses = -trees.validation_score_[1:]  # the first is that of no tree at all
    rounds = 1 + int(losses.argmin())
    return Learned(predictor=Boosting(trees=trees, rounds=rounds), epochs=rounds)


BOOSTING = ModelKind(name="gradient boosting", fit=_fit, restore=None)
