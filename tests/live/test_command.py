"""`convnext-vbt signal` as people and programs call it."""

import json
import signal

import pandas as pd
import pytest
from typer.testing import CliRunner

from convnext_vbt.cli.commands import app
from convnext_vbt.live.text import NOT_AN_ORDER
from convnext_vbt.runs import run as pipeline
from convnext_vbt.runs.config import load_config
from tests.live.test_refusals import frame_of
from tests.processes import start
from tests.strategies import write_tiny

PAST = ("--as-of", "2022-02-19T12:30")


def call(*args):
    result = CliRunner().invoke(app, ["signal", *(str(arg) for arg in args)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_decision_is_printed_for_people_and_for_programs(finished):
    text = call(finished.directory, *PAST, "--equity", 50_000, "--lot", 0.001, "--tick", 0.1)
    assert text.exit_code == 0
    assert text.stdout.startswith("SIM/USDT · bar of 2022-02-19 11:00 UTC, closed 12:00\n")
    assert text.stdout.rstrip().endswith(NOT_AN_ORDER)
    facts = json.loads(call(finished.directory, *PAST, "--json").stdout)
    (one,) = facts["decisions"]
    assert one["action"] in ("BUY", "SELL", "WAIT")
    assert one["prob_down"] + one["prob_stay"] + one["prob_up"] == pytest.approx(1)
    assert facts["difference"] < 1e-5
    held = json.loads(call(finished.directory, *PAST, "--position", "-0.2", "--json").stdout)
    assert held["decisions"][0]["step"].split()[0] in ("hold", "exit", "reverse")


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ((), 3, "give fresh bars with --data, or --as-of"),
        (("--as-of", "2022-01-10"), 3, "the backtest has no prediction at"),
        ((*PAST, "--data", "none.csv"), 3, "none.csv"),
        ((*PAST, "--data", "simulated:seed=5,bars=1200,symbol=X"), 3, "--symbol SIM/USDT"),
        ((*PAST, "--watch"), 2, "--watch looks at the clock"),
        ((*PAST, "--equity", "-5"), 2, "equity must be positive"),
        ((*PAST, "--tick", "0"), 2, "tick must be positive"),
        ((*PAST, "--position", "BTC=1"), 2, "the run trades SIM/USDT"),
    ],
)
def test_what_is_refused_is_one_line_and_an_exit_code(finished, args, code, message):
    result = call(finished.directory, *args)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_watch_ends_with_130_and_has_decided_before(tmp_path, bars):
    """Bars that end now, in a process of its own."""
    now = pd.Timestamp.now("UTC").floor("h")
    table = frame_of(bars).set_axis(pd.date_range(end=now, periods=len(bars), freq="h"))
    table.to_csv(tmp_path / "fresh.csv", index_label="timestamp")
    strategy = write_tiny(tmp_path)
    config = load_config(strategy, [f"data.source={tmp_path}/fresh.csv"])
    run = pipeline.run(config, out=tmp_path / "reports", jobs=1)
    with start("signal", run.directory, "--watch", "--json") as process:
        facts = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert pd.Timestamp(facts["bar"]) == now - pd.Timedelta(hours=1)
    assert "was not finished" in facts["notes"][0]
    assert process.returncode == 130
    assert told.strip() == "interrupted."
