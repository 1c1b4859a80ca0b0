"""Random times: the headline's positions with their sides, sizes and lengths, whenever.

Dimensions: T bars of the window, N symbols, M draws, K positions, C accounts of one chunk.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from convnext_vbt.evidence.nulls.null import (
    NUM_DRAWS,
    Null,
    NullTest,
    compare,
    traded_again,
    undefined,
)
from convnext_vbt.evidence.nulls.positions import Orders, PositionAccounts, Positions, enter
from convnext_vbt.evidence.selection import Selection
from convnext_vbt.evidence.stats import sharpe_ratio
from convnext_vbt.trading.codes import EXIT
from convnext_vbt.trading.sweep import SweepResult


def random_times_null(
    res: SweepResult,
    selection: Selection,
    *,
    risk: float | None = None,
    draws: int = NUM_DRAWS,
    seed: int = 0,
) -> Null:
    """The headline's positions thrown anew into the window, each symbol's in random order.

    A position keeps its side, its confidence size and at most its length, and takes the brackets of
    the bar where it lands; no two of a symbol overlap. Only knowledge of when is gone.

    Headline and draws alike trade without costs on prices whose mean return over the window is
    taken out (Aronson 2006, ch. 6): beta-matched, since a constant exposure earns nothing there.
    With the drift left in, a rule that holds less while the market is wild would beat its own draws
    by a calmer account alone.

    Compared are Sharpe ratios of what timing earns: daily returns less those of holding the
    account's own mean exposure throughout. A permutation is fair under changing volatility only to
    a statistic over its own deviation (DiCiccio and Romano 2017): draws of an account that is
    nearly always long differ by its sizes alone, and by the deviation of the whole account twelve
    markets of a hundred without an edge would pass p < 0.05. `risk` is the headline's. Undefined
    without a position.
    """
    accounts = _TimeAccounts(res, selection, risk, fair=True)
    if not len(accounts.positions.row):
        return undefined(math.nan, "there is no position")
    year, market_ND = res.bars.days_per_year, accounts.market_returns()

    def timing(returns_MD: np.ndarray, held: Iterable[Positions]) -> np.ndarray:
        steady = np.stack([accounts.mean_exposure(one) for one in held]) @ market_ND
        return np.asarray(sharpe_ratio((returns_MD - steady).T, year))

    own, _ = accounts.walk(1, lambda _: accounts.orders([accounts.positions]))
    (observed,) = timing(own, [accounts.positions])
    returns, growth = accounts.walk(draws, lambda part: accounts.orders(accounts.throw(seed, part)))
    thrown = timing(returns, accounts.throw(seed, range(draws)))
    return compare(float(observed), thrown, growth - 1.0)


class _TimeAccounts(PositionAccounts):
    """Walks the positions on their own sides at given times."""

    def throw(self, seed: int, draws: range) -> Iterator[Positions]:
        """The positions at new times, once for each of these draws."""
        own, (num_symbols, num_bars) = self.positions, self.shape
        members = [np.flatnonzero(own.column == n) for n in range(num_symbols)]
        bars = [np.flatnonzero(present) for present in self.present_NT]
        for draw in draws:
            rng = np.random.default_rng([seed, draw])
            row, leave = np.empty_like(own.row), np.empty_like(own.leave)
            for mine, here in zip(members, bars, strict=True):
                order = rng.permutation(mine)
                fill, end = (np.searchsorted(here, at[order] + 1) for at in (own.row, own.leave))
                length = end - fill
                before = np.cumsum(length) - length
                # Some bar comes before every fill: that of the signal.
                spare = len(here) - 1 - length.sum()
                begin = before + np.sort(rng.integers(0, spare + 1, len(order)))
                row[order] = here[begin]
                end = begin + length
                leave[order] = np.where(end < len(here) - 1, here[end], num_bars)
            yield replace(own, row=row, leave=leave)

    def orders(self, thrown: Iterable[Positions]) -> Orders:
        """Signals of one account each."""
        num_symbols, num_bars = self.shape
        all_codes, all_sizes = [], []
        for one in thrown:
            codes = np.zeros((num_symbols, num_bars + 1), dtype=np.uint8)
            sizes = np.zeros((num_symbols, num_bars))
            codes[one.column, one.leave] = EXIT
            codes[one.column, one.row] = enter(one.is_long)
            sizes[one.column, one.row] = one.size
            all_codes.append(codes[:, :-1])
            all_sizes.append(sizes)
        return np.stack(all_codes), np.stack(all_sizes)


RANDOM_TIMES = NullTest(
    name="random_times",
    title="random times",
    question="Does it know when?",
    draws="accounts held its positions at random times, without the market’s drift and costs "
    "and beside their mean exposure",
    meaning="If many do, it earns what holding as much at any time earns.",
    draw=traded_again(random_times_null),
)
