"""What who knows how the simulated market is made can tell of its hidden state: a Bayes filter.

A Rao-Blackwellised particle filter (Doucet, de Freitas, Murphy and Russell 2000). A particle is one
history of the two volatility states. Given it everything else is known exactly: the posterior of
the market's edge and of its regime, and the state of the volume's own AR(1). The edge is one number
or, for who must infer it, any of a grid. All edges share one cloud of particles; clouds of their
own would each have a likelihood whose error is larger than what tells neighbouring edges apart.

Every number is that of `market.simulated`. Dimensions: T bars, P particles, E edges, and R = 3
regimes, -1, 0 and +1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit

from convnext_vbt.market.bars import Bars
from convnext_vbt.market.simulated import (
    DRIFT,
    FOOTPRINT,
    MEAN_REGIME,
    MEDIAN_VOLUME,
    START_PRICE,
    STEPS_PER_BAR,
)

MEDIAN_VOLATILITY = 0.0047
PARTICLES = 256
BINS_PER_SIGMA, BINS = 8, 33
"""The table of ranges knows moves up to four standard deviations, in steps of an eighth."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Beliefs:
    """What is known at the close of each bar."""

    posterior: np.ndarray
    """Probability of each edge together with each regime, (T, E, 3); sums to 1 over both."""
    volatility: np.ndarray
    """Means of the fast and the slow part of log volatility over its median, (T, 2)."""


def beliefs(
    bars: Bars, edges: tuple[float, ...], *, particles: int = PARTICLES, seed: int = 1
) -> Beliefs:
    """Filter a market of `simulated_bars`; at the start all edges are equally likely."""
    prices = [getattr(bars, name)[:, 0] for name in ("open", "high", "low", "close")]
    posterior, volatility = filter_nb(
        np.log(np.stack(prices, axis=1) / START_PRICE),
        np.log(np.maximum(bars.volume[:, 0], 1e-3) / MEDIAN_VOLUME),
        season(len(bars)),
        np.array(edges, dtype=np.float64),
        particles,
        np.random.default_rng(seed),
        range_table(),
        DRIFT,
        FOOTPRINT,
        1 / MEAN_REGIME,
    )
    return Beliefs(posterior=posterior, volatility=volatility)


def season(bars: int) -> np.ndarray:
    """What the clock adds to log volatility, (T,)."""
    t = np.arange(bars)
    weekend = (t // 24) % 7 < 2
    return 0.22 * np.cos(2 * np.pi * (t % 24 - 15) / 24) - np.where(weekend, 0.2, 0.0)


@cache
def range_table(walks: int = 120_000) -> np.ndarray:
    """Mean and deviation of log(range / sigma) of a bar by how far it moved, (BINS, 2).

    Given where a bar ends, its range says nothing of the drift; so walks without one will do. The
    few bins that no walk reaches have a range that hardly exceeds the move.
    """
    steps = np.random.default_rng(7).standard_normal((walks, STEPS_PER_BAR))
    path = np.cumsum(steps / np.sqrt(STEPS_PER_BAR), axis=1)
    extent = np.log(np.maximum(path.max(axis=1), 0) - np.minimum(path.min(axis=1), 0))
    place = np.minimum((BINS_PER_SIGMA * np.abs(path[:, -1])).astype(int), BINS - 1)
    table = np.empty((BINS, 2))
    for b in range(BINS):
        own = extent[place == b]
        if len(own) > 30:
            table[b] = own.mean(), max(own.std(), 0.05)
        else:
            table[b] = max(table[b - 1, 0], np.log((b + 0.5) / BINS_PER_SIGMA * 1.03)), 0.06
    table.flags.writeable = False
    return table


@njit(cache=True)
def filter_nb(
    log_prices: np.ndarray,
    log_volume: np.ndarray,
    season: np.ndarray,
    edges: np.ndarray,
    particles: int,
    rng: np.random.Generator,
    table: np.ndarray,
    drift: float,
    footprint: float,
    leave: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior (T, E, 3) and volatility (T, 2) of `Beliefs`.

    `log_prices` (T, 4) are open, high, low, close over the starting price, `log_volume` (T,) is
    over the median, `leave` the chance that a regime ends. Where no particle explains a bar, all
    count alike.
    """
    num_bars, num_edges = len(log_prices), len(edges)
    posterior, volatility = np.zeros((num_bars, num_edges, 3)), np.zeros((num_bars, 2))
    fast = 0.33 * rng.standard_normal(particles)
    slow = 0.28 * rng.standard_normal(particles)
    belief = np.full((particles, num_edges, 3), 1 / (3 * num_edges))
    last = np.zeros((particles, 3))  # volume residual, tanh of the move, shock
    weight = np.full(particles, 1 / particles)
    for t in range(num_bars):
        body = log_prices[t, 3] - log_prices[t, 0]
        extent = max(log_prices[t, 1] - log_prices[t, 2], 1e-6)
        for i in range(particles):
            fast[i] = 0.97 * fast[i] + 0.0802 * rng.standard_normal()
            if t > 0:
                fast[i] += 0.03 * (min(abs(last[i, 2]), 5.0) - 0.8)
            slow[i] = 0.999 * slow[i] + 0.0125 * rng.standard_normal()
            level = fast[i] + slow[i] + season[t]
            sigma = 0.0047 * np.exp(level)
            move = body / sigma
            residual = log_volume[t] - 1.2 * level - 0.3 * min(abs(move), 4.0)
            volume = volume_nb(residual, np.tanh(move), last[i], footprint, t == 0)
            seen, drifted = update_nb(belief[i], move, sigma, volume, edges * drift, leave)
            weight[i] *= seen * range_nb(np.log(extent / sigma), abs(move), table) / sigma
            last[i, 0], last[i, 1], last[i, 2] = residual, np.tanh(move), move - drifted
        total = weight.sum()
        if total > 1e-300:
            weight /= total
        else:
            weight[:] = 1 / particles
        volatility[t, 0], volatility[t, 1] = (weight * fast).sum(), (weight * slow).sum()
        for i in range(particles):
            posterior[t] += weight[i] * belief[i]
        if (weight * weight).sum() * particles > 2:
            kept = resampled_nb(weight, rng.random())
            fast, slow, belief, last = fast[kept], slow[kept], belief[kept], last[kept]
            weight[:] = 1 / particles
    return posterior, volatility


@njit(cache=True)
def volume_nb(
    residual: float, rise: float, last: np.ndarray, footprint: float, first: bool
) -> np.ndarray:
    """Density of log volume by the regime before (rows) and now (columns), up to a factor: (3, 3).

    `residual` is what volatility and the size of the move leave of it, `rise` the tanh of the
    move; `last` begins with both of the bar before.
    """
    out = np.empty((3, 3))
    for before in range(3):
        for now in range(3):
            noise, deviation = residual - footprint * (now - 1) * rise, 0.3
            if not first:
                noise -= 0.7 * (last[0] - footprint * (before - 1) * last[1])
                deviation = 0.214
            out[before, now] = np.exp(-0.5 * (noise / deviation) ** 2)
    return out


@njit(cache=True)
def update_nb(
    belief: np.ndarray,
    move: float,
    sigma: float,
    volume: np.ndarray,
    drifts: np.ndarray,
    leave: float,
) -> tuple[float, float]:
    """Bring one particle's belief (E, 3) up to date with a bar, in place.

    Gives the density of move and volume, up to a factor, and the mean drift of the bar in standard
    deviations. In 6 of 1,000 bars a jump widens the move.
    """
    total, drifted = 0.0, 0.0
    new = np.empty(3)
    for e in range(len(drifts)):
        for now in range(3):
            m = move - drifts[e] * (now - 1) + 0.5 * sigma
            density = 0.994 * np.exp(-0.5 * m * m)
            density += 0.006 * np.exp(-0.5 * m * m / 18.64) / 4.317
            came = 0.0
            for before in range(3):
                chance = 1 - leave if before == now else leave / 2
                came += belief[e, before] * chance * volume[before, now]
            new[now] = density * came
            total += new[now]
            drifted += new[now] * drifts[e] * (now - 1)
        belief[e] = new
    if total > 0:
        belief /= total
        drifted /= total
    else:
        belief[:] = 1 / belief.size
    return total, drifted


@njit(cache=True)
def range_nb(extent: float, size: float, table: np.ndarray) -> float:
    """Density of log(range / sigma) of a bar that moved `size`; 3 of 100 are wild, for jumps."""
    place = min(int(8 * size), len(table) - 1)
    mean = table[place, 0] if size < 4 else np.log(size) + 0.03
    off, deviation = extent - mean, table[place, 1]
    near = np.exp(-0.5 * (off / deviation) ** 2) / deviation
    return 0.97 * near + 0.03 * np.exp(-0.5 * (off / 0.8) ** 2) / 0.8


@njit(cache=True)
def resampled_nb(weight: np.ndarray, uniform: float) -> np.ndarray:
    """Systematic resampling (Kitagawa 1996): the particles that go on, (P,)."""
    count = len(weight)
    kept = np.empty(count, np.int64)
    reached, j = weight[0], 0
    for i in range(count):
        while (uniform + i) / count > reached and j < count - 1:
            j += 1
            reached += weight[j]
        kept[i] = j
    return kept
