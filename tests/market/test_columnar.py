"""Parquet and Arrow as polars, DuckDB, Spark and ClickHouse write them; folders as panels."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from convnext_vbt.market.files import read_file

HOURS = pd.date_range("2026-01-01", periods=40, freq="h", tz="UTC")
CLOSE = np.round(np.linspace(10, 20, 40), 2)
NUMBERS = {"open": CLOSE, "high": CLOSE + 1, "low": CLOSE - 1, "close": CLOSE, "volume": CLOSE * 7}
TEXTS = [time.isoformat() for time in HOURS]


def table(times, kind=None):
    numbers = {name: pa.array(values) for name, values in NUMBERS.items()}
    if kind is not None:
        numbers = {name: values.cast(kind, safe=False) for name, values in numbers.items()}
    return pa.table({"timestamp": times, **numbers})


def arrow(path, content, new=pa.ipc.new_file):
    with pa.OSFile(str(path), "wb") as out, new(out, content.schema) as writer:
        writer.write_table(content)
    return path


def assert_read(path):
    report = read_file(path)
    assert report.bars.index.equals(HOURS.as_unit("ns"))
    np.testing.assert_allclose(report.bars.volume[:, 0], NUMBERS["volume"], rtol=1e-6)
    assert "clock said by the file" in report.times
    return report


@pytest.mark.parametrize(
    "kind", [pa.string_view(), pa.large_string(), pa.binary(), pa.binary_view(), "dictionary"]
)
def test_texts_of_every_type(tmp_path, kind):
    times = pa.array(TEXTS)
    times = times.dictionary_encode() if kind == "dictionary" else times.cast(kind)
    assert_read(arrow(tmp_path / "a.arrow", table(times)))


def test_categories_as_polars_writes_them(tmp_path):
    names = pa.array(["A"]).cast(pa.string_view())
    symbol = pa.DictionaryArray.from_arrays(pa.array([0] * 40, pa.uint32()), names)
    bars = table(pa.array(TEXTS)).append_column("symbol", symbol)
    assert assert_read(arrow(tmp_path / "a.arrow", bars)).bars.symbols == ("A",)


def test_a_stream_that_was_written_to_a_file(tmp_path):
    assert_read(arrow(tmp_path / "a.arrow", table(pa.array(TEXTS)), pa.ipc.new_stream))
    (tmp_path / "b.arrow").write_bytes(b"no arrow at all")
    with pytest.raises(ValueError, match="not a readable Arrow file"):
        read_file(tmp_path / "b.arrow")


@pytest.mark.parametrize("kind", [pa.decimal128(18, 8), pa.decimal256(40, 8), pa.float32()])
def test_numbers_of_every_type(tmp_path, kind):
    pq.write_table(table(pa.array(HOURS), kind), tmp_path / "a.parquet")
    assert_read(tmp_path / "a.parquet")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_moments_of_every_unit(tmp_path, unit):
    moments = pa.array(HOURS.as_unit(unit).asi8).cast(pa.timestamp(unit, "UTC"))
    pq.write_table(table(moments), tmp_path / "a.parquet")
    assert_read(tmp_path / "a.parquet")


def test_seconds_without_a_sign(tmp_path):
    seconds = pa.array(HOURS.as_unit("s").asi8.astype("uint32"))
    pq.write_table(table(seconds), tmp_path / "a.parquet")
    assert_read(tmp_path / "a.parquet")


def test_int96_is_utc(tmp_path):
    moments = pa.array(HOURS.tz_localize(None).as_unit("ns").to_numpy())
    pq.write_table(table(moments), tmp_path / "a.parquet", use_deprecated_int96_timestamps=True)
    assert not assert_read(tmp_path / "a.parquet").changes


@pytest.mark.parametrize("names", [("BTC", "ETH"), ("BTC%2FUSDT", "ETH%2FUSDT")])
def test_folders_named_by_symbol_are_a_panel(tmp_path, names):
    for name in names:
        for part, rows in enumerate((slice(0, 25), slice(25, 40))):
            folder = tmp_path / "bars" / f"symbol={name}" / f"month={part}"
            folder.mkdir(parents=True)
            pq.write_table(table(pa.array(HOURS))[rows], folder / "part-0.parquet")
    (tmp_path / "bars" / "_SUCCESS").touch()
    report = assert_read(tmp_path / "bars")
    assert report.bars.symbols == tuple(name.replace("%2F", "/") for name in names)
