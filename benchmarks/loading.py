"""Loading bars with every check, against the bare readers: polars for CSV, pyarrow for Parquet.

Run `python -m benchmarks.loading [--quick]`. The rivals read the same file of minute bars into the
same arrays, times as datetime64 and five columns of float64, and check nothing; `load_bars` finds
the columns, checks, orders and mends. Seconds are of the processor, over all threads.
`peak_over_arrays` is the memory that a load takes at its peak, over that of the arrays that it
gives, in a new process that has loaded a short file before: the greater of the two formats.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

import convnext_vbt as cv
from benchmarks.timing import paired_medians

FIELDS = ("open", "high", "low", "close", "volume")
NUM_BARS, SHORT_BARS = 2_000_000, 10_000
PEAK = """
import re, sys
from pathlib import Path
import convnext_vbt as cv

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

cv.load_bars(sys.argv[1])
before = peak()
bars = cv.load_bars(sys.argv[2])
arrays = bars.index.asi8.nbytes + sum(getattr(bars, f).nbytes for f in sys.argv[3:])
print((peak() - before) / arrays)
"""


def minute_bars(count: int) -> pd.DataFrame:
    """A random walk in cents, one bar a minute."""
    rng = np.random.default_rng(0)
    close = np.round(20_000 + np.cumsum(rng.normal(0, 4, count)), 2).clip(100)
    opened = np.append(close[0], close[:-1])
    up, down = np.round(rng.exponential(3, (2, count)), 2)
    values = {
        "open": opened,
        "high": np.round(np.fmax(opened, close) + up, 2),
        "low": np.round(np.fmin(opened, close) - down, 2),
        "close": close,
        "volume": np.round(rng.exponential(12, count) + 0.001, 3),
    }
    times = pd.date_range("2020-01-01", periods=count, freq="min", tz="UTC", name="timestamp")
    return pd.DataFrame(values, index=times).reset_index()


def written(folder: Path, count: int) -> dict[str, Path]:
    """The same bars as CSV.gz with ISO times, as CSV.gz with epochs, and as Parquet."""
    frame = minute_bars(count)
    paths = {name: folder / f"{name}{count}.csv.gz" for name in ("iso", "epochs")}
    paths["parquet"] = folder / f"{count}.parquet"
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), paths["parquet"])
    texts = frame["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    epochs = frame["timestamp"].dt.as_unit("ms").astype("int64")
    for name, times in (("iso", texts), ("epochs", epochs)):
        with gzip.open(paths[name], "wb", compresslevel=6) as file:
            pl.from_pandas(frame.assign(timestamp=times)).write_csv(file)
    return paths


def polars_iso(path: Path) -> list[np.ndarray]:
    """Times and five columns as polars reads them from ISO texts, the quickest of its ways."""
    table = pl.read_csv(path)  # `try_parse_dates` takes three times as long
    times = table["timestamp"].str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="ns")
    return [times.to_numpy(), *(table[name].to_numpy() for name in FIELDS)]


def polars_epochs(path: Path) -> list[np.ndarray]:
    """The same from epochs in milliseconds."""
    table = pl.read_csv(path)
    times = table["timestamp"].cast(pl.Datetime("ms")).cast(pl.Datetime("ns"))
    return [times.to_numpy(), *(table[name].to_numpy() for name in FIELDS)]


def pyarrow_parquet(path: Path) -> list[np.ndarray]:
    """Times and five columns as pyarrow reads them."""
    table = pq.read_table(path)
    times = table["timestamp"].to_numpy().astype("M8[ns]")
    return [times, *(table[name].to_numpy() for name in FIELDS)]


RIVALS: dict[str, Callable[[Path], list[np.ndarray]]] = {
    "iso": polars_iso,
    "epochs": polars_epochs,
    "parquet": pyarrow_parquet,
}
NAMES = {
    "iso": "csv_over_polars",
    "epochs": "epochs_over_polars",
    "parquet": "parquet_over_pyarrow",
}


def assert_same(bars: cv.Bars, arrays: list[np.ndarray]) -> None:
    """Both have read the same."""
    times, *values = arrays
    assert np.array_equal(bars.index.tz_localize(None).to_numpy(), times)
    for name, column in zip(FIELDS, values, strict=True):
        assert np.array_equal(getattr(bars, name)[:, 0], column)


def peak_over_arrays(short: Path, path: Path) -> float:
    """Memory at the peak of a load, above what was there, over that of the arrays."""
    command = [sys.executable, "-c", PEAK, str(short), str(path), *FIELDS]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Time each format, print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="each once")
    repeats = 1 if parser.parse_args().quick else 5
    result: dict[str, float] = {}
    print(f"{NUM_BARS:,} minute bars, processor seconds\n")
    with tempfile.TemporaryDirectory() as folder:
        short, paths = written(Path(folder), SHORT_BARS), written(Path(folder), NUM_BARS)
        for kind, rival in RIVALS.items():
            path = paths[kind]
            assert_same(cv.load_bars(path), rival(path))
            ours, theirs = paired_medians(
                lambda path=path: cv.load_bars(path),
                lambda path=path, rival=rival: rival(path),
                repeats=repeats,
                clock=time.process_time,
            )
            result[NAMES[kind]] = ours / theirs
            print(f"{rival.__name__:16}{theirs:8.3f}{ours:8.3f}{ours / theirs:7.2f}")
        peaks = {kind: peak_over_arrays(short[kind], paths[kind]) for kind in paths}
    print("\npeak over arrays:", ", ".join(f"{kind} {value:.2f}" for kind, value in peaks.items()))
    result["peak_over_arrays"] = max(peaks.values())
    print(json.dumps({name: round(value, 3) for name, value in result.items()}))


if __name__ == "__main__":
    main()
