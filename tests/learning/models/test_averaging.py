"""Averaging against a naive one made of scikit-learn's regressions, and whom it trusts."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from convnext_vbt.learning.models import averaging
from convnext_vbt.learning.models.averaging import EXPERT_DEVIATION, FEATURE_DEVIATIONS, averaged
from convnext_vbt.learning.models.ridge import THINNING
from tests.learning.models.test_head import folds_of

R = 900
LABEL_BARS = 4.0


@pytest.fixture(autouse=True)
def one_thread():
    with threadpool_limits(1):
        yield


def drawn(logit, *, seed=0):
    """Two features and two experts of noise, outcomes of a logit of those four, some unknown."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(R, 4))
    yes = rng.random(R) < expit(logit(*x.T))
    known = np.arange(R) % 40 > 0
    return x[:, :2], x[:, 2:], yes, known


def average(features, experts, yes, known, *, label_bars=LABEL_BARS):
    folds = folds_of(np.where(known, 2 * yes, -1))
    return averaged(features, experts, yes, known, folds, label_bars=label_bars)


def loss(logit, yes, known):
    return np.logaddexp(0, np.where(yes, -1, 1) * logit)[known].mean()


def by_hand(x, deviations, yes, rows):
    """Coefficients of some columns, each with its own normal prior; others are 0."""
    used = np.isfinite(deviations)
    coef = np.zeros(x.shape[1])
    if used.any():
        rows = np.flatnonzero(rows)[::THINNING]
        model = LogisticRegression(
            C=THINNING / LABEL_BARS, tol=1e-10, max_iter=1000, fit_intercept=False
        ).fit(x[rows][:, used] * deviations[used], yes[rows])
        coef[used] = model.coef_[0] * deviations[used]
    return coef


def test_it_is_pseudo_bayesian_averaging_of_scikit_learns_regressions():
    features, experts, yes, known = drawn(lambda a, b, c, d: 0.3 * a + 0.4 * c)
    x, folds = np.hstack([features, experts]), folds_of(np.where(known, 2 * yes, -1))
    candidates = [
        [feature, feature, *(EXPERT_DEVIATION if place == expert else np.nan for place in (0, 1))]
        for expert in (0, 1, None)
        for feature in (np.nan, *FEATURE_DEVIATIONS)
    ]
    coefs, logits, losses = [], [], []
    for deviations in map(np.array, candidates):
        logit = np.empty(R)
        for fold in folds:
            fit, held = fold.fit.numpy() & known, fold.held.numpy()
            logit[held] = x[held] @ by_hand(x, deviations, yes, fit)
        coefs.append(by_hand(x, deviations, yes, known))
        logits.append(logit)
        losses.append(loss(logit, yes, known) * known.sum() / LABEL_BARS)
    weights = np.exp(-np.array(losses))
    weights /= weights.sum()
    found = average(features, experts, yes, known)
    np.testing.assert_allclose(found.coef, weights @ coefs, atol=1e-4)
    np.testing.assert_allclose(found.logit, weights @ logits, atol=1e-3)
    np.testing.assert_allclose(found.trust, weights.reshape(3, 5).sum(1), atol=1e-3)
    assert 0.05 < weights.max() < 0.9


def test_a_market_of_one_expert_trusts_that_expert():
    found = average(*drawn(lambda a, b, c, d: 1.5 * d), label_bars=1.0)
    assert found.trust[1] > 0.95
    assert found.trust.sum() == pytest.approx(1.0)
    assert found.coef[3] == pytest.approx(1.5, abs=0.3)
    assert np.abs(found.coef[:3]).max() < 0.1


def test_noise_costs_hardly_more_than_a_coin():
    for seed in range(4):
        features, experts, yes, known = drawn(lambda a, b, c, d: 0 * a, seed=seed)
        found = average(features, experts, yes, known)
        assert loss(found.logit, yes, known) < np.log(2) + 0.002
        wide = by_hand(features, np.full(2, 0.7), yes, known)
        assert np.abs(found.coef[:2]).max() < np.abs(wide).max()


def test_labels_that_last_are_believed_less():
    market = drawn(lambda a, b, c, d: 0.5 * a)
    quick, slow = (average(*market, label_bars=bars) for bars in (1.0, 200.0))
    assert 0.0 < slow.coef[0] < quick.coef[0]
    assert slow.trust.max() < quick.trust.max()


def test_a_fold_says_nothing_of_what_only_its_own_labels_tell(monkeypatch):
    monkeypatch.setattr(averaging, "FEATURE_DEVIATIONS", (0.2,))  # one candidate beside a coin
    features, experts, yes, known = drawn(lambda a, b, c, d: a)
    held = folds_of(np.where(known, 2, -1))[1].held.numpy()
    first, second = (
        average(features, experts[:, :0], outcomes, known).logit for outcomes in (yes, yes ^ held)
    )
    # All labels weigh the candidate against the coin: its logits change by a factor, if at all.
    np.testing.assert_allclose(np.ptp(first[held] / second[held]), 0.0, atol=1e-9)
    assert np.ptp(first[~held] / second[~held]) > 0.1
