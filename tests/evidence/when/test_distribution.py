import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.stats import mstats

from convnext_vbt.evidence.when.distribution import Distribution, Relative

RNG = np.random.default_rng(7)
HOLD = 0.02 * RNG.standard_t(4, 400)
RETURNS = 0.0004 + 0.3 * HOLD + 0.01 * RNG.standard_t(3, 400)


def test_the_distribution_against_scipy():
    found = Distribution.of(RETURNS)
    assert found.days == 400
    assert found.skew == pytest.approx(stats.skew(RETURNS))
    assert found.excess_kurtosis == pytest.approx(stats.kurtosis(RETURNS))
    for var, cvar, share in (
        (found.var_95, found.cvar_95, 0.05),
        (found.var_99, found.cvar_99, 0.01),
    ):
        (quantile,) = mstats.mquantiles(RETURNS, [share], alphap=1, betap=1)
        assert var == pytest.approx(quantile)
        assert cvar == pytest.approx(np.mean([r for r in RETURNS if r <= quantile]))
        assert cvar < var < 0
    tails = np.abs([stats.scoreatpercentile(RETURNS, percent) for percent in (95, 5)])
    assert found.tail_ratio == pytest.approx(tails[0] / tails[1])


def test_too_few_days_have_no_tail():
    few = Distribution.of(RETURNS[:99])
    assert np.isfinite([few.var_95, few.cvar_95]).all()
    assert np.isnan([few.var_99, few.cvar_99]).all()
    assert np.isfinite(Distribution.of(RETURNS[:100]).var_99)
    assert np.isnan(Distribution.of(RETURNS[:19]).var_95)


def test_days_that_do_not_vary():
    found = Distribution.of(np.zeros(200))
    assert (found.var_95, found.cvar_99) == (0.0, 0.0)
    assert np.isnan([found.skew, found.excess_kurtosis, found.tail_ratio]).all()


def test_beside_buy_and_hold_against_scipy_and_pandas():
    found = Relative.of(RETURNS, HOLD, 365)
    line = stats.linregress(HOLD, RETURNS)
    assert found.beta == pytest.approx(line.slope)
    assert found.alpha == pytest.approx(line.intercept * 365)
    assert found.correlation == pytest.approx(stats.pearsonr(HOLD, RETURNS).statistic)
    table = pd.DataFrame({"own": RETURNS, "hold": HOLD})
    up, down = table[table["hold"] > 0].mean(), table[table["hold"] < 0].mean()
    assert found.up_capture == pytest.approx(up["own"] / up["hold"])
    assert found.down_capture == pytest.approx(down["own"] / down["hold"])
    apart = table["own"] - table["hold"]
    assert found.tracking_error == pytest.approx(apart.std() * 365**0.5)
    assert found.information_ratio == pytest.approx(apart.mean() / apart.std() * 365**0.5)


def test_the_other_way_round_correlation_is_negative():
    found = Relative.of(-RETURNS, HOLD, 365)
    assert found.correlation == pytest.approx(stats.pearsonr(HOLD, -RETURNS).statistic)
    assert found.correlation < 0


def test_nothing_to_compare_with_is_undefined():
    flat = Relative.of(RETURNS, np.zeros(400), 365)
    unmoved = Relative.of(np.zeros(400), HOLD, 365)
    assert np.isnan([flat.beta, flat.alpha, flat.correlation, flat.up_capture]).all()
    assert (unmoved.beta, unmoved.alpha, unmoved.up_capture) == (0.0, 0.0, 0.0)
    assert np.isnan(unmoved.correlation)
