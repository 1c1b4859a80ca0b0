import pickle

import numpy as np
import pandas as pd
import pytest

import convnext_vbt as cv
from convnext_vbt.errors import DataError, InputError
from convnext_vbt.market.detail import Detail, load_detail
from convnext_vbt.runs.bars import read_bars, read_detail
from convnext_vbt.runs.config import parse_config

START = pd.Timestamp("2024-01-01", tz="UTC")
HOW = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}


def minutes(count=240, seed=0, start=START, freq="1min"):
    """A random walk of minutes."""
    rng = np.random.default_rng(seed)
    walk = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, count + 1)))
    opened, close = walk[:-1], walk[1:]
    table = {
        "open": opened,
        "high": np.maximum(opened, close) * 1.0005,
        "low": np.minimum(opened, close) * 0.9995,
        "close": close,
        "volume": rng.uniform(1, 2, count),
    }
    return pd.DataFrame(table, index=pd.date_range(start, periods=count, freq=freq))


def hours(table):
    return table.resample("1h").agg(HOW).dropna()


def bars(table, symbol="S"):
    return cv.Bars.from_frame(table, symbol=symbol)


def inside(detail, n, i):
    return detail.prices[n, :, detail.starts[n, i] : detail.starts[n, i + 1]]


def assert_holds(detail, panel, tables):
    """Every bar's own finer rows, taken by pandas."""
    for n, (symbol, table) in enumerate(tables.items()):
        for i, when in enumerate(panel.index):
            own = table[(table.index >= when) & (table.index < when + panel.step)]
            if not panel.present[i, panel.symbols.index(symbol)]:
                own = own[:0]
            wanted = own[["open", "high", "low", "close"]].to_numpy().T
            np.testing.assert_array_equal(inside(detail, n, i), wanted)


def test_every_bar_has_its_own_finer_bars():
    fine = minutes()
    detail = cv.Detail.from_bars(bars(hours(fine)), bars(fine))
    assert detail.prices.shape == (1, 4, 240)
    assert detail.starts.dtype == np.int64
    assert detail.starts.tolist() == [[0, 60, 120, 180, 240]]
    assert_holds(detail, bars(hours(fine)), {"S": fine})
    assert not detail.prices.flags.writeable
    again = pickle.loads(pickle.dumps(detail))  # noqa: S301 - our own
    assert not again.starts.flags.writeable
    np.testing.assert_array_equal(again.prices, detail.prices)


def test_a_range_of_bars_has_its_part():
    fine = minutes()
    coarse = bars(hours(fine))
    part = Detail.from_bars(coarse, bars(fine)).rows(1, 3)
    own = coarse.rows(1, 3)
    assert part.starts.tolist() == [[60, 120, 180]]
    assert_holds(part, own, {"S": fine})


def test_symbols_of_a_panel_have_theirs_wherever_they_lack_bars():
    early, late = minutes(180, 1), minutes(150, 2, START + pd.Timedelta(hours=1))
    late = late.drop(late.index[10:20])  # in part: the hour's high and low are made of the rest
    tables = {"A": early, "B": late}
    coarse = cv.Bars.join([bars(hours(table), name) for name, table in tables.items()])
    fine = cv.Bars.join([bars(table, name) for name, table in reversed(tables.items())])
    detail = Detail.from_bars(coarse, fine)
    assert_holds(detail, coarse, tables)
    assert np.isnan(detail.prices[1, :, 140:]).all()
    assert not np.isnan(detail.prices[0]).any()


def test_finer_bars_between_the_bars_are_of_none():
    fine = minutes(360)
    coarse = hours(fine).drop(START + pd.Timedelta(hours=2)).iloc[1:]
    detail = Detail.from_bars(bars(coarse), bars(fine))
    assert detail.prices.shape[2] == 240
    assert_holds(detail, bars(coarse), {"S": fine})


def test_a_day_of_sessions_is_made_of_its_hours():
    fine = minutes(24 * 30, freq="1h")
    fine = fine[(fine.index.hour >= 14) & (fine.index.hour < 21) & (fine.index.day_of_week < 5)]
    days = fine.resample("1D").agg(HOW).dropna()
    detail = Detail.from_bars(bars(days), bars(fine))
    assert np.diff(detail.starts[0]).tolist() == [7] * len(days)


@pytest.mark.parametrize(("freq", "counts"), [("MS", [31, 29, 31, 30]), ("YS", [366, 365, 365])])
def test_months_and_years_end_with_the_next_one(freq, counts):
    fine = minutes(366 + 2 * 365, freq="1D")
    long = fine.resample(freq).agg(HOW)
    detail = Detail.from_bars(bars(long), bars(fine))
    assert np.diff(detail.starts[0]).tolist()[:4] == counts


def test_two_files_of_one_symbol_may_have_two_names():
    fine = minutes()
    detail = Detail.from_bars(bars(hours(fine), "hours"), bars(fine, "minutes"))
    assert_holds(detail, bars(hours(fine), "hours"), {"hours": fine})
    both = cv.Bars.join([bars(fine, "x"), bars(fine, "y")])
    with pytest.raises(InputError, match="the detail has no bars of hours, only of x, y; give"):
        Detail.from_bars(bars(hours(fine), "hours"), both)


@pytest.mark.parametrize("freq", ["1h", "25min", "2h"])
def test_steps_that_do_not_divide_are_refused(freq):
    with pytest.raises(InputError, match=r"the detail's bars of .* do not divide bars of 1h; give"):
        Detail.from_bars(bars(hours(minutes())), bars(minutes(freq=freq)))


def test_finer_bars_off_the_grid_are_refused():
    fine = minutes()
    shifted = fine.set_axis(fine.index + pd.Timedelta(seconds=30))
    with pytest.raises(InputError, match=r"bar of 2024-01-01 00:59:30.* ends after .* 01:00:00"):
        Detail.from_bars(bars(hours(fine)), bars(shifted))


def test_a_bar_without_finer_bars_is_named():
    fine = minutes()
    lacking = fine.drop(fine.index[60:120])
    with pytest.raises(
        InputError,
        match=r"S: the detail has no bar within 1 bar\(s\), the first at 2024-01-01 01:00",
    ):
        Detail.from_bars(bars(hours(fine)), bars(lacking))
    with pytest.raises(InputError, match=r"within 3 bar\(s\), the first at 2024-01-01 01:00"):
        Detail.from_bars(bars(hours(fine)), bars(fine.iloc[:60]))


@pytest.mark.parametrize(
    ("field", "row", "factor", "message"),
    [
        (
            "high",
            70,
            1.1,
            r"S: the high of 2024-01-01 01:00:00\+00:00 is 1\d\d\.\d+, and of its 60",
        ),
        (
            "low",
            70,
            0.9,
            r"the low of 2024-01-01 01:00:00\+00:00 is .* bar\(s\) of 1m 90\.\d+; 1 ",
        ),
        ("open", 60, 1.00001, "the open of 2024-01-01 01:00:00"),
        ("close", 119, 1.00001, "the close of 2024-01-01 01:00:00"),
        ("volume", 70, 3.0, "the volume of 2024-01-01 01:00:00.*: give the detail of the same"),
    ],
)
def test_finer_bars_of_another_market_are_refused(field, row, factor, message):
    fine = minutes()
    coarse = bars(hours(fine))
    fine.loc[fine.index[row], field] *= factor
    with pytest.raises(InputError, match=message) as caught:
        Detail.from_bars(coarse, bars(fine))
    assert "\n" not in str(caught.value)


def test_what_is_rounding_is_taken_and_volumes_may_be_unknown():
    fine = minutes()
    coarse = hours(fine)
    near = coarse.assign(high=coarse["high"] * (1 + 5e-7), volume=coarse["volume"] * 1.009)
    Detail.from_bars(bars(near), bars(fine))
    Detail.from_bars(bars(coarse), bars(fine.assign(volume=np.nan)))
    Detail.from_bars(bars(coarse.assign(volume=np.nan)), bars(fine))


def test_a_bar_in_part_needs_its_high_and_low_alone():
    fine = minutes()
    fine.loc[fine.index[80], "high"] *= 1.1
    fine.loc[fine.index[90], "low"] *= 0.9
    coarse = hours(fine)
    for row in (60, 119):
        Detail.from_bars(bars(coarse), bars(fine.drop(fine.index[row])))
    for row, name in ((80, "high"), (90, "low")):
        with pytest.raises(InputError, match=rf"the {name} of 2024-01-01 01:00.* of its 59 bar"):
            Detail.from_bars(bars(coarse), bars(fine.drop(fine.index[row])))


def test_a_strategy_names_its_detail(tmp_path):
    fine = minutes(60 * 40)
    hours(fine).to_csv(tmp_path / "hours.csv", index_label="timestamp")
    fine.to_csv(tmp_path / "fine.csv", index_label="timestamp")
    data = {"source": str(tmp_path / "hours.csv"), "end": "2024-01-02"}
    config = parse_config({"data": data | {"detail": str(tmp_path / "fine.csv")}})
    coarse = read_bars(config)
    detail = read_detail(config, coarse)
    assert detail.starts[0, -1] == 24 * 60
    np.testing.assert_array_equal(detail.prices, load_detail(fine, coarse).prices)
    plain = parse_config({"data": data})
    assert read_detail(plain, coarse) is None
    assert plain.sha256 != config.sha256
    other = parse_config({"data": data | {"detail": str(tmp_path / "no.csv")}})
    with pytest.raises(DataError, match=r"data.detail = .*no.csv: .*no.csv"):
        read_detail(other, coarse)
