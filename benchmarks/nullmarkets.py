"""Markets of `benchmarks.nulls`: two years of hours in which nothing foretells the direction.

All but `waves` are `simulated_bars` of edge 0, whose clustered volatility stays, with something
laid over them. Only in `season` does the mean depend on anything: on the hour of the day.
Dimension: T bars.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.signal import lfilter

from benchmarks.judging import PRICES, WINDOW_BARS, with_drift
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.simulated import simulated_bars

Market = Callable[[int], Bars]
"""The bars of a seed."""

HOURLY, WAVE, WAVE_HOURS, STEPS = 0.005, 0.6, 336, 20
"""Of `waves`: median hourly volatility, standard deviation of its log, how long it remembers, and
steps that a bar's price takes."""
RISING, FALLING = range(8, 12), range(20, 24)
"""UTC hours with a seasonal mean."""
SEASON = 0.00025
"""Mean log return of each of those hours: four of them are 10 bp, a round trip costs 14 bp."""
CRASH_EVERY_DAYS = 180
CRASH = 0.20
"""Log price that a crash takes away."""
PRINT = 0.002
"""How far a last print lies from the price, on either side: 20 bp."""


def martingale(seed: int) -> Bars:
    """Nothing laid over it."""
    return simulated_bars(seed=seed, edge=0.0, bars=WINDOW_BARS)


def waves(seed: int) -> Bars:
    """Volatility in waves of `WAVE_HOURS`, as real ones have them; a martingale at every step."""
    rng = np.random.default_rng([seed, 0])
    kept = np.exp(-1 / WAVE_HOURS)
    shock = np.append(rng.normal(), np.sqrt(1 - kept**2) * rng.normal(size=WINDOW_BARS - 1))
    sigma_T1 = HOURLY * np.exp(WAVE * lfilter([1.0], [1.0, -kept], shock))[:, None]
    step = sigma_T1 / np.sqrt(STEPS)  # of normals: each brings its own -step^2 / 2
    inside = np.cumsum(step * rng.normal(size=(WINDOW_BARS, STEPS)) - step**2 / 2, axis=1)
    first = np.append(0.0, np.cumsum(inside[:, -1])[:-1])[:, None]
    log = {
        "open": first,
        "high": first + np.maximum(inside.max(axis=1, keepdims=True), 0.0),
        "low": first + np.minimum(inside.min(axis=1, keepdims=True), 0.0),
        "close": first + inside[:, -1:],
    }
    prices = {name: 30_000 * np.exp(values) for name, values in log.items()}
    return replace(martingale(0), **prices)  # whose volume says nothing here


def drifting(market: Market, factor: float) -> Market:
    """A constant drift: prices grow by `factor` a year."""
    return lambda seed: with_drift(market(seed), factor)


def season(seed: int) -> Bars:
    """`RISING` hours rise and `FALLING` ones fall by `SEASON` on average: less than costs."""
    bars = martingale(seed)
    hour = bars.index.hour
    mean = SEASON * (np.isin(hour, RISING).astype(float) - np.isin(hour, FALLING))
    # what an hour brings is in the prices from the next open on
    return _grown(bars, np.append(0.0, np.cumsum(mean)[:-1]))


def crashes(seed: int) -> Bars:
    """Rare large falls before an open, and the drift between them that makes up for the mean."""
    bars = martingale(seed)
    return _grown(bars, np.cumsum(crash_steps(seed, len(bars))))


def crash_steps(seed: int, bars: int) -> np.ndarray:
    """What falls and compensation add to the log price from bar to bar, (T,): E exp(step) = 1."""
    probability = 1 / (24 * CRASH_EVERY_DAYS)
    falls = np.random.default_rng([seed, 1]).random(bars) < probability
    steps: np.ndarray = -CRASH * falls - np.log1p(probability * np.expm1(-CRASH))
    return steps


def bounce(seed: int) -> Bars:
    """Last prints `PRINT` above or below a martingale, by coin; a bar opens at the last print.

    Orders are filled at opens, so at prints that nobody could have had. The covariance of one
    return with the next is -PRINT^2 (Roll 1984), and the coins are all that ties them.
    """
    bars = martingale(seed)
    log = {name: np.log(getattr(bars, name)) for name in PRICES}
    last = log["close"] + PRINT * np.random.default_rng([seed, 2]).choice(
        [-1.0, 1.0], size=(len(bars), 1)
    )
    first = np.vstack([log["open"][:1], last[:-1]])
    prints = {
        "open": first,
        "high": np.maximum.reduce([log["high"], first, last]),
        "low": np.minimum.reduce([log["low"], first, last]),
        "close": last,
    }
    return replace(bars, **{name: np.exp(values) for name, values in prints.items()})


def _grown(bars: Bars, log_growth_T: np.ndarray) -> Bars:
    growth = np.exp(log_growth_T)[:, None]
    return replace(bars, **{name: getattr(bars, name) * growth for name in PRICES})
