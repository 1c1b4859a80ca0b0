"""Combinatorial purged cross-validation: splits, purge and paths, and what is trained of them."""

from dataclasses import replace
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from convnext_vbt.errors import InputError
from convnext_vbt.learning.combinations import inside, path_parts
from convnext_vbt.learning.features import compute_features
from convnext_vbt.learning.fitting import fit_split
from convnext_vbt.learning.labels import NO_LABEL, Labels, labels_for
from convnext_vbt.learning.outcomes import predict_test
from convnext_vbt.learning.segments import scale
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig
from convnext_vbt.learning.splits import WalkForward
from convnext_vbt.learning.walkforward import walk_forward, walk_paths
from convnext_vbt.predictions import Target
from tests.examples import examples
from tests.learning.markets import hours, random_panel

LOGISTIC = ModelConfig(kind="logistic")
TARGET = Target(horizon=6, halflife=5.0)
NAMES = ("candle_body", "return_1", "hour_sin")


def labels_of(end_TN, values_TN=None):
    end_TN = np.asarray(end_TN)
    end_TN = end_TN[:, None] if end_TN.ndim == 1 else end_TN
    values = np.ones_like(end_TN) if values_TN is None else values_TN
    return Labels(values=values, end=end_TN, opens=hours(len(end_TN)))


def lasting(num_bars, horizon):
    return np.minimum(np.arange(num_bars) + horizon, num_bars - 1)


def cpcv(groups=6, held_out=2, **more):
    return WalkForward(train=10, test=10, kind="cpcv", groups=groups, held_out=held_out, **more)


def combos(labels, *, first=0, number=0, **settings):
    return cpcv(**settings).combinations(labels, first=first, number=number)


@pytest.mark.parametrize(("groups", "held_out"), [(6, 2), (5, 3), (10, 8), (4, 2), (3, 2)])
def test_there_are_as_many_splits_and_paths_as_the_formulas_say(groups, held_out):
    made = combos(labels_of(lasting(400, 1)), groups=groups, held_out=held_out)
    assert len(made) == comb(groups, held_out)  # skfolio: n_splits
    paths = path_parts(made)
    assert len(paths) == comb(groups, held_out) * held_out // groups  # skfolio: n_test_paths
    assert {len(path) for path in paths} == {groups}


def test_the_paths_of_six_groups_by_two_are_those_of_the_book():
    """Lopez de Prado 2018, figure 12.2: the path of each group's test in each of 15 splits."""
    book = [
        {1: 1, 2: 2, 3: 3, 4: 4, 5: 5},
        {1: 1, 6: 2, 7: 3, 8: 4, 9: 5},
        {2: 1, 6: 2, 10: 3, 11: 4, 12: 5},
        {3: 1, 7: 2, 10: 3, 13: 4, 14: 5},
        {4: 1, 8: 2, 11: 3, 13: 4, 15: 5},
        {5: 1, 9: 2, 12: 3, 14: 4, 15: 5},
    ]
    paths = path_parts(combos(labels_of(lasting(600, 3))))
    for j, path in enumerate(paths, start=1):
        assert [bars for _, bars in path] == [(100 * g, 100 * g + 100) for g in range(6)]
        for of_group, (place, _) in zip(book, path, strict=True):
            assert of_group[place + 1] == j


def test_a_combination_by_hand():
    made = combos(labels_of(lasting(60, 4)), embargo=1, number=7)
    one = made[3]  # groups 0 and 4 are held out
    assert one.number == 10
    assert one.tested == ((0, 10), (40, 50))
    # Labels of bar 9 end at 13, a bar of embargo more; those of 36 on reach bar 40.
    assert one.learned == ((15, 35), (55, 60))
    assert (one.train, one.test) == ((15, 60), (0, 50))
    beside = made[5]  # groups 1 and 2
    assert beside.tested == ((10, 20), (20, 30))
    assert beside.learned == ((0, 5), (35, 60))


def test_groups_begin_where_there_is_history_and_differ_by_a_bar_at_most():
    made = combos(labels_of(lasting(100, 2)), first=17, groups=4)
    groups = sorted({bars for one in made for bars in one.tested})
    assert groups[0][0] == 17
    assert groups[-1][1] == 100
    assert [stop for _, stop in groups[:-1]] == [start for start, _ in groups[1:]]
    assert {stop - start for start, stop in groups} <= {20, 21}
    assert min(start for one in made for start, _ in one.learned) == 17


@examples(80)
@given(
    seed=st.integers(0, 9999),
    groups=st.integers(3, 7),
    held_out=st.integers(2, 4),
    embargo=st.integers(0, 4),
    longest=st.integers(1, 30),
    symbols=st.integers(1, 2),
    first=st.integers(0, 20),
)
def test_no_label_that_is_learned_from_touches_a_tested_one(
    seed, groups, held_out, embargo, longest, symbols, first
):
    assume(held_out < groups)
    rng = np.random.default_rng(seed)
    ahead = rng.integers(1, longest + 1, (240, symbols))
    end = np.minimum(np.arange(240)[:, None] + ahead, 239)
    labels = labels_of(end, rng.integers(-1, 3, end.shape))
    try:
        made = combos(labels, first=first, groups=groups, held_out=held_out, embargo=embargo)
    except InputError:  # spans of 30 bars leave nothing between groups of 30
        assume(False)
    reach, bars = end.max(axis=1), np.arange(240)
    tested = np.zeros(240, int)
    for one in made:
        own, learned = inside(bars, one.tested), inside(bars, one.learned)
        tested += own
        span = np.zeros(240, bool)  # of all tested labels, from their bars to their ends
        for bar in bars[own]:
            span[bar : reach[bar] + 1] = True
        for bar in bars[learned]:
            assert not span[bar : reach[bar] + 1].any()
            assert not span[max(bar - embargo, 0) : bar + 1].any()
            assert not own[bar : bar + embargo + 1].any()
    phi = comb(groups - 1, held_out - 1)
    first = max(first, int((labels.values != NO_LABEL).any(axis=1).argmax()))
    assert (tested[first:] == phi).all()
    assert not tested[:first].any()


@examples(40)
@given(groups=st.integers(3, 8), held_out=st.integers(2, 5))
def test_paths_are_those_of_a_plain_loop(groups, held_out):
    """Walk the splits in order and put each tested group into its first path that lacks it."""
    assume(held_out < groups)
    paths = [{} for _ in range(comb(groups - 1, held_out - 1))]
    for place, held in enumerate(combinations(range(groups), held_out)):
        for group in held:
            next(path for path in paths if group not in path)[group] = place
    made = combos(labels_of(lasting(240, 1)), groups=groups, held_out=held_out)
    found = [[place for place, _ in path] for path in path_parts(made)]
    assert found == [[path[group] for group in range(groups)] for path in paths]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "kfold"}, "splits.kind must be one of .'walk_forward', 'cpcv'., got 'kfold'"),
        ({"held_out": 1}, "splits.held_out must be at least 2 and less than splits.groups, got 1"),
        ({"held_out": 6}, "at least 2 and less than splits.groups, got 6 of 6"),
        ({"groups": 20, "held_out": 10}, "are 184,756 models to train, over 1,000; lower them"),
    ],
)
def test_what_cannot_be_combined_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        WalkForward(**given)


def test_too_few_bars_or_too_long_labels_are_refused():
    with pytest.raises(InputError, match=r"splits.groups = 6 is more than the 5 bars that have"):
        combos(labels_of(lasting(20, 1)), first=15)
    with pytest.raises(
        InputError, match=r"split 3: beside the groups \[\(0, 20\), \(20, 40\)\] no "
    ):
        combos(labels_of(lasting(60, 40)), groups=3, number=3)


def test_without_it_there_are_none():
    assert len(WalkForward().combinations(labels_of(lasting(60, 4)), first=0, number=0)) == 0


@pytest.fixture(scope="module")
def panel():
    bars = random_panel(num_bars=1_600, num_symbols=2, seed=4)
    features = compute_features(bars, names=NAMES)
    labels = labels_for(bars, TARGET)
    walk = WalkForward(train=900, test=350, folds=2, kind="cpcv", groups=4, held_out=2, embargo=3)
    splits = walk.split(labels)
    made = walk.combinations(labels, first=features.warmup, number=len(splits))
    return bars, features, labels, splits, made


def paths_of(panel, **options):
    bars, features, labels, _, made = panel
    options = {"model": LOGISTIC, "training": TrainingConfig(), "jobs": 1, **options}
    return list(walk_paths(bars, features, labels, made, target=TARGET, **options))


def test_every_bar_of_a_path_is_predicted_by_a_split_that_did_not_learn_from_it(panel):
    bars, features, labels, _, made = panel
    by_number = {one.number: one for one in made}
    paths = paths_of(panel)
    assert len(paths) == 3
    there = ~np.isnan(features.values).any(axis=2) & (np.arange(1_600) >= features.warmup)[:, None]
    for path in paths:
        np.testing.assert_array_equal(path.split >= 0, there)
        for t, n in np.argwhere(path.split >= 0)[::37]:
            one = by_number[path.split[t, n]]
            assert inside(t, one.tested)
            assert not inside(t, one.learned)
            assert not any(start <= labels.end[t, n] < stop for start, stop in one.learned)
    numbers = np.stack([path.split for path in paths])
    assert (np.sort(numbers, axis=0)[1:] > np.sort(numbers, axis=0)[:-1])[:, there].all()
    assert paths[0].index.equals(bars.index)


def test_a_symbol_is_predicted_from_its_first_label_on():
    """Before that it has no volatility, and hence no stop to be traded by."""
    bars = random_panel(num_bars=1_200, num_symbols=2, seed=4)  # the second comes at bar 120
    features = compute_features(bars, names=("candle_body", "hour_sin"))
    labels = labels_for(bars, TARGET)
    made = cpcv(groups=4).combinations(labels, first=features.warmup, number=0)
    first, second = ((labels.values != NO_LABEL).argmax(axis=0)).tolist()
    assert features.warmup < first < 120 < second
    assert made[0].tested[0][0] == first
    for path in paths_of((bars, features, labels, None, made)):
        starts = (path.split >= 0).argmax(axis=0).tolist()
        assert starts == [first, second]


def test_labels_and_features_of_the_groups_held_out_change_nothing_that_is_learned(panel):
    _, features, labels, _, made = panel
    one = made[1]  # groups 0 and 2, so that it learns on both sides
    rng = np.random.default_rng(0)
    held = ~inside(np.arange(1_600), one.learned)
    values = labels.values.copy()
    values[held] = np.where(values[held] == NO_LABEL, NO_LABEL, rng.integers(0, 3, (held.sum(), 2)))
    noise = features.values.copy()
    noise[held] += rng.normal(0.0, 9.0, noise[held].shape)
    other = (
        replace(features, values=noise.astype(np.float32)),
        replace(labels, values=values),
    )
    options = {"model": LOGISTIC, "training": TrainingConfig(), "seed": 1}
    left = fit_split(features, labels, one, **options)
    right = fit_split(*other, one, **options)
    np.testing.assert_array_equal(left.mean, right.mean)
    np.testing.assert_array_equal(left.std, right.std)
    for name, value in left.predictor.tensors().items():
        np.testing.assert_array_equal(value, right.predictor.tensors()[name])
    np.testing.assert_array_equal(left.out_of_fold.log_proba, right.out_of_fold.log_proba)
    assert left.fit == right.fit
    said, own = predict_test(left, features, one)[0], inside(np.arange(*one.test), one.tested)
    np.testing.assert_array_equal(np.isfinite(said[:, 0]).all(axis=1), own)
    rows = np.concatenate([features.values[start:stop, 0] for start, stop in one.learned])
    rows = rows[~np.isnan(rows).any(axis=1)].astype(np.float64)
    np.testing.assert_allclose(scale(features, *one.learned)[0][0], rows.mean(axis=0), rtol=1e-6)


def test_they_are_trained_with_the_others_kept_and_used_again(panel, tmp_path):
    bars, features, labels, splits, made = panel
    seen = []
    options = {"model": LOGISTIC, "training": TrainingConfig(), "target": TARGET, "jobs": 1}
    with_them = walk_forward(
        bars, features, labels, splits, further=made, directory=tmp_path, progress=seen.append,
        **options,
    )  # fmt: skip
    assert [event.fit.number for event in seen] == list(range(len(splits) + 6))
    assert {event.total for event in seen} == {len(splits) + 6}
    alone = walk_forward(bars, features, labels, splits, **options)
    np.testing.assert_array_equal(with_them.proba, alone.proba)
    assert with_them.splits == alone.splits == tuple(splits)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    fresh, kept = paths_of(panel), paths_of(panel, directory=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    for one, other in zip(fresh, kept, strict=True):
        np.testing.assert_array_equal(one.proba, other.proba)
        np.testing.assert_array_equal(one.quantiles, other.quantiles)
        assert one.fits == other.fits


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(prior="none", depths=(1, 1), dims=(4, 4)),
        ModelConfig(kind="majority"),
        ModelConfig(kind="boosting"),
    ],
    ids=["convnext", "majority", "boosting"],
)
def test_every_kind_makes_the_same_paths_by_one_process_as_by_two(panel, model):
    training = TrainingConfig(steps=2, segments=2, segment_bars=64, eval_every=1, ensemble=2)
    one = paths_of(panel, model=model, training=training)
    other = paths_of(panel, model=model, training=training, jobs=2)
    assert len(one) == 3
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left.proba, right.proba)
        assert np.isfinite(left.proba).any()
