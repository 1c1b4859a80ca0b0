import numpy as np
import pandas as pd
import pytest

from convnext_vbt.errors import InputError
from convnext_vbt.evidence.accounts import Account, break_even, daily_returns
from convnext_vbt.evidence.cells import Grid, look_into
from convnext_vbt.evidence.hindsight import hindsight
from convnext_vbt.evidence.ledger import Trials
from convnext_vbt.evidence.selection import nested_selection
from convnext_vbt.trading import sweep
from convnext_vbt.trading.simulation import simulate_signals
from convnext_vbt.trading.sweep import TOTAL
from tests.evidence.markets import THRESHOLDS, make_bars, make_predictions, make_sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")


@pytest.fixture(scope="module")
def result():
    bars = make_bars()
    return make_sweep(bars, make_predictions(bars), risk=[0.005, 0.02])


@pytest.fixture(scope="module")
def cells(result):
    return look_into(result, {"threshold": "q0.60", "risk": 0.02})


def test_every_cell_is_seen_as_its_own_simulation(result, cells):
    assert list(cells.views) == list(range(2 * len(THRESHOLDS)))
    for row, view in cells.views.items():
        account = Account.of(result.simulation(**cells.grid.cell(row)))
        np.testing.assert_array_equal(view.returns, daily_returns(account))
        np.testing.assert_array_equal(view.trades, account.trades)
        assert view.break_even == break_even(account)
    assert cells.start == cells.fixed == cells.grid.find({"threshold": "q0.60", "risk": 0.02})
    own = result.simulation(threshold="q0.60", risk=0.02)
    np.testing.assert_array_equal(cells.first.orders, own.orders)


def test_what_was_looked_into_changes_no_choice_and_no_figure(result, cells):
    assert len(cells.records) == len(THRESHOLDS)  # at the reference risk
    with_them, without = (nested_selection(result, cells=known) for known in (cells, None))
    pd.testing.assert_frame_equal(with_them.choices, without.choices)
    assert with_them.choices["trades"].max() > 0
    trials = Trials(num_runs=2, num_rules=9, variance=0.002)
    assert hindsight(result, trials, cells=cells).dsr == hindsight(result, trials).dsr


def test_of_a_panel_the_rows_of_one_account_share_its_simulation(monkeypatch):
    made = []

    def counted(*arguments, **named):
        made.append(named)
        return simulate_signals(*arguments, **named)

    monkeypatch.setattr(sweep, "simulate_signals", counted)
    bars = make_bars(symbols=2)
    panel = make_sweep(bars, make_predictions(bars), threshold=["q0.60"], risk=[0.01])
    cells = look_into(panel, {"threshold": "q0.60"})
    names = cells.grid.level("symbol")
    assert names == (TOTAL, "S0", "S1")
    whole, *parts = (cells.view({"symbol": name}) for name in names)
    assert whole.symbols == ("S0", "S1")
    assert [part.symbols for part in parts] == [("S0",), ("S1",)]
    assert len(whole.trades) == sum(len(part.trades) for part in parts) > 0
    assert len(cells.records) == 1
    assert len(made) == 1


def test_a_cell_is_named_by_what_was_swept(result, cells):
    assert cells.view({"threshold": "q0.60", "risk": 0.5}) is None
    assert cells.record({"threshold": "q0.61"}) is None
    with pytest.raises(InputError, match=r"threshold='q0\.61' was not swept; choose from"):
        look_into(result, {"threshold": "q0.61"})
    grid = Grid.of(result.metrics)
    assert (grid.across, grid.up) == ("threshold", "risk")
    assert grid.find(grid.cell(5)) == 5
