"""Whose clock times are on and what they stand for: against pandas and against days by hand."""

import logging
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import convnext_vbt as cv
from convnext_vbt.errors import ConfigError, InputError
from convnext_vbt.market.clock import Clock, opens_of, utc_of, zone_of
from convnext_vbt.market.files import read_file
from convnext_vbt.runs.bars import read_report
from convnext_vbt.runs.check import check_bars
from convnext_vbt.runs.config import parse_config


def table(stamps, seed=1):
    steps = np.random.default_rng(seed).normal(0, 0.01, len(stamps))
    close = np.round(100 * np.exp(steps.cumsum()), 2)
    frame = pd.DataFrame({"open": close, "high": close + 1, "low": close - 1, "close": close})
    return frame.assign(volume=np.arange(len(stamps)) + 5.0).set_axis(stamps, axis=0)


def written(folder, stamps, name="time", file="a.csv", **columns):
    path = folder / file
    table(stamps).assign(**columns).to_csv(path, index_label=name)
    return path


def session_hours(first="2026-01-12", last="2026-01-30"):
    """New York's hours from 09:30 and the half hour before the close."""
    days = pd.bdate_range(first, last)
    opens = [pd.Timedelta(hours=9.5 + n) for n in range(7)]
    return pd.DatetimeIndex([day + clock for day in days for clock in opens])


@pytest.mark.parametrize(
    ("name", "stamps", "said"),
    [
        ("timestamp", "%Y-%m-%dT%H:%M:%SZ", "UTC, stamped at the bar's open (clock said by the fi"),
        ("open_time", "%Y-%m-%dT%H:%M:%SZ", "UTC, stamped at the bar's open (said by the file)"),
        ("Gmt time", "%Y-%m-%d %H:%M", "(clock said by the file, stamp assumed)"),
        ("time", "%Y-%m-%d %H:%M", "UTC, stamped at the bar's open (assumed)"),
    ],
)
def test_clock_and_stamp_are_one_line(tmp_path, name, stamps, said):
    hours = pd.date_range("2026-01-01", periods=60, freq="h")
    report = read_file(written(tmp_path, hours.strftime(stamps), name))
    assert said in report.times
    assert bool(report.changes) == ("(assumed)" in said)


def test_an_assumption_is_a_change_until_the_user_says_it(tmp_path, caplog):
    path = written(tmp_path, pd.date_range("2026-01-01", periods=60, freq="h").astype(str))
    with pytest.raises(ValueError, match="60 times without an offset taken as UTC"):
        read_file(path, strict=True)
    with caplog.at_level(logging.WARNING, "convnext_vbt"):
        cv.load_bars(path)
    assert 'data.timezone = "UTC"' in caplog.text
    assert not read_file(path, strict=True, clock=Clock(timezone="UTC")).changes


def test_days_need_no_clock(tmp_path):
    path = written(tmp_path, pd.bdate_range("2026-01-01", periods=40).astype(str), "Date")
    assert not read_file(path, strict=True).changes


@pytest.mark.parametrize(
    ("zone", "utc"),
    [
        ("America/New_York", "2026-01-12 14:30"),
        ("+03:00", "2026-01-12 06:30"),
        ("UTC-5", "2026-01-12 14:30"),
        ("America/New_York+7h", "2026-01-12 07:30"),
        ("UTC", "2026-01-12 09:30"),
    ],
)
def test_the_user_says_the_clock(tmp_path, zone, utc):
    path = written(tmp_path, session_hours().astype(str))
    bars = cv.load_bars(path, timezone=zone)
    assert bars.index[0] == pd.Timestamp(utc, tz="UTC")
    facts = check_bars(str(path), timezone=zone)
    assert facts["times"].startswith(f"times: {zone}, stamped at the bar's open")


def test_through_both_changes_of_clocks_as_pandas_has_it():
    for start in ("2026-03-07", "2026-10-31"):
        there = pd.date_range(start, periods=72, freq="h", tz="America/New_York")
        local = there.tz_localize(None)
        for way in (slice(None), slice(None, None, -1)):
            found = utc_of(local[way], "America/New_York")
            assert found.equals(there[way].tz_convert("UTC").as_unit("ns"))


def test_an_hour_that_the_clocks_skip_or_tell_only_once_is_refused(tmp_path):
    hours = pd.date_range("2026-03-07", periods=72, freq="h").astype(str)
    path = written(tmp_path, hours)
    with pytest.raises(ValueError, match="2026-03-08 02:00:00 is skipped or repeated by the cloc"):
        cv.load_bars(path, timezone="America/New_York")


def test_closes_are_taken_back_by_the_bars_own_length(tmp_path):
    opens = session_hours()
    closes = opens + pd.Timedelta(hours=1)
    closes = closes.where(closes.hour < 16, closes.normalize() + pd.Timedelta(hours=16))
    path = written(tmp_path, closes.astype(str))
    bars = cv.load_bars(path, timezone="America/New_York", stamp="close")
    assert bars.index.equals(opens.tz_localize("America/New_York").tz_convert("UTC").as_unit("ns"))


@pytest.mark.parametrize(
    ("closes", "zone", "dates", "opens"),
    [
        ("2026-01-09 16:00 2026-01-12 16:00 2026-01-13 16:00", "America/New_York", False,
         "2026-01-09 00:00 2026-01-12 00:00 2026-01-13 00:00"),
        ("2026-01-09 00:00 2026-01-10 00:00 2026-01-13 00:00", "UTC", False,
         "2026-01-08 00:00 2026-01-09 00:00 2026-01-12 00:00"),
        ("2026-01-08 00:00 2026-01-09 00:00 2026-01-12 00:00", "UTC", True,
         "2026-01-08 00:00 2026-01-09 00:00 2026-01-12 00:00"),
        ("2026-01-10 08:00 2026-01-11 08:00 2026-01-12 08:00", "UTC", False,
         "2026-01-09 08:00 2026-01-10 08:00 2026-01-11 08:00"),
        ("2026-01-09 00:00 2026-01-16 00:00 2026-01-23 00:00", "UTC", True,
         "2026-01-05 00:00 2026-01-12 00:00 2026-01-19 00:00"),
        ("2026-01-31 00:00 2026-02-28 00:00 2026-03-31 00:00", "UTC", True,
         "2026-01-01 00:00 2026-02-01 00:00 2026-03-01 00:00"),
        ("2026-01-01 23:59:59.999 2026-01-02 23:59:59.999 2026-01-03 23:59:59.999", "UTC", False,
         "2026-01-01 00:00 2026-01-02 00:00 2026-01-03 00:00"),
    ],
)  # fmt: skip
def test_longer_bars_begin_on_their_calendar(closes, zone, dates, opens):
    def moments(text):
        words = text.split()
        pairs = [f"{a} {b}" for a, b in zip(words[::2], words[1::2], strict=True)]
        return pd.DatetimeIndex(pairs).tz_localize(zone).tz_convert("UTC").as_unit("ns")

    found = opens_of(moments(closes), zone, dates=dates)
    assert found.equals(moments(opens))


def test_the_strategy_file_says_it_for_all_sources_or_for_each(tmp_path):
    one = written(tmp_path, session_hours().astype(str))
    utc = session_hours().tz_localize("America/New_York").tz_convert("UTC")
    two = written(tmp_path, utc.strftime("%Y-%m-%dT%H:%M:%SZ"), file="b.csv")

    def bars(zone):
        data = {"source": [str(one), str(two)], "timezone": zone}
        return read_report(parse_config({"data": data}))

    found = bars(["America/New_York", ""])
    assert found.bars.present.all()
    assert f"{one}: times: America/New_York" in found.times
    with pytest.raises(ValueError, match="say their zone themselves"):
        bars("America/New_York")
    with pytest.raises(ValueError, match=r"timezone has 1 value\(s\) for 2 source\(s\)"):
        bars(["UTC"])


@pytest.mark.parametrize(
    ("zone", "message"),
    [
        ("America/NewYork", "unknown time zone 'America/NewYork', did you mean 'America/New_York'"),
        ("EST5", "unknown time zone"),
        ("localtime", "unknown time zone 'localtime'; write"),
        ("../../etc/passwd", "unknown time zone"),
    ],
)
def test_an_unknown_zone_is_refused(zone, message):
    with pytest.raises(InputError, match=message):
        zone_of(zone)
    with pytest.raises(ConfigError, match="unknown time zone"):
        parse_config({"data": {"timezone": zone}})


def test_what_cannot_be_said_is_refused():
    with pytest.raises(InputError, match='stamp must be "open" or "close", got \'noon\''):
        Clock(stamp="noon")
    with pytest.raises(InputError, match=r"is in UTC and stamped at the bar's open"):
        cv.load_bars("simulated:bars=48", timezone="Europe/Berlin")
    assert len(cv.load_bars("simulated:bars=48", timezone="UTC")) == 48


def test_frames_of_vectorbt_are_on_the_clock_that_is_said():
    data = SimpleNamespace(data={"SPY": table(session_hours())})
    first = cv.load_bars(data, timezone="America/New_York").index[0]
    assert first == pd.Timestamp("2026-01-12 14:30", tz="UTC")


def test_one_odd_day_in_many_hides_no_local_time(tmp_path):
    local = session_hours("2025-01-02", "2026-06-01")
    odd = local[~((local.normalize() == "2025-03-12") & (local.hour < 12))]
    with pytest.raises(ValueError, match=r'begin at 09:30 before .*"America/New_York"'):
        read_file(written(tmp_path, odd.astype(str)))
    utc = odd.tz_localize("America/New_York").tz_convert("UTC").tz_localize(None)
    assert len(read_file(written(tmp_path, utc.astype(str))).bars) == len(odd)


@pytest.mark.parametrize("utc", [True, False])
def test_closes_in_new_york_are_seen(tmp_path, utc):
    opens = session_hours("2026-01-12", "2026-02-20").tz_localize("America/New_York")
    closes = opens + pd.Timedelta(minutes=60)
    closes = closes.where(closes.hour < 16, closes.normalize() + pd.Timedelta(hours=16))
    stamps = closes.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ")
    stamps = stamps if utc else closes.tz_localize(None).astype(str)
    zone = None if utc else "America/New_York"
    path = written(tmp_path, stamps)
    with pytest.raises(ValueError, match=r'begin at 10:30 and end at .*data\.stamp = "close"'):
        cv.load_bars(path, timezone=zone)
    bars = cv.load_bars(path, timezone=zone, stamp="close")
    assert bars.index.equals(opens.tz_convert("UTC").as_unit("ns"))
    assert len(cv.load_bars(path, timezone=zone, stamp="open")) == len(bars)


def test_sessions_that_begin_at_four_are_seen(tmp_path):
    days = pd.bdate_range("2026-02-25", "2026-03-20")
    hours = pd.DatetimeIndex([d + pd.Timedelta(hours=h) for d in days for h in range(4, 20)])
    with pytest.raises(ValueError, match="sessions begin at 04:00 before and after"):
        read_file(written(tmp_path, hours.astype(str)))


def test_weeks_from_monday_midnight_are_a_brokers_clock(tmp_path):
    hours = pd.date_range("2026-01-05", "2026-01-30 23:00", freq="h")
    week = hours[hours.day_of_week < 5]
    with pytest.raises(ValueError, match=r'weeks begin on Monday .*"America/New_York\+7h"'):
        read_file(written(tmp_path, week.astype(str)))
    bars = cv.load_bars(written(tmp_path, week.astype(str)), timezone="America/New_York+7h")
    assert bars.index[0] == pd.Timestamp("2026-01-04 22:00", tz="UTC")


@pytest.mark.parametrize("said", [{"timezone": 5}, {"stamp": True}, {"timezone": [5]}])
def test_what_is_no_text_is_refused_in_python(tmp_path, said):
    (key,) = said
    with pytest.raises(InputError, match=f"{key} must be a text, or a list of one for each source"):
        cv.load_bars(tmp_path / "a.csv", **said)
