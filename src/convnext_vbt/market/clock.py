"""Whose clock a file's times are on, and whether they stand for a bar's open or its close.

Either the file says so, or the user does (`Clock`), or it is known of the vendor whose form the
file has, or it is assumed: UTC, open. `Settled` is what came of it, and tells it in one line.
"""

from __future__ import annotations

import datetime
import difflib
import re
import zoneinfo
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import modal_step

Stamp = Literal["open", "close"]

BROKER = "America/New_York+7h"
"""The server clock of most brokers: it is midnight there at 17:00 in New York."""
_AHEAD = re.compile(r"^(?P<zone>[A-Za-z]+/.+)(?P<hours>[+-]\d{1,2})h$")
_FIXED = re.compile(r"^(?:UTC|GMT)?(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>[0-5]\d))?$")
_DAY = pd.Timedelta(days=1)
_SECOND, _MINUTE = 10**9, 60 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What the user says of a source's times; None leaves it to the file.

    Raises `ValueError` for a zone that is unknown and a stamp that is neither open nor close.
    """

    timezone: str | None = None
    """A place ("America/New_York"), "UTC", an offset ("+03:00"), or a place and hours ahead of it
    ("America/New_York+7h", the clock of most MetaTrader servers)."""
    stamp: Stamp | None = None
    """Whether a time is when its bar opens or when it closes."""

    def __post_init__(self) -> None:
        if self.timezone is not None:
            zone_of(self.timezone)
        if self.stamp not in (None, *get_args(Stamp)):
            raise InputError(f'stamp must be "open" or "close", got {self.stamp!r}')


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The clock and stamp that a file is read with, and who says so."""

    timezone: str
    stamp: Stamp
    zone_by: str
    stamp_by: str

    def __str__(self) -> str:
        by = (
            f"({self.zone_by})"
            if self.zone_by == self.stamp_by
            else f"(clock {self.zone_by}, stamp {self.stamp_by})"
        )
        return f"times: {self.timezone}, stamped at the bar's {self.stamp} {by}"


ASSUMED, BY_FILE, BY_USER = "assumed", "said by the file", "said by the user"
TOLD = Settled(timezone="UTC", stamp="open", zone_by=BY_FILE, stamp_by=BY_FILE)
"""What a source of our own says."""


def remedy(timezone: str | None = None, stamp: Stamp | None = None) -> str:
    """The lines of a strategy file that say it."""
    said = {"timezone": timezone, "stamp": stamp}
    lines = [f'data.{key} = "{value}"' for key, value in said.items() if value is not None]
    return " and ".join(lines)


_NO_PLACES = {"localtime", "posixrules", "Factory"}
"""What they mean depends on the machine."""


def zone_of(name: str) -> tuple[datetime.tzinfo, pd.Timedelta]:
    """A time zone by its name, and how far ahead of it the clock is.

    >>> zone_of("America/New_York+7h")
    (zoneinfo.ZoneInfo(key='America/New_York'), Timedelta('0 days 07:00:00'))
    """
    if found := _FIXED.match(name.strip()):
        minutes = int(found["hours"]) * 60 + int(found["minutes"] or 0)
        away = datetime.timedelta(minutes=minutes if found["sign"] == "+" else -minutes)
        if abs(away) < datetime.timedelta(hours=24):
            return datetime.timezone(away), pd.Timedelta(0)
    ahead = _AHEAD.match(name.strip())
    place = ahead["zone"] if ahead else name.strip()
    known = sorted(zoneinfo.available_timezones() - _NO_PLACES)
    try:
        if place in _NO_PLACES:
            raise KeyError(place)
        zone = zoneinfo.ZoneInfo(place)
    except (KeyError, ValueError, OSError):
        close = difflib.get_close_matches(place, known, n=1)
        hint = f", did you mean {close[0]!r}?" if close else ""
        raise InputError(
            f"unknown time zone {name!r}{hint}; write a place such as America/New_York, UTC, or an "
            "offset such as +03:00"
        ) from None
    return zone, pd.Timedelta(hours=int(ahead["hours"]) if ahead else 0)


def utc_of(local: pd.DatetimeIndex, timezone: str) -> pd.DatetimeIndex:
    """Times on a zone's clock in UTC, in their order; NaT where the clock cannot tell.

    An hour that clocks repeat is told by the order of the rows, where both of its passes are there.
    """
    zone, ahead = zone_of(timezone)
    clock = local - ahead
    first, second = (
        clock.tz_localize(zone, ambiguous=np.full(len(clock), summer), nonexistent="NaT")
        for summer in (True, False)
    )
    doubtful = np.flatnonzero(np.asarray(first != second) & ~np.asarray(first.isna()))
    out = np.array(first.tz_convert("UTC").tz_localize(None).as_unit("ns"))
    later = np.array(second.tz_convert("UTC").tz_localize(None).as_unit("ns"))
    falling = len(clock) > 1 and clock[0] > clock[-1]
    for run in np.split(doubtful, np.flatnonzero(np.diff(doubtful) > 1) + 1):
        if not len(run):
            continue
        run = run[::-1] if falling else run
        back = np.flatnonzero(np.diff(clock.asi8[run]) <= 0)
        if len(back) == 1:
            again = run[back[0] + 1 :]
            out[again] = later[again]
        else:
            out[run] = np.datetime64("NaT")
    return pd.DatetimeIndex(out, tz="UTC")


def opens_of(closes: pd.DatetimeIndex, timezone: str, *, dates: bool) -> pd.DatetimeIndex:
    """When the bars open that close at these times (UTC, increasing).

    Bars of less than a day last one step, or since the bar before where that is less: the last
    half hour of a session. Longer ones begin on the calendar of `timezone`: with the day where
    there are weekends, else one step before. `dates` are days of their own: they close with them.
    """
    late = closes.asi8 % _MINUTE >= _MINUTE - _SECOND
    closes = closes.where(~late, closes.ceil("min"))  # 10:59:59.999 is 11:00
    step = modal_step(closes)
    if step < _DAY:
        before = np.append(step.value, np.diff(closes.as_unit("ns").asi8))
        return pd.DatetimeIndex(closes - pd.to_timedelta(np.minimum(before, step.value)))
    zone, ahead = zone_of(timezone)
    ends = closes.tz_convert(zone).tz_localize(None) + ahead
    ends = ends + _DAY if dates else ends
    starts = _starts(ends, step) - ahead
    return pd.DatetimeIndex(
        starts.tz_localize(zone, ambiguous=np.ones(len(starts), bool), nonexistent="shift_forward")
        .tz_convert("UTC")
        .as_unit("ns")
    )


def _starts(ends: pd.DatetimeIndex, step: pd.Timedelta) -> pd.DatetimeIndex:
    """The beginning of days, weeks and longer periods that end then, on the same clock."""
    last = ends - pd.Timedelta(1, unit="ns")
    for days, period in ((360, "Y"), (88, "Q"), (28, "M")):
        if step >= days * _DAY:
            return last.to_period(period).start_time
    weekday = last.day_of_week
    if step == 7 * _DAY and (weekday >= 4).all():  # Friday's close ends the week from Monday on
        return last.to_period("W").start_time
    if step == _DAY and (weekday < 5).all():
        return last.normalize()
    return ends - step
