"""What came of a trade entered at the next open: DOWN, STAY, UP, or unknown.

Dimensions: T bars, N symbols, M bars that one symbol has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numba import njit

from convnext_vbt.errors import InputError
from convnext_vbt.learning.symbols import each_symbol, fields_at, present_rows
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.volatility import ewma_volatility
from convnext_vbt.predictions import DOWN, STAY, UP, Target
from convnext_vbt.summary import Summary, span

NO_LABEL = -1
BLOCK = 1024  # bars labelled at once: what they need stays in the cache


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """Classes of outcomes and the bars at which they became known.

    `values` is int8 (T, N): DOWN 0, STAY 1, UP 2, or -1 where the outcome is unknown. `end` is
    int64 (T, N): the bar at whose close the outcome is known; purging goes by it. A row without
    a label has the end its horizon would give it, but never one past the last bar. `opens` (T,)
    says when the bars open, for splits whose lengths are durations.
    """

    values: np.ndarray
    end: np.ndarray
    opens: pd.DatetimeIndex

    def __post_init__(self) -> None:
        values, end = _frozen(self.values, np.int8), _frozen(self.end, np.int64)
        if values.ndim != 2 or values.shape != end.shape:
            raise InputError(
                f"values and end must share a shape (bars, symbols), got {values.shape} "
                f"and {end.shape}"
            )
        if len(self.opens) != len(values):
            raise InputError(
                f"opens must have a time for each bar, got {len(self.opens)} for {len(values)}"
            )
        if len(values) and not (values.min() >= NO_LABEL and values.max() <= UP):
            raise InputError(
                f"label values must be -1, 0, 1 or 2, got {np.unique(values).tolist()}"
            )
        rows = np.arange(len(end))[:, None]
        wrong = (end < rows) | (end >= len(end))
        if wrong.any():
            t, n = (int(i) for i in np.argwhere(wrong)[0])
            raise InputError(
                f"the label of bar {t} must end between that bar and the last one "
                f"({len(end) - 1}), got {int(end[t, n])}"
            )
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "end", end)

    def __repr__(self) -> str:
        return str(self._summary())

    def _repr_html_(self) -> str:
        return self._summary().html()

    def _summary(self) -> Summary:
        there = self.values[self.values != NO_LABEL]
        shares = np.bincount(there, minlength=3) / max(1, len(there))
        bars, symbols = self.values.shape
        rows = (
            ("labelled", f"{len(there):,} of {bars:,} bars x {symbols} symbol(s)"),
            ("shares", f"UP {shares[UP]:.0%} · STAY {shares[STAY]:.0%} · DOWN {shares[DOWN]:.0%}"),
            ("from, to", span(self.opens)),
        )
        return Summary("Labels", rows)

    def within(self, ranges: Sequence[tuple[int, int]]) -> Labels:
        """The same labels without those of bars outside the half-open ranges."""
        values = np.full_like(self.values, NO_LABEL)
        for start, stop in ranges:
            values[start:stop] = self.values[start:stop]
        return replace(self, values=values)

    def beside(self, sides_TN: np.ndarray) -> Labels:
        """The same labels without those of bars at which a primary has no side (0)."""
        return replace(self, values=np.where(sides_TN == 0, np.int8(NO_LABEL), self.values))

    @property
    def shares(self) -> tuple[float, float, float]:
        """Shares of DOWN, STAY and UP among the labelled bars; NaN when there are none."""
        counts = np.bincount(self.values[self.values != NO_LABEL], minlength=3)
        down, stay, up = counts / counts.sum() if counts.sum() else np.full(3, math.nan)
        return float(down), float(stay), float(up)


def _frozen(given: np.ndarray, dtype: type) -> np.ndarray:
    """A read-only array of its own, or the given one if nobody can change it."""
    array = np.asarray(given)
    if array.flags.writeable or array.dtype != dtype or not array.flags.c_contiguous:
        array = np.array(array, dtype=dtype, order="C")
        array.flags.writeable = False
    return array


def barrier_labels(
    bars: Bars,
    *,
    horizon: int = 24,
    up: float = 1.0,
    down: float = 1.0,
    halflife: float = 24.0,
) -> Labels:
    """Triple-barrier labels (Lopez de Prado 2018, ch. 3) of a trade entered at the next open.

    The entry is the open of bar t+1; the barriers lie at entry x (1 + up w) and
    entry x (1 - down w) with w = sigma_t sqrt(horizon), sigma_t the EWMA volatility per bar known
    at the close of t.
    Bars t+1 ... t+horizon of the symbol's present bars are watched: UP when the high reaches the
    upper barrier first, DOWN when the low reaches the lower one, -1 when one bar reaches both
    (their order is unknown), STAY when neither is reached by the close of t+horizon. `end` is the
    bar that decided. Also -1: while sigma warms up, where the data end before the outcome, and
    where the symbol has no bar.

    Raises `ValueError` for a horizon below 1 or a multiple that is not positive.
    """
    return _labels(bars, barrier_nb, horizon=horizon, up=up, down=down, halflife=halflife)


def fixed_horizon_labels(
    bars: Bars,
    *,
    horizon: int = 24,
    up: float = 0.5,
    down: float = 0.5,
    halflife: float = 24.0,
) -> Labels:
    """Labels by the return from the open of t+1 to the close of t+horizon.

    UP above up w, DOWN below -down w, else STAY, with w = sigma_t sqrt(horizon) as in
    `barrier_labels`; `end` is bar t+horizon (of the symbol's present bars). -1 as there.

    Raises `ValueError` for a horizon below 1 or a multiple that is not positive.
    """
    return _labels(bars, fixed_horizon_nb, horizon=horizon, up=up, down=down, halflife=halflife)


def labels_for(bars: Bars, target: Target) -> Labels:
    """The labels that `target` describes."""
    make = barrier_labels if target.kind == "barrier" else fixed_horizon_labels
    return make(
        bars, horizon=target.horizon, up=target.up, down=target.down, halflife=target.halflife
    )


def _labels(
    bars: Bars,
    kernel: Callable[..., None],
    *,
    horizon: int,
    up: float,
    down: float,
    halflife: float,
) -> Labels:
    if horizon < 1:
        raise InputError(f"horizon must be at least 1 bar, got {horizon}; set labels.horizon")
    for name, multiple in (("up", up), ("down", down)):
        if not (multiple > 0 and math.isfinite(multiple)):
            raise InputError(
                f"{name} must be a positive multiple, got {multiple}; set labels.{name}"
            )
    shape = bars.close.shape
    width = ewma_volatility(bars, halflife=halflife) * math.sqrt(horizon)
    values = np.full(shape, NO_LABEL, dtype=np.int8)
    end = np.empty(shape, dtype=np.int64)
    end[:] = np.minimum(np.arange(shape[0]) + horizon, shape[0] - 1)[:, None]

    def work(n: int) -> None:
        rows = present_rows(bars, n)
        places = np.arange(shape[0])[rows]
        kernel(fields_at(bars, n, rows), places, n, width, horizon, up, down, values, end)

    each_symbol(work, shape[1])
    values.flags.writeable = end.flags.writeable = False
    return Labels(values=values, end=end, opens=bars.index)


@njit(cache=True, nogil=True)
def first_touch_nb(values: np.ndarray, level: np.ndarray, horizon: int, out: np.ndarray) -> None:
    """How many values from each row on stay below the row's level; `horizon` if that many do.

    Row after row for one step ahead, from the last step to the first: no branch to guess, eight
    rows at once. That beats leaving early, and a search in maxima too, up to about 200 steps.
    """
    out[:] = horizon
    for k in range(horizon - 1, -1, -1):
        ahead = values[k:]
        for i in range(len(level)):
            out[i] = k if ahead[i] >= level[i] else out[i]


@njit(cache=True, nogil=True)
def barrier_nb(
    fields: tuple[np.ndarray, ...],
    rows: np.ndarray,
    n: int,
    width: np.ndarray,
    horizon: int,
    up: float,
    down: float,
    label: np.ndarray,
    end: np.ndarray,
) -> None:
    """Write label and end (T, N) of symbol n at its present bars; width is sigma sqrt(horizon)."""
    open_, high, low, _, _ = fields
    num_bars = len(rows)
    upper, lower = np.empty(BLOCK), np.empty(BLOCK)
    rise, fall = np.empty(BLOCK), np.empty(BLOCK)
    highs, depths = np.empty(BLOCK + horizon), np.empty(BLOCK + horizon)
    for first in range(1, num_bars, BLOCK):  # of the bars that are entered
        known = min(BLOCK + horizon, num_bars - first)
        highs[:known], highs[known:] = high[first : first + known], np.inf
        depths[:known], depths[known:] = -low[first : first + known], np.inf
        count = min(BLOCK, num_bars - first)
        for i in range(count):
            entry, w = open_[first + i], width[rows[first + i - 1], n]
            upper[i], lower[i] = entry * (1.0 + up * w), -entry * (1.0 - down * w)
        first_touch_nb(highs, upper, horizon, rise)
        first_touch_nb(depths, lower, horizon, fall)
        for i in range(count):
            t = rows[first + i - 1]
            last = first + i + int(min(rise[i], fall[i], horizon - 1.0))
            if np.isnan(width[t, n]) or last >= num_bars:
                continue
            undecided = STAY if rise[i] == horizon else NO_LABEL
            label[t, n] = undecided if rise[i] == fall[i] else UP if rise[i] < fall[i] else DOWN
            end[t, n] = rows[last]


@njit(cache=True, nogil=True)
def fixed_horizon_nb(
    fields: tuple[np.ndarray, ...],
    rows: np.ndarray,
    n: int,
    width: np.ndarray,
    horizon: int,
    up: float,
    down: float,
    label: np.ndarray,
    end: np.ndarray,
) -> None:
    """Write label and end (T, N) of symbol n at its present bars; width is sigma sqrt(horizon)."""
    open_, _, _, close, _ = fields
    for i in range(len(rows) - horizon):
        t = rows[i]
        if np.isnan(width[t, n]):
            continue
        change = close[i + horizon] / open_[i + 1] - 1.0
        zone = width[t, n]
        label[t, n] = UP if change > up * zone else DOWN if change < -down * zone else STAY
        end[t, n] = rows[i + horizon]
