"""The journal: what is refused, who may write it, what a transaction holds."""

import signal
import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.errors import DataError
from convnext_vbt.live.account import Holding
from convnext_vbt.live.journal import Close, facts_of, open_journal
from convnext_vbt.live.row import Row
from convnext_vbt.live.shadow import State
from convnext_vbt.live.walk import Order
from convnext_vbt.trading.inputs import SimulationConfig
from tests.processes import start, wait_for

BAR = pd.Timestamp("2024-03-01 12:00", tz="UTC")
HOUR = pd.Timedelta(hours=1)
SYMBOLS = ("B/USDT", "A/USDT")  # not in the order of the alphabet
FACTS = facts_of(run="one-1234", config="ab", symbols=SYMBOLS, equity=1e4, kind="live")


def close(bar=BAR, **changes):
    row = Row(
        codes=np.array([1, 6], dtype=np.uint8),
        sizes=np.array([0.5, 1 / 3]),
        distances=np.array([[0.1, 0.2], [0.3, np.nan], [np.nan, np.nan], [0.7, 0.8]]),
        still=np.array([False, True]),
        max_holding=24,
        volatility=np.array([0.01, np.nan]),
    )
    held = {"A/USDT": Holding(units=-0.1, entered=BAR - HOUR, stop=1.2)}
    order = Order(bar=bar, symbol="A/USDT", number=0, side="Sell", units=0.1, price=1.1, fee=0.01)
    seen = np.array(
        [[1.0, 2.0], [1.5, 2.5], [0.5, 1.5], [1.2, np.nan], [7.0, 8.0], [np.nan, np.nan]]
    )
    known = {
        "seen": seen, "row": row, "state": State(equity=9_999.9, held=held, orders=(order,)),
        "decisions": None, "refused": "none of them", "late": False, "decided_at": bar + HOUR,
    }  # fmt: skip
    return Close(bar=bar, **(known | changes))


def test_what_is_booked_is_read_again_to_the_last_bit(tmp_path):
    path, booked = tmp_path / "a.sqlite", close()
    with open_journal(path) as journal:
        journal.bind(FACTS)
        journal.bind({"step": str(HOUR.value), "days per year": "252", "closing": "[true, false]"})
        assert journal.last is None
        journal.book(booked, SYMBOLS)
        journal.book(close(BAR + HOUR, row=Row.nothing(2)), SYMBOLS)
    with open_journal(path) as journal:
        assert journal.last == BAR + HOUR
        assert journal.orders()[0] == booked.state.orders[0]
        assert journal.equity().to_dict() == {BAR: 9_999.9, BAR + HOUR: 9_999.9}
        filled = journal.shadow(SimulationConfig(risk=0.02))
    assert (filled.symbols, filled.step, filled.days_per_year) == (SYMBOLS, HOUR, 252)
    assert filled.closing == (True, False)
    assert filled.trading == SimulationConfig(risk=0.02, init_cash=1e4)
    assert filled.times == [BAR, BAR + HOUR]
    np.testing.assert_array_equal(filled.seen[0], booked.seen)
    for name in ("codes", "sizes", "distances", "still", "max_holding", "volatility"):
        for ours, theirs in zip(filled.rows, (booked.row, Row.nothing(2)), strict=True):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_a_close_is_booked_whole_or_not_at_all_and_only_once(tmp_path):
    with open_journal(tmp_path / "a.sqlite") as journal:
        journal.book(close(), SYMBOLS)
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            journal.book(close(), SYMBOLS)
        orders = close().state.orders * 2  # the last thing that is written fails
        state = State(equity=1.0, held={}, orders=orders)
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            journal.book(close(BAR + HOUR, state=state), SYMBOLS)
        assert journal.last == BAR
        assert len(journal.orders()) == 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("run", "two-5678", "its run is one-1234, this one's is two-5678"),
        ("strategy hash", "cd", "its strategy hash is ab, this one's is cd"),
        ("version", "9.9", "this one's is 9.9"),
        ("symbols", '["B/USDT"]', "its symbols is"),
        ("equity", "5.0", "its equity is 10000.0, this one's is 5.0"),
        ("kind", "rehearsal", "its kind is live, this one's is rehearsal"),
    ],
)
def test_a_journal_of_another_session_is_refused(tmp_path, name, value, said):
    with open_journal(tmp_path / "a.sqlite") as journal:
        journal.bind(FACTS | {name: value})  # nothing was decided by it yet
        journal.bind(FACTS)
        journal.book(close(), SYMBOLS)
        journal.bind(FACTS)
        with pytest.raises(DataError, match=f"{said}.*; give --journal another file"):
            journal.bind(FACTS | {name: value})


def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path):
    text, other, newer = (tmp_path / name for name in ("a.csv", "b.sqlite", "c.sqlite"))
    text.write_text("time,open\n" * 100)
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE closes (bar TEXT)")
    with open_journal(newer):
        pass
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("PRAGMA user_version = 7")
    for path, said in (
        (text, "is no journal of a live session .*not a database"),
        (other, "is no journal of a live session .*other tables"),
        (newer, "of format 7, this version writes 2"),
        (tmp_path / "none" / "a.sqlite", "is no folder; make it"),
        (tmp_path, "cannot be opened"),
    ):
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(DataError, match=said), open_journal(path):
            pass
        assert before is None or path.read_bytes() == before


def test_a_folder_without_room_or_rights_is_named(tmp_path):
    path = tmp_path / "a.sqlite"
    with open_journal(path) as journal:
        journal._connection.execute("PRAGMA max_page_count = 1")
        many = tuple(
            Order(bar=BAR, symbol="A/USDT", number=i, side="Sell", units=1, price=1, fee=0)
            for i in range(20_000)
        )
        with pytest.raises(DataError, match=r"full.*make room there"):
            journal.book(close(state=State(equity=1.0, held={}, orders=many)), SYMBOLS)
        assert journal.last is None


def test_two_sessions_on_one_journal_and_a_killed_one_frees_it(finished, tmp_path):
    path = tmp_path / "a.sqlite"
    command = ("live", finished.directory, "--rehearse", 190, "--journal", path, "--json")
    with start(*command) as process:
        wait_for(path.exists, process)
        process.stdout.readline()
        with pytest.raises(DataError, match=r"another live session writes .*; stop that one"):
            open_journal(path).__enter__()
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
    with open_journal(path) as journal:
        assert journal.last is not None


def test_ctrl_c_ends_with_130_a_whole_journal_and_how_to_go_on(finished, tmp_path):
    path = tmp_path / "a.sqlite"
    command = ("live", finished.directory, "--rehearse", 190, "--journal", path, "--json")
    with start(*command) as process:
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert '"event": "decision"' in first
    assert process.returncode == 130
    assert told.strip() == (
        "interrupted. What is booked stays; the same command goes on from there."
    )
    with open_journal(path) as journal:
        assert 0 < len(journal.equity()) < 190
