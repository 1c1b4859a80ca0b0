import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convnext_vbt.report import accounts
from tests.report.markets import make_bars

HOURS = pd.date_range("2024-01-01 22:00", periods=6, freq="h", tz="UTC")
EQUITY = np.array([110.0, 99.0, 104.5, 121.0, 60.5, 90.0])


def test_daily_keeps_the_last_close_and_the_deepest_bar_of_each_utc_day():
    day = accounts.daily(HOURS, EQUITY, 100.0)
    assert day.days.tolist() == [19723, 19724]  # 2024-01-01 and -02
    assert day.growth.tolist() == [0.99, 0.9]
    np.testing.assert_allclose(day.underwater, [-0.1, -0.5])


def test_the_initial_cash_is_a_peak_too():
    assert accounts.underwater(np.array([80.0, 90.0]), 100.0).tolist() == pytest.approx(
        [-0.2, -0.1]
    )


def test_drawdowns_by_hand():
    falls = accounts.drawdowns(EQUITY, 100.0)
    assert [(f.peak, f.trough, f.end) for f in falls] == [(3, 4, -1), (0, 1, 3)]
    assert [f.depth for f in falls] == pytest.approx([0.5, 0.1])
    assert accounts.longest_drawdown_days(falls, HOURS) == pytest.approx(3 / 24)
    assert accounts.longest_drawdown_days([], HOURS) == 0.0


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.floats(1.0, 200.0), min_size=1, max_size=60))
def test_drawdowns_cover_exactly_the_bars_below_a_peak(values):
    equity = np.array(values)
    falls = accounts.drawdowns(equity, 100.0)
    below = pd.Series([100.0, *values])
    below = (below < below.cummax()).to_numpy()[1:]
    covered = np.zeros(len(equity), dtype=int)
    for fall in falls:
        covered[fall.peak + 1 : fall.end if fall.end >= 0 else None] += 1
    np.testing.assert_array_equal(covered, below.astype(int))
    deepest = max((fall.depth for fall in falls), default=0.0)
    assert deepest == pytest.approx(-accounts.underwater(equity, 100.0).min(), abs=1e-15)


def test_splits_chain_to_the_whole_return():
    ranges = accounts.split_ranges([(5, 8), (8, 11), (20, 30)], (5, 11))
    assert ranges == [(0, 3), (3, 6), (15, 6)]
    returns, depths, counts = accounts.split_figures(EQUITY, np.array([1, 2, 5]), ranges, 100.0)
    assert (1 + returns[0]) * (1 + returns[1]) == pytest.approx(0.9)
    assert np.isnan(returns[2])
    assert depths[:2] == pytest.approx([0.1, 0.5])
    assert counts[:2].tolist() == [2, 1]


def test_buy_and_hold_buys_at_the_open_after_the_first_close():
    bars = make_bars(bars=200)
    equity = accounts.buy_and_hold(bars, 0, init_cash=10_000, fees=0.001, slippage=0.002)
    price = bars.open[1, 0] * 1.002
    units = 10_000 / (price * 1.001)
    assert equity[0] == 10_000
    assert units * price * 0.001 + units * price == pytest.approx(10_000)
    close = pd.Series(bars.close[:, 0]).ffill().to_numpy()
    np.testing.assert_allclose(equity[1:], units * close[1:])


def test_buy_and_hold_without_costs_earns_the_market():
    bars = make_bars(bars=200)
    out = accounts.benchmark(bars, 0, init_cash=1.0, fees=0.0, slippage=0.0)
    assert out.figures["total_return"] == pytest.approx(bars.close[-1, 0] / bars.open[1, 0] - 1)
    assert out.figures["costs"] == 0
