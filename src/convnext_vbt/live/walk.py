"""The order kernel's own bars, one account of a live session, with money that comes and goes.

`trading.broker.walk_account_nb` begins with one sum of money and ends with sums for a metric. Here
deposits and withdrawals are booked at the close that first knows of them, and what a column has in
hand at the last close, an entry that rests at its limit above all, is handed out. Every step of a
bar is the broker's. Dimensions: T bars, N symbols, K = N columns, H fields of a hand, O orders.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit

from convnext_vbt.market.bars import Bars
from convnext_vbt.trading import broker, kernel
from convnext_vbt.trading.brackets import Brackets
from convnext_vbt.trading.codes import ENTER, SIDES
from convnext_vbt.trading.conditions import conditions_of
from convnext_vbt.trading.inputs import SimulationConfig, check_stops, kernel_inputs, kernel_terms
from convnext_vbt.trading.instruments import are_inverse
from convnext_vbt.trading.signals import Signals


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
class Column:
    """One symbol of the account at the last close."""

    units: float
    """Negative when short."""
    entered: int | None
    """Row of the fill of what is held."""
    stop: float | None
    """Its level now."""
    limit: Limit | None
    orders: tuple[Order, ...]
    """In the last bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """An entry that rests at the last close, as the kernel has it."""

    side: int
    """1 to buy, -1 to sell."""
    price: float
    said: int
    """The row that signalled it."""
    left: int
    """Bars more that it rests, 0 where it ends with this close."""


def walk(
    bars: Bars,
    signals: Signals,
    brackets: Brackets,
    flows_T: Sequence[float],
    config: SimulationConfig,
) -> tuple[float, list[Column]]:
    """Equity at the last close, and every symbol there.

    `signals` are one column a symbol, in the bars' order; `flows_T` is the money that came at each
    close, negative where it went. No symbol is ever delisted: that is known only later.
    """
    market, columns = kernel_inputs(bars, signals, brackets, config)
    terms = kernel_terms(config, brackets, "risk")
    check_stops(bars, brackets, market, columns, terms)
    market = market._replace(delisted=np.full(len(bars.symbols), len(bars)))
    conditions, num = conditions_of(config, bars, brackets), len(bars.symbols)
    entries = np.count_nonzero(columns.codes & ENTER, axis=1).max(initial=0)
    none = np.empty((num, 0))
    fills = np.empty((num, int(entries) * (2 + len(config.take_profit_ladder)),
                      len(kernel.FILL_FIELDS)))  # fmt: skip
    log = kernel.Log(fills, np.empty(0), none, none, none, none, np.empty((0, 0)))
    states = np.empty((num + (num > 1), kernel.NUM_STATE))
    hand_KH, point = np.zeros((num, broker.NUM_HAND)), np.array([config.risk, 1.0, 1.0])
    equity = walk_session_nb(
        market, columns, point, conditions, terms, np.array(flows_T, dtype=np.float64), states,
        hand_KH, log,
    )  # fmt: skip
    over = are_inverse(bars, config.instruments)
    made = [
        _column(bars, n, states[n - num], hand_KH[n], fills[n], bool(over[n])) for n in range(num)
    ]
    return float(equity), made


@njit(cache=True, error_model="numpy")
def walk_session_nb(
    market: kernel.Market, columns: kernel.Columns, point_3: np.ndarray,
    conditions: broker.Conditions, terms: kernel.Terms, flows_T: np.ndarray, states: np.ndarray,
    hand_KH: np.ndarray, log: kernel.Log,
) -> float:  # fmt: skip
    """Walk the only account there is; its equity at the end, `states` and `hand_KH` as they are."""
    book = broker.begin_nb(columns, 0, states, len(market.delisted) > 1, terms.init_cash)
    with_limits = not np.isnan(conditions.limit_offset)
    for i in range(len(market.day_end)):
        broker.held_open_nb(market, columns, book, i, conditions, terms, log)
        enters = broker.open_nb(market, columns, book, i, point_3, conditions, terms, log)
        for inside in range(1 + with_limits):
            if inside:
                enters = broker.limits_nb(market, columns, book, i, point_3)
            if enters:
                broker.enter_nb(market, book, i, point_3[0], conditions, terms, log)
        broker.close_nb(market, columns, book, i, conditions, terms, log)
        if flows_T[i] != 0.0:
            book.own[0, kernel.BASE] += flows_T[i]
            for k in range(len(book.own)):  # how near the margin is has changed
                if book.own[k, kernel.POSITION] != 0.0:
                    costs = conditions.costs[book.symbol[k]]
                    broker.set_guard_nb(book.own[k], book.hand[k], costs)
        broker.mark_nb(book, i, terms, log)
    hand_KH[:] = book.hand
    equity: float = book.value[0]
    return equity


def _column(
    bars: Bars, n: int, own: np.ndarray, hand: np.ndarray, fills_OF: np.ndarray, over: bool
) -> Column:
    """What the kernel has of a symbol; prices as they are quoted, also of an inverse contract."""
    made = fills_OF[: int(own[kernel.ORDERS])]
    field = {name: made[:, k] for k, name in enumerate(kernel.FILL_FIELDS)}
    last, sign = len(bars) - 1, -1 if over else 1
    here = np.flatnonzero(field["idx"] == last).tolist()
    units = sign * float(own[kernel.POSITION])
    entered = np.flatnonzero(field["reason"] == kernel.ENTRY)
    stop = _quoted(float(own[kernel.STOP_LEVEL]), over)
    orders = [
        Order(bar=bars.index[last], symbol=bars.symbols[n], number=number,
              side=SIDES[int(sign * field["side"][k] < 0)], units=float(field["size"][k]),
              price=_quoted(float(field["price"][k]), over), fee=float(field["fees"][k]))
        for number, k in enumerate(here)
    ]  # fmt: skip
    return Column(
        units=units,
        entered=int(field["idx"][entered[-1]]) if units else None,
        stop=stop if units and math.isfinite(stop) else None,
        limit=_limit(hand, sign, over),
        orders=tuple(orders),
    )


def _limit(hand: np.ndarray, sign: int, over: bool) -> Limit | None:
    if not hand[broker.LIMIT_SIDE]:
        return None
    return Limit(
        side=sign * int(hand[broker.LIMIT_SIDE]),
        price=_quoted(float(hand[broker.LIMIT]), over),
        said=int(hand[broker.LIMIT_SAID]),
        left=int(hand[broker.LIMIT_LEFT]) - 1,
    )


def _quoted(price: float, over: bool) -> float:
    return 1.0 / price if over else price
