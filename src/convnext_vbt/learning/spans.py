"""Lengths of a stretch of bars: a number of them, or a duration by the calendar.

Dimensions: T bars.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.market.calendar import ALWAYS_OPEN, DAY
from convnext_vbt.market.passes import usual_distance

Span = int | pd.Timedelta
"""A number of bars, or a time; of a time the bars are those that open within it."""
_YEAR = ALWAYS_OPEN * DAY


class Timeline:
    """When the bars open, and which of them lies a length before or after another."""

    def __init__(self, opens: pd.DatetimeIndex) -> None:
        self._opens_T = opens.as_unit("ns").asi8
        self._usual = usual_distance(self._opens_T) if len(opens) > 1 else None
        self._even = len(opens) > 1 and bool((np.diff(self._opens_T) == self._usual).all())

    def span(self, length: int | str, key: str) -> Span:
        """What a length of the setting `key` comes to.

        Where bars all lie equally far apart, a duration is the nearest whole number of them.
        Raises `InputError` for one that is less than a bar.
        """
        if not isinstance(length, str):
            return length
        asked = duration(length, key)
        if self._usual is None:
            return asked
        usual = pd.Timedelta(self._usual, unit="ns")
        bars = round(asked / _YEAR * (ALWAYS_OPEN * (DAY / usual)))
        if bars < 1:
            raise InputError(
                f"{key} = {length!r} is less than one bar of this market; make it longer"
            )
        return bars * usual if self._even and bars < len(self._opens_T) else asked

    def after(self, bar: int, span: Span) -> int:
        """The first bar a length after another; T where that is just after the last bar.

        Beyond T where it is later.
        """
        if isinstance(span, int):
            return bar + span
        left = int(self._opens_T[-1] - self._opens_T[bar])
        if span > pd.Timedelta(left, unit="ns"):  # a length in ns may not fit into its 64 bits
            over = span > pd.Timedelta(left + (self._usual or 0), unit="ns")
            return len(self._opens_T) + over
        return int(self._opens_T.searchsorted(self._opens_T[bar] + span.value))

    def before(self, bar: int, span: Span) -> int:
        """The first bar of those within a length before another."""
        if isinstance(span, int):
            return bar - span
        if span > pd.Timedelta(int(self._opens_T[bar] - self._opens_T[0]), unit="ns"):
            return 0
        return int(self._opens_T.searchsorted(self._opens_T[bar] - span.value))

    def needed(self, *spans: Span) -> str:
        """How much several lengths need and how much is there: "90 + 11 bars, but ... only 100"."""
        there = f"{len(self._opens_T):,}"
        if self._usual is None or not (self._even or all(isinstance(s, int) for s in spans)):
            whole = int(self._opens_T[-1] - self._opens_T[0]) + (self._usual or 0)
            over = pd.Timedelta(whole, unit="ns")
            asked = " + ".join(span_text(span) for span in spans)
            return f"{asked}, but there are only {there} bars over {span_text(over)}"
        usual = pd.Timedelta(self._usual, unit="ns")
        counts = [s if isinstance(s, int) else round(s / usual) for s in spans]
        asked = " + ".join(f"{count:,}" for count in counts)
        return f"{asked} bars, but there are only {there}"


def duration(text: str, key: str) -> pd.Timedelta:
    """A length such as "365D"; raises `InputError` for one that is none, naming the setting."""
    length = pd.to_timedelta(text, errors="coerce")  # NaT when it is none
    if not length > pd.Timedelta(0):
        raise InputError(
            f"{key} must be a number of bars or a duration such as '365D' or '36h', got {text!r}"
        )
    return length


def span_text(span: Span) -> str:
    """A length in words: "90 bars", "365 days", "1 days 06:00:00"."""
    if isinstance(span, int):
        return f"{span:,} bar{'s' * (span != 1)}"
    return str(span.floor("s")).removesuffix(" 00:00:00")
