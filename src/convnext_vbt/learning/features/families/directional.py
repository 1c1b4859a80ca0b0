"""Wilder's directional movement."""

from __future__ import annotations

import numpy as np
from numba import njit

from convnext_vbt.learning.features.family import Family
from convnext_vbt.learning.features.series import WILDER, WILDER_WARMUP
from convnext_vbt.learning.features.symbol import SymbolBars


def directional(bars: SymbolBars) -> np.ndarray:
    """ADX (0 to 1), and +DI minus -DI (-1 to 1)."""
    indices = np.empty((2, len(bars.close)), dtype=np.float32)
    directional_nb(bars.high, bars.low, bars.true_range, WILDER, indices)
    return indices


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def directional_nb(
    high: np.ndarray, low: np.ndarray, true_range: np.ndarray, decay: float, indices: np.ndarray
) -> None:
    """Kernel of `directional`; all averages start with the second bar's value."""
    indices[0, 0] = indices[1, 0] = 0.0
    trend = size = adx = 0.0
    for i in range(1, len(high)):
        rise = max(high[i] - high[i - 1], 0.0)
        fall = max(low[i - 1] - low[i], 0.0)
        movement = (rise if rise > fall else 0.0) - (fall if fall > rise else 0.0)
        kept = decay if i > 1 else 0.0
        trend = kept * trend + (1.0 - kept) * movement
        size = kept * size + (1.0 - kept) * abs(movement)
        adx = kept * adx + (1.0 - kept) * (abs(trend) / size if size > 0.0 else 0.0)
        indices[0, i] = adx
        indices[1, i] = trend / true_range[i] if true_range[i] > 0.0 else 0.0


FAMILY = Family(
    # ADX averages what is itself an average: their memories add up.
    warmups={"adx_14": 2 * WILDER_WARMUP, "di_spread_14": WILDER_WARMUP},
    compute=directional,
)
