"""Models of the last bar's features: the rows they are fitted on, and logits linear in them.

Dimensions: F features, K = 3 classes, R rows of a range, over all symbols.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.settings import ModelConfig
from convnext_vbt.predictions import CLASSES

LEAST = 1e-7
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


def restore_linear(
    model: ModelConfig,  # noqa: ARG001
    num_features: int,  # noqa: ARG001
    tensors: Mapping[str, Tensor],
    device: str,  # noqa: ARG001
) -> list[Linear]:
    """The `ModelKind.restore` of kinds that are `Linear`."""
    return [Linear(**tensors)]


def labelled_rows(held: HeldOut) -> tuple[np.ndarray, np.ndarray]:
    """Features, float64 (R, F), and classes, int64 (R,), of the rows that have a label."""
    known = held.y >= 0
    return held.last_bars[known].double().numpy(), held.y[known].numpy()


def with_every_class(x_RF: np.ndarray, y_R: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows, classes and weights, with a ghost of a row for each class that is not there.

    Without it scikit-learn would know of fewer classes, or of only one and refuse.
    """
    lacking = np.setdiff1d(np.arange(len(CLASSES)), y_R)
    x = np.vstack([x_RF, np.zeros((len(lacking), x_RF.shape[1]))])
    weight = np.append(np.ones(len(y_R)), np.full(len(lacking), _GHOST))
    return x, np.append(y_R, lacking), weight
