import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import Bars
from convnext_vbt.trading.leaving import leave_rows, read_leave_at
from tests.examples import examples

NEW_YORK = "America/New_York"


def flat(index, symbol="S"):
    frame = pd.DataFrame(1.0, index=index, columns=["open", "high", "low", "close", "volume"])
    return Bars.from_frame(frame, symbol=symbol)


def sessions(lengths, start="2024-01-01", zone=NEW_YORK):
    """Weekdays from 09:30 on with so many half hours each."""
    days = pd.bdate_range(start, periods=len(lengths), tz=zone)
    times = [
        day + pd.Timedelta(hours=9, minutes=30 + 30 * i)
        for day, length in zip(days, lengths, strict=True)
        for i in range(length)
    ]
    return pd.DatetimeIndex(times).tz_convert("UTC")


def opens(bars, rows):
    return [f"{when:%a %H:%M}" for when in bars.index[rows[:, 0]].tz_convert(NEW_YORK)]


def plain(bars, zone):
    """The rule, told session by session."""
    local = bars.index.tz_convert(zone)
    table = pd.Series(range(len(bars)), index=local).groupby(local.normalize())
    out, lasts = np.zeros(len(bars), bool), []
    for _, rows in table:
        times = [local[row] - local[row].normalize() for row in rows]
        if lasts:
            five = sorted(lasts[-5:])
            usual = five[(len(five) - 1) // 2]
            out[rows] = [time >= usual for time in times]
        lasts.append(times[-1])
    return out


def test_by_the_clock_from_then_on_until_the_local_day_ends():
    bars = flat(pd.date_range("2024-01-01", periods=48, freq="h", tz="UTC"))
    rows = leave_rows(bars, "21:30")
    assert list(np.flatnonzero(rows[:, 0])) == [22, 23, 46, 47]
    assert list(np.flatnonzero(leave_rows(bars, "22:00")[:, 0])) == [22, 23, 46, 47]
    rows = leave_rows(bars, f"21:30  {NEW_YORK}")  # five hours behind
    assert list(np.flatnonzero(rows[:, 0])) == [3, 4, 27, 28]
    rows = leave_rows(bars, f"21:30 {NEW_YORK}+7h")
    assert list(np.flatnonzero(rows[:, 0])) == [20, 21, 44, 45]


def test_the_clock_follows_summer_time():
    times = ["2024-03-08 20:30", "2024-03-08 21:00", "2024-03-11 19:30", "2024-03-11 20:00"]
    bars = flat(pd.DatetimeIndex(times, tz="UTC"))
    assert opens(bars, leave_rows(bars, f"16:00 {NEW_YORK}")) == ["Fri 16:00", "Mon 16:00"]


def test_a_session_ends_when_the_last_five_did():
    index = sessions([13, 13, 13, 7, 13, 13])  # an early close on Thursday
    bars = flat(index)
    rows = leave_rows(bars, f"session end {NEW_YORK}")
    assert opens(bars, rows) == [f"{day} 15:30" for day in ("Tue", "Wed", "Fri", "Mon")]


def test_of_two_sessions_the_earlier_end_counts():
    bars = flat(sessions([7, 13, 13, 13]))
    rows = leave_rows(bars, f"session end {NEW_YORK}")
    assert opens(bars, rows)[:14] == [
        *(
            f"Tue {hour}"
            for hour in ("12:30", "13:00", "13:30", "14:00", "14:30", "15:00", "15:30")
        ),
        *(
            f"Wed {hour}"
            for hour in ("12:30", "13:00", "13:30", "14:00", "14:30", "15:00", "15:30")
        ),
    ]
    assert opens(bars, rows)[14:] == ["Thu 15:30"]


def test_each_symbol_of_a_panel_has_its_own_sessions():
    long, short = sessions([13] * 4), sessions([7] * 4)
    bars = Bars.join([flat(long, "L"), flat(short, "S")])
    rows = leave_rows(bars, f"session end {NEW_YORK}")
    assert not rows[~bars.present].any()
    assert opens(bars, rows) == [f"{day} 15:30" for day in ("Tue", "Wed", "Thu")]
    assert opens(bars, rows[:, ::-1]) == [f"{day} 12:30" for day in ("Tue", "Wed", "Thu")]


@given(
    lengths=st.lists(st.integers(1, 8), min_size=2, max_size=15),
    cut=st.integers(1, 100),
    zone=st.sampled_from(["UTC", NEW_YORK]),
)
@examples(100)
def test_it_is_as_told_and_what_comes_later_changes_no_row(lengths, cut, zone):
    index = sessions([*lengths, 8])
    bars = flat(index)
    rows = leave_rows(bars, f"session end {zone}")[:, 0]
    np.testing.assert_array_equal(rows, plain(bars, zone))
    early = index[: max(2, min(cut, len(index) - 1))]
    later = early[-1] + pd.Timedelta(minutes=30) * np.arange(1, 6)
    other = flat(early.append(pd.DatetimeIndex(later)).append(index[-1:] + pd.Timedelta(days=7)))
    np.testing.assert_array_equal(
        leave_rows(other, f"session end {zone}")[: len(early), 0], rows[: len(early)]
    )


@pytest.mark.parametrize("text", ["24:00", "9:5", "", "session", "session ends", "15:55Z", None])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(InputError, match=r"must be a time of day or the session's end, got"):
        read_leave_at(text)


@pytest.mark.parametrize("text", ["15:55 Mars", "session end Mars"])
def test_an_unknown_zone_is_refused(text):
    with pytest.raises(InputError, match="unknown time zone 'Mars'"):
        read_leave_at(text)


def test_a_market_that_never_closes_has_no_session():
    coin = flat(pd.date_range("2024-01-01", periods=24 * 20, freq="h", tz="UTC"), "BTC")
    with pytest.raises(InputError, match="the market of BTC never closes; write a time of day"):
        leave_rows(coin, "session end")


def test_bars_of_a_day_are_refused():
    days = flat(pd.bdate_range("2024-01-01", periods=30, tz="UTC"))
    for text in ("session end", "15:55"):
        with pytest.raises(InputError, match=f"leave_at = '{text}' needs bars of less than a day"):
            leave_rows(days, text)
