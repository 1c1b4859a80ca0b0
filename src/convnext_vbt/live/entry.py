"""Positions to be opened at the next open: size, stop, take-profit and money at risk.

Dimensions: N symbols.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from convnext_vbt.market.bars import Bars
from convnext_vbt.trading import broker, kernel
from convnext_vbt.trading.brackets import Brackets
from convnext_vbt.trading.conditions import conditions_of, costs_of
from convnext_vbt.trading.inputs import SimulationConfig, kernel_terms
from convnext_vbt.trading.instruments import are_inverse, instrument_of

WORDS = {1: "long", -1: "short"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What to open, should the fill be at `price`."""

    side: int
    """1 long, -1 short."""
    units: float
    price: float
    """The fill that is reckoned with, slippage in it."""
    notional: float
    stop: float | None
    """Price of the stop; None where the rule has none that a price can reach."""
    stop_distance: float
    """As a fraction of the fill: the stop moves with the real one."""
    take_profit: float | None
    take_profit_distance: float | None
    money_at_risk: float
    """Lost if it is stopped at its level, both fees and slippage in it."""
    risk: float
    """The same as a share of equity."""
    capped: bool
    """Whether a cap, of leverage or of open risk, keeps it smaller than the risk would allow."""
    limit_bars: int | None = None
    """Bars that the order rests at `price`; None: a market order."""

    def of(self, units: float) -> Entry:
        """The same entry in another number of units."""
        part = abs(units) / self.units
        return replace(
            self,
            units=abs(units),
            notional=self.notional * part,
            money_at_risk=self.money_at_risk * part,
            risk=self.risk * part,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Book:
    """The account at the next open, exits done: what entries are sized on."""

    equity: float
    price: np.ndarray
    """float64 (N,): what each symbol is reckoned at."""
    units: np.ndarray
    """float64 (N,): positions that stay."""
    stop: np.ndarray
    """float64 (N,): their stops, where there is a position."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placed:
    """What the account's own kernel makes of all entries of an open; arrays are (N, ...)."""

    states: np.ndarray
    lost: np.ndarray
    """Money, when stopped at its level."""
    raw: np.ndarray
    """The prices at which the entries are placed, before slippage."""
    costs: np.ndarray
    inverse: np.ndarray


def place(
    book: Book,
    sides: np.ndarray,
    shares: np.ndarray,
    bar: Bars,
    brackets: Brackets,
    config: SimulationConfig,
    levels: np.ndarray,
) -> Placed:
    """All entries (`sides`, 0 for none) of the open after this bar, as the order kernel makes them.

    `shares` is the rule's part of the full stake, `brackets` one row; `levels` are the prices of
    limit orders, NaN for an entry at the open. Entries by limit are sized and cut as if all were
    filled together. The kernel's own cap on the open risk of several symbols binds no account of
    one.
    """
    num = len(sides)
    terms = kernel_terms(config, brackets, "risk")
    conditions = conditions_of(config, bar, brackets)
    inverse = are_inverse(bar, config.instruments)
    price = np.where(inverse, 1.0 / book.price, book.price)
    way = np.where(inverse, -sides, sides).astype(np.float64)
    raw = np.where(np.isnan(levels), price, np.where(inverse, 1.0 / levels, levels))
    states, lead = np.zeros((num + (num > 1), kernel.NUM_STATE)), int(num > 1)
    own = states[lead:]
    own[:, kernel.BASE] = config.init_cash
    own[0, kernel.BASE] += book.equity - config.init_cash
    own[:, kernel.POSITION] = np.where(inverse, -book.units, book.units)
    own[:, kernel.ENTRY_PRICE] = price
    own[:, kernel.STOP_LEVEL] = book.stop
    over = inverse & (book.stop > 0)
    own[over, kernel.STOP_LEVEL] = 1.0 / book.stop[over]
    long = sides > 0
    stops, targets = (
        np.where(long, getattr(brackets, f"{kind}_long")[0], getattr(brackets, f"{kind}_short")[0])
        for kind in ("stop", "take_profit")
    )
    zeros = np.zeros((5, num))
    rests = np.full(num, float(config.limit_offset is not None))
    said = np.zeros(num, dtype=np.int64)
    hand = np.zeros((num, broker.NUM_HAND))
    hand[:, broker.EXIT_SLIPPAGE] = conditions.costs[:, kernel.SLIPPAGE]
    symbols = np.arange(num)
    entries = broker.Entries(way, raw, shares.astype(np.float64), stops, targets, said, rests)
    made = broker.Book(
        states,
        own,
        hand,
        symbols,
        symbols,
        price,
        np.zeros(num + lead),
        zeros[0],
        zeros[1],
        zeros[2],
        zeros[3],
        zeros[4],
        entries,
    )
    none = np.zeros((num, 0))
    log = kernel.Log(
        np.empty((num, 0, len(kernel.FILL_FIELDS))), np.empty(0), none, none, none, none, none
    )
    lost = broker.enter_once_nb(_no_market(num), made, config.risk, conditions, terms, log)
    return Placed(states=own, lost=lost, raw=raw, costs=conditions.costs, inverse=inverse)


def _no_market(num: int) -> kernel.Market:
    """Of one row, of which an entry reads the clock alone."""
    row, four = np.zeros((num, 1), dtype=np.int64), np.zeros((num, 4, 1))
    return kernel.Market(
        four, four, np.zeros((num, 0)), row, row, np.zeros(1, dtype=np.bool_), row[:, 0].copy(),
        detail=four[:, :, :0], starts=row[:, :0],
    )  # fmt: skip


def limit_price(close: float, side: int, config: SimulationConfig, symbol: str) -> float:
    """Where an entry after this close rests, as it is quoted."""
    assert config.limit_offset is not None
    own = instrument_of(config.instruments, symbol)
    raw, way, costs = close, float(side), costs_of(own, config)
    if own.inverse:
        raw, way = 1.0 / close, -way
    level = float(kernel.moved_nb.py_func(raw, -way * config.limit_offset, costs))
    level = level_of(level, -way, costs)
    return 1.0 / level if own.inverse else level


def level_of(price: float, side: float, costs: np.ndarray) -> float:
    """`broker.level_nb`: a price that can be ordered."""
    if costs[kernel.IS_INVERSE]:
        tick = costs[kernel.TICK]
        return 1.0 / float(kernel.multiple_nb.py_func(1.0 / price, tick, side < 0))
    return float(kernel.multiple_nb.py_func(price, costs[kernel.TICK], side > 0))


def to_entry(
    placed: Placed, n: int, brackets: Brackets, *, equity: float, config: SimulationConfig
) -> Entry | str:
    """Symbol n's entry, or why there is none."""
    own = placed.states[n]
    if own[kernel.TRADES] == 0:
        return _why_none(placed, n, brackets)
    over = bool(placed.inverse[n])
    way, units = (1.0 if own[kernel.POSITION] > 0 else -1.0), abs(own[kernel.POSITION])
    side = int(-way if over else way)
    price = float(own[kernel.ENTRY_PRICE])
    stop, target = (
        _quoted(float(own[field]), over) for field in (kernel.STOP_LEVEL, kernel.TARGET_LEVEL)
    )
    loss = float(placed.lost[n])
    quoted = 1.0 / price if over else price
    return Entry(
        side=side,
        units=float(units),
        price=quoted,
        notional=float(units * price),
        stop=stop,
        stop_distance=_distance(
            stop, quoted, -side, getattr(brackets, f"stop_{WORDS[side]}")[0, n]
        ),
        take_profit=target,
        take_profit_distance=None if target is None else side * (target / quoted - 1.0),
        money_at_risk=loss,
        risk=loss / equity,
        capped=bool(own[kernel.IS_CAPPED]),
        limit_bars=None if config.limit_offset is None else int(config.limit_bars),
    )


def _quoted(level: float, over: bool) -> float | None:
    """A level that a price can reach, as it is quoted."""
    if not level > 0 or math.isinf(level):
        return None
    return 1.0 / level if over else level


def _distance(level: float | None, price: float, way: int, asked: float) -> float:
    return float(asked) if level is None else way * (level / price - 1.0)


def _why_none(placed: Placed, n: int, brackets: Brackets) -> str:
    own, costs = placed.states[n], placed.costs[n]
    if brackets.still is not None and brackets.still[0, n]:
        return "its price never moved yet, so there is no barrier to stop at"
    if own[kernel.REFUSED] == 0 or not own[kernel.NOTIONAL] > 0:
        return "no money is left for it under the caps of leverage, volume and open risk"
    units = own[kernel.NOTIONAL] / placed.raw[n]
    lot, least = costs[kernel.LOT], costs[kernel.MIN_NOTIONAL]
    whole = kernel.multiple_nb.py_func(units, lot, False)
    worth = whole * (1.0 if placed.inverse[n] else placed.raw[n])
    if whole == 0:
        return f"the size, {units:.6g} units, is less than one lot of {lot:g}"
    if worth < least:
        return f"it would be worth {money_text(worth)}, under the minimum of {least:,g}"
    return f"a tick of {costs[kernel.TICK]:g} is wider than the way to the stop"


def money_text(value: float) -> str:
    """Money in the quote currency, which may be bitcoin: two decimals, or four digits below one."""
    return f"{value:,.2f}" if abs(value) >= 1 or value == 0 else f"{value:.4g}"
