"""What the page says of every cell beside the sweep's own metrics.

Dimensions: P cells, S rules, N symbols.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence import stats
from convnext_vbt.evidence.ledger import Trials
from convnext_vbt.report import accounts
from convnext_vbt.report.formats import THIN_TRADES
from convnext_vbt.trading.sweep import SweepResult

CARRIED = ("longest_drawdown", "psr", "dsr", "break_even")
"""Figures that only cells with an account of their own in the page have."""
RULE_COLUMNS = ("rule_sharpe", "sharpe_low", "sharpe_high")
MAX_INTERVALS = 64
"""Rule columns that get a bootstrap interval, each some 0.1 s; above it none does."""
SPIKE = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Plateau:
    """Whether the best cell of one heatmap stands alone."""

    score: float
    """Median Sharpe ratio of the up to eight cells around the peak over the peak's; NaN when the
    peak is not above 0 or there is no peak with enough trades or no neighbour."""
    peak: int
    """Row of the cell with the highest Sharpe ratio among those with 30 trades, or -1."""


def carried_figures(
    account: accounts.Account, res: SweepResult, trials: Trials
) -> dict[str, float]:
    """The `CARRIED` figures of one cell, deflated as one of all rules that were tried."""
    returns = accounts.daily_returns(account)
    variance = 0.0 if trials.num_rules == 1 else trials.variance
    falls = accounts.drawdowns(account.equity, account.init_cash)
    return {
        "longest_drawdown": accounts.longest_drawdown_days(falls, account.index),
        "psr": accounts.probabilistic_sharpe(returns),
        "dsr": accounts.deflated_sharpe(returns, trials.num_rules, variance),
        "break_even": accounts.break_even(account, slippage=res.config.slippage),
    }


def table(res: SweepResult, carried: Mapping[int, Mapping[str, float]]) -> pd.DataFrame:
    """The sweep's metrics, one row a cell, with `rule_sharpes` and the `CARRIED` figures."""
    rows = pd.DataFrame(list(carried.values()), index=list(carried), columns=list(CARRIED))
    out = res.metrics.reset_index(drop=True).join(rows).join(rule_sharpes(res))
    return out.set_axis(res.metrics.index)


def rule_sharpes(res: SweepResult) -> pd.DataFrame:
    """Sharpe ratio of each cell's rule at the reference risk with its 90 % interval, (P, 3).

    Columns rule_sharpe, sharpe_low, sharpe_high, annual. NaN for cells with other than the first
    bracket multiples, of which no daily returns are kept.
    """
    returns, index = res.daily_returns, res.metrics.index
    year = math.sqrt(res.bars.days_per_year)
    values = np.full((returns.shape[1] + 1, 3), np.nan)  # the last one for cells without a column
    for k in range(returns.shape[1]):
        column = returns.iloc[:, k].to_numpy(np.float64)
        low, high = math.nan, math.nan
        if returns.shape[1] <= MAX_INTERVALS:
            low, high = stats.sharpe_confidence_interval(column)
        values[k] = np.array([float(stats.sharpe_ratio(column)), low, high]) * year
    levels = [*res.rules.rule_levels, "symbol"]
    keys = list(zip(*(index.get_level_values(name) for name in levels), strict=True))
    there: list[Any] = returns.columns.to_list()
    place = {key: k for k, key in enumerate(there)}
    first = np.ones(len(index), dtype=bool)
    for name in ("stop_multiple", "take_profit_multiple"):
        if name in index.names:
            first &= index.get_level_values(name) == res.grid[name][0]
    column_of = np.where(first, [place[key] for key in keys], -1)
    return pd.DataFrame(values[column_of], columns=list(RULE_COLUMNS))


def plateaus(
    metrics: pd.DataFrame, positions: np.ndarray, across: int, up: int
) -> tuple[np.ndarray, list[Plateau]]:
    """The plateau of every heatmap: its number for each cell, (P,), and all of them.

    `positions` are the cells' places on the levels, (P, L); `across` and `up` the two levels that
    span a heatmap, each combination of the others being one of its own.
    """
    others = np.delete(positions, [across, up], axis=1)
    _, number = np.unique(others, axis=0, return_inverse=True)
    number = number.reshape(-1)
    sharpe = metrics["sharpe"].to_numpy(np.float64)
    solid = metrics["trades"].to_numpy() >= THIN_TRADES
    found = []
    for k in range(int(number.max()) + 1):
        rows = np.flatnonzero(number == k)
        found.append(_plateau(rows, positions[:, [across, up]], sharpe, solid))
    return number, found


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
