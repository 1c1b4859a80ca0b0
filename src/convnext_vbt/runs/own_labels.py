"""Labels of the user's own, `labels.file`: a class a bar, and the bar by which it is known.

Dimensions: T bars, N symbols.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError, UserCodeError
from convnext_vbt.evidence.audit.garbage import garbage_after
from convnext_vbt.learning.labels import NO_LABEL, Labels
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import STAY
from convnext_vbt.user_code import load_function

NUM_CUTS = 8
_WORDS = {"DOWN": -1.0, "STAY": 0.0, "UP": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLabels:
    """The user's function and the most bars that its labels look ahead."""

    reference: str
    """ "mine.py:label"."""
    horizon: int
    """Counted in the symbol's own bars; `labels.horizon`."""

    def __call__(self, bars: Bars) -> Labels:
        """The labels of these bars.

        The function gives (classes, ends): -1, 0, 1 or DOWN, STAY, UP, NaN for no label, for each
        bar and symbol; and the bar's number at whose close each is known, or one number of bars
        from its own for all. A bar without a label has the end that it was given, or `horizon`.

        Raises `UserCodeError` for anything else, and for an end beyond `horizon`.
        """
        given = load_function(self.reference)(bars)
        if not isinstance(given, tuple) or len(given) != 2:
            raise self._error(
                f"it gave {type(given).__name__}; give two things, the classes and the bars by "
                "which they are known"
            )
        values_TN = self._classes(given[0], bars)
        if isinstance(given[1], numbers.Integral):
            end_TN = self._ahead(int(given[1]), values_TN, bars)
        else:
            end_TN = self._ends(given[1], values_TN, bars)
        self._refuse_late(values_TN, end_TN, bars)
        try:
            return Labels(values=values_TN, end=end_TN, opens=bars.index)
        except InputError as error:
            raise self._error(str(error)) from error

    def _classes(self, given: Any, bars: Bars) -> np.ndarray:
        """The classes as `Labels` have them, int8 (T, N)."""
        table = table_of(self.reference, given, bars, "the classes")
        if table.dtype == object:
            table = pd.DataFrame(table).replace(_WORDS).to_numpy()
        try:
            numbers_TN = table.astype(np.float64)
        except (TypeError, ValueError):
            raise self._error("the classes are neither numbers nor DOWN, STAY, UP") from None
        known = ~np.isnan(numbers_TN)
        odd = known & ~np.isin(numbers_TN, (-1.0, 0.0, 1.0))
        if odd.any():
            raise self._error(
                f"a class is {numbers_TN[odd][0]:g} ({int(odd.sum())} such); give -1 (DOWN), 0 "
                "(STAY), 1 (UP), or NaN for no label"
            )
        absent = known & ~bars.present
        if absent.any():
            t, n = (int(i) for i in np.argwhere(absent)[0])
            raise self._error(f"{bars.symbols[n]} has a label at {bars.index[t]} but no bar there")
        return np.where(known, np.nan_to_num(numbers_TN) + STAY, NO_LABEL).astype(np.int8)

    def _ahead(self, count: int, values_TN: np.ndarray, bars: Bars) -> np.ndarray:
        """The end so many of the symbol's bars later, int64 (T, N); never past its last one."""
        if count < 0:
            raise self._error(f"labels known {count} bars later; give 0 or more")
        last = len(bars) - 1
        end_TN = np.repeat(np.minimum(np.arange(len(bars)) + count, last)[:, None],
                           len(bars.symbols), axis=1)  # fmt: skip
        for n in range(len(bars.symbols)):
            rows = np.flatnonzero(bars.present[:, n])
            later = np.minimum(np.arange(len(rows)) + count, len(rows) - 1)
            end_TN[rows, n] = rows[later]
            early = rows[: len(rows) - count]
            labelled = np.flatnonzero(values_TN[:, n] != NO_LABEL)
            beyond = np.setdiff1d(labelled, early)
            if len(beyond):
                raise self._error(
                    f"{bars.symbols[n]} has a label at {bars.index[beyond[0]]}, which is known "
                    f"{count} bars later, where there is none; give NaN there"
                )
        return end_TN

    def _ends(self, given: Any, values_TN: np.ndarray, bars: Bars) -> np.ndarray:
        """The ends that were given, int64 (T, N), and `horizon` bars on where there are none."""
        table = table_of(self.reference, given, bars, "the ends")
        try:
            ends_TN = table.astype(np.float64)
        except (TypeError, ValueError):
            raise self._error("the ends are no numbers of bars") from None
        told = np.isfinite(ends_TN)
        lacking = (values_TN != NO_LABEL) & ~(told & (ends_TN == np.round(ends_TN)))
        if lacking.any():
            t, n = (int(i) for i in np.argwhere(lacking)[0])
            raise self._error(
                f"the label of {bars.symbols[n]} at {bars.index[t]} is known by bar "
                f"{ends_TN[t, n]}; give the number of a bar, counted from 0"
            )
        own = np.minimum(np.arange(len(bars)) + self.horizon, len(bars) - 1)[:, None]
        return np.where(told, np.nan_to_num(ends_TN), own).astype(np.int64)

    def _refuse_late(self, values_TN: np.ndarray, end_TN: np.ndarray, bars: Bars) -> None:
        """No label may be known later than `horizon` of the symbol's bars."""
        count_TN = np.cumsum(bars.present, axis=0)
        inside = np.clip(end_TN, 0, len(bars) - 1)
        ahead = np.take_along_axis(count_TN, inside, axis=0) - count_TN
        late = (values_TN != NO_LABEL) & (ahead > self.horizon)
        if late.any():
            t, n = (int(i) for i in np.argwhere(late)[0])
            raise self._error(
                f"the label of {bars.symbols[n]} at {bars.index[t]} is known {int(ahead[t, n])} "
                f"bars later, beyond labels.horizon = {self.horizon}; set labels.horizon = "
                f"{int(ahead[late].max())}"
            )

    def _error(self, what: str) -> UserCodeError:
        return UserCodeError(f"{self.reference}: {what}")


def table_of(reference: str, given: Any, bars: Bars, what: str) -> np.ndarray:
    """What a user's function gave for each bar and symbol, as an array (T, N)."""
    table, said = np.asarray(given), ""
    table = table[:, None] if table.ndim == 1 else table
    if isinstance(given, pd.Series | pd.DataFrame) and not given.index.equals(bars.index):
        said = "have another index than the bars"
    elif isinstance(given, pd.DataFrame) and tuple(given.columns) != bars.symbols:
        said = f"have the columns {list(given.columns)}, not the symbols"
    elif table.shape != bars.close.shape:
        said = f"have the shape {table.shape}; give {bars.close.shape}, (bars, symbols)"
    if said:
        raise UserCodeError(f"{reference}: {what} {said}")
    return table


def refuse_foresight(own: OwnLabels, bars: Bars, labels: Labels) -> None:
    """Raise `UserCodeError` where a label changes with bars after the one by which it is known.

    At some bars all that follows is replaced by another market, then cut off: what is known by then
    must stay as it is, or the purge would let test ranges into training.
    """
    for cut in np.linspace(0, len(bars) - 2, NUM_CUTS + 2).astype(int)[1:-1]:
        when = bars.index[cut]
        for why, future in (
            (f"where another market follows {when}", garbage_after(bars, int(cut))),
            (f"where the bars end with {when}", bars.rows(0, int(cut) + 1)),
        ):
            try:
                other = own(future)
            except UserCodeError as error:
                raise UserCodeError(f"{why}: {error}") from error
            _compare(own, bars, labels, other, int(cut))


def _compare(own: OwnLabels, bars: Bars, labels: Labels, other: Labels, cut: int) -> None:
    known = np.zeros((cut + 1, len(bars.symbols)), dtype=bool)
    pairs = [(one.values[: cut + 1], one.end[: cut + 1]) for one in (labels, other)]
    for values, end in pairs:
        known |= (values != NO_LABEL) & (end <= cut)
    (values, end), (values_2, end_2) = pairs
    changed = known & ((values != values_2) | (end != end_2))
    if not changed.any():
        return
    t, n = (int(i) for i in np.argwhere(changed)[0])
    said = end[t, n] if values[t, n] != NO_LABEL and end[t, n] <= cut else end_2[t, n]
    raise UserCodeError(
        f"{own.reference}: the label of {bars.symbols[n]} at {bars.index[t]} is said to be known "
        f"by {bars.index[int(said)]}, but it changes with bars after {bars.index[cut]} "
        f"({int(changed.sum())} such); give the bar by which it is really known"
    )
