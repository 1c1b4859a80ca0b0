"""The command that hears of decisions: what it is told, and that it stops nothing."""

import json
import logging
import sys
import time

import pytest

from convnext_vbt.errors import ConfigError, DataError
from convnext_vbt.live.journal import open_journal
from convnext_vbt.live.notify import notifier
from tests.live.test_running import rehearsed, teller


def script(tmp_path, text):
    path = tmp_path / "hook.py"
    path.write_text(text)
    return f"{sys.executable} '{path}'"


def test_it_hears_of_each_decision_in_one_line(finished, tmp_path):
    told = tmp_path / "told.jsonl"
    closes = rehearsed(finished, tmp_path / "a.sqlite", 5, notify=teller(tmp_path, told))
    events = [json.loads(line) for line in told.read_text().splitlines()]
    assert [event["bar"] for event in events] == [close.bar.isoformat() for close in closes]
    for event, close in zip(events, closes, strict=True):
        (one,), (said,) = event["decisions"], close.decisions.decisions
        assert (event["event"], event["late"]) == ("decision", False)
        assert (one["action"], one["units"]) == (said.action, said.units)
        assert event["shadow_equity"] == close.state.equity
        assert event["run"] == finished.directory.name


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit('no route')", "ended with 1: no route; going on"),
        ("import time; time.sleep(60)", "did not end within 0.5 s; going on"),
    ],
)
def test_what_fails_is_logged_and_stops_nothing(tmp_path, caplog, code, said):
    begun = time.monotonic()
    notifier(script(tmp_path, code), seconds=0.5)({"event": "decision"})
    assert time.monotonic() - begun < 10
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().endswith(said)


def test_a_command_that_is_not_there_is_logged_and_no_shell_reads_it(tmp_path, caplog):
    notifier("no-such-program --flag")({"event": "decision"})
    assert (
        caplog.records[-1]
        .getMessage()
        .endswith("no-such-program --flag cannot be run (No such file or directory); going on")
    )
    notifier(f"echo hello > {tmp_path}/made")({"event": "decision"})
    assert not (tmp_path / "made").exists()


def test_a_command_that_is_none_is_refused(finished, tmp_path):
    with pytest.raises(ConfigError, match=r"--notify 'tell \"' is no command line"):
        notifier('tell "')
    with pytest.raises(ConfigError, match="--notify needs a command"):
        rehearsed(finished, tmp_path / "a.sqlite", 5, notify=" ")


def heard_by(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_what_was_due_when_a_session_was_killed_is_told_at_its_next_start(finished, tmp_path):
    told, journal = tmp_path / "told.jsonl", tmp_path / "a.sqlite"
    rehearsed(finished, journal, 3, notify="no-such-program")  # as if killed before it was told
    with open_journal(journal) as book:
        assert [event["notice"] for event in book.due()] == [1, 2, 3]
    said = []
    with pytest.raises(DataError, match=r"are in .* already"):
        rehearsed(finished, journal, 3, notify=teller(tmp_path, told), say=said.append)
    events = heard_by(told)
    assert [(event["notice"], event["repeat"]) for event in events] == [
        (1, True), (2, True), (3, True)
    ]  # fmt: skip
    assert [event["at"] for event in events] == [event["decided_at"] for event in events]
    assert said[0] == "3 notification(s) may not have been heard: told again"
    with pytest.raises(DataError, match=r"are in .* already"):
        rehearsed(finished, journal, 3, notify=teller(tmp_path, told))
    assert len(heard_by(told)) == 3


def test_without_a_command_nothing_is_due_later(finished, tmp_path):
    rehearsed(finished, tmp_path / "a.sqlite", 3)
    with open_journal(tmp_path / "a.sqlite") as book:
        assert book.due() == []


def test_a_command_that_fails_has_heard_and_one_that_hangs_has_not(tmp_path):
    assert notifier(script(tmp_path, "raise SystemExit(3)"))({"event": "decision"})
    assert not notifier(script(tmp_path, "import time; time.sleep(60)"), seconds=0.3)({})
    assert notifier(None) is None
