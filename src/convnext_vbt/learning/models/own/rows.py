"""What a model of the user's own reads: rows of features, or windows of them as views.

Dimensions: F features, W bars of a window, R rows of a range, over all symbols.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from convnext_vbt.errors import InputError
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.settings import ModelConfig
from convnext_vbt.predictions import Range

BLOCK = 2048  # rows asked about at once: memory stays constant however long the range
MOST_BYTES = 2 * 2**30
"""The largest array that an estimator's `fit` is handed."""


class Rows:
    """The cases of a range, standardised: float32 (R, F), or (R, F, W) for `input` = "window".

    Windows are strided views of the series; `take` and `blocks` copy only the rows that they give.
    """

    def __init__(self, held: HeldOut, model: ModelConfig) -> None:
        self.parts = [
            _cases(series.values.numpy(), rows, model)
            for series, rows in zip(held.series, held.rows, strict=True)
        ]
        self.starts = np.cumsum([0, *map(len, self.parts)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def row_bytes(self) -> int:
        """What a copy of one row takes."""
        return int(np.prod(self.parts[0].shape[1:])) * self.parts[0].itemsize

    def take(self, places: np.ndarray) -> np.ndarray:
        """A copy of the rows at these places, in their order."""
        out = np.empty((len(places), *self.parts[0].shape[1:]), np.float32)
        owner = np.searchsorted(self.starts, places, side="right") - 1
        for n, part in enumerate(self.parts):
            own = owner == n
            if own.any():
                out[own] = part[places[own] - self.starts[n]]
        return out

    def blocks(self) -> Iterator[np.ndarray]:
        """Copies of all rows in order, at most `BLOCK` at once."""
        for part in self.parts:
            for start in range(0, len(part), BLOCK):
                yield np.array(part[start : start + BLOCK], order="C")


def _cases(values_FR: np.ndarray, rows: Range, model: ModelConfig) -> np.ndarray:
    """A view of one symbol's rows."""
    start, stop = rows
    if model.input == "last":
        return values_FR[:, start:stop].T
    if start >= stop:
        return np.empty((0, len(values_FR), model.window), np.float32)
    reach = values_FR[:, start - model.window + 1 : stop]
    windows_FRW = np.lib.stride_tricks.sliding_window_view(reach, model.window, axis=1)
    return windows_FRW.transpose(1, 0, 2)


class Cases:
    """Rows to learn from: those of the bars and, behind them, those of their mirror image.

    Where the features have no mirrored view, those of the bars alone. `y` is int64, -1 for none.
    """

    def __init__(self, train: HeldOut, model: ModelConfig) -> None:
        views = [one for one in (train, train.mirrored) if one is not None]
        self.num_rows = len(train.y)
        self.views = [Rows(one, model) for one in views]
        self.y = np.concatenate([one.y.numpy() for one in views])

    def places(self, rows: np.ndarray) -> np.ndarray:
        """Where the cases of some rows, bool (R,), lie: of the bars and of their mirror image."""
        return np.flatnonzero(np.tile(rows, len(self.views)))

    def take(self, places: np.ndarray) -> np.ndarray:
        """A copy of the cases at these places, in their order."""
        view = places // self.num_rows
        if not view.any():
            return self.views[0].take(places)
        parts = [
            rows.take(places[view == v] - v * self.num_rows) for v, rows in enumerate(self.views)
        ]
        out = np.empty((len(places), *parts[0].shape[1:]), np.float32)
        for v, part in enumerate(parts):
            out[view == v] = part
        return out

    def blocks(self, places: np.ndarray) -> Iterator[np.ndarray]:
        """The same, at most `BLOCK` cases at once."""
        for start in range(0, len(places), BLOCK):
            yield self.take(places[start : start + BLOCK])

    def refuse_large(self, count: int) -> None:
        """Raise `InputError` where so many cases are too large for one array."""
        size = count * self.views[0].row_bytes
        if size > MOST_BYTES:
            raise InputError(
                f"model.file: {count:,} cases for one fit are {size / 2**30:.1f} GiB, more than "
                f"{MOST_BYTES / 2**30:.0f}; choose fewer features (features.names), a shorter "
                "model.window or splits.train, or a torch module, which is fed in batches"
            )
