import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnext_vbt.market.bars import FIELDS, Bars
from convnext_vbt.market.files import read_bars
from convnext_vbt.market.simulated import simulated_bars
from tests.examples import examples

BARS = simulated_bars(bars=48)
TABLE = pd.DataFrame({field: BARS.frame(field)["SIM/USDT"] for field in FIELDS}).rename_axis(
    "timestamp"
)
HEADER = "timestamp,open,high,low,close,volume"
GZIPPED = "\n".join([HEADER, "2024-01-01T00:00:00Z,10,12,9,11,5"]).encode()
LINES = [f"2024-01-01T0{h}:00:00Z,10,12,9,11,5" for h in range(4)]


def csv_file(folder, *lines, name="prices.csv", header=HEADER):
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".CSV"])
def test_a_csv_file_comes_back_to_the_last_bit(tmp_path, suffix):
    path = tmp_path / f"btc{suffix}"
    TABLE.to_csv(path)
    assert read_bars(path).symbols == ("btc",)
    assert read_bars(path, symbol="SIM/USDT").fingerprint() == BARS.fingerprint()


@pytest.mark.parametrize(
    "table",
    [
        TABLE,
        TABLE.rename_axis(None),
        TABLE.reset_index(),
        TABLE.set_axis(TABLE.index.tz_convert("Asia/Tokyo"), axis=0),
        TABLE.set_axis(TABLE.index.tz_localize(None).as_unit("us"), axis=0),
        TABLE.reset_index().assign(timestamp=TABLE.index.as_unit("ms").asi8),
        TABLE.reset_index().assign(timestamp=TABLE.index.strftime("%Y-%m-%dT%H:%M:%SZ")),
        TABLE.assign(extra="ignored", returns=np.nan),
    ],
)
def test_a_parquet_file_comes_back_to_the_last_bit(tmp_path, table):
    path = tmp_path / "btc.parquet"
    table.to_parquet(path)
    assert read_bars(path, symbol="SIM/USDT").fingerprint() == BARS.fingerprint()


TIMES = TABLE.index


@pytest.mark.parametrize(
    "stamps",
    [
        TIMES.strftime("%Y-%m-%dT%H:%M:%SZ"),
        TIMES.strftime("%Y-%m-%d %H:%M"),
        TIMES.strftime("%Y-%m-%d %H:%M:%S.000000"),
        TIMES.tz_convert("Asia/Kolkata").strftime("%Y-%m-%dT%H:%M:%S%z"),
        # Different offsets in one file are one clear time each.
        [f"{t.tz_convert(z)}" for t, z in zip(TIMES, ["Asia/Tokyo", "UTC"] * 24, strict=True)],
        TIMES.as_unit("s").asi8,
        TIMES.as_unit("ms").asi8,
        TIMES.as_unit("us").asi8,
        TIMES.asi8,
    ],
)
def test_every_way_to_write_a_time_gives_the_same_bars(tmp_path, stamps):
    path = tmp_path / "btc.csv"
    TABLE.set_axis(pd.Index(stamps, name="timestamp"), axis=0).to_csv(path)
    assert read_bars(path, symbol="SIM/USDT").fingerprint() == BARS.fingerprint()


def test_new_york_sessions_cross_the_change_of_clocks(tmp_path):
    path = csv_file(
        tmp_path, "2024-03-08 09:30:00-05:00,1,1,1,1,1", "2024-03-11 09:30:00-04:00,1,1,1,1,1"
    )
    assert [str(t) for t in read_bars(path).index.time] == ["14:30:00", "13:30:00"]


def test_days_mean_midnight_utc(tmp_path):
    path = csv_file(tmp_path, "2024-03-08,1,1,1,1,1", "2024-03-11,1,1,1,1,1")
    assert str(read_bars(path).index[1]) == "2024-03-11 00:00:00+00:00"


def test_case_order_spaces_byte_order_mark_and_extra_columns_do_not_matter(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_bytes(
        b"\xef\xbb\xbfVolume, Close,LOW,High,Open,Date,note\r\n"
        b"5,11, 9,12,10,2024-01-01,a\r\n6,12,9,12.5,11,2024-01-02,\r\n\r\n"
    )
    bars = read_bars(path)
    assert [getattr(bars, field)[1, 0] for field in FIELDS] == [11, 12.5, 9, 12, 6]


def replaced(row, line):
    return [*LINES[:row], line, *LINES[row + 1 :]]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], r"no rows; a file needs at least two bars"),
        (LINES[:1], r"at least 2 rows, got 1"),
        (replaced(2, "2024-01-01T02:00:00Z,10,x12,9,11,5"), r"line 4, high: 'x12' is not a number"),
        (replaced(2, "2024-01-01T02:00:00Z,10,1_2,9,11,5"), r"line 4, high: '1_2' is not a number"),
        (
            replaced(2, "2024-01-01T02:00:00Z,,12,9,11,5"),
            r"line 4, open: the value is missing; 1 s",
        ),
        (replaced(2, "2024-01-01T02:00:00Z,nan,12,9,11,5"), r"line 4, open: the value is missing"),
        (replaced(2, "2024-01-01T02:00:00Z,10,12,9,11,"), r"line 4, volume: the value is missing"),
        (replaced(2, "2024-01-01T02:00:00Z,,,,,7"), r"line 4, open: the value is missing"),
        (replaced(2, "2024-01-01T02:00:00Z,inf,12,9,11,5"), r"line 4 .*open: a price must be fin"),
        (replaced(2, "2024-01-01T02:00:00Z,-10,12,9,11,5"), r"line 4 .*open: a price .*open=-10"),
        (replaced(2, "2024-01-01T02:00:00Z,10,8,9,11,5"), r"line 4 .*the high lies below the low"),
        (replaced(2, "2024-01-01T02:00:00Z,10,12,9,11,-5"), r"line 4 .*volume must be finite and"),
        (replaced(2, ",10,12,9,11,5"), r"line 4, timestamp: '' is not like 2024-01-31T13:00:00Z"),
        (replaced(2, "2024-13-01,10,12,9,11,5"), r"line 4, timestamp: '2024-13-01' is not like"),
        (replaced(2, "2024-02-30,10,12,9,11,5"), r"line 4, timestamp: '2024-02-30' is not like"),
        (
            replaced(2, "2024-01-01T02:00:00,10,12,9,11,5"),
            r"line 4, .*'2024-01-01T02:00:00' lacks the UTC offset.*time zones are mixed",
        ),
        (
            [line.replace("Z", "") for line in replaced(0, "x")[1:]] + LINES[3:],
            r"line 5, .*has a UTC offset, others do not: the time zones are mixed; 1 such",
        ),
        (replaced(2, LINES[1][:-1] + "7"), r"line 4: 2024-01-01 01.*volume 5 and 7; .* row is 3\)"),
        (
            replaced(2, LINES[2] + ",1,2"),
            r"line 4: 8 cells where the header has 6 \('2024-01-01T02",
        ),
        ([f"{i},10,12,9,11,5" for i in range(4)], r"line 2, timestamp: '0' is neither a time such"),
    ],
)
def test_a_fault_names_file_row_value_and_remedy_in_one_line(tmp_path, lines, message):
    path = csv_file(tmp_path, *lines)
    with pytest.raises(ValueError, match=message) as caught:
        read_bars(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("when,open,high,low,close,volume", r"column\(s\) timestamp not found"),
        ("timestamp,open,high,low,closing,volume", r"column\(s\) close not found among times"),
        ("timestamp,open,high,low,close,volume,Close", r"column close is there twice"),
        ("timestamp,open,high,low,close,volume,Timestamp", r"column timestamp is there twice"),
        ("Päiväys,Avaus,Ylin,Alin,Päätös,Määrä", r"\(s\) timestamp, open, high, low, close not"),
        ("timestamp;open;high;low;close;volume", r"line 2: 1 cells where the header has 6"),
    ],
)
def test_an_unknown_layout_is_refused_by_its_columns(tmp_path, header, message):
    with pytest.raises(ValueError, match=message):
        read_bars(csv_file(tmp_path, *LINES, header=header))


def test_a_missing_file_suggests_its_neighbour(tmp_path):
    csv_file(tmp_path, *LINES, name="btcusdt_1h.csv")
    with pytest.raises(
        FileNotFoundError, match=r"does not exist; did you mean .*/btcusdt_1h.csv\?"
    ):
        read_bars(tmp_path / "btcusd_1h.csv")
    with pytest.raises(FileNotFoundError, match=r"nowhere/x.csv does not exist; check the path"):
        read_bars(tmp_path / "nowhere" / "x.csv")


def test_a_directory_names_its_files(tmp_path):
    csv_file(tmp_path, *LINES, name="a.csv")
    with pytest.raises(ValueError, match=r"is a directory; name one of its files: a\.csv"):
        read_bars(tmp_path)


@pytest.mark.parametrize("name", ["prices.xlsx", "prices", "prices.gz"])
def test_an_unknown_suffix_names_the_known_ones(tmp_path, name):
    (tmp_path / name).write_text("x")
    with pytest.raises(
        ValueError, match=r"are not read; give one .*\.csv\.gz, .*\.csv, .*\.parquet"
    ):
        read_bars(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"", r"the file is empty; it needs columns timestamp, open"),
        ("a.csv", b" \n\n", r"the file is empty"),
        ("a.csv.gz", b"", r"the file is empty"),
        (
            "a.csv.gz",
            gzip.compress(GZIPPED, mtime=0)[:-9],
            r"not a whole compressed file .*fetch it again",
        ),
        ("a.csv.gz", gzip.compress(GZIPPED, mtime=0)[:40], r"not a whole compressed file"),
        ("a.zip", b"PK\x03\x04 and more of it", r"not a whole compressed file"),
        ("a.csv", HEADER.encode() + b"\n\xff\xfe,1,1,1,1,1\n", r"invalid UTF8.*save .* as UTF-8"),
        ("a.csv", HEADER.encode() + b'\n"2024-01-01,1,1,1,1,1\n', r"line 2: 1 cells where"),
        ("a.parquet", b"", r"not a readable Parquet file"),
        ("a.parquet", b"PAR1 and more of it", r"not a readable Parquet file .*fetch it again"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        read_bars(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"close": pa.nulls(48, pa.float64())}, r"row 0, close: the value is missing; 48 such"),
        ({"close": pa.array(["x"] * 48)}, r"row 0, close: 'x' is not a number; 48 such"),
        ({"close": pa.array([[1.0]] * 48)}, r"close has type list<.*write numbers"),
        ({"timestamp": pa.array([1.5] * 48)}, r"timestamp has type double; write timestamps"),
        ({"timestamp": pa.nulls(48, pa.timestamp("us"))}, r"row 0, timestamp: None is missing"),
    ],
)
def test_parquet_values_are_checked_like_text(tmp_path, change, message):
    table = pa.table({name: TABLE.reset_index()[name] for name in HEADER.split(",")})
    for name, values in change.items():
        table = table.set_column(table.column_names.index(name), name, values)
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=message):
        read_bars(tmp_path / "a.parquet")


positive = st.floats(1e-9, 1e9)


@examples(40)
@given(
    rows=st.lists(
        st.tuples(positive, positive, positive, positive, st.floats(0, 1e12)), min_size=2
    ),
    suffix=st.sampled_from([".csv", ".csv.gz", ".parquet"]),
)
def test_any_bars_survive_any_file(tmp_path_factory, rows, suffix):
    values = np.array(rows)
    four = np.sort(values[:, :4], axis=1)
    table = pd.DataFrame(
        {"open": four[:, 1], "high": four[:, 3], "low": four[:, 0], "close": four[:, 2]},
        index=pd.date_range("2024-01-01", periods=len(rows), freq="17min", tz="UTC"),
    ).assign(volume=values[:, 4])
    table.iloc[0, -1] += 1  # zeros throughout would mean no volume
    path = tmp_path_factory.mktemp("any") / f"a{suffix}"
    if suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index_label="timestamp")
    assert read_bars(path).fingerprint() == Bars.from_frame(table, symbol="a").fingerprint()
