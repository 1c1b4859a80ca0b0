"""Signals: stateless levels and a size, one column a rule and symbol.

Row t depends on probabilities and bars up to the close of t alone and is acted on at the open of
t+1. Holding time, stops and re-entry belong to the simulation.
Dimensions: T bars, C columns (rules outer, symbols inner).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError, InputTypeError
from convnext_vbt.summary import Summary, span
from convnext_vbt.trading.codes import ENTER_LONG, ENTER_SHORT, EXIT_LONG, EXIT_SHORT

LEVELS = ("entries", "exits", "short_entries", "short_exits")
LEVEL_BITS = (ENTER_LONG, EXIT_LONG, ENTER_SHORT, EXIT_SHORT)

Frame = pd.DataFrame | pd.Series


class Rules(ABC):
    """What can be traded: columns of rules and symbols, as arrays or as a recipe for them.

    `columns` is a MultiIndex of the rules' parameters with the level "symbol" last.
    """

    __slots__ = ()
    index: pd.DatetimeIndex
    columns: pd.MultiIndex

    @property
    def rule_levels(self) -> list[str]:
        """Names of the column levels before "symbol"."""
        return [str(name) for name in self.columns.names[:-1]]

    @property
    def symbols(self) -> pd.Index:
        """The symbol of each column."""
        return self.columns.get_level_values("symbol")

    def __repr__(self) -> str:
        names = ", ".join(map(str, self.columns.names))
        kind = type(self).__name__
        return f"{kind}({len(self.index):,} bars, {len(self.columns)} columns by {names})"

    @abstractmethod
    def rows(self, start: int, stop: int) -> Self:
        """The half-open range of bars [start, stop)."""

    @abstractmethod
    def take(self, columns: Sequence[int] | np.ndarray) -> Self:
        """The columns at these positions."""

    @abstractmethod
    def signals(self) -> Signals:
        """The arrays of all columns."""

    @abstractmethod
    def packed(self) -> tuple[np.ndarray, np.ndarray]:
        """What the kernel reads, time last: codes, uint8 (C, T), and sizes, float64 (C, T).

        A code is the row's levels as bits without conflicts, which are taken as vectorbt's
        "ignore" does: entry and exit of one side on one row cancel each other; so do the entries
        of both sides.
        """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Signals(Rules):
    """Entry, exit and size arrays in vectorbt's layout: what a rule says at each bar's close.

    The four levels are bool (T, C); `size` is float64 (T, C) in [0, 1], the share of the full
    stake that an entry on that row gets. All arrays are C-ordered and read-only.

    Raises `ValueError` for a wrong shape, a size outside [0, 1] or columns without symbols.
    """

    index: pd.DatetimeIndex
    columns: pd.MultiIndex
    entries: np.ndarray
    exits: np.ndarray
    short_entries: np.ndarray
    short_exits: np.ndarray
    size: np.ndarray

    def __repr__(self) -> str:
        return str(self._summary())

    def _repr_html_(self) -> str:
        return self._summary().html()

    def _summary(self) -> Summary:
        counts = {name: int(np.count_nonzero(getattr(self, name))) for name in LEVELS}
        enters, exits, shorts, covers = counts.values()
        rows = (
            ("from, to", span(self.index)),
            ("entries", f"{enters:,} long · {shorts:,} short, in all columns"),
            ("exits", f"{exits:,} long · {covers:,} short"),
        )
        return Summary(Rules.__repr__(self), rows)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", self.index.as_unit("ns"))
        _check_columns(self.columns)
        shape = (len(self.index), len(self.columns))
        for name in (*LEVELS, "size"):
            given = np.asarray(getattr(self, name))
            if given.shape != shape:
                raise InputError(
                    f"{name} must have shape {shape} (bars, columns), got {given.shape}"
                )
            if name != "size" and given.dtype != np.bool_:
                raise InputError(
                    f"{name} must be bool, got {given.dtype}; after a shift use "
                    "shift(1, fill_value=False)"
                )
            values = np.array(given, dtype=np.float64 if name == "size" else np.bool_, order="C")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        wrong = ~((self.size >= 0) & (self.size <= 1))
        if wrong.any():
            t, c = (int(i) for i in np.argwhere(wrong)[0])
            raise InputError(
                f"{self.index[t]}, column {self.columns[c]}: size must lie in [0, 1], got "
                f"{self.size[t, c]:g}; it is a share of the full stake, 0 for no trade"
            )

    @classmethod
    def from_frames(
        cls,
        *,
        entries: Frame,
        exits: Frame | None = None,
        short_entries: Frame | None = None,
        short_exits: Frame | None = None,
        size: Frame | float = 1.0,
    ) -> Self:
        """A rule of one's own: frames (T, C) of bool on one UTC index, levels not shifted.

        Columns are the symbols, or a MultiIndex whose last level holds them; a Series is one
        symbol by its name ("asset" without one). What is left out never signals.
        """
        first = _as_frame(entries)
        columns = _with_symbol_level(first.columns)
        arrays = {
            name: _aligned(name, frame, first)
            for name, frame in zip(
                LEVELS, (entries, exits, short_entries, short_exits), strict=True
            )
        }
        if isinstance(size, (pd.DataFrame, pd.Series)):
            sizes = _aligned("size", size, first)
        else:
            sizes = np.full(tuple(first.shape), float(size))
        index = pd.DatetimeIndex(first.index)
        index = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
        return cls(index=index, columns=columns, size=sizes, **arrays)

    def frame(self, name: str) -> pd.DataFrame:
        """One of entries, exits, short_entries, short_exits, size as a frame."""
        return pd.DataFrame(getattr(self, name), index=self.index, columns=self.columns)

    def rows(self, start: int, stop: int) -> Signals:
        """The half-open range of bars [start, stop)."""
        return self._cut(slice(start, stop), slice(None))

    def take(self, columns: Sequence[int] | np.ndarray) -> Signals:
        """The columns at these positions."""
        return self._cut(slice(None), np.asarray(columns, dtype=np.int64))

    def signals(self) -> Signals:
        """The arrays of all columns."""
        return self

    def packed(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes and sizes for the kernel; see `Rules.packed`."""
        long_clash = self.entries & self.exits
        short_clash = self.short_entries & self.short_exits
        enter_long, enter_short = self.entries & ~long_clash, self.short_entries & ~short_clash
        both = enter_long & enter_short
        levels = (
            enter_long & ~both,
            self.exits & ~long_clash,
            enter_short & ~both,
            self.short_exits & ~short_clash,
        )
        codes = np.zeros(self.size.shape, dtype=np.uint8)
        for level, bit in zip(levels, LEVEL_BITS, strict=True):
            codes |= level * np.uint8(bit)
        # a copy even of one column: what is read-only would make the kernel compile again
        return np.array(codes.T, order="C"), np.array(self.size.T, order="C")

    def _cut(self, rows: slice, columns: slice | np.ndarray) -> Signals:
        arrays = {name: getattr(self, name)[rows][:, columns] for name in (*LEVELS, "size")}
        return Signals(index=self.index[rows], columns=self.columns[columns], **arrays)


def unpacked(codes: np.ndarray) -> dict[str, np.ndarray]:
    """The four levels, bool (T, C), of codes (C, T) as `Rules.packed` makes them."""
    return {
        name: ((codes & np.uint8(bit)) != 0).T for name, bit in zip(LEVELS, LEVEL_BITS, strict=True)
    }


def _check_columns(columns: pd.MultiIndex) -> None:
    names = list(columns.names)
    named = all(isinstance(name, str) for name in names)
    if not isinstance(columns, pd.MultiIndex) or not named or names[-1] != "symbol":
        raise InputError(
            "columns must be a MultiIndex of named levels, the last one 'symbol', got names "
            f"{names}; use columns.set_names"
        )
    if columns.has_duplicates:
        raise InputError(f"column {columns[columns.duplicated()][0]} appears more than once")


def _with_symbol_level(columns: pd.Index) -> pd.MultiIndex:
    if isinstance(columns, pd.MultiIndex):
        return columns.set_names("symbol", level=-1) if columns.names[-1] is None else columns
    return pd.MultiIndex.from_arrays([columns], names=["symbol"])


def _as_frame(frame: Frame) -> pd.DataFrame:
    if isinstance(frame, pd.Series):
        return frame.to_frame("asset" if frame.name is None else frame.name)
    if not isinstance(frame, pd.DataFrame):
        raise InputTypeError(f"signals must be pandas frames or series, got {type(frame).__name__}")
    return frame


def _aligned(name: str, frame: Frame | None, first: pd.DataFrame) -> np.ndarray:
    if frame is None:
        return np.zeros(first.shape, dtype=bool)
    table = _as_frame(frame)
    if not table.index.equals(first.index) or not table.columns.equals(first.columns):
        raise InputError(
            f"{name} {table.shape} must share index and columns with entries {first.shape}"
        )
    return table.to_numpy()
