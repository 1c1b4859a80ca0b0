"""How time grows: the exponent of seconds against bars, splits, cells and symbols.

Run `python -m benchmarks.scaling [--quick]`. The exponent is the slope of log seconds over log
size, one thread and its own clock: 1 is linear, and what costs the same at any size pulls it
below. Bars: features and dense prediction; symbols: features, labels and a sweep of one cell each;
splits: a walk-forward of as many splits of equal length; cells: a sweep over a year of hours.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Sequence

import numba
import numpy as np
import pandas as pd
import torch

from benchmarks.features import market
from benchmarks.sweep import predictions
from benchmarks.timing import paired_medians
from convnext_vbt.learning.features import compute_features
from convnext_vbt.learning.labels import barrier_labels
from convnext_vbt.learning.network import ConvNeXt1d
from convnext_vbt.learning.segments import pack, scale, series_logits
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.predictions import Predictions
from convnext_vbt.runs.run import walk_forward
from convnext_vbt.trading.sweep import sweep


def exponent(
    sizes: Sequence[int], make: Callable[[int], Callable[[], object]], repeats: int
) -> tuple[float, list[float]]:
    """Slope of log seconds over log size, and the seconds."""
    calls = [make(size) for size in sizes]
    seconds = paired_medians(*calls, repeats=repeats, clock=time.process_time)
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]), seconds


def by_bars(size: int) -> Callable[[], object]:
    """Features of so many bars and the small network's logits at all of them."""
    bars = Bars.from_frame(market(size))

    @torch.inference_mode()
    def call() -> object:
        features = compute_features(bars)
        net = ConvNeXt1d(len(features.names)).eval()
        (series,) = pack(features, *scale(features, (0, 10_000)), size)
        rows = series.predictable((0, size), net.receptive_field)
        return series_logits(net, series, rows, "cpu")

    return call


def by_splits(size: int) -> Callable[[], object]:
    """A walk-forward of so many splits, two steps of training each."""
    bars = simulated_bars(seed=0, bars=3_000 + 500 * size)
    config = {
        "features": {"names": ["rsi_14", "return_24"]},
        "splits": {"train": 3_000, "test": 500},
        "model": {"prior": "none"},
        "training": {"steps": 2, "segments": 1},
    }
    return lambda: walk_forward(bars, config, jobs=1, device="cpu")


def by_cells(size: int) -> Callable[[], object]:
    """A sweep of 20 thresholds and as many risks as that takes."""
    bars = simulated_bars(seed=0, bars=8_760 + 500)
    preds = predictions(bars)
    thresholds = np.round(np.linspace(0.40, 0.78, 20), 2).tolist()
    risks = np.linspace(0.001, 0.02, size // 20).tolist()
    return lambda: sweep(bars, preds, threshold=thresholds, risk=risks)


def by_symbols(size: int) -> Callable[[], object]:
    """Features, labels and one traded cell a symbol."""
    frame = market(5_000)
    bars = Bars.from_frames({f"S{n}": frame for n in range(size)})
    rng = np.random.default_rng(0)
    up, down = (
        pd.DataFrame(rng.uniform(0.1, 0.45, bars.close.shape), bars.index, list(bars.symbols))
        for _ in range(2)
    )
    preds = Predictions.from_frames(prob_up=up, prob_down=down)

    def call() -> object:
        made = compute_features(bars), barrier_labels(bars)
        return made, sweep(bars, preds, threshold=0.4, stop=0.03)

    return call


def main() -> None:
    """Measure each, print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repeats")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    numba.set_num_threads(1)
    torch.set_num_threads(1)
    sizes: dict[str, tuple[Callable[[int], Callable[[], object]], tuple[int, ...]]] = {
        "bars": (by_bars, (100_000, 200_000, 400_000) if quick else (100_000, 316_000, 1_000_000)),
        "splits": (by_splits, (4, 8, 16) if quick else (4, 16, 64)),
        "cells": (by_cells, (1_000, 5_000, 20_000) if quick else (1_000, 10_000, 100_000)),
        "symbols": (by_symbols, (4, 16, 64) if quick else (8, 64, 512)),
    }
    result = {}
    for name, (make, counts) in sizes.items():
        result[name], seconds = exponent(counts, make, 1 if quick else 3)
        row = "".join(f"{count:>12,}: {s:7.2f} s" for count, s in zip(counts, seconds, strict=True))
        print(f"{name:10}exponent {result[name]:.3f}{row}", flush=True)
    print(json.dumps({name: round(value, 3) for name, value in result.items()}))


if __name__ == "__main__":
    main()
