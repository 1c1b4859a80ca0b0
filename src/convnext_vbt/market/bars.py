"""OHLCV bars of one or many symbols: validated, UTC, frozen.

Dimensions: T bars, N symbols.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError, InputTypeError
from convnext_vbt.market.calendar import ALWAYS_OPEN, DAY, bars_per_day, days_per_year
from convnext_vbt.market.funding import checked_funding
from convnext_vbt.market.passes import are_increasing, are_sound, usual_distance
from convnext_vbt.summary import Summary, listed, span

logger = logging.getLogger("convnext_vbt")

FIELDS = ("open", "high", "low", "close", "volume")
FUNDING_NAMES = ("funding", "funding_rate")
"""Columns of a frame that hold funding rates, in any case."""

_NOISE = 1e-9
MENDED = f"bar(s) whose high or low was off by rounding, under {_NOISE:g}, mended"


class FramesBySymbol(Protocol):
    """What is needed of a vectorbt data object (`vbt.Data`, vbt.YFData, ...)."""

    @property
    def data(self) -> Mapping[Any, pd.DataFrame]:
        """One frame a symbol."""


class FinerBars(Protocol):
    """What is needed of `market.detail.Detail`."""

    @property
    def prices(self) -> np.ndarray:
        """Open, high, low, close of each symbol's finer bars, float64 (N, 4, U)."""

    @property
    def starts(self) -> np.ndarray:
        """Where each bar's own begin, int64 (N, T + 1)."""

    def rows(self, start: int, stop: int) -> FinerBars:
        """Those of a range of bars."""

    def tobytes(self) -> bytes:
        """Those of these rows, for a fingerprint."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bars:
    """OHLCV bars, stamped with their open time in UTC.

    The five value arrays are float64 of shape (T, N), C-ordered and read-only. A bar that a
    symbol does not have is a row of five NaN; anything else that is not a positive, finite,
    consistent price is refused, as is a negative volume. A symbol may have no volume at all: NaN
    throughout (`has_volume`).

    Raises `ValueError` naming the first bad row, its value and the remedy.
    """

    index: pd.DatetimeIndex
    symbols: tuple[str, ...]
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    step: pd.Timedelta
    """The usual distance between two bars (the most frequent one)."""
    days_per_year: int = 0
    """UTC days a year that have a bar: 365 for a market that is always open, 252 for one open on
    weekdays, 311 with bars on Sunday evenings too, 52 for weekly bars; 0 reads it off the index."""
    funding: np.ndarray | None = None
    """Funding rate due at each bar's open, float64 (T, N), a fraction of the notional: 0.0001 is
    1 bp, paid by who is long then to who is short. NaN or 0 where none is due, None for no such
    market. One given at a row at which the symbol has no bar is due at its next one."""
    detail: FinerBars | None = None
    """Finer bars inside these, which tell an account what came first within a bar."""
    closing: tuple[bool, ...] | None = None
    """`closes` of the bars that these are a part of, which a few days cannot tell; None reads it
    off the index."""

    def __post_init__(self) -> None:
        _check_index(self.index)
        object.__setattr__(self, "index", self.index.as_unit("ns"))
        if not isinstance(self.symbols, tuple):
            raise InputTypeError(f"symbols must be a tuple of names, got {self.symbols!r}")
        if len(set(self.symbols)) != len(self.symbols) or not self.symbols:
            raise InputError(f"symbols must be distinct and at least one, got {self.symbols}")
        if not self.step > pd.Timedelta(0):
            raise InputError(f"step must be positive, got {self.step}")
        shape = (len(self.index), len(self.symbols))
        for field in FIELDS:
            values = np.array(getattr(self, field), dtype=np.float64, order="C")
            if values.shape != shape:
                raise InputError(
                    f"{field} must have shape {shape} (bars, symbols), got {values.shape}"
                )
            values.flags.writeable = False
            object.__setattr__(self, field, values)
        if self.funding is not None:
            rates = checked_funding(self.funding, self.present, self.symbols, self.index)
            object.__setattr__(self, "funding", rates)
        _check_values(self)
        if self.days_per_year == 0:
            object.__setattr__(self, "days_per_year", days_per_year(self.index, self.step))
        elif not 1 <= self.days_per_year <= ALWAYS_OPEN:
            raise InputError(
                "days_per_year must lie in [1, 365], or be 0 to be read off the index, got "
                f"{self.days_per_year}"
            )

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, *, symbol: str = "asset") -> Self:
        """Bars of one symbol from a frame with open, high, low, close columns (any case).

        A column volume is optional: without one it is not known (`has_volume`), and features that
        need it are left out.
        The index holds bar OPEN times; without a time zone it is taken as UTC. A column funding or
        funding_rate becomes `funding`.
        """
        return cls.from_frames({symbol: frame})

    @classmethod
    def from_frames(cls, frames: Mapping[str, pd.DataFrame], *, checked: bool = False) -> Self:
        """A panel from one frame a symbol; times that a symbol lacks become NaN rows.

        `checked` frames hold whole, possible bars alone and are nobody else's: of a single one the
        values are neither looked at again nor copied.
        """
        if not frames:
            raise InputError("no frames were given; pass {symbol: frame}")
        if len(frames) == 1:
            return cls._of_one(*next(iter(frames.items())), checked=checked)
        tables = {symbol: _ohlcv_columns(frame, symbol)[0] for symbol, frame in frames.items()}
        index = next(iter(tables.values())).index
        for table in tables.values():
            index = index.union(table.index)
        index = pd.DatetimeIndex(index).as_unit("ns")
        with_funding = any("funding" in table for table in tables.values())
        arrays: dict[str, Any] = {
            field: np.column_stack(
                [
                    table.reindex(index=index, columns=[field]).to_numpy(np.float64)[:, 0]
                    for table in tables.values()
                ]
            )
            for field in (*FIELDS, *(("funding",) if with_funding else ()))
        }
        own = [pd.DatetimeIndex(table["close"].dropna().index) for table in tables.values()]
        step = modal_step(*own) if any(len(times) > 1 for times in own) else modal_step(index)
        return cls(index=index, symbols=tuple(tables), step=step, **arrays)

    @classmethod
    def _of_one(cls, symbol: str, frame: pd.DataFrame, *, checked: bool) -> Self:
        table, sound = _ohlcv_columns(frame, symbol, sound=checked)
        index = pd.DatetimeIndex(table.index)
        arrays: dict[str, Any] = {
            name: np.array(table[name], np.float64, copy=None if checked else True)[:, None]
            for name in table.columns
        }
        step = modal_step(index)
        if "funding" in arrays or not sound:
            return cls(index=index, symbols=(symbol,), step=step, **arrays)
        values = (arrays[name] for name in FIELDS)
        year = days_per_year(index, step)
        return _unchecked(index, (symbol,), *values, step, year, None, None, None, of=cls)

    @classmethod
    def join(cls, parts: Sequence[Bars]) -> Self:
        """One panel of several bars: all their times, NaN rows where a symbol has no bar.

        Raises `ValueError` where bar sizes differ, a symbol comes twice or nothing is given.
        """
        if not parts:
            raise InputError("there is nothing to join; pass a list of Bars")
        _check_parts(parts)
        if len(parts) == 1:
            return cls(**{slot.name: getattr(parts[0], slot.name) for slot in fields(cls)})
        index = parts[0].index
        for part in parts[1:]:
            index = index.union(part.index)
        rows = [index.get_indexer(part.index) for part in parts]

        def joined(name: str) -> np.ndarray:
            out = np.full((len(index), sum(len(part.symbols) for part in parts)), np.nan)
            column = 0
            for part, where in zip(parts, rows, strict=True):
                values = getattr(part, name)
                if values is not None:
                    out[where, column : column + len(part.symbols)] = values
                column += len(part.symbols)
            return out

        calendars = {part.days_per_year for part in parts}
        arrays: dict[str, Any] = {field: joined(field) for field in FIELDS}
        return cls(
            index=pd.DatetimeIndex(index),
            symbols=tuple(symbol for part in parts for symbol in part.symbols),
            step=parts[0].step,
            days_per_year=calendars.pop() if len(calendars) == 1 else 0,
            funding=joined("funding") if any(p.funding is not None for p in parts) else None,
            **arrays,
        )

    @classmethod
    def from_data(cls, data: FramesBySymbol) -> Self:
        """The bars of a vectorbt data object: `Bars.from_data(vbt.YFData.download("SPY"))`.

        Its index holds bar open times; without a time zone they are taken as UTC. Rows that
        vectorbt has filled with NaN to align symbols are missing bars; other columns are ignored.
        """
        return cls.from_frames(frames_of(data))

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        return (
            f"Bars({listed(self.symbols)}: {len(self):,} bars of {step_text(self.step)}, "
            f"{span(self.index)})"
        )

    def _repr_html_(self) -> str:
        """One line is enough for a log; a notebook sees what else there is."""
        bars = f"{len(self):,} of {step_text(self.step)}"
        missing = self.close.size - int(np.count_nonzero(self.present))
        some = f" of {self.has_volume.sum():,} symbols" if not self.has_volume.all() else ""
        also = [
            f"volume{some}",
            *(["funding"] if self.funding is not None else []),
            *(["finer bars"] if self.detail is not None else []),
        ]
        rows = [
            ("symbols", listed(self.symbols)),
            ("bars", f"{bars}, {missing:,} missing" if missing else f"{bars}, none missing"),
            ("from, to", span(self.index)),
            ("with", ", ".join(also)),
            ("days a year", str(self.days_per_year)),
        ]
        return Summary("Bars", tuple(rows)).html()

    @property
    def present(self) -> np.ndarray:
        """Whether the symbol has this bar, bool (T, N)."""
        here: np.ndarray = ~np.isnan(self.close)
        return here

    @property
    def previous(self) -> np.ndarray:
        """The row of the symbol's own bar before each row, int64 (T, N); -1 where there is none.

        Beside another calendar that is seldom the row before.
        """
        rows = np.where(self.present, np.arange(len(self))[:, None], -1)
        before = np.full_like(rows, -1)
        np.maximum.accumulate(rows[:-1], axis=0, out=before[1:])
        return before

    @property
    def has_volume(self) -> np.ndarray:
        """Whether the volume of the symbol's bars is known, bool (N,)."""
        # A symbol has a volume in all of its bars or in none: the first one tells.
        first = [np.isnan(c).argmin() if np.isnan(c[0]) else 0 for c in self.close.T]
        of_first = first, np.arange(len(self.symbols))
        known: np.ndarray = np.isnan(self.close[of_first]) | ~np.isnan(self.volume[of_first])
        return known

    def frame(self, field: str) -> pd.DataFrame:
        """One field as a (T, N) frame, the layout vectorbt uses."""
        return pd.DataFrame(
            getattr(self, field), index=self.index, columns=pd.Index(self.symbols, name="symbol")
        )

    def rows(self, start: int, stop: int) -> Bars:
        """The half-open range of bars [start, stop), sharing this one's memory."""
        if not 0 <= start < stop <= len(self):
            raise InputError(f"rows [{start}, {stop}) do not lie within the {len(self)} bars")
        return _unchecked(
            self.index[start:stop],
            self.symbols,
            *(getattr(self, field)[start:stop] for field in FIELDS),
            self.step,
            self.days_per_year,
            None if self.funding is None else self.funding[start:stop],
            None if self.detail is None else self.detail.rows(start, stop),
            tuple(self.closes.tolist()),
        )

    def mirrored(self) -> Bars:
        """The same market quoted the other way round: 1 / price, UP and DOWN exchanged.

        A high is one over a low. Volume and funding stay as they are; there is no detail.
        """
        prices = (1.0 / values for values in (self.open, self.low, self.high, self.close))
        rest = (self.step, self.days_per_year, self.funding, None, self.closing)
        return _unchecked(self.index, self.symbols, *prices, self.volume, *rest)

    @property
    def has_sessions(self) -> bool:
        """Whether the market closes between days or weeks, as far as bars of this size show it."""
        return self.days_per_year < ALWAYS_OPEN and self.step <= DAY

    @property
    def closes(self) -> np.ndarray:
        """Whether each symbol's own market closes between days or weeks, bool (N,).

        Beside a coin the panel as a whole is always open, and a stock in it is not.
        """
        if self.closing is not None:
            return np.array(self.closing)
        if self.has_sessions or len(self.symbols) == 1 or self.step > DAY:
            return np.full(len(self.symbols), self.has_sessions)
        own = (self.index[here] for here in self.present.T)
        return np.array([days_per_year(index, self.step) < ALWAYS_OPEN for index in own])

    @property
    def years(self) -> float:
        """Calendar years from the first open to the last bar's end, 365 days each.

        Idle hours that have no bar are time all the same.
        """
        return float((self.index[-1] - self.index[0] + self.step) / (ALWAYS_OPEN * DAY))

    @property
    def bars_per_year(self) -> float:
        """Bars a year: 8,760 hourly ones around the clock, 252 daily ones on weekdays."""
        if not self.has_sessions:
            return 365 * (DAY / self.step)
        return self.days_per_year * bars_per_day(self.index)

    def fingerprint(self, stop: int | None = None) -> str:
        """SHA-256 of the symbols, times and values of the first `stop` bars (default: all)."""
        digest = hashlib.sha256("\0".join(self.symbols).encode())
        digest.update(np.ascontiguousarray(self.index.asi8[:stop]).tobytes())
        for field in FIELDS:
            digest.update(getattr(self, field)[:stop].tobytes())
        if self.funding is not None:
            digest.update(self.funding[:stop].tobytes())
        if self.detail is not None:
            digest.update(self.detail.rows(0, len(self) if stop is None else stop).tobytes())
        return digest.hexdigest()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as parts: pickle itself forgets that the arrays are read-only."""
        return _unchecked, tuple(getattr(self, slot.name) for slot in fields(self))


def frames_of(data: FramesBySymbol) -> dict[str, pd.DataFrame]:
    """The frames of a vectorbt data object; `InputTypeError` for anything else."""
    frames = getattr(data, "data", None)
    if not isinstance(frames, Mapping):
        raise InputTypeError(
            f"bars cannot be made of {type(data).__name__}; pass a path, a named source, a "
            "DataFrame, an Arrow table or a vbt.Data object"
        )
    lone = [symbol for symbol, frame in frames.items() if not isinstance(frame, pd.DataFrame)]
    if lone:
        raise InputTypeError(f"{lone[0]}: a single column is no bar; bars need {', '.join(FIELDS)}")
    return {str(symbol): frame for symbol, frame in frames.items()}


_AnyBars = TypeVar("_AnyBars", bound=Bars)


def _unchecked(*values: Any, of: type[_AnyBars] = Bars) -> _AnyBars:  # type: ignore[assignment]
    """Bars of all their fields in order, which were checked before."""
    bars = object.__new__(of)
    for slot, value in zip(fields(of), values, strict=True):
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
        object.__setattr__(bars, slot.name, value)
    return bars


def step_text(step: pd.Timedelta) -> str:
    """A bar size as traders write it: 1h, 15m, 1d."""
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(step.total_seconds(), seconds)
        if count and not rest:
            return f"{int(count)}{unit}"
    return str(step)


def _check_index(index: pd.DatetimeIndex, table: pd.DataFrame | None = None) -> None:
    """Refuse times that are not UTC, missing, or not strictly increasing."""
    if not isinstance(index, pd.DatetimeIndex):
        raise InputTypeError(f"bars need a DatetimeIndex of open times, got {type(index).__name__}")
    if len(index) < 2:
        raise InputError(f"bars need at least 2 rows, got {len(index)}; is the file empty?")
    if str(index.tz) != "UTC":
        raise InputError(
            f"bar times must be UTC, got time zone {index.tz}; use index.tz_convert('UTC')"
        )
    if index.hasnans:
        row = int(np.flatnonzero(index.isna())[0])
        raise InputError(f"row {row}: the timestamp is missing; drop or repair this row")
    if are_increasing(index.asi8):
        return
    distance = np.diff(index.asi8)
    late = np.flatnonzero(distance <= 0)
    row = int(late[0]) + 1
    if distance[row - 1] == 0:
        raise InputError(f"row {row}: {index[row]} {_twice(table, row)}; {len(late)} in all")
    newest_first = " (the newest comes first)" if len(late) == len(distance) else ""
    raise InputError(
        f"row {row}: {index[row]} is earlier than the row before it, {index[row - 1]}"
        f"{newest_first}; sort the rows by time"
    )


def _twice(table: pd.DataFrame | None, row: int) -> str:
    """What is wrong with a row that has the timestamp of the one before it, and the remedy."""
    if table is None:
        return "is a duplicate of the row before it; keep one row per timestamp"
    before, here = table.iloc[row - 1], table.iloc[row]
    different = [name for name in FIELDS if before[name] != here[name]]
    if not different:
        return "is there twice with the same values; drop one of the two rows"
    name = different[0]
    return (
        f"is there twice with different values ({name} {before[name]:g} and {here[name]:g}); "
        "find out which row is right and drop the other"
    )


def _check_parts(parts: Sequence[Bars]) -> None:
    first = parts[0]
    seen: set[str] = set()
    for part in parts:
        if part.step != first.step:
            raise InputError(
                f"{', '.join(part.symbols)} has bars of {step_text(part.step)}, "
                f"{', '.join(first.symbols)} of {step_text(first.step)}; join bars of one size"
            )
        twice = seen.intersection(part.symbols)
        if twice:
            raise InputError(f"symbol {min(twice)} comes twice; give each symbol's bars once")
        seen.update(part.symbols)


def value_faults(
    fields: Mapping[str, np.ndarray],
) -> Iterator[tuple[str, str, np.ndarray]]:
    """What cannot be about bars: field, reason, and the mask (of the fields' shape) of where.

    A bar that is NaN throughout is missing and no fault; so is a volume that no bar of a symbol
    has.
    """
    missing = np.isnan(fields["open"])
    for field in FIELDS:
        values = fields[field]
        here = np.isnan(values)
        if field == "volume":
            none = here.all(axis=0)
            yield field, "only part of the bar is there", (here != missing) & ~none
            bad = ~missing & ~((values >= 0) & np.isfinite(values)) & ~none
            yield field, "a volume must be finite and >= 0", bad
        else:
            yield field, "only part of the bar is there", here != missing
            bad = ~missing & ~((values > 0) & np.isfinite(values))
            yield field, "a price must be finite and > 0", bad
    top = np.maximum(fields["open"], fields["close"])
    bottom = np.minimum(fields["open"], fields["close"])
    high, low = fields["high"], fields["low"]
    yield "high", "the high lies below the low", high < low
    yield "high", "the high lies below the open or the close", high < top
    yield "low", "the low lies above the open or the close", low > bottom


def _check_values(bars: Bars) -> None:
    for field, why, bad in value_faults({name: getattr(bars, name) for name in FIELDS}):
        _refuse(bars, bad, field, why)
    missing = ~bars.present
    empty = np.flatnonzero(missing.all(axis=0))
    if len(empty):
        raise InputError(f"{bars.symbols[empty[0]]}: not a single bar is there; drop the symbol")


def _refuse(bars: Bars, bad_TN: np.ndarray, field: str, why: str) -> None:
    if not bad_TN.any():
        return
    row, column = (int(i) for i in np.argwhere(bad_TN)[0])
    values = ", ".join(f"{name}={getattr(bars, name)[row, column]:g}" for name in FIELDS)
    raise InputError(
        f"{bars.symbols[column]}, row {row} ({bars.index[row]}), {field}: {why} ({values}); "
        f"{int(bad_TN.sum())} such value(s) in all: repair or drop these rows"
    )


def _ohlcv_columns(
    frame: pd.DataFrame, symbol: str, *, sound: bool = False
) -> tuple[pd.DataFrame, bool]:
    """The five columns under their lower-case names on a UTC index, checked for order.

    A volume that is not there is NaN.
    And whether every row is known to be a whole, possible bar, as with `sound` it is before.
    """
    if not isinstance(frame.index, pd.DatetimeIndex):
        raise InputTypeError(
            f"{symbol}: the index must be a DatetimeIndex of open times, got "
            f"{type(frame.index).__name__}; use frame.set_index('timestamp')"
        )
    index = frame.index
    names = [str(column).strip().lower() for column in frame.columns]
    absent = [field for field in FIELDS[:4] if field not in names]
    if absent:
        raise InputError(
            f"{symbol}: column(s) {', '.join(absent)} not found among "
            f"{', '.join(map(str, frame.columns))}; bars need {', '.join(FIELDS[:4])}, and have "
            "volume where it is known"
        )
    if "volume" not in names:
        frame, names = frame.assign(volume=np.nan), [*names, "volume"]
    rates = [name for name in FUNDING_NAMES if name in names]
    wanted = [*FIELDS, *rates]
    twice = [field for field in wanted if names.count(field) > 1] or rates[1:]
    if twice:
        raise InputError(f"{symbol}: column {twice[0]} is there twice; keep the right one")
    fields_there = [*FIELDS, *("funding" for _ in rates)]
    table = frame.iloc[:, [names.index(field) for field in wanted]].set_axis(fields_there, axis=1)
    for field in fields_there:
        if not pd.api.types.is_numeric_dtype(table[field]):
            raise InputError(
                f"{symbol}: column {field} is not numeric (dtype {table[field].dtype}); "
                "convert it with pandas.to_numeric"
            )
    sound = sound or are_sound({name: table[name].to_numpy(np.float64) for name in FIELDS})
    if not sound:
        high, low, count = without_noise(*(table[name].to_numpy(np.float64) for name in FIELDS[:4]))
        if count:
            logger.warning("%s: %s %s", symbol, f"{count:,}", MENDED)
            table = table.assign(high=high, low=low)
    index = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
    _check_index(index, table)
    return table.set_axis(index if index.unit == "ns" else index.as_unit("ns"), axis=0), sound


def without_noise(
    opened: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """High and low moved to an open or close that passes them by no more than rounding; how many.

    Vendors adjust prices in floating point, which leaves a high of 101.22999999999999 beside a
    close of 101.23.
    """
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    above = (high < top) & (high >= top * (1 - _NOISE))
    below = (low > bottom) & (low <= bottom * (1 + _NOISE))
    mended = int((above | below).sum())
    return np.where(above, top, high), np.where(below, bottom, low), mended


def modal_step(*indexes: pd.DatetimeIndex) -> pd.Timedelta:
    """The most frequent distance between two times of one index."""
    times = [index.as_unit("ns").asi8 for index in indexes]
    if len(times) == 1:
        return pd.Timedelta(usual_distance(times[0]), unit="ns")
    steps, counts = np.unique(np.concatenate([*map(np.diff, times)]), return_counts=True)
    return pd.Timedelta(int(steps[counts.argmax()]), unit="ns")
