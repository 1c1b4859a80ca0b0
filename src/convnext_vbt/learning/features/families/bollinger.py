"""Bollinger's bands."""

from __future__ import annotations

import numpy as np
from numba import njit

from convnext_vbt.learning.features.family import Family
from convnext_vbt.learning.features.series import WILDER_WARMUP, limited
from convnext_vbt.learning.features.symbol import SymbolBars

WINDOW = 20


def bollinger(bars: SymbolBars) -> list[np.ndarray]:
    """%b (two deviations), 0.5 in the middle, and the deviation in ATRs, a quarter of the width."""
    percent_b, width = np.empty((2, len(bars.close)), dtype=np.float32)
    percent_b[: WINDOW - 1] = width[: WINDOW - 1] = 0.0
    bollinger_nb(bars.close, bars.atr, percent_b, width)
    return [percent_b, limited(width)]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def bollinger_nb(
    close: np.ndarray, atr: np.ndarray, percent_b: np.ndarray, width: np.ndarray
) -> None:
    """Kernel of `bollinger`, without a limit.

    Deviations are counted from the last close: a value of the window itself leaves nothing to
    cancel (shifted data, Chan, Golub and LeVeque 1983).
    """
    for i in range(len(close) - WINDOW + 1):
        last = close[i + WINDOW - 1]
        total = square = 0.0
        for k in range(WINDOW - 1):
            apart = close[i + k] - last
            total += apart
            square += apart * apart
        mean = total / WINDOW
        deviation = np.sqrt(square / WINDOW - mean * mean)
        percent_b[i + WINDOW - 1] = 0.5 - (mean / (4.0 * deviation) if deviation > 0.0 else 0.0)
        width[i + WINDOW - 1] = deviation / atr[i + WINDOW - 1]


FAMILY = Family(
    warmups={"bollinger_percent_b_20": WINDOW - 1, "bollinger_width_20": WILDER_WARMUP},
    compute=bollinger,
)
