import math
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from convnext_vbt.errors import LaterTrainingWarning
from convnext_vbt.evidence import measures, stats
from convnext_vbt.evidence.accounts import Account, daily_returns
from convnext_vbt.evidence.headline import _splits, headline
from convnext_vbt.evidence.selection import Selection
from convnext_vbt.trading.brackets import DISTANCES, Brackets
from convnext_vbt.trading.records import ORDER_DTYPE, TRADE_DTYPE
from convnext_vbt.trading.signals import Signals
from convnext_vbt.trading.simulation import Simulation
from tests.evidence.markets import make_bars, make_predictions, make_sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")


@pytest.fixture(scope="module")
def bars():
    return make_bars()


def test_with_one_rule_the_headline_is_that_cells_metrics(bars):
    result = make_sweep(bars, make_predictions(bars), threshold=["q0.60"])
    found = headline(result)
    cell = result.metrics.iloc[0]
    for name in ("total_return", "cagr", "max_drawdown", "sharpe", "trades"):
        assert getattr(found, name) == pytest.approx(cell[name], rel=1e-9), name
    returns = result.daily_returns.iloc[:, 0].to_numpy()
    assert found.num_days == len(returns)
    assert found.days_per_year == 365
    assert found.skewness == pytest.approx(scipy_stats.skew(returns), rel=1e-6)
    assert found.kurtosis == pytest.approx(scipy_stats.kurtosis(returns, fisher=False), rel=1e-6)
    assert found.sharpe_low < found.sharpe < found.sharpe_high
    assert found.risk == result.reference_risk


def test_a_headline_of_k_folds_warns_that_it_is_no_walk_forward(bars):
    preds = make_predictions(bars)
    later = tuple(replace(split, train=(0, len(bars))) for split in preds.splits[:2])
    folds = replace(preds, splits=(*later, *preds.splits[2:]))
    with pytest.warns(LaterTrainingWarning, match="2 of 6 splits learned from bars of their test"):
        headline(make_sweep(bars, folds, threshold=["q0.60"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", LaterTrainingWarning)
        headline(make_sweep(bars, preds, threshold=["q0.60"]))


def test_it_is_deflated_by_the_number_of_trials(bars):
    result = make_sweep(bars, make_predictions(bars))
    alone, many = headline(result), headline(result, num_trials=200)
    returns = daily_returns(alone.selection.account)
    assert alone.dsr == measures.probabilistic_sharpe(returns)
    assert many.dsr < alone.dsr
    hurdle = stats.expected_maximum_sharpe(200, 1 / len(returns))
    assert many.dsr == measures.probabilistic_sharpe(returns, hurdle)


def test_splits_are_counted_by_the_money_of_the_one_account():
    pair = make_bars(symbols=2)
    found = headline(make_sweep(pair, make_predictions(pair, splits=250)), initial="q0.97")
    account = found.selection.simulation
    equity = np.append(10_000.0, account.equity.sum(axis=1))
    trades = account.trades
    traded = positive = 0
    for a, b in found.selection.test_ranges.values():
        there = any(entry < b and exit_ >= a for entry, exit_ in trades[["entry_idx", "exit_idx"]])
        traded += there
        positive += there and equity[b] > equity[a]
    assert found.splits_traded == traded < 250
    assert found.splits_positive == positive
    assert found.total_return == pytest.approx(equity[-1] / 10_000 - 1)


def test_a_strategy_that_never_trades_is_undefined_and_says_so_without_warning(bars):
    result = make_sweep(bars, make_predictions(bars), threshold=[0.999999])
    found = headline(result)
    assert (found.trades, found.splits_traded, found.total_return) == (0, 0, 0.0)
    for name in ("sharpe", "sharpe_low", "sharpe_high", "dsr", "skewness", "kurtosis"):
        assert math.isnan(getattr(found, name)), name


def test_a_position_that_leaves_at_the_open_of_a_split_was_traded_in_it():
    trades = np.zeros(2, TRADE_DTYPE)
    trades["entry_idx"], trades["exit_idx"] = (3, 11), (5, 11)
    equity = np.array([100, 100, 100, 101, 101, 99, 99, 99, 99, 99, 99, 99.5])
    position = np.zeros((12, 1))
    position[3:5] = 1.0
    index = pd.date_range("2024", periods=12, freq="1h", tz="UTC")
    columns = pd.MultiIndex.from_product([["A"]], names=["symbol"])
    account = Simulation(
        index=index,
        columns=columns,
        orders=np.zeros(0, ORDER_DTYPE),
        trades=trades,
        equity=equity[:, None],
        position=position,
        value=equity[:, None],
        account=np.zeros(1, dtype=np.int64),
        funding=None,
        init_cash=100.0,
        stop=np.full((len(index), 1), np.nan),
        inverse=np.zeros(1, dtype=bool),
        refused=np.zeros(1, dtype=np.int64),
        ambiguous=np.zeros(1, dtype=np.int64),
    )
    selection = Selection(
        choices=pd.DataFrame(),
        signals=Signals.from_frames(entries=pd.DataFrame({"A": [False] * 12}, index=index)),
        brackets=Brackets(**dict.fromkeys(DISTANCES, np.full((12, 1), np.nan))),
        simulation=account,
        account=Account.of(account),
        test_ranges={0: (0, 5), 1: (5, 8), 2: (8, 10), 3: (10, 12)},
        how="nested",
    )
    # Gain while held, loss at the open of the second, nothing in the third, in and out in a bar.
    assert _splits(selection) == (3, 2)
