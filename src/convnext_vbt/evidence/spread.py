"""The spread that bars imply: what their last prints bounce between bid and ask.

A close is a last print: half a spread above or below what the asset is worth, at random. The next
bar takes that back, which looks like a reversal that a strategy could earn and is nobody's to
trade. Two means over adjacent bars see it. With c the log close, m the log of the bar's middle
(the mean of log high and log low), s the half-spread and r a bar's true return:

    Roll (1984)              R = -E[(c[t] - c[t-1]) (c[t-1] - c[t-2])]  =  s^2 + v
    Abdi and Ranaldo (2017)  A = -E[(m[t] - c[t-1]) (c[t-1] - m[t-1])]  =  k s^2 + v / 4

Here v = -E[r[t] r[t-1]] is true reversal (below 0: momentum), which the bounce must not be
taken for: half of either bar's return lies between its middle and its close, hence the quarter.
So (A - R / 4) / (k - 1 / 4) is s^2 without it. The loading k is 1 where high and low have bounces
of their own, and less where the close itself is the high or the low and takes the middle along
(Ardia, Guidotti and Kroencke 2024): 1 and the mean of (1 - e/2) (1 - e'/2) bound it, e and e' being
how many of the two extremes of its bar, and of the next, the close is. Between the two bounds on
s^2 that follow, Roll's R decides. Where bars hold a print or two, k is near a quarter, nothing
tells a bounce from a reversal, and R stands alone.

A high that is the low's mirror image is all that is assumed of the paths inside the bars. Corwin
and Schultz (2012) assume a constant variance instead and find 4 to 8 bp on hourly bars of coins
whose spread is below 1. What reverts within moments of a close cannot be told from a bounce.

Dimensions: N symbols, Q runs of three adjacent bars.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import Bars

FEWEST = 100
"""Runs of three adjacent bars below which nothing is said."""
HALF_LIFE = 24
"""Bars by which the weight of a bar's range halves in the variance that products are divided by."""
CALMEST = 0.25
"""Of the median variance: calmer bars weigh no more, lest a stretch of stale prices decides."""
THIN = 0.3
"""Loading k down to which bars cannot tell a bounce from a reversal; a quarter is the limit."""
REVERSAL = 0.25
"""Of a true reversal, what Abdi and Ranaldo's mean takes for a spread; Roll's takes it all."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HalfSpread:
    """Half-spreads a side as fractions of the price: 0.0005 is 5 bp, which each fill loses.

    They bind where costs are assumed: fees + slippage below `low` are less than the bars say.
    """

    estimate: np.ndarray
    """float64 (N,); 0 where nothing bounces, NaN where fewer than 100 runs of three adjacent bars
    are there or the price never moves."""
    low: np.ndarray
    """Its one-sided lower confidence bound, float64 (N,); 0 where there may be no bounce, or where
    the estimate is NaN."""


def implied_half_spread(bars: Bars, *, confidence: float = 0.99) -> HalfSpread:
    """The half-spread that each symbol's bars imply, and what it surely is.

    Bars count where three in a row are `bars.step` apart, so nights, weekends and missing bars
    play no part. Products are weighted by one over the variance that earlier ranges suggest:
    in calm hours a bounce is plain to see. The bound rests on Newey and West's standard errors.

    Raises `ValueError` for a confidence outside [0.5, 1).

    >>> import convnext_vbt as cv
    >>> found = implied_half_spread(cv.load_bars("simulated"))  # a market without a spread
    >>> found.low
    array([0.])
    """
    if not 0.5 <= confidence < 1:
        raise InputError(f"confidence must lie in [0.5, 1), got {confidence}")
    z = NormalDist().inv_cdf(confidence)
    estimate = np.full(len(bars.symbols), np.nan)
    low = np.zeros(len(bars.symbols))
    for n in range(len(bars.symbols)):
        moments = _moments(bars, n)
        if moments is not None:
            estimate[n] = _half_spread(moments, 0.0)
            low[n] = _half_spread(moments, z)
    return HalfSpread(estimate=estimate, low=low)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moments:
    """Of one symbol; values and standard errors."""

    roll: tuple[float, float]
    """R."""
    freed: tuple[float, float]
    """A - R / 4: of the bounce alone, whatever the true reversal or momentum."""
    loading: float
    """The least that k can be."""


def _half_spread(moments: _Moments, z: float) -> float:
    """What the means `z` standard errors below theirs imply; 0 where that is no bounce."""
    roll, freed = (mean - z * error for mean, error in (moments.roll, moments.freed))
    bounds = [freed / (1 - REVERSAL)]
    bounds.append(freed / (moments.loading - REVERSAL) if moments.loading > THIN else np.inf)
    return float(np.sqrt(max(np.clip(roll, min(bounds), max(bounds)), 0.0)))


def _moments(bars: Bars, n: int) -> _Moments | None:
    """None for too few bars, and for a price that never moves."""
    here = bars.present[:, n]
    high, low, close = (np.log(getattr(bars, name)[here, n]) for name in ("high", "low", "close"))
    adjacent = np.diff(bars.index[here].asi8) == bars.step.value
    variance = _variance(high, low, close, adjacent)
    usable = np.zeros(len(close), dtype=bool)
    usable[2:] = adjacent[1:] & adjacent[:-1] & (variance[2:] > 0)
    if usable.sum() < FEWEST:
        return None
    weights_Q = 1.0 / variance[usable]
    weights_Q /= weights_Q.mean()
    roll_Q, middle_Q, loading_Q = (x[usable[2:]] for x in products(high, low, close))
    return _Moments(
        roll=mean_and_error(weights_Q * roll_Q),
        freed=mean_and_error(weights_Q * (middle_Q - REVERSAL * roll_Q)),
        loading=float((weights_Q * loading_Q).mean()),
    )


def products(
    high: np.ndarray, low: np.ndarray, close: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each three bars in a row of log prices: what R, A and the least k are the means of.

    Three arrays of T - 2.
    """
    step = np.diff(close)
    middle = (high + low) / 2
    last = close[1:-1]
    # How many of its bar's two extremes a close is, and of the bar's that comes after it.
    own = (last == high[1:-1]).astype(float) + (last == low[1:-1])
    after = (last == high[2:]).astype(float) + (last == low[2:])
    return (
        -step[1:] * step[:-1],
        -(middle[2:] - last) * (last - middle[1:-1]),
        (1 - own / 2) * (1 - after / 2),
    )


def _variance(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, adjacent: np.ndarray
) -> np.ndarray:
    """Mean squared true range up to two bars ago; NaN at first, 0 where no price ever moved."""
    # A bar's range begins at the close before it, unless that is of another session.
    top, bottom = high.copy(), low.copy()
    top[1:] = np.where(adjacent, np.maximum(high[1:], close[:-1]), high[1:])
    bottom[1:] = np.where(adjacent, np.minimum(low[1:], close[:-1]), low[1:])
    squares = pd.Series((top - bottom) ** 2)
    # The run of three bars begins two bars ago with a close: only what it knows may weigh it.
    mean = squares.ewm(halflife=HALF_LIFE, min_periods=HALF_LIFE).mean()
    values = mean.shift(2).to_numpy()
    moving = values[values > 0]
    return np.maximum(values, CALMEST * np.median(moving)) if len(moving) else values


def mean_and_error(values_Q: np.ndarray) -> tuple[float, float]:
    """The mean and Newey and West's (1987) standard error of it."""
    count = len(values_Q)
    mean = values_Q.mean()
    rest = values_Q - mean
    lags = int(4 * (count / 100) ** (2 / 9))  # Newey and West (1994)
    total = rest @ rest
    for lag in range(1, lags + 1):
        total += 2 * (1 - lag / (lags + 1)) * (rest[lag:] @ rest[:-lag])
    return float(mean), float(np.sqrt(total) / count)
