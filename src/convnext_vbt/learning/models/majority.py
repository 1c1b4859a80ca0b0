"""The class frequencies of the training range, whatever the bars: the least that is to be beaten.

Dimensions: K = 3 classes, R rows of a range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from convnext_vbt.learning.folds import out_of_fold
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.models.last_bar import LEAST
from convnext_vbt.learning.models.protocol import FitTask, Learned, ModelKind
from convnext_vbt.learning.settings import ModelConfig
from convnext_vbt.predictions import CLASSES


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frequencies:
    """The same log-probabilities at every row."""

    log_frequencies: Tensor
    """float32 (K,)."""

    def log_proba(self, held: HeldOut) -> Tensor:
        """Log-probabilities at the rows, (R, K)."""
        return self.log_frequencies.repeat(len(held.bars), 1)

    def tensors(self) -> dict[str, Tensor]:
        """The three logarithms."""
        return {"log_frequencies": self.log_frequencies}


def log_frequencies(y_R: Tensor) -> Tensor:
    """Logarithms of the class frequencies among labels, float32 (K,); none is below 1e-7."""
    counts = torch.bincount(y_R, minlength=len(CLASSES)).double()
    return (counts / counts.sum()).clamp(min=LEAST).log().log_softmax(0).float()


def frequencies_out_of_fold(task: FitTask) -> Tensor:
    """At each row the class frequencies outside its fold, float32 (R, K)."""
    y = task.train.y
    return out_of_fold(task.folds, len(y), lambda fold: log_frequencies(y[fold.fit]))


def _fit(task: FitTask) -> Learned:
    return Learned(
        predictor=Frequencies(log_frequencies=log_frequencies(task.train.labelled)),
        out_of_fold=frequencies_out_of_fold(task),
        epochs=0,
    )


def _restore(
    model: ModelConfig,  # noqa: ARG001
    num_features: int,  # noqa: ARG001
    tensors: Mapping[str, Tensor],
    device: str,  # noqa: ARG001
) -> list[Frequencies]:
    return [Frequencies(**tensors)]


MAJORITY = ModelKind(name="base rates", fit=_fit, restore=_restore, calibrated=False)
