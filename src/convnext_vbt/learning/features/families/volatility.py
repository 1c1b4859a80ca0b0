"""How the volatility changes, and how estimates of it differ."""

from __future__ import annotations

import numpy as np
from numba import njit

from convnext_vbt.learning.features.family import Family
from convnext_vbt.learning.features.series import (
    DAY,
    FLOOR,
    SIGMA_WARMUP,
    WEEK,
    day_sum,
    recursive_mean,
    week_sum,
)
from convnext_vbt.learning.features.symbol import SymbolBars

FAST_DECAY = 0.5 ** (1.0 / 6.0)


def volatility(bars: SymbolBars) -> np.ndarray:
    """Half the logs of ratios of variances.

    EWMA fast/slow; close-to-close day/week; Parkinson over close-to-close, day; Garman-Klass
    day/week (Parkinson 1980; Garman and Klass 1980).
    """
    log_range, log_body = np.log(bars.high / bars.low), np.log(bars.close / bars.open)
    parkinson, garman_klass = np.empty((2, len(log_range)))
    candle_variances_nb(log_range, log_body, parkinson, garman_klass)
    moves, candles = bars.squares_of_day, day_sum(garman_klass)
    pairs = (
        (recursive_mean(bars.squared_returns, FAST_DECAY), 1, bars.variance, 1),
        (moves, DAY, week_sum(moves), WEEK),
        (day_sum(parkinson), DAY, moves, DAY),
        (candles, DAY, week_sum(candles), WEEK),
    )
    ratios = np.empty((len(pairs), len(moves)), dtype=np.float32)  # seven digits do for a log
    for row, (part, parts, whole, wholes) in zip(ratios, pairs, strict=True):
        ratio_of_means_nb(part, 1.0 / parts, whole, 1.0 / wholes, FLOOR**2, row)
    np.log(ratios, out=ratios)
    ratios *= 0.5
    return ratios


@njit(cache=True, nogil=True, error_model="numpy")
def candle_variances_nb(
    log_range: np.ndarray, log_body: np.ndarray, parkinson: np.ndarray, garman_klass: np.ndarray
) -> None:
    """Each bar's variance as Parkinson, and as Garman and Klass estimate it."""
    for i in range(len(log_range)):
        square = log_range[i] * log_range[i]
        parkinson[i] = square * (0.25 / np.log(2.0))
        garman_klass[i] = 0.5 * square - (2.0 * np.log(2.0) - 1.0) * (log_body[i] * log_body[i])


@njit(cache=True, nogil=True, error_model="numpy")
def ratio_of_means_nb(
    part: np.ndarray,
    per_part: float,
    whole: np.ndarray,
    per_whole: float,
    least: float,
    ratio: np.ndarray,
) -> None:
    """Quotient of two sums times their factors, both at least `least`."""
    for i in range(len(part)):
        ratio[i] = max(part[i] * per_part, least) / max(whole[i] * per_whole, least)


FAMILY = Family(
    warmups={
        "volatility_ratio_6_24": SIGMA_WARMUP,
        "volatility_ratio_24_168": WEEK,
        "parkinson_over_close_24": DAY,
        "garman_klass_ratio_24_168": WEEK - 1,
    },
    compute=volatility,
)
