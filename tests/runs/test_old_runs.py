"""Runs that version 0.1.0 wrote stay readable: two of the tiny strategy lie in `data`.

Their networks are of another make, so they decide nothing live.

The second was swept from the first with another risk, so they share their predictions.
"""

import json
import zipfile
from pathlib import Path

import pytest

from convnext_vbt.evidence.ledger import DataSet, count_trials
from convnext_vbt.runs.bars import read_bars
from convnext_vbt.runs.config import load_config
from tests.cli.test_commands import call

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")

ARCHIVE = Path(__file__).parent / "data" / "runs_of_0.1.0.zip"
FIRST, SECOND = "tiny-7da6320f", "tiny-57e7e559"


@pytest.fixture
def old(tmp_path):
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def answer(*words):
    return json.loads(call(*words, "--json").stdout)


def test_old_runs_are_listed_with_what_they_came_to(old):
    runs = answer("runs", "--out", old)
    assert [(run["run"], run["trades"], run["verdict"]) for run in runs] == [
        (SECOND, 100, "FAIL"),
        (FIRST, 100, "FAIL"),
    ]
    assert [run["sharpe"] for run in runs] == pytest.approx([-9.125620738] * 2)


def test_the_network_of_an_old_run_decides_no_longer(old):
    refused = call("signal", old / FIRST, "--as-of", "2022-02-18T05:00")
    assert refused.exit_code == 3
    assert "run the strategy again" in refused.stderr


def test_an_old_runs_own_file_is_run_as_the_same_strategy(old):
    before = json.loads((old / FIRST / "manifest.json").read_text())
    told = answer("run", old / FIRST / "config.toml", "--out", old, "--dry-run")
    assert told["cells"] == before["cells"]
    assert Path(told["directory"]).name != FIRST  # its network is of another make


def test_old_runs_are_compared(old):
    found = answer("compare", old / FIRST, old / SECOND, "--page", old / "page.html")
    assert (old / "page.html").is_file()
    assert "tiny-57e7e559" in json.dumps(found)


def test_an_old_run_is_reported_anew_and_its_trials_stay(old):
    config = load_config(old / SECOND / "config.toml")
    trials = count_trials(old / "ledger.jsonl", DataSet.of(read_bars(config)))
    assert (trials.num_runs, trials.num_rules) == (1, 6)
    before = json.loads((old / SECOND / "metrics.json").read_text())
    call("report", old / SECOND)
    assert (old / SECOND / "report.html").is_file()
    after = json.loads((old / SECOND / "metrics.json").read_text())
    assert after["trials"] == before["trials"]
    assert after["headline"]["sharpe"] == pytest.approx(before["headline"]["sharpe"])
    assert set(before) <= set(after)
