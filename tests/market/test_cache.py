import contextlib
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnext_vbt.errors import CacheError
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.market.cache import BarStore, cache_root, cached_bars, timeframe_step
from convnext_vbt.market.simulated import simulated_bars
from tests.examples import examples

SOURCE = "ccxt:binance:BTC/USDT:1h"


@pytest.fixture
def store(tmp_path):
    """Three parts of ten bars, with nothing between the second and the third for five hours."""
    made = BarStore(exchange="binance", symbol="BTC/USDT", timeframe="1h", root=tmp_path)
    made.folder.mkdir(parents=True)
    frame = hourly()
    for start in (0, 10, 25):
        made.append(frame.iloc[start : start + 10])
    return made


def hourly():
    bars = simulated_bars(bars=60)
    return pd.DataFrame({field: getattr(bars, field)[:, 0] for field in FIELDS}, index=bars.index)


def test_parts_are_joined_and_come_back_bit_for_bit(store):
    bars = cached_bars(SOURCE, store.root)
    expected = hourly().iloc[[*range(20), *range(25, 35)]]
    assert bars.symbols == ("BTC/USDT",)
    assert bars.index.equals(expected.index)
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(bars, field)[:, 0], expected[field])


def test_a_part_is_named_after_its_first_bar(store):
    names = sorted(str(path.relative_to(store.root)) for path in store.folder.iterdir())
    assert names == [
        "binance/BTC%2FUSDT/1h/2022-01-01T000000Z.parquet",
        "binance/BTC%2FUSDT/1h/2022-01-01T100000Z.parquet",
        "binance/BTC%2FUSDT/1h/2022-01-02T010000Z.parquet",
    ]


def damage(store, kind):
    first, second, _ = sorted(store.folder.iterdir())
    if kind == "cut":
        second.write_bytes(second.read_bytes()[:-100])
    elif kind == "flipped":
        data = bytearray(second.read_bytes())
        data[len(data) // 4] ^= 1
        second.write_bytes(data)
    elif kind == "renamed":
        second.rename(second.with_name("2022-01-01T110000Z.parquet"))
    elif kind == "text":
        second.write_text("not a part")
    elif kind == "overlapping":
        first.unlink()
        store.append(hourly().iloc[0:12])
    elif kind == "of another pair":
        other = BarStore(exchange="binance", symbol="ETH/USDT", timeframe="1h", root=store.root)
        other.folder.mkdir(parents=True)
        shutil.copy(other.append(hourly().iloc[10:20]), second)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("cut", "is damaged"),
        ("flipped", "is damaged"),
        ("text", "is damaged"),
        ("renamed", "is not the part that its name says"),
        ("overlapping", "overlaps the part before it"),
        ("of another pair", "holds ccxt:binance:ETH/USDT:1h"),
    ],
)
def test_a_part_that_cannot_be_trusted_is_named_with_the_remedy(store, kind, fault):
    damage(store, kind)
    with pytest.raises(
        CacheError, match=rf"2022-01-01T1.0000Z.parquet {fault}.*; delete it and"
    ) as told:
        store.bars()
    assert "run convnext-vbt download binance BTC/USDT 1h" in str(told.value)


def test_nothing_stored_says_how_to_download(tmp_path, store):
    with pytest.raises(CacheError, match=r"no bars of ccxt:kraken:BTC/EUR:1h are stored in .*them"):
        cached_bars("ccxt:kraken:BTC/EUR:1h", tmp_path)
    with pytest.raises(CacheError, match=r"are stored in .* \(only 1h\); download them first"):
        cached_bars("ccxt:binance:BTC/USDT:1d", tmp_path)


def test_impossible_bars_are_refused_as_the_exchange_sent_them(store):
    frame = hourly().iloc[40:42].copy()
    frame.iloc[1, 2] = 0.0
    store.append(frame)
    with pytest.raises(CacheError, match=r"as binance sent it: BTC/USDT, row 31 .* a price must"):
        store.bars()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ccxt:binance:1h", "is not ccxt:EXCHANGE:SYMBOL:TIMEFRAME; write e.g. ccxt:binance"),
        ("ccxt:", "is not ccxt:EXCHANGE"),
        ("ccxt:binance::1h", "is not ccxt:EXCHANGE"),
        ("ccxt:binance:BTC/USDT:", "is not ccxt:EXCHANGE"),
        ("ccxt:binance:BTC/USDT:one", "'one' is not a timeframe of fixed length"),
        ("ccxt:binance:BTC/USDT:0h", "'0h' is not a timeframe"),
        ("ccxt:binance:BTC/USDT:../h", "'../h' is not a timeframe"),
        ("ccxt:bin\nance:BTC/USDT:1h", "exchange 'bin.nance' cannot be a name"),
        (f"ccxt:binance:{'x' * 300}:1h", "symbol 'x+' cannot be a name"),
    ],
)
def test_a_source_of_another_form_is_answered(tmp_path, source, message):
    with pytest.raises(ValueError, match=message):
        cached_bars(source, tmp_path)


@examples(40)
@given(names=st.lists(st.text(min_size=1, max_size=12), min_size=4, max_size=4))
def test_no_name_leads_out_of_the_cache_or_into_another_folder(names):
    root = Path("/cache")
    made = []
    for exchange, symbol in (names[:2], names[2:]):
        with contextlib.suppress(ValueError):
            store = BarStore(exchange=exchange, symbol=symbol, timeframe="1h", root=root)
            made.append((exchange, symbol, store.folder))
    for _, _, folder in made:
        assert os.path.normpath(folder) == str(folder)
        assert (folder.parent.parent.parent, len(folder.parts)) == (root, 5)
    assert len({folder for _, _, folder in made}) == len({tuple(names) for *names, _ in made})


@pytest.mark.parametrize("symbol", ["../../etc", "..", "/etc/passwd", "a\\b", "~", "C:", "<b>"])
def test_hostile_symbols_stay_inside(tmp_path, symbol):
    made = BarStore(exchange="binance", symbol=symbol, timeframe="1h", root=tmp_path)
    made.folder.mkdir(parents=True)
    made.append(hourly())
    assert [path.name for path in tmp_path.iterdir()] == ["binance"]
    assert cached_bars(f"ccxt:binance:{symbol}:1h", tmp_path).symbols == (symbol,)


def test_leftovers_of_a_killed_writer_are_removed(store):
    leftover = store.folder / ".2022-01-05T000000Z.parquet.1-2.tmp"
    leftover.write_text("half a part")
    assert len(store.parts()) == 3
    with store.lock(lambda: None):
        assert not leftover.exists()


def test_the_folder_is_the_one_given_or_the_environments_or_the_users_own(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("CONVNEXT_VBT_CACHE", "")
    own = cache_root()
    assert own.is_relative_to(tmp_path)
    assert own.name == "bars"
    monkeypatch.setenv("CONVNEXT_VBT_CACHE", "~/bars of mine")
    assert cache_root() == tmp_path / "bars of mine"
    assert cache_root("here") == Path("here")
    store = BarStore(exchange="binance", symbol="BTC/USDT", timeframe="1h", root=cache_root())
    assert store.command == "convnext-vbt download binance BTC/USDT 1h"
    assert store.usage == f"convnext-vbt run STRATEGY.toml --set data.source={SOURCE}"
    other = BarStore(exchange="binance", symbol="BTC/USDT", timeframe="1h", root=Path("my bars"))
    assert other.command.endswith(" --cache 'my bars'")
    assert other.usage.startswith("CONVNEXT_VBT_CACHE='my bars' convnext-vbt run")


def test_timeframes_are_lengths():
    lengths = {"90s": "90s", "15m": "15min", "1h": "1h", "1d": "1D", "1w": "7D"}
    assert {name: timeframe_step(name) for name in lengths} == {
        name: pd.Timedelta(length) for name, length in lengths.items()
    }
