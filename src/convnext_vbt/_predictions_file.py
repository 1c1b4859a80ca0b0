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
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from convnext_vbt.errors import InputError, MissingFileError
from convnext_vbt.predictions import QUANTILE_LEVELS, Predictions, Split, SplitFit, Target
from convnext_vbt.storage import write_with

T = TypeVar("T")

FORMAT = 2
PROBABILITIES = ("prob_down", "prob_stay", "prob_up")
HEADER, DIGEST = b"convnext_vbt", b"digest"
REMEDY = "delete it and run the strategy again"
DAMAGE = (
    *(pa.ArrowException, OSError, zlib.error),  # no Parquet, or cut off
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError),  # nonsense inside
)
"""What reading a damaged file can raise."""


def write(predictions: Predictions, path: Path) -> None:
    """Write the file `read` reads, atomically."""
    made = predictions.split >= 0
    rows, columns = np.nonzero(made)
    symbols = pa.DictionaryArray.from_arrays(
        pa.array(columns, pa.int32()), pa.array(predictions.symbols, pa.string())
    )
    key = {
        "timestamp": pa.array(predictions.index[rows]),
        "symbol": symbols,
        "split": pa.array(predictions.split[made]),
    }
    tables = [
        {name: pa.array(one.proba[made][:, k]) for k, name in enumerate(_columns(m))}
        for m, one in enumerate((predictions, *predictions.members))
    ]
    if predictions.members:
        members = {name: column for each in tables[1:] for name, column in each.items()}
        _write(pa.table(key | members), _members_path(path))
    table = pa.table(key | tables[0])
    header = json.dumps(_header(predictions), sort_keys=True)
    table = table.replace_schema_metadata({HEADER: header, DIGEST: _digest(header, predictions)})
    _write(table, path)


def _write(table: Any, path: Path) -> None:
    write_with(path, lambda temporary: pq.write_table(table, temporary, write_page_checksum=True))


def _members_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}.members.parquet")


def read(path: Path) -> Predictions:
    """Read and verify what `write` wrote."""
    if not path.exists():
        raise MissingFileError(f"{path} does not exist; run the strategy first")
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        header = table.schema.metadata[HEADER].decode()
        fields = json.loads(header)
        found = fields["format"]
    except DAMAGE as error:
        raise InputError(
            f"{path} is not a readable predictions file ({_line(error)}); {REMEDY}"
        ) from error
    if found != FORMAT:
        raise InputError(f"{path} has predictions format {found}, not {FORMAT}; {REMEDY}")
    try:
        tables = [table]
        if len(fields["fitted"]) > 1:
            tables.append(pq.read_table(_members_path(path), page_checksum_verification=True))
        predictions = _predictions(tables, fields)
        intact = _digest(header, predictions) == table.schema.metadata[DIGEST].decode()
    except DAMAGE as error:
        raise InputError(f"{path} is damaged ({_line(error)}); {REMEDY}") from error
    if not intact:
        raise InputError(f"{path} is damaged: its digest does not match; {REMEDY}")
    return predictions


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _header(predictions: Predictions) -> dict[str, Any]:
    target = predictions.target
    return {
        "format": FORMAT,
        "index": _pack(np.diff(predictions.index.asi8, prepend=0)),
        "symbols": list(predictions.symbols),
        "splits": [asdict(split) for split in predictions.splits],
        "fitted": [_fitted(one) for one in (predictions, *predictions.members)],
        "target": None if target is None else asdict(target),
        "receptive_field": predictions.receptive_field,
    }


def _predictions(tables: list[Any], fields: dict[str, Any]) -> Predictions:
    table = tables[0]
    times = np.cumsum(_unpack(fields["index"], np.int64))
    index = pd.DatetimeIndex(times.astype("datetime64[ns]")).tz_localize("UTC")
    symbols = tuple(fields["symbols"])
    rows = index.get_indexer(pd.DatetimeIndex(table["timestamp"].to_pandas()))
    columns = pd.Index(symbols).get_indexer(table["symbol"].to_pandas())
    split = np.full((len(index), len(symbols)), -1, dtype=np.int16)
    split[rows, columns] = table["split"].to_numpy()
    target = fields["target"]

    def one(m: int, members: tuple[Predictions, ...] = ()) -> Predictions:
        proba = np.full((*split.shape, 3), np.nan, dtype=np.float32)
        for k, name in enumerate(_columns(m)):
            proba[rows, columns, k] = tables[min(m, 1)][name].to_numpy()
        fitted = fields["fitted"][m]
        return Predictions(
            index=index,
            symbols=symbols,
            proba=proba,
            split=split,
            splits=tuple(_tuples(Split, entry) for entry in fields["splits"]),
            fits=tuple(_tuples(SplitFit, entry) for entry in fitted["fits"]),
            quantiles=_levels(fitted["quantiles"]),
            nonconformity=_levels(fitted["nonconformity"]),
            target=None if target is None else Target(**target),
            receptive_field=fields["receptive_field"],
            members=members,
        )

    return one(0, tuple(one(m) for m in range(1, len(fields["fitted"]))))


def _columns(m: int) -> list[str]:
    """Names of the probabilities: the ensemble's, or with "_1" and so on a member's."""
    return [f"{name}_{m}" if m else name for name in PROBABILITIES]


def _fitted(one: Predictions) -> dict[str, Any]:
    return {
        "fits": [asdict(fit) for fit in one.fits],
        "quantiles": _pack_or_none(one.quantiles),
        "nonconformity": _pack_or_none(one.nonconformity),
    }


def _digest(header: str, predictions: Predictions) -> str:
    digest = hashlib.sha256(header.encode())
    for one in (predictions, *predictions.members):
        digest.update(one.proba.tobytes())
    digest.update(predictions.split.tobytes())
    return digest.hexdigest()


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
