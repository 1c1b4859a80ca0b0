"""Where the price is among its averages, in units of the ATR."""

from __future__ import annotations

import numpy as np
from numba import njit

from convnext_vbt.learning.features.family import Family
from convnext_vbt.learning.features.series import WILDER_WARMUP, limited, span_warmup
from convnext_vbt.learning.features.symbol import SymbolBars


def averages(bars: SymbolBars) -> list[np.ndarray]:
    """Log of the ATR in percent of the price; MACD (12, 26) and distances to EMAs in ATRs.

    The Keltner position is half the distance to EMA 20, as its bands lie two ATRs out; distances
    to EMA 24 and 168 are divided by sqrt(span), which makes a random walk's comparable.
    """
    natr = np.empty(len(bars.close), dtype=np.float32)
    distances = np.empty((4, len(natr)), dtype=np.float32)
    averages_nb(bars.close, bars.atr, natr, distances)
    return [np.log(natr), *limited(distances)]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def averages_nb(
    close: np.ndarray, atr: np.ndarray, natr: np.ndarray, distances: np.ndarray
) -> None:
    """Kernel of `averages`, without the log and the limits."""
    ema_12 = ema_20 = ema_24 = ema_26 = ema_168 = close[0]
    for i in range(len(close)):
        price, per_atr = close[i], 1.0 / atr[i]
        ema_12 = ema_12 * (11.0 / 13.0) + price * (2.0 / 13.0)
        ema_20 = ema_20 * (19.0 / 21.0) + price * (2.0 / 21.0)
        ema_24 = ema_24 * (23.0 / 25.0) + price * (2.0 / 25.0)
        ema_26 = ema_26 * (25.0 / 27.0) + price * (2.0 / 27.0)
        ema_168 = ema_168 * (167.0 / 169.0) + price * (2.0 / 169.0)
        natr[i] = 100.0 * atr[i] / price
        distances[0, i] = (ema_12 - ema_26) * per_atr
        distances[1, i] = (price - ema_20) * 0.5 * per_atr
        distances[2, i] = (price - ema_24) * (1.0 / np.sqrt(24.0)) * per_atr
        distances[3, i] = (price - ema_168) * (1.0 / np.sqrt(168.0)) * per_atr


FAMILY = Family(
    warmups={
        "log_natr_14": WILDER_WARMUP,
        "macd_over_atr": max(span_warmup(26), WILDER_WARMUP),
        "keltner_20": max(span_warmup(20), WILDER_WARMUP),
        "ema_distance_24": max(span_warmup(24), WILDER_WARMUP),
        "ema_distance_168": span_warmup(168),
    },
    compute=averages,
)
