"""What a bar looks like."""

from __future__ import annotations

import numpy as np
from numba import njit

from convnext_vbt.learning.features.family import Family
from convnext_vbt.learning.features.symbol import SymbolBars


def candles(bars: SymbolBars) -> np.ndarray:
    """Body (signed), upper wick and lower wick as shares of the bar's range, 0 without range."""
    shares = np.empty((3, len(bars.close)), dtype=np.float32)
    candles_nb(bars.open, bars.high, bars.low, bars.close, shares)
    return shares


@njit(cache=True, nogil=True, error_model="numpy")
def candles_nb(
    open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray, shares: np.ndarray
) -> None:
    """Kernel of `candles`."""
    for i in range(len(close)):
        span = high[i] - low[i]
        per_span = 1.0 / span if span > 0.0 else 0.0
        shares[0, i] = (close[i] - open_[i]) * per_span
        shares[1, i] = (high[i] - max(open_[i], close[i])) * per_span
        shares[2, i] = (min(open_[i], close[i]) - low[i]) * per_span


FAMILY = Family(
    warmups={"candle_body": 0, "candle_upper_wick": 0, "candle_lower_wick": 0},
    compute=candles,
)
