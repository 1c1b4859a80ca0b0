"""Probability of backtest overfitting by combinatorially symmetric cross-validation (CSCV).

Bailey, Borwein, Lopez de Prado and Zhu (2017). Reached as
`stats.probability_of_backtest_overfitting`. Dimensions: T periods, C configurations, S blocks,
M = S! / (S/2)!^2 choices of in-sample blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from convnext_vbt.errors import InputError

FEWEST_CONFIGURATIONS = 4
_NO_VARIANCE = 1e-12
"""A variance below this share of the mean square is rounding, not variation."""
_CELLS = 4_000_000
"""Choices x configurations held at once: 32 MB an array."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BacktestOverfitting:
    """What picking the best configuration in hindsight is worth out of sample."""

    probability: float
    """Share of choices whose in-sample best lands in the worse half out of sample; those in the
    very middle count half."""
    logits: np.ndarray
    """lambda = ln(w / (1 - w)) of every choice, w the relative rank out of sample."""
    num_configurations: int
    """Configurations that were compared: those with a defined Sharpe ratio."""
    reason: str
    """Why the probability is undefined; empty where it is defined."""


def probability_of_backtest_overfitting(
    returns_TC: ArrayLike, num_blocks: int = 16
) -> BacktestOverfitting:
    """Probability that the configuration with the best Sharpe ratio is overfitted.

    The T periods of `returns_TC`, (T, C), are cut into `num_blocks` blocks by `numpy.array_split`.
    Every choice of half of them is in-sample once: the configuration with the best Sharpe ratio
    there has rank r among the N configurations out of sample (1 = worst, ties share the mean
    rank), w = r / (N + 1), lambda = ln(w / (1 - w)), and the probability is the share of
    lambda < 0 and half of that of lambda = 0. (The paper counts all of lambda = 0, so an odd number
    of worthless configurations would be overfitted with more than even odds, (N + 1) / 2N.)

    A configuration with a value that is not finite, or that never varies, is left out. One that is
    constant within a half (it did not trade there) cannot be the best in-sample and stands at
    Sharpe 0 out of sample, where it neither won nor lost; a choice in which all are constant has
    no logit. Undefined, with a reason, for fewer than 4 configurations that differ or 2 periods a
    block.

    Raises `ValueError` when `num_blocks` is not an even number of at least 2.
    """
    values = np.asarray(returns_TC, dtype=np.float64)
    if values.ndim != 2:
        raise InputError(f"returns must be (periods, configurations), got shape {values.shape}")
    if num_blocks < 2 or num_blocks % 2:
        raise InputError(f"num_blocks must be even and at least 2, got {num_blocks}")
    if len(values) < 2 * num_blocks:
        return _undefined(0, f"{len(values)} periods, {2 * num_blocks} are needed")
    values = values[:, _varies(values)]
    count = values.shape[1]
    if count < FEWEST_CONFIGURATIONS:
        return _undefined(count, f"{count} configurations vary, {FEWEST_CONFIGURATIONS} are needed")
    different = len(np.unique(values, axis=1).T)
    if different < FEWEST_CONFIGURATIONS:
        reason = f"{different} of {count} configurations differ, {FEWEST_CONFIGURATIONS} are needed"
        return _undefined(count, reason)
    logits = _logits(values, num_blocks)
    if not len(logits):
        return _undefined(count, "no choice of blocks has a configuration that varies")
    return BacktestOverfitting(
        probability=float(np.mean(logits < 0) + np.mean(logits == 0) / 2),
        logits=logits,
        num_configurations=count,
        reason="",
    )


def rank_transfer(returns_TC: ArrayLike, num_blocks: int = 16) -> np.ndarray:
    """Mean out-of-sample rank of each in-sample rank over all choices of blocks, (N, 2).

    The choices are those of `probability_of_backtest_overfitting`; rank 1 is the best, ties share
    the mean rank. Column 0 is the in-sample rank 1 ... N, column 1 the mean rank out of sample of
    whoever held it. If ranks last it rises along the diagonal; if they are luck it is flat at
    (N + 1) / 2. A configuration that is constant within a half stands at Sharpe 0 there. Empty
    where that function is undefined.
    """
    from scipy.stats import rankdata

    values = np.asarray(returns_TC, dtype=np.float64)
    if len(values) < 2 * num_blocks:
        return np.zeros((0, 2))
    values = values[:, _varies(values)]
    count = values.shape[1]
    if count < FEWEST_CONFIGURATIONS:
        return np.zeros((0, 2))
    total, seen = np.zeros(count), 0
    for in_sample, out_of_sample in _halves(values, num_blocks):
        inside, outside = (
            rankdata(-np.round(np.nan_to_num(ratios), 12), axis=1)
            for ratios in (in_sample, out_of_sample)
        )
        order = np.argsort(inside, axis=1, kind="stable")
        total += np.take_along_axis(outside, order, axis=1).sum(axis=0)
        seen += len(inside)
    return np.column_stack([np.arange(1.0, count + 1), total / seen])


def _varies(values_TC: np.ndarray) -> np.ndarray:
    """Columns that are finite and not constant, bool (C,)."""
    finite = np.isfinite(values_TC).all(axis=0)
    values = np.where(finite, values_TC, 0.0)
    square = np.square(values).sum(axis=0)
    spread = np.square(values - values.mean(axis=0)).sum(axis=0)
    return np.asarray(spread > _NO_VARIANCE * square)


def _undefined(count: int, reason: str) -> BacktestOverfitting:
    return BacktestOverfitting(
        probability=np.nan, logits=np.zeros(0), num_configurations=count, reason=reason
    )


def _logits(values_TC: np.ndarray, num_blocks: int) -> np.ndarray:
    """Logit of every choice that has one, in the order of `itertools.combinations`."""
    return np.concatenate([_rank_logits(*pair) for pair in _halves(values_TC, num_blocks)])


def _halves(values_TC: np.ndarray, num_blocks: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Sharpe ratios in and out of sample of every choice, (M, C) each, some choices at a time."""
    blocks = np.array_split(values_TC, num_blocks)
    count_S = np.array([len(block) for block in blocks], dtype=np.float64)
    sum_SC = np.stack([block.sum(axis=0) for block in blocks])
    square_SC = np.stack([np.square(block).sum(axis=0) for block in blocks])
    chosen = np.array(list(combinations(range(num_blocks), num_blocks // 2)))
    inside_MS = np.zeros((len(chosen), num_blocks))
    np.put_along_axis(inside_MS, chosen, 1.0, axis=1)
    pieces = 1 + inside_MS.shape[0] * values_TC.shape[1] // _CELLS
    for inside in np.array_split(inside_MS, pieces):
        yield (
            _sharpe(inside, count_S, sum_SC, square_SC),
            _sharpe(1.0 - inside, count_S, sum_SC, square_SC),
        )


def _sharpe(
    inside_MS: np.ndarray, count_S: np.ndarray, sum_SC: np.ndarray, square_SC: np.ndarray
) -> np.ndarray:
    """Sharpe ratio over the blocks inside, (M, C); NaN where the returns there do not vary.

    Constant factors (T / (T - 1)) do not change a rank and are left out.
    """
    count = (inside_MS @ count_S)[:, None]
    mean = inside_MS @ sum_SC / count
    square = inside_MS @ square_SC / count
    variance = square - mean**2
    varies = variance > _NO_VARIANCE * square
    return np.where(varies, mean / np.sqrt(np.where(varies, variance, 1.0)), np.nan)


def _rank_logits(in_sample: np.ndarray, out_of_sample: np.ndarray) -> np.ndarray:
    """The logit of each row's in-sample best, both arguments Sharpe ratios (M, C)."""
    best = np.where(np.isnan(in_sample), -np.inf, in_sample).argmax(axis=1)[:, None]
    defined = np.isfinite(np.take_along_axis(in_sample, best, axis=1))[:, 0]
    ratios = np.nan_to_num(out_of_sample, nan=0.0)
    lead = np.take_along_axis(ratios, best, axis=1) - ratios
    # Equal columns come out of the matrix product up to 1e-15 apart.
    worse = (lead > 1e-12).sum(axis=1)
    equal = (np.abs(lead) <= 1e-12).sum(axis=1)  # counts the best itself
    rank = worse + (equal + 1) / 2
    relative = rank / (in_sample.shape[1] + 1)
    return np.asarray(np.log(relative / (1 - relative))[defined])
