import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from convnext_vbt.evidence import stats
from convnext_vbt.evidence.resampling import stationary_rows
from tests.examples import examples

DAY_250 = 250**-0.5
DAY_252 = 252**-0.5

# name, value, published, digits after the point
PUBLISHED = [
    # Bailey & Lopez de Prado (2014), "The deflated Sharpe ratio", the numerical example
    ("SR0 a day", stats.expected_maximum_sharpe(100, 0.5 / 250), 0.1132, 4),
    (
        "DSR, N = 100",
        stats.deflated_sharpe_ratio(2.5 * DAY_250, 1250, 100, 0.5 / 250, -3, 10),
        0.9004,
        4,
    ),
    (
        "DSR, N = 46",
        stats.deflated_sharpe_ratio(2.5 * DAY_250, 1250, 46, 0.5 / 250, -3, 10),
        0.950502,
        6,
    ),
    # Bailey & Lopez de Prado (2012), "The Sharpe ratio efficient frontier"
    ("PSR, normal", stats.probabilistic_sharpe_ratio(0.036 / 0.079, 0, 24), 0.98124, 5),
    (
        "PSR, as is",
        stats.probabilistic_sharpe_ratio(0.036 / 0.079, 0, 24, -2.448, 10.164),
        0.91271,
        5,
    ),
    (
        "MinTRL in years",
        stats.minimum_track_record_length(2 * DAY_252, 1 * DAY_252) / 252,
        2.73,
        2,
    ),
    # Bailey et al. (2014), "Pseudo-mathematics and financial charlatanism"
    # Pearson and Hartley, the mean largest of so many normal values
    ("E[max], N = 2", stats.expected_maximum_sharpe(2, 1), 0.56419, 5),
    ("E[max], N = 10", stats.expected_maximum_sharpe(10, 1), 1.5746, 4),
    ("E[max], N = 45", stats.expected_maximum_sharpe(45, 1), 2.2356, 4),
]


@pytest.mark.parametrize(("name", "value", "published", "digits"), PUBLISHED)
def test_published_values(name, value, published, digits):
    assert round(value, digits) == published, name


def test_excess_kurtosis_would_be_seen():
    wrong = stats.deflated_sharpe_ratio(2.5 * DAY_250, 1250, 100, 0.5 / 250, -3, 7)
    assert round(wrong, 4) == 0.9018


@examples(50)
@given(
    sharpe=st.floats(-0.5, 0.5),
    periods=st.integers(10, 5000),
    trials=st.integers(3, 10_000),
    variance=st.floats(1e-6, 0.1),
    skewness=st.floats(-3, 3),
    more_kurtosis=st.floats(0.5, 20),
)
def test_deflated_sharpe_of_three_and_more_is_vectorbts(
    sharpe, periods, trials, variance, skewness, more_kurtosis
):
    from vectorbt.returns.metrics import deflated_sharpe_ratio

    kurtosis = 1 + skewness**2 + more_kurtosis  # Pearson's inequality
    expected = deflated_sharpe_ratio(
        est_sharpe=sharpe,
        var_sharpe=variance,
        nb_trials=trials,
        backtest_horizon=periods,
        skew=skewness,
        kurtosis=kurtosis,
    )
    ours = stats.deflated_sharpe_ratio(sharpe, periods, trials, variance, skewness, kurtosis)
    assert ours == pytest.approx(float(expected), rel=1e-9, abs=1e-300)


def test_a_single_trial_has_nothing_to_deflate():
    assert stats.expected_maximum_sharpe(1, 0.5) == 0.0
    assert stats.deflated_sharpe_ratio(0.1, 500, 1, 0.5) == (
        stats.probabilistic_sharpe_ratio(0.1, 0.0, 500)
    )


def test_minimum_track_record_is_where_the_probability_reaches_the_confidence():
    periods = stats.minimum_track_record_length(0.1, 0.02, 0.9, skewness=-0.5, kurtosis=6)
    reached = stats.probabilistic_sharpe_ratio(0.1, 0.02, periods, -0.5, 6)
    assert reached == pytest.approx(0.9, abs=1e-12)


def test_formulas_broadcast_and_give_floats_for_numbers():
    sharpe = np.array([[0.05], [0.1]])
    trials = np.array([1, 10, 100])
    table = stats.deflated_sharpe_ratio(sharpe, 750, trials, 1 / 750)
    assert table.shape == (2, 3)
    assert table[1, 2] == stats.deflated_sharpe_ratio(0.1, 750, 100, 1 / 750)
    assert isinstance(stats.deflated_sharpe_ratio(0.1, 750, 100, 1 / 750), float)
    assert isinstance(stats.sharpe_ratio([0.1, 0.2]), float)


@pytest.mark.parametrize(
    "value",
    [
        stats.probabilistic_sharpe_ratio(np.nan, 0, 100),
        stats.probabilistic_sharpe_ratio(np.inf, 0, 100),
        stats.probabilistic_sharpe_ratio(0.1, 0, 1),
        stats.probabilistic_sharpe_ratio(0.1, 0, 100, kurtosis=0.0),  # excess kurtosis of a normal
        stats.probabilistic_sharpe_ratio(1.0, 0, 100, skewness=3.0, kurtosis=3.0),
        stats.deflated_sharpe_ratio(0.1, 100, 10, np.nan),
        stats.deflated_sharpe_ratio(0.1, 100, np.nan, 0.1),
        stats.minimum_track_record_length(0.1, 0.1),
        stats.minimum_track_record_length(0.1, 0.2),
        stats.minimum_track_record_length(np.nan, 0.0),
        stats.sharpe_ratio([]),
        stats.sharpe_ratio([0.1]),
        stats.sharpe_ratio([0.0, 0.0, 0.0]),
        stats.sharpe_ratio([0.1, 0.1, 0.1, 0.3 - 0.2]),
        stats.sharpe_ratio([0.1, np.nan, 0.2]),
        stats.sharpe_ratio([0.1, np.inf, 0.2]),
        *stats.sharpe_confidence_interval(np.zeros(100)),
        *stats.sharpe_confidence_interval(np.arange(19) / 19),
        *stats.sharpe_confidence_interval(np.r_[np.zeros(499), 0.01]),  # one day with a return
        stats.superior_predictive_ability(np.zeros((100, 3))),
        stats.superior_predictive_ability(np.random.default_rng(0).normal(size=(19, 3))),
        stats.superior_predictive_ability(np.full((100, 2), np.nan)),
    ],
)
def test_undefined_is_nan(value):
    assert isinstance(value, float)
    assert math.isnan(value)


def test_one_undefined_column_spoils_no_other():
    returns = np.random.default_rng(0).normal(0.001, 0.01, (500, 4))
    returns[7, 1] = np.nan
    returns[:, 2] = 0.0
    ratios = stats.sharpe_ratio(returns, 365)
    assert np.isnan(ratios[[1, 2]]).all()
    for c in (0, 3):
        assert ratios[c] == pytest.approx(stats.sharpe_ratio(returns[:, c], 365), rel=1e-12)
    psr = stats.probabilistic_sharpe_ratio(ratios / 365**0.5, 0, 500)
    assert np.isfinite(psr).tolist() == [True, False, False, True]
    assert stats.superior_predictive_ability(returns) == (
        stats.superior_predictive_ability(returns[:, [0, 3]])
    )


def test_sharpe_interval_is_wider_for_more_confidence_and_for_returns_that_persist():
    noise = np.random.default_rng(3).normal(0.05, 1.0, 10_001)
    low, high = stats.sharpe_confidence_interval(noise)
    assert low < stats.sharpe_ratio(noise) < high
    wider = stats.sharpe_confidence_interval(noise, 0.99)
    assert wider[0] < low
    assert high < wider[1]
    persistent = noise[1:] + noise[:-1]  # long-run variance twice the variance
    widths = [np.ptp(stats.sharpe_confidence_interval(x)) for x in (noise, persistent)]
    assert widths[1] / widths[0] == pytest.approx(2**0.5, abs=0.15)


def test_superior_predictive_ability_depends_on_the_seed_alone():
    returns = np.random.default_rng(4).normal(0.05, 1.0, (400, 3))
    np.random.seed(1)  # noqa: NPY002  no global state may enter
    p_value = stats.superior_predictive_ability(returns, seed=5)
    np.random.seed(2)  # noqa: NPY002
    assert stats.superior_predictive_ability(returns, seed=5) == p_value
    assert stats.superior_predictive_ability(returns, seed=6) != p_value


def test_superior_predictive_ability_has_the_sign_of_returns():
    returns = np.random.default_rng(5).normal(0.0, 1.0, (500, 10))
    returns -= returns.mean(axis=0)
    better, worse = returns.copy(), returns.copy()
    better[:, 3] += 0.15
    worse[:, 3] -= 0.15
    assert stats.superior_predictive_ability(better) < 0.05
    assert stats.superior_predictive_ability(worse) > 0.5


def test_superior_predictive_ability_is_relative_to_the_benchmark():
    rng = np.random.default_rng(6)
    market = rng.normal(0.05, 1.0, 500)
    returns = market[:, None] + rng.normal(0.0, 0.2, (500, 5))
    returns[:, 0] += 0.03
    assert stats.superior_predictive_ability(returns, market) < 0.05
    assert stats.superior_predictive_ability(returns + 0.03, 1.0) > 0.3


def calm_edge(rng, periods):
    """Nine wild configurations without skill and a calm one that earns a tenth of its deviation."""
    returns = rng.normal(0.0, 1.0, (periods, 10))
    returns[:, 4] = rng.normal(0.001, 0.01, periods)
    return returns


def test_superior_predictive_ability_sees_a_calm_rule_beside_wild_ones():
    found = [
        stats.superior_predictive_ability(calm_edge(np.random.default_rng(seed), 1_500))
        for seed in range(2)
    ]
    assert max(found) < 0.05


def test_superior_predictive_ability_knows_no_units():
    returns = calm_edge(np.random.default_rng(9), 200)
    scaled = returns * np.geomspace(1e-3, 1e3, 10)
    p_value = stats.superior_predictive_ability(returns, block_size=5)
    assert stats.superior_predictive_ability(scaled, block_size=5) == p_value


def test_the_deviation_that_studentises_is_that_of_bootstrap_means():
    rng = np.random.default_rng(10)
    noise = rng.normal(size=(301, 2))
    values = noise[1:] + [0.9, -0.5] * noise[:-1]
    rows = stationary_rows(rng, 20_000, len(values), mean_block=6.0)
    drawn = values[rows].mean(axis=1).std(axis=0) * len(values) ** 0.5
    np.testing.assert_allclose(stats.bootstrap_deviation(values, 6.0), drawn, rtol=0.02)


@pytest.mark.slow
def test_superior_predictive_ability_rejects_as_often_as_it_says_without_skill():
    rng = np.random.default_rng(8)
    p_values = [
        stats.superior_predictive_ability(rng.normal(size=(300, 10)), num_draws=500, seed=k)
        for k in range(200)
    ]
    rejected = int(np.sum(np.array(p_values) < 0.10))
    assert scipy_stats.binomtest(rejected, 200, 0.10).pvalue > 0.01, rejected


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: stats.expected_maximum_sharpe(0, 1.0), "num_trials must be at least 1, got 0"),
        (lambda: stats.expected_maximum_sharpe(5, -0.1), "variance must not be negative, got -0.1"),
        (
            lambda: stats.minimum_track_record_length(0.1, 0, confidence=95),
            "confidence must lie between 0 and 1, got 95",
        ),
        (
            lambda: stats.minimum_track_record_length(0.1, 0, confidence=0.3),
            "confidence must be at least 0.5, got 0.3",
        ),
        (
            lambda: stats.sharpe_confidence_interval(np.zeros(30), confidence=1),
            "confidence must lie between 0 and 1, got 1",
        ),
        (
            lambda: stats.sharpe_confidence_interval(np.zeros((30, 2))),
            r"one series \(T,\), got shape \(30, 2\)",
        ),
        (
            lambda: stats.superior_predictive_ability(np.zeros(30)),
            r"\(periods, configurations\), got shape \(30,\)",
        ),
    ],
)
def test_arguments_without_sense_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_public_names():
    assert {name for name in stats.__all__ if name.islower()} == {
        "sharpe_ratio",
        "sharpe_confidence_interval",
        "probabilistic_sharpe_ratio",
        "deflated_sharpe_ratio",
        "expected_maximum_sharpe",
        "minimum_track_record_length",
        "probability_of_backtest_overfitting",
        "superior_predictive_ability",
    }
