"""Files that were made, or have decayed, to do harm: only our own errors come out, and early."""

import gzip
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnext_vbt.market.bars import Bars
from convnext_vbt.market.files import read_file
from convnext_vbt.market.simulated import simulated_bars
from tests.examples import examples

NAMES = "timestamp,open,high,low,close,volume"
ROW = "2024-01-01T00:00:00Z,10,12,9,11,5"
HUGE = 1 << 34
"""16 GiB: whoever reads all of it before refusing does not finish."""


def sparse(path, head):
    """A file that begins with `head` and ends in a line of 16 GiB, which takes no room on disk."""
    path.write_bytes(head)
    os.truncate(path, HUGE)
    return path


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("", r"line 1 has more than 65,536 characters; this is no table of bars"),
        (f"{NAMES}\n{ROW}\n", r"line 3 has more than 65,536 characters"),
        (f"{NAMES}\n" + f"{ROW}\n" * 20_000, r"a line is longer than 4,194,304 bytes; this is no"),
    ],
)
def test_an_endless_line_is_refused_early(tmp_path, head, message):
    with pytest.raises(ValueError, match=message):
        read_file(sparse(tmp_path / "a.csv", head.encode()))


def test_a_million_columns_are_refused_early(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(",".join(f"c{i}" for i in range(1_000_000)))
    with pytest.raises(ValueError, match="line 1 has more than 65,536 characters"):
        read_file(path)
    path.write_text("," * 20_000 + "\n1")
    with pytest.raises(ValueError, match="line 1 has 20,001 columns, more than 1,000; this is no"):
        read_file(path)
    path.write_text(f"{NAMES}\n{ROW}{',' * 30_000}\n")
    with pytest.raises(ValueError, match=r"line 2: 30,006 cells where the header has 6 \('2024-01"):
        read_file(path)
    wide = pd.DataFrame(np.ones((2, 1_500)), columns=[f"c{i}" for i in range(1_500)])
    wide.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="1,500 columns, more than 1,000: no table of bars"):
        read_file(tmp_path / "a.parquet")


def test_a_gzip_bomb_is_refused_by_its_first_line(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"x" * 30_000_000))
    assert path.stat().st_size < 50_000
    with pytest.raises(ValueError, match="line 1 has more than 65,536 characters"):
        read_file(path)


@pytest.mark.parametrize(
    "symbol",
    [
        "<script>alert(1)</script>",
        "../../etc/passwd",
        "BTC/USDT",
        'a"b',
        "日経平均",
        "=1+1",
    ],
)
def test_any_printable_name_of_a_symbol_stays_as_it_is(tmp_path, symbol):
    bars = simulated_bars(bars=30)
    table = pd.DataFrame({f: bars.frame(f).iloc[:, 0] for f in NAMES.split(",")[1:]})
    table.assign(symbol=symbol).to_csv(tmp_path / "a.csv", index_label="time")
    assert read_file(tmp_path / "a.csv").bars.symbols == (symbol,)


@pytest.mark.parametrize("symbol", ["x" * 300, "a\x1b[2Jb", "a\u202eb"])
def test_a_name_that_could_deceive_is_refused(tmp_path, symbol):
    path = tmp_path / "a.csv"
    path.write_text(f"{NAMES},symbol\n{ROW},{symbol}\n{ROW.replace('T00', 'T01')},{symbol}\n")
    message = r"a symbol's name has 1 to 100 printable characters, got \d+: .*; give another"
    with pytest.raises(ValueError, match=message) as caught:
        read_file(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["a.csv.gz", "a.parquet", "a.feather"])
def test_too_many_rows_are_refused(tmp_path, monkeypatch, name):
    """A file of 8 MB may hold 50 million rows."""
    table = simulated_bars(bars=501).frame("close")
    table = pd.concat([table] * 4, axis=1, keys=["open", "high", "low", "close"])
    table = table.set_axis(["open", "high", "low", "close"], axis=1).reset_index(names="time")
    written = {
        "a.csv.gz": table.to_csv,
        "a.parquet": table.to_parquet,
        "a.feather": table.to_feather,
    }
    written[name](tmp_path / name)
    assert len(read_file(tmp_path / name).bars) == 501
    monkeypatch.setattr("convnext_vbt.market.tables.MAX_ROWS", 500)
    with pytest.raises(ValueError, match="more than 500 rows; write longer bars, or one file for"):
        read_file(tmp_path / name)


def test_too_many_symbols_are_refused(tmp_path):
    lines = [f"{ROW},S{i}" for i in range(1_001)]
    (tmp_path / "a.csv").write_text("\n".join([f"{NAMES},symbol", *lines]))
    with pytest.raises(ValueError, match="holds 1,001 symbols, at most 1,000 are read"):
        read_file(tmp_path / "a.csv")


def outcome(path):
    """Bars, or the one line of our own error; anything else fails the test."""
    message = ""
    try:
        made = read_file(path).bars
    except ValueError as error:
        message, made = str(error), None
    assert isinstance(made, Bars) or message.startswith(f"{path}: ")
    assert "\n" not in message
    return made


@examples(40)
@given(
    data=st.binary(max_size=300), suffix=st.sampled_from([".csv", ".csv.gz", ".parquet", ".zip"])
)
def test_any_bytes_end_in_bars_or_in_our_own_error(tmp_path_factory, data, suffix):
    path = tmp_path_factory.mktemp("fuzz") / f"a{suffix}"
    path.write_bytes(data)
    outcome(path)


CELLS = st.one_of(
    st.sampled_from(
        [
            "", "nan", "inf", "-1", "0", "1e308", "1e999", "1,5", "1.5.2", "2024-01-01", "PM", "$5",
            "12:30", "1704067200", "1704067200000000000", "9" * 20, "\x00", "1.5K", "-", "٣", "½",
        ]
    ),
    st.text(max_size=8),
    st.floats(allow_nan=False).map(str),
    st.integers(-(10**20), 10**20).map(str),
    st.datetimes().map(str),
)  # fmt: skip
HEADS = st.permutations([*NAMES.split(","), "date", "time", "Volume USD", "symbol", "tickvol"])


@examples(50)
@given(
    head=HEADS,
    rows=st.lists(st.lists(CELLS, min_size=11, max_size=11), max_size=4),
    delimiter=st.sampled_from(",;\t"),
    with_head=st.booleans(),
)
def test_any_cells_end_in_bars_or_in_our_own_error(
    tmp_path_factory, head, rows, delimiter, with_head
):
    path = tmp_path_factory.mktemp("fuzz") / "a.csv"
    lines = [delimiter.join(line) for line in ([head] if with_head else []) + rows]
    path.write_bytes("\n".join(lines).encode("utf-8", errors="replace"))
    outcome(path)


@examples(50)
@given(
    place=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    cell=CELLS,
    stamps=st.sampled_from(["%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y %H:%M", "%s", "%Y-%m-%d %I:%M %p"]),
)
def test_one_strange_cell_is_refused_or_read_as_a_number(tmp_path_factory, place, cell, stamps):
    times = pd.date_range("2024-01-13", periods=6, freq="h", tz="UTC")
    rows = [[f"{time:{stamps}}", "10", "12", "9", "11", "5"] for time in times]
    rows[place[0]][place[1]] = cell
    path = tmp_path_factory.mktemp("fuzz") / "a.csv"
    text = "\n".join([NAMES, *(",".join(row) for row in rows)])
    path.write_bytes(text.encode("utf-8", errors="replace"))
    made = outcome(path)
    if made is not None:
        assert len(made) <= 6
        assert (made.high >= made.low).all()


@examples(40)
@given(
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=5),
    kind=st.sampled_from(["parquet", "feather", "csv.gz"]),
)
def test_a_decayed_file_ends_in_bars_or_in_our_own_error(tmp_path_factory, flips, kind):
    folder = tmp_path_factory.mktemp("fuzz")
    bars = simulated_bars(bars=30)
    table = pd.DataFrame({f: bars.frame(f).iloc[:, 0].to_numpy() for f in NAMES.split(",")[1:]})
    table.insert(0, "timestamp", bars.index)
    path = folder / f"a.{kind}"
    {"parquet": table.to_parquet, "feather": table.to_feather}.get(kind, table.to_csv)(path)
    data = bytearray(path.read_bytes())
    for where, bits in flips:
        data[min(int(where * len(data)), len(data) - 1)] ^= bits
    path.write_bytes(data)
    outcome(path)
