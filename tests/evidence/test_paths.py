"""The figures of paths against plain formulas, and a path's account against the sweep's."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.evidence.paths import Path, Paths, rule_text, trade_path
from convnext_vbt.evidence.selection import Preset, initial_columns, initial_multiple
from convnext_vbt.trading.rules import confidence_signals
from convnext_vbt.trading.sweep import sweep
from tests.report.markets import make_bars, make_predictions

pytestmark = pytest.mark.filterwarnings("ignore:.*cells have fewer than 30 trades")


def paths_of(*sharpes):
    made = [Path(sharpe=s, total_return=0.1, max_drawdown=-0.2, trades=40) for s in sharpes]
    return Paths(groups=6, held_out=2, rule="threshold q0.50", paths=tuple(made))


def test_the_figures_are_those_of_pandas():
    sharpes = pd.Series([0.8, -0.3, 1.9, 0.2, -1.1])
    found = paths_of(*sharpes).to_dict()
    assert found["median_sharpe"] == sharpes.median()
    assert found["sharpe_5"] == pytest.approx(sharpes.quantile(0.05))
    assert found["sharpe_95"] == pytest.approx(sharpes.quantile(0.95))
    assert found["share_below_zero"] == (sharpes < 0).mean() == 0.4
    assert (found["combinations"], len(found["paths"])) == (15, 5)


def test_a_path_without_a_trade_has_no_ratio_and_is_left_out():
    some = paths_of(1.0, np.nan, -1.0, 3.0)
    np.testing.assert_array_equal(some.sharpes, [-1.0, 1.0, 3.0])
    assert some.median == 1.0
    assert some.share_below_zero == pytest.approx(1 / 3)
    none = paths_of(np.nan, np.nan)
    assert np.isnan([none.median, none.share_below_zero, none.quantile(0.05)]).all()


def test_a_path_is_traded_as_the_cell_of_a_sweep_is():
    bars = make_bars(bars=3_000)
    preds = make_predictions(bars)
    swept = sweep(bars, preds, threshold=["q0.60", "q0.80"], risk=[0.005, 0.02])
    columns = initial_columns(swept.rules, "q0.80")
    rules = confidence_signals(preds, bars, threshold=["q0.60", "q0.80"]).take(columns)
    assert rule_text(rules) == "threshold q0.80"
    path = trade_path(bars, preds, rules, swept.brackets, replace(swept.config, risk=0.02))
    cell = swept.metrics.loc["q0.80", 0.02].iloc[0]
    assert path.trades == cell["trades"] > 30
    assert path.total_return == pytest.approx(cell["total_return"])
    assert path.sharpe == pytest.approx(cell["sharpe"])
    assert path.max_drawdown == pytest.approx(cell["max_drawdown"], abs=1e-9)


def test_a_selection_begins_with_its_threshold_and_multiples_of_one():
    bars = make_bars(bars=3_000)
    swept = sweep(bars, make_predictions(bars), threshold=["q0.60", "q0.80", "q0.90"], risk=0.01)
    for initial, place in ((None, 2), ("q0.60", 0)):
        np.testing.assert_array_equal(initial_columns(swept.rules, initial), [place])
        assert Preset(initial=initial).initial == initial
    assert initial_multiple((0.5, 1.0, 2.0)) == 1.0
    assert initial_multiple((0.5, 2.0)) == 0.5
