"""Funding rates beside the bars: what can be one, and at which bar each is due.

Dimensions: T bars, N symbols.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError

MOST_FUNDING = 0.1
"""A rate per bar beyond this is surely meant in percent."""


def checked_funding(
    rates: np.ndarray, present_TN: np.ndarray, symbols: Sequence[str], index: pd.DatetimeIndex
) -> np.ndarray:
    """The rates, C-ordered and read-only, each at a bar of its symbol.

    Raises `ValueError` for what cannot be one.
    """
    values = np.array(rates, dtype=np.float64, order="C")
    if values.shape != present_TN.shape:
        raise InputError(
            f"funding must have shape {present_TN.shape} (bars, symbols), got {values.shape}"
        )
    wrong = np.abs(values) >= MOST_FUNDING
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"{symbols[column]}, row {row} ({index[row]}), funding: a rate per bar must "
            f"lie within {MOST_FUNDING:g} of 0, got {values[row, column]:g}; it is a fraction of "
            f"the notional, 0.0001 for 0.01 %; {int(wrong.sum())} such value(s) in all"
        )
    _move_to_bars(values, present_TN)
    values.flags.writeable = False
    return values


def _move_to_bars(rates_TN: np.ndarray, present_TN: np.ndarray) -> None:
    """Add each rate at a missing row to that of the symbol's next bar, where there is one."""
    owed_TN = ~present_TN & (np.nan_to_num(rates_TN) != 0)
    for n in np.flatnonzero(owed_TN.any(axis=0)):
        rows, owed = np.flatnonzero(present_TN[:, n]), np.flatnonzero(owed_TN[:, n])
        place = rows.searchsorted(owed)
        later = place < len(rows)
        due = rows[place[later]]
        rates_TN[due, n] = np.nan_to_num(rates_TN[due, n])
        np.add.at(rates_TN[:, n], due, rates_TN[owed[later], n])
        rates_TN[owed, n] = np.nan
