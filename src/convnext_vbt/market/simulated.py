"""The embedded default market: hourly bars with a known, planted edge. It is simulated.

Nothing here is market data. What is planted, and nothing else:

- A hidden regime, -1, 0 or +1, that lasts 96 hours on average and then changes to one of the
  other two. In it the price drifts by `edge` x 0.22 x regime standard deviations an hour.
- A footprint of the regime in volume: log volume is raised by regime x 0.45 x how far the bar
  rose (tanh of its standardised return), so a rising bar is heavy in an up regime and light in a
  down regime. The footprint is there at every `edge`; at `edge=0` it is a decoy.
- No other dependence of returns on the past: at `edge=0` the price is a martingale, so every
  strategy has an expected profit of zero before costs and a loss after them.

Around it, what hourly Bitcoin is known for: volatility near 0.6 % an hour that comes in clusters
of days and months, fat tails, rare jumps, a daily and a weekly season, and volume that moves with
volatility. Every hour is walked minute by minute, so open, high, low and close belong together.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numba import njit

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import Bars

FAMILY = "regimes"
"""How this kind of market is called among others."""
SYMBOL = "SIM/USDT"
START = pd.Timestamp("2022-01-01", tz="UTC")
STEP = pd.Timedelta(hours=1)
START_PRICE = 30_000.0
MEDIAN_VOLUME = 1_000.0
MAX_BARS = 200_000
STEPS_PER_BAR = 60

MEAN_REGIME = 96
"""Bars that a regime lasts on average."""
DRIFT = 0.22
"""Drift per bar of regime +1 at `edge=1`, in standard deviations of that bar."""
FOOTPRINT = 0.45
"""What regime +1 adds to the log volume of a bar that rises far; falls lose as much."""


def are_simulated(symbols: Iterable[str]) -> bool:
    """Whether any of these symbols is a simulated one, by its name."""
    return any(name.startswith("SIM/") for name in symbols)


def simulated_bars(
    *, seed: int = 0, edge: float = 1.0, bars: int = 17_520, symbol: str = SYMBOL
) -> Bars:
    """Hourly bars of a simulated market from 2022-01-01 UTC; 17,520 of them are two years.

    `edge` scales the planted drift that the module's docstring describes: 1 is plain to see for
    who reads price and volume together, 0 is a martingale before costs. The same arguments give
    the same bars.

    Raises `ValueError` for a negative seed, an edge outside [0, 3] or too few or too many bars.
    """
    if seed < 0:
        raise InputError(f"seed must be >= 0, got {seed}")
    if not 0 <= edge <= 3:
        raise InputError(f"edge must lie in [0, 3] (0 = none, 1 = the default), got {edge}")
    if not 2 <= bars <= MAX_BARS:
        raise InputError(f"bars must lie in [2, {MAX_BARS:,}], got {bars:,}")
    rng = np.random.default_rng(seed)
    path = walk_nb(
        rng.standard_normal((bars, STEPS_PER_BAR)),
        rng.standard_normal((bars, 5)),
        rng.random((bars, 4)),
        float(edge),
    )
    prices = np.round(START_PRICE * np.exp(path[:, :4]), 2)
    volume = np.round(MEDIAN_VOLUME * np.exp(path[:, 4:]), 3)
    return Bars(
        index=pd.date_range(START, periods=bars, freq=STEP, unit="ns"),
        symbols=(symbol,),
        open=prices[:, 0:1],
        high=prices[:, 1:2],
        low=prices[:, 2:3],
        close=prices[:, 3:4],
        volume=volume,
        step=STEP,
    )


@njit(cache=True)
def walk_nb(inner: np.ndarray, normal: np.ndarray, uniform: np.ndarray, edge: float) -> np.ndarray:
    """Log open, high, low, close over the starting price, and log volume over its median: (T, 5).

    `inner` (T, steps) moves the price inside the bar; `normal` (T, 5) moves fast and slow
    volatility, the opening gap, jump sizes and volume; `uniform` (T, 4) decides whether and where
    a jump comes and whether and whither the regime changes.
    """
    bars, steps = inner.shape
    out = np.empty((bars, 5))
    regime = int(uniform[0, 3] * 3) - 1
    price = 0.0
    fast = 0.0
    slow = 0.28 * normal[0, 1]
    interest = 0.0
    shock = 0.0
    for t in range(bars):
        # Log volatility: days (fast), months (slow), a kick from the last shock, the clock.
        fast = 0.97 * fast + 0.0802 * normal[t, 0] + 0.03 * (min(abs(shock), 5.0) - 0.8)
        slow = 0.999 * slow + 0.0125 * normal[t, 1]
        season = 0.22 * np.cos(2 * np.pi * (t % 24 - 15) / 24) - (0.2 if (t // 24) % 7 < 2 else 0)
        sigma = 0.0047 * np.exp(fast + slow + season)
        if uniform[t, 2] < 1 / MEAN_REGIME:
            regime = (regime + 2 + int(uniform[t, 3] * 2)) % 3 - 1
        drift = edge * DRIFT * regime * sigma
        # exp(price) is a martingale at every step without the drift: each normal step of standard
        # deviation s, jumps included, brings its own -s^2 / 2.
        gap = 0.01 * sigma
        price += gap * normal[t, 2] - 0.5 * gap * gap
        first = high = low = price
        inside = sigma / np.sqrt(steps)
        jump = 4.2 * sigma
        jump_at = int(uniform[t, 1] * steps) if uniform[t, 0] < 0.006 else -1
        for j in range(steps):
            price += drift / steps + inside * inner[t, j] - 0.5 * inside * inside
            if j == jump_at:
                price += jump * normal[t, 3] - 0.5 * jump * jump
            high = max(high, price)
            low = min(low, price)
        move = (price - first) / sigma
        shock = move - drift / sigma
        interest = 0.7 * interest + 0.214 * normal[t, 4]
        out[t, 0] = first
        out[t, 1] = high
        out[t, 2] = low
        out[t, 3] = price
        out[t, 4] = (
            1.2 * (fast + slow + season)
            + 0.3 * min(abs(move), 4.0)
            + FOOTPRINT * regime * np.tanh(move)
            + interest
        )
    return out
