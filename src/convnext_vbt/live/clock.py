"""Which bars are finished, and whether the last one is fresh enough to act on.

A bar is finished when its open time plus the step has passed, by the clock or by `--as-of`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnext_vbt.errors import DataError
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.gaps import find_gaps


def utc_now() -> pd.Timestamp:
    """The clock."""
    return pd.Timestamp.now("UTC")


def finished_bars(bars: Bars, now: pd.Timestamp, *, replay: bool) -> tuple[Bars, list[str]]:
    """The bars that have closed by `now`, when they were read, and a note on one that has not.

    In a `replay` the later bars are simply not known yet. Live, more than one of them of a symbol
    means that the clock or the data's time zone is wrong: `DataError`.
    """
    count = int(bars.index.searchsorted(now - bars.step, side="right"))
    ahead = int(bars.present[count:].sum(axis=0).max(initial=0))
    if count == 0:
        raise DataError(f"no bar has closed by {when(now)}: the first opens {when(bars.index[0])}")
    if replay or not ahead:
        return bars.rows(0, count), []
    if ahead > 1:
        raise DataError(
            f"{ahead:,} bars close after {when(now)}, the last opens {when(bars.index[-1])}: the "
            "clock or the data's time zone is wrong (times are taken as UTC open times); to "
            "replay the past give --as-of"
        )
    notes = [
        f"the bar of {when(opened)} was not finished at {now:%H:%M}: it is left out"
        for opened in bars.index[count:]
    ]
    return bars.rows(0, count), notes


def stale_from(bars: Bars) -> pd.Timestamp:
    """When the last bar is stale: by then the bar after it should have closed.

    Around the clock that is two steps after its open; on a market with sessions it is the longest
    break in these bars, gaps aside, and a step.
    """
    break_ = bars.step
    if bars.has_sessions:
        breaks = np.diff(bars.index.asi8)
        gaps = pd.DatetimeIndex(find_gaps(bars)["start"])
        breaks[bars.index.searchsorted(gaps) - 1] = 0
        break_ = max(break_, pd.Timedelta(int(breaks.max()), unit="ns"))
    return bars.index[-1] + break_ + bars.step


def check_fresh(bars: Bars, now: pd.Timestamp) -> None:
    """Raise `DataError` when the last bar is stale."""
    if now < stale_from(bars):
        return
    late = (now - bars.index[-1] - bars.step).round("s")
    raise DataError(
        f"the last finished bar, {when(bars.index[-1])}, closed {late} ago: a later one should be "
        f"there by {when(now)}; give fresh bars with --data, or --as-of to replay the past"
    )


def when(time: pd.Timestamp) -> str:
    """A time as people write it."""
    return f"{time:%Y-%m-%d %H:%M} UTC"
