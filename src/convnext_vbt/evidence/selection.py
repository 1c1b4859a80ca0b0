"""Nested selection: at every split the rule that had done best by then, traded as one strategy.

No rule is judged on the ranges that it was chosen with, so the joined account is a result that
could have been had. Only the rule is selected: its threshold, and exit level, stop and take-profit
multiple where a list of them was swept; never the risk.
Dimensions: T bars, W bars of the simulated window, N symbols, R rules, K splits.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.evidence.accounts import Account
from convnext_vbt.evidence.cells import Cells
from convnext_vbt.evidence.records import has_splits, test_ranges, track_record
from convnext_vbt.evidence.window import Window
from convnext_vbt.predictions import Range
from convnext_vbt.trading.brackets import Brackets
from convnext_vbt.trading.signals import LEVELS, Rules, Signals
from convnext_vbt.trading.simulation import Simulation
from convnext_vbt.trading.sweep import FEW_TRADES, SweepResult

FEWEST_RANGES = 2
USUAL_THRESHOLD = "q0.90"
MULTIPLES = ("stop_multiple", "take_profit_multiple")
USUAL_MULTIPLE = 1.0
OWN_RULE = "own"
"""What a rule of the user's own without parameters is called."""

REASONS = (
    "best of the earlier test ranges",
    f"initial: fewer than {FEWEST_RANGES} earlier test ranges",
    f"initial: no rule with {FEW_TRADES} trades in the earlier test ranges",
    "fixed beforehand: no splits to choose by",
)

How = Literal["nested", "initial", "fixed"]
"""How the rules came about: chosen by earlier test ranges in some split; never, so that the initial
one was traded throughout; or one rule that the caller fixed, where there was nothing to choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What is fixed before any result is seen: given, never selected."""

    initial: Hashable | None = None
    """What is traded until there are two earlier test ranges, and where no rule qualifies: a
    threshold (the first rule that has it) or the tuple of all the rule's levels. None takes
    "q0.90" if that was swept, else the middle rule; without splits, where it is traded throughout,
    several rules need it to be named."""
    risk: float | None = None
    """Share of equity that a trade of full size risks; None takes the sweep's reference risk."""
    seed: int = 0
    """Of every null and random cut."""


USUAL = Preset()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """The rule chosen for each split, and the one account that follows the choices."""

    choices: pd.DataFrame
    """One row a split (index "split"); the columns are those of `nested_selection`."""
    signals: Signals
    """The chosen columns joined: all T bars, one column a symbol, nothing outside test ranges."""
    brackets: Brackets
    """Their stops and take-profits at the multiples chosen, on all T bars."""
    simulation: Simulation
    """The joined signals over the sweep's window. A position that is open when the rule changes
    carries over under its own stop."""
    account: Account
    """Of the simulation."""
    test_ranges: dict[int, Range]
    """By split number: half-open range of bars of the simulation."""
    how: How
    """Whether anything was chosen at all."""


def nested_selection(
    res: SweepResult, preset: Preset = USUAL, *, cells: Cells | None = None
) -> Selection:
    """Choose each split's rule by what was known at the close of the bar before its test range.

    At split k that is the rule with the best Sharpe ratio of daily net returns from the start of
    the window to that close, among rules with at least 30 trades closed by then. Equal ratios go
    to the higher number in the threshold, then to the later column. Until there are two earlier
    test ranges, and where no rule qualifies, it is `preset.initial`. Several symbols share one
    account.

    Swept stop and take-profit multiples are selected with the rule; until then they are 1, or the
    first of their list. Rules are compared at the sweep's reference risk; the joined signals are
    traded at `preset.risk`.

    `choices` has the rule's levels ("threshold", ..., and the multiples of which several were
    swept), then sharpe (annual) and trades of the chosen rule up to that close (NaN and 0 for the
    first split, which nothing precedes), candidates (rules that qualified) and reason.

    `cells` have the records of some rules already; the others are simulated here.

    Without splits nothing can be chosen: one rule is traded throughout, the only one or
    `preset.initial`, and `how` is "fixed".

    Raises `ValueError` when `preset.initial` is not among the rules, and when it is None where
    there are several and no splits.
    """
    rules, columns_RN, multiples_R2 = _candidates(res.rules, res.grid)
    several = has_splits(res.predictions)
    if preset.initial is None and not several and len(rules) > 1:
        raise InputError(_several_rules(rules))
    first = _initial(rules, preset.initial)
    ranges = test_ranges(res.predictions, res.window)
    starts = [start for start, _ in ranges.values()]
    sharpe_RK, trades_RK = _track_records(res, rules, columns_RN, multiples_R2, starts, cells)
    chosen, reasons = _choose(sharpe_RK, trades_RK, _heights(rules), first)
    if not several:
        reasons = [REASONS[3]] * len(reasons)
    signals = _join(res, columns_RN, ranges, chosen)
    brackets = _join_brackets(res, multiples_R2, ranges, chosen)
    simulation = Window(res).simulate(signals, brackets, risk=preset.risk)
    rows = np.arange(len(starts))
    choices = (
        rules[chosen]
        .to_frame(index=False)
        .assign(
            sharpe=sharpe_RK[chosen, rows],
            trades=trades_RK[chosen, rows],
            candidates=_qualified(sharpe_RK, trades_RK).sum(axis=0),
            reason=reasons,
        )
    )
    return Selection(
        choices=choices.set_index(pd.Index(ranges, name="split")),
        signals=signals,
        brackets=brackets,
        simulation=simulation,
        account=Account.of(simulation),
        test_ranges=ranges,
        how=_how(reasons, num_rules=len(rules), several_splits=several),
    )


def rule_of(res: SweepResult, cell: Mapping[str, Any]) -> Hashable:
    """What `Preset.initial` calls the rule of a cell that is given by all its levels."""
    names = list(res.rules.rule_levels)
    names += [name for name in MULTIPLES if len(res.grid[name]) > 1]
    levels = tuple(cell[name] for name in names)
    if not res.rules.rule_levels:
        levels = (OWN_RULE, *levels)
    return levels[0] if len(levels) == 1 else levels


def _how(reasons: Sequence[str], *, num_rules: int, several_splits: bool) -> How:
    if not several_splits or num_rules == 1:
        return "fixed"
    return "nested" if REASONS[0] in reasons else "initial"


def _several_rules(rules: pd.Index) -> str:
    shown = ", ".join(repr(rule) for rule in list(rules)[:4])
    more = f" and {len(rules) - 4:,} more" if len(rules) > 4 else ""
    return (
        f"these predictions carry no splits to choose a rule by, and {len(rules):,} rules were "
        f"swept ({shown}{more}); name the one that you trade, by initial= of headline or selected= "
        "of write_report, sweep one, or give Predictions.from_frames its splits="
    )


def check_initial(swept: Rules, grid: Mapping[str, Sequence[float]], preset: Preset) -> None:
    """Raise `ValueError` where `preset.initial` is none of the rules that a sweep would have."""
    rules, _, _ = _candidates(swept, grid)
    _initial(rules, preset.initial)


def _candidates(
    swept: Rules, grid: Mapping[str, Sequence[float]]
) -> tuple[pd.Index, np.ndarray, np.ndarray]:
    """Every rule at every bracket multiple: levels, columns (R, N), both multiples (R, 2).

    The usual multiples come first, so that a threshold alone names its rule with them.
    """
    rules, columns_RN = _rules(swept)
    lists = [sorted(grid[name], key=lambda m: m != USUAL_MULTIPLE) for name in MULTIPLES]
    points = np.array(list(itertools.product(*lists)))
    levels = rules.repeat(len(points)).to_frame(index=False)
    multiples_R2 = np.tile(points, (len(rules), 1))
    for name, values, column in zip(MULTIPLES, lists, multiples_R2.T, strict=True):
        if len(values) > 1:
            levels[name] = column
    joined = (
        pd.Index(levels.iloc[:, 0]) if levels.shape[1] == 1 else pd.MultiIndex.from_frame(levels)
    )
    return joined, columns_RN.repeat(len(points), axis=0), multiples_R2


def _rules(swept: Rules) -> tuple[pd.Index, np.ndarray]:
    """The rules in column order, and each one's columns by symbol, (R, N); -1 where it has none."""
    symbols = swept.symbols.unique()
    if swept.rule_levels:
        rules = swept.columns.droplevel("symbol").unique()
        numbers = rules.get_indexer(swept.columns.droplevel("symbol"))
    else:  # a rule of the user's own, without parameters
        rules = pd.Index([OWN_RULE], name="rule")
        numbers = np.zeros(len(swept.columns), dtype=np.int64)
    columns_RN = np.full((len(rules), len(symbols)), -1)
    columns_RN[numbers, symbols.get_indexer(swept.symbols)] = np.arange(len(numbers))
    return rules, columns_RN


def initial_columns(rules: Rules, initial: Hashable | None) -> np.ndarray:
    """The columns, one a symbol, of the rule that a selection begins with; see `Preset`."""
    levels, columns_RN = _rules(rules)
    columns: np.ndarray = columns_RN[_initial(levels, initial)]
    return columns[columns >= 0]


def initial_multiple(values: Sequence[float]) -> float:
    """The multiple of a stop or take-profit that a selection begins with, of those swept."""
    return min(values, key=lambda multiple: multiple != USUAL_MULTIPLE)


def _initial(rules: pd.Index, initial: Hashable | None) -> int:
    thresholds = list(rules.get_level_values("threshold" if "threshold" in rules.names else 0))
    if initial is None:
        usual = USUAL_THRESHOLD in thresholds
        return thresholds.index(USUAL_THRESHOLD) if usual else len(rules) // 2
    for values in (list(rules), thresholds):
        if initial in values:
            return values.index(initial)
    raise InputError(f"initial = {initial!r} is not among the rules; there are {list(rules)}")


def _heights(rules: pd.Index) -> np.ndarray:
    """The number in each rule's threshold, (R,): 0.9 of "q0.90"; 0 where there is none."""
    if "threshold" not in rules.names:
        return np.zeros(len(rules))
    texts = [str(value).removeprefix("q") for value in rules.get_level_values("threshold")]
    numbers = pd.to_numeric(pd.Series(texts), errors="coerce")
    return np.asarray(numbers.fillna(0.0), dtype=np.float64)


def _track_records(
    res: SweepResult,
    rules: pd.Index,
    columns_RN: np.ndarray,
    multiples_R2: np.ndarray,
    starts: Sequence[int],
    cells: Cells | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Annual Sharpe ratio and closed trades of each rule on bars [0, start), (R, K) both."""
    window, names = Window(res), [str(name) for name in rules.names]
    records = []
    for levels, columns, (stop, target) in zip(rules, columns_RN, multiples_R2, strict=True):
        values = levels if len(names) > 1 else (levels,)
        record = cells.record(dict(zip(names, values, strict=True))) if cells else None
        if record is None:
            brackets = res.brackets.scaled(stop=stop, take_profit=target)
            made = window.simulate(res.rules.take(columns[columns >= 0]), brackets)
            record = track_record(Account.of(made), starts, res.bars.days_per_year)
        records.append(record)
    return np.stack([one.sharpes for one in records]), np.stack([one.trades for one in records])


def _qualified(sharpe_RK: np.ndarray, trades_RK: np.ndarray) -> np.ndarray:
    return np.asarray((trades_RK >= FEW_TRADES) & np.isfinite(sharpe_RK))


def _choose(
    sharpe_RK: np.ndarray, trades_RK: np.ndarray, heights: np.ndarray, initial: int
) -> tuple[np.ndarray, list[str]]:
    """The chosen rule of each split, (K,), and why."""
    qualified_RK = _qualified(sharpe_RK, trades_RK)
    chosen, reasons = [], []
    for k in range(sharpe_RK.shape[1]):
        candidates = np.flatnonzero(qualified_RK[:, k]).tolist()
        if k < FEWEST_RANGES or not candidates:
            chosen.append(initial)
            reasons.append(REASONS[1] if k < FEWEST_RANGES else REASONS[2])
            continue
        chosen.append(max(candidates, key=lambda r: (sharpe_RK[r, k], heights[r], r)))
        reasons.append(REASONS[0])
    return np.array(chosen, dtype=np.int64), reasons


def _join(
    res: SweepResult, columns_RN: np.ndarray, ranges: dict[int, Range], chosen: np.ndarray
) -> Signals:
    symbols = res.rules.symbols.unique()
    shape = (len(res.rules.index), len(symbols))
    joined = {name: np.zeros(shape, dtype=bool) for name in LEVELS} | {"size": np.zeros(shape)}
    for rule, (start, stop) in zip(chosen, ranges.values(), strict=True):
        there = np.flatnonzero(columns_RN[rule] >= 0)
        first, last = start + res.window[0], stop + res.window[0]
        own = res.rules.take(columns_RN[rule, there]).rows(first, last).signals()
        for name, values in joined.items():
            values[first:last, there] = getattr(own, name)
    columns = pd.MultiIndex.from_arrays([symbols], names=["symbol"])
    return Signals(index=res.rules.index, columns=columns, **joined)


def _join_brackets(
    res: SweepResult, multiples_R2: np.ndarray, ranges: dict[int, Range], chosen: np.ndarray
) -> Brackets:
    multiples_T2 = np.ones((len(res.rules.index), 2))
    for rule, (start, stop) in zip(chosen, ranges.values(), strict=True):
        multiples_T2[start + res.window[0] : stop + res.window[0]] = multiples_R2[rule]
    stop_T1, target_T1 = multiples_T2[:, :1], multiples_T2[:, 1:]
    return replace(
        res.brackets,
        stop_long=res.brackets.stop_long * stop_T1,
        stop_short=res.brackets.stop_short * stop_T1,
        take_profit_long=res.brackets.take_profit_long * target_T1,
        take_profit_short=res.brackets.take_profit_short * target_T1,
    )
