import doctest

import numpy as np
import plotly.graph_objects as go
import pytest

import convnext_vbt as cv
from convnext_vbt.evidence.headline import headline
from convnext_vbt.learning.labels import labels_for
from convnext_vbt.predictions import Predictions
from convnext_vbt.report import notebook as plots
from convnext_vbt.report import payload
from convnext_vbt.trading.sweep import sweep
from tests.report.markets import TARGET, Page, make_bars, make_sweep, quick_render

pytestmark = pytest.mark.filterwarnings("ignore:.*cells have fewer than 30 trades")
CELL = {"threshold": "q0.90", "risk": 0.01}


@pytest.fixture(scope="module")
def res():
    return make_sweep()


@pytest.fixture(scope="module")
def page(res):
    return Page.read(quick_render(res)).data


def test_the_examples_run(res):
    found = doctest.DocTestFinder(recurse=False).find
    runner = doctest.DocTestRunner()
    names = {"cv": cv, "res": res, "preds": res.predictions, "bars": res.bars}
    for name in plots.__all__:
        for example in found(getattr(plots, name), name, globs=dict(names)):
            runner.run(example)
    assert runner.summarize(verbose=False) == (0, 8)


@pytest.mark.parametrize("name", plots.__all__)
def test_each_is_a_plain_figure_under_its_public_name(res, name):
    made = getattr(cv, name)
    inputs = {
        "plot_splits": (res.predictions,),
        "plot_reliability": (res.predictions, res.bars),
        "plot_confidence": (res.predictions, res.bars),
    }
    assert type(made(*inputs.get(name, (res,)))) is go.Figure


def test_they_are_the_pages_figures(res, page):
    frames = page["figures"]
    same = {
        "splits": cv.plot_splits(res.predictions),
        "reliability": cv.plot_reliability(res.predictions, res.bars),
        "outlines": cv.plot_confidence(res.predictions, res.bars),
        "deciles": cv.plot_deciles(res),
    }
    for name, figure in same.items():
        assert payload.figure_json(figure) == frames[name], name
    for name, figure in {
        "heatmap": cv.plot_heatmap(res),
        "monthly": cv.plot_monthly_returns(res),
        "rolling": cv.plot_rolling_sharpe(res),
        "rules": cv.plot_thresholds(res),
    }.items():
        assert payload.figure_json(figure)["layout"] == frames[name]["layout"], name


def test_without_a_cell_it_is_the_headline(res):
    head = headline(res)
    figure = cv.plot_equity(res)
    assert figure.data[2].y[-1] == pytest.approx(1 + head.total_return)
    own = cv.plot_equity(res, **CELL)
    total = res.metrics.loc[("q0.90", 0.01, "BTC/USDT"), "total_return"]
    assert own.data[2].y[-1] == pytest.approx(1 + total)
    monthly = np.array(cv.plot_monthly_returns(res).data[0].z, dtype=float) / 100
    assert np.nanprod(1 + monthly) == pytest.approx(1 + head.total_return)
    monthly = np.array(cv.plot_monthly_returns(res, **CELL).data[0].z, dtype=float) / 100
    assert np.nanprod(1 + monthly) == pytest.approx(1 + total)


def test_thresholds_are_those_of_the_sweep(res):
    figure = cv.plot_thresholds(res)
    table = res.metrics.xs((0.005, "BTC/USDT"), level=("risk", "symbol"))
    np.testing.assert_allclose(figure.data[2].y, table["sharpe"], rtol=1e-6)
    np.testing.assert_array_equal(figure.data[3].y, table["trades"])
    assert (np.array(figure.data[0].y) <= figure.data[2].y).all()
    other = cv.plot_thresholds(res, risk=0.02)
    trades = res.metrics.xs((0.02, "BTC/USDT"), level=("risk", "symbol"))["trades"]
    np.testing.assert_array_equal(other.data[3].y, trades)
    with pytest.raises(ValueError, match=r"risk must be one of .* got 0\.5"):
        cv.plot_thresholds(res, risk=0.5)
    with pytest.raises(ValueError, match="'alpha' is not a level of this sweep"):
        cv.plot_thresholds(res, alpha=1)


def test_predictions_that_say_nothing_of_their_labels(res):
    bars = make_bars(bars=1_500)
    half = bars.frame("close").notna() * 0.4
    preds = Predictions.from_frames(prob_up=half, prob_down=half)
    with pytest.raises(ValueError, match="no target"):
        cv.plot_reliability(preds, bars)
    plain = sweep(bars, preds, threshold=0.5, risk=0.01, stop=0.03)
    with pytest.raises(ValueError, match="name no horizon"):
        cv.plot_deciles(plain)
    values = labels_for(res.bars, TARGET).values
    assert payload.figure_json(cv.plot_reliability(res.predictions, values)) == (
        payload.figure_json(cv.plot_reliability(res.predictions, res.bars))
    )
