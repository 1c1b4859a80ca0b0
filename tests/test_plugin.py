import numpy as np
import pandas as pd
import pytest
import vectorbt as vbt

import convnext_vbt as cv
import convnext_vbt.plugin
from convnext_vbt.runs.config import parse_config
from tests.strategies import TINY


@pytest.fixture(scope="module")
def config():
    import tomllib

    return parse_config(tomllib.loads(TINY))


@pytest.fixture(scope="module")
def bars():
    return cv.load_bars("simulated:seed=5,bars=1200")


@pytest.fixture(scope="module")
def ohlcv(bars):
    names = {"Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume"}
    columns = {title: getattr(bars, name)[:, 0] for title, name in names.items()}
    return pd.DataFrame(columns, index=bars.index)


@pytest.fixture(scope="module")
def preds(bars, config):
    return cv.walk_forward(bars, config, jobs=1)


def test_the_accessor_walks_forward(ohlcv, config, preds):
    assert isinstance(ohlcv.vbt.convnext, convnext_vbt.plugin.ConvNeXtAccessor)
    made = ohlcv.vbt.convnext.walk_forward(config, jobs=1, symbol="SIM/USDT")
    np.testing.assert_array_equal(made.proba, preds.proba)
    assert made.symbols == ("SIM/USDT",)
    assert len(ohlcv.vbt.convnext.bars()) == len(ohlcv)


def test_the_accessor_refuses_what_are_no_bars():
    with pytest.raises(ValueError, match="open, high, low, close, volume"):
        pd.DataFrame({"a": [1.0, 2.0]}, index=pd.date_range("2024", periods=2)).vbt.convnext.bars()


def test_probabilities_as_an_indicator_are_the_walk_forwards(ohlcv, config, preds):
    made = cv.ConvNeXtProba.run(
        ohlcv["Open"], ohlcv["High"], ohlcv["Low"], ohlcv["Close"], ohlcv["Volume"],
        config=config, jobs=1,
    )  # fmt: skip
    for name in ("prob_up", "prob_stay", "prob_down"):
        expected = getattr(preds, name).iloc[:, 0].to_numpy(np.float64)
        np.testing.assert_array_equal(getattr(made, name).to_numpy(), expected)


def test_confidence_signals_as_an_indicator_equal_the_function(bars, preds):
    sure = np.maximum(preds.proba[:, 0, 0], preds.proba[:, 0, 2])
    thresholds = [round(float(q), 3) for q in np.nanquantile(sure, [0.3, 0.6, 0.9])]
    made = cv.ConfidenceSignals.run(
        preds.prob_up, preds.prob_down, threshold=thresholds, hysteresis=0.02
    )
    expected = cv.confidence_signals(preds, bars, threshold=thresholds, hysteresis=0.02, full=0.80)
    for name in ("entries", "exits", "short_entries", "short_exits", "size"):
        frame = getattr(made, name)
        np.testing.assert_allclose(frame.to_numpy(), getattr(expected, name), rtol=1e-6)
        assert list(frame.columns.get_level_values("confidence_threshold")) == thresholds
    assert made.entries.to_numpy().any()


def test_the_sketch_of_a_notebook_works(bars, preds):
    signals = cv.confidence_signals(preds, bars, threshold=["q0.10", "q0.20"])
    portfolio = cv.simulate(bars, signals, risk=0.02, stop=0.03)
    assert isinstance(portfolio, vbt.Portfolio)
    assert portfolio[("q0.10", "SIM/USDT")].trades.count() > 0
    result = cv.sweep(bars, preds, threshold=["q0.10", "q0.20"], risk=[0.005, 0.01])
    assert isinstance(result.portfolio(threshold="q0.20", risk=0.01), vbt.Portfolio)
