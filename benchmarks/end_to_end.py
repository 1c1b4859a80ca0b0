"""From bars to report: the quickstart, and five years of hourly bars, stage by stage.

Run `python -m benchmarks.end_to_end [--quick] [--bars PATH]`. `--bars` names a file of hourly bars
for the five years; else they are simulated. `--quick` runs the quickstart alone, with one network
a split. Shares are of the wall-clock time of a run that finds nothing to use again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convnext_vbt.runs import run as pipeline
from convnext_vbt.runs.config import load_config

ROOT = Path(__file__).parents[1]
FIVE_YEARS = "simulated:seed=1,bars=43800"
STAGES = {
    "bars": "read_report",
    "features, labels, splits": "prepare",
    "training and prediction": "walk",
    "sweep": "make_sweep",
    "evidence": "gather_evidence",
    "report": "write_page",
}


def timed(function: Callable[..., Any], stage: str, taken: dict[str, float]) -> Callable[..., Any]:
    """The function, adding its seconds to those of the stage."""

    def call(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            taken[stage] = taken.get(stage, 0.0) + time.perf_counter() - start

    return call


def measure(strategy: str, overrides: list[str]) -> dict[str, Any]:
    """Seconds of a whole run, and each stage's share of them."""
    config = load_config(ROOT / "strategies" / strategy, overrides)
    taken: dict[str, float] = {}
    plain = {name: getattr(pipeline, name) for name in STAGES.values()}
    for stage, name in STAGES.items():
        setattr(pipeline, name, timed(plain[name], stage, taken))
    try:
        with tempfile.TemporaryDirectory() as out, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = time.perf_counter()
            done = pipeline.run(config, out=out, device="cpu")
            seconds = time.perf_counter() - start
            bars, splits = len(done.result.bars), len(done.predictions.splits)
    finally:
        for name, function in plain.items():
            setattr(pipeline, name, function)
    taken["rest"] = seconds - sum(taken.values())
    shares = {stage: round(value / seconds, 4) for stage, value in taken.items()}
    return {"bars": bars, "splits": splits, "seconds": round(seconds, 2), "shares": shares}


def main() -> None:
    """Run, print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the quickstart alone")
    parser.add_argument("--bars", default=FIVE_YEARS, help="hourly bars of five years")
    options = parser.parse_args()
    results = {"quickstart": measure("quickstart.toml", [])}
    if not options.quick:
        results["five years"] = measure(
            "quickstart.toml", [f"data.source={options.bars}", "splits.test=2160"]
        )
    for name, found in results.items():
        print(f"{name}: {found['bars']:,} bars, {found['splits']} splits, {found['seconds']:.1f} s")
        for stage, share in found["shares"].items():
            print(f"  {stage:28}{share * found['seconds']:9.2f} s{share:8.1%}")
    print(json.dumps({"seconds": results["quickstart"]["seconds"], **results}))


if __name__ == "__main__":
    main()
