import numpy as np
import pandas as pd
import pytest
import vectorbt as vbt

import convnext_vbt as cv
import convnext_vbt.plugin
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.runs.config import parse_config
from tests.strategies import TINY

OF_VECTORBT = pytest.mark.filterwarnings("ignore::DeprecationWarning")
"""What pandas has to say of it."""


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
    with pytest.raises(ValueError, match="open, high, low, close, and have volume"):
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


def test_quantile_thresholds_as_an_indicator_equal_the_function(bars, preds):
    thresholds = ["q0.10", "q0.60", 0.4]
    made = cv.ConfidenceSignals.run(preds, threshold=thresholds, hysteresis=0.02)
    expected = cv.confidence_signals(preds, bars, threshold=thresholds, hysteresis=0.02)
    for name in ("entries", "exits", "short_entries", "short_exits", "size"):
        frame = getattr(made, name)
        np.testing.assert_allclose(frame.to_numpy(), getattr(expected, name), rtol=1e-6)
    assert list(made.entries.columns.get_level_values("confidence_threshold")) == thresholds
    assert made.entries.to_numpy().any()
    with pytest.raises(ValueError, match=r"threshold = 'q0.90': frames do not tell .*run.preds"):
        cv.ConfidenceSignals.run(preds.prob_up, preds.prob_down, threshold="q0.90")
    with pytest.raises(TypeError, match="give predictions alone"):
        cv.ConfidenceSignals.run(preds, preds.prob_down, threshold=0.5)


@OF_VECTORBT
def test_signals_go_into_plain_vectorbt_as_they_are(bars, preds):
    """By name and index: the same as arrays that vectorbt has nothing to align."""
    close = bars.frame("close")
    made = cv.ConfidenceSignals.run(preds, threshold=["q0.20", "q0.50"])
    portfolio = vbt.Portfolio.from_signals(
        close, made.entries, made.exits, short_entries=made.short_entries,
        short_exits=made.short_exits, upon_opposite_entry="reverse",
    )  # fmt: skip
    assert portfolio.wrapper.freq == bars.step
    for k, threshold in enumerate(["q0.20", "q0.50"]):
        plain = vbt.Portfolio.from_signals(
            close.iloc[:, 0].to_numpy(), *(x.to_numpy()[:, k] for x in (made.entries, made.exits)),
            short_entries=made.short_entries.to_numpy()[:, k],
            short_exits=made.short_exits.to_numpy()[:, k], upon_opposite_entry="reverse",
        )  # fmt: skip
        one = portfolio.iloc[k]
        assert threshold in one.wrapper.columns[0]
        assert one.orders.count() == plain.orders.count() > 0
        assert one.total_return() == pytest.approx(plain.total_return(), rel=1e-12)


@OF_VECTORBT
def test_one_cell_is_one_column(bars, preds):
    result = cv.sweep(bars, preds, threshold=["q0.10", "q0.20"], risk=[0.005, 0.01])
    portfolio = result.portfolio(threshold="q0.20", risk=0.01)
    assert isinstance(portfolio.total_return(), float)
    cell = result.metrics.xs(("q0.20", 0.01), level=("threshold", "risk")).iloc[0]
    assert portfolio.stats()["Total Return [%]"] == pytest.approx(100 * cell["total_return"])
    assert len(portfolio.trades.records_readable) >= cell["trades"]
    for drawn in (portfolio, portfolio.orders, portfolio.trades):
        assert len(drawn.plot().data) > 0
    panel = cv.Bars.from_frames(
        {name: pd.concat({f: bars.frame(f).iloc[:, 0] for f in FIELDS}, axis=1) for name in "AB"}
    )
    up = pd.DataFrame(dict.fromkeys("AB", preds.prob_up.iloc[:, 0].to_numpy()), panel.index)
    both = cv.Predictions.from_frames(prob_up=up, prob_down=0.0 * up)
    shared = cv.sweep(panel, both, threshold=0.3, stop=0.02).portfolio()
    assert isinstance(shared.total_return(), float)
    assert shared.cash_sharing


def test_a_frame_without_volume_is_bars_without_volume(ohlcv, bars):
    frame = ohlcv.drop(columns="Volume")
    made = frame.vbt.convnext.bars("SIM/USDT")
    assert made.has_volume.tolist() == [False]
    np.testing.assert_array_equal(made.close, bars.close)
    assert "Volume" not in frame  # the caller's own frame is left alone
    panel = cv.Bars.from_frames({"A": frame, "B": ohlcv})
    assert panel.has_volume.tolist() == [False, True]


def test_an_indicator_without_volume_leaves_out_what_needs_it(ohlcv, config, preds):
    given = (ohlcv[name] for name in ("Open", "High", "Low", "Close"))
    made = cv.ConvNeXtProba.run(*given, config=config, jobs=1)
    expected = preds.prob_up.iloc[:, 0].to_numpy(np.float64)
    np.testing.assert_array_equal(made.prob_up.to_numpy(), expected)  # no feature of it needs one
