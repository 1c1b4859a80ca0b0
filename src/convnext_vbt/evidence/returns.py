"""What an account's returns are made of: months, rolling Sharpe ratio, resampled days, trades.

Dimensions: T bars of the window, D UTC days, M calendar months, K trades.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnext_vbt.evidence import stats
from convnext_vbt.evidence.accounts import Account
from convnext_vbt.evidence.measures import is_closed, is_short
from convnext_vbt.evidence.resampling import stationary_rows
from convnext_vbt.evidence.sharpe import FEWEST_PERIODS
from convnext_vbt.market.bars import Bars

ROLLING_DAYS = 90
MAX_POINTS = 500
"""Points of a rolling line; every k-th day of a longer one is taken."""
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
    """The days at which rolling figures are taken, at most `MAX_POINTS`; the last is one."""
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fan:
    """Quantiles of the growth of 1 over resampled histories, after each UTC day."""

    levels: tuple[float, ...]
    growth: np.ndarray
    """float64 (levels, D)."""


def bootstrap_fan(returns_D: np.ndarray) -> Fan | None:
    """How far the same days in another order, some twice and some never, would have led.

    Stationary bootstrap (Politis and Romano 1994), its mean block by `stats.block_length`; None
    below 20 days and where returns do not vary.
    """
    if len(returns_D) < FEWEST_PERIODS or not np.isfinite(stats.sharpe_ratio(returns_D)):
        return None
    rows = stationary_rows(
        np.random.default_rng(0), NUM_PATHS, len(returns_D),
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


def excursions(account: Account, bars: Bars) -> Excursions:
    """MAE and MFE of an account's trades; `bars` are those of the window."""
    trades, symbols = account.trades, symbol_numbers(account, bars)
    low, high = trades["exit_price"].copy(), trades["exit_price"].copy()
    stop = np.where(is_closed(trades), trades["exit_idx"], trades["exit_idx"] + 1)
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
    short = is_short(trades)
    return Excursions(
        adverse=np.minimum(np.where(short, -up, down), 0.0),
        favourable=np.maximum(np.where(short, -down, up), 0.0),
    )


def bars_held(account: Account, bars: Bars) -> np.ndarray:
    """Bars of its own symbol from each trade's entry to its exit, int64 (K,); `bars` as above."""
    trades = account.trades
    count_TN = np.cumsum(bars.present, axis=0)
    symbol = symbol_numbers(account, bars)[trades["col"]]
    held: np.ndarray = count_TN[trades["exit_idx"], symbol] - count_TN[trades["entry_idx"], symbol]
    return held


def symbol_numbers(account: Account, bars: Bars) -> np.ndarray:
    """The number among `bars.symbols` of each column of the account."""
    return np.asarray(pd.Index(bars.symbols).get_indexer(pd.Index(account.symbols)))


def _month_of_bar(index: pd.DatetimeIndex) -> np.ndarray:
    return np.asarray((index.year - 1970) * 12 + index.month - 1, dtype=np.int64)
