import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from convnext_vbt.evidence import overfitting
from convnext_vbt.evidence.stats import probability_of_backtest_overfitting
from tests.examples import examples


def literal_logits(returns_TC, num_blocks):
    """The definition, word for word, one choice at a time."""
    blocks = np.array_split(np.arange(len(returns_TC)), num_blocks)
    logits = []
    for chosen in combinations(range(num_blocks), num_blocks // 2):
        inside = np.concatenate([blocks[b] for b in chosen])
        outside = np.concatenate([blocks[b] for b in range(num_blocks) if b not in chosen])
        in_sample = [sharpe(column) for column in returns_TC[inside].T]
        if np.isnan(in_sample).all():
            continue
        out_of_sample = np.nan_to_num([sharpe(column) for column in returns_TC[outside].T])
        rank = rankdata(np.round(out_of_sample, 12))[np.nanargmax(in_sample)]
        relative = rank / (returns_TC.shape[1] + 1)
        logits.append(math.log(relative / (1 - relative)))
    return np.array(logits)


def sharpe(returns):
    return np.nan if np.ptp(returns) == 0 else returns.mean() / returns.std(ddof=1)


@pytest.mark.parametrize(("lift", "expected"), [(0.0, 0.7041958), (0.0015, 0.0742036)])
def test_reference_values(lift, expected):
    returns = np.random.default_rng(42).standard_normal((1000, 50)) * 0.01
    returns[:, 7] += lift
    result = probability_of_backtest_overfitting(returns, num_blocks=16)
    assert round(result.probability, 7) == expected
    assert result.logits.shape == (12_870,)
    assert result.num_configurations == 50
    assert result.reason == ""


@examples(30)
@given(
    seed=st.integers(0, 10_000),
    periods=st.integers(12, 61),
    configurations=st.integers(5, 8),
    num_blocks=st.sampled_from([2, 4, 6]),
    idle=st.booleans(),
    twins=st.booleans(),
)
def test_every_logit_is_the_literal_definitions(
    seed, periods, configurations, num_blocks, idle, twins
):
    returns = np.random.default_rng(seed).normal(0.1, 1.0, (periods, configurations))
    if idle:
        returns[: periods // 2 + 1, 0] = 0.0  # did not trade in the first half
    if twins:
        returns[:, 1] = returns[:, 2]
    result = probability_of_backtest_overfitting(returns, num_blocks)
    np.testing.assert_allclose(result.logits, literal_logits(returns, num_blocks), atol=1e-12)


def test_pieces_make_no_difference(monkeypatch):
    returns = np.random.default_rng(0).standard_normal((200, 10))
    whole = probability_of_backtest_overfitting(returns, 10).logits
    monkeypatch.setattr(overfitting, "_CELLS", 100)
    np.testing.assert_array_equal(probability_of_backtest_overfitting(returns, 10).logits, whole)


def test_undefined_columns_leave_the_others_alone():
    returns = np.random.default_rng(1).standard_normal((300, 9))
    spoilt = np.insert(returns, [0, 4], 0.0, axis=1)
    spoilt[:, 0] = 0.0
    spoilt[17, 5] = np.nan
    result = probability_of_backtest_overfitting(spoilt, 8)
    assert result.num_configurations == 9
    np.testing.assert_allclose(
        result.logits, probability_of_backtest_overfitting(returns, 8).logits, atol=1e-12
    )


def test_ratios_that_differ_by_rounding_share_a_rank():
    in_sample = np.array([[0.3, 0.1, 0.2, 0.0]])
    equal = np.array([[0.05, 0.05, -0.1, 0.2]])
    rounded = equal.copy()  # as a matrix product leaves equal columns
    rounded[0, 1] = np.nextafter(0.05, 0.0)
    assert rounded[0, 0] > rounded[0, 1]
    expected = math.log(2.5 / 2.5)
    assert overfitting._rank_logits(in_sample, equal) == [expected]
    assert overfitting._rank_logits(in_sample, rounded) == [expected]


def test_an_always_idle_half_is_never_the_best_in_sample():
    rng = np.random.default_rng(2)
    returns = rng.normal(-1.0, 1.0, (80, 5))  # all lose, so an idle half would win
    returns[:40, 0] = 0.0
    returns[40:, 0] = rng.normal(1.0, 0.1, 40)
    result = probability_of_backtest_overfitting(returns, 2)
    # Blocks 1 in-sample: one of the losers is best, and not the one that wins out of sample.
    # Blocks 2 in-sample: column 0 is best and idle out of sample, above all losers.
    assert result.logits[0] < math.log(5 / 1)
    assert result.logits[1] == pytest.approx(math.log(5 / 1))


@pytest.mark.parametrize(
    ("returns", "reason"),
    [
        (np.random.default_rng(0).normal(size=(100, 3)), "3 configurations vary, 4 are needed"),
        (np.zeros((100, 9)), "0 configurations vary, 4 are needed"),
        (np.random.default_rng(0).normal(size=(31, 9)), "31 periods, 32 are needed"),
        (np.zeros((0, 9)), "0 periods, 32 are needed"),
    ],
)
def test_undefined_says_why(returns, reason):
    result = probability_of_backtest_overfitting(returns)
    assert math.isnan(result.probability)
    assert result.reason == reason
    assert result.logits.size == 0


@pytest.mark.parametrize(
    "count", [4, *(pytest.param(each, marks=pytest.mark.slow) for each in (5, 7))]
)
def test_worthless_configurations_are_overfitted_with_even_odds(count):
    rng = np.random.default_rng(count)
    found = [
        probability_of_backtest_overfitting(rng.normal(size=(240, count)), 8).probability
        for _ in range(200)
    ]
    assert abs(np.mean(found) - 0.5) < 3.5 * np.std(found) / 200**0.5


def test_what_is_all_the_same_has_no_best():
    one = np.random.default_rng(0).normal(size=(100, 1))
    result = probability_of_backtest_overfitting(np.repeat(one, 9, axis=1))
    assert math.isnan(result.probability)
    assert result.reason == "1 of 9 configurations differ, 4 are needed"


def test_no_half_that_varies_says_so():
    returns = np.repeat([[1.0, 1.1, 1.2, 1.3], [2.0, 2.1, 2.2, 2.3]], 5, axis=0)
    result = probability_of_backtest_overfitting(returns, 2)
    assert result.reason == "no choice of blocks has a configuration that varies"


@pytest.mark.parametrize("num_blocks", [0, 7, -2])
def test_an_odd_number_of_blocks_is_refused(num_blocks):
    with pytest.raises(ValueError, match=f"even and at least 2, got {num_blocks}"):
        probability_of_backtest_overfitting(np.zeros((100, 5)), num_blocks)


def test_one_series_is_refused():
    with pytest.raises(ValueError, match=r"\(periods, configurations\), got shape \(100,\)"):
        probability_of_backtest_overfitting(np.zeros(100))
