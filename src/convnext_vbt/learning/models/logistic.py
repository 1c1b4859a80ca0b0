"""Logistic regression on the last bar's features: a baseline, and the network's own base."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from convnext_vbt.learning.calibration import label_bars
from convnext_vbt.learning.models.head import Head, LastBar, fit_head, last_bar_columns
from convnext_vbt.learning.models.protocol import FitTask, Learned, ModelKind
from convnext_vbt.learning.settings import ModelConfig


def _fit(task: FitTask) -> Learned:
    fitted = fit_head(
        last_bar_columns(task.train),
        task.train.y.numpy(),
        task.folds,
        label_bars=label_bars(task.labels, task.split.train),
    )
    return Learned(
        predictor=LastBar(head=fitted.head),
        out_of_fold=fitted.out_of_fold,
        epochs=fitted.iterations,
    )


def _restore(
    model: ModelConfig,  # noqa: ARG001
    num_features: int,  # noqa: ARG001
    tensors: Mapping[str, Tensor],
    device: str,  # noqa: ARG001
) -> list[LastBar]:
    return [LastBar(head=Head(**tensors))]


LOGISTIC = ModelKind(name="logistic regression", fit=_fit, restore=_restore)
