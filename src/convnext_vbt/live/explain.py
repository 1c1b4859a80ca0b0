"""Why a decision is what it is, and what to be careful of, gathered for one symbol."""

from __future__ import annotations

import math

import numpy as np

from convnext_vbt.live.clock import when
from convnext_vbt.live.entry import Entry, money_text
from convnext_vbt.live.plan import Moment, Plan, prices_of
from convnext_vbt.live.reasons import (
    cancel_reason,
    confidence_reasons,
    edge_exit_reason,
    order_reasons,
    own_rule_reason,
    rest_reason,
    size_reasons,
    volatility_reason,
    worth_reason,
)
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.gaps import find_gaps
from convnext_vbt.market.volatility import ewma_volatility
from convnext_vbt.trading.codes import MAX_HOLDING
from convnext_vbt.trading.expectation import expected_returns, round_trips
from convnext_vbt.trading.instruments import instrument_of
from convnext_vbt.trading.signals import LEVELS

REDUCE_ONLY = "send it as reduce-only, which exchanges take below the minimum"


def reasons_of(moment: Moment, n: int, plan: Plan) -> list[str]:
    """What it turned on, with its numbers."""
    rule, trading = moment.trained.config.rule, moment.trained.config.trading
    row = {name: getattr(moment.signals, name)[0, n].item() for name in (*LEVELS, "size")}
    said = _of_orders(moment, n, plan)
    if rule.file is None:
        said += confidence_reasons(moment.preds, n, rule, moment.levels, plan.held.side)
        said += _edge_reasons(moment, n, plan.held.side)
    else:
        said += [own_rule_reason(rule.file, row)]
    if plan.overdue is not None:
        said.append(
            f"its time was up at the close of {when(plan.overdue)}, where its side was not "
            "signalled again: a decision was missed"
        )
    elif plan.ends == MAX_HOLDING:
        said.append(f"it was held for {plan.bars_held} bars, and its side is not signalled again")
    if isinstance(plan.opens, str):
        said.append(f"no entry: {plan.opens}")
    if isinstance(plan.opens, Entry):
        share = row["size"] if plan.resting is None else plan.resting.share
        said += size_reasons(plan.opens, share, trading.risk)
        said += order_reasons(plan.opens, trading)
    if trading.stop is None:
        labels = moment.trained.config.labels
        sigma = ewma_volatility(moment.bars, halflife=labels.halflife)[-1, n]
        said.append(volatility_reason(sigma * math.sqrt(labels.horizon), labels))
    return said


def _of_orders(moment: Moment, n: int, plan: Plan) -> list[str]:
    """What became of a limit order, that one rests, or why it is cancelled."""
    told = moment.account.told.get(moment.bars.symbols[n])
    said = [] if told is None else [told]
    if plan.cancelled is not None:
        said.append(cancel_reason(plan.cancelled))
    if plan.resting is not None:
        said.append(rest_reason(plan.resting, when(plan.resting.said)))
    return said


def _edge_reasons(moment: Moment, n: int, side: int) -> list[str]:
    """What the expected return says, where the rule asks for it."""
    config = moment.trained.config
    min_edge = moment.levels.get("min_edge", config.rule.min_edge)
    if min_edge is None and config.rule.exit == "bracket":
        return []
    long, short = expected_returns(
        moment.preds, moment.last, config.trading, exits=config.rule.exit, history=moment.bars
    )
    sides = {1: float(long[0, n]), -1: float(short[0, n])}
    said = []
    if min_edge is not None:
        best = 1 if sides[1] >= sides[-1] or not config.rule.short else -1
        halflife = config.labels.halflife
        costs = round_trips(config.trading, moment.bars, halflife=halflife)[-1, n]
        said.append(worth_reason(best, sides[best], float(min_edge), float(costs)))
    if side and config.rule.exit == "edge":
        said.append(edge_exit_reason(side, sides[side]))
    return said


def warnings_of(moment: Moment, n: int, plan: Plan) -> list[str]:
    """What to be careful of."""
    limit = moment.brackets.max_holding
    said = _gaps(moment.bars, n)
    if plan.held.side and limit is not None and plan.held.entered is None:
        said.append(
            f"a position ends after {limit} bars unless its side is still signalled; give "
            "--entered, the open time of the bar it was filled in, to have that checked"
        )
    return [*_contracts(moment, n), *said, *(_small_exit(moment, n, plan) if plan.ends else [])]


def _contracts(moment: Moment, n: int) -> list[str]:
    """That units are not contracts, which is what a broker's ticket asks for."""
    own = instrument_of(moment.trading.instruments, moment.bars.symbols[n])
    size = own.lot if own.inverse else own.multiplier
    if size is None or size == 1:
        return []
    what = "of the quote currency, a lot of" if own.inverse else "of the underlying, a contract of"
    return [f"units are {what} {size:g}: order units / {size:g}, tell fills in units"]


def _small_exit(moment: Moment, n: int, plan: Plan) -> list[str]:
    """What of a position that ends cannot be ordered away, or is ordered though it is small."""
    limits, units = moment.limits(n), abs(plan.held.units)
    _, rest = limits.order(plan.held.units, 0.0)
    if rest and (plan.entry is None or plan.entry.limit_bars is not None):
        lot = f"less than one lot of {limits.lot:g}"
        return [f"{abs(rest):.8g} units cannot be ordered: {lot}"]
    price = float(prices_of(moment)[n])
    own = instrument_of(moment.trading.instruments, moment.bars.symbols[n])
    worth = units if own.inverse else units * price  # a contract is worth its units of money
    if limits.min_notional is None or worth >= limits.min_notional or plan.entry is not None:
        return []
    least = f"{limits.min_notional:,g}"
    return [f"the exit is worth {money_text(worth)}, under the minimum of {least}: {REDUCE_ONLY}"]


def _gaps(bars: Bars, n: int) -> list[str]:
    if bars.present[:, n].all() and (np.diff(bars.index.asi8) == bars.step.value).all():
        return []
    gaps = find_gaps(bars)
    gaps = gaps[gaps["symbol"] == bars.symbols[n]]
    if gaps.empty:
        return []
    missing = int(gaps["missing"].sum())
    text = f"{len(gaps)} gap(s), {missing} bars missing, in the {len(bars):,} bars of history"
    return [f"{text}: the backtest steps over them in the same way"]
