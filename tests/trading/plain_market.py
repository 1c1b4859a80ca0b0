"""What the plain account is made of: instruments, terms, symbols, orders, and two searches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

ENTER_LONG, EXIT_LONG, ENTER_SHORT, EXIT_SHORT = 1, 2, 4, 8
YEAR = pd.Timedelta(days=365)
Prices = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Contract:
    """An instrument with everything at rest; anything with these names will do."""

    tick: float | None = None
    lot: float | None = None
    min_notional: float | None = None
    multiplier: float = 1.0
    inverse: bool = False
    taker: float | None = None
    maker: float | None = None
    fee_per_contract: float = 0.0
    min_fee: float = 0.0
    slippage: float | None = None
    half_spread: float = 0.0
    volatility_slippage: float = 0.0
    impact: float = 0.0
    max_volume_share: float | None = None
    borrow: float = 0.0
    interest: float = 0.0
    initial_margin: float | None = None
    maintenance_margin: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What all symbols of the account have in common."""

    risk: float = 0.01
    sizing: str = "risk"
    fees: float = 0.0
    slippage: float = 0.0
    max_leverage: float = 1.0
    init_cash: float = 10_000.0
    max_open_risk: float = 0.06
    max_holding: int | None = None
    limit_offset: float | None = None
    limit_bars: int = 1
    trail: str | None = None
    break_even: float | None = None
    ladder: tuple[tuple[float, float], ...] = ()
    order: str = "worst"


@dataclass(frozen=True)
class Order:
    symbol: str
    row: int
    side: int
    units: float
    price: float
    fees: float
    reason: str


@dataclass
class Trade:
    symbol: str
    side: int
    entry_row: int
    units: float
    entry_price: float
    entry_fees: float
    allowed: float
    """What it may lose at its stop; inf where it is not sized by risk."""
    exit_row: int = -1
    exit_price: float = math.nan
    exit_fees: float = 0.0
    funding: float = 0.0
    pnl: float = math.nan
    reason: str = "open"


@dataclass
class Outcome:
    orders: list[Order] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("refused", "ambiguous", "gap_stops", "liquidations", "bust"), 0
        )
    )


@dataclass
class Step:
    level: float
    share: float
    """Of the units at the entry."""
    is_last: bool
    """Takes all that is left."""


@dataclass
class Held:
    side: int
    units: float
    entry: float
    slippage: float
    distance: float
    stop: float
    steps: list[Step]
    trade: Trade
    clock: int
    realised: float = 0.0
    """Gains of the parts that have left."""
    sold: float = 0.0
    """Units of these times their price."""
    due: float = 0.0
    """Share of the units at the entry that the steps so far should have taken."""


@dataclass
class Resting:
    side: int
    price: float
    said: int
    bars_left: int


@dataclass
class Wish:
    """An entry at one price, before it has a size."""

    symbol: Symbol
    side: int
    said: int
    raw: float
    is_limit: bool = False
    """Filled by a resting order: maker, no slippage."""
    units: float = 0.0


@dataclass
class Symbol:
    name: str
    bars: list[Prices | None]
    volume: list[float]
    funding: list[float]
    codes: Sequence[int]
    sizes: Sequence[float]
    brackets: Mapping[str, Sequence[float]]
    instrument: Any
    sigma: Sequence[float]
    leave: Sequence[bool]
    slots: Sequence[int]
    detail: Sequence[Sequence[Prices] | None]
    gone: int
    held: Held | None = None
    resting: Resting | None = None
    mark: float = math.nan
    """The last price there was."""
    before: int = -1
    """The row of the bar before."""
    has_traded: bool = False

    def distances(self, side: int, said: int) -> tuple[float, float]:
        way = "long" if side > 0 else "short"
        stop, profit = (self.brackets[f"{name}_{way}"][said] for name in ("stop", "take_profit"))
        return float(stop), float(profit)

    def worth(self, units: float, price: float) -> float:
        return units / price if self.instrument.inverse else units * price

    def gain(self, side: int, units: float, entry: float, price: float) -> float:
        return side * (
            units / entry - units / price if self.instrument.inverse else units * (price - entry)
        )

    def on_the_way(self, start: float, end: float, way: float) -> float:
        """A price between two: of an inverse contract, what it is worth moves evenly."""
        if self.instrument.inverse:
            return 1.0 / (1.0 / start + way * (1.0 / end - 1.0 / start))
        return start + way * (end - start)

    def share_of_way(self, start: float, end: float, price: float) -> float:
        """How far a price lies on the way."""
        if self.instrument.inverse:
            start, end, price = 1.0 / start, 1.0 / end, 1.0 / price
        return (price - start) / (end - start) if end != start else 0.0

    def rounded(self, price: float, way: int) -> float:
        """The price at a tick, up (1) or down (-1)."""
        tick = self.instrument.tick
        if not tick or not math.isfinite(price):
            return price
        ticks = price / tick
        return float(tick * (math.ceil(ticks - 1e-9) if way > 0 else math.floor(ticks + 1e-9)))

    def whole_lots(self, units: float) -> float:
        if not self.instrument.lot:
            return units
        lot = self.instrument.lot * self.instrument.multiplier
        return float(lot * math.floor(units / lot + 1e-9))

    def is_too_small(self, units: float, price: float) -> bool:
        least = self.instrument.min_notional
        worth = units if self.instrument.inverse else units * price
        return units <= 0 or (least is not None and worth < least)


def crossing(value: Callable[[float], float], around: float, side: int) -> float:
    """The price nearest to `around` at which a value that falls against `side` is no longer over 0.

    0 or inf where it stays over 0 however far the price goes.
    """
    far, near = (around * 1e-12, around * 1e12) if side > 0 else (around * 1e12, around * 1e-12)
    if value(far) > 0:
        return 0.0 if side > 0 else math.inf
    for _ in range(120):
        middle = math.sqrt(far) * math.sqrt(near)
        far, near = (far, middle) if value(middle) > 0 else (middle, near)
    return far


def largest(allows: Callable[[float], bool], about: float) -> float:
    """The largest number that is allowed, where all smaller ones are."""
    low, high = 0.0, about * 1e-9
    while allows(high) and high < about * 1e12:
        low, high = high, 2 * high
    for _ in range(120):
        middle = (low + high) / 2
        low, high = (middle, high) if allows(middle) else (low, middle)
    return low
