"""Futures that never were: bars that go on in a wild market of their own.

Dimensions: T bars, N symbols, M later bars that one symbol has.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import FIELDS, Bars

JUMP = math.log(1.5)
"""How far, up or down, the level jumps where the garbage begins."""
WILDER = 3.0
"""Times the market's own volatility."""
VOLATILITY_RANGE = (1e-4, 0.05)
"""Kept to per bar, so that a long future neither stands still nor leaves what floats can hold."""
FEWEST_LATER, MOST_LATER = 8, 200
"""Bars of `another_future`."""
LONGEST_PAUSE = 12
"""Bars that an outage in `another_future` lasts at most."""


def garbage_after(bars: Bars, bar: int, *, keep_open: bool = False, seed: int = 0) -> Bars:
    """The bars up to `bar` untouched, and another market after it, of the same shape.

    Each symbol's level jumps by half up or a third down and goes on as a random walk of three times
    its volatility, with volumes in random order and scaled at random. Times and missing bars stay:
    they are the calendar's. With `keep_open` the open of the very next bar stays too, which is all
    that is known when it is filled. The same arguments give the same garbage.

    Raises `ValueError` unless at least one bar comes after `bar`.
    """
    if not 0 <= bar < len(bars) - 1:
        raise InputError(f"bar must lie in [0, {len(bars) - 1}) to have a future, got {bar}")
    names = (*FIELDS, *(() if bars.funding is None else ("funding",)))
    fields = {name: getattr(bars, name).copy() for name in names}
    for n in range(len(bars.symbols)):
        rng = np.random.default_rng([seed, bar, n, keep_open])
        rows = np.flatnonzero(bars.present[:, n])
        known, later = rows[rows <= bar], rows[rows > bar]
        if not len(later):
            continue
        before = bars.close[known[-1], n] if len(known) else bars.open[later[0], n]
        first_open = bars.open[bar + 1, n] if keep_open and later[0] == bar + 1 else None
        walk = _walk(rng, len(later), before, _volatility(bars.close[rows, n]), first_open)
        volume = rng.permutation(bars.volume[later, n]) * np.exp(rng.standard_normal(len(later)))
        for name, values in zip(FIELDS, (*walk, volume), strict=True):
            fields[name][later, n] = values
        if bars.funding is not None:
            fields["funding"][later, n] = rng.permutation(-bars.funding[later, n])
    return replace(bars, **fields)


def another_future(bars: Bars, bar: int, *, pauses: bool = True, seed: int = 0) -> Bars:
    """The bars up to `bar` untouched, and some of another market after it, on another calendar.

    There is another number of later bars, and of several symbols some are gone. With `pauses` the
    market has outages, and symbols lack bars. Levels and volatilities are those of `garbage_after`.
    """
    rng = np.random.default_rng([seed, bar])
    known = bars.rows(0, bar + 1)
    count = int(rng.integers(FEWEST_LATER, MOST_LATER + 1))
    steps = np.where(rng.random(count) < 0.1, rng.integers(2, LONGEST_PAUSE + 1, count), 1)
    steps[0] = 1 if rng.random() < 0.5 else rng.integers(2, LONGEST_PAUSE + 1)
    steps = steps if pauses else np.ones_like(steps)
    later = known.index[-1] + pd.to_timedelta(bars.step.value * np.cumsum(steps), unit="ns")
    names = (*FIELDS, *(() if bars.funding is None else ("funding",)))
    fields = {name: np.full((count, len(bars.symbols)), np.nan) for name in names}
    stays = int(rng.choice(np.flatnonzero(known.present.any(axis=0))))
    for n in range(len(bars.symbols)):
        rows = np.flatnonzero(known.present[:, n])
        if len(rows) and n != stays and rng.random() < 0.3:
            continue
        keeps = np.flatnonzero((rng.random(count) < 0.95) | (n == stays) | (not pauses))
        # who has not begun yet begins in the other future
        close = known.close[rows, n] if len(rows) else known.close[known.present[:, stays], stays]
        volumes = known.volume[rows, n] if len(rows) else np.ones(1)
        walk = _walk(rng, len(keeps), close[-1], _volatility(close[-MOST_LATER:]), None)
        volume = rng.choice(volumes, len(keeps)) * np.exp(rng.normal(size=len(keeps)))
        for name, values in zip(FIELDS, (*walk, volume), strict=True):
            fields[name][keeps, n] = values
        if known.funding is not None and len(rows):
            fields["funding"][keeps, n] = -rng.choice(known.funding[rows, n], len(keeps))
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(known, name), fields[name]]) for name in names
    }
    return replace(known, index=pd.DatetimeIndex(known.index.append(later)), **joined)


def _volatility(close: np.ndarray) -> float:
    usual = float(np.diff(np.log(close)).std()) if len(close) > 1 else 0.0
    return float(np.clip(WILDER * usual, *VOLATILITY_RANGE))


def _walk(
    rng: np.random.Generator, count: int, before: float, sigma: float, first_open: float | None
) -> tuple[np.ndarray, ...]:
    """Open, high, low, close, (M,) each, after a close of `before`."""
    gaps = 0.1 * sigma * rng.standard_normal(count)
    inside = sigma * rng.standard_normal(count)
    jump = JUMP if rng.random() < 0.5 else -JUMP
    if first_open is None:
        gaps[0] += jump
    else:
        gaps[0] = math.log(first_open / before)
        inside[0] += jump
    path = math.log(before) + np.cumsum(gaps + inside)
    open_, close = np.exp(path - inside), np.exp(path)
    if first_open is not None:
        open_[0] = first_open
    reach = np.exp(0.5 * sigma * np.abs(rng.standard_normal((2, count))))
    return open_, np.maximum(open_, close) * reach[0], np.minimum(open_, close) / reach[1], close
