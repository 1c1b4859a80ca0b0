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
