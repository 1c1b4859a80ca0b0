import ast
import importlib
import inspect
import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import talib
from numba.core.dispatcher import Dispatcher

import convnext_vbt
from convnext_vbt.learning import features
from convnext_vbt.learning.features import ALL_FEATURES, compute_features, families
from convnext_vbt.learning.features.series import WEEK
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.volatility import ewma_volatility
from tests.learning.markets import random_frame

FRAME = random_frame(num_bars=3_000, seed=11)
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


def modules():
    """Every module of the features."""
    found = pkgutil.walk_packages(features.__path__, features.__name__ + ".")
    return [importlib.import_module(module.name) for module in found]


def test_compiled_and_plain_kernels_agree(ours, monkeypatch):
    names = []
    for module in modules():
        for name, kernel in list(vars(module).items()):
            if isinstance(kernel, Dispatcher):
                names.append(name)
                monkeypatch.setattr(module, name, kernel.py_func)
    assert {"recursive_mean_nb", "day_sum_nb", "averages_nb", "moments_nb"} < set(names)
    plain = by_name(FRAME[:1_300])
    for name in ALL_FEATURES:
        compiled = ours[name][: len(plain[name])]
        np.testing.assert_allclose(compiled, plain[name], rtol=1e-6, atol=3e-7, err_msg=name)


def test_a_kernel_calls_only_kernels_and_reads_only_constants_of_its_own_file():
    """numba's cache does not see a change in another file."""
    for module in modules():
        for kernel in vars(module).values():
            if isinstance(kernel, Dispatcher) and kernel.py_func.__module__ == module.__name__:
                used = set(inspect.getclosurevars(kernel.py_func).globals)
                assert used <= {"np"} | own_names(module), (module.__name__, used)


def own_names(module):
    """What a module defines at its top rather than imports."""
    tree = ast.parse(inspect.getsource(module)).body
    targets = [t for node in tree if isinstance(node, ast.Assign) for t in node.targets]
    names = {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    return names | {node.name for node in tree if isinstance(node, ast.FunctionDef)}


def test_every_file_of_a_family_is_in_the_order_once():
    files = {path.stem for path in Path(families.__path__[0]).glob("[!_]*.py")}
    named = [family.compute.__module__.rpartition(".")[2] for family in families.FAMILIES]
    assert sorted(named) == sorted(files)


NEW_FAMILY = """
from convnext_vbt.learning.features.family import Family
from convnext_vbt.learning.features.series import change

FAMILY = Family(warmups={"double_step": 2}, compute=lambda bars: [change(bars.close, 2)])
"""


@pytest.mark.slow  # no kernel of a copy is in the cache
def test_a_family_is_added_by_a_file_and_the_line_that_names_it(tmp_path):
    source = Path(convnext_vbt.__file__).parent
    copied = shutil.copytree(
        source, tmp_path / source.name, ignore=shutil.ignore_patterns("__pycache__")
    )
    folder = copied / "learning/features/families"
    (folder / "double.py").write_text(NEW_FAMILY)
    order = (folder / "__init__.py").read_text()
    order = order.replace("import (", "import (\n    double,", 1)
    (folder / "__init__.py").write_text(
        order.replace("(\n    returns.F", "(double.FAMILY, returns.F")
    )
    program = (
        "import convnext_vbt as cv; from convnext_vbt.learning.features import ALL_FEATURES; "
        "bars = cv.load_bars('simulated:seed=0,bars=100'); print(ALL_FEATURES[0]); "
        "made = cv.compute_features(bars, names=['double_step']); "
        "print(made.warmup, (made.values[2:, 0, 0] == (bars.close[2:] - bars.close[:-2])[:, 0]"
        ".astype('float32')).all())"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    printed = subprocess.run(
        [sys.executable, "-c", program], env=env, check=True, capture_output=True, text=True
    ).stdout
    assert printed.split() == ["double_step", "2", "True"]


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
        assert (features[name][300 + WEEK :] == value).all(), name
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
