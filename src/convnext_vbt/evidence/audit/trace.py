"""What a run had come to by some bar, and where two runs first disagree about it.

Every comparison is exact: equal to the last bit, NaN like NaN.
Dimensions: T bars, N symbols, C columns.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence.selection import Selection
from convnext_vbt.evidence.stages import AuditStages
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import CLASSES, Predictions, Range, Split
from convnext_vbt.trading.brackets import DISTANCES
from convnext_vbt.trading.codes import BY_RULE
from convnext_vbt.trading.signals import LEVELS, Signals
from convnext_vbt.trading.sweep import SweepResult

BEFORE_TRAINING = ("features", "labels", "splits", "training labels")
AFTER_TRAINING = (
    "predictions", "signals", "sizes", "brackets", "selection", "orders", "equity",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first bar about which two runs disagree, and how."""

    bar: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """What bars are turned into before any training."""

    bars: Bars
    features: Any
    labels: Any
    splits: Sequence[Split]

    @classmethod
    def of(cls, stages: AuditStages, bars: Bars) -> Prepared:
        """Features, labels and splits of these bars."""
        features, labels = stages.features(bars), stages.labels(bars)
        return cls(bars=bars, features=features, labels=labels, splits=stages.splits(labels))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traded:
    """What follows from the features once every split is trained."""

    predictions: Predictions
    result: SweepResult
    selection: Selection


def compare_prepared(left: Prepared, right: Prepared, bar: int) -> Iterator[Difference | None]:
    """By stage of `BEFORE_TRAINING`: the first difference known by the close of `bar`."""
    yield first_feature(left.features, right.features, bar, left.bars.symbols)
    yield _known_labels(left, right, bar)
    yield _known_ranges(left.splits, right.splits, bar)
    yield _training_labels(left, right, bar)


def compare_traded(
    left: Traded, right: Traded, bar: int, *, next_open: bool
) -> Iterator[Difference | None]:
    """By stage of `AFTER_TRAINING`: the first difference known by the close of `bar`.

    With `next_open` also among the orders at the open of the bar after it.
    """
    rows = (0, bar + 1)
    symbols = left.predictions.symbols
    columns = [" ".join(map(str, column)) for column in left.result.rules.columns]
    yield _first_row(
        left.predictions.proba,
        right.predictions.proba,
        rows,
        ("", symbols, [f"P({name})" for name in CLASSES]),
    )
    one, other = left.result.signals, right.result.signals
    yield _first_attribute(one, other, LEVELS, rows, columns)
    yield _first_row(one.size, other.size, rows, ("size", columns))
    yield _first_attribute(left.result.brackets, right.result.brackets, DISTANCES, rows, symbols)
    yield _first_of((_choices(left, right, bar), _joined_signals(left, right, rows)))
    yield _orders(left, right, bar, next_open=next_open)
    names = [" ".join(map(str, column)) for column in left.selection.simulation.columns]
    accounts = names if len(symbols) == 1 else ["the account"]
    yield _first_of(
        _first_row(_on_all_bars(left, name), _on_all_bars(right, name), rows, (name, labels))
        for name, labels in (("position", names), ("equity", accounts))
    )


def ranges_of(split: Split) -> list[tuple[str, Range, int]]:
    """(name, range, first bar of the next range) of what a split is fitted on."""
    start, stop = split.train
    return [("train", split.train, split.test[0])] if stop > start else []


def compare_arrays(left: np.ndarray, right: np.ndarray, title: str, bar: int) -> Difference | None:
    """Whether two arrays without a time axis of their own differ; `bar` is when they are used."""
    one, other = np.atleast_1d(left), np.atleast_1d(right)
    found = _first_row(one, other, (0, len(one)), (title,))
    return None if found is None else Difference(bar=bar, text=found.text)


def first_feature(
    left: Any,
    right: Any,
    bar: int,
    symbols: Sequence[str],
    *,
    tolerance: float = 0.0,
    shift: int = 0,
) -> Difference | None:
    """The first feature by the close of `bar` that differs by more than some standard deviations.

    `tolerance` counts in standard deviations; bars are told `shift` later.
    """
    one, other = (feature_values(features)[: bar + 1] for features in (left, right))
    columns = getattr(left, "names", ())
    names = ("" if columns else "feature", symbols, columns)
    found = _first_row(one, other, (0, bar + 1), names)
    if found is not None and tolerance and one.shape == other.shape:
        flat = feature_values(left)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a column without any value
            spread = np.nanstd(flat, axis=tuple(range(flat.ndim - 1)), dtype=np.float64)
        near = np.abs(one.astype(np.float64) - other) <= tolerance * spread
        found = _first_row(one, np.where(near, one, other), (0, bar + 1), names)
    return None if found is None else Difference(bar=found.bar + shift, text=found.text)


def feature_values(features: Any) -> np.ndarray:
    """The array (T, ...) of features."""
    return np.asarray(getattr(features, "values", features))


def _first_row(
    left: np.ndarray, right: np.ndarray, rows: Range, names: Sequence[Any]
) -> Difference | None:
    """First of these rows that differs; `names` are a title and the names along each axis."""
    if left.shape != right.shape:
        text = f"{names[0]} has shape {right.shape}, had {left.shape}".strip()
        return Difference(bar=rows[0], text=text)
    one, other = left[slice(*rows)], right[slice(*rows)]
    differs = ~((one == other) | ((one != one) & (other != other)))
    bars = np.flatnonzero(differs.reshape(len(one), -1).any(axis=1))
    if not len(bars):
        return None
    at = tuple(int(i) for i in np.argwhere(differs)[0])
    labels = [str(axis[i]) for i, axis in zip(at[1:], names[1:], strict=False) if len(axis) > i]
    what = " of ".join(filter(None, (names[0], *reversed(labels))))
    text = f"{what} is {_shown(other[at])}, was {_shown(one[at])}"
    return Difference(bar=rows[0] + at[0], text=text)


def _shown(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, np.floating) else str(value)


def _first_of(found: Any) -> Difference | None:
    return min(filter(None, found), key=lambda difference: difference.bar, default=None)


def first_signal(left: Signals, right: Signals, bar: int) -> Difference | None:
    """The first level or size by the close of `bar` that differs between two sets of signals."""
    columns = [" ".join(map(str, column)) for column in left.columns]
    return _first_attribute(left, right, (*LEVELS, "size"), (0, bar + 1), columns)


def _first_attribute(
    left: Any, right: Any, parts: Iterable[str], rows: Range, columns: Any, title: str = ""
) -> Difference | None:
    """First of these rows in which one of the arrays (T, C) named in `parts` differs."""
    return _first_of(
        _first_row(getattr(left, part), getattr(right, part), rows, (title + part, columns))
        for part in parts
    )


def _known_labels(left: Prepared, right: Prepared, bar: int) -> Difference | None:
    """Labels that one of the two runs says are known by the close of `bar`."""
    known = np.zeros(left.labels.values.shape, dtype=bool)
    for run in (left, right):
        known |= (run.labels.values >= 0) & (run.labels.end <= bar)
    return _first_of(
        _first_row(
            np.where(known, getattr(left.labels, name), -1),
            np.where(known, getattr(right.labels, name), -1),
            (0, bar + 1),
            (title, left.bars.symbols),
        )
        for name, title in (("values", "label"), ("end", "end of the label"))
    )


def _known_ranges(left: Sequence[Split], right: Sequence[Split], bar: int) -> Difference | None:
    """Ranges of splits that must be settled before the bar after `bar`."""
    if len(left) != len(right):
        return Difference(bar=0, text=f"there are {len(right)} splits, were {len(left)}")
    for one, other in zip(left, right, strict=True):
        for name, span, limit in ranges_of(one):
            now = getattr(other, name)
            if limit <= bar + 1 and now != span:
                text = f"{name} range of split {one.number + 1} is {now}, was {span}"
                return Difference(bar=min(*now, *span), text=text)
    return None


def _training_labels(left: Prepared, right: Prepared, bar: int) -> Difference | None:
    """Labels of the rows that each range offers; all must be known before the next range."""
    return _first_of(
        _first_row(
            np.where(left.labels.values >= 0, getattr(left.labels, part), -1),
            np.where(right.labels.values >= 0, getattr(right.labels, part), -1),
            span,
            (f"{title} in the {name} range of split {split.number + 1}", left.bars.symbols),
        )
        for split in left.splits
        for name, span, limit in ranges_of(split)
        if limit <= bar + 1
        for part, title in (("values", "label"), ("end", "end of the label"))
    )


def _choices(left: Traded, right: Traded, bar: int) -> Difference | None:
    """Rules chosen for test ranges that begin by the bar after `bar`, and their track records."""
    for number, (start, _) in left.selection.test_ranges.items():
        first = start + left.result.window[0]
        if first > bar + 1:
            continue
        one, other = (
            trade.selection.choices.loc[number].to_dict()
            if number in trade.selection.choices.index
            else {}
            for trade in (left, right)
        )
        for name, value in one.items():
            now = other.get(name)
            if now != value and not (pd.isna(now) and pd.isna(value)):
                text = f"{name} of the rule chosen for split {number + 1} is {now}, was {value}"
                return Difference(bar=first, text=text)
    return None


def _joined_signals(left: Traded, right: Traded, rows: Range) -> Difference | None:
    columns = [" ".join(map(str, column)) for column in left.selection.signals.columns]
    parts = (*LEVELS, "size")
    return _first_attribute(
        left.selection.signals, right.selection.signals, parts, rows, columns, "chosen "
    )


def _orders(left: Traded, right: Traded, bar: int, *, next_open: bool) -> Difference | None:
    one, other = (_order_list(run, bar, next_open=next_open) for run in (left, right))
    for mine, its in zip(one, other, strict=False):
        if mine != its:
            first = min(mine, its)
            return Difference(bar=first[0], text=f"order is {_text(its)}, was {_text(mine)}")
    if len(one) == len(other):
        return None
    extra = (one if len(one) > len(other) else other)[min(len(one), len(other))]
    what = f"{_text(extra)} is gone" if len(one) > len(other) else f"{_text(extra)} is new"
    return Difference(bar=extra[0], text=f"order {what}")


def _order_list(run: Traded, bar: int, *, next_open: bool) -> list[tuple[Any, ...]]:
    """(bar, column, side, size, price, fees) of every order placed by then, in order of time."""
    simulation, shift = run.selection.simulation, run.result.window[0]
    made = simulation.orders[simulation.orders["idx"] + shift <= bar]
    rows = [(int(o["idx"]) + shift, int(o["col"]), int(o["side"]), *_money(o, "")) for o in made]
    if next_open:
        for trade in simulation.trades:
            direction = int(trade["direction"])
            if trade["entry_idx"] + shift == bar + 1:
                rows.append((bar + 1, int(trade["col"]), direction, *_money(trade, "entry_")))
            if trade["exit_idx"] + shift == bar + 1 and trade["reason"] in BY_RULE:
                rows.append((bar + 1, int(trade["col"]), 1 - direction, *_money(trade, "exit_")))
    return sorted(rows)


def _money(record: Any, prefix: str) -> tuple[float, float, float]:
    return float(record["size"]), float(record[f"{prefix}price"]), float(record[f"{prefix}fees"])


def _text(order: tuple[Any, ...]) -> str:
    _, _, side, size, price, _ = order
    return f"{'Sell' if side else 'Buy'} {size:.6g} at {price:.6g}"


def _on_all_bars(run: Traded, name: str) -> np.ndarray:
    """An array of the account with NaN before and after the window, float64 (T, C)."""
    values = getattr(run.selection.simulation, name)
    out = np.full((len(run.result.bars), values.shape[1]), np.nan)
    out[slice(*run.result.window)] = values
    return out
