"""`convnext-vbt download` as users call it, against an exchange on loopback."""

import json
import re
import signal
import sys

import pandas as pd
import pytest

from convnext_vbt.market.cache import BarStore
from convnext_vbt.market.download import download_bars
from convnext_vbt.market.sources import load_bars
from tests.cli.test_commands import call
from tests.market.loopback import HOUR, START, client, make_bars, serving
from tests.processes import start, wait_for
from tests.strategies import write_tiny

PAIR = ("BTC/USDT", "1h")
SOURCE = "ccxt:binance:BTC/USDT:1h"


@pytest.fixture
def exchange(tmp_path, monkeypatch):
    with serving(tmp_path) as served:
        for name, value in served.environment.items():
            monkeypatch.setenv(name, value)
        yield served


def start_download(*args):
    return start("download", "binance", *PAIR, *args)


@pytest.fixture
def store(exchange):
    return BarStore(exchange="binance", symbol=PAIR[0], timeframe=PAIR[1], root=exchange.cache)


def assert_complete(exchange, store):
    pd.testing.assert_frame_equal(pd.concat(store.parts()), exchange.finished(), check_freq=False)


def test_it_prints_bars_span_holes_and_folder(exchange, store):
    for hour in (30, 31, 200):
        del exchange.bars[START + hour * HOUR]
    result = call("download", "binance", *PAIR)
    assert result.exit_code == 0, result.output
    span = "2024-01-01 00:00 to 2024-01-11 09:00"
    lines = result.stdout.splitlines()
    assert lines.pop(1) == "  times: UTC, stamped at the bar's open (said by the file)"
    assert lines == [
        f"binance BTC/USDT 1h: 247 new bars · 247 stored, {span} UTC · 2 holes (3 bars)",
        "  hole 2024-01-02 06:00 to 2024-01-02 07:00 (2 bars)",
        "  hole 2024-01-09 08:00 to 2024-01-09 08:00 (1 bar)",
        f"folder: {store.folder}",
        f"use it: convnext-vbt run STRATEGY.toml --set data.source={SOURCE}",
        "what binance says of it, for the strategy file (no run follows it else):",
        '[instruments."BTC/USDT"]',
        "taker = 0.001",
        "maker = 0.001",
        'currency = "USDT"',
    ]
    assert re.findall(r"^ *(\d+) %  ([\d,]+) new, up to 2024-", result.stderr, re.MULTILINE) == [
        ("40", "100"),
        ("81", "199"),
        ("100", "247"),
    ]


def test_json_quiet_and_another_folder(exchange, tmp_path):
    other = tmp_path / "my bars"
    result = call(
        "download", "binance", *PAIR, "--cache", other, "-q", "--json", "--since", "2024-01-10"
    )
    facts = json.loads(result.stdout)
    assert result.stderr == ""
    assert (facts["added"], facts["bars"], facts["holes"], facts["revised"]) == (34, 34, [], [])
    assert facts["source"] == SOURCE
    assert facts["last"] == "2024-01-11T09:00:00+00:00"
    assert facts["folder"].startswith(str(other))
    assert facts["instrument"] == {"taker": 0.001, "maker": 0.001, "currency": "USDT"}
    assert not exchange.cache.exists()


def test_a_revision_is_a_warning(exchange):
    call("download", "binance", *PAIR, "-q")
    exchange.bars[START + 249 * HOUR][5] = 1.25
    exchange.now += HOUR
    result = call("download", "binance", *PAIR, "-q")
    assert result.exit_code == 0
    assert re.match(
        r"warning: the exchange has changed its bar of 2024-.*volume .* -> 1.25", result.stderr
    )
    assert result.stdout.startswith("binance BTC/USDT 1h: 1 new bar · 251 stored")


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("binanse", *PAIR), 2, "did you mean 'binance'"),
        (("binance", "BTC/USD", "1h"), 2, "did you mean 'BTC/USDT'"),
        (("binance", "BTC/USDT", "60m"), 2, "did you mean '1h'"),
        (("binance", *PAIR, "--since", "soon"), 2, "is not a time such as"),
        (("binance", *PAIR, "--since", "2025-01-01"), 3, "no finished bars"),
    ],
)
def test_errors_are_one_line_with_the_right_exit_code(exchange, args, code, message):
    result = call("download", *args)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


def test_network_and_cache_faults_exit_with_3(exchange, store):
    exchange.faults.append("451")
    result = call("download", "binance", *PAIR)
    assert result.exit_code == 3
    assert "What is stored stays; the same command goes on from there." in result.stderr
    call("download", "binance", *PAIR)
    path = sorted(store.folder.glob("*.parquet"))[1]
    path.write_bytes(b"")
    result = call("download", "binance", *PAIR)
    assert result.exit_code == 3
    assert f"{path} is damaged" in result.stderr
    path.unlink()  # as told
    assert call("download", "binance", *PAIR).exit_code == 0
    assert_complete(exchange, store)


def test_without_ccxt_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ccxt", None)
    out = call("download", "binance", "BTC/USDT", "1h")
    assert out.exit_code == 2
    assert out.stderr.startswith("error: ")
    assert "pip install 'convnext-vbt[exchange]'" in out.stderr
    assert out.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_download_goes_on(exchange, store, sign):
    exchange.page, exchange.held_from = 5, START + 12 * HOUR  # the last bar of the third page
    with start_download() as process:
        wait_for(exchange.holds_back, process)
        process.send_signal(sign)
        _, stderr = process.communicate(timeout=600)
    if sign == signal.SIGINT:
        assert process.returncode == 130
        assert "What is stored stays; the same command goes on from there." in stderr
    else:
        assert process.returncode == -signal.SIGKILL
    kept = store.bars()
    assert len(kept) == 13
    exchange.page, exchange.held_from, exchange.asked = 100, None, []
    done = download_bars(client(), *PAIR)
    assert exchange.asked[0][1] == kept.index[-1].value // 10**6
    assert done.added == 250 - len(kept)
    assert_complete(exchange, store)


@pytest.mark.slow
def test_two_downloads_at_once_share_the_work(exchange, store):
    exchange.page, exchange.held_from = 25, START + 24 * HOUR
    told = []

    def notify(line):
        told.append(line)
        exchange.released.set()

    with start_download("-q") as process:
        wait_for(exchange.holds_back, process)
        done = download_bars(client(), *PAIR, notify=notify)
        stdout, _ = process.communicate(timeout=600)
    assert told == [f"another download of {SOURCE} is running; waiting"]
    assert process.returncode == 0
    assert "250 new bars · 250 stored" in stdout
    assert (done.added, done.bars) == (0, 250)
    assert_complete(exchange, store)


def test_a_run_names_the_command_when_nothing_is_stored(exchange, tmp_path):
    result = call("run", write_tiny(tmp_path), "--set", f"data.source={SOURCE}", "--dry-run")
    assert result.exit_code == 3
    assert "download them first: convnext-vbt download binance BTC/USDT 1h" in result.stderr
    assert not exchange.hosts


@pytest.mark.slow
def test_download_then_run(exchange, tmp_path):
    exchange.bars, exchange.page = make_bars(1_400), 1_000
    exchange.now = START + 1_400 * HOUR
    assert call("download", "binance", *PAIR, "-q").exit_code == 0
    asked = len(exchange.asked)
    result = call(
        "run", write_tiny(tmp_path), "--set", f"data.source={SOURCE}",
        "--out", tmp_path / "reports", "--jobs", 1, "-q", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert len(exchange.asked) == asked
    facts = json.loads(result.stdout)
    assert list(facts["strategy_cell"]["symbols"]) == ["BTC/USDT"]
    assert len(load_bars(SOURCE)) == 1_400
