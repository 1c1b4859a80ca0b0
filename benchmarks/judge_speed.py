"""`cv.judge` against the same figures by plain vectorbt, pandas and arch.

Run `python -m benchmarks.judge_speed [--quick]`: 5,000 columns of 8,760 hourly bars, returns as a
frame and a portfolio of 100 orders a column; 500 columns with `--quick`. Two threads at most.

The peer resamples to days with pandas, takes Sharpe ratios, the mean of the correlation matrix,
arch's SPA and StepM on leads divided by arch's own deviations, and the choice by a loop. It is run
on fewer columns, its seconds are times those that it leaves out: every part is linear in columns
but for the matrix. It has no nulls, no costs doubled, no PBO, and no verdict. The last line is
JSON; the peak of memory is that above what the input itself takes.
"""

from __future__ import annotations

import argparse
import gc
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import vectorbt as vbt
from arch.bootstrap import SPA, StepM
from threadpoolctl import threadpool_limits

import convnext_vbt as cv

BARS, COLUMNS, ORDERS = 8_760, 5_000, 100
PEER_COLUMNS = 250
THREADS = 2


def returns_of(columns: int) -> pd.DataFrame:
    """Noise with some common part."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((BARS, columns)) * 0.005
    values += rng.standard_normal((BARS, 1)) * 0.003
    return pd.DataFrame(values, pd.date_range("2022", periods=BARS, freq="h"))


def portfolio_of(columns: int) -> vbt.Portfolio:
    """Random targets over one price."""
    rng = np.random.default_rng(1)
    index = pd.date_range("2022", periods=BARS, freq="h")
    close = pd.Series(100 * np.exp(np.cumsum(rng.normal(0, 0.005, BARS))), index)
    size = np.full((BARS, columns), np.nan)
    for column in range(columns):
        rows = np.sort(rng.choice(BARS, ORDERS, replace=False))
        size[rows, column] = rng.choice([-1.0, 0.0, 1.0], ORDERS)
    return vbt.Portfolio.from_orders(close, size, size_type="targetpercent", fees=0.001, freq="h")


def by_hand(returns: pd.DataFrame) -> float:
    """The comparable part of the figures, as one would write it; gives SPA's p-value."""
    daily = (1 + returns).resample("D").prod() - 1
    ratio = daily.mean() / daily.std()
    matrix = np.corrcoef(daily.to_numpy().T)
    mean = matrix[np.triu_indices(len(matrix), 1)].mean()
    assert mean + (1 - mean) * len(matrix) > 1
    losses = -daily.to_numpy()
    none = np.zeros(len(losses))
    probe = SPA(none, losses, block_size=2, reps=1, seed=0)
    probe.compute()
    scaled = losses / np.sqrt(probe._loss_diff_var)
    test = SPA(none, scaled, block_size=2, reps=1000, seed=0)
    test.compute()
    StepM(none, scaled, block_size=2, reps=1000, seed=0).compute()
    blocks = np.array_split(np.arange(len(daily)), 12)
    for number in range(3, 12):
        before = daily.iloc[: blocks[number][0]]
        daily.iloc[blocks[number], (before.mean() / before.std()).argmax()]
    assert len(ratio) == len(matrix)
    return float(test.pvalues["consistent"])


def seconds_of(call: Callable[[], object], repeats: int = 3) -> float:
    """The median of some calls, after one that is not counted."""
    call()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def extra_megabytes(call: Callable[[], object]) -> float:
    """By how much memory grows at most while it runs, as seen every two milliseconds; Linux."""
    if not Path("/proc/self/statm").exists():
        return float("nan")
    gc.collect()
    before, most, done = _resident(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.002):
            most = max(most, _resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    call()
    done.set()
    watcher.join()
    return most - before


def cost_of(source: pd.DataFrame | vbt.Portfolio) -> tuple[float, float]:
    """Seconds of judging it, and megabytes more than it takes itself."""

    def judged() -> object:
        return cv.judge(source)

    return seconds_of(judged), extra_megabytes(judged)


def peer_seconds(returns: pd.DataFrame) -> float:
    """Seconds of `by_hand` on all columns, from some of them."""
    few = returns.iloc[:, :PEER_COLUMNS]
    start = time.perf_counter()
    by_hand(few)
    return (time.perf_counter() - start) * returns.shape[1] / few.shape[1]


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def main() -> None:
    """Time both inputs and the peer, print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="500 columns")
    columns = 500 if parser.parse_args().quick else COLUMNS
    with threadpool_limits(THREADS):
        returns = returns_of(columns)
        ours, memory = cost_of(returns)
        peer = peer_seconds(returns)
        input_mb = returns.to_numpy().nbytes / 1e6
        del returns
        orders, orders_memory = cost_of(portfolio_of(columns))
    print(f"{columns:,} columns of {BARS:,} bars, {THREADS} threads")
    print(f"{'':32}{'seconds':>9}{'MB more than the input':>25}")
    print(f"{'returns':32}{ours:>9.2f}{memory:>25.0f}")
    print(f"{'portfolio, all figures':32}{orders:>9.2f}{orders_memory:>25.0f}")
    print(f"{'returns, pandas and arch':32}{peer:>9.2f}{'':>25}")
    print(
        json.dumps(
            {
                "over_by_hand": round(peer / ours, 1),
                "seconds": round(ours, 2),
                "portfolio_seconds": round(orders, 2),
                "peer_seconds": round(peer, 1),
                "input_mb": round(input_mb),
                "extra_mb": round(memory),
                "portfolio_extra_mb": round(orders_memory),
            }
        )
    )


if __name__ == "__main__":
    main()
