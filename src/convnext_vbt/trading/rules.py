"""The confidence rule: from probabilities to the signals of as many thresholds as are asked for.

Dimensions: T bars, N symbols, S rules, C = S x N columns (rules outer, symbols inner), F values
that a threshold takes: one for each walk-forward split and one where there is no prediction.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import DOWN, UP, Predictions
from convnext_vbt.trading.arguments import (
    as_list,
    as_numbers,
    check_kinds,
    check_number,
    is_list,
    is_number,
)
from convnext_vbt.trading.codes import ENTER, ENTER_LONG, ENTER_SHORT, EXIT_LONG, EXIT_SHORT
from convnext_vbt.trading.confidence import ConfidenceRules
from convnext_vbt.trading.expectation import (
    Exit,
    check_exit,
    expected_returns,
    least_returns,
    round_trips,
)
from convnext_vbt.trading.inputs import TRADING_DEFAULTS, SimulationConfig
from convnext_vbt.trading.signals import Signals

FULL_WITHOUT_QUANTILES = 0.80
"""Confidence that earns the full size when predictions carry no quantiles, and in a split that
nothing precedes to take them from."""

THRESHOLD_WITHOUT_QUANTILES = 0.50
"""Threshold of a sweep that is given none, likewise: the side is more likely than all else."""

Threshold = float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleConfig:
    """The confidence rule of a strategy file; the fields of `confidence_signals`."""

    threshold: Threshold = "q0.90"
    """Enter at this confidence: a probability, or a quantile of it such as "q0.90"."""
    hysteresis: float = 0.05
    """Leave when the probability falls this much below the threshold."""
    short: bool = True
    """Whether DOWN is sold short, or merely not bought."""
    short_threshold: Threshold | None = None
    """A threshold of its own for DOWN; none: the same."""
    floor: float = 0.25
    """Share of the full size that a trade right at the threshold gets."""
    full: Threshold = "q0.99"
    """Confidence from which on the full size is staked."""
    abstain: float | None = None
    """Coverage of the conformal sets, such as 0.5, that must name one side for an entry."""
    min_edge: float | None = None
    """Least net return expected of a trade, in round trips of costs; none: costs are not asked."""
    full_edge: float | None = None
    """Net return expected, in round trips, that earns the full size; it falls to `floor` at
    `min_edge`. None, without a `min_edge` or without costs: the size is by confidence."""
    exit: Exit = "bracket"
    """Leave by bracket and hysteresis, or "edge": when the expected return turns."""


RULE_DEFAULTS = RuleConfig()


def confidence_rules(
    preds: Predictions,
    bars: Bars,
    rule: RuleConfig,
    *,
    trading: SimulationConfig = TRADING_DEFAULTS,
    thresholds: Sequence[Threshold] | None = None,
    hystereses: Sequence[float] | None = None,
    min_edges: Sequence[float] | None = None,
    history: Bars | None = None,
) -> ConfidenceRules:
    """The recipe of `confidence_signals`, to which the errors belong.

    `thresholds`, `hystereses` and `min_edges` are traded each with each in place of the rule's
    own; only where the latter two are given do the columns have a level of theirs. Costs and
    brackets are those of `trading`, volatility is that of `history` (`expected_returns`).
    """
    check_same_bars(preds, bars)
    given = {"hysteresis": hystereses, "min_edge": min_edges}
    lists: dict[str, Sequence[Any]] = {
        "threshold": [rule.threshold] if thresholds is None else thresholds,
        "hysteresis": [rule.hysteresis] if hystereses is None else hystereses,
        "min_edge": [rule.min_edge] if min_edges is None else min_edges,
        "symbol": bars.symbols,
    }
    refuse_untradable(rule, trading, lists["threshold"], hystereses, min_edges)
    levels = [name for name in lists if given.get(name, True) is not None]
    columns = list(itertools.product(*(lists[name] for name in levels)))
    theta, gap, edge, symbol = np.indices([len(values) for values in lists.values()]).reshape(4, -1)
    long_SF = np.stack([threshold_values(preds, one, "threshold") for one in lists["threshold"]])
    short_SF = long_SF
    if rule.short_threshold is not None:
        own_F = threshold_values(preds, rule.short_threshold, "short_threshold")
        short_SF = np.tile(own_F, (len(long_SF), 1))
    asked = (None, *(value for value in lists["min_edge"] if value is not None))
    returns = None
    if rule.exit == "edge" or len(asked) > 1:
        returns = expected_returns(preds, bars, trading, exits=rule.exit, history=history)
    costs = _costs(preds, bars, trading, history)
    net = _net(returns if rule.full_edge is not None else None, costs)
    gaps = np.array(lists["hysteresis"] if rule.exit == "bracket" else [np.inf], np.float32)
    return ConfidenceRules(
        index=bars.index,
        columns=pd.MultiIndex.from_tuples(columns, names=levels),
        up=_time_last(preds.proba[:, :, UP]),
        down=_time_last(preds.proba[:, :, DOWN]),
        allowed=_allowed(preds, rule, asked, costs, returns),
        min_edges=asked,
        net=net,
        value=_time_last(preds.split_position),
        symbol=symbol,
        long=long_SF[theta],
        short=short_SF[theta],
        gap=gaps[gap],
        edge=edge + (lists["min_edge"][0] is not None),
        sized=edge + (lists["min_edge"][0] is not None),
        full=full_values(preds, rule),
        full_edge=rule.full_edge if net.size else None,
        floor=rule.floor,
        is_short=rule.short,
        exit=rule.exit,
    )


def _costs(
    preds: Predictions, bars: Bars, trading: SimulationConfig, history: Bars | None
) -> np.ndarray:
    """What entry and exit cost at each of these bars, (T, N)."""
    halflife = None if preds.target is None else preds.target.halflife
    source = bars if history is None else history
    return round_trips(trading, source, halflife=halflife)[len(source) - len(bars) :]


def _net(returns: tuple[np.ndarray, np.ndarray] | None, costs: np.ndarray) -> np.ndarray:
    """Net returns of a long and a short in round trips, float32 (2, N, T); none without costs."""
    if returns is None or (costs == 0).any():
        return np.zeros((2, 0, 0), dtype=np.float32)
    return np.stack([_time_last((gross - costs) / costs) for gross in returns]).astype(np.float32)


def _allowed(
    preds: Predictions,
    rule: RuleConfig,
    min_edges: Sequence[float | None],
    costs: np.ndarray,
    returns: tuple[np.ndarray, np.ndarray] | None,
) -> np.ndarray:
    """Sides that may be entered and must be left at each of these: uint8 (M, N, T) of bits."""
    free_TN = np.where(_may_enter(preds, rule.abstain), np.uint8(ENTER), np.uint8(0))
    if returns is None:
        return _time_last(free_TN)[None]
    long, short = returns
    leave_TN = np.zeros_like(free_TN)
    if rule.exit == "edge":
        leave_TN |= np.where(long < 0, np.uint8(EXIT_LONG), np.uint8(0))
        leave_TN |= np.where((short < 0) & rule.short, np.uint8(EXIT_SHORT), np.uint8(0))
    allowed = []
    for min_edge in min_edges:
        least = least_returns(min_edge, rule.exit, costs)
        worth_TN = np.where(long >= least, np.uint8(ENTER_LONG), np.uint8(0))
        worth_TN |= np.where(short >= least, np.uint8(ENTER_SHORT), np.uint8(0))
        asked_TN = free_TN if (least == -math.inf).all() else free_TN & worth_TN
        allowed.append(_time_last(asked_TN | leave_TN))
    return np.stack(allowed)


def _may_enter(preds: Predictions, abstain: float | None) -> np.ndarray:
    """Where a side may be entered at all: bool (T, N)."""
    if abstain is None:
        return np.ones(preds.split.shape, dtype=np.bool_)
    sets = preds.conformal_sets(abstain)
    return np.asarray(sets[:, :, UP] != sets[:, :, DOWN])


def full_values(preds: Predictions, rule: RuleConfig) -> np.ndarray:
    """The confidence that earns the full size, by `Predictions.split_position`: float32 (F,)."""
    if rule.full == RULE_DEFAULTS.full and preds.quantiles is None:
        return threshold_values(preds, FULL_WITHOUT_QUANTILES, "full")
    found_F = threshold_values(preds, rule.full, "full")
    unknown_F = np.isnan(found_F)
    unknown_F[-1] = False  # that is no split, but "no prediction"
    found_F[unknown_F] = FULL_WITHOUT_QUANTILES
    return found_F


def usual_threshold(preds: Predictions) -> Threshold:
    """The threshold of a sweep that is given none."""
    return RULE_DEFAULTS.threshold if preds.quantiles is not None else THRESHOLD_WITHOUT_QUANTILES


def confidence_signals(
    preds: Predictions,
    bars: Bars,
    *,
    threshold: Threshold | Sequence[Threshold],
    hysteresis: float | Sequence[float] = RULE_DEFAULTS.hysteresis,
    short: bool = RULE_DEFAULTS.short,
    short_threshold: Threshold | None = RULE_DEFAULTS.short_threshold,
    floor: float = RULE_DEFAULTS.floor,
    full: Threshold = RULE_DEFAULTS.full,
    abstain: float | None = RULE_DEFAULTS.abstain,
    min_edge: float | Sequence[float] | None = RULE_DEFAULTS.min_edge,
    full_edge: float | None = RULE_DEFAULTS.full_edge,
    exit: Exit = RULE_DEFAULTS.exit,  # noqa: A002 - the name of the key
    fees: float = TRADING_DEFAULTS.fees,
    slippage: float = TRADING_DEFAULTS.slippage,
    stop: float | None = TRADING_DEFAULTS.stop,
    take_profit: float | None = TRADING_DEFAULTS.take_profit,
    max_holding: int | None = TRADING_DEFAULTS.max_holding,
) -> Signals:
    """Signals of the confidence rule, one column a threshold (x hysteresis x min_edge) x symbol.

    A long is entered where P(UP) >= threshold and P(UP) > P(DOWN), and left where P(UP) falls
    below threshold - hysteresis; shorts mirror it. A short entry is itself the end of a long;
    with `short=False` it only ends the long. A tie enters nothing; a missing probability neither
    enters nor leaves. An entry's size is

        floor + (1 - floor) clip((p - threshold) / (full - threshold), 0, 1)

    and 1 where full <= threshold. A threshold is a probability in (0, 1) or a quantile of
    confidence such as "q0.90": out of fold on the split's own training range or, of predictions
    from elsewhere with splits, over the test ranges before, so that none is met in the first one.
    The default `full` is 0.80 where there are no such quantiles (`Predictions.from_frames`).

    With `abstain`, a coverage in (0, 1), there is no entry on a bar whose conformal set of that
    coverage (`Predictions.conformal_sets`) holds both UP and DOWN or neither of them; STAY may be
    in it or not. So no position is turned there either; one that is held ends by its own exit
    level, stop or time. The higher the coverage, the larger the sets and the fewer the entries.

    With `min_edge` there is an entry only where the return expected of the trade, net of costs, is
    at least so many round trips of costs, that is where

        expected gross return >= (1 + min_edge) x 2 x (fees + slippage)

    by `expectation.expected_returns`, which reads the target of the predictions and the same
    costs, stop, take-profit and holding limit that are handed to `simulate` or `sweep`. 0 asks that
    a trade pays for its costs, -1 that it is expected to gain before them. Where it is too little,
    no position is turned either. With `full_edge` too an entry's size is

        floor + (1 - floor) clip((net - min_edge) / (full_edge - min_edge), 0, 1)

    net being the net return expected of it in round trips, and 1 where full_edge <= min_edge; by
    confidence where there are no costs to measure it by.

    With exit="edge" a position is held until the expected gross return of its side is below 0,
    whatever the hysteresis: a long ends where P(UP) x u < P(DOWN) x d, u and d being what the two
    outcomes move. Trade it without take-profit and holding limit, which `sweep` sees to itself. A
    stop always stands, and after it the same entries are open as before.

    Columns: "threshold" as it was given, "hysteresis" and "min_edge" if a list was given, "symbol".

    Raises `ValueError` for a threshold, hysteresis, floor, min_edge or full_edge out of range, for
    predictions that do not belong to these bars, and for those without a target where it is needed.
    """
    check_kinds("confidence_signals(preds, bars)", bars, preds)
    rule = RuleConfig(
        hysteresis=as_numbers("hysteresis", hysteresis)[0], short=short,
        short_threshold=short_threshold, floor=floor, full=full, abstain=abstain,
        min_edge=as_numbers("min_edge", min_edge, optional=True)[0], full_edge=full_edge, exit=exit,
    )  # fmt: skip
    trading = SimulationConfig(
        fees=fees, slippage=slippage, stop=stop, take_profit=take_profit, max_holding=max_holding
    )
    return confidence_rules(
        preds,
        bars,
        rule,
        trading=trading,
        thresholds=as_list("threshold", threshold),
        hystereses=swept_values("hysteresis", hysteresis),
        min_edges=swept_values("min_edge", min_edge),
    ).signals()


def parse_threshold(threshold: Threshold, name: str = "threshold") -> tuple[str, float]:
    """("probability", p) or ("quantile", q) of a threshold as users write it.

    Raises `ValueError` naming what is allowed.
    """
    remedy = "give a probability in (0, 1) such as 0.5, or a quantile of confidence such as 'q0.90'"
    if isinstance(threshold, str):
        try:
            level = float(threshold[1:]) if threshold[:1] == "q" else float("nan")
        except ValueError:
            level = float("nan")
        if not 0 <= level <= 1:
            raise InputError(f"{name} {threshold!r} is not understood; {remedy}")
        return "quantile", level
    if not is_number(threshold):
        raise InputError(f"{name} {threshold!r} is not understood; {remedy}")
    if not 0 < threshold < 1:
        raise InputError(f"{name} must lie in (0, 1), got {threshold!r}; {remedy}")
    return "probability", float(threshold)


def check_same_bars(preds: Predictions, bars: Bars) -> None:
    """Raise `ValueError` unless the predictions speak of exactly these bars."""
    if preds.symbols != bars.symbols:
        raise InputError(f"predictions are of {preds.symbols}, the bars of {bars.symbols}")
    if not preds.index.equals(bars.index):
        raise InputError(
            f"predictions cover {len(preds.index):,} bars from {preds.index[0]}, the bars are "
            f"{len(bars):,} from {bars.index[0]}; give both the same index (NaN where there is "
            "no prediction)"
        )


def threshold_values(preds: Predictions, threshold: Threshold, name: str) -> np.ndarray:
    """The values that a threshold takes, by `Predictions.split_position`: float32 (F,)."""
    kind, value = parse_threshold(threshold, name)
    if kind == "quantile":
        return preds.split_quantiles(value)
    return np.full(len(preds.splits) + 1, value, dtype=np.float32)


def _time_last(values_TN: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values_TN.T)


def swept_values(name: str, values: Any) -> list[Any] | None:
    """The numbers that are given as a list, and make a level; None of a single value."""
    return as_numbers(name, values) if is_list(values) else None


def refuse_untradable(
    rule: RuleConfig,
    trading: SimulationConfig,
    thresholds: Sequence[Threshold],
    hystereses: Sequence[float] | None,
    min_edges: Sequence[float] | None,
) -> None:
    """Raise `ValueError` for what cannot be traded; the lists are those of a sweep, if any."""
    check_exit(rule.exit, trading)
    optional = {
        "abstain": rule.abstain,
        "min_edge": rule.min_edge,
        "full_edge": rule.full_edge,
    }
    given = {name: value for name, value in optional.items() if value is not None}
    for name, value in {"hysteresis": rule.hysteresis, "floor": rule.floor, **given}.items():
        check_number(name, value)
    for threshold in thresholds:
        parse_threshold(threshold)
    if rule.abstain is not None and not 0 < rule.abstain < 1:
        raise InputError(
            f"abstain must lie in (0, 1), got {rule.abstain:g}; 0.8 asks for sets that hold the "
            "outcome 80 % of the time"
        )
    if hystereses is not None and rule.exit == "edge":
        raise InputError(
            f"hysteresis = {list(hystereses)} has no meaning with exit = 'edge', which leaves when "
            "the expected return turns; sweep it with exit = 'bracket'"
        )
    lowest = min((t for t in thresholds if not isinstance(t, str)), default=1.0)
    for gap in [rule.hysteresis] if hystereses is None else hystereses:
        if rule.exit == "bracket" and not 0 <= gap < lowest:
            raise InputError(
                f"hysteresis must lie in [0, threshold), got {gap:g} with threshold {lowest:g}; "
                "the exit level is threshold - hysteresis"
            )
    for edge in [rule.min_edge] if min_edges is None else min_edges:
        if edge is not None and not -1 <= edge < math.inf:
            raise InputError(
                f"min_edge must be at least 0, or -1 for a gain before costs, got {edge}; it "
                "counts round trips: 1 asks for as much again as the costs, on top of them"
            )
    if rule.full_edge is not None and not 0 < rule.full_edge < math.inf:
        raise InputError(
            f"full_edge must lie in (0, inf), got {rule.full_edge}; it is the net return in round "
            "trips of costs that stakes all, such as 2.5"
        )
    if not 0 <= rule.floor <= 1:
        raise InputError(f"floor must lie in [0, 1], got {rule.floor}")
    if rule.short_threshold is not None and not rule.short:
        raise InputError("short_threshold has no meaning with short=False; leave one of them out")
