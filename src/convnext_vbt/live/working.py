"""Entries by limit that a session has told of: which rest, and what became of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from convnext_vbt.live.account import Holding, Resting
from convnext_vbt.live.decision import Decisions
from convnext_vbt.live.resting import after_bar, expired
from convnext_vbt.live.row import Row
from convnext_vbt.live.shadow import Shadow, State
from convnext_vbt.market.bars import Bars
from convnext_vbt.trading.inputs import bar_bits

Orders = tuple[dict[str, Resting], dict[str, str]]
"""By symbol, what rests and what became of what does not any more."""


def of_shadow(state: State, working: Mapping[str, Resting]) -> Orders:
    """The kernel's own orders; one that was told keeps the price that it was told with."""
    resting = {}
    for name, order in state.resting.items():
        told = working.get(name)
        same = told is not None and (told.said, told.side) == (order.said, order.side)
        resting[name] = replace(order, price=told.price) if told and same else order
    said = {name: expired(order) for name, order in state.expired.items()}
    for one in state.orders:
        placed = working.get(one.symbol)
        if one.number == 0 and placed is not None and (one.side == "Buy") == (placed.side > 0):
            said[one.symbol] = f"the {placed.name} was filled in this bar"
    return resting, said


def of_fills(
    working: Mapping[str, Resting], bars: Bars, shadow: Shadow, held: Mapping[str, Holding]
) -> Orders:
    """What was told of, followed by the last of these bars, on an account of real fills."""
    resting: dict[str, Resting] = {}
    said: dict[str, str] = {}
    if not working:
        return resting, said
    last, bits = len(bars) - 1, bar_bits(bars, shadow.trading.leave_at)[:, -1]
    for name, order in working.items():
        n = bars.symbols.index(name)
        if name in held:
            said[name] = f"the {order.name} was filled, by the fills that were told of"
            continue
        if not bars.present[last, n]:
            resting[name] = order
            continue
        row = shadow.rows[shadow.times.index(bars.index[bars.previous[last, n]])]
        fate, order = after_bar(order, bars, last, n, int(row.codes[n]) | int(bits[n]))
        if fate == "rests":
            resting[name] = order
        elif fate == "filled":
            said[name] = (
                f"the last bar traded through the {order.name}, and no fill of it was told of: "
                "give it with --fills, or cancel the order"
            )
        else:
            said[name] = expired(order)
    return resting, said


def after(
    decisions: Decisions | None, resting: Mapping[str, Resting], row: Row, bars: Bars
) -> dict[str, Resting]:
    """What rests from a close on: what did, less what is cancelled there, and what is placed."""
    out = dict(resting)
    for one in () if decisions is None else decisions.decisions:
        if one.cancels is not None:
            out.pop(one.symbol, None)
        entry, n = one.entry, bars.symbols.index(one.symbol)
        if entry is not None and entry.limit_bars is not None:
            out[one.symbol] = Resting(
                side=entry.side, price=entry.price, said=one.bar, left=entry.limit_bars,
                share=float(row.sizes[n]), stop=row.distance("stop", entry.side, n),
                take_profit=row.distance("take_profit", entry.side, n),
                volatility=float(row.volatility[n]), volume=float(bars.volume[-1, n]),
            )  # fmt: skip
    return out
