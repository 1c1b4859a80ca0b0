"""Which column of a table holds the open times, and what they are in UTC.

A column named timestamp wins, then one of epochs, then the most telling name; a date and a time of
day in columns of their own are joined. Texts are read by `market.moments`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from convnext_vbt.errors import InputError
from convnext_vbt.market.clock import Stamp
from convnext_vbt.market.columns import TIME, plain_name, says_close, says_open, says_utc
from convnext_vbt.market.moments import is_epoch, plain_epochs, text_times
from convnext_vbt.market.passes import all_are
from convnext_vbt.market.tables import Findings, Table, letters_of

_ISO = r"^(?:19|2[01])\d{2}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?"
_ISO_LENGTHS = (10, 16, 19, *range(21, 30))
"""Of a date, with minutes, with seconds, with their decimals."""
_FIRST, _END = (int(pd.Timestamp(year, 1, 1).value) for year in (1900, 2200))
_ISO_UTC = rf"{_ISO}(?:Z|[+-]00(?::?00)?)$"
_SECOND, _MINUTE = 10**9, 60 * 10**9
_DAY = 86_400 * 10**9
_CLOCK_ALONE = r"(?i)^\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[ap]\.?m\.?)?$|^\d{1,6}$"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Times:
    """What was read from the column (or two) that holds the open times."""

    nanos: np.ndarray
    """int64, nanoseconds in UTC, or on an unknown clock where there is no offset."""
    naive: bool
    """Whether the file gives no offset, nor a name that says UTC."""
    dates: bool
    """Whether they are days, without a time of day."""
    stamp: Stamp | None
    """What the column's name, or the times themselves, say of them."""
    columns: tuple[int, ...]
    """The columns that they were read from."""


def read_times(table: Table, findings: Findings) -> Times:
    """The open times of a table's rows.

    Raises `ValueError` naming the row of a time that is unreadable, ambiguous or of unclear zone.
    """
    layout = table.layout
    if _two_columns(table):
        assert layout.date is not None
        assert layout.clock is not None
        place = layout.date
        columns: tuple[int, ...] = (layout.date, layout.clock)
        clock = table.columns[layout.clock]
        digits = pc.max(pc.utf8_length(clock)).as_py() if _all(clock, r"^\d+$") else 0
        if digits in (1, 2):  # hours alone
            clock = pc.binary_join_element_wise(pc.utf8_lpad(clock, 2, "0"), "00", "")
        if digits:  # 93000 is half past nine
            clock = pc.utf8_lpad(clock, 6 if digits > 4 else 4, "0")
            clock = pc.replace_substring_regex(clock, r"^(\d\d)(\d\d)", r"\1:\2")
            clock = pc.replace_substring_regex(clock, r":(\d\d)(\d\d)$", r":\1:\2")
        joined = pc.binary_join_element_wise(table.columns[place], clock, " ")
        table = replace(table, columns=table.columns | {place: joined})
        findings.reading.append(
            f"times from the columns {layout.names[columns[0]]} and {layout.names[columns[1]]}"
        )
    else:
        place = _chosen(table)
        columns = (place,)
        findings.reading.append(f"times from the column {layout.names[place]}")
    nanos, naive = _column_times(table, place, findings)
    vendor = layout.vendor
    if vendor is not None and vendor.epochs_local:
        naive = True
    naive = naive and not says_utc(layout.names[place])
    _compare_others(table, place, columns, nanos)
    return Times(
        nanos=nanos,
        naive=naive,
        dates=naive and all_are(nanos, _is_midnight) and not _clock_told(table, place, nanos),
        stamp=_stamp(layout.names[place], nanos),
        columns=columns,
    )


def _stamp(name: str, nanos: np.ndarray) -> Stamp | None:
    """Times that all lie within the last second of a minute are when bars end: 10:59:59.999."""
    if all_are(nanos, _ends_a_minute) or says_close(name):
        return "close"
    return "open" if says_open(name) else None


def _is_midnight(nanos: np.ndarray) -> np.ndarray:
    midnight: np.ndarray = nanos % _DAY == 0
    return midnight


def _ends_a_minute(nanos: np.ndarray) -> np.ndarray:
    late: np.ndarray = nanos % _MINUTE >= _MINUTE - _SECOND
    return late


def _clock_told(table: Table, place: int, nanos: np.ndarray) -> bool:
    """Whether midnights are moments: they have a clock, and some are a Saturday's."""
    column = table.columns[place]
    clocks = _is_text(column) and pc.any(pc.match_substring(column, ":")).as_py()
    return bool(clocks and ((nanos // _DAY + 3) % 7 == 5).any())


def _is_text(column: Any) -> bool:
    return bool(pa.types.is_string(column.type))


def _all(column: Any, pattern: str) -> bool:
    """Whether all texts match; what the first does not, the rest is not asked for."""
    return _is_text(column) and all(
        pc.all(pc.match_substring_regex(part, pattern)).as_py() for part in (column[:1], column)
    )


def _two_columns(table: Table) -> bool:
    """Whether the date and the time of day stand in columns of their own."""
    date, clock = table.layout.date, table.layout.clock
    if date is None or clock is None or not _all(table.columns[clock], _CLOCK_ALONE):
        return False
    return not pc.any(pc.match_substring_regex(table.columns[date].cast(pa.string()), ":")).as_py()


def _chosen(table: Table) -> int:
    """The time column: one named timestamp, else one of epochs, else the most telling name."""
    layout = table.layout
    for place in layout.times:
        column = table.columns[place]
        first = str(column[0].as_py())
        epoch = pa.types.is_integer(column.type) or is_epoch(pa.array([first])).any()
        if plain_name(layout.names[place]) == TIME or epoch:
            return place
    readable = [p for p in layout.times if not _all(table.columns[p], _CLOCK_ALONE)]
    return (readable or list(layout.times))[0]


def _compare_others(table: Table, chosen: int, columns: tuple[int, ...], utc: np.ndarray) -> None:
    """Refuse two columns of texts that both may be the open time and disagree.

    One named timestamp was named so by somebody, and an epoch is clear: neither is put in doubt.
    """
    names, texts = table.layout.names, table.columns
    others = [p for p in table.layout.times if p not in columns and _is_text(texts[p])]
    if not others:
        return
    if plain_name(names[chosen]) == TIME or not _is_text(texts[chosen]):
        return
    if is_epoch(texts[chosen]).any():
        return
    for place in others:
        try:
            other, _ = _column_times(table, place, Findings())
        except ValueError:
            continue  # a time of day alone, or no time at all
        day = utc - utc % (86_400 * 10**9)
        if not (np.array_equal(other, utc) or np.array_equal(other, day)):
            row = int((other != utc).argmax())
            raise InputError(
                f"{table.word} {table.lines[row]}: several columns could be the time, and "
                f"{names[chosen]} ({texts[chosen][row]}) is not {names[place]} "
                f"({texts[place][row]}); name the right one {TIME}"
            )


def _column_times(table: Table, place: int, findings: Findings) -> tuple[np.ndarray, bool]:
    """One column's times, and whether they lack an offset."""
    column = table.columns[place]
    if _is_text(column):
        if (quick := _iso_times(column)) is not None:
            return quick
        if (epochs := plain_epochs(column, findings)) is not None:
            return epochs, False
        return text_times(table, place, findings)
    missing = pc.is_null(column).to_numpy(zero_copy_only=False)
    table.refuse(missing, place, "is missing")
    kind = column.type
    if pa.types.is_floating(kind) and pc.all(pc.equal(column, pc.floor(column))).as_py():
        column, kind = pc.cast(column, pa.int64(), safe=False), pa.int64()  # pandas' way with NaN
    if pa.types.is_integer(kind):
        if (epochs := plain_epochs(column, findings)) is not None:
            return epochs, False
        texts = table.columns | {place: column.cast(pa.string())}
        return text_times(replace(table, columns=texts), place, findings)
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        raise InputError(
            f"{table.layout.names[place]} has type {kind}; write timestamps, ISO texts or epochs"
        )
    zone = kind.tz if pa.types.is_timestamp(kind) else None
    return pc.cast(column, pa.timestamp("ns", zone)).cast(pa.int64()).to_numpy(), zone is None


def _iso_times(column: Any) -> tuple[np.ndarray, bool] | None:
    """The plain and quick case: ISO 8601 throughout, all in UTC or all without an offset."""
    zone = _one_zone(column)
    if zone is None:
        return None
    try:
        times = pc.cast(column, pa.timestamp("ns", zone or None))
    except pa.ArrowInvalid:
        return None  # no such day or hour: the slow way names the row
    nanos = times.cast(pa.int64()).to_numpy()
    inside = nanos.min() >= _FIRST and nanos.max() < _END
    return (nanos, not zone) if inside else None


def _one_zone(column: Any) -> str | None:
    """The zone, UTC or none (empty), of texts that may all be ISO 8601; None of other ones."""
    letters = letters_of(column)
    if letters is None:  # of several lengths
        return "" if _all(column, f"{_ISO}$") else "UTC" if _all(column, _ISO_UTC) else None
    length = letters.shape[1]
    for end in (b"Z", b"+00:00", b"-00:00"):
        if bytes(letters[0, -len(end) :]) == end:
            same = (letters[:, -len(end) :] == np.frombuffer(end, np.uint8)).all()
            return "UTC" if same and length - len(end) in _ISO_LENGTHS else None
    return "" if length in _ISO_LENGTHS else None  # the cast refuses any other zone
