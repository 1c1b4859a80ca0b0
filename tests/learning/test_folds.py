"""Folds of the training range: whole, disjoint, and blind to each other's labels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convnext_vbt.learning.folds import cut_folds, fold_rows, out_of_fold
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.labels import Labels
from convnext_vbt.learning.segments import Series
from convnext_vbt.predictions import Split
from tests.examples import examples
from tests.learning.markets import hours


def labels_of(end_T, values_T=None):
    end = np.asarray(end_T)[:, None]
    values = np.ones_like(end) if values_T is None else np.asarray(values_T)[:, None]
    return Labels(values=values, end=end, opens=hours(len(end)))


def lasting(num_bars, horizon):
    return np.minimum(np.arange(num_bars) + horizon, num_bars - 1)


def test_a_fold_by_hand():
    split = Split(number=0, train=(10, 40), test=(50, 60), folds=3, embargo=1)
    folds = cut_folds(np.arange(10, 40), labels_of(lasting(60, 4)), split)
    assert [fold.held for fold in folds] == [(10, 20), (20, 30), (30, 40)]
    # Labels of bars 16 to 19 reach bar 20, a bar of embargo more; those of 29 end at 33.
    assert folds[1].before == (10, 15)
    assert folds[1].after == (35, 40)
    assert (folds[0].before, folds[0].after) == ((10, 10), (25, 40))
    assert (folds[2].before, folds[2].after) == ((10, 25), (40, 40))


def test_the_whole_tail_before_a_fold_goes_with_its_first_slow_label():
    end = lasting(60, 1)
    end[14] = 22
    split = Split(number=0, train=(10, 40), test=(50, 60), folds=3)
    folds = cut_folds(np.arange(10, 40), labels_of(end), split)
    assert folds[1].before == (10, 14)
    assert folds[0].after == (23, 40)  # and it is one of the first fold's own


def test_folds_have_equally_many_bars_that_are_known_and_tile_the_range():
    split = Split(number=0, train=(0, 100), test=(110, 120), folds=2)
    known = np.r_[40:50, 90:100]  # nothing before bar 40 has a label
    folds = cut_folds(known, labels_of(lasting(120, 1)), split)
    assert [fold.held for fold in folds] == [(0, 90), (90, 100)]


@examples(80)
@given(
    seed=st.integers(0, 9999),
    folds=st.integers(2, 6),
    embargo=st.integers(0, 3),
    longest=st.integers(1, 15),
)
def test_no_label_crosses_the_edge_of_a_fold(seed, folds, embargo, longest):
    rng = np.random.default_rng(seed)
    end = np.minimum(np.arange(200) + rng.integers(1, longest + 1, 200), 199)
    split = Split(number=0, train=(20, 170), test=(190, 200), folds=folds, embargo=embargo)
    held = np.zeros(200, int)
    for fold in cut_folds(np.arange(20, 170), labels_of(end), split):
        inside = np.arange(*fold.held)
        held[inside] += 1
        fit = np.flatnonzero(fold.may_fit(np.arange(200)))
        assert not np.isin(fit, inside).any()
        earlier, later = fit[fit < inside[0]], fit[fit > inside[-1]]
        assert (end[earlier] < inside[0]).all()
        assert (later > end[inside].max() + embargo).all()
        if len(earlier):
            assert earlier[-1] < inside[0] - embargo
    assert (held[20:170] == 1).all()
    assert held.sum() == 150


def rows_of(labels, split, first=0):
    num_bars = len(labels.values)
    series = [Series(bars=np.arange(first, num_bars), values=torch.zeros(1, num_bars - first))]
    return HeldOut.of(series, labels.values, split.train, 1)


def test_rows_are_fitted_on_where_they_have_a_label_and_predicted_all():
    values = np.where(np.arange(60) % 3 == 0, -1, 1)
    labels, split = (
        labels_of(lasting(60, 2), values),
        Split(number=0, train=(0, 40), test=(50, 60), folds=2),
    )
    train = rows_of(labels, split, first=5)
    folds = fold_rows(train, labels, split)
    assert sum(fold.held.long() for fold in folds).eq(1).all()
    for fold in folds:
        assert (train.y[fold.fit] >= 0).all()
        assert not (fold.fit & fold.held).any()
    said = out_of_fold(folds, len(train.y), lambda fold: torch.full((3,), float(fold.held.sum())))
    assert (said[folds[0].held] == folds[0].held.sum()).all()
    assert (said[folds[1].held] == folds[1].held.sum()).all()


def test_a_fold_without_anything_to_learn_from_is_refused():
    labels = labels_of(lasting(60, 30))
    split = Split(number=4, train=(0, 40), test=(50, 60), folds=2)
    with pytest.raises(ValueError, match=r"split 5: no labelled bar is left .*raise splits.train"):
        fold_rows(rows_of(labels, split), labels, split)
