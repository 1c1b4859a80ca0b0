"""What a new process pays: help, import, the first sweep; and what a machine pays once, compiling.

Run `python -m benchmarks.startup [--quick]`. Every figure is of new processes, from start to end
as the user waits. `warm_sweep_seconds` is a sweep of 36 cells over 8,760 bars with everything that
must be imported for it, `first_call_seconds` the sweep call alone; `cold_compile_seconds` is the
processor time of making features and labels, sweeping and tracing one cell with an empty cache.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

SWEEP = """
import time
import numpy as np
import pandas as pd
import convnext_vbt as cv

bars = cv.load_bars("simulated:seed=0,bars=8760")
rng = np.random.default_rng(0)
up, down = (
    pd.DataFrame({"SIM/USDT": rng.uniform(0.1, 0.45, len(bars))}, bars.index) for _ in range(2)
)
preds = cv.Predictions.from_frames(prob_up=up, prob_down=down)
start = time.perf_counter()
result = cv.sweep(
    bars, preds, threshold=[0.36, 0.38, 0.4, 0.42], risk=[0.001 * k for k in range(1, 10)],
    stop=0.03, take_profit=0.05,
)
print(time.perf_counter() - start)
"""
ALL_KERNELS = """
cv.compute_features(bars)
cv.barrier_labels(bars)
result.simulation(threshold=0.4, risk=0.001)
"""


def seconds(arguments: list[str], repeats: int) -> tuple[float, str]:
    """Median wall-clock seconds of new Python processes, and what the last one printed."""
    taken = []
    for _ in range(repeats + 1):  # the first one fills the disk cache
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *arguments], check=True, capture_output=True, text=True
        )
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:]), done.stdout


def compile_seconds() -> float:
    """Processor seconds that compiling takes: with an empty cache, less with the filled one."""

    def processor() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    with tempfile.TemporaryDirectory() as cache:
        marks = [processor()]
        for _ in range(2):
            subprocess.run(
                [sys.executable, "-W", "ignore", "-c", SWEEP + ALL_KERNELS],
                check=True,
                capture_output=True,
                env=os.environ | {"NUMBA_CACHE_DIR": cache},
            )
            marks.append(processor())
    return (marks[1] - marks[0]) - (marks[2] - marks[1])


def main() -> None:
    """Time each, print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    repeats = 3 if parser.parse_args().quick else 9
    result = {
        "help_seconds": seconds(["-m", "convnext_vbt", "--help"], repeats)[0],
        "import_seconds": seconds(["-c", "import convnext_vbt"], repeats)[0],
    }
    warm, printed = seconds(["-W", "ignore", "-c", SWEEP], repeats)
    result |= {
        "warm_sweep_seconds": warm,
        "first_call_seconds": float(printed),
        "cold_compile_seconds": compile_seconds(),
    }
    for name, value in result.items():
        print(f"{name:24}{value:8.2f}")
    print(json.dumps({name: round(value, 3) for name, value in result.items()}))


if __name__ == "__main__":
    main()
