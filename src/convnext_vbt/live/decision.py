"""From a finished run and bars to what to do at the next open, as the backtest would do it.

Rule, exits, stops and sizes are those of `trading`. Dimensions: N symbols, K = 3 classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from convnext_vbt.errors import DataError, NoPredictionError
from convnext_vbt.live.account import FLAT, Account, Holding, Limits
from convnext_vbt.live.clock import when
from convnext_vbt.live.entry import WORDS, Book, Entry, money_text, place, to_entry
from convnext_vbt.live.reasons import (
    confidence_reasons,
    edge_exit_reason,
    order_reasons,
    own_rule_reason,
    size_reasons,
    volatility_reason,
    worth_reason,
)
from convnext_vbt.live.row import Row
from convnext_vbt.live.trained import (
    Trained,
    one_bar,
    predict_now,
    predict_since,
    recent,
)
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.gaps import bar_clock, find_gaps
from convnext_vbt.market.volatility import ewma_volatility
from convnext_vbt.predictions import DOWN, STAY, UP, Predictions, Split
from convnext_vbt.runs.strategy import own_signals, rule_exit
from convnext_vbt.trading import broker
from convnext_vbt.trading.brackets import Brackets
from convnext_vbt.trading.codes import ENTER_LONG, ENTER_SHORT, LEAVE, MAX_HOLDING, NONE
from convnext_vbt.trading.expectation import expected_returns, round_trips, rule_brackets
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.instruments import instrument_of
from convnext_vbt.trading.leaving import leave_rows_after
from convnext_vbt.trading.rules import confidence_rules
from convnext_vbt.trading.signals import LEVELS, Signals

LONGEST_HELD = 1000
"""Bars before those that are needed, in which the entry of a held position is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do in one symbol at the next open."""

    symbol: str
    bar: pd.Timestamp
    """Open time of the last finished bar, on which it rests."""
    known: pd.Timestamp
    """When that bar closed. The next open is then, or when the market opens again."""
    action: Literal["BUY", "SELL", "WAIT"]
    step: str
    """"enter long", "exit long", "reverse to short", "hold long", "stay out" and the like."""
    units: float
    """To be bought or sold; of a reversal, what closes and what opens together."""
    target: float
    """Units to be held afterwards, negative when short."""
    prob_down: float
    prob_stay: float
    prob_up: float
    entry: Entry | None
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
        name: _why_missing(trained, split, bars, n)
        for n, name in enumerate(bars.symbols)
        if np.isnan(proba_NK[n]).any()
    }
    if len(missing) == len(bars.symbols):
        raise NoPredictionError("; ".join(f"{name}: {why}" for name, why in missing.items()))
    preds = one_bar(trained, split, bars, proba_NK)
    cut = recent(bars, trained.history(trained.kept(split)) + LONGEST_HELD)
    levels = trained.rule(split)
    moment = _Moment(
        trained=trained,
        bars=cut,
        all_bars=bars,
        preds=preds,
        levels=levels,
        signals=_signals(trained, split, bars, preds),
        brackets=_brackets(trained, levels, cut, preds),
        account=account,
        trading=_trading(trained.config.trading, bars.symbols, limits or Limits()),
    )
    plans = _plans(moment)
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Moment:
    """All symbols at the last close."""

    trained: Trained
    bars: Bars
    """The history that was read."""
    all_bars: Bars
    """All that there are."""
    preds: Predictions
    """Of the last bar alone, as signals and brackets are."""
    levels: dict[str, Any]
    signals: Signals
    """One column a symbol."""
    brackets: Brackets
    """Of all the bars."""
    account: Account
    trading: SimulationConfig
    """The strategy's, its instruments under the limits that were given."""

    def limits(self, n: int) -> Limits:
        return Limits.of(instrument_of(self.trading.instruments, self.bars.symbols[n]))

    def held(self, n: int) -> Holding:
        return self.account.held.get(self.bars.symbols[n], FLAT)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What happens to one symbol at the next open."""

    held: Holding
    bars_held: int | None
    ends: int
    """The kernel's reason why the position ends, `NONE` if it does not or there is none."""
    opens: Entry | str | None
    """An entry, why a signalled one is not made, or None where none is signalled."""
    overdue: pd.Timestamp | None
    """The bar at whose close its time was up already, if it was."""

    @property
    def entry(self) -> Entry | None:
        return self.opens if isinstance(self.opens, Entry) else None


def _trading(config: SimulationConfig, symbols: Sequence[str], limits: Limits) -> SimulationConfig:
    """The strategy's own with the limits that were given over those of each instrument."""
    if limits == Limits():
        return config
    own = {name: limits.over(instrument_of(config.instruments, name)) for name in symbols}
    return replace(config, instruments=own)


def _signals(trained: Trained, split: Split, bars: Bars, preds: Predictions) -> Signals:
    """The chosen rule at the last bar, one column a symbol."""
    rule, levels = trained.config.rule, trained.rule(split)
    if rule.file is None:
        chosen_rule = replace(
            rule,
            threshold=levels["threshold"],
            hysteresis=levels.get("hysteresis", rule.hysteresis),
            min_edge=levels.get("min_edge", rule.min_edge),
        )
        last = bars.rows(len(bars) - 1, len(bars))
        trading = trained.config.trading
        return confidence_rules(preds, last, chosen_rule, trading=trading, history=bars).signals()
    signals = own_signals(rule.file, predict_since(trained, split, bars), bars)
    chosen = np.ones(len(signals.columns), dtype=bool)
    for name in signals.rule_levels:
        chosen &= signals.columns.get_level_values(name).astype(str) == str(levels.get(name))
    columns = np.flatnonzero(chosen)
    found = signals.symbols[columns].get_indexer(pd.Index(bars.symbols))
    if (found < 0).any():
        raise DataError(
            f"{rule.file} has no column {levels} of {bars.symbols[int((found < 0).argmax())]}; "
            "run the strategy again"
        )
    return signals.take(columns[found]).rows(len(bars) - 1, len(bars))


def _brackets(
    trained: Trained, levels: Mapping[str, Any], bars: Bars, preds: Predictions
) -> Brackets:
    """Stops and take-profits at the multiples that were chosen."""
    lists = trained.config.sweep
    exits = rule_exit(trained.config)
    return rule_brackets(bars, preds, trained.config.trading, exits=exits).scaled(
        stop=levels.get("stop_multiple", lists.stop_multiple[0]),
        take_profit=levels.get("take_profit_multiple", lists.take_profit_multiple[0]),
    )


def _plans(moment: _Moment) -> list[_Plan]:
    """Exits, then entries on what is left, as the kernel goes about an open."""
    symbols = range(len(moment.bars.symbols))
    held = [moment.held(n) for n in symbols]
    there = moment.bars.present[-1]
    codes = np.where(there, moment.signals.packed()[0][:, 0], 0).tolist()
    prices = _prices(moment)
    due = [_due(moment, n) for n in symbols]
    overdue = [
        None if _side_signalled(codes[n]) == held[n].side else _overdue(moment, n, due[n])
        for n in symbols
    ]
    codes = [code | bits for code, bits in zip(codes, _next_bits(moment), strict=True)]
    ends = [
        _why_it_ends(held[n], codes[n], is_due=due[n].now) if overdue[n] is None else MAX_HOLDING
        for n in symbols
    ]
    stays = np.array([held[n].side != 0 and ends[n] == NONE for n in symbols])
    closing = [n for n in symbols if ends[n] != NONE]
    cost = sum(_cost_of_closing(moment, n, prices[n]) for n in closing)
    sides = np.array([_side_signalled(codes[n]) for n in symbols])
    sides[stays] = 0
    book = Book(
        equity=moment.account.equity - cost,
        price=prices,
        units=np.array([held[n].units if stays[n] else 0.0 for n in symbols]),
        stop=np.array([_held_stop(moment, n, prices[n]) if stays[n] else 0.0 for n in symbols]),
    )
    row = moment.brackets.rows(len(moment.bars) - 1, len(moment.bars))
    opens: list[Entry | str | None] = [None for _ in symbols]
    if sides.any():
        last = moment.bars.rows(len(moment.bars) - 1, len(moment.bars))
        placed = place(book, sides, moment.signals.size[0].copy(), last, row, moment.trading)
        for n in np.flatnonzero(sides).tolist():
            opens[n] = to_entry(placed, n, row, equity=book.equity, config=moment.trading)
    return [
        _Plan(
            held=held[n], bars_held=due[n].held, ends=ends[n], opens=opens[n], overdue=overdue[n]
        )
        for n in symbols
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Due:
    """When the time of a held position is up, by the kernel's clock."""

    held: int | None = None
    """Bars of its symbol since the fill, that one included; None where it is not known."""
    before: tuple[int, ...] = ()
    """Rows at whose close it was decided whether it stays, its time up at the open after."""
    now: bool = False
    """Whether its time is up at the next open."""


def _due(moment: _Moment, n: int) -> _Due:
    held, limit, bars = moment.held(n), moment.brackets.max_holding, moment.bars
    if held.side == 0 or held.entered is None or held.entered < bars.index[0]:
        return _Due()
    own = np.flatnonzero(bars.present[:, n])
    entry = int(np.searchsorted(own, _row_of(bars, n, held.entered)))
    if limit is None or entry == len(own):
        return _Due(held=len(own) - entry)
    clock = bar_clock(bars)[own, n]
    clock, before, since = np.append(clock, clock[-1] + 1), [], clock[entry]
    for k in range(entry + 1, len(clock)):
        if clock[k] - since >= limit:  # it stays where its side is signalled, and time runs anew
            before.append(int(own[k - 1]))
            since = clock[k]
    now = bool(before) and before[-1] == own[-1]
    return _Due(held=len(own) - entry, before=tuple(before[:-1] if now else before), now=now)


def _overdue(moment: _Moment, n: int, due: _Due) -> pd.Timestamp | None:
    """The first bar before the last at whose close the time was up and its side not signalled.

    None where there is none, and where what was signalled then can no longer be told.
    """
    held, bars = moment.held(n), moment.all_bars
    skipped = len(bars) - len(moment.bars)
    for row in due.before:
        try:
            code = _code_at(moment.trained, bars.rows(0, skipped + row + 1), n)
        except DataError:
            return None
        if _side_signalled(code) != held.side:
            return pd.Timestamp(bars.index[skipped + row])
    return None


def _next_bits(moment: _Moment) -> list[int]:
    """What the next open says of itself: whether it is too late to hold anything."""
    leave_at, bars = moment.trading.leave_at, moment.bars
    if leave_at is None:
        return [0] * len(bars.symbols)
    late = leave_rows_after(bars, leave_at)
    return [LEAVE if one else 0 for one in late]


def _code_at(trained: Trained, bars: Bars, n: int) -> int:
    """What the rule of the time signalled at the last of these bars."""
    split = trained.split_of(bars)
    kept, present = trained.kept(split), int(bars.present[:, n].sum())
    if present < trained.history(kept):
        raise DataError(trained.too_short(kept, present))
    proba_NK = predict_now(trained, split, bars)
    if np.isnan(proba_NK[n]).any():
        raise DataError(_why_missing(trained, split, bars, n))
    preds = one_bar(trained, split, bars, proba_NK)
    return int(_signals(trained, split, bars, preds).packed()[0][n, 0])


def _prices(moment: _Moment) -> np.ndarray:
    """Each symbol's last close, or what the account reckons with, (N,)."""
    bars = moment.bars
    last = len(bars) - 1 - bars.present[::-1].argmax(axis=0)
    closes = bars.close[last, np.arange(len(bars.symbols))]
    given = [moment.account.prices.get(name, np.nan) for name in bars.symbols]
    return np.where(np.isnan(given), closes, given)


def _side_signalled(code: int) -> int:
    if code & LEAVE:
        return 0
    return 1 if code & ENTER_LONG else -1 if code & ENTER_SHORT else 0


def _held_stop(moment: _Moment, n: int, price: float) -> float:
    """The stop of a position that stays: its own if its entry is in the history, else today's."""
    held, bars = moment.held(n), moment.bars
    if held.stop is not None:
        return held.stop
    distances = getattr(moment.brackets, f"stop_{WORDS[held.side]}")[:, n]
    row = -1 if held.entered is None else _row_of(bars, n, held.entered)
    said = int(bars.previous[row, n]) if 0 < row < len(bars) else -1
    if said < 0 or not np.isfinite(bars.open[row, n] * distances[said]):
        last = np.flatnonzero(bars.present[:, n])[-1]
        return float(price * (1.0 - held.side * distances[last]))
    fill = bars.open[row, n] * (1.0 + held.side * moment.trading.slippage)
    return float(fill * (1.0 - held.side * distances[said]))


def _decision(moment: _Moment, n: int, plan: _Plan) -> Decision:
    bars, held, entry = moment.bars, plan.held, plan.entry
    change, target = moment.limits(n).order(held.units, _meant(plan), float(_prices(moment)[n]))
    if entry is not None and held.side:  # a reversal is one order, rounded as one
        entry = entry.of(target) if target * entry.side > 0 else None
    limit = moment.brackets.max_holding if entry is not None else None
    due = None if limit is None else bars.index[-1] + (limit + 1) * bars.step
    down, stay, up = moment.preds.proba[0, n, [DOWN, STAY, UP]].tolist()
    return Decision(
        symbol=bars.symbols[n],
        bar=bars.index[-1],
        known=bars.index[-1] + bars.step,
        action="WAIT" if change == 0 else "BUY" if change > 0 else "SELL",
        step=_step(held.side, plan.ends if change else NONE, entry),
        units=abs(change),
        target=target,
        prob_down=down,
        prob_stay=stay,
        prob_up=up,
        entry=entry,
        leave_after=limit,
        leave_at=None if bars.closes[n] else due,
        reasons=tuple(_reasons(moment, n, plan)),
        warnings=tuple(_warnings(moment, n, plan)),
    )


def _meant(plan: _Plan) -> float:
    """Units to be held after the next open, whatever can be ordered; negative when short."""
    if plan.held.side and plan.ends == NONE:
        return plan.held.units
    return 0.0 if plan.entry is None else plan.entry.side * plan.entry.units


def _why_it_ends(held: Holding, code: int, *, is_due: bool) -> int:
    """The kernel's own reason why a position ends at the next open; its stops rest elsewhere."""
    if held.side == 0:
        return NONE
    side, never = float(held.side), -held.side * math.inf
    reason: int = broker.reason_at_open_nb.py_func(side, 1.0, never, code, is_due)
    return reason


def _row_of(bars: Bars, n: int, time: pd.Timestamp) -> int:
    """The row of the symbol's bar that a fill lies in, or its first after it; T for none."""
    own = np.flatnonzero(bars.present[:, n])
    k = int(bars.index[own].searchsorted(time, side="right")) - 1
    within = k >= 0 and time < bars.index[own[k]] + bars.step
    return int(np.append(own, len(bars))[k if within else k + 1])


def _cost_of_closing(moment: _Moment, n: int, price: float) -> float:
    """Slippage and fee of closing a position, against its worth at `price`."""
    held, trading = moment.held(n), moment.trading
    own = instrument_of(trading.instruments, moment.bars.symbols[n])
    slippage = trading.slippage if own.slippage is None else own.slippage
    slippage += own.half_spread / price
    fees = trading.fees if own.taker is None else own.taker
    worth = abs(held.units) * (1.0 / price if own.inverse else price)
    fee = worth * (1.0 - held.side * slippage) * fees
    fee += abs(held.units) * own.fee_per_contract / own.multiplier
    return worth * slippage + max(fee, own.min_fee)


def _step(side: int, ends: int, entry: Entry | None) -> str:
    if side == 0:
        return "stay out" if entry is None else f"enter {WORDS[entry.side]}"
    if ends == NONE:
        return f"hold {WORDS[side]}"
    return f"exit {WORDS[side]}" if entry is None else f"reverse to {WORDS[entry.side]}"


def _reasons(moment: _Moment, n: int, plan: _Plan) -> list[str]:
    rule, trading = moment.trained.config.rule, moment.trained.config.trading
    row = {name: getattr(moment.signals, name)[0, n].item() for name in (*LEVELS, "size")}
    if rule.file is None:
        said = confidence_reasons(moment.preds, n, rule, moment.levels, plan.held.side)
        said += _edge_reasons(moment, n, plan.held.side)
    else:
        said = [own_rule_reason(rule.file, row)]
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
        said += size_reasons(plan.opens, row["size"], trading.risk)
        said += order_reasons(plan.opens, trading)
    if trading.stop is None:
        labels = moment.trained.config.labels
        sigma = ewma_volatility(moment.bars, halflife=labels.halflife)[-1, n]
        said.append(volatility_reason(sigma * math.sqrt(labels.horizon), labels))
    return said


def _edge_reasons(moment: _Moment, n: int, side: int) -> list[str]:
    """What the expected return says, where the rule asks for it."""
    config = moment.trained.config
    min_edge = moment.levels.get("min_edge", config.rule.min_edge)
    if min_edge is None and config.rule.exit == "bracket":
        return []
    last = moment.bars.rows(len(moment.bars) - 1, len(moment.bars))
    long, short = expected_returns(
        moment.preds, last, config.trading, exits=config.rule.exit, history=moment.bars
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


def _warnings(moment: _Moment, n: int, plan: _Plan) -> list[str]:
    limit = moment.brackets.max_holding
    said = _gaps(moment.bars, n)
    if plan.held.side and limit is not None and plan.held.entered is None:
        said.append(
            f"a position ends after {limit} bars unless its side is still signalled; give "
            "--entered, the open time of the bar it was filled in, to have that checked"
        )
    if plan.ends and (rest := _unsaleable(moment, n, plan)):
        said.append(rest)
    return said


def _unsaleable(moment: _Moment, n: int, plan: _Plan) -> str | None:
    """What of a position that ends cannot be ordered away, and why."""
    limits, price = moment.limits(n), float(_prices(moment)[n])
    wanted = _meant(plan)
    _, target = limits.order(plan.held.units, wanted, price)
    rest = abs(target - wanted)
    if rest == 0:
        return None
    if limits.lot is not None and rest < limits.lot:
        return f"{rest:.8g} units cannot be ordered: less than one lot of {limits.lot:g}"
    worth = money_text(rest * price)
    return f"it ends, but is worth {worth}, under the minimum of {limits.min_notional:,g}"


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


def _why_missing(trained: Trained, split: Split, bars: Bars, n: int) -> str:
    kept, present = trained.kept(split), bars.present[:, n]
    if not present[-1]:
        due = ""
        if present.any():
            last = bars.index[np.flatnonzero(present)[-1]]
            due = (
                f"; what its bar of {when(last)} said is due at its first open from "
                f"{when(last + bars.step)} on"
            )
        return f"no bar at {when(bars.index[-1])}{due}"
    if np.isnan(kept.fitted.mean[n]).any():
        return "hardly a bar in the training range, so the network has no scale for it"
    return trained.too_short(kept, int(present.sum()))
