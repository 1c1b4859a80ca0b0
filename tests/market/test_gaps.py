import numpy as np
import pandas as pd
import pytest

from convnext_vbt.market.bars import FIELDS, Bars
from convnext_vbt.market.gaps import closed_weekdays, find_gaps, odd_days, short_sessions
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.market.sources import load_bars


def table(bars: Bars) -> pd.DataFrame:
    return pd.DataFrame({field: bars.frame(field)["SIM/USDT"] for field in FIELDS})


WHOLE = table(simulated_bars(bars=500))


def test_a_whole_market_has_none():
    gaps = find_gaps(Bars.from_frame(WHOLE))
    assert gaps.empty
    assert list(gaps.columns) == ["symbol", "start", "end", "missing"]


def test_gaps_are_named_by_their_first_and_last_missing_bar():
    gaps = find_gaps(Bars.from_frame(WHOLE.drop(WHOLE.index[[7, 100, 101, 102]]), symbol="A"))
    assert gaps.to_dict("list") == {
        "symbol": ["A", "A"],
        "start": [WHOLE.index[7], WHOLE.index[100]],
        "end": [WHOLE.index[7], WHOLE.index[102]],
        "missing": [1, 3],
    }


def test_in_a_panel_each_symbol_has_its_own_and_its_listing_date_is_none():
    bars = Bars.from_frames({"A": WHOLE, "B": WHOLE.iloc[200:].drop(WHOLE.index[300])})
    gaps = find_gaps(bars)
    assert gaps[["symbol", "start", "missing"]].values.tolist() == [["B", WHOLE.index[300], 1]]


def test_nights_of_a_stock_beside_a_coin_are_none():
    times = WHOLE.index
    open_ = (times.day_of_week < 5) & (times.hour >= 8) & (times.hour <= 16)
    stock = WHOLE[open_].drop(times[(times.day == 11) & (times.hour == 12)])
    bars = Bars.from_frames({"COIN": WHOLE.drop(times[300]), "STK": stock})
    assert (bars.has_sessions, bars.closes.tolist()) == (False, [False, True])
    gaps = find_gaps(bars)
    assert len(stock) == open_.sum() - 1
    assert gaps[["symbol", "missing"]].values.tolist() == [["COIN", 1], ["STK", 1]]


def test_days_of_a_weekend_are_odd_on_a_market_of_weekdays():
    days = pd.bdate_range("2024-01-01", periods=300, tz="UTC")
    saturdays = pd.DatetimeIndex(["2024-03-02", "2024-05-11"], tz="UTC")
    rows = WHOLE.iloc[:302].set_axis(days.union(saturdays), axis=0)
    assert odd_days(Bars.from_frame(rows)).equals(saturdays.as_unit("ns"))
    sundays = days.union(days[days.day_of_week == 0] - pd.Timedelta(days=1))
    assert odd_days(Bars.from_frame(WHOLE.iloc[: len(sundays)].set_axis(sundays, axis=0))).empty
    assert odd_days(Bars.from_frame(WHOLE)).empty  # open around the clock


def test_a_stamp_off_the_grid_is_no_missing_bar():
    late = WHOLE.index.where(WHOLE.index != WHOLE.index[9], WHOLE.index[9] + pd.Timedelta("30min"))
    assert find_gaps(Bars.from_frame(WHOLE.set_axis(late, axis=0))).empty


def test_nights_and_weekends_of_a_session_market_are_none():
    assert find_gaps(load_bars("sp500")).empty


def session_bars(times):
    """Flat bars at these times in New York."""
    index = pd.DatetimeIndex(times).tz_localize("America/New_York").tz_convert("UTC")
    return Bars.from_frame(pd.DataFrame(1.0, index=index, columns=list(FIELDS)), symbol="SPY")


DAYS = pd.bdate_range("2024-02-26", "2024-04-19")  # clocks change on 10 March
HOURS = pd.DatetimeIndex([day + pd.Timedelta(hours=9.5 + h) for day in DAYS for h in range(7)])


def test_a_hole_in_a_session_is_a_gap_where_the_days_beside_it_have_bars():
    assert find_gaps(session_bars(HOURS)).empty
    bars = session_bars(HOURS.drop(["2024-03-20 11:30", "2024-03-20 12:30", "2024-04-02 10:30"]))
    gaps = find_gaps(bars)
    assert gaps["missing"].tolist() == [2, 1]
    assert gaps["start"].astype(str).tolist() == [
        "2024-03-20 15:30:00+00:00", "2024-04-02 14:30:00+00:00",
    ]  # fmt: skip
    assert str(gaps["end"][0]) == "2024-03-20 16:30:00+00:00"
    assert (closed_weekdays(bars), short_sessions(bars)) == (0, 2)


def test_a_daily_break_an_early_close_and_a_holiday_are_none():
    lunch = HOURS[HOURS.hour != 12]
    assert find_gaps(session_bars(lunch)).empty
    early = HOURS[(HOURS.date != DAYS[30].date()) | (HOURS.hour < 13)]
    assert find_gaps(session_bars(early)).empty
    assert short_sessions(session_bars(early)) == 1
    holiday = session_bars(HOURS[HOURS.date != DAYS[30].date()])
    assert find_gaps(holiday).empty
    assert closed_weekdays(holiday) == 1


@pytest.mark.parametrize("step", ["hourly", "daily"])
@pytest.mark.parametrize("first", [10, 12])  # a Monday and a Wednesday
def test_five_weekdays_without_a_bar_are_a_gap_and_four_are_none(step, first):
    for num_days, expected in ((4, 0), (5, 1), (8, 1)):
        kept = np.delete(np.arange(len(DAYS)), range(first, first + num_days))
        times = HOURS if step == "hourly" else DAYS
        bars = session_bars(times[np.isin(times.normalize(), DAYS[kept])])
        gaps = find_gaps(bars)
        assert len(gaps) == expected
        assert closed_weekdays(bars) == num_days
        if expected:
            per_day = 7 if step == "hourly" else 1
            assert gaps["missing"][0] == num_days * per_day
            assert gaps["start"][0].date() == DAYS[first].date()
            assert gaps["end"][0].date() == DAYS[first + num_days - 1].date()


def test_months_are_due_once_a_month_and_weeks_once_a_week():
    months = pd.date_range("2015-01-01", periods=60, freq="MS", tz="UTC")
    weeks = pd.date_range("2015-01-05", periods=60, freq="7D", tz="UTC")
    for times in (months, weeks):
        flat = pd.DataFrame(1.0, index=times, columns=list(FIELDS))
        assert find_gaps(Bars.from_frame(flat)).empty
        assert find_gaps(Bars.from_frame(flat.drop(times[[7, 20, 21]])))["missing"].tolist() == [
            1,
            2,
        ]
