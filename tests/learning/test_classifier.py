"""The scikit-learn face of the network."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from convnext_vbt.learning.classifier import ConvNeXtClassifier

pytestmark = pytest.mark.usefixtures("one_thread")

FAST = {"depths": (1, 1), "dims": (16, 32), "epochs": 25}


def waves(cases=120, length=60, seed=0):
    """Noisy waves of three periods at random phases, in one of two channels."""
    rng = np.random.default_rng(seed)
    y = np.resize(["fast", "medium", "slow"], cases)
    period = np.select([y == "fast", y == "medium"], [5.0, 11.0], 30.0)
    phase = rng.uniform(0, 2 * np.pi, (cases, 1))
    X = rng.normal(scale=0.5, size=(cases, 2, length))
    X[:, 1] += np.sin(2 * np.pi * np.arange(length) / period[:, None] + phase)
    return X * 50 + 1000, y


def teeth(cases=160, length=96, seed=0):
    """A tooth that peaks early or late, anywhere on a wave twice its height."""
    rng = np.random.default_rng(seed)
    y = np.resize(["early", "late"], cases)
    time = np.arange(length)
    done = (time - rng.integers(8, length - 24, (cases, 1))) / 15
    peak = np.where(y == "early", 0.25, 0.75)[:, None]
    tooth = np.maximum(np.minimum(done / peak, (1 - done) / (1 - peak)), 0)
    wave = np.sin(2 * np.pi * (time / length + rng.uniform(size=(cases, 1))))
    return (wave + 0.5 * tooth)[:, None, :], y


@pytest.mark.slow
def test_sees_a_shape_wherever_it_begins():
    X, y = teeth()
    fitted = ConvNeXtClassifier(epochs=30).fit(X[:80], y[:80])
    assert fitted.score(X[80:], y[80:]) >= 0.95  # chance is 0.5; a pyramid on the levels has 0.54


@pytest.mark.parametrize(
    "options",
    [
        {},
        *(pytest.param(o, marks=pytest.mark.slow) for o in ({"padding": "causal"}, {"version": 2})),
    ],
)
def test_learns_a_synthetic_problem(options):
    X, y = waves(180)
    fitted = ConvNeXtClassifier(**FAST, **options).fit(X[:120], y[:120])
    assert fitted.score(X[120:], y[120:]) >= 0.85  # chance is 0.33


def test_probabilities_follow_the_order_of_the_classes():
    X, y = waves(60)
    fitted = ConvNeXtClassifier(**{**FAST, "epochs": 3}).fit(X, y)
    proba = fitted.predict_proba(X)
    assert fitted.classes_.tolist() == ["fast", "medium", "slow"]
    assert proba.shape == (60, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    assert (fitted.predict(X) == fitted.classes_[proba.argmax(axis=1)]).all()


@pytest.mark.parametrize("length", [1, 5, 33])
@pytest.mark.parametrize("classes", [(0, 1), tuple(range(5))])
def test_any_length_and_any_number_of_classes(length, classes):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 1, length)), np.resize(classes, 20)
    fitted = ConvNeXtClassifier(epochs=1).fit(X, y)
    assert fitted.predict_proba(X).shape == (20, len(classes))
    assert set(fitted.predict(X)) <= set(classes)


def test_the_seed_decides_and_global_randomness_is_left_alone():
    X, y = waves(40)
    quick = {**FAST, "epochs": 2}
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = ConvNeXtClassifier(**quick, seed=5).fit(X, y).predict_proba(X)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = ConvNeXtClassifier(**quick, seed=5).fit(X, y).predict_proba(X)
    other = ConvNeXtClassifier(**quick, seed=6).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-3


def test_scikit_learn_conventions():
    X, y = waves(30)
    estimator = ConvNeXtClassifier(**{**FAST, "epochs": 1}, seed=3)
    parameters = estimator.get_params()
    assert parameters["seed"] == 3
    assert clone(estimator).get_params() == parameters
    assert estimator.set_params(lr=0.5).lr == 0.5
    estimator.set_params(lr=1e-3)
    with pytest.raises(NotFittedError, match="not fitted"):
        estimator.predict(X)
    assert estimator.fit(X, y) is estimator
    assert estimator.get_params() == {**parameters, "lr": 1e-3}, "fit must not change parameters"
    copied = pickle.loads(pickle.dumps(estimator))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(copied.predict_proba(X), estimator.predict_proba(X))
    assert cross_val_score(estimator, X, y, cv=2).shape == (2,)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((4, 9)), np.arange(4), r"shape \(cases, channels, timepoints\), got \(4, 9\)"),
        (np.zeros((4, 1, 0)), np.arange(4), r"X is empty, shape \(4, 1, 0\)"),
        (np.full((4, 1, 9), np.nan), np.arange(4), "nan at case 0, channel 0, timepoint 0"),
        (np.zeros((4, 1, 9)), np.arange(3), r"one class a case, shape \(4,\), got \(3,\)"),
        (np.zeros((4, 1, 9)), np.zeros(4, int), r"at least 2 classes, got only \[0\]"),
        (np.zeros((4, 1, 9)), np.linspace(0, 1, 4), "Unknown label type"),
    ],
)
def test_bad_input_is_refused(X, y, message):
    with pytest.raises(ValueError, match=message):
        ConvNeXtClassifier().fit(X, y)


def test_other_channels_than_fitted_are_refused():
    X, y = waves(20)
    fitted = ConvNeXtClassifier(**{**FAST, "epochs": 1}).fit(X, y)
    with pytest.raises(ValueError, match="X has 1 channels, but the classifier was fitted on 2"):
        fitted.predict(X[:, :1])
