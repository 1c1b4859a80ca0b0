"""Open times as files write them, as UTC: epochs, ISO, day-first dates, 12-hour clocks, offsets.

A date whose order of day and month no row of the file proves is refused, as are times of which
some have an offset and some have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from convnext_vbt.market.columns import TIME, plain_name
from convnext_vbt.market.tables import Findings, Table

EPOCH_UNITS = {"s": (8, 10**9), "ms": (11, 10**6), "us": (14, 10**3), "ns": (17, 1)}
"""Unit, the power of ten from which an epoch is taken to be in it (1973 in each), nanoseconds."""
_FIRST_YEAR, _LAST_YEAR = 1900, 2200

_EPOCH = r"^(?P<whole>\d{9,18}|[1-8]\d{18})(?:\.(?P<rest>\d*))?$"
_ISO = r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?"
_ISO_UTC = rf"{_ISO}(?:Z|[+-]00(?::?00)?)$"
_CLOCK_ALONE = r"(?i)^\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[ap]\.?m\.?)?$|^\d{1,6}$"
_MONTHS = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
)  # fmt: skip
_MONTH = f"(?P<mon>{'|'.join(_MONTHS)})[a-z]*"
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? +)?"
_COMPACT = r"(?P<y>(?:19|20)\d{2})(?P<m>\d{2})(?P<d>\d{2})"
_CLOCK = (
    r"(?:(?:T|[ ,]+)(?P<H>\d{1,2})(?:[ -]?(?P<half>[ap])\.?m\.?|"
    r":(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?(?: ?(?P<half2>[ap])\.?m\.?)?))?"
)
_COMPACT_CLOCK = r"[ T]?(?P<H>\d{2})(?P<M>\d{2})(?:(?P<S>\d{2})(?:\.?(?P<f>\d{3}))?)?"
_ZONE = (
    r"\s*(?P<utc>Z|UTC|GMT)?(?:(?P<sign>[+-])(?P<oh>\d{1,2})(?::?(?P<om>\d{2}))?)?"
    r"(?: ?(?P<zone>[A-Z]+/[A-Z_/]+))?(?:\[[^\]]*\])?$"
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Times:
    """What was read from the column (or two) that holds the open times."""

    utc: np.ndarray
    """int64, nanoseconds."""
    naive: bool
    """Whether the file gives no offset, so that UTC is an assumption."""
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
        if digits:  # 93000 is half past nine
            clock = pc.utf8_lpad(clock, 6 if digits > 4 else 4, "0")
        joined = pc.binary_join_element_wise(table.columns[place], clock, " ")
        table = Table(
            layout=layout,
            columns=table.columns | {place: joined},
            lines=table.lines,
            word=table.word,
        )
        findings.reading.append(
            f"times from the columns {layout.names[columns[0]]} and {layout.names[columns[1]]}"
        )
    else:
        place = _chosen(table)
        columns = (place,)
        findings.reading.append(f"times from the column {layout.names[place]}")
    utc, naive = _column_times(table, place, findings)
    if naive:
        if any(word in layout.names[place].lower() for word in ("local", "eastern", "(est", "(et")):
            raise ValueError(
                f"the column {layout.names[place]} holds local times without an offset; write "
                "UTC, or the offset in every row"
            )
        findings.reading.append("times have no offset and are taken as UTC")
    _compare_others(table, columns, utc)
    return Times(utc=utc, naive=naive, columns=columns)


def _is_text(column: Any) -> bool:
    return bool(pa.types.is_string(column.type))


def _all(column: Any, pattern: str) -> bool:
    return bool(_is_text(column) and pc.all(pc.match_substring_regex(column, pattern)).as_py())


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
        epoch = pa.types.is_integer(column.type) or _is_epoch(pa.array([first])).any()
        if plain_name(layout.names[place]) == TIME or epoch:
            return place
    readable = [p for p in layout.times if not _all(table.columns[p], _CLOCK_ALONE)]
    return (readable or list(layout.times))[0]


def _is_epoch(column: Any) -> np.ndarray:
    compact = pc.match_substring_regex(column, _PATTERNS[0])
    epoch = pc.match_substring_regex(column, _EPOCH)
    mask: np.ndarray = pc.and_not(epoch, compact).to_numpy(zero_copy_only=False)
    return mask


def _compare_others(table: Table, columns: tuple[int, ...], utc: np.ndarray) -> None:
    """Refuse two columns of texts that both may be the open time and disagree."""
    names, day = table.layout.names, 86_400 * 10**9
    for place in table.layout.times:
        if place in columns or not _is_text(table.columns[place]):
            continue
        if _is_epoch(table.columns[columns[0]]).all() if _is_text(table.columns[columns[0]]) else 1:
            continue  # an epoch needs no second opinion
        try:
            other, _ = _column_times(table, place, Findings())
        except ValueError:
            continue  # a time of day alone, or no time at all
        if plain_name(names[columns[0]]) != TIME and not (
            np.array_equal(other, utc) or np.array_equal(other, utc - utc % day)
        ):
            row = int((other != utc).argmax())
            raise ValueError(
                f"{table.word} {table.lines[row]}: several columns could be the time, and "
                f"{names[columns[0]]} ({table.columns[columns[0]][row]}) is not {names[place]} "
                f"({table.columns[place][row]}); name the right one {TIME}"
            )


def _column_times(table: Table, place: int, findings: Findings) -> tuple[np.ndarray, bool]:
    """One column's times, and whether they lack an offset."""
    column = table.columns[place]
    if _is_text(column):
        if _all(column, f"{_ISO}$") or _all(column, _ISO_UTC):
            return _iso_times(table, place)
        return _text_times(table, place, findings)
    missing = pc.is_null(column).to_numpy(zero_copy_only=False)
    table.refuse(missing, place, "is missing")
    kind = column.type
    if pa.types.is_integer(kind):
        texts = column.cast(pa.string())
        filled = Table(
            layout=table.layout,
            columns=table.columns | {place: texts},
            lines=table.lines,
            word=table.word,
        )
        return _text_times(filled, place, findings)
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        raise ValueError(
            f"{table.layout.names[place]} has type {kind}; write timestamps, ISO texts or epochs"
        )
    zone = kind.tz if pa.types.is_timestamp(kind) else None
    return pc.cast(column, pa.timestamp("ns", zone)).cast(pa.int64()).to_numpy(), zone is None


def _iso_times(table: Table, place: int) -> tuple[np.ndarray, bool]:
    """The plain and quick case: ISO 8601 throughout, all in UTC or all without an offset."""
    column = table.columns[place]
    naive = _all(column, f"{_ISO}$")
    try:
        times = pc.cast(column, pa.timestamp("ns", None if naive else "UTC"))
    except pa.ArrowInvalid as error:
        raise ValueError(f"{table.layout.names[place]}: {error}") from error
    return times.cast(pa.int64()).to_numpy(), naive


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


def _text_times(table: Table, place: int, findings: Findings) -> tuple[np.ndarray, bool]:
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
    rows = np.flatnonzero(_is_epoch(table.columns[place]))
    if not len(rows):
        return
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
    year = np.where(year < 70, year + 2000, np.where(year < 100, year + 1900, year))
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
    if fields.given("zone").any():
        _place_zones(table, place, rows, fields, parts)
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
        raise ValueError(
            f"{table.word} {line}, {table.layout.names[place]}: {why}; "
            "write dates as 2024-01-31 (year, month, day)"
        )
    order, where = next(iter(seen.items()))
    findings.reading.append(f"dates are {order}, as {where} shows")
    return (first, second) if order == "day first" else (second, first)


def _place_zones(
    table: Table, place: int, rows: np.ndarray, fields: _Fields, parts: _Parts
) -> None:
    """Offsets of the times that name a place such as America/New_York."""
    names = np.array(fields.texts("zone").to_pylist(), dtype=object)
    known = {zone.lower(): zone for zone in _all_zones()}
    for name in sorted(set(names) - {""}):
        here = rows[(names == name) & parts.done[rows] & ~fields.given("sign")]
        if not len(here):
            continue
        if name not in known:
            table.refuse(_mask(table, here), place, f"names the unknown time zone {name}")
        local = pd.DatetimeIndex(parts.local[here].view("M8[ns]"))
        utc = local.tz_localize(known[name], ambiguous="NaT", nonexistent="NaT").tz_convert("UTC")
        table.refuse(
            _mask(table, here[utc.isna()]),
            place,
            "falls into the change of clocks",
            "write UTC, or the offset in every row",
        )
        parts.offset[here] = parts.local[here] - utc.as_unit("ns").asi8


def _all_zones() -> set[str]:
    import zoneinfo

    return zoneinfo.available_timezones()


def _mask(table: Table, rows: np.ndarray) -> np.ndarray:
    mask = np.zeros(len(table.lines), bool)
    mask[rows] = True
    return mask


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
