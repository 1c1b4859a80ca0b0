"""A decision at every bar close."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pandas as pd

from convnext_vbt.live.clock import check_fresh, stale_from, utc_now
from convnext_vbt.live.decision import Decisions
from convnext_vbt.live.desk import Desk
from convnext_vbt.market.bars import Bars
from convnext_vbt.rundir import DataError

SETTLE = pd.Timedelta(seconds=2)
"""How long after a close the first look is: an exchange needs a moment to publish the bar."""
LONGEST_PAUSE = pd.Timedelta(seconds=20)
"""Between two looks for a bar that is late."""


def watch(
    desk: Desk,
    *,
    clock: Callable[[], pd.Timestamp] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[Decisions, list[str]]]:
    """A decision at once and one at every later close, until it is interrupted.

    A bar that is late, or a source that cannot be read, is tried again until the bar after it is
    overdue too; `tell` hears why. Raises `DataError` then, and for all that `decide` refuses.
    """
    bars, notes = desk.bars(clock())
    while True:
        yield desk.decide(bars, clock()), notes
        due = bars.index[-1] + 2 * bars.step + SETTLE
        sleep(max((due - clock()).total_seconds(), 0.0))
        bars, notes = _next(desk, bars, clock, sleep, tell)


def _next(
    desk: Desk,
    last: Bars,
    clock: Callable[[], pd.Timestamp],
    sleep: Callable[[float], None],
    tell: Callable[[str], None],
) -> tuple[Bars, list[str]]:
    """The bars as soon as there is a later one than the last."""
    patience = stale_from(last) + last.step
    pause = min(LONGEST_PAUSE, last.step / 10).total_seconds()
    told = ""
    while True:
        try:
            bars, notes = desk.bars(clock())
            if bars.index[-1] > last.index[-1]:
                return bars, notes
            if clock() >= patience:
                check_fresh(bars, clock())
            problem = f"waiting for the bar after {last.index[-1]:%Y-%m-%d %H:%M} UTC"
        except DataError as error:
            if clock() >= patience:
                raise
            problem = f"{error}; trying again"
        if problem != told:
            tell(problem)
            told = problem
        sleep(pause)
