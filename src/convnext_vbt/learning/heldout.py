"""Bars that nothing was trained on, as models are asked about them.

Dimensions: T bars, N symbols, F features, K = 3 classes, R rows of a range, over all symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from convnext_vbt.learning.labels import NO_LABEL
from convnext_vbt.learning.segments import Series
from convnext_vbt.predictions import CLASSES, UP, Range


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
        y_R = _at(labels_TN, series, rows)
        return cls(series=series, rows=rows, y=torch.from_numpy(y_R).long())

    def at(self, table_TN: np.ndarray) -> np.ndarray:
        """Each row's value in a table of all bars and symbols, (R,)."""
        return _at(table_TN, self.series, self.rows)

    @property
    def labelled(self) -> Tensor:
        """The labels without the rows that have none."""
        return self.y[self.y >= 0]

    @property
    def frequencies(self) -> np.ndarray:
        """How frequent each class is among the labels, float64 (K,)."""
        y = self.labelled.numpy()
        frequencies: np.ndarray = np.bincount(y, minlength=len(CLASSES)) / len(y)
        return frequencies

    @property
    def bars(self) -> Tensor:
        """The bar that each row is, int64 (R,)."""
        pairs = zip(self.series, self.rows, strict=True)
        return torch.from_numpy(np.concatenate([one.bars[slice(*span)] for one, span in pairs]))

    @property
    def last_bars(self) -> Tensor:
        """The standardised features of each row's own bar, float32 (R, F)."""
        pairs = zip(self.series, self.rows, strict=True)
        return torch.cat([one.values[:, slice(*span)] for one, span in pairs], dim=1).T

    @property
    def mirrored(self) -> HeldOut | None:
        """The same rows of the mirrored bars, UP and DOWN exchanged; None where there are none."""
        series = [
            Series(bars=one.bars, values=one.mirrored)
            for one in self.series
            if one.mirrored is not None
        ]
        if len(series) < len(self.series):
            return None
        y = torch.where(self.y == NO_LABEL, self.y, UP - self.y)
        return HeldOut(series=series, rows=self.rows, y=y)

    def loss(self, log_proba: Tensor) -> float:
        """Log-loss at the labelled rows, in nats per bar."""
        return float(functional.cross_entropy(log_proba, self.y, ignore_index=-1))


def _at(table_TN: np.ndarray, series: Sequence[Series], rows: Sequence[Range]) -> np.ndarray:
    pairs = enumerate(zip(series, rows, strict=True))
    return np.concatenate([table_TN[one.bars[slice(*span)], n] for n, (one, span) in pairs])
