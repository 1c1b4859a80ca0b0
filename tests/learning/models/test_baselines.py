"""Baselines through the network's own splits, scale, labels, calibration and cache."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from convnext_vbt.learning.features import Features
from convnext_vbt.learning.fitting import fit_split, predict_range
from convnext_vbt.learning.folds import fold_rows
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.labels import Labels
from convnext_vbt.learning.models import boosting
from convnext_vbt.learning.models.boosting import MOST_ROUNDS
from convnext_vbt.learning.segments import pack, scale
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig
from convnext_vbt.learning.splits import WalkForward
from convnext_vbt.learning.walkforward import walk_forward
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.predictions import DOWN, STAY, UP, Split, Target
from tests.learning.markets import hours

T, N, F = 1200, 2, 3
SPLIT = Split(number=1, train=(100, 1000), test=(1005, 1200), folds=3)
KINDS = ("logistic", "boosting", "majority")
TRAINING = TrainingConfig()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module", autouse=True)
def few_rounds():
    """Of boosting, which grows slowly, wherever the rounds themselves are not looked at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosting, "MOST_ROUNDS", 12)
        yield


@pytest.fixture(scope="module")
def boosted():
    """As many rounds as a run may take."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosting, "MOST_ROUNDS", MOST_ROUNDS)
        return fit("boosting", *market())


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


SLOWLY_GROWN = pytest.mark.parametrize(
    "kind",
    [pytest.param(each, marks=pytest.mark.slow if each == "boosting" else ()) for each in KINDS],
    indirect=True,
)


@pytest.fixture(scope="module")
def fitted(kind):
    return fit(kind, *market())


def market(*, seed=0):
    """Labels that the last bar's features 0 and (bent) 1 tell; symbol 1 misses bars."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(T, N, F)).astype(np.float32)
    score = values[..., 0] + np.abs(values[..., 1]) - 0.8 + 0.7 * rng.normal(size=(T, N))
    y = np.digitize(score, [-0.7, 0.7])
    values[:, :, 0] = 50 + 7 * values[:, :, 0]
    absent = np.zeros((T, N), bool)
    absent[:10] = True
    absent[rng.choice(np.arange(50, T), 60, replace=False), 1] = True
    values[absent] = np.nan
    y[absent] = -1
    y[-4:] = -1
    end = np.minimum(np.arange(T)[:, None] + np.full((1, N), 3), T - 1)
    features = Features(names=("a", "b", "c"), values=values, warmup=10)
    return features, Labels(values=y, end=end, opens=hours(T))


def fit(kind, features, labels, *, seed=0, split=SPLIT):
    model = ModelConfig(kind=kind)
    return fit_split(features, labels, split, model=model, training=TRAINING, seed=seed)


def rows(features, labels, bars):
    """Standardised, clipped features and labels of a range by hand."""
    inside = features.values[slice(*SPLIT.train)].astype(np.float64)
    mean, std = np.nanmean(inside, axis=0), np.nanstd(inside, axis=0)
    x = np.clip((features.values - mean) / std, -5, 5)[slice(*bars)]
    y = labels.values[slice(*bars)]
    known = y >= 0
    return x[known], y[known]


def test_boosting_is_scikit_learns_with_the_rounds_that_are_best_out_of_fold(boosted):
    features, labels = market()
    x, y = rows(features, labels, SPLIT.train)
    trees = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=boosted.fit.epochs, max_leaf_nodes=15, min_samples_leaf=100,
        l2_regularization=1.0, early_stopping=False,
    ).fit(x, y)  # fmt: skip
    assert 3 < boosted.fit.epochs < MOST_ROUNDS
    x_test, _ = rows(features, labels, SPLIT.test)
    known = labels.values[slice(*SPLIT.test)] >= 0
    proba = predict_range(boosted, features, *SPLIT.test)[known]
    # Rows on the very edge of a bin may fall to its other side.
    assert (np.abs(proba - trees.predict_proba(x_test)).max(axis=1) < 1e-4).mean() > 0.99


def test_boosting_out_of_fold_is_scikit_learns_of_the_other_folds(boosted):
    features, labels = market()
    mean, std = scale(features, SPLIT.train)
    train = HeldOut.of(pack(features, mean, std, SPLIT.train[1]), labels.values, SPLIT.train, 1)
    fold = fold_rows(train, labels, SPLIT)[2]
    x, y = train.last_bars.double().numpy(), train.y.numpy()
    trees = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=MOST_ROUNDS, max_leaf_nodes=15, min_samples_leaf=100,
        l2_regularization=1.0, early_stopping=False,
    ).fit(x[fold.fit], y[fold.fit])  # fmt: skip
    known = (fold.held & (train.y >= 0)).numpy()
    losses = [
        -np.log(proba[np.arange(known.sum()), y[known]]).mean()
        for proba in trees.staged_predict_proba(x[known])
    ]
    stops = next(  # the first round without a better one among the ten after it
        k for k in range(MOST_ROUNDS) if min(losses[: k + 1]) <= min(losses[k + 1 : k + 11])
    )
    rounds = min(boosted.fit.epochs, stops + 11)
    *_, last = itertools.islice(trees.staged_predict_proba(x[fold.held]), rounds)
    said = boosted.out_of_fold.log_proba[fold.held]
    np.testing.assert_allclose(said, np.log(last), atol=1e-4)


def test_the_majority_says_the_training_range_s_frequencies():
    features, labels = market()
    fitted = fit("majority", features, labels)
    proba = predict_range(fitted, features, *SPLIT.test)
    _, y = rows(features, labels, SPLIT.train)
    prior = np.bincount(y, minlength=3) / len(y)
    present = ~np.isnan(features.values[slice(*SPLIT.test), :, 0])
    np.testing.assert_allclose(proba[present], np.tile(prior, (present.sum(), 1)), atol=1e-6)
    assert np.isnan(proba[~present]).all()
    np.testing.assert_allclose(fitted.fit.prior, prior)
    np.testing.assert_allclose(fitted.fit.valid_loss, fitted.fit.prior_loss)
    assert not fitted.fit.learned


@SLOWLY_GROWN
def test_a_baseline_looks_at_one_bar_only(fitted):
    features, _ = market()
    assert fitted.receptive_field == 1
    whole = predict_range(fitted, features, 0, T)
    present = ~np.isnan(features.values[..., 0])
    np.testing.assert_array_equal(np.isfinite(whole).all(axis=2), present)
    np.testing.assert_allclose(whole[present].sum(axis=1), 1, atol=1e-6)
    values = features.values.copy()
    values[:1100] = np.nan
    values[1101:] = np.nan
    alone = predict_range(fitted, dataclasses.replace(features, values=values), 1100, 1101)
    np.testing.assert_allclose(alone[0], whole[1100], atol=1e-6)


@SLOWLY_GROWN
def test_nothing_after_the_training_range_is_read(kind, fitted):
    features, labels = market()
    values, y = features.values.copy(), labels.values.copy()
    stop = SPLIT.train[1]
    values[stop:], y[stop:] = 1e6, 0
    end = np.minimum(labels.end, T - 1)
    other = fit(
        kind,
        dataclasses.replace(features, values=values),
        Labels(values=y, end=end, opens=hours(T)),
    )
    assert other.fit == fitted.fit
    for name in ("mean", "std"):
        np.testing.assert_array_equal(getattr(other, name), getattr(fitted, name))
    for name in ("log_proba", "y"):
        np.testing.assert_array_equal(
            getattr(other.out_of_fold, name), getattr(fitted.out_of_fold, name)
        )
    before = [predict_range(one, features, 0, T) for one in (other, fitted)]
    np.testing.assert_array_equal(*before)


@pytest.mark.parametrize("classes", [(STAY,), pytest.param((STAY, UP), marks=pytest.mark.slow)])
def test_a_class_that_the_training_range_lacks_is_improbable(kind, classes):
    features, labels = market()
    y = labels.values.copy()
    train = y[slice(*SPLIT.train)]
    train[(train >= 0) & ~np.isin(train, classes)] = STAY
    fitted = fit(kind, features, dataclasses.replace(labels, values=y))
    proba = predict_range(fitted, features, *SPLIT.test)
    assert np.nanmax(proba[..., DOWN]) < 0.01
    assert np.isfinite(fitted.fit.valid_loss)


TARGET = Target(horizon=6, halflife=5.0)
NAMES = ("candle_body", "candle_upper_wick", "hour_sin")


@pytest.fixture(scope="module")
def bars():
    return simulated_bars(seed=5, bars=820)


def walk(bars, kind, **options):
    from convnext_vbt.learning.features import compute_features
    from convnext_vbt.learning.labels import labels_for

    labels = labels_for(bars, TARGET)
    seen = []
    preds = walk_forward(
        bars,
        compute_features(bars, names=NAMES),
        labels,
        WalkForward(train=500, test=120, folds=2).split(labels),
        model=ModelConfig(kind=kind),
        training=TRAINING,
        target=TARGET,
        **{"jobs": 1, "seed": 3, "progress": seen.append, **options},
    )
    return preds, [event.cached for event in seen]


def assert_same(left, right):
    for name in ("proba", "split", "quantiles", "nonconformity"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    assert left.fits == right.fits


@SLOWLY_GROWN
def test_a_baseline_walks_forward_and_resumes(bars, kind, tmp_path):
    first, cached = walk(bars, kind, directory=tmp_path)
    assert cached == [False] * 3
    made = np.isfinite(first.proba).all(axis=2)
    expected = np.zeros(len(bars), bool)
    for split in first.splits:
        expected[slice(*split.test)] = True
    np.testing.assert_array_equal(made[:, 0], expected)
    assert first.receptive_field == 1
    (tmp_path / "001.json").unlink()
    again, cached = walk(bars, kind, directory=tmp_path)
    assert cached == [True, False, True]
    assert_same(again, first)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    assert_same(walk(bars, kind)[0], first)
    torch.set_num_threads(threads)
    assert walk(bars, "logistic" if kind == "majority" else "majority", directory=tmp_path)[1] == (
        [False] * 3
    )


@pytest.mark.parametrize(("name", "kept"), [("logistic", True), ("boosting", False)])
def test_predictions_can_be_made_again(bars, name, kept, tmp_path):
    """A longer last range needs new predictions: from what is stored, or from trees grown again."""
    shorter, _ = walk(bars.rows(0, len(bars) - 1), name, directory=tmp_path)
    longer, cached = walk(bars, name, directory=tmp_path)
    assert cached == [True, True, kept]
    assert longer.fits == shorter.fits
    np.testing.assert_array_equal(longer.proba[:-1], shorter.proba)
    assert np.isfinite(longer.proba[-1]).all()
    assert sorted(path.suffix for path in tmp_path.glob("002.*")) == [
        *(".json", ".parquet", ".safetensors")
    ]
