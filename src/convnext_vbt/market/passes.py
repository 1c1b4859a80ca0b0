"""One pass over long arrays, in pieces that stay in the processor's cache, with no copy of them.

Nearly every file needs no repair: these say so for a small part of what reading it costs, and only
where they do not is the repair itself asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

_PIECE = 1 << 15
_SORTED = 1 << 13
_SAMPLE = 1_000


def _pieces(count: int, overlap: int = 0, size: int = _PIECE) -> Iterator[slice]:
    """Slices that cover `count` rows, each with so many rows of the next one."""
    for start in range(0, count, size):
        yield slice(start, min(start + size + overlap, count))


def are_sound(fields: Mapping[str, np.ndarray]) -> bool:
    """Whether every row is a whole, possible bar; so is one of a market without any volume.

    `fields` are open, high, low, close and volume, all of one shape (T,) or (T, 1).
    """
    opened, high, low, close, volume = (
        fields[name].reshape(-1) for name in ("open", "high", "low", "close", "volume")
    )
    with_volume = len(volume) > 0 and not np.isnan(volume[0])
    for at in _pieces(len(opened)):
        o, h, low_, c, v = opened[at], high[at], low[at], close[at], volume[at]
        # A NaN compares as false.
        good = (h >= np.maximum(o, c)) & (low_ <= np.minimum(o, c)) & (low_ > 0) & (h < np.inf)
        good &= ((v >= 0) & (v < np.inf)) if with_volume else np.isnan(v)
        if not good.all():
            return False
    return True


def are_increasing(times: np.ndarray) -> bool:
    """Whether each is later than the one before it."""
    for at in _pieces(len(times), overlap=1):
        here = times[at]
        if not (here[1:] > here[:-1]).all():
            return False
    return True


def usual_distance(times: np.ndarray) -> int:
    """The most frequent distance between two neighbours, the smallest of several."""
    distance, counts = np.unique(np.diff(times[: _SAMPLE + 1]), return_counts=True)
    likely = int(distance[counts.argmax()])
    same = 0
    for at in _pieces(len(times), overlap=1):
        here = times[at]
        same += int(np.count_nonzero(here[1:] - here[:-1] == likely))
    if 2 * same > len(times) - 1:
        return likely
    distance, counts = np.unique(np.diff(times), return_counts=True)
    return int(distance[counts.argmax()])


def unusual_distances(times: np.ndarray, usual: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the distance to the next one is not the usual one, and how far it is."""
    places = []
    for at in _pieces(len(times), overlap=1):
        here = times[at]
        places.append(np.flatnonzero(here[1:] - here[:-1] != usual) + at.start)
    where = np.concatenate(places) if places else np.zeros(0, np.int64)
    return where, times[where + 1] - times[where]


def all_are(values: np.ndarray, test: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Whether a test holds for all; the first that it does not hold for ends it."""
    return all(test(values[at]).all() for at in _pieces(len(values)))


def any_zero(values: np.ndarray) -> bool:
    """Whether any is zero."""
    return any(not values[at].all() for at in _pieces(len(values)))


def may_repeat(rows: Mapping[str, np.ndarray], few: int, furthest: int) -> bool:
    """Whether `few` bars in a row may be those of up to `furthest` bars before; never falsely no.

    Of bars that moved, and traded where there is a volume. Looks at 32 bits made of the last three
    columns: where all of a piece's are different, nothing in it is a copy.
    """
    names = list(rows)[-3:]
    for at in _pieces(len(rows["close"]), overlap=furthest + few, size=_SORTED):
        one, two, three = (rows[name][at] for name in names)
        mixed = (one * np.sqrt(2.0) + two * np.sqrt(3.0) + three).view(np.uint64)
        digits = (mixed * _ODD >> np.uint64(32)).astype(np.uint32)
        counted = rows["high"][at] > rows["low"][at]
        if "volume" in rows:
            counted &= rows["volume"][at] > 0
        if not counted.all():
            still = np.flatnonzero(~counted)
            digits[still] = still
        ordered = np.sort(digits)
        if (ordered[1:] == ordered[:-1]).any():
            lags = range(1, min(furthest + 1, len(digits) - few))
            if any(_has_run(digits, lag, few) for lag in lags):
                return True
    return False


def _has_run(digits: np.ndarray, lag: int, few: int) -> bool:
    same = digits[lag:] == digits[:-lag]
    if not same.any():
        return False
    ends = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]])))
    return bool((ends[1::2] - ends[::2]).max(initial=0) >= few)


_ODD = np.uint64(0x9E3779B97F4A7C15)
"""2^64 by the golden ratio: its multiples spread over all bits (Knuth's multiplicative hashing)."""


def days_of(times: np.ndarray, day: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Days since 1970 that have a time, the place of each one's first, how many it has.

    `times` increase; `day` is a day's length in their unit. As `np.unique(times // day, ...)`.
    """
    days = np.arange(times[0] // day, times[-1] // day + 2)
    edges = np.searchsorted(times, days * day)
    count = np.diff(edges)
    here = count > 0
    return days[:-1][here], edges[:-1][here], count[here]
