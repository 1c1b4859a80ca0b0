"""Decisions on `ccxt:` sources: new bars come from an exchange on loopback through real ccxt."""

import sys

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.errors import ConfigError, DataError
from convnext_vbt.live.session import open_session
from convnext_vbt.live.watch import watch
from convnext_vbt.market.download import download_bars
from convnext_vbt.market.sources import load_bars
from tests.market.loopback import client, serving

SOURCE = "ccxt:binance:BTC/USDT:1h"
STORED = 1090
HOUR = pd.Timedelta(hours=1)


@pytest.fixture
def exchange(tmp_path, monkeypatch, bars):
    """It trades the run's own market; 1,090 bars are stored and 1,095 have closed."""
    with serving(tmp_path) as served:
        for name, value in served.environment.items():
            monkeypatch.setenv(name, value)
        fields = [getattr(bars, name)[:, 0] for name in ("open", "high", "low", "close", "volume")]
        rows = zip(bars.index.as_unit("ms").asi8.tolist(), *fields, strict=True)
        served.bars = {row[0]: [row[0], *map(float, row[1:])] for row in rows}
        served.page = 1_000
        served.now = millis(bars.index[STORED])
        download_bars(client(), "BTC/USDT", "1h")
        served.asked.clear()
        served.now = millis(bars.index[1095] + pd.Timedelta(minutes=15))
        served.back = bars.index[0]  # when it answers again, where somebody sleeps
        served.woken = []
        yield served


@pytest.fixture
def heard():
    return []


@pytest.fixture
def session(finished, exchange, heard):
    return open_session(finished.directory, source=[SOURCE], symbol="SIM/USDT", notify=heard.append)


@pytest.fixture
def moments(session, exchange):
    def sleep(seconds):
        exchange.now += round(1000 * seconds)
        exchange.down = clock(exchange) < exchange.back
        exchange.woken.append(clock(exchange))

    return watch(session, clock=lambda: clock(exchange), sleep=sleep)


def millis(time):
    return int(time.timestamp() * 1000)


def clock(exchange):
    return pd.Timestamp(exchange.now, unit="ms", tz="UTC")


def at_the_exchanges_time(monkeypatch, exchange):
    monkeypatch.setattr("convnext_vbt.live.session.utc_now", lambda: clock(exchange))


def test_one_decision_fetches_what_is_missing_first(session, exchange, heard, bars, monkeypatch):
    at_the_exchanges_time(monkeypatch, exchange)
    found, notes = session.look(None)
    assert (found.bar, notes) == (bars.index[1094], [])
    assert found.difference < 1e-5
    assert heard == [f"fetched 5 new bars of {SOURCE}, up to {bars.index[1094]:%Y-%m-%d %H:%M} UTC"]
    assert [since for _, since in exchange.asked] == [millis(bars.index[STORED - 1])]


def test_the_past_is_replayed_from_what_is_stored(session, exchange, heard, bars):
    found, _ = session.look(bars.index[1080])
    assert (found.bar, heard, exchange.asked) == (bars.index[1079], [], [])


def test_a_failed_fetch_is_told_and_stale_bars_are_refused(session, exchange, heard, monkeypatch):
    at_the_exchanges_time(monkeypatch, exchange)
    exchange.down = True
    with pytest.raises(DataError, match="closed 0 days 05:15:00 ago: a later one should be there"):
        session.look(None)
    assert heard[0].startswith(f"{SOURCE} could not be fetched: binance: ")
    assert "HTTP 451" in heard[0]
    assert len(load_bars(SOURCE)) == STORED


def test_a_failed_fetch_does_no_harm_while_the_last_finished_bar_is_stored(
    session, exchange, heard, bars, monkeypatch
):
    at_the_exchanges_time(monkeypatch, exchange)
    session.look(None)
    exchange.down = True
    assert session.look(None)[0].bar == bars.index[1094]
    assert "could not be fetched" in heard[-1]


def test_watching_fetches_each_bar_as_it_closes(moments, exchange, heard, bars):
    seen = [(next(moments)[0].bar, clock(exchange)) for _ in range(4)]
    assert [bar for bar, _ in seen] == list(bars.index[1094:1098])
    for bar, moment in seen[1:]:
        assert moment == bar + HOUR + pd.Timedelta(seconds=2)
    fetched = [f"fetched {n} new bar{'s' * (n > 1)} of {SOURCE}, up to " for n in (5, 1, 1, 1)]
    assert [line[: len(said)] for line, said in zip(heard, fetched, strict=True)] == fetched
    assert exchange.hosts["api.binance.com:443"] > 0
    np.testing.assert_array_equal(load_bars(SOURCE).close, bars.close[:1098])


def test_an_exchange_that_is_down_for_hours_is_asked_at_every_close(moments, exchange, heard, bars):
    next(moments)
    heard.clear()
    exchange.back = bars.index[1101] + pd.Timedelta(minutes=20)
    found, notes = next(moments)
    assert (found.bar, notes) == (bars.index[1101], [])
    closes = bars.index[1096:1103] + pd.Timedelta(seconds=2)
    assert [time for time in exchange.woken if time in closes] == list(closes)
    in_the_first_hour = [time for time in exchange.woken if time < closes[1]]
    assert 10 < len(in_the_first_hour) < 14
    assert exchange.woken[len(in_the_first_hour) :] == list(closes[1:])
    *failed, _, fetched = [line for line in heard if not line.startswith("waiting")]
    assert fetched == f"fetched 7 new bars of {SOURCE}, up to {bars.index[1101]:%Y-%m-%d %H:%M} UTC"
    assert len(failed) == len(exchange.woken) - 2  # the first is in time
    assert all("could not be fetched: binance" in line for line in failed)


def test_without_ccxt_or_a_first_download_it_says_what_to_do(session, finished, monkeypatch):
    nothing = open_session(finished.directory, source=["ccxt:binance:ETH/USDT:1h"])
    with pytest.raises(DataError, match="download them first: convnext-vbt download binance ETH"):
        nothing.look(None)
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(ConfigError, match=r"pip install .*, or replay with --as-of"):
        session.look(None)
