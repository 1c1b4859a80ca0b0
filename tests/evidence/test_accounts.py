import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnext_vbt.evidence import accounts, measures
from convnext_vbt.trading.brackets import fixed_brackets
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.records import ORDER_DTYPE, TRADE_DTYPE
from convnext_vbt.trading.signals import Signals
from convnext_vbt.trading.simulation import Simulation, simulate_signals
from tests.examples import examples
from tests.report.markets import make_bars, make_sweep


def untold(num_bars, num_columns):
    """The fields of a simulation that no account reads."""
    none = np.zeros(num_columns, dtype=np.int64)
    stop = np.full((num_bars, num_columns), np.nan)
    return {"stop": stop, "inverse": none > 0, "refused": none, "ambiguous": none}


HOURS = pd.date_range("2024-01-01 22:00", periods=6, freq="h", tz="UTC")
EQUITY = np.array([110.0, 99.0, 104.5, 121.0, 60.5, 90.0])


def account_of(equity, entries=()):
    """An account at these hourly closes with an initial cash of 100."""
    trades = np.zeros(len(entries), TRADE_DTYPE)
    trades["entry_idx"] = entries
    return accounts.Account(
        index=pd.date_range(HOURS[0], periods=len(equity), freq="h"),
        symbols=("A",),
        equity=np.asarray(equity, dtype=np.float64),
        held=np.zeros(len(equity), dtype=bool),
        orders=np.zeros(0, ORDER_DTYPE),
        trades=trades,
        init_cash=100.0,
        funding=None,
    )


def test_daily_keeps_the_last_close_and_the_deepest_bar_of_each_utc_day():
    day = accounts.daily(account_of(EQUITY))
    assert day.days.tolist() == [19723, 19724]  # 2024-01-01 and -02
    assert day.growth.tolist() == [0.99, 0.9]
    np.testing.assert_allclose(day.underwater, [-0.1, -0.5])


def test_the_initial_cash_is_a_peak_too():
    assert measures.underwater(np.array([80.0, 90.0]), 100.0).tolist() == pytest.approx(
        [-0.2, -0.1]
    )


def test_drawdowns_by_hand():
    falls = accounts.drawdowns(account_of(EQUITY))
    assert [(f.peak, f.trough, f.end) for f in falls] == [(3, 4, -1), (0, 1, 3)]
    assert [f.depth for f in falls] == pytest.approx([0.5, 0.1])
    assert accounts.longest_drawdown_days(falls, HOURS) == pytest.approx(3 / 24)
    assert accounts.longest_drawdown_days([], HOURS) == 0.0


@examples(60)
@given(st.lists(st.floats(1.0, 200.0), min_size=1, max_size=60))
def test_drawdowns_cover_exactly_the_bars_below_a_peak(values):
    equity = np.array(values)
    falls = accounts.drawdowns(account_of(equity))
    below = pd.Series([100.0, *values])
    below = (below < below.cummax()).to_numpy()[1:]
    covered = np.zeros(len(equity), dtype=int)
    for fall in falls:
        covered[fall.peak + 1 : fall.end if fall.end >= 0 else None] += 1
    np.testing.assert_array_equal(covered, below.astype(int))
    deepest = max((fall.depth for fall in falls), default=0.0)
    assert deepest == pytest.approx(-measures.max_drawdown(equity, 100.0), abs=1e-15)


def test_splits_chain_to_the_whole_return():
    ranges = accounts.split_ranges([(5, 8), (8, 11), (20, 30)], (5, 11))
    assert ranges == [(0, 3), (3, 6), (15, 6)]
    found = accounts.split_figures(account_of(EQUITY, [1, 2, 5]), ranges, 365)
    assert (1 + found.returns[0]) * (1 + found.returns[1]) == pytest.approx(0.9)
    assert found.drawdowns[:2] == pytest.approx([-0.1, -0.5])
    assert found.trades[:2].tolist() == [2, 1]
    for values in (found.returns, found.drawdowns, found.trades, found.sharpes):
        assert np.isnan(values[2])


@pytest.mark.filterwarnings("ignore:.*cells have fewer than 30 trades")
def test_an_accounts_figures_are_those_of_the_sweep():
    res = make_sweep()
    for cell in res.metrics.index:
        names = dict(zip(res.metrics.index.names, cell, strict=True))
        account = accounts.Account.of(res.simulation(**names))
        found = accounts.key_figures(account, res.window_bars)
        for name, value in res.metrics.loc[cell].drop("bust").items():
            assert found[name] == pytest.approx(float(value), rel=1e-9, nan_ok=True), name


def test_break_even_is_the_cost_at_which_the_same_trades_earn_nothing():
    bars = make_bars(bars=200)
    never = pd.DataFrame(False, index=bars.index, columns=list(bars.symbols))
    entries, exits = never.copy(), never.copy()
    entries.iloc[[5, 100]] = True
    exits.iloc[[50, 180]] = True
    signals = Signals.from_frames(
        entries=never, exits=never, short_entries=entries, short_exits=exits
    )

    def walk(fees):
        config = SimulationConfig(risk=0.5, fees=fees, slippage=0.0)
        simulation = simulate_signals(
            bars, signals, fixed_brackets(bars), config=config, size_type="value"
        )
        return accounts.Account.of(simulation)

    cost = accounts.break_even(walk(0.0))
    assert cost > 0.001  # the market fell: shorts earn
    assert walk(cost).equity[-1] == pytest.approx(10_000.0)
    assert accounts.break_even(walk(0.001)) == pytest.approx(cost)


def test_profits_of_several_symbols_add_up():
    bars = make_bars("A/USDT", "B/USDT", bars=1_500)
    simulation = make_sweep(bars=bars, threshold=0.5, risk=0.01).simulation()
    both = accounts.Account.of(simulation)
    one, two = (accounts.Account.of(simulation.alone(column)) for column in range(2))
    np.testing.assert_allclose(both.equity, one.equity + two.equity - 10_000)
    assert both.init_cash == one.init_cash == 10_000
    assert len(both.trades) == len(one.trades) + len(two.trades)
    assert (np.diff(both.trades["entry_idx"]) >= 0).all()
    assert [set(account.trades["col"]) for account in (one, two)] == [{0}, {0}]


def test_daily_returns_of_a_worked_account():
    equity = np.array([[50.0, 50.0], [60.0, 50.0], [55.0, 55.0], [0.0, 0.0], [0.0, 0.0]])
    times = ["2024-01-01 22:00", "2024-01-01 23:00", "2024-01-02", "2024-01-04", "2024-01-05"]
    simulation = Simulation(
        index=pd.DatetimeIndex(times, tz="UTC"),
        columns=pd.MultiIndex.from_product([["A", "B"]], names=["symbol"]),
        orders=np.zeros(0, ORDER_DTYPE),
        trades=np.zeros(0, TRADE_DTYPE),
        equity=equity,
        position=np.zeros((5, 2)),
        value=equity,
        account=np.arange(2),
        funding=None,
        init_cash=50.0,
        **untold(5, 2),
    )
    account = accounts.Account.of(simulation)
    np.testing.assert_allclose(accounts.daily_returns(account), [0.1, 0.0, -1.0, 0.0])
    np.testing.assert_allclose(accounts.daily_returns(account, 1), [0.0])
    assert accounts.daily_returns(account, 0).shape == (0,)
