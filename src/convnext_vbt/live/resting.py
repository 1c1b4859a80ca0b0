"""Entries by a limit order that rests: where the level lies, and what becomes of it bar by bar.

The rule is the order kernel's: filled at an open beyond the level or where a bar trades through it,
cancelled by an exit of its side, the other side's entry or the time to leave, over after
`limit_bars` of the symbol's own bars. While one rests nothing else is entered.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from convnext_vbt.errors import ConfigError
from convnext_vbt.live.account import Resting
from convnext_vbt.live.clock import when
from convnext_vbt.live.due import side_signalled
from convnext_vbt.live.entry import limit_price
from convnext_vbt.live.said import row_at
from convnext_vbt.live.trained import Trained
from convnext_vbt.market.bars import Bars
from convnext_vbt.trading import broker
from convnext_vbt.trading.codes import ENTER, EXIT, LEAVE, UNTRADED
from convnext_vbt.trading.inputs import SimulationConfig, bar_bits

Fate = Literal["rests", "filled", "expired", "cancelled"]
BY_SIGNAL = ENTER | EXIT


def is_cancelled(order: Resting, code: int) -> bool:
    """Whether what acts at its symbol's next open takes it away."""
    if code & UNTRADED:
        code &= ~BY_SIGNAL
    hand = np.zeros(broker.NUM_HAND)
    hand[broker.LIMIT_SIDE], hand[broker.LIMIT_LEFT] = order.side, order.left + 1
    broker.rest_nb.py_func(hand, code)
    return not hand[broker.LIMIT_SIDE]


def after_bar(order: Resting, bars: Bars, row: int, n: int, code: int) -> tuple[Fate, Resting]:
    """What becomes of it in a bar of its symbol's own, at whose open `code` acts."""
    is_first = order.said == bars.index[bars.previous[row, n]]
    if code & (LEAVE | UNTRADED) if is_first else is_cancelled(order, code):
        return "cancelled", order  # in the first bar: the account never placed it
    order = replace(order, left=order.left - 1)
    if not code & UNTRADED:
        first, side = bars.open[row, n], order.side
        worst = (bars.low if side > 0 else bars.high)[row, n]
        if side * worst < side * order.price or (is_first and first == order.price):
            return "filled", order
    return ("rests" if order.left else "expired"), order


def placed_at(
    trained: Trained, bars: Bars, n: int, said: pd.Timestamp, trading: SimulationConfig
) -> tuple[Fate, Resting, pd.Timestamp]:
    """The order that the decision at the bar of `said` placed, its fate, and the bar of that.

    Raises `ConfigError` where that decision placed none.
    """
    name = bars.symbols[n]
    if trading.limit_offset is None:
        raise ConfigError("--placed: this strategy enters at the open; no order of its own rests")
    row = int(bars.index.get_indexer(pd.DatetimeIndex([said]))[0])
    if row < 0 or not bars.present[row, n]:
        raise ConfigError(
            f"--placed {when(said)}: {name} has no bar that opens then; give the open time of the "
            "bar that the decision names"
        )
    spoken = row_at(trained, bars.rows(0, row + 1), n)
    side = side_signalled(int(spoken.codes[n]))
    if side == 0:
        raise ConfigError(
            f"--placed {when(said)}: no entry into {name} was signalled there; give the bar whose "
            "decision told you to place the order"
        )
    order = Resting(
        side=side,
        price=limit_price(float(bars.close[row, n]), side, trading, name),
        said=bars.index[row],
        left=int(trading.limit_bars),
        share=float(spoken.sizes[n]),
        stop=spoken.distance("stop", side, n),
        take_profit=spoken.distance("take_profit", side, n),
        volatility=float(spoken.volatility[n]),
        volume=float(bars.volume[row, n]),
    )
    bits, at = bar_bits(bars, trading.leave_at)[n], row
    fate: Fate = "rests"
    later = [int(k) for k in np.flatnonzero(bars.present[:, n]) if k > row]
    for at in later:
        if at > later[0]:
            before = int(bars.previous[at, n])
            spoken = row_at(trained, bars.rows(0, before + 1), n)
        fate, order = after_bar(order, bars, at, n, int(spoken.codes[n]) | int(bits[at]))
        if fate != "rests":
            break
    return fate, order, bars.index[at]


def expired(order: Resting) -> str:
    """That an order is over."""
    return (
        f"the {order.name} of {when(order.said)} ended unfilled: cancel it if the exchange has not"
    )
