"""What many columns tried on the same data are worth: how many trials, and who beats what.

Nothing of the size C x C is ever made. Dimensions: D days, C columns, M draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from convnext_vbt.evidence import stats
from convnext_vbt.evidence.resampling import stationary_rows

NUM_DRAWS = 1_000
SIZE = 0.05
"""Family-wise error rate of `Superior.columns`."""
MOST_LENGTHS = 48
"""Columns, evenly spread, that the mean block's length is read off."""
_NO_VARIANCE = 1e-18
"""Of a lead, as a share of its column's: rounding."""
_WIDTH = 512
"""Columns worked on at once."""


def effective_trials(returns_DC: np.ndarray) -> float:
    """Independent trials that C correlated columns amount to: r + (1 - r) C.

    r is the mean correlation of two different columns, at least 0; Bailey and Lopez de Prado
    (2014), "The deflated Sharpe ratio", appendix 3. Equally correlated columns have a best one that
    is lower than this says (sqrt(1 - r) times that of C), so it errs on the safe side. The mean
    comes from the sum of the standardised columns: |sum z|^2 / D = C + C (C - 1) r.
    """
    count = returns_DC.shape[1]
    if count == 1:
        return 1.0
    total = np.zeros(len(returns_DC))
    for part in _parts(count):
        values = returns_DC[:, part] - returns_DC[:, part].mean(axis=0)
        total += (values / np.sqrt(np.square(values).mean(axis=0))).sum(axis=1)
    mean = (float(np.square(total).mean()) - count) / (count * (count - 1))
    mean = min(max(mean, 0.0), 1.0)
    return float(mean + (1.0 - mean) * count)


def leads_over(returns_DC: np.ndarray, benchmark: np.ndarray | None) -> np.ndarray:
    """What each column earns beyond its own constant share of the benchmark, (D, C).

    r - beta b with beta by least squares: its mean is Jensen's (1968) alpha, so that a column that
    is half long in a rising market is measured against half of that market. `benchmark` is (D, C)
    or (D, 1); None is cash, and a benchmark that does not vary has no part. Exactly 0 for a column
    that is the benchmark itself but for rounding.
    """
    if benchmark is None:
        return returns_DC
    centred = benchmark - benchmark.mean(axis=0)
    square = np.square(centred).sum(axis=0)
    cross = np.einsum("dc,dc->c", np.broadcast_to(centred, returns_DC.shape), returns_DC)
    beta = np.divide(cross, square, out=np.zeros(returns_DC.shape[1]), where=square > 0)
    leads: np.ndarray = returns_DC - beta * benchmark
    leads[:, leads.var(axis=0) <= _NO_VARIANCE * returns_DC.var(axis=0)] = 0.0
    return leads


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Superior:
    """Whether any column leads, and which ones do."""

    p_value: float
    """Of "no column leads" (Hansen 2005, consistent, studentised); NaN where none varies."""
    columns: np.ndarray
    """Those that lead with a family-wise error of 5 % (Romano and Wolf 2005), by position."""
    mean_block: int
    """Days, of the stationary bootstrap."""


def superior(leads_DC: np.ndarray, seed: int = 0, num_draws: int = NUM_DRAWS) -> Superior:
    """SPA and StepM of the mean leads, from the same draws of a stationary bootstrap.

    Both studentise each lead by its standard error under that bootstrap, as
    `stats.superior_predictive_ability` does; the draws are `arch`'s own. All draws of a part of the
    columns are one matrix product: how often each day was drawn, times the leads.
    """
    known = np.flatnonzero(np.ptp(leads_DC, axis=0) > 0)
    if not len(known):
        return Superior(p_value=math.nan, columns=known, mean_block=1)
    leads_DC = leads_DC if len(known) == leads_DC.shape[1] else leads_DC[:, known]
    block = _mean_block(leads_DC)
    weights_MD = _weights(len(leads_DC), block, seed, num_draws)
    bound = math.sqrt(2.0 * math.log(math.log(len(leads_DC))) / len(leads_DC))
    score = np.empty(len(known))
    drawn = np.empty((num_draws, len(known)), dtype=np.float32)
    for part in _parts(len(known)):
        scaled = leads_DC[:, part] / stats.bootstrap_deviation(leads_DC[:, part], block)
        mean = scaled.mean(axis=0)
        score[part] = mean
        centre = np.where(mean >= -bound, 0.0, mean)  # the poor stay poor (Hansen, eq. 9)
        drawn[:, part] = weights_MD @ (scaled - mean).astype(np.float32)
        drawn[:, part] += centre.astype(np.float32)
    best = drawn.max(axis=1)
    return Superior(
        p_value=float((best > score.max()).mean()),
        columns=known[_stepwise(score, drawn)],
        mean_block=block,
    )


def _mean_block(leads_DC: np.ndarray) -> int:
    """Whole days, by up to 48 of the columns."""
    count = leads_DC.shape[1]
    if count > MOST_LENGTHS:
        leads_DC = leads_DC[:, np.linspace(0, count - 1, MOST_LENGTHS).astype(np.int64)]
    return math.ceil(stats.block_length(leads_DC))


def _weights(num_days: int, mean_block: int, seed: int, num_draws: int) -> np.ndarray:
    """How often each draw took each day, over the days, float32 (M, D)."""
    generator = np.random.default_rng(seed)
    rows = stationary_rows(generator, num_draws, num_days, mean_block=mean_block)
    flat = rows + np.arange(num_draws)[:, None] * num_days
    times = np.bincount(flat.ravel(), minlength=num_draws * num_days)
    return (times.reshape(num_draws, num_days) / num_days).astype(np.float32)


def _stepwise(score: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Columns above the 95 % quantile of the best draw among those not yet found, step by step."""
    found = np.zeros(len(score), dtype=bool)
    while not found.all():
        critical = np.percentile(drawn[:, ~found].max(axis=1), 100 * (1 - SIZE))
        more = ~found & (score > critical)
        if not more.any():
            break
        found |= more
    return np.flatnonzero(found)


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, min(start + _WIDTH, count)) for start in range(0, count, _WIDTH))
