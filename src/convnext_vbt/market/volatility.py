"""The one volatility that labels and stops share: an EWMA of squared log returns."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import Bars

STARTING_WEIGHT = 1e-6
"""A recursive value is valid once its starting value weighs less than this."""


def decay_warmup(decay: float) -> int:
    """Steps until the starting value of x <- decay x + (1 - decay) y weighs under 1e-6."""
    return math.ceil(math.log(STARTING_WEIGHT) / math.log(decay))


def ewma_volatility(bars: Bars, *, halflife: float) -> np.ndarray:
    """Volatility per bar, float64 (T, N), known at the close of each bar.

    sigma_t^2 = d sigma_{t-1}^2 + (1 - d) r_t^2 with d = 2^(-1/halflife) and r the log return from
    close to close of the symbol's present bars (RiskMetrics, J.P. Morgan 1996). NaN at absent bars
    and until the starting value weighs under 1e-6.

    Raises `ValueError` for a half-life under 0.1 bars.
    """
    if not 0.1 <= halflife < math.inf:
        raise InputError(f"halflife must be finite and at least 0.1 bars, got {halflife}")
    decay = 0.5 ** (1.0 / halflife)
    # numpy's logarithm is vectorised, numba's is not
    sigma: np.ndarray = ewma_volatility_nb(np.log(bars.close), decay, decay_warmup(decay))
    return sigma


@njit(cache=True)
def ewma_volatility_nb(log_close: np.ndarray, decay: float, warmup: int) -> np.ndarray:
    """Kernel of `ewma_volatility`: log closes (T, N), NaN where a bar is absent."""
    out = np.full(log_close.shape, np.nan)
    for n in range(log_close.shape[1]):
        last = np.nan
        variance = 0.0
        seen = 0
        for t in range(log_close.shape[0]):
            value = log_close[t, n]
            if np.isnan(value):
                continue
            if not np.isnan(last):
                r = value - last
                variance = r * r if seen == 0 else decay * variance + (1.0 - decay) * (r * r)
                seen += 1
                if seen > warmup:
                    out[t, n] = np.sqrt(variance)
            last = value
    return out
