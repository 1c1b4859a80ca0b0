import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from convnext_vbt.cli.commands import app
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.runs.directory import read_manifest, read_metrics
from convnext_vbt.storage import sha256_file, write_json, write_sealed
from tests.processes import start, wait_for
from tests.strategies import write_tiny


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


def call(*args):
    """Run a command in this process; exceptions that are not exits fail the test."""
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def run(home):
    strategy = write_tiny(home)
    result = call("run", strategy, "--out", home / "reports", "--jobs", 1)
    assert result.exit_code == 0, result.output
    return result, next((home / "reports").glob("tiny-*"))  # not the ledger


def test_a_run_prints_results_on_stdout_and_one_line_a_split_on_stderr(run):
    result, directory = run
    line = r"^split \d \((\d)/3\) .*out-of-fold loss \d\.\d+ \(base rates"
    assert re.findall(line, result.stderr, re.MULTILINE) == list("123")
    assert "\r" not in result.stderr
    assert str(directory / "report.html") in result.stdout.replace("\n", "")
    assert "in hindsight" in result.stdout
    assert "split" not in result.stdout.splitlines()[0]
    metrics = json.loads((directory / "metrics.json").read_text())
    low, high = (metrics["headline"][name] for name in ("sharpe_low", "sharpe_high"))
    assert re.search(rf"90 % CI +{low:.2f} to {high:.2f}", result.stdout)
    reasons = [f"  {'+' if r['ok'] else '-'} {r['text']}" for r in metrics["verdict"]["reasons"]]
    notes = [f"  ! {note}" for note in metrics["notes"]]
    direction = metrics["direction"]
    assert metrics["notes"] == [f"{direction['sentence']}."] * direction["is_false"]
    word = f"verdict: {metrics['verdict']['word']}"
    last = [word, *reasons, *notes, f"report: {directory}/report.html"]
    assert result.stdout.splitlines()[-len(last) :] == last


def test_a_dry_run_says_what_would_be_done(home, run):
    result = call("run", home / "tiny.toml", "--out", home / "reports", "--dry-run")
    assert "3 splits (3 finished)" in result.stdout
    assert f"would write {run[1]}" in result.stdout.replace("\n", "")
    plan = json.loads(call("run", home / "tiny.toml", "--dry-run", "--json").stdout)
    assert plan["cells"] == 4


def test_sweep_report_and_runs_work_on_a_finished_run(home, run):
    swept = call(
        "sweep", run[1], "--threshold", "q0.10,q0.60", "--risk", "0.01:0.03:0.01", "--json"
    )
    assert json.loads(swept.stdout)["cells"] == 3 * 3
    page = run[1] / "report.html"
    page.unlink()
    assert call("report", run[1]).stdout.strip() == str(page)
    assert page.is_file()
    assert {
        entry["cells"]
        for entry in json.loads(call("runs", "--out", home / "reports", "--json").stdout)
    } == {4, 9}
    listed = call("runs", "--out", home / "reports").stdout
    assert "SIM/USDT 1h" in listed
    assert f"reports: {home / 'reports'}/<run>/report.html" in listed
    entries = json.loads(call("runs", "--out", home / "reports", "--json").stdout)
    assert all(Path(entry["report"]).is_file() for entry in entries)
    assert "no runs in" in call("runs", "--out", home / "none").stdout


def test_init_writes_a_strategy_once(tmp_path):
    path = tmp_path / "mine.toml"
    assert call("init", path).exit_code == 0
    text = path.read_text()
    again = call("init", path)
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    assert path.read_text() == text
    assert call("run", path, "--dry-run", "--out", tmp_path).exit_code == 0


def test_check_lists_what_was_changed_and_strict_refuses_it(tmp_path):
    bars = simulated_bars(bars=300)
    lines = ["Date,Open,High,Low,Close,Volume BTC,note"]
    values = zip(bars.index[::-1], *(getattr(bars, f)[::-1, 0] for f in FIELDS), strict=True)
    lines += [",".join(map(str, (*row, "x"))) for row in values]
    path = tmp_path / "newest_first.csv"
    path.write_text("\n".join(lines))
    out = call("check", path).stdout
    assert "  read: times from the column Date; volume from Volume BTC\n" in out
    assert "  changed: 1 column(s) ignored: note\n" in out
    assert "  changed: 300 rows turned round: the newest came first\n" in out
    facts = json.loads(call("check", path, "--json").stdout)
    assert facts["changes"][1] == {"count": 300, "what": "rows turned round: the newest came first"}
    for command in (["check", path], ["run", write_tiny(tmp_path), "--set", f"data.source={path}"]):
        refused = call(*command, "--strict")
        assert refused.exit_code == 3
        assert "strict reading changes nothing, and this file needs it: 1 column" in refused.stderr


def test_check_tells_of_each_symbol_and_its_gaps(tmp_path):
    frame = bars_frame()
    late = frame.iloc[200:].drop(frame.index[[300, 400, 402, 404, 406, 408, 410, 411]])
    table = pd.concat({"A/USDT": frame, "B/USDT": late}, names=["symbol", "timestamp"])
    table.to_csv(tmp_path / "two.csv")
    lines = call("check", tmp_path / "two.csv").stdout.splitlines()
    assert lines[0].startswith(
        "A/USDT: 600 bars 1h UTC · 2022-01-01 00:00 to 2022-01-25 23:00 · 0 g"
    )
    assert lines[1].startswith(
        "B/USDT: 392 bars 1h UTC · 2022-01-09 08:00 to 2022-01-25 23:00 · 7 g"
    )
    assert [line for line in lines if line.startswith(("  gap", "  and"))] == [
        "  gap 2022-01-18 02:00 to 2022-01-18 03:00 (B/USDT, 2 bars)",
        "  gap 2022-01-13 12:00 to 2022-01-13 12:00 (B/USDT, 1 bar)",
        "  gap 2022-01-17 16:00 to 2022-01-17 16:00 (B/USDT, 1 bar)",
        "  gap 2022-01-17 18:00 to 2022-01-17 18:00 (B/USDT, 1 bar)",
        "  gap 2022-01-17 20:00 to 2022-01-17 20:00 (B/USDT, 1 bar)",
        "  and 2 more, none longer",
    ]


def test_check_tells_of_spikes_and_keeps_them(tmp_path):
    frame = bars_frame()
    for k, factor in enumerate((1.7, 1.6, 1.8, 3.0, 1.7, 1.6)):
        frame.loc[frame.index[300 + 10 * k], "high"] *= factor
    frame.to_csv(tmp_path / "A.csv", index_label="timestamp")
    lines = call("check", tmp_path / "A.csv").stdout.splitlines()
    spikes = [line for line in lines if line.startswith(("  spike", "  and"))]
    assert re.fullmatch(
        r"  spike 2022-01-14 18:00 \(\+(19|20)\d\.\d% and back, \d+ usual ranges\): a bad tick or "
        "a crash, kept as it is",
        spikes[0],
    )
    assert spikes[5:] == ["  and 1 more, none larger"]
    assert json.loads(call("check", tmp_path / "A.csv", "--json").stdout)["spikes"] == 6


def test_a_reader_that_leaves_is_no_error(monkeypatch, capfd):
    def leave(facts):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("convnext_vbt.cli.terminal.print_bars", leave)
    result = call("check", "simulated:bars=1200")
    assert result.exit_code == 1
    assert "error" not in result.stderr


def bars_frame():
    bars = simulated_bars(bars=600)
    return pd.concat([bars.frame(name).iloc[:, 0] for name in FIELDS], axis=1, keys=FIELDS)


def test_check_and_doctor(tmp_path):
    line = call("check", "simulated:seed=5,bars=1200").stdout
    assert re.search(r"SIM/USDT: 1,200 bars 1h UTC .* 0 gaps \(0 bars\) .* labels DOWN \d+%", line)
    assert json.loads(call("check", "sp500", "--json").stdout)["step"] == "1d"
    assert "torch" in call("doctor").stdout
    assert "vectorbt" in json.loads(call("doctor", "--json").stdout)


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ("splits.emabrgo=3", 2, 'unknown key "emabrgo". Did you mean "embargo"?'),
        ("splits.train=1190", 2, "splits.train"),
        ("features.file=none.py:f", 2, "no such file"),
        ("data.source=none.csv", 3, "none.csv"),
        ("data.source=simulated:sede=1", 3, "sede"),
        ("labels.horizon=400", 2, "splits"),
    ],
)
def test_errors_are_one_line_with_the_right_exit_code(home, change, code, message):
    result = call("run", write_tiny(home), "--out", home / "errors", "--set", change, "--jobs", 1)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    assert result.stdout == ""


def test_a_directory_that_is_no_run_is_told(tmp_path):
    result = call("report", tmp_path)
    assert result.exit_code == 3
    assert "is not a run directory" in result.stderr


def test_a_failed_split_exits_with_4_and_quiet_is_quiet_when_it_goes_on(home, run, tmp_path):
    copy = tmp_path / "reports" / run[1].name
    shutil.copytree(run[1], copy)
    (copy / "splits/001.json").unlink()
    (copy / "splits/001.parquet").unlink()
    (copy / "splits/001.parquet").mkdir()  # cannot be written over
    result = call("run", home / "tiny.toml", "--out", tmp_path / "reports", "--jobs", 1)
    assert result.exit_code == 4, result.output
    assert "1 of 3 splits failed (split 2" in result.stderr
    assert "run the same command to go on" in result.stderr
    (copy / "splits/001.parquet").rmdir()
    words = ("run", home / "tiny.toml", "--out", tmp_path / "reports", "--jobs", 1)
    again = call(*words, "--quiet", "--json")
    assert again.exit_code == 0
    assert again.stderr == ""
    facts = json.loads(again.stdout)
    assert facts["directory"] == str(copy)
    assert facts["cells"] == 4
    last = (copy / "run.log").read_text().rpartition("INFO ---- ")[2]
    assert re.findall(r"convnext split (\d) from cache in ", last) == ["1", "3"]
    assert "convnext split 2 trained in " in last


def test_help_does_not_import_the_heavy_packages():
    code = (
        "import sys, convnext_vbt.cli.commands; "
        "heavy = {'torch', 'vectorbt', 'pandas', 'numpy', 'numba', 'plotly', 'rich'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def start_run(home, out, *args):
    return start("run", home / "tiny.toml", "--out", out, "--jobs", 1, *args)


def wait_for_splits(process, out, count):
    wait_for(lambda: len(list(out.glob("*/splits/*.json"))) >= count, process)


SLOW = ["--set", "training.steps=60", "--set", "training.patience=60"]


@pytest.mark.slow
def test_a_killed_and_an_interrupted_run_go_on_and_give_bit_identical_files(home, tmp_path):
    write_tiny(home)
    whole = call("run", home / "tiny.toml", "--out", home / "whole", "--jobs", 1, *SLOW)
    assert whole.exit_code == 0, whole.output
    with start_run(home, tmp_path, *SLOW) as killed:
        wait_for_splits(killed, tmp_path, 1)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate(timeout=600)
    assert killed.returncode == -signal.SIGKILL
    first = len(list(tmp_path.glob("*/splits/*.json")))
    assert 1 <= first < 3
    with start_run(home, tmp_path, *SLOW) as interrupted:
        wait_for_splits(interrupted, tmp_path, first + 1)
        os.killpg(interrupted.pid, signal.SIGINT)
        _, stderr = interrupted.communicate(timeout=600)
    assert interrupted.returncode == 130
    assert "run the same command to go on" in stderr
    done = len(list(tmp_path.glob("*/splits/*.json")))
    assert done > first
    resumed = call("run", home / "tiny.toml", "--out", tmp_path, "--jobs", 1, *SLOW)
    assert resumed.exit_code == 0, resumed.output
    assert resumed.stderr.count("from cache") == done
    (one,), (other,) = home.glob("whole/tiny-*"), tmp_path.glob("tiny-*")
    for name in ("predictions.parquet", "report.html", "sweep.parquet", "orders.parquet"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_run_directory_of_other_data_is_left_alone(home, run, tmp_path):
    copy = tmp_path / "reports" / run[1].name
    shutil.copytree(run[1], copy)
    manifest = read_manifest(copy)
    manifest["data"]["fingerprint"] = "0" * 64
    write_sealed(copy / "manifest.json", manifest)
    before = {path.name: path.read_bytes() for path in copy.glob("*.*") if path.name != "run.log"}
    result = call("run", home / "tiny.toml", "--out", tmp_path / "reports", "--jobs", 1)
    assert result.exit_code == 3
    assert "was made from other data" in result.stderr
    assert {p.name: p.read_bytes() for p in copy.glob("*.*") if p.name != "run.log"} == before


def judged(run, folder, word, dsr):
    """A copy of the run whose headline and verdict are these."""
    shutil.copytree(run, folder)
    metrics = read_metrics(folder)
    metrics["headline"]["dsr"], metrics["verdict"]["word"] = dsr, word
    write_json(folder / "metrics.json", metrics)
    sha256 = sha256_file(folder / "metrics.json")
    manifest = read_manifest(folder) | {"metrics_sha256": sha256}
    write_sealed(folder / "manifest.json", manifest)
    return folder


@pytest.mark.parametrize(
    ("word", "dsr", "plain", "lenient"),
    [
        ("PASS", 0.97, 0, 0),
        ("INCONCLUSIVE", 0.97, 5, 0),
        ("INCONCLUSIVE", 0.8, 5, 5),
        ("INCONCLUSIVE", None, 5, 5),
        ("FAIL", 0.97, 5, 5),
        ("PASS", 0.8, 0, 5),
    ],
)
def test_a_gate_needs_a_pass_unless_told_what_is_enough(run, tmp_path, word, dsr, plain, lenient):
    folder = judged(run[1], tmp_path / "judged", word, dsr)
    result = call("gate", folder)
    assert result.exit_code == plain
    assert result.stdout.startswith(f"{'NOT met' if plain else 'met'}: verdict {word}, deflated")
    enough = call("gate", folder, "--min-dsr", 0.9, "--json")
    assert enough.exit_code == lenient
    facts = {"met": lenient == 0, "dsr": dsr, "min_dsr": 0.9, "verdict": word}
    assert json.loads(enough.stdout) == facts


def test_a_gate_on_something_else_is_told(tmp_path):
    result = call("gate", tmp_path)
    assert result.exit_code == 3
    assert "is not a finished run" in result.stderr


def test_check_takes_the_clock_and_the_stamp(tmp_path):
    hours = pd.date_range("2026-01-12 10:00", periods=60, freq="h").strftime("%Y-%m-%d %H:%M")
    lines = [f"{hour},{10 + n},{12 + n},{9 + n},{11 + n},{n + 1}" for n, hour in enumerate(hours)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["time,open,high,low,close,volume", *lines]))
    assert "times: UTC, stamped at the bar's open (assumed)" in call("check", path).stdout
    said = call("check", path, "--timezone", "Asia/Tokyo", "--stamp", "close", "--strict")
    assert "times: Asia/Tokyo, stamped at the bar's close (said by the user)" in said.stdout
    assert "2026-01-12 00:00 to" in said.stdout
    assert call("check", path, "--timezone", "Nowhere").exit_code == 2
    assert call("check", path, "--strict").exit_code == 3
