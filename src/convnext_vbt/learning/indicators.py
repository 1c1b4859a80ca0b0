"""Numba kernels of the built-in features, one family a kernel, each over one symbol's bars.

Every kernel takes float64 arrays (M,) of a symbol's present bars and writes float32 rows (M,) into
`out`, in the order in which `features` names them. Values before a feature's warm-up are finite
but not yet valid. A value at bar i depends on bars up to i alone.

Dead markets divide by nothing: a volatility or ATR below a millionth of the price counts as a
millionth (`FLOOR`), distances and returns are limited to +-10 units (`LIMIT`), and a position
in a range, band or ratio of nothing is the middle one.

Window sums are made without subtraction (van Herk 1992; Gil and Werman 1993): the last w bars are
a suffix of one block of w bars and a prefix of the next. So nothing drifts, a flat window has
exactly zero variance, and the start of the history is forgotten.
"""

from __future__ import annotations

import numpy as np
from numba import njit

FLOOR = 1e-6
LIMIT = 10.0


@njit(cache=True, nogil=True)
def _limited(value: float) -> float:
    return min(max(value, -LIMIT), LIMIT)


@njit(cache=True, nogil=True)
def _ratio(part: float, whole: float, otherwise: float) -> float:
    return part / whole if whole > 0.0 else otherwise


@njit(cache=True, nogil=True)
def ewma_variance_nb(log_close: np.ndarray, halflife: float) -> np.ndarray:
    """EWMA of squared log returns, as `market.volatility` has it; FLOOR squared at the least."""
    decay = 0.5 ** (1.0 / halflife)
    out = np.empty(len(log_close))
    variance = 0.0
    out[0] = FLOOR * FLOOR
    for i in range(1, len(log_close)):
        r = log_close[i] - log_close[i - 1]
        variance = r * r if i == 1 else decay * variance + (1.0 - decay) * r * r
        out[i] = max(variance, FLOOR * FLOOR)
    return out


@njit(cache=True, nogil=True)
def window_sum_nb(values: np.ndarray, window: int) -> np.ndarray:
    """Sum of the last `window` values at every bar (fewer at the start)."""
    out = np.empty(len(values))
    suffix = np.zeros(window + 1)
    for block in range(0, len(values), window):
        if block:
            for k in range(window - 1, -1, -1):
                suffix[k] = suffix[k + 1] + values[block - window + k]
        prefix = 0.0
        for i in range(block, min(block + window, len(values))):
            prefix += values[i]
            out[i] = suffix[i - block + 1] + prefix
    return out


@njit(cache=True, nogil=True)
def window_max_nb(values: np.ndarray, window: int) -> np.ndarray:
    """Maximum of the last `window` values at every bar (fewer at the start)."""
    out = np.empty(len(values))
    suffix = np.full(window + 1, -np.inf)
    for block in range(0, len(values), window):
        if block:
            for k in range(window - 1, -1, -1):
                suffix[k] = max(suffix[k + 1], values[block - window + k])
        prefix = -np.inf
        for i in range(block, min(block + window, len(values))):
            prefix = max(prefix, values[i])
            out[i] = max(suffix[i - block + 1], prefix)
    return out


@njit(cache=True, nogil=True)
def window_moments_nb(values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population standard deviation of the last `window` values at every bar."""
    mean, deviation = np.empty(len(values)), np.empty(len(values))
    first, second = np.zeros(window + 1), np.zeros(window + 1)
    for block in range(0, len(values), window):
        # Measured from a value that is inside every window of this block, nothing cancels.
        origin = values[block]
        if block:
            for k in range(window - 1, -1, -1):
                x = values[block - window + k] - origin
                first[k] = first[k + 1] + x
                second[k] = second[k + 1] + x * x
        sum1 = sum2 = 0.0
        for i in range(block, min(block + window, len(values))):
            x = values[i] - origin
            sum1 += x
            sum2 += x * x
            count = min(i + 1, window)
            m = (first[i - block + 1] + sum1) / count
            mean[i] = origin + m
            deviation[i] = np.sqrt(max((second[i - block + 1] + sum2) / count - m * m, 0.0))
    return mean, deviation


@njit(cache=True, nogil=True)
def window_covariance_nb(left: np.ndarray, right: np.ndarray, window: int) -> np.ndarray:
    """Population covariance of the last `window` pairs at every bar."""
    out = np.empty(len(left))
    first, second, cross = np.zeros(window + 1), np.zeros(window + 1), np.zeros(window + 1)
    for block in range(0, len(left), window):
        x0, y0 = left[block], right[block]  # inside every window of this block, as above
        if block:
            for k in range(window - 1, -1, -1):
                x, y = left[block - window + k] - x0, right[block - window + k] - y0
                first[k] = first[k + 1] + x
                second[k] = second[k + 1] + y
                cross[k] = cross[k + 1] + x * y
        sum1 = sum2 = sum12 = 0.0
        for i in range(block, min(block + window, len(left))):
            x, y = left[i] - x0, right[i] - y0
            sum1 += x
            sum2 += y
            sum12 += x * y
            count, k = min(i + 1, window), i - block + 1
            means = (first[k] + sum1) / count * ((second[k] + sum2) / count)
            out[i] = (cross[k] + sum12) / count - means
    return out


@njit(cache=True, nogil=True)
def returns_nb(
    log_close: np.ndarray, variance: np.ndarray, lags: np.ndarray, out: np.ndarray
) -> None:
    """Log return over each lag, in units of sigma sqrt(lag)."""
    per_sigma = np.empty(len(variance))
    for i in range(len(variance)):
        per_sigma[i] = 1.0 / np.sqrt(variance[i])
    for j in range(len(lags)):
        lag = lags[j]
        scale = 1.0 / np.sqrt(lag)
        out[j, :lag] = 0.0
        for i in range(lag, len(log_close)):
            move = log_close[i] - log_close[i - lag]
            out[j, i] = _limited(move * per_sigma[i] * scale)


@njit(cache=True, nogil=True)
def candle_nb(
    open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray, out: np.ndarray
) -> None:
    """Body (signed), upper wick and lower wick as shares of the bar's range."""
    for i in range(len(close)):
        span = high[i] - low[i]
        out[0, i] = _ratio(close[i] - open_[i], span, 0.0)
        out[1, i] = _ratio(high[i] - max(open_[i], close[i]), span, 0.0)
        out[2, i] = _ratio(min(open_[i], close[i]) - low[i], span, 0.0)


@njit(cache=True, nogil=True)
def variance_ratios_nb(
    log_close: np.ndarray,
    span: np.ndarray,
    body: np.ndarray,
    fast: np.ndarray,
    slow: np.ndarray,
    short: int,
    long: int,
    out: np.ndarray,
) -> None:
    """Ratios of variances, of which the features are half the logs.

    EWMA fast/slow; close-to-close short/long; Parkinson over close-to-close, short; Garman-Klass
    short/long (Parkinson 1980; Garman and Klass 1980). The last three are over windows of bars.
    span is log(high / low), body log(close / open).
    """
    moves, ranges, candles = np.empty(len(span)), np.empty(len(span)), np.empty(len(span))
    for i in range(len(span)):
        move = log_close[i] - log_close[i - 1] if i else 0.0
        moves[i] = move * move
        ranges[i] = span[i] * span[i] / (4.0 * np.log(2.0))
        candles[i] = 0.5 * span[i] * span[i] - (2.0 * np.log(2.0) - 1.0) * body[i] * body[i]
    day, week = window_sum_nb(moves, short), window_sum_nb(moves, long)
    range_day = window_sum_nb(ranges, short)
    candle_day, candle_week = window_sum_nb(candles, short), window_sum_nb(candles, long)
    least = FLOOR * FLOOR
    for i in range(len(span)):
        close_to_close = max(day[i] / short, least)
        out[0, i] = fast[i] / slow[i]
        out[1, i] = close_to_close / max(week[i] / long, least)
        out[2, i] = max(range_day[i] / short, least) / close_to_close
        out[3, i] = max(candle_day[i] / short, least) / max(candle_week[i] / long, least)


@njit(cache=True, nogil=True)
def atr_nb(high: np.ndarray, low: np.ndarray, close: np.ndarray, period: int) -> np.ndarray:
    """Wilder's average true range, at least FLOOR of the price."""
    out = np.empty(len(close))
    out[0] = FLOOR * close[0]
    average = 0.0
    for i in range(1, len(close)):
        true_range = max(high[i], close[i - 1]) - min(low[i], close[i - 1])
        average = true_range if i == 1 else average + (true_range - average) / period
        out[i] = max(average, FLOOR * close[i])
    return out


@njit(cache=True, nogil=True)
def averages_nb(close: np.ndarray, atr: np.ndarray, out: np.ndarray) -> None:
    """ATR in percent of the price; MACD (12, 26) and distances to EMA 20, 24, 168 in ATRs.

    The Keltner position is half the distance to EMA 20 (its bands lie two ATRs out); the
    others are divided by sqrt(span), which makes a random walk's comparable.
    """
    fast = slow = keltner = day = week = close[0]
    for i in range(len(close)):
        price, unit = close[i], atr[i]
        fast += (price - fast) * (2.0 / 13.0)
        slow += (price - slow) * (2.0 / 27.0)
        keltner += (price - keltner) * (2.0 / 21.0)
        day += (price - day) * (2.0 / 25.0)
        week += (price - week) * (2.0 / 169.0)
        out[0, i] = 100.0 * unit / price
        out[1, i] = _limited((fast - slow) / unit)
        out[2, i] = _limited((price - keltner) / (2.0 * unit))
        out[3, i] = _limited((price - day) / (unit * np.sqrt(24.0)))
        out[4, i] = _limited((price - week) / (unit * np.sqrt(168.0)))


@njit(cache=True, nogil=True)
def rsi_nb(close: np.ndarray, period: int, out: np.ndarray) -> None:
    """Wilder's RSI, from -1 (only losses) to 1 (only gains)."""
    gain = loss = 0.0
    out[0, 0] = 0.0
    for i in range(1, len(close)):
        change = close[i] - close[i - 1]
        weight = 1.0 if i == 1 else 1.0 / period
        gain += (max(change, 0.0) - gain) * weight
        loss += (max(-change, 0.0) - loss) * weight
        out[0, i] = _ratio(gain - loss, gain + loss, 0.0)


@njit(cache=True, nogil=True)
def directional_nb(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, period: int, out: np.ndarray
) -> None:
    """Wilder's ADX (0 to 1), and +DI minus -DI (-1 to 1)."""
    plus = minus = span = adx = 0.0
    out[0, 0] = out[1, 0] = 0.0
    for i in range(1, len(close)):
        rise, fall = high[i] - high[i - 1], low[i - 1] - low[i]
        true_range = max(high[i], close[i - 1]) - min(low[i], close[i - 1])
        weight = 1.0 if i == 1 else 1.0 / period
        plus += ((rise if rise > fall and rise > 0.0 else 0.0) - plus) * weight
        minus += ((fall if fall > rise and fall > 0.0 else 0.0) - minus) * weight
        span += (true_range - span) * weight
        adx += (_ratio(abs(plus - minus), plus + minus, 0.0) - adx) * weight
        out[0, i] = adx
        out[1, i] = _ratio(plus - minus, span, 0.0)


@njit(cache=True, nogil=True)
def bollinger_nb(close: np.ndarray, atr: np.ndarray, window: int, out: np.ndarray) -> None:
    """%b (0 at the lower, 1 at the upper band) and the bands' width in Keltner widths (4 ATR)."""
    mean, deviation = window_moments_nb(close, window)
    for i in range(len(close)):
        out[0, i] = 0.5 + _ratio(close[i] - mean[i], 4.0 * deviation[i], 0.0)
        out[1, i] = _limited(deviation[i] / atr[i])


@njit(cache=True, nogil=True)
def stochastic_nb(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, window: int, out: np.ndarray
) -> None:
    """Fast %K: the close's place in the window's range, from -1 (its low) to 1 (its high)."""
    mirrored = np.empty(len(low))
    for i in range(len(low)):
        mirrored[i] = -low[i]
    top, depth = window_max_nb(high, window), window_max_nb(mirrored, window)
    for i in range(len(close)):
        bottom = -depth[i]
        out[0, i] = 2.0 * _ratio(close[i] - bottom, top[i] - bottom, 0.5) - 1.0


@njit(cache=True, nogil=True)
def efficiency_nb(close: np.ndarray, window: int, out: np.ndarray) -> None:
    """Kaufman's efficiency ratio with its sign: net move over the path walked, -1 to 1."""
    steps = np.empty(len(close))
    for i in range(len(close)):
        steps[i] = abs(close[i] - close[i - 1]) if i else 0.0
    path = window_sum_nb(steps, window)
    out[0, :window] = 0.0
    for i in range(window, len(close)):
        out[0, i] = _ratio(close[i] - close[i - window], path[i], 0.0)


@njit(cache=True, nogil=True)
def volume_nb(
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    volume: np.ndarray,
    atr: np.ndarray,
    short: int,
    long: int,
    out: np.ndarray,
) -> None:
    """Distance to the short VWAP in ATRs; volume's z-score in the short window; its trend.

    The trend is (day - week) / (day + week) of the mean volumes in the short and the long window,
    -1 to 1.
    """
    money = np.empty(len(close))
    for i in range(len(close)):
        money[i] = (high[i] + low[i] + close[i]) / 3.0 * volume[i]
    traded = window_sum_nb(money, short)
    mean, deviation = window_moments_nb(volume, short)
    day, week = window_sum_nb(volume, short), window_sum_nb(volume, long)
    for i in range(len(close)):
        vwap = _ratio(traded[i], day[i], close[i])
        out[0, i] = _limited((close[i] - vwap) / atr[i])
        out[1, i] = _ratio(volume[i] - mean[i], deviation[i], 0.0)
        recent, usual = day[i] / short, week[i] / long
        out[2, i] = _ratio(recent - usual, recent + usual, 0.0)


@njit(cache=True, nogil=True)
def flow_nb(
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    volume: np.ndarray,
    log_close: np.ndarray,
    window: int,
    out: np.ndarray,
) -> None:
    """Chaikin money flow, and the correlation of returns with volume: which side the volume is on.

    Money flow is sum(v (2 c - h - l) / (h - l)) / sum(v) over the window, -1 to 1.
    """
    money, returns = np.empty(len(close)), np.zeros(len(close))
    for i in range(len(close)):
        money[i] = volume[i] * _ratio(2.0 * close[i] - high[i] - low[i], high[i] - low[i], 0.0)
        if i:
            returns[i] = log_close[i] - log_close[i - 1]
    flow, traded = window_sum_nb(money, window), window_sum_nb(volume, window)
    together = window_covariance_nb(returns, volume, window)
    _, spread = window_moments_nb(returns, window)
    _, activity = window_moments_nb(volume, window)
    for i in range(len(close)):
        out[0, i] = _ratio(flow[i], traded[i], 0.0)
        # A window without any movement or any change of volume has no correlation.
        alive = spread[i] > FLOOR and activity[i] > 0.0
        rho = together[i] / (spread[i] * activity[i]) if alive else 0.0
        out[1, i] = min(max(rho, -1.0), 1.0)


@njit(cache=True, nogil=True)
def transpose_nb(
    columns: np.ndarray,
    order: np.ndarray,
    rows: np.ndarray,
    warmup: int,
    n: int,
    out: np.ndarray,
) -> None:
    """Write the columns (., M) in that order into out (T, N, F) at `rows`, from `warmup` on.

    The symbol's other rows become NaN.
    """
    done = 0
    for i in range(warmup, len(rows)):
        out[done : rows[i], n] = np.nan
        for f in range(len(order)):
            out[rows[i], n, f] = columns[order[f], i]
        done = rows[i] + 1
    out[done:, n] = np.nan
