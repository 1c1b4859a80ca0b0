"""How much of the equity was in the market, bar by bar, and rolling figures of the days.

Dimensions: T bars of the window, C columns, D UTC days, R days at which rolling figures are taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from convnext_vbt.evidence.accounts import Account, days_of
from convnext_vbt.evidence.returns import ROLLING_DAYS, rolling_days, rolling_sharpe
from convnext_vbt.market.bars import Bars
from convnext_vbt.trading.simulation import Simulation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposure:
    """Positions at their last close as multiples of the equity at each close, (T,) each.

    NaN where no equity is left.
    """

    gross: np.ndarray
    """Longs and shorts added up, >= 0."""
    net: np.ndarray
    """Longs less shorts."""
    held: np.ndarray
    """bool (T,), whether any position is held at the close."""

    @classmethod
    def of(cls, simulation: Simulation, account: Account, bars: Bars) -> Self:
        """Of all columns together; `bars` are those of the window."""
        gross, net = np.zeros(len(bars)), np.zeros(len(bars))
        symbols = simulation.columns.get_level_values("symbol")
        for c, n in enumerate(pd.Index(bars.symbols).get_indexer(symbols).tolist()):
            value = _value(simulation.position[:, c], bars.close[:, n], over=simulation.inverse[c])
            gross += np.abs(value)
            net += value
        equity = np.where(account.equity > 0, account.equity, np.nan)
        return cls(gross=gross / equity, net=net / equity, held=account.held)

    def to_dict(self) -> dict[str, float]:
        """Means over bars with equity, the highest, and shares of all bars."""
        known = np.isfinite(self.gross)
        gross, net = self.gross[known], self.net[known]
        return {
            "mean_gross": float(gross.mean()) if len(gross) else math.nan,
            "max_gross": float(gross.max()) if len(gross) else math.nan,
            "mean_net": float(net.mean()) if len(net) else math.nan,
            "bars_in_market": float(self.held.mean()),
            "bars_net_long": float((np.nan_to_num(self.net) > 0).mean()),
            "bars_net_short": float((np.nan_to_num(self.net) < 0).mean()),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rolling:
    """At each of `returns.rolling_days`, (R,) each; NaN before 90 days with a bar are there."""

    days: np.ndarray
    """UTC days from 1970-01-01."""
    gross: np.ndarray
    """Mean exposure over that day's closes."""
    net: np.ndarray
    volatility: np.ndarray
    """Annual, of the last 90 days' returns."""
    beta: np.ndarray
    """Of the same days to buying and holding; NaN where that did not move."""
    sharpe: np.ndarray
    """Annual; NaN where returns do not vary."""

    @classmethod
    def of(
        cls,
        exposure: Exposure,
        returns_D: np.ndarray,
        hold_D: np.ndarray,
        index: pd.DatetimeIndex,
        days_per_year: int,
    ) -> Self:
        """Of an account's and buying and holding's returns by UTC day."""
        at = rolling_days(len(returns_D))
        days, first, last = days_of(index)
        count = last - first + 1
        volatility, beta = np.full(len(at), np.nan), np.full(len(at), np.nan)
        for k in np.flatnonzero(at >= ROLLING_DAYS - 1).tolist():
            own, other = (
                values[at[k] - ROLLING_DAYS + 1 : at[k] + 1] for values in (returns_D, hold_D)
            )
            volatility[k] = own.std(ddof=1) * math.sqrt(days_per_year)
            beta[k] = beta_of(own, other)
        return cls(
            days=days[at],
            gross=(np.add.reduceat(exposure.gross, first) / count)[at],
            net=(np.add.reduceat(exposure.net, first) / count)[at],
            volatility=volatility,
            beta=beta,
            sharpe=rolling_sharpe(returns_D, days_per_year),
        )

    def to_dict(self) -> dict[str, dict[str, float]]:
        """The lowest, the highest and the last of each rolling figure."""
        out: dict[str, dict[str, float]] = {"lowest": {}, "highest": {}, "last": {}}
        for name in ("volatility", "beta", "sharpe"):
            values = getattr(self, name)
            known = values[np.isfinite(values)]
            out["lowest"][name] = float(known.min()) if len(known) else math.nan
            out["highest"][name] = float(known.max()) if len(known) else math.nan
            out["last"][name] = float(values[-1])
        return out


def beta_of(returns: np.ndarray, others: np.ndarray) -> float:
    """Covariance over the variance of `others`; NaN where those do not vary."""
    spread = float(((others - others.mean()) ** 2).sum())
    both = float(((returns - returns.mean()) * (others - others.mean())).sum())
    return both / spread if spread > 0 else math.nan


def _value(units: np.ndarray, close: np.ndarray, *, over: bool) -> np.ndarray:
    """Worth of a column's position at the symbol's last close, negative when short, (T,)."""
    price = pd.Series(close).ffill().to_numpy()
    worth = -units / price if over else units * price  # an inverse long is a short of the quote
    return np.where(units != 0, worth, 0.0)
