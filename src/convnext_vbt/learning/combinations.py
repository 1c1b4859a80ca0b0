"""Ranges of bars that a split learns from and predicts, and the paths through combinatorial splits.

Ranges are half-open ranges of bars [start, stop). Dimension: T bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convnext_vbt.predictions import Range, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination(Split):
    """A split whose test is some groups of bars, wherever they lie, and whose training the others.

    `train` and `test` reach from the first bar to the last of each, so they overlap.
    """

    learned: tuple[Range, ...]
    """What is left of the other groups after the purge, in order of time."""
    tested: tuple[Range, ...]
    """The groups that are held out, in order of time."""


def learned_ranges(split: Split) -> tuple[Range, ...]:
    """The ranges of bars that a split learns from."""
    return split.learned if isinstance(split, Combination) else (split.train,)


def tested_ranges(split: Split) -> tuple[Range, ...]:
    """The ranges of bars that a split predicts."""
    return split.tested if isinstance(split, Combination) else (split.test,)


def inside(bars: np.ndarray, ranges: Sequence[Range]) -> np.ndarray:
    """Which of some bars lie in one of the ranges, bool of the same shape."""
    found = np.zeros(np.shape(bars), dtype=bool)
    for start, stop in ranges:
        found |= (bars >= start) & (bars < stop)
    return found


def purged_end(reach_T: np.ndarray, start: int, stop: int, embargo: int) -> int:
    """Where [start, stop) ends for training when what is held out begins with `stop`.

    Before the first row whose label reaches it: the whole tail goes, for dropping only the rows
    that resolve late would bias the classes. `embargo` bars go beyond that.
    """
    late = np.flatnonzero(reach_T[start:stop] >= stop)
    last = start + int(late[0]) if len(late) else stop
    return max(start, last - embargo)


def path_parts(splits: Sequence[Split]) -> list[list[tuple[int, Range]]]:
    """Which split predicts which bars of each path: (place in `splits`, range), in order of time.

    Every group is tested by equally many combinations; path j takes the j-th of each group's
    (Lopez de Prado 2018, figure 12.2). So there are C(N, k) k / N paths, each of them over all
    bars, and no prediction is in two of them.
    """
    places: dict[Range, list[int]] = {}
    for place, split in enumerate(splits):
        for tested in tested_ranges(split):
            places.setdefault(tested, []).append(place)
    by_time = sorted(places.items())
    return [[(own[j], bars) for bars, own in by_time] for j in range(len(by_time[0][1]))]
