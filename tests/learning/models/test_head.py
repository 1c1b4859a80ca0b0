"""The two logits against scikit-learn, and what the mirror makes of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from convnext_vbt.learning.folds import fold_rows
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.labels import Labels
from convnext_vbt.learning.models.head import (
    STRENGTHS,
    THINNING,
    Columns,
    Head,
    LastBar,
    fit_head,
    joined,
    last_bar_columns,
)
from convnext_vbt.learning.models.ridge import MOST_ITERATIONS, newton, ridge_path
from convnext_vbt.learning.segments import Series
from convnext_vbt.predictions import Split
from tests.learning.markets import hours

pytestmark = pytest.mark.usefixtures("one_thread")
R = 900


def market(*, drift=0.0, noise=1.0, seed=0):
    """Columns and labels: column 0 tells the move, column 1 the direction; an expert is noise."""
    rng = np.random.default_rng(seed)
    even, odd = rng.normal(size=(2, R, 3))
    moves = rng.random(R) < expit(0.4 + even[:, 0])
    ups = rng.random(R) < expit((drift + odd[:, 1]) / noise)
    y = np.where(moves, np.where(ups, 2, 0), 1)
    y[::50] = -1
    return Columns(move=even, features=odd[:, :2], experts=odd[:, 2:]), y


def folds_of(y, num_folds=3):
    labels = Labels(
        values=y[:, None], end=np.minimum(np.arange(R) + 2, R - 1)[:, None], opens=hours(R)
    )
    series = [Series(bars=np.arange(R), values=torch.zeros(1, R))]
    split = Split(number=0, train=(0, R), test=(R, R + 1), folds=num_folds)
    return fold_rows(HeldOut.of(series, labels.values, split.train, 1), labels, split)


def fit(columns, y):
    return fit_head(columns, y, folds_of(y), label_bars=2.0)


def test_a_path_of_strengths_is_scikit_learns():
    columns, y = market()
    x, yes = columns.direction, y == 2  # the last column is 1
    strengths = (1e-4, 1e-2, 1.0, 100.0)
    for strength, (coef, _) in zip(strengths, ridge_path(x, yes, strengths), strict=True):
        model = LogisticRegression(C=strength, tol=1e-12, max_iter=10_000, solver="newton-cholesky")
        model.fit(x[:, :-1], yes)
        np.testing.assert_allclose(coef, [*model.coef_[0], *model.intercept_], rtol=0, atol=1e-6)


def test_newton_finds_the_minimum_from_afar_under_a_penalty_for_each_column():
    columns, y = market()
    x, yes, penalty = columns.move, y != 1, np.array([0.5, 20.0, 300.0])
    scaled = LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000, fit_intercept=False)
    scaled.fit(x / np.sqrt(penalty), yes)
    coef, iterations = newton(x, yes, np.array([9.0, -9.0, 9.0]), penalty)
    np.testing.assert_allclose(coef, scaled.coef_[0] / np.sqrt(penalty), rtol=0, atol=1e-5)
    assert 2 < iterations < MOST_ITERATIONS


@pytest.mark.parametrize("rows", [0, 40])
def test_one_class_or_none_gives_a_finite_logit(rows):
    x = np.hstack([np.random.default_rng(0).normal(size=(rows, 2)), np.ones((rows, 1))])
    for coef, iterations in ridge_path(x, np.ones(rows, bool), STRENGTHS):
        assert np.isfinite(coef).all()
        assert iterations < MOST_ITERATIONS


def by_hand(x, yes, rows, folds):
    """The loss out of fold of every strength, by scikit-learn."""
    losses = []
    for strength in STRENGTHS:
        logit = np.zeros(R)
        for fold in folds:
            fit = np.flatnonzero(fold.fit.numpy() & rows)[::THINNING]
            model = LogisticRegression(C=THINNING * strength, tol=1e-10, max_iter=1000)
            model.fit(x[fit], yes[fit])
            held = fold.held.numpy()
            logit[held] = x[held] @ model.coef_[0] + model.intercept_[0]
        losses.append(np.logaddexp(0, np.where(yes, -1, 1)[rows] * logit[rows]).mean())
    return np.array(losses)


def test_the_move_has_the_penalty_that_is_best_out_of_fold():
    columns, y = market()
    known = y >= 0
    fitted = fit(columns, y)
    losses = by_hand(columns.move, y != 1, known, folds_of(y))
    at = fitted.out_of_fold.double().numpy()
    moves = np.logaddexp(at[:, 0], at[:, 2]) - at[:, 1]
    ours = np.logaddexp(0, np.where(y != 1, -1, 1)[known] * moves[known]).mean()
    assert 0 < losses.argmin() < len(STRENGTHS) - 1
    assert ours == pytest.approx(losses.min(), abs=1e-5)
    rows = np.flatnonzero(known)[::THINNING]
    model = LogisticRegression(C=THINNING * STRENGTHS[losses.argmin()], tol=1e-10, max_iter=1000)
    model.fit(columns.move[rows], (y != 1)[rows])
    np.testing.assert_allclose(fitted.head.move[:-1], model.coef_[0], atol=1e-4)


def test_the_mirror_image_gets_the_mirrored_probabilities_but_for_the_drift():
    columns, y = market()
    fitted = fit(columns, y).head
    still = replace(fitted, direction=torch.cat([fitted.direction[:-1], torch.zeros(1)]))
    mirrored = replace(columns, features=-columns.features, experts=-columns.experts)
    log_proba, other = still.log_proba(columns), still.log_proba(mirrored)
    torch.testing.assert_close(log_proba.flip(1), other)
    torch.testing.assert_close(log_proba.exp().sum(1), torch.ones(R))
    assert abs(float(fitted.direction[-1])) < 0.1
    assert abs(float(fitted.direction[1])) > 0.3


def test_a_market_that_drifts_is_told_so():
    columns, y = market(drift=1.0)
    assert fit(columns, y).head.direction[-1] > 0.3
    slow = fit_head(columns, y, folds_of(y), label_bars=500.0).head
    assert 0.0 < slow.direction[-1] < 0.2  # it may be chance, so few outcomes are these


def test_probabilities_from_two_logits():
    found = joined(np.array([0.0, 800.0]), np.array([np.log(3.0), -800.0])).exp().numpy()
    np.testing.assert_allclose(found[0], [0.125, 0.5, 0.375], rtol=1e-6)
    np.testing.assert_allclose(found[1], [1.0, 0.0, 0.0], atol=1e-6)


def test_columns_of_the_last_bar_are_even_and_odd_in_the_mirror():
    view, mirror = torch.randn(2, 2, 30)
    series = Series(bars=np.arange(30), values=view, mirrored=mirror)
    held = HeldOut(series=[series], rows=[(10, 20)], y=torch.zeros(10))
    columns = last_bar_columns(held)
    turned = replace(series, values=mirror, mirrored=view)
    other = last_bar_columns(replace(held, series=[turned]))
    np.testing.assert_array_equal(columns.move, other.move)
    np.testing.assert_array_equal(columns.features, -other.features)
    np.testing.assert_allclose(columns.move + columns.features, view[:, 10:20].T, atol=1e-6)
    alone = last_bar_columns(replace(held, series=[replace(series, mirrored=None)]))
    np.testing.assert_array_equal(alone.move, view[:, 10:20].T)
    np.testing.assert_array_equal(alone.features, view[:, 10:20].T)
    np.testing.assert_array_equal(
        columns.direction, np.hstack([columns.features, np.ones((10, 1))])
    )
    ones = Head(move=torch.ones(3).double(), direction=torch.ones(3).double())
    assert LastBar(head=ones).log_proba(held).shape == (10, 3)
