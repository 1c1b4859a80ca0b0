"""Parquet and Arrow files of bars, as pandas, polars, DuckDB, Spark and ClickHouse write them.

A folder whose folders are named key=value (Hive's way) is one table with these keys as columns.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from convnext_vbt.errors import InputError
from convnext_vbt.market.columns import TIME, Layout, count_known, find_columns
from convnext_vbt.market.tables import MAX_COLUMNS, NO_ROWS, Table, refuse_long, trimmed

COLUMNAR = (".parquet", ".feather", ".arrow")


def read_columnar(path: Path, suffix: str) -> Table:
    """The needed columns of a Parquet or Feather file, under the types they have there."""
    try:
        if path.is_dir():
            layout, fields, symbol, table = _read_folder(path)
        else:
            layout, fields, symbol, table = _read_one(path, suffix)
    except (pa.ArrowException, OSError) as error:
        kind = suffix[1:].capitalize()
        raise InputError(f"not a readable {kind} file ({error}); fetch it again") from error
    return _table_of(layout, fields, symbol, table)


def read_arrow(table: Any) -> Table:
    """The needed columns of an Arrow table, or of a frame as one."""
    layout, fields, symbol = _layout(table.schema)
    return _table_of(layout, fields, symbol, table)


def _table_of(layout: Layout, fields: Sequence[str], symbol: str | None, table: Any) -> Table:
    num_rows = table.num_rows
    refuse_long(num_rows)
    if not num_rows:
        raise InputError(NO_ROWS)
    columns = {}
    for i in layout.wanted:
        columns[i] = _plain_type(table[fields[i]].combine_chunks())
        table = table.drop_columns(fields[i])  # a column at a time: both copies need room
    return Table(
        layout=layout,
        columns=columns,
        lines=range(num_rows),
        word="row",
        symbol=symbol,
    )


_Read = tuple[Layout, list[str], str | None, Any]


def _read_one(path: Path, suffix: str) -> _Read:
    parquet = suffix == ".parquet"
    with pa.memory_map(str(path)) as source:
        file = pq.ParquetFile(source) if parquet else _open_arrow(source)
        refuse_long(file.metadata.num_rows if parquet else 0)
        layout, fields, symbol = _layout(file.schema_arrow if parquet else file.schema)
        names = [fields[i] for i in layout.wanted]
        table = file.read(columns=names) if parquet else file.read_all().select(names)
        return layout, fields, symbol, _with_instants(table, file) if parquet else table


def _open_arrow(source: Any) -> Any:
    """An Arrow file, or a stream of the same that was written to a file."""
    try:
        return pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        try:
            return pa.ipc.open_stream(source)
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_file(source)  # raises what was wrong with it as a file


def _read_folder(path: Path) -> _Read:
    """All Parquet files below a folder; the keys in the folders' names are columns."""
    files = [str(one) for one in path.rglob("*.parquet") if not one.name.startswith((".", "_"))]
    found = ds.dataset(
        sorted(files),
        format="parquet",
        partitioning=ds.HivePartitioning.discover(infer_dictionary=False),
        partition_base_dir=str(path),
    )
    refuse_long(found.count_rows())
    layout, fields, symbol = _layout(found.schema)
    table = found.to_table(columns=[fields[i] for i in layout.wanted])
    return layout, fields, symbol, _with_instants(table, pq.ParquetFile(found.files[0]))


def _with_instants(table: Any, file: pq.ParquetFile) -> Any:
    """The table with INT96 as moments in UTC: Spark's way of writing them, which has no zone."""
    schema = file.schema
    for i in range(len(schema)):
        column = schema.column(i)
        if column.physical_type == "INT96" and column.name in table.column_names:
            place = table.column_names.index(column.name)
            moments = table[place].cast(pa.timestamp("ns")).cast(pa.int64())
            table = table.set_column(place, column.name, moments.cast(pa.timestamp("ns", "UTC")))
    return table


def _layout(schema: Any) -> tuple[Layout, list[str], str | None]:
    """The layout, a stored index being the time; the file's own column names; its symbol."""
    fields = list(schema.names)
    if len(fields) > MAX_COLUMNS:
        raise InputError(f"{len(fields):,} columns, more than {MAX_COLUMNS:,}: no table of bars")
    names, symbol = _one_level(fields)
    metadata = schema.pandas_metadata or {}
    index = [name for name in metadata.get("index_columns", []) if isinstance(name, str)]
    times = [name for name in index if pa.types.is_timestamp(schema.field(name).type)]
    named = [TIME if times == [name] else plain for name, plain in zip(fields, names, strict=True)]
    return find_columns(named), fields, symbol


def _one_level(fields: Sequence[str]) -> tuple[list[str], str | None]:
    """Column names without the level of the only symbol: ('Open', 'SPY') is Open, of SPY."""
    levels = [_levels(name) for name in fields]
    if not any(len(parts) > 1 for parts in levels):
        return list(fields), None
    place = int(count_known([parts[-1] for parts in levels]) == 4)
    if (
        any(len(parts) > 2 for parts in levels)
        or count_known([p[place % len(p)] for p in levels]) < 4
    ):
        raise InputError(
            f"the columns have levels that no prices are found in, such as {fields[0]}"
        )
    symbols = list(dict.fromkeys(p[1 - place] for p in levels if len(p) == 2 and p[1 - place]))
    if len(symbols) > 1:
        shown = ", ".join(symbols[:5]) + (", ..." if len(symbols) > 5 else "")
        raise InputError(
            f"{len(symbols)} symbols side by side ({shown}); write one symbol a file, e.g. "
            f"frame.xs({symbols[0]!r}, axis=1, level={1 - place}), and give a list of files"
        )
    return [p[place] if len(p) == 2 else p[0] for p in levels], symbols[0] if symbols else None


def _levels(name: str) -> tuple[str, ...]:
    """Parts of a column's name: pandas writes ('Open', 'SPY') as the text of a tuple."""
    if name.startswith("(") and name.endswith(")"):
        try:
            parts = ast.literal_eval(name)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return (name,)
        if isinstance(parts, tuple) and parts and all(isinstance(part, str) for part in parts):
            return parts
    return (name,)


def _plain_type(column: Any) -> Any:
    """A column with categories spelt out and texts trimmed."""
    if pa.types.is_dictionary(column.type):
        values = column.dictionary
        if pa.types.is_string_view(values.type):  # polars' categories, which Arrow cannot take from
            values = values.cast(pa.string())
        column = values.take(column.indices)
    kind = column.type
    texts = (
        pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view,
        pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view,
    )  # fmt: skip
    if any(is_kind(kind) for is_kind in texts):
        return trimmed(column.cast(pa.string()))
    return column
