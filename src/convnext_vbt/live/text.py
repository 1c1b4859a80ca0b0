"""Decisions for a person to read, and for a program."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from convnext_vbt.live.clock import when
from convnext_vbt.live.decision import Decision, Decisions
from convnext_vbt.live.entry import money_text
from convnext_vbt.predictions import CLASSES
from convnext_vbt.storage import plain

if TYPE_CHECKING:
    from convnext_vbt.live.journal import Close

NOT_AN_ORDER = "This is a decision, not an order: nothing was sent to any exchange."


def to_dict(decisions: Decisions) -> dict[str, Any]:
    """JSON's own types; times as ISO 8601, None where there is nothing."""
    facts: dict[str, Any] = plain(_iso(asdict(decisions)))
    return facts | {"note": NOT_AN_ORDER}


def lines(decisions: Decisions, notes: list[str]) -> list[str]:
    """What is printed: each symbol's decision first, then why, then what to be careful of."""
    out = []
    for one in decisions.decisions:
        out += [f"{one.symbol} · bar of {when(one.bar)}, closed {one.known:%H:%M}", *_action(one)]
        out += _indented("why", one.reasons)
        out += _indented("careful", one.warnings)
    rule = ", ".join(f"{name} {value}" for name, value in decisions.rule.items())
    agrees = "not compared with the backtest: these bars begin after it, or lack some of its bars"
    if decisions.difference is not None:
        to = "to the last bit" if decisions.difference == 0 else f"to {decisions.difference:.0e}"
        agrees = f"agrees with the backtest {to} where both have predictions"
    run = [
        f"{decisions.run}: its backtest's verdict is {decisions.verdict}",
        f"network of split {decisions.split + 1}, rule {rule} ({decisions.why_rule})",
        agrees,
    ]
    out += _indented("run", run)
    out += _indented("no decision", [f"{name}: {why}" for name, why in decisions.missing.items()])
    out += _indented("note", notes)
    return [*out, NOT_AN_ORDER]


def close_lines(close: Close, notes: list[str]) -> list[str]:
    """A close that was booked: the decision, then the shadow account as it was there."""
    late = f"decided late, at {when(close.decided_at)}" if close.late else ""
    if close.decisions is None:
        said = [f"bar of {when(close.bar)}: no decision, {close.refused}", NOT_AN_ORDER]
    else:
        said = lines(close.decisions, [*filter(None, [late]), *notes])
    account = [f"equity {money_text(close.state.equity)}"]
    for name, held in close.state.held.items():
        since = "" if held.entered is None else f" since {when(held.entered)}"
        stop = "" if held.stop is None else f", stop {held.stop:,.8g}"
        account.append(f"{held.units:+.8g} {name}{since}{stop}")
    for name, order in close.state.resting.items():
        more = f"rests, {order.left} bar{'s' * (order.left != 1)} more"
        rests = name in close.working and close.working[name].said == order.said
        account.append(f"{order.name} {more if rests else 'rested until now'}: {name}")
    account += [
        f"{order.name} expired unfilled: {name}" for name, order in close.state.expired.items()
    ]
    account += [
        f"filled {one.side} {one.units:.8g} {one.symbol} at {one.price:,.8g}"
        for one in close.state.orders
    ]
    return [*said[:-1], *_indented("shadow", account), *said[-1:]]


def _action(one: Decision) -> list[str]:
    probabilities = zip(CLASSES, (one.prob_down, one.prob_stay, one.prob_up), strict=True)
    out = [*_orders(one), "  " + "  ".join(f"{name} {p:.1%}" for name, p in probabilities)]
    entry = one.entry or one.would_take
    if entry is None:
        return out
    stop = "none" if entry.stop is None else f"{entry.stop:,.8g}"
    target = "none" if entry.take_profit is None else f"{entry.take_profit:,.8g}"
    far = "" if entry.take_profit_distance is None else f" ({entry.take_profit_distance:.2%} away)"
    worth, at_risk = money_text(entry.notional), money_text(entry.money_at_risk)
    out += [
        f"  size          {entry.units:.8g} units, {worth} at {entry.price:,.8g}",
        f"  stop          {stop} ({entry.stop_distance:.2%} away; it moves with the fill)",
        f"  take-profit   {target}{far}",
        f"  money at risk {at_risk}, {entry.risk:.2%} of equity, costs included",
    ]
    if one.leave_after is not None:
        at = "" if one.leave_at is None else f", at {when(one.leave_at)},"
        filled = " of its fill" if entry.limit_bars is not None else ""
        out.append(
            f"  leave         after {one.leave_after} bars{filled}{at} unless its side is "
            "signalled then"
        )
    return out


def _orders(one: Decision) -> list[str]:
    """What is to be ordered and cancelled, one order a line."""
    amount = f" {one.units:.8g}" if one.units else ""
    entry, rests = one.entry, one.resting
    out = [] if one.cancels is None else [f"CANCEL the {one.cancels.name}"]
    if rests is not None:
        out.append(f"WAIT: the {rests.name} {_lasts(rests.left, one, more=True)}; nothing else")
    elif entry is not None and entry.limit_bars is not None:
        is_reversal = one.step.startswith("reverse")
        if is_reversal:
            was = "short" if entry.side > 0 else "long"
            out.append(f"{one.action}{amount}: exit {was}, at the next open; target 0")
        word, name = ("BUY", "long") if entry.side > 0 else ("SELL", "short")
        lasts = _lasts(entry.limit_bars, one, more=False)
        out.append(
            f"{'then ' * is_reversal}{word} {entry.units:.8g} limit at {entry.price:,.8g}: "
            f"enter {name}, {lasts}; target {entry.side * entry.units:+.8g}"
        )
    elif one.action == "WAIT":
        out.append(f"WAIT: {one.step}; target {_target(one.target)}")
    elif one.action != "CANCEL":
        target = _target(one.target)
        out.append(f"{one.action}{amount}: {one.step}, at the next open; target {target}")
    return out


def _target(units: float) -> str:
    return f"{units:+.8g}" if units else "0"


def _lasts(bars: int, one: Decision, *, more: bool) -> str:
    until = "" if one.rests_until is None else f", until {when(one.rests_until)}"
    count = f"{bars} bar{'s' * (bars != 1)}{' more' * more}"
    return f"rests for {count}{until}"


def _indented(title: str, said: list[str] | tuple[str, ...]) -> list[str]:
    return [f"  {title if i == 0 else '':<13} {line}" for i, line in enumerate(said)]


def _iso(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _iso(item) for key, item in value.items()}
    return [_iso(item) for item in value] if isinstance(value, (list, tuple)) else value
