"""From the kernel's running sums to the metrics of each sweep cell, by their textbook definitions.

Dimension: P cells.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnext_vbt.trading import kernel

NO_VARIANCE = 1e-9
"""A standard deviation of daily returns below this share of their mean is rounding."""


def cell_metrics(
    accounts: np.ndarray,
    *,
    init_cash: float,
    num_bars: int,
    years: float,
    days_per_year: float,
    with_funding: bool = False,
    with_refused: bool = False,
) -> pd.DataFrame:
    """One row a cell; what is undefined is NaN, never infinite.

    - total_return, cagr, log_growth: final over initial equity; the last two a year, log_growth
      being ln(1 + cagr).
    - volatility, sharpe, sortino: of UTC-day returns (equity at each day's last bar, the first day
      against the initial cash), annualised with sqrt(days_per_year); standard deviation with
      ddof 1, downside deviation sqrt(mean(min(r, 0)^2)); riskless rate 0. NaN without a trade and,
      the Sharpe ratio, where the returns do not vary: the same cost on a pegged price each day.
    - max_drawdown: negative, on bar closes, the start included; calmar: cagr over its size.
    - trades: all, one still open at the end included; win_rate, profit_factor (gross profit over
      gross loss) and mean_trade (net return of the position) are of closed trades.
    - exposure: share of bars with a position at the close; turnover: traded notional a year over
      mean equity; costs: fees and slippage in money.
    - capped_share: entries cut down to a cap; gap_stops: exits beyond their stop.
    - funding: paid in money, net of what was received, and what was borrowed; only `with_funding`.
    - refused: entries not placed, under the least size or worth or without room under the caps;
      only `with_refused`.
    """
    sums = accounts.T
    days = sums[kernel.DAYS]
    traded = sums[kernel.TRADES] > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = sums[kernel.EQUITY] / init_cash
        cagr = np.where(growth > 0, np.maximum(growth, 0.0) ** (1.0 / years) - 1.0, -1.0)
        deviation = np.sqrt(sums[kernel.DAY_SQUARES] / (days - 1.0))
        downside = np.sqrt(sums[kernel.DAY_DOWNSIDE] / days)
        varies = deviation > NO_VARIANCE * np.abs(sums[kernel.DAY_MEAN])
        scale = np.sqrt(days_per_year)
        table = {
            "total_return": growth - 1.0,
            "cagr": cagr,
            "volatility": deviation * scale,
            "sharpe": np.where(traded & varies, sums[kernel.DAY_MEAN] / deviation * scale, np.nan),
            "sortino": np.where(traded, sums[kernel.DAY_MEAN] / downside * scale, np.nan),
            "calmar": np.where(traded, cagr / -sums[kernel.DRAWDOWN], np.nan),
            "max_drawdown": sums[kernel.DRAWDOWN],
            "log_growth": np.log1p(cagr),
            "trades": sums[kernel.TRADES].astype(np.int64),
            "win_rate": sums[kernel.WINS] / sums[kernel.CLOSED],
            "profit_factor": sums[kernel.GROSS_PROFIT] / sums[kernel.GROSS_LOSS],
            "mean_trade": sums[kernel.RETURN_SUM] / sums[kernel.CLOSED],
            "exposure": sums[kernel.BARS_HELD] / num_bars,
            "turnover": sums[kernel.TRADED] / (sums[kernel.EQUITY_SUM] / num_bars) / years,
            "costs": sums[kernel.FEES_PAID] + sums[kernel.SLIPPAGE_PAID],
            "capped_share": sums[kernel.CAPPED] / sums[kernel.TRADES],
            "gap_stops": sums[kernel.GAP_STOPS].astype(np.int64),
        }
    if with_funding:
        table["funding"] = sums[kernel.FUNDING_PAID]
    if with_refused:
        table["refused"] = sums[kernel.REFUSED].astype(np.int64)
    clean = {
        name: np.where(np.isfinite(values), values, np.nan) if values.dtype.kind == "f" else values
        for name, values in table.items()
    }
    return pd.DataFrame({**clean, "bust": sums[kernel.IS_BUST] > 0})
