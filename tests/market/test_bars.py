import dataclasses
import logging
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnext_vbt.market.bars import FIELDS, Bars, step_text
from tests.examples import examples


def frame(bars: int = 48, *, start: str = "2024-01-01", freq: str = "h", tz: str | None = "UTC"):
    rng = np.random.default_rng(bars)
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(bars)))
    first = np.r_[100.0, close[:-1]]
    top, bottom = np.maximum(first, close), np.minimum(first, close)
    return pd.DataFrame(
        {
            "open": first,
            "high": top * 1.001,
            "low": bottom * 0.999,
            "close": close,
            "volume": rng.random(bars),
        },
        index=pd.date_range(start, periods=bars, freq=freq, tz=tz),
    )


def test_a_frame_becomes_read_only_c_ordered_float64():
    bars = Bars.from_frame(frame(), symbol="BTC")
    for field in FIELDS:
        values = getattr(bars, field)
        assert values.dtype == np.float64
        assert values.shape == (48, 1)
        assert values.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            values[0, 0] = 1.0
    assert repr(bars) == "Bars(BTC: 48 bars of 1h, 2024-01-01 00:00 to 2024-01-02 23:00 UTC)"


def test_the_callers_arrays_are_copied():
    table = frame()
    bars = Bars.from_frame(table)
    before = bars.close.copy()
    table["close"] = 1.0
    assert np.array_equal(bars.close, before)


def test_column_case_and_order_do_not_matter():
    table = frame()
    other = table[list(reversed(FIELDS))].rename(columns=str.upper).assign(extra="ignored")
    assert Bars.from_frame(other).fingerprint() == Bars.from_frame(table).fingerprint()


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", None])
def test_every_time_zone_becomes_utc(zone):
    bars = Bars.from_frame(frame(tz=zone))
    expected = pd.Timestamp("2024-01-01", tz=zone or "UTC").tz_convert("UTC")
    assert bars.index[0] == expected
    assert str(bars.index.tz) == "UTC"
    assert bars.index.unit == "ns"


def test_a_panel_has_nan_rows_where_a_symbol_has_no_bar():
    early, late = frame(48), frame(24, start="2024-01-02")
    bars = Bars.from_frames({"A": early, "B": late})
    assert bars.symbols == ("A", "B")
    assert bars.close.shape == (48, 2)
    assert bars.present.sum(axis=0).tolist() == [48, 24]
    assert np.isnan(bars.volume[:24, 1]).all()
    assert np.array_equal(bars.close[24:, 1], late["close"])
    assert bars.frame("close").columns.tolist() == ["A", "B"]


def test_mirrored_bars_are_one_over_each_price_with_high_and_low_exchanged():
    bars = Bars.from_frame(frame())
    other = bars.mirrored()
    np.testing.assert_array_equal(other.high, 1 / bars.low)
    np.testing.assert_array_equal(other.low, 1 / bars.high)
    np.testing.assert_array_equal(other.close, 1 / bars.close)
    np.testing.assert_array_equal(other.open, 1 / bars.open)
    np.testing.assert_array_equal(other.volume, bars.volume)
    np.testing.assert_allclose(other.mirrored().high, bars.high)
    assert dataclasses.replace(other).step == bars.step, "they are bars as any"


def test_rows_are_a_view_that_keeps_step_and_calendar():
    bars = Bars.from_frames({"A": frame(480), "B": frame(100, start="2024-01-10")})
    part = bars.rows(5, 9)  # B has not a single bar here
    assert len(part) == 4
    assert np.shares_memory(part.close, bars.close)
    assert not part.close.flags.writeable
    assert (part.step, part.days_per_year) == (bars.step, 365)
    assert part.bars_per_year == 8760


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (3, 3), (0, 49)])
def test_rows_outside_are_refused(start, stop):
    with pytest.raises(ValueError, match="do not lie within the 48 bars"):
        Bars.from_frame(frame()).rows(start, stop)


def test_pickled_bars_stay_read_only_and_equal():
    bars = Bars.from_frame(frame())
    again = pickle.loads(pickle.dumps(bars))  # noqa: S301
    assert again.fingerprint() == bars.fingerprint()
    assert not again.close.flags.writeable


def test_fingerprint_sees_every_value_and_only_the_asked_rows():
    table = frame()
    whole, half = Bars.from_frame(table).fingerprint(), Bars.from_frame(table).fingerprint(24)
    table.iloc[30, 4] += 1
    assert Bars.from_frame(table).fingerprint() != whole
    assert Bars.from_frame(table).fingerprint(24) == half
    assert Bars.from_frame(table.iloc[:24]).fingerprint() == half
    assert Bars.from_frame(table, symbol="other").fingerprint(24) != half


@pytest.mark.parametrize(
    ("index", "days", "bars_a_year"),
    [
        (pd.date_range("2024-01-01", periods=2000, freq="h"), 365, 8760),
        (pd.date_range("2024-01-02", periods=24, freq="h"), 365, 8760),
        (pd.date_range("2024-01-02", "2024-01-05 23:59", freq="min").delete(700), 365, 525_600),
        (pd.date_range("2024-01-01", periods=400, freq="D"), 365, 365),
        (pd.date_range("2024-01-01", periods=400, freq="15min"), 365, 35040),
        (pd.bdate_range("2024-01-01", periods=400), 252, 252),
        (pd.bdate_range("2024-01-01", periods=4), 252, 252),
        (pd.date_range("2024-01-01", periods=100, freq="W-FRI"), 52, 365 / 7),
    ],
)
def test_the_calendar_is_read_off_the_index(index, days, bars_a_year):
    bars = Bars.from_frame(frame(len(index)).set_axis(index, axis=0))
    assert bars.days_per_year == days
    assert bars.bars_per_year == pytest.approx(bars_a_year)


def hours_of(start, stop, is_open):
    index = pd.date_range(start, stop, freq="h", tz="UTC", inclusive="left")
    return index[is_open(index)]


def on_index(index):
    return Bars.from_frame(frame(len(index)).set_axis(index, axis=0))


def currencies(index):
    """Sunday 22:00 to Friday 22:00 UTC, closed on Christmas and New Year's Day."""
    at = np.asarray(index.day_of_week * 24 + index.hour)
    holiday = np.isin(index.strftime("%m-%d"), ["12-25", "01-01"])
    return ((at < 4 * 24 + 22) | (at >= 6 * 24 + 22)) & ~holiday


@pytest.mark.parametrize("keep", [1.0, 0.55])
def test_years_are_time_and_not_bars(keep):
    hours = pd.date_range("2022-01-01", "2024-01-01", freq="h", tz="UTC", inclusive="left")
    there = np.random.default_rng(5).random(len(hours)) < keep
    there[[0, -1]] = True
    bars = on_index(hours[there])
    assert bars.years == pytest.approx(730 / 365)
    assert bars.rows(0, 1).years == pytest.approx(1 / 8760)
    weekdays = pd.bdate_range("2020-01-01", "2023-12-29", tz="UTC")
    assert on_index(weekdays).years == pytest.approx(1459 / 365)


def sydney(index):
    """10:00 to 16:00 local: in summer the week begins on Sunday 23:00 UTC, in winter on Monday."""
    local = index.tz_convert("Australia/Sydney")
    return np.asarray((local.day_of_week < 5) & (local.hour >= 10) & (local.hour < 16))


def test_sunday_evenings_are_days_of_their_own():
    index = hours_of("2021-01-01", "2025-01-01", currencies)
    bars = on_index(index)
    counted = index.normalize().nunique() / 4
    assert counted == pytest.approx(311, abs=1.5)
    assert bars.days_per_year == 311
    assert bars.bars_per_year == pytest.approx(len(index) / 4, rel=0.01)
    assert bars.has_sessions
    daily = on_index(pd.DatetimeIndex(index.normalize().unique()))
    assert (daily.days_per_year, daily.bars_per_year) == (311, 311)


@pytest.mark.parametrize("start", pd.date_range("2023-11-20", periods=7, freq="4D"))
@pytest.mark.parametrize("days", [21, 60])
def test_a_few_weeks_tell_the_calendar(start, days):
    """Christmas lies within most of them."""
    stop = start + pd.Timedelta(days=days)
    assert on_index(hours_of(start, stop, currencies)).days_per_year == 311
    assert on_index(hours_of(start, stop, lambda at: at.hour >= 0)).days_per_year == 365
    exchange = hours_of(start, stop, lambda at: (at.day_of_week < 5) & (at.hour // 7 == 2))
    assert on_index(exchange).days_per_year == 252


@pytest.mark.parametrize(("is_open", "days"), [(currencies, 311), (lambda at: at.hour >= 0, 365)])
def test_missing_weeks_and_days_do_not_change_the_calendar(is_open, days):
    index = hours_of("2022-01-01", "2024-01-01", is_open)
    week = (index.asi8 // (7 * 86_400 * 10**9)) % 5
    assert on_index(index[week > 1]).days_per_year == days  # two weeks in five are not there
    day = index.asi8 // (86_400 * 10**9)
    lost = np.random.default_rng(1).random(int(day[-1] - day[0]) + 1) < 0.1
    assert on_index(index[~lost[day - day[0]]]).days_per_year == days
    lost = np.random.default_rng(2).random(len(index)) < 0.3
    assert on_index(index[~lost]).days_per_year == days


def test_one_symbol_that_starts_late_does_not_change_the_calendar():
    early = on_index(hours_of("2022-01-01", "2024-01-01", currencies))
    late = hours_of("2023-06-01", "2024-01-01", currencies)
    panel = Bars.join(
        [early, Bars.from_frame(frame(len(late)).set_axis(late, axis=0), symbol="late")]
    )
    assert panel.days_per_year == 311
    assert panel.rows(len(panel) - 200, len(panel)).days_per_year == 311


def test_a_market_with_sundays_in_summer_alone_counts_those():
    index = hours_of("2020-01-01", "2024-01-01", sydney)
    bars = on_index(index)
    days = bars.days_per_year
    # Two weekdays of a hundred are holidays everywhere, but here there is none.
    assert days == pytest.approx(index.normalize().nunique() / 4 * 252 / 261, rel=0.02)
    assert 275 < days < 287
    assert bars.bars_per_year == pytest.approx(252 * 6, rel=0.02)


def test_weekdays_outside_a_span_of_days_count_as_the_others():
    """From a Thursday to a Monday: what the market does on Tuesday cannot be known."""
    for is_open, days in [
        (currencies, 311),
        (lambda at: at.hour >= 0, 365),
        (lambda at: at.day_of_week < 5, 252),
    ]:
        assert on_index(hours_of("2024-03-07", "2024-03-12", is_open)).days_per_year == days


def test_sunday_to_thursday_is_five_days_and_a_few_saturdays_are_none():
    israel = hours_of(
        "2022-01-01", "2024-01-01", lambda at: np.isin(at.day_of_week, [6, 0, 1, 2, 3])
    )
    assert on_index(pd.DatetimeIndex(israel.normalize().unique())).days_per_year == 252
    exchange = pd.bdate_range("2010-01-01", "2020-01-01", tz="UTC")
    saturdays = pd.date_range("2010-01-02", periods=9, freq="364D", tz="UTC")
    assert on_index(exchange.union(saturdays)).days_per_year == 252


@pytest.mark.parametrize(
    ("freq", "days"), [("W-SUN", 52), ("W-MON", 52), ("MS", 12), ("QS", 4), ("YS", 1), ("3D", 122)]
)
def test_bars_longer_than_a_day_count_themselves(freq, days):
    index = pd.date_range("2000-01-01", periods=20, freq=freq, tz="UTC")
    for stamps in (index, index.delete([5, 6, 7])):
        bars = on_index(stamps)
        assert bars.days_per_year == days
        assert not bars.has_sessions


def test_a_year_can_be_given():
    bars = on_index(pd.bdate_range("2024-01-01", periods=400))
    values = {field: getattr(bars, field) for field in FIELDS}
    own = Bars(index=bars.index, symbols=bars.symbols, step=bars.step, days_per_year=260, **values)
    assert (own.days_per_year, own.bars_per_year) == (260, 260)


def test_session_hours_count_seven_a_day():
    days = pd.bdate_range("2024-01-01", periods=50, tz="UTC")
    index = pd.DatetimeIndex([d + pd.Timedelta(hours=h) for d in days for h in range(14, 21)])
    bars = Bars.from_frame(frame(len(index)).set_axis(index, axis=0))
    assert bars.bars_per_year == 252 * 7


@pytest.mark.parametrize(
    ("step", "text"),
    [("1h", "1h"), ("15min", "15m"), ("1D", "1d"), ("90min", "90m"), ("1s", "1s")],
)
def test_steps_are_written_as_traders_do(step, text):
    assert step_text(pd.Timedelta(step)) == text


def changed(row: int, **values: float) -> pd.DataFrame:
    table = frame()
    for field, value in values.items():
        table.iloc[row, FIELDS.index(field)] = value
    return table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (changed(5, close=np.nan), r"row 5 \(2024-01-01 05:00.*close: only part of the bar"),
        (changed(5, low=-1.0), r"row 5 .*low: a price must be finite and > 0 .*low=-1.*repair"),
        (changed(5, open=0.0), r"row 5 .*open: a price must be"),
        (changed(5, high=np.inf), r"row 5 .*high: a price must be finite"),
        (changed(5, volume=-1.0), r"row 5 .*volume: a volume must be finite and >= 0"),
        (changed(5, high=90.0, low=95.0), r"row 5 .*the high lies below the low"),
        (changed(5, high=99.0, low=1.0), r"row 5 .*high lies below the open or the close"),
        (changed(5, low=150.0, high=160.0), r"row 5 .*low lies above the open or the close"),
        (frame().drop(columns="low"), "column.s. low not found among open, high, close, volume"),
        (frame().assign(Low=1.0), "column low is there twice"),
        (frame().astype({"close": str}), "column close is not numeric .*pandas.to_numeric"),
        (frame().iloc[::-1], r"row 1: .*22:00.* is earlier .*23:00.*newest comes first.*; sort"),
        (frame().iloc[[0, 2, 1, 3]], "row 2: .*01:00:00.* is earlier than the row before.*sort"),
        (frame().iloc[[0, 1, 1]], "row 2: .*there twice with the same values; drop one.*1 in all"),
        (frame().iloc[:1], "at least 2 rows, got 1"),
        (frame().iloc[:0], "is the file empty"),
        (frame() * np.nan, "asset: not a single bar is there"),
        (
            frame().set_axis(frame().index.where(frame().index.hour != 7), axis=0),
            "row 7: the timestamp is missing",
        ),
    ],
)
def test_a_fault_names_row_value_and_remedy(table, message):
    with pytest.raises(ValueError, match=message) as caught:
        Bars.from_frame(table)
    assert "\n" not in str(caught.value)


def test_a_conflicting_duplicate_shows_both_values():
    table = changed(3, close=100.5, high=200.0)
    table.index = table.index.where(np.arange(48) != 3, table.index[2])
    close = table["close"].iloc[2]
    with pytest.raises(ValueError, match=r"different values \(open .*find out which row is right"):
        Bars.from_frame(table)
    table[["open", "high", "low"]] = 100.0
    with pytest.raises(ValueError, match=rf"different values \(close {close:g} and 100.5\)"):
        Bars.from_frame(table)


def test_a_plain_index_is_a_type_error():
    with pytest.raises(TypeError, match=r"must be a DatetimeIndex.*set_index"):
        Bars.from_frame(frame().reset_index(drop=True))


def test_the_constructor_checks_symbols_shape_step_zone_and_calendar():
    bars = Bars.from_frame(frame())
    good = {field: getattr(bars, field) for field in FIELDS}
    good |= {"index": bars.index, "symbols": ("A",), "step": bars.step}
    for change, kind, message in [
        ({"symbols": "A"}, TypeError, "tuple of names, got 'A'"),
        ({"symbols": ()}, ValueError, "distinct and at least one"),
        ({"symbols": ("A", "A")}, ValueError, "distinct and at least one"),
        ({"close": bars.close[:, 0]}, ValueError, r"close must have shape \(48, 1\)"),
        ({"step": pd.Timedelta(0)}, ValueError, "step must be positive"),
        ({"days_per_year": 366}, ValueError, r"lie in \[1, 365\], or be 0 .*, got 366"),
        ({"index": bars.index.tz_convert("Asia/Tokyo")}, ValueError, "must be UTC.*tz_convert"),
        ({"index": bars.index.tz_localize(None)}, ValueError, "must be UTC, got time zone None"),
        ({"index": bars.index[::-1]}, ValueError, "is earlier than the row before"),
        ({"index": bars.index[[0, *range(47)]]}, ValueError, "row 1: .*duplicate of the row"),
        ({"index": list(bars.index)}, TypeError, "DatetimeIndex of open times, got list"),
    ]:
        with pytest.raises(kind, match=message):
            Bars(**(good | change))
    with pytest.raises(ValueError, match="no frames were given"):
        Bars.from_frames({})


# Mostly close together, so that sound bars and every kind of fault come up often.
price = st.sampled_from([1.0, 2.0, 2.0, 3.0, 3.0, 4.0]) | st.sampled_from(
    [0.0, -1.0, np.nan, np.inf, -np.inf]
)
sorted_row = st.tuples(*[st.floats(0.1, 9)] * 4).map(
    lambda four: (sorted(four)[1], max(four), min(four), sorted(four)[2], 5.0)
)


@examples(150)
@given(row=st.tuples(*[price] * 5) | sorted_row | st.just((np.nan,) * 5), at=st.integers(0, 9))
def test_a_row_is_accepted_exactly_when_a_plain_reading_of_the_rules_accepts_it(row, at):
    table = frame(10)
    table.iloc[at] = row
    o, h, low, c, v = row
    whole = all(np.isnan(row))
    sound = bool(np.isfinite(row).all()) and 0 < low <= min(o, c) <= max(o, c) <= h and v >= 0
    if whole or sound:
        bars = Bars.from_frame(table)
        assert bars.present[at, 0] == sound
    else:
        with pytest.raises(ValueError, match=f"asset, row {at} "):
            Bars.from_frame(table)


def test_rounding_in_a_frame_is_mended_and_told(caplog):
    index = pd.date_range("2024-01-01", periods=3, freq="D", tz="UTC")
    close = np.array([101.23, 50.0, 60.0])
    frame = pd.DataFrame(
        {"open": close - 1, "high": close, "low": close - 2, "close": close}, index
    )
    frame = frame.assign(volume=1.0)
    frame.iloc[0, 1] = np.nextafter(101.23, 0)
    with caplog.at_level(logging.WARNING, "convnext_vbt"):
        bars = Bars.from_frame(frame, symbol="KO")
    assert bars.high[0, 0] == 101.23
    assert "KO: 1 bar(s) whose high or low was off by rounding" in caplog.text
    frame.iloc[0, 1] = 101.22
    with pytest.raises(ValueError, match="the high lies below the open or the close"):
        Bars.from_frame(frame)
