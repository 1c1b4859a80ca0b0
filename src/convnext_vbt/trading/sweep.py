"""Every combination of rule, risk and bracket multiples at once, metrics computed on the way.

Dimensions: T bars, N symbols, S rules, C = S x N columns, P cells, D UTC days.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions
from convnext_vbt.trading import kernel
from convnext_vbt.trading.metrics import cell_metrics
from convnext_vbt.trading.signals import (
    Signals,
    Threshold,
    as_list,
    check_same_bars,
    confidence_signals,
)
from convnext_vbt.trading.simulation import (
    Brackets,
    Simulation,
    SimulationConfig,
    check_inputs,
    fixed_brackets,
    kernel_inputs,
    kernel_terms,
    simulate_signals,
    target_brackets,
)

if TYPE_CHECKING:
    import vectorbt as vbt

FEW_TRADES = 30
"""Under this many trades a cell's metrics say little."""

GRID = ("risk", "stop_multiple", "take_profit_multiple")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepResult:
    """The metrics of every cell, and the means to look into any one of them."""

    bars: Bars
    predictions: Predictions
    signals: Signals
    """One column a rule and symbol, on all bars."""
    brackets: Brackets
    """Distances before the multiples, on all bars."""
    config: SimulationConfig
    """Costs, leverage and cash; its `risk` is the reference risk."""
    window: tuple[int, int]
    """Half-open range of bars that was traded: first to last prediction."""
    metrics: pd.DataFrame
    """One row a cell (`metrics.cell_metrics`), indexed by rule levels, risk, the multiples of
    which a list was given, symbol."""
    daily_returns: pd.DataFrame
    """UTC-day returns (D, S x N) of each rule column at the reference risk and first multiples."""
    reference_risk: float
    grid: dict[str, tuple[float, ...]]
    """The swept values of risk, stop_multiple and take_profit_multiple."""

    @property
    def window_bars(self) -> Bars:
        """The bars that were traded."""
        return self.bars.rows(*self.window)

    def simulation(self, **cell: Any) -> Simulation:
        """Orders, trades and equity of one cell, over the window.

        `cell` gives a value for each level of `metrics.index`; a level that has one value may be
        left out, and without "symbol" all symbols are simulated, a column each.

        Raises `ValueError` naming what exists.
        """
        columns = self.signals.columns
        levels = [*self.signals.rule_levels, "symbol"]
        options: dict[str, list[Any]] = {name: list(columns.unique(name)) for name in levels}
        options.update({name: list(self.grid[name]) for name in GRID})
        for name in cell:
            if name not in options:
                raise ValueError(
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
            raise ValueError(f"no column has {picked} together; there are {list(columns)}")
        brackets = self.brackets.scaled(
            stop=picked["stop_multiple"], take_profit=picked["take_profit_multiple"]
        )
        return simulate_signals(
            self.window_bars,
            self.signals.take(np.flatnonzero(keep)).rows(*self.window),
            brackets.rows(*self.window),
            config=replace(self.config, risk=picked["risk"]),
        )

    def portfolio(self, **cell: Any) -> vbt.Portfolio:
        """The native vectorbt portfolio of one cell; see `simulation`."""
        from convnext_vbt.trading.portfolio import to_portfolio

        return to_portfolio(self.simulation(**cell), self.window_bars)


def sweep(
    bars: Bars,
    preds: Predictions,
    *,
    threshold: Threshold | Sequence[Threshold] = "q0.90",
    risk: float | Sequence[float] = 0.01,
    stop_multiple: float | Sequence[float] = 1.0,
    take_profit_multiple: float | Sequence[float] = 1.0,
    hysteresis: float | Sequence[float] = 0.05,
    short: bool = True,
    short_threshold: Threshold | None = None,
    floor: float = 0.25,
    full: Threshold = "q0.99",
    abstain: float | None = None,
    stop: float | None = None,
    take_profit: float | None = None,
    max_holding: int | None = None,
    fees: float = 0.0005,
    slippage: float = 0.0002,
    max_leverage: float = 1.0,
    init_cash: float = 10_000.0,
    reference_risk: float | None = None,
    signals: Signals | None = None,
) -> SweepResult:
    """Trade every combination of threshold, hysteresis, risk and bracket multiples.

    Each cell and symbol is an account of its own, from the first bar with a prediction to the
    last one. Thresholds make signal columns (`confidence_signals`); risk and the multiples are
    scalars inside the kernel, so memory grows with cells, not with cells x bars. `signals` is a
    rule of one's own in place of the threshold arguments.

    Without `stop` the brackets are the label's own (`target_brackets`), which the predictions
    must carry; `take_profit` and `max_holding` override theirs. Daily returns are kept for each
    rule column at `reference_risk` (default: the smallest swept, which the leverage cap distorts
    least) and the first multiples.

    Warns when over a third of the cells have fewer than 30 trades.

    Raises `ValueError` for inputs out of range or not of these bars.
    """
    check_same_bars(preds, bars)
    if signals is None:
        signals = confidence_signals(
            preds, bars, threshold=threshold, hysteresis=hysteresis, short=short,
            short_threshold=short_threshold, floor=floor, full=full, abstain=abstain,
        )  # fmt: skip
    grid = {
        "risk": as_list("risk", risk),
        "stop_multiple": as_list("stop_multiple", stop_multiple),
        "take_profit_multiple": as_list("take_profit_multiple", take_profit_multiple),
    }
    _check_grid(grid)
    reference = min(grid["risk"]) if reference_risk is None else reference_risk
    config = SimulationConfig(
        risk=reference, fees=fees, slippage=slippage, max_leverage=max_leverage,
        init_cash=init_cash, stop=stop, take_profit=take_profit, max_holding=max_holding,
    )  # fmt: skip
    brackets = rule_brackets(bars, preds, config)
    window = prediction_window(preds)

    cut = bars.rows(*window)
    columns = signals.rows(*window)
    distances = brackets.rows(*window)
    check_inputs(cut, columns, distances, "risk")
    inputs = kernel_inputs(cut, columns, distances)
    terms = kernel_terms(config, brackets, "risk")
    given = (risk, stop_multiple, take_profit_multiple)
    shown = [n for n, v in zip(GRID, given, strict=True) if n == "risk" or np.ndim(v)]
    index, cell_column, cell_terms = _cells(columns, grid, shown)

    def walk(
        column: np.ndarray, terms_P3: np.ndarray, num_days: int
    ) -> tuple[np.ndarray, np.ndarray]:
        days = np.empty((len(column), num_days))
        accounts = kernel.walk_cells_nb(
            inputs.prices, inputs.day_end, inputs.codes, inputs.sizes, inputs.brackets,
            inputs.symbols, column, terms_P3, terms, days,
        )  # fmt: skip
        return accounts, days

    accounts, _ = walk(cell_column, cell_terms, 0)
    metrics = cell_metrics(
        accounts, init_cash=init_cash, num_bars=len(cut),
        bars_per_year=bars.bars_per_year, days_per_year=bars.days_per_year,
    ).set_index(index)  # fmt: skip
    _warn_few_trades(metrics)

    num_columns = len(columns.columns)
    base = [reference, grid["stop_multiple"][0], grid["take_profit_multiple"][0]]
    _, days = walk(
        np.arange(num_columns), np.tile(base, (num_columns, 1)), int(inputs.day_end.sum())
    )
    return SweepResult(
        bars=bars,
        predictions=preds,
        signals=signals,
        brackets=brackets,
        config=config,
        window=window,
        metrics=metrics,
        daily_returns=pd.DataFrame(
            np.ascontiguousarray(days.T),
            index=cut.index[inputs.day_end].normalize(),
            columns=columns.columns,
        ),
        reference_risk=reference,
        grid={name: tuple(values) for name, values in grid.items()},
    )


def rule_brackets(bars: Bars, preds: Predictions, config: SimulationConfig) -> Brackets:
    """The brackets that `config` asks for: fixed distances, or the label's own.

    Raises `ValueError` when there is neither a stop nor a target.
    """
    if config.stop is not None:
        return fixed_brackets(
            bars, stop=config.stop, take_profit=config.take_profit, max_holding=config.max_holding
        )
    if preds.target is None:
        raise ValueError(
            "these predictions do not say what they speak of, so there are no barriers to trade "
            "by; give stop=0.03 or the like, or Predictions with target="
        )
    own = target_brackets(bars, preds.target)
    if config.take_profit is not None:
        fixed = fixed_brackets(bars, take_profit=config.take_profit)
        own = replace(
            own,
            take_profit_long=fixed.take_profit_long,
            take_profit_short=fixed.take_profit_short,
        )
    return own if config.max_holding is None else replace(own, max_holding=config.max_holding)


def prediction_window(preds: Predictions) -> tuple[int, int]:
    """Half-open range from the first bar with a prediction to the last one.

    Raises `ValueError` when there is none.
    """
    rows = np.flatnonzero((preds.split >= 0).any(axis=1))
    if not len(rows):
        raise ValueError("there is not a single prediction to trade on")
    return int(rows[0]), int(rows[-1]) + 1


def _cells(
    signals: Signals, grid: dict[str, list[float]], shown: list[str]
) -> tuple[pd.MultiIndex, np.ndarray, np.ndarray]:
    """Index, column and (risk, stop multiple, take-profit multiple) of each cell, symbols inner."""
    points = np.array(list(itertools.product(*(grid[name] for name in GRID))))
    columns, levels = signals.columns, signals.rule_levels
    rule = (
        columns.droplevel("symbol").factorize()[0] if levels else np.zeros(len(columns), np.int64)
    )
    column = np.repeat(np.arange(len(columns)), len(points))
    point = np.tile(np.arange(len(points)), len(columns))
    order = np.lexsort((column, point, rule[column]))
    column, point = column[order], point[order]
    arrays = [columns.get_level_values(name)[column] for name in levels]
    arrays += [points[point, GRID.index(name)] for name in shown]
    arrays.append(columns.get_level_values("symbol")[column])
    index = pd.MultiIndex.from_arrays(arrays, names=[*levels, *shown, "symbol"])
    return index, column, points[point]


def _check_grid(grid: dict[str, list[float]]) -> None:
    for value in grid["risk"]:
        if not 0 < value <= 1:
            raise ValueError(f"risk must lie in (0, 1], got {value}; 0.01 risks 1 % a trade")
    for name in GRID[1:]:
        for value in grid[name]:
            if not (value > 0 and np.isfinite(value)):
                raise ValueError(f"{name} must be positive and finite, got {value}")


def _warn_few_trades(metrics: pd.DataFrame) -> None:
    few = int((metrics["trades"] < FEW_TRADES).sum())
    if few * 3 > len(metrics):
        warnings.warn(
            f"{few} of {len(metrics)} cells have fewer than {FEW_TRADES} trades (median "
            f"{metrics['trades'].median():g}): their metrics are mostly noise; lower the "
            "thresholds, use quantiles such as 'q0.90', or test on more bars",
            UserWarning,
            stacklevel=3,
        )


def _pick(name: str, value: Any, options: list[Any]) -> Any:
    if value is None:
        if len(options) == 1:
            return options[0]
        raise ValueError(f"{name} has {len(options)} values, name one of {options}")
    for option in options:
        numbers = isinstance(option, Real) and isinstance(value, Real)
        if option == value or (numbers and np.isclose(option, value, rtol=1e-9, atol=0)):
            return option
    raise ValueError(f"{name}={value!r} was not swept; there are {options}")
