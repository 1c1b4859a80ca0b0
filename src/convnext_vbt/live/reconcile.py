"""What the shadow account did beside what really happened, order by order."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from convnext_vbt.live.clock import when
from convnext_vbt.live.entry import money_text
from convnext_vbt.live.fills import Fill, worth_of
from convnext_vbt.live.walk import Order
from convnext_vbt.market.bars import Bars

State = Literal["matched", "other size", "missing", "extra"]
NEXT_TO_NOTHING = 1e-6
"""Sizes that differ by less, as a share, are the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """All orders and all fills of one symbol and side within one bar, together.

    A reversal is two orders of the shadow account and may be one at an exchange; an order may be
    filled in many parts.
    """

    bar: pd.Timestamp
    symbol: str
    side: str
    state: State
    shadow_units: float
    shadow_price: float | None
    """Mean by units, of an inverse contract the harmonic one; None without, as below."""
    units: float
    price: float | None
    fills: int
    """How many there were."""
    worse_bp: float | None
    """How much worse the real price was, in basis points; negative where it was better."""
    cost: float | None
    """What that and the fees have cost more than the shadow's would on the same units."""


def reconcile(
    bars: Bars,
    orders: Sequence[Order],
    fills: Sequence[Fill],
    *,
    lot: float | None = None,
    inverse: Set[str] = frozenset(),
) -> list[Match]:
    """Every order and every fill once, in time; sizes within one lot are the same.

    A fill belongs to its symbol's bar that it lies in. One after the last bar has no order yet and
    is left for later. `inverse` are symbols.
    """
    of_orders: dict[tuple[pd.Timestamp, str, str], list[Order]] = {}
    of_fills: dict[tuple[pd.Timestamp, str, str], list[Fill]] = {}
    for order in orders:
        of_orders.setdefault((order.bar, order.symbol, order.side), []).append(order)
    for fill in fills:
        bar = _bar_of(bars, fill)
        if bar is not None:
            of_fills.setdefault((bar, fill.symbol, fill.side), []).append(fill)
    return [
        _match(key, of_orders.get(key, []), of_fills.get(key, []), lot, inverse=key[1] in inverse)
        for key in sorted({*of_orders, *of_fills})
    ]


def summary(matches: Sequence[Match]) -> dict[str, Any]:
    """How many of each state, and what the real fills cost more than the shadow's."""
    states = [one.state for one in matches]
    worse = [one.worse_bp for one in matches if one.worse_bp is not None]
    return {
        **{name: states.count(name) for name in ("matched", "other size", "missing", "extra")},
        "worse_bp": float(np.mean(worse)) if worse else None,
        "cost": float(sum(one.cost for one in matches if one.cost is not None)),
    }


def summary_lines(matches: Sequence[Match]) -> list[str]:
    """The summary and all that did not match, for people."""
    found = summary(matches)
    counts = ", ".join(
        f"{found[name]} {name}" for name in ("matched", "other size", "missing", "extra")
    )
    told = [f"fills against the shadow account: {counts}"]
    if found["worse_bp"] is not None:
        told.append(
            f"  the real prices were {found['worse_bp']:+.2f} bp worse on average; with the fees "
            f"that cost {money_text(found['cost'])}"
        )
    told += [
        f"  {one.state}: {one.side} {one.symbol} in the bar of {when(one.bar)}, shadow "
        f"{one.shadow_units:.8g}, real {one.units:.8g}"
        for one in matches
        if one.state != "matched"
    ]
    return told


def match_dict(one: Match) -> dict[str, Any]:
    """JSON's own types."""
    return asdict(one) | {"bar": one.bar.isoformat()}


def _match(
    key: tuple[pd.Timestamp, str, str],
    orders: Sequence[Order],
    fills: Sequence[Fill],
    lot: float | None,
    *,
    inverse: bool,
) -> Match:
    bar, symbol, side = key
    wanted, shadow_price = _together(orders, inverse=inverse)
    units, price = _together(fills, inverse=inverse)
    worse, cost = None, None
    if shadow_price is not None and price is not None:
        sign = 1.0 if side == "Buy" else -1.0
        worse = sign * (price / shadow_price - 1.0) * 1e4
        paid = sum(fill.fee + fill.fee_units * fill.price for fill in fills)
        due = sum(order.fee for order in orders) * units / wanted
        ours, shadows = (worth_of(units, one, inverse=inverse) for one in (price, shadow_price))
        cost = sign * (ours - shadows) + paid - due
    return Match(
        bar=bar, symbol=symbol, side=side, state=_state(wanted, units, lot), shadow_units=wanted,
        shadow_price=shadow_price, units=units, price=price, fills=len(fills), worse_bp=worse,
        cost=cost,
    )  # fmt: skip


def _state(wanted: float, units: float, lot: float | None) -> State:
    if not wanted:
        return "extra"
    if not units:
        return "missing"
    slack = max(NEXT_TO_NOTHING * wanted, 0.0 if lot is None else lot * (1.0 + NEXT_TO_NOTHING))
    return "matched" if abs(units - wanted) <= slack else "other size"


def _together(
    parts: Sequence[Order] | Sequence[Fill], *, inverse: bool
) -> tuple[float, float | None]:
    """Units in all, and the mean price by units, at which all are worth the same."""
    units = float(sum(part.units for part in parts))
    if not units:
        return units, None
    mean = sum(worth_of(part.units, part.price, inverse=inverse) for part in parts) / units
    return units, -1.0 / mean if inverse else mean


def _bar_of(bars: Bars, fill: Fill) -> pd.Timestamp | None:
    """The open of the symbol's bar that a fill lies in; its own minute where there is none."""
    own = bars.index[bars.present[:, bars.symbols.index(fill.symbol)]]
    k = int(own.searchsorted(fill.time, side="right")) - 1
    if k >= 0 and fill.time < own[k] + bars.step:
        return pd.Timestamp(own[k])
    is_later = fill.time >= bars.index[-1] + bars.step
    return None if is_later else pd.Timestamp(fill.time.floor("min"))
