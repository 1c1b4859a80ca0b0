import math

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.evidence import measures, stats
from convnext_vbt.evidence.accounts import Account, daily_returns
from convnext_vbt.evidence.hindsight import hindsight
from convnext_vbt.evidence.ledger import Trials
from convnext_vbt.trading.signals import Signals
from convnext_vbt.trading.sweep import TOTAL
from tests.evidence.markets import make_bars, make_predictions, make_sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")

TRIALS = Trials(num_runs=2, num_rules=50, variance=0.002)


@pytest.fixture(scope="module")
def bars():
    return make_bars()


def test_it_is_the_best_sharpe_ratio_among_cells_with_enough_trades(bars):
    levels = [*(f"q0.{k}0" for k in range(1, 10)), "q0.98", "q0.995"]
    result = make_sweep(bars, make_predictions(bars), threshold=levels, risk=[0.005, 0.02])
    table = result.metrics
    enough = table[table["trades"] >= 30]
    assert 0 < len(enough) < len(table)
    best = enough["sharpe"].idxmax()
    found = hindsight(result, TRIALS)
    assert tuple(found.cell.values()) == best
    assert list(found.cell) == ["threshold", "risk", "symbol"]
    for name in ("sharpe", "total_return", "trades"):
        assert getattr(found, name) == table.loc[best, name]
    returns = daily_returns(Account.of(result.simulation(**found.cell)))
    assert found.dsr == pytest.approx(measures.deflated_sharpe(returns, 50, 0.002), rel=1e-6)
    assert (found.num_trials, found.variance) == (50, 0.002)

    rules = table.xs(0.005, level="risk")["trades"] >= 30
    compared = result.daily_returns.to_numpy()[:, rules.to_numpy()]
    assert found.num_compared == rules.sum() < len(levels)
    assert (
        found.overfitting.probability
        == stats.probability_of_backtest_overfitting(compared).probability
    )
    assert found.spa == stats.superior_predictive_ability(compared)


def test_too_few_rules_have_no_probability_of_overfitting(bars):
    result = make_sweep(bars, make_predictions(bars), threshold=["q0.30", "q0.60", "q0.90"])
    found = hindsight(result, TRIALS)
    assert math.isnan(found.overfitting.probability)
    assert found.overfitting.reason == "3 configurations vary, 4 are needed"


def test_no_cell_with_enough_trades_is_undefined(bars):
    result = make_sweep(bars, make_predictions(bars), threshold=["q0.999"])
    found = hindsight(result, TRIALS)
    assert (found.cell, found.trades, found.num_compared) == ({}, 0, 0)
    for name in ("sharpe", "total_return", "dsr", "spa"):
        assert math.isnan(getattr(found, name)), name


def test_a_single_rule_is_not_deflated(bars):
    result = make_sweep(bars, make_predictions(bars), threshold=["q0.60"])
    found = hindsight(result, Trials(num_runs=1, num_rules=1, variance=math.nan))
    returns = result.daily_returns.iloc[:, 0].to_numpy()
    assert found.dsr == pytest.approx(measures.probabilistic_sharpe(returns), rel=1e-6)


def test_swept_multiples_symbols_and_a_users_own_rule():
    pair = make_bars(symbols=2)
    preds = make_predictions(pair)
    result = make_sweep(pair, preds, stop_multiple=[1.0, 0.5])
    found = hindsight(result, TRIALS)
    assert list(found.cell) == ["threshold", "risk", "stop_multiple", "symbol"]
    assert found.cell["symbol"] == TOTAL  # whole accounts only
    first = result.metrics.xs((1.0, TOTAL), level=("stop_multiple", "symbol"))["trades"] >= 30
    assert found.num_compared == first.sum()

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.random(pair.close.shape) < 0.05, pair.index, list(pair.symbols))
    own = Signals.from_frames(entries=frame, short_entries=frame.shift(5, fill_value=False))
    found = hindsight(make_sweep(pair, preds, signals=own), TRIALS)
    assert list(found.cell) == ["risk", "symbol"]
    assert found.num_compared == 1
