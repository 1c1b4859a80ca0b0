"""Rows of the stationary bootstrap (Politis and Romano 1994), many draws at once."""

from __future__ import annotations

import numpy as np
from numba import njit


def stationary_rows(
    generator: np.random.Generator, num_draws: int, num_rows: int, *, mean_block: float
) -> np.ndarray:
    """Rows that each draw takes, int64 (num_draws, num_rows), from blocks that wrap around.

    Those of `arch.bootstrap.StationaryBootstrap` with the same generator, bit for bit; arch gives
    one draw at a time, which takes several times as long. The generator goes on where it stopped.
    """
    rows = np.empty((num_draws, num_rows), dtype=np.int64)
    draw_nb(generator, 1.0 / mean_block, rows)
    return rows


@njit(cache=True)
def draw_nb(generator: np.random.Generator, restart: float, rows: np.ndarray) -> None:
    """Fill `rows` (draws, T); a new block begins at each row with probability `restart`."""
    length = rows.shape[1]
    for draw in range(len(rows)):
        begin: np.ndarray = generator.integers(0, length, size=(length,))
        luck: np.ndarray = generator.random((length,))
        rows[draw, 0] = begin[0]
        for i in range(1, length):
            if luck[i] > restart:
                rows[draw, i] = (rows[draw, i - 1] + 1) % length
            else:
                rows[draw, i] = begin[i]
