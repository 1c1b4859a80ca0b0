"""The shadow account: what the backtest's own kernel makes of the decisions so far.

Its rows are those that were recorded at each close, its bars those that were seen then, so a bar
that is revised later changes nothing that was booked. Dimensions: T bars, N symbols.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from convnext_vbt.live.account import Holding
from convnext_vbt.live.row import Row, joined
from convnext_vbt.market.bars import Bars
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.simulation import Simulation, simulate_signals

SEEN = ("open", "high", "low", "close", "volume", "funding")
"""What is recorded of a bar: all of it that the kernel reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A fill of the shadow account."""

    bar: pd.Timestamp
    """Open time of the bar in which it was filled."""
    symbol: str
    number: int
    """Counts the orders of one bar and symbol, from 0."""
    side: str
    """"Buy" or "Sell"."""
    units: float
    price: float
    fee: float


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The account at one close."""

    equity: float
    held: Mapping[str, Holding]
    """By symbol; what is flat is not in it."""
    orders: tuple[Order, ...]
    """Filled in the bar that closed, in the kernel's order by symbol."""


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
    times: list[pd.Timestamp] = field(default_factory=list)
    seen: list[np.ndarray] = field(default_factory=list)
    """float64 (6, N) each, by `SEEN`."""
    rows: list[Row] = field(default_factory=list)

    def add(self, time: pd.Timestamp, seen: np.ndarray, row: Row) -> None:
        """What was decided at a close."""
        self.times.append(time)
        self.seen.append(seen)
        self.rows.append(row)

    def at(self, time: pd.Timestamp, seen: np.ndarray) -> State:
        """The account at the close of the next bar, before anything is decided there."""
        if not self.rows:
            return State(equity=float(self.trading.init_cash), held={}, orders=())
        # Two rows that say nothing: of this close, and of a bar that never was, in which every
        # symbol is there. By it none is taken for delisted that is silent for a while.
        rows = [*self.rows, *[Row.nothing(len(self.symbols))] * 2]
        prices = [*self.seen, seen]
        bars = self._bars([*self.times, time, time + self.step], [*prices, _unmoved(prices)])
        signals, brackets = joined(rows, bars.index, self.symbols)
        made = simulate_signals(bars, signals, brackets, config=self.trading)
        return State(
            equity=float(made.equity[-2].sum()),
            held=self._held(made, time),
            orders=tuple(one for one in orders_of(made) if one.bar == time),
        )

    def bars(self) -> Bars:
        """The bars as they were seen."""
        return self._bars(self.times, self.seen)

    def _bars(self, times: list[pd.Timestamp], seen: list[np.ndarray]) -> Bars:
        seen_5TN = np.stack(seen, axis=1)
        values = dict(zip(SEEN, seen_5TN, strict=True))
        funding = values.pop("funding")
        return Bars(
            index=pd.DatetimeIndex(times),
            symbols=self.symbols,
            step=self.step,
            days_per_year=self.days_per_year,
            closing=self.closing,
            funding=None if np.isnan(funding).all() else funding,
            **values,
        )

    def _held(self, made: Simulation, time: pd.Timestamp) -> dict[str, Holding]:
        """Positions at the last close but one, each with the bar it was entered in and its stop."""
        trades = made.trades_frame()
        open_ones = trades[trades["entry"] <= time].drop_duplicates("symbol", keep="last")
        entries = dict(zip(open_ones["symbol"], open_ones["entry"], strict=True))
        held = {}
        for n, name in enumerate(self.symbols):
            units, stop = float(made.position[-2, n]), float(made.stop[-2, n])
            units = -units if made.inverse[n] else units
            if units != 0:
                known = stop if np.isfinite(stop) else None
                held[name] = Holding(units=units, entered=entries[name], stop=known)
        return held


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


def _unmoved(seen: list[np.ndarray]) -> np.ndarray:
    """A bar of every symbol at its last close, (6, N)."""
    close_N = pd.DataFrame([one[SEEN.index("close")] for one in seen]).ffill().iloc[-1]
    prices = np.tile(close_N.fillna(1.0).to_numpy(np.float64), (len(SEEN), 1))
    prices[SEEN.index("funding")] = np.nan
    volume_N = pd.DataFrame([one[SEEN.index("volume")] for one in seen]).ffill().iloc[-1]
    prices[SEEN.index("volume")] = np.where(np.isnan(volume_N), np.nan, 1.0)
    return prices


def seen_of(bars: Bars, row: int = -1) -> np.ndarray:
    """What is recorded of one row of bars, float64 (6, N)."""
    none = np.full(len(bars.symbols), np.nan)
    funding = none if bars.funding is None else bars.funding[row]
    prices = [getattr(bars, name)[row] for name in SEEN[:-1]]
    return np.stack([*prices, funding])
