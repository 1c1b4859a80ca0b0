"""A live session: what it books is the backtest's, and no kill changes it."""

import json
import sqlite3
import subprocess
import sys
import warnings
from contextlib import closing
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import convnext_vbt as cv
from convnext_vbt.errors import FewTradesWarning, NoPredictionError
from convnext_vbt.evidence.headline import headline_of
from convnext_vbt.live.journal import TABLES, open_journal
from convnext_vbt.live.running import live_session
from convnext_vbt.live.shadow import orders_of
from convnext_vbt.runs import run as pipeline
from convnext_vbt.runs.config import load_config
from convnext_vbt.trading.instruments import Instrument
from convnext_vbt.trading.simulation import simulate_signals
from tests.live.conftest import TOLD
from tests.live.test_refusals import frame_of
from tests.live.test_watch import HOUR, LATE, Market
from tests.strategies import write_tiny

SYMBOL = "SIM/USDT"


def rehearsed(finished, path, count, **options):
    """All that a rehearsal books into `path`."""
    return [
        close
        for close, _ in live_session(finished.directory, journal=path, rehearse=count, **options)
    ]


def dump(path, *, but=()):
    """Every row of every table of a journal, less some columns."""
    with closing(sqlite3.connect(path)) as connection:
        tables = {}
        for name in TABLES:
            cursor = connection.execute(f"SELECT * FROM {name} ORDER BY rowid")
            names = [column[0] for column in cursor.description]
            kept = [i for i, column in enumerate(names) if column not in but]
            tables[name] = [tuple(row[i] for i in kept) for row in cursor]
    return tables


def backtest(finished, count):
    """The headline's own rows over the last closes, on an account that begins there."""
    result, config = finished.result, finished.config
    selection = headline_of(result, config.preset).selection
    rows = len(result.bars) - count, len(result.bars)
    return simulate_signals(
        result.bars.rows(*rows),
        selection.signals.rows(*rows),
        selection.brackets.rows(*rows),
        config=config.trading,
    )


def assert_same_orders(ours, theirs):
    assert [(o.bar, o.symbol, o.number, o.side) for o in ours] == [
        (o.bar, o.symbol, o.number, o.side) for o in theirs
    ]
    for name in ("units", "price", "fee"):  # one bar at a time is rounded otherwise than many
        np.testing.assert_allclose(
            [getattr(o, name) for o in ours], [getattr(o, name) for o in theirs], rtol=3e-5
        )


def test_a_rehearsal_makes_exactly_the_backtests_orders(finished, tmp_path):
    count, path = 60, tmp_path / "live.sqlite"
    closes = rehearsed(finished, path, count)
    assert [close.bar for close in closes] == list(finished.result.bars.index[-count:])
    made = backtest(finished, count)
    with open_journal(path) as journal:
        orders, equity = journal.orders(), journal.equity()
    assert len(orders) > 15
    assert_same_orders(orders, sorted(orders_of(made), key=lambda o: (o.bar, o.symbol, o.number)))
    np.testing.assert_allclose(equity, made.equity[:, 0], rtol=1e-6)
    np.testing.assert_allclose(
        [sum(h.units for h in close.state.held.values()) for close in closes],
        made.position[:, 0],
        rtol=3e-5,
    )


ASKED = Instrument(
    tick=0.5, lot=0.001, min_notional=5.0, taker=0.0004, min_fee=0.02, half_spread=1.0,
    volatility_slippage=0.01, impact=0.05, max_volume_share=0.5, borrow=0.05,
)  # fmt: skip
KINDS = {
    "all that is asked of a trade": {
        "instruments": {"default": ASKED}, "trail": "extreme", "leave_at": "21:00",
        "take_profit_ladder": [[0.5, 0.4], [1.0, 0.6]], "break_even": 0.8,
    },
    "limit orders": {
        "instruments": {"default": ASKED}, "limit_offset": 0.001, "limit_bars": 3,
        "trail": "close",
    },
    "inverse": {"instruments": {"default": Instrument(inverse=True, lot=10.0, taker=0.0004)}},
}  # fmt: skip


def asked(finished, kind):
    """A run on the same networks, more being asked of its trades."""
    trading = replace(finished.config.trading, **KINDS[kind])
    config = finished.config.model_copy(
        update={"trading": trading, "instruments": dict(trading.instruments), "name": "asked"}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewTradesWarning)
        return pipeline.run(config, out=finished.directory.parent, jobs=1)  # its splits are there


@pytest.mark.parametrize(
    "kind",
    [
        "all that is asked of a trade",
        pytest.param("limit orders", marks=pytest.mark.slow),
        pytest.param("inverse", marks=pytest.mark.slow),
    ],
)
def test_whatever_is_asked_of_a_trade_a_rehearsal_makes_the_backtests_orders(
    finished, tmp_path, kind
):
    count, path = 100, tmp_path / "live.sqlite"
    run = asked(finished, kind)
    rehearsed(run, path, count)
    made = backtest(run, count)
    with open_journal(path) as journal:
        orders, equity = journal.orders(), journal.equity()
    assert len(orders) > 10
    assert [(o.bar, o.side) for o in orders] == [(o.bar, o.side) for o in orders_of(made)]
    for name in ("units", "price", "fee"):
        ours, theirs = ([getattr(o, name) for o in them] for them in (orders, orders_of(made)))
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)  # or a lot
    np.testing.assert_allclose(equity, made.equity[:, 0], rtol=1e-5)


def test_what_is_held_is_remembered_with_its_entry_and_its_stop(finished, tmp_path):
    selection = headline_of(finished.result, finished.config.preset).selection
    made, seen = backtest(finished, 60), 0
    trades = made.trades_frame()
    for close in rehearsed(finished, tmp_path / "live.sqlite", 60):
        for held in close.state.held.values():
            at = finished.result.bars.index.get_loc(held.entered)
            (trade,) = trades[trades["entry"] == held.entered].itertuples()
            word = "long" if held.side > 0 else "short"
            distance = getattr(selection.brackets, f"stop_{word}")[at - 1, 0]
            assert held.stop == pytest.approx(
                trade.entry_price * (1 - held.side * distance), rel=1e-5
            )
            assert (trade.direction.lower(), trade.entry) == (word, held.entered)
            assert (close.decisions.decisions[0].warnings) == ()
            seen += 1
    assert seen > 20


@pytest.mark.slow
def test_from_the_windows_start_it_is_the_backtest_itself(finished, tmp_path):
    result = finished.result
    rehearsed(finished, tmp_path / "live.sqlite", len(result.bars) - result.window[0])
    made = headline_of(result, finished.config.preset).selection.simulation
    with open_journal(tmp_path / "live.sqlite") as journal:
        assert len(journal.orders()) > 200
        assert_same_orders(
            journal.orders(), sorted(orders_of(made), key=lambda o: (o.bar, o.symbol, o.number))
        )
        np.testing.assert_allclose(journal.equity(), made.equity[:, 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("closes", "kills"), [(24, 4), pytest.param(200, 20, marks=pytest.mark.slow)]
)
def test_kills_at_random_moments_end_in_the_same_journal(finished, tmp_path, closes, kills):
    command = [sys.executable, "-W", "error", "-m", "tests.live.killed"]
    args = map(str, (finished.directory, tmp_path, closes, kills))
    done = subprocess.run([*command, *args], stdout=subprocess.PIPE, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == kills
    assert all(one["killed"] for one in found)
    booked = [one["booked"] for one in found]
    assert booked == sorted(booked)
    assert booked[-1] > 0
    assert kills < 20 or any(one["in_transaction"] for one in found)
    whole, killed = dump(tmp_path / "whole.sqlite"), dump(tmp_path / "killed.sqlite")
    assert len(whole["closes"]) == closes
    told, heard = whole.pop("notices"), killed.pop("notices")
    assert [row[-1] for row in told] == [row[-1] for row in heard] == [1] * closes
    assert whole == killed
    assert_each_was_heard(tmp_path, whole["closes"])


def assert_each_was_heard(tmp_path, closes):
    """At least once, and a second time only as a repeat that is the same else."""
    plain, heard = (
        [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        for name in ("whole", "killed")
    )
    assert [event["bar"] for event in plain] == [row[0] for row in closes]
    assert not any(event["repeat"] for event in plain)
    assert {event["notice"] for event in heard} == {event["notice"] for event in plain}
    first = {event["notice"]: event for event in reversed(heard)}
    for event in plain:
        but = {"repeat": 0, "difference": 0}  # from the backtest's probabilities, of each start
        assert event | but == first[event["notice"]] | but
    numbers = [event["notice"] for event in heard]
    assert numbers == sorted(numbers)
    again = [event for event in heard if numbers.count(event["notice"]) > 1]
    for number in {event["notice"] for event in again}:
        repeats = [event["repeat"] for event in again if event["notice"] == number]
        assert all(repeats[1:])


@pytest.fixture
def market(tmp_path, bars):
    return Market(tmp_path / "bars.csv", bars, bars.index[1100] + 0.25 * HOUR)


def going_on(finished, market, path, heard=None, **options):
    heard = [] if heard is None else heard
    return live_session(
        finished.directory, journal=path, source=[str(market.path)], symbol=SYMBOL,
        clock=market.clock, sleep=market.sleep, say=heard.append, **options,
    )  # fmt: skip


def test_it_decides_every_close_as_soon_as_it_is_there(finished, market, tmp_path, bars):
    closes = going_on(finished, market, tmp_path / "a.sqlite")
    seen = [(next(closes)[0], market.now) for _ in range(4)]
    closes.close()
    assert [close.bar for close, _ in seen] == list(bars.index[1099:1103])
    assert not any(close.late for close, _ in seen)
    for close, moment in seen[1:]:
        assert HOUR + LATE <= moment - close.bar < HOUR + LATE + pd.Timedelta(seconds=30)
        assert close.decided_at <= moment


def test_closes_missed_while_it_was_down_are_decided_late_and_else_the_same(
    finished, market, tmp_path, bars
):
    begun = market.now
    whole = going_on(finished, market, tmp_path / "whole.sqlite")
    for _ in range(9):
        next(whole)
    whole.close()
    market.now = begun
    market.publish()
    closes = going_on(finished, market, tmp_path / "broken.sqlite")
    for _ in range(2):
        next(closes)
    closes.close()
    market.now += 6 * HOUR
    market.publish()
    late = [close for close, _ in going_on(finished, market, tmp_path / "broken.sqlite", once=True)]
    assert [close.late for close in late] == [True] * 5 + [False]
    last = [close for close, _ in going_on(finished, market, tmp_path / "broken.sqlite", once=True)]
    assert last == []  # nothing is decided twice
    market.now += HOUR
    market.publish()
    list(going_on(finished, market, tmp_path / "broken.sqlite", once=True))
    but = ("late", "decided_at")
    assert dump(tmp_path / "whole.sqlite", but=but) == dump(tmp_path / "broken.sqlite", but=but)


def test_a_close_without_a_bar_is_skipped_as_in_the_backtest(finished, market, tmp_path, bars):
    market.table, market.least = market.table.drop(bars.index[1101]), 300.0
    closes = going_on(finished, market, tmp_path / "a.sqlite")
    seen = [next(closes)[0].bar for _ in range(3)]
    closes.close()
    assert seen == [bars.index[1099], bars.index[1100], bars.index[1102]]


class Silent(Market):
    """Publishes nothing for a while."""

    silent_until = None

    def publish(self):
        if self.silent_until is None or self.now >= self.silent_until:
            super().publish()


def test_a_bar_that_is_overdue_is_a_refusal_and_no_end(finished, tmp_path, bars):
    heard, told = [], tmp_path / "told.jsonl"
    market = Silent(tmp_path / "bars.csv", bars, bars.index[1100] + 0.25 * HOUR)
    closes = going_on(finished, market, tmp_path / "a.sqlite", heard, notify=teller(tmp_path, told))
    next(closes)
    market.silent_until, market.least = market.now + 4 * HOUR, 300.0
    assert next(closes)[0].bar == bars.index[1100]
    waiting = f"waiting for the bar after {bars.index[1099]:%Y-%m-%d %H:%M} UTC"
    assert heard == [waiting, f"{waiting}, which is overdue: nothing is decided on stale bars"]
    events = [json.loads(line) for line in told.read_text().splitlines()]
    assert [event["event"] for event in events] == ["decision", "refusal", "decision"]
    assert events[1]["reason"] == heard[1]
    assert events[2]["late"]
    closes.close()


def teller(tmp_path, told):
    """A command that writes what it hears into a file."""
    script = tmp_path / "tell.py"
    script.write_text(f"import sys; open({str(told)!r}, 'a').write(sys.stdin.read())")
    return f"{sys.executable} {script}"


def test_revised_bars_change_nothing_that_was_booked(finished, market, tmp_path, bars):
    path = tmp_path / "a.sqlite"
    closes = going_on(finished, market, path)
    for _ in range(6):
        next(closes)
    closes.close()
    before = dump(path)
    assert before["orders"]
    market.table.loc[bars.index[1099:1105], ["open", "high"]] *= 1 + 1e-6
    market.now += HOUR
    market.publish()
    (again,) = going_on(finished, market, path, once=True)
    after = dump(path)
    assert again[0].bar == bars.index[1105]
    for name, rows in before.items():
        assert after[name][: len(rows)] == rows


@pytest.mark.slow
def test_a_panel_with_holes_on_one_account_is_the_backtests_too(tmp_path):
    """Two symbols, one of them half an hour apart and with a bar missing here and there."""
    rng, sources = np.random.default_rng(4), []
    for k, (symbol, seed) in enumerate((("A/USDT", 2), ("B/USDT", 9))):
        one = cv.load_bars(f"simulated:seed={seed},edge=3,bars=1200,symbol={symbol}")
        table = frame_of(replace(one, index=one.index + k * pd.Timedelta("30min")))
        if k:
            table = table.drop(table.index[rng.choice(np.arange(600, 1190), 30, replace=False)])
        sources.append(str(tmp_path / f"{symbol[0]}.csv"))
        table.assign(symbol=symbol).to_csv(sources[-1], index_label="timestamp")
    changes = [f"data.source={json.dumps(sources)}", "trading.max_open_risk=0.008",
               "trading.max_leverage=3"]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewTradesWarning)
        run = pipeline.run(load_config(write_tiny(tmp_path, *TOLD), changes), out=tmp_path, jobs=1)
    count, path = 150, tmp_path / "live.sqlite"
    closes = rehearsed(run, path, count)
    made = backtest(run, count)
    with open_journal(path) as journal:
        orders = journal.orders()
        np.testing.assert_allclose(journal.equity(), made.equity[:, 0], rtol=1e-5)
    assert {order.symbol for order in orders} == {"A/USDT", "B/USDT"}
    assert len(orders) > 30
    assert_same_orders(orders, sorted(orders_of(made), key=lambda o: (o.bar, o.symbol, o.number)))
    assert all(len(close.decisions.decisions) == 1 for close in closes)  # half an hour apart
    for n, name in enumerate(("A/USDT", "B/USDT")):
        held = [close.state.held.get(name) for close in closes]
        np.testing.assert_allclose(
            [0.0 if one is None else one.units for one in held], made.position[:, n], rtol=3e-5
        )

    young = pd.read_csv(sources[1]).tail(20)
    young.to_csv(sources[1], index=False)
    closes = rehearsed(run, tmp_path / "young.sqlite", 20, source=sources)
    alone = [close.bar.minute == 30 for close in closes]
    assert not alone[0]
    assert 5 < sum(alone) < 15
    for close, is_alone in zip(closes, alone, strict=True):
        assert (close.decisions is None) == is_alone
        assert ("bars are there and" in close.refused) == is_alone


def test_too_short_a_history_is_refused_and_nothing_is_booked(finished, market, tmp_path, bars):
    path, whole = tmp_path / "a.sqlite", market.table
    closes = going_on(finished, market, path)
    next(closes)
    closes.close()
    market.table = whole.loc[bars.index[1050] :]
    market.now += HOUR
    market.publish()
    with pytest.raises(NoPredictionError, match=r"are needed .*; load more history"):
        next(going_on(finished, market, path, once=True))
    market.table = whole
    market.publish()
    assert next(going_on(finished, market, path, once=True))[0].bar == bars.index[1100]
