"""Splits of anybody's predictions: which bars each was made from, however that is said.

Positions count the rows of the frames from 0; ranges are half-open. Dimension: T bars.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, Protocol

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError, InputTypeError
from convnext_vbt.predictions.types import Range, Split

MOST_SPLITS = np.iinfo(np.int16).max
"""`Predictions.split` holds their numbers."""
FORMS = (
    "give (train, test) pairs of bar positions as splitter.split(X) yields them, Split objects, a "
    "splitter, or one fold number a bar (-1 for none)"
)


class Splitter(Protocol):
    """What scikit-learn and skfolio call a cross-validator."""

    def split(self, X: Any) -> Iterable[Any]:
        """Pairs of the positions that are learned from and those that are predicted."""


Rows = Range | slice | Sequence[int] | np.ndarray
SplitsLike = Splitter | Iterable[Split] | Iterable[tuple[Rows, Rows]] | Sequence[float] | np.ndarray


def splits_of(given: Any, frame: pd.DataFrame) -> tuple[Split, ...]:
    """The splits of a frame's rows in order of their test ranges, numbered so from 0.

    `Split` objects keep their own numbers. A train range reaches from the first position that was
    learned from to the last one, whatever was purged between; it is empty where only fold numbers
    are given, which do not tell.

    Raises `InputError` for positions outside the frame, for an empty side, and for test ranges that
    lie in one another, as those of shuffled folds do.
    """
    num_bars = len(frame)
    parts = _parts(given, frame)
    if not parts:
        raise InputError(f"splits is empty; {FORMS}")
    if len(parts) > MOST_SPLITS:
        raise InputError(
            f"at most {MOST_SPLITS:,} splits fit, got {len(parts):,}; test on longer ranges"
        )
    if all(isinstance(part, Split) for part in parts):
        splits = sorted(parts, key=lambda split: split.test)
        for split in splits:
            _check_inside(split.test, num_bars, f"split {split.number + 1}: the test range")
            _check_inside(split.train, num_bars, f"split {split.number + 1}: the train range")
        if len({split.number for split in splits}) < len(splits):
            raise InputError(f"split numbers must differ, got {[s.number for s in splits]}")
    else:
        pairs = [_pair(part, k + 1, num_bars) for k, part in enumerate(parts)]
        pairs.sort(key=lambda pair: pair[1])
        splits = [Split(number=k, train=train, test=test) for k, (train, test) in enumerate(pairs)]
    _refuse_overlap(splits)
    return tuple(splits)


def numbers_of(splits: Sequence[Split], made_TN: np.ndarray, index: pd.DatetimeIndex) -> np.ndarray:
    """The number of the split that made each prediction, int16 (T, N), -1 where there is none.

    Raises `InputError` where there is a prediction outside all test ranges.
    """
    number_T = np.full(len(index), -1, dtype=np.int16)
    for split in splits:
        number_T[slice(*split.test)] = split.number
    outside = np.flatnonzero(made_TN.any(axis=1) & (number_T < 0))
    if len(outside):
        raise InputError(
            f"{index[outside[0]]}: {len(outside):,} bars have a prediction and lie in no test "
            "range, so they may be in sample; give NaN there"
        )
    return np.where(made_TN, number_T[:, None], np.int16(-1))


def _parts(given: Any, frame: pd.DataFrame) -> list[Any]:
    """Splits, pairs, or pairs made of fold numbers."""
    if isinstance(given, str) or given is None:
        raise InputTypeError(f"splits = {given!r} is not understood; {FORMS}")
    if isinstance(given, type):
        raise InputTypeError(f"splits is the class {given.__name__}; give one of it, made with ()")
    if isinstance(given, pd.DataFrame):
        raise InputTypeError(f"splits is a DataFrame; of fold numbers give one column, {FORMS}")
    if isinstance(given, pd.Series):
        if not given.index.equals(frame.index):
            raise InputError("fold numbers must have the index of prob_up; use splits.reindex")
        return _from_folds(given.to_numpy(), len(frame))
    if isinstance(given, np.ndarray) and given.ndim == 1 and given.dtype != object:
        return _from_folds(given, len(frame))
    if not isinstance(given, Iterable) and hasattr(given, "split"):
        try:
            return list(given.split(frame))
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(
                f"{type(given).__name__}.split(X) of {len(frame):,} bars fails ({error}); call it "
                "yourself and give splits=list(...)"
            ) from None
    if not isinstance(given, Iterable):
        raise InputTypeError(f"splits is a {type(given).__name__}; {FORMS}")
    parts = list(given)
    if parts and all(isinstance(part, Real) for part in parts):
        return _from_folds(np.array(parts), len(frame))
    return parts


def _from_folds(numbers: np.ndarray, num_bars: int) -> list[Any]:
    """A pair for each fold number; what was learned from is not told by them."""
    if len(numbers) != num_bars:
        raise InputError(f"{len(numbers):,} fold numbers do not belong to {num_bars:,} bars")
    try:
        values = numbers.astype(np.float64)
    except (TypeError, ValueError):
        raise InputTypeError(f"fold numbers must be whole numbers, got {numbers.dtype}") from None
    there = ~np.isnan(values) & (values >= 0)
    if (values[there] % 1).any():
        raise InputError(
            f"fold numbers must be whole, got {values[there][values[there] % 1 > 0][0]}"
        )
    return [(None, np.flatnonzero(there & (values == k))) for k in np.unique(values[there])]


def _pair(part: Any, number: int, num_bars: int) -> tuple[Range, Range]:
    """Train and test range of one pair; `number` counts from 1, in the order given."""
    name = f"split {number}"
    if isinstance(part, Split) or not isinstance(part, tuple | list) or len(part) != 2:
        raise InputTypeError(
            f"{name} is a {type(part).__name__} and no (train, test) pair; {FORMS}"
        )
    test = _hull(part[1], f"{name}: the test range", num_bars)
    if part[0] is None:
        return (test[0], test[0]), test
    return _hull(part[0], f"{name}: the train range", num_bars), test


def _hull(rows: Any, name: str, num_bars: int) -> Range:
    """The half-open range from the first of some positions to the last one."""
    if isinstance(rows, slice):
        if rows.step not in (None, 1):
            raise InputError(f"{name} is {rows}; a slice of bars has no step")
        start, stop, _ = rows.indices(num_bars)
    elif isinstance(rows, tuple) and len(rows) == 2 and all(isinstance(r, Integral) for r in rows):
        start, stop = (int(edge) for edge in rows)
    else:
        if isinstance(rows, list) and any(isinstance(part, np.ndarray | list) for part in rows):
            raise InputError(
                f"{name} is {len(rows)} ranges, as combinatorial cross-validation makes them; give "
                "one path of predictions, each split with one test range"
            )
        positions = np.asarray(rows)
        if positions.ndim != 1 or not np.issubdtype(positions.dtype, np.integer):
            if not len(positions.ravel()):
                raise InputError(f"{name} is empty")
            raise InputTypeError(
                f"{name} must be positions of bars, (start, stop) or a slice, got "
                f"{positions.dtype} of shape {positions.shape}; use np.flatnonzero of a mask"
            )
        if not len(positions):
            raise InputError(f"{name} is empty")
        start, stop = int(positions.min()), int(positions.max()) + 1
    _check_inside((start, stop), num_bars, name)
    if start == stop:
        raise InputError(f"{name} [{start}, {stop}) is empty")
    return start, stop


def _check_inside(rows: Range, num_bars: int, name: str) -> None:
    if not 0 <= rows[0] <= rows[1] <= num_bars:
        raise InputError(
            f"{name} [{rows[0]}, {rows[1]}) does not lie within the {num_bars:,} bars; positions "
            "count the rows of prob_up, NaN rows among them"
        )


def _refuse_overlap(splits: Sequence[Split]) -> None:
    for k, (before, after) in enumerate(pairwise(splits), start=1):
        if after.test[0] < before.test[1]:
            raise InputError(
                f"the test ranges [{before.test[0]}, {before.test[1]}) and [{after.test[0]}, "
                f"{after.test[1]}) of the splits {k} and {k + 1} lie in one another; each must be "
                "one stretch of bars: do not shuffle folds, and predict each bar once"
            )
