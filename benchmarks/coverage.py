"""How often the interval of a Sharpe ratio holds the true one, and how often its PSR is wrong.

Run `python -m benchmarks.coverage [--quick] [--series N]`. Each family is one way in which a year
of daily returns can depart from independent normal days; its true Sharpe ratio is known. Two ways
to say how sure an estimate is are judged on the same series:

- "before": percentile interval of 2,000 stationary bootstrap draws (Politis and Romano 1994), and
  the closed formula of skew and kurtosis (Bailey and Lopez de Prado 2012).
- "now": one standard error for both, a jackknife over blocks of days (`evidence.sharpe`).

"covers" is the share of 90 % intervals that hold the true ratio. "error" is the share of series
whose PSR against the true ratio is 0.95 or more, which it should be in 5 %. "best of 20" is the
share of DSRs of 0.95 or more where the best of twenty series without skill is taken; there should
be 5 % at most. Behind each share is its binomial standard error. Series are drawn from seeds that
nothing was tuned on. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats as scipy_stats
from threadpoolctl import threadpool_limits

from convnext_vbt.evidence.resampling import stationary_rows
from convnext_vbt.evidence.sharpe import estimate, sharpe_ratio
from convnext_vbt.evidence.stats import (
    block_length,
    expected_maximum_sharpe,
    probabilistic_sharpe_ratio,
)

FIRST_SEED = 10_000
DAYS, YEAR = 365, math.sqrt(365)
ANNUAL = (0.0, 1.5)
NUM_DRAWS, NUM_TRIALS = 2_000, 20
WARM_UP = 3_000
"""Days before the first one, after which volatility has forgotten where it began."""

Draw = Callable[[np.random.Generator, tuple[int, int], float], np.ndarray]
"""From a generator, (days, series) and the true Sharpe ratio a day to returns, (days, series)."""


def student(rng: np.random.Generator, shape: tuple[int, ...], freedom: int) -> np.ndarray:
    """Student's t with variance 1."""
    return rng.standard_t(freedom, shape) * math.sqrt((freedom - 2) / freedom)


def autoregressive(phi: float) -> Draw:
    """Each day repeats a part of the day before."""

    def draw(rng: np.random.Generator, shape: tuple[int, int], ratio: float) -> np.ndarray:
        out = rng.normal(size=shape)
        out[1:] *= math.sqrt(1 - phi**2)
        for t in range(1, len(out)):
            out[t] += phi * out[t - 1]
        return ratio + out

    return draw


def garch(alpha: float, beta: float, freedom: int | None) -> Draw:
    """Volatility that comes in bursts, with normal or Student's shocks."""

    def draw(rng: np.random.Generator, shape: tuple[int, int], ratio: float) -> np.ndarray:
        days, series = shape
        out, variance = np.empty(shape), np.ones(series)
        for t in range(-WARM_UP, days):
            shock = rng.normal(size=series) if freedom is None else student(rng, (series,), freedom)
            moved = np.sqrt(variance) * shock
            variance = 1 - alpha - beta + alpha * moved**2 + beta * variance
            if t >= 0:
                out[t] = moved
        return ratio + out

    return draw


def flat(held: float) -> Draw:
    """A return on 15 % of the days, in spells of `held` days on average; 0 on all others."""
    share = 0.15

    def draw(rng: np.random.Generator, shape: tuple[int, int], ratio: float) -> np.ndarray:
        mean = ratio * math.sqrt(share / (share**2 - ratio**2 * share * (1 - share)))
        leaves = 1 / held
        enters = leaves * share / (1 - share)
        luck, active = rng.random(shape), np.empty(shape, dtype=bool)
        active[0] = luck[0] < share
        for t in range(1, len(active)):
            active[t] = np.where(active[t - 1], luck[t] >= leaves, luck[t] < enters)
        return np.where(active, rng.normal(mean, 1.0, shape), 0.0)

    return draw


def crash(rng: np.random.Generator, shape: tuple[int, int], ratio: float) -> np.ndarray:
    """On a day in a hundred a fall of eight ordinary deviations."""
    share, depth = 0.01, 8.0
    moved = rng.normal(size=shape) - depth * (rng.random(shape) < share) + depth * share
    return np.asarray(ratio + moved / math.sqrt(1 + depth**2 * share * (1 - share)))


FAMILIES: dict[str, Draw] = {
    "normal": lambda rng, shape, ratio: rng.normal(ratio, 1.0, shape),
    "t4": lambda rng, shape, ratio: ratio + student(rng, shape, 4),
    "AR 0.2": autoregressive(0.2),
    "AR 0.4": autoregressive(0.4),
    "AR -0.2": autoregressive(-0.2),
    "GARCH 0.10/0.85": garch(0.10, 0.85, None),
    "GARCH 0.10/0.85 t5": garch(0.10, 0.85, 5),
    "85 % flat": flat(1 / 0.85),  # independent days
    "85 % flat, spells": flat(5.0),
    "crash 1 %": crash,
    "GARCH 0.15/0.84 t5": garch(0.15, 0.84, 5),
}


def bootstrap_interval(returns: np.ndarray, seed: int) -> tuple[float, float]:
    """90 % percentile interval of the stationary bootstrap."""
    rng, mean_block = np.random.default_rng(seed), block_length(returns[:, None])
    rows = stationary_rows(rng, NUM_DRAWS, len(returns), mean_block=mean_block)
    drawn = (returns - returns.mean())[rows]
    mean = drawn.mean(axis=1)
    variance = (np.einsum("ij,ij->i", drawn, drawn) / len(returns) - mean**2) * len(returns)
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw of flat days alone
        ratios = (mean + returns.mean()) / np.sqrt(variance / (len(returns) - 1))
    low, high = np.quantile(ratios, [0.05, 0.95])
    return float(low), float(high)


def closed_formula(returns_TC: np.ndarray, benchmark: float) -> np.ndarray:
    """PSR of every series from its skew and kurtosis."""
    skew = scipy_stats.skew(returns_TC, axis=0)
    kurtosis = scipy_stats.kurtosis(returns_TC, axis=0, fisher=False)
    ratio = sharpe_ratio(returns_TC)
    found = probabilistic_sharpe_ratio(ratio, benchmark, len(returns_TC), skew, kurtosis)
    return np.asarray(found)


def judged(name: str, annual: float, num_series: int) -> dict[str, float]:
    """Shares of one family and true annual Sharpe ratio; what is undefined does not cover."""
    ratio = annual / YEAR
    seed = [FIRST_SEED, list(FAMILIES).index(name), ANNUAL.index(annual)]
    returns = FAMILIES[name](np.random.default_rng(seed), (DAYS, num_series), ratio)
    found = estimate(returns)
    low, high = found.interval(0.90)
    drawn = [bootstrap_interval(series, k) for k, series in enumerate(returns.T)]
    return {
        "covers_before": float(np.mean([start <= ratio <= end for start, end in drawn])),
        "covers_now": float(np.mean((low <= ratio) & (ratio <= high))),
        "error_before": float(np.mean(closed_formula(returns, ratio) >= 0.95)),
        "error_now": float(np.mean(found.exceeds(ratio) >= 0.95)),
    }


def best_of_many(name: str, num_series: int) -> dict[str, float]:
    """Share of DSRs of at least 0.95 where the best of twenty without skill is taken."""
    rng = np.random.default_rng([FIRST_SEED, list(FAMILIES).index(name), len(ANNUAL)])
    returns = FAMILIES[name](rng, (DAYS, num_series * NUM_TRIALS), 0.0)
    ratios = np.asarray(sharpe_ratio(returns)).reshape(num_series, NUM_TRIALS)
    best = np.arange(num_series) * NUM_TRIALS + ratios.argmax(axis=1)
    hurdle = float(expected_maximum_sharpe(NUM_TRIALS, 1 / DAYS))
    return {
        "best_before": float(np.mean(closed_formula(returns[:, best], hurdle) >= 0.95)),
        "best_now": float(np.mean(estimate(returns[:, best]).exceeds(hurdle) >= 0.95)),
    }


def table(rows: Iterator[tuple[str, float, dict[str, float]]], num_series: int) -> dict[str, float]:
    """Print rows as they come; the figures of all by name."""
    heads = ("covers, before", "now", "PSR error, before", "now", "best of 20, before", "now")
    print(f"{'family':20}{'Sharpe':>7}" + "".join(f"{head:>20}" for head in heads))
    figures = {}
    for name, annual, shares in rows:
        told = [
            f"{share:.3f} ({math.sqrt(share * (1 - share) / num_series):.3f})"
            for share in shares.values()
        ]
        print(f"{name:20}{annual:>7g}" + "".join(f"{text:>20}" for text in told), flush=True)
        figures |= {f"{name}, {annual:g}: {what}": share for what, share in shares.items()}
    return figures


def main() -> None:
    """Judge every family, print a table and one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="100 series of each")
    parser.add_argument("--series", type=int, default=1_000, help="of each family and ratio")
    options = parser.parse_args()
    num_series = 100 if options.quick else options.series

    def rows() -> Iterator[tuple[str, float, dict[str, float]]]:
        for annual in ANNUAL:
            for name in FAMILIES:
                shares = judged(name, annual, num_series)
                yield name, annual, shares | (best_of_many(name, num_series) if annual == 0 else {})

    with threadpool_limits(1):
        figures = table(rows(), num_series)
    print(json.dumps({"series": num_series, **figures}))


if __name__ == "__main__":
    main()
