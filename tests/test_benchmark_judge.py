"""The grids that `cv.judge` is measured on: they look at nothing to come but where they shall."""

import numpy as np
import pytest
from scipy.stats import binomtest

from benchmarks import judge_nulls, judge_speed
from benchmarks.judge_nulls import COLUMNS, HOURS, Family, closes, lower, told, upper, wanted
from convnext_vbt.evidence.judging.grid import read_grid
from convnext_vbt.evidence.judging.trials import superior


@pytest.fixture(scope="module")
def close():
    return closes(1, Family(garch=True))


@pytest.mark.parametrize("sides", ["both", "long", "timed"])
def test_rules_know_only_what_was(close, sides):
    state = wanted(close, 1, sides)
    assert state.shape == (HOURS, COLUMNS)
    assert set(np.unique(state)) <= ({-1.0, 0.0, 1.0} if sides == "both" else {0.0, 1.0})
    assert (state.std(axis=0) > 0).mean() > 0.9
    other = close.copy()
    other.iloc[9_000:] *= 1.5
    np.testing.assert_array_equal(wanted(other, 1, sides)[:9_000], state[:9_000])


def test_a_long_biased_rule_is_short_a_twentieth_of_the_time(close):
    state = wanted(close, 1, "biased")
    assert set(np.unique(state)) == {-1.0, 1.0}
    assert 0.02 < (state < 0).mean() < 0.08


def test_who_is_told_earns_what_was_planted(close):
    found = [
        read_grid(judge_nulls.portfolio(one, told(one, seed, 3.0, 10))).returns
        for seed in (1, 2, 3)
        for one in [closes(seed, Family(garch=True))]
    ]
    ratios = [(r.mean(axis=0) / r.std(axis=0)).mean() * np.sqrt(365) for r in found]
    assert np.mean(ratios) == pytest.approx(3.0, abs=0.5)


def test_a_doubling_market_doubles():
    grown = [np.log(closes(s, Family(drift=True)).iloc[-1] / 100) for s in range(12)]
    assert np.mean(grown) == pytest.approx(2 * np.log(2) - 0.006**2 / 2 * HOURS, abs=0.7)


def test_bounds_are_exact_and_one_sided():
    for passed in (0, 3, 20):
        wide = binomtest(passed, 20).proportion_ci(0.90, method="exact")
        assert upper(passed, 20) == pytest.approx(wide.high)
        assert lower(passed, 20) == pytest.approx(wide.low)


def test_the_peer_of_the_speed_test_finds_the_same():
    returns = judge_speed.returns_of(20).iloc[: 24 * 120]
    daily = (1 + returns).resample("D").prod() - 1
    assert judge_speed.by_hand(returns) == pytest.approx(
        superior(daily.to_numpy()).p_value, abs=0.06
    )
