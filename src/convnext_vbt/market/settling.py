"""Which clock and stamp a file is read with: the user's word, the file's, the vendor's, or UTC."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.market.clock import (
    ASSUMED,
    BY_FILE,
    BY_USER,
    Clock,
    Settled,
    Stamp,
    opens_of,
    remedy,
    utc_of,
    zone_of,
)
from convnext_vbt.market.passes import usual_distance
from convnext_vbt.market.tables import Findings, Table
from convnext_vbt.market.timestamps import Times
from convnext_vbt.market.vendors import Vendor

_HOUR = pd.Timedelta(hours=1)
_BELL, _CLOSE = pd.Timedelta(hours=9.5), pd.Timedelta(hours=16)
_DAY = pd.Timedelta(days=1)
_FEWEST_DAYS = 3
_LOCAL = re.compile(r"local|eastern|\(es?t|exchange time", re.IGNORECASE)


def settle(table: Table, times: Times, said: Clock, findings: Findings) -> Settled:
    """The clock and the stamp of a file's times, and who says so.

    Raises `ValueError`, with the lines that mend it, where the form of the file is one of another
    clock than UTC and only the user can know which.
    """
    timezone, zone_by = _zone(table, times, said)
    stamp, stamp_by = _stamp(table.layout.vendor, times, said)
    if zone_by == ASSUMED and not times.dates:
        findings.change(
            len(table.lines),
            "times without an offset taken as UTC, and as when bars open: say whose clock it is "
            f"with {remedy('UTC')} or another zone",
        )
    return Settled(timezone=timezone, stamp=stamp, zone_by=zone_by, stamp_by=stamp_by)


def _zone(table: Table, times: Times, said: Clock) -> tuple[str, str]:
    vendor = table.layout.vendor
    if not times.naive:
        if said.timezone is not None and not _is_utc(said.timezone):
            raise InputError(
                f"the times of this file say their zone themselves, and {remedy(said.timezone)} "
                f"is another; delete that key, or write {remedy('UTC')}"
            )
        return "UTC", BY_FILE
    if said.timezone is not None:
        _refuse_half(table, vendor, said)
        return said.timezone, BY_USER
    if times.dates:
        return "UTC", ASSUMED
    if vendor is not None and vendor.timezone is not None:
        if vendor.certain:
            return vendor.timezone, f"known of {vendor.name}"
        _refuse_vendor(table, times, vendor)
    name = table.layout.names[times.columns[0]]
    if _LOCAL.search(name):
        raise InputError(
            f"the column {name} holds local times without an offset; write "
            f"{remedy('America/New_York')}, or wherever the clock is"
        )
    return "UTC", ASSUMED


def _refuse_half(table: Table, vendor: Vendor | None, said: Clock) -> None:
    """A form that two vendors write with another stamp needs both to be said."""
    if vendor is not None and vendor.other and vendor.other[2] != vendor.stamp and not said.stamp:
        _refuse_vendor(table, None, vendor)


def _refuse_vendor(table: Table, times: Times | None, vendor: Vendor) -> None:
    """Say whose form it is and what the lines are that mend it."""
    place = table.layout.times[0] if times is None else times.columns[0]
    value = table.columns[place][0].as_py()
    stamped = vendor.stamp if vendor.stamp == "close" or vendor.other else None
    who = f"{vendor.name}'s form"
    ways = remedy(vendor.timezone, vendor.stamp if vendor.other else None)
    if vendor.other:
        name, zone, stamp = vendor.other
        ways = f"{ways} for {vendor.name}'s, {remedy(zone, stamp)} for {name}'s"
        who = f"the form of {vendor.name} and {name}"
    else:
        ways += " where that is so, else the zone that is right"
        who += ", which stamps bars by their close" if stamped else ""
    raise InputError(
        f"{table.word} {table.lines[0]}, {table.layout.names[place]}: {value!r} has no offset, and "
        f"is not known to be UTC: this is {who}, whose times are on {vendor.suspect}; write {ways} "
        "(check: --timezone and --stamp; load_bars: timezone= and stamp=)"
    )


def _stamp(vendor: Vendor | None, times: Times, said: Clock) -> tuple[Stamp, str]:
    if said.stamp is not None:
        return said.stamp, BY_USER
    if times.stamp is not None:
        return times.stamp, BY_FILE
    if vendor is not None and vendor.stamp is not None:
        return vendor.stamp, f"known of {vendor.name}"
    return "open", ASSUMED


def _is_utc(timezone: str) -> bool:
    zone, ahead = zone_of(timezone)
    return not ahead and str(zone) in ("UTC", "GMT", "Etc/UTC", "Etc/GMT", "UTC+00:00")


def in_utc(rows: pd.DataFrame, settled: Settled, word: str, findings: Findings) -> pd.DataFrame:
    """Rows whose times are in UTC, from the clock that they were on."""
    if settled.timezone == "UTC":
        return rows
    local = pd.DatetimeIndex(rows["time"].to_numpy().view("M8[ns]"))
    utc = utc_of(local, settled.timezone)
    if utc.isna().any():
        unknown = np.asarray(utc.isna())
        row = int(unknown.argmax())
        raise InputError(
            f"{word} {rows.index[row]}: {local[row]} is skipped or repeated by the clocks "
            f"of {settled.timezone}; {unknown.sum():,} such time(s) in all: say the clock that the "
            f"file is on, as in {remedy('UTC')}, or write the offset in every row"
        )
    if settled.zone_by != BY_USER:
        findings.change(len(rows), f"times on the clock of {settled.timezone} converted to UTC")
    return rows.assign(time=utc.as_unit("ns").asi8)


def refuse_close_stamps(rows: pd.DataFrame, settled: Settled, word: str) -> None:
    """Days that begin a bar after 09:30 in New York and end at 16:00 are stamped by the close."""
    if settled.stamp_by != ASSUMED:
        return
    times = rows["time"].to_numpy()
    step = pd.Timedelta(usual_distance(times), unit="ns") if len(times) > 1 else _HOUR
    if step > _HOUR:
        return
    start, end = _in_new_york(times[[0, -1]])
    midnights = pd.date_range(start.normalize(), end + _DAY, normalize=True).as_unit("ns")
    edges = np.searchsorted(times, midnights.asi8)
    filled = np.flatnonzero(np.diff(edges))
    around = (times[edges[filled]], times[edges[filled + 1] - 1])
    clocks = (_in_new_york(moments).tz_localize(None) for moments in around)
    first, last = (pd.Series(clock - clock.normalize()) for clock in clocks)
    ends = (first > _BELL) & (first <= _BELL + step) & (last == _CLOSE)
    if len(ends) >= _FEWEST_DAYS and ends.mean() > 0.5:
        raise InputError(
            f"{word} {rows.index[0]}: days begin at {str(first.mode().iloc[0])[-8:-3]} and "
            "end at 16:00 in New York, where trading lasts from 09:30 on, so bars are stamped "
            f"by their close; write {remedy(stamp='close')}, or {remedy(stamp='open')} if "
            "these are opens all the same"
        )


def _in_new_york(times: np.ndarray) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(times.view("M8[ns]"), tz="UTC").tz_convert("America/New_York")


def at_open(rows: pd.DataFrame, settled: Settled, dates: bool, findings: Findings) -> pd.DataFrame:
    """Rows in order whose times are when bars open, from when they closed."""
    times = rows["time"].to_numpy()
    if settled.stamp == "open" or len(rows) < 2:
        return rows
    closes = pd.DatetimeIndex(times.view("M8[ns]"), tz="UTC")
    opens = opens_of(closes, settled.timezone, dates=dates).as_unit("ns").asi8
    if settled.stamp_by != BY_USER:
        moved = int(np.count_nonzero(opens != times))
        findings.change(moved, "times of a bar's close taken back to its open")
    if (np.diff(opens) <= 0).any():
        row = int((np.diff(opens) <= 0).argmax()) + 1
        raise InputError(
            f"two bars that close at {closes[row - 1]} and {closes[row]} would open together; "
            f"write {remedy(stamp='open')} if these are opens"
        )
    return rows.assign(time=opens)
