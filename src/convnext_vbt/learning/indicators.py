"""Numba kernels of the built-in features, one family a kernel, each over a chunk of one symbol.

Dimensions: M bars of the chunk, L = LOOKBACK bars in front of it. Prices, volumes and their
logarithms are float64 (L + M,); `averages` is float64 (NUM_AVERAGES, M); `out` takes float32 rows
(M,) in the order in which `features` names them. Values before a feature's warm-up are finite but
not yet valid. A value at a bar depends on bars up to that one alone.

Dead markets divide by nothing: a volatility or ATR below a millionth of the price counts as a
millionth (`FLOOR`), distances and returns are limited to +-10 units (`LIMIT`), and a position
in a range, band or ratio of nothing is the middle one.

Only `averages_nb` remembers anything. All else is of a window, put together from runs of 1, 2, 4,
... bars without a subtraction: nothing drifts, a flat window has exactly zero variance, the start
of the history is forgotten. Each loop fills one array, which lets the compiler vectorise it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

LOOKBACK = 168
"""Bars that every chunk has in front: the longest window, and one bar before the shorter ones."""
FLOOR = 1e-6
LIMIT = 10.0

(
    VARIANCE_6, VARIANCE_24, TRUE_RANGE, EMA_12, EMA_20, EMA_24, EMA_26, EMA_168,
    GAIN, LOSS, PLUS, MINUS, ADX, PER_SIGMA, PER_ATR,
    NUM_AVERAGES,
) = range(16)  # fmt: skip
"""Rows of `averages_nb`. PER_SIGMA and PER_ATR are one over the volatility and over the ATR."""


@njit(cache=True, nogil=True, error_model="numpy")
def _limited(value: float) -> float:
    return min(max(value, -LIMIT), LIMIT)


@njit(cache=True, nogil=True, error_model="numpy")
def _ratio(part: float, whole: float, otherwise: float) -> float:
    return part / whole if whole > 0.0 else otherwise


@njit(cache=True, nogil=True, error_model="numpy")
def added_nb(late: np.ndarray, early: np.ndarray, lag: int) -> np.ndarray:
    """Each value of `late` and the value of `early` that is `lag` before it."""
    out = np.empty(len(late))
    out[:lag] = late[:lag]
    now, total = late[lag:], out[lag:]
    for i in range(len(total)):
        total[i] = now[i] + early[i]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def added_twice_nb(run: np.ndarray, lag: int) -> np.ndarray:
    """Sums of four values `lag` apart: `added_nb` with itself, twice in one pass."""
    out = run.copy()
    now, before, earlier, total = run[3 * lag :], run[2 * lag :], run[lag:], out[3 * lag :]
    for i in range(len(total)):
        total[i] = (now[i] + before[i]) + (earlier[i] + run[i])
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def window_sum_nb(values: np.ndarray, window: int, apart: int) -> np.ndarray:
    """Sum of the last `window` values that are `apart`, from that many on."""
    run, length = values, 1
    total, done = run, 0
    while True:
        if window & length:
            total = added_nb(total, run, done * apart) if done else run
            done += length
        if 2 * length > window:
            return total
        if 4 * length <= window and not window & (2 * length):
            run, length = added_twice_nb(run, length * apart), 4 * length
        else:
            run, length = added_nb(run, run, length * apart), 2 * length


@njit(cache=True, nogil=True, error_model="numpy")
def window_max_nb(values: np.ndarray, window: int) -> np.ndarray:
    """Maximum of the last `window` values, from that many values on."""
    run, length = values.copy(), 1
    while length < window:
        step = min(length, window - length)
        longer = run.copy()
        late, top = run[step:], longer[step:]
        for i in range(len(top)):
            top[i] = max(late[i], run[i])
        run, length = longer, length + step
    return run


@njit(cache=True, nogil=True, error_model="numpy")
def merged_mean_nb(
    late: np.ndarray, count: int, early: np.ndarray, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Means of `count` values and the `length` before them, and how far the latter were above."""
    mean, above = np.empty(len(late)), np.zeros(len(late))
    mean[:count] = late[:count]
    now, out, apart = late[count:], mean[count:], above[count:]
    share = length / (count + length)
    for i in range(len(out)):
        apart[i] = early[i] - now[i]
    for i in range(len(out)):
        out[i] = now[i] + apart[i] * share
    return mean, above


@njit(cache=True, nogil=True, error_model="numpy")
def merged_product_nb(
    late: np.ndarray,
    count: int,
    early: np.ndarray,
    length: int,
    above_x: np.ndarray,
    above_y: np.ndarray,
) -> np.ndarray:
    """Products of deviations from those means, Chan, Golub and LeVeque (1983), equation 2.1."""
    product = np.empty(len(late))
    product[:count] = late[:count]
    now, out = late[count:], product[count:]
    x, y = above_x[count:], above_y[count:]
    share = count * length / (count + length)
    for i in range(len(out)):
        out[i] = now[i] + early[i] + x[i] * y[i] * share
    return product


@njit(cache=True, nogil=True, error_model="numpy")
def merged_nb(
    late: tuple[np.ndarray, ...], count: int, early: tuple[np.ndarray, ...], length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What `window_moments_nb` gives, not yet divided, of `count` pairs and the `length` before."""
    x, above_x = merged_mean_nb(late[0], count, early[0], length)
    y, above_y = merged_mean_nb(late[1], count, early[1], length)
    return (
        x,
        y,
        merged_product_nb(late[2], count, early[2], length, above_x, above_x),
        merged_product_nb(late[3], count, early[3], length, above_y, above_y),
        merged_product_nb(late[4], count, early[4], length, above_x, above_y),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def window_moments_nb(
    left: np.ndarray, right: np.ndarray, window: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Means, population variances and covariance of the last `window` pairs, from so many on."""
    none = np.zeros(len(left))
    run, length = (left.copy(), right.copy(), none, none, none), 1
    total, done = run, 0
    while True:
        if window & length:
            total = merged_nb(total, done, run, length) if done else run
            done += length
        if 2 * length > window:
            break
        run, length = merged_nb(run, length, run, length), 2 * length
    return total[0], total[1], total[2] / window, total[3] / window, total[4] / window


@njit(cache=True, nogil=True, error_model="numpy")
def window_variance_nb(values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population variance of the last `window` values, from that many on."""
    run, squares, length = values, np.zeros(len(values)), 1
    mean, total, done = run, squares, 0
    while True:
        if window & length:
            if done:
                mean, above = merged_mean_nb(mean, done, run, length)
                total = merged_product_nb(total, done, squares, length, above, above)
            else:
                mean, total = run, squares
            done += length
        if 2 * length > window:
            return mean, total / window
        longer, above = merged_mean_nb(run, length, run, length)
        squares = merged_product_nb(squares, length, squares, length, above, above)
        run, length = longer, 2 * length


@njit(cache=True, nogil=True, error_model="numpy")
def averages_nb(
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    log_close: np.ndarray,
    first: int,
    memory: np.ndarray,
    out: np.ndarray,
) -> None:
    """Every recursive average; `memory` (NUM_AVERAGES,) carries them from chunk to chunk.

    EWMA variances of log returns by half-life (as `market.volatility` has them), Wilder's true
    range, EMAs of the close by span, Wilder's gains and losses, directional movement and ADX.
    `first` is the number of the chunk's first bar; an average starts as its first value.
    """
    if first == 0:
        memory[:] = 0.0
        memory[EMA_12 : EMA_168 + 1] = close[LOOKBACK]
    variance_6, variance_24, span = memory[VARIANCE_6], memory[VARIANCE_24], memory[TRUE_RANGE]
    ema_12, ema_20, ema_24 = memory[EMA_12], memory[EMA_20], memory[EMA_24]
    ema_26, ema_168 = memory[EMA_26], memory[EMA_168]
    gain, loss, adx = memory[GAIN], memory[LOSS], memory[ADX]
    plus, minus = memory[PLUS], memory[MINUS]
    for i in range(out.shape[1]):
        j = LOOKBACK + i
        is_start = first + i <= 1  # the first change is the second bar's
        wilder = 1.0 if is_start else 1.0 / 14.0
        r = log_close[j] - log_close[j - 1]
        variance_6 += (r * r - variance_6) * (1.0 if is_start else 1.0 - 0.5 ** (1.0 / 6.0))
        variance_24 += (r * r - variance_24) * (1.0 if is_start else 1.0 - 0.5 ** (1.0 / 24.0))
        price, before = close[j], close[j - 1]
        span += (max(high[j], before) - min(low[j], before) - span) * wilder
        ema_12 += (price - ema_12) * (2.0 / 13.0)
        ema_20 += (price - ema_20) * (2.0 / 21.0)
        ema_24 += (price - ema_24) * (2.0 / 25.0)
        ema_26 += (price - ema_26) * (2.0 / 27.0)
        ema_168 += (price - ema_168) * (2.0 / 169.0)
        gain += (max(price - before, 0.0) - gain) * wilder
        loss += (max(before - price, 0.0) - loss) * wilder
        rise, fall = max(high[j] - high[j - 1], 0.0), max(low[j - 1] - low[j], 0.0)
        plus += ((rise if rise > fall else 0.0) - plus) * wilder
        minus += ((fall if fall > rise else 0.0) - minus) * wilder
        adx += (_ratio(abs(plus - minus), plus + minus, 0.0) - adx) * wilder
        out[VARIANCE_6, i], out[VARIANCE_24, i], out[TRUE_RANGE, i] = variance_6, variance_24, span
        out[EMA_12, i], out[EMA_20, i], out[EMA_24, i] = ema_12, ema_20, ema_24
        out[EMA_26, i], out[EMA_168, i] = ema_26, ema_168
        out[GAIN, i], out[LOSS, i], out[ADX, i] = gain, loss, adx
        out[PLUS, i], out[MINUS, i] = plus, minus
    memory[: ADX + 1] = out[: ADX + 1, out.shape[1] - 1]
    now, per_sigma, per_atr = close[LOOKBACK:], out[PER_SIGMA], out[PER_ATR]
    for i in range(len(now)):
        per_sigma[i] = 1.0 / np.sqrt(max(out[VARIANCE_24, i], FLOOR * FLOOR))
    for i in range(len(now)):
        per_atr[i] = 1.0 / max(out[TRUE_RANGE, i], FLOOR * now[i])


@njit(cache=True, nogil=True, error_model="numpy")
def returns_nb(
    log_close: np.ndarray, averages: np.ndarray, lags: np.ndarray, out: np.ndarray
) -> None:
    """Log return over each lag, in units of sigma sqrt(lag)."""
    now, per_sigma = log_close[LOOKBACK:], averages[PER_SIGMA]
    for j in range(len(lags)):
        then, scale, row = log_close[LOOKBACK - lags[j] :], 1.0 / np.sqrt(lags[j]), out[j]
        for i in range(len(row)):
            row[i] = _limited((now[i] - then[i]) * per_sigma[i] * scale)


@njit(cache=True, nogil=True, error_model="numpy")
def candle_nb(
    open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray, out: np.ndarray
) -> None:
    """Body (signed), upper wick and lower wick as shares of the bar's range."""
    o, h, l, c = open_[LOOKBACK:], high[LOOKBACK:], low[LOOKBACK:], close[LOOKBACK:]  # noqa: E741
    body, upper, lower = out[0], out[1], out[2]
    for i in range(len(c)):
        body[i] = _ratio(c[i] - o[i], h[i] - l[i], 0.0)
    for i in range(len(c)):
        upper[i] = _ratio(h[i] - max(o[i], c[i]), h[i] - l[i], 0.0)
    for i in range(len(c)):
        lower[i] = _ratio(min(o[i], c[i]) - l[i], h[i] - l[i], 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def variance_ratios_nb(
    log_close: np.ndarray,
    span: np.ndarray,
    body: np.ndarray,
    averages: np.ndarray,
    day: int,
    out: np.ndarray,
) -> None:
    """Ratios of variances, of which the features are half the logs.

    EWMA fast/slow; close-to-close day/week; Parkinson over close-to-close, day; Garman-Klass
    day/week (Parkinson 1980; Garman and Klass 1980). A week is seven windows of `day` bars.
    span is log(high / low), body log(close / open).
    """
    size = len(log_close)
    moves, ranges, candles = np.zeros(size), np.empty(size), np.empty(size)
    later, tail = log_close[1:], moves[1:]
    for i in range(len(tail)):
        tail[i] = (later[i] - log_close[i]) ** 2
    for i in range(size):
        ranges[i] = span[i] * span[i] / (4.0 * np.log(2.0))
    for i in range(size):
        candles[i] = 0.5 * span[i] * span[i] - (2.0 * np.log(2.0) - 1.0) * body[i] * body[i]
    moves_day, candles_day = window_sum_nb(moves, day, 1), window_sum_nb(candles, day, 1)
    moves_week = window_sum_nb(moves_day, 7, day)[LOOKBACK:]
    candles_week = window_sum_nb(candles_day, 7, day)[LOOKBACK:]
    ranges_day = window_sum_nb(ranges, day, 1)[LOOKBACK:]
    moves_day, candles_day = moves_day[LOOKBACK:], candles_day[LOOKBACK:]
    fast, slow = averages[VARIANCE_6], averages[VARIANCE_24]
    least = FLOOR * FLOOR
    ewma, close_to_close, parkinson, garman_klass = out[0], out[1], out[2], out[3]
    for i in range(len(fast)):
        ewma[i] = max(fast[i], least) / max(slow[i], least)
    for i in range(len(fast)):
        usual = max(moves_week[i] * (1.0 / (7 * day)), least)
        close_to_close[i] = max(moves_day[i] * (1.0 / day), least) / usual
    for i in range(len(fast)):
        usual = max(moves_day[i] * (1.0 / day), least)
        parkinson[i] = max(ranges_day[i] * (1.0 / day), least) / usual
    for i in range(len(fast)):
        usual = max(candles_week[i] * (1.0 / (7 * day)), least)
        garman_klass[i] = max(candles_day[i] * (1.0 / day), least) / usual


@njit(cache=True, nogil=True, error_model="numpy")
def trend_nb(close: np.ndarray, averages: np.ndarray, out: np.ndarray) -> None:
    """What the recursive averages say.

    ATR in percent of the price; MACD (12, 26) and distances to EMA 20, 24, 168 in ATRs: the
    Keltner position is half the distance to EMA 20 (its bands lie two ATRs out), the others are
    divided by sqrt(span), which makes a random walk's comparable. RSI from -1 (only losses) to 1
    (only gains); ADX (0 to 1); +DI minus -DI (-1 to 1).
    """
    price, per_atr = close[LOOKBACK:], averages[PER_ATR]
    ema_12, ema_20, ema_24 = averages[EMA_12], averages[EMA_20], averages[EMA_24]
    ema_26, ema_168, adx_ = averages[EMA_26], averages[EMA_168], averages[ADX]
    gain, loss, plus, minus = averages[GAIN], averages[LOSS], averages[PLUS], averages[MINUS]
    span = averages[TRUE_RANGE]
    natr, macd, keltner, day, week = out[0], out[1], out[2], out[3], out[4]
    rsi, adx, spread = out[5], out[6], out[7]
    for i in range(len(price)):
        natr[i] = 100.0 / (per_atr[i] * price[i])
    for i in range(len(price)):
        macd[i] = _limited((ema_12[i] - ema_26[i]) * per_atr[i])
    for i in range(len(price)):
        keltner[i] = _limited((price[i] - ema_20[i]) * per_atr[i] * 0.5)
    for i in range(len(price)):
        day[i] = _limited((price[i] - ema_24[i]) * per_atr[i] * (1.0 / np.sqrt(24.0)))
    for i in range(len(price)):
        week[i] = _limited((price[i] - ema_168[i]) * per_atr[i] * (1.0 / np.sqrt(168.0)))
    for i in range(len(price)):
        rsi[i] = _ratio(gain[i] - loss[i], gain[i] + loss[i], 0.0)
    for i in range(len(price)):
        adx[i] = adx_[i]
    for i in range(len(price)):
        spread[i] = _ratio(plus[i] - minus[i], span[i], 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def bollinger_nb(close: np.ndarray, averages: np.ndarray, window: int, out: np.ndarray) -> None:
    """Bollinger %b (two deviations), and the deviation in ATRs, which is a quarter of the width."""
    mean_, variance_ = window_variance_nb(close, window)
    mean, variance = mean_[LOOKBACK:], variance_[LOOKBACK:]
    price, per_atr, percent_b, width = close[LOOKBACK:], averages[PER_ATR], out[0], out[1]
    for i in range(len(price)):
        percent_b[i] = 0.5 + _ratio(price[i] - mean[i], 4.0 * np.sqrt(variance[i]), 0.0)
    for i in range(len(price)):
        width[i] = _limited(np.sqrt(variance[i]) * per_atr[i])


@njit(cache=True, nogil=True, error_model="numpy")
def stochastic_nb(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, window: int, out: np.ndarray
) -> None:
    """Fast %K: the close's place in the window's range, from -1 (its low) to 1 (its high)."""
    top, depth = window_max_nb(high, window)[LOOKBACK:], window_max_nb(-low, window)[LOOKBACK:]
    price, place = close[LOOKBACK:], out[0]
    for i in range(len(price)):
        place[i] = 2.0 * _ratio(price[i] + depth[i], top[i] + depth[i], 0.5) - 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def efficiency_nb(close: np.ndarray, window: int, out: np.ndarray) -> None:
    """Kaufman's efficiency ratio with its sign: net move over the path walked, -1 to 1."""
    steps, later = np.zeros(len(close)), close[1:]
    tail = steps[1:]
    for i in range(len(tail)):
        tail[i] = abs(later[i] - close[i])
    path = window_sum_nb(steps, window, 1)[LOOKBACK:]
    now, then, share = close[LOOKBACK:], close[LOOKBACK - window :], out[0]
    for i in range(len(now)):
        share[i] = _ratio(now[i] - then[i], path[i], 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def volume_nb(
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    log_close: np.ndarray,
    volume: np.ndarray,
    averages: np.ndarray,
    day: int,
    out: np.ndarray,
) -> None:
    """Where the volume is, in the last `day` bars unless said otherwise.

    Distance to the VWAP in ATRs; volume's z-score; its trend, (day - week) / (day + week) of the
    mean volumes in those bars and in seven times as many, -1 to 1; Chaikin money flow,
    sum(v (2 c - h - l) / (h - l)) / sum(v), -1 to 1; and the correlation of returns with volume.
    """
    size = len(close)
    money, flow, returns = np.empty(size), np.empty(size), np.zeros(size)
    for i in range(size):
        money[i] = (high[i] + low[i] + close[i]) * (1.0 / 3.0) * volume[i]
    for i in range(size):
        place = _ratio(2.0 * close[i] - high[i] - low[i], high[i] - low[i], 0.0)
        flow[i] = volume[i] * place
    later, tail = log_close[1:], returns[1:]
    for i in range(len(tail)):
        tail[i] = later[i] - log_close[i]
    traded, flowed = window_sum_nb(money, day, 1)[LOOKBACK:], window_sum_nb(flow, day, 1)[LOOKBACK:]
    volume_day = window_sum_nb(volume, day, 1)
    volume_week = window_sum_nb(volume_day, 7, day)[LOOKBACK:]
    volume_day = volume_day[LOOKBACK:]
    _, mean_, spread_, activity_, together_ = window_moments_nb(returns, volume, day)
    mean, together = mean_[LOOKBACK:], together_[LOOKBACK:]
    activity, spread = activity_[LOOKBACK:], spread_[LOOKBACK:]
    price, now, per_atr = close[LOOKBACK:], volume[LOOKBACK:], averages[PER_ATR]
    vwap, zscore, trend, chaikin, rho = out[0], out[1], out[2], out[3], out[4]
    for i in range(len(price)):
        vwap[i] = _limited((price[i] - _ratio(traded[i], volume_day[i], price[i])) * per_atr[i])
    for i in range(len(price)):
        zscore[i] = _ratio(now[i] - mean[i], np.sqrt(activity[i]), 0.0)
    for i in range(len(price)):
        recent, usual = 7.0 * volume_day[i], volume_week[i]
        trend[i] = _ratio(recent - usual, recent + usual, 0.0)
    for i in range(len(price)):
        chaikin[i] = _ratio(flowed[i], volume_day[i], 0.0)
    for i in range(len(price)):
        # A window without any movement has no correlation.
        product = activity[i] * spread[i] if spread[i] > FLOOR * FLOOR else 0.0
        rho[i] = min(max(_ratio(together[i], np.sqrt(product), 0.0), -1.0), 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def clock_nb(stamps: np.ndarray, out: np.ndarray) -> None:
    """Angle in the day, twice, and in the week from Monday 00:00 UTC, twice; stamps are ns."""
    hour, hour_, week, week_ = out[0], out[1], out[2], out[3]
    days = np.empty(len(stamps))
    for i in range(len(days)):
        days[i] = stamps[i] / (86_400 * 10**9)
    for i in range(len(days)):
        hour[i] = 2.0 * np.pi * (days[i] - int(days[i]))
    for i in range(len(days)):
        weeks = (days[i] + 3.0) / 7.0  # 1970-01-01 was a Thursday
        week[i] = 2.0 * np.pi * (weeks - int(weeks))
    hour_[:], week_[:] = hour, week
