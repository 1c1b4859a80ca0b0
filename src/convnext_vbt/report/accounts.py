"""What the report says of one account: daily equity, drawdowns, splits, key figures.

Everything is computed at bar closes; only what is drawn is thinned to UTC days. Dimensions:
T bars of the simulated window, D UTC days, S splits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd

from convnext_vbt.evidence import stats
from convnext_vbt.evidence.headline import moments
from convnext_vbt.evidence.window import money_returns
from convnext_vbt.market.bars import Bars
from convnext_vbt.trading.codes import CLOSED, GAP_STOP, SELL, SHORT
from convnext_vbt.trading.simulation import Simulation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Account:
    """One column of a simulation, or all its accounts together."""

    index: pd.DatetimeIndex
    equity: np.ndarray
    """float64 (T,), at each close."""
    held: np.ndarray
    """bool (T,), whether any position is held at the close."""
    orders: np.ndarray
    trades: np.ndarray
    """By entry; "col" is the column of the simulation."""
    init_cash: float
    funding: float | None
    """Paid in all, net of what was received; None where the bars have no rates."""

    @classmethod
    def of(cls, simulation: Simulation, column: int | None = None) -> Self:
        """Column number `column`, or all of them together."""
        orders, trades = simulation.orders, simulation.trades
        if column is not None:
            orders, trades = orders[orders["col"] == column], trades[trades["col"] == column]
        columns = slice(None) if column is None else slice(column, column + 1)
        equity = simulation.equity if column is None else simulation.value[:, columns]
        return cls(
            index=simulation.index,
            equity=equity.sum(axis=1),
            held=(simulation.position[:, columns] != 0).any(axis=1),
            orders=orders,
            trades=trades[np.argsort(trades["entry_idx"], kind="stable")],
            init_cash=simulation.init_cash * equity.shape[1],
            funding=None
            if simulation.funding is None
            else float(simulation.funding[:, columns].sum()),
        )


def before_costs(account: Account, *, slippage: float) -> Account:
    """The same trades as if fees and slippage had been given back: "gross".

    Equity has every cost of the orders so far added; a trade's profit has those of its own fills,
    and its return is that over the same entry value. Sizes, exits and funding stay as they were.
    """
    paid = np.zeros(len(account.equity))
    np.add.at(paid, account.orders["idx"], order_costs(account.orders, slippage))
    trades = account.trades.copy()
    side = np.where(trades["direction"] == SHORT, -1.0, 1.0)
    closed = trades["status"] == CLOSED
    entry = trades["entry_price"] * (1.0 - 1.0 / (1.0 + side * slippage)) * side
    leave = trades["exit_price"] * (1.0 / (1.0 - side * slippage) - 1.0) * side
    slipped = trades["size"] * (entry + np.where(closed, leave, 0.0))
    trades["pnl"] += trades["entry_fees"] + trades["exit_fees"] + slipped
    trades["return"] = trades["pnl"] / (trades["size"] * trades["entry_price"])
    return replace(account, equity=account.equity + np.cumsum(paid), trades=trades)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Daily:
    """An account by UTC day: float64 (D,) each; `days` counts from 1970-01-01."""

    days: np.ndarray
    growth: np.ndarray
    """Equity at the day's last close over initial cash."""
    underwater: np.ndarray
    """The day's deepest close below the running peak, a fraction <= 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawdown:
    """A fall below an earlier peak; positions are bars of the window.

    `peak` is -1 when the fall starts from the initial cash, `end` -1 when it is not recovered.
    """

    peak: int
    trough: int
    end: int
    depth: float


def underwater(equity_T: np.ndarray, init_cash: float) -> np.ndarray:
    """Equity below its running peak (initial cash included), a fraction <= 0 of shape (T,)."""
    peak = np.maximum(np.maximum.accumulate(equity_T), init_cash)
    return equity_T / peak - 1.0


def daily(index: pd.DatetimeIndex, equity_T: np.ndarray, init_cash: float) -> Daily:
    """`equity_T` by UTC day; days without a bar are absent."""
    day_of_bar = np.asarray(index.as_unit("s").asi8) // 86_400
    days, first = np.unique(day_of_bar, return_index=True)
    last = np.append(first[1:], len(day_of_bar)) - 1
    return Daily(
        days=days,
        growth=equity_T[last] / init_cash,
        underwater=np.minimum.reduceat(underwater(equity_T, init_cash), first),
    )


def drawdowns(equity_T: np.ndarray, init_cash: float) -> list[Drawdown]:
    """Every fall below an earlier peak, deepest first (ties: the earlier one)."""
    below = underwater(equity_T, init_cash)
    edge = np.diff(np.concatenate([[0], (below < 0).astype(np.int8), [0]]))
    starts, stops = np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)
    found = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        trough = start + int(below[start:stop].argmin())
        end = stop if stop < len(below) else -1
        found.append(Drawdown(peak=start - 1, trough=trough, end=end, depth=float(-below[trough])))
    return sorted(found, key=lambda fall: (-fall.depth, fall.peak))


def longest_drawdown_days(falls: list[Drawdown], index: pd.DatetimeIndex) -> float:
    """Days of the longest time from a peak to its recovery, or to the last bar."""
    if not falls:
        return 0.0
    start = index[[max(fall.peak, 0) for fall in falls]]
    end = index[[fall.end for fall in falls]]  # -1, not recovered, is the last bar
    return float(((end - start) / pd.Timedelta(days=1)).max())


def split_ranges(ranges: list[tuple[int, int]], window: tuple[int, int]) -> list[tuple[int, int]]:
    """Test ranges in bars of the window, cut to it."""
    start, stop = window
    return [(max(a, start) - start, min(b, stop) - start) for a, b in ranges]


def split_figures(
    equity_T: np.ndarray,
    entries: np.ndarray,
    ranges: list[tuple[int, int]],
    init_cash: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, maximum drawdown (>= 0) and trades entered in each range, (S,) each.

    A range starts from the equity at the close before it; its drawdown is measured from peaks
    inside the range.
    """
    returns, depths, counts = (np.full(len(ranges), np.nan) for _ in range(3))
    for k, (start, stop) in enumerate(ranges):
        if stop <= start:
            continue
        before = equity_T[start - 1] if start > 0 else init_cash
        if before > 0:
            returns[k] = equity_T[stop - 1] / before - 1.0
            depths[k] = -underwater(equity_T[start:stop], before).min()
        counts[k] = ((entries >= start) & (entries < stop)).sum()
    return returns, depths, counts


def daily_returns(account: Account) -> np.ndarray:
    """Returns by UTC day, (D,), the first day against the initial cash."""
    growth = daily(account.index, account.equity, account.init_cash).growth
    return money_returns(np.append(1.0, growth))


def figures(account: Account, bars: Bars, *, slippage: float) -> dict[str, float]:
    """Every key figure of an account, as the sweep defines them; NaN where undefined.

    `bars` are those of the window. Beside the sweep's own: longest_drawdown in days, psr (that
    the Sharpe ratio is above 0) and break_even. funding is there where the bars have rates.
    """
    equity, trades = account.equity, account.trades
    closed = trades[trades["status"] == CLOSED]
    profits = closed["pnl"]
    traded, costs = _traded(account.orders), float(order_costs(account.orders, slippage).sum())
    growth = float(equity[-1] / account.init_cash)
    years = len(equity) / bars.bars_per_year
    cagr = growth ** (1.0 / years) - 1.0 if growth > 0 else -1.0
    returns = daily_returns(account)
    depth = float(-underwater(equity, account.init_cash).min())
    year = math.sqrt(bars.days_per_year)
    any_trade = len(trades) > 0
    downside = math.sqrt(float((np.minimum(returns, 0.0) ** 2).mean()))
    return {
        "total_return": growth - 1.0,
        "cagr": cagr,
        "log_growth": math.log1p(cagr) if cagr > -1.0 else math.nan,
        "volatility": float(returns.std(ddof=1)) * year if len(returns) > 1 else math.nan,
        "sharpe": float(stats.sharpe_ratio(returns, bars.days_per_year)),
        "psr": probabilistic_sharpe(returns),
        "sortino": _ratio(float(returns.mean()) * year, downside),
        "calmar": _ratio(cagr, depth) if any_trade else math.nan,
        "max_drawdown": -depth,
        "longest_drawdown": longest_drawdown_days(
            drawdowns(equity, account.init_cash), account.index
        ),
        "exposure": float(account.held.mean()),
        "turnover": traded / float(equity.mean()) / years if equity.mean() > 0 else math.nan,
        "trades": float(len(trades)),
        "win_rate": _ratio(float((profits > 0).sum()), len(closed)),
        "profit_factor": _ratio(
            float(profits[profits > 0].sum()), float(-profits[profits < 0].sum())
        ),
        "mean_trade": _ratio(float(closed["return"].sum()), len(closed)),
        "costs": costs,
        "break_even": break_even(account, slippage=slippage),
        "capped_share": _ratio(float(trades["capped"].sum()), len(trades)),
        "gap_stops": float((closed["reason"] == GAP_STOP).sum()),
        **({} if account.funding is None else {"funding": account.funding}),
    }


def break_even(account: Account, *, slippage: float) -> float:
    """Cost a side, as a fraction of the traded value, at which the same trades earn nothing.

    Profit before all costs over traded value; negative where the trades lose even without costs,
    NaN without an order.
    """
    profit = float(account.equity[-1]) - account.init_cash
    costs = float(order_costs(account.orders, slippage).sum())
    return _ratio(profit + costs, _traded(account.orders))


def probabilistic_sharpe(returns: np.ndarray) -> float:
    """Probability that the true Sharpe ratio of these returns is above 0."""
    skewness, kurtosis = moments(returns)
    sharpe = stats.sharpe_ratio(returns)
    return float(stats.probabilistic_sharpe_ratio(sharpe, 0.0, len(returns), skewness, kurtosis))


def deflated_sharpe(returns: np.ndarray, num_trials: int, variance: float) -> float:
    """Deflated Sharpe ratio of these returns as the best of `num_trials`."""
    skewness, kurtosis = moments(returns)
    sharpe = stats.sharpe_ratio(returns)
    return float(
        stats.deflated_sharpe_ratio(sharpe, len(returns), num_trials, variance, skewness, kurtosis)
    )


def _traded(orders: np.ndarray) -> float:
    return float((orders["size"] * orders["price"]).sum())


def order_costs(orders: np.ndarray, slippage: float) -> np.ndarray:
    """Of each order: its fee, and how much worse than the market's price it was filled."""
    side = np.where(orders["side"] == SELL, -1.0, 1.0)
    market = orders["price"] / (1.0 + side * slippage)
    return np.asarray(orders["fees"] + orders["size"] * np.abs(orders["price"] - market))


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.nan
