"""Training a split: what it may read, that it is deterministic, and that it learns."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from convnext_vbt.learning.features import Features
from convnext_vbt.learning.fitting import fit_split, predict_range
from convnext_vbt.learning.folds import fold_rows
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.labels import Labels
from convnext_vbt.learning.models import convnext
from convnext_vbt.learning.segments import Segments, Series, pack, scale
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig
from convnext_vbt.predictions import Split
from tests.learning.markets import hours

pytestmark = pytest.mark.usefixtures("one_thread")

MODEL = ModelConfig(prior="none", depths=(1, 1), dims=(8, 16), base="none")  # receptive field 80
TRAINING = TrainingConfig(
    steps=8, segments=2, segment_bars=128, eval_every=4, lr=3e-3, warmup_steps=2
)
SPLIT = Split(number=3, train=(200, 900), test=(905, 1000), folds=2)
T, N, F = 1000, 2, 4


def market(*, seed=0, noise=0.7):
    """Labels that the last three bars of feature 0 tell; symbol 1 misses bars and starts late."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(T, N, F)).astype(np.float32) * [3, 1, 1, 1] + [10, 0, 0, 5]
    score = values[:, :, 0] - 10
    score = (score + np.roll(score, 1, 0) + np.roll(score, 2, 0)) / 3
    y = np.digitize(score + noise * rng.normal(size=(T, N)), [-0.8, 0.8])
    absent = np.zeros((T, N), bool)
    absent[:20] = True
    absent[:100, 1] = True
    absent[rng.choice(np.arange(100, T), 60, replace=False), 1] = True
    values[absent] = np.nan
    y[absent] = -1
    y[-5:] = -1
    end = np.minimum(np.arange(T)[:, None] + np.full((1, N), 4), T - 1)
    features = Features(names=("a", "b", "c", "d"), values=values.astype(np.float32), warmup=20)
    return features, Labels(values=y, end=end, opens=hours(T))


def fit(features, labels, *, split=SPLIT, seed=0, training=TRAINING, model=MODEL, **options):
    return fit_split(features, labels, split, model=model, training=training, seed=seed, **options)


@pytest.fixture(scope="module")
def fitted():
    """Of the market, as the settings above say."""
    return fit(*market())


@pytest.fixture(scope="module")
def pair():
    """The same with two networks."""
    return fit(*market(), training=replace(TRAINING, ensemble=2))


def weights(fitted, member=0):
    return torch.cat(
        [v.flatten() for v in fitted.predictor.trunk.nets[member].state_dict().values()]
    )


def test_learns_what_is_there_and_says_so():
    features, labels = market()
    told = []
    fitted = fit(
        features,
        labels,
        training=replace(TRAINING, steps=40, lr=1e-2, feature_dropout=0.0),
        progress=lambda *report: told.append(report),
    )
    assert fitted.fit.learned
    assert fitted.fit.valid_loss < fitted.fit.prior_loss - 0.1
    proba = predict_range(fitted, features, *SPLIT.test)
    y = labels.values[slice(*SPLIT.test)]
    accuracy = (proba.argmax(2) == y)[y >= 0].mean()
    assert accuracy > np.bincount(y[y >= 0]).max() / (y >= 0).sum() + 0.1
    steps, totals, losses, priors = zip(*told, strict=True)
    assert list(steps) == sorted(steps)
    assert steps[0] == 0
    assert set(totals) == {40}
    assert set(priors) == {fitted.fit.prior_loss}
    assert steps[losses.index(min(losses))] == fitted.fit.epochs > 10


def test_as_many_steps_are_kept_as_are_best_and_training_stops_when_it_only_gets_worse():
    features, labels = market(noise=100.0)  # nothing to learn, so it overfits
    training = replace(TRAINING, steps=60, eval_every=2, patience=2, lr=1e-2, feature_dropout=0.0)
    told = []
    fitted = fit(features, labels, training=training, progress=lambda *report: told.append(report))
    steps, _, losses, _ = zip(*told, strict=True)
    best = losses.index(min(losses))
    assert best < len(losses) - 1
    assert len(losses) == best + 1 + training.patience < 30
    assert fitted.fit.epochs == steps[best]
    assert losses[-1] > losses[best] + 1e-3


def test_the_network_kept_is_of_all_labels_and_of_that_many_steps():
    features, labels = market()
    once = replace(TRAINING, eval_every=8)
    fitted = fit(features, labels, training=once)
    assert fitted.fit.epochs == 8
    y = labels.values.copy()
    y[850:890] = 2 - y[850:890].clip(0)  # the newest labels, which no fold before the last knows
    assert not torch.equal(
        weights(fit(features, replace(labels, values=y), training=once)), weights(fitted)
    )


def test_deterministic_and_blind_to_global_randomness(fitted):
    features, labels = market()
    fit(features, labels, split=replace(SPLIT, number=9))  # another job in between
    torch.manual_seed(2)
    np.random.seed(5)  # noqa: NPY002 - the global state is what must not matter
    before = torch.get_rng_state()
    second = fit(features, labels)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(weights(fitted), weights(second))
    np.testing.assert_array_equal(fitted.out_of_fold.log_proba, second.out_of_fold.log_proba)


@pytest.mark.parametrize(
    "change", [pytest.param("split number", marks=pytest.mark.slow), "seed", "member"]
)
def test_every_split_seed_and_member_has_its_own_weights(pair, change):
    features, labels = market()
    if change == "member":
        other = weights(pair, 1)
    elif change == "seed":
        other = weights(fit(features, labels, seed=1))
    else:
        other = weights(fit(features, labels, split=replace(SPLIT, number=4)))
    assert (weights(pair) - other).abs().max() > 1e-3


def test_nothing_after_the_training_range_is_read(fitted):
    features, labels = market()
    values, y = features.values.copy(), labels.values.copy()
    stop = SPLIT.train[1]
    values[stop:], y[stop:] = 1e6, 0
    y[: SPLIT.train[0]] = -1  # labels before the range are none of its business either
    other = fit(replace(features, values=values), replace(labels, values=y))
    assert torch.equal(weights(other), weights(fitted))
    np.testing.assert_array_equal(other.mean, fitted.mean)
    np.testing.assert_array_equal(other.out_of_fold.log_proba, fitted.out_of_fold.log_proba)
    assert other.fit == fitted.fit


def test_a_fold_s_network_has_not_seen_its_labels(monkeypatch):
    """Whatever the labels inside a fold are: what its network says there stays the same."""
    features, labels = market()
    once = replace(TRAINING, eval_every=8)
    three = replace(SPLIT, folds=3)
    columns = []
    found = convnext._at_held

    def noted(*arguments):
        columns.append(found(*arguments))
        return columns[-1]

    monkeypatch.setattr(convnext, "_at_held", noted)
    fit(features, labels, training=once, split=three)
    _, before = columns  # each fit looks twice: at the start and at the end
    folds = fold_task(features, labels, three).folds
    assert len(folds) == 3
    for fold in folds:
        y = labels.values.copy()
        inside = slice(*fold.bars.held)
        y[inside] = np.where(y[inside] >= 0, 2 - y[inside], -1)
        fit(features, replace(labels, values=y), training=once, split=three)
        held, after = fold.held.numpy(), columns[-1]
        np.testing.assert_array_equal(before.experts[held], after.experts[held])
        assert not np.array_equal(before.experts[~held], after.experts[~held])


def fold_task(features, labels, split=SPLIT):
    """The rows of the training range and its folds, as a kind is given them."""
    mean, std = scale(features, SPLIT.train)
    series = pack(features, mean, std, SPLIT.train[1])
    train = HeldOut.of(series, labels.values, SPLIT.train, 80)
    return SimpleNamespace(train=train, folds=fold_rows(train, labels, split))


def test_scale_is_that_of_the_training_range():
    features, _ = market()
    mean, std = scale(features, SPLIT.train)
    inside = features.values[slice(*SPLIT.train)].astype(np.float64)
    np.testing.assert_allclose(mean, np.nanmean(inside, axis=0), rtol=1e-6)
    np.testing.assert_allclose(std, np.nanstd(inside, axis=0), rtol=1e-5)
    constant = features.values.copy()
    constant[..., 2] = np.where(np.isnan(constant[..., 2]), np.nan, 7.0)
    assert (scale(replace(features, values=constant), SPLIT.train)[1][:, 2] == 1.0).all()


def test_segments_cover_every_labelled_bar_once_an_epoch_and_align_with_their_labels():
    features, labels = market()
    mean, std = scale(features, SPLIT.train)
    series = pack(features, mean, std, SPLIT.train[1])
    marked = [  # the feature says which bar a row is
        Series(bars=s.bars, values=torch.from_numpy(s.bars + 1e4 * n).float()[None])
        for n, s in enumerate(series)
    ]
    segments = Segments(marked, labels.values, SPLIT.train, context=79, length=64)
    for seed in range(5):
        size = len(segments.epoch(np.random.default_rng(seed)))
        x, y = next(segments.batches(size, np.random.default_rng(seed)))
        assert x.shape[1:] == (1, 79 + 64)
        assert x.max() % 10_000 < SPLIT.train[1], "no bar after the training range is fed"
        now = x[:, 0, 79:][y >= 0].long().numpy()
        bars, symbols = now % 10_000, now // 10_000
        assert bars.min() >= SPLIT.train[0]
        np.testing.assert_array_equal(labels.values[bars, symbols], y[y >= 0].numpy())
        inside = labels.values[slice(*SPLIT.train)] >= 0
        for n in range(N):
            enough = np.searchsorted(series[n].bars, np.arange(*SPLIT.train)) >= 79
            inside[:, n] &= enough
        assert len(now) == len(np.unique(now)) == inside.sum()


def test_predictions_do_not_depend_on_the_range_they_are_asked_in(pair):
    features, _ = market()
    whole = predict_range(pair, features, 0, T)
    for start, stop in ((905, 1000), (950, 951), (999, 1000)):
        part = predict_range(pair, features, start, stop)
        assert part.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(part), np.isnan(whole[start:stop]))
        np.testing.assert_allclose(part, whole[start:stop], rtol=0, atol=1e-5)
    for n in range(N):
        present = np.flatnonzero(~np.isnan(features.values[:, n, 0]))
        made = np.flatnonzero(np.isfinite(whole[:, n]).all(axis=1))
        np.testing.assert_array_equal(made, present[pair.receptive_field - 1 :])
    np.testing.assert_allclose(np.nansum(whole, axis=2)[np.isfinite(whole[..., 0])], 1.0, atol=1e-6)


def test_a_prediction_survives_any_future(fitted):
    features, _ = market()
    whole = predict_range(fitted, features, 905, 1000)
    values = features.values.copy()
    values[950:] = np.nan
    cut = predict_range(fitted, replace(features, values=values), 905, 1000)
    np.testing.assert_allclose(cut[:45], whole[:45], rtol=0, atol=1e-5)
    assert np.isnan(cut[45:]).all()


def test_an_ensemble_averages_what_its_networks_see(pair):
    features, labels = market()
    trunk, held = pair.predictor.trunk, fold_task(features, labels).train
    each = [one.columns(held) for one in trunk.members()]
    both = trunk.columns(held)
    mean = np.mean([one.experts for one in each], axis=0)
    np.testing.assert_allclose(both.experts, mean, rtol=0, atol=1e-5)
    assert np.abs(each[0].experts - each[1].experts).max() > 1e-3
    alone = [predict_range(one, features, 905, 1000) for one in pair.members]
    assert np.nanmax(np.abs(alone[0] - alone[1])) > 1e-3


def test_class_weights_do_not_bias_the_probabilities():
    features, labels = market(noise=3.0)
    y = labels.values.copy()
    y[(y == 0) & (np.arange(T)[:, None] % 4 > 0)] = 1  # DOWN becomes rare
    longer = replace(TRAINING, steps=24, lr=1e-2, label_smoothing=0.0)
    for kind in ("none", "balanced"):
        fitted = fit(
            features, replace(labels, values=y), training=replace(longer, class_weights=kind)
        )
        proba = predict_range(fitted, features, *SPLIT.train)
        np.testing.assert_allclose(np.nanmean(proba, axis=(0, 1)), fitted.fit.prior, atol=0.08)
    assert fitted.fit.prior[0] < 0.12


def test_a_symbol_that_the_training_range_hardly_knows_gets_no_predictions():
    features, labels = market()
    values, y = features.values.copy(), labels.values.copy()
    values[:860, 1], y[:860, 1] = np.nan, -1
    fitted = fit(replace(features, values=values), replace(labels, values=y))
    assert np.isnan(fitted.mean[1]).all()
    proba = predict_range(fitted, replace(features, values=values), 905, 1000)
    assert np.isnan(proba[:, 1]).all()
    assert np.isfinite(proba[:, 0]).all()


def test_a_range_without_labels_is_refused():
    features, labels = market()
    y = labels.values.copy()
    y[slice(*SPLIT.train)] = -1
    with pytest.raises(
        ValueError, match=r"split 4: no bar of the train range .* has a label; lengthen"
    ):
        fit(features, replace(labels, values=y))


def test_a_half_missing_bar_is_refused():
    features, labels = market()
    values = features.values.copy()
    values[300, 0, 1] = np.nan
    with pytest.raises(
        ValueError, match=r"bar 300: feature.s. b are NaN while others are not \(1 such"
    ):
        fit(replace(features, values=values), labels)
