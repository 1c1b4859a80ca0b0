"""Runs that are killed with signal 9 at random moments and then resumed.

`python -m tests.chaos FOLDER COUNT` prints one JSON line a kill. Every run is a process of its own,
forked from this one before it has done any work; torch and vectorbt are imported once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from convnext_vbt.runs import run as pipeline
from convnext_vbt.runs.config import load_config
from tests.strategies import write_tiny

FILES = (
    "config.toml",
    "headline.parquet",
    "headline_orders.parquet",
    "manifest.json",
    "metrics.json",
    "orders.parquet",
    "predictions.parquet",
    "report.html",
    "sweep.parquet",
)
LONGER = ["training.steps=40", "training.patience=40"]


def start(strategy: Path, out: Path) -> int:
    """Process id of a run."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            pipeline.run(load_config(strategy, LONGER), out=out, jobs=1)
            code = 0
        finally:
            os._exit(code)
    return pid


def same(one: Path, other: Path) -> bool:
    """Whether every file of two runs is the same, to the bit."""
    (left,), (right,) = one.glob("tiny-*"), other.glob("tiny-*")
    return all((left / name).read_bytes() == (right / name).read_bytes() for name in FILES)


def files(folder: Path) -> int:
    """How many files there are, the half-written ones too."""
    return sum(len(names) for _, _, names in os.walk(folder))


def when_files_come(pid: int, out: Path) -> list[float]:
    """Run to the end; seconds at which there first were 0, 1, 2 ... files."""
    begun, times = time.monotonic(), [0.0]
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        times += [time.monotonic() - begun] * (files(out) + 1 - len(times))
        if done:
            assert status == 0
            return times
        time.sleep(0.001)


def main(folder: Path, count: int) -> None:
    """Kill and resume `count` runs."""
    strategy, whole = write_tiny(folder), folder / "whole"
    times = when_files_come(start(strategy, whole), whole)
    length, total = times[-1], len(times) - 1
    rng = np.random.default_rng()
    for number in range(count):
        out = folder / f"killed-{number}"
        # A kill in each part of the run, while the next file is in the making: most files come in
        # a burst, and kills at random seconds would hardly ever fall between two networks.
        enough = int((number + rng.random()) * total / count)
        more = float(rng.uniform(0, times[enough + 1] - times[enough]))
        begun, pid = time.monotonic(), start(strategy, out)
        while files(out) < enough and time.monotonic() - begun < 10 * length:
            time.sleep(0.001)
        time.sleep(more)
        os.kill(pid, signal.SIGKILL)
        killed = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        left = [path.name for path in out.rglob("*") if path.is_file()]
        finished = "report.html" in left
        assert os.waitpid(start(strategy, out), 0)[1] == 0
        print(json.dumps({
            "killed": killed,
            "finished": finished,
            "splits": sum(name[0].isdigit() and name.endswith(".json") for name in left),
            "files": f"{len(left)} of {total}",
            "half": sum(name.endswith(".tmp") for name in left),
            "same": same(whole, out) and not list(out.rglob("*.tmp")),
        }), flush=True)  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
