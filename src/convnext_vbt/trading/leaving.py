"""Rows at whose open a position must be left: a time of day, or the last bar of a session.

Dimensions: T bars, N symbols, D sessions of one symbol.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.calendar import DAY
from convnext_vbt.market.clock import zone_of

SESSION_END = "session end"
SESSIONS = 5
"""Sessions before, whose usual last bar is taken for this one's."""
_CLOCK = re.compile(r"^(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)$")


@dataclass(frozen=True, slots=True)
class Leaving:
    """What a `leave_at` says."""

    at: pd.Timedelta | None
    """Local time of day; None: the session's last bar."""
    zone: datetime.tzinfo
    ahead: pd.Timedelta
    """How far ahead of the zone the clock is."""

    def local(self, index: pd.DatetimeIndex) -> np.ndarray:
        """The times on that clock, int64 nanoseconds as if it were UTC."""
        clock = index.tz_convert(self.zone).tz_localize(None) + self.ahead
        return np.asarray(clock.as_unit("ns").asi8)


def read_leave_at(text: str) -> Leaving:
    """A `leave_at` as it is written; the zone is UTC where none is named.

    Raises `ValueError` for another form, or a zone that is unknown.

    >>> read_leave_at("15:55 America/New_York").at
    Timedelta('0 days 15:55:00')
    """
    words = " ".join(text.split()) if isinstance(text, str) else ""
    if words == SESSION_END or words.startswith(f"{SESSION_END} "):
        zone, ahead = zone_of(words.removeprefix(SESSION_END).strip() or "UTC")
        return Leaving(None, zone, ahead)
    time, _, place = words.partition(" ")
    found = _CLOCK.match(time)
    if found is None:
        raise InputError(
            f'leave_at must be a time of day or the session\'s end, got {text!r}; write "15:55", '
            f'"15:55 America/New_York" or "{SESSION_END}"'
        )
    zone, ahead = zone_of(place or "UTC")
    at = pd.Timedelta(hours=int(found["hour"]), minutes=int(found["minute"]))
    return Leaving(at, zone, ahead)


def leave_rows(bars: Bars, leave_at: str) -> np.ndarray:
    """Rows at whose open a position must be left and none entered, bool (T, N).

    By the clock: from that local time on until the local day ends, whoever has a bar then. By the
    session, which is a local day: bars that open at or after the usual time of the last bar, the
    lower median of the symbol's last five sessions. Only earlier sessions are asked, so the first
    one has no such row, and what comes later changes no row.

    Raises `ValueError` for bars of a day and longer, and where a market never closes.
    """
    leaving = read_leave_at(leave_at)
    if bars.step >= DAY:
        raise InputError(f"leave_at = {leave_at!r} needs bars of less than a day; leave it out")
    local = leaving.local(bars.index)
    if leaving.at is not None:
        late = local % DAY.value >= leaving.at.value
        return np.repeat(late[:, None], len(bars.symbols), axis=1)
    always = [
        symbol for symbol, closes in zip(bars.symbols, bars.closes, strict=True) if not closes
    ]
    if always:
        raise InputError(
            f"leave_at = {leave_at!r}, but the market of {', '.join(always)} never closes; write a "
            'time of day, such as "15:55"'
        )
    rows = np.zeros((len(bars), len(bars.symbols)), dtype=bool)
    for own, here in zip(rows.T, bars.present.T, strict=True):
        own[here] = _is_last(local[here])
    return rows


def _is_last(times: np.ndarray) -> np.ndarray:
    """Whether bars that open then are due to be the last of their day; local nanoseconds."""
    days = times // DAY.value
    ends = np.append(np.flatnonzero(np.diff(days)), len(times) - 1)
    due_D = _medians_before((times[ends] % DAY.value).astype(np.float64))
    session = np.searchsorted(days[ends], days)
    late: np.ndarray = times % DAY.value >= due_D[session]  # NaN: never
    return late


def _medians_before(values_D: np.ndarray) -> np.ndarray:
    """The lower median of the five values before each one, or of as many as there are."""
    before = np.concatenate([np.full(SESSIONS, np.nan), values_D[:-1]])
    window = np.sort(np.lib.stride_tricks.sliding_window_view(before, SESSIONS), axis=1)
    count = np.minimum(np.arange(len(values_D)), SESSIONS)  # NaN is sorted to the end
    medians: np.ndarray = window[np.arange(len(values_D)), np.maximum(count - 1, 0) // 2]
    return medians


def leave_rows_after(bars: Bars, leave_at: str) -> np.ndarray:
    """Whether the open after the last of these bars is one of `leave_rows`, bool (N,).

    That is a step later, or after the usual last bar of a session the next one's first.
    """
    leaving, late = read_leave_at(leave_at), np.zeros(len(bars.symbols), dtype=bool)
    after = leaving.local(bars.index[-1:] + bars.step)
    for n, closes in enumerate(bars.closes):
        own = leaving.local(bars.index[bars.present[:, n]])
        if closes and _is_last(own)[-1]:
            continue
        if leaving.at is None:
            late[n] = _is_last(np.append(own, after))[-1]
        else:
            late[n] = after[0] % DAY.value >= leaving.at.value
    return late
