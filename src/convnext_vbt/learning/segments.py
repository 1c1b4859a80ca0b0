"""What a network is fed: each symbol's present bars, packed, standardised and cut into segments.

Dimensions: T bars, N symbols, F features, K = 3 classes, R packed rows of one symbol, B batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from convnext_vbt.errors import InputError
from convnext_vbt.learning.combinations import inside
from convnext_vbt.learning.devices import send
from convnext_vbt.learning.features import Features
from convnext_vbt.learning.network import Cache, ConvNeXt1d
from convnext_vbt.predictions import Range

CLIP = 5.0  # standard deviations; beyond them a feature tells no more
MIN_ROWS = 50  # a symbol with fewer bars in the training range has no scale to speak of
BLOCK = 2048  # bars evaluated at once: memory stays constant however long the series


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One symbol's present bars up to some bar, in order and without holes."""

    bars: np.ndarray
    """int64 (R,): the bar each row is."""
    values: Tensor
    """float32 (F, R): standardised features."""
    mirrored: Tensor | None = None
    """Those of the mirrored bars, by the same scale; None where there are none."""

    def rows(self, bars: Range) -> Range:
        """The half-open range of rows that a half-open range of bars holds."""
        start, stop = np.searchsorted(self.bars, bars)
        return int(start), int(stop)

    def predictable(self, bars: Range, receptive_field: int) -> Range:
        """Those of them that have a full receptive field behind them."""
        start, stop = self.rows(bars)
        start = min(max(start, receptive_field - 1), len(self.bars))  # a symbol may be too young
        return start, max(start, stop)


def present_rows(features: Features, symbol: int, stop: int) -> np.ndarray:
    """Bars before `stop` at which the symbol has its features, int64 (R,)."""
    missing_TF = np.isnan(features.values[:stop, symbol])
    partly = np.flatnonzero(missing_TF.any(axis=1) & ~missing_TF.all(axis=1))
    if len(partly):
        names = [features.names[i] for i in np.flatnonzero(missing_TF[partly[0]])]
        raise InputError(
            f"bar {partly[0]}: feature(s) {', '.join(names)} are NaN while others are not "
            f"({len(partly)} such bar(s)); a feature must be finite from the warm-up on"
        )
    return np.flatnonzero(~missing_TF.any(axis=1))


def scale(features: Features, *train: Range) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature over the training ranges, float32 (N, F).

    Where there is a mirrored view, of both views together, so that what changes its sign in the
    mirror has mean 0. NaN for a symbol with fewer than 50 bars; a constant feature has deviation 1.
    """
    num_symbols, num_features = features.values.shape[1:]
    mean = np.full((num_symbols, num_features), np.nan, dtype=np.float32)
    std = mean.copy()
    for n in range(num_symbols):
        rows = present_rows(features, n, max(stop for _, stop in train))
        rows = rows[inside(rows, train)]
        if len(rows) >= MIN_ROWS:
            values = np.concatenate([view[rows, n] for view in _views(features)]).astype(np.float64)
            mean[n] = values.mean(axis=0)
            spread = values.std(axis=0)
            std[n] = np.where(spread > 1e-12, spread, 1.0)
    return mean, std


def pack(features: Features, mean: np.ndarray, std: np.ndarray, stop: int) -> list[Series]:
    """Every symbol's series before bar `stop`; empty where the symbol has no scale."""
    out = []
    for n in range(features.values.shape[1]):
        known = np.isfinite(mean[n]).all()
        bars = present_rows(features, n, stop) if known else np.empty(0, np.int64)
        views = [_scaled(view, n, bars, mean[n], std[n]) for view in _views(features)]
        out.append(Series(bars=bars, values=views[0], mirrored=(*views, None)[1]))
    return out


def without_values(rows: np.ndarray, train: Range) -> Series:
    """A symbol's series as `pack` cuts it for a training range, of its `present_rows` alone."""
    before = rows[rows < train[1]]
    if (before >= train[0]).sum() < MIN_ROWS:
        before = before[:0]
    return Series(bars=before, values=torch.empty(0, len(before)))


def _views(features: Features) -> list[np.ndarray]:
    """The values, and those of the mirrored bars where there are such."""
    mirrored = features.mirrored
    return [features.values] if mirrored is None else [features.values, mirrored]


def _scaled(
    values: np.ndarray, n: int, bars: np.ndarray, mean: np.ndarray, std: np.ndarray
) -> Tensor:
    """Symbol n's features at some bars, standardised and clipped, float32 (F, R)."""
    x_FR = np.take(values[:, n].T, bars, axis=1)
    x_FR -= mean[:, None]
    x_FR /= std[:, None]
    np.clip(x_FR, -CLIP, CLIP, out=x_FR)
    return torch.from_numpy(x_FR)


def series_logits(net: ConvNeXt1d, series: Series, rows: Range, device: str) -> Tensor:
    """Logits (rows, K) on the CPU at a range of predictable rows, in blocks of constant memory.

    A row alone, as live, takes the pass over one window: a thirtieth of the dense pass's work.
    """
    start, stop = rows
    if stop <= start:
        return torch.empty(0, net.head.out_features)
    first = min(stop, start + BLOCK)
    context = series.values[None, :, start - net.receptive_field + 1 : first]
    if stop == start + 1:
        logits_1K: Tensor = net(send(context, device))
        return logits_1K.float().cpu()
    cache = Cache()
    out = [net.forward_valid(send(context, device), cache)]
    blocks = (series.values[None, :, i : min(i + BLOCK, stop)] for i in range(first, stop, BLOCK))
    out += [net.forward_dense(send(block, device), cache) for block in blocks]
    return torch.cat(out, dim=1)[0].float().cpu()


class Segments:
    """Contiguous pieces of the training range: context in front, then many labelled bars.

    The context may reach back before the training range, a label may not leave it. An epoch
    tiles every symbol's rows once, from a random offset, in random order.
    """

    def __init__(
        self,
        series: Sequence[Series],
        labels_TN: np.ndarray,
        train: Range,
        *,
        context: int,
        length: int,
    ) -> None:
        self.context, self.length = context, length
        self._x: list[Tensor] = []
        self._y: list[Tensor] = []
        for n, one in enumerate(series):
            start, stop = one.predictable(train, context + 1)
            y_R = np.full(len(one.bars) + 2 * length, -1, dtype=np.int64)
            y_R[length + start : length + stop] = labels_TN[one.bars[start:stop], n]
            self._y.append(torch.from_numpy(y_R))
            x_FR = one.values[:, :stop]  # not a bar after the training range is seen
            after = len(one.bars) - stop + length
            self._x.append(torch.nn.functional.pad(x_FR, (context + length, after)))

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Endless batches x (B, F, context + length) and labels (B, length), -1 for none."""
        waiting: list[tuple[int, int]] = []
        while True:
            while len(waiting) < size:
                waiting += self.epoch(rng)
            now, waiting = waiting[:size], waiting[size:]
            x = [self._x[n][:, s : s + self.context + self.length] for n, s in now]
            y = [self._y[n][s : s + self.length] for n, s in now]
            yield torch.stack(x), torch.stack(y)

    def epoch(self, rng: np.random.Generator) -> list[tuple[int, int]]:
        """(symbol, first row) of every segment of one epoch, in the order they are taken."""
        pieces = []
        for n, y_R in enumerate(self._y):
            labelled = torch.nonzero(y_R >= 0)
            if not len(labelled):
                continue
            first = int(labelled[0]) - int(rng.integers(self.length))
            starts = range(first, int(labelled[-1]) + 1, self.length)
            pieces += [(n, s) for s in starts if (y_R[s : s + self.length] >= 0).any()]
        return [pieces[i] for i in rng.permutation(len(pieces))]
