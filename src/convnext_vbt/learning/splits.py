"""Walk-forward splits, train | test, and combinatorial ones, purged through the labels' ends.

Ranges are half-open ranges of bars [start, stop). Dimensions: T bars, N symbols.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Literal, get_args, overload

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.learning.combinations import Combination, inside, purged_end
from convnext_vbt.learning.labels import NO_LABEL, Labels
from convnext_vbt.learning.spans import Span, Timeline, duration
from convnext_vbt.predictions import Range, Split

Kind = Literal["walk_forward", "cpcv"]
MOST_COMBINATIONS = 1_000
"""Each is a model to train."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForward:
    """How the bars are cut: a training window, then the test range right after it, again and again.

    A length is a number of bars, or a duration by the calendar, whatever the market's hours:
    "365D" of training are the bars that open within the 365 days before the test range's first
    one, "90D" of testing those that open within 90 days from that one on. Bars that all lie
    equally far apart are cut at the nearest whole number of them.

    Test ranges tile from the first window's end to the last bar without holes; the last one may
    be shorter. The train range stops before its first row whose label ends in the test range,
    and `embargo` bars earlier still (`purged_end`). Nothing of it is held back: what must be chosen
    is chosen out of fold, over `folds` contiguous folds of it, and then everything is learned.

    Raises `ValueError` naming the setting, its value and the remedy.
    """

    train: int | str = "365D"
    """Length of the training window: bars or a duration."""
    test: int | str = "90D"
    """Length of a test range, and the step from split to split: bars or a duration."""
    folds: int = 5
    """Contiguous parts of the training window, each predicted by what the others teach."""
    embargo: int = 0
    """Further bars dropped at every boundary, on top of the purge."""
    expanding: bool = False
    """Whether every window starts at the first bar, instead of moving along."""
    kind: Kind = "walk_forward"
    """"cpcv" trains combinatorial splits beside these (`combinations`)."""
    groups: int = 6
    """Of "cpcv": into how many groups of equal length the bars are cut."""
    held_out: int = 2
    """Of "cpcv": how many of them each combination is tested on."""
    valid: float | None = None
    """Cuts nothing any longer; read so that strategy files of versions before 0.3 are."""
    calibration: float | None = None
    """Likewise."""

    def __post_init__(self) -> None:
        for name in ("train", "test"):
            _check_length(getattr(self, name), f"splits.{name}")
        if self.folds < 2:
            raise InputError(f"splits.folds must be at least 2, got {self.folds}")
        if self.embargo < 0:
            raise InputError(f"splits.embargo must be 0 or more bars, got {self.embargo}")
        if self.kind not in get_args(Kind):
            raise InputError(f"splits.kind must be one of {get_args(Kind)}, got {self.kind!r}")
        if not 2 <= self.held_out < self.groups:
            raise InputError(
                "splits.held_out must be at least 2 and less than splits.groups, got "
                f"{self.held_out} of {self.groups}"
            )
        if self.num_combinations > MOST_COMBINATIONS:
            raise InputError(
                f"splits.groups = {self.groups} and splits.held_out = {self.held_out} are "
                f"{self.num_combinations:,} models to train, over {MOST_COMBINATIONS:,}; lower them"
            )

    @property
    def num_combinations(self) -> int:
        """Ways to hold out so many groups: splits of "cpcv"."""
        return math.comb(self.groups, self.held_out)

    def split(self, labels: Labels) -> Splits:
        """The splits of the bars that `labels` belongs to."""
        num_bars, times = len(labels.values), Timeline(labels.opens)
        train, test = times.span(self.train, "splits.train"), times.span(self.test, "splits.test")
        first = times.after(0, train)
        if first >= num_bars or times.after(first, test) > num_bars:
            raise InputError(
                f"splits.train + splits.test need {times.needed(train, test)}; shorten "
                "splits.train or splits.test, or load more bars"
            )
        # Ends of unlabelled rows count too: that a label is ambiguous is known only at its end.
        reach = labels.end.max(axis=1)
        counts = (labels.values != NO_LABEL).sum(axis=1)
        cuts = [first]
        while cuts[-1] < num_bars:
            cuts.append(min(times.after(cuts[-1], test), num_bars))
        return Splits(
            self._one(number, tested, times.before(tested[0], train), reach, counts)
            for number, tested in enumerate(pairwise(cuts))
        )

    def combinations(self, labels: Labels, *, first: int, number: int) -> Splits:
        """The splits of combinatorial purged cross-validation; none unless `kind` is "cpcv".

        The bars from `first` on, or from the first label on, are cut into groups of equal length
        (to a bar), and every combination of `held_out` of them is the test of one split, numbered
        from `number` on (Lopez de Prado 2018, ch. 12). No label that is learned from reaches into a
        tested group or lies within `embargo` bars of one, nor does a tested group's label reach
        what is learned from: behind such a group learning begins after the last end of its labels.

        Raises `InputError` where there are too few bars, or nothing is left to learn from.
        """
        if self.kind == "walk_forward":
            return Splits(())
        num_bars = len(labels.values)
        first = max(first, int((labels.values != NO_LABEL).any(axis=1).argmax()))
        if num_bars - first < self.groups:
            raise InputError(
                f"splits.groups = {self.groups} is more than the {max(num_bars - first, 0):,} bars "
                "that have the history which is needed; lower it, or load more bars"
            )
        edges = first + np.arange(self.groups + 1) * (num_bars - first) // self.groups
        groups = list(pairwise(edges.tolist()))
        held = combinations(groups, self.held_out)
        return Splits(
            self._combination(number + place, groups, tested, labels)
            for place, tested in enumerate(held)
        )

    def _combination(
        self, number: int, groups: Sequence[Range], tested: tuple[Range, ...], labels: Labels
    ) -> Combination:
        reach_T = labels.end.max(axis=1)
        starts = [groups[0][0], *(stop for _, stop in tested)]
        stops = [*(start for start, _ in tested), groups[-1][1]]
        learned, known = [], starts[0]
        for place, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            if place:  # behind a group that is tested
                reached = int(reach_T[slice(*tested[place - 1])].max()) + 1 + self.embargo
                known = max(known, reached)
            begin, end = max(start, known), stop
            if place < len(tested) and begin < stop:
                end = purged_end(reach_T, begin, stop, self.embargo)
            if begin < end:
                learned.append((begin, end))
        rows = inside(np.arange(len(reach_T)), learned)
        if not (labels.values[rows] != NO_LABEL).any():
            raise InputError(
                f"split {number}: beside the groups {list(tested)} no labelled row is left to "
                f"learn from, purged by label end and an embargo of {self.embargo} bars; lower "
                "splits.groups, labels.horizon or splits.embargo"
            )
        return Combination(
            number=number,
            train=(learned[0][0], learned[-1][1]),
            test=(tested[0][0], tested[-1][1]),
            folds=self.folds,
            embargo=self.embargo,
            learned=tuple(learned),
            tested=tested,
        )

    def test_span(self, opens: pd.DatetimeIndex) -> Span:
        """Length of a whole test range: after so long a network gives way to the next one."""
        return Timeline(opens).span(self.test, "splits.test")

    def as_sklearn(self, labels: Labels) -> list[tuple[np.ndarray, np.ndarray]]:
        """`split(labels).as_sklearn(labels)`: what scikit-learn takes as `cv`."""
        return self.split(labels).as_sklearn(labels)

    def _one(
        self,
        number: int,
        test: Range,
        window_start: int,
        reach_T: np.ndarray,
        labelled_T: np.ndarray,
    ) -> Split:
        start = 0 if self.expanding else window_start
        train_range = (start, purged_end(reach_T, start, test[0], self.embargo))
        if not labelled_T[slice(*train_range)].sum():
            raise InputError(
                f"split {number + 1}: no labelled row is left in the train range of "
                f"{test[0] - start} bars [{start}, {test[0]}) after the purge by label end "
                f"and an embargo of {self.embargo} bars; raise splits.train, or lower "
                "labels.horizon or splits.embargo"
            )
        return Split(
            number=number,
            train=train_range,
            test=test,
            folds=self.folds,
            embargo=self.embargo,
        )


class Splits(Sequence[Split]):
    """An immutable sequence of `Split`, in order of time."""

    __slots__ = ("_splits",)

    def __init__(self, splits: Iterator[Split] | Sequence[Split]) -> None:
        self._splits = tuple(splits)

    @overload
    def __getitem__(self, index: int) -> Split: ...
    @overload
    def __getitem__(self, index: slice) -> Splits: ...
    def __getitem__(self, index: int | slice) -> Split | Splits:
        """One split, or some of them."""
        if isinstance(index, slice):
            return Splits(self._splits[index])
        return self._splits[index]

    def __len__(self) -> int:
        """How many splits there are."""
        return len(self._splits)

    def __repr__(self) -> str:
        first, last = self._splits[0].test, self._splits[-1].test
        return f"Splits({len(self)} splits, tested on bars [{first[0]:,}, {last[1]:,}))"

    def as_sklearn(self, labels: Labels) -> list[tuple[np.ndarray, np.ndarray]]:
        """(train rows, test rows) of each split: what scikit-learn takes as `cv`.

        Rows count the flattened (T * N,) C-ordered values; only labelled ones are given. A split
        whose test range has no labelled row (a short last one) is left out.
        """
        num_symbols = labels.values.shape[1]
        labelled = labels.values.ravel() != NO_LABEL

        def rows(bars: Range) -> np.ndarray:
            flat = np.arange(bars[0] * num_symbols, bars[1] * num_symbols)
            chosen: np.ndarray = flat[labelled[flat]]
            return chosen

        pairs = [(rows(s.train), rows(s.test)) for s in self]
        return [(train, test) for train, test in pairs if len(test)]


def _check_length(value: int | str, key: str) -> None:
    if isinstance(value, str):
        duration(value, key)
    elif isinstance(value, bool) or value < 1:
        raise InputError(f"{key} must be at least 1 bar, got {value}")
