"""vectorbt's own data objects as bars."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import vectorbt as vbt

from convnext_vbt.market.bars import FIELDS, Bars
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.market.sources import load_bars, load_report

HOUR = pd.Timedelta(hours=1)
RNG = np.random.default_rng(5)

# vectorbt's own, about pandas: it asks for an index's frequency.
pytestmark = pytest.mark.filterwarnings("ignore:.*inferred_freq")


def frame(seed, *, start=0, stop=60, capital=True):
    bars = simulated_bars(seed=seed, bars=60)
    names = [field.capitalize() if capital else field for field in FIELDS]
    values = np.column_stack([getattr(bars, field) for field in FIELDS])
    return pd.DataFrame(values, index=bars.index, columns=names).iloc[start:stop]


def data_of(**frames):
    return vbt.Data.from_data(frames, download_kwargs={})


class Downloaded(vbt.Data):
    """As vectorbt's own classes do it: one frame a symbol, with columns nobody asked for."""

    @classmethod
    def download_symbol(cls, symbol, zone="UTC", **_):
        return frame(1 if symbol == "A" else 2).assign(**{"Stock Splits": 0.0}).tz_convert(zone)


@pytest.mark.parametrize("door", [Bars.from_data, load_bars])
def test_a_data_object_is_a_panel_of_its_symbols(door):
    bars = door(Downloaded.download(["A", "B"]))
    assert bars.symbols == ("A", "B")
    for column, seed in enumerate((1, 2)):
        expected = simulated_bars(seed=seed, bars=60)
        assert bars.index.equals(expected.index)
        for field in FIELDS:
            np.testing.assert_array_equal(
                getattr(bars, field)[:, column], getattr(expected, field)[:, 0]
            )


def test_times_of_another_zone_become_utc():
    bars = load_bars(Downloaded.download("A", zone="America/New_York"))
    assert bars.fingerprint() == Bars.from_data(Downloaded.download("A")).fingerprint()


def test_rows_that_vectorbt_filled_to_align_are_missing_bars():
    with pytest.warns(UserWarning, match="mismatching index"):
        data = data_of(A=frame(1, stop=40), B=frame(2, start=20))
    bars = load_bars(data)
    assert bars.present.sum(axis=0).tolist() == [40, 40]
    assert not bars.present[:20, 1].any()
    assert not bars.present[40:, 0].any()


def test_a_slice_and_a_list_of_data_objects_are_taken():
    one = data_of(A=frame(1, capital=False))
    other = data_of(B=frame(2))
    assert len(load_bars(one.iloc[:30])) == 30
    assert load_bars([one, other]).symbols == ("A", "B")


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (lambda: data_of(A=frame(1)["Close"]), TypeError, "A: a single column is no bar"),
        (
            lambda: data_of(A=frame(1)[["Open", "Close"]]),
            ValueError,
            r"A: column\(s\) high, low not",
        ),
        (lambda: 7, TypeError, "bars cannot be made of int; pass a path"),
    ],
)
def test_what_holds_no_bars_is_refused(made, error, message):
    with pytest.raises(error, match=message):
        load_bars(made())


def as_data(table):
    """With settings of vectorbt that leave times without a zone alone; by default they are UTC."""
    usual = {key: vbt.settings["data"][key] for key in ("tz_localize", "tz_convert")}
    vbt.settings["data"].update(dict.fromkeys(usual))
    try:
        return data_of(A=table)
    finally:
        vbt.settings["data"].update(usual)


def as_arrow(table):
    return pa.Table.from_pandas(table)


DOORS = pytest.mark.parametrize("door", [pd.DataFrame, as_data, as_arrow])


@DOORS
def test_a_frame_is_read_as_a_file_is(door, tmp_path):
    table = frame(1).assign(Note="x")
    table.iloc[7, table.columns.get_loc("High")] = table["Close"].iloc[7] * (1 - 1e-12)
    table = table.iloc[[*range(30), 31, 30, *range(32, 60), 59]]
    table.rename_axis("timestamp").to_csv(tmp_path / "x.csv")
    there = load_report(tmp_path / "x.csv")
    here = load_report(door(table))
    assert here.bars.index.equals(there.bars.index)
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(here.bars, field), getattr(there.bars, field))
    assert [c.what.partition(" (")[0] for c in here.changes] == [
        c.what.partition(" (")[0] for c in there.changes
    ]
    assert here.times == there.times
    with pytest.raises(ValueError, match="strict reading changes nothing"):
        load_bars(door(table), strict=True)


@DOORS
def test_times_without_a_zone_are_told_and_can_be_said(door, caplog):
    table = frame(1).tz_localize(None)
    report = load_report(door(table))
    assert report.times == "times: UTC, stamped at the bar's open (assumed)"
    assert "60 times without an offset taken as UTC" in str(report.changes[0])
    load_bars(door(table))
    assert "times without an offset taken as UTC" in caplog.text
    said = load_report(door(table), timezone="America/New_York", stamp="close")
    assert said.times == "times: America/New_York, stamped at the bar's close (said by the user)"
    assert said.bars.index[0] == table.index[0].tz_localize("America/New_York") - HOUR
    assert not said.changes


@DOORS
def test_a_frame_on_an_exchanges_clock_is_refused_by_its_sessions(door):
    hours = pd.date_range("2024-01-02", "2024-04-30", freq="h")
    local = hours[(hours.hour >= 9) & (hours.hour < 16) & (hours.day_of_week < 5)]
    table = pd.DataFrame(10.0 + RNG.random((len(local), 1)), local, ["Open"])
    table = table.assign(High=20.0, Low=5.0, Close=table["Open"] + 1, Volume=RNG.random(len(local)))
    with pytest.raises(ValueError, match=r"sessions begin at 09:00 .* write data\.timezone"):
        load_bars(door(table))


def test_a_frame_has_its_symbols_in_a_column_or_is_asset():
    assert load_bars(frame(1)).symbols == ("asset",)
    both = pd.concat([frame(1).assign(symbol="A"), frame(2).assign(symbol="B")])
    assert load_bars(both).symbols == ("A", "B")


def test_a_frame_keeps_its_memory_to_itself():
    table = frame(1)
    bars = load_bars(table)
    before = bars.fingerprint()
    table.loc[:, "Close"] = 1.0
    assert bars.fingerprint() == before
