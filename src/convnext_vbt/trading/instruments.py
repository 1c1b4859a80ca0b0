"""What is traded: price and size steps, fees, spread, financing and margin of each symbol.

An `Instrument` says what an exchange or a broker says of a contract; what it leaves out is as if
there were none, so the default one changes nothing. docs/instruments.md explains every key.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from convnext_vbt.errors import InputError, InputTypeError
from convnext_vbt.market.bars import Bars
from convnext_vbt.trading.arguments import check_number

DEFAULT = "default"
"""The entry of `instruments` for every symbol that has none of its own."""
HALFLIFE = 24.0
"""Bars, of the volatility that slippage depends on where there is no label that has one."""
MOST_SHARE = 0.5
"""A share of price or notional from here on is surely meant in percent."""
MOST_A_YEAR = 10.0
"""So is a rate a year: nobody lends at 1,000 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One symbol's contract. Money and prices are in the quote currency, rates are fractions.

    Raises `ValueError` for a value that cannot be, naming it and the remedy.
    """

    tick: float | None = None
    """Step of the price, which stops, take-profits and limits keep to; none: any price."""
    lot: float | None = None
    """Step of the size, in contracts or shares; sizes are rounded down to it; none: any size."""
    min_notional: float | None = None
    """Least that an entry is worth, in money; a smaller one is refused; none: no least."""
    multiplier: float = 1.0
    """Units of the underlying that a contract stands for, or money a point: 50 for the E-mini."""
    inverse: bool = False
    """Whether a contract is worth 1 of the quote currency, whatever the price, and settled in the
    underlying; `lot` counts the quote currency then: 100 where a contract is of 100 USD."""
    currency: str | None = None
    """What it is settled in, "USDT"; symbols of one account must not name different ones."""
    taker: float | None = None
    """Share of the notional that a market order pays; none: `fees`."""
    maker: float | None = None
    """Share that a resting limit order pays, negative for a rebate; none: `taker`."""
    fee_per_contract: float = 0.0
    """Money that each contract or share of an order pays, beside the share of its notional."""
    min_fee: float = 0.0
    """Least fee of an order, in money."""
    slippage: float | None = None
    """Share of the price that a fill is worse by; none: `slippage` of all."""
    half_spread: float = 0.0
    """Half of the distance from bid to ask, in price, by which a fill is worse too."""
    volatility_slippage: float = 0.0
    """Multiple of a bar's volatility by which a fill is worse too."""
    impact: float = 0.0
    """Multiple of volatility x sqrt(units ordered / the bar's volume) by which it is worse too."""
    max_volume_share: float | None = None
    """Most that an entry is of the volume of its signal's bar, in (0, 1]; none: no cap."""
    borrow: float = 0.0
    """Rate a year that a short pays on its notional."""
    interest: float = 0.0
    """Rate a year that is paid on what positions are worth beyond the equity."""
    initial_margin: float | None = None
    """Equity that a position must have behind it when entered, a share of its worth in (0, 1]: it
    is worth at most equity / initial_margin; none: `max_leverage` alone."""
    maintenance_margin: float = 0.0
    """Share of a position's worth at or below which the equity is liquidated, in [0, 1)."""

    def __post_init__(self) -> None:
        if not isinstance(self.inverse, bool):
            raise InputError(f"inverse must be true or false, got {self.inverse!r}")
        if self.currency is not None and (
            not isinstance(self.currency, str) or not self.currency.strip()
        ):
            raise InputError(f'currency must be a name such as "USDT", got {self.currency!r}')
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None or field.default is not None:
                _check_finite(field.name, value)
        for name in ("tick", "lot", "min_notional", "multiplier"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise InputError(f"{name} must be positive, got {value}; leave it out for none")
        _check_costs(self)
        _check_margins(self)
        if self.inverse and self.multiplier != 1:
            raise InputError(
                f"an inverse contract has no multiplier, got {self.multiplier:g}: it is worth "
                f"money; leave it out and count lots in money, lot = {self.multiplier:g}"
            )

    def times_costs(self, multiple: float) -> Instrument:
        """The same with every cost times `multiple`; steps, least sizes and margins stay.

        A rebate is no cost: it is never raised.
        """
        costs: dict[str, Any] = {
            name: value * (multiple if value > 0 else min(multiple, 1.0))
            for name in COSTS
            if (value := getattr(self, name)) is not None
        }
        return replace(self, **costs)


COSTS = (
    "taker", "maker", "fee_per_contract", "min_fee", "slippage", "half_spread",
    "volatility_slippage", "impact", "borrow", "interest",
)  # fmt: skip


class Instruments(Mapping[str, Instrument]):
    """Instruments by symbol, in any mapping's words, that never change: it has a hash."""

    __slots__ = ("_table",)

    def __init__(self, table: Mapping[str, Instrument] | None = None) -> None:
        table = {} if table is None else table
        if not isinstance(table, Mapping):
            raise InputTypeError(
                f"instruments must be a mapping from symbols to Instrument, got {table!r}"
            )
        for symbol, instrument in table.items():
            if not isinstance(symbol, str) or not symbol:
                raise InputTypeError(f"instruments: {symbol!r} is no symbol; use its name")
            if not isinstance(instrument, Instrument):
                raise InputTypeError(
                    f"instruments: {symbol} must be an Instrument, got {instrument!r}; "
                    "write cv.Instrument(tick=0.1, ...)"
                )
        self._table = dict(table)

    def __getitem__(self, symbol: str) -> Instrument:
        return self._table[symbol]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __hash__(self) -> int:
        return hash(frozenset(self._table.items()))

    def __repr__(self) -> str:
        return f"Instruments({self._table!r})"


NO_INSTRUMENTS = Instruments()


def instrument_of(instruments: Mapping[str, Instrument], symbol: str) -> Instrument:
    """The symbol's own entry, else the default one; an empty table says nothing of any symbol.

    Raises `ValueError` where others have an entry and this symbol has none.
    """
    if not instruments:
        return Instrument()
    for name in (symbol, DEFAULT):
        if name in instruments:
            return instruments[name]
    raise InputError(
        f"symbol {symbol} has no entry in [instruments], others have; add "
        f'[instruments."{symbol}"] or [instruments.{DEFAULT}]'
    )


def are_inverse(bars: Bars, instruments: Mapping[str, Instrument]) -> np.ndarray:
    """Whether each symbol's contract is inverse, bool (N,)."""
    return np.array([instrument_of(instruments, symbol).inverse for symbol in bars.symbols])


def have_least_size(bars: Bars, instruments: Mapping[str, Instrument]) -> bool:
    """Whether an entry of any symbol may be too small to be placed."""
    own = (instrument_of(instruments, symbol) for symbol in bars.symbols)
    return any(one.lot is not None or one.min_notional is not None for one in own)


def have_carry(bars: Bars, instruments: Mapping[str, Instrument]) -> bool:
    """Whether a position of any symbol pays for what it borrows."""
    own = (instrument_of(instruments, symbol) for symbol in bars.symbols)
    return any(one.borrow or one.interest for one in own)


def needs_volatility(instrument: Instrument) -> bool:
    """Whether a cost depends on how much the price moves."""
    return bool(instrument.volatility_slippage or instrument.impact)


def check_instruments(bars: Bars, instruments: Mapping[str, Instrument]) -> None:
    """Raise `ValueError` unless every symbol has an instrument that its bars can be traded by."""
    if not instruments:
        return
    strangers = sorted(set(instruments) - set(bars.symbols) - {DEFAULT})
    if strangers:
        raise InputError(
            f"[instruments] names {', '.join(strangers)}, but the bars hold "
            f"{', '.join(bars.symbols)}; write the symbols as the bars do"
        )
    has_volume = bars.has_volume
    for n, symbol in enumerate(bars.symbols):
        instrument = instrument_of(instruments, symbol)
        if not bars.present[:, n].any():
            continue
        lowest = float(np.nanmin(bars.low[:, n]))
        for name, most in (("tick", lowest), ("half_spread", lowest * MOST_SHARE)):
            value = getattr(instrument, name)
            if value is not None and value > most:
                raise InputError(
                    f"{symbol}: {name} = {value:g} is too large for its lowest price, {lowest:g} "
                    f"({bars.index[int(np.nanargmin(bars.low[:, n]))]}); it is in units of price"
                )
        needs = [key for key in ("impact", "max_volume_share") if getattr(instrument, key)]
        if needs and not has_volume[n]:
            raise InputError(f"{symbol}: {needs[0]} needs volumes and its bars have none; drop it")
    _check_one_currency({symbol: instrument_of(instruments, symbol) for symbol in bars.symbols})


def _check_one_currency(own: Mapping[str, Instrument]) -> None:
    """The symbols of some bars share one account, whose equity is one sum of money."""
    named = [(symbol, one.currency) for symbol, one in own.items() if one.currency is not None]
    for symbol, currency in named[1:]:
        first, other = named[0]
        if currency != other:
            raise InputError(
                f"{first} is settled in {other} and {symbol} in {currency}, but one account has "
                "one currency; trade them in strategies of their own"
            )
    inverse = [symbol for symbol, one in own.items() if one.inverse]
    linear = [symbol for symbol, one in own.items() if not one.inverse]
    if inverse and linear:
        raise InputError(
            f"{inverse[0]} is an inverse contract, settled in its underlying, and {linear[0]} is "
            "none: they cannot share an account; trade them in strategies of their own"
        )
    silent = [symbol for symbol in inverse if own[symbol].currency is None]
    if len(inverse) > 1 and silent:
        raise InputError(
            f"{', '.join(inverse)} are inverse contracts on one account and {silent[0]} does not "
            'say what it is settled in; give each the same currency = "BTC", or trade them apart'
        )


def _check_finite(name: str, value: Any) -> None:
    if name in ("inverse", "currency"):
        return
    check_number(name, value)
    if not math.isfinite(value):
        raise InputError(f"{name} must be finite, got {value}; leave it out for none")


def _check_costs(instrument: Instrument) -> None:
    for name in ("taker", "slippage", "maker"):
        value = getattr(instrument, name)
        least = -MOST_SHARE if name == "maker" else 0.0
        if value is not None and not least <= value < MOST_SHARE:
            raise InputError(
                f"{name} must lie in [{least:g}, {MOST_SHARE:g}), got {value}; 0.0005 is 5 bp"
            )
    for name in ("fee_per_contract", "min_fee", "half_spread", "volatility_slippage", "impact"):
        value = getattr(instrument, name)
        if value < 0:
            raise InputError(f"{name} must be at least 0, got {value}; it is a cost")
    for name in ("borrow", "interest"):
        value = getattr(instrument, name)
        if not 0 <= value < MOST_A_YEAR:
            raise InputError(
                f"{name} must lie in [0, {MOST_A_YEAR:g}), got {value}; 0.03 is 3 % a year"
            )
    share = instrument.max_volume_share
    if share is not None and not 0 < share <= 1:
        raise InputError(
            f"max_volume_share must lie in (0, 1], got {share}; 0.05 is 5 % of the bar's volume"
        )


def _check_margins(instrument: Instrument) -> None:
    initial, maintenance = instrument.initial_margin, instrument.maintenance_margin
    if initial is not None and not 0 < initial <= 1:
        raise InputError(f"initial_margin must lie in (0, 1], got {initial}; 0.1 is ten to one")
    if not 0 <= maintenance < 1:
        raise InputError(f"maintenance_margin must lie in [0, 1), got {maintenance}; 0.05 is 5 %")
    if initial is not None and maintenance > initial:
        raise InputError(
            f"maintenance_margin {maintenance:g} lies above initial_margin {initial:g}: every "
            "entry would be liquidated at once; lower it"
        )
