"""Random sides: the headline's positions at the same times, the side of each by coin.

Dimensions: T bars of the window, N symbols, M draws, K positions, C accounts of one chunk.
"""

from __future__ import annotations

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

ONE_SIDED = "the positions of each symbol are all on one side"


def random_sides_null(
    res: SweepResult,
    selection: Selection,
    *,
    risk: float | None = None,
    draws: int = NUM_DRAWS,
    seed: int = 0,
) -> Null:
    """The headline's positions with the side of each drawn at random: without any direction.

    Every draw enters when the headline entered, with the same confidence size and bracket rule,
    and has left by the time the headline had. Each side is long with the share of longs that the
    headline had in that symbol. Volatility timing, holding times and costs stay; only knowledge of
    the direction is gone. `risk` is the headline's.

    Undefined when every position of each symbol was on the same side: a coin with the observed
    share has only that side to draw.
    """
    accounts = _SideAccounts(res, selection, risk)
    positions = accounts.positions
    shares = _long_shares(positions, accounts.shape[0])
    year = res.bars.days_per_year
    observed, _ = accounts.walk_sides(positions.is_long[None, :])
    sharpe = float(sharpe_ratio(observed[0], year))
    if not ((shares > 0) & (shares < 1)).any():
        return undefined(sharpe, ONE_SIDED if len(positions.row) else "there is no position")
    uniform = np.random.default_rng(seed).random((draws, len(positions.row)))
    returns, growth = accounts.walk_sides(uniform < shares[positions.column])
    return compare(sharpe, np.asarray(sharpe_ratio(returns.T, year)), growth - 1.0)


class _SideAccounts(PositionAccounts):
    """Walks the positions at their own times on given sides."""

    def walk_sides(self, is_long_MK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Daily returns (M, D) and growth (M,) of the account."""
        positions, (num_symbols, num_bars) = self.positions, self.shape
        leave = np.zeros((num_symbols, num_bars + 1), dtype=np.uint8)
        leave[positions.column, positions.leave] = EXIT

        def orders(draws: range) -> Orders:
            codes = np.tile(leave[:, :-1], (len(draws), 1, 1))
            chosen = is_long_MK[draws.start : draws.stop]
            codes[:, positions.column, positions.row] = enter(chosen)
            return codes, np.tile(self.columns.sizes, (len(draws), 1, 1))

        return self.walk(len(is_long_MK), orders)


def _long_shares(positions: Positions, num_symbols: int) -> np.ndarray:
    """Share of longs of each symbol's positions, (N,); NaN without a position."""
    count = np.bincount(positions.column, minlength=num_symbols)
    longs = np.bincount(positions.column, weights=positions.is_long, minlength=num_symbols)
    return np.where(count > 0, longs / np.maximum(count, 1), np.nan)


RANDOM_SIDES = NullTest(
    name="random_sides",
    title="random sides",
    question="Does it predict direction?",
    draws="accounts had the strategy’s times and sizes, each side by coin flip",
    meaning="If many do, the network does not predict direction.",
    draw=traded_again(random_sides_null),
)
