import numpy as np
import pandas as pd
import pytest
import talib

from convnext_vbt.learning import indicators
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.volatility import ewma_volatility
from tests.learning.markets import random_frame

FRAME = random_frame(num_bars=3_000, seed=11)
OPEN, HIGH, LOW, CLOSE, VOLUME = (
    np.ascontiguousarray(FRAME[name]) for name in ("open", "high", "low", "close", "volume")
)
SETTLED = slice(1_200, None)  # TA-Lib starts its averages differently; here that is forgotten
ATR = indicators.atr_nb(HIGH, LOW, CLOSE, 14)


def written(kernel, num_rows, *arguments):
    out = np.full((num_rows, len(CLOSE)), np.nan, dtype=np.float32)
    kernel(*arguments, out)
    return out


LOGS = np.log(CLOSE)
FAST, SLOW = (indicators.ewma_variance_nb(LOGS, halflife) for halflife in (6.0, 24.0))
CALLS = [
    (indicators.returns_nb, 2, (LOGS, SLOW, np.array([1, 24]))),
    (indicators.candle_nb, 3, (OPEN, HIGH, LOW, CLOSE)),
    (
        indicators.variance_ratios_nb,
        4,
        (LOGS, np.log(HIGH / LOW), np.log(CLOSE / OPEN), FAST, SLOW, 24, 168),
    ),
    (indicators.averages_nb, 5, (CLOSE, ATR)),
    (indicators.rsi_nb, 1, (CLOSE, 14)),
    (indicators.directional_nb, 2, (HIGH, LOW, CLOSE, 14)),
    (indicators.bollinger_nb, 2, (CLOSE, ATR, 20)),
    (indicators.stochastic_nb, 1, (HIGH, LOW, CLOSE, 14)),
    (indicators.efficiency_nb, 1, (CLOSE, 24)),
    (indicators.volume_nb, 3, (HIGH, LOW, CLOSE, VOLUME, ATR, 24, 168)),
    (indicators.flow_nb, 2, (HIGH, LOW, CLOSE, VOLUME, np.log(CLOSE), 24)),
]


@pytest.mark.parametrize(("kernel", "num_rows", "arguments"), CALLS)
def test_compiled_and_plain_kernels_agree(kernel, num_rows, arguments):
    compiled = written(kernel, num_rows, *arguments)
    np.testing.assert_allclose(compiled, written(kernel.py_func, num_rows, *arguments), rtol=1e-6)
    assert np.isfinite(compiled).all()


@pytest.mark.parametrize(
    ("kernel", "arguments"),
    [
        (indicators.window_sum_nb, (VOLUME, 24)),
        (indicators.window_max_nb, (HIGH, 14)),
        (indicators.window_moments_nb, (CLOSE, 20)),
        (indicators.window_covariance_nb, (CLOSE, VOLUME, 20)),
        (indicators.ewma_variance_nb, (LOGS, 24.0)),
        (indicators.atr_nb, (HIGH, LOW, CLOSE, 14)),
    ],
)
def test_compiled_and_plain_helpers_agree(kernel, arguments):
    np.testing.assert_allclose(kernel(*arguments), kernel.py_func(*arguments), rtol=1e-12)


@pytest.mark.parametrize("window", [1, 2, 7, 24, 168, 2_999, 3_000, 5_000])
def test_window_aggregates_equal_pandas(window):
    rolling = pd.Series(CLOSE).rolling(window, min_periods=1)
    mean, deviation = indicators.window_moments_nb(CLOSE, window)
    pairs = [
        (indicators.window_sum_nb(CLOSE, window), rolling.sum()),
        (indicators.window_max_nb(CLOSE, window), rolling.max()),
        (mean, rolling.mean()),
        (deviation, rolling.std(ddof=0)),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-7)


def test_window_aggregates_forget_a_shock_completely():
    values = np.full(100, 5.0)
    values[10] = 1e12
    sums = indicators.window_sum_nb(values, 7)
    mean, deviation = indicators.window_moments_nb(values, 7)
    assert (sums[17:] == 35.0).all()
    assert (mean[17:] == 5.0).all()
    assert (deviation[17:] == 0.0).all()


def test_the_deviation_survives_a_price_far_from_nothing():
    ripple = np.random.default_rng(0).standard_normal(500) * 1e-3
    _, deviation = indicators.window_moments_nb(1e8 + ripple, 20)
    np.testing.assert_allclose(
        deviation[19:], pd.Series(ripple).rolling(20).std(ddof=0)[19:], rtol=1e-4
    )


def test_sigma_is_the_one_that_labels_and_stops_use():
    sigma = ewma_volatility(Bars.from_frame(FRAME), halflife=24.0)[:, 0]
    valid = np.isfinite(sigma)
    np.testing.assert_allclose(np.sqrt(SLOW)[valid], sigma[valid], rtol=1e-12)


def settled_equal(ours, theirs, atol):
    assert np.isfinite(theirs[SETTLED]).all()
    np.testing.assert_allclose(ours[SETTLED], theirs[SETTLED], rtol=0, atol=atol)


def test_atr_equals_talib():
    settled_equal(ATR / CLOSE, talib.NATR(HIGH, LOW, CLOSE, 14) / 100, 1e-12)


def test_rsi_equals_talib():
    ours = written(indicators.rsi_nb, 1, CLOSE, 14)[0]
    settled_equal(50 + 50 * ours, talib.RSI(CLOSE, 14), 1e-5)


def test_directional_movement_equals_talib():
    adx, spread = written(indicators.directional_nb, 2, HIGH, LOW, CLOSE, 14)
    settled_equal(100 * adx, talib.ADX(HIGH, LOW, CLOSE, 14), 1e-5)
    plus, minus = talib.PLUS_DI(HIGH, LOW, CLOSE, 14), talib.MINUS_DI(HIGH, LOW, CLOSE, 14)
    settled_equal(100 * spread, plus - minus, 1e-5)


def test_averages_equal_talib():
    natr, macd, keltner, day, week = written(indicators.averages_nb, 5, CLOSE, ATR)
    settled_equal(natr, talib.NATR(HIGH, LOW, CLOSE, 14), 1e-6)
    settled_equal(macd * ATR, talib.MACD(CLOSE, 12, 26, 9)[0], 1e-6)
    settled_equal(CLOSE - keltner * 2 * ATR, talib.EMA(CLOSE, 20), 1e-5)
    settled_equal(CLOSE - day * np.sqrt(24) * ATR, talib.EMA(CLOSE, 24), 1e-5)
    settled_equal(CLOSE - week * np.sqrt(168) * ATR, talib.EMA(CLOSE, 168), 1e-4)


def test_bollinger_bands_equal_talib():
    percent_b, width = written(indicators.bollinger_nb, 2, CLOSE, ATR, 20)
    upper, _, lower = talib.BBANDS(CLOSE, 20, 2, 2)
    settled_equal(percent_b, (CLOSE - lower) / (upper - lower), 1e-6)
    settled_equal(4 * width * ATR, upper - lower, 1e-5)


def test_stochastic_equals_talib():
    ours = written(indicators.stochastic_nb, 1, HIGH, LOW, CLOSE, 14)[0]
    settled_equal(50 + 50 * ours, talib.STOCHF(HIGH, LOW, CLOSE, 14, 1)[0], 1e-5)


def test_rows_are_placed_and_all_others_blanked():
    columns = np.arange(8, dtype=np.float32).reshape(2, 4)
    out = np.zeros((7, 2, 3), dtype=np.float32)
    indicators.transpose_nb(columns, np.array([1, 0, 1]), np.array([0, 2, 3, 5]), 1, 1, out)
    expected = np.full((7, 3), np.nan)
    expected[[2, 3, 5]] = [[5, 1, 5], [6, 2, 6], [7, 3, 7]]
    np.testing.assert_array_equal(out[:, 1], expected)
    assert (out[:, 0] == 0).all()


def test_the_correlation_of_returns_with_volume_is_talibs():
    out = written(indicators.flow_nb, 2, *(HIGH, LOW, CLOSE, VOLUME, np.log(CLOSE), 24))
    returns = np.diff(np.log(CLOSE), prepend=np.log(CLOSE[0]))
    expected = talib.CORREL(returns, VOLUME, 24)
    np.testing.assert_allclose(out[1, 30:], expected[30:], atol=1e-6)
