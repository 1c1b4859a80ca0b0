"""How sure a Sharpe ratio is, against plain loops, statsmodels and populations that are known."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from benchmarks.coverage import FAMILIES, autoregressive, garch
from convnext_vbt.evidence import measures, sharpe, stats
from convnext_vbt.evidence.sharpe import estimate, sharpe_ratio

FIRST_LESS_SECOND = np.array([[1.0], [-1.0]])


def plain_error(series, weights=(1.0,)):
    """The definition for a weighted sum of the Sharpe ratios of series, one block at a time."""
    pairs = list(zip(weights, series, strict=True))

    def value_of(one):
        return one.mean() / one.std(ddof=1)

    def value(rows):
        return sum(weight * value_of(one[rows]) for weight, one in pairs)

    days = np.arange(len(series[0]))
    count = math.isqrt(len(days))
    bounds = [k * len(days) // count for k in range(count + 1)]
    blocks = [days[start:stop] for start, stop in pairwise(bounds)]
    whole = value(days)
    without = [value(np.setdiff1d(days, block)) for block in blocks]
    variance = (count - 1) / count * sum((one - whole) ** 2 for one in without)
    moved = np.zeros(len(days))
    for weight, one in pairs:
        active = one != 0
        square = active * (one - one.mean()) ** 2
        moved += weight * value_of(one) / 2 * (active / active.mean() - square / square.mean())
    together = sum(moved[block].sum() ** 2 for block in blocks) * count / (count - 1)
    more = max(together - sum(moved**2), 0) / len(days) ** 2
    return math.sqrt(variance + 5 * more)


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("periods", [20, 60, 367])
def test_standard_errors_are_the_definitions(periods, waits):
    returns = garch(0.2, 0.7, 5)(np.random.default_rng(0), (periods, 3), 0.1)
    if waits:
        returns[np.arange(periods) % 15 < 9] = 0.0
    found = estimate(returns)
    np.testing.assert_allclose(found.value, sharpe_ratio(returns))
    np.testing.assert_allclose(found.error, [plain_error([one]) for one in returns.T])
    lead = estimate(returns[:, :2], FIRST_LESS_SECOND)
    np.testing.assert_allclose(lead.error, plain_error(returns.T[:2], (1.0, -1.0)))
    np.testing.assert_allclose(lead.value, found.value[0] - found.value[1])

    student = scipy_stats.t(math.isqrt(periods) - 1)
    for end, side in zip(found.interval(0.9), (-1, 1), strict=True):
        np.testing.assert_allclose(end, found.value + side * student.ppf(0.95) * found.error)
    above = student.cdf((found.value - 0.02) / found.error)
    np.testing.assert_allclose(found.exceeds(0.02), above)
    np.testing.assert_allclose(found.exceeds(found.interval(0.9)[0]), 0.95)


@pytest.mark.parametrize("skewed", [False, True])
def test_the_error_of_independent_returns_is_the_asymptotic_one(skewed):
    """Mertens (2002), of which Lo (2002) is the normal case: median of 200 records."""
    rng, days = np.random.default_rng(1), 2_000
    draws = 1 - rng.exponential(size=(days, 200)) if skewed else rng.normal(size=(days, 200))
    ratio, g3, g4 = (0.2, -2.0, 9.0) if skewed else (0.2, 0.0, 3.0)
    expected = math.sqrt((1 - g3 * ratio + (g4 - 1) / 4 * ratio**2) / days)
    found = estimate(ratio + draws)
    assert np.median(found.error) == pytest.approx(expected, rel=0.03)
    wide = np.median(np.subtract(*found.interval(0.90)[::-1]))
    assert wide == pytest.approx(2 * expected * scipy_stats.norm.ppf(0.95), rel=0.05)


@pytest.mark.parametrize(
    ("phi", "times"), [(0.5, 3.0), pytest.param(-0.5, 1 / 3, marks=pytest.mark.slow)]
)
def test_the_error_of_returns_that_persist_is_that_of_newey_and_west(phi, times):
    """statsmodels' long-run variance of the ratio's influence function, and (1 + phi)/(1 - phi)."""
    from statsmodels.regression.linear_model import OLS

    returns = autoregressive(phi)(np.random.default_rng(2), (40_000, 1), 0.05)
    ratio = sharpe_ratio(returns[:, 0])
    standard = (returns[:, 0] - returns.mean()) / returns.std()
    influence = standard - ratio / 2 * (standard**2 - 1)
    fitted = OLS(influence, np.ones(len(influence))).fit(cov_type="HAC", cov_kwds={"maxlags": 60})
    (error,) = estimate(returns).error
    assert error == pytest.approx(fitted.bse[0], rel=0.15)
    assert error**2 * len(returns) == pytest.approx(times, rel=0.3)


def test_bursts_of_volatility_make_it_less_sure_and_independent_days_do_not(monkeypatch):
    rng = np.random.default_rng(3)
    stormy = garch(0.15, 0.84, 5)(rng, (1_500, 20), 0.1)
    calm = rng.permuted(stormy, axis=0)
    known = [np.median(estimate(one).error) for one in (stormy, calm)]
    monkeypatch.setattr(sharpe, "UNSEEN", 0.0)
    seen = [np.median(estimate(one).error) for one in (stormy, calm)]
    assert known[0] / seen[0] > 1.3
    assert known[1] / seen[1] < 1.02


def test_to_wait_is_no_burst_of_volatility(monkeypatch):
    returns = FAMILIES["85 % flat, spells"](np.random.default_rng(9), (1_500, 50), 0.1)
    known = np.median(estimate(returns).error)
    monkeypatch.setattr(sharpe, "UNSEEN", 0.0)
    assert known / np.median(estimate(returns).error) < 1.02


def test_an_interval_knows_neither_units_nor_sides():
    returns = garch(0.1, 0.8, 5)(np.random.default_rng(4), (400, 1), 0.02)[:, 0]
    low, high = stats.sharpe_confidence_interval(returns)
    for factor in (1e-6, 1e4):
        assert stats.sharpe_confidence_interval(returns * factor) == pytest.approx((low, high))
    assert stats.sharpe_confidence_interval(-returns) == pytest.approx((-high, -low))
    turned = measures.probabilistic_sharpe(-returns)
    assert turned == pytest.approx(1 - measures.probabilistic_sharpe(returns))


def test_probability_and_interval_say_the_same():
    returns = np.random.default_rng(5).normal(0.08, 1.0, 365)
    low, high = measures.sharpe_interval(returns, 365)
    year = math.sqrt(365)
    assert measures.probabilistic_sharpe(returns, low / year) == pytest.approx(0.95)
    assert measures.probabilistic_sharpe(returns, high / year) == pytest.approx(0.05)
    hurdle = stats.expected_maximum_sharpe(20, 1 / 365)
    deflated = measures.deflated_sharpe(returns, 20, 1 / 365)
    assert deflated == measures.probabilistic_sharpe(returns, hurdle)


def test_what_is_undefined_spoils_no_other_column():
    returns = np.random.default_rng(6).normal(0.05, 1.0, (365, 6))
    alone = estimate(returns[:, [0, 5]])
    returns[7, 1], returns[9, 2], returns[:, 3] = np.nan, np.inf, 0.0
    returns[:, 4] = 0.0
    returns[40:50, 4] = 0.01, -0.02, 0.03, 0.01, 0.0, 0.02, -0.01, 0.01, 0.0, 0.01  # in one block
    found = estimate(returns)
    np.testing.assert_allclose(found.value[[0, 5]], alone.value, rtol=1e-12)
    np.testing.assert_allclose(found.error[[0, 5]], alone.error, rtol=1e-12)
    assert np.isnan(found.value).tolist() == [False, True, True, True, False, False]
    assert np.isnan(found.error).tolist() == [False, True, True, True, True, False]
    for series in returns.T[1:5]:
        assert np.isnan(stats.sharpe_confidence_interval(series)).all()
        assert math.isnan(measures.probabilistic_sharpe(series))
        assert math.isnan(measures.deflated_sharpe(series, 3, 0.01))


@pytest.mark.parametrize("periods", [0, 1, 2, 19])
def test_a_short_record_says_nothing(periods):
    returns = np.random.default_rng(7).normal(size=periods)
    assert np.isnan(stats.sharpe_confidence_interval(returns)).all()
    assert math.isnan(measures.probabilistic_sharpe(returns))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_years_interval_covers_as_often_as_it_says(name):
    """400 years of an annual Sharpe ratio of 1.5; more of them in `benchmarks.coverage`."""
    ratio, least = 1.5 / math.sqrt(365), 0.8 if name == "GARCH 0.15/0.84 t5" else 0.89
    found = estimate(FAMILIES[name](np.random.default_rng(8), (365, 400), ratio))
    low, high = found.interval(0.90)
    covered = int(((low <= ratio) & (ratio <= high)).sum())
    assert scipy_stats.binomtest(covered, 400, least, alternative="less").pvalue > 0.01, covered
    assert covered < 0.97 * 400
    over = int((found.exceeds(ratio) >= 0.95).sum())
    most = 0.15 if name == "GARCH 0.15/0.84 t5" else 0.06
    assert scipy_stats.binomtest(over, 400, most, alternative="greater").pvalue > 0.01, over


def test_sharpe_ratio_is_pandas():
    returns = pd.DataFrame(np.random.default_rng(1).normal(0.001, 0.01, (300, 3)))
    expected = returns.mean() / returns.std() * 252**0.5
    np.testing.assert_allclose(sharpe_ratio(returns, 252), expected, rtol=1e-12)
