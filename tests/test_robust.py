"""What goes wrong around a run: killed, interrupted, crowded out, cut short, hostile."""

import ast
import errno
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

import convnext_vbt as cv
from convnext_vbt.cli.commands import app
from convnext_vbt.errors import WriteError
from convnext_vbt.runs.directory import run_log, sole_owner
from tests.processes import ROOT, start, wait_for
from tests.strategies import write_tiny

LONGER = ["--set", "training.steps=60", "--set", "training.patience=60"]
pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")


def call(*args):
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def run_tiny(home, out, *more):
    return call("run", home / "tiny.toml", "--out", out, "--jobs", 1, "--quiet", *more)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the strategy file."""
    folder = tmp_path_factory.mktemp("robust")
    write_tiny(folder)
    return folder


@pytest.fixture(scope="module")
def whole(home, tiny):
    """A finished run that nothing happened to."""
    shutil.copytree(tiny.directory.parent, home / "whole")
    return next((home / "whole").glob("tiny-*"))


@pytest.fixture
def copy(whole, tmp_path):
    (tmp_path / "out").mkdir()
    return Path(shutil.copytree(whole, tmp_path / "out" / whole.name))


def content(directory):
    return {p: p.read_bytes() for p in directory.rglob("*") if p.is_file() and p.name != "run.log"}


def flip(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0x01
    path.write_bytes(raw)


@pytest.mark.slow
def test_a_full_disk_is_named_and_leaves_nothing_half_written(home, whole, tmp_path, monkeypatch):
    """The writes fail one after the other: the first, a split's first and last file, the end's."""
    real, left = os.fsync, [0]

    def fsync(descriptor):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    for writes, last in ((0, "config.toml"), (4, "000.safetensors"), (8, "000.json")):
        left[0] = writes
        result = run_tiny(home, tmp_path)
        assert result.exit_code == 3, result.output
        assert f"{last} cannot be written (No space left on device); make room" in result.stderr
        assert "what is finished is kept" in result.stderr
        assert not list(tmp_path.rglob("*.tmp"))
        assert not list(tmp_path.rglob(last))
    monkeypatch.undo()
    assert run_tiny(home, tmp_path).exit_code == 0
    (again,) = tmp_path.glob("tiny-*")
    assert (again / "report.html").read_bytes() == (whole / "report.html").read_bytes()


@pytest.mark.slow
def test_a_disk_that_is_full_at_any_write_is_recovered_from(home, whole, tmp_path, monkeypatch):
    real, left = os.fsync, [0]

    def fsync(descriptor):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    for writes in range(200):
        out = tmp_path / str(writes)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            left[0] = writes
            result = run_tiny(home, out)
        if result.exit_code == 0:
            break
        assert result.exit_code == 3, (writes, result.output)
        assert re.search(r"(error|warning): .* cannot be written", result.stderr), writes
        assert not list(out.rglob("*.tmp"))
        assert run_tiny(home, out).exit_code == 0
        (again,) = out.glob("tiny-*")
        for name in ("predictions.parquet", "report.html", "metrics.json", "manifest.json"):
            assert (again / name).read_bytes() == (whole / name).read_bytes(), (writes, name)
        assert (out / "ledger.jsonl").read_bytes() == (home / "whole/ledger.jsonl").read_bytes()
    assert 60 < writes < 150


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a disk")
def test_a_small_disk_that_fills_up_is_recovered_from(home, whole, tmp_path):
    codes = []
    for kilobytes in (16, 100, 180, 300, 600, 1_200, 2_400, 8_000):
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", tmp_path], check=False
        )
        if mounted.returncode:
            pytest.skip("no right to mount")
        try:
            result = run_tiny(home, tmp_path)
            codes.append(result.exit_code)
            if result.exit_code:
                assert "No space left on device" in result.stderr
                assert not list(tmp_path.rglob("*.tmp"))
                grow = ["mount", "-o", "remount,size=32m", tmp_path]
                subprocess.run(grow, check=True)
                assert run_tiny(home, tmp_path).exit_code == 0
            (again,) = tmp_path.glob("tiny-*")
            assert (again / "report.html").read_bytes() == (whole / "report.html").read_bytes()
        finally:
            subprocess.run(["umount", tmp_path], check=True)
    assert codes[0] == 3
    assert set(codes) == {0, 3}


@pytest.mark.parametrize(
    "name", ["metrics.json", pytest.param("manifest.json", marks=pytest.mark.slow)]
)
def test_one_flipped_bit_is_named_and_mended(home, whole, copy, name):
    flip(copy / name)
    before = content(copy)
    shut = call("gate", copy, "--min-dsr", 0)
    assert shut.exit_code == 3
    assert f"{name} is damaged" in shut.stderr
    assert name in call("runs", "--out", copy.parent).stderr  # the others would still be listed
    assert content(copy) == before
    if name == "manifest.json":
        assert "is damaged" in run_tiny(home, copy.parent).stderr
    else:
        assert call("report", copy).exit_code == 0
    assert (copy / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "digits", "others", "told"),
    [
        ("manifest.json", '"bars": 1200,', '"bars": 1100,', "its contents do not match their"),
        ("metrics.json", '\n  "cells": 4,', '\n  "cells": 5,', "it does not match its hash"),
    ],
)
def test_one_changed_digit_is_told_though_it_is_still_json(copy, name, digits, others, told):
    text = (copy / name).read_text()
    assert text.count(digits) == 1
    (copy / name).write_text(text.replace(digits, others))
    shut = call("gate", copy, "--min-dsr", 0)
    assert shut.exit_code == 3
    assert f"{name} is damaged" in shut.stderr
    assert told in shut.stderr


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (0, "an older version of convnext-vbt (format 0, this version writes 1)"),
        (1, "an older version of convnext-vbt (its manifest carries no digest)"),
        (99, "a newer version of convnext-vbt (format 99, this version writes 1)"),
    ],
)
def test_a_run_of_another_format_is_told_by_every_command(home, copy, form, told):
    manifest = json.loads((copy / "manifest.json").read_text()) | {"format": form}
    manifest.pop("digest")
    (copy / "manifest.json").write_text(json.dumps(manifest))
    before = content(copy)
    commands = [("report", copy), ("sweep", copy, "--risk", "0.02"), ("gate", copy)]
    for result in (*(call(*each) for each in commands), run_tiny(home, copy.parent)):
        assert result.exit_code == 3
        assert f"was written by {told}; move it away" in result.stderr
        assert result.stderr.count("\n") == 1
    assert told in call("runs", "--out", copy.parent).stderr
    assert content(copy) == before


def test_two_runs_at_once_do_not_mix(home, copy):
    before = content(copy)
    with sole_owner(copy):
        for result in (run_tiny(home, copy.parent), call("report", copy)):
            assert result.exit_code == 3
            assert "another process is working on" in result.stderr
            assert "give --out another folder" in result.stderr
    assert content(copy) == before


@pytest.mark.slow
def test_a_run_after_another_process_finds_the_lock_given_back(home, copy):
    with sole_owner(copy):
        assert run_tiny(home, copy.parent).exit_code == 3
    (copy / "splits/.000.json.123-4.tmp").write_text("{")
    assert run_tiny(home, copy.parent).exit_code == 0
    assert not list(copy.rglob("*.tmp"))


def test_an_output_folder_that_is_none_is_told(home, whole, tmp_path):
    (tmp_path / "file").write_text("")
    result = run_tiny(home, tmp_path / "file")
    assert result.exit_code == 3
    assert "cannot be made (Not a directory); give --out a folder you may write to" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_a_folder_of_somebody_else_is_told(home, whole, copy):
    temporary = Path(tempfile.gettempdir())
    for folder in (*Path(copy).parents, *copy.rglob("*"), home, home / "tiny.toml"):
        if temporary in folder.parents:
            folder.chmod(0o755 if folder.is_dir() else 0o644)
    before = content(copy)
    os.seteuid(65534)
    try:
        new = run_tiny(home, copy.parent / "new")
        there = run_tiny(home, copy.parent)
        read = [call("runs", "--out", copy.parent), call("gate", copy, "--min-dsr", 0)]
    finally:
        os.seteuid(0)
    assert (new.exit_code, there.exit_code) == (3, 3)
    assert [each.exit_code for each in read] == [0, 5]  # read, and the gate is shut
    assert "cannot be made (Permission denied); give --out" in new.stderr
    assert "run.log cannot be written (Permission denied)" in there.stderr
    assert content(copy) == before


@pytest.mark.slow
def test_hostile_symbol_names_are_only_text(home, tmp_path):
    names = ["<script>alert(1)</script>", "../../etc/passwd", "x" * 60, "a\\b:c|d?*"]
    bars = cv.load_bars("simulated:seed=5,bars=1200")
    frame = bars.frame("close").rename_axis("timestamp").reset_index()
    for field in ("open", "high", "low", "volume"):
        frame[field] = getattr(bars, field)[:, 0]
    frame = frame.rename(columns={"SIM/USDT": "close"})
    for number, name in enumerate(names):
        path = tmp_path / f"{number}.csv"
        frame.assign(symbol=name).to_csv(path, index=False)
        if number:  # reading is enough for the rest
            assert cv.load_bars(str(path)).symbols == (name,)
    done = run_tiny(home, tmp_path / "out", "--set", f"data.source={tmp_path}/0.csv", "--json")
    assert done.exit_code == 0, done.output
    page = (Path(json.loads(done.stdout)["directory"]) / "report.html").read_text()
    assert "<script>alert(1)" not in page
    made = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert not [name for name in made if "alert" in name or "passwd" in name]
    frame.assign(symbol="y" * 300).to_csv(tmp_path / "long.csv", index=False)
    told = call("check", tmp_path / "long.csv")
    assert told.exit_code == 3
    assert "a symbol's name has 1 to" in told.stderr


def dotted(node):
    """`a.b.c` of such an expression; of another one the names that follow it."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def test_nothing_unpickles_or_evaluates():
    forbidden = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
    calls = {"eval", "exec", "compile", "__import__", "read_pickle", "unsafe_load"}
    found = []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found += [n.name for n in node.names if n.name.split(".")[0] in forbidden]
            elif isinstance(node, ast.ImportFrom):
                found += [node.module] if (node.module or "").split(".")[0] in forbidden else []
            elif isinstance(node, ast.Call):
                name = dotted(node.func)
                loads = name in ("torch.load", "joblib.load", "yaml.load")
                pickles = any(
                    k.arg == "allow_pickle" and getattr(k.value, "value", None) is True
                    for k in node.keywords
                )
                evaluates = name in calls or name.split(".")[-1] == "read_pickle"
                if loads or pickles or evaluates:
                    found.append(f"{path.name}: {name}")
    assert found == []


def test_the_log_says_what_support_needs(home, whole, copy):
    (copy / "splits/001.parquet").write_bytes(b"")
    assert run_tiny(home, copy.parent).exit_code == 0
    log = (copy / "run.log").read_text()
    for said in (
        "INFO ---- ", f"INFO run: {whole.name}", "INFO config: ", "SHA-256 ", "INFO device: cpu",
        "INFO cores: ", "INFO python: 3.", "INFO torch: ", "INFO platform: ",
        "convnext split 1 trained in ", "convnext split 1 from cache in ",
        "001.json is damaged (001.parquet does not match its hash); split 2 is computed again",
        "convnext split 2 trained in ", "INFO done",
    ):  # fmt: skip
        assert said in log, said
    assert log.count("INFO ---- ") == 2  # appended when it goes on


@pytest.mark.slow
def test_the_log_says_why_splits_that_are_there_are_not_taken(home, copy):
    changed = ["--set", "training.lr=0.002"]
    renamed = copy.with_name(copy.name[:-8] + json.loads(call(
        "run", home / "tiny.toml", "--out", copy.parent, "--dry-run", "--json", *changed
    ).stdout)["directory"][-8:])  # fmt: skip
    shutil.copytree(copy / "splits", renamed / "splits")
    assert run_tiny(home, copy.parent, *changed).exit_code == 0
    assert "000.json is of another training" in (renamed / "run.log").read_text()


def test_a_crash_leaves_its_traceback_and_no_secret_in_the_log(tmp_path):
    with pytest.raises(ZeroDivisionError), run_log(tmp_path, {"data": "https://me:word@host/x"}):
        _ = 1 / 0
    log = (tmp_path / "run.log").read_text()
    assert "ZeroDivisionError: division by zero" in log
    assert "test_robust.py" in log
    assert "https://***@host/x" in log
    assert "word" not in log


def test_a_full_disk_stops_the_log_and_not_the_run(tmp_path, caplog):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    (tmp_path / "run.log").symlink_to("/dev/full")
    with run_log(tmp_path, {}):
        logging.getLogger("convnext_vbt").info("more")
    assert caplog.text.count("no more is written to it") == 1


def test_a_write_error_keeps_its_number_and_survives_a_process(tmp_path):
    told = WriteError.of(tmp_path / "a", OSError(errno.ENOSPC, "full"))
    assert told.errno == errno.ENOSPC
    assert str(told).startswith(f"{tmp_path}/a cannot be written (full); make room")


@pytest.mark.slow
def test_twenty_killed_runs_go_on_bit_identically(tmp_path):
    command = [sys.executable, "-W", "ignore", "-m", "tests.chaos", str(tmp_path), "20"]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    kills = [json.loads(line) for line in out.splitlines()]
    assert len(kills) == 20
    assert all(kill["same"] for kill in kills), out
    assert sum(kill["killed"] for kill in kills) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("command", ["sweep", "report", "run"])
def test_an_interrupt_exits_with_130_and_says_how_to_go_on(home, whole, copy, command):
    before = content(copy / "splits")
    if command == "run":
        out = copy.parent / "interrupted"
        words = ("run", home / "tiny.toml", "--out", out, "--jobs", 2, *LONGER)

        def begun():
            return list(out.glob("*/splits/*.json"))
    else:
        more = ("--risk", "0.003,0.004") if command == "sweep" else ()
        lines = (copy / "run.log").read_text()
        words = (command, copy, *more)

        def begun():
            return any(p.read_text() != lines for p in copy.parent.glob("*/run.log"))

    with start(*words) as running:
        wait_for(begun, running)
        os.killpg(running.pid, signal.SIGINT)
        _, stderr = running.communicate(timeout=600)
    assert running.returncode == 130, stderr
    assert "interrupted. " in stderr
    assert "run the same command" in stderr
    assert "Traceback" not in stderr
    assert content(copy / "splits") == before
    assert call("report", copy).exit_code == 0
    assert (copy / "report.html").read_bytes() == (whole / "report.html").read_bytes()


@pytest.mark.slow
def test_two_processes_of_one_strategy_one_works_and_one_is_told(home, whole, tmp_path):
    with start("run", home / "tiny.toml", "--out", tmp_path, "--jobs", 1, *LONGER) as first:
        wait_for(lambda: list(tmp_path.glob("*/run.log")), first)
        os.killpg(first.pid, signal.SIGSTOP)
        second = run_tiny(home, tmp_path, *LONGER)
        os.killpg(first.pid, signal.SIGCONT)
        first.communicate(timeout=600)
    assert second.exit_code == 3
    assert "another process is working on" in second.stderr
    assert first.returncode == 0


CLUSTER = """
import os, signal, sys, threading, time
from pathlib import Path

import psutil

from convnext_vbt.runs import run as pipeline
from convnext_vbt.cli.cluster import workers
from convnext_vbt.runs.config import load_config

if __name__ == "__main__":
    backend, strategy, out = sys.argv[1], *map(Path, sys.argv[2:])

    with workers(backend, jobs=2):
        pids = []
        if backend == "dask":
            import distributed

            pids = list(distributed.get_client().run(os.getpid).values())

        def kill():
            while not list(out.glob("*/splits/*.json")):
                time.sleep(0.002)
            if backend == "ray":
                below = psutil.Process().children(recursive=True)
                pids[:] = [one.pid for one in below if one.name().startswith("ray::PoolActor")]
            os.kill(pids[0], signal.SIGKILL)
            print("killed", pids[0])

        thread = threading.Thread(target=kill)
        thread.start()
        config = load_config(strategy, ["training.steps=60", "training.patience=60"])
        pipeline.run(config, out=out)
        thread.join()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "library"), [("dask", "distributed"), ("ray", "ray")])
def test_a_worker_that_is_killed_in_mid_split_changes_no_bit(
    home, whole, tmp_path, backend, library
):
    pytest.importorskip(library, reason=f"{library} is not installed")
    (tmp_path / "cluster.py").write_text(CLUSTER)
    command = [sys.executable, "-W", "ignore", tmp_path / "cluster.py"]
    done = subprocess.run(
        [*command, backend, home / "tiny.toml", tmp_path / "out"],
        capture_output=True, text=True, cwd=ROOT, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("killed ")
    assert run_tiny(home, tmp_path / "here", *LONGER).exit_code == 0
    (there,), (here,) = (tmp_path / "out").glob("tiny-*"), (tmp_path / "here").glob("tiny-*")
    for name in ("predictions.parquet", "report.html", "sweep.parquet"):
        assert (there / name).read_bytes() == (here / name).read_bytes(), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backend", "spark"], "choose one of processes, dask, ray"),
        (["--cluster", "tcp://x:1"], "add --backend dask or ray"),
    ],
)
def test_a_backend_that_is_none_is_told(home, whole, options, message):
    result = run_tiny(home, home / "whole", *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_table_of_facts_for_support():
    table = call("doctor").stdout
    for name in ("python", "torch", "vectorbt engine", "device", "cores", "threads", "free disk"):
        assert re.search(rf"^{name} +\S", table, re.MULTILINE), name
    assert re.search(r"^numba cache .*\(\d+ kernels, (NOT )?writable", table, re.MULTILINE)
    facts = json.loads(call("doctor", "--json").stdout)
    assert facts["free disk"]["bytes"] > 0
    assert set(facts["numba cache"]) == {"folder", "writable", "kernels"}
