"""Texts as moments in UTC: epochs of any unit, dates in six styles, clocks of 12 and 24 hours.

A date whose order of day and month no row proves is refused, as are times of which some have an
offset and some have none, and local times that a change of clocks skips or repeats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from convnext_vbt.errors import InputError
from convnext_vbt.market.tables import Findings, Table, letters_of
from convnext_vbt.market.zones import offsets_of

EPOCH_UNITS = {"s": (8, 10**9), "ms": (11, 10**6), "us": (14, 10**3), "ns": (17, 1)}
"""Unit, the power of ten from which an epoch is taken to be in it (1973 in each), nanoseconds."""
_PLAIN_DIGITS = {10: "s", 13: "ms", 16: "us", 19: "ns"}
_FIRST_YEAR, _LAST_YEAR = 1900, 2200

_EPOCH = r"^(?P<whole>\d{9,18}|[1-8]\d{18})(?:\.(?P<rest>\d*))?$"
_DATE_AND_HOUR = r"^(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])$"
_LATE_SECONDS = 1_900_000_000
"""From March 2030 on an epoch may be such a date and hour."""
_MONTHS = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
)  # fmt: skip
_MONTH = f"(?P<mon>{'|'.join(_MONTHS)})[a-z]*"
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? +)?"
_COMPACT = r"(?P<y>(?:19|20)\d{2})(?P<m>\d{2})(?P<d>\d{2})"
_CLOCK = (
    r"(?:(?:T|[ ,]+)(?P<H>\d{1,2})(?:[ -]?(?P<half>[ap])\.?m\b\.?|"
    r":(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?(?: ?(?P<half2>[ap])\.?m\b\.?)?))?"
)
_COMPACT_CLOCK = r"[ T]?(?P<H>\d{2})(?P<M>\d{2})(?:(?P<S>\d{2})(?:\.?(?P<f>\d{3}))?)?"
_ZONE = (
    r"\s*(?P<utc>Z|UTC|GMT)?(?:(?P<sign>[+-])(?P<oh>\d{1,2})(?::?(?P<om>\d{2}))?)?"
    r"(?: ?(?P<zone>[A-Z]+/[A-Z_/]+|[A-Z]{3,4}))?(?:\[[^\]]*\])?$"
)
_PATTERNS = tuple(
    f"(?i)^{date}{_ZONE}"
    for date in (
        _COMPACT + _COMPACT_CLOCK,
        _COMPACT + _CLOCK,
        rf"{_WEEKDAY}(?P<y>\d{{4}})[-/.](?P<m>\d{{1,2}})[-/.](?P<d>\d{{1,2}}){_CLOCK}",
        rf"{_WEEKDAY}(?P<a>\d{{1,2}})[-/.](?P<b>\d{{1,2}})[-/.](?P<y>\d{{4}}|\d{{2}}){_CLOCK}",
        rf"{_WEEKDAY}(?P<d>\d{{1,2}})[- ./]*{_MONTH}[- .,/]*(?P<y>\d{{4}}|\d{{2}}){_CLOCK}",
        rf"{_WEEKDAY}{_MONTH}[- .]*(?P<d>\d{{1,2}}),? +(?P<y>\d{{4}}){_CLOCK}",
    )
)
_UNREADABLE = (
    (r"^\d{5}(?:\.\d+)?$", "is a spreadsheet's day number; format the cells as dates"),
    (r"^\d(?:\.\d+)?[eE]\+?\d+$", "was rounded by a spreadsheet; format the cells as numbers"),
    (r"^\d+(?:\.\d*)?$", "is neither a time such as 2024-01-31T13:00:00Z nor an epoch"),
    ("", "is not like 2024-01-31T13:00:00Z"),
)


def is_epoch(column: Any) -> np.ndarray:
    """Which texts are epochs; 20240131 and 202401311300 are dates."""
    compact = pc.match_substring_regex(column, _PATTERNS[0])
    epoch = pc.match_substring_regex(column, _EPOCH)
    mask: np.ndarray = pc.and_not(epoch, compact).to_numpy(zero_copy_only=False)
    return mask


def plain_epochs(column: Any, findings: Findings) -> np.ndarray | None:
    """Whole numbers, or texts of them, as nanoseconds: where all are epochs of one length.

    Of 10, 13, 16 or 19 digits, so that none can be a date. None of other ones.
    """
    if pa.types.is_string(column.type):
        letters = letters_of(column)
        if letters is None or letters.shape[1] not in _PLAIN_DIGITS:
            return None
    try:
        values = pc.cast(column, pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    first, last = int(values.min()), int(values.max())
    unit = _PLAIN_DIGITS.get(len(str(first)))
    if unit is None or len(str(last)) != len(str(first)):
        return None
    nanos = EPOCH_UNITS[unit][1]
    if unit == "s" and first >= _LATE_SECONDS:
        return None
    if first < 0 or last > _year_start(_LAST_YEAR) // nanos:
        return None
    findings.reading.append(f"epochs in {unit}")
    plain: np.ndarray = values if nanos == 1 else values * nanos
    return plain


@dataclass(slots=True)
class _Parts:
    """What the rows of a text column say, filled in pattern by pattern."""

    local: np.ndarray
    """int64, nanoseconds on the clock that the row speaks of."""
    offset: np.ndarray
    """int64, nanoseconds east of UTC."""
    zoned: np.ndarray
    """bool: epochs, and texts with an offset."""
    done: np.ndarray
    zones: set[str]


def text_times(table: Table, place: int, findings: Findings) -> tuple[np.ndarray, bool]:
    """A text column as UTC nanoseconds, and whether its times lack an offset."""
    column, size = table.columns[place], len(table.lines)
    parts = _Parts(
        local=np.zeros(size, np.int64),
        offset=np.zeros(size, np.int64),
        zoned=np.zeros(size, bool),
        done=np.zeros(size, bool),
        zones=set(),
    )
    _read_epochs(table, place, parts, findings)
    for pattern in _PATTERNS:
        rows = np.flatnonzero(~parts.done)
        if not len(rows):
            break
        found = pc.extract_regex(column.take(pa.array(rows)), pattern)
        here = found.is_valid().to_numpy(zero_copy_only=False)
        if here.any():
            fields = _Fields(found.filter(pa.array(here)))
            _read_fields(table, place, rows[here], fields, parts, findings)
    for pattern, why in _UNREADABLE:
        odd = ~parts.done & _match(column, pattern)
        why, _, remedy = why.partition("; ")
        table.refuse(odd, place, why, remedy)
    return _to_utc(table, place, parts, findings)


def _match(column: Any, pattern: str) -> np.ndarray:
    mask: np.ndarray = pc.match_substring_regex(column, pattern).to_numpy(zero_copy_only=False)
    return mask


def _read_epochs(table: Table, place: int, parts: _Parts, findings: Findings) -> None:
    rows = np.flatnonzero(is_epoch(table.columns[place]))
    if not len(rows):
        return
    hours = _match(table.columns[place], _DATE_AND_HOUR)
    table.refuse(
        hours & hours.all(), place, "is a date and an hour, or an epoch of 2030 and later",
        "write it like 2024-01-31T13:00:00Z",
    )  # fmt: skip
    found = _Fields(pc.extract_regex(table.columns[place].take(pa.array(rows)), _EPOCH))
    whole, rest = found.ints("whole"), found.nanos("rest")
    powers = [10**power for power, _ in EPOCH_UNITS.values()]
    unit = np.searchsorted(powers, whole, side="right") - 1
    nanos = np.array([length for _, length in EPOCH_UNITS.values()])[unit]
    late = np.zeros(len(table.lines), bool)
    late[rows] = whole > _year_start(_LAST_YEAR) // nanos
    table.refuse(late, place, f"is an epoch after the year {_LAST_YEAR}")
    parts.local[rows] = whole * nanos + rest * nanos // 10**9
    parts.zoned[rows] = parts.done[rows] = True
    names = list(EPOCH_UNITS)
    counts = {names[u]: int((unit == u).sum()) for u in np.unique(unit)}
    if len(counts) > 1:
        usual = max(counts, key=lambda name: counts[name])
        findings.change(
            len(rows) - counts[usual],
            f"epochs in another unit than the rest, each read in its own "
            f"({', '.join(f'{count:,} in {name}' for name, count in counts.items())})",
        )
    else:
        findings.reading.append(f"epochs in {next(iter(counts))}")


class _Fields:
    """The named groups of a pattern, one array each."""

    def __init__(self, found: Any) -> None:
        self._found = {field.name: pc.struct_field(found, field.name) for field in found.type}
        self._size = len(found)

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def texts(self, name: str) -> Any:
        """Group as lower-case texts, empty where it did not take part."""
        if name not in self._found:
            return pa.array([""] * self._size, pa.string())
        return pc.utf8_lower(self._found[name])

    def given(self, name: str) -> np.ndarray:
        """Where the group took part."""
        mask: np.ndarray = pc.not_equal(self.texts(name), "").to_numpy(zero_copy_only=False)
        return mask

    def ints(self, name: str) -> np.ndarray:
        """Group as int64, 0 where it did not take part."""
        texts = self.texts(name)
        filled = pc.if_else(pc.equal(texts, ""), "0", texts)
        values: np.ndarray = filled.cast(pa.int64()).to_numpy()
        return values

    def nanos(self, name: str) -> np.ndarray:
        """Digits after the point of a second as nanoseconds."""
        digits = pc.utf8_slice_codeunits(pc.utf8_rpad(self.texts(name), 9, "0"), 0, 9)
        values: np.ndarray = digits.cast(pa.int64()).to_numpy()
        return values


def _read_fields(
    table: Table,
    place: int,
    rows: np.ndarray,
    fields: _Fields,
    parts: _Parts,
    findings: Findings,
) -> None:
    """Fill in the rows that a pattern fits and whose date and clock exist."""
    year = fields.ints("y")
    short = pc.equal(pc.utf8_length(fields.texts("y")), 2).to_numpy(zero_copy_only=False)
    year = np.where(short, year + np.where(year < 70, 2000, 1900), year)
    if "a" in fields:
        day, month = _day_and_month(table, place, rows, fields, findings)
    elif "mon" in fields:
        day = fields.ints("d")
        known = pc.index_in(fields.texts("mon"), pa.array(_MONTHS))
        month = pc.fill_null(known, 0).to_numpy().astype(np.int64) + 1
    else:
        day, month = fields.ints("d"), fields.ints("m")
    hour, minute, second = (fields.ints(name) for name in "HMS")
    afternoon = pc.equal(fields.texts("half"), "p").to_numpy(zero_copy_only=False) | pc.equal(
        fields.texts("half2"), "p"
    ).to_numpy(zero_copy_only=False)
    twelve = fields.given("half") | fields.given("half2")
    good = (minute < 60) & (second < 60) & (hour < 24) & (month >= 1) & (month <= 12) & (day >= 1)
    good &= ~twelve | ((hour >= 1) & (hour <= 12))
    good &= (year >= _FIRST_YEAR) & (year < _LAST_YEAR)
    hour = np.where(twelve, hour % 12 + 12 * afternoon, hour)
    months = (np.where(good, (year - 1970) * 12 + month - 1, 0)).astype("M8[M]")
    days = months.astype("M8[D]") + np.where(good, day - 1, 0).astype("m8[D]")
    good &= days.astype("M8[M]") == months
    seconds = days.astype("M8[s]").astype(np.int64) + 3600 * hour + 60 * minute + second
    away = (fields.ints("oh") * 60 + fields.ints("om")) * 60 * 10**9
    east = np.where(pc.equal(fields.texts("sign"), "-").to_numpy(zero_copy_only=False), -away, away)
    good &= away <= 16 * 3600 * 10**9
    kept = rows[good]
    parts.local[kept] = (seconds * 10**9 + fields.nanos("f"))[good]
    parts.offset[kept] = east[good]
    parts.zoned[kept] = (fields.given("sign") | fields.given("utc") | fields.given("zone"))[good]
    parts.done[kept] = True
    named = good & fields.given("zone") & ~fields.given("sign")
    if named.any():
        names = np.array(fields.texts("zone").to_pylist(), dtype=object)[named]
        local = parts.local[rows[named]]
        parts.offset[rows[named]] = offsets_of(table, place, rows[named], names, local)
    if twelve[good].any():
        findings.reading.append(f"12-hour clocks in {twelve[good].sum():,} rows")


def _day_and_month(
    table: Table, place: int, rows: np.ndarray, fields: _Fields, findings: Findings
) -> tuple[np.ndarray, np.ndarray]:
    """Which of two numbers is the day: some row of the file must prove it, and none the other."""
    first, second = fields.ints("a"), fields.ints("b")
    proof = {
        "day first": (first > 12) & (second <= 12),
        "month first": (second > 12) & (first <= 12),
    }
    texts = table.columns[place]
    seen = {
        order: f"{texts[rows[mask.argmax()]].as_py()!r} at {table.word.split()[-1]} "
        f"{table.lines[rows[mask.argmax()]]}"
        for order, mask in proof.items()
        if mask.any()
    }
    if len(seen) != 1:
        value, line = texts[rows[0]].as_py(), table.lines[rows[0]]
        why = (
            f"day and month change places: {' but '.join(f'{k} in {v}' for k, v in seen.items())}"
            if seen
            else f"{value!r} is ambiguous: no row of the file tells the day from the month"
        )
        raise InputError(
            f"{table.word} {line}, {table.layout.names[place]}: {why}; "
            "write dates as 2024-01-31 (year, month, day)"
        )
    order, where = next(iter(seen.items()))
    findings.reading.append(f"dates are {order}, as {where} shows")
    return (first, second) if order == "day first" else (second, first)


def _to_utc(table: Table, place: int, parts: _Parts, findings: Findings) -> tuple[np.ndarray, bool]:
    num_zoned = int(parts.zoned.sum())
    if num_zoned not in (0, len(parts.zoned)):
        lacking = num_zoned * 2 > len(parts.zoned)
        table.refuse(
            ~parts.zoned if lacking else parts.zoned,
            place,
            f"{'lacks the UTC offset' if lacking else 'has a UTC offset, others do not'}: "
            "the time zones are mixed",
        )
    moved = parts.offset != 0
    offsets = ", ".join(_offset_text(value) for value in np.unique(parts.offset[moved]))
    findings.change(int(moved.sum()), f"times with an offset ({offsets}) converted to UTC")
    return parts.local - parts.offset, num_zoned == 0


def _offset_text(nanos: int) -> str:
    minutes = abs(int(nanos)) // (60 * 10**9)
    return f"{'-' if nanos < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def _year_start(year: int) -> int:
    return int(pd.Timestamp(year, 1, 1).value)
