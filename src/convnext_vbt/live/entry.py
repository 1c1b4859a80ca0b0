"""Positions to be opened at the next open: size, stop, take-profit and money at risk.

Dimensions: N symbols.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from convnext_vbt.live.account import Limits
from convnext_vbt.trading import kernel
from convnext_vbt.trading.brackets import Brackets
from convnext_vbt.trading.inputs import SimulationConfig, kernel_terms

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


def kernel_fills(
    book: Book, sides: np.ndarray, shares: np.ndarray, brackets: Brackets, config: SimulationConfig
) -> np.ndarray:
    """The fills of all entries (`sides`, 0 for none) as the order kernel makes them, (N, fields).

    `shares` is the rule's part of the full stake, `brackets` one row. NaN where nothing is filled.
    The kernel's own cap on the open risk of several symbols binds no account of one.
    """
    num = len(sides)
    terms = kernel_terms(config, brackets, "risk")
    if num == 1:
        terms = terms._replace(max_open_risk=math.inf)
    states = np.zeros((num, kernel.NUM_STATE))
    states[:, kernel.BASE] = config.init_cash
    states[0, kernel.BASE] += book.equity - config.init_cash
    states[:, kernel.POSITION], states[:, kernel.ENTRY_PRICE] = book.units, book.price
    states[:, kernel.STOP_LEVEL] = book.stop
    long = sides > 0
    stops, targets = (
        np.where(long, getattr(brackets, f"{kind}_long")[0], getattr(brackets, f"{kind}_short")[0])
        for kind in ("stop", "take_profit")
    )
    fills = np.full((num, 1, len(kernel.FILL_FIELDS)), np.nan)
    entries = kernel.Entries(sides.astype(np.float64), book.price, shares, stops, targets)
    kernel.enter_shared_nb(states, fills, 0, entries, book.price, config.risk, terms)
    return fills[:, 0]


def to_entry(
    fill: np.ndarray,
    n: int,
    brackets: Brackets,
    *,
    equity: float,
    config: SimulationConfig,
    limits: Limits,
) -> Entry | str:
    """Symbol n's fill rounded to what the exchange takes, or why there is no entry."""
    made = dict(zip(kernel.FILL_FIELDS, fill.tolist(), strict=True))
    if math.isnan(made["size"]):
        if brackets.still is not None and brackets.still[0, n]:
            return "its price never moved yet, so there is no barrier to stop at"
        return "no money is left for it under the caps of leverage and open risk"
    side, price = int(made["side"]), made["price"]
    stop = float(getattr(brackets, f"stop_{WORDS[side]}")[0, n])
    target = float(getattr(brackets, f"take_profit_{WORDS[side]}")[0, n])
    units = limits.units(made["size"])
    if units == 0:
        return f"the size, {made['size']:.6g} units, is less than one lot of {limits.lot:g}"
    notional = units * price
    if limits.min_notional is not None and notional < limits.min_notional:
        worth = money_text(notional)
        return f"it would be worth {worth}, under the minimum of {limits.min_notional:,g}"
    stop_price = _level(price, -side * stop, limits, up=side > 0)
    if stop_price is not None:
        stop = side * (1.0 - stop_price / price)
        if stop <= 0:
            return f"a tick of {limits.tick:g} is wider than the way to the stop"
    loss = notional * kernel.loss_at_stop_nb.py_func(
        float(side), stop, config.fees, config.slippage
    )
    target_price = None if np.isnan(target) else _level(price, side * target, limits, up=side < 0)
    return Entry(
        side=side,
        units=units,
        price=price,
        notional=notional,
        stop=stop_price,
        stop_distance=stop,
        take_profit=target_price,
        take_profit_distance=None if target_price is None else side * (target_price / price - 1.0),
        money_at_risk=loss,
        risk=loss / equity,
        capped=bool(made["capped"]),
    )


def money_text(value: float) -> str:
    """Money in the quote currency, which may be bitcoin: two decimals, or four digits below one."""
    return f"{value:,.2f}" if abs(value) >= 1 or value == 0 else f"{value:.4g}"


def _level(price: float, change: float, limits: Limits, *, up: bool) -> float | None:
    level = price * (1.0 + change)
    return limits.level(level, up=up) if level > 0 else None
