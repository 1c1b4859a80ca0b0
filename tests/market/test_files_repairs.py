"""What is put right in a file and told, and what is refused by line, value and remedy."""

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.market.files import read_file

NAMES = "timestamp,open,high,low,close,volume"
HOURS = pd.date_range("2024-01-01", periods=60, freq="h", tz="UTC")


def row(time, close=11.0, volume=5.0, rest=""):
    return f"{time:%Y-%m-%dT%H:%M:%SZ},{close - 1},{close + 1},{close - 2},{close},{volume}{rest}"


ROWS = [row(time, 11 + i, 5 + i) for i, time in enumerate(HOURS)]


def read(folder, rows, names=NAMES, **options):
    path = folder / "a.csv"
    path.write_text("\n".join([names, *rows]))
    return read_file(path, **options)


def changes(report):
    return [str(change) for change in report.changes]


def assert_whole(report, expected=range(60)):
    np.testing.assert_array_equal(report.bars.close[:, 0], 11.0 + np.array(expected))
    assert report.bars.index.equals(HOURS[list(expected)].as_unit("ns"))


def test_a_plain_file_is_changed_in_nothing(tmp_path):
    report = read(tmp_path, ROWS, strict=True)
    assert_whole(report)
    assert report.changes == ()


def with_duplicates():
    return [*ROWS[:3], *ROWS[1:3], *ROWS[3:], ROWS[40]]


DAMAGE = {
    "newest first": (ROWS[::-1], ["60 rows turned round: the newest came first"]),
    "shuffled a little": (
        [*ROWS[:10], ROWS[12], *ROWS[10:12], *ROWS[13:]],
        ["2 row(s) below later ones sorted by time (line 13, 14)"],
    ),
    "duplicates": (
        with_duplicates(),
        [
            "2 row(s) below later ones sorted by time (line 5, 64)",
            "3 exact duplicate row(s) dropped (line 5, 6, 64)",
        ],
    ),
    "empty lines": (
        [*ROWS[:5], "", "", *ROWS[5:], "", ""],
        ["2 empty line(s) between the rows skipped"],
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_clear_is_put_right_and_told_or_refused_when_strict(tmp_path, kind):
    rows, told = DAMAGE[kind]
    report = read(tmp_path, rows)
    assert_whole(report)
    assert changes(report) == told
    with pytest.raises(ValueError, match=r"strict reading changes nothing, and this .*: \d+ ") as e:
        read(tmp_path, rows, strict=True)
    assert "; ".join(told) in str(e.value)


def test_changes_are_logged(tmp_path, caplog):
    from convnext_vbt.market.sources import load_bars, load_report

    read(tmp_path, ROWS[::-1])
    path = tmp_path / "a.csv"
    assert_whole(load_report(path))
    load_bars(path)
    assert caplog.messages == [f"{path}: 60 rows turned round: the newest came first"]
    with pytest.raises(ValueError, match="strict reading changes nothing"):
        load_bars(str(path), strict=True)
    (tmp_path / "b.csv").write_text(path.read_text())
    both = load_report([path, tmp_path / "b.csv"])
    assert both.bars.symbols == ("a", "b")
    assert changes(both)[1] == f"60 rows turned round: the newest came first in {tmp_path}/b.csv"
    assert both.reading[0] == f"{path}: times from the column timestamp"
    assert load_report("simulated:bars=48").changes == ()


def test_rows_without_prices_are_gaps(tmp_path):
    empty = [f"{HOURS[i]:%Y-%m-%d %H:%M}Z,,null,NaN,N/A,{('0', '')[i]}" for i in range(2)]
    report = read(tmp_path, [*empty, *ROWS[2:]])
    assert_whole(report, range(2, 60))
    assert changes(report) == ["2 row(s) without any price dropped (line 2, 3)"]
    with pytest.raises(ValueError, match="there are no rows"):
        read(tmp_path, empty)


@pytest.mark.parametrize("newest_first", [False, True])
def test_conflicting_duplicates_name_both_lines_and_the_values(tmp_path, newest_first):
    rows = [*ROWS[:20], row(HOURS[19], 30.5, 24), *ROWS[20:], row(HOURS[5], 16, 99)]
    message = (
        r"row at line 22: 2024-01-01 19:00:00\+00:00 is there twice with different values \(open "
        r"29 and 29.5; the other row is 21\); 2 such pair\(s\) in all: find out which rows are"
    )
    if newest_first:
        rows.reverse()
        message = r"row at line 44: .* \(open 29 and 29.5; the other row is 43\); 2 such pair"
    with pytest.raises(ValueError, match=message):
        read(tmp_path, rows)


def test_an_impossible_bar_is_named_by_its_line_wherever_it_stands(tmp_path):
    rows = [*ROWS[::-1]]
    rows[7] = f"{HOURS[52]:%Y-%m-%d %H:%M}Z,10,9,8,8.5,5"
    message = r"row at line 9 \(2024-01-03 04:00.*, high: the high lies below the open or the close"
    with pytest.raises(ValueError, match=message):
        read(tmp_path, rows)


def test_rounding_noise_is_mended_and_more_is_refused(tmp_path):
    def rows(off):
        times = [f"{time:%Y-%m-%d %H:%M}Z" for time in HOURS[:3]]
        return [
            f"{times[0]},10,{12 - off!r},9,12,5",
            f"{times[1]},10,12,{10 + off!r},11,5",
            f"{times[2]},10,12,9,11,5",
        ]

    report = read(tmp_path, rows(1e-9))
    assert changes(report)[0].startswith("2 bar(s) whose high or low was off by rounding")
    assert report.bars.high[0, 0] == 12
    assert report.bars.low[1, 0] == 10
    with pytest.raises(ValueError, match=r"line 2 .*, high: the high lies below the open or the"):
        read(tmp_path, rows(1e-6))


BOTH = f"{NAMES.replace('volume', 'Volume BTC')},Volume USDT"


def priced(i, swapped):
    pair = [10.0 + i, (10.0 + i) * 11_000.5]
    base, quote = pair[::-1] if swapped else pair
    return row(HOURS[i], 11_000.0, base, f",{quote}")


def test_swapped_volumes_are_refused_by_the_first_line(tmp_path):
    assert_array = read(tmp_path, [priced(i, False) for i in range(60)], BOTH).bars.volume[:, 0]
    np.testing.assert_array_equal(assert_array, 10.0 + np.arange(60))
    message = (
        r"row at line 32: Volume BTC 440020 and Volume USDT 40 are swapped \(at a price of 11000 "
        r"Volume USDT is the larger by that factor\), in 30 of 60 rows: exchange the two cells"
    )
    with pytest.raises(ValueError, match=message):
        read(tmp_path, [priced(i, i >= 30) for i in range(60)], BOTH)
    with pytest.raises(ValueError, match=r"line 2: .* are swapped .*, in all rows: exchange"):
        read(tmp_path, [priced(i, True) for i in range(60)], BOTH)


def test_near_a_price_of_one_nothing_proves_that_volumes_are_swapped(tmp_path):
    rows = [row(time, 1.0, 100, ",99.9").replace(",0.0,2.0,-1.0,", ",1,1,1,") for time in HOURS]
    assert read(tmp_path, rows, BOTH).bars.volume[0, 0] == 100
    zero = [priced(i, False) if i else row(HOURS[0], 11_000.0, 0, ",0") for i in range(60)]
    assert read(tmp_path, zero, BOTH).bars.volume[0, 0] == 0


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (
            "116.2954800097.8236300069.70492000",
            r"looks like 3 numbers glued together; 1 such value",
        ),
        ("116.29 97.82", r"looks like 2 numbers glued together; .*what was meant cannot be known"),
        ("12.34x", r"Volume: '12.34x' is not a number"),
        ("1 234", r"Volume: '1 234' is not a number"),
    ],
)
def test_glued_volumes_are_refused(tmp_path, volume, message):
    rows = [*ROWS[:4], row(HOURS[4], 15, volume), *ROWS[5:]]
    with pytest.raises(ValueError, match=rf"row at line 6, .*{message}"):
        read(tmp_path, rows, NAMES.replace("volume", "Volume"))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (('"1,234"', "5"), r"line 2, close: '1,234' may be a decimal comma or a thousands separ"),
        (('"1,234.5"', '"1,5"'), r"volume: '1,5' |close: '1,234.5' uses the comma for thousands"),
        (("1.234", '"1,5"'), r"line 2, close: '1.234' has a decimal point, other rows a decimal"),
        (('"1,23,4"', '"1,5"'), r"close: '1,23,4' is not a number"),
    ],
)
def test_a_comma_that_may_mean_either_is_refused(tmp_path, cells, message):
    close, volume = cells
    rows = [f"{time:%Y-%m-%d},1,9999,1,{close},{volume}" for time in HOURS[::24]]
    with pytest.raises(ValueError, match=message):
        read(tmp_path, rows)


def test_thousands_are_clear_where_other_cells_have_decimal_points(tmp_path):
    rows = [f'{time:%Y-%m-%d},1.5,99.5,1.5,2.5,"1,234"' for time in HOURS[::24]]
    assert read(tmp_path, rows).bars.volume[0, 0] == 1234


def at(*times):
    return [row(time) for part in times for time in part]


def test_bars_of_two_sizes_are_refused_where_the_second_begins(tmp_path):
    hours = pd.date_range("2024-01-01", periods=100, freq="h", tz="UTC")
    minutes = pd.date_range("2024-01-05 04:15", periods=40, freq="15min", tz="UTC")
    message = r"row at line 102: bars of 15m begin here \(40 in a row\), the others are of 1h"
    with pytest.raises(ValueError, match=message):
        read(tmp_path, at(hours, minutes))
    days = pd.date_range("2023-06-01", "2023-12-31", freq="D", tz="UTC")
    with pytest.raises(ValueError, match=r"line 2: bars of 1d begin here .* the others are of 1h"):
        read(tmp_path, at(days, pd.date_range("2024-01-01", periods=500, freq="h", tz="UTC")))


def test_single_trades_are_no_bars(tmp_path):
    seconds = np.cumsum(np.random.default_rng(0).integers(1, 100, 200) * 1.0)
    times = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(seconds, unit="s")
    with pytest.raises(ValueError, match=r"not spaced evenly: \d+% of the distances are no multip"):
        read(tmp_path, at(times))


def test_gaps_sessions_and_months_are_one_size(tmp_path):
    hours = pd.date_range("2024-01-01", periods=300, freq="h", tz="UTC")
    kept = np.random.default_rng(0).random(300) > 0.3
    assert len(read(tmp_path, at(hours[kept])).bars) == kept.sum()
    months = pd.date_range("2010-01-01", periods=100, freq="MS", tz="UTC")
    assert len(read(tmp_path, at(months)).bars) == 100
    sessions = hours[(hours.hour >= 14) & (hours.hour < 21) & (hours.day_of_week < 5)]
    assert read(tmp_path, at(sessions)).bars.days_per_year == 252
