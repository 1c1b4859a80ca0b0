"""When a position's time is up, by the order kernel's clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnext_vbt.errors import DataError
from convnext_vbt.live.account import Holding
from convnext_vbt.live.said import row_at
from convnext_vbt.live.trained import Trained
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.gaps import bar_clock
from convnext_vbt.trading.codes import ENTER_LONG, ENTER_SHORT, LEAVE


@dataclass(frozen=True, slots=True)
class Due:
    """When the time of a held position is up, by the kernel's clock."""

    held: int | None = None
    """Bars of its symbol since the fill, that one included; None where it is not known."""
    before: tuple[int, ...] = ()
    """Rows at whose close it was decided whether it stays, its time up at the open after."""
    now: bool = False
    """Whether its time is up at the next open."""


def due_of(held: Holding, bars: Bars, n: int, limit: int | None) -> Due:
    """Of a position in symbol n that ends after `limit` bars unless its side is signalled."""
    if held.side == 0 or held.entered is None or held.entered < bars.index[0]:
        return Due()
    own = np.flatnonzero(bars.present[:, n])
    entry = int(np.searchsorted(own, row_of(bars, n, held.entered)))
    if limit is None or entry == len(own):
        return Due(held=len(own) - entry)
    clock = bar_clock(bars)[own, n]
    clock, before, since = np.append(clock, clock[-1] + 1), [], clock[entry]
    for k in range(entry + 1, len(clock)):
        if clock[k] - since >= limit:  # it stays where its side is signalled, and time runs anew
            before.append(int(own[k - 1]))
            since = clock[k]
    now = bool(before) and before[-1] == own[-1]
    return Due(held=len(own) - entry, before=tuple(before[:-1] if now else before), now=now)


def overdue_since(
    trained: Trained, bars: Bars, n: int, side: int, rows: tuple[int, ...]
) -> pd.Timestamp | None:
    """The first of these rows, at each of which the time was up, that did not signal the side.

    None where there is none, and where what was signalled then can no longer be told.
    """
    for row in rows:
        try:
            code = int(row_at(trained, bars.rows(0, row + 1), n).codes[n])
        except DataError:
            return None
        if side_signalled(code) != side:
            return pd.Timestamp(bars.index[row])
    return None


def row_of(bars: Bars, n: int, time: pd.Timestamp) -> int:
    """The row of the symbol's bar that a fill lies in, or its first after it; T for none."""
    own = np.flatnonzero(bars.present[:, n])
    k = int(bars.index[own].searchsorted(time, side="right")) - 1
    within = k >= 0 and time < bars.index[own[k]] + bars.step
    return int(np.append(own, len(bars))[k if within else k + 1])


def side_signalled(code: int) -> int:
    """1 or -1 where an entry is signalled that may be made, else 0."""
    if code & LEAVE:
        return 0
    return 1 if code & ENTER_LONG else -1 if code & ENTER_SHORT else 0
