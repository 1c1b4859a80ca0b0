"""Effective trials, SPA and StepM against `arch` and plain formulas."""

import numpy as np
import pytest
from arch.bootstrap import SPA, StepM

from convnext_vbt.evidence import stats
from convnext_vbt.evidence.judging.trials import effective_trials, leads_over, superior


def correlated(rng, days, columns, share):
    common = rng.normal(size=(days, 1))
    own = rng.normal(size=(days, columns))
    return 0.01 * (np.sqrt(share) * common + np.sqrt(1 - share) * own)


@pytest.mark.parametrize("share", [0.0, 0.4, 0.95])
def test_effective_trials_are_by_the_mean_correlation(share):
    returns = correlated(np.random.default_rng(1), 500, 700, share)
    matrix = np.corrcoef(returns.T)
    mean = max(matrix[np.triu_indices(700, 1)].mean(), 0.0)
    assert effective_trials(returns) == pytest.approx(mean + (1 - mean) * 700, rel=1e-9)


def test_copies_are_one_trial_and_opposites_are_two():
    one = np.random.default_rng(0).normal(size=(200, 1))
    assert effective_trials(one) == 1
    assert effective_trials(np.repeat(one, 40, axis=1)) == pytest.approx(1)
    assert effective_trials(np.hstack([one, -one])) == pytest.approx(2)


@pytest.fixture(scope="module")
def returns():
    rng = np.random.default_rng(7)
    values = correlated(rng, 400, 24, 0.3)
    values[:, 5] += 0.0030
    values[:, 6] += 0.0022
    values[:, 7] += 0.0014
    values[:, 8] -= 0.01  # so poor that it is not centred
    values[:, 9] *= 5
    return values


def test_spa_is_the_studentised_one_of_arch(returns):
    for seed in (0, 3):
        found = superior(returns, seed)
        assert found.p_value == stats.superior_predictive_ability(returns, seed=seed)
        noise = returns[:, 10:]
        assert superior(noise, seed).p_value == pytest.approx(
            stats.superior_predictive_ability(noise, seed=seed), abs=1e-3
        )


def test_stepm_finds_the_columns_that_arch_finds():
    returns = correlated(np.random.default_rng(2), 400, 24, 0.0)
    returns[:, :20] += 0.0040
    returns[:, 20:22] += 0.00125
    found = superior(returns, seed=1)
    scaled = returns / stats.bootstrap_deviation(returns, found.mean_block)
    stepwise = StepM(np.zeros(400), -scaled, block_size=found.mean_block, reps=1000, seed=1)
    stepwise.compute()
    assert found.columns.tolist() == stepwise.superior_models
    first = SPA(np.zeros(400), -scaled, block_size=found.mean_block, reps=1000, seed=1)
    first.compute()
    at_once = first.better_models(0.05).tolist()
    assert len(found.columns) > len(at_once) > 0  # a later step found one more


def test_many_columns_are_worked_on_in_parts_with_the_same_result(returns):
    wide = np.tile(returns, 50)
    assert superior(wide).p_value <= superior(returns).p_value + 0.01
    assert set(superior(wide).columns % 24) <= {5, 6, 7}


def test_leads_are_what_is_left_of_a_regression_and_its_constant():
    rng = np.random.default_rng(3)
    market = rng.normal(0.001, 0.02, (300, 1))
    returns = 0.5 * market + rng.normal(0.0005, 0.01, (300, 3))
    leads = leads_over(returns, market)
    for column in range(3):
        slope, constant = np.polyfit(market[:, 0], returns[:, column], 1)
        assert leads[:, column].mean() == pytest.approx(constant)
        np.testing.assert_allclose(leads[:, column], returns[:, column] - slope * market[:, 0])
    assert leads_over(returns, None) is returns
    both = np.hstack([returns, 0.7 * market])
    assert not leads_over(both, market)[:, 3].any()
    assert superior(leads_over(both, market)).p_value == superior(leads).p_value
    assert np.isnan(superior(np.zeros((100, 2))).p_value)
    own = np.hstack([market, rng.normal(size=(300, 1)), np.zeros((300, 1))])
    by_column = leads_over(returns, own)
    np.testing.assert_allclose(by_column[:, 0], leads[:, 0])
    np.testing.assert_array_equal(by_column[:, 2], returns[:, 2])
