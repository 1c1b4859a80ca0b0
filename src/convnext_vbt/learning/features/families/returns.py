"""How far the price has gone."""

from __future__ import annotations

import numpy as np
from numba import njit

from convnext_vbt.learning.features.family import Family
from convnext_vbt.learning.features.series import LIMIT, SIGMA_WARMUP
from convnext_vbt.learning.features.symbol import SymbolBars

LAGS = (1, 4, 24, 72, 168)


def returns(bars: SymbolBars) -> np.ndarray:
    """Log returns over several lags, in units of sigma sqrt(lag)."""
    logs, per_sigma = bars.log_close, 1.0 / np.sqrt(bars.variance.astype(np.float32))
    out = np.zeros((len(LAGS), len(logs)), dtype=np.float32)
    for row, lag in zip(out, LAGS, strict=True):
        returns_nb(logs[lag:], logs[:-lag], per_sigma[lag:], lag**-0.5, LIMIT, row[lag:])
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def returns_nb(
    now: np.ndarray,
    before: np.ndarray,
    per_sigma: np.ndarray,
    scale: float,
    limit: float,
    out: np.ndarray,
) -> None:
    """Kernel of `returns` for one lag."""
    for i in range(len(out)):
        out[i] = min(max((now[i] - before[i]) * per_sigma[i] * scale, -limit), limit)


FAMILY = Family(warmups={f"return_{lag}": max(lag, SIGMA_WARMUP) for lag in LAGS}, compute=returns)
