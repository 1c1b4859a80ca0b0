"""Probability of backtest overfitting: 50 configurations, 16 blocks, against purgedcv's.

`pip install purgedcv` first; without it the peer is a plain loop over the 12,870 choices.
Run with `python -m benchmarks.statistics`. The last line is JSON: how many times faster.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import combinations

import numpy as np
from threadpoolctl import threadpool_limits

from convnext_vbt.evidence.stats import probability_of_backtest_overfitting

NUM_BLOCKS = 16


def plain_loop(returns_TC: np.ndarray) -> float:
    """The definition, one choice of blocks at a time."""
    blocks = np.array_split(np.arange(len(returns_TC)), NUM_BLOCKS)
    overfitted = []
    for chosen in combinations(range(NUM_BLOCKS), NUM_BLOCKS // 2):
        inside = returns_TC[np.concatenate([blocks[b] for b in chosen])]
        others = sorted(set(range(NUM_BLOCKS)) - set(chosen))
        outside = returns_TC[np.concatenate([blocks[b] for b in others])]
        best = (inside.mean(axis=0) / inside.std(axis=0, ddof=1)).argmax()
        ratios = outside.mean(axis=0) / outside.std(axis=0, ddof=1)
        rank = 1 + (ratios < ratios[best]).sum()
        overfitted.append(rank / (returns_TC.shape[1] + 1) <= 0.5)
    return float(np.mean(overfitted))


def peer() -> tuple[str, Callable[[np.ndarray], float]]:
    """The library a user would pick instead, or the plain loop where it is not installed."""
    try:
        import purgedcv
    except ImportError:
        return "plain loop (purgedcv is not installed)", plain_loop
    return "purgedcv", lambda returns_TC: float(
        purgedcv.probability_of_backtest_overfitting(returns_TC.T, n_splits=NUM_BLOCKS).pbo
    )


def seconds(call: Callable[[], float], repeats: int) -> float:
    """Shortest of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print both values, both times and their ratio."""
    returns_TC = np.random.default_rng(42).standard_normal((1000, 50)) * 0.01
    name, theirs = peer()
    value = probability_of_backtest_overfitting(returns_TC, NUM_BLOCKS).probability
    print(f"PBO of (1000 periods x 50 configurations): ours {value:.7f}, {name} ", end="")
    print(f"{theirs(returns_TC):.7f}")
    with threadpool_limits(1):
        ours = seconds(lambda: probability_of_backtest_overfitting(returns_TC).probability, 5)
        other = seconds(lambda: theirs(returns_TC), 1)
    print(f"ours {ours * 1e3:.0f} ms, {name} {other:.2f} s, one thread each")
    print(
        json.dumps(
            {
                "pbo_over_purgedcv": round(other / ours, 1),
                "seconds": round(ours, 4),
                "peer": name,
                "peer_seconds": round(other, 3),
            }
        )
    )


if __name__ == "__main__":
    main()
