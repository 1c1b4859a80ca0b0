"""Every way to write a time, against pandas; what is ambiguous is refused by its line."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnext_vbt.market.files import read_file
from tests.examples import examples

HOURS = pd.date_range("2024-02-25 20:00", periods=72, freq="h", tz="UTC")


def read(folder, stamps, header="timestamp", rest="10,12,9,11,5"):
    """What a file of constant bars with these times is read as."""
    path = folder / "a.csv"
    lines = [f"{header},open,high,low,close,volume", *(f"{stamp},{rest}" for stamp in stamps)]
    path.write_text("\n".join(lines))
    return read_file(path)


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d %H:%M:%S%z",
        "%Y/%m/%d %H:%M",
        "%Y.%m.%d %H:%M:%S",
        "%d/%m/%Y %H:%M",
        "%m/%d/%Y %I:%M %p",
        "%m/%d/%y %I:%M:%S%p",
        "%d-%b-%Y %H:%M:%S",
        "%d %B %Y %H:%M",
        '"%a, %d %b %Y %H:%M:%S GMT"',
        '"%b %d, %Y %I:%M %p"',
        '"%B %d, %Y %H:%M:%S UTC"',
        "%Y%m%d %H%M%S",
        "%Y%m%d%H%M",
        "%Y%m%d%H%M%S",
        "%Y%m%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%S.000+0000",
        "%Y-%m-%d %I-%p",
        '"%m/%d/%Y, %I:%M:%S %p"',
    ],
)
def test_dates_and_clocks_in_any_style(tmp_path, form):
    assert read(tmp_path, HOURS.strftime(form)).bars.index.equals(HOURS.as_unit("ns"))


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("%d/%m/%Y %H:%M", "dates are day first, as '25/02/2024 20:00' at line 2 shows"),
        ("%m-%d-%Y %H:%M", "dates are month first, as '02-25-2024 20:00' at line 2 shows"),
        ("%Y-%m-%d %I:%M %p", "12-hour clocks in 72 rows"),
    ],
)
def test_how_times_were_understood_is_told(tmp_path, form, said):
    assert said in read(tmp_path, HOURS.strftime(form)).reading


def test_midnight_and_noon_of_a_twelve_hour_clock(tmp_path):
    index = read(tmp_path, ["2024-01-01 12:00 AM", "2024-01-01 12:00 PM"]).bars.index
    assert index.hour.tolist() == [0, 12]


def test_new_york_through_both_changes_of_clocks(tmp_path):
    for month in ("2024-03-08", "2024-11-01"):
        times = pd.date_range(month, periods=150, freq="h", tz="UTC")
        local = [str(t) for t in times.tz_convert("America/New_York")]
        report = read(tmp_path, local)
        assert report.bars.index.equals(times.as_unit("ns"))
        assert str(report.changes[0]) == (
            "150 times with an offset (-05:00, -04:00) converted to UTC"
        )


def test_a_named_place_is_converted_but_its_repeated_hour_is_not_known(tmp_path):
    times = pd.date_range("2024-06-01", periods=30, freq="h", tz="UTC")
    local = times.tz_convert("US/Eastern").strftime("%Y%m%d %H:%M:%S US/Eastern")
    assert read(tmp_path, local).bars.index.equals(times.as_unit("ns"))
    with pytest.raises(ValueError, match=r"line 3, .*'20241103 01:00:00 US/Eastern' falls into th"):
        read(tmp_path, [f"20241103 0{h}:00:00 US/Eastern" for h in range(4)])
    with pytest.raises(
        ValueError, match=r"names the time zone MARS/BASE, which is unknown .*: write the offset"
    ):
        read(tmp_path, [f"20241103 0{h}:00:00 Mars/Base" for h in range(4)])


def test_epochs_with_a_point_and_in_four_units_at_once(tmp_path):
    seconds = HOURS.as_unit("s").asi8.tolist()
    stamps = [
        *(f"{s}.0" for s in seconds[:18]),
        *(f"{s}000" for s in seconds[18:40]),
        *(f"{s}000000.000" for s in seconds[40:60]),
        *(f"{s}000000000" for s in seconds[60:]),
    ]
    report = read(tmp_path, stamps)
    assert report.bars.index.equals(HOURS.as_unit("ns"))
    assert str(report.changes[0]) == (
        "50 epochs in another unit than the rest, each read in its own "
        "(18 in s, 22 in ms, 20 in us, 12 in ns)"
    )
    report = read(tmp_path, ["1704067200.25", "1704067200.75"])
    assert report.bars.index.microsecond.tolist() == [250_000, 750_000]


@pytest.mark.parametrize(
    ("header", "stamps"),
    [
        ("date,time", [t.strftime("%Y-%m-%d,%H:%M") for t in HOURS]),
        ("Date,Time", [t.strftime("%d.%m.%Y,%I:%M %p") for t in HOURS]),
        ("<DTYYYYMMDD>,<TIME>", [t.strftime("%Y%m%d,%H%M%S") for t in HOURS]),
        ("date,time", [f"{t:%Y-%m-%d},{t.hour}" for t in HOURS]),
        ("date,time", [t.strftime("%Y%m%d,%H") for t in HOURS]),
        ("time,unix", [f"{t:%H:%M},{t.value}" for t in HOURS]),
        ("date,datetime", [f"{t:%Y-%m-%d},{t}" for t in HOURS]),
        ("timestamp,datetime", [f"{t},{t:%H:%M} by me" for t in HOURS]),
        ("close_time,open_time", [f"{t + pd.Timedelta('59m')},{t}" for t in HOURS]),
    ],
)
def test_the_right_one_of_two_columns(tmp_path, header, stamps):
    assert read(tmp_path, stamps, header).bars.index.equals(HOURS.as_unit("ns"))


@pytest.mark.parametrize(
    ("header", "stamps", "message"),
    [
        ("timestamp", [], "no rows"),
        (
            "timestamp",
            [f"0{d}/0{m}/2024" for m in (1, 2) for d in range(1, 9)],
            r"row at line 2, timestamp: '01/01/2024' is ambiguous: no row of the file tells the d",
        ),
        (
            "timestamp",
            ["13/01/2024", "14/01/2024", "01/15/2024"],
            r"change places: day first in '13/01/2024' at line 2 but month first in .* at line 4",
        ),
        (
            "timestamp",
            [t.strftime("%Y%m%d%H") for t in HOURS],
            r"'2024022520' is a date and an hour, or an epoch of 2030 .*: write it like 2024",
        ),
        ("date,time", [f"{t:%Y-%m-%d},{t.hour + 1}" for t in HOURS], r"line 5, .*24:00"),
        ("timestamp", ["45292", "45293"], r"'45292' is a spreadsheet's day number; .* format the"),
        ("timestamp", ["1.7E+12", "1.8E+12"], r"'1.7E\+12' was rounded by a spreadsheet; 2 such"),
        ("timestamp", ["9999999999", "99999999990"], r"is an epoch after the year 2200"),
        ("timestamp", ["2024-01-01 25:00", "2024-01-02"], r"line 2, .*'2024-01-01 25:00' is not l"),
        ("timestamp", ["2024-01-01 13:00 PM", "x"], r"'2024-01-01 13:00 PM' is not like"),
        (
            "timestamp",
            ["2024-01-01 10:00 CST"] * 2,
            r"the time zone CST, which is .* several; 2 such",
        ),
        ("timestamp", ["1/1/1", "x"], r"'1/1/1' is not like"),
        ("timestamp", ["0001-01-01", "0001-01-02"], r"0001-01-01"),
        ("timestamp", ["2024-01-01", "x" * 500], r"'x{57}\.\.\.' is not like"),
        ("timestamp", ["1704067200", "2024-01-01 01:00"], r"line 2.*has a UTC offset, others do n"),
        (
            "Local time",
            ["2024-01-01 09:00", "2024-01-02 09:00"],
            r"Local time holds local times without an of",
        ),
        (
            "datetime,date",
            ["2024-01-01 10:00,2024-01-02", "2024-01-01 11:00,2024-01-02"],
            r"line 2: several .* datetime \(2024-01-01 10:00\) is not date \(2024-01-02\); name",
        ),
    ],
)
def test_what_cannot_be_known_is_refused_by_its_line(tmp_path, header, stamps, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, stamps, header)


@pytest.mark.parametrize(
    ("zone", "start", "where"),
    [
        ("America/Chicago", "2024-03-01", "the United States"),
        ("Europe/London", "2024-03-20", "western Europe"),
        ("Europe/Berlin", "2024-03-20", "central Europe"),
        ("Europe/Helsinki", "2024-03-20", "eastern Europe"),
        ("Australia/Sydney", "2024-10-01", "Australia"),
    ],
)
def test_local_times_give_themselves_away_by_the_hour_that_clocks_skip(
    tmp_path, zone, start, where
):
    local = pd.date_range(start, periods=500, freq="h", tz=zone).tz_localize(None)
    with pytest.raises(ValueError, match=f"is missing, the hour that clocks in {where} skip"):
        read(tmp_path, local)
    hole = pd.date_range(start, periods=500, freq="h").delete(range(50, 53))
    assert len(read(tmp_path, hole).bars) == 497  # a hole elsewhere is a hole


def test_the_repeated_hour_of_local_times_is_told(tmp_path):
    local = pd.date_range("2024-11-01", periods=100, freq="h", tz="America/New_York")
    path = tmp_path / "a.csv"
    lines = [f"{t:%Y-%m-%d %H:%M},10,12,9,11,{i}" for i, t in enumerate(local)]
    path.write_text("\n".join(["time,open,high,low,close,volume", *lines]))
    with pytest.raises(
        ValueError, match=r"line 52: 2024-11-03 01:00.*clocks in the United States repeat"
    ):
        read_file(path)


def test_a_bar_written_twice_is_no_repeated_hour(tmp_path):
    hours = pd.date_range("2024-11-01", periods=100, freq="h").strftime("%Y-%m-%d %H:%M").to_list()
    found = read(tmp_path, [*hours[:50], "2024-11-03 01:00", *hours[50:]])
    assert len(found.bars) == 100
    assert [change.count for change in found.changes if "exact" in change.what] == [1], found


def test_an_exchanges_hours_that_never_shift_are_local_times(tmp_path):
    days = pd.bdate_range("2024-01-02", "2024-06-01")
    clocks = [pd.Timedelta(hours=9, minutes=30) + pd.Timedelta(hours=h) for h in range(7)]
    local = pd.DatetimeIndex([day + clock for day in days for clock in clocks])
    with pytest.raises(ValueError, match=r"sessions begin at 09:30 before and after the clocks"):
        read(tmp_path, local)
    utc = local.tz_localize("America/New_York").tz_convert("UTC")
    assert read(tmp_path, utc.tz_localize(None)).bars.days_per_year == 252
    tokyo = local - pd.Timedelta(hours=9, minutes=30)  # 00:00 UTC, where clocks never change
    assert len(read(tmp_path, tokyo).bars) == len(local)


@examples(12)
@given(
    moments=st.lists(
        st.datetimes(datetime(1975, 1, 1), datetime(2198, 1, 1), timezones=st.just(UTC)),
        min_size=2,
        max_size=20,
        unique=True,
    ),
    form=st.sampled_from(
        ["%Y-%m-%dT%H:%M:%S.%f", "%d %b %Y %I:%M:%S.%f %p", "%b %d, %Y %H:%M:%S.%f"]
    ),
    offset=st.integers(-14 * 60, 14 * 60),
)
def test_any_moment_in_any_offset_is_that_moment(tmp_path_factory, moments, form, offset):
    sign, minutes = "-" if offset < 0 else "+", abs(offset)
    zone = f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    report = read(tmp_path_factory.mktemp("t"), [f'"{t.strftime(form)}{zone}"' for t in moments])
    expected = pd.DatetimeIndex(sorted(moments)) - pd.Timedelta(minutes=offset)
    np.testing.assert_array_equal(report.bars.index.asi8, expected.as_unit("ns").asi8)
