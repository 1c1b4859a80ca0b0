"""One symbol's bars, and what several families of features make of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from convnext_vbt.learning.features import series


@dataclass(frozen=True, kw_only=True, eq=False)
class SymbolBars:
    """M bars that one symbol has, in order and without holes: read-only arrays (M,), float64.

    What is derived from them is made when it is first asked for.
    """

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    stamps: np.ndarray
    """When each bar opens, int64: nanoseconds since 1970, UTC."""

    @cached_property
    def log_close(self) -> np.ndarray:
        """Natural logarithm of the close."""
        logs: np.ndarray = np.log(self.close)
        return logs

    @cached_property
    def log_returns(self) -> np.ndarray:
        """From close to close; the first is 0."""
        return series.change(self.log_close, 1)

    @cached_property
    def squared_returns(self) -> np.ndarray:
        """Squares of the log returns."""
        return self.log_returns**2

    @cached_property
    def squares_of_day(self) -> np.ndarray:
        """A day's squared log returns added up."""
        return series.day_sum(self.squared_returns)

    @cached_property
    def variance(self) -> np.ndarray:
        """EWMA variance of log returns, as labels and stops have it, at least FLOOR**2."""
        variance = series.recursive_mean(self.squared_returns, series.SIGMA_DECAY)
        floored: np.ndarray = np.maximum(variance, series.FLOOR**2, out=variance)
        return floored

    @cached_property
    def true_range(self) -> np.ndarray:
        """Wilder's average of the true range over 14 bars, in units of the price."""
        return series.true_range_mean(self.high, self.low, self.close)

    @cached_property
    def atr(self) -> np.ndarray:
        """The same, but at least FLOOR times the close."""
        atr: np.ndarray = np.maximum(self.true_range, series.FLOOR * self.close)
        return atr
