"""The shadow account: what the backtest's own kernel makes of the decisions so far.

Its rows are those that were recorded at each close, its bars those that were seen then, so a bar
that is revised later changes nothing that was booked. Dimensions: B bars before the session's
first close, T closes, N symbols.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from convnext_vbt.live.account import Holding, Resting
from convnext_vbt.live.row import Row, joined
from convnext_vbt.live.walk import Column, Limit, Order, walk
from convnext_vbt.market.bars import Bars
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.simulation import Simulation

SEEN = ("open", "high", "low", "close", "volume", "funding")
"""What is recorded of a bar: all of it that the kernel reads."""
DAYS_BEFORE = 8
"""UTC days of a symbol's own whose bars are kept from before the first close: they hold the last
bars of `trading.leaving.SESSIONS` local days, by which a session's end is known."""
LONGEST_BEFORE = pd.Timedelta(days=30)
"""No bars are kept from longer before, for a symbol that is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The account at one close."""

    equity: float
    held: Mapping[str, Holding]
    """By symbol; what is flat is not in it."""
    orders: tuple[Order, ...]
    """Filled in the bar that closed, in the kernel's order by symbol."""
    resting: Mapping[str, Resting] = field(default_factory=dict)
    """Entries that rest at their limits."""
    expired: Mapping[str, Resting] = field(default_factory=dict)
    """Those that end unfilled with this close."""


@dataclass(slots=True, kw_only=True, eq=False)
class Shadow:
    """Every close since the session's first, and what was decided at it."""

    symbols: tuple[str, ...]
    step: pd.Timedelta
    days_per_year: int
    closing: tuple[bool, ...] | None
    """As of `Bars`: a session's first days cannot tell it."""
    trading: SimulationConfig
    """`init_cash` is what the account began with."""
    before: np.ndarray | None = None
    """float64 (B, 6, N), by `SEEN`: the bars until the first close, in which nothing is said."""
    times_before: pd.DatetimeIndex = field(default_factory=lambda: pd.DatetimeIndex([], tz="UTC"))
    times: list[pd.Timestamp] = field(default_factory=list)
    seen: list[np.ndarray] = field(default_factory=list)
    """float64 (6, N) each, by `SEEN`."""
    rows: list[Row] = field(default_factory=list)
    moved: list[float] = field(default_factory=list)
    """Money that came by each close since the one before, negative where it went."""

    def begin(self, times: pd.DatetimeIndex, before: np.ndarray) -> None:
        """The bars before the first close."""
        self.times_before, self.before = times, before

    def add(self, time: pd.Timestamp, seen: np.ndarray, row: Row, moved: float = 0.0) -> None:
        """What was decided at a close."""
        self.times.append(time)
        self.seen.append(seen)
        self.rows.append(row)
        self.moved.append(moved)

    def at(self, time: pd.Timestamp, seen: np.ndarray, moved: float = 0.0) -> State:
        """The account at the close of the next bar, before anything is decided there."""
        if not self.rows:
            return State(equity=float(self.trading.init_cash), held={}, orders=())
        first = len(self.times_before)
        nothing = Row.nothing(len(self.symbols))
        bars = self._bars([*self.times, time], [*self.seen, seen], before=True)
        rows = [*[nothing] * first, *self.rows, nothing]
        flows = [*[0.0] * first, *self.moved, moved]
        signals, brackets = joined(rows, bars.index, self.symbols)
        equity, made = walk(bars, signals, brackets, flows, self.trading)
        columns = dict(zip(self.symbols, made, strict=True))
        limits = {
            name: (one.limit, self._resting(name, one.limit))
            for name, one in columns.items()
            if one.limit is not None
        }
        return State(
            equity=equity,
            held={name: _held(one, bars) for name, one in columns.items() if one.units != 0},
            orders=tuple(order for one in made for order in one.orders),
            resting={name: order for name, (one, order) in limits.items() if one.left > 0},
            expired={name: order for name, (one, order) in limits.items() if one.left == 0},
        )

    def bars(self) -> Bars:
        """The bars as they were seen, from the first close on."""
        return self._bars(self.times, self.seen, before=False)

    def _bars(self, times: list[pd.Timestamp], seen: list[np.ndarray], *, before: bool) -> Bars:
        index, seen_6TN = pd.DatetimeIndex(times), np.stack(seen, axis=1)
        if before and self.before is not None:
            index = pd.DatetimeIndex([*self.times_before, *times])
            seen_6TN = np.concatenate([self.before.transpose(1, 0, 2), seen_6TN], axis=1)
        unborn = np.isnan(seen_6TN[SEEN.index("close")]).all(axis=0)
        seen_6TN[: SEEN.index("volume"), 0, unborn] = 1.0  # bars hold no symbol without any
        values = dict(zip(SEEN, seen_6TN, strict=True))
        funding = values.pop("funding")
        return Bars(
            index=index,
            symbols=self.symbols,
            step=self.step,
            days_per_year=self.days_per_year,
            closing=self.closing,
            funding=None if np.isnan(funding).all() else funding,
            **values,
        )

    def _resting(self, name: str, limit: Limit) -> Resting:
        """An order of the kernel's with all that its row said."""
        n, t = self.symbols.index(name), limit.said - len(self.times_before)
        row, volume = self.rows[t], float(self.seen[t][SEEN.index("volume"), n])
        return Resting(
            side=limit.side, price=limit.price, said=self.times[t], left=limit.left,
            share=float(row.sizes[n]), stop=row.distance("stop", limit.side, n),
            take_profit=row.distance("take_profit", limit.side, n),
            volatility=float(row.volatility[n]), volume=volume,
        )  # fmt: skip


def _held(one: Column, bars: Bars) -> Holding:
    assert one.entered is not None
    return Holding(units=one.units, entered=bars.index[one.entered], stop=one.stop)


def orders_of(made: Simulation) -> list[Order]:
    """The orders of a simulation of one column a symbol, by symbol, then in time."""
    table = made.orders_frame()
    numbers = table.groupby(["symbol", "timestamp"], sort=False).cumcount()
    columns = (table[name] for name in ("timestamp", "symbol", "side", "size", "price", "fees"))
    return [
        Order(bar=pd.Timestamp(time), symbol=str(symbol), number=int(number), side=str(side),
              units=float(size), price=float(price), fee=float(fee))
        for number, time, symbol, side, size, price, fee in zip(numbers, *columns, strict=True)
    ]  # fmt: skip


def bars_before(bars: Bars) -> tuple[pd.DatetimeIndex, np.ndarray]:
    """What the shadow account keeps of the bars before the last one, float64 (B, 6, N)."""
    count = len(bars) - 1
    earliest = bars.index.searchsorted(bars.index[-1] - LONGEST_BEFORE)
    first, days = count, bars.index.normalize()
    for here in bars.present[:count].T:
        own = days[:count][here].unique()
        if len(own):
            first = min(first, int(days.searchsorted(own[-DAYS_BEFORE:][0])))
    first = max(first, int(earliest))
    rows = [seen_of(bars, row) for row in range(first, count)]
    return bars.index[first:count], np.array(rows).reshape(-1, len(SEEN), len(bars.symbols))


def seen_of(bars: Bars, row: int = -1) -> np.ndarray:
    """What is recorded of one row of bars, float64 (6, N)."""
    none = np.full(len(bars.symbols), np.nan)
    funding = none if bars.funding is None else bars.funding[row]
    prices = [getattr(bars, name)[row] for name in SEEN[:-1]]
    return np.stack([*prices, funding])
