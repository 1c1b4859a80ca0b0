"""Random sides: the headline's positions at the same times, the side of each by coin.

Every draw trades through the portfolio code of the headline itself.
Dimensions: T bars of the window, N symbols, M draws, K positions, C columns of one chunk, D UTC
days.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from convnext_vbt.evidence.measures import returns_between
from convnext_vbt.evidence.nulls.null import NUM_DRAWS, Case, Null, NullTest, compare, undefined
from convnext_vbt.evidence.selection import Selection
from convnext_vbt.evidence.stats import sharpe_ratio
from convnext_vbt.evidence.window import Window
from convnext_vbt.trading import kernel
from convnext_vbt.trading.codes import (
    BUST,
    CLOSED,
    DELISTED,
    ENTER_LONG,
    ENTER_SHORT,
    EXIT,
    GAP_STOP,
    LONG,
    STOP,
    TAKE_PROFIT,
)
from convnext_vbt.trading.inputs import kernel_inputs, kernel_terms
from convnext_vbt.trading.sweep import SweepResult
from convnext_vbt.trading.walk import walk_accounts

CHUNK_CELLS = 4_000_000
"""Bars x accounts walked at once: 36 MB of codes and sizes."""
INSIDE = (STOP, GAP_STOP, TAKE_PROFIT, BUST, DELISTED)
"""Exits that are not at an open."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Positions:
    """The headline's positions, as codes that make the kernel take them again on either side."""

    column: np.ndarray
    """Symbol of each position, int64 (K,)."""
    row: np.ndarray
    """Row whose signal it was, int64 (K,): filled at the next open."""
    is_long: np.ndarray
    leave: np.ndarray
    """uint8 (N, T): exits at the rows where positions ended."""


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
    shares = _long_shares(positions)
    year = res.bars.days_per_year
    observed, _ = accounts.walk(positions.is_long[None, :])
    sharpe = float(sharpe_ratio(observed[0], year))
    if not ((shares > 0) & (shares < 1)).any():
        reason = "all positions are on one side" if len(positions.row) else "there is no position"
        return undefined(sharpe, reason)
    uniform = np.random.default_rng(seed).random((draws, len(positions.row)))
    returns, growth = accounts.walk(uniform < shares[positions.column])
    return compare(sharpe, np.asarray(sharpe_ratio(returns.T, year)), growth - 1.0)


class _SideAccounts:
    """Walks the positions on given sides, a chunk of draws at a time."""

    def __init__(self, res: SweepResult, selection: Selection, risk: float | None) -> None:
        window = Window(res)
        signals = selection.signals.rows(*res.window)
        own = selection.brackets.rows(*res.window)
        self.market, self.columns = kernel_inputs(window.bars, signals, own)
        present_TN = window.bars.present[:, self.columns.symbol]
        self.positions = _positions(selection.simulation.trades, present_TN)
        # Holding limits are among the exits that are kept.
        brackets = replace(own, max_holding=None)
        self.terms = kernel_terms(window.config, brackets, "risk")
        self.risk = window.config.risk if risk is None else risk

    def walk(self, is_long_MK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Daily returns (M, D) and growth (M,) of the account."""
        num_symbols, num_bars = self.columns.codes.shape
        chunk = max(1, CHUNK_CELLS // (num_symbols * num_bars))
        sizes = np.tile(self.columns.sizes, (min(chunk, len(is_long_MK)), 1))
        pieces = [
            self._walk_chunk(is_long_MK[start : start + chunk], sizes)
            for start in range(0, len(is_long_MK), chunk)
        ]
        money = np.concatenate(pieces)
        return returns_between(money.T).T, money[:, -1] / money[:, 0]

    def _walk_chunk(self, is_long_MK: np.ndarray, sizes_CT: np.ndarray) -> np.ndarray:
        """Money before the first day and at the end of each, (M, 1 + D)."""
        count, num_symbols = len(is_long_MK), len(self.columns.symbol)
        columns = kernel.Columns(
            codes=self._codes(is_long_MK),
            sizes=sizes_CT[: count * num_symbols],
            symbol=np.tile(self.columns.symbol, count),
            accounts=np.arange(count * num_symbols).reshape(count, num_symbols),
        )
        cells = kernel.Cells(
            account=np.arange(count),
            points=np.tile([self.risk, 1.0, 1.0], (count, 1)),
            day_row=np.arange(count),
        )
        _, days_MRD = walk_accounts(self.market, columns, cells, self.terms)
        days = days_MRD[:, 0]
        growth = np.cumprod(1.0 + days, axis=1)
        return self.terms.init_cash * np.column_stack([np.ones(count), growth])

    def _codes(self, is_long_MK: np.ndarray) -> np.ndarray:
        """uint8 (M x N, T)."""
        positions = self.positions
        codes = np.tile(positions.leave, (len(is_long_MK), 1, 1))
        enter = np.where(is_long_MK, ENTER_LONG, ENTER_SHORT).astype(np.uint8)
        # Whatever is still held when the headline entered anew is left first, on either side.
        codes[:, positions.column, positions.row] = enter | np.uint8(EXIT)
        return codes.reshape(-1, codes.shape[2])


def _positions(trades: np.ndarray, present_TN: np.ndarray) -> _Positions:
    leave = np.zeros(present_TN.T.shape, dtype=np.uint8)
    for n in range(len(leave)):
        own = trades[trades["col"] == n]
        # An exit inside a bar comes too late for its open: whoever is left goes at the next one.
        inside = np.isin(own["reason"], INSIDE)
        here = np.flatnonzero(present_TN[:, n])
        fill = own["exit_idx"]
        following = np.append(here, len(present_TN))[np.searchsorted(here, fill, side="right")]
        row = np.where(inside, following, fill) - 1
        # Where the next position began by then, its own entry ends this one.
        next_row = np.append(own["entry_idx"][1:] - 1, len(present_TN))
        leave[n, row[(own["status"] == CLOSED) & (row < next_row)]] = EXIT
    return _Positions(
        column=trades["col"],
        row=trades["entry_idx"] - 1,
        is_long=trades["direction"] == LONG,
        leave=leave,
    )


def _long_shares(positions: _Positions) -> np.ndarray:
    """Share of longs of each symbol's positions, (N,); NaN without a position."""
    num_symbols = len(positions.leave)
    count = np.bincount(positions.column, minlength=num_symbols)
    longs = np.bincount(positions.column, weights=positions.is_long, minlength=num_symbols)
    return np.where(count > 0, longs / np.maximum(count, 1), np.nan)


def _draw(case: Case) -> Null:
    return random_sides_null(
        case.result,
        case.headline.selection,
        risk=case.headline.risk,
        draws=case.num_draws,
        seed=case.preset.seed,
    )


RANDOM_SIDES = NullTest(
    name="random_sides",
    title="random sides",
    question="Does it predict direction?",
    draws="accounts had the strategy’s times and sizes, each side by coin flip",
    meaning="If many do, the network does not predict direction.",
    draw=_draw,
)
