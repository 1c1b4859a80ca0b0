"""Every combination of rule, risk and bracket multiples at once, metrics computed on the way.

Of several symbols every cell is one shared account. It has a row as a whole, of symbol `TOTAL`, and
one for each symbol: the same account with that symbol's profits alone, so that profits add up.
Dimensions: T bars, N symbols, S rules, C = S x N columns, K columns of one account, P cells, D UTC
days.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import (
    AssumedTargetWarning,
    FewTradesWarning,
    InputError,
    StillPriceWarning,
)
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions, Target
from convnext_vbt.summary import Summary, listed, number, span
from convnext_vbt.trading import kernel
from convnext_vbt.trading.arguments import as_list, as_numbers, check_kinds, check_number, is_list
from convnext_vbt.trading.brackets import Brackets
from convnext_vbt.trading.cells import Cells, walk_grid
from convnext_vbt.trading.expectation import Exit, rule_brackets
from convnext_vbt.trading.inputs import (
    TRADING_DEFAULTS,
    SimulationConfig,
    Trail,
    check_inputs,
    day_ends,
    kernel_terms,
)
from convnext_vbt.trading.instruments import Instrument, have_carry, have_least_size
from convnext_vbt.trading.metrics import cell_metrics
from convnext_vbt.trading.rules import (
    RULE_DEFAULTS,
    RuleConfig,
    Threshold,
    check_same_bars,
    confidence_rules,
    swept_values,
    usual_threshold,
)
from convnext_vbt.trading.signals import Rules, Signals
from convnext_vbt.trading.simulation import Simulation, simulate_signals

if TYPE_CHECKING:
    import vectorbt as vbt

FEW_TRADES = 30
"""Under this many trades a cell's metrics say little."""

GRID = ("risk", "stop_multiple", "take_profit_multiple")

TOTAL = "total"
"""What the level "symbol" calls the whole account of several symbols."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepConfig:
    """The lists of a strategy file: every combination of them is a cell."""

    threshold: tuple[Threshold, ...] = (
        "q0.50", "q0.60", "q0.70", "q0.80", "q0.85", "q0.90", "q0.95", "q0.975", "q0.99",
    )  # fmt: skip
    risk: tuple[float, ...] = (0.0025, 0.005, 0.01, 0.02)
    stop_multiple: tuple[float, ...] = (1.0,)
    """Times the label's own barrier, or times `SimulationConfig.stop`."""
    take_profit_multiple: tuple[float, ...] = (1.0,)
    hysteresis: tuple[float, ...] | None = None
    """Values to sweep instead of `RuleConfig.hysteresis`."""
    min_edge: tuple[float, ...] | None = None
    """Values to sweep instead of `RuleConfig.min_edge`."""

    def __post_init__(self) -> None:
        own = [name for name in ("hysteresis", "min_edge") if getattr(self, name) is not None]
        for name in ("threshold", *own, *GRID):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise InputError(
                    f"{name} needs at least one value and no value twice, got {values}"
                )
        for value in self.risk:
            if not 0 < value <= 1:
                raise InputError(f"risk must lie in (0, 1], got {value}; 0.01 risks 1 % a trade")
        for name in GRID[1:]:
            for value in getattr(self, name):
                if not (value > 0 and np.isfinite(value)):
                    raise InputError(f"{name} must be positive and finite, got {value}")

    def including(
        self, threshold: Threshold, risk: float, min_edge: float | None = None
    ) -> SweepConfig:
        """The same lists with these among them, as a strategy's own always are."""
        edges = self.min_edge
        if edges is not None and min_edge is not None:
            edges = tuple(dict.fromkeys((*edges, min_edge)))
        return replace(
            self,
            min_edge=edges,
            threshold=tuple(dict.fromkeys((*self.threshold, threshold))),
            risk=tuple(dict.fromkeys((*self.risk, risk))),
        )

    @property
    def num_cells(self) -> int:
        """How many combinations there are."""
        own = (self.threshold, self.hysteresis or (None,), self.min_edge or (None,))
        lists = (*own, *(getattr(self, n) for n in GRID))
        return math.prod(map(len, lists))


SWEEP_DEFAULTS = SweepConfig()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepResult:
    """The metrics of every cell, and the means to look into any one of them."""

    bars: Bars
    predictions: Predictions
    rules: Rules
    """One column a rule and symbol, on all bars."""
    brackets: Brackets
    """Distances before the multiples, on all bars."""
    config: SimulationConfig
    """Costs, leverage and cash; its `risk` is the reference risk."""
    window: tuple[int, int]
    """Half-open range of bars that was traded: first to last prediction."""
    metrics: pd.DataFrame
    """One row a cell (`metrics.cell_metrics`), indexed by rule levels, risk, the multiples of
    which a list was given, symbol. Of several symbols, `TOTAL` and then each."""
    daily_returns: pd.DataFrame
    """UTC-day returns of each rule, its level "symbol" as in `metrics`, at the reference risk and
    first multiples."""
    reference_risk: float
    grid: dict[str, tuple[float, ...]]
    """The swept values of risk, stop_multiple and take_profit_multiple."""

    def __repr__(self) -> str:
        return str(self._summary())

    def _repr_html_(self) -> str:
        return self._summary().html()

    def _summary(self) -> Summary:
        table = self.account_metrics
        levels = [str(name) for name in table.index.names if name != "symbol"]
        swept = [f"{table.index.get_level_values(name).nunique()} {name}" for name in levels]
        quantiles = table["sharpe"].quantile([0.5, 0, 1])
        median, low, high = (number(value, "{:.2f}") for value in quantiles)
        gained = int((table["total_return"] > 0).sum())
        when = span(self.bars.index[slice(*self.window)])
        rows = (
            ("cells", " x ".join(swept)),
            ("traded", f"{listed(self.bars.symbols)}, {when}"),
            ("Sharpe ratio", f"{median} a year in the median cell, {low} to {high}, net of costs"),
            ("gained", f"{gained:,} of {len(table):,} cells"),
            ("next", "cv.headline(result): what could have been had without hindsight"),
        )
        return Summary(f"Sweep of {len(table):,} cells", rows)

    @property
    def signals(self) -> Signals:
        """The arrays of `rules`: of thousands of rules a lot, so `rules.take` those of interest."""
        return self.rules.signals()

    @property
    def window_bars(self) -> Bars:
        """The bars that were traded."""
        return self.bars.rows(*self.window)

    @property
    def account_metrics(self) -> pd.DataFrame:
        """The rows of `metrics` that are whole accounts: one a cell."""
        return self.metrics[self.whole_accounts]

    @property
    def whole_accounts(self) -> np.ndarray:
        """Which rows of `metrics` are whole accounts and not one symbol of many: bool (rows,)."""
        return self._whole(self.metrics.index)

    @property
    def account_returns(self) -> pd.DataFrame:
        """The columns of `daily_returns` that are whole accounts: one a rule."""
        return self.daily_returns.loc[:, self._whole(self.daily_returns.columns)]

    def _whole(self, index: pd.Index) -> np.ndarray:
        if len(self.bars.symbols) == 1:
            return np.ones(len(index), dtype=bool)
        return np.asarray(index.get_level_values("symbol") == TOTAL)

    def simulation(self, **cell: Any) -> Simulation:
        """Orders, trades and equity of one cell, over the window.

        `cell` gives a value for each level of `metrics.index`; a level that has one value may be
        left out, and without "symbol" it is the whole account. A symbol of several is that
        account with this symbol's orders and profits alone.

        Raises `ValueError` naming what exists.
        """
        columns = self.rules.columns
        levels = self.rules.rule_levels
        options: dict[str, list[Any]] = {name: list(columns.unique(name)) for name in levels}
        options["symbol"] = list(columns.unique("symbol"))
        if len(self.bars.symbols) > 1:
            options["symbol"].insert(0, TOTAL)
        options.update({name: list(self.grid[name]) for name in GRID})
        for name in cell:
            if name not in options:
                raise InputError(
                    f"{name!r} is not a level of this sweep; there are {list(options)}"
                )
        picked = {
            name: _pick(name, cell.get(name), values)
            for name, values in options.items()
            if name != "symbol" or "symbol" in cell
        }
        keep = np.ones(len(columns), dtype=bool)
        for name in levels:
            if name in picked:
                keep &= columns.get_level_values(name) == picked[name]
        if not keep.any():
            raise InputError(f"no column has {picked} together; there are {list(columns)}")
        brackets = self.brackets.scaled(
            stop=picked["stop_multiple"], take_profit=picked["take_profit_multiple"]
        )
        rules = self.rules.take(np.flatnonzero(keep)).rows(*self.window)
        symbol = picked.get("symbol", TOTAL)
        if symbol != TOTAL and symbol not in rules.symbols:
            raise InputError(f"no column has {picked} together; there are {list(columns)}")
        done = simulate_signals(
            self.window_bars,
            rules,
            brackets.rows(*self.window),
            config=replace(self.config, risk=picked["risk"]),
        )
        if len(self.bars.symbols) == 1 or symbol == TOTAL:
            return done
        return done.alone(list(rules.symbols).index(symbol))

    def portfolio(self, **cell: Any) -> vbt.Portfolio:
        """The native vectorbt portfolio of one cell; see `simulation`.

        It is one column, so that `.plot()` and the like need no selection; of several symbols one
        group, which shares its cash.
        """
        from convnext_vbt.trading.portfolio import to_portfolio

        portfolio = to_portfolio(self.simulation(**cell), self.window_bars)
        return portfolio if portfolio.wrapper.get_ndim() == 1 else portfolio.iloc[0]


def sweep(
    bars: Bars,
    preds: Predictions,
    *,
    threshold: Threshold | Sequence[Threshold] | None = None,
    risk: float | Sequence[float] = TRADING_DEFAULTS.risk,
    stop_multiple: float | Sequence[float] = SWEEP_DEFAULTS.stop_multiple[0],
    take_profit_multiple: float | Sequence[float] = SWEEP_DEFAULTS.take_profit_multiple[0],
    hysteresis: float | Sequence[float] = RULE_DEFAULTS.hysteresis,
    short: bool = RULE_DEFAULTS.short,
    short_threshold: Threshold | None = RULE_DEFAULTS.short_threshold,
    floor: float = RULE_DEFAULTS.floor,
    full: Threshold = RULE_DEFAULTS.full,
    abstain: float | None = RULE_DEFAULTS.abstain,
    min_edge: float | Sequence[float] | None = RULE_DEFAULTS.min_edge,
    full_edge: float | None = RULE_DEFAULTS.full_edge,
    exit: Exit = RULE_DEFAULTS.exit,  # noqa: A002 - the name of the key
    stop: float | None = TRADING_DEFAULTS.stop,
    take_profit: float | None = TRADING_DEFAULTS.take_profit,
    max_holding: int | None = TRADING_DEFAULTS.max_holding,
    fees: float = TRADING_DEFAULTS.fees,
    slippage: float = TRADING_DEFAULTS.slippage,
    max_leverage: float = TRADING_DEFAULTS.max_leverage,
    max_open_risk: float = TRADING_DEFAULTS.max_open_risk,
    init_cash: float = TRADING_DEFAULTS.init_cash,
    trail: Trail = TRADING_DEFAULTS.trail,
    break_even: float | None = TRADING_DEFAULTS.break_even,
    take_profit_ladder: tuple[tuple[float, float], ...] = TRADING_DEFAULTS.take_profit_ladder,
    leave_at: str | None = TRADING_DEFAULTS.leave_at,
    limit_offset: float | None = TRADING_DEFAULTS.limit_offset,
    limit_bars: int = TRADING_DEFAULTS.limit_bars,
    instruments: Mapping[str, Instrument] = TRADING_DEFAULTS.instruments,
    reference_risk: float | None = None,
    signals: Signals | None = None,
) -> SweepResult:
    """Trade every combination of threshold, hysteresis, min_edge, risk and bracket multiples.

    Each cell is an account of its own, from the first bar with a prediction to the last one;
    several symbols share it, `max_open_risk` and `max_leverage` being what all their positions
    together may risk and be worth. Thresholds make signal columns (`confidence_signals`); risk
    and the multiples are scalars inside the kernel, so memory grows with cells, not with cells x
    bars. `signals` is a rule of one's own in place of the threshold arguments.

    `threshold` None is "q0.90", or 0.5 of predictions that carry no quantiles: the side is then
    more likely than all else together. Without `stop` the brackets are the label's own
    (`target_brackets`); of predictions that name no target those of `Target()`, with a warning.
    `take_profit` and `max_holding` override theirs. With exit="edge" the stops stand
    alone, of `signals` too. Daily returns are kept for each
    rule column at `reference_risk` (default: the smallest swept, which the leverage cap distorts
    least) and the first multiples.

    Warns when over a third of the cells have fewer than 30 trades, and of an assumed target.

    Raises `ValueError` for inputs out of range or not of these bars.
    """
    check_kinds("sweep(bars, preds)", bars, preds)
    lists = SweepConfig(
        risk=tuple(as_numbers("risk", risk)),
        stop_multiple=tuple(as_numbers("stop_multiple", stop_multiple)),
        take_profit_multiple=tuple(as_numbers("take_profit_multiple", take_profit_multiple)),
    )
    if reference_risk is not None:
        check_number("reference_risk", reference_risk)
    trading = SimulationConfig(
        risk=min(lists.risk) if reference_risk is None else reference_risk, fees=fees,
        slippage=slippage, max_leverage=max_leverage, init_cash=init_cash, stop=stop,
        take_profit=take_profit, max_holding=max_holding, max_open_risk=max_open_risk,
        trail=trail, break_even=break_even,
        take_profit_ladder=take_profit_ladder, leave_at=leave_at, limit_offset=limit_offset,
        limit_bars=limit_bars, instruments=instruments,
    )  # fmt: skip
    rules: Rules
    if signals is None:
        rule = RuleConfig(
            hysteresis=as_numbers("hysteresis", hysteresis)[0], short=short,
            short_threshold=short_threshold, floor=floor, full=full, abstain=abstain,
            min_edge=as_numbers("min_edge", min_edge, optional=True)[0], full_edge=full_edge,
            exit=exit,
        )  # fmt: skip
        rules = confidence_rules(
            preds,
            bars,
            rule,
            trading=trading,
            thresholds=as_list(
                "threshold", usual_threshold(preds) if threshold is None else threshold
            ),
            hystereses=swept_values("hysteresis", hysteresis),
            min_edges=swept_values("min_edge", min_edge),
        )
    else:
        rules = signals
    given = zip(GRID[1:], (stop_multiple, take_profit_multiple), strict=True)
    shown = [name for name, value in given if is_list(value)]
    target = _assumed_target(preds, stop)
    return sweep_rules(bars, preds, rules, trading, lists, exits=exit, shown=shown, assumed=target)


def _assumed_target(preds: Predictions, stop: float | None) -> Target | None:
    """The target whose brackets are traded where nobody says any; None where it is not needed."""
    if preds.target is not None or stop is not None:
        return None
    target = Target()
    warnings.warn(
        f"these predictions name no target, so trades are given the brackets of the default one, "
        f"{target.horizon} bars and {target.up:g} sigma; give stop=, or from_frames(target=)",
        AssumedTargetWarning,
        stacklevel=3,
    )
    return target


def sweep_rules(
    bars: Bars,
    preds: Predictions,
    rules: Rules,
    trading: SimulationConfig,
    lists: SweepConfig,
    *,
    exits: Exit = "bracket",
    shown: Sequence[str] | None = None,
    assumed: Target | None = None,
) -> SweepResult:
    """`sweep` of rules that are there, by configurations as they stand in a strategy file.

    `trading.risk` is the reference risk; risks and multiples are those of `lists`. With exits =
    "edge" the brackets are their stops alone. `shown` names
    the multiples that are levels of the result, by default those of which there are several.
    `assumed` is the target of the brackets where the predictions name none.
    """
    brackets = check_sweep(bars, preds, rules, trading, lists, exits=exits, assumed=assumed)
    window = prediction_window(preds)
    cut = bars.rows(*window)
    traded, distances = rules.rows(*window), brackets.rows(*window)
    grid = {name: getattr(lists, name) for name in GRID}
    points = np.array(list(itertools.product(*grid.values())))
    base = np.array([trading.risk, lists.stop_multiple[0], lists.take_profit_multiple[0]])
    terms = kernel_terms(trading, brackets, "risk")
    _warn_still(preds, brackets)
    cells = walk_grid(cut, traded, distances, points=points, base=base, terms=terms, config=trading)
    if shown is None:
        shown = [name for name in GRID[1:] if len(grid[name]) > 1]
    metrics = _metrics(cut, cells, trading)
    metrics = metrics.set_index(_index(rules, cells, points, ["risk", *shown]))
    _warn_few_trades(metrics, _refused(cells))
    return SweepResult(
        bars=bars,
        predictions=preds,
        rules=rules,
        brackets=brackets,
        config=trading,
        window=window,
        metrics=metrics,
        daily_returns=pd.DataFrame(
            np.ascontiguousarray(cells.days[cells.is_there].T),
            index=cut.index[day_ends(cut)].normalize(),
            columns=_index(rules, cells, base[None], []),
        ),
        reference_risk=trading.risk,
        grid=grid,
    )


def check_sweep(
    bars: Bars,
    preds: Predictions,
    rules: Rules,
    trading: SimulationConfig,
    lists: SweepConfig,
    *,
    exits: Exit = "bracket",
    assumed: Target | None = None,
) -> Brackets:
    """Everything that `sweep_rules` refuses, and the brackets of all bars; nothing is traded."""
    check_same_bars(preds, bars)
    if TOTAL in bars.symbols:
        raise InputError(f"a symbol cannot be called {TOTAL!r}: that is the account; rename it")
    brackets = rule_brackets(bars, preds, trading, exits=exits, assumed=assumed)
    check_multiples(exits, lists)
    prediction_window(preds)
    check_inputs(bars, rules, brackets, "risk")
    return brackets


def check_multiples(exits: Exit, lists: SweepConfig) -> None:
    """Raise `ValueError` for take-profit multiples where there is no take-profit."""
    multiples = lists.take_profit_multiple
    if exits == "edge" and multiples != (1.0,):
        raise InputError(
            f"take_profit_multiple = {list(multiples)} has no meaning with exit = 'edge', which "
            "has no take-profit; leave it out or set exit = 'bracket'"
        )


def _metrics(bars: Bars, cells: Cells, config: SimulationConfig) -> pd.DataFrame:
    there = np.repeat(cells.is_there[:, None], cells.states.shape[1], axis=1)
    return cell_metrics(
        cells.states[there], init_cash=config.init_cash, num_bars=len(bars),
        years=bars.years, days_per_year=bars.days_per_year,
        with_funding=bars.funding is not None or have_carry(bars, config.instruments),
        with_refused=have_least_size(bars, config.instruments),
    )  # fmt: skip


def prediction_window(preds: Predictions) -> tuple[int, int]:
    """Half-open range from the first bar with a prediction to the last one.

    Raises `ValueError` when there is none.
    """
    rows = np.flatnonzero((preds.split >= 0).any(axis=1))
    if not len(rows):
        raise InputError("there is not a single prediction to trade on")
    return int(rows[0]), int(rows[-1]) + 1


def _index(rules: Rules, cells: Cells, points: np.ndarray, shown: Sequence[str]) -> pd.MultiIndex:
    """Labels of the rows of all accounts at all points: rule levels, those `shown`, symbol."""
    num_points, num_rows = len(points), cells.rows.shape[1]
    there = np.repeat(cells.is_there[:, None], num_points, axis=1).ravel()
    row = np.repeat(cells.rows[:, None], num_points, axis=1).ravel()[there]
    first = cells.rows[np.arange(len(cells.rows)), (cells.rows >= 0).argmax(axis=1)]
    first = np.repeat(first, num_points * num_rows)[there]
    point = np.tile(np.repeat(np.arange(num_points), num_rows), len(cells.rows))[there]
    arrays: list[Any] = [rules.columns.get_level_values(name)[first] for name in rules.rule_levels]
    arrays += [points[point, GRID.index(name)] for name in shown]
    symbols = rules.symbols[row]
    arrays.append(np.where(row < 0, TOTAL, symbols) if num_rows > 1 else symbols)
    return pd.MultiIndex.from_arrays(arrays, names=[*rules.rule_levels, *shown, "symbol"])


def _refused(cells: Cells) -> np.ndarray:
    """Entries that were refused, of each row of the metrics, int64."""
    there = np.repeat(cells.is_there[:, None], cells.states.shape[1], axis=1)
    refused: np.ndarray = cells.states[there][:, kernel.REFUSED].astype(np.int64)
    return refused


def _warn_few_trades(metrics: pd.DataFrame, refused: np.ndarray) -> None:
    symbols = metrics.index.get_level_values("symbol")
    if TOTAL in symbols:
        metrics, refused = metrics[symbols == TOTAL], refused[symbols == TOTAL]
    is_few = (metrics["trades"] < FEW_TRADES).to_numpy()
    few = int(is_few.sum())
    if few * 3 <= len(metrics):
        return
    remedy = "lower the thresholds, use quantiles such as 'q0.90', or test on more bars"
    lost = int(refused[is_few].sum())
    if lost > metrics["trades"][is_few].sum():
        remedy = (
            f"{lost:,} entries of theirs were refused, too small for the lot, min_notional or "
            "min_fee of [instruments]: raise init_cash or risk, or lower those"
        )
    warnings.warn(
        f"{few} of {len(metrics)} cells have fewer than {FEW_TRADES} trades (median "
        f"{metrics['trades'].median():g}): their metrics are mostly noise; {remedy}",
        FewTradesWarning,
        stacklevel=4,
    )


def untradable_bars(preds: Predictions, brackets: Brackets) -> dict[str, int]:
    """Bars with a prediction and no barrier, because the price never moved, by symbol with any."""
    if brackets.still is None:
        return {}
    count = ((preds.split >= 0) & brackets.still).sum(axis=0)
    return {preds.symbols[n]: int(count[n]) for n in np.flatnonzero(count)}


def _warn_still(preds: Predictions, brackets: Brackets) -> None:
    for symbol, count in untradable_bars(preds, brackets).items():
        warnings.warn(
            f"{symbol}: on {count:,} bar(s) with a prediction its price had never moved, so there "
            "is no barrier to trade by and no entry; a stop of your own (trading.stop) needs none",
            StillPriceWarning,
            stacklevel=4,
        )


def _pick(name: str, value: Any, options: list[Any]) -> Any:
    if value is None:
        if len(options) == 1:
            return options[0]
        raise InputError(f"{name} has {len(options)} values, name one of {options}")
    for option in options:
        numbers = isinstance(option, Real) and isinstance(value, Real)
        if option == value or (numbers and np.isclose(option, value, rtol=1e-9, atol=0)):
            return option
    raise InputError(f"{name}={value!r} was not swept; there are {options}")
