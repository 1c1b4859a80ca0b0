"""A position to be opened at the next open: its size, stop, take-profit and money at risk."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from convnext_vbt.live.account import Limits
from convnext_vbt.market.bars import Bars
from convnext_vbt.trading import kernel
from convnext_vbt.trading.brackets import DISTANCES, Brackets
from convnext_vbt.trading.signals import LEVELS, Signals
from convnext_vbt.trading.simulation import SimulationConfig, simulate_signals


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
    """Whether the leverage cap keeps it smaller than the risk would allow."""


def size_entry(
    bars: Bars,
    n: int,
    signals: Signals,
    brackets: Brackets,
    *,
    price: float,
    config: SimulationConfig,
    limits: Limits,
) -> Entry | str:
    """The entry that symbol n's signals ask for after the last of `bars`, or why there is none.

    `signals` and `brackets` are one row, a column a symbol; `config.init_cash` is the equity. The
    order kernel itself trades them, in a next bar that stands still at `price`: so the size is the
    backtest's. Then it is rounded to what the exchange takes.
    """
    simulation = simulate_signals(
        _standing_still(bars, n, price),
        _then_nothing(bars, n, signals),
        _twice(n, brackets),
        config=config,
    )
    if not len(simulation.trades):
        return "the rule gives this entry no size"
    trade = simulation.trades[0]
    side = -1 if trade["direction"] else 1
    word = "long" if side > 0 else "short"
    stop = float(getattr(brackets, f"stop_{word}")[0, n])
    target = float(getattr(brackets, f"take_profit_{word}")[0, n])
    fill, exact = float(trade["entry_price"]), float(trade["size"])
    units = limits.units(exact)
    if units == 0:
        return f"the size, {exact:.6g} units, is less than one lot of {limits.lot:g}"
    notional = units * fill
    if limits.min_notional is not None and notional < limits.min_notional:
        return f"it would be worth {notional:,.2f}, under the minimum of {limits.min_notional:,g}"
    stop_price = _level(fill, -side * stop, limits, up=side > 0)
    if stop_price is not None:
        stop = side * (1.0 - stop_price / fill)
        if stop <= 0:
            return f"a tick of {limits.tick:g} is wider than the way to the stop"
    loss = notional * kernel.loss_at_stop_nb.py_func(
        float(side), stop, config.fees, config.slippage
    )
    target_price = None if np.isnan(target) else _level(fill, side * target, limits, up=side < 0)
    return Entry(
        side=side,
        units=units,
        price=fill,
        notional=notional,
        stop=stop_price,
        stop_distance=stop,
        take_profit=target_price,
        take_profit_distance=None if target_price is None else side * (target_price / fill - 1.0),
        money_at_risk=loss,
        risk=loss / config.init_cash,
        capped=bool(trade["capped"]),
    )


def _level(fill: float, change: float, limits: Limits, *, up: bool) -> float | None:
    level = fill * (1.0 + change)
    return limits.level(level, up=up) if level > 0 else None


def _index(bars: Bars) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([bars.index[-1], bars.index[-1] + bars.step])


def _standing_still(bars: Bars, n: int, price: float) -> Bars:
    """The last bar of symbol n and a next one, both at `price` throughout."""
    at_price = np.full((2, 1), price)
    return Bars(
        index=_index(bars),
        symbols=(bars.symbols[n],),
        open=at_price,
        high=at_price,
        low=at_price,
        close=at_price,
        volume=np.zeros((2, 1)),
        step=bars.step,
        days_per_year=bars.days_per_year,
    )


def _then_nothing(bars: Bars, n: int, signals: Signals) -> Signals:
    """Symbol n's row of signals, and one that says nothing."""
    rows = {name: getattr(signals, name)[:, n : n + 1] for name in (*LEVELS, "size")}
    return Signals(
        index=_index(bars),
        columns=pd.MultiIndex.from_arrays([[bars.symbols[n]]], names=["symbol"]),
        **{name: np.concatenate([row, np.zeros_like(row)]) for name, row in rows.items()},
    )


def _twice(n: int, brackets: Brackets) -> Brackets:
    """Symbol n's row, for both bars."""
    rows = {name: getattr(brackets, name)[:, n : n + 1] for name in DISTANCES}
    return replace(brackets, **{name: row.repeat(2, axis=0) for name, row in rows.items()})
