"""Does `ConvNeXtClassifier` see shapes? Accuracy on UCR sets, with its defaults, beside others'.

Run `python -m benchmarks.shapes [--quick]`: the published split of each set, one recipe
for all, mean and standard deviation over the seeds and the processor seconds of a fit on one
thread. The sets lie in aeon's wheel, of which nothing is imported: it asks for older pandas and
numba than `constraints.txt` holds, so install it without what it depends on,
`pip install --no-deps aeon`.

Published accuracies: FCN and ResNet, mean of ten runs, from Ismail Fawaz et al. 2019,
arXiv:1809.04356 (README of github.com/hfawaz/dl-4-tsc); ROCKET, mean of ten runs, from Dempster et
al. 2020, arXiv:1910.13051 (results/results_ucr.csv of github.com/angus924/rocket).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from convnext_vbt.learning.classifier import ConvNeXtClassifier

PUBLISHED = {
    "GunPoint": (100.0, 99.1, 100.0),
    "ArrowHead": (84.3, 84.5, 81.4),
    "OSULeaf": (97.7, 97.9, 94.1),
    "ItalyPowerDemand": (96.1, 96.3, 97.0),
    "BasicMotions": (None, None, None),
    "ACSF1": (None, None, 88.6),
}
"""Accuracies of FCN, ResNet and ROCKET in per cent; None where those papers have no such set."""

QUICK = ("GunPoint", "ArrowHead", "OSULeaf")


def folder() -> Path:
    """Where aeon's wheel keeps its sets."""
    found = importlib.util.find_spec("aeon")
    if found is None or found.origin is None:
        raise SystemExit("the sets lie in aeon's wheel: run `pip install --no-deps aeon`")
    return Path(found.origin).parent / "datasets" / "data"


def read(name: str, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Windows (cases, channels, timepoints) and classes of a .ts file with equal lengths.

    Channels are separated by colons and come before the class.
    """
    text = (folder() / name / f"{name}_{part}.ts").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and line[0] not in "#@"]
    rows = [line.split(":") for line in lines]
    X = [[np.fromstring(channel, sep=",") for channel in channels] for *channels, _ in rows]
    return np.array(X), np.array([label.strip() for *_, label in rows])


def measure(name: str, seeds: range) -> dict[str, float]:
    """Mean and deviation of the accuracy over the seeds, in per cent, and seconds of a fit."""
    (X, y), (X_test, y_test) = read(name, "TRAIN"), read(name, "TEST")
    accuracies, seconds = [], []
    for seed in seeds:
        start = time.process_time()
        fitted = ConvNeXtClassifier(seed=seed).fit(X, y)
        seconds.append(time.process_time() - start)
        accuracies.append(100 * fitted.score(X_test, y_test))
    return {
        "accuracy": statistics.mean(accuracies),
        "deviation": statistics.stdev(accuracies) if len(seeds) > 1 else 0.0,
        "fit_seconds": statistics.median(seconds),
    }


def main() -> None:
    """Print a row a set, then everything as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"one seed of {', '.join(QUICK)}")
    quick = parser.parse_args().quick
    seeds = range(1 if quick else 5)
    torch.set_num_threads(1)
    print(f"accuracy in per cent, published split, defaults, seeds: {len(seeds)}")
    print(f"{'':<18}{'ConvNeXt':>14}{'FCN':>7}{'ResNet':>8}{'ROCKET':>8}{'s a fit':>9}")
    figures = {}
    for name in QUICK if quick else PUBLISHED:
        row = measure(name, seeds)
        fcn, resnet, rocket = (f"{p:.1f}" if p else "-" for p in PUBLISHED[name])
        ours = f"{row['accuracy']:.1f} +- {row['deviation']:.1f}"
        line = f"{name:<18}{ours:>14}{fcn:>7}{resnet:>8}{rocket:>8}{row['fit_seconds']:>9.1f}"
        print(line, flush=True)
        figures |= {f"{name}_{key}": round(value, 2) for key, value in row.items()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
