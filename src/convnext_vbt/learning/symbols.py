"""Walking the symbols of a panel, each over its own present bars.

Dimensions: T bars, N symbols, M bars that one symbol has.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

from convnext_vbt.market.bars import Bars


def present_bars(bars: Bars, n: int) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Symbol n's rows, int64 (M,), and its open, high, low, close, volume there, float64 (M,).

    The five are contiguous and read-only, so that a kernel compiles once for every panel.
    """
    fields = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    rows = np.flatnonzero(~np.isnan(bars.close[:, n]))
    if is_range(rows):  # quicker to copy
        whole = slice(rows[0], rows[-1] + 1)
        picked = tuple(np.ascontiguousarray(field[whole, n]) for field in fields)
    else:
        picked = tuple(field[:, n][rows] for field in fields)
    for values in picked:
        values.flags.writeable = False
    return rows, picked


def is_range(rows: np.ndarray) -> bool:
    """Whether these, ascending, are rows without a gap, and any at all."""
    return len(rows) > 0 and bool(rows[-1] - rows[0] == len(rows) - 1)


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
