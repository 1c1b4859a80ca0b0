"""The file of a `Predictions`: Parquet rows for everybody, a sealed header for us.

One row a prediction, so that any tool reads them. What rows cannot say (bars without a
prediction, the splits, their fits and quantiles, the target) is JSON in the key-value metadata,
beside a digest over header and values: a file that is not what was written is refused. What the
networks of an ensemble say one by one lies in a second file, NAME.members.parquet, under the same
digest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from convnext_vbt.errors import InputError, MissingFileError
from convnext_vbt.predictions.types import QUANTILE_LEVELS, Split, SplitFit, Target
from convnext_vbt.storage import write_with

T = TypeVar("T")
Fields = dict[str, Any]
"""Every field of a `Predictions` by name, but for its members."""

FORMAT = 3
READABLE = (2, FORMAT)
"""Fits of format 2 carry a temperature, which is passed over: its probabilities are final."""
PROBABILITIES = ("prob_down", "prob_stay", "prob_up")
HEADER, DIGEST = b"convnext_vbt", b"digest"
REMEDY = "delete it and run the strategy again"
DAMAGE = (
    *(pa.ArrowException, OSError, zlib.error),  # no Parquet, or cut off
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError),  # nonsense inside
)
"""What reading a damaged file can raise."""


def write(path: Path, fields: Sequence[Fields]) -> None:
    """Write the file `read` reads, atomically: the fields of the predictions and its members'."""
    main = fields[0]
    made = main["split"] >= 0
    rows, columns = np.nonzero(made)
    symbols = pa.DictionaryArray.from_arrays(
        pa.array(columns, pa.int32()), pa.array(main["symbols"], pa.string())
    )
    key = {
        "timestamp": pa.array(main["index"][rows]),
        "symbol": symbols,
        "split": pa.array(main["split"][made]),
    }
    tables = [
        {name: pa.array(one["proba"][made][:, k]) for k, name in enumerate(_columns(m))}
        for m, one in enumerate(fields)
    ]
    if len(fields) > 1:
        members = {name: column for each in tables[1:] for name, column in each.items()}
        _write(pa.table(key | members), _members_path(path))
    header = json.dumps(_header(fields), sort_keys=True)
    seal = {HEADER: header, DIGEST: _digest(header, fields)}
    _write(pa.table(key | tables[0]).replace_schema_metadata(seal), path)


def _write(table: Any, path: Path) -> None:
    write_with(path, lambda temporary: pq.write_table(table, temporary, write_page_checksum=True))


def _members_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}.members.parquet")


def read(path: Path) -> list[Fields]:
    """Read and verify what `write` wrote: the fields of the predictions, then of each member."""
    if not path.exists():
        raise MissingFileError(f"{path} does not exist; run the strategy first")
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        header = table.schema.metadata[HEADER].decode()
        described = json.loads(header)
        form = described["format"]
    except DAMAGE as error:
        raise InputError(
            f"{path} is not a readable predictions file ({_line(error)}); {REMEDY}"
        ) from error
    if form not in READABLE:
        raise InputError(f"{path} has predictions format {form}, not {FORMAT}; {REMEDY}")
    try:
        tables = [table]
        if len(described["fitted"]) > 1:
            tables.append(pq.read_table(_members_path(path), page_checksum_verification=True))
        found = _fields(tables, described)
        intact = _digest(header, found) == table.schema.metadata[DIGEST].decode()
    except DAMAGE as error:
        raise InputError(f"{path} is damaged ({_line(error)}); {REMEDY}") from error
    if not intact:
        raise InputError(f"{path} is damaged: its digest does not match; {REMEDY}")
    return found


def is_predictions(path: Path) -> bool:
    """Whether a file is one that `write` wrote, going by its header alone."""
    try:
        return HEADER in (pq.read_schema(path).metadata or {})
    except DAMAGE:
        return False


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _header(fields: Sequence[Fields]) -> dict[str, Any]:
    main = fields[0]
    target = main["target"]
    return {
        "format": FORMAT,
        "index": _pack(np.diff(main["index"].asi8, prepend=0)),
        "index_name": None if main["index"].name is None else str(main["index"].name),
        "symbols": list(main["symbols"]),
        "splits": [asdict(split) for split in main["splits"]],
        "fitted": [_fitted(one) for one in fields],
        "target": None if target is None else asdict(target),
        "receptive_field": main["receptive_field"],
    }


def _fields(tables: list[Any], header: dict[str, Any]) -> list[Fields]:
    table = tables[0]
    times = np.cumsum(_unpack(header["index"], np.int64))
    index = pd.DatetimeIndex(times.astype("datetime64[ns]")).tz_localize("UTC")
    index = index.rename(header.get("index_name"))  # by which vectorbt aligns frames; since 0.3
    symbols = tuple(header["symbols"])
    rows = index.get_indexer(pd.DatetimeIndex(table["timestamp"].to_pandas()))
    columns = pd.Index(symbols).get_indexer(table["symbol"].to_pandas())
    split = np.full((len(index), len(symbols)), -1, dtype=np.int16)
    split[rows, columns] = table["split"].to_numpy()
    target = header["target"]

    def one(m: int) -> Fields:
        proba = np.full((*split.shape, 3), np.nan, dtype=np.float32)
        for k, name in enumerate(_columns(m)):
            proba[rows, columns, k] = tables[min(m, 1)][name].to_numpy()
        fitted = header["fitted"][m]
        return {
            "index": index,
            "symbols": symbols,
            "proba": proba,
            "split": split,
            "splits": tuple(_tuples(Split, entry) for entry in header["splits"]),
            "fits": tuple(_fit(entry) for entry in fitted["fits"]),
            "quantiles": _levels(fitted["quantiles"]),
            "nonconformity": _levels(fitted["nonconformity"]),
            "target": None if target is None else Target(**target),
            "receptive_field": header["receptive_field"],
        }

    return [one(m) for m in range(len(header["fitted"]))]


def _columns(m: int) -> list[str]:
    """Names of the probabilities: the ensemble's, or with "_1" and so on a member's."""
    return [f"{name}_{m}" if m else name for name in PROBABILITIES]


def _fitted(one: Fields) -> dict[str, Any]:
    return {
        "fits": [asdict(fit) for fit in one["fits"]],
        "quantiles": _pack_or_none(one["quantiles"]),
        "nonconformity": _pack_or_none(one["nonconformity"]),
    }


def _digest(header: str, fields: Sequence[Fields]) -> str:
    digest = hashlib.sha256(header.encode())
    for one in fields:
        digest.update(one["proba"].tobytes())
    digest.update(fields[0]["split"].tobytes())
    return digest.hexdigest()


def _fit(entry: dict[str, Any]) -> SplitFit:
    return _tuples(SplitFit, {k: v for k, v in entry.items() if k != "temperature"})


def _tuples(kind: type[T], entry: dict[str, Any]) -> T:
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()})


def _levels(text: str | None) -> np.ndarray | None:
    """Quantiles of each split, or None where there are none."""
    if text is None:
        return None
    return _unpack(text, np.float32).reshape(-1, len(QUANTILE_LEVELS))


def _pack_or_none(values: np.ndarray | None) -> str | None:
    return None if values is None else _pack(values)


def _pack(values: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(values).tobytes())).decode()


def _unpack(text: str, dtype: type) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=dtype)
