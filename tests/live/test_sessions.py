"""A live session on a market that closes: its first day ends as the backtest's does."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import convnext_vbt as cv
from convnext_vbt.errors import FewTradesWarning
from convnext_vbt.evidence.headline import headline_of
from convnext_vbt.live.journal import open_journal
from convnext_vbt.live.shadow import DAYS_BEFORE, bars_before, orders_of
from convnext_vbt.market.bars import Bars
from convnext_vbt.runs import run as pipeline
from convnext_vbt.runs.config import load_config
from convnext_vbt.trading.leaving import SESSIONS, leave_rows
from convnext_vbt.trading.signals import LEVELS
from convnext_vbt.trading.simulation import simulate_signals
from tests.live.conftest import TOLD
from tests.live.test_refusals import frame_of
from tests.live.test_running import rehearsed
from tests.strategies import write_tiny

OPENS, HOURS = 6, 7
"""First bar of a session, UTC, and how many it has."""


@pytest.fixture(scope="module")
def weekdays(tmp_path_factory):
    """A finished run on a market of weekdays, which leaves by the session's end."""
    home = tmp_path_factory.mktemp("weekdays")
    table = frame_of(cv.load_bars("simulated:seed=2,edge=3,bars=1200"))
    days = pd.bdate_range("2023-01-02", periods=len(table) // HOURS + 1, tz="UTC")
    table = table.set_axis([
        day + pd.Timedelta(hours=OPENS + k) for day in days for k in range(HOURS)
    ][: len(table)])  # fmt: skip
    table.to_csv(home / "stock.csv", index_label="timestamp")
    changes = [
        f"data.source={home / 'stock.csv'}",
        'trading.leave_at="session end"',
        "model.kind=logistic",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewTradesWarning)
        return pipeline.run(load_config(write_tiny(home, *TOLD), changes), out=home, jobs=1)


def since(run, count):
    """The headline's own rows over the last closes alone, what went before being known."""
    result, selection = run.result, headline_of(run.result, run.config.preset).selection
    first = len(result.bars) - count
    live = np.arange(len(result.bars))[:, None] >= first
    signals = selection.signals
    said = {name: getattr(signals, name) & live for name in LEVELS}
    return simulate_signals(
        result.bars, replace(signals, **said), selection.brackets, config=run.config.trading
    )


@pytest.mark.parametrize("begins", [0, 2])
def test_the_first_day_of_a_session_ends_when_the_days_before_did(weekdays, tmp_path, begins):
    bars, selection = (
        weekdays.result.bars,
        headline_of(weekdays.result, weekdays.config.preset).selection,
    )
    trades = selection.simulation.trades_frame()
    late = trades[(trades["reason"] == "time of day") & (trades["entry"].dt.hour > OPENS + begins)]
    first = late["entry"].iloc[-5].normalize() + pd.Timedelta(hours=OPENS + begins)
    count = len(bars) - bars.index.get_loc(first)
    made = since(weekdays, count)
    closes = rehearsed(weekdays, tmp_path / "a.sqlite", count)
    with open_journal(tmp_path / "a.sqlite") as journal:
        orders, equity = journal.orders(), journal.equity()
    theirs = orders_of(made)
    assert [(o.bar, o.side) for o in orders] == [(o.bar, o.side) for o in theirs]
    np.testing.assert_allclose([o.price for o in orders], [o.price for o in theirs])
    np.testing.assert_allclose(equity, made.equity[-count:, 0], rtol=1e-6)
    today = [o for o in orders if o.bar.date() == first.date()]
    assert today[-1].bar.hour == OPENS + HOURS - 1  # left by the clock of the days before
    late = [close for close in closes if close.bar.hour >= OPENS + HOURS - 1]
    assert all(close.state.held == {} for close in late)
    told = [close.decisions.decisions[0] for close in closes if close.bar.hour == OPENS + HOURS - 2]
    assert all(one.entry is None for one in told)
    assert any(one.step.startswith("exit") for one in told)


def test_it_goes_on_after_a_restart(weekdays, tmp_path):
    count = 4 * HOURS
    rehearsed(weekdays, tmp_path / "whole.sqlite", count)
    for _ in range(3):
        closes = cv.live_session(
            weekdays.directory, journal=tmp_path / "broken.sqlite", rehearse=count
        )
        for _ in range(4):
            next(closes)
        closes.close()
    rehearsed(weekdays, tmp_path / "broken.sqlite", count)
    with (
        open_journal(tmp_path / "whole.sqlite") as one,
        open_journal(tmp_path / "broken.sqlite") as other,
    ):
        assert one.orders() == other.orders()
        assert one.equity().equals(other.equity())


def test_the_bars_before_are_enough_to_know_a_sessions_end(weekdays):
    bars = weekdays.result.bars
    for end in range(600, 621):
        part = bars.rows(0, end)
        times, seen = bars_before(part)
        assert len(times) == len(seen)
        kept = bars.rows(end - 1 - len(times), end + 3 * HOURS)
        zone = weekdays.config.trading.leave_at
        whole = leave_rows(bars.rows(0, end + 3 * HOURS), zone)[-3 * HOURS :]
        np.testing.assert_array_equal(leave_rows(kept, zone)[-3 * HOURS :], whole)
        assert whole.any()
    assert DAYS_BEFORE > SESSIONS


def test_a_symbol_that_is_gone_for_long_keeps_no_more(bars):
    gone = replace(bars.rows(0, 100), symbols=("GONE",))
    times, _ = bars_before(Bars.join([bars, gone]))
    assert times[0] >= bars.index[-1] - pd.Timedelta(days=30)
    alone, seen = bars_before(bars)
    assert alone.normalize().nunique() == DAYS_BEFORE
    np.testing.assert_array_equal(seen[:, 3, 0], bars.close[-1 - len(alone) : -1, 0])
