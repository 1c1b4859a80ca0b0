"""Bad ticks and crashes are found, where they are and as large as they are."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.market.bars import Bars
from convnext_vbt.market.spikes import find_leaps, find_spikes

FIELDS = ("open", "high", "low", "close", "volume")


def market(num_bars: int = 400, symbols: tuple[str, ...] = ("A",)) -> Bars:
    """Prices that walk by 0.2 % an hour; every bar's range is 0.4 % of them."""
    frames = {}
    for seed, symbol in enumerate(symbols):
        steps = np.random.default_rng(seed).choice([-0.002, 0.002], num_bars)
        close = 100 * np.exp(np.cumsum(steps))
        first = np.append(100.0, close[:-1])
        top, bottom = np.maximum(first, close), np.minimum(first, close)
        values = (first, top * np.exp(0.001), bottom * np.exp(-0.001), close, np.ones(num_bars))
        index = pd.date_range("2024-01-01", periods=num_bars, freq="h", tz="UTC")
        frames[symbol] = pd.DataFrame(dict(zip(FIELDS, values, strict=True)), index)
    return Bars.from_frames(frames)


def with_bar(bars: Bars, t: int, n: int = 0, **factors: float) -> Bars:
    """The bars with some prices of bar t multiplied."""
    changed = {name: getattr(bars, name).copy() for name in factors}
    for name, factor in factors.items():
        changed[name][t, n] *= factor
    return replace(bars, **changed)


def test_an_ordinary_market_has_none():
    assert find_spikes(market()).columns.tolist() == ["symbol", "time", "move", "ranges"]
    assert not len(find_spikes(market()))


@pytest.mark.parametrize(("name", "factor"), [("high", 1.5), ("low", 0.5)])
def test_a_wick_is_as_long_as_it_reaches_beyond_the_closes(name, factor):
    bars = market()
    bad = with_bar(bars, 200, **{name: factor})
    (spike,) = find_spikes(bad).to_dict("records")
    assert (spike["symbol"], spike["time"]) == ("A", bars.index[200])
    ends = bars.close[199:201, 0]
    edge = ends.max() if factor > 1 else ends.min()
    assert spike["move"] == pytest.approx(getattr(bad, name)[200, 0] / edge - 1)
    usual = np.median(np.log(bars.high / bars.low)[32:200])
    assert spike["ranges"] == pytest.approx(abs(np.log1p(spike["move"])) / usual)


def test_a_misplaced_decimal_is_one_spike_and_a_jump_that_stays_is_none():
    bars, tenfold = market(), dict.fromkeys(("open", "high", "low", "close"), 10.0)
    spikes = find_spikes(with_bar(bars, 200, **tenfold))
    assert spikes["time"].tolist() == [bars.index[200]]
    assert spikes["move"].item() == pytest.approx(9, abs=0.1)
    after = {name: getattr(bars, name).copy() for name in tenfold}
    for values in after.values():
        values[200:] *= 2.0
    assert not len(find_spikes(replace(bars, **after)))


def test_a_price_that_rises_twice_is_no_spike():
    bars = market()
    prices = {name: getattr(bars, name).copy() for name in FIELDS[:4]}
    for values in prices.values():
        values[200:] *= 1.5
        values[201:] *= 1.5
    assert not len(find_spikes(replace(bars, **prices)))


def test_a_spike_is_30_usual_ranges_and_5_percent():
    bars = market()  # with ranges of 0.4 %
    assert not len(find_spikes(with_bar(bars, 200, high=1.10)))
    assert len(find_spikes(with_bar(bars, 200, high=1.14))) == 1
    shrunk = {name: 100 + (getattr(bars, name) - 100) * 0.05 for name in FIELDS[:4]}
    calm = replace(bars, **shrunk)
    assert not len(find_spikes(with_bar(calm, 200, high=1.04)))
    assert len(find_spikes(with_bar(calm, 200, high=1.06))) == 1


@pytest.mark.parametrize("t", [0, 1, 23, 24])
def test_the_first_bars_are_judged_by_those_after_them(t):
    bars = market()
    assert find_spikes(with_bar(bars, t, high=1.5))["time"].tolist() == [bars.index[t]]
    tenfold = dict.fromkeys(("open", "high", "low", "close"), 10.0)
    (spike,) = find_spikes(with_bar(bars, t, **tenfold)).to_dict("records")
    assert (spike["time"], round(spike["move"])) == (bars.index[t], 9)
    assert not len(find_spikes(with_bar(bars.rows(0, 20), 0, **tenfold)))  # too few to tell


def leaping(bars, t, factor):
    prices = {name: getattr(bars, name).copy() for name in FIELDS[:4]}
    for values in prices.values():
        values[t:] *= factor
    return replace(bars, **prices)


@pytest.mark.parametrize(
    ("factor", "ratio"),
    [(0.1, "10:1"), (0.5, "2:1"), (1 / 1.5, "3:2"), (3.0, "1:3"), (1e3, "1:1000"), (0.42, "")],
)
def test_a_price_that_changes_for_good_is_a_leap_by_its_plain_ratio(factor, ratio):
    bars = market()
    (leap,) = find_leaps(leaping(bars, 200, factor)).to_dict("records")
    assert (leap["symbol"], leap["time"]) == ("A", bars.index[200])
    assert leap["move"] == pytest.approx(factor - 1, rel=0.01)
    assert leap["ratio"] == ratio
    assert not len(find_spikes(leaping(bars, 200, factor)))


@pytest.mark.parametrize(("factor", "ratio"), [(0.5, "2:1"), (1 / 1.5, "3:2"), (0.75, "4:3")])
def test_a_split_of_lively_bars_is_a_leap_by_its_gap(factor, ratio):
    bars = market()
    lively = replace(bars, high=bars.high * 1.05, low=bars.low / 1.05)  # a tenth of the price
    (leap,) = find_leaps(leaping(lively, 200, factor)).to_dict("records")
    assert (leap["time"], leap["ratio"]) == (bars.index[200], ratio)
    assert not len(find_leaps(leaping(lively, 200, 0.58)))


def test_a_split_of_flat_bars_has_its_ratio():
    bars = market()
    flat = replace(bars, **dict.fromkeys(("open", "high", "low"), bars.close))
    (leap,) = find_leaps(leaping(flat, 200, 0.1)).to_dict("records")
    assert leap["ratio"] == "10:1"


def test_a_crash_within_the_bar_is_no_split():
    bars = market()
    halved = leaping(bars, 200, 0.5)
    first, high = halved.open.copy(), halved.high.copy()
    first[200], high[200] = bars.open[200], bars.high[200]
    (leap,) = find_leaps(replace(halved, open=first, high=high)).to_dict("records")
    assert leap["move"] == pytest.approx(-0.5, abs=0.01)
    assert leap["ratio"] == ""


def test_what_comes_back_or_is_small_is_no_leap():
    bars = market()
    tenfold = dict.fromkeys(("open", "high", "low", "close"), 10.0)
    assert not len(find_leaps(with_bar(bars, 200, **tenfold)))
    assert not len(find_leaps(leaping(bars, 200, 0.8)))
    assert not len(find_leaps(bars))


def test_the_largest_comes_first_and_every_symbol_is_looked_at():
    bars = market(symbols=("A", "B"))
    bad = with_bar(with_bar(with_bar(bars, 90, high=1.3), 300, n=1, low=0.5), 50, high=1.2)
    spikes = find_spikes(bad)
    assert spikes["symbol"].tolist() == ["B", "A", "A"]
    assert spikes["time"].tolist() == [bars.index[t] for t in (300, 90, 50)]
