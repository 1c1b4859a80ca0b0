"""Overfitting statistics against purgedcv's, and SPA against a plain loop.

Without purgedcv the peers are plain loops, and the keys say so. Run
`python -m benchmarks.statistics [--quick]`: 1,000 periods of 50 configurations; 16 blocks for the
probability of backtest overfitting, 12 with `--quick`. One thread, its own clock.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats as scipy_stats
from threadpoolctl import threadpool_limits

from benchmarks.timing import paired_medians
from convnext_vbt.evidence.stats import (
    deflated_sharpe_ratio,
    probability_of_backtest_overfitting,
    superior_predictive_ability,
)

NUM_TRIALS, VARIANCE = 200, 0.02
BLOCK_SIZE, NUM_DRAWS = 5, 1000


def plain_pbo(returns_TC: np.ndarray, num_blocks: int) -> float:
    """The definition, one choice of blocks at a time."""
    blocks = np.array_split(np.arange(len(returns_TC)), num_blocks)
    overfitted = []
    for chosen in combinations(range(num_blocks), num_blocks // 2):
        inside = returns_TC[np.concatenate([blocks[b] for b in chosen])]
        others = sorted(set(range(num_blocks)) - set(chosen))
        outside = returns_TC[np.concatenate([blocks[b] for b in others])]
        best = (inside.mean(axis=0) / inside.std(axis=0, ddof=1)).argmax()
        ratios = outside.mean(axis=0) / outside.std(axis=0, ddof=1)
        rank = 1 + (ratios < ratios[best]).sum()
        overfitted.append(rank / (returns_TC.shape[1] + 1) <= 0.5)
    return float(np.mean(overfitted))


def plain_dsr(returns: np.ndarray, trials: int, variance: float) -> float:
    """Bailey and Lopez de Prado (2014), equation 2."""
    normal, euler = scipy_stats.norm, 0.5772156649015329
    highest = (1 - euler) * normal.ppf(1 - 1 / trials) + euler * normal.ppf(1 - 1 / trials / math.e)
    sharpe = returns.mean() / returns.std()
    skew, kurt = scipy_stats.skew(returns), scipy_stats.kurtosis(returns, fisher=False)
    spread = math.sqrt((1 - skew * sharpe + (kurt - 1) / 4 * sharpe**2) / (len(returns) - 1))
    return float(normal.cdf((sharpe - math.sqrt(variance) * highest) / spread))


def plain_spa(returns_TC: np.ndarray, seed: int = 0) -> float:
    """Hansen (2005), consistent p-value: the stationary bootstrap drawn period by period."""
    rng = np.random.default_rng(seed)
    periods, mean = len(returns_TC), returns_TC.mean(axis=0)
    draws = np.empty((NUM_DRAWS, returns_TC.shape[1]))
    for draw in range(NUM_DRAWS):
        rows = np.empty(periods, dtype=np.int64)
        for t in range(periods):
            starts = t == 0 or rng.random() < 1 / BLOCK_SIZE
            rows[t] = rng.integers(periods) if starts else (rows[t - 1] + 1) % periods
        draws[draw] = returns_TC[rows].mean(axis=0)
    deviation = np.sqrt(periods) * (draws - mean).std(axis=0)
    poor = mean < -deviation * np.sqrt(2 * np.log(np.log(periods)) / periods)
    centred = draws - np.where(poor, 0.0, mean)
    best = np.maximum((np.sqrt(periods) * centred / deviation).max(axis=1), 0)
    return float((best > max((np.sqrt(periods) * mean / deviation).max(), 0)).mean())


def our_dsr(returns_TC: np.ndarray) -> np.ndarray:
    """Of every configuration, (C,)."""
    sharpe = returns_TC.mean(axis=0) / returns_TC.std(axis=0)
    skew = scipy_stats.skew(returns_TC, axis=0)
    kurt = scipy_stats.kurtosis(returns_TC, axis=0, fisher=False)
    return np.asarray(
        deflated_sharpe_ratio(sharpe, len(returns_TC), NUM_TRIALS, VARIANCE**2, skew, kurt)
    )


def peers() -> tuple[str, Callable[[np.ndarray, int], float], Callable[..., float]]:
    """Name, PBO and DSR of what a user would pick instead; plain loops where it is missing."""
    try:
        import purgedcv
    except ImportError:
        return "loop", plain_pbo, plain_dsr

    def pbo(returns_TC: np.ndarray, num_blocks: int) -> float:
        found: Any = purgedcv.probability_of_backtest_overfitting(returns_TC.T, n_splits=num_blocks)
        return float(found.pbo)

    return "purgedcv", pbo, purgedcv.deflated_sharpe_ratio


def seconds_of(call: Callable[[], object]) -> tuple[Any, float]:
    """The result of one slow call and its seconds."""
    start = time.process_time()
    result = call()
    return result, time.process_time() - start


def main() -> None:
    """Check that all agree, time them, print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer blocks")
    num_blocks = 12 if parser.parse_args().quick else 16
    returns_TC = np.random.default_rng(42).standard_normal((1000, 50)) * 0.01
    name, pbo_peer, dsr_peer = peers()

    def ours_pbo() -> float:
        return probability_of_backtest_overfitting(returns_TC, num_blocks).probability

    def ours_spa() -> float:
        return superior_predictive_ability(returns_TC, block_size=BLOCK_SIZE, num_draws=NUM_DRAWS)

    with threadpool_limits(1):
        pbo_s, dsr_s, spa_s = paired_medians(
            ours_pbo, lambda: our_dsr(returns_TC), ours_spa, repeats=5, clock=time.process_time
        )
        pbo, pbo_other = seconds_of(lambda: pbo_peer(returns_TC, num_blocks))
        dsr, dsr_other = seconds_of(
            lambda: [dsr_peer(column, NUM_TRIALS, VARIANCE**2) for column in returns_TC.T]
        )
        spa, spa_other = seconds_of(lambda: plain_spa(returns_TC))
    assert abs(pbo - ours_pbo()) < 1e-9, (pbo, ours_pbo())
    np.testing.assert_allclose(our_dsr(returns_TC), dsr, atol=1e-5)
    assert abs(spa - ours_spa()) < 0.06, (spa, ours_spa())  # 1,000 draws each

    print(f"{'one thread':44}{'ours, ms':>10}{'peer, ms':>12}{'ratio':>10}")
    for what, ours, other in (
        (f"PBO, {math.comb(num_blocks, num_blocks // 2):,} choices, {name}", pbo_s, pbo_other),
        (f"DSR of 50 configurations, {name}", dsr_s, dsr_other),
        ("SPA, 1,000 draws, plain loop", spa_s, spa_other),
    ):
        print(f"{what:44}{ours * 1e3:>10.1f}{other * 1e3:>12.1f}{other / ours:>10.1f}")
    result = {
        f"pbo_over_{name}": round(pbo_other / pbo_s, 1),
        f"dsr_over_{name}": round(dsr_other / dsr_s, 1),
        "spa_over_loop": round(spa_other / spa_s, 1),
        "seconds": round(pbo_s, 4),
        "peer_seconds": round(pbo_other, 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
