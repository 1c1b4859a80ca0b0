"""Finer bars inside the bars that are traded: what came first within an hour, minutes tell.

Dimensions: T bars, N symbols, B bars of one symbol's own, U finer bars of the symbol with the most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import Bars, step_text
from convnext_vbt.market.calendar import DAY
from convnext_vbt.market.clock import Stamp
from convnext_vbt.market.sources import Source, load_bars

PRICES = ("open", "high", "low", "close")
PRICE_TOLERANCE = 1e-6
"""Relative distance of a price from the bar's own that is rounding."""
VOLUME_TOLERANCE = 0.01
"""Likewise of volumes, which vendors count at different times."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detail:
    """The finer bars inside each bar, made by `from_bars`; read-only.

    Those inside bar i of symbol n are `prices[n, :, starts[n, i] : starts[n, i + 1]]` in order of
    time. There is at least one where the symbol has the bar, and none where it has not.
    """

    prices: np.ndarray
    """Open, high, low, close of each symbol's own finer bars, float64 (N, 4, U); NaN behind the
    last one."""
    starts: np.ndarray
    """Where each bar's own begin, int64 (N, T + 1)."""

    def __post_init__(self) -> None:
        for values in (self.prices, self.starts):
            values.flags.writeable = False

    @classmethod
    def from_bars(cls, bars: Bars, finer_bars: Bars) -> Self:
        """The finer bars of the same market that lie within each bar.

        Symbols are found by their names; where both have as many and no name in common, such as
        two files' names, by their order. A bar whose finer bars are there in part is taken if
        these have its high and its low.

        Raises `ValueError`, with the first time and both values, where a bar has no finer bars or
        they do not make that bar.

        Example:
            detail = cv.Detail.from_bars(bars, cv.load_bars("minutes.csv"))
        """
        _check_steps(bars, finer_bars)
        inside = [_inside(bars, n, finer_bars, m) for n, m in enumerate(_pairs(bars, finer_bars))]
        most = max(len(prices[0]) for prices, _ in inside)
        packed = np.full((len(inside), len(PRICES), most), np.nan)
        for out, (prices, _) in zip(packed, inside, strict=True):
            out[:, : prices.shape[1]] = prices
        return cls(prices=packed, starts=np.stack([starts for _, starts in inside]))

    def rows(self, start: int, stop: int) -> Detail:
        """The detail of `Bars.rows(start, stop)`, sharing this one's prices."""
        starts = np.ascontiguousarray(self.starts[:, start : stop + 1])
        return Detail(prices=self.prices, starts=starts)

    def tobytes(self) -> bytes:
        """The finer bars of these rows, for a fingerprint."""
        spans = zip(self.prices, self.starts[:, 0], self.starts[:, -1], strict=True)
        return b"".join(prices[:, first:last].tobytes() for prices, first, last in spans)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as parts: pickle itself forgets that the arrays are read-only."""
        return _restored, (self.prices, self.starts)


def _restored(prices: np.ndarray, starts: np.ndarray) -> Detail:
    return Detail(prices=prices, starts=starts)


def load_detail(
    source: Source | Sequence[Source],
    bars: Bars,
    *,
    strict: bool = False,
    timezone: str | Sequence[str | None] | None = None,
    stamp: Stamp | Sequence[Stamp | None] | None = None,
) -> Detail:
    """The detail of bars from a source, or several, as `load_bars` takes them.

    Raises what `load_bars` and `Detail.from_bars` raise.
    """
    return Detail.from_bars(bars, load_bars(source, strict=strict, timezone=timezone, stamp=stamp))


def _check_steps(bars: Bars, finer: Bars) -> None:
    if finer.step >= bars.step or bars.step % finer.step:
        raise InputError(
            f"the detail's bars of {step_text(finer.step)} do not divide bars of "
            f"{step_text(bars.step)}; give finer ones, such as 1m"
        )


def _pairs(bars: Bars, finer: Bars) -> list[int]:
    """The column of each symbol among the finer bars."""
    shared = set(bars.symbols) & set(finer.symbols)
    if not shared and len(bars.symbols) == len(finer.symbols):
        return list(range(len(bars.symbols)))
    missing = [symbol for symbol in bars.symbols if symbol not in shared]
    if missing:
        raise InputError(
            f"the detail has no bars of {', '.join(missing)}, only of {', '.join(finer.symbols)}; "
            "give every symbol's finer bars"
        )
    return [finer.symbols.index(symbol) for symbol in bars.symbols]


def _inside(bars: Bars, n: int, finer: Bars, m: int) -> tuple[np.ndarray, np.ndarray]:
    """The finer prices within a symbol's bars, float64 (4, U), and where each bar's begin."""
    rows = np.flatnonzero(bars.present[:, n])
    opens = bars.index.asi8[rows]
    ends = _ends(opens, bars.step.value)
    own = np.flatnonzero(finer.present[:, m])
    times = finer.index.asi8[own]
    bar = opens.searchsorted(times, side="right") - 1
    within = (bar >= 0) & (times < ends[bar])
    own, times, bar = own[within], times[within], bar[within]
    _check_ends(bars.symbols[n], times, ends[bar], finer)
    count_B = np.bincount(bar, minlength=len(opens))
    if not count_B.all():
        lone = np.flatnonzero(count_B == 0)
        raise InputError(
            f"{bars.symbols[n]}: the detail has no bar within {len(lone):,} bar(s), the first at "
            f"{bars.index[rows[lone[0]]]}; its bars go from {finer.index[0]} to {finer.index[-1]}: "
            "give the rest, or set data.start and data.end"
        )
    fine = np.stack([getattr(finer, name)[own, m] for name in PRICES])
    begins = np.concatenate([[0], np.cumsum(count_B)])
    edges = (times[begins[:-1]] == opens, times[begins[1:] - 1] + finer.step.value == ends)
    whole = count_B * finer.step.value == ends - opens
    for made in _made(fine, finer.volume[own, m], begins, edges, whole):
        ours = getattr(bars, made.name)[rows, n]
        wrong = made.differs(ours)
        if len(wrong):
            b = int(wrong[0])
            raise InputError(
                f"{bars.symbols[n]}: the {made.name} of {bars.index[rows[b]]} is {ours[b]:.10g}, "
                f"and of its {count_B[b]} bar(s) of {step_text(finer.step)} {made.values[b]:.10g}; "
                f"{len(wrong):,} such bar(s) in all: give the detail of the same market"
            )
    starts = np.zeros(len(bars) + 1, dtype=np.int64)
    starts[rows + 1] = count_B
    return fine, np.cumsum(starts)


def _ends(opens: np.ndarray, step: int) -> np.ndarray:
    """When a symbol's bars are over: after a step, or before where the next one opens.

    Months and quarters are not of one length, so bars of more than a day end with the next one.
    """
    last = opens[-1:] + step
    following = np.concatenate([opens[1:], last])
    return following if step > DAY.value else np.minimum(following, opens + step)


def _check_ends(symbol: str, times: np.ndarray, ends: np.ndarray, finer: Bars) -> None:
    beyond = np.flatnonzero(times + finer.step.value > ends)
    if len(beyond):
        first = int(beyond[0])
        raise InputError(
            f"{symbol}: the detail's bar of {_utc(times[first])} ends after the bar that it is in, "
            f"at {_utc(ends[first])}; give finer bars that begin with the bars"
        )


@dataclass(frozen=True, slots=True)
class _Made:
    """What finer bars make of one field of each bar."""

    name: str
    values: np.ndarray
    asked: np.ndarray
    """Where the bar must have just that."""
    tolerance: float = PRICE_TOLERANCE

    def differs(self, ours: np.ndarray) -> np.ndarray:
        """Where it has not; a volume that either lacks is NaN, and no fault."""
        largest = np.maximum(np.abs(ours), np.abs(self.values))
        off = np.abs(self.values - ours) > self.tolerance * largest
        return np.flatnonzero(off & self.asked)


def _made(
    fine: np.ndarray,
    volume: np.ndarray,
    begins: np.ndarray,
    edges: tuple[np.ndarray, np.ndarray],
    whole: np.ndarray,
) -> Iterator[_Made]:
    """The fields of each bar.

    Of one that is there in part the missing bars may have had its open, close or volume.
    """
    always = np.ones(len(whole), dtype=bool)
    yield _Made("high", np.maximum.reduceat(fine[1], begins[:-1]), always)
    yield _Made("low", np.minimum.reduceat(fine[2], begins[:-1]), always)
    yield _Made("open", fine[0, begins[:-1]], edges[0])
    yield _Made("close", fine[3, begins[1:] - 1], edges[1])
    yield _Made("volume", np.add.reduceat(volume, begins[:-1]), whole, VOLUME_TOLERANCE)


def _utc(nanoseconds: np.int64) -> pd.Timestamp:
    return pd.Timestamp(int(nanoseconds), unit="ns", tz="UTC")
