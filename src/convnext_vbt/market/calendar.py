"""On which days a market has bars, read off their times."""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnext_vbt.market.passes import days_of

ALWAYS_OPEN = 365
SUNDAYS_TOO = 311
WEEKDAYS_ONLY = 252
"""UTC days with a bar a year: of a market that never closes, of one whose week begins on Sunday
evening (currencies, futures: 313 less two holidays), and of an exchange open Monday to Friday."""
DAY = pd.Timedelta(days=1)
_SATURDAY, _SUNDAY = 5, 6
_SELDOM = 0.1
"""Of the days of the weekday that is open most: a weekday open less often is closed."""


def days_per_year(index: pd.DatetimeIndex, step: pd.Timedelta) -> int:
    """UTC days a year that have a bar, from the weekdays that have one.

    Only weekdays are compared with each other: weeks that are missing, holidays and days lost at
    random change nothing, and so do a few bars more.
    """
    if step > DAY:
        distance = np.diff(index.asi8)
        usual = float(distance[distance <= 2 * step.value].mean())
        return max(1, round(365.25 * DAY.value / usual))
    times = index.asi8
    days, _, _ = days_of(times, DAY.value)
    seen = np.isin(np.arange(7), _weekday(np.arange(days[0], days[-1] + 1)))
    breaks = np.diff(times)
    breaks = breaks[breaks > step.value]
    is_rare = len(breaks) < len(days) / 2 and breaks.max(initial=0) < DAY.value / 2
    if not seen[_SATURDAY] and step < DAY and is_rare:
        return ALWAYS_OPEN  # no weekend can tell, and there are no nights
    count = np.bincount(_weekday(days), minlength=7)
    share = count / count.max()
    share[:_SATURDAY][~seen[:_SATURDAY]] = 1.0
    saturday = share[_SATURDAY]
    sunday = share[_SUNDAY] if seen[_SUNDAY] else saturday
    if min(saturday, sunday) >= 0.5:
        return ALWAYS_OPEN
    # Sessions that straddle midnight for half of the year have their Sundays in that half alone.
    weekend = [
        0.0 if some < _SELDOM else 1.0 if some > 0.75 else some for some in (saturday, sunday)
    ]
    open_ = (share[:_SATURDAY] >= _SELDOM).sum() + sum(weekend)
    return round(float(np.interp(open_, [5, 6], [WEEKDAYS_ONLY, SUNDAYS_TOO])))


def bars_per_day(index: pd.DatetimeIndex) -> float:
    """Of a usual week, day by day: Sunday evening has two or three bars, Friday lacks as many."""
    days, _, per_day = days_of(index.asi8, DAY.value)
    weekday = _weekday(days)
    often = np.bincount(weekday, minlength=7)
    open_ = np.flatnonzero(often >= _SELDOM * often.max())
    usual = [np.median(per_day[weekday == day]) for day in open_]
    return float(np.average(usual, weights=often[open_]))


def _weekday(days: np.ndarray) -> np.ndarray:
    """0 for Monday to 6 for Sunday, of days since 1970-01-01, a Thursday."""
    weekday: np.ndarray = (days + 3) % 7
    return weekday
