"""In which markets an account earned: volatility, trend, hour of day and weekday.

A day's regime is known at its start. The market is what the bars hold: of several symbols the mean
of their daily returns. Dimensions: D UTC days of all bars, W of the window, K trades.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnext_vbt.evidence import measures
from convnext_vbt.evidence.accounts import days_of
from convnext_vbt.market.bars import Bars

VOLATILITY_DAYS, TREND_DAYS = 30, 100
REGIMES = ("low volatility", "middle volatility", "high volatility", "trend up", "trend down")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def market_by_day(bars: Bars) -> tuple[np.ndarray, np.ndarray]:
    """UTC days with a bar from 1970-01-01, (D,), and the market's return of each; the first NaN.

    Mean over the symbols that have a close by that day and by the one before.
    """
    days, _, last = days_of(bars.index)
    total, known = np.zeros(len(days)), np.zeros(len(days))
    for close in bars.close.T:
        daily = pd.Series(close).ffill().to_numpy()[last]
        change = np.append(np.nan, daily[1:] / daily[:-1] - 1.0)
        there = np.isfinite(change)
        total[there] += change[there]
        known += there
    return days, total / np.where(known > 0, known, np.nan)


def regimes_of_days(bars: Bars, days_W: np.ndarray) -> dict[str, np.ndarray]:
    """Which of `days_W` are in each of `REGIMES`, bool (W,); in none where it is not known.

    Volatility: standard deviation of the 30 daily returns before the day, in thirds of all days of
    the window. Trend: the close before the day against the mean of the 100 up to it.
    """
    days_D, returns_D = market_by_day(bars)
    returns = pd.Series(returns_D)
    level = (1.0 + returns.fillna(0.0)).cumprod()
    at = np.searchsorted(days_D, days_W)
    # One day's shift: what is known at the start of a day ends at the close before.
    volatility = returns.rolling(VOLATILITY_DAYS).std().shift(1).to_numpy()[at]
    above = (level - level.rolling(TREND_DAYS).mean()).shift(1).to_numpy()[at]
    known = volatility[np.isfinite(volatility)]
    low, high = np.quantile(known, (1 / 3, 2 / 3)) if len(known) else (np.nan, np.nan)
    masks = (
        volatility <= low,
        (volatility > low) & (volatility <= high),
        volatility > high,
        above > 0,
        above <= 0,
    )
    return dict(zip(REGIMES, masks, strict=True))


def by_regime(
    regimes: dict[str, np.ndarray],
    returns_W: np.ndarray,
    hold_W: np.ndarray,
    entry_day: np.ndarray,
    days_per_year: int,
) -> pd.DataFrame:
    """Days, trades entered, return and annual Sharpe ratio of each; `hold_*` of buy and hold.

    A return is that of the regime's days one after the other. `entry_day` (K,) is the number of
    each entry's day in the window. NaN where there is no day, or returns do not vary.
    """
    entries_W = np.bincount(entry_day, minlength=len(returns_W))
    rows = []
    for name, here in regimes.items():
        own, other = returns_W[here], hold_W[here]
        rows.append(
            {
                "regime": name,
                "days": int(here.sum()),
                "trades": int(entries_W[here].sum()),
                "total_return": _compound(own),
                "sharpe": _sharpe(own, days_per_year),
                "hold_return": _compound(other),
                "hold_sharpe": _sharpe(other, days_per_year),
            }
        )
    return pd.DataFrame(rows)


def by_clock(trades: np.ndarray, index: pd.DatetimeIndex) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Entries and mean net return of the closed ones by hour and by weekday, UTC.

    Hours and weekdays that have a bar; the mean is NaN where no trade has ended.
    """
    hours = _by_key(trades, np.asarray(index.hour), "hour")
    weekdays = _by_key(trades, np.asarray(index.day_of_week), "weekday")
    weekdays["weekday"] = [WEEKDAYS[k] for k in weekdays["weekday"]]
    return hours, weekdays


def _by_key(trades: np.ndarray, key_T: np.ndarray, name: str) -> pd.DataFrame:
    key_K = key_T[trades["entry_idx"]]
    keys = np.unique(key_T)
    chosen = [trades[key_K == key] for key in keys]
    return pd.DataFrame(
        {
            name: keys,
            "trades": [len(own) for own in chosen],
            "mean_trade": [measures.mean_trade(own) for own in chosen],
        }
    )


def _compound(returns: np.ndarray) -> float:
    return float(np.prod(1.0 + returns) - 1.0) if len(returns) else np.nan


def _sharpe(returns: np.ndarray, days_per_year: int) -> float:
    return measures.sharpe(returns, days_per_year) if len(returns) > 1 else np.nan
