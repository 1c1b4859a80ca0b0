"""The headline's positions, to be traded again on other sides or at other times.

Every account walks through the portfolio code of the headline itself.
Dimensions: T bars of the window, N symbols, M draws, K positions, C accounts of one chunk, D UTC
days.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from convnext_vbt.evidence.measures import returns_between
from convnext_vbt.evidence.selection import Selection
from convnext_vbt.evidence.window import Window
from convnext_vbt.trading import kernel
from convnext_vbt.trading.codes import (
    BUST,
    CLOSED,
    ENTER_LONG,
    ENTER_SHORT,
    EXIT,
    GAP_STOP,
    LONG,
    STOP,
    TAKE_PROFIT,
)
from convnext_vbt.trading.conditions import conditions_of
from convnext_vbt.trading.inputs import acting_codes, bar_bits, kernel_inputs, kernel_terms
from convnext_vbt.trading.sweep import SweepResult
from convnext_vbt.trading.walk import walk_accounts

CHUNK_CELLS = 4_000_000
"""Bars x accounts walked at once: 36 MB of codes and sizes."""
INSIDE = (STOP, GAP_STOP, TAKE_PROFIT, BUST)
"""Exits that are not at an open."""

Orders = tuple[np.ndarray, np.ndarray]
"""Codes uint8 and sizes float64 of C accounts, (C, N, T) each."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Positions:
    """Positions by symbol and time, as signals that make the kernel take them again."""

    column: np.ndarray
    """Symbol of each position, int64 (K,)."""
    row: np.ndarray
    """Bar of the symbol whose signal it was, int64 (K,): filled at its next open."""
    leave: np.ndarray
    """Bar whose exit signal ends it at the symbol's next open, int64 (K,); T where nothing does.

    Exits inside a bar come too late for its open: whoever is left goes at the next one.
    """
    is_long: np.ndarray
    size: np.ndarray
    """Confidence size, float64 (K,)."""


class PositionAccounts:
    """Walks the headline's positions as they are redrawn, a chunk of draws at a time.

    `risk` None is the reference risk. With `fair` the market is one that holding earns nothing
    from: each symbol's mean return less funding is taken out of its prices bar by bar, and there
    are no costs.
    """

    positions: Positions

    def __init__(
        self, res: SweepResult, selection: Selection, risk: float | None, *, fair: bool = False
    ) -> None:
        window = Window(res)
        signals = selection.signals.rows(*res.window)
        own = selection.brackets.rows(*res.window)
        market, self.columns = kernel_inputs(window.bars, signals, own, window.config)
        self.market = without_drift(market) if fair else market
        self.bits = bar_bits(window.bars, window.config.leave_at)
        self.present_NT = np.ascontiguousarray(window.bars.present[:, self.columns.symbol].T)
        trades = selection.simulation.trades
        self.positions = _positions(trades, self.columns.sizes, self.present_NT)
        # Holding limits are among the exits that are kept.
        config = window.config.times_costs(0.0) if fair else window.config
        self.terms = kernel_terms(config, replace(own, max_holding=None), "risk")
        self.conditions = conditions_of(config, window.bars, own)
        self.risk = window.config.risk if risk is None else risk

    @property
    def shape(self) -> tuple[int, int]:
        """Of one account's signals, (N, T)."""
        num_symbols, num_bars = self.columns.codes.shape
        return num_symbols, num_bars

    def walk(
        self, num_draws: int, orders: Callable[[range], Orders]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Daily returns (M, D) and growth (M,) of the accounts; `orders` gives those of a range."""
        chunk = max(1, CHUNK_CELLS // self.columns.codes.size)
        pieces = [
            self._walk(*orders(range(start, min(start + chunk, num_draws))))
            for start in range(0, num_draws, chunk)
        ]
        money = np.concatenate(pieces)
        return returns_between(money.T).T, money[:, -1] / money[:, 0]

    def mean_exposure(self, held: Positions) -> np.ndarray:
        """What is held of each symbol on average over its bars, of the equity, (N,); short < 0.

        As it is entered: risk over the way to the stop, at most `max_leverage`.
        """
        mean = np.zeros(self.shape[0])
        for n, present in enumerate(self.present_NT):
            mine = np.flatnonzero(held.column == n)
            side = np.where(held.is_long[mine], 1.0, -1.0)
            stop = self.market.brackets[
                self.columns.symbol[n], np.where(held.is_long[mine], 0, 1), held.row[mine]
            ]
            weight = np.fmin(self.risk * held.size[mine] / stop, self.terms.max_leverage)
            until = np.append(np.cumsum(present), present.sum())  # bars up to each and with it
            length = until[held.leave[mine]] - until[held.row[mine]]
            mean[n] = np.nansum(side * weight * length) / max(present.sum(), 1)
        return mean

    def market_returns(self) -> np.ndarray:
        """Daily returns of the symbols from close to close, less their mean, (N, D)."""
        closes = pd.DataFrame(self.market.prices[self.columns.symbol, 3].T).ffill().bfill()
        days = closes.to_numpy()[self.market.day_end]
        returns = days / np.vstack([closes.to_numpy()[:1], days[:-1]]) - 1.0
        centred: np.ndarray = (returns - returns.mean(axis=0)).T
        return centred

    def _walk(self, codes_CNT: np.ndarray, sizes_CNT: np.ndarray) -> np.ndarray:
        """Money before the first day and at the end of each, (C, 1 + D)."""
        count, num_symbols, num_bars = codes_CNT.shape
        symbol = np.tile(self.columns.symbol, count)
        columns = kernel.Columns(
            codes=acting_codes(
                codes_CNT.reshape(-1, num_bars), symbol, self.market.previous, self.bits
            ),
            sizes=sizes_CNT.reshape(-1, num_bars),
            symbol=symbol,
            accounts=np.arange(count * num_symbols).reshape(count, num_symbols),
        )
        cells = kernel.Cells(
            account=np.arange(count),
            points=np.tile([self.risk, 1.0, 1.0], (count, 1)),
            day_row=np.arange(count),
        )
        _, days_MRD = walk_accounts(self.market, columns, cells, self.terms, self.conditions)
        growth = np.cumprod(1.0 + days_MRD[:, 0], axis=1)
        return self.terms.init_cash * np.column_stack([np.ones(count), growth])


def without_drift(market: kernel.Market) -> kernel.Market:
    """The same market, each symbol's opens without a mean return, funding counted.

    A factor exp(-g i) at the symbol's i-th bar; holding a constant share of the account from open
    to open then earns nothing over the window.
    """
    prices, detail = market.prices.copy(), market.detail.copy()
    for n, own in enumerate(prices):
        here = np.flatnonzero(np.isfinite(own[0]))
        if len(here) < 2:
            continue
        funding = market.funding[n, here[1:]].mean() if market.funding.shape[1] else 0.0
        mean = np.mean(own[0, here[1:]] / own[0, here[:-1]])
        factor = ((1.0 + funding) / mean) ** np.arange(len(here))
        own[:, here] *= factor
        if market.starts.shape[1]:
            start, stop = market.starts[n, here], market.starts[n, here + 1]
            detail[n, :, start[0] : stop[-1]] *= np.repeat(factor, stop - start)
    return market._replace(prices=prices, detail=detail)


def enter(is_long: np.ndarray) -> np.ndarray:
    """Codes that take a position of either side; whatever is still held is left first."""
    return np.where(is_long, ENTER_LONG, ENTER_SHORT).astype(np.uint8) | np.uint8(EXIT)


def _positions(trades: np.ndarray, sizes_NT: np.ndarray, present_NT: np.ndarray) -> Positions:
    num_bars = present_NT.shape[1]
    row = np.empty(len(trades), dtype=np.int64)
    leave = np.full(len(trades), num_bars)
    for n, present in enumerate(present_NT):
        mine = np.flatnonzero(trades["col"] == n)
        own = trades[mine]
        here = np.flatnonzero(present)
        row[mine] = here[np.searchsorted(here, own["entry_idx"]) - 1]
        # An exit inside a bar is signalled by that bar, one at an open by the symbol's bar before.
        known = own["exit_idx"] + np.isin(own["reason"], INSIDE)
        at_open = here[np.searchsorted(here, known) - 1]
        # Where the next position began by then, its own entry ends this one.
        next_row = np.append(row[mine][1:], num_bars)
        leave[mine] = np.where(own["status"] == CLOSED, np.minimum(at_open, next_row), num_bars)
    return Positions(
        column=trades["col"],
        row=row,
        leave=leave,
        is_long=trades["direction"] == LONG,
        size=sizes_NT[trades["col"], row],
    )
