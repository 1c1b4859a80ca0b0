"""What is said of every cell of a sweep beside the sweep's own metrics.

Dimensions: P cells, L levels, S rules, N symbols.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence import measures
from convnext_vbt.evidence.cells import Cells, Grid
from convnext_vbt.evidence.ledger import Trials
from convnext_vbt.evidence.views import View
from convnext_vbt.trading.sweep import FEW_TRADES, SweepResult

SINGLE = ("longest_drawdown", "psr", "dsr", "break_even")
"""Figures that only cells whose own account was looked into have."""
RULE_COLUMNS = ("rule_sharpe", "sharpe_low", "sharpe_high")
MAX_INTERVALS = 64
"""Rule columns that get an interval, each some ms; above it none does."""
MULTIPLES = ("stop_multiple", "take_profit_multiple")


def single_figures(view: View, trials: Trials) -> dict[str, float]:
    """The `SINGLE` figures of one cell, deflated as one of all rules that were tried."""
    dsr = measures.deflated_sharpe(view.returns, trials.num_rules, trials.rule_variance)
    return {
        "longest_drawdown": view.longest_drawdown,
        "psr": view.psr,
        "dsr": dsr,
        "break_even": view.break_even,
    }


def table(res: SweepResult, cells: Cells, trials: Trials) -> pd.DataFrame:
    """The sweep's metrics, one row a cell, with `rule_sharpes` and the `SINGLE` figures."""
    rows = {row: single_figures(view, trials) for row, view in cells.views.items()}
    single = pd.DataFrame(list(rows.values()), index=list(rows), columns=list(SINGLE))
    out = res.metrics.reset_index(drop=True).join(single).join(rule_sharpes(res))
    return out.set_axis(res.metrics.index)


def rule_sharpes(res: SweepResult) -> pd.DataFrame:
    """Sharpe ratio of each cell's rule at the reference risk with its 90 % interval, (P, 3).

    Columns rule_sharpe, sharpe_low, sharpe_high, annual. NaN for cells with other than the first
    bracket multiples, of which no daily returns are kept.
    """
    returns, index, year = res.daily_returns, res.metrics.index, res.bars.days_per_year
    values = np.full((returns.shape[1] + 1, 3), np.nan)  # the last one for cells without a column
    for k in range(returns.shape[1]):
        column = returns.iloc[:, k].to_numpy(np.float64)
        low, high = math.nan, math.nan
        if returns.shape[1] <= MAX_INTERVALS:
            low, high = measures.sharpe_interval(column, year)
        values[k] = measures.sharpe(column, year), low, high
    levels = [*res.rules.rule_levels, "symbol"]
    keys = list(zip(*(index.get_level_values(name) for name in levels), strict=True))
    there: list[Any] = returns.columns.to_list()
    place = {key: k for k, key in enumerate(there)}
    first = np.ones(len(index), dtype=bool)
    for name in MULTIPLES:
        if name in index.names:
            first &= index.get_level_values(name) == res.grid[name][0]
    column_of = np.where(first, [place[key] for key in keys], -1)
    return pd.DataFrame(values[column_of], columns=list(RULE_COLUMNS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plateau:
    """Whether the best cell of one heatmap stands alone."""

    score: float
    """Median Sharpe ratio of the up to eight cells around the peak over the peak's; NaN when the
    peak is not above 0 or there is no peak with enough trades or no neighbour."""
    peak: int
    """Row of the cell with the highest Sharpe ratio among those with 30 trades, or -1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plateaus:
    """The plateau of every heatmap of a sweep."""

    number: np.ndarray
    """int (P,): the heatmap of each cell."""
    found: tuple[Plateau, ...]


def plateaus(metrics: pd.DataFrame, grid: Grid) -> Plateaus:
    """The plateau of every heatmap.

    Two levels span a heatmap, `grid.across` and `grid.up`; each combination of the others is one
    of its own.
    """
    axes = [grid.names.index(name) for name in (grid.across, grid.up)]
    others = np.delete(grid.positions, axes, axis=1)
    _, number = np.unique(others, axis=0, return_inverse=True)
    number = number.reshape(-1)
    sharpe = metrics["sharpe"].to_numpy(np.float64)
    solid = metrics["trades"].to_numpy() >= FEW_TRADES
    found = []
    for k in range(int(number.max()) + 1):
        rows = np.flatnonzero(number == k)
        found.append(_plateau(rows, grid.positions[:, axes], sharpe, solid))
    return Plateaus(number=number, found=tuple(found))


def _plateau(
    rows: np.ndarray, place_P2: np.ndarray, sharpe: np.ndarray, solid: np.ndarray
) -> Plateau:
    able = rows[solid[rows] & np.isfinite(sharpe[rows])]
    if not len(able):
        return Plateau(score=math.nan, peak=-1)
    peak = int(able[sharpe[able].argmax()])
    distance = np.abs(place_P2[rows] - place_P2[peak]).max(axis=1)
    around = np.nan_to_num(sharpe[rows[distance == 1]])  # a cell that never trades earns nothing
    if sharpe[peak] <= 0 or not len(around):
        return Plateau(score=math.nan, peak=peak)
    return Plateau(score=float(np.median(around) / sharpe[peak]), peak=peak)
