import math

import numpy as np
import pytest
from scipy.stats import kurtosis, skew

from convnext_vbt.evidence import measures
from convnext_vbt.trading.codes import BUY, CLOSED, GAP_STOP, LONG, OPEN, SELL, SHORT, STOP
from convnext_vbt.trading.records import ORDER_DTYPE, TRADE_DTYPE

RETURNS = np.array([0.02, -0.01, 0.0, 0.015, -0.02, 0.01])


@pytest.fixture
def trades():
    """Three that ended, at +30, -10 and -20, and one that is still open."""
    records = np.zeros(4, TRADE_DTYPE)
    records["pnl"] = 30.0, -10.0, -20.0, 99.0
    records["return"] = 0.03, -0.01, -0.02, 0.5
    records["status"] = CLOSED, CLOSED, CLOSED, OPEN
    records["direction"] = LONG, SHORT, LONG, SHORT
    records["reason"] = STOP, GAP_STOP, STOP, 0
    records["capped"] = True, False, False, False
    return records


def test_growth_a_year():
    assert measures.growth_rate(1.21, 2.0) == pytest.approx(0.1)
    assert measures.growth_rate(0.0, 2.0) == measures.growth_rate(-0.5, 2.0) == -1.0
    assert measures.log_growth(0.1) == pytest.approx(math.log(1.1))
    assert math.isnan(measures.log_growth(-1.0))


def test_falls_are_measured_from_the_start_too():
    assert measures.max_drawdown(np.array([80.0, 120.0, 90.0]), 100.0) == -0.25
    assert measures.max_drawdown(np.array([70.0, 120.0, 96.0]), 100.0) == pytest.approx(-0.3)
    assert measures.max_drawdown(np.array([101.0, 102.0]), 100.0) == 0.0


def test_returns_end_where_the_money_does():
    money = np.array([100.0, 110.0, -5.0, -7.0])
    np.testing.assert_allclose(measures.returns_between(money), [0.1, -115 / 110, 0.0])


def test_ratios_are_annual_by_the_markets_own_days():
    mean, deviation = RETURNS.mean(), RETURNS.std(ddof=1)
    for days in (252, 365):
        year = math.sqrt(days)
        assert measures.sharpe(RETURNS, days) == pytest.approx(mean / deviation * year)
        assert measures.volatility(RETURNS, days) == pytest.approx(deviation * year)
        down = math.sqrt((0.01**2 + 0.02**2) / 6)
        assert measures.sortino(RETURNS, days) == pytest.approx(mean / down * year)
    long = np.tile(RETURNS, 10)
    daily, annual = (measures.sharpe_interval(long, days) for days in (1, 365))
    np.testing.assert_allclose(annual, np.array(daily) * math.sqrt(365))
    assert math.isnan(measures.volatility(RETURNS[:1], 365))
    assert math.isnan(measures.sortino(np.abs(RETURNS), 365))


def test_moments_are_the_fields_own():
    found = measures.moments(RETURNS)
    assert found == pytest.approx((skew(RETURNS), kurtosis(RETURNS, fisher=False)))
    assert all(math.isnan(value) for value in measures.moments(np.zeros(6)))


def test_of_one_trial_the_deflated_ratio_is_the_probabilistic_one():
    long = np.tile(RETURNS, 10)
    one = measures.deflated_sharpe(long, 1, 0.5)
    assert one == measures.probabilistic_sharpe(long)
    assert measures.deflated_sharpe(long, 50, 0.5) < one


def test_trades_that_ended_are_judged(trades):
    assert measures.win_rate(trades) == pytest.approx(1 / 3)
    assert measures.profit_factor(trades) == 1.0
    assert measures.mean_trade(trades) == pytest.approx(0.0)
    assert measures.capped_share(trades) == 0.25
    assert measures.gap_stops(trades) == 1
    assert measures.is_short(trades).tolist() == [False, True, False, True]
    none = trades[:0]
    for measure in (measures.win_rate, measures.profit_factor, measures.mean_trade):
        assert math.isnan(measure(none))
    assert math.isnan(measures.profit_factor(trades[:1]))  # nothing was lost


def test_costs_are_the_fee_and_what_slippage_took():
    orders = np.zeros(2, ORDER_DTYPE)
    orders["side"], orders["size"], orders["fees"] = (BUY, SELL), 2.0, 0.3
    orders["price"], orders["slippage"] = (100.0 * 1.01, 100.0 * 0.99), 2.0
    assert measures.order_costs(orders) == pytest.approx([2.3, 2.3])
    assert measures.traded_value(orders) == pytest.approx(2 * (101 + 99))


def test_exposure_counts_bars_with_any_position():
    position = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, -1.0], [1.0, 1.0]])
    assert measures.exposure(position) == 0.75
