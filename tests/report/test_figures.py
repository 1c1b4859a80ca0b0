import numpy as np
import pytest

from convnext_vbt.learning.labels import labels_for
from convnext_vbt.predictions import Predictions
from convnext_vbt.report.notebook import plot_equity, plot_reliability
from convnext_vbt.report.sections.splits.figures import plot_splits
from convnext_vbt.report.sections.sweep.figures import plot_heatmap
from convnext_vbt.trading.sweep import TOTAL
from tests.report.markets import RISKS, TARGET, THRESHOLDS, make_bars, make_sweep


@pytest.fixture(scope="module")
def res():
    return make_sweep()


def test_the_heatmap_shows_each_cell_where_it_belongs(res):
    trace = plot_heatmap(res, "max_drawdown").data[0]
    table = (
        res.metrics["max_drawdown"].droplevel("symbol").unstack("threshold").loc[RISKS, THRESHOLDS]
    )
    np.testing.assert_allclose(trace.z, table.to_numpy() * 100)
    assert "Cividis" not in str(plot_heatmap(res, "cagr").data[0].colorscale)


def test_thin_cells_are_hatched(res):
    path = [shape.path for shape in plot_heatmap(res, "cagr").layout.shapes]
    thin = int((res.metrics["trades"] < 30).sum())
    assert 0 < thin < len(res.metrics)
    assert path[0].count("M") == 3 * thin


def test_the_heatmap_refuses_what_was_not_swept(res):
    with pytest.raises(ValueError, match=r"metric must be one of total_return, .* got 'alpha'"):
        plot_heatmap(res, "alpha")
    with pytest.raises(ValueError, match=r"symbol must be one of \['BTC/USDT'\], got 'X'"):
        plot_heatmap(res, symbol="X")


def test_the_timeline_has_every_range_and_the_purge_between(res):
    figure = plot_splits(res.predictions)
    assert [bar.name for bar in figure.data] == [
        "train",
        "validation",
        "calibration",
        "purge and embargo",
        "test",
    ]
    purge = figure.data[3]
    assert [row[2] for row in purge.customdata] == [24] * 9
    with pytest.raises(ValueError, match="carry no splits"):
        plot_splits(
            Predictions.from_frames(
                prob_up=res.predictions.prob_up, prob_down=res.predictions.prob_down
            )
        )


def test_equity_of_a_cell_ends_at_its_total_return(res):
    figure = plot_equity(res, threshold="q0.90", risk=0.01)
    total = res.metrics.loc[("q0.90", 0.01, "BTC/USDT"), "total_return"]
    assert figure.data[2].y[-1] == pytest.approx(1 + total)
    assert figure.data[0].name == "buy and hold"
    assert len(figure.layout.annotations) == len(res.predictions.splits)


def test_equity_of_a_panel_is_the_accounts_unless_a_symbol_is_named():
    res = make_sweep(bars=make_bars("A/USDT", "B/USDT", bars=1_500), threshold=0.5, risk=0.01)
    for cell in ({"symbol": TOTAL}, {"symbol": "B/USDT"}):
        strategy = plot_equity(res, **cell).data[2]
        assert strategy.name == "strategy"
        done = res.simulation(**cell)
        assert strategy.y[-1] == pytest.approx(done.equity[-1, 0] / done.init_cash, rel=1e-9)


def test_reliability_counts_every_judged_bar(res):
    values = labels_for(res.bars, TARGET).values
    figure = plot_reliability(res.predictions, values, bins=5)
    judged = int(((values >= 0) & (res.predictions.split >= 0)).sum())
    for trace in figure.data[1::2]:
        assert sum(row[0] for row in trace.customdata) == judged


def test_names_cannot_smuggle_markup_into_a_figure():
    res = make_sweep(bars=make_bars('<a href="x">', "B", bars=1_500), threshold=0.5, risk=0.01)
    assert "<a" not in str(plot_heatmap(res, symbol='<a href="x">').to_json()).replace(
        "\\u003c", "<"
    )
