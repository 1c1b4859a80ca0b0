"""One account of a simulation: its equity, daily returns, falls, splits and key figures.

Everything is computed at bar closes; only what is drawn is thinned to UTC days. Dimensions:
T bars of the simulated window, D UTC days, S splits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd

from convnext_vbt.evidence import measures
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Range
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.simulation import Simulation

Figures = dict[str, float]
"""Key figures by name; one that does not apply is not there, one that is undefined is NaN."""

RULES_ONLY = ("break_even", "capped_share", "gap_stops")
"""Key figures that speak of rules which trade, not of buying and holding."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Account:
    """One column of a simulation, or all its accounts together."""

    index: pd.DatetimeIndex
    symbols: tuple[str, ...]
    """Of each column."""
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
    def of(cls, simulation: Simulation) -> Self:
        """All accounts of a simulation together."""
        trades, funding = simulation.trades, simulation.funding
        return cls(
            index=simulation.index,
            symbols=tuple(map(str, simulation.columns.get_level_values("symbol"))),
            equity=simulation.equity.sum(axis=1),
            held=(simulation.position != 0).any(axis=1),
            orders=simulation.orders,
            trades=trades[np.argsort(trades["entry_idx"], kind="stable")],
            init_cash=simulation.init_cash * simulation.equity.shape[1],
            funding=None if funding is None else float(funding.sum()),
        )

    def cut(self, start: int, stop: int) -> Self:
        """The bars [start, stop), begun with the equity at the close before.

        Orders filled and trades entered there are its own; a position that was carried in is in
        the equity only.
        """
        orders, trades = self.orders, self.trades
        orders = orders[(orders["idx"] >= start) & (orders["idx"] < stop)].copy()
        trades = trades[(trades["entry_idx"] >= start) & (trades["entry_idx"] < stop)].copy()
        orders["idx"] -= start
        for name in ("entry_idx", "exit_idx"):
            trades[name] -= start
        return replace(
            self,
            index=self.index[start:stop],
            equity=self.equity[start:stop],
            held=self.held[start:stop],
            orders=orders,
            trades=trades,
            init_cash=self.init_cash if start == 0 else float(self.equity[start - 1]),
        )


def before_costs(account: Account) -> Account:
    """The same trades as if fees and slippage had been given back: "gross".

    Equity has every cost of the orders so far added; a trade's profit has those of its own fills,
    and its return is that over the same entry value. Sizes, exits and funding stay as they were.
    """
    paid = np.zeros(len(account.equity))
    np.add.at(paid, account.orders["idx"], measures.order_costs(account.orders))
    trades = account.trades.copy()
    trades["pnl"] += trades["entry_fees"] + trades["exit_fees"] + trades["slippage"]
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


def daily(account: Account) -> Daily:
    """The account by UTC day; days without a bar are absent."""
    days, first, last = days_of(account.index)
    below = measures.underwater(account.equity, account.init_cash)
    return Daily(
        days=days,
        growth=account.equity[last] / account.init_cash,
        underwater=np.minimum.reduceat(below, first),
    )


def daily_returns(account: Account, stop: int | None = None) -> np.ndarray:
    """Returns by UTC day over bars [0, stop), (D,); 0 once all is lost.

    Equity at each day's last bar there; the first day counts from the initial cash.
    """
    _, _, last = days_of(account.index[:stop])
    return measures.returns_between(np.append(account.init_cash, account.equity[last]))


def days_of(index: pd.DatetimeIndex) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """UTC days that have a bar, and the first and the last bar of each, (D,)."""
    day_of_bar = np.asarray(index.as_unit("s").asi8) // 86_400
    is_new = np.diff(day_of_bar) > 0
    first = np.flatnonzero(np.append(True, is_new)[: len(day_of_bar)])
    last = np.flatnonzero(np.append(is_new, True)[: len(day_of_bar)])
    return day_of_bar[first], first, last


def drawdowns(account: Account) -> list[Drawdown]:
    """Every fall below an earlier peak, deepest first (ties: the earlier one)."""
    below = measures.underwater(account.equity, account.init_cash)
    edge = np.diff(np.concatenate([[0], (below < 0).astype(np.int8), [0]]))
    starts, stops = np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)
    found = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        trough = start + int(below[start:stop].argmin())
        end = stop if stop < len(below) else -1
        found.append(Drawdown(peak=start - 1, trough=trough, end=end, depth=float(-below[trough])))
    return sorted(found, key=lambda fall: (-fall.depth, fall.peak))


def longest_drawdown_days(falls: Sequence[Drawdown], index: pd.DatetimeIndex) -> float:
    """Days of the longest time from a peak to its recovery, or to the last bar."""
    if not falls:
        return 0.0
    start = index[[max(fall.peak, 0) for fall in falls]]
    end = index[[fall.end for fall in falls]]  # -1, not recovered, is the last bar
    return float(((end - start) / pd.Timedelta(days=1)).max())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplitFigures:
    """An account within each test range, (S,) each; NaN where a range has no bar."""

    returns: np.ndarray
    """From the equity at the close before the range."""
    drawdowns: np.ndarray
    """Deepest fall from a peak inside the range, a fraction <= 0."""
    trades: np.ndarray
    """Trades entered in the range."""
    sharpes: np.ndarray
    """Annual; NaN where the account did not move."""


def split_ranges(ranges: Sequence[Range], window: Range) -> list[Range]:
    """Test ranges in bars of the window, cut to it."""
    start, stop = window
    return [(max(a, start) - start, min(b, stop) - start) for a, b in ranges]


def split_figures(account: Account, ranges: Sequence[Range], days_per_year: int) -> SplitFigures:
    """Return, drawdown, trades and Sharpe ratio within each range of bars."""
    entries = account.trades["entry_idx"]
    gains, depths, counts, sharpes = (np.full(len(ranges), np.nan) for _ in range(4))
    for k, (start, stop) in enumerate(ranges):
        if stop <= start:
            continue
        before = account.equity[start - 1] if start > 0 else account.init_cash
        if before > 0:
            gains[k] = account.equity[stop - 1] / before - 1.0
            depths[k] = measures.max_drawdown(account.equity[start:stop], before)
        counts[k] = ((entries >= start) & (entries < stop)).sum()
        sharpes[k] = measures.sharpe(split_returns(account, (start, stop)), days_per_year)
    return SplitFigures(returns=gains, drawdowns=depths, trades=counts, sharpes=sharpes)


def split_intervals(account: Account, ranges: Sequence[Range], days_per_year: int) -> np.ndarray:
    """90 % interval of the annual Sharpe ratio within each range, (S, 2)."""
    out = np.full((len(ranges), 2), np.nan)
    for k, (start, stop) in enumerate(ranges):
        if stop > start:
            found = split_returns(account, (start, stop))
            out[k] = measures.sharpe_interval(found, days_per_year)
    return out


def split_returns(account: Account, span: Range) -> np.ndarray:
    """Daily returns within a range of bars, the first day from the close before it."""
    start, stop = span
    before = account.equity[start - 1] if start > 0 else account.init_cash
    _, _, last = days_of(account.index[start:stop])
    return measures.returns_between(np.append(before, account.equity[start:stop][last]))


def key_figures(account: Account, bars: Bars) -> Figures:
    """Every key figure of an account, as the sweep defines them; NaN where undefined.

    `bars` are those of the window. Beside the sweep's own: longest_drawdown in days, psr (that
    the Sharpe ratio is above 0) and break_even. funding is there where the bars have rates.
    """
    equity, trades, year = account.equity, account.trades, bars.days_per_year
    years = bars.years
    growth = float(equity[-1] / account.init_cash)
    cagr = measures.growth_rate(growth, years)
    returns = daily_returns(account)
    depth = measures.max_drawdown(equity, account.init_cash)
    turnover = measures.ratio(measures.traded_value(account.orders), float(equity.mean()))
    return {
        "total_return": growth - 1.0,
        "cagr": cagr,
        "log_growth": measures.log_growth(cagr),
        "volatility": measures.volatility(returns, year),
        "sharpe": measures.sharpe(returns, year),
        "psr": measures.probabilistic_sharpe(returns),
        "sortino": measures.sortino(returns, year),
        "calmar": measures.ratio(cagr, -depth) if len(trades) else math.nan,
        "max_drawdown": depth,
        "longest_drawdown": longest_drawdown_days(drawdowns(account), account.index),
        "exposure": float(account.held.mean()),
        "turnover": turnover / years,
        "trades": float(len(trades)),
        "win_rate": measures.win_rate(trades),
        "profit_factor": measures.profit_factor(trades),
        "mean_trade": measures.mean_trade(trades),
        "costs": float(measures.order_costs(account.orders).sum()),
        "break_even": break_even(account),
        "capped_share": measures.capped_share(trades),
        "gap_stops": float(measures.gap_stops(trades)),
        **({} if account.funding is None else {"funding": account.funding}),
    }


def cost_a_side(account: Account, config: SimulationConfig) -> float:
    """Fees and slippage as a share of what is traded: as set, or of instruments as it came out."""
    if not config.instruments or not len(account.orders):
        return config.fees + config.slippage
    costs = float(measures.order_costs(account.orders).sum())
    return measures.ratio(costs, measures.traded_value(account.orders))


def break_even(account: Account) -> float:
    """Cost a side, as a fraction of the traded value, at which the same trades earn nothing.

    Profit before all costs over traded value; negative where the trades lose even without costs,
    NaN without an order.
    """
    profit = float(account.equity[-1]) - account.init_cash
    costs = float(measures.order_costs(account.orders).sum())
    return measures.ratio(profit + costs, measures.traded_value(account.orders))
