"""Time zones that rows name by a place (America/New_York) or by letters (EST)."""

from __future__ import annotations

import zoneinfo

import numpy as np
import pandas as pd

from convnext_vbt.market.tables import Table

_HOUR = 3_600 * 10**9
_LETTERS = {
    "est": (-5, "America/New_York"),
    "edt": (-4, "America/New_York"),
    "pst": (-8, "America/Los_Angeles"),
    "pdt": (-7, "America/Los_Angeles"),
    "bst": (1, "Europe/London"),
    "cet": (1, "Europe/Berlin"),
    "cest": (2, "Europe/Berlin"),
    "eet": (2, "Europe/Athens"),
    "eest": (3, "Europe/Athens"),
    "msk": (3, "Europe/Moscow"),
    "sgt": (8, "Asia/Singapore"),
    "hkt": (8, "Asia/Hong_Kong"),
    "jst": (9, "Asia/Tokyo"),
    "kst": (9, "Asia/Seoul"),
    "aest": (10, "Australia/Sydney"),
    "aedt": (11, "Australia/Sydney"),
}
"""Hours east of UTC, and where they must have been on the clock. CST and IST mean several."""


def offsets_of(
    table: Table, place: int, rows: np.ndarray, names: np.ndarray, local: np.ndarray
) -> np.ndarray:
    """Nanoseconds east of UTC at these rows, whose zones have lower-case names.

    `local` is what their clocks show, in nanoseconds. Raises `ValueError` for an unknown name, a
    time that a change of clocks skips or repeats, and letters that were not on the clock then.
    """
    out = np.zeros(len(rows), np.int64)
    known = {zone.lower(): zone for zone in zoneinfo.available_timezones() if "/" in zone}
    for name in sorted(set(names.tolist())):
        here = np.flatnonzero(names == name)
        if name in _LETTERS:
            out[here] = _by_letters(table, place, rows[here], name, local[here])
        elif name in known:
            out[here] = _by_place(table, place, rows[here], known[name], local[here])
        else:
            table.refuse(
                _mask(table, rows[here]),
                place,
                f"names the time zone {name.upper()}, which is unknown or stands for several",
                "write the offset in every row, as in 2024-01-31T13:00:00-05:00",
            )
    return out


def _by_place(
    table: Table, place: int, rows: np.ndarray, zone: str, local: np.ndarray
) -> np.ndarray:
    clock = pd.DatetimeIndex(local.view("M8[ns]"))
    utc = clock.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").tz_convert("UTC")
    table.refuse(
        _mask(table, rows[utc.isna()]),
        place,
        "falls into the change of clocks",
        "write UTC, or the offset in every row",
    )
    offset: np.ndarray = local - utc.as_unit("ns").asi8
    return offset


def _by_letters(
    table: Table, place: int, rows: np.ndarray, letters: str, local: np.ndarray
) -> np.ndarray:
    """EST all the year round may be New York's clock or five hours behind UTC: refused."""
    hours, zone = _LETTERS[letters]
    utc = pd.DatetimeIndex((local - hours * _HOUR).view("M8[ns]")).tz_localize("UTC")
    on_the_clock = utc.tz_convert(zone).tz_localize(None).as_unit("ns").asi8
    table.refuse(
        _mask(table, rows[on_the_clock != local]),
        place,
        f"says {letters.upper()}, which was not on the clocks of {zone} then: it may be meant as "
        f"{hours:+03d}:00 or as local time",
        "write UTC, or the offset in every row",
    )
    return np.full(len(rows), hours * _HOUR)


def _mask(table: Table, rows: np.ndarray) -> np.ndarray:
    mask = np.zeros(len(table.lines), bool)
    mask[rows] = True
    return mask
