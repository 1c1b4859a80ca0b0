"""What an account's returns are made of: months, rolling Sharpe ratio, splits, single trades.

Everything is computed at bar closes or from fills. Dimensions: T bars of the window, D UTC days,
M calendar months, K trades, S splits, B bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnext_vbt.evidence import stats
from convnext_vbt.evidence.resampling import stationary_rows
from convnext_vbt.evidence.window import money_returns
from convnext_vbt.market.bars import Bars
from convnext_vbt.report.accounts import Account, daily
from convnext_vbt.trading.codes import OPEN, SHORT
from convnext_vbt.trading.simulation import Simulation

ROLLING_DAYS = 90
NUM_BINS = 30
MAX_POINTS = 500
"""Points of a rolling line; every k-th day of a longer one is drawn."""
NUM_PATHS = 1_000
FAN = (0.05, 0.25, 0.50, 0.75, 0.95)


def months_of(index: pd.DatetimeIndex) -> np.ndarray:
    """The calendar months (UTC) that have a bar, (M,), as months since 1970-01."""
    return np.unique(_month_of_bar(index))


def monthly_returns(account: Account) -> np.ndarray:
    """Return of each of `months_of`, (M,), from the close before it; NaN once nothing is left."""
    months = _month_of_bar(account.index)
    last = np.flatnonzero(np.append(np.diff(months), 1))
    money = np.append(account.init_cash, account.equity[last])
    before = money[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(before > 0, money[1:] / before - 1.0, np.nan)


def rolling_days(num_days: int) -> np.ndarray:
    """The days at which rolling figures are drawn, at most `MAX_POINTS`; the last is one."""
    every = max(1, -(-num_days // MAX_POINTS))
    return np.arange(num_days - 1, -1, -every)[::-1]


def rolling_sharpe(returns_D: np.ndarray, days_per_year: int) -> np.ndarray:
    """Annual Sharpe ratio of the last 90 days with a bar, at each of `rolling_days`.

    NaN before there are that many days and where returns do not vary.
    """
    at = rolling_days(len(returns_D))
    out = np.full(len(at), np.nan)
    full = at >= ROLLING_DAYS - 1
    if full.any():
        windows = np.lib.stride_tricks.sliding_window_view(returns_D, ROLLING_DAYS)
        out[full] = stats.sharpe_ratio(windows[at[full] - ROLLING_DAYS + 1].T, days_per_year)
    return out


def split_returns(account: Account, ranges: list[tuple[int, int]]) -> list[np.ndarray]:
    """Daily returns within each range of bars, the first day from the close before it."""
    out = []
    for start, stop in ranges:
        before = account.equity[start - 1] if start > 0 else account.init_cash
        day = daily(account.index[start:stop], account.equity[start:stop], 1.0)
        out.append(money_returns(np.append(before, day.growth)))
    return out


def split_sharpes(
    account: Account, ranges: list[tuple[int, int]], days_per_year: int
) -> np.ndarray:
    """Annual Sharpe ratio within each range, (S,); NaN where the account did not move."""
    return np.array(
        [
            stats.sharpe_ratio(returns, days_per_year) if len(returns) else math.nan
            for returns in split_returns(account, ranges)
        ],
        dtype=np.float64,
    )


def split_intervals(
    account: Account, ranges: list[tuple[int, int]], days_per_year: int
) -> np.ndarray:
    """90 % interval of the annual Sharpe ratio within each range, (S, 2)."""
    year = math.sqrt(days_per_year)
    each = [
        stats.sharpe_confidence_interval(returns) if len(returns) else (math.nan, math.nan)
        for returns in split_returns(account, ranges)
    ]
    return np.array(each, dtype=np.float64).reshape(-1, 2) * year


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fan:
    """Quantiles of the growth of 1 over resampled histories, after each UTC day."""

    levels: tuple[float, ...]
    growth: np.ndarray
    """float64 (levels, D)."""


def bootstrap_fan(returns_D: np.ndarray, *, paths: int = NUM_PATHS, seed: int = 0) -> Fan | None:
    """How far the same days in another order, some twice and some never, would have led.

    Stationary bootstrap as in `stats.sharpe_confidence_interval`; None where that is undefined.
    """
    if len(returns_D) < stats.FEWEST_PERIODS or not np.isfinite(stats.sharpe_ratio(returns_D)):
        return None
    rows = stationary_rows(
        np.random.default_rng(seed), paths, len(returns_D),
        mean_block=stats.block_length(returns_D[:, None]),
    )  # fmt: skip
    growth = np.cumprod(1.0 + returns_D[rows], axis=1)
    return Fan(levels=FAN, growth=np.quantile(growth, FAN, axis=0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Excursions:
    """The worst and the best that each trade was at before it ended, (K,) each.

    Fractions of the entry price, before costs, `adverse` <= 0 <= `favourable`. Highs and lows of
    the bars that were held to their end count, and the exit's own price; what the bar of the exit
    did before or after it is not known from bars.
    """

    adverse: np.ndarray
    favourable: np.ndarray


def excursions(trades: np.ndarray, bars: Bars, symbols: np.ndarray) -> Excursions:
    """MAE and MFE of `trades`; `symbols` is the column of `bars` of each trade's own column."""
    low, high = trades["exit_price"].copy(), trades["exit_price"].copy()
    stop = np.where(trades["status"] == OPEN, trades["exit_idx"] + 1, trades["exit_idx"])
    for column in np.unique(trades["col"]):
        own = np.flatnonzero(trades["col"] == column)
        spans = np.column_stack([trades["entry_idx"][own], stop[own]]).ravel()
        held = spans[1::2] > spans[::2]
        n = symbols[column]
        for values, pick, out in (
            (np.append(np.nan_to_num(bars.low[:, n], nan=np.inf), np.inf), np.minimum, low),
            (np.append(np.nan_to_num(bars.high[:, n], nan=-np.inf), -np.inf), np.maximum, high),
        ):
            extreme = pick.reduceat(values, spans)[::2]
            out[own] = np.where(held, pick(out[own], extreme), out[own])
    down, up = low / trades["entry_price"] - 1.0, high / trades["entry_price"] - 1.0
    short = trades["direction"] == SHORT
    return Excursions(
        adverse=np.minimum(np.where(short, -up, down), 0.0),
        favourable=np.maximum(np.where(short, -down, up), 0.0),
    )


def symbol_numbers(simulation: Simulation, bars: Bars) -> np.ndarray:
    """The number among `bars.symbols` of each column of the simulation."""
    names = simulation.columns.get_level_values("symbol")
    return np.asarray(pd.Index(bars.symbols).get_indexer(names))


def histogram(values: np.ndarray, *, whole: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Counts (B,) and edges (B + 1,) of the finite values; `whole` for bins of whole numbers.

    No more bins than distinct values; a single value has one bin around it.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    if whole:
        low, high = int(known.min()), int(known.max())
        width = -(-(high - low + 1) // NUM_BINS)
        edges = low - 0.5 + width * np.arange(-(-(high - low + 1) // width) + 1)
        return np.histogram(known, bins=edges)
    return np.histogram(known, bins=min(NUM_BINS, len(np.unique(known))))


def _month_of_bar(index: pd.DatetimeIndex) -> np.ndarray:
    return np.asarray((index.year - 1970) * 12 + index.month - 1, dtype=np.int64)
