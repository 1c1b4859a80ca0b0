"""What a network has to beat: scikit-learn's models on the last bar's features, and the prior.

Logistic regression is also what the network stands on, unless `model.base` says otherwise.
They go through the very splits, scale, labels and calibration of the network. Dimensions:
F features, K = 3 classes, R rows of a range, over all symbols.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.predictions import CLASSES

Baseline = Literal["logistic", "boosting", "majority"]

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Values of logistic regression's C: the one with the least validation loss is taken."""
MOST_ROUNDS = 200
PATIENCE = 10
"""Boosting rounds without improvement on the validation range after which it stops."""
_LEAST = 1e-7
"""No probability is taken to be less, so that its logarithm is finite."""
_GHOST = 1e-3
"""Weight, in bars, of a class that the training range lacks."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Linear:
    """Logits that are linear in the last bar's features: logistic regression, or the prior."""

    coef: Tensor
    """float64 (K, F)."""
    intercept: Tensor
    """float64 (K,)."""

    def logits(self, x_F: Tensor) -> Tensor:
        """Standardised features (..., F) to logits (..., K), float32."""
        return (x_F.double() @ self.coef.T + self.intercept).float()

    def log_proba(self, held: HeldOut) -> Tensor:
        """Log-probabilities at the rows, (R, K)."""
        return self.logits(held.last_bars).log_softmax(1)

    def tensors(self) -> dict[str, Tensor]:
        """Coefficients and intercepts."""
        return {"coef": self.coef, "intercept": self.intercept}


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
        return torch.from_numpy(np.log(np.maximum(proba, _LEAST))).float()

    def tensors(self) -> dict[str, Tensor]:
        """None: trees are grown again, which gives the same ones."""
        return {}


def fit_baseline(
    kind: Baseline, train: HeldOut, valid: HeldOut, *, seed: int
) -> tuple[Linear | Boosting, int]:
    """The baseline of that kind and the iterations that it took.

    Weights come from the rows of `train`; those of `valid` choose the strength of logistic
    regression's penalty and the number of boosting rounds.
    """
    if kind == "logistic":
        return fit_logistic(train, valid)
    if kind == "boosting":
        return _fit_boosting(train, valid, seed)
    prior = np.bincount(train.labelled.numpy(), minlength=len(CLASSES)) / len(train.labelled)
    num_features = train.last_bars.shape[1]
    majority = Linear(
        coef=torch.zeros(len(CLASSES), num_features, dtype=torch.float64),
        intercept=torch.from_numpy(np.log(np.maximum(prior, _LEAST))),
    )
    return majority, 0


def fit_logistic(train: HeldOut, valid: HeldOut) -> tuple[Linear, int]:
    """Logistic regression, as strong a penalty as `valid` likes best, and its iterations."""
    from sklearn.linear_model import LogisticRegression

    x, y, weight = _with_every_class(*_labelled_rows(train))
    best: tuple[float, Linear, int] | None = None
    for strength in STRENGTHS:
        fitted = LogisticRegression(C=strength, max_iter=1000).fit(x, y, sample_weight=weight)
        linear = Linear(
            coef=torch.from_numpy(
                np.ascontiguousarray(fitted.coef_)
            ),  # C-ordered, as its file wants it
            intercept=torch.from_numpy(fitted.intercept_),
        )
        loss = valid.loss(linear.log_proba(valid))
        if best is None or loss < best[0]:
            best = loss, linear, int(fitted.n_iter_[0])
    assert best is not None
    return best[1:]


def _fit_boosting(train: HeldOut, valid: HeldOut, seed: int) -> tuple[Boosting, int]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    x, y, weight = _with_every_class(*_labelled_rows(train))
    x_valid, y_valid = _labelled_rows(valid)
    trees = HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=MOST_ROUNDS,
        max_leaf_nodes=15,
        min_samples_leaf=100,
        l2_regularization=1.0,
        early_stopping=True,
        n_iter_no_change=PATIENCE,
        tol=0.0,
        random_state=seed,
    ).fit(x, y, sample_weight=weight, X_val=x_valid, y_val=y_valid)
    losses = -trees.validation_score_[1:]  # the first is that of no tree at all
    rounds = 1 + int(losses.argmin())
    return Boosting(trees=trees, rounds=rounds), rounds


def _labelled_rows(held: HeldOut) -> tuple[np.ndarray, np.ndarray]:
    known = held.y >= 0
    return held.last_bars[known].double().numpy(), held.y[known].numpy()


def _with_every_class(x_RF: np.ndarray, y_R: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows, classes and weights, with a ghost of a row for each class that is not there.

    Without it scikit-learn would know of fewer classes, or of only one and refuse.
    """
    lacking = np.setdiff1d(np.arange(len(CLASSES)), y_R)
    x = np.vstack([x_RF, np.zeros((len(lacking), x_RF.shape[1]))])
    weight = np.append(np.ones(len(y_R)), np.full(len(lacking), _GHOST))
    return x, np.append(y_R, lacking), weight
