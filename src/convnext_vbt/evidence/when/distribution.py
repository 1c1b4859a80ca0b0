"""How an account's daily returns are distributed, and how they follow buying and holding.

Dimension: D UTC days.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from convnext_vbt.evidence import measures
from convnext_vbt.evidence.when.exposure import beta_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Of daily returns; losses are negative."""

    days: int
    skew: float
    """Moments without a correction for few days; NaN where returns do not vary."""
    excess_kurtosis: float
    """0 of a normal distribution."""
    var_95: float
    """Historical value at risk: the 5 % quantile of the days, between two days in proportion (type
    7 of Hyndman and Fan 1996). NaN below 20 days, at 99 % below 100."""
    cvar_95: float
    """Mean of the days at or below it."""
    var_99: float
    cvar_99: float
    tail_ratio: float
    """95 % over 5 % quantile, both without sign; NaN where the latter is 0."""

    @classmethod
    def of(cls, returns_D: np.ndarray) -> Self:
        """Of an account's returns by UTC day."""
        skew, kurtosis = measures.moments(returns_D)
        (var_95, cvar_95), (var_99, cvar_99) = (_tail(returns_D, share) for share in (0.05, 0.01))
        best = float(np.quantile(returns_D, 0.95))
        return cls(
            days=len(returns_D),
            skew=skew,
            excess_kurtosis=kurtosis - 3.0,
            var_95=var_95,
            cvar_95=cvar_95,
            var_99=var_99,
            cvar_99=cvar_99,
            tail_ratio=measures.ratio(abs(best), abs(float(np.quantile(returns_D, 0.05)))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """Against buying and holding the same bars, by UTC day, riskless rate 0.

    NaN where buying and holding, or the account, does not vary.
    """

    alpha: float
    """Jensen's: mean return less beta times that of buying and holding, times the days a year."""
    beta: float
    correlation: float
    up_capture: float
    """Mean return over the days on which buying and holding rose, over its own there."""
    down_capture: float
    """The same of the days on which it fell."""
    tracking_error: float
    """Annual standard deviation of the difference of returns."""
    information_ratio: float
    """Annual mean of that difference over the tracking error."""

    @classmethod
    def of(cls, returns_D: np.ndarray, hold_D: np.ndarray, days_per_year: int) -> Self:
        """Of two series of the same days."""
        beta = beta_of(returns_D, hold_D)
        apart = returns_D - hold_D
        return cls(
            alpha=float(returns_D.mean() - beta * hold_D.mean()) * days_per_year,
            beta=beta,
            correlation=_correlation(returns_D, hold_D),
            up_capture=_capture(returns_D, hold_D, hold_D > 0),
            down_capture=_capture(returns_D, hold_D, hold_D < 0),
            tracking_error=measures.volatility(apart, days_per_year),
            information_ratio=measures.sharpe(apart, days_per_year),
        )


def _tail(returns_D: np.ndarray, share: float) -> tuple[float, float]:
    if len(returns_D) < 1 / share:
        return math.nan, math.nan
    quantile = float(np.quantile(returns_D, share))
    return quantile, float(returns_D[returns_D <= quantile].mean())


def _correlation(returns_D: np.ndarray, hold_D: np.ndarray) -> float:
    slopes = beta_of(returns_D, hold_D), beta_of(hold_D, returns_D)
    size = (
        math.sqrt(max(slopes[0] * slopes[1], 0.0)) if all(map(math.isfinite, slopes)) else math.nan
    )
    return math.copysign(size, slopes[0])


def _capture(returns_D: np.ndarray, hold_D: np.ndarray, days: np.ndarray) -> float:
    """NaN where there is no such day."""
    return float(returns_D[days].mean() / hold_D[days].mean()) if days.any() else math.nan
