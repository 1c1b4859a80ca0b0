"""The Sharpe ratio and how sure it is, where one day's return depends on those before it.

Standard errors are a jackknife over blocks of about sqrt(T) periods: the ratio without each block
in turn. Dependence over some periods, skew and tails are then in it by themselves. Blocks are few,
so that Student's t stands in for the normal distribution. One thing no jackknife sees: volatility
comes in bursts, and the record may lack its largest. By as much as bursts make the deviation less
sure than independent returns would, it is taken to be less sure still (`UNSEEN`).
`benchmarks.coverage` measures what comes of it.

Conventions are those of `evidence.stats`. Dimensions: T periods, C series, K combinations of them,
G blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

FloatOrArray = float | np.ndarray

FEWEST_PERIODS = 20
"""Below it nothing is said of how sure a ratio is."""
UNSEEN = 5.0
"""Variance that unseen bursts of volatility add, in multiples of what those seen do. Coverage is
nominal without it unless shocks to volatility last for months: there a 90 % interval would hold an
annual ratio of 1.5 in 75 % of years, with it in 83 %. Independent returns it leaves alone, and
periods without a position do not count as calm ones."""

_NO_VARIANCE = 1e-12
"""A standard deviation below this share of the largest return is rounding, not variation."""


def sharpe_ratio(returns: ArrayLike, periods_per_year: float = 1) -> FloatOrArray:
    """Mean over standard deviation of returns, times sqrt(periods_per_year).

    `returns` is (T,), for a float, or (T, C), for an array (C,). NaN for a column with fewer than
    two periods, with a value that is not finite, or whose returns do not vary.

    >>> round(sharpe_ratio([0.01, -0.005, 0.02, 0.0], periods_per_year=365), 2)
    10.77
    """
    values = np.asarray(returns, dtype=np.float64)
    if len(values) < 2:
        return scalar_or_array(np.full(values.shape[1:], np.nan))
    finite = np.isfinite(values).all(axis=0)
    values = np.where(finite, values, 0.0)
    deviation = values.std(axis=0, ddof=1)
    varies = finite & (deviation > _NO_VARIANCE * np.abs(values).max(axis=0))
    ratio = np.full(values.shape[1:], np.nan)
    np.divide(values.mean(axis=0), deviation, out=ratio, where=varies)
    return scalar_or_array(ratio * math.sqrt(periods_per_year))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """Sharpe ratios per period, or differences of them, each with its standard error, (K,)."""

    value: np.ndarray
    error: np.ndarray
    freedom: int
    """Of Student's t: one less than there are blocks."""

    def interval(self, confidence: float) -> tuple[np.ndarray, np.ndarray]:
        """Both ends, (K,) each."""
        half = stdtrit(self.freedom, (1.0 + confidence) / 2.0) * self.error
        return self.value - half, self.value + half

    def exceeds(self, benchmark: ArrayLike) -> np.ndarray:
        """Probability that the true value is above `benchmark`, (K,)."""
        lead, known = self.value - np.asarray(benchmark), self.error > 0
        score = np.divide(lead, self.error, out=np.full_like(lead, np.nan), where=known)
        return np.asarray(stdtr(self.freedom, score))


def estimate(returns_TC: np.ndarray, weights_CK: np.ndarray | None = None) -> Estimate:
    """Sharpe ratios of columns of returns, or weighted sums of them, and how sure they are.

    All columns lose the same block at a time, so what they share cancels out of a difference. NaN
    where a ratio is; no error, either, below 20 periods or where one block has all the variation.
    """
    count, ratios = len(returns_TC), np.atleast_1d(sharpe_ratio(returns_TC))
    value = _combined(ratios, weights_CK)
    if count < FEWEST_PERIODS:
        return Estimate(value=value, error=np.full_like(value, np.nan), freedom=1)
    num_blocks = math.isqrt(count)
    bounds = np.arange(num_blocks + 1) * count // num_blocks
    without_GC = np.array(
        [
            sharpe_ratio(np.delete(returns_TC, slice(start, stop), axis=0))
            for start, stop in pairwise(bounds)
        ]
    )
    moved_GK = _combined(without_GC, weights_CK) - value
    seen = (1.0 - 1.0 / num_blocks) * np.square(moved_GK).sum(axis=0)
    unseen = UNSEEN * _bursts(_combined(_by_deviation(returns_TC, ratios), weights_CK), bounds)
    return Estimate(value=value, error=np.sqrt(seen + unseen), freedom=num_blocks - 1)


def _combined(values: np.ndarray, weights_CK: np.ndarray | None) -> np.ndarray:
    return values if weights_CK is None else np.asarray(values @ weights_CK)


def _by_deviation(returns_TC: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """T times what each period's size adds to a ratio through the deviation, (T, C).

    SR/2 (1 - z^2) where every period has a return. One without any adds nothing and has no part in
    what is expected of the others: that a strategy waits, be it for months, is no calm.
    """
    known = np.where(np.isfinite(ratios), returns_TC, 0.0)
    active_TC = known != 0
    square_TC = np.where(active_TC, np.square(known - known.mean(axis=0)), 0.0)
    real, expected = (
        np.divide(part, part.mean(axis=0), out=np.ones(part.shape), where=part.mean(axis=0) > 0)
        for part in (square_TC, active_TC.astype(np.float64))
    )
    return np.asarray(ratios / 2.0 * (expected - real))


def _bursts(added_TK: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """By how much the variance of a mean exceeds that of independent periods; at least 0."""
    count, num_blocks = len(added_TK), len(bounds) - 1
    sums_GK = np.add.reduceat(added_TK, bounds[:-1], axis=0)
    blocks = np.square(sums_GK).sum(axis=0) * num_blocks / (num_blocks - 1)
    more = blocks - np.square(added_TK).sum(axis=0)
    return np.asarray(np.maximum(more, 0.0) / count**2)


def scalar_or_array(values: FloatOrArray) -> FloatOrArray:
    """A float where there is one number alone."""
    return float(values) if np.ndim(values) == 0 else np.asarray(values)
