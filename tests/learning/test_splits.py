from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from convnext_vbt.learning.labels import NO_LABEL, Labels, barrier_labels
from convnext_vbt.learning.splits import Splits, WalkForward
from convnext_vbt.predictions import Split
from tests.learning.markets import random_panel

RANGES = ("train", "test")


def labels_of(num_bars, horizon, num_symbols=1, bars_per_year=8760.0):
    """Labels that all take `horizon` bars, with none where the data end."""
    rows = np.arange(num_bars)[:, None] + np.zeros(num_symbols, dtype=np.int64)
    return Labels(
        values=np.where(rows + horizon < num_bars, rows % 3, NO_LABEL),
        end=np.minimum(rows + horizon, num_bars - 1),
        bars_per_year=bars_per_year,
    )


def table(splits):
    return [tuple(getattr(split, name) for name in RANGES) for split in splits]


def test_rolling_splits_of_a_hundred_bars():
    splits = WalkForward(train=40, test=20).split(labels_of(100, 3))
    assert table(splits) == [
        ((0, 37), (40, 60)),
        ((20, 57), (60, 80)),
        ((40, 77), (80, 100)),
    ]
    assert [split.number for split in splits] == [0, 1, 2]


def test_expanding_splits_keep_the_first_bar_and_a_shorter_last_test_range():
    walk = WalkForward(train=40, test=25, embargo=2, expanding=True, folds=3)
    splits = walk.split(labels_of(100, 1))
    assert table(splits) == [
        ((0, 37), (40, 65)),
        ((0, 62), (65, 90)),
        ((0, 87), (90, 100)),
    ]
    assert {(split.folds, split.embargo) for split in splits} == {(3, 2)}


def test_the_whole_tail_goes_from_the_first_label_that_reaches_the_next_range():
    quick = labels_of(100, 1)
    end = quick.end.copy()
    end[20] = 50  # one slow label, first row of the tail; rows 21 to 48 end in time
    slow = Labels(values=quick.values, end=end, bars_per_year=8760)
    walk = WalkForward(train=50, test=50)
    assert walk.split(quick)[0].train == (0, 49)
    assert walk.split(slow)[0].train == (0, 20)
    end[20] = 49
    just = Labels(values=quick.values, end=end, bars_per_year=8760)
    assert walk.split(just)[0].train == (0, 49)


def test_any_symbol_purges_for_all_and_so_does_a_row_without_label():
    quick = labels_of(100, 1, num_symbols=2)
    end, values = quick.end.copy(), quick.values.copy()
    end[10, 1] = 55
    walk = WalkForward(train=50, test=50)
    slow = Labels(values=values, end=end, bars_per_year=8760)
    assert walk.split(slow)[0].train == (0, 10)
    values[10, 1] = NO_LABEL
    unknown = Labels(values=values, end=end, bars_per_year=8760)
    assert walk.split(unknown)[0].train == (0, 10)


def test_durations_are_shares_of_the_markets_own_year():
    hourly = WalkForward(train="365D", test="90D").split(labels_of(20_000, 24))
    assert hourly[0].test == (8760, 8760 + 2160)
    daily = WalkForward(train="365D", test="90D").split(labels_of(1000, 5, bars_per_year=252.0))
    assert daily[0].test == (252, 252 + 62)
    assert WalkForward(train="48h", test=10).split(labels_of(100, 1))[0].test == (48, 58)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    train=st.integers(120, 250),
    test=st.integers(5, 90),
    embargo=st.integers(0, 4),
    expanding=st.booleans(),
    horizon=st.integers(1, 6),
)
def test_no_label_of_a_range_reaches_a_later_one(seed, train, test, embargo, expanding, horizon):
    bars = random_panel(num_bars=420, num_symbols=2, seed=seed, missing=0.05)
    labels = barrier_labels(bars, horizon=horizon, halflife=1.0)
    walk = WalkForward(train=train, test=test, embargo=embargo, expanding=expanding)
    splits = walk.split(labels)
    known = labels.values != NO_LABEL
    for split in splits:
        ranges = [getattr(split, name) for name in RANGES]
        for (start, stop), (later, _) in pairwise(ranges):
            assert start < stop <= later - embargo
            assert labels.end[start:stop][known[start:stop]].max() < later
    tests = [split.test for split in splits]
    assert tests[0][0] == train
    assert tests[-1][1] == len(bars)
    assert all(a[1] == b[0] for a, b in pairwise(tests))


def test_scikit_learn_takes_the_splits_as_cv():
    labels = labels_of(500, 4, num_symbols=2)
    y = labels.values.ravel()
    X = np.random.default_rng(0).standard_normal((len(y), 3))
    X[:, 0] += y
    walk = WalkForward(train=200, test=100)
    cv = walk.as_sklearn(labels)
    scores = cross_val_score(LogisticRegression(), X, y, cv=cv)
    assert len(scores) == 3
    assert scores.min() > cross_val_score(DummyClassifier(), X, y, cv=cv).max()


def test_scikit_learn_rows_are_labelled_rows_of_the_flattened_panel():
    labels = labels_of(100, 3, num_symbols=2)
    splits = WalkForward(train=40, test=20).split(labels)
    (train, test), *_, (_, last) = splits.as_sklearn(labels)
    assert train.tolist() == list(range(2 * 37))
    assert test.tolist() == list(range(80, 120))
    assert last.tolist() == list(range(160, 2 * 97))  # the last three bars have no outcome


def test_a_test_range_without_labels_is_no_fold():
    labels = labels_of(82, 3)
    splits = WalkForward(train=40, test=20).split(labels)
    assert splits[-1].test == (80, 82)
    assert len(splits.as_sklearn(labels)) == len(splits) - 1


def test_splits_are_an_immutable_sequence():
    splits = WalkForward(train=40, test=20).split(labels_of(100, 3))
    assert isinstance(splits[1], Split)
    assert [s.number for s in splits[1:]] == [1, 2]
    assert isinstance(splits[1:], Splits)
    assert repr(splits) == "Splits(3 splits, tested on bars [40, 100))"
    with pytest.raises(TypeError):
        splits[0] = splits[1]


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"train": 0}, r"splits.train must be at least 1 bar, got 0"),
        ({"test": "soon"}, r"splits.test must be a number of bars or a duration .*got 'soon'"),
        ({"train": "-3D"}, r"splits.train must be a number of bars or a duration .*got '-3D'"),
        ({"train": ""}, r"splits.train must be a number of bars or a duration .*got ''"),
        ({"folds": 1}, r"splits.folds must be at least 2, got 1"),
        ({"embargo": -1}, r"splits.embargo must be 0 or more bars, got -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings_, message):
    with pytest.raises(ValueError, match=message):
        WalkForward(**settings_)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"train": 90, "test": 11}, r"need 90 \+ 11 bars, but there are only 100; shorten splits"),
        (
            {"train": 60, "test": 30, "embargo": 60},
            r"split 0: no labelled row is left in the train range of 60 bars \[0, 60\) .*raise",
        ),
        (
            {"train": 90, "test": "1min"},
            r"splits.test = '1min' is less than one bar of this market",
        ),
    ],
)
def test_impossible_splits_are_refused(settings_, message):
    with pytest.raises(ValueError, match=message):
        WalkForward(**settings_).split(labels_of(100, 6))
