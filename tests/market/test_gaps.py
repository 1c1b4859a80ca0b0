import pandas as pd

from convnext_vbt.market.bars import FIELDS, Bars
from convnext_vbt.market.gaps import find_gaps
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


def test_a_stamp_off_the_grid_is_no_missing_bar():
    late = WHOLE.index.where(WHOLE.index != WHOLE.index[9], WHOLE.index[9] + pd.Timedelta("30min"))
    assert find_gaps(Bars.from_frame(WHOLE.set_axis(late, axis=0))).empty


def test_nights_and_weekends_of_a_session_market_are_none():
    assert find_gaps(load_bars("sp500")).empty
