"""Bars from files as exchanges, vendors and terminals write them.

CSV and other delimited text (also inside gzip or zip), Parquet and Feather, one row a bar. Columns
are found by their names (`market.columns`), times by what stands in them (`market.timestamps`),
numbers in one notation a file (`market.cells`), its clock and stamp by what it says, what the user
says, or whose file it is (`market.settling`). What is clear is put right and listed, what is not is
refused (`market.repairs`).
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from convnext_vbt.errors import InputError, MissingFileError
from convnext_vbt.market.bars import FIELDS, Bars
from convnext_vbt.market.cells import read_numbers
from convnext_vbt.market.clock import ASSUMED, TOLD, Clock, Settled
from convnext_vbt.market.columnar import COLUMNAR, read_arrow, read_columnar
from convnext_vbt.market.columns import PRICES
from convnext_vbt.market.localtime import refuse_local_time, refuse_repeated_hours
from convnext_vbt.market.passes import are_sound
from convnext_vbt.market.repairs import (
    drop_empty,
    in_order,
    refuse_copies,
    refuse_impossible,
    refuse_mixed_spacing,
    refuse_swapped,
    without_forming,
    without_noise,
    without_weekend_filler,
)
from convnext_vbt.market.settling import at_open, in_utc, refuse_close_stamps, settle
from convnext_vbt.market.tables import NO_HEADER, Change, Findings, Table, read_text
from convnext_vbt.market.timestamps import read_times
from convnext_vbt.market.units import in_price_units, with_volume

logger = logging.getLogger("convnext_vbt")

SUFFIXES = (
    ".csv.gz", ".csv.zip", ".csv", ".tsv", ".txt", ".zip", ".parquet", ".feather", ".arrow",
)  # fmt: skip
MAX_SYMBOL = 100
"""Longest name of a symbol, in characters."""
MAX_SYMBOLS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FileReport:
    """Bars from a file, how it was understood, and all that was done to it."""

    bars: Bars
    reading: tuple[str, ...]
    """How the file was understood: columns, unit of the epochs, order of day and month."""
    changes: tuple[Change, ...]
    """What was put right, left out or converted, with its count; nothing else was."""
    times: str = str(TOLD)
    """Whose clock the times are on and what they stand for, and who says so, in one line."""


def read_bars(
    path: str | Path,
    symbol: str | None = None,
    *,
    strict: bool = False,
    clock: Clock | None = None,
) -> Bars:
    """Bars from a file; every change that was made to its content is logged as a warning.

    See `read_file`, which returns the changes, for arguments and errors.
    """
    return logged(path, read_file(path, symbol, strict=strict, clock=clock))


def logged(name: object, report: FileReport) -> Bars:
    """The bars of a report, once its times and changes are logged."""
    logger.info("%s: %s", name, report.times)
    for change in report.changes:
        logger.warning("%s: %s", name, change)
    return report.bars


def read_file(
    path: str | Path,
    symbol: str | None = None,
    *,
    strict: bool = False,
    clock: Clock | None = None,
) -> FileReport:
    """Bars from a file, with how it was read and the list of changes.

    A single symbol is named by `symbol`, else by the file's symbol column, else after the file;
    several in one column make a panel. `strict` refuses a file that would need any change. `clock`
    is what the user says of its times.

    Raises `FileNotFoundError` when there is no such file and `ValueError`, in one line that names
    the file, the row (by its line in a CSV file, else from 0), the value and the remedy, for
    everything that cannot be known.
    """
    path = Path(path).expanduser()
    suffix = _suffix(path)
    stem = path.name if path.is_dir() else path.name[: -len(suffix)]

    def table(findings: Findings) -> Table:
        return read_columnar(path, suffix) if suffix in COLUMNAR else read_text(path, findings)

    return _report(str(path), table, symbol, stem, clock or Clock(), strict=strict)


def read_frame(
    frame: Any,
    symbol: str | None = None,
    *,
    strict: bool = False,
    clock: Clock | None = None,
    name: str = "",
) -> FileReport:
    """The same of a `DataFrame`, an Arrow table, or what gives itself as one, as polars' frames do.

    A frame's index of times is its column timestamp. `name` is what errors call it; bars whose name
    nothing tells are those of "asset".
    """

    def table(_: Findings) -> Table:
        if isinstance(frame, pd.DataFrame):
            return read_arrow(pa.Table.from_pandas(frame))
        return read_arrow(pa.table(frame))

    name = name or type(frame).__name__
    return _report(name, table, symbol, "asset", clock or Clock(), strict=strict)


def _report(
    name: str,
    read: Callable[[Findings], Table],
    symbol: str | None,
    stem: str,
    clock: Clock,
    *,
    strict: bool,
) -> FileReport:
    findings = Findings()
    try:
        bars, settled = _bars(read(findings), symbol, stem, clock, findings)
        if strict and findings.changes:
            changes = "; ".join(map(str, findings.changes))
            raise InputError(f"strict reading changes nothing, and this file needs it: {changes}")
    except (ValueError, TypeError, OverflowError, pa.ArrowException) as error:
        message = " ".join(str(error).split())  # Arrow's may span lines
        guess = [text for text in findings.reading if text.startswith(NO_HEADER)]
        message += f" ({guess[0]})" if guess else ""
        raise InputError(f"{name}: {message}") from error
    return FileReport(
        bars=bars,
        reading=tuple(findings.reading),
        changes=tuple(findings.changes),
        times=str(settled),
    )


def _bars(
    table: Table, symbol: str | None, stem: str, said: Clock, findings: Findings
) -> tuple[Bars, Settled]:
    layout = table.layout
    times = read_times(table, findings)
    settled = settle(table, times, said, findings)
    numeric = dict(zip(PRICES, layout.prices, strict=True))
    optional = {"volume": layout.volume, "ticks": layout.ticks, "quote": layout.quote_volume}
    optional |= {"funding": layout.funding, "amount": layout.amount}
    optional |= {"confirm": layout.confirm}
    optional |= {f"part {n}": place for n, place in enumerate(layout.parts)}
    numeric |= {name: place for name, place in optional.items() if place is not None}
    rows = pd.DataFrame(read_numbers(table, numeric, findings), index=table.lines, copy=False)
    used = {*times.columns, *numeric.values()}
    rows = with_volume(in_price_units(rows, table, findings), table, used, findings)
    rows.insert(0, "time", times.nanos)
    names = _symbols(table, findings)
    if names is not None and layout.symbol is not None:
        used.add(layout.symbol)
    _tell_columns(table, used, findings)
    if names is None or len(names) == 1:
        name = symbol or table.symbol or (next(iter(names)) if names else stem)
        groups = {_checked_name(name): rows}
    elif symbol is not None:
        raise InputError(f"the file holds {len(names)} symbols, they cannot all be {symbol!r}")
    else:
        groups = {_checked_name(name): rows[mask] for name, mask in names.items()}
    frames = {}
    for name, part in groups.items():
        try:
            frames[name] = _frame(part, table, settled, times.dates, findings)
        except ValueError as error:
            raise InputError(f"{name}: {error}" if len(groups) > 1 else str(error)) from error
    return Bars.from_frames(frames, checked=True), settled


def _frame(
    rows: pd.DataFrame, table: Table, settled: Settled, dates: bool, findings: Findings
) -> pd.DataFrame:
    """One symbol's rows as bars in order."""
    word, layout = table.word, table.layout
    assumed = settled.zone_by == ASSUMED and not dates
    rows = without_forming(rows, findings)
    if not are_sound({name: rows[name].to_numpy() for name in FIELDS}):
        rows = without_noise(drop_empty(rows, word, findings), findings)
        refuse_impossible(rows, word)
    if layout.volume is not None and layout.quote_volume is not None and "quote" in rows:
        names = (layout.names[layout.volume], layout.names[layout.quote_volume])
        refuse_swapped(rows, rows["quote"].to_numpy(), names, word)
    if assumed:
        refuse_repeated_hours(rows, word)
    rows = in_order(in_utc(rows, settled, word, findings), word, findings)
    rows = without_weekend_filler(rows, findings)
    refuse_mixed_spacing(rows, word)
    if assumed:
        refuse_local_time(rows, word)
    refuse_close_stamps(rows, settled, word)
    refuse_copies(rows, word)
    rows = at_open(rows, settled, dates, findings)
    index = pd.DatetimeIndex(rows["time"].to_numpy().view("M8[ns]"), tz="UTC", copy=False)
    wanted = [*FIELDS, *(["funding"] if layout.funding is not None else [])]
    return rows[wanted].set_axis(index, axis=0)


def _tell_columns(table: Table, used: set[int], findings: Findings) -> None:
    names = table.layout.names
    ignored = [names[i].strip() or "(no name)" for i in range(len(names)) if i not in used]
    shown = ", ".join(name[:40] for name in ignored[:12]) + (", ..." if len(ignored) > 12 else "")
    findings.change(len(ignored), f"column(s) ignored: {shown}")


def _symbols(table: Table, findings: Findings) -> dict[str, np.ndarray] | None:
    """The rows of each symbol, None where no column names them; BTCUSDT and BTC/USDT are one."""
    if table.layout.symbol is None:
        return None
    column = pc.fill_null(table.columns[table.layout.symbol].cast(pa.string()), "")
    nameless = pc.equal(column, "").to_numpy(zero_copy_only=False)
    table.refuse(nameless, table.layout.symbol, "names no symbol", "fill in the symbol's name")
    spelt = [str(name) for name in pc.unique(column).to_pylist()]
    if len(spelt) > MAX_SYMBOLS:
        raise InputError(f"the file holds {len(spelt):,} symbols, at most {MAX_SYMBOLS:,} are read")
    groups: dict[str, list[str]] = {}
    for name in spelt:
        groups.setdefault("".join(c for c in name.upper() if c.isalnum()) or name, []).append(name)
    codes = np.asarray(column.to_pandas().astype(str))
    out = {}
    for same in groups.values():
        name = max(same, key=len)
        out[name] = np.isin(codes, same)
        others = [other for other in same if other != name]
        findings.change(
            sum(int((codes == other).sum()) for other in others),
            f"row(s) of {', '.join(others)} taken as {name}",
        )
    return out


def _checked_name(name: str) -> str:
    if not name or len(name) > MAX_SYMBOL or not name.isprintable():
        raise InputError(
            f"a symbol's name has 1 to {MAX_SYMBOL} printable characters, got {len(name)}: "
            f"{name[:40]!r}; give another"
        )
    return name


def _suffix(path: Path) -> str:
    """The known suffix of an existing file."""
    if path.is_dir() and any(path.rglob("*.parquet")) and not any(path.glob("*.parquet")):
        return ".parquet"  # a table in folders named key=value
    if path.is_dir():
        inside = [item.name for item in sorted(path.iterdir()) if _known(item.name)]
        hint = f"name one of its files: {', '.join(inside[:5])}" if inside else "name a file"
        raise InputError(f"{path} is a directory; {hint}")
    if not path.exists():
        nearby = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, nearby, n=1)
        hint = f"did you mean {path.with_name(close[0])}?" if close else "check the path"
        raise MissingFileError(f"{path} does not exist; {hint}")
    suffix = _known(path.name)
    if suffix is None:
        raise InputError(
            f"{path}: files of kind {path.suffix or '(no suffix)'} are not read; "
            f"give one that ends in {', '.join(SUFFIXES)}"
        )
    return suffix


def _known(name: str) -> str | None:
    return next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)
