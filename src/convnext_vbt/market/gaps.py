"""Bars that should be there and are not: found and reported, never filled."""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnext_vbt.market.bars import Bars

_DAY = 86_400 * 10**9
_LONGEST_HOLIDAY = 4
"""Weekdays in a row that an exchange has been closed on (September 2001): more are a gap."""


def find_gaps(bars: Bars) -> pd.DataFrame:
    """The gaps of each symbol: columns symbol, start, end, missing.

    `start` and `end` are the open times of the first and the last missing bar, `missing` their
    number. Between a symbol's first and last bar a market that is open around the clock should
    have a bar every `bars.step`. A symbol's market with sessions (`bars.closes`) has nights,
    weekends, holidays and early closes, which are no gaps. There a gap is a hole within a day at
    hours at which the days before and after have bars, or five weekdays and more in a row without
    a bar.
    """
    tables = [_symbol_gaps(bars, n, closes) for n, closes in enumerate(bars.closes)]
    return pd.concat(tables, ignore_index=True)


def bar_clock(bars: Bars) -> np.ndarray:
    """The symbol's bars up to each row and with it, those that a gap swallowed counted, (T, N).

    Int64. What a row says depends on rows up to it alone: in a market with sessions a bar is
    missing where the trading day before has one at that time of day.
    """
    clock = np.zeros(bars.present.shape, dtype=np.int64)
    for n, closes in enumerate(bars.closes):
        rows = np.flatnonzero(bars.present[:, n])
        stamps = bars.index.asi8[rows]
        passed = _swallowed_in_sessions if closes else _swallowed
        steps = np.ones(len(rows), dtype=np.int64)
        steps[1:] += passed(stamps, bars.step.value)
        clock[rows, n] = steps
    return np.cumsum(clock, axis=0)


def closed_weekdays(bars: Bars) -> int:
    """Weekdays between the first and the last bar on which no symbol has one."""
    days = bars.index.normalize().unique().as_unit("s").asi8.astype("M8[s]").astype("M8[D]")
    return int(np.busday_count(days[0], days[-1] + 1)) - int(np.is_busday(days).sum())


def short_sessions(bars: Bars) -> int:
    """Days with fewer bars than the usual day has: early closes, or an end that is missing."""
    _, per_day = np.unique(bars.index.asi8 // _DAY, return_counts=True)
    return int((per_day < np.median(per_day)).sum())


def odd_days(bars: Bars) -> pd.DatetimeIndex:
    """Days of a weekend on which a market of weekdays has bars: holidays made up for, or errors.

    A weekday that has bars as often as one in ten of the others is no odd one: Sunday evenings.
    """
    if not bars.has_sessions:
        return bars.index[:0]
    days = bars.index.normalize().unique()
    weekday = days.day_of_week
    often = np.bincount(weekday, minlength=7)
    odd = (weekday >= 5) & (often[weekday] < 0.1 * often.max())
    return pd.DatetimeIndex(days[odd])


def _symbol_gaps(bars: Bars, n: int, closes: bool) -> pd.DataFrame:
    stamps = bars.index[bars.present[:, n]].asi8
    step = bars.step.value
    if not closes:
        spans = regular_gaps(stamps, step)
    else:
        spans = [*_missing_sessions(stamps, step), *_holes_in_sessions(stamps, step)]
    spans = sorted(spans)
    return pd.DataFrame(
        {
            "symbol": pd.Series(bars.symbols[n], index=range(len(spans)), dtype="object"),
            "start": pd.DatetimeIndex([start for start, _, _ in spans], dtype="M8[ns, UTC]"),
            "end": pd.DatetimeIndex([end for _, end, _ in spans], dtype="M8[ns, UTC]"),
            "missing": np.array([missing for _, _, missing in spans], dtype=np.int64),
        }
    )


def regular_gaps(stamps: np.ndarray, step: int) -> list[tuple[int, int, int]]:
    """Spans (first missing, last missing, count) where a bar is due every step; all times in ns."""
    missing = _swallowed(stamps, step)
    return [
        (int(stamps[i]) + step, int(stamps[i]) + int(missing[i]) * step, int(missing[i]))
        for i in np.flatnonzero(missing > 0)
    ]


def _swallowed(stamps: np.ndarray, step: int) -> np.ndarray:
    """Bars that are missing between each and the next where one is due every step."""
    # Months are of 28 to 31 days. A stamp off the grid (12:00, 13:00, 14:30) is no missing bar.
    slack = step // 2 if step > _DAY else 0
    missing: np.ndarray = np.maximum((np.diff(stamps) + slack) // step - 1, 0)
    return missing


def _swallowed_in_sessions(stamps: np.ndarray, step: int) -> np.ndarray:
    """Bars that are missing between two of one day, which the trading day before has."""
    days = np.unique(stamps // _DAY)
    missing = np.zeros(max(len(stamps) - 1, 0), dtype=np.int64)
    inside = (np.diff(stamps) > step) & (stamps[1:] // _DAY == stamps[:-1] // _DAY)
    for i in np.flatnonzero(inside):
        today = int(np.searchsorted(days, stamps[i] // _DAY))
        if today:
            back = int(days[today] - days[today - 1]) * _DAY
            due = np.arange(stamps[i] + step, stamps[i + 1], step) - back
            missing[i] = np.isin(due, stamps[:i]).sum()
    return missing


def _missing_sessions(stamps: np.ndarray, step: int) -> list[tuple[int, int, int]]:
    """Runs of weekdays without a bar that are longer than any holiday; sessions like the last."""
    days, first, per_day = np.unique(stamps // _DAY, return_index=True, return_counts=True)
    dates = days.astype("M8[D]")
    closed = np.busday_count(dates[:-1], dates[1:]) - np.is_busday(dates[:-1])
    usual = int(np.median(per_day))
    spans = []
    for i in np.flatnonzero(closed > _LONGEST_HOLIDAY):
        opening = int(stamps[first[i]] % _DAY)
        start = (
            int(np.busday_offset(dates[i] + 1, 0, roll="forward").astype(np.int64)) * _DAY + opening
        )
        end = int(np.busday_offset(dates[i + 1] - 1, 0, roll="backward").astype(np.int64)) * _DAY
        spans.append((start, end + opening + (usual - 1) * step, int(closed[i]) * usual))
    return spans


def _holes_in_sessions(stamps: np.ndarray, step: int) -> list[tuple[int, int, int]]:
    """Holes between two bars of one day where the trading days before and after have bars."""
    days = np.unique(stamps // _DAY)
    known = set(stamps.tolist())
    inside = (np.diff(stamps) > step) & (stamps[1:] // _DAY == stamps[:-1] // _DAY)
    spans = []
    for i in np.flatnonzero(inside):
        today = int(np.searchsorted(days, stamps[i] // _DAY))
        if not 0 < today < len(days) - 1:
            continue
        back, ahead = (int(days[today + side] - days[today]) * _DAY for side in (-1, 1))
        due = [
            time
            for time in range(int(stamps[i]) + step, int(stamps[i + 1]), step)
            if time + back in known and time + ahead in known
        ]
        if due:
            spans.append((due[0], due[-1], len(due)))
    return spans
