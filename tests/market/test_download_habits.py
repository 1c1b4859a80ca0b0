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
from tests.examples import examples
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
    cap=st.integers(6, 30),
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


MARKETS = given(
    habits=HABITS,
    more=st.sampled_from([0, 0, 7]),
    stretches=st.lists(
        st.integers(1, 90) | st.integers(-90, -1) | st.just(-200), min_size=1, max_size=8
    ),
    early=st.none() | st.integers(-90, 300),
    stops=st.lists(st.floats(0, 1), max_size=2),
)
NO_SHRINKING = {"deadline": None, "phases": [Phase.explicit, Phase.generate]}  # it takes long


@examples(12, **NO_SHRINKING)
@MARKETS
def test_the_store_holds_the_finished_bars_that_there_are(tmp_path_factory, **market):
    check_what_is_stored(tmp_path_factory, **market)


@pytest.mark.slow
@settings(max_examples=200, **NO_SHRINKING)
@MARKETS
def test_the_store_holds_the_finished_bars_of_many_exchanges(tmp_path_factory, **market):
    check_what_is_stored(tmp_path_factory, **market)


def check_what_is_stored(tmp_path_factory, *, habits, more, stretches, early, stops):
    """Calls that may be cut, at several times where all is kept; then one that is not."""
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


def illiquid(hours, seed=7):
    """Trading of 80 to 400 hours between idle stretches of 130 to 260."""
    rng = np.random.default_rng(seed)
    parts = []
    while sum(map(abs, parts)) < hours:
        parts += [int(rng.integers(80, 400)), -int(rng.integers(130, 260))]
    return trading(*parts, 50)


@pytest.mark.parametrize(
    ("habits", "stretches", "early", "most"),
    [
        # Two outages of 12 windows, a walk of each would be 48 requests.
        (Habits(cap=100, named=100, windowed=True), (200, -1200, 100, -1300, 200), 0, 26),
        # A listing 4 years after --since: 350 windows.
        (Habits(cap=100, named=100, windowed=True), (-35_000, 250), 0, 24),
        # Idle for 4 years after the last trade.
        (Habits(cap=100, named=100, windowed=True), (250, -35_000), 0, 20),
        # Its 100 windows of hours are gone, its days are not: no walk through them.
        (Habits(cap=100, named=100, windowed=True, keeps=500), (10_000,), 0, 35),
        # Full pages: nothing is asked for twice.
        (Habits(cap=100, named=100), (1_000,), 0, 11),
        (Habits(cap=100, named=100, windowed=True), (1_000,), 0, 11),
        (Habits(cap=100, named=100), (-3_000, 1_000), 3_000, 14),
    ],
)
def test_few_requests_are_made(tmp_path, habits, stretches, early, most):
    exchange = Habitual(habits, trading(*stretches))
    done = download(exchange, tmp_path, since=at(-early))
    assert stored(done) == exchange.finished()
    assert len(exchange.asked) <= most
    exchange.asked.clear()
    exchange.clock += HOUR
    download(exchange, tmp_path, since=at(-early) if habits.keeps is None else None)
    assert len(exchange.asked) <= 20


@pytest.mark.parametrize("hours", [2_000, pytest.param(9_000, marks=pytest.mark.slow)])
def test_an_illiquid_pair_is_stored_whole_and_its_gaps_are_asked_for_once(tmp_path, hours):
    exchange = Habitual(Habits(cap=100, named=100, windowed=True), illiquid(hours))
    done = download(exchange, tmp_path)
    assert stored(done) == exchange.finished()
    exchange.asked.clear()
    download(exchange, tmp_path)
    assert len(exchange.asked) <= 1


@pytest.mark.parametrize("longer", ["ignored", "refused"])
def test_without_longer_candles_each_window_is_asked_for(tmp_path, longer):
    habits = Habits(cap=100, named=100, windowed=True, longer=longer)
    exchange = Habitual(habits, trading(150, -900, 1, -700, 50))
    told = []
    done = download(exchange, tmp_path, since=at(0), notify=told.append)
    assert stored(done) == exchange.finished()


def test_a_long_walk_is_told(tmp_path):
    habits = Habits(cap=20, named=20, windowed=True, longer="refused")
    told = []
    exchange = Habitual(habits, trading(50, -900, 50))
    download(exchange, tmp_path, since=at(0), notify=told.append)
    assert told == ["no bars at 2010-06-04 02:00; asking page by page for later ones"]


def test_what_is_not_kept_is_counted(tmp_path):
    habits = Habits(cap=72, named=72, newest=True, keeps=72)
    exchange = Habitual(habits, trading(3_000))
    done = download(exchange, tmp_path)
    assert done.first == at(2_929)
    assert done.traded_since == pd.Timestamp("2010-05-31", tz="UTC")  # its week's candle
    assert done.missing_before == 2_929 + 29
    assert done.kept is not None
    assert done.notes == [
        (
            "binance gives no bars before 2010-10-01 06:00, though it has traded since "
            "2010-05-31 00:00: 2,958 are missing"
        ),
        (
            "binance keeps its newest 72 bars only, now none before 2010-10-01 06:00; download "
            "again within 3 days, or some are lost"
        ),
    ]
    facts = done.to_dict()
    assert (facts["missing_before"], facts["keeps"]) == (2_958, 72)
    assert facts["traded_since"] == "2010-05-31T00:00:00+00:00"


def test_a_market_that_has_just_been_listed_misses_nothing(tmp_path):
    done = download(Habitual(Habits(), trading(50)), tmp_path)
    assert (done.notes, done.missing_before, done.traded_since) == ([], 0, None)


class Stuck(Habitual):
    """It sends the same page, whatever is asked."""

    def fetch_ohlcv(self, symbol, timeframe="1h", since=None, limit=None, params=None):
        return super().fetch_ohlcv(symbol, timeframe, START, limit, {})


@pytest.mark.parametrize("windowed", [False, True])
@pytest.mark.parametrize("early", [None, 0, 7])
def test_an_exchange_that_sends_the_same_page_again_is_refused(tmp_path, windowed, early):
    exchange = Stuck(Habits(windowed=windowed), trading(300))
    with pytest.raises(DownloadError, match="ignores the time asked for"):
        download(exchange, tmp_path, since=None if early is None else at(-early))
    assert len(exchange.asked) < 20


def test_a_download_that_was_cut_goes_on(tmp_path):
    fault = ccxt.ExchangeNotAvailable("503")
    habits = Habits(windowed=True, faults=[None, None, None, fault, fault, fault])
    exchange = Habitual(habits, trading(70, -200, 90))
    with pytest.raises(DownloadError, match="given up after 3 tries"):
        download(exchange, tmp_path, since=at(0))
    exchange.asked.clear()
    done = download(exchange, tmp_path, since=at(0))
    assert exchange.asked[0] == ("1h", done.store.parts()[2].index[-1].value // 10**6)
    assert stored(done) == exchange.finished()


def test_bars_of_an_older_store_with_a_gap_are_asked_for(tmp_path):
    exchange = Habitual(Habits(windowed=True), trading(200))
    done = download(exchange, tmp_path, since=at(0))
    done.store.path(done.store.parts()[4].index[0]).unlink()
    assert stored(download(exchange, tmp_path, since=at(0))) == exchange.finished()


@pytest.mark.parametrize(
    "more", [0, *(pytest.param(each, marks=pytest.mark.slow) for each in range(260, 1_300, 260))]
)
def test_a_few_bars_between_many_idle_windows_of_candles_are_found(tmp_path, more):
    habits = Habits(cap=7, named=7, windowed=True)
    exchange = Habitual(habits, trading(60, -3_000 - more, 3, -2_600, 2, -500, 30))
    assert stored(download(exchange, tmp_path, since=at(0))) == exchange.finished()


@pytest.mark.parametrize("newest", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_single_bars_between_pages_of_candles_without_prices_are_found(tmp_path, newest):
    lengths = [length for idle in range(1, 24) for length in (-idle, 1)]
    habits = Habits(cap=6, named=12, windowed=newest, newest=newest, nulls="none")
    exchange = Habitual(habits, trading(20, *lengths))
    assert stored(download(exchange, tmp_path, since=at(0))) == exchange.finished()
