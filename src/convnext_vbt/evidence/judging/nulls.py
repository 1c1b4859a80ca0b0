"""Luck, by the portfolio's own positions: on drawn sides, and at drawn times.

Dimensions: D days of the path, M draws, K spells.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse

from convnext_vbt.evidence.judging import kernels
from convnext_vbt.evidence.judging.path import Path, Positions, Stretch
from convnext_vbt.evidence.nulls.null import NUM_DRAWS, Null, compare, undefined
from convnext_vbt.evidence.nulls.random_sides import ONE_SIDED
from convnext_vbt.evidence.stats import sharpe_ratio

NO_ORDERS = "returns alone do not say what was held"
_SAME = 1e-12
"""A return up to it is no return."""
_CELLS = 20_000_000
"""Draws x spells held at once: 160 MB."""


def sides_null(path: Path, days_per_year: int, *, draws: int = NUM_DRAWS, seed: int = 0) -> Null:
    """The path's spells at their own times and sizes, the side of each drawn.

    Each side is long with the share of longs that the path had in that asset. A spell on its other
    side gains what it lost before fees, day by day as a share of the account, and pays the same
    fees: the account is not compounded anew. Undefined where all spells of each asset were on one
    side.
    """
    held = path.positions
    observed = float(sharpe_ratio(path.returns, days_per_year))
    if held is None:
        return undefined(observed, NO_ORDERS)
    if not len(held.is_long):
        return undefined(observed, "there is no position")
    shares = _long_shares(held)
    if not ((shares > 0) & (shares < 1)).any():
        return undefined(observed, ONE_SIDED)
    shape = (len(held.is_long), len(path.returns))
    gross_KD = sparse.csr_array((held.gross, (held.spell, held.day)), shape=shape)
    rng, pieces = np.random.default_rng(seed), []
    for part in np.array_split(np.arange(draws), 1 + draws * shape[0] // _CELLS):
        longs = rng.random((len(part), shape[0])) < shares[held.asset]
        same = np.where(longs == held.is_long, 1.0, -1.0)
        pieces.append((gross_KD.T @ same.T).T - held.fees)
    return _compared(observed, np.concatenate(pieces), days_per_year)


def times_null(path: Path, days_per_year: int, *, draws: int = NUM_DRAWS, seed: int = 0) -> Null:
    """The path's spells of exposure thrown anew into its bars, in random order.

    A spell keeps its exposure close by close and its length; no two of an asset overlap, and each
    stays among the bars of its own asset. Path and draws alike trade without costs on returns from
    close to close whose mean is taken out, less those of the mean exposure throughout: what
    holding as much at any time earns is gone (Aronson 2006, ch. 6). What was gained within the bar
    of a fill has no part. Compared are Sharpe ratios, for a permutation is fair under changing
    volatility only to a studentised statistic (DiCiccio and Romano 2017).
    """
    held = path.positions
    if held is None:
        return undefined(math.nan, NO_ORDERS)
    if not any((one.weight != 0).any() for asset in held.stretches for one in asset):
        return undefined(math.nan, "no position is held at a close")
    own, thrown = np.zeros((1, len(path.returns))), np.zeros((draws, len(path.returns)))
    rng = np.random.default_rng(seed)
    for asset in held.stretches:
        for one in _by_asset(asset):
            _throw(one, rng, own, thrown)
    (observed,) = np.asarray(sharpe_ratio(own.T, days_per_year))
    if not (np.abs(thrown - own) > _SAME).any():
        return undefined(float(observed), "it holds throughout, so that there are no other times")
    return _compared(float(observed), thrown, days_per_year)


def _throw(
    one: Stretch, rng: np.random.Generator, own_1D: np.ndarray, thrown_MD: np.ndarray
) -> None:
    """Add what timing earns in this stretch to the path's own days and to those of each draw."""
    market = one.market - one.market.mean()
    steady = one.weight.mean() * np.bincount(one.day, weights=market, minlength=own_1D.shape[1])
    source, length = _spells(one.weight)
    spare = len(market) - int(length.sum())
    begin_MK = np.empty((len(thrown_MD), len(source)), dtype=np.int64)
    for begin in begin_MK:
        order = rng.permutation(len(source))
        ends = np.cumsum(length[order]) - length[order]
        begin[order] = ends + np.sort(rng.integers(0, spare + 1, len(order)))
    for begins, out in ((source[None, :], own_1D), (begin_MK, thrown_MD)):
        out -= steady
        kernels.thrown_nb(one.weight, market, one.day, source, length, begins, out)


def _spells(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each run of exposure of one sign begins, and how long it is."""
    side = np.sign(weight)
    change = np.flatnonzero(np.append(True, side[1:] != side[:-1]))
    length = np.diff(np.append(change, len(side)))
    held = side[change] != 0
    return change[held], length[held]


def _by_asset(stretches: tuple[Stretch, ...]) -> list[Stretch]:
    """Neighbouring stretches with the same prices as one."""
    groups: list[list[Stretch]] = []
    for one in stretches:
        if groups and np.array_equal(groups[-1][0].close, one.close):
            groups[-1].append(one)
        else:
            groups.append([one])
    return [
        Stretch(
            weight=np.concatenate([one.weight for one in group]),
            market=np.concatenate([one.market for one in group]),
            day=np.concatenate([one.day for one in group]),
            close=group[0].close,
        )
        for group in groups
    ]


def _long_shares(held: Positions) -> np.ndarray:
    """Share of longs among the spells of each asset."""
    count = np.bincount(held.asset)
    longs = np.bincount(held.asset, weights=held.is_long)
    return np.asarray(np.divide(longs, count, out=np.zeros(len(count)), where=count > 0))


def _compared(observed: float, returns_MD: np.ndarray, days_per_year: int) -> Null:
    growth = np.prod(1.0 + returns_MD, axis=1)
    return compare(observed, np.asarray(sharpe_ratio(returns_MD.T, days_per_year)), growth - 1.0)
