"""Deposits and withdrawals, by a ledger worked by hand."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from convnext_vbt.cli.commands import app
from convnext_vbt.errors import DataError, InputError
from convnext_vbt.live.fills import read_fills
from convnext_vbt.live.journal import open_journal
from convnext_vbt.live.moving import move_money
from convnext_vbt.live.review import real_equity, real_growth, review, sentences_of, view_of
from convnext_vbt.live.row import Row
from convnext_vbt.live.running import live_session
from convnext_vbt.live.shadow import Shadow
from convnext_vbt.live.transfers import by_close, growth, read_transfers, transfer
from convnext_vbt.trading.codes import ENTER_LONG, EXIT_LONG
from convnext_vbt.trading.inputs import SimulationConfig
from tests.live.test_fills import fill, fills_of
from tests.live.test_running import dump, rehearsed

BEGUN, HOUR = pd.Timestamp("2024-03-01", tz="UTC"), pd.Timedelta(hours=1)
NOW = pd.Timestamp("2024-04-01", tz="UTC")


def row(code):
    return Row(
        codes=np.array([code], dtype=np.uint8), sizes=np.ones(1),
        distances=np.array([[0.1], [0.1], [np.nan], [np.nan]]), still=np.zeros(1, dtype=bool),
        max_holding=None, volatility=np.full(1, np.nan),
    )  # fmt: skip


def walked(prices, codes, moved, config):
    """States of a shadow account at each close; every bar opens at the close before it."""
    shadow = Shadow(symbols=("A",), step=HOUR, days_per_year=365, closing=(False,), trading=config)
    states = []
    for k, close in enumerate(prices):
        opened = prices[max(k - 1, 0)]
        seen = np.array([[opened], [max(opened, close)], [min(opened, close)], [close], [1.0],
                         [np.nan]])  # fmt: skip
        states.append(shadow.at(BEGUN + k * HOUR, seen, moved[k]))
        shadow.add(BEGUN + k * HOUR, seen, row(codes[k]), moved[k])
    return states


def test_five_bars_by_hand():
    """1,000 of money, 1 % of it lost at a stop 10 % away, no costs; 500 come while it is held."""
    config = SimulationConfig(init_cash=1_000.0, fees=0.0, slippage=0.0, max_leverage=10.0)
    prices = [100.0, 102.0, 104.0, 104.0, 104.0, 110.0]
    codes = [ENTER_LONG, 0, EXIT_LONG, ENTER_LONG, 0, 0]
    states = walked(prices, codes, [0.0, 0.0, 500.0, 0.0, -300.0, 0.0], config)
    units = 0.01 * 1_000 / (0.1 * 100)  # at 100, where 10 % are 10
    assert units == 1.0
    second = 0.01 * 1_504 / (0.1 * 104)  # 1,000 + 4 made + 500 that came
    by_hand = [1_000.0, 1_002.0, 1_504.0, 1_504.0, 1_204.0, 1_204.0 + second * 6]
    np.testing.assert_allclose([state.equity for state in states], by_hand, rtol=1e-12)
    held = [state.held["A"].units if state.held else 0.0 for state in states]
    np.testing.assert_allclose(held, [0.0, 1.0, 1.0, 0.0, second, second], rtol=1e-12)
    flows = np.array([0.0, 0.0, 500.0, 0.0, -300.0, 0.0])
    made = growth(np.array(by_hand), flows, 1_000.0)
    returns = [0.0, 2 / 1_000, 2 / 1_002, 0.0, 0.0, second * 6 / 1_204]
    np.testing.assert_allclose(made, np.cumprod(1 + np.array(returns)), rtol=1e-12)


def test_money_that_comes_moves_the_price_at_which_nothing_is_left():
    """A long on three times the money; half of the equity is withdrawn, and it is over sooner."""
    config = SimulationConfig(init_cash=900.0, fees=0.0, slippage=0.0, risk=0.3, max_leverage=3.0)
    prices, codes = [100.0, 100.0, 100.0, 91.0, 91.0], [ENTER_LONG, 0, 0, 0, 0]
    kept = walked(prices, codes, [0.0] * 5, config)
    assert kept[1].held["A"].units == pytest.approx(27.0)
    assert kept[-1].equity == pytest.approx(900 - 27 * 9)
    gone = walked(prices, codes, [0.0, 0.0, -700.0, 0.0, 0.0], config)
    assert gone[2].equity == pytest.approx(200.0)
    assert (gone[3].held, gone[-1].equity) == ({}, pytest.approx(0.0, abs=1e-6))
    (sold,) = gone[3].orders
    assert sold.price == pytest.approx(100 - 200 / 27)


ROWS = """time,symbol,side,units,price,fee,id
2024-03-02T10:00:00Z,,deposit,500,,,
2024-03-03 12:00+01:00,,Withdrawal,200,,1.5,w7
2024-03-03T13:00,A,buy,2,100,0.1,
"""


def test_a_file_of_fills_has_deposits_and_withdrawals_too(tmp_path):
    path = tmp_path / "fills.csv"
    path.write_text(ROWS)
    came, went = read_transfers(path, NOW)
    assert (came.time, came.amount) == (pd.Timestamp("2024-03-02 10:00", tz="UTC"), 500.0)
    assert (went.time, went.amount, went.key) == (
        pd.Timestamp("2024-03-03 11:00", tz="UTC"), -201.5, "withdrawal w7"
    )  # fmt: skip
    (only,) = read_fills(path, ("A",), NOW)
    assert (only.symbol, only.units) == ("A", 2.0)
    path.write_text(json.dumps([
        {"timestamp": 1709373600000, "side": "deposit", "amount": 500.0, "id": "d1"}
    ]))  # fmt: skip
    assert read_transfers(path, NOW)[0].amount == 500.0
    for old, new, said in (
        ("500", "-500", r"fill 1: units, the money .* must be positive, got -500"),
        ("2024-03-02T", "2024-05-02T", "fill 1: its time 2024-05-02 10:00 UTC lies after"),
    ):
        path.write_text(ROWS.replace(old, new))
        with pytest.raises(DataError, match=said):
            read_transfers(path, NOW)
    with pytest.raises(InputError, match="must be a positive amount, got nan"):
        transfer(float("nan"), NOW)


def test_what_came_before_the_first_close_is_in_what_there_was():
    closes = pd.DatetimeIndex([BEGUN + k * HOUR for k in range(4)])
    told = [transfer(float(10**k), BEGUN + (k - 0.5) * HOUR) for k in range(6)]
    assert by_close(told, closes).tolist() == [0.0, 10.0, 100.0, 1_000.0]
    assert by_close([transfer(5.0, closes[2])], closes).tolist() == [0.0, 0.0, 5.0, 0.0]


def money(bars, at, side, amount, **more):
    time = bars.index[at] + pd.Timedelta(minutes=20)
    return {"time": time.isoformat(), "symbol": "", "side": side, "units": amount, "price": "",
            "fee": 0} | more  # fmt: skip


@pytest.fixture(scope="module")
def paid(finished, bars, tmp_path_factory):
    """A rehearsal of 60 closes; 5,000 come in the bar of the 10th, 8,000 go in that of the 30th."""
    home, first = tmp_path_factory.mktemp("paid"), len(bars) - 60
    path = fills_of(home, [
        money(bars, first - 4, "deposit", 77), money(bars, first + 9, "deposit", 5_000),
        money(bars, first + 29, "withdrawal", 8_000),
    ])  # fmt: skip
    heard = []
    closes = rehearsed(finished, home / "a.sqlite", 60, fills=path, say=heard.append)
    return home, closes, heard


def test_equity_and_sizes_follow_the_money_and_the_growth_does_not(finished, paid, tmp_path):
    home, closes, heard = paid
    assert heard[1].endswith("fills.csv: 3 new deposit(s) and withdrawal(s), 0 known already")
    plain = rehearsed(finished, tmp_path / "plain.sqlite", 60)
    ours, theirs = (np.array([c.state.equity for c in them]) for them in (closes, plain))
    np.testing.assert_allclose(ours[:9], theirs[:9], rtol=1e-12)
    moved = np.array([close.moved for close in closes])
    assert moved[9] == 5_000
    assert moved[29] == -8_000
    assert np.count_nonzero(moved) == 2
    assert ours[9] == pytest.approx(theirs[9] + 5_000, rel=1e-9)
    for close, other in zip(closes, plain, strict=True):
        one, two = close.decisions.decisions[0], other.decisions.decisions[0]
        assert one.step == two.step
        if one.step.startswith("enter"):  # from a flat account, in proportion to the money
            share = close.state.equity / other.state.equity
            assert one.units == pytest.approx(two.units * share, rel=1e-9)
    with open_journal(home / "a.sqlite") as journal:
        found = review(finished.directory, journal)
        assert [one.amount for one in journal.transfers(new=True)] == [77.0]
    np.testing.assert_array_equal(found.moved, moved)
    again = np.concatenate([[ours[0] / 1e4], (ours[1:] - moved[1:]) / ours[:-1]]).cumprod()
    np.testing.assert_allclose(found.growth, again, rtol=1e-12)
    view = view_of(found)
    np.testing.assert_allclose(view.lines[0].growth, again, rtol=1e-12)
    assert abs(view.difference.growth).max() < 0.01  # half of the money is no difference
    said = sentences_of(found)
    assert f"has {ours[-1]:,.2f}, {again[-1] - 1:+.2%}, after" in said[0]
    assert said[1].startswith("5,000.00 were deposited and 8,000.00 were withdrawn meanwhile")


def test_on_real_fills_too(finished, bars, tmp_path):
    first = len(bars) - 40
    path = fills_of(tmp_path, [
        fill(bars, first + 2, "buy", 0.1, float(bars.open[first + 2, 0])),
        money(bars, first + 9, "deposit", 5_000),
    ])  # fmt: skip
    closes = rehearsed(finished, tmp_path / "a.sqlite", 40, fills=path)
    with open_journal(tmp_path / "a.sqlite") as journal:
        found = review(finished.directory, journal)
    price = bars.close[first:, 0]
    by_hand = 1e4 + 0.1 * (price - bars.open[first + 2, 0]) * (np.arange(40) >= 2)
    by_hand[9:] += 5_000
    np.testing.assert_allclose(real_equity(found), by_hand, rtol=1e-12)
    grown = by_hand[1:] / by_hand[:-1]
    grown[8] = (by_hand[9] - 5_000) / by_hand[8]
    np.testing.assert_allclose(real_growth(found)[1:], np.cumprod(grown), rtol=1e-12)
    turned = next(c for c in closes[10:] if c.decisions.decisions[0].step.startswith("reverse"))
    one, at = turned.decisions.decisions[0], bars.index.get_loc(turned.bar) - first
    assert one.entry.money_at_risk / by_hand[at] == pytest.approx(one.entry.risk, rel=1e-3)


def test_a_restart_counts_nothing_twice(finished, paid, bars, tmp_path):
    path = tmp_path / "fills.csv"
    path.write_text((paid[0] / "fills.csv").read_text())
    for stop in (12, 20, 60):
        closes = rehearsed_until(finished, tmp_path / "b.sqlite", path, stop)
    assert len(closes) == 60 - 32
    ours, theirs = (dump(p, but=("notice",)) for p in (tmp_path / "b.sqlite", paid[0] / "a.sqlite"))
    assert ours == theirs


def rehearsed_until(finished, journal, path, stop):
    closes = live_session(finished.directory, journal=journal, rehearse=60, fills=path)
    seen = [one for one, _ in itertools.islice(closes, stop)]
    closes.close()
    return seen


def call(*args):
    result = CliRunner().invoke(app, ["live", *(str(arg) for arg in args)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_command_books_money_once_and_ends(finished, bars, tmp_path):
    path = tmp_path / "a.sqlite"
    run = finished.directory
    none = call(run, "--journal", path, "--deposit", 500)
    assert none.exit_code == 3
    assert "a session begins with --equity" in none.stderr
    rehearsed(finished, path, 5)
    for args, code, said in (
        (("--deposit", 500, "--withdraw", 1), 2, "are two bookings"),
        (("--deposit", -500), 2, "--deposit must be a positive amount, got -500"),
        (("--withdraw", 20_000), 3, "withdraw less"),
    ):
        refused = call(run, "--journal", path, *args)
        assert (refused.exit_code, refused.stdout) == (code, "")
        assert said in refused.stderr
    assert dump(path)["transfers"] == []
    done = call(run, "--journal", path, "--withdraw", 500)
    assert done.exit_code == 0
    assert done.stdout.startswith("booked a withdrawal of 500.00 at ")
    said = move_money(run, 200.0, journal=path, clock=lambda: bars.index[-1])
    assert said.startswith("booked a deposit of 200.00 at 2022-02-19 23:00 UTC: it counts from the")
    with open_journal(path) as journal:
        assert [one.amount for one in journal.transfers(new=True)] == [200.0, -500.0]
