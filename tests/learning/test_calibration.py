"""Move and direction made true, each by itself, from what was known by then."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from convnext_vbt.learning.calibration import (
    OutOfFold,
    Said,
    calibrated_fit,
    known_before,
    said_in_test,
)
from convnext_vbt.learning.labels import Labels
from convnext_vbt.learning.models.head import joined
from convnext_vbt.predictions import QUANTILE_LEVELS, Split, SplitFit
from convnext_vbt.predictions.slopes import (
    BEFOREHAND,
    SLOPE_DEVIATION,
    Belief,
    apply,
    confidence_quantiles,
    conformal_scores,
    fit_move,
    update_direction,
)
from tests.learning.markets import hours

FIT = SplitFit(number=2, epochs=1, valid_loss=1.0, prior_loss=1.1, prior=(0.3, 0.4, 0.3))
SPLIT = Split(number=2, train=(0, 300), test=(310, 400))


def drawn(num_rows, *, move=1.0, direction=1.0, constant=0.0, seed=0):
    """Log-probabilities (R, K), and labels whose true logits are these times what is claimed."""
    rng = np.random.default_rng(seed)
    m, d = rng.normal(size=(2, num_rows))
    moves = rng.random(num_rows) < 1 / (1 + np.exp(-(constant + move * m)))
    ups = rng.random(num_rows) < 1 / (1 + np.exp(-direction * d))
    return joined(m, d).numpy(), np.where(moves, np.where(ups, 2, 0), 1).astype(np.int8)


def out_of_fold(num_rows, *, label_bars=1.0, **truth):
    log_proba, y = drawn(num_rows, **truth)
    return OutOfFold(log_proba=log_proba, y=y, label_bars=label_bars)


def said(num_rows, end, **truth):
    log_proba, y = drawn(num_rows, **truth)
    return Said(log_proba=log_proba, y=y, end=np.broadcast_to(end, num_rows))


@pytest.mark.parametrize(("move", "constant", "direction"), [(0.5, 0.3, 0.25), (1.5, -0.5, 1.2)])
def test_many_outcomes_tell_the_truth(move, constant, direction):
    rows = out_of_fold(60_000, move=move, constant=constant, direction=direction)
    found = calibrated_fit(FIT, rows, [], SPLIT)
    assert found.move_slope == pytest.approx(move, abs=0.03)
    assert found.move_intercept == pytest.approx(constant, abs=0.03)
    assert found.direction_slope == pytest.approx(direction, abs=0.03)
    assert replace(found, **{name: getattr(FIT, name) for name in CHANGED}) == FIT


CHANGED = ("move_intercept", "move_slope", "direction_slope", "direction_error")


def test_few_outcomes_change_little():
    found = calibrated_fit(FIT, out_of_fold(20, direction=-3.0, label_bars=24.0), [], SPLIT)
    assert found.direction_slope == pytest.approx(BEFOREHAND.mean, abs=0.2)
    assert found.move_slope == pytest.approx(1.0, abs=0.1)
    assert found.move_intercept == pytest.approx(0.0, abs=0.1)


def test_the_move_s_posterior_is_scipys():
    log_proba, y = drawn(500, move=0.6, constant=0.4)
    x = np.logaddexp(log_proba[:, 0], log_proba[:, 2]) - log_proba[:, 1]

    def cost(at):
        loss = np.logaddexp(0, np.where(y != 1, -1, 1) * (at[0] + at[1] * x)).sum() / 6
        return loss + at[0] ** 2 / 2 / 0.25 + (at[1] - 1) ** 2 / 2 / 0.25

    expected = minimize(cost, [0.0, 1.0], tol=1e-12).x
    np.testing.assert_allclose(fit_move(log_proba, y, 1 / 6), expected, atol=1e-5)


def test_a_move_told_the_wrong_way_round_becomes_a_constant():
    log_proba, y = drawn(20_000, move=-1.0, constant=0.5)
    intercept, slope = fit_move(log_proba, y, 1.0)
    assert slope == 0.0
    frequency = (y != 1).mean()
    assert intercept == pytest.approx(math.log(frequency / (1 - frequency)), abs=0.01)


def by_a_grid(belief, log_proba, y, weight):
    """Mean, deviation and the weight of the true case, summed over a fine grid of slopes."""
    moved = y != 1
    x, sign = (log_proba[:, 2] - log_proba[:, 0])[moved], np.where(y[moved] == 2, 1, -1)
    grid = np.linspace(-3, 4, 14_001)
    likelihood = -weight * np.logaddexp(0, -np.outer(grid, x * sign)).sum(axis=1)
    prior = [
        share * np.exp(-(((grid - mean) / deviation) ** 2) / 2) / deviation
        for share, mean, deviation in zip(
            belief.weights, belief.means, belief.deviations, strict=True
        )
    ]
    density = np.exp(likelihood - likelihood.max()) * prior
    total = density.sum()
    mean = (grid * density).sum() / total
    return mean, math.sqrt(((grid - mean) ** 2 * density).sum() / total), density[1].sum() / total


@pytest.mark.parametrize("direction", [0.0, 0.4, 0.7, 1.1])
def test_the_direction_s_belief_by_a_grid(direction):
    log_proba, y = drawn(400, direction=direction)
    belief = Belief(weights=(0.8, 0.2), means=(0.0, 1.0), deviations=(0.25, 0.3))
    found = update_direction(belief, log_proba, y, 0.25)
    mean, deviation, true = by_a_grid(belief, log_proba, y, 0.25)
    assert found.mean == pytest.approx(mean, abs=0.01)
    assert found.deviation == pytest.approx(deviation, rel=0.05)
    assert found.weights[1] == pytest.approx(true, abs=0.01)


def test_a_claim_that_comes_true_is_believed_and_one_that_does_not_is_a_coin():
    true, coin = (
        calibrated_fit(FIT, out_of_fold(9000, direction=slope, label_bars=15.0), [], SPLIT)
        for slope in (1.0, 0.0)
    )
    assert true.direction_slope > 0.85
    assert coin.direction_slope < 0.15


def test_a_direction_told_the_wrong_way_round_is_a_coin():
    found = calibrated_fit(FIT, out_of_fold(5000, direction=-1.0), [], SPLIT)
    assert found.direction_slope == 0.0
    log_proba, _ = drawn(10)
    proba = apply(found, log_proba)
    np.testing.assert_array_equal(proba[:, 0], proba[:, 2])


def test_out_of_fold_rows_never_make_the_slope_sure_and_earlier_splits_do():
    rows = out_of_fold(60_000, direction=1.5, label_bars=24.0)  # as if the test were like that
    alone = calibrated_fit(FIT, rows, [], SPLIT)
    assert alone.direction_error == pytest.approx(SLOPE_DEVIATION)
    earlier = [said(5000, 100, direction=0.5, seed=k) for k in (1, 2)]
    one, both = (calibrated_fit(FIT, rows, earlier[:n], SPLIT) for n in (1, 2))
    assert alone.direction_slope > one.direction_slope > both.direction_slope > 0.45
    assert alone.direction_error > one.direction_error > both.direction_error
    assert both.direction_slope < 0.8
    assert both.move_slope == alone.move_slope  # earlier splits say nothing of the move


def test_no_outcome_known_only_in_the_test_range_is_looked_at():
    rows, start = out_of_fold(500), SPLIT.test[0]
    end = np.where(np.arange(300) % 2, start - 1, start)
    mixed = said(300, end)
    log_proba, y = known_before([mixed], start)
    assert len(y) == 150
    np.testing.assert_array_equal(y, mixed.y[1::2])
    np.testing.assert_array_equal(log_proba, mixed.log_proba[1::2])
    other = replace(mixed, y=np.where(end >= start, 2 - mixed.y, mixed.y))
    found, again = (calibrated_fit(FIT, rows, [one], SPLIT) for one in (mixed, other))
    assert found == again
    earlier = replace(mixed, y=np.where(end < start, 2 - mixed.y, mixed.y))
    assert calibrated_fit(FIT, rows, [earlier], SPLIT) != found


def test_labels_that_last_count_for_less():
    rows = said(3000, 0, direction=0.0)
    quick, slow = (
        calibrated_fit(FIT, out_of_fold(3000, label_bars=bars), [rows], SPLIT)
        for bars in (1.0, 100.0)
    )
    assert quick.direction_slope < slow.direction_slope
    assert quick.direction_error < slow.direction_error


def test_what_was_said_in_a_test_range():
    labels = Labels(
        values=np.array([[0, 1], [2, -1], [2, 0], [1, 1]]),
        end=np.array([[1, 1], [2, 2], [3, 3], [3, 3]]),
        opens=hours(4),
    )
    log_proba = np.log(np.random.default_rng(0).dirichlet([1, 1, 1], (2, 2))).astype("f4")
    log_proba[1, 0] = np.nan
    split = Split(number=0, train=(0, 1), test=(1, 3))
    found = said_in_test(log_proba, labels, split)
    np.testing.assert_array_equal(found.y, [2, 0])  # bar 1 of symbol 0 and bar 2 of symbol 1
    np.testing.assert_array_equal(found.end, [2, 3])
    np.testing.assert_array_equal(found.log_proba, log_proba[[0, 1], [0, 1]])


def test_calibrated_probabilities_by_hand():
    fit = replace(FIT, move_intercept=0.2, move_slope=0.5, direction_slope=2.0)
    proba = apply(fit, np.log(np.array([[0.1, 0.5, 0.4], [np.nan] * 3])))
    moves = 1 / (1 + math.exp(-0.2))  # log(0.5 / 0.5) is 0
    ups = 1 / (1 + (1 / 4) ** 2)
    np.testing.assert_allclose(proba[0], [moves * (1 - ups), 1 - moves, moves * ups], rtol=1e-6)
    assert proba.dtype == np.float32
    assert np.isnan(proba[1]).all()


def test_a_fit_without_slopes_changes_nothing():
    log_proba, _ = drawn(100)
    np.testing.assert_allclose(apply(FIT, log_proba), np.exp(log_proba), rtol=2e-6)


def test_quantiles_and_scores_are_those_of_the_rows():
    proba = np.random.default_rng(0).dirichlet([2, 2, 2], 200).astype("f4")
    y = np.where(np.arange(200) % 5, np.arange(200) % 3, -1).astype(np.int8)
    confidence = np.maximum(proba[:, 0], proba[:, 2])
    np.testing.assert_allclose(
        confidence_quantiles(proba), np.quantile(confidence, QUANTILE_LEVELS), rtol=1e-6
    )
    scores = 1 - proba[y >= 0, y[y >= 0]]
    assert set(conformal_scores(proba, y)) <= set(scores)
    assert conformal_scores(proba, y)[-1] == scores.max()
