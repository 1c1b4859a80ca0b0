"""Temperature on one half of the calibration range, conformal scores on the other."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convnext_vbt.learning.calibration import calibrate, fit_temperature, halves
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.labels import Labels
from convnext_vbt.learning.segments import Series
from convnext_vbt.predictions import QUANTILE_LEVELS, Split

T = 400
RANGE = (100, 300)
SPLIT = Split(number=2, train=(0, 50), valid=(50, 90), calibration=RANGE, test=(310, 400))


def labels_of(*, lasting=5, seed=0):
    rng = np.random.default_rng(seed)
    end = np.minimum(np.arange(T)[:, None] + lasting, T - 1)
    return Labels(values=rng.integers(0, 3, (T, 1)), end=end, bars_per_year=8760.0)


def held_out(labels):
    series = [Series(bars=np.arange(T), values=torch.zeros(1, T))]
    return HeldOut.of(series, labels.values, RANGE, 1)


def guesses(seed=0):
    proba = np.random.default_rng(seed).dirichlet([2, 2, 2], size=RANGE[1] - RANGE[0])
    return torch.from_numpy(np.log(proba)).float()


def test_temperature_is_of_the_first_half_and_scores_are_of_the_second():
    labels, log_proba = labels_of(), guesses()
    found = calibrate(log_proba, held_out(labels), labels, SPLIT)
    y = torch.tensor(labels.values[slice(*RANGE), 0]).long()
    # Labels last five bars: the last five of the first half reach into the second.
    expected = fit_temperature(log_proba[:95], y[:95], label_bars=5.0)
    assert found.temperature == expected
    proba = (log_proba / expected).softmax(1).numpy()
    scores = 1 - proba[np.arange(100, 200), y[100:]]
    assert found.num_scores == 100
    np.testing.assert_array_equal(
        found.nonconformity, np.quantile(scores, QUANTILE_LEVELS, method="nearest")
    )
    confidence = np.maximum(proba[:, 0], proba[:, 2])
    np.testing.assert_allclose(found.quantiles, np.quantile(confidence, QUANTILE_LEVELS), rtol=1e-6)


def test_neither_half_knows_the_other():
    labels, log_proba = labels_of(), guesses()
    found = calibrate(log_proba, held_out(labels), labels, SPLIT)
    other = labels.values.copy()
    other[200:] = 0
    late = Labels(values=other, end=labels.end, bars_per_year=8760.0)
    changed = calibrate(log_proba, held_out(late), late, SPLIT)
    assert changed.temperature == found.temperature
    assert (changed.nonconformity != found.nonconformity).any()
    other = labels.values.copy()
    other[:195] = 0
    early = Labels(values=other, end=labels.end, bars_per_year=8760.0)
    given = found.temperature  # the scores are of probabilities at this temperature
    changed = calibrate(log_proba, held_out(early), early, SPLIT, temperature=given)
    np.testing.assert_array_equal(changed.nonconformity, found.nonconformity)
    assert calibrate(log_proba, held_out(early), early, SPLIT).temperature != given


@settings(derandomize=True, deadline=None, max_examples=50)
@given(
    start=st.integers(0, 100),
    length=st.integers(2, 250),
    lasting=st.integers(1, 60),
    seed=st.integers(0, 99),
)
def test_no_label_of_the_first_half_is_known_only_in_the_second(start, length, lasting, seed):
    rng = np.random.default_rng(seed)
    shape = (T, 2)
    values = rng.integers(-1, 3, shape)
    end = np.minimum(np.arange(T)[:, None] + rng.integers(0, lasting + 1, shape), T - 1)
    labels = Labels(values=values, end=end, bars_per_year=8760.0)
    first, second = halves(labels, (start, start + length))
    assert start == first[0] <= first[1] <= second[0]
    assert second == ((2 * start + length) // 2, start + length)
    known = values[slice(*first)] >= 0
    assert (end[slice(*first)][known] < second[0]).all()
    if first[1] < second[0]:  # not a bar more than needed is dropped
        row = first[1]
        assert (end[row][values[row] >= 0] >= second[0]).any()


@pytest.mark.parametrize("half", [slice(100, 200), slice(200, 300)])
def test_a_half_without_labels_says_what_to_do(half):
    labels = labels_of()
    values = labels.values.copy()
    values[half] = -1
    labels = Labels(values=values, end=labels.end, bars_per_year=8760.0)
    with pytest.raises(
        ValueError,
        match=rf"split 2: no labelled bar is left in the half \[{half.start}, .* of the "
        r"calibration range \[100, 300\).*raise splits.calibration or splits.train, or lower",
    ):
        calibrate(guesses(), held_out(labels), labels, SPLIT)


def test_labels_as_long_as_a_half_leave_nothing_of_it():
    labels = labels_of(lasting=100)
    with pytest.raises(ValueError, match=r"half \[100, 100\) of the calibration range"):
        calibrate(guesses(), held_out(labels), labels, SPLIT)


def test_fewer_outcomes_pull_the_temperature_to_one():
    log_proba, y = guesses() * 3, torch.tensor(labels_of().values[slice(*RANGE), 0]).long()
    many, few = (fit_temperature(log_proba, y, label_bars=bars) for bars in (1.0, 100.0))
    assert many > few > 1
    assert math.isfinite(many)
