"""Walking the symbols of a panel, each over its own present bars.

Dimensions: T bars, N symbols, M bars that one symbol has.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

from convnext_vbt.market.bars import Bars

Rows = slice | np.ndarray
"""Rows of a panel: a range where none is left out, which is quicker, else int64 (M,), ascending."""


def present_rows(bars: Bars, n: int) -> Rows:
    """The rows in which symbol n has a bar."""
    missing = np.isnan(bars.close[:, n])
    first = int(missing.argmin())
    last = first + len(missing) - np.count_nonzero(missing)
    return np.flatnonzero(~missing) if missing[first:last].any() else slice(first, last)


def fields_at(bars: Bars, n: int, rows: Rows) -> tuple[np.ndarray, ...]:
    """Symbol n's open, high, low, close and volume in these rows, float64 (M,).

    They are contiguous and read-only, so that a kernel compiles once for every panel.
    """
    fields = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    picked = tuple(np.ascontiguousarray(field[:, n][rows]) for field in fields)
    for values in picked:
        values.flags.writeable = False
    return picked


def each_symbol(work: Callable[[int], None], num_symbols: int) -> None:
    """Call work(n) for every symbol, on as many threads as numba is set to use.

    Kernels release the GIL. Plain threads, not `prange`: numba's thread pools survive neither a
    fork nor (its own "workqueue") being called from two threads.
    """
    threads = min(numba.get_num_threads(), num_symbols)
    if threads == 1:
        for n in range(num_symbols):
            work(n)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(num_symbols)))
