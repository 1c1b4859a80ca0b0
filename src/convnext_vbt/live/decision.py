"""From a finished run and bars to what to do at the next open, as the backtest would do it.

Rule, exits, stops and sizes are those of `trading`. Dimensions: N symbols, K = 3 classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from convnext_vbt.errors import NoPredictionError
from convnext_vbt.live.account import Account, Limits, Resting
from convnext_vbt.live.entry import WORDS, Entry
from convnext_vbt.live.explain import reasons_of, warnings_of
from convnext_vbt.live.plan import Moment, Plan, plans_of, trading_of
from convnext_vbt.live.row import Row
from convnext_vbt.live.said import brackets_of, history_of, rule_signals, why_missing
from convnext_vbt.live.trained import Trained, one_bar, predict_now
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import DOWN, STAY, UP
from convnext_vbt.trading.codes import NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do in one symbol at the next open."""

    symbol: str
    bar: pd.Timestamp
    """Open time of the last finished bar, on which it rests."""
    known: pd.Timestamp
    """When that bar closed. The next open is then, or when the market opens again."""
    action: Literal["BUY", "SELL", "CANCEL", "WAIT"]
    """"CANCEL": take back what rests, and order nothing."""
    step: str
    """"enter long", "exit long", "reverse to short", "hold long", "rest long", "cancel long",
    "stay out" and the like."""
    units: float
    """To be bought or sold; of a reversal, what closes and what opens together. Where entries
    are limit orders a reversal is two orders, and this is what closes at the open."""
    target: float
    """Units to be held afterwards, negative when short; likewise before a limit is filled where
    one position ends and the other rests."""
    prob_down: float
    prob_stay: float
    prob_up: float
    entry: Entry | None
    """What is entered now; with `limit_bars` by a limit order."""
    resting: Resting | None
    """An entry that was told before and rests on: nothing else is entered."""
    would_take: Entry | None
    """What that comes to if it is filled; None where it is too small to be."""
    cancels: Resting | None
    """An entry that rested until now and is to be cancelled before anything else."""
    rests_until: pd.Timestamp | None
    """When an order that is placed or rests is over, on a market that never closes."""
    leave_after: int | None
    """Bars after which the position ends, unless its side is still signalled then."""
    leave_at: pd.Timestamp | None
    """The open at which that is, on a market that never closes."""
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """Every symbol's decision at one close."""

    run: str
    verdict: str
    """What the backtest came to: PASS, INCONCLUSIVE or FAIL."""
    bar: pd.Timestamp
    split: int
    """Number of the split whose network it is, from 0."""
    rule: dict[str, Any]
    """Levels of the rule that nested selection chose for it."""
    why_rule: str
    decisions: tuple[Decision, ...]
    missing: dict[str, str]
    """Symbols without a decision, and why."""
    difference: float | None
    """Largest difference of a probability from the backtest's, at the last bar that both have."""


def decide(
    trained: Trained,
    bars: Bars,
    account: Account,
    *,
    limits: Limits | None = None,
    difference: float | None = None,
) -> Decisions:
    """What to do at the open after the last of these bars.

    `bars` are finished and of the run's market. All symbols share the account, as in the backtest:
    exits come first, then entries are sized on one equity and cut by one factor at its caps. No
    more than `Trained.history` bars are needed, and a rule of the user's own is given all there
    are. `difference` is what `difference_from_backtest` found. Raises `NoPredictionError` when not
    a single symbol has a prediction.
    """
    return decide_with_row(trained, bars, account, limits=limits, difference=difference)[0]


def decide_with_row(
    trained: Trained,
    bars: Bars,
    account: Account,
    *,
    limits: Limits | None = None,
    difference: float | None = None,
) -> tuple[Decisions, Row]:
    """What `decide` says, and the rule's own row, which depends on no account."""
    split = trained.split_of(bars)
    proba_NK = predict_now(trained, split, bars)
    missing = {
        name: why_missing(trained, split, bars, n)
        for n, name in enumerate(bars.symbols)
        if np.isnan(proba_NK[n]).any()
    }
    if len(missing) == len(bars.symbols):
        raise NoPredictionError("; ".join(f"{name}: {why}" for name, why in missing.items()))
    preds = one_bar(trained, split, bars, proba_NK)
    cut = history_of(trained, split, bars)
    levels = trained.rule(split)
    moment = Moment(
        trained=trained,
        bars=cut,
        all_bars=bars,
        preds=preds,
        levels=levels,
        signals=rule_signals(trained, split, bars, preds),
        brackets=brackets_of(trained, levels, cut, preds),
        account=account,
        trading=trading_of(trained.config.trading, bars.symbols, limits or Limits()),
    )
    plans = plans_of(moment)
    row = Row.of(moment.signals, moment.brackets.rows(len(cut) - 1, len(cut)))
    decisions = Decisions(
        run=trained.directory.name,
        verdict=trained.verdict,
        bar=bars.index[-1],
        split=split.number,
        rule=levels,
        why_rule=trained.choices[split.number]["reason"],
        decisions=tuple(
            _decision(moment, n, plans[n])
            for n, name in enumerate(bars.symbols)
            if name not in missing
        ),
        missing=missing,
        difference=difference,
    )
    return decisions, row


def _decision(moment: Moment, n: int, plan: Plan) -> Decision:
    bars, held, entry = moment.bars, plan.held, plan.entry
    is_limit = entry is not None and entry.limit_bars is not None
    change, target = moment.limits(n).order(held.units, _meant(plan, is_limit))
    if entry is not None and held.side and not is_limit:
        entry = entry.of(target) if target * entry.side > 0 else None  # one order, rounded as one
    limit = moment.brackets.max_holding if entry is not None else None
    due = None if limit is None else bars.index[-1] + (limit + 1) * bars.step
    left = plan.resting.left if plan.resting else entry.limit_bars if entry else None
    until = None if left is None else bars.index[-1] + (left + 1) * bars.step
    down, stay, up = moment.preds.proba[0, n, [DOWN, STAY, UP]].tolist()
    return Decision(
        symbol=bars.symbols[n],
        bar=bars.index[-1],
        known=bars.index[-1] + bars.step,
        action=_action(change, entry, plan),
        step=_step(plan, plan.ends if change else NONE, entry),
        units=abs(change),
        target=target,
        prob_down=down,
        prob_stay=stay,
        prob_up=up,
        entry=entry,
        resting=plan.resting,
        would_take=plan.opens if plan.resting and isinstance(plan.opens, Entry) else None,
        cancels=plan.cancelled,
        rests_until=None if bars.closes[n] else until,
        leave_after=limit,
        leave_at=None if bars.closes[n] or is_limit else due,
        reasons=tuple(reasons_of(moment, n, plan)),
        warnings=tuple(warnings_of(moment, n, plan)),
    )


def _meant(plan: Plan, is_limit: bool) -> float:
    """Units to be held after the next open, whatever can be ordered; negative when short."""
    if plan.held.side and plan.ends == NONE:
        return plan.held.units
    if plan.entry is None or (is_limit and plan.held.side):
        return 0.0
    return plan.entry.side * plan.entry.units


def _action(
    change: float, entry: Entry | None, plan: Plan
) -> Literal["BUY", "SELL", "CANCEL", "WAIT"]:
    side = change or (entry.side if entry else 0)
    if side:
        return "BUY" if side > 0 else "SELL"
    return "CANCEL" if plan.cancelled else "WAIT"


def _step(plan: Plan, ends: int, entry: Entry | None) -> str:
    side, rests = plan.held.side, plan.resting
    if side == 0 and entry is None:
        if rests is not None:
            return f"rest {WORDS[rests.side]}"
        return "stay out" if plan.cancelled is None else f"cancel {WORDS[plan.cancelled.side]}"
    if side == 0:
        assert entry is not None
        return f"enter {WORDS[entry.side]}"
    if ends == NONE:
        return f"hold {WORDS[side]}"
    return f"exit {WORDS[side]}" if entry is None else f"reverse to {WORDS[entry.side]}"
