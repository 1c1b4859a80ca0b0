"""The close's place in the range of the last bars."""

from __future__ import annotations

import numpy as np
from numba import njit

from convnext_vbt.learning.features.family import Family
from convnext_vbt.learning.features.symbol import SymbolBars

WINDOW = 14


def stochastic(bars: SymbolBars) -> list[np.ndarray]:
    """Fast %K from -1 (at the lowest low) to 1 (at the highest high), 0 without range."""
    places = np.empty(len(bars.close), dtype=np.float32)
    places[: WINDOW - 1] = 0.0
    stochastic_nb(bars.high, bars.low, bars.close, places)
    return [places]


@njit(cache=True, nogil=True, error_model="numpy")
def stochastic_nb(high: np.ndarray, low: np.ndarray, close: np.ndarray, places: np.ndarray) -> None:
    """Kernel of `stochastic`."""
    for i in range(len(close) - WINDOW + 1):
        top, bottom = high[i], low[i]
        for k in range(1, WINDOW):
            top, bottom = max(top, high[i + k]), min(bottom, low[i + k])
        place = (close[i + WINDOW - 1] - bottom) / (top - bottom) if top > bottom else 0.5
        places[i + WINDOW - 1] = 2.0 * place - 1.0


FAMILY = Family(warmups={"stochastic_k_14": WINDOW - 1}, compute=stochastic)
