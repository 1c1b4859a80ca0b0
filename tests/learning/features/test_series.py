import numpy as np
import pandas as pd
import pytest

from convnext_vbt.learning.features import series

RNG = np.random.default_rng(0)
VALUES = RNG.standard_normal(500)
PRICES = np.abs(VALUES) + 1.0


@pytest.mark.parametrize(
    ("sums", "window"),
    [
        (series.day_sum(VALUES), series.DAY),
        (series.week_sum(series.day_sum(VALUES)), series.WEEK),
    ],
)
def test_sums_of_windows_are_those_of_pandas(sums, window):
    expected = pd.Series(VALUES).rolling(window).sum()[window - 1 :]
    np.testing.assert_allclose(sums[window - 1 :], expected, rtol=0, atol=1e-12)
    assert np.isfinite(sums).all()


def test_a_window_forgets_what_left_it_completely():
    shocked = VALUES.copy()
    shocked[100] = 1e15
    np.testing.assert_array_equal(series.day_sum(shocked)[124:], series.day_sum(VALUES)[124:])


def test_recursive_means_start_with_the_second_value():
    means = series.recursive_mean(VALUES, 0.9)
    expected = pd.Series(VALUES[1:]).ewm(alpha=0.1, adjust=False).mean()
    np.testing.assert_allclose(means[1:], expected, rtol=0, atol=1e-12)
    assert means[0] == VALUES[1]


def test_the_true_range_reaches_to_the_close_before():
    high, low, close = np.array([[9.0, 5.0, 7.0], [1.0, 4.0, 6.0], [8.0, 4.5, 6.5]])
    means = series.true_range_mean(high, low, close)
    second, third = 8.0 - 4.0, 7.0 - 4.5
    np.testing.assert_allclose(means, [second, second, (13 * second + third) / 14])


def test_changes_and_ratios_are_0_where_there_is_none():
    np.testing.assert_array_equal(
        series.change(VALUES, 3), np.r_[0, 0, 0, VALUES[3:] - VALUES[:-3]]
    )
    assert series.change(VALUES[:2], 3).tolist() == [0.0, 0.0]
    whole = np.where(VALUES > 0, VALUES, 0.0)
    expected = np.where(VALUES > 0, PRICES / np.where(VALUES > 0, VALUES, 1.0), 0.0)
    np.testing.assert_allclose(series.ratio(PRICES, whole), expected, rtol=1e-7)


def test_values_are_limited_where_they_lie():
    values = np.array([-11.0, -9.0, np.inf, 3.0], dtype=np.float32)
    assert series.limited(values) is values
    assert values.tolist() == [-10.0, -9.0, 10.0, 3.0]


def test_a_phase_goes_once_around_in_a_period():
    stamps = np.array([3, 5, 9, 13, 19, -1], dtype=np.int64)
    angles = series.phase(stamps, 8, 3)
    np.testing.assert_allclose(angles / (2 * np.pi), [0, 0.25, 0.75, 0.25, 0, 0.5], atol=1e-7)


def test_warm_ups_are_the_steps_until_the_start_weighs_a_millionth():
    for warmup, decay in (
        (series.span_warmup(20), 19 / 21),
        (series.WILDER_WARMUP - 1, 13 / 14),
        (series.SIGMA_WARMUP - 1, 0.5 ** (1 / 24)),
    ):
        assert decay**warmup <= 1e-6 < decay ** (warmup - 1)
