"""What families share: averages, sums and ratios of one symbol's series, float64 (M,).

A window is added up afresh, never by subtracting what leaves it: nothing drifts, and a shock is
forgotten completely.

Kernels fill arrays that numpy has made. numba's cache looks at a kernel's own file to tell whether
what it has compiled is still right: so a kernel calls only kernels, and reads only constants, of
its own file. `fastmath={"contract"}` lets a * b + c be rounded once, which halves what a recursion
takes; other fast maths is out, as a value could then depend on how many others are made with it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from convnext_vbt.market.volatility import decay_warmup

DAY, WEEK = 24, 7 * 24
"""Bars of the windows that most features have."""
FLOOR = 1e-6
"""Dead markets divide by nothing: a lower volatility, or ATR as a share of the price, is this."""
LIMIT = 10.0
"""Returns and distances, in units of volatility or ATR, are limited to +- this."""
WILDER = 13.0 / 14.0
"""What the average so far weighs in Wilder's averages of 14 bars."""
SIGMA_DECAY = 0.5 ** (1.0 / 24.0)
"""The same in the variance that returns are measured by: half-life 24."""

# A value made of changes from bar to bar starts at the second bar: hence the + 1.
WILDER_WARMUP = 1 + decay_warmup(WILDER)
SIGMA_WARMUP = 1 + decay_warmup(SIGMA_DECAY)


def span_warmup(span: int) -> int:
    """Warm-up of an EMA with weight 2 / (span + 1)."""
    return decay_warmup(1.0 - 2.0 / (span + 1))


def limited(values: np.ndarray) -> np.ndarray:
    """The same float32 array, its values brought within +-LIMIT."""
    return np.clip(values, -LIMIT, LIMIT, out=values)


def change(values: np.ndarray, lag: int) -> np.ndarray:
    """Each value less the one `lag` bars before; 0 where there is none."""
    changes = np.empty_like(values)
    changes[:lag] = 0.0
    np.subtract(values[lag:], values[:-lag], out=changes[lag:])
    return changes


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The quotient, float32; 0 where whole is 0."""
    quotients = np.empty(len(part), dtype=np.float32)
    ratio_nb(part, whole, quotients)
    return quotients


def phase(stamps: np.ndarray, period: int, start: int) -> np.ndarray:
    """Angle (0 to 2 pi) of times within a period that begins at `start`, float32; all in ns."""
    angles = np.empty(len(stamps), dtype=np.float32)
    phase_nb(stamps, 1.0 / period, start / period, angles)
    return angles


def recursive_mean(values: np.ndarray, decay: float) -> np.ndarray:
    """M <- decay m + (1 - decay) value, starting with the second value."""
    means = np.empty_like(values)
    recursive_mean_nb(values, decay, means)
    return means


def true_range_mean(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
    """Wilder's average of the true range, starting with the second bar's."""
    means = np.empty_like(close)
    true_range_mean_nb(high, low, close, means)
    return means


def day_sum(values: np.ndarray) -> np.ndarray:
    """Sum of each value and the 23 before it; before the 24th it is arbitrary but finite."""
    values = values.view()
    values.flags.writeable = False  # as the bars' own columns are: the kernel compiles once
    fours, sums = np.empty_like(values), np.empty_like(values)
    sums[: DAY - 1] = 0.0
    day_sum_nb(values, fours, sums)
    return sums


def week_sum(day_sums: np.ndarray) -> np.ndarray:
    """The same of a week, from the days' sums; before the 168th it is arbitrary but finite."""
    sums = np.empty_like(day_sums)
    sums[: WEEK - DAY] = 0.0
    week_sum_nb(day_sums, sums)
    return sums


@njit(cache=True, nogil=True, error_model="numpy")
def ratio_nb(part: np.ndarray, whole: np.ndarray, quotients: np.ndarray) -> None:
    """Kernel of `ratio`."""
    for i in range(len(part)):
        quotients[i] = part[i] / whole[i] if whole[i] > 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def phase_nb(stamps: np.ndarray, per_period: float, shift: float, angles: np.ndarray) -> None:
    """Kernel of `phase`."""
    for i in range(len(stamps)):
        turns = stamps[i] * per_period - shift
        angles[i] = 2.0 * np.pi * (turns - np.floor(turns))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def recursive_mean_nb(values: np.ndarray, decay: float, means: np.ndarray) -> None:
    """Kernel of `recursive_mean`."""
    means[0] = mean = values[1]
    for i in range(1, len(values)):
        mean = decay * mean + (1.0 - decay) * values[i]
        means[i] = mean


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def true_range_mean_nb(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, means: np.ndarray
) -> None:
    """Kernel of `true_range_mean`."""
    means[0] = mean = max(high[1], close[0]) - min(low[1], close[0])
    for i in range(1, len(close)):
        true_range = max(high[i], close[i - 1]) - min(low[i], close[i - 1])
        mean = WILDER * mean + (1.0 - WILDER) * true_range
        means[i] = mean


# The number of terms is a constant, which lets the compiler work on several bars at once.
@njit(cache=True, nogil=True, error_model="numpy")
def day_sum_nb(values: np.ndarray, fours: np.ndarray, sums: np.ndarray) -> None:
    """Kernel of `day_sum`: sums of four, and of six of these."""
    for i in range(len(values) - 3):
        fours[i] = (values[i] + values[i + 1]) + (values[i + 2] + values[i + 3])
    for i in range(len(values) - DAY + 1):
        total = 0.0
        for k in range(0, DAY, 4):
            total += fours[i + k]
        sums[i + DAY - 1] = total


@njit(cache=True, nogil=True, error_model="numpy")
def week_sum_nb(day_sums: np.ndarray, sums: np.ndarray) -> None:
    """Kernel of `week_sum`."""
    for i in range(len(day_sums) - WEEK + DAY):
        total = 0.0
        for k in range(0, WEEK, DAY):
            total += day_sums[i + k]
        sums[i + WEEK - DAY] = total
