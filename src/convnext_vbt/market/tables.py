"""A text file as a table of columns: compression, encoding, header, delimiter; nothing parsed.

CSV cells stay text, unless all numbers of a file are plain ones. What is done to the file is noted
in `Findings`, and every row keeps the number of the line that it stands in, so that a fault can be
found in an editor.
"""

from __future__ import annotations

import csv
import gzip
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from convnext_vbt.errors import InputError
from convnext_vbt.market.columns import (
    NEEDED,
    Layout,
    count_known,
    find_columns,
    headerless_names,
    is_time_name,
    plain_name,
)
from convnext_vbt.market.vendors import Vendor, vendor_of_row

NO_HEADER = "no header"
NO_ROWS = "there are no rows; a file needs at least two bars"
MAX_COLUMNS = 1_000
MAX_LINE = 1 << 16
MAX_ROWS = 10_000_000
"""Most columns, characters in a line, and rows (19 years of minutes), of a table of bars."""
_BLOCK = 1 << 22
_HEAD = 1 << 18
_HEADER_LINES = 100
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
MISSING = ("", "null", "NULL", "nan", "NaN", "NAN", "None", "none", "NA", "N/A", "n/a", "-", "--")
"""Cells that hold no number."""
_QUOTES, _LEAN_TIME = 11, re.compile(r"^(?:\d{8} \d{2}:\d{2}|\d{1,8}$)")
_EPOCH = re.compile(r"^(?:\d{10}|\d{13}|\d{16}|\d{19})$")
_NEWLINE = ord("\n")
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that was done to a file's content so that it became bars."""

    what: str
    count: int
    """Of the rows, columns or lines that `what` speaks of."""

    def __str__(self) -> str:
        return f"{self.count:,} {self.what}"


@dataclass(slots=True)
class Findings:
    """What reading a file found: `reading` says how it was understood, `changes` what was done."""

    reading: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def change(self, count: int, what: str) -> None:
        """Note a change, unless it touched nothing."""
        if count:
            self.changes.append(Change(what=what, count=int(count)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """The columns that a layout wants, by their place, as Arrow arrays.

    Cells of a CSV file are texts, or numbers where all of the file's are written plainly.
    """

    layout: Layout
    columns: dict[int, Any]
    lines: range | np.ndarray
    """A row's line in a CSV file (from 1), its number (from 0) in any other."""
    word: str
    """How a row is named: "row at line" or "row"."""
    symbol: str | None = None
    """The only symbol, where the names of the columns tell it."""

    def refuse(self, bad: Any, column: int, why: str, remedy: str = "") -> None:
        """Raise `ValueError` for the first bad row of a mask, with its value and the remedy."""
        mask = np.asarray(bad, dtype=bool)
        if not mask.any():
            return
        row = int(mask.argmax())
        value = self.columns[column][row].as_py()
        shown = repr(value if len(str(value)) <= 60 else f"{str(value)[:57]}...")
        raise InputError(
            f"{self.word} {self.lines[row]}, {self.layout.names[column]}: {shown} {why}; "
            f"{mask.sum():,} such value(s) in all: {remedy or 'repair or drop these rows'}"
        )


def read_text(path: Path, findings: Findings) -> Table:
    """The needed columns of a delimited text file, which may be compressed."""
    try:
        return _read_text(path, findings)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise InputError(f"not a whole compressed file ({error}); fetch it again") from error


def _read_text(path: Path, findings: Findings) -> Table:
    with _opened(path) as stream:
        head = stream.read(_HEAD)
    encoding = _encoding(head)
    text = head[: len(head) // 2 * 2 or None].decode(encoding, errors="replace").lstrip("\ufeff")
    if not text.strip():
        raise InputError(f"the file is empty; it needs {NEEDED}")
    lines = re.split(r"\r\n|\r|\n", text)  # as Arrow does
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            raise InputError(
                f"line {number} has more than {MAX_LINE:,} characters; this is no table of bars"
            )
    names, delimiter, skip, vendor = _header(lines, findings)
    names, rows_from = _second_header(names, lines, skip, delimiter)
    names = _as_wide_as_rows(names, lines[rows_from:], delimiter)
    findings.change(rows_from - skip, "further header line(s) skipped")
    skip, layout = rows_from, find_columns(names, vendor)
    if len(head) < _HEAD and not any(line.strip() for line in lines[skip:]):
        raise InputError(NO_ROWS)
    first = next((line for line in lines[skip:] if line.strip()), "")
    how = _Parsing(
        layout=layout,
        delimiter=delimiter,
        skip=skip,
        encoding=encoding,
        first=_cells(first, delimiter),
    )
    return _plain_table(path, how) or _text_table(path, how, findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parsing:
    """How the rows of a text file are told apart and where they begin."""

    layout: Layout
    delimiter: str
    skip: int
    """Lines above the first row."""
    encoding: str
    first: tuple[str, ...]
    """The cells of the first row."""


def _plain_table(path: Path, how: _Parsing) -> Table | None:
    """The table where every row is whole and every number plain; None for all other files."""
    layout, vendor = how.layout, how.layout.vendor
    if vendor is not None and vendor.price_unit != 1:
        return None  # whether its prices are whole numbers is seen in their texts
    kinds = dict.fromkeys(layout.numbers, pa.float64())
    if vendor is None or not vendor.epochs_local:
        kinds |= {i: pa.int64() for i in layout.times if _EPOCH.match(_cell(how.first, i))}
    try:
        table = _parsed(path, how, kinds, lambda _: "error")
    except pa.ArrowInvalid:
        return None
    columns: dict[int, Any] = {}
    for place in layout.wanted if table.num_rows else ():
        column = table[str(place)].combine_chunks()
        table = table.drop_columns(str(place))  # a column at a time: both copies need room
        if place not in layout.numbers and not _is_filled(column):
            return None
        columns[place] = column
    if not columns:
        return None
    pa.default_memory_pool().release_unused()
    rows = len(columns[layout.prices[0]])
    lines = range(how.skip + 1, how.skip + 1 + rows)
    return Table(layout=layout, columns=columns, lines=lines, word="row at line")


def _cell(cells: Sequence[str], place: int) -> str:
    return cells[place] if place < len(cells) else ""


def _is_filled(column: Any) -> bool:
    """Whether no cell is empty, no text begins or ends with a blank or a letter beyond ASCII."""
    buffers = column.buffers()
    if column.null_count or not pa.types.is_string(column.type):
        return not column.null_count
    if column.offset or buffers[2] is None:
        return False
    ends = np.frombuffer(buffers[1], np.int32)[: len(column) + 1]
    letters = np.frombuffer(buffers[2], np.uint8)
    if not (ends[1:] > ends[:-1]).all():
        return False
    edges = (letters[ends[:-1]], letters[ends[1:] - 1])
    return all(bool(((edge > 32) & (edge < 127)).all()) for edge in edges)


def _text_table(path: Path, how: _Parsing, findings: Findings) -> Table:
    layout, skip = how.layout, how.skip
    invalid: list[Any] = []

    def handler(row: Any) -> str:
        if row.actual_columns == 1 and "Downloaded from" in row.text:
            findings.change(1, f"footer left out ({row.text[:60].strip()!r})")
            return "skip"
        invalid.append(row)
        return "error"

    try:
        table = _parsed(path, how, {}, handler)
    except pa.ArrowInvalid as error:
        raise InputError(_parse_error(error, invalid)) from error
    columns = {i: trimmed(table[str(i)]) for i in layout.wanted}
    filled = np.zeros(table.num_rows, dtype=bool)
    for column in columns.values():
        filled |= pc.not_equal(column, "").to_numpy(zero_copy_only=False)
    if not filled.any():
        raise InputError(NO_ROWS)
    num_empty = int(np.flatnonzero(filled)[-1]) + 1 - int(filled.sum())
    findings.change(num_empty, "empty line(s) between the rows skipped")
    rows = np.flatnonzero(filled & ~_header_again(columns, layout, skip, findings))
    if len(rows) < table.num_rows:
        columns = {i: column.take(pa.array(rows)) for i, column in columns.items()}
    return Table(layout=layout, columns=columns, lines=rows + skip + 1, word="row at line")


def _opened(path: Path) -> IO[bytes] | gzip.GzipFile:
    """The text inside a file that may be compressed, whatever it is called."""
    with path.open("rb") as raw:
        magic = raw.read(4)
    if magic.startswith(_GZIP):
        return gzip.open(path)
    if not magic.startswith(_ZIP):
        return path.open("rb")
    archive = zipfile.ZipFile(path)
    inside = [name for name in archive.namelist() if not name.endswith("/")]
    if len(inside) != 1:
        raise InputError(f"the archive holds {len(inside)} files; unpack the one to read")
    if archive.getinfo(inside[0]).flag_bits & 1:
        raise InputError("the archive is protected by a password; unpack it")
    return archive.open(inside[0])


class _Counted:
    """A stream that ends in an error after too many lines, before they fill the memory."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile) -> None:
        self._stream, self._lines, self.closed = stream, 0, False

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data = self._stream.read(size)
        self._lines += int(np.count_nonzero(np.frombuffer(data, np.uint8) == _NEWLINE))
        refuse_long(self._lines)
        return data


def refuse_long(num_rows: int) -> None:
    """Raise `ValueError` for more rows than are read."""
    if num_rows > MAX_ROWS:
        raise InputError(
            f"more than {MAX_ROWS:,} rows; write longer bars, or one file for each symbol"
        )


def _encoding(head: bytes) -> str:
    """UTF-8, or UTF-16 by its mark, else by the zeros that it writes beside ASCII letters."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    even, odd = head[:200:2], head[1:200:2]
    if len(odd) > 2 and 0 in (max(even), max(odd)):
        return "utf-16-be" if max(even) == 0 else "utf-16-le"
    return "utf-8"


_Header = tuple[tuple[str, ...], str, int, Vendor | None]


def _header(lines: Sequence[str], findings: Findings) -> _Header:
    """Names, delimiter, number of lines up to the first row of data, and whom that row tells of."""
    best: tuple[int, int, str, tuple[str, ...]] = (0, 0, ",", ())
    for number, line in enumerate(lines[:_HEADER_LINES]):
        for delimiter in _DELIMITERS:
            cells = _cells(line, delimiter)
            if len(cells) > MAX_COLUMNS:
                raise InputError(
                    f"line {number + 1} has {len(cells):,} columns, more than {MAX_COLUMNS:,}; "
                    "this is no table of bars"
                )
            if (known := count_known(cells)) > best[0]:
                best = (known, number, delimiter, cells)
        if best[0] == 4:
            break
    known, number, delimiter, names = best
    if known < 2:
        return _no_header(lines, findings)
    return names, _noted(delimiter, findings), _above(number, lines, findings) + 1, None


def _no_header(lines: Sequence[str], findings: Findings) -> _Header:
    """The same for a file that begins with data, but for lines of one cell: a URL, a comment."""
    for number, line in enumerate(lines[:_HEADER_LINES]):
        for delimiter in _DELIMITERS:
            cells = _cells(line, delimiter)
            if len(cells) == _QUOTES and _LEAN_TIME.match(" ".join(cells[:1])):
                raise InputError(
                    "these are quotes in QuantConnect LEAN's form: time, open, high, low and close "
                    "of the bid and its size, then of the ask; which price is meant only you can "
                    'say; for the mean write f = pd.read_csv("quotes.csv", header=None) and '
                    "pd.DataFrame((f.iloc[:, 1:5].to_numpy() + f.iloc[:, 6:10].to_numpy()) / 2, "
                    "pd.Index(pd.to_datetime(f[0]), name='timestamp'), "
                    "['open', 'high', 'low', 'close']).to_csv(\"bars.csv\")"
                )
            if names := headerless_names(cells):
                findings.reading.append(f"{NO_HEADER}: columns read as {', '.join(names)}")
                above = _above(number, lines, findings)
                return names, _noted(delimiter, findings), above, vendor_of_row(cells)
        if any(len(_cells(line, delimiter)) > 1 for delimiter in _DELIMITERS):
            break  # another table's header: its order is not known
    first = next(line for line in lines if line.strip())
    find_columns(_cells(first, max(_DELIMITERS, key=first.count)))  # raises: names what is missing
    raise AssertionError("a header without prices was found complete")


def _cells(line: str, delimiter: str) -> tuple[str, ...]:
    try:
        return tuple(next(csv.reader([line], delimiter=delimiter), ()))
    except csv.Error:
        return ()


def _noted(delimiter: str, findings: Findings) -> str:
    if delimiter != ",":
        findings.reading.append(f"columns separated by {_DELIMITERS[delimiter]}")
    return delimiter


def _above(number: int, lines: Sequence[str], findings: Findings) -> int:
    said = [line for line in lines[:number] if line.strip()]
    if said:
        findings.change(len(said), f"line(s) above the table skipped ({said[0].strip()[:60]!r})")
    return number


def _second_header(
    names: tuple[str, ...], lines: Sequence[str], skip: int, delimiter: str
) -> tuple[tuple[str, ...], int]:
    """Step over the lines "Ticker,SPY,..." and "Date,,,..." that pandas writes for two levels."""
    for line in lines[skip : skip + 2]:
        cells = _cells(line, delimiter)
        if cells and is_time_name(cells[0]) and not any(cells[1:]):
            names = (cells[0], *names[1:])
        elif not cells or plain_name(cells[0]) != "ticker":
            break
        skip += 1
    return names, skip


def _as_wide_as_rows(
    names: tuple[str, ...], rows: Sequence[str], delimiter: str
) -> tuple[str, ...]:
    """The names, where the header or the rows end in a delimiter and the other does not."""
    first = next((_cells(line, delimiter) for line in rows if line.strip()), ())
    if len(first) == len(names) + 1 and not first[-1].strip():
        return (*names, "")
    if len(first) == len(names) - 1 and not names[-1].strip():
        return names[:-1]
    return names


def _header_again(
    columns: dict[int, Any], layout: Layout, skip: int, findings: Findings
) -> np.ndarray:
    """Rows that are the header again, as where files were put one below the other."""
    again = np.ones(len(columns[layout.prices[0]]), dtype=bool)
    for place in layout.prices:
        name = layout.names[place].strip()
        again &= pc.equal(columns[place], name).to_numpy(zero_copy_only=False)
    lines = np.flatnonzero(again) + skip + 1
    where = ", ".join(map(str, lines[:3])) + (", ..." if len(lines) > 3 else "")
    findings.change(len(lines), f"header line(s) between the rows skipped (line {where})")
    return again


def _parsed(
    path: Path, how: _Parsing, numbers: Mapping[int, Any], invalid: Callable[[Any], str]
) -> Any:
    """The wanted columns as texts, or what `numbers` says; `invalid` is asked of odd rows."""
    kinds = {str(i): numbers.get(i, pa.string()) for i in how.layout.wanted}
    with _opened(path) as stream:
        return pacsv.read_csv(
            _Counted(stream),
            # One thread, and empty lines kept: so that a row's line is known.
            read_options=pacsv.ReadOptions(
                column_names=[str(i) for i in range(len(how.layout.names))],
                skip_rows=how.skip,
                use_threads=False,
                block_size=_BLOCK,
                encoding=how.encoding,
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=how.delimiter, ignore_empty_lines=False, invalid_row_handler=invalid
            ),
            convert_options=pacsv.ConvertOptions(
                include_columns=list(kinds), column_types=kinds, null_values=MISSING
            ),
        )


def _parse_error(error: Exception, invalid: Sequence[Any]) -> str:
    if invalid:
        row = invalid[0]
        text = row.text if len(row.text) <= 60 else f"{row.text[:57]}..."
        return (
            f"row at line {row.number}: {row.actual_columns:,} cells where the header has "
            f"{row.expected_columns} ({text!r}); repair or drop this line"
        )
    if "straddling" in str(error):
        return f"a line is longer than {_BLOCK:,} bytes; this is no table of bars"
    return f"{error}; repair this line, or save the file as UTF-8 text"


def letters_of(column: Any) -> np.ndarray | None:
    """The bytes of texts that are all of one length, uint8 (rows, length); None of other ones."""
    if not len(column) or column.null_count or not pa.types.is_string(column.type):
        return None
    buffers = column.buffers()
    ends = np.frombuffer(buffers[1], np.int32)[column.offset : column.offset + len(column) + 1]
    length = int(ends[1] - ends[0])
    if not length or not (ends[1:] - ends[:-1] == length).all():
        return None
    letters = np.frombuffer(buffers[2], np.uint8)[ends[0] : ends[-1]]
    rows: np.ndarray = letters.reshape(-1, length)
    return rows


def trimmed(column: Any) -> Any:
    """A column of texts without blanks around them, empty where there is none."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return pc.utf8_trim_whitespace(pc.fill_null(column, ""))
