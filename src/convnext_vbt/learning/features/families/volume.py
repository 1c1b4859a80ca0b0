"""Where and when the volume is."""

from __future__ import annotations

import numpy as np
from numba import njit

from convnext_vbt.learning.features.family import Family
from convnext_vbt.learning.features.series import (
    DAY,
    FLOOR,
    WEEK,
    WILDER_WARMUP,
    change,
    day_sum,
    limited,
    week_sum,
)
from convnext_vbt.learning.features.symbol import SymbolBars

WINDOW = 24


def volume(bars: SymbolBars) -> list[np.ndarray]:
    """Of the last day unless said otherwise.

    Distance to the VWAP in ATRs; volume's z-score; its trend, (day - week) / (day + week) of the
    mean volumes in those bars and in seven times as many, -1 to 1; Chaikin money flow,
    sum(v (2 c - h - l) / (h - l)) / sum(v), -1 to 1; and the correlation of returns with volume.
    """
    vwap_distance, trend, money_flow = _flows(bars)
    zscore, correlation = _moments(bars)
    return [limited(vwap_distance), zscore, trend, money_flow, correlation]


def _flows(bars: SymbolBars) -> np.ndarray:
    money, flow = np.empty((2, len(bars.close)))
    money_nb(bars.high, bars.low, bars.close, bars.volume, money, flow)
    day = day_sum(bars.volume)
    flows = np.empty((3, len(day)), dtype=np.float32)
    flows_nb(bars.close, bars.atr, day_sum(money), day_sum(flow), day, week_sum(day), flows)
    return flows


def _moments(bars: SymbolBars) -> np.ndarray:
    mean, variance, product = np.zeros((3, len(bars.close)))
    moments_nb(bars.volume, bars.log_returns, mean, variance, product)
    drift, squares = change(bars.log_close, WINDOW), bars.squares_of_day
    moments = np.empty((2, len(mean)), dtype=np.float32)
    correlation_nb(mean, variance, product, drift, squares, FLOOR**2, moments)
    return moments


@njit(cache=True, nogil=True, error_model="numpy")
def money_nb(
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    volume: np.ndarray,
    money: np.ndarray,
    flow: np.ndarray,
) -> None:
    """Volume times the typical price, and times the close's place in the range (-1 to 1)."""
    for i in range(len(close)):
        span = high[i] - low[i]
        place = (2.0 * close[i] - high[i] - low[i]) / span if span > 0.0 else 0.0
        money[i] = (high[i] + low[i] + close[i]) * (1.0 / 3.0) * volume[i]
        flow[i] = place * volume[i]


@njit(cache=True, nogil=True, error_model="numpy")
def flows_nb(
    close: np.ndarray,
    atr: np.ndarray,
    money: np.ndarray,
    flow: np.ndarray,
    day: np.ndarray,
    week: np.ndarray,
    out: np.ndarray,
) -> None:
    """Distance to the VWAP without limits, trend and money flow from sums over days and weeks."""
    for i in range(len(close)):
        per_volume = 1.0 / day[i] if day[i] > 0.0 else 0.0
        vwap = money[i] * per_volume if day[i] > 0.0 else close[i]
        both = 7.0 * day[i] + week[i]
        out[0, i] = (close[i] - vwap) / atr[i]
        out[1, i] = (7.0 * day[i] - week[i]) / both if both > 0.0 else 0.0
        out[2, i] = flow[i] * per_volume


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def moments_nb(
    volume: np.ndarray,
    returns: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    product: np.ndarray,
) -> None:
    """Each window's mean volume, its variance, and its mean product with returns.

    Volumes are counted from the last one, so that nothing cancels. Returns are counted from
    nothing: even for the least deviation that counts, FLOOR, a mean of 1 % a bar costs no more
    than the seventh digit of the variance.
    """
    for i in range(len(volume) - WINDOW + 1):
        last = volume[i + WINDOW - 1]
        total = square = 0.0
        for k in range(WINDOW):
            apart = volume[i + k] - last
            total += apart
            square += apart * apart
        mean[i + WINDOW - 1] = total / WINDOW
        variance[i + WINDOW - 1] = square / WINDOW - (total / WINDOW) * (total / WINDOW)
    for i in range(len(volume) - WINDOW + 1):
        total = 0.0
        for k in range(WINDOW):
            total += (volume[i + k] - volume[i + WINDOW - 1]) * returns[i + k]
        product[i + WINDOW - 1] = total / WINDOW


@njit(cache=True, nogil=True, error_model="numpy")
def correlation_nb(
    mean: np.ndarray,
    variance: np.ndarray,
    product: np.ndarray,
    drift: np.ndarray,
    squares: np.ndarray,
    least: float,
    out: np.ndarray,
) -> None:
    """Volume's z-score and correlation, from its moments and the sums of returns and squares.

    A window whose returns have no more than the least variance has no correlation.
    """
    for i in range(len(mean)):
        per_volume = 1.0 / np.sqrt(variance[i]) if variance[i] > 0.0 else 0.0
        mean_return = drift[i] * (1.0 / WINDOW)
        spread = squares[i] * (1.0 / WINDOW) - mean_return * mean_return
        per_return = np.float32(1.0) / np.sqrt(np.float32(spread)) if spread > least else 0.0
        rho = (product[i] - mean[i] * mean_return) * per_volume * per_return
        out[0, i] = -mean[i] * per_volume
        out[1, i] = min(max(rho, -1.0), 1.0)


FAMILY = Family(
    warmups={
        "vwap_distance_24": WILDER_WARMUP,
        "volume_zscore_24": DAY - 1,
        "volume_trend_24_168": WEEK - 1,
        "chaikin_money_flow_24": DAY - 1,
        "return_volume_correlation_24": DAY,
    },
    compute=volume,
    needs_volume=True,
)
