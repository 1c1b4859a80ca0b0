"""Downloads through real ccxt from an exchange on loopback (`tests.market.loopback`)."""

import contextlib
import shlex

import ccxt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnext_vbt.errors import DownloadError
from convnext_vbt.market.download import download_bars
from convnext_vbt.market.exchange import Retry
from convnext_vbt.market.sources import load_bars
from tests.examples import examples
from tests.market.loopback import HOUR, START, client, make_bars, serving

PAIR = ("BTC/USDT", "1h")
SOURCE = "ccxt:binance:BTC/USDT:1h"
QUICK = Retry(tries=3, first_wait=0.01)


@pytest.fixture
def exchange(tmp_path, monkeypatch):
    """250 finished bars and one that is not; this process is led to it."""
    with serving(tmp_path) as served:
        for name, value in served.environment.items():
            monkeypatch.setenv(name, value)
        yield served


def download(**options):
    return download_bars(client(), *PAIR, retry=QUICK, **options)


def stored(done):
    return pd.concat(done.store.parts())


def assert_complete(exchange, done):
    """All that the exchange has finished is stored, bit for bit."""
    pd.testing.assert_frame_equal(stored(done), exchange.finished(), check_freq=False)


def files(done):
    return {path.name: path.read_bytes() for path in done.store.folder.glob("*.parquet")}


def at(hours):
    return pd.Timestamp(START + hours * HOUR, unit="ms", tz="UTC")


def test_pages_are_joined_and_the_unfinished_bar_is_left_out(exchange):
    pages = []
    done = download_bars("binance", *PAIR, progress=pages.append)
    assert (done.added, done.bars, done.holes, done.revised, done.notes) == (250, 250, (), (), [])
    assert (done.first, done.last) == (at(0), at(249))
    assert_complete(exchange, done)
    assert [page.added for page in pages] == [100, 199, 250]
    assert [round(page.share, 2) for page in pages] == [0.4, 0.8, 1.0]
    bars = load_bars(SOURCE)
    assert bars.symbols == ("BTC/USDT",)
    np.testing.assert_array_equal(bars.close[:, 0], exchange.finished()["close"])
    asked = len(exchange.asked)
    load_bars([SOURCE])
    assert len(exchange.asked) == asked


def test_the_next_call_goes_on_after_the_last_bar_and_changes_no_file(exchange):
    before = files(download())
    assert download().added == 0
    exchange.bars |= make_bars(49, start=START + 251 * HOUR)
    exchange.now += 30 * HOUR
    exchange.asked.clear()
    done = download()
    assert done.added == 30
    assert exchange.asked == [("/api/v3/klines", START + 249 * HOUR)]
    assert_complete(exchange, done)
    after = files(done)
    assert len(after) == len(before) + 1
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("fault", ["429", "418", "500", "503", "html", "cut"])
def test_a_failure_that_passes_is_waited_out(exchange, fault):
    told = []
    exchange.faults.extend([None, fault, fault])
    assert_complete(exchange, download(notify=told.append))
    assert [line.partition("; try ")[2][:6] for line in told] == ["2 of 3", "3 of 3"]


def test_a_stall_is_cut_short_and_asked_again(exchange):
    told = []
    exchange.faults.extend([None, "stall"])
    done = download_bars(client(timeout=200), *PAIR, retry=QUICK, notify=told.append)
    assert_complete(exchange, done)
    assert "RequestTimeout" in told[0]


def test_the_wait_that_the_exchange_asks_for_is_kept(exchange):
    told = []
    exchange.faults.append("429/1")
    assert_complete(exchange, download(notify=told.append))
    assert told[0].endswith("; try 2 of 3 in 1 s")
    exchange.faults.append("418/7200")
    exchange.now += 2 * HOUR
    with pytest.raises(DownloadError, match="asks to be left alone for 7,200 seconds"):
        download()


def test_waits_grow_with_jitter_from_the_seed(exchange):
    def waits(seed):
        told = []
        exchange.faults.extend(["503"] * 4)
        retry = Retry(tries=4, first_wait=0.05, seed=seed)
        with pytest.raises(DownloadError, match=r"HTTP 503.*given up after 4 tries"):
            download_bars(client(), *PAIR, retry=retry, notify=told.append)
        return [float(line.split()[-2]) for line in told]

    first = waits(1)
    assert first == waits(1)
    assert first != waits(2)
    for number, wait in enumerate(first):
        assert 0.49 < wait / (0.05 * 2**number) < 1.51


def test_what_is_stored_stays_when_the_exchange_gives_out(exchange):
    exchange.faults.extend([None, None, "503", "503", "503"])
    with pytest.raises(DownloadError, match="given up after 3 tries"):
        download()
    assert len(load_bars(SOURCE)) == 100
    done = download()
    assert done.added == 150
    assert_complete(exchange, done)


@pytest.mark.parametrize("status", ["403", "451"])  # without and with the exchange's own words
def test_a_refusal_is_not_repeated(exchange, status):
    exchange.faults.append(status)
    with pytest.raises(DownloadError, match=f"{status}.*; asking again will not help"):
        download()
    assert not exchange.faults
    assert not exchange.asked


def test_an_answer_that_is_empty_once_loses_nothing(exchange):
    exchange.hidden_once = set(exchange.bars)
    assert_complete(exchange, download(since=at(0)))


def test_a_hole_is_asked_for_once_more_then_reported_and_never_filled(exchange):
    for hour in (30, 31, 32, 103, 104, 180):  # 103 is where the first page ends
        del exchange.bars[START + hour * HOUR]
    done = download()
    assert [(hole.start, hole.missing) for hole in done.holes] == [
        (at(30), 3),
        (at(103), 2),
        (at(180), 1),
    ]
    assert done.holes[0].text == "hole 2024-01-02 06:00 to 2024-01-02 08:00 (3 bars)"
    assert_complete(exchange, done)
    asked = [pd.Timestamp(since, unit="ms", tz="UTC") for _, since in exchange.asked[3:-1]]
    assert asked == [at(102), at(102), at(204)]
    exchange.asked.clear()
    exchange.now += HOUR
    assert download().holes == done.holes
    assert len(exchange.asked) == 1  # not for the hole between two pages


def test_a_bar_that_comes_when_asked_again_is_no_hole(exchange):
    exchange.hidden_once = {START + hour * HOUR for hour in (5, 6, 50)}
    done = download()
    assert done.holes == ()
    assert_complete(exchange, done)


def test_a_revised_last_bar_is_reported_and_the_remedy_works(exchange):
    before = files(download())
    exchange.bars[START + 249 * HOUR][4:] = [exchange.bars[START + 249 * HOUR][4] + 1, 77.5]
    exchange.bars |= make_bars(10, start=START + 250 * HOUR)
    exchange.now += 5 * HOUR
    done = download()
    (revision,) = done.revised
    assert revision.time == at(249)
    assert done.added == 5
    assert {name: files(done)[name] for name in before} == before
    assert "the exchange has changed its bar of 2024-01-11 09:00: close " in revision.text
    assert ", volume " in revision.text
    command = shlex.split(revision.remedy.partition("and run ")[2])
    assert command[:5] == ["convnext-vbt", "download", "binance", *PAIR]
    revision.path.unlink()
    again = download(since=command[-1])
    assert again.revised == ()
    assert_complete(exchange, again)


def test_an_earlier_since_is_fetched_in_front(exchange):
    assert download(since=at(150)).bars == 100
    done = download(since="2023-12-31", until=at(200))
    assert (done.added, done.first) == (150, at(0))
    assert done.notes == [
        "binance gives no bars before 2024-01-01 00:00: 24 that were asked for are missing"
    ]
    assert_complete(exchange, done)


def test_until_is_left_out_and_a_later_since_leaves_no_hole(exchange):
    done = download(since=at(10), until=at(60))
    assert (done.first, done.last, done.bars) == (at(10), at(59), 50)
    done = download(since=at(200), until=at(220))
    assert (done.first, done.last, done.holes) == (at(10), at(219), ())


def test_a_delisted_pair_ends_early(exchange):
    exchange.now += 5_000 * HOUR
    done = download()
    assert done.bars == 251
    assert "gives no bars after 2024-01-11 10:00: the pair is delisted or halted" in done.notes[0]
    assert len(exchange.asked) < 10


def test_exchanges_that_answer_with_a_window_of_time(exchange):
    exchange.windowed = True
    del_hours = range(60, 200)  # an outage longer than a page
    for hour in del_hours:
        del exchange.bars[START + hour * HOUR]
    done = download_bars(client(page=100), *PAIR)  # from 2010 on: 1,400 empty windows
    assert_complete(exchange, done)
    assert [(hole.start, hole.missing) for hole in done.holes] == [(at(60), 140)]
    assert len(exchange.asked) < 40


def test_a_perpetual_has_its_own_source(exchange):
    done = download_bars("binance", "BTC/USDT:USDT", "1h", since=at(100))
    assert {path for path, _ in exchange.asked} == {"/fapi/v1/klines"}
    bars = load_bars("ccxt:binance:BTC/USDT:USDT:1h")
    assert (bars.symbols, len(bars)) == (("BTC/USDT:USDT",), 150)
    assert done.to_dict()["source"] == "ccxt:binance:BTC/USDT:USDT:1h"
    panel = load_bars(["ccxt:binance:BTC/USDT:USDT:1h", "simulated:bars=9600"])
    assert panel.present.sum(axis=0).tolist() == [150, 9600]


def test_the_clock_decides_where_the_exchange_tells_no_time(exchange):
    timeless = client()
    timeless.has["fetchTime"] = False
    done = download_bars(timeless, *PAIR, clock=lambda: (START + 42.9 * HOUR) / 1000)
    assert done.last == at(41)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("binanse", *PAIR), "unknown exchange 'binanse', did you mean 'binance'"),
        (("binance", "BTCUSDT", "1h"), "no symbol 'BTCUSDT', did you mean 'BTC/USDT'"),
        (("binance", "btc/usdt", "1h"), "no symbol 'btc/usdt', did you mean 'BTC/USDT'"),
        (("binance", "GOLD", "1h"), "no symbol 'GOLD', write it like BTC/USDT"),
        (("binance", "BTC/USDT", "60m"), "no timeframe '60m', did you mean '1h'.; there are 1s"),
        (("binance", "BTC/USDT", "1M"), "'1M' is not a timeframe of fixed length"),
        (("luno", "BTC/USDT", "7x"), "no timeframe '7x'; there are"),
        (("coinmetro", "BTC/USDT", "1h"), "coinmetro gives no bars|unknown exchange 'coinmetro'"),
    ],
)
def test_a_name_that_is_not_there_is_answered(exchange, names, message):
    with pytest.raises(ValueError, match=message):
        download_bars(*names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"since": "yesterdayish"}, "since = 'yesterdayish' is not a time such as 2021-01-01"),
        ({"since": "2024-01-02", "until": "2024-01-02"}, "must lie before until"),
    ],
)
def test_times_that_make_no_sense_are_answered(options, message):
    with pytest.raises(ValueError, match=message):
        download(**options)


def test_nothing_at_all_is_an_error(exchange):
    with pytest.raises(DownloadError, match="no finished bars of BTC/USDT 1h from 2024-03-01 00:0"):
        download(since="2024-03-01", until="2024-03-02")


ROW = [START, 1.0, 2.0, 0.5, 1.5, 10.0]
NEXT = [START + HOUR, *ROW[1:]]
OTHER = [*ROW[:5], 11.0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROW, NEXT, OTHER], "two bars of 2024-01-01 00:00:00.00:00 that differ"),
        ([[*ROW[:4], None, 1.0]], "a value is missing in the bar"),
        ([[START, 1.0]] * 6, "the answer holds no bars"),
        ([ROW, NEXT[:3]], "the answer holds no bars"),
        ([["now", *ROW[1:]]], "the answer holds no bars"),
        (
            [[START + n * HOUR // 60, *ROW[1:]] for n in range(9)],
            "1 days? 00:|0 days 00:01.*ignored",
        ),
        ([[START - HOUR, *ROW[1:]]], "no finished bars"),
        ([[START - 2_000 * HOUR, *ROW[1:]]], "ignores the time asked for"),
        ([[*ROW[:1], None, None, None, None, 0.0]], "no finished bars"),
        ([[*ROW[:1], 0.0, 0.0, 0.0, 0.0, 0.0]], "no finished bars"),
        ([], "no finished bars"),
    ],
)
def test_an_answer_that_cannot_be_used_is_refused(exchange, rows, message):
    """An exchange whose class in ccxt neither sorts nor filters; binance's does both."""

    class Careless(ccxt.binance):
        def fetch_ohlcv(self, *_, **__):
            super().fetch_ohlcv("BTC/USDT", "1h", START, 1)
            return rows

    careless = Careless({"requests_trust_env": True})
    with pytest.raises(DownloadError, match=message):
        download_bars(careless, *PAIR, since=at(0), retry=QUICK)


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """One exchange and one client for many downloads."""
    with (
        serving(tmp_path_factory.mktemp("market")) as served,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in served.environment.items():
            patch.setenv(name, value)
        used = client(page=7)
        used.load_markets()
        yield served, used


@pytest.mark.parametrize("before", [1, 9, 10, 11, 25, 38, 57, 133, 250, 377, 1_000])
def test_the_first_bar_is_found_behind_empty_windows(market, tmp_path, before):
    exchange, used = market
    exchange.bars, exchange.now = make_bars(40), START + 40 * HOUR
    exchange.page, exchange.windowed = 7, True
    done = download_bars(used, *PAIR, cache=tmp_path, retry=QUICK, since=at(-before))
    assert_complete(exchange, done)


@examples(8)
@given(
    missing=st.sets(st.integers(0, 38), max_size=30),
    windowed=st.booleans(),
    stops=st.lists(st.integers(2, 40), min_size=1, max_size=3),
    later_front=st.integers(0, 30),
    faults=st.lists(st.sampled_from([None, None, "429", "500", "cut"]), max_size=4),
)
def test_whatever_is_missing_all_that_there_is_is_stored_once(
    market, tmp_path_factory, missing, windowed, stops, later_front, faults
):
    """Calls at several times, the last of them with an earlier start than the others."""
    exchange, used = market
    exchange.bars = {
        t: row for t, row in make_bars(41).items() if (t - START) // HOUR not in missing
    }
    exchange.page, exchange.windowed = 7, windowed
    cache = tmp_path_factory.mktemp("cache")
    exchange.faults.clear()
    for stop in [*sorted(stops), 40]:
        exchange.now = START + stop * HOUR
        exchange.faults.extend(faults[:2])
        with contextlib.suppress(DownloadError):  # given up, or nothing there yet
            download_bars(used, *PAIR, cache=cache, retry=QUICK, since=at(later_front))
    exchange.faults.clear()
    done = download_bars(used, *PAIR, cache=cache, retry=QUICK, since=at(0))
    assert_complete(exchange, done)
    hours = ((stored(done).index.asi8 - START) // HOUR).tolist()
    assert sum(hole.missing for hole in done.holes) == hours[-1] - hours[0] + 1 - len(hours)
