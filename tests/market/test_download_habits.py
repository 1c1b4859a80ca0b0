"""Whatever an exchange's habits are, the store holds the finished bars that there are."""

import contextlib
from dataclasses import replace

import ccxt
import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from convnext_vbt.errors import DownloadError
from convnext_vbt.market.download import download_bars
from convnext_vbt.market.exchange import Retry
from tests.market.exchanges import START, Habits, Habitual
from tests.market.loopback import HOUR

AT_ONCE = Retry(tries=3, first_wait=0)


def at(hours):
    return pd.Timestamp(START + hours * HOUR, unit="ms", tz="UTC")


def download(exchange, cache, **options):
    return download_bars(exchange, "BTC/USDT", "1h", cache=cache, retry=AT_ONCE, **options)


def stored(done):
    frame = pd.concat(done.store.parts())
    times = frame.index.as_unit("ms").asi8.tolist()
    return [[time, *row] for time, row in zip(times, frame.to_numpy().tolist(), strict=True)]


def trading(*stretches):
    """Whether there is a bar, from the lengths of idle (negative) and traded stretches."""
    return np.concatenate([np.full(abs(length), length > 0) for length in stretches])


FAULTS = st.lists(
    st.sampled_from(
        [
            [None],
            [None, None, None],
            ["empty", None],
            [ccxt.RequestTimeout("late")],
            [ccxt.ExchangeNotAvailable("503")],
        ]
    ),
    max_size=6,
).map(lambda faults: [one for some in faults for one in some])
HABITS = st.builds(
    Habits,
    cap=st.integers(4, 30),
    named=st.just(0),  # see `possible`
    windowed=st.booleans(),
    newest=st.booleans(),
    takes_until=st.booleans(),
    excludes_since=st.booleans(),
    keeps=st.none() | st.integers(30, 300),
    sends_forming=st.booleans(),
    nulls=st.sampled_from(["left out", "left out", "none", "zero"]),
    overlap=st.integers(0, 2),
    is_unsorted=st.booleans(),
    longer=st.sampled_from(["true", "true", "ignored", "refused"]),
    faults=FAULTS,
)


def possible(habits, more):
    """The same exchange with a limit that ccxt may name.

    Where the newest bars of all time are sent and no end is taken, older bars cannot be had.
    """
    keeps = habits.keeps
    if habits.newest and not habits.windowed and not habits.takes_until:
        habits = replace(habits, nulls="none")  # so many rows are so many hours
        keeps = min(keeps or habits.cap, habits.cap)
    return replace(habits, named=habits.cap + more, keeps=keeps)


@settings(max_examples=60, derandomize=True, deadline=None, phases=[Phase.generate])
@given(
    habits=HABITS,
    more=st.sampled_from([0, 0, 7]),
    stretches=st.lists(
        st.integers(1, 90) | st.integers(-90, -1) | st.just(-200), min_size=1, max_size=8
    ),
    early=st.none() | st.integers(-90, 300),
    stops=st.lists(st.floats(0, 1), max_size=2),
)
def test_the_store_holds_the_finished_bars_that_there_are(
    tmp_path_factory, habits, more, stretches, early, stops
):
    habits = possible(habits, more)
    if early is None and (habits.windowed or habits.newest) and habits.longer != "true":
        early = 200  # all of 2010 is asked for, otherwise
    is_there = trading(*stretches)
    exchange = Habitual(habits, is_there)
    since = None if early is None else at(-early)
    cache = tmp_path_factory.mktemp("cache")
    now = exchange.clock
    if habits.keeps is None:
        for stop in sorted(stops):
            exchange.clock = START + round(stop * len(is_there)) * HOUR
            with contextlib.suppress(DownloadError):  # given up, or nothing there yet
                download(exchange, cache, since=since)
    exchange.clock = now
    expected = [
        row for row in exchange.finished() if since is None or row[0] >= since.value // 10**6
    ]
    if not expected:
        habits.faults.clear()
        with pytest.raises(DownloadError, match="no finished bars"):
            download(exchange, cache, since=since)
        return
    with contextlib.suppress(DownloadError):
        download(exchange, cache, since=since)
    habits.faults.clear()
    done = download(exchange, cache, since=since)
    assert stored(done) == expected
    hours = (expected[-1][0] - expected[0][0]) // HOUR + 1
    assert sum(hole.missing for hole in done.holes) == hours - len(expected)
    exchange.asked.clear()
    assert download(exchange, cache, since=since).added == 0
