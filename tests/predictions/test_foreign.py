"""Predictions from elsewhere: their splits in every form, and what each split may know."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, TimeSeriesSplit, cross_val_predict

from convnext_vbt.learning.labels import Labels, barrier_labels
from convnext_vbt.learning.splits import WalkForward
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.predictions import DOWN, QUANTILE_LEVELS, STAY, UP, Predictions, Split, Target
from convnext_vbt.predictions.slopes import BEFOREHAND, fit_move, update_direction
from tests.examples import examples

NUM_BARS = 600
INDEX = pd.date_range("2024-01-01", periods=NUM_BARS, freq="h", tz="UTC")
SPLITTER = TimeSeriesSplit(n_splits=4, gap=12)
PAIRS = list(SPLITTER.split(np.zeros((NUM_BARS, 1))))
TESTS = [(int(test[0]), int(test[-1]) + 1) for _, test in PAIRS]
RNG = np.random.default_rng(0)
PROBA = RNG.dirichlet([2.0, 2.0, 2.0], size=(NUM_BARS, 2))


def frames(proba=PROBA, tests=TESTS):
    """P(UP) and P(DOWN) of two symbols, within the test ranges alone."""
    there = np.zeros(len(proba), dtype=bool)
    for start, stop in tests:
        there[start:stop] = True
    values = np.where(there[:, None, None], proba, np.nan)
    made = {"prob_up": values[:, :, UP], "prob_down": values[:, :, DOWN]}
    return {name: pd.DataFrame(v, INDEX[: len(v)], ["A", "B"]) for name, v in made.items()}


def own(splits=PAIRS, **changes):
    return Predictions.from_frames(**(frames() | changes), splits=splits)


FOLDS = np.full(NUM_BARS, -1)
for number, (start, stop) in enumerate(TESTS):
    FOLDS[start:stop] = number


@pytest.mark.parametrize(
    "splits",
    [
        PAIRS,
        SPLITTER,
        SPLITTER.split(np.zeros((NUM_BARS, 1))),
        [((0, test[0] - 12), test) for test in TESTS],
        [(slice(0, start - 12), slice(start, stop)) for start, stop in TESTS],
        [(list(range(start - 12)), range(start, stop)) for start, stop in TESTS],
        [Split(number=k, train=(0, t[0] - 12), test=t) for k, t in enumerate(TESTS)][::-1],
        PAIRS[::-1],
    ],
    ids=["arrays", "splitter", "iterator", "ranges", "slices", "lists", "Splits", "backwards"],
)
def test_every_form_of_splits_says_the_same(splits):
    preds = own(splits)
    assert [(s.number, s.train, s.test) for s in preds.splits] == [
        (k, (0, test[0] - 12), test) for k, test in enumerate(TESTS)
    ]
    np.testing.assert_array_equal(preds.split, np.repeat(FOLDS[:, None], 2, axis=1))
    assert not any(split.learned_later for split in preds.splits)


@pytest.mark.parametrize(
    "folds",
    [FOLDS, FOLDS.tolist(), pd.Series(FOLDS, INDEX), pd.Series(FOLDS, INDEX).where(FOLDS >= 0)],
    ids=["array", "list", "series", "NaN"],
)
def test_fold_numbers_say_which_bars_but_not_what_was_learned_from(folds):
    preds = own(folds)
    assert [split.test for split in preds.splits] == TESTS
    assert not any(split.tells_train or split.learned_later for split in preds.splits)
    np.testing.assert_array_equal(preds.split[:, 1], FOLDS)


def test_k_folds_learned_later_but_for_the_last_one():
    folds = KFold(4)
    x = RNG.normal(size=(NUM_BARS, 3))
    y = np.arange(NUM_BARS) % 2
    up = cross_val_predict(LogisticRegression(), x, y, cv=folds, method="predict_proba")[:, 1]
    up = pd.Series(up, INDEX)
    preds = Predictions.from_frames(prob_up=up, prob_down=1 - up, splits=folds)
    assert [split.learned_later for split in preds.splits] == [True, True, True, False]


def test_own_walk_forward_splits_and_their_sklearn_form_are_taken():
    bars = simulated_bars(seed=1, bars=1000)
    labels = barrier_labels(bars, horizon=6)
    made = WalkForward(train=700, test=100).split(labels)
    up = pd.Series(0.5, bars.index).where(np.arange(1000) >= 700)
    whole = Predictions.from_frames(prob_up=up, prob_down=1 - up, splits=made)
    assert whole.splits == tuple(made)
    pairs = made.as_sklearn(labels)
    known = up.where(np.isin(np.arange(1000), np.concatenate([test for _, test in pairs])))
    some = Predictions.from_frames(prob_up=known, prob_down=1 - known, splits=pairs)
    for split, (_, test) in zip(some.splits, pairs, strict=True):
        assert split.test == (test.min(), test.max() + 1)  # unlabelled bars lie between


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (KFold(3, shuffle=True, random_state=0), "lie in one another.*do not shuffle"),
        ([(PAIRS[0][0], [PAIRS[0][1], PAIRS[1][1]])], "split 1: the test range is 2 ranges"),
        ("kfold", "'kfold' is not understood; give"),
        (7, "splits is a int; give"),
        (KFold, r"splits is the class KFold; give one of it, made with \(\)"),
        (pd.DataFrame({"A": FOLDS}), "splits is a DataFrame; of fold numbers give one column"),
        ([], "splits is empty; give"),
        ([(1, 2, 3)], r"split 1 is a tuple and no \(train, test\) pair"),
        ([((0, 10), (10, 10))], r"split 1: the test range \[10, 10\) is empty"),
        ([((0, 10), (10, 9999))], r"split 1: .* \[10, 9999\) does not lie within the 600 bars"),
        ([(np.array([], int), (10, 20))], "split 1: the train range is empty"),
        ([((0, 10), slice(10, 20, 2))], "a slice of bars has no step"),
        ([(np.ones(600, bool), (10, 20))], "split 1: the train range must be positions"),
        (PAIRS[1:], r"test range, so they may be in sample; give NaN there"),
        (FOLDS[:-1], "599 fold numbers do not belong to 600 bars"),
        (FOLDS + 0.5, "fold numbers must be whole, got 0.5"),
        (pd.Series(FOLDS), "must have the index of prob_up"),
        (WalkForward(), "WalkForward.split.X. of 600 bars fails"),
        ([Split(number=0, train=(0, 9), test=(10, 601))], "split 1: the test range"),
        (np.arange(NUM_BARS).repeat(70)[: 600 * 70], "fold numbers do not belong"),
    ],
)
def test_what_are_no_splits_is_refused(splits, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        own(splits)
    assert "\n" not in str(caught.value)


def test_quantiles_are_those_of_the_test_ranges_before():
    preds = own()
    confidence = np.maximum(preds.prob_up, preds.prob_down)
    assert np.isnan(preds.quantiles[0]).all()
    for k, (start, _) in enumerate(TESTS[1:], start=1):
        before = confidence.iloc[:start].stack()  # NaN, where nothing was said, is dropped
        expected = before.quantile(QUANTILE_LEVELS).to_numpy()
        np.testing.assert_allclose(preds.quantiles[k], expected, rtol=1e-5)
    by_bar = preds.confidence_quantile(0.9)
    assert np.isnan(by_bar[: TESTS[0][1]]).all()
    assert np.isfinite(by_bar[TESTS[1][0] :]).all()


def labelled(seed=1, horizon=12):
    """Outcomes that follow the probabilities half of the time."""
    rng = np.random.default_rng(seed)
    true = (PROBA.cumsum(axis=2) > rng.uniform(size=(NUM_BARS, 2, 1))).argmax(axis=2)
    random = rng.integers(0, 3, true.shape)
    values = np.where(rng.uniform(size=true.shape) < 0.5, true, random)
    values[-horizon:] = -1
    end = np.minimum(np.arange(NUM_BARS) + horizon, NUM_BARS - 1)
    return Labels(
        values=values.astype(np.int8), end=np.repeat(end[:, None], 2, axis=1), opens=INDEX
    )


def test_calibration_learns_from_what_was_known_before_each_split():
    preds, labels = own(), labelled()
    made = preds.calibrated(labels)
    for k, (start, stop) in enumerate(TESTS):
        known = np.isfinite(preds.proba[:, :, 0]) & (labels.end < start) & (labels.values >= 0)
        known[start:] = False
        said, y = np.log(preds.proba[known].astype(np.float64)), labels.values[known]
        intercept, slope = fit_move(said, y, 1 / 12 if k else 1.0)
        direction = update_direction(BEFOREHAND, said, y, 1 / 12 if k else 1.0).mean
        down, stay, up = np.moveaxis(preds.proba[start:stop].astype(np.float64), 2, 0)
        odds = np.exp(intercept) * ((up + down) / stay) ** slope
        ratio = (up / down) ** max(direction, 0.0)
        expected = odds / (1 + odds) * ratio / (1 + ratio)
        np.testing.assert_allclose(made.proba[start:stop, :, UP], expected, rtol=1e-4)
        if k == 0:
            assert (intercept, slope) == (0.0, 1.0)
            assert direction == pytest.approx(0.2)
    assert np.isnan(made.quantiles[0]).all()
    assert np.isfinite(made.quantiles[1:]).all()


@given(k=st.integers(0, 3), seed=st.integers(0, 100))
@examples(20)
def test_what_comes_after_changes_nothing_before(k, seed):
    """Later probabilities and outcomes that are not known yet."""
    start = TESTS[k][0]
    rng = np.random.default_rng(seed)
    later = PROBA.copy()
    later[start:] = rng.dirichlet([1.0, 1.0, 1.0], size=later[start:].shape[:2])
    labels, other = labelled(), labelled(seed=seed)
    unknown = labels.end >= start
    changed = Labels(
        values=np.where(unknown, other.values, labels.values), end=labels.end, opens=INDEX
    )
    before, after = (
        Predictions.from_frames(**frames(proba), splits=PAIRS) for proba in (PROBA, later)
    )
    np.testing.assert_array_equal(before.quantiles[: k + 1], after.quantiles[: k + 1])
    first, second = before.calibrated(labels), after.calibrated(changed)
    np.testing.assert_array_equal(first.proba[:start], second.proba[:start])
    np.testing.assert_array_equal(first.quantiles[: k + 1], second.quantiles[: k + 1])


def test_a_frame_of_classes_is_as_good_as_labels():
    preds, labels = own(), labelled()
    frame = pd.DataFrame(labels.values, INDEX, ["A", "B"])
    words = frame.replace({0: "DOWN", 1: "STAY", 2: "UP", -1: None})
    for classes in (frame, frame.where(frame >= 0), words):
        made = preds.calibrated(classes, horizon=12)
        np.testing.assert_array_equal(made.proba, preds.calibrated(labels).proba)


def test_probabilities_without_stay_keep_none():
    up = pd.Series(PROBA[:, 0, UP], INDEX).where(FOLDS >= 0)
    preds = Predictions.from_frames(prob_up=up, prob_down=1 - up, splits=PAIRS)
    labels = labelled()
    made = preds.calibrated(Labels(values=labels.values[:, :1], end=labels.end[:, :1], opens=INDEX))
    there = FOLDS >= 0
    assert (made.proba[there, 0, STAY] == 0).all()
    np.testing.assert_allclose(made.proba[there].sum(axis=2), 1.0, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Predictions.from_frames(**frames()).calibrated(labelled()), "give .* its splits="),
        (lambda: own().calibrated(pd.DataFrame(0, INDEX, ["A", "B"])), "horizon must say after"),
        (lambda: own().calibrated(pd.DataFrame(5, INDEX, ["A", "B"]), horizon=3), "got 5"),
        (lambda: own().calibrated(pd.Series(0, INDEX), horizon=3), r"\(600, 1\) must have the"),
        (lambda: own().calibrated(labelled(), horizon=3), "labels know their own ends"),
        (lambda: own().calibrated("labels"), "a frame of classes, got str"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_a_file_keeps_splits_and_missing_quantiles(tmp_path):
    named = {name: frame.rename_axis("timestamp") for name, frame in frames().items()}
    preds = Predictions.from_frames(**named, splits=PAIRS, target=Target(horizon=12))
    preds.save(tmp_path / "own.parquet")
    again = Predictions.load(tmp_path / "own.parquet")
    assert again.splits == preds.splits
    assert again.prob_up.index.name == preds.prob_up.index.name == "timestamp"
    np.testing.assert_array_equal(again.quantiles, preds.quantiles)
