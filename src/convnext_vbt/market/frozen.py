"""Stretches in which nothing traded: reported, never changed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnext_vbt.market.bars import FIELDS, Bars

FEWEST = 6
"""Bars in a row that make a stretch: fewer are a quiet hour of a small market."""


def find_frozen(bars: Bars) -> pd.DataFrame:
    """Six bars and more in a row without a trade: columns symbol, start, end, bars; longest first.

    A bar without a trade has volume 0, or one price only, which is the close before, or it is the
    bar before once more, value by value: a feed that is stuck. `start` and `end` are the open times
    of the first and the last of them. A symbol that has no volume anywhere is judged by its prices
    alone. Few orders could have been filled there as simulated.
    """
    found = pd.concat([_of_symbol(bars, n) for n in range(len(bars.symbols))])
    return found.sort_values(["bars", "start"], ascending=[False, True], ignore_index=True)


def _of_symbol(bars: Bars, n: int) -> pd.DataFrame:
    here = bars.present[:, n]
    values = np.stack([getattr(bars, name)[here, n] for name in FIELDS])
    _, high, low, close, volume = values
    before = np.column_stack([np.full(len(values), np.nan), values[:, :-1]])
    again = (values == before) | np.isnan(volume) & (np.arange(len(FIELDS)) == 4)[:, None]
    still = (high == low) & (close == before[3]) | again.all(axis=0)
    if (volume > 0).any():
        still |= volume == 0
    starts, stops = np.flatnonzero(np.diff(still, prepend=False, append=False)).reshape(-1, 2).T
    long = stops - starts >= FEWEST
    index, starts, stops = bars.index[here], starts[long], stops[long]
    return pd.DataFrame(
        {
            "symbol": pd.Series(bars.symbols[n], index=range(len(starts)), dtype="object"),
            "start": index[starts],
            "end": index[stops - 1],
            "bars": stops - starts,
        }
    )
