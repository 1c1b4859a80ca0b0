"""Bars from a CSV, CSV.gz or Parquet file in the plain layout.

The plain layout is one row a bar, oldest first: a column `timestamp` (or a single one named
time, datetime, date or open_time; in Parquet also a DatetimeIndex) and the columns open, high,
low, close, volume, in any case and order. Timestamps are bar OPEN times: ISO 8601, with an offset
in every row or in none (then they are UTC), or UTC epochs in one unit. Other columns are ignored.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from convnext_vbt.market.bars import FIELDS, Bars

SUFFIXES = (".csv.gz", ".csv", ".parquet")
TIME = "timestamp"
OTHER_TIMES = ("time", "datetime", "date", "open_time")
LAYOUT = f"columns {TIME}, {', '.join(FIELDS)}, separated by commas"
NO_ROWS = "there are no rows; a file needs at least two bars"
GZIP_MAGIC = b"\x1f\x8b"

NUMBER = r"^-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"
ISO = r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}(?::\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?)?"
OFFSET = r"(?:Z|[+-]\d{2}(?::?\d{2})?)$"
EPOCH_UNITS = {"s": 8, "ms": 11, "us": 14, "ns": 17}
"""Unit and the power of ten from which an epoch is taken to be in it: 1973 in each of them."""


def read_bars(path: str | Path, symbol: str | None = None) -> Bars:
    """Bars of one symbol from a file in the plain layout, named after the file by default.

    Raises `FileNotFoundError` when there is no such file and `ValueError`, in one line that names
    the file, the row (counted from 0, without the header), the value and the remedy, for
    everything that cannot be trusted: a missing column, text among numbers, a missing or
    impossible value, times that are out of order, twice there or of unclear zone.
    """
    path = Path(path).expanduser()
    suffix = _suffix(path)
    try:
        table = _parquet_table(path) if suffix == ".parquet" else _csv_table(path, suffix)
        if not table.num_rows:
            raise ValueError(NO_ROWS)
        frame = pd.DataFrame(
            {field: _numbers(table[field], field) for field in FIELDS}, index=_times(table[TIME])
        )
        return Bars.from_frame(frame, symbol=symbol or path.name[: -len(suffix)])
    except (ValueError, TypeError, pa.ArrowException) as error:
        message = " ".join(str(error).split())  # Arrow's may span lines
        raise ValueError(f"{path}: {message}") from error


def _suffix(path: Path) -> str:
    """The known suffix of an existing file."""
    if path.is_dir():
        inside = [item.name for item in sorted(path.iterdir()) if _known(item.name)]
        hint = f"name one of its files: {', '.join(inside[:5])}" if inside else "name a file"
        raise ValueError(f"{path} is a directory; {hint}")
    if not path.exists():
        nearby = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, nearby, n=1)
        hint = f"did you mean {path.with_name(close[0])}?" if close else "check the path"
        raise FileNotFoundError(f"{path} does not exist; {hint}")
    suffix = _known(path.name)
    if suffix is None:
        raise ValueError(
            f"{path}: files of kind {path.suffix or '(no suffix)'} are not read; "
            f"give one that ends in {', '.join(SUFFIXES)}"
        )
    return suffix


def _known(name: str) -> str | None:
    return next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)


def _csv_table(path: Path, suffix: str) -> Any:
    """The needed columns of a CSV file as text, under their plain names."""
    data = path.read_bytes()
    zipped = data.startswith(GZIP_MAGIC)
    if zipped and suffix == ".csv":
        raise ValueError("this is a gzip file; rename it so that it ends in .csv.gz")
    if suffix == ".csv.gz" and data:
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"not a whole gzip file ({error}); fetch it again") from error
    data = data.removeprefix(b"\xef\xbb\xbf").rstrip()
    if not data:
        raise ValueError(f"the file is empty; it needs {LAYOUT}")
    header, _, rows = data.partition(b"\n")
    names = next(csv.reader([header.decode("utf-8", errors="replace").strip()]))
    chosen = _columns(names)
    if not rows:
        raise ValueError(NO_ROWS)
    table = pacsv.read_csv(
        pa.BufferReader(data),
        # One thread, and empty lines kept: so a malformed line is reported by its number.
        read_options=pacsv.ReadOptions(column_names=names, skip_rows=1, use_threads=False),
        parse_options=pacsv.ParseOptions(ignore_empty_lines=False),
        convert_options=pacsv.ConvertOptions(
            include_columns=list(chosen.values()),
            column_types=dict.fromkeys(chosen.values(), pa.string()),
        ),
    )
    return table.rename_columns(list(chosen))


def _parquet_table(path: Path) -> Any:
    """The needed columns of a Parquet file, under their plain names."""
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"not a readable Parquet file ({error}); fetch it again") from error
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    if len(index) == 1 and isinstance(index[0], str):  # a stored index, not a RangeIndex
        table = table.rename_columns([TIME if n == index[0] else n for n in table.column_names])
    chosen = _columns(table.column_names)
    return table.select(list(chosen.values())).rename_columns(list(chosen))


def _columns(names: list[str]) -> dict[str, str]:
    """Plain name to the file's own name, for the time and the five values."""
    plain = [name.strip().lower() for name in names]
    times = [TIME] if TIME in plain else [name for name in OTHER_TIMES if name in plain]
    if len(times) > 1:
        raise ValueError(
            f"several columns could be the time: {', '.join(times)}; name the right one {TIME}"
        )
    absent = [*([] if times else [TIME]), *(field for field in FIELDS if field not in plain)]
    if absent:
        raise ValueError(
            f"column(s) {', '.join(absent)} not found among {', '.join(names)}; "
            f"a file needs {LAYOUT}"
        )
    wanted = {TIME: times[0], **{field: field for field in FIELDS}}
    twice = [name for name in wanted.values() if plain.count(name) > 1]
    if twice:
        raise ValueError(f"column {twice[0]} is there twice; keep the right one")
    return {key: names[plain.index(name)] for key, name in wanted.items()}


def _numbers(column: Any, field: str) -> np.ndarray:
    """A column as float64; a value that is missing or no number is refused by its row."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _text(column)
        _refuse_first(pc.equal(column, ""), column, field, "is missing")
        try:
            values = pc.cast(column, pa.float64())
        except pa.ArrowInvalid:
            number = pc.match_substring_regex(column, NUMBER)
            _refuse_first(pc.invert(number), column, field, "is not a number")
            raise
    else:
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            raise ValueError(f"{field} has type {column.type}; write numbers")
        _refuse_first(pc.is_null(column), column, field, "is missing")
        values = pc.cast(column, pa.float64())
    _refuse_first(pc.is_nan(values), column, field, "is missing")
    numbers: np.ndarray = values.to_numpy()
    return numbers


def _times(column: Any) -> pd.DatetimeIndex:
    """A column of ISO texts, epochs or timestamps as UTC times."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _text(column)
        if pc.all(pc.match_substring_regex(column, r"^\d+$")).as_py():
            return _epochs(pc.cast(column, pa.int64()))
        return _iso_times(column)
    _refuse_first(pc.is_null(column), column, TIME, "is missing")
    if pa.types.is_integer(column.type):
        return _epochs(column)
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        raise ValueError(f"{TIME} has type {column.type}; write timestamps, ISO texts or epochs")
    return _utc_index(column)


def _iso_times(column: Any) -> pd.DatetimeIndex:
    iso = pc.match_substring_regex(column, f"{ISO}(?:{OFFSET})?$")
    _refuse_first(pc.invert(iso), column, TIME, "is not like 2024-01-31T13:00:00Z")
    with_offset = pc.match_substring_regex(column, f"{ISO}{OFFSET}")
    num_with = pc.sum(with_offset).as_py()
    if num_with not in (0, len(column)):
        odd = with_offset if num_with * 2 <= len(column) else pc.invert(with_offset)
        what = "has a UTC offset, others do not" if odd is with_offset else "lacks the UTC offset"
        _refuse_first(odd, column, TIME, f"{what}: the time zones are mixed")
    return _utc_index(pc.cast(column, pa.timestamp("ns", "UTC" if num_with else None)))


def _epochs(column: Any) -> pd.DatetimeIndex:
    """UTC epochs, all in the unit that the first one's size gives away."""
    powers = list(EPOCH_UNITS.values())
    values = column.to_numpy()
    unit = np.searchsorted(10.0 ** np.array(powers), values, side="right") - 1
    _refuse_first(pa.array(unit < 0), column, TIME, "is neither an ISO timestamp nor an epoch")
    names = list(EPOCH_UNITS)
    other = pa.array(unit != unit[0])
    _refuse_first(other, column, TIME, f"is not in {names[unit[0]]} like the first one")
    return pd.DatetimeIndex(pd.to_datetime(values, unit=names[unit[0]], utc=True))


def _utc_index(column: Any) -> pd.DatetimeIndex:
    index = pd.DatetimeIndex(pc.cast(column, pa.timestamp("ns", column.type.tz)).to_numpy())
    return index.tz_localize("UTC")


def _text(column: Any) -> Any:
    return pc.utf8_trim_whitespace(pc.fill_null(column, ""))


def _refuse_first(bad: Any, column: Any, field: str, why: str) -> None:
    row = pc.index(bad, True).as_py()
    if row >= 0:
        value = column[row].as_py()
        raise ValueError(
            f"row {row}, {field}: {value!r} {why}; {pc.sum(bad).as_py():,} such value(s) in all: "
            "repair or drop these rows"
        )
