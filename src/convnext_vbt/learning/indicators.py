"""Numba kernels of the built-in features: a block of one symbol's bars at a time.

All that is made of a block lies in one float64 array `w`, which stays in a core's cache. It is a
row of STRIDE values for each quantity: first those of the LOOKBACK bars in front of the block,
then those of the block. A row's name is the place of the block's first bar, so `w[CLOSE + i]` is
the close of the block's bar i and `w[CLOSE + i - DAY]` the one a day before. The distances are
constants, and each loop does the same to every bar: that lets the compiler work on eight at once.
Where seven digits do, rows lie in a float32 array `v`, and it works on sixteen.

A block's features, n of each, go into the rows of the float32 array `made` that `rows` names, in
the order in which `features` names them, and from there past the caches into the result while the
next block is begun. Before a feature's warm-up they are finite but not yet valid. A value at a bar
depends on bars up to that one alone, and not on where blocks start.

Dead markets divide by nothing: a volatility or ATR below a millionth of the price counts as a
millionth (`FLOOR`), distances and returns are limited to +-10 units (`LIMIT`), and a position
in a range, band or ratio of nothing is the middle one.

Only `decayed_nb` remembers anything. All else is of a window, put together from shorter ones
without a subtraction: nothing drifts, a flat window has exactly zero variance, the start of the
history is forgotten.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from convnext_vbt.learning.streaming import PIECE, fetch, finish, put

DAY = 24
LOOKBACK = 7 * DAY
"""Bars of the longest window, and one bar before the shorter ones."""
BLOCK = 1024
"""Bars that are made at once: all rows together take 0.4 MB, their features 0.1."""
STRIDE = LOOKBACK + BLOCK
PIECES = BLOCK // PIECE
"""Pieces of a feature of a block."""
FLOOR = 1e-6
LIMIT = 10.0

NUM_ROWS = 40
(
    # What later bars look back to, these for a week; _4 and _DAY are sums of four and of 24 bars.
    LOG_CLOSE, MOVES_DAY, VOLUME_DAY,
    # For up to a day.
    HIGH, LOW,
    CLOSE, CLOSE_LEAN, CLOSE_SQUARES,  # in this order: `_squares_from`
    VOLUME, VOLUME_LEAN, VOLUME_SQUARES, VOLUME_RETURNS, VOLUME_4,
    MOVES, MOVES_4, STEPS, STEPS_4,
    TOP_4, BOTTOM_4, MONEY, MONEY_4, FLOW, FLOW_4,
    # What is of a bar alone.
    OPEN, CHANGES, SPANS, DIRECTIONS, PER_SIGMA, PER_ATR,
    # Sums of all bars so far, each weighing less than the one after it: `decayed_nb`.
    VARIANCE_6, VARIANCE_24, TRUE_RANGE, MACD, EMA_20, EMA_24, EMA_168,
    NET, PATH, TREND, ADX,
) = range(LOOKBACK, LOOKBACK + NUM_ROWS * STRIDE, STRIDE)  # fmt: skip

NUM_SHORT_ROWS = 6
# The rows of `v`: positive numbers that are added up, and of whose ratios logs are taken.
CANDLES_DAY, RANGES, RANGES_4, CANDLES, CANDLES_4, VARIANCE_DAY = range(
    LOOKBACK, LOOKBACK + NUM_SHORT_ROWS * STRIDE, STRIDE
)

# What the bar before weighs in a decayed sum; the sum times 1 - weight is the average.
HALF_IN_6, HALF_IN_24 = 0.5 ** (1.0 / 6.0), 0.5 ** (1.0 / 24.0)
WILDER = 13.0 / 14.0


@njit(cache=True, nogil=True, error_model="numpy")
def _limited(value: float) -> float:
    return min(max(value, -LIMIT), LIMIT)


@njit(cache=True, nogil=True, error_model="numpy")
def _ratio(part: float, whole: float, otherwise: float) -> float:
    return part / whole if whole > 0.0 else otherwise


# To contract is to round once, not twice, in a * b + c. It is done where that can be done in one
# way only: else a bar's value might depend on whether it was computed alone or with seven others.
@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _log_of_near(m: float, whole: float, exponent: float) -> float:
    """Add log(m / whole) to `exponent`, the quotient from 2/3 to 3/2: it is 2 artanh z."""
    z = (m - whole) / (m + whole)
    y = z * z
    rest = 2 / 13 + y * (2 / 15 + y * (2 / 17 + y * (2 / 19 + y * (2 / 21))))
    rest = 2 / 7 + y * (2 / 9 + y * (2 / 11 + y * rest))
    return exponent + z * (2.0 + y * (2 / 3 + y * (2 / 5 + y * rest)))


@njit(cache=True, nogil=True, error_model="numpy")
def _log(part: float, whole: float) -> float:
    """Logarithm of part / whole, normal positive numbers, to 1e-15; 0 where they are equal.

    A power of two brings the part near to the whole. The compiler can vectorise it.
    """
    part_bits, whole_bits = np.float64(part).view(np.int64), np.float64(whole).view(np.int64)
    exponent = (part_bits - whole_bits + (1 << 51)) >> 52
    m = np.int64(part_bits - (exponent << 52)).view(np.float64)
    log: float = _log_of_near(m, whole, exponent * 0.6931471805599453)
    return log


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _log_of_near_32(m: np.float32, exponent: np.float32) -> np.float32:
    """Add log(m) to `exponent`, m from 0.7 to 1.42."""
    z = (m - np.float32(1.0)) / (m + np.float32(1.0))
    y = z * z
    rest = np.float32(2 / 5) + y * (np.float32(2 / 7) + y * np.float32(2 / 9))
    return exponent + z * (np.float32(2.0) + y * (np.float32(2 / 3) + y * rest))


@njit(cache=True, nogil=True, error_model="numpy")
def _log_32(x: np.float32) -> np.float32:
    """Natural logarithm of a normal positive float32, to 1e-7, in half the time."""
    root = 0x3F3504F3  # the bits of sqrt(1/2)
    bits = np.int32(np.float32(x).view(np.int32) - root)
    m = np.int32((bits & 0x7FFFFF) + root).view(np.float32)
    log: np.float32 = _log_of_near_32(m, np.float32(bits >> 23) * np.float32(0.6931471805599453))
    return log


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _sine(x: np.float32) -> np.float32:
    """Taylor's series, for -pi/2 to pi/2, to 1e-7."""
    y = x * x
    rest = np.float32(1 / 362880) + y * np.float32(-1 / 39916800)
    rest = np.float32(1 / 120) + y * (np.float32(-1 / 5040) + y * rest)
    return x * (np.float32(1.0) + y * (np.float32(-1 / 6) + y * rest))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _cosine(x: np.float32) -> np.float32:
    """Taylor's series, for -pi/2 to pi/2, to 1e-7."""
    y = x * x
    rest = np.float32(-1 / 3628800) + y * np.float32(1 / 479001600)
    rest = np.float32(-1 / 720) + y * (np.float32(1 / 40320) + y * rest)
    return np.float32(1.0) + y * (np.float32(-1 / 2) + y * (np.float32(1 / 24) + y * rest))


# Inlined, as they serve rows of both kinds, and a function compiles once for each.
@njit(inline="always")
def _of_4(w: np.ndarray, j: int) -> float:
    """Sum of a row's value at j and the three before it."""
    total: float = (w[j] + w[j - 1]) + (w[j - 2] + w[j - 3])
    return total


@njit(inline="always")
def _of_day(w: np.ndarray, j: int) -> float:
    """Sum of 24 values, of a row that holds sums of four."""
    total: float = ((w[j] + w[j - 4]) + (w[j - 8] + w[j - 12])) + (w[j - 16] + w[j - 20])
    return total


@njit(inline="always")
def _of_week(w: np.ndarray, j: int) -> float:
    """Sum of 168 values, of a row that holds sums of 24."""
    total: float = (w[j] + w[j - 24]) + (w[j - 48] + w[j - 72])
    total += (w[j - 96] + w[j - 120]) + w[j - 144]
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _squares_from(w: np.ndarray, here: int, there: int) -> float:
    """Squared distances from w[here] of the four values up to w[there].

    Their distances from w[there] add up to what the next row has, the squares to what the row
    after that has.
    """
    twice = 2.0 * (w[there] - w[here])
    lean, squares = w[there + STRIDE], w[there + 2 * STRIDE]
    total: float = squares + twice * (lean + twice)
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def load_nb(
    fields: tuple[np.ndarray, ...], first: int, last: int, w: np.ndarray, v: np.ndarray
) -> None:
    """Put bars [first, last) into `w`, and in front of all rows the last of the block before."""
    for row in range(LOG_CLOSE, OPEN, STRIDE):
        for k in range(row - (LOOKBACK if row < HIGH else DAY), row):
            w[k] = w[k + BLOCK]
    for row in range(CANDLES_DAY, VARIANCE_DAY, STRIDE):
        for k in range(row - LOOKBACK, row):
            v[k] = v[k + BLOCK]
    for row, field in zip((OPEN, HIGH, LOW, CLOSE, VOLUME), fields):  # noqa: B905
        block = field[first:last]
        for i in range(len(block)):
            w[row + i] = block[i]


@njit(cache=True, nogil=True, error_model="numpy")
def changes_nb(w: np.ndarray, n: int) -> None:
    """What changed from bar to bar: squared log returns, moves, true ranges, directions."""
    for i in range(n):
        w[LOG_CLOSE + i] = _log(w[CLOSE + i], 1.0)
    for i in range(n):
        log_return = w[LOG_CLOSE + i] - w[LOG_CLOSE + i - 1]
        w[MOVES + i] = log_return * log_return
        before = w[CLOSE + i - 1]
        w[CHANGES + i] = w[CLOSE + i] - before
        w[STEPS + i] = abs(w[CLOSE + i] - before)
        w[SPANS + i] = max(w[HIGH + i], before) - min(w[LOW + i], before)
        rise = max(w[HIGH + i] - w[HIGH + i - 1], 0.0)
        fall = max(w[LOW + i - 1] - w[LOW + i], 0.0)
        w[DIRECTIONS + i] = (rise if rise > fall else 0.0) - (fall if fall > rise else 0.0)
    for i in range(n):
        w[MOVES_4 + i] = _of_4(w, MOVES + i)
    for i in range(n):
        w[MOVES_DAY + i] = _of_day(w, MOVES_4 + i)


@njit(cache=True, nogil=True, error_model="numpy")
def start_nb(w: np.ndarray, memory: np.ndarray) -> None:
    """Let every decayed sum be that of a history in which the first value was always there.

    The first change is the second bar's.
    """
    for row in (MOVES, CHANGES, STEPS, SPANS, DIRECTIONS):
        w[row] = w[row + 1]
    memory[0] = w[MOVES] / (1.0 - HALF_IN_6)
    memory[1] = w[MOVES] / (1.0 - HALF_IN_24)
    for k, span in enumerate((12, 20, 24, 26, 168)):
        memory[2 + k] = w[CLOSE] * (0.5 * (span + 1))
    per_weight = 1.0 / (1.0 - WILDER)
    memory[7] = w[SPANS] * per_weight
    memory[8], memory[9] = w[CHANGES] * per_weight, w[STEPS] * per_weight
    memory[10], memory[11] = w[DIRECTIONS] * per_weight, abs(w[DIRECTIONS]) * per_weight
    memory[12] = per_weight if w[DIRECTIONS] != 0.0 else 0.0


@njit(inline="always")  # a call would count references to the arrays, which takes longer than this
def put_nb(k: int, made: np.ndarray, out: np.ndarray, to: int) -> None:
    """Put piece k of `made`, a block's features one after another, into `out` from column `to`."""
    put(made, k * PIECE, out, k // PIECES, to + k % PIECES * PIECE)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def decayed_nb(
    w: np.ndarray,
    n: int,
    memory: np.ndarray,
    fields: tuple[np.ndarray, ...],
    stamps: np.ndarray,
    last: int,
    made: np.ndarray,
    due: int,
    out: np.ndarray,
    to: int,
) -> None:
    """Every decayed sum s <- decay s + value; `memory` carries them from block to block.

    (1 - decay) s is the recursive average. EWMA variances of log returns by half-life (as
    `market.volatility` has them), EMAs of the close by span, Wilder's true range, changes and
    their sizes, signed directional movement and its size (not kept), and ADX of these two.

    This is the one loop that cannot work on eight bars at once, which leaves room for what goes to
    and from memory: the first `due` pieces of the features of the block before are put into `out`,
    from column `to` on, and the next block, whose first bar is `last`, is fetched.
    """
    open_, high, low, close, volume = fields
    variance_6, variance_24 = memory[0], memory[1]
    ema_12, ema_20, ema_24, ema_26, ema_168 = memory[2], memory[3], memory[4], memory[5], memory[6]
    span, net, path, trend, size, adx = (
        memory[7], memory[8], memory[9], memory[10], memory[11], memory[12],
    )  # fmt: skip
    for i in range(n):
        if i < due:
            put_nb(i, made, out, to)
        if i % 8 == 0:  # a line of each column
            fetch(open_, last + i)
            fetch(high, last + i)
            fetch(low, last + i)
            fetch(close, last + i)
            fetch(volume, last + i)
            fetch(stamps, last + i)
        move, price, direction = w[MOVES + i], w[CLOSE + i], w[DIRECTIONS + i]
        variance_6 = variance_6 * HALF_IN_6 + move
        variance_24 = variance_24 * HALF_IN_24 + move
        ema_12 = ema_12 * (11.0 / 13.0) + price
        ema_20 = ema_20 * (19.0 / 21.0) + price
        ema_24 = ema_24 * (23.0 / 25.0) + price
        ema_26 = ema_26 * (25.0 / 27.0) + price
        ema_168 = ema_168 * (167.0 / 169.0) + price
        span = span * WILDER + w[SPANS + i]
        net = net * WILDER + w[CHANGES + i]
        path = path * WILDER + w[STEPS + i]
        trend = trend * WILDER + direction
        size = size * WILDER + abs(direction)
        adx = adx * WILDER + _ratio(abs(trend), size, 0.0)
        w[VARIANCE_6 + i], w[VARIANCE_24 + i] = variance_6, variance_24
        w[MACD + i] = ema_12 * (2.0 / 13.0) - ema_26 * (2.0 / 27.0)
        w[EMA_20 + i], w[EMA_24 + i], w[EMA_168 + i] = ema_20, ema_24, ema_168
        w[TRUE_RANGE + i] = span
        w[NET + i], w[PATH + i], w[TREND + i], w[ADX + i] = net, path, trend, adx
    memory[0], memory[1] = variance_6, variance_24
    memory[2], memory[3], memory[4], memory[5], memory[6] = ema_12, ema_20, ema_24, ema_26, ema_168
    memory[7], memory[8], memory[9] = span, net, path
    memory[10], memory[11], memory[12] = trend, size, adx


@njit(cache=True, nogil=True, error_model="numpy")
def units_nb(w: np.ndarray, n: int) -> None:
    """One over the volatility, and one over the ATR."""
    for i in range(n):
        variance = w[VARIANCE_24 + i] * (1.0 - HALF_IN_24)
        w[PER_SIGMA + i] = np.float32(1.0) / np.sqrt(np.float32(max(variance, FLOOR * FLOOR)))
        w[PER_ATR + i] = 1.0 / max(w[TRUE_RANGE + i] * (1.0 - WILDER), FLOOR * w[CLOSE + i])


@njit(cache=True, nogil=True, error_model="numpy")
def logs_nb(values: np.ndarray, factor: float) -> None:
    """Replace each value by `factor` times its logarithm."""
    for i in range(len(values)):
        values[i] = np.float32(factor) * _log_32(values[i])


@njit(cache=True, nogil=True, error_model="numpy")
def returns_nb(w: np.ndarray, n: int, made: np.ndarray, rows: np.ndarray) -> None:
    """Log returns over 1, 4, 24, 72 and 168 bars, in units of sigma sqrt(lag)."""
    hour, four, day = made[rows[0], :n], made[rows[1], :n], made[rows[2], :n]
    days, week = made[rows[3], :n], made[rows[4], :n]
    for i in range(n):
        now, per_sigma = w[LOG_CLOSE + i], w[PER_SIGMA + i]
        hour[i] = _limited((now - w[LOG_CLOSE + i - 1]) * per_sigma)
        four[i] = _limited((now - w[LOG_CLOSE + i - 4]) * per_sigma * (1.0 / np.sqrt(4.0)))
    for i in range(n):
        now, per_sigma = w[LOG_CLOSE + i], w[PER_SIGMA + i]
        day[i] = _limited((now - w[LOG_CLOSE + i - 24]) * per_sigma * (1.0 / np.sqrt(24.0)))
        days[i] = _limited((now - w[LOG_CLOSE + i - 72]) * per_sigma * (1.0 / np.sqrt(72.0)))
        week[i] = _limited((now - w[LOG_CLOSE + i - 168]) * per_sigma * (1.0 / np.sqrt(168.0)))


@njit(cache=True, nogil=True, error_model="numpy")
def candle_nb(w: np.ndarray, n: int, made: np.ndarray, rows: np.ndarray) -> None:
    """Body (signed), upper wick and lower wick as shares of the bar's range."""
    body, upper, lower = made[rows[0], :n], made[rows[1], :n], made[rows[2], :n]
    for i in range(n):
        first, last = w[OPEN + i], w[CLOSE + i]
        per_range = _ratio(1.0, w[HIGH + i] - w[LOW + i], 0.0)
        body[i] = (last - first) * per_range
        upper[i] = (w[HIGH + i] - max(first, last)) * per_range
        lower[i] = (min(first, last) - w[LOW + i]) * per_range


@njit(cache=True, nogil=True, error_model="numpy")
def volatility_nb(w: np.ndarray, v: np.ndarray, n: int, made: np.ndarray, rows: np.ndarray) -> None:
    """Half the logs of ratios of variances.

    EWMA fast/slow; close-to-close day/week; Parkinson over close-to-close, day; Garman-Klass
    day/week (Parkinson 1980; Garman and Klass 1980).
    """
    ewma, close_to_close = made[rows[0], :n], made[rows[1], :n]
    parkinson, garman_klass = made[rows[2], :n], made[rows[3], :n]
    least = np.float32(FLOOR * FLOOR)
    for i in range(n):
        span, body = _log(w[HIGH + i], w[LOW + i]), _log(w[CLOSE + i], w[OPEN + i])
        v[RANGES + i] = span * span
        v[CANDLES + i] = 0.5 * span * span - (2.0 * np.log(2.0) - 1.0) * (body * body)
    for i in range(n):
        v[RANGES_4 + i], v[CANDLES_4 + i] = _of_4(v, RANGES + i), _of_4(v, CANDLES + i)
    for i in range(n):
        v[CANDLES_DAY + i] = _of_day(v, CANDLES_4 + i)
    for i in range(n):
        fast, slow = np.float32(w[VARIANCE_6 + i]), np.float32(w[VARIANCE_24 + i])
        usual = max(slow * np.float32(1.0 - HALF_IN_24), least)
        ewma[i] = max(fast * np.float32(1.0 - HALF_IN_6), least) / usual
    for i in range(n):
        v[VARIANCE_DAY + i] = max(np.float32(w[MOVES_DAY + i] * (1.0 / DAY)), least)
        usual = max(np.float32(_of_week(w, MOVES_DAY + i) * (1.0 / LOOKBACK)), least)
        close_to_close[i] = v[VARIANCE_DAY + i] / usual
    for i in range(n):
        ranges = _of_day(v, RANGES_4 + i) * np.float32(1.0 / (DAY * 4.0 * np.log(2.0)))
        parkinson[i] = max(ranges, least) / v[VARIANCE_DAY + i]
    for i in range(n):
        usual = max(_of_week(v, CANDLES_DAY + i) * np.float32(1.0 / LOOKBACK), least)
        garman_klass[i] = max(v[CANDLES_DAY + i] * np.float32(1.0 / DAY), least) / usual
    for values in (ewma, close_to_close, parkinson, garman_klass):
        logs_nb(values, 0.5)


@njit(cache=True, nogil=True, error_model="numpy")
def trend_nb(w: np.ndarray, n: int, made: np.ndarray, rows: np.ndarray) -> None:
    """What the recursive averages say.

    Log of the ATR in percent of the price; MACD (12, 26) and distances to EMA 20, 24, 168 in ATRs:
    the Keltner position is half the distance to EMA 20 (its bands lie two ATRs out), the others are
    divided by sqrt(span), which makes a random walk's comparable. RSI from -1 (only losses) to 1
    (only gains); ADX (0 to 1); +DI minus -DI (-1 to 1).
    """
    natr, macd, keltner = made[rows[0], :n], made[rows[1], :n], made[rows[2], :n]
    day, week, rsi = made[rows[3], :n], made[rows[4], :n], made[rows[5], :n]
    adx, spread = made[rows[6], :n], made[rows[7], :n]
    for i in range(n):
        natr[i] = 100.0 / (w[PER_ATR + i] * w[CLOSE + i])
    logs_nb(natr, 1.0)
    for i in range(n):
        macd[i] = _limited(w[MACD + i] * w[PER_ATR + i])
        keltner[i] = _limited(0.5 * (w[CLOSE + i] - w[EMA_20 + i] * (2.0 / 21.0)) * w[PER_ATR + i])
    for i in range(n):
        scale_24 = w[PER_ATR + i] * (1.0 / np.sqrt(24.0))
        scale_168 = w[PER_ATR + i] * (1.0 / np.sqrt(168.0))
        day[i] = _limited((w[CLOSE + i] - w[EMA_24 + i] * (2.0 / 25.0)) * scale_24)
        week[i] = _limited((w[CLOSE + i] - w[EMA_168 + i] * (2.0 / 169.0)) * scale_168)
    for i in range(n):
        rsi[i] = _ratio(w[NET + i], w[PATH + i], 0.0)
        adx[i] = w[ADX + i] * (1.0 - WILDER)
        spread[i] = _ratio(w[TREND + i], w[TRUE_RANGE + i], 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def bollinger_nb(w: np.ndarray, n: int, made: np.ndarray, rows: np.ndarray) -> None:
    """Bollinger %b (20 bars, two deviations), and the deviation in ATRs, a quarter of the width.

    Deviations are counted from the last close: a value of the window itself leaves nothing to
    cancel (shifted data, Chan, Golub and LeVeque 1983).
    """
    percent_b, width = made[rows[0], :n], made[rows[1], :n]
    for i in range(n):
        x = CLOSE + i
        a, b, c = w[x - 1] - w[x], w[x - 2] - w[x], w[x - 3] - w[x]
        w[CLOSE_LEAN + i] = a + b + c
        w[CLOSE_SQUARES + i] = a * a + b * b + c * c
    for i in range(n):
        x, lean = CLOSE + i, CLOSE_LEAN + i
        apart = ((w[x - 4] - w[x]) + (w[x - 8] - w[x])) + ((w[x - 12] - w[x]) + (w[x - 16] - w[x]))
        total = (w[lean] + w[lean - 4]) + (w[lean - 8] + w[lean - 12]) + w[lean - 16]
        square = w[CLOSE_SQUARES + i]
        square += _squares_from(w, x, x - 4) + _squares_from(w, x, x - 8)
        square += _squares_from(w, x, x - 12) + _squares_from(w, x, x - 16)
        mean = (total + 4.0 * apart) * (1.0 / 20.0)
        deviation = np.sqrt(square * (1.0 / 20.0) - mean * mean)
        percent_b[i] = 0.5 - _ratio(mean, 4.0 * deviation, 0.0)
        width[i] = _limited(deviation * w[PER_ATR + i])


@njit(cache=True, nogil=True, error_model="numpy")
def stochastic_nb(w: np.ndarray, n: int, made: np.ndarray, rows: np.ndarray) -> None:
    """Fast %K of 14 bars: the close's place in their range, from -1 (its low) to 1 (its high)."""
    place = made[rows[0], :n]
    for i in range(n):
        h, l = HIGH + i, LOW + i  # noqa: E741
        w[TOP_4 + i] = max(max(w[h], w[h - 1]), max(w[h - 2], w[h - 3]))
        w[BOTTOM_4 + i] = min(min(w[l], w[l - 1]), min(w[l - 2], w[l - 3]))
    for i in range(n):
        h, l = TOP_4 + i, BOTTOM_4 + i  # noqa: E741
        top = max(max(w[h], w[h - 4]), max(w[h - 8], w[h - 10]))
        bottom = min(min(w[l], w[l - 4]), min(w[l - 8], w[l - 10]))
        place[i] = 2.0 * _ratio(w[CLOSE + i] - bottom, top - bottom, 0.5) - 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def efficiency_nb(w: np.ndarray, n: int, made: np.ndarray, rows: np.ndarray) -> None:
    """Kaufman's efficiency ratio of a day, with its sign: net move over the path, -1 to 1."""
    share = made[rows[0], :n]
    for i in range(n):
        w[STEPS_4 + i] = _of_4(w, STEPS + i)
    for i in range(n):
        share[i] = _ratio(w[CLOSE + i] - w[CLOSE + i - DAY], _of_day(w, STEPS_4 + i), 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def volume_nb(w: np.ndarray, n: int, made: np.ndarray, rows: np.ndarray) -> None:
    """Where the volume is, in the last day unless said otherwise.

    Distance to the VWAP in ATRs; volume's z-score; its trend, (day - week) / (day + week) of the
    mean volumes in those bars and in seven times as many, -1 to 1; Chaikin money flow,
    sum(v (2 c - h - l) / (h - l)) / sum(v), -1 to 1; and the correlation of returns with volume.
    """
    vwap, trend, chaikin = made[rows[0], :n], made[rows[2], :n], made[rows[3], :n]
    for i in range(n):
        high, low, close, volume = w[HIGH + i], w[LOW + i], w[CLOSE + i], w[VOLUME + i]
        w[MONEY + i] = (high + low + close) * (1.0 / 3.0) * volume
        w[FLOW + i] = volume * _ratio(2.0 * close - high - low, high - low, 0.0)
    for i in range(n):
        w[VOLUME_4 + i] = _of_4(w, VOLUME + i)
        w[MONEY_4 + i], w[FLOW_4 + i] = _of_4(w, MONEY + i), _of_4(w, FLOW + i)
    for i in range(n):
        w[VOLUME_DAY + i] = _of_day(w, VOLUME_4 + i)
    for i in range(n):
        price, volume = w[CLOSE + i], w[VOLUME_DAY + i]
        average = _ratio(_of_day(w, MONEY_4 + i), volume, price)
        vwap[i] = _limited((price - average) * w[PER_ATR + i])
        chaikin[i] = _ratio(_of_day(w, FLOW_4 + i), volume, 0.0)
    for i in range(n):
        recent, usual = 7.0 * w[VOLUME_DAY + i], _of_week(w, VOLUME_DAY + i)
        trend[i] = _ratio(recent - usual, recent + usual, 0.0)
    volume_moments_nb(w, n, made[rows[1], :n], made[rows[4], :n])


@njit(cache=True, nogil=True, error_model="numpy")
def volume_moments_nb(w: np.ndarray, n: int, zscore: np.ndarray, rho: np.ndarray) -> None:
    """A day's z-score of the volume and its correlation with log returns.

    Volumes are counted from the last one, as closes are in `bollinger_nb`. Returns are counted
    from nothing: even for the least deviation that counts, FLOOR, a mean of 1 % a bar costs no
    more than the seventh digit of the variance.
    """
    for i in range(n):
        x, p = VOLUME + i, LOG_CLOSE + i
        a, b, c = w[x - 1] - w[x], w[x - 2] - w[x], w[x - 3] - w[x]
        w[VOLUME_LEAN + i] = a + b + c
        w[VOLUME_SQUARES + i] = a * a + b * b + c * c
        first, second, third = w[p - 1] - w[p - 2], w[p - 2] - w[p - 3], w[p - 3] - w[p - 4]
        w[VOLUME_RETURNS + i] = a * first + b * second + c * third
    for i in range(n):
        x, p = VOLUME + i, LOG_CLOSE + i
        a, b, c = w[x - 4] - w[x], w[x - 8] - w[x], w[x - 12] - w[x]
        d, e = w[x - 16] - w[x], w[x - 20] - w[x]
        square = w[VOLUME_SQUARES + i] + _squares_from(w, x, x - 4)
        square += _squares_from(w, x, x - 8) + _squares_from(w, x, x - 12)
        square += _squares_from(w, x, x - 16) + _squares_from(w, x, x - 20)
        product = _of_day(w, VOLUME_RETURNS + i)
        product += a * (w[p - 4] - w[p - 8]) + b * (w[p - 8] - w[p - 12])
        product += c * (w[p - 12] - w[p - 16]) + d * (w[p - 16] - w[p - 20])
        product += e * (w[p - 20] - w[p - 24])
        mean = (_of_day(w, VOLUME_LEAN + i) + 4.0 * (((a + b) + (c + d)) + e)) * (1.0 / DAY)
        drift = (w[p] - w[p - DAY]) * (1.0 / DAY)
        activity = square * (1.0 / DAY) - mean * mean
        spread = w[MOVES_DAY + i] * (1.0 / DAY) - drift * drift
        together = product * (1.0 / DAY) - mean * drift
        zscore[i] = _ratio(-mean, np.sqrt(activity), 0.0)
        # A window without any movement has no correlation.
        both = activity * spread if spread > FLOOR * FLOOR else 0.0
        rho[i] = min(max(_ratio(together, np.sqrt(both), 0.0), -1.0), 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def turns_nb(halves: np.ndarray, sine: np.ndarray, cosine: np.ndarray) -> None:
    """Sine and cosine of angles, given half of each less a quarter turn: -pi/2 to pi/2."""
    for i in range(len(halves)):
        s, c = _sine(halves[i]), _cosine(halves[i])
        sine[i] = np.float32(-2.0) * s * c
        cosine[i] = (s - c) * (s + c)


@njit(cache=True, nogil=True, error_model="numpy")
def clock_nb(stamps: np.ndarray, w: np.ndarray, made: np.ndarray, rows: np.ndarray) -> None:
    """Sine and cosine of the day's angle, and of the week's from Monday 00:00 UTC."""
    n = len(stamps)
    halves = w[SPANS : SPANS + BLOCK].view(np.float32)
    of_day, of_week = halves[:n], halves[BLOCK : BLOCK + n]
    for i in range(n):
        days = stamps[i] * (1.0 / (86_400 * 10**9))
        weeks = (days + 3.0) * (1.0 / 7.0)  # 1970-01-01 was a Thursday
        of_day[i] = np.pi * (days - np.floor(days) - 0.5)
        of_week[i] = np.pi * (weeks - np.floor(weeks) - 0.5)
    turns_nb(of_day, made[rows[0], :n], made[rows[1], :n])
    turns_nb(of_week, made[rows[2], :n], made[rows[3], :n])


@njit(cache=True, nogil=True, error_model="numpy")
def aligned_nb(size: int) -> np.ndarray:
    """float64 zeros (size,) that begin where a line of the cache does."""
    room = np.zeros(size + 8)
    first = -np.int64(room.ctypes.data) % 64 // 8
    return room[np.int64(first) :][:size]


@njit(cache=True, nogil=True, error_model="numpy")
def features_nb(
    fields: tuple[np.ndarray, ...],
    stamps: np.ndarray,
    rows: np.ndarray,
    out: np.ndarray,
    to: int,
) -> None:
    """Features of M bars into `out`, float32 (features, columns), from column `to` on.

    fields: open, high, low, close, volume, float64 (M,); stamps int64 (M,), nanoseconds UTC.
    rows int64 (9, 8): where each feature of each family goes, len(out) for one that is not wanted;
    -1 in front leaves a family out. Whole pieces are written: `to` and the number of columns are
    multiples of PIECE, `out` begins at a multiple of its bytes, and what the last piece of a row
    holds beyond the last bar is arbitrary.
    """
    num_bars = len(stamps)
    w, memory = aligned_nb(NUM_ROWS * STRIDE), np.zeros(13)
    v = aligned_nb(NUM_SHORT_ROWS * STRIDE // 2).view(np.float32)
    made = np.empty((len(out) + 1, BLOCK), dtype=np.float32)
    flat = made.reshape(-1)
    n = 0
    for first in range(0, num_bars, BLOCK):
        last = min(first + BLOCK, num_bars)
        n, here = last - first, to + first
        load_nb(fields, first, last, w, v)
        if first == 0:  # before the first bar there was a flat one
            w[HIGH - 1] = w[LOW - 1] = w[CLOSE - 1] = w[CLOSE]
            w[LOG_CLOSE - 1] = _log(w[CLOSE], 1.0)
        changes_nb(w, n)
        if first == 0:
            start_nb(w, memory)
        due = len(out) * PIECES if first > 0 else 0
        decayed_nb(w, n, memory, fields, stamps, last, flat, due, out, here - BLOCK)
        for k in range(n, due):
            put_nb(k, flat, out, here - BLOCK)
        units_nb(w, n)
        if rows[0, 0] >= 0:
            returns_nb(w, n, made, rows[0])
        if rows[1, 0] >= 0:
            candle_nb(w, n, made, rows[1])
        if rows[2, 0] >= 0:
            volatility_nb(w, v, n, made, rows[2])
        if rows[3, 0] >= 0:
            trend_nb(w, n, made, rows[3])
        if rows[4, 0] >= 0:
            bollinger_nb(w, n, made, rows[4])
        if rows[5, 0] >= 0:
            stochastic_nb(w, n, made, rows[5])
        if rows[6, 0] >= 0:
            efficiency_nb(w, n, made, rows[6])
        if rows[7, 0] >= 0:
            volume_nb(w, n, made, rows[7])
        if rows[8, 0] >= 0:
            clock_nb(stamps[first:last], w, made, rows[8])
    for k in range(len(out) * PIECES):
        if k % PIECES * PIECE < n:
            put_nb(k, flat, out, to + num_bars - n)
    finish()
