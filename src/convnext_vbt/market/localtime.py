"""Signs that times without an offset are no UTC but an exchange's or a broker's clock."""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import modal_step
from convnext_vbt.market.clock import BROKER, remedy

_RUN = 24
"""Fewer bars tell nothing."""
_HOUR = pd.Timedelta(hours=1)
_WEEKEND = 36 * _HOUR.value
_AROUND = pd.Timedelta(days=18)
"""How far from a change of clocks days are looked at: Europe's is three weeks after America's."""
_FEWEST_DAYS, _MOST = 3, 0.6
_EARLIEST, _LATEST = pd.Timedelta(hours=4), pd.Timedelta(hours=12)
"""When sessions begin on a clock at the place; in UTC, Asia's begin earlier all year."""
_LIKELY = {
    "04:00": "America/New_York",
    "09:30": "America/New_York",
    "08:30": "America/Chicago",
    "08:00": "Europe/London",
    "10:00": "Australia/Sydney",
}
_CHANGES_OF_CLOCKS = {
    "the United States": "America/New_York",
    "western Europe": "Europe/London",
    "central Europe": "Europe/Berlin",
    "eastern Europe": "Europe/Athens",
    "Australia": "Australia/Sydney",
}


def refuse_local_time(rows: pd.DataFrame, word: str) -> None:
    """Times without an offset that jump as clocks do, or keep a market's hours, are no UTC.

    Three signs: every hour that a change of clocks skips is missing while its neighbours are there;
    sessions begin at the same time of day on most days before and after a change of clocks (in UTC
    an hour earlier or later); or weeks of round-the-clock days begin on Monday at 00:00.
    """
    index = pd.DatetimeIndex(rows["time"].to_numpy())
    if len(index) < _RUN or modal_step(index) > pd.Timedelta(hours=4):
        return
    if modal_step(index) <= _HOUR:
        _refuse_skipped_hours(rows, index, word)
    starts = _session_starts(index)
    if not len(starts):
        return
    clock = _usual_start(starts)
    line = rows.index[int(index.searchsorted(starts[0]))]
    if _weeks_begin_at_midnight(index, starts):
        raise InputError(
            f"{word} {line}: weeks begin on Monday at 00:00 and days have no night, which is the "
            "clock of a broker's server and not UTC, where such weeks begin on Sunday evening; "
            f"write {remedy(BROKER)} where that is the server's, else the zone that is right"
        )
    if _EARLIEST <= clock <= _LATEST and _stay(starts):
        likely = _LIKELY.get(_text(clock), "Europe/Berlin")
        raise InputError(
            f"{word} {line}: sessions begin at {_text(clock)} before and after the clocks change, "
            f"so these are an exchange's local times without an offset; write {remedy(likely)} or "
            f"wherever the exchange is, {remedy('UTC')} if they are UTC all the same, or the "
            "offset in every row"
        )


def _text(clock: pd.Timedelta) -> str:
    return str(clock)[-8:-3]


def _session_starts(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The first bars after a night, which is longer than holes within a day."""
    distance = np.diff(index.asi8)
    longest = pd.Series(distance).groupby(index[1:].normalize()).max()
    night = max(3 * _HOUR.value, 0.6 * float(longest.median()), 2 * modal_step(index).value)
    return index[np.append(False, distance >= night)]


def _usual_start(starts: pd.DatetimeIndex) -> pd.Timedelta:
    clocks = (starts - starts.normalize()).to_series().mode()
    return pd.Timedelta(clocks.iloc[0])


def _stay(starts: pd.DatetimeIndex) -> bool:
    """Whether most sessions begin at one time of day on both sides of the changes of clocks.

    Nowhere may most of them have moved; a day that begins late, or a few, hides nothing.
    """
    clocks = starts - starts.normalize()
    stayed = 0
    for zone in _CHANGES_OF_CLOCKS.values():
        same = moved = 0
        for change in _changes(starts[0], starts[-1], zone):
            sides = [
                clocks[(starts >= change - _AROUND) & (starts < change)],
                clocks[(starts >= change) & (starts < change + _AROUND)],
            ]
            if min(map(len, sides)) < _FEWEST_DAYS:
                continue
            (one, share), (other, share_after) = (_mode(side) for side in sides)
            if min(share, share_after) < _MOST:
                continue
            same += one == other
            moved += abs(one - other) == _HOUR
        if moved > same:
            return False
        stayed += same > moved
    return stayed > 0


def _mode(clocks: pd.TimedeltaIndex) -> tuple[pd.Timedelta, float]:
    values, counts = np.unique(clocks.as_unit("ns").asi8, return_counts=True)
    return pd.Timedelta(int(values[counts.argmax()]), unit="ns"), counts.max() / counts.sum()


def _weeks_begin_at_midnight(index: pd.DatetimeIndex, starts: pd.DatetimeIndex) -> bool:
    """Whether a market without nights begins its weeks on Monday at 00:00, twice or more."""
    mondays = (starts.day_of_week == 0) & (starts == starts.normalize())
    fridays = index[np.append(np.diff(index.asi8) >= _WEEKEND, False)]
    late = (fridays - fridays.normalize()) >= pd.Timedelta(hours=20)
    return bool(mondays.sum() >= 2 and mondays.mean() >= _MOST and late.mean() >= _MOST)


def _refuse_skipped_hours(rows: pd.DataFrame, index: pd.DatetimeIndex, word: str) -> None:
    for where, zone in _CHANGES_OF_CLOCKS.items():
        skipped = _skipped_hours(index[0], index[-1], zone)
        around = _are_in(skipped - _HOUR, index) & _are_in(skipped + _HOUR, index)
        neighbours = skipped[around]
        if len(neighbours) and not _are_in(neighbours, index).any():
            after = rows.iloc[int(index.searchsorted(neighbours[0]))]
            raise InputError(
                f"{word} {after.name}: {neighbours[0]} is missing, the hour that clocks in "
                f"{where} skip, so these are local times without an offset; write "
                f"{remedy(zone)}, or the offset in every row"
            )


def refuse_repeated_hours(rows: pd.DataFrame, word: str) -> None:
    """Times without an offset of which just the hour that clocks repeat has two bars: no UTC."""
    distance = np.diff(rows["time"].to_numpy())
    if (distance > 0).all() or (distance < 0).all():
        return
    same = rows.duplicated()
    again = (rows["time"].duplicated() & ~same).to_numpy()
    if not again.any():
        return
    twice = pd.DatetimeIndex(rows["time"].to_numpy()[again])
    for where, zone in _CHANGES_OF_CLOCKS.items():
        if twice.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward").isna().all():
            raise InputError(
                f"{word} {rows.index[int(again.argmax())]}: {twice[0]} is there twice, and "
                f"clocks in {where} repeat that hour, so these are local times without an offset; "
                f"write {remedy(zone)}, or the offset in every row"
            )


def _are_in(times: pd.DatetimeIndex, index: pd.DatetimeIndex) -> np.ndarray:
    """Which times are in a sorted index; pandas' isin hashes all of the index each time."""
    place = np.minimum(index.searchsorted(times), len(index) - 1)
    return np.asarray(index[place] == times)


def _changes(first: pd.Timestamp, last: pd.Timestamp, zone: str) -> list[pd.Timestamp]:
    """The days within [first, last] at whose beginning, or soon after, a zone's clocks change."""
    days = pd.date_range(first.normalize(), last, freq="D", tz="UTC")
    offset = days.tz_convert(zone).tz_localize(None) - days.tz_localize(None)
    changed = np.flatnonzero(np.diff(offset.asi8) != 0)
    return list(days[changed].tz_localize(None))


def _skipped_hours(first: pd.Timestamp, last: pd.Timestamp, zone: str) -> pd.DatetimeIndex:
    """The local hours within [first, last] that do not exist in a zone."""
    hours = pd.date_range(first.floor("h"), last, freq="h")
    local = hours.tz_localize(zone, ambiguous=np.zeros(len(hours), bool), nonexistent="NaT")
    return hours[local.isna()]
