"""The measures of an account, each defined once: growth, falls, risk, trades, costs.

What is undefined is NaN, never infinite. Ratios are annual, of UTC-day returns, riskless rate 0;
standard deviations have D - 1 in the denominator. `trading.metrics` has the same figures of
thousands of cells at once, from the kernel's running sums.
Dimensions: T bars, D UTC days, K trades, M orders.
"""

from __future__ import annotations

import math

import numpy as np

from convnext_vbt.evidence import stats
from convnext_vbt.evidence.sharpe import estimate
from convnext_vbt.trading.codes import CLOSED, GAP_STOP, SHORT

CONFIDENCE = 0.90
"""Of every interval of a Sharpe ratio."""


def growth_rate(growth: float, years: float) -> float:
    """Compound growth a year (CAGR) of money that became `growth` times itself; -1 if all is lost.

    >>> round(growth_rate(1.21, 2.0), 6)
    0.1
    """
    return growth ** (1.0 / years) - 1.0 if growth > 0 else -1.0


def log_growth(cagr: float) -> float:
    """ln(1 + CAGR); NaN where all is lost."""
    return math.log1p(cagr) if cagr > -1.0 else math.nan


def underwater(equity_T: np.ndarray, init_cash: float) -> np.ndarray:
    """Equity below its running peak (initial cash included), a fraction <= 0 of shape (T,)."""
    peak = np.maximum(np.maximum.accumulate(equity_T), init_cash)
    return np.asarray(equity_T / peak - 1.0)


def max_drawdown(equity_T: np.ndarray, init_cash: float) -> float:
    """Deepest fall below an earlier peak or the start, at bar closes; <= 0."""
    return float(underwater(equity_T, init_cash).min())


def returns_between(money: np.ndarray) -> np.ndarray:
    """Returns between successive values along the first axis; 0 once nothing is left."""
    before = money[:-1]
    alive = before > 0
    change: np.ndarray = money[1:] / np.where(alive, before, 1.0) - 1.0
    return np.where(alive, change, 0.0)


def volatility(returns_D: np.ndarray, days_per_year: float) -> float:
    """Annual standard deviation."""
    if len(returns_D) < 2:
        return math.nan
    return float(returns_D.std(ddof=1)) * math.sqrt(days_per_year)


def sharpe(returns_D: np.ndarray, days_per_year: float) -> float:
    """Annual Sharpe ratio of one series; NaN where returns do not vary."""
    return float(stats.sharpe_ratio(returns_D, days_per_year))


def sharpe_interval(returns_D: np.ndarray, days_per_year: float) -> tuple[float, float]:
    """90 % interval of the annual Sharpe ratio (`stats.sharpe_confidence_interval`)."""
    year = math.sqrt(days_per_year)
    low, high = stats.sharpe_confidence_interval(returns_D, CONFIDENCE)
    return low * year, high * year


def sortino(returns_D: np.ndarray, days_per_year: float) -> float:
    """Annual mean over the downside deviation, sqrt(mean(min(r, 0)^2))."""
    downside = math.sqrt(float((np.minimum(returns_D, 0.0) ** 2).mean()))
    return ratio(float(returns_D.mean()) * math.sqrt(days_per_year), downside)


def moments(returns_D: np.ndarray) -> tuple[float, float]:
    """Skewness and raw kurtosis (normal = 3); NaN where returns do not vary."""
    if math.isnan(float(stats.sharpe_ratio(returns_D))):
        return math.nan, math.nan
    standard = (returns_D - returns_D.mean()) / returns_D.std()
    return float((standard**3).mean()), float((standard**4).mean())


def probabilistic_sharpe(returns_D: np.ndarray, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio of these returns is above `benchmark`, both per day.

    Student's t with the standard error of `sharpe_interval`, for days that may depend on each
    other; `stats.probabilistic_sharpe_ratio` is of moments alone. NaN where the interval is.
    """
    (probability,) = estimate(returns_D[:, None]).exceeds(benchmark)
    return float(probability)


def deflated_sharpe(returns_D: np.ndarray, num_trials: int, variance: float) -> float:
    """`probabilistic_sharpe` of these returns as the best of `num_trials`.

    `variance` is that of the trials' Sharpe ratios per day.
    """
    return probabilistic_sharpe(
        returns_D, float(stats.expected_maximum_sharpe(num_trials, variance))
    )


def exposure(position_TC: np.ndarray) -> float:
    """Share of bars at whose close any position is held."""
    return float((position_TC != 0).any(axis=1).mean())


def is_closed(trades: np.ndarray) -> np.ndarray:
    """Which trades have ended, bool (K,)."""
    return np.asarray(trades["status"] == CLOSED)


def closed(trades: np.ndarray) -> np.ndarray:
    """The trades that have ended."""
    return np.asarray(trades[is_closed(trades)])


def is_short(trades: np.ndarray) -> np.ndarray:
    """Which trades were short, bool (K,)."""
    return np.asarray(trades["direction"] == SHORT)


def win_rate(trades: np.ndarray) -> float:
    """Share of the closed trades with a profit after costs."""
    done = closed(trades)
    return ratio(float((done["pnl"] > 0).sum()), len(done))


def profit_factor(trades: np.ndarray) -> float:
    """Sum of the closed trades' profits over the sum of their losses."""
    profits = closed(trades)["pnl"]
    return ratio(float(profits[profits > 0].sum()), float(-profits[profits < 0].sum()))


def mean_trade(trades: np.ndarray) -> float:
    """Mean net return of the closed trades, each on its own entry value."""
    done = closed(trades)
    return ratio(float(done["return"].sum()), len(done))


def capped_share(trades: np.ndarray) -> float:
    """Share of the entries that were cut down to a cap."""
    return ratio(float(trades["capped"].sum()), len(trades))


def gap_stops(trades: np.ndarray) -> int:
    """Stops that filled at a worse open than their level."""
    return int((closed(trades)["reason"] == GAP_STOP).sum())


def order_costs(orders: np.ndarray) -> np.ndarray:
    """Of each order, (M,): its fee, and how much worse than the market's price it was filled."""
    return np.asarray(orders["fees"] + orders["slippage"])


def traded_value(orders: np.ndarray) -> float:
    """Money that changed hands, both sides of every trade."""
    return float((orders["size"] * orders["price"]).sum())


def ratio(above: float, below: float) -> float:
    """`above` / `below`; NaN unless `below` is positive."""
    return above / below if below > 0 else math.nan
