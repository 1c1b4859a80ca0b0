"""Stretches in which nothing traded are found; what merely is quiet is not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.market.bars import FIELDS, Bars
from convnext_vbt.market.frozen import find_frozen

INDEX = pd.date_range("2024-01-01", periods=60, freq="h", tz="UTC")


def market(*still: slice, volume: float | None = None) -> Bars:
    """A price that rises by one an hour and stands still in the slices, at this volume if any."""
    frames = {}
    for symbol in ("A", "B"):
        table = pd.DataFrame({"close": np.arange(100.0, 160.0)}, INDEX)
        table["open"], table["volume"] = table["close"] - 1, 5.0
        table["high"], table["low"] = table["close"] + 1, table["open"] - 1
        for rows in still if symbol == "B" else ():
            table.iloc[rows, :3] = table["close"].iloc[rows.start - 1]
            table.iloc[rows, table.columns.get_indexer(["high", "low"])] = table["close"].iloc[
                rows.start - 1
            ]
            if volume is not None:
                table.iloc[rows, table.columns.get_loc("volume")] = volume
        frames[symbol] = table
    return Bars.from_frames(frames)


@pytest.mark.parametrize("volume", [None, 0.0])
def test_six_bars_in_a_row_are_a_stretch_and_the_longest_comes_first(volume):
    found = find_frozen(market(slice(5, 11), slice(20, 30), slice(40, 45), volume=volume))
    assert found.to_dict("records") == [
        {"symbol": "B", "start": INDEX[20], "end": INDEX[29], "bars": 10},
        {"symbol": "B", "start": INDEX[5], "end": INDEX[10], "bars": 6},
    ]
    assert not len(find_frozen(market()))


def test_bars_without_volume_are_frozen_though_quotes_move():
    bars = market()
    volume = bars.volume.copy()
    volume[10:20, 0] = 0.0
    (one,) = find_frozen(replace(bars, volume=volume)).to_dict("records")
    assert (one["symbol"], one["bars"]) == ("A", 10)


def test_a_feed_that_is_stuck_is_frozen_though_its_bar_has_a_range():
    bars = market()
    again = {name: getattr(bars, name).copy() for name in FIELDS}
    for values in again.values():
        values[20:30, 0] = values[19, 0]
    (one,) = find_frozen(replace(bars, **again)).to_dict("records")
    assert (one["symbol"], one["start"], one["bars"]) == ("A", INDEX[20], 10)


@pytest.mark.parametrize("unknown", [0.0, np.nan])
def test_a_symbol_without_any_volume_is_judged_by_its_prices(unknown):
    bars = market(slice(20, 30))
    found = find_frozen(replace(bars, volume=np.full_like(bars.volume, unknown)))
    assert found["bars"].tolist() == [10]
