"""The orders and prices of a portfolio, read off a native vectorbt `Portfolio` without vectorbt.

Dimensions: T bars, D days, N columns of orders, C accounts (columns, or groups of them), M orders,
K spells, E pieces.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.evidence.judging import kernels

SAME_VALUE = 1e-6
"""Up to this share of the money, equity by the orders is the portfolio's own."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Book:
    """Orders by column and time, closes without gaps, and which column is of which account."""

    last_bar: np.ndarray
    """The last bar of each day, int64 (D,)."""
    orders: np.ndarray = field(repr=False)
    """Fields col, idx, size, price, fees, side as vectorbt has them."""
    starts: np.ndarray = field(repr=False)
    """Where each column's orders begin, int64 (N + 1,)."""
    close: np.ndarray = field(repr=False)
    """(T, N), as it was given: NaN where the market had no bar."""
    account: np.ndarray
    """The account of each column, int64 (N,)."""
    init_cash: np.ndarray
    """Of each account, (C,)."""
    slippage: float | None
    """A side, as a share of the price; None where it is not known."""

    def columns_of(self, account: int) -> np.ndarray:
        """The columns that share an account."""
        return np.flatnonzero(self.account == account)

    def filled_close(self, column: int) -> np.ndarray:
        """Closes of a column, (T,), the last one where there is none, or before the first that."""
        values = pd.Series(self.close[:, column], dtype=np.float64)
        return values.ffill().bfill().to_numpy()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ledger:
    """What the orders of all accounts came to."""

    equity: np.ndarray
    """At each day's last bar, (D, C)."""
    spells: np.ndarray
    """Positions begun, long and short, int64 (C, 2)."""
    fees: np.ndarray
    """Paid in all, (C,)."""
    traded: np.ndarray
    """Value of all orders, (C,)."""


def read_book(portfolio: Any, last_bar: np.ndarray, slippage: float | None) -> Book:
    """The book of a vectorbt portfolio. Raises `ValueError` for one without an order or money."""
    wrapper, orders = portfolio.wrapper, np.asarray(portfolio.order_records)
    if not len(orders):
        logs = len(portfolio.log_records)
        seen = f"{logs} log entries but no order" if logs else "no order"
        raise InputError(f"the portfolio has {seen}: nothing was traded, so there is no judging it")
    order = np.lexsort((orders["id"], orders["idx"], orders["col"]))
    if not np.array_equal(order, np.arange(len(order))):
        orders = orders[order]
    close = portfolio.close.to_numpy()
    close = close[:, None] if close.ndim == 1 else close
    account = np.asarray(wrapper.grouper.get_groups(), dtype=np.int64)
    init_cash = np.atleast_1d(np.asarray(portfolio.init_cash, dtype=np.float64))
    if not (np.isfinite(init_cash) & (init_cash > 0)).all():
        wrong = init_cash[~(np.isfinite(init_cash) & (init_cash > 0))][0]
        raise InputError(
            f"returns need a finite init_cash above 0, got {wrong:g}; give the portfolio one"
        )
    return Book(
        last_bar=last_bar,
        orders=orders,
        starts=np.searchsorted(orders["col"], np.arange(close.shape[1] + 1)),
        close=close,
        account=account,
        init_cash=init_cash,
        slippage=slippage,
    )


def ledger(book: Book) -> Ledger:
    """Equity of all accounts at each day's end, by the orders alone."""
    count = len(book.init_cash)
    closes = np.ascontiguousarray(book.close[book.last_bar], dtype=np.float64)
    for n in np.flatnonzero(np.isnan(closes).any(axis=0)):
        closes[:, n] = book.filled_close(int(n))[book.last_bar]
    equity = np.tile(book.init_cash, (len(book.last_bar), 1))
    spells, costs = np.zeros((count, 2), dtype=np.int64), np.zeros((count, 2))
    kernels.days_nb(
        book.starts, *_arrays(book.orders), book.last_bar, closes, book.account, equity, spells,
        costs,
    )  # fmt: skip
    return Ledger(equity=equity, spells=spells, fees=costs[:, 0], traded=costs[:, 1])


def until_ruin(equity: np.ndarray) -> np.ndarray:
    """Equity along the first axis, 0 from where nothing was left: the account is over."""
    return np.where(np.minimum.accumulate(equity, axis=0) > 0, equity, 0.0)


def is_whole(portfolio: Any, book: Book, found: Ledger) -> bool:
    """Whether the orders explain the portfolio's own value, by its first account that traded.

    A subclass may add what no order holds: interest, funding, deposits.
    """
    account = int(np.flatnonzero(found.spells.sum(axis=1))[0])
    one = portfolio if len(book.init_cash) == 1 else portfolio.iloc[account]
    own = np.asarray(one.value(), dtype=np.float64).reshape(len(book.close))[book.last_bar]
    scale = SAME_VALUE * np.maximum(np.abs(own), book.init_cash[account])
    return bool((np.abs(own - found.equity[:, account]) <= scale).all())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bars:
    """One column of a book, bar by bar; money throughout."""

    close: np.ndarray
    """(T,), without gaps."""
    position: np.ndarray
    """Units held at each close, (T,)."""
    profit: np.ndarray
    """Before fees, (T,)."""
    fees: np.ndarray
    """(T,)."""
    traded: np.ndarray
    """Value of the orders, (T,)."""
    spell: np.ndarray
    """Of each piece, int64 (E,)."""
    bar: np.ndarray
    """Of each piece, int64 (E,)."""
    gross: np.ndarray
    """What each piece gained, (E,)."""
    is_long: np.ndarray
    """Of each spell, bool (K,)."""


def bars_of(book: Book, column: int) -> Bars:
    """A column of the book, bar by bar."""
    orders = book.orders[book.starts[column] : book.starts[column + 1]]
    close, count = book.filled_close(column), len(book.close)
    position, profit, fees, traded = (np.zeros(count) for _ in range(4))
    most = count + len(orders)
    spell, bar = np.zeros((2, most), dtype=np.int64)
    gross, is_long = np.zeros(most), np.zeros(len(orders), dtype=np.bool_)
    pieces, spells = kernels.bars_nb(
        *_arrays(orders), close, position, profit, fees, spell, bar, gross, is_long
    )
    np.add.at(traded, orders["idx"], orders["size"] * orders["price"])
    return Bars(
        close=close, position=position, profit=profit, fees=fees, traded=traded,
        spell=spell[:pieces], bar=bar[:pieces], gross=gross[:pieces], is_long=is_long[:spells],
    )  # fmt: skip


def _arrays(orders: np.ndarray) -> tuple[np.ndarray, ...]:
    """Bar, signed size, price and fees, contiguous."""
    signed = np.where(orders["side"] == 0, orders["size"], -orders["size"])
    bar, price, fees = (np.ascontiguousarray(orders[name]) for name in ("idx", "price", "fees"))
    return bar, signed, price, fees
