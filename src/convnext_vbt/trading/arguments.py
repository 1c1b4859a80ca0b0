"""Numbers and lists of them as callers give them, named in what is refused."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from convnext_vbt.errors import InputError, InputTypeError
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions


def check_kinds(function: str, bars: Any, preds: Any) -> None:
    """Raise `InputTypeError` for bars that are none and predictions that are none, as if swapped.

    `function` says how it is called.
    """
    for name, value, kind in (("bars", bars, Bars), ("preds", preds, Predictions)):
        if not isinstance(value, kind):
            raise InputTypeError(
                f"{name} must be {kind.__name__}, got {type(value).__name__}; it is {function}"
            )


def check_number(name: str, value: Any) -> None:
    """Raise `InputError` for what is no number: a text, True, None, NaN."""
    if not is_number(value):
        raise InputError(f"{name} must be a number, got {value!r}")


def is_number(value: Any) -> bool:
    """Whether it is a number, of Python or numpy, and not NaN."""
    return not isinstance(value, bool) and isinstance(value, Real) and not math.isnan(value)


def as_list(name: str, values: Any) -> list[Any]:
    """One value or a flat sequence of them as a list of plain Python values.

    Raises `InputError` for an empty, nested or repeating sequence.
    """
    items = list(values) if is_list(values) else [values]
    items = [item.item() if isinstance(item, np.generic) else item for item in items]
    if not all(item is None or isinstance(item, Real | str) for item in items):
        raise InputError(f"{name} must be one value or a flat list of values, got {values!r}")
    if not items or len(set(items)) != len(items):
        raise InputError(f"{name} needs one or more distinct values, got {items}")
    return items


def as_numbers(name: str, values: Any, *, optional: bool = False) -> list[Any]:
    """`as_list` of numbers; with `optional` None may stand in place of them all."""
    if optional and values is None:
        return [None]
    items = as_list(name, values)
    for item in items:
        check_number(name, item)
    return items


def is_list(values: Any) -> bool:
    """Whether there are several, or could be."""
    return isinstance(values, list | tuple) or np.ndim(values) > 0
