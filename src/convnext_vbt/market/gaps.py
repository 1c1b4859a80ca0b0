"""Bars that should be there and are not: found and reported, never filled."""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnext_vbt.market.bars import ALWAYS_OPEN, Bars


def find_gaps(bars: Bars) -> pd.DataFrame:
    """The gaps of each symbol: columns symbol, start, end, missing.

    `start` and `end` are the open times of the first and the last missing bar, `missing` their
    number. Between a symbol's first and last bar a market that is open around the clock should
    have a bar every `bars.step`. A market with sessions (`bars.days_per_year` 252) has nights,
    weekends and holidays instead, so nothing there is called a gap.
    """
    tables = [_symbol_gaps(bars, n) for n in range(len(bars.symbols))]
    return pd.concat(tables, ignore_index=True)


def _symbol_gaps(bars: Bars, n: int) -> pd.DataFrame:
    index = bars.index[bars.present[:, n]]
    distance = np.diff(index.asi8)
    before = np.flatnonzero(distance > bars.step.value)
    if bars.days_per_year != ALWAYS_OPEN:
        before = before[:0]
    # A stamp off the grid (12:00, 13:00, 14:30) leaves part of a step, which is no missing bar.
    missing = distance[before] // bars.step.value - 1
    before, missing = before[missing > 0], missing[missing > 0]
    start = index[before] + bars.step
    return pd.DataFrame(
        {
            "symbol": pd.Series(bars.symbols[n], index=range(len(before)), dtype="object"),
            "start": start,
            "end": start + (missing - 1) * bars.step,
            "missing": missing,
        }
    )
