"""A decision at every bar close."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pandas as pd

from convnext_vbt.errors import DataError
from convnext_vbt.live.clock import check_fresh, stale_from, utc_now
from convnext_vbt.live.decision import Decisions
from convnext_vbt.live.session import Session
from convnext_vbt.market.bars import Bars

SETTLE = pd.Timedelta(seconds=2)
"""How long after a close the first look is: an exchange needs a moment to publish the bar."""
LONGEST_PAUSE = pd.Timedelta(seconds=20)
"""Between two looks for a bar that is late."""
LONGEST_OUTAGE_PAUSE = pd.Timedelta(minutes=5)
"""Between two requests to an exchange that does not answer, each patient in itself."""


def watch(
    session: Session,
    *,
    clock: Callable[[], pd.Timestamp] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[Decisions, list[str]]]:
    """A decision at once and one at every later close, until it is interrupted.

    A `ccxt:` source is fetched before every look. A bar that is late, or a source that cannot be
    read, is tried again until the bar after it is overdue too; `session.feeds.notify` hears why.
    Raises `DataError` then, and for all that `decide` refuses. While an exchange does not answer
    there is no end: it is asked again at every close, and nothing is decided on stale bars.
    """
    session.feeds.fetch()
    now = clock()
    bars, notes = session.bars(now)
    while True:
        yield session.decide(bars, now), notes
        sleep(max((due(bars) - clock()).total_seconds(), 0.0))
        bars, notes, now = _next(session, bars, clock, sleep)


def due(bars: Bars) -> pd.Timestamp:
    """When the bar after the last of these should be there."""
    return bars.index[-1] + 2 * bars.step + SETTLE


def _next(
    session: Session,
    last: Bars,
    clock: Callable[[], pd.Timestamp],
    sleep: Callable[[float], None],
) -> tuple[Bars, list[str], pd.Timestamp]:
    """The bars as soon as there is a later one than the last, and when they were seen."""
    patience = stale_from(last) + last.step
    reported = ""
    while True:
        answered = session.feeds.fetch()
        now = clock()
        try:
            bars, notes = session.bars(now)
            if bars.index[-1] > last.index[-1]:
                check_fresh(bars, now)
                return bars, notes, now
            if answered and now >= patience:
                check_fresh(bars, now)
            problem = f"waiting for the bar after {last.index[-1]:%Y-%m-%d %H:%M} UTC"
        except DataError as error:
            if answered and now >= patience:
                raise
            problem = f"{error}; trying again"
        if problem != reported:
            session.feeds.notify(problem)
            reported = problem
        pause = min(LONGEST_PAUSE if answered else LONGEST_OUTAGE_PAUSE, last.step / 10)
        sleep((pause if now < patience else until_next_close(last, now)).total_seconds())


def until_next_close(bars: Bars, now: pd.Timestamp) -> pd.Timedelta:
    """From a time after the bar that follows these was due to when a later one is."""
    first = due(bars)
    return first + ((now - first) // bars.step + 1) * bars.step - now
