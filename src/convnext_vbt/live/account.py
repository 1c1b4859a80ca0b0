"""What a decision is sized for: the money, the position that is held, what the exchange takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_FLOOR, Decimal
from typing import Self

import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.trading.instruments import Instrument

DUST = 1e-9
"""Of a lot: so little is rounding, not something to be ordered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A position in one symbol. Raises `ValueError` for units that are no number."""

    units: float = 0.0
    """Negative when short."""
    entered: pd.Timestamp | None = None
    """Open time of the bar in which it was filled; None: not known."""
    stop: float | None = None
    """Price of its stop; None: to be told from its entry and the history."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.units):
            raise InputError(f"position must be a number of units, got {self.units}")

    @property
    def side(self) -> int:
        """1 long, -1 short, 0 flat."""
        return int(self.units > 0) - int(self.units < 0)


FLAT = Holding()
NAMES = {1: "BUY", -1: "SELL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resting:
    """An entry that rests at its limit, with what its signal's row said."""

    side: int
    """1 to buy, -1 to sell."""
    price: float
    said: pd.Timestamp
    """Open time of the bar whose decision placed it."""
    left: int
    """Bars more of the symbol's own that it rests."""
    share: float
    """Of the full stake."""
    stop: float
    """Distance, as a fraction of the fill; NaN for none, as below."""
    take_profit: float
    volatility: float
    volume: float

    @property
    def name(self) -> str:
        """As people say it."""
        return f"{NAMES[self.side]} limit at {self.price:,.8g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What there is now. Raises `ValueError` for an equity that is not positive."""

    equity: float
    """Cash and all positions, at the last close."""
    held: Mapping[str, Holding] = field(default_factory=dict)
    """By symbol; one that is not in it is flat."""
    resting: Mapping[str, Resting] = field(default_factory=dict)
    """Entries that rest at their limits, by symbol; while one does nothing else is entered."""
    told: Mapping[str, str] = field(default_factory=dict)
    """By symbol, what became of an entry that rested until the last bar."""
    prices: Mapping[str, float] = field(default_factory=dict)
    """What equity, sizes and levels are reckoned at instead of a symbol's last close."""

    def __post_init__(self) -> None:
        if not (self.equity > 0 and math.isfinite(self.equity)):
            raise InputError(f"equity must be positive and finite, got {self.equity:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the exchange takes; None is no limit. Raises `ValueError` for one not positive."""

    lot: float | None = None
    """Orders are whole multiples of it, rounded down."""
    tick: float | None = None
    """Prices are whole multiples of it; stop and take-profit are rounded towards the entry, so
    that no more is lost than was meant."""
    min_notional: float | None = None
    """An entry worth less is not made; exits always are, as in the backtest."""

    def __post_init__(self) -> None:
        for name in ("lot", "tick", "min_notional"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(f"{name.replace('_', '-')} must be positive, got {value:g}")

    def over(self, instrument: Instrument) -> Instrument:
        """The instrument with these in place of its own; a lot in units."""
        own = {name: getattr(self, name) for name in ("lot", "tick", "min_notional")}
        if self.lot is not None:
            own["lot"] = self.lot / instrument.multiplier
        return replace(instrument, **{k: v for k, v in own.items() if v is not None})

    @classmethod
    def of(cls, instrument: Instrument) -> Self:
        """What an instrument asks for, its lot in units."""
        lot = None if instrument.lot is None else instrument.lot * instrument.multiplier
        return cls(lot=lot, tick=instrument.tick, min_notional=instrument.min_notional)

    def order(self, held: float, wanted: float) -> tuple[float, float]:
        """What can be ordered, signed, to get from one position to another; and what is held then.

        Nothing, where less than a lot would be ordered.
        """
        whole = abs(Decimal(repr(float(wanted))) - Decimal(repr(float(held))))
        units = _multiple(whole, self.lot)
        rest = float(whole - Decimal(repr(units)))
        if units and abs(rest) <= DUST * (units if self.lot is None else self.lot):
            rest = 0.0
        up = wanted - held
        return math.copysign(units, up), wanted - math.copysign(rest, up) if rest else wanted


def _multiple(value: Decimal, unit: float | None) -> float:
    """The whole multiple of a unit that is not above, in decimals: 0.3 is 3 x 0.1.

    What partial exits leave is a difference of floats: 0.7 - 0.6 is 0.1, too.
    """
    if unit is None:
        return float(value)
    size = Decimal(repr(float(unit)))
    count = value / size + Decimal(DUST)
    return float(count.to_integral_value(ROUND_FLOOR) * size)
