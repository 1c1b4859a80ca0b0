import math
from dataclasses import replace

import numpy as np
import pytest

from convnext_vbt.evidence.accounts import daily_returns
from convnext_vbt.evidence.difference import sharpe_difference
from convnext_vbt.evidence.headline import headline
from convnext_vbt.evidence.stats import sharpe_confidence_interval, sharpe_ratio
from tests.evidence.markets import make_bars, make_predictions, make_sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")


@pytest.fixture(scope="module")
def bars():
    return make_bars()


def account(bars, **arguments):
    return headline(make_sweep(bars, make_predictions(bars, **arguments))).selection.account


def test_skill_against_none_is_an_interval_above_zero(bars):
    clever, blind = account(bars, skill=6.0), account(bars, skill=0.0, seed=1)
    found = sharpe_difference(clever, blind, days_per_year=365)
    ratios = [sharpe_ratio(daily_returns(one), 365) for one in (clever, blind)]
    assert found.sharpe == pytest.approx(ratios[0] - ratios[1])
    assert 0 < found.low < found.sharpe < found.high
    assert found.num_days == len(daily_returns(clever))
    other = sharpe_difference(blind, clever, days_per_year=365)
    assert (other.sharpe, other.low, other.high) == pytest.approx(
        (-found.sharpe, -found.high, -found.low)
    )


def test_what_two_strategies_share_cancels_out(bars):
    """Nearly the same account: the pair differs far less than either is uncertain."""
    preds = make_predictions(bars)
    one, two = (
        headline(make_sweep(bars, preds, threshold=["q0.60"], fees=fees)).selection.account
        for fees in (0.0, 0.0001)
    )
    found = sharpe_difference(one, two, days_per_year=365)
    low, high = (end * math.sqrt(365) for end in sharpe_confidence_interval(daily_returns(one)))
    assert found.low > 0  # cheaper is better on any days
    assert found.high - found.low < (high - low) / 5


def test_only_common_days_are_compared(bars):
    whole = account(bars)
    skip = 24 * 30
    later = replace(whole, index=whole.index[skip:], equity=whole.equity[skip:])
    found = sharpe_difference(whole, later, days_per_year=365)
    assert found.num_days == len(daily_returns(later))


def test_a_strategy_that_never_trades_has_no_difference(bars):
    idle = headline(make_sweep(bars, make_predictions(bars), threshold=[0.999999]))
    found = sharpe_difference(account(bars), idle.selection.account, days_per_year=365)
    assert np.isnan([found.sharpe, found.low, found.high]).all()
