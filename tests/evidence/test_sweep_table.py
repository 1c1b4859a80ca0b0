import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from convnext_vbt.evidence import stats, sweep_table
from convnext_vbt.evidence.cells import Grid, look_into
from convnext_vbt.evidence.ledger import Trials
from tests.report.ledger import sharpe_probability
from tests.report.markets import RISKS, THRESHOLDS, make_bars, make_sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*cells have fewer than 30 trades")


def test_psr_and_dsr_of_a_cell_by_the_formula():
    res = make_sweep()
    simulation = res.simulation(threshold="q0.80", risk=0.02)
    trials = Trials(num_runs=3, num_rules=20, variance=0.002)
    view = look_into(res).view({"threshold": "q0.80", "risk": 0.02})
    found = sweep_table.single_figures(view, trials)

    equity = pd.Series(simulation.equity[:, 0], index=simulation.index)
    day = equity.groupby(equity.index.normalize()).last()
    returns = day / day.shift(fill_value=simulation.init_cash) - 1
    gamma = 0.5772156649
    best = (1 - gamma) * norm.ppf(1 - 1 / 20) + gamma * norm.ppf(1 - 1 / (20 * math.e))

    assert found["psr"] == pytest.approx(sharpe_probability(returns))
    assert found["dsr"] == pytest.approx(sharpe_probability(returns, math.sqrt(0.002) * best))


def test_rule_sharpes_are_those_of_the_smallest_risk():
    res = make_sweep(stop_multiple=[1.0, 2.0])
    found = sweep_table.rule_sharpes(res).set_axis(res.metrics.index).droplevel("symbol")
    own = res.metrics["sharpe"].droplevel("symbol")
    for name in THRESHOLDS:
        returns = res.daily_returns[name].iloc[:, 0].to_numpy()
        interval = np.array(stats.sharpe_confidence_interval(returns)) * math.sqrt(365)
        for risk in RISKS:
            row = found.loc[(name, risk, 1.0)]
            assert row["rule_sharpe"] == pytest.approx(own[(name, min(RISKS), 1.0)])
            np.testing.assert_allclose(row[["sharpe_low", "sharpe_high"]], interval)
            assert found.loc[(name, risk, 2.0)].isna().all()


def test_too_many_rules_get_no_interval(monkeypatch):
    monkeypatch.setattr(sweep_table, "MAX_INTERVALS", 3)
    found = sweep_table.rule_sharpes(make_sweep())
    assert found["rule_sharpe"].notna().all()
    assert found["sharpe_low"].isna().all()


def grid_of(sharpe, trades=None):
    sharpe = np.array(sharpe, dtype=float)
    up, across = np.indices(sharpe.shape)
    trades = np.full(sharpe.shape, 100) if trades is None else np.array(trades)
    table = pd.DataFrame({"sharpe": sharpe.ravel(), "trades": trades.ravel()})
    values = tuple(range(sharpe.shape[1])), tuple(range(sharpe.shape[0]))
    places = np.column_stack([across.ravel(), up.ravel()])
    return table, Grid(names=("threshold", "risk"), values=values, positions=places)


def test_a_plateau_is_the_median_around_the_peak_over_the_peak():
    (found,) = sweep_table.plateaus(*grid_of([[1.0, 2, 3, 0], [0, 4, 1, 9], [2, 2, 2, 9]])).found
    assert (found.peak, found.score) == (7, 2 / 9)  # around it 3, 0, 1, 2 and 9
    (thin,) = sweep_table.plateaus(*grid_of([[1.0, 2, 1.5]], trades=[[100, 100, 100]])).found
    assert (thin.peak, thin.score) == (1, 1.25 / 2)


def test_a_thin_or_losing_peak_has_no_plateau():
    table, places = grid_of([[9.0, 2, np.nan]], trades=[[10, 50, 0]])
    (found,) = sweep_table.plateaus(table, places).found
    assert (found.peak, found.score) == (1, 4.5 / 2)  # no trade counts as nothing earned
    for sharpe, trades, peak in (([[-1.0, -2.0]], None, 0), ([[1.0, 2.0]], [[5, 5]], -1)):
        (found,) = sweep_table.plateaus(*grid_of(sharpe, trades)).found
        assert found.peak == peak
        assert math.isnan(found.score)


def test_every_heatmap_has_a_plateau_of_its_own():
    res = make_sweep(bars=make_bars("A/USDT", "B/USDT", bars=1_500), stop_multiple=[1.0, 2.0])
    made = sweep_table.plateaus(res.metrics, Grid.of(res.metrics))
    number, found = made.number, made.found
    assert len(found) == 6  # the account's and each symbol's
    assert np.bincount(number).tolist() == [12] * 6
