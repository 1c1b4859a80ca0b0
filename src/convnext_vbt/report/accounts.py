"""What the report says of one account: daily equity, drawdowns, splits, buy-and-hold.

Everything is computed at bar closes; only what is drawn is thinned to UTC days. Dimensions:
T bars of the simulated window, D UTC days, S splits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnext_vbt.market.bars import Bars


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Benchmark:
    """Buy-and-hold of one symbol: its daily account and key figures by their metric names."""

    daily: Daily
    figures: dict[str, float]


def benchmark(
    bars: Bars, column: int, *, init_cash: float, fees: float, slippage: float
) -> Benchmark:
    """`buy_and_hold` and its key figures, as the sweep defines them."""
    equity = buy_and_hold(bars, column, init_cash=init_cash, fees=fees, slippage=slippage)
    account = daily(bars.index, equity, init_cash)
    return Benchmark(
        daily=account, figures=_figures(bars, equity, account, init_cash, fees, slippage)
    )


def buy_and_hold(
    bars: Bars, column: int, *, init_cash: float, fees: float, slippage: float
) -> np.ndarray:
    """Equity (T,) of buying with all the cash and holding, at the strategy's own costs.

    The first bar of the window is the first with a prediction, so the purchase is filled like
    any signal there: at the next bar's open. It is never sold: no exit costs.
    """
    close = pd.Series(bars.close[:, column]).ffill().to_numpy()
    tradable = np.flatnonzero(np.isfinite(bars.open[:, column]))
    fills = tradable[tradable >= 1]
    equity = np.full(len(close), float(init_cash))
    if len(fills):
        fill = int(fills[0])
        price = bars.open[fill, column] * (1.0 + slippage)
        units = init_cash / (price * (1.0 + fees))
        equity[fill:] = units * close[fill:]
    return equity


def _figures(
    bars: Bars,
    equity_T: np.ndarray,
    account: Daily,
    init_cash: float,
    fees: float,
    slippage: float,
) -> dict[str, float]:
    years = len(bars) / bars.bars_per_year
    growth = np.concatenate([[1.0], account.growth])
    returns = growth[1:] / growth[:-1] - 1.0
    total = equity_T[-1] / init_cash
    bought = bool((equity_T != init_cash).any())
    depth = float(-underwater(equity_T, init_cash).min())
    year = bars.days_per_year
    deviation = returns.std(ddof=1) if len(returns) > 1 else np.nan
    downside = np.sqrt((np.minimum(returns, 0.0) ** 2).mean())
    cagr = total ** (1.0 / years) - 1.0
    invested = init_cash / (1.0 + fees) if bought else 0.0
    return {
        "total_return": total - 1.0,
        "cagr": cagr,
        "log_growth": np.log(total) / years,
        "volatility": deviation * np.sqrt(year),
        "sharpe": returns.mean() / deviation * np.sqrt(year) if deviation > 0 else np.nan,
        "sortino": returns.mean() / downside * np.sqrt(year) if downside > 0 else np.nan,
        "calmar": cagr / depth if depth > 0 else np.nan,
        "max_drawdown": -depth,
        "longest_drawdown": longest_drawdown_days(drawdowns(equity_T, init_cash), bars.index),
        "exposure": float(bought) * (len(bars) - 1) / len(bars),
        "turnover": invested / equity_T.mean() / years,
        "trades": float(bought),
        "costs": invested * (fees + slippage / (1.0 + slippage)),
    }
