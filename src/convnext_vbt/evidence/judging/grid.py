"""What is judged: daily returns of every column, what they are measured against, and their orders.

A day is a day of the index's own clock; of a longer period (a week, a month) each period counts as
one. Dimensions: T rows, D days, C columns.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError, InputTypeError
from convnext_vbt.evidence.judging.book import (
    Book,
    Ledger,
    is_whole,
    ledger,
    read_book,
    until_ruin,
)
from convnext_vbt.evidence.measures import returns_between
from convnext_vbt.market.bars import modal_step
from convnext_vbt.market.calendar import days_per_year

FEWEST_DAYS = 60
OWN_CLOSE = "holding its own close"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """One or many columns to judge."""

    days: pd.DatetimeIndex
    """Days with a row, (D,)."""
    names: tuple[Hashable, ...]
    returns: np.ndarray = field(repr=False)
    """Daily, net, float64 (D, C)."""
    days_per_year: int
    benchmark: np.ndarray | None = field(repr=False)
    """Daily returns, (D, C) or (D, 1) for all; None where nothing is known to hold instead."""
    benchmark_name: str
    book: Book | None = field(repr=False)
    """None where there are returns alone."""
    ledger: Ledger | None = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def varies(self) -> np.ndarray:
        """Columns whose returns vary, bool (C,); the others never traded."""
        spread = self.returns.max(axis=0) - self.returns.min(axis=0)
        return np.asarray(spread > 1e-12)

    def benchmark_of(self, column: int) -> np.ndarray | None:
        """What a column is measured against, (D,)."""
        if self.benchmark is None:
            return None
        return self.benchmark[:, column if self.benchmark.shape[1] > 1 else 0]


def read_grid(
    source: Any, benchmark: pd.Series | None = None, slippage: float | None = None
) -> Grid:
    """A vectorbt portfolio, or a table or series of periodic returns, as a grid.

    Raises `ValueError` for what cannot be judged, `TypeError` for what is neither.
    """
    if hasattr(source, "order_records") and hasattr(source, "wrapper"):
        return _of_portfolio(source, benchmark, slippage)
    if not isinstance(source, (pd.DataFrame, pd.Series)):
        raise InputTypeError(
            "judge takes a vectorbt Portfolio or a DataFrame or Series of returns, got "
            f"{type(source).__name__}"
        )
    if slippage is not None:
        raise InputError("slippage is of orders; returns alone do not say how much was traded")
    frame = source.to_frame() if isinstance(source, pd.Series) else source
    return _of_returns(frame, benchmark)


def _of_returns(frame: pd.DataFrame, benchmark: pd.Series | None) -> Grid:
    if not len(frame.columns):
        raise InputError("there is no column of returns")
    days, daily, year = _by_day(frame)
    _check_returns(frame, daily, days)
    against = None if benchmark is None else _aligned(benchmark, days)
    return Grid(
        days=days, names=tuple(frame.columns), returns=daily, days_per_year=year,
        benchmark=against, benchmark_name="the benchmark given", book=None, ledger=None,
    )  # fmt: skip


def _of_portfolio(portfolio: Any, benchmark: pd.Series | None, slippage: float | None) -> Grid:
    wrapper = portfolio.wrapper
    index = _checked_index(wrapper.index)
    days, last_bar = _days(index)
    if slippage is not None and not 0 <= slippage < 1:
        raise InputError(f"slippage is a share of the price from 0 to 1, got {slippage:g}")
    book = read_book(portfolio, last_bar, slippage)
    found = ledger(book)
    names = tuple(wrapper.get_columns())
    if not np.isfinite(found.equity).all():
        name = names[int(np.flatnonzero(~np.isfinite(found.equity).all(axis=0))[0])]
        raise InputError(f"the equity of {name!r} is not finite; look at its prices and sizes")
    against = _holding(book) if benchmark is None else _aligned(benchmark, days)
    name = OWN_CLOSE if benchmark is None else "the benchmark given"
    if not is_whole(portfolio, book, found):
        frame = portfolio.returns()
        frame = frame.to_frame() if isinstance(frame, pd.Series) else frame
        days, daily, year = _by_day(frame)
        _check_returns(frame, daily, days)
        note = "Its orders do not explain the portfolio's value, so only its returns were judged."
        return Grid(
            days=days, names=names, returns=daily, days_per_year=year, benchmark=against,
            benchmark_name=name, book=None, ledger=None, notes=(note,),
        )  # fmt: skip
    found = replace(found, equity=until_ruin(found.equity))
    daily = returns_between(np.vstack([book.init_cash, found.equity]))
    _check_length(days)
    if not found.spells.any() or not np.ptp(daily, axis=0).any():
        raise InputError("no column's returns vary: there is nothing to judge")
    return Grid(
        days=days, names=names, returns=daily, days_per_year=_year(index),
        benchmark=against, benchmark_name=name, book=book, ledger=found,
    )  # fmt: skip


def _holding(book: Book) -> np.ndarray:
    """Daily returns of buying each account's columns at the first close, in equal parts, (D, C).

    (D, 1) where all columns have the same prices.
    """
    rows = np.concatenate([[0], book.last_bar])
    if (book.close[rows] == book.close[rows][:, :1]).all():
        return returns_between(book.filled_close(0)[rows])[:, None]
    closes = np.array(book.close[rows], dtype=np.float64)
    for n in np.flatnonzero(np.isnan(closes).any(axis=0)):
        closes[:, n] = book.filled_close(int(n))[rows]
    growth = closes / closes[:1]
    total = np.zeros((len(rows), len(book.init_cash)))
    np.add.at(total.T, book.account, growth.T)
    return returns_between(total)


def _by_day(frame: pd.DataFrame) -> tuple[pd.DatetimeIndex, np.ndarray, int]:
    """Days, returns compounded within each, (D, C), and days a year."""
    try:
        values = frame.to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        raise InputTypeError("returns must be numbers; drop the columns that are not") from None
    index = _checked_index(frame.index)
    if np.isnan(values[0]).all():  # pct_change has no first return
        values, index = values[1:], index[1:]
    days, last_row = _days(index)
    if len(days) < len(values):
        first = np.append(0, last_row[:-1] + 1)
        grown = [
            np.multiply.reduce(1.0 + values[start : stop + 1], axis=0)
            for start, stop in zip(first, last_row, strict=True)
        ]
        values = np.array(grown) - 1.0
    return days, values, _year(index)


def _check_returns(frame: pd.DataFrame, daily: np.ndarray, days: pd.DatetimeIndex) -> None:
    _check_length(days)
    bad = ~np.isfinite(daily)
    if bad.any():
        column = int(np.flatnonzero(bad.any(axis=0))[0])
        row = int(np.flatnonzero(bad[:, column])[0])
        raise InputError(
            f"returns of {frame.columns[column]!r} are not finite on {int(bad[:, column].sum())} "
            f"of {len(days)} days, first {days[row]:%Y-%m-%d}; write 0 where nothing was held"
        )
    if daily.min() < -1.0:
        raise InputError(
            f"a return of {daily.min():g} loses more than everything; give fractions, not percents"
        )
    _refuse_prices(daily, "")
    if not (np.ptp(daily, axis=0) > 1e-12).any():
        raise InputError("no column's returns vary: there is nothing to judge")


def _refuse_prices(daily: np.ndarray, whose: str) -> None:
    if daily.min() >= 0 and daily.mean() > 0.5:
        raise InputError(
            f"{whose}no value is negative and their mean is {daily.mean():g}: these look like "
            "prices or equity; give returns, as .pct_change() makes them"
        )


def _check_length(days: pd.DatetimeIndex) -> None:
    if len(days) < FEWEST_DAYS:
        raise InputError(f"judging needs at least {FEWEST_DAYS} days with a row, got {len(days)}")


def _aligned(benchmark: pd.Series, days: pd.DatetimeIndex) -> np.ndarray:
    if not isinstance(benchmark, pd.Series):
        raise InputTypeError(
            f"benchmark must be a Series of returns by time, got {type(benchmark).__name__}"
        )
    own, daily, _ = _by_day(benchmark.to_frame())
    at = own.get_indexer(days)
    # A day before the benchmark's first is that of a pct_change: its first return is not there.
    if (at[1:] < 0).any():
        day = days[1:][at[1:] < 0][0]
        raise InputError(f"the benchmark has no return on {day:%Y-%m-%d}; it must cover all days")
    found = np.where(at[:, None] < 0, 0.0, daily[at])
    if not np.isfinite(found).all():
        raise InputError("the benchmark has returns that are not finite; write 0 or drop them")
    _refuse_prices(found, "benchmark: ")
    return found


def _checked_index(index: pd.Index) -> pd.DatetimeIndex:
    if not isinstance(index, pd.DatetimeIndex):
        raise InputTypeError(
            f"judging needs an index of times, got {type(index).__name__}; give a DatetimeIndex"
        )
    if index.hasnans or not (np.diff(index.asi8) > 0).all():
        raise InputError("the index's times must increase, without a missing or repeated one")
    if len(index) < FEWEST_DAYS:
        raise InputError(f"judging needs at least {FEWEST_DAYS} days with a row, got {len(index)}")
    return index


def _days(index: pd.DatetimeIndex) -> tuple[pd.DatetimeIndex, np.ndarray]:
    """Days with a row, and the last row of each, int64 (D,)."""
    days = _own_clock(index).normalize()
    last = np.flatnonzero(np.append(days[1:] != days[:-1], True))
    return days[last], last


def _own_clock(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return index if index.tz is None else index.tz_localize(None)


def _year(index: pd.DatetimeIndex) -> int:
    """Days a year that have a row, by the index's own weekdays."""
    own = _own_clock(index).as_unit("ns")
    return days_per_year(own, modal_step(own))
