"""What networks say about bars that they were not trained on, and how to calibrate it.

Dimensions: T bars, N symbols, K = 3 classes, R rows of a range, over all symbols.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional

from convnext_vbt.learning.model import ConvNeXt1d
from convnext_vbt.learning.segments import Series, series_logits
from convnext_vbt.predictions import Range

TEMPERATURES = (0.25, 4.0)
LOG_TEMPERATURE_DEVIATION = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """The rows of a range of bars that have a full receptive field, symbol after symbol."""

    series: Sequence[Series]
    rows: Sequence[Range]
    """Each symbol's range of rows."""
    y: Tensor
    """int64 (R,): the rows' labels, -1 = none."""

    @classmethod
    def of(
        cls, series: Sequence[Series], labels_TN: np.ndarray, bars: Range, receptive_field: int
    ) -> HeldOut:
        """The rows of a range of bars."""
        rows = [one.predictable(bars, receptive_field) for one in series]
        pairs = enumerate(zip(series, rows, strict=True))
        parts = [labels_TN[one.bars[slice(*span)], n] for n, (one, span) in pairs]
        return cls(series=series, rows=rows, y=torch.from_numpy(np.concatenate(parts)).long())

    @property
    def labelled(self) -> Tensor:
        """The labels without the rows that have none."""
        return self.y[self.y >= 0]

    @torch.inference_mode()
    def log_proba(self, nets: Sequence[ConvNeXt1d], device: str) -> Tensor:
        """Log of the networks' mean probability, (R, K)."""
        total = torch.zeros(())
        for net in nets:
            parts = [
                series_logits(net, *pair, device)
                for pair in zip(self.series, self.rows, strict=True)
            ]
            total = total + torch.cat(parts).softmax(1)
        return (total / len(nets)).log()

    def loss(self, log_proba: Tensor) -> float:
        """Log-loss at the labelled rows, in nats per bar."""
        return float(functional.cross_entropy(log_proba, self.y, ignore_index=-1))


def fit_temperature(log_proba: Tensor, held: HeldOut, *, label_bars: float) -> float:
    """The temperature in [0.25, 4] by which to divide the logits (Guo et al. 2017, 1706.04599).

    It has the least log-loss plus a pull towards 1: log T is taken as normal with deviation 0.5
    beforehand, and labels that last `label_bars` bars overlap so much that R of them are worth
    R / label_bars outcomes. So a short calibration range cannot do much harm.
    """
    outcomes = len(held.labelled) / max(1.0, label_bars)

    def cost(log_temperature: float) -> float:
        pull = 0.5 * (log_temperature / LOG_TEMPERATURE_DEVIATION) ** 2
        return outcomes * held.loss(log_proba / math.exp(log_temperature)) + pull

    low, high = (math.log(t) for t in TEMPERATURES)
    return math.exp(minimize_scalar(cost, bounds=(low, high), method="bounded").x)
