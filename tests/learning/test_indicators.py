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
LOGS = np.log(CLOSE)
L = indicators.LOOKBACK


def averages_of(kernel=indicators.averages_nb, chunk=3_000):
    """The recursive averages from bar L on, in chunks."""
    memory, parts = np.full(indicators.NUM_AVERAGES, np.nan), []
    for first in range(0, len(CLOSE) - L, chunk):
        cut = slice(first, first + L + chunk)
        out = np.empty((indicators.NUM_AVERAGES, len(CLOSE[cut]) - L))
        kernel(HIGH[cut], LOW[cut], CLOSE[cut], LOGS[cut], first, memory, out)
        parts.append(out)
    return np.concatenate(parts, axis=1)


AVERAGES = averages_of()
ATR = np.append(np.full(L, np.nan), 1 / AVERAGES[indicators.PER_ATR])


def written(kernel, num_rows, *arguments):
    """What the kernel writes, under as many NaN as there are bars in front."""
    out = np.empty((num_rows, len(CLOSE) - L), dtype=np.float32)
    kernel(*arguments, out)
    return np.hstack([np.full((num_rows, L), np.nan), out])


CALLS = [
    (indicators.returns_nb, 2, (LOGS, AVERAGES, np.array([1, 24]))),
    (indicators.candle_nb, 3, (OPEN, HIGH, LOW, CLOSE)),
    (
        indicators.variance_ratios_nb,
        4,
        (LOGS, np.log(HIGH / LOW), np.log(CLOSE / OPEN), AVERAGES, 24),
    ),
    (indicators.trend_nb, 8, (CLOSE, AVERAGES)),
    (indicators.bollinger_nb, 2, (CLOSE, AVERAGES, 20)),
    (indicators.stochastic_nb, 1, (HIGH, LOW, CLOSE, 14)),
    (indicators.efficiency_nb, 1, (CLOSE, 24)),
    (indicators.volume_nb, 5, (HIGH, LOW, CLOSE, LOGS, VOLUME, AVERAGES, 24)),
    (indicators.clock_nb, 4, (FRAME.index.as_unit("ns").asi8[L:],)),
]


@pytest.mark.parametrize(("kernel", "num_rows", "arguments"), CALLS)
def test_compiled_and_plain_kernels_agree(kernel, num_rows, arguments):
    compiled = written(kernel, num_rows, *arguments)
    np.testing.assert_allclose(compiled, written(kernel.py_func, num_rows, *arguments), rtol=1e-6)
    assert np.isfinite(compiled[:, L:]).all()


@pytest.mark.parametrize(
    ("kernel", "arguments"),
    [
        (indicators.window_sum_nb, (VOLUME, 24, 1)),
        (indicators.window_sum_nb, (VOLUME, 7, 24)),
        (indicators.window_max_nb, (HIGH, 14)),
        (indicators.window_moments_nb, (CLOSE, VOLUME, 20)),
        (indicators.window_variance_nb, (CLOSE, 20)),
    ],
)
def test_compiled_and_plain_helpers_agree(kernel, arguments):
    np.testing.assert_allclose(kernel(*arguments), kernel.py_func(*arguments), rtol=1e-12)


def test_compiled_and_plain_averages_agree():
    np.testing.assert_allclose(AVERAGES, averages_of(indicators.averages_nb.py_func), rtol=1e-12)


@pytest.mark.parametrize("chunk", [1, 7, 1_000])
def test_averages_are_the_same_in_chunks_of_any_length(chunk):
    assert averages_of(chunk=chunk).tobytes() == AVERAGES.tobytes()


@pytest.mark.parametrize("window", [1, 2, 7, 20, 24, 168, 2_999, 3_000])
def test_window_aggregates_equal_pandas(window):
    price, volume = pd.Series(CLOSE), pd.Series(VOLUME)
    rolling = price.rolling(window)
    x, y, variance, _, covariance = indicators.window_moments_nb(CLOSE, VOLUME, window)
    pairs = [
        (indicators.window_sum_nb(CLOSE, window, 1), rolling.sum()),
        (indicators.window_max_nb(CLOSE, window), rolling.max()),
        (x, rolling.mean()),
        (y, volume.rolling(window).mean()),
        (variance, rolling.var(ddof=0)),
        (covariance, rolling.cov(volume, ddof=0) if window > 1 else 0.0 * price),
    ]
    alone = indicators.window_variance_nb(CLOSE, window)
    np.testing.assert_array_equal(alone, (x, variance))
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours[window - 1 :], theirs[window - 1 :], rtol=1e-9, atol=1e-7)


def test_a_sum_of_sums_is_the_sum_of_the_long_window():
    day = indicators.window_sum_nb(VOLUME, 24, 1)
    week = indicators.window_sum_nb(day, 7, 24)
    np.testing.assert_allclose(week[167:], pd.Series(VOLUME).rolling(168).sum()[167:], rtol=1e-12)


def test_window_aggregates_forget_a_shock_completely():
    values = np.full(100, 5.0)
    values[10] = 1e12
    sums = indicators.window_sum_nb(values, 7, 1)
    mean, _, variance, _, _ = indicators.window_moments_nb(values, values, 7)
    assert (sums[17:] == 35.0).all()
    assert (mean[17:] == 5.0).all()
    assert (variance[17:] == 0.0).all()


def test_the_deviation_survives_a_price_far_from_nothing():
    ripple = np.random.default_rng(0).standard_normal(500) * 1e-3
    variance = indicators.window_moments_nb(1e8 + ripple, ripple, 20)[2]
    np.testing.assert_allclose(
        np.sqrt(variance[19:]), pd.Series(ripple).rolling(20).std(ddof=0)[19:], rtol=1e-4
    )


def test_sigma_is_the_one_that_labels_and_stops_use():
    sigma = ewma_volatility(Bars.from_frame(FRAME), halflife=24.0)[:, 0]
    ours = 1 / AVERAGES[indicators.PER_SIGMA]
    np.testing.assert_allclose(ours[900:], sigma[L:][900:], rtol=1e-10)


def settled_equal(ours, theirs, atol):
    assert np.isfinite(theirs[SETTLED]).all()
    np.testing.assert_allclose(ours[SETTLED], theirs[SETTLED], rtol=0, atol=atol)


def test_atr_equals_talib():
    settled_equal(ATR / CLOSE, talib.NATR(HIGH, LOW, CLOSE, 14) / 100, 1e-12)


def test_trend_equals_talib():
    out = written(indicators.trend_nb, 8, CLOSE, AVERAGES)
    natr, macd, keltner, day, week, rsi, adx, spread = out
    settled_equal(natr, talib.NATR(HIGH, LOW, CLOSE, 14), 1e-6)
    settled_equal(macd * ATR, talib.MACD(CLOSE, 12, 26, 9)[0], 1e-6)
    settled_equal(CLOSE - keltner * 2 * ATR, talib.EMA(CLOSE, 20), 1e-5)
    settled_equal(CLOSE - day * np.sqrt(24) * ATR, talib.EMA(CLOSE, 24), 1e-5)
    settled_equal(CLOSE - week * np.sqrt(168) * ATR, talib.EMA(CLOSE, 168), 1e-4)
    settled_equal(50 + 50 * rsi, talib.RSI(CLOSE, 14), 1e-5)
    settled_equal(100 * adx, talib.ADX(HIGH, LOW, CLOSE, 14), 1e-5)
    plus, minus = talib.PLUS_DI(HIGH, LOW, CLOSE, 14), talib.MINUS_DI(HIGH, LOW, CLOSE, 14)
    settled_equal(100 * spread, plus - minus, 1e-5)


def test_bollinger_bands_equal_talib():
    percent_b, width = written(indicators.bollinger_nb, 2, CLOSE, AVERAGES, 20)
    upper, _, lower = talib.BBANDS(CLOSE, 20, 2, 2)
    settled_equal(percent_b, (CLOSE - lower) / (upper - lower), 1e-6)
    settled_equal(4 * width * ATR, upper - lower, 1e-5)


def test_stochastic_equals_talib():
    ours = written(indicators.stochastic_nb, 1, HIGH, LOW, CLOSE, 14)[0]
    settled_equal(50 + 50 * ours, talib.STOCHF(HIGH, LOW, CLOSE, 14, 1)[0], 1e-5)


def test_the_correlation_of_returns_with_volume_is_talibs():
    rho = written(indicators.volume_nb, 5, HIGH, LOW, CLOSE, LOGS, VOLUME, AVERAGES, 24)[4]
    expected = talib.CORREL(np.diff(LOGS, prepend=LOGS[0]), VOLUME, 24)
    np.testing.assert_allclose(rho[L:], expected[L:], atol=1e-6)
