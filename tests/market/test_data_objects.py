"""vectorbt's own data objects as bars."""

import numpy as np
import pandas as pd
import pytest
import vectorbt as vbt

from convnext_vbt.market.bars import FIELDS, Bars
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.market.sources import load_bars

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
        (lambda: data_of(A=frame(1)[["Open", "Close"]]), ValueError, "high, low, volume"),
        (lambda: frame(1), TypeError, r"bars cannot be made of DataFrame; .* Bars.from_frame"),
        (lambda: 7, TypeError, "bars cannot be made of int; pass a path"),
    ],
)
def test_what_holds_no_bars_is_refused(made, error, message):
    with pytest.raises(error, match=message):
        load_bars(made())
