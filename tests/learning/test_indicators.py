import numpy as np
import pandas as pd
import pytest
import talib

from convnext_vbt.learning import indicators
from convnext_vbt.learning.features import ALL_FEATURES, compute_features
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.volatility import ewma_volatility
from tests.learning.markets import random_frame

FRAME = random_frame(num_bars=3_000, seed=11)  # more than a block
OPEN, HIGH, LOW, CLOSE, VOLUME = (
    np.ascontiguousarray(FRAME[name]) for name in ("open", "high", "low", "close", "volume")
)
SETTLED = slice(1_200, None)  # TA-Lib starts its averages differently; here that is forgotten


def by_name(frame, names=ALL_FEATURES):
    """Features by name, float32 (T,), NaN in the common warm-up."""
    features = compute_features(Bars.from_frame(frame), names=names)
    return dict(zip(names, features.values[:, 0].T, strict=True))


@pytest.fixture(scope="module")
def ours():
    return by_name(FRAME)


@pytest.fixture(scope="module")
def atr(ours):
    return np.exp(ours["log_natr_14"].astype(np.float64)) / 100 * CLOSE


def test_compiled_and_plain_kernels_agree(ours, monkeypatch):
    kernels = {name: x for name, x in vars(indicators).items() if hasattr(x, "py_func")}
    assert {"features_nb", "decayed_nb", "_log", "_log_32", "_of_4"} < kernels.keys()
    for name, kernel in kernels.items():
        monkeypatch.setattr(indicators, name, kernel.py_func)

    def put(source, i, target, row, j):
        target[row, j : j + indicators.PIECE] = source[i : i + indicators.PIECE]

    monkeypatch.setattr(indicators, "put", put)
    monkeypatch.setattr(indicators, "fetch", lambda values, i: None)
    monkeypatch.setattr(indicators, "finish", lambda: None)
    plain = by_name(FRAME[: indicators.BLOCK + 300])
    for name in ALL_FEATURES:
        compiled = ours[name][: len(plain[name])]
        np.testing.assert_allclose(compiled, plain[name], rtol=1e-6, atol=3e-7, err_msg=name)


def test_the_logarithm_is_numpys():
    rng = np.random.default_rng(0)
    values = np.r_[np.exp(rng.uniform(-700, 700, 500)), np.exp(rng.normal(size=500) * 1e-3), 1.0]
    ours = [indicators._log(x, 1.0) for x in values]
    np.testing.assert_allclose(ours, np.log(values), rtol=2e-15)


def test_the_logarithm_of_a_quotient_is_that_of_numbers_of_any_size():
    rng = np.random.default_rng(0)
    wholes = np.exp(rng.uniform(-300, 300, 1_000))
    logs = np.r_[rng.uniform(-300, 300, 500), rng.normal(size=500)]
    ours = [indicators._log(w * np.exp(x), w) for w, x in zip(wholes, logs, strict=True)]
    np.testing.assert_allclose(ours, logs, rtol=1e-14, atol=1e-15)
    assert {indicators._log(x, x) for x in wholes} == {0.0}
    close = 1.0 + 2.0 ** -np.arange(20, 50)  # no digit is lost where they are nearly equal
    ours = [indicators._log(3.0 * x, 3.0) for x in close]
    np.testing.assert_allclose(ours, np.log1p(close - 1.0), rtol=1e-15)


def test_the_short_logarithm_is_numpys_to_seven_digits():
    rng = np.random.default_rng(0)
    values = np.exp(np.r_[rng.uniform(-80, 80, 500), rng.normal(size=500)]).astype(np.float32)
    ours = [indicators._log_32(x) for x in values]
    np.testing.assert_allclose(ours, np.log(values.astype(np.float64)), rtol=1.2e-7, atol=1.2e-7)


def test_sine_and_cosine_are_numpys():
    halves = np.random.default_rng(0).uniform(-np.pi / 2, np.pi / 2, 1_000).astype(np.float32)
    sine, cosine = np.empty((2, 1_000), dtype=np.float32)
    indicators.turns_nb(halves, sine, cosine)
    angles = 2 * halves.astype(np.float64) + np.pi
    np.testing.assert_allclose(sine, np.sin(angles), rtol=0, atol=3e-7)
    np.testing.assert_allclose(cosine, np.cos(angles), rtol=0, atol=3e-7)


def test_windows_forget_a_shock_completely():
    frame = FRAME[:800].assign(open=5.0, high=5.0, low=5.0, close=5.0, volume=7.0)
    frame.iloc[300] = [1e6, 1e6, 1e6, 1e6, 1e12]
    middle = {
        "bollinger_percent_b_20": 0.5, "bollinger_width_20": 0.0, "stochastic_k_14": 0.0,
        "efficiency_24": 0.0, "volume_zscore_24": 0.0, "volume_trend_24_168": 0.0,
        "chaikin_money_flow_24": 0.0, "return_volume_correlation_24": 0.0,
    }  # fmt: skip
    features = by_name(frame, tuple(middle))
    for name, value in middle.items():
        assert (features[name][300 + indicators.LOOKBACK :] == value).all(), name
    assert features["volume_zscore_24"][300] > 4


def test_deviations_survive_prices_and_volumes_far_from_nothing():
    ripple = pd.Series(np.random.default_rng(0).standard_normal(500) * 1e-3)
    far = 1e8 + ripple.to_numpy()
    frame = FRAME[:500].assign(open=far, high=far, low=far, close=far, volume=far)
    features = by_name(frame, ("bollinger_percent_b_20", "volume_zscore_24"))
    for name, window, scale, middle in (
        ("bollinger_percent_b_20", 20, 0.25, 0.5),
        ("volume_zscore_24", 24, 1.0, 0.0),
    ):
        rolling = ripple.rolling(window)
        expected = middle + scale * (ripple - rolling.mean()) / rolling.std(ddof=0)
        np.testing.assert_allclose(features[name][30:], expected[30:], rtol=0, atol=1e-3)


def test_the_correlation_survives_a_steep_trend():
    returns = 0.01 + 1e-5 * pd.Series(np.random.default_rng(0).standard_normal(500))
    price, volume = 100 * np.exp(np.cumsum(returns.to_numpy())), FRAME["volume"].to_numpy()[:500]
    frame = FRAME[:500].assign(open=price, high=price, low=price, close=price)
    rho = by_name(frame, ("return_volume_correlation_24",))["return_volume_correlation_24"]
    expected = returns.rolling(24).corr(pd.Series(volume))
    np.testing.assert_allclose(rho[24:], expected[24:], rtol=0, atol=1e-6)


def test_sigma_is_the_one_that_labels_and_stops_use(ours):
    sigma = ewma_volatility(Bars.from_frame(FRAME), halflife=24.0)[1:, 0]
    expected = np.diff(np.log(CLOSE)) / sigma
    np.testing.assert_allclose(ours["return_1"][1_200:], expected[1_199:], rtol=1e-6)


def settled_equal(ours, theirs, atol):
    assert np.isfinite(theirs[SETTLED]).all()
    np.testing.assert_allclose(ours[SETTLED], theirs[SETTLED], rtol=0, atol=atol)


def test_trend_equals_talib(ours, atr):
    def average(name, units):
        return CLOSE - ours[name] * units * atr

    settled_equal(100 * atr / CLOSE, talib.NATR(HIGH, LOW, CLOSE, 14), 1e-6)
    settled_equal(ours["macd_over_atr"] * atr, talib.MACD(CLOSE, 12, 26, 9)[0], 1e-6)
    settled_equal(average("keltner_20", 2), talib.EMA(CLOSE, 20), 1e-5)
    settled_equal(average("ema_distance_24", np.sqrt(24)), talib.EMA(CLOSE, 24), 1e-5)
    settled_equal(average("ema_distance_168", np.sqrt(168)), talib.EMA(CLOSE, 168), 1e-4)
    settled_equal(50 + 50 * ours["rsi_14"], talib.RSI(CLOSE, 14), 1e-5)
    settled_equal(100 * ours["adx_14"], talib.ADX(HIGH, LOW, CLOSE, 14), 1e-5)
    plus, minus = talib.PLUS_DI(HIGH, LOW, CLOSE, 14), talib.MINUS_DI(HIGH, LOW, CLOSE, 14)
    settled_equal(100 * ours["di_spread_14"], plus - minus, 1e-5)


def test_bollinger_bands_equal_talib(ours, atr):
    upper, _, lower = talib.BBANDS(CLOSE, 20, 2, 2)
    settled_equal(ours["bollinger_percent_b_20"], (CLOSE - lower) / (upper - lower), 1e-6)
    settled_equal(4 * ours["bollinger_width_20"] * atr, upper - lower, 1e-5)


def test_stochastic_equals_talib(ours):
    settled_equal(50 + 50 * ours["stochastic_k_14"], talib.STOCHF(HIGH, LOW, CLOSE, 14, 1)[0], 1e-5)


def test_the_correlation_of_returns_with_volume_is_talibs(ours):
    logs = np.log(CLOSE)
    expected = talib.CORREL(np.diff(logs, prepend=logs[0]), VOLUME, 24)
    settled_equal(ours["return_volume_correlation_24"], expected, 1e-6)
