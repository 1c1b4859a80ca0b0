"""Claims of direction with a known truth, against plain formulas and refits."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit
from scipy.stats import norm, t

from convnext_vbt.errors import InputError
from convnext_vbt.evidence.direction import (
    Claim,
    Direction,
    Estimate,
    _rows_of,
    clustered_mean,
    direction_of,
    direction_slope,
    judge_claim,
    sentence,
)
from convnext_vbt.predictions import DOWN, STAY, UP, Predictions, Split, Target
from tests.evidence.markets import make_bars, make_predictions, make_sweep

HORIZON = 24


def overlapping(rng, *, bars, slope, symbols=1, size=0.4):
    """Claims and outcomes that each see the next 24 bars: P(UP) is exactly expit(slope x claim).

    The claim is the average of past shocks, the outcome depends on the sum of coming ones.
    """
    shared = rng.standard_normal((bars + HORIZON + 200, 1))
    shocks = np.sqrt(0.6) * shared + np.sqrt(0.4) * rng.standard_normal((len(shared), symbols))
    sums = np.cumsum(shocks, axis=0)
    coming = (sums[HORIZON:] - sums[:-HORIZON]) / math.sqrt(HORIZON)
    past = pd.DataFrame(shocks).ewm(alpha=0.03).mean().to_numpy()[:-HORIZON]
    claim = (size * past / past.std())[200:]
    return claim, norm.cdf(coming[200:]) < expit(slope * claim)


def blocks_of(claim):
    return np.broadcast_to(np.arange(len(claim))[:, None] // (5 * HORIZON), claim.shape)


@pytest.mark.parametrize("steepness", [-0.5, 0.1, 1.0, 8.0])
def test_the_slope_is_that_of_the_largest_likelihood(steepness):
    rng = np.random.default_rng(3)
    claim = 2.0 * rng.standard_t(2, 400)  # far claims among near ones
    rose = rng.random(400) < expit(steepness * claim)
    wanted = minimize_scalar(
        lambda b: np.logaddexp(0, np.where(rose, -b, b) * claim).sum(), bounds=(-40, 40),
        method="bounded", options={"xatol": 1e-9},
    )  # fmt: skip
    found = direction_slope(claim, rose, np.arange(400) // 20)
    assert found.value == pytest.approx(wanted.x, rel=1e-5)


def test_a_claim_that_comes_exactly_has_slope_one_and_its_own_gain():
    claim = np.full(100, math.log(0.8 / 0.2))
    rose = np.arange(100) % 5 > 0  # 80 of 100
    found = judge_claim(claim, rose, np.arange(100) // 10)
    assert found.slope.value == pytest.approx(1.0)
    entropy = -(0.8 * math.log(0.8) + 0.2 * math.log(0.2))
    assert found.gain.value == pytest.approx(1e3 * (math.log(2) - entropy))
    assert found.size == pytest.approx(claim[0])
    assert found.gain.error == pytest.approx(0.0, abs=1e-9)  # every block is the same


def test_errors_are_those_of_leaving_out_each_block():
    rng = np.random.default_rng(5)
    claim, rose = (values[:, 0] for values in overlapping(rng, bars=6_000, slope=0.7))
    block = np.arange(len(claim)) // 120
    count = block[-1] + 1
    for found, refit, tolerance in (
        (clustered_mean(claim, block), lambda kept: claim[kept].mean(), 1e-12),
        # One Newton step instead of a fit for each block.
        (
            direction_slope(claim, rose, block),
            lambda kept: direction_slope(claim[kept], rose[kept], block[kept]).value,
            0.01,
        ),
    ):
        without = np.array([refit(block != k) for k in range(count)])
        error = math.sqrt((count - 1) / count * np.square(without - found.value).sum())
        assert found.error == pytest.approx(error, rel=tolerance)
        assert found.high - found.value == pytest.approx(t.ppf(0.95, count - 1) * found.error)
        assert found.value - found.low == pytest.approx(found.high - found.value)


def test_intervals_hold_the_true_slope_of_overlapping_labels():
    rng = np.random.default_rng(11)
    held, naive = [], []
    for _ in range(100):
        claim, rose = overlapping(rng, bars=3_000, slope=0.5, symbols=2)
        block = blocks_of(claim)
        found = direction_slope(claim.ravel(), rose.ravel(), block.ravel())
        held.append(found.low <= 0.5 <= found.high)
        alone = direction_slope(claim.ravel(), rose.ravel(), np.arange(claim.size))
        naive.append(alone.low <= 0.5 <= alone.high)
    assert 0.83 <= np.mean(held) <= 0.96
    assert np.mean(naive) < 0.6  # what counting every bar would say


def test_a_symbol_that_is_there_twice_says_no_more():
    claim, rose = overlapping(np.random.default_rng(2), bars=3_000, slope=0.5)
    once = judge_claim(claim[:, 0], rose[:, 0], blocks_of(claim)[:, 0])
    both = [np.repeat(values, 2) for values in (claim[:, 0], rose[:, 0], blocks_of(claim)[:, 0])]
    twice = judge_claim(*both)
    assert twice.slope.error == pytest.approx(once.slope.error)
    assert twice.gain.error == pytest.approx(once.gain.error)


@pytest.mark.parametrize(
    ("claim", "rose"),
    [([0.1, 0.2, -0.3], [1, 1, 0]), ([0.1, 0.2, -0.3], [0, 0, 1]), ([0.0, 0.0], [1, 0]), ([], [])],
)
def test_a_slope_without_an_end_is_undefined(claim, rose):
    found = direction_slope(np.array(claim), np.array(rose, bool), np.arange(len(claim)))
    assert np.isnan([found.value, found.error, found.low, found.high]).all()


def test_one_block_has_no_error():
    found = judge_claim(np.array([0.3, -0.2, 0.1]), np.array([True, True, False]), np.zeros(3))
    assert math.isfinite(found.slope.value)
    assert np.isnan([found.slope.error, found.slope.low, found.gain.error]).all()
    assert found.word == "undecided"
    assert "too few bars moved to tell" in sentence(found)


def claim_of(low, high, *, size=0.3, gain=1.0):
    slope = Estimate(value=(low + high) / 2, error=0.1, low=low, high=high)
    return Claim(bars=500, size=size, slope=slope, gain=Estimate(value=gain, high=gain + 3))


CONFIDENCE = "Confidence in direction is"


@pytest.mark.parametrize(
    ("claim", "word", "is_false", "opening"),
    [
        (claim_of(0.6, 1.2), "true", False, f"{CONFIDENCE} true"),
        (claim_of(0.1, 0.9), "overstated", True, f"{CONFIDENCE} overstated"),
        (claim_of(-0.2, 0.3, gain=-8.0), "overstated", True, f"{CONFIDENCE} overstated"),
        (claim_of(1.1, 2.1), "understated", True, f"{CONFIDENCE} understated"),
        (claim_of(-0.2, 1.2), "undecided", False, f"{CONFIDENCE} neither confirmed nor refuted"),
        (claim_of(-0.2, 1.2, gain=-0.5), "undecided", False, f"{CONFIDENCE} neither confirmed"),
        (claim_of(0.3, 1.2), "undecided", False, f"{CONFIDENCE} neither confirmed"),
        (claim_of(-0.2, 1.2, gain=-5.0), "undecided", True, f"{CONFIDENCE} neither confirmed"),
        (claim_of(-9, 0.9, size=0.02, gain=-0.1), "not claimed", False, "No direction is claimed"),
    ],
)
def test_words(claim, word, is_false, opening):
    assert (claim.word, claim.is_false) == (word, is_false)
    assert sentence(claim).startswith(opening)
    assert claim.to_dict()["sentence"] == sentence(claim)
    assert ("worse than a coin" in sentence(claim)) == (
        word != "not claimed" and claim.gain.high < 0
    )


def test_sentences():
    assert sentence(claim_of(-0.2, 0.3, gain=-8.0)) == (
        "Confidence in direction is overstated: calibration slope 0.05 (90 % CI -0.20 to "
        "0.30), where 1 is true and 0 a coin; worse than a coin (log-loss 8.0 nats per 1,000 moved "
        "bars above it)"
    )
    assert sentence(claim_of(-9.0, 0.9, size=0.02)) == (
        "No direction is claimed: P(UP), given a move, lies 0.5 points from 50 %"
    )


def predictions_of(rows, splits):
    """Predictions of (P(DOWN), P(UP), split) by bar; split -1 has none."""
    down, up, number = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    proba = np.column_stack([down, 1 - down - up, up])[:, None]
    proba[number < 0] = np.nan
    ranges = dict.fromkeys(("train", "valid", "calibration"), (0, 0))
    return Predictions(
        index=pd.date_range("2024-01-01", periods=len(rows), freq="h", tz="UTC"),
        symbols=("A",),
        proba=proba,
        split=number[:, None],
        splits=tuple(Split(number=k, test=(0, 1), **ranges) for k in range(splits)),
        target=Target(horizon=1),
    )


def test_only_bars_that_moved_and_were_predicted_count():
    rows = [(0.2, 0.6, 0), (0.5, 0.2, 0), (0.3, 0.3, 1), (0.1, 0.7, 1), (0.1, 0.7, -1), (0, 0.9, 1)]
    labels = np.array([UP, UP, STAY, DOWN, UP, -1], dtype=np.int8)[:, None]
    found = Direction.of(predictions_of(rows, 3), labels, length=1)
    claims = np.log([0.6 / 0.2, 0.2 / 0.5, 0.7 / 0.1])
    wanted = judge_claim(claims, np.array([True, True, False]), np.array([0, 0, 0]))
    assert found.all.bars == 3
    assert found.all.slope.value == pytest.approx(wanted.slope.value, rel=1e-6)
    assert found.all.gain.value == pytest.approx(wanted.gain.value, rel=1e-6)
    assert {k: claim.bars for k, claim in found.splits.items()} == {0: 2, 1: 1, 2: 0}
    # Leaning: +0.4 right, -0.3 wrong, +0.6 wrong; the STAY bar does not lean.
    assert found.leaning == 3
    assert found.leaning_claimed == pytest.approx((0.4 + 0.3 + 0.6) / 3, rel=1e-6)
    assert found.leaning_came.value == pytest.approx(-1 / 3)
    assert found.mean_label == pytest.approx(1 / 3)
    table = found.reliability
    assert table["bars"].sum() == 3
    assert table["claimed"].tolist() == pytest.approx([0.2 / 0.7, 0.75, 0.875], rel=1e-6)
    assert table["rose"].tolist() == [1.0, 1.0, 0.0]


def test_bins_have_equal_mass_and_the_intervals_of_blocks():
    rng = np.random.default_rng(4)
    up = rng.uniform(0.2, 0.6, 400)
    rows = [(0.8 - value, value, 0) for value in up.tolist()]
    labels = np.where(rng.random(400) < up / 0.8, UP, DOWN).astype(np.int8)[:, None]
    labels[up > np.quantile(up, 0.9)] = UP
    found = Direction.of(predictions_of(rows, 1), labels, length=4).reliability
    assert found["bars"].tolist() == [40] * 10
    own = np.argsort(up)[80:120]
    share = clustered_mean((labels[own, 0] == UP).astype(float), own // 20)
    third = found.iloc[2]
    assert third["claimed"] == pytest.approx(up[own].mean() / 0.8, rel=1e-6)
    assert third[["rose", "low", "high"]].tolist() == pytest.approx(
        [share.value, max(share.low, 0.0), min(share.high, 1.0)]
    )
    assert found.iloc[9]["rose"] == 1.0
    assert found.iloc[9][["low", "high"]].isna().all()


def test_an_impossible_side_is_a_far_claim_not_an_infinite_one():
    rows = [(0.0, 0.9, 0), (0.9, 0.0, 0), (0.2, 0.6, 0)]
    labels = np.array([DOWN, DOWN, UP], dtype=np.int8)[:, None]
    found = Direction.of(predictions_of(rows, 1), labels, length=1)
    assert math.isfinite(found.all.size)
    assert math.isfinite(found.all.gain.value)


def test_nothing_to_judge():
    preds = predictions_of([(0.2, 0.6, 0), (0.5, 0.2, -1)], 1)
    assert Direction.of(preds, np.array([[STAY], [UP]], dtype=np.int8), length=1) is None
    with pytest.raises(InputError, match=r"shape \(2, 1\), got \(3, 1\); make both from the same"):
        Direction.of(preds, np.zeros((3, 1), dtype=np.int8), length=1)


def test_blocks_follow_the_horizon_of_a_sweep():
    bars = make_bars(bars=1_500)
    res = make_sweep(bars, make_predictions(bars))
    labels = np.random.default_rng(0).integers(0, 3, bars.close.shape).astype(np.int8)
    found = direction_of(res, labels)
    wanted = Direction.of(res.predictions, labels, length=12)
    assert found.all == wanted.all
    proba, moved = res.predictions.proba.astype(float), labels != STAY
    moved &= res.predictions.split >= 0
    block = np.arange(len(labels))[:, None] // 60  # five horizons
    claim = np.log(proba[:, :, UP] / proba[:, :, DOWN])[moved]
    assert found.all.slope == direction_slope(claim, labels[moved] == UP, block[moved])
    assert list(found.splits) == [split.number for split in res.predictions.splits]
    assert found.all != Direction.of(res.predictions, labels, length=6).all


def test_a_symbol_with_few_bars_sets_the_length():
    bars = make_bars(bars=200, symbols=2)
    assert _rows_of(bars, 10) == 10
    for field in ("open", "high", "low", "close", "volume"):
        values = getattr(bars, field).copy()
        values[np.arange(200) % 4 > 0, 1] = np.nan
        object.__setattr__(bars, field, values)
    assert _rows_of(bars, 10) == 40
