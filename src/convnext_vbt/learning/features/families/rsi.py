"""Wilder's relative strength."""

from __future__ import annotations

import numpy as np
from numba import njit

from convnext_vbt.learning.features.family import Family
from convnext_vbt.learning.features.series import WILDER, WILDER_WARMUP
from convnext_vbt.learning.features.symbol import SymbolBars


def rsi(bars: SymbolBars) -> list[np.ndarray]:
    """RSI from -1 (only losses) to 1 (only gains): average change over average size of it."""
    strength = np.empty(len(bars.close), dtype=np.float32)
    rsi_nb(bars.close, WILDER, strength)
    return [strength]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def rsi_nb(close: np.ndarray, decay: float, strength: np.ndarray) -> None:
    """Kernel of `rsi`; the averages start with the first change."""
    net = close[1] - close[0]
    path = abs(net)
    strength[0] = 0.0
    for i in range(1, len(close)):
        change = close[i] - close[i - 1]
        net = decay * net + (1.0 - decay) * change
        path = decay * path + (1.0 - decay) * abs(change)
        strength[i] = net / path if path > 0.0 else 0.0


FAMILY = Family(warmups={"rsi_14": WILDER_WARMUP}, compute=rsi)
