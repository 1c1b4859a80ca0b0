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

from convnext_vbt import pipeline
from convnext_vbt.config import load_config
from tests.strategies import write_tiny

FILES = (
    "config.toml",
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


def main(folder: Path, count: int) -> None:
    """Kill and resume `count` runs."""
    strategy, whole = write_tiny(folder), folder / "whole"
    begun = time.monotonic()
    assert os.waitpid(start(strategy, whole), 0)[1] == 0
    length, total = time.monotonic() - begun, files(whole)
    rng = np.random.default_rng()
    for number in range(count):
        out = folder / f"killed-{number}"
        # One kill in each part of the run, so that some always fall between two networks.
        enough = int((number + rng.random()) * total / count)
        more = float(rng.uniform(0, length / total))
        begun, pid = time.monotonic(), start(strategy, out)
        while files(out) < enough and time.monotonic() - begun < 10 * length:
            time.sleep(0.001)
        time.sleep(more)  # a random moment before the next file or two
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
