"""Run benchmarks one after another; with --write keep their figures and the table of the README.

`results.json` beside this file holds the last JSON line of each benchmark, when it was run and with
what. The README's table of ratios is made from it, so that no ratio is restated by hand:

    python -m benchmarks.record --quick              every benchmark, nothing is written
    python -m benchmarks.record --write              full sizes; keeps the figures, writes the table
    python -m benchmarks.record --write features     one of them
    python -m benchmarks.record --table              the table alone, from the figures that are kept
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import subprocess
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results.json")
README = ROOT / "README.md"
START, END = "<!-- made by benchmarks.record -->\n", "<!-- end -->\n"
EVERY = (
    "prediction", "training", "features", "labels", "sweep", "statistics", "startup", "end_to_end",
    "scaling", "latency", "report", "loading", "judge_speed",
)  # fmt: skip
# What is measured, then the benchmark and its figures.
ROWS = (
    (
        "prediction against windows as long as the receptive field (same function), of 256 bars",
        "prediction",
        ("dense_over_exact_windows", "dense_over_windows_256"),
    ),
    (
        "training, labelled bars a second, against the same two",
        "training",
        ("dense_over_exact_windows", "dense_over_windows_256"),
    ),
    (
        "sweep, 100 rules x 10 stops x 10 risks (two threads), against vectorbt's Rust engine",
        "sweep",
        ("over_vectorbt",),
    ),
    (
        "sweep, 2,500 rules x 4 risks, against the same, which is given its signals ready made",
        "sweep",
        ("few_risks_over_vectorbt",),
    ),
    (
        "the first of these sweeps against backtesting.py, trades equal",
        "sweep",
        ("over_backtesting_py",),
    ),
    (
        "features against pandas, against TA-Lib for the indicators it has",
        "features",
        ("over_pandas", "over_talib"),
    ),
    (
        "barrier labels against numpy bar by bar, against numpy over sliding windows",
        "labels",
        ("over_numpy", "over_numpy_windows"),
    ),
)


def measured(name: str, *, quick: bool) -> dict[str, Any]:
    """The figures of one benchmark, run in a process of its own; its table goes to stdout."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if quick else [])]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    print(done.stdout, flush=True)
    return {
        "date": date.today().isoformat(),
        "size": "quick" if quick else "full",
        "python": platform.python_version(),
        "packages": {p: version(p) for p in ("torch", "numba", "numpy", "pandas", "vectorbt")},
        "figures": json.loads(done.stdout.splitlines()[-1]),
    }


def table(results: dict[str, Any]) -> str:
    """The README's table, Markdown; ratios to two digits."""
    lines = [
        "| measured on two shared cores of a server CPU, one thread, same process | ratio |",
        "|---|---|",
    ]
    for what, name, figures in ROWS:
        found = (results[name]["figures"][figure] for figure in figures)
        lines.append(f"| {what} | {', '.join(map(ratio, found))} |")
    return "\n".join(lines) + "\n"


def ratio(value: float) -> str:
    """Two significant digits: 7,412 is 7,400x, 5.52 is 5.5x."""
    digits = 1 - math.floor(math.log10(value))
    return f"{round(value, digits):,.{max(digits, 0)}f}x"


def with_table(text: str, made: str) -> str:
    """The README's text with its table replaced."""
    before, rest = text.split(START)
    return before + START + made + END + rest.split(END)[1]


def main() -> None:
    """Run what is named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(EVERY))
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repeats")
    parser.add_argument("--write", action="store_true", help="keep the figures, write the table")
    parser.add_argument("--table", action="store_true", help="write the table, run nothing")
    options = parser.parse_args()
    if unknown := set(options.names) - set(EVERY):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(EVERY)}")
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name in () if options.table else options.names or EVERY:
        results[name] = measured(name, quick=options.quick)
        if options.write:
            RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    if options.write or options.table:
        README.write_text(with_table(README.read_text(), table(results)))


if __name__ == "__main__":
    main()
