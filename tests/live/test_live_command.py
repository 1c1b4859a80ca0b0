"""`convnext-vbt live` as people and programs call it."""

import json
import re
import shutil

import pytest
from typer.testing import CliRunner

from convnext_vbt.cli.commands import app
from convnext_vbt.live.text import NOT_AN_ORDER
from tests.live.test_refusals import frame_of


def call(*args):
    result = CliRunner().invoke(app, ["live", *(str(arg) for arg in args)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def begun(finished, tmp_path_factory):
    """A journal of a rehearsal of six closes."""
    path = tmp_path_factory.mktemp("begun") / "a.sqlite"
    assert call(finished.directory, "--rehearse", 6, "--journal", path).exit_code == 0
    return path


def test_every_close_is_printed_with_the_account_as_it_was_there(finished, tmp_path):
    page = tmp_path / "live.html"
    args = ("--rehearse", 6, "--journal", tmp_path / "a.sqlite", "--page", page)
    result = call(finished.directory, *args)
    assert (result.exit_code, result.stderr) == (0, f"page: {page}\n")
    assert page.exists()
    assert result.stdout.count("SIM/USDT · bar of ") == 6
    assert result.stdout.count(NOT_AN_ORDER) == 6
    assert "  shadow        equity 10,000.00\n" in result.stdout
    assert "agrees with the backtest" in result.stdout
    assert "filled " in result.stdout
    assert " since 2022-02-19 " in result.stdout


def test_programs_get_one_object_a_close(finished, tmp_path):
    args = ("--rehearse", 4, "--journal", tmp_path / "a.sqlite", "--equity", 500, "--json")
    events = [json.loads(line) for line in call(finished.directory, *args).stdout.splitlines()]
    assert [event["event"] for event in events] == ["decision"] * 4
    assert events[0]["shadow_equity"] == 500
    assert {"bar", "late", "decided_at", "decisions", "notes", "run"} <= events[0].keys()


def test_the_journal_lies_in_the_run_unless_told_otherwise(finished, tmp_path):
    run = tmp_path / finished.directory.name
    shutil.copytree(finished.directory, run)
    assert call(run, "--rehearse", 1).exit_code == 0
    assert (run / "rehearsal.sqlite").exists()
    assert not (run / "live.sqlite").exists()


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("--rehearse", 6), 3, "are in .* already; remove it, or give --journal another file"),
        (("--rehearse", 0), 2, "--rehearse 0: there are 1,200 closes; give a number from 1 to"),
        (("--rehearse", 900), 3, "all closes up to"),
        ((), 3, "its kind is rehearsal, this one's is live; give --journal another file"),
        (("--rehearse", 6, "--equity", 5), 3, "its equity is 10000.0, this one's is 5.0"),
        (("--rehearse", 6, "--equity", -5), 2, "equity must be positive"),
        (("--rehearse", 6, "--tick", 0), 2, "tick must be positive"),
        (("--rehearse", 6, "--fills", "none.csv"), 3, "none.csv is not there"),
        (("--rehearse", 6, "--notify", "'"), 2, "is no command line"),
        (("--rehearse", 6, "--data", "none.csv"), 3, "none.csv"),
    ],
)
def test_what_is_refused_is_one_line_and_an_exit_code(finished, begun, args, code, message):
    result = call(finished.directory, "--journal", begun, *args)
    assert (result.exit_code, result.stdout) == (code, "")
    assert len(result.stderr.splitlines()) == 1
    assert_matches(message, result.stderr)


def assert_matches(pattern, text):
    assert re.search(pattern, text), text


def test_a_session_that_begins_needs_a_fresh_bar_and_a_prediction(finished, tmp_path):
    path = tmp_path / "a.sqlite"
    stale = call(finished.directory, "--journal", path)
    assert (stale.exit_code, stale.stdout) == (3, "")
    assert "give fresh bars with --data" in stale.stderr
    early = call(finished.directory, "--journal", tmp_path / "b.sqlite", "--rehearse", 900)
    assert early.exit_code == 3
    assert "the backtest has no prediction at" in early.stderr


def test_bars_that_end_before_the_journal_are_refused(finished, begun, tmp_path, bars):
    frame_of(bars).iloc[:-2].to_csv(tmp_path / "short.csv", index_label="timestamp")
    args = ("--rehearse", 6, "--data", tmp_path / "short.csv", "--symbol", "SIM/USDT")
    result = call(finished.directory, "--journal", begun, *args)
    assert result.exit_code == 3
    assert_matches(r"has decided up to 2022-02-19 23:00 UTC, these bars end at", result.stderr)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    result = call(tmp_path, "--once")
    assert result.exit_code == 3
    assert "is not a run directory" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_journal_of_another_run_is_refused(finished, begun, tiny):
    result = call(tiny.directory, "--journal", begun, "--rehearse", 6)
    assert result.exit_code == 3
    assert_matches(r"its run is tiny-\w+, this one's is tiny-\w+; give", result.stderr)


def test_a_page_that_is_asked_for_is_written_though_nothing_is_due(finished, begun, tmp_path):
    page = tmp_path / "live.html"
    result = call(finished.directory, "--journal", begun, "--rehearse", 6, "--page", page)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"page: {page}\nerror: all closes up to")
    assert page.exists()
    nowhere = tmp_path / "none" / "live.html"
    result = call(finished.directory, "--journal", begun, "--rehearse", 6, "--page", nowhere)
    assert result.stderr.startswith(f"{nowhere} is not written: ")
