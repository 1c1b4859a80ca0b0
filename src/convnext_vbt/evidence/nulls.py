"""What luck alone would have earned: the headline again, with what it claims to know destroyed.

Each null trades through the portfolio code of the headline itself and is compared by the Sharpe
ratio of daily returns. p = (1 + draws at least as good) / (1 + draws), Phipson and Smyth (2010).
Dimensions: T bars of the window, N symbols, M draws, C columns of one chunk, D UTC days.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence.selection import Preset, Selection, nested_selection
from convnext_vbt.evidence.stats import sharpe_ratio
from convnext_vbt.evidence.window import Window, daily_returns, money_returns
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
from convnext_vbt.trading.signals import LEVELS, Signals
from convnext_vbt.trading.sweep import SweepResult

NUM_DRAWS = 1_000
CHUNK_CELLS = 4_000_000
"""Bars x accounts walked at once: 36 MB of codes and sizes."""
INSIDE = (STOP, GAP_STOP, TAKE_PROFIT, BUST, DELISTED)
"""Exits that are not at an open."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Null:
    """An observed Sharpe ratio among those of the null, all annual."""

    observed: float
    draws: np.ndarray = field(repr=False)
    """Sharpe ratios, float64 (M,); NaN for a draw that never traded."""
    total_returns: np.ndarray = field(repr=False)
    """Net returns of the same draws over the window, (M,)."""
    p_value: float
    """Share of draws at least as good, +1 correction; NaN where there is nothing to compare."""
    reason: str = ""
    """Why the p-value is undefined; empty where it is defined."""

    @property
    def median_sharpe(self) -> float:
        """Of the draws: for random sides that is the baseline that trades as often, by coin."""
        return _median(self.draws)

    @property
    def median_return(self) -> float:
        """Median net return of the draws."""
        return _median(self.total_returns)


def compare(
    observed: float, draws: np.ndarray, total_returns: np.ndarray, reason: str = ""
) -> Null:
    """The null of these draws. A draw without a Sharpe ratio counts as one that did as well."""
    if not reason and not math.isfinite(observed):
        reason = "the strategy has no Sharpe ratio"
    as_good = int((~(draws < observed)).sum())
    return Null(
        observed=observed,
        draws=draws,
        total_returns=total_returns,
        p_value=math.nan if reason else (1 + as_good) / (1 + len(draws)),
        reason=reason,
    )


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
        nothing = np.zeros(0)
        reason = "all positions are on one side" if len(positions.row) else "there is no position"
        return compare(sharpe, nothing, nothing, reason)
    uniform = np.random.default_rng(seed).random((draws, len(positions.row)))
    returns, growth = accounts.walk(uniform < shares[positions.column])
    return compare(sharpe, np.asarray(sharpe_ratio(returns.T, year)), growth - 1.0)


def circular_shift_null(
    res: SweepResult,
    selection: Selection,
    *,
    initial: Hashable | None = None,
    risk: float | None = None,
    draws: int = 99,
    seed: int = 0,
) -> Null:
    """The whole sweep with its signals rotated in time within each test range, selected anew.

    A rule's row depends on that bar's probabilities alone, so that rotating the rows of its
    signals is rotating the predictions. Each split and symbol has an offset of its own, at least
    two horizons from where it started either way round; rows without a prediction or a bracket
    stay out of it, and a range of fewer than four horizons stays as it is. Timing of volatility is
    destroyed with that of direction, so this null can reject where only the former is known.
    """
    observed = daily_returns(selection.simulation)
    year = res.bars.days_per_year
    rng = np.random.default_rng(seed)
    sharpes, growths = np.empty(draws), np.empty(draws)
    for m in range(draws):
        shifted = replace(res, rules=_rotated(res, rng))
        account = nested_selection(shifted, Preset(initial=initial, risk=risk)).simulation
        returns = daily_returns(account)
        sharpes[m] = sharpe_ratio(returns, year)
        growths[m] = np.prod(1.0 + returns)
    return compare(float(sharpe_ratio(observed, year)), sharpes, growths - 1.0)


class _SideAccounts:
    """Walks the positions on given sides, a chunk of draws at a time."""

    def __init__(self, res: SweepResult, selection: Selection, risk: float | None) -> None:
        window = Window(res)
        signals = selection.signals.rows(*res.window)
        own = selection.brackets.rows(*res.window)
        self.inputs = kernel_inputs(window.bars, signals, own)
        self.is_shared = len(window.bars.symbols) > 1
        present_TN = window.bars.present[:, self.inputs.symbols]
        self.positions = _positions(selection.simulation.trades, present_TN)
        # Holding limits are among the exits that are kept.
        brackets = replace(own, max_holding=None)
        self.terms = kernel_terms(window.config, brackets, "risk")
        self.risk = window.config.risk if risk is None else risk

    def walk(self, is_long_MK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Daily returns (M, D) and growth (M,) of the account."""
        num_symbols, num_bars = self.inputs.codes.shape
        chunk = max(1, CHUNK_CELLS // (num_symbols * num_bars))
        sizes = np.tile(self.inputs.sizes, (min(chunk, len(is_long_MK)), 1))
        pieces = [
            self._walk_chunk(is_long_MK[start : start + chunk], sizes)
            for start in range(0, len(is_long_MK), chunk)
        ]
        money = np.concatenate(pieces)
        return money_returns(money.T).T, money[:, -1] / money[:, 0]

    def _walk_chunk(self, is_long_MK: np.ndarray, sizes_CT: np.ndarray) -> np.ndarray:
        """Money before the first day and at the end of each, (M, 1 + D)."""
        inputs, count = self.inputs, len(is_long_MK)
        num_symbols = len(inputs.symbols)
        num_columns = count * num_symbols
        codes, symbols = self._codes(is_long_MK), np.tile(inputs.symbols, count)
        columns, num_days = np.arange(num_columns), int(inputs.day_end.sum())
        terms_P3 = np.tile([self.risk, 1.0, 1.0], (count, 1))
        if self.is_shared:
            days = np.empty((count, 1 + num_symbols, num_days))
            kernel.walk_shared_cells_nb(
                inputs.prices, inputs.funding, inputs.final, inputs.day_end, codes,
                sizes_CT[:num_columns], inputs.brackets, symbols,
                columns.reshape(count, num_symbols), np.arange(count), terms_P3,
                np.arange(count), self.terms, days,
            )  # fmt: skip
            days = days[:, 0]
        else:
            days = np.empty((count, num_days))
            kernel.walk_cells_nb(
                inputs.prices, inputs.funding, inputs.day_end, codes, sizes_CT[:num_columns],
                inputs.brackets, symbols, columns, terms_P3, np.arange(count), self.terms, days,
            )  # fmt: skip
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


def _rotated(res: SweepResult, rng: np.random.Generator) -> Signals:
    """All signals with their rows rotated within each split and symbol."""
    signals = res.signals
    symbols = pd.Index(res.bars.symbols).get_indexer(signals.symbols)
    order = _rotation(res, rng)[:, symbols]
    arrays: dict[str, Any] = {
        name: np.take_along_axis(getattr(signals, name), order, axis=0)
        for name in (*LEVELS, "size")
    }
    return replace(signals, **arrays)


def _rotation(res: SweepResult, rng: np.random.Generator) -> np.ndarray:
    """The row that each row's signals come from, int64 (all bars, N)."""
    preds = res.predictions
    horizon = preds.target.horizon if preds.target else res.brackets.max_holding or 1
    usable = np.isfinite(res.brackets.stop_long) & np.isfinite(res.brackets.stop_short)
    source = np.tile(np.arange(len(preds.index))[:, None], (1, len(preds.symbols)))
    for n in range(len(preds.symbols)):
        for number in np.unique(preds.split[preds.split[:, n] >= 0, n]):
            rows = np.flatnonzero((preds.split[:, n] == number) & usable[:, n])
            if len(rows) >= 4 * horizon:
                offset = rng.integers(2 * horizon, len(rows) - 2 * horizon + 1)
                source[rows, n] = np.roll(rows, offset)
    return source


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else math.nan
