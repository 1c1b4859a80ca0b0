"""Fills that really happened: what is read, what account they make, how they compare."""

import json

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.errors import DataError
from convnext_vbt.live.account import Holding
from convnext_vbt.live.fills import read_fills, real_account
from convnext_vbt.live.journal import open_journal
from convnext_vbt.live.reconcile import reconcile, summary, summary_lines
from convnext_vbt.live.running import live_session
from convnext_vbt.live.transfers import read_transfers
from convnext_vbt.live.walk import Order
from convnext_vbt.trading.brackets import fixed_brackets
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.instruments import Instrument
from convnext_vbt.trading.signals import Signals
from convnext_vbt.trading.simulation import simulate_signals
from tests.live.test_running import SYMBOL, dump, rehearsed

NOW = pd.Timestamp("2024-03-01", tz="UTC")
SYMBOLS = ("BTC/USDT", "ETH/USDT")
PLAIN = """time,symbol,side,units,price,fee
2024-02-01T12:00:03,BTC/USDT,buy,0.5,40000,10
2024-02-01 15:00:04+01:00,BTC/USDT,Sell,0.5,41000,10.25
1706796000000,ETH/USDT,sell,2,2500,
"""
CCXT = [
    {"id": "7", "timestamp": 1706796000000, "datetime": "2024-02-01T14:00:00.000Z",
     "symbol": "BTC/USDT", "side": "buy", "amount": 0.5, "price": 40000.0, "cost": 20000.0,
     "fee": {"cost": 0.0005, "currency": "BTC"}},
    {"id": "8", "timestamp": 1706796001000, "datetime": None, "symbol": "BTC/USDT",
     "side": "sell", "amount": 0.1, "price": 40100.0, "fee": {"cost": 2.0, "currency": "USDT"}},
    {"id": "9", "timestamp": 1706796002000, "datetime": None, "symbol": "BTC/USDT",
     "side": "sell", "amount": 0.1, "price": 40100.0, "fee": None},
]  # fmt: skip


def read(tmp_path, text, symbols=SYMBOLS):
    (tmp_path / "fills.csv").write_text(text)
    return read_fills(tmp_path / "fills.csv", symbols, NOW)


def test_a_csv_of_ones_own_is_read(tmp_path):
    first, other, last = read(tmp_path, PLAIN)
    assert first.time == pd.Timestamp("2024-02-01 12:00:03", tz="UTC")
    assert {other.time, last.time} == {
        pd.Timestamp("2024-02-01 14:00", tz="UTC"), pd.Timestamp("2024-02-01 14:00:04", tz="UTC")
    }  # fmt: skip
    assert (first.symbol, first.side, first.units, first.price, first.fee) == (
        "BTC/USDT", "Buy", 0.5, 40000.0, 10.0
    )  # fmt: skip
    assert (first.change, first.cash(), last.change) == (0.5, -20010.0, -0.5)
    assert (other.symbol, other.change, other.cash()) == ("ETH/USDT", -2.0, 5000.0)


def test_ccxts_own_trades_are_read_as_json_and_as_csv(tmp_path):
    path = tmp_path / "trades.json"
    path.write_text(json.dumps(CCXT))
    found = read_fills(path, SYMBOLS, NOW)
    assert [fill.key for fill in found] == ["BTC/USDT 7", "BTC/USDT 8", "BTC/USDT 9"]
    assert [fill.change for fill in found] == [0.4995, -0.1, -0.1]  # a fee in the coin itself
    assert [fill.cash() for fill in found] == [-20000.0, 4008.0, 4010.0]
    pd.DataFrame(CCXT).to_csv(path, index=False)  # a fee is a dict as Python writes it
    assert read_fills(path, SYMBOLS, NOW) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PLAIN.replace("ETH/USDT", "DOGE/USDT"), r"fill 3: symbol DOGE/USDT is not traded by"),
        (PLAIN.replace("units", "lots"), r"has no column units; a file of fills has time, "),
        (PLAIN.replace("2024-02-01T", "2024-03-02T"), r"fill 1: its time 2024-03-02 12:00 UT"),
        (PLAIN.replace("2024-02-01T12", "noon"), r"fill 1: time 'noon:00:03' is not one such as"),
        (PLAIN.replace("2024-02-01T12:00:03", "03/02/2024 12:00"), r"fill 1: time '03/02/2024 12"),
        (PLAIN.replace("1706796000000", "1706796000"), r"fill 3: .* 1970-.* seconds by 1000"),
        (PLAIN.replace("buy", "hold"), r"fill 1: side is 'hold'; write buy or sell"),
        (PLAIN.replace("0.5,40000", "-0.5,40000"), r"fill 1: units must be positive, got -0.5"),
        (PLAIN.replace("40000", "many"), r"fill 1: could not convert string to float: 'many'"),
        (PLAIN.replace("40000", "nan"), r"fill 1: price must be positive, got nan"),
        (PLAIN.replace(",10\n", ",inf\n"), r"fill 1: fee must be a number, got inf"),
        ("", "is empty; its first line names time, symbol"),
        ("[1, 2]", "a list of objects is needed"),
        ("[{]", "cannot be read as CSV or JSON"),
        ('[{"side": "buy"}]', "fill 1: symbol is missing"),
        (json.dumps([CCXT[0] | {"fee": {"cost": 1, "currency": "BNB"}}]), "its fee is in BNB"),
    ],
)  # fmt: skip
def test_what_is_no_fill_is_named_by_its_number(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv is not there; give --fills"):
        read_fills(tmp_path / "none.csv", SYMBOLS, NOW)


def fill(bars, row, side, units, price, seconds=5, fee=0.0, **more):
    time = bars.index[row] + pd.Timedelta(seconds=seconds)
    return {
        "time": time.isoformat(), "symbol": SYMBOL, "side": side, "units": units, "price": price,
        "fee": fee,
    } | more  # fmt: skip


def fills_of(tmp_path, records):
    path = tmp_path / "fills.csv"
    pd.DataFrame(records).to_csv(path, index=False)
    return path


def test_the_real_account_is_cash_and_positions_at_the_last_close(tmp_path, bars):
    part = bars.rows(0, 1004)
    path = fills_of(tmp_path, [
        fill(bars, 1000, "buy", 0.1, 15_000, fee=3),
        fill(bars, 1001, "buy", 0.2, 15_100, fee=3),
        fill(bars, 1002, "sell", 0.1 + 0.2, 15_200, fee=3),
        fill(bars, 1003, "sell", 0.4, 15_300, fee=3),
        fill(bars, 1005, "buy", 9.0, 15_300, fee=3),  # not known yet
    ])  # fmt: skip
    found = read_fills(path, (SYMBOL,), bars.index[-1])
    held = Holding(units=-0.1, stop=16_000.0)
    account = real_account(found, part, equity=1e4, stops={SYMBOL: held})
    cash = 1e4 - 1_500 - 3_020 + 0.3 * 15_200 + 0.4 * 15_300 - 4 * 3
    assert account.equity == pytest.approx(cash - 0.4 * part.close[-1, 0], rel=1e-12)
    assert account.held[SYMBOL] == Holding(units=-0.4, entered=found[3].time, stop=16_000.0)
    flat = real_account(found[:3], part, equity=1e4, stops={SYMBOL: held})
    assert flat.held == {}  # 0.1 + 0.2 - 0.3 is nothing
    other = real_account(found[:2], part, equity=1e4, stops={SYMBOL: held})
    assert other.held[SYMBOL] == Holding(units=0.1 + 0.2, entered=found[0].time, stop=None)


def test_fills_of_an_inverse_contract_make_the_backtests_own_account(tmp_path, bars):
    part, rows = bars.rows(0, 400), np.arange(400)[:, None]
    signals = Signals(
        index=part.index,
        columns=pd.MultiIndex.from_product([[0], [SYMBOL]], names=["r", "symbol"]),
        entries=rows % 40 == 3, exits=rows % 40 == 9, short_entries=rows % 40 == 20,
        short_exits=rows % 40 == 30, size=np.ones((400, 1)),
    )  # fmt: skip
    config = SimulationConfig(init_cash=2.0, instruments={SYMBOL: Instrument(inverse=True, lot=10)})
    done = simulate_signals(part, signals, fixed_brackets(part, stop=0.02), config=config)
    told = [
        {"time": (row["timestamp"] + pd.Timedelta(seconds=5)).isoformat(), "symbol": SYMBOL,
         "side": row["side"], "units": row["size"], "price": row["price"], "id": k,
         "fee": {"cost": row["fees"], "currency": "SIM"}}
        for k, row in done.orders_frame().iterrows()
    ]  # fmt: skip
    (tmp_path / "trades.json").write_text(json.dumps(told))
    found = read_fills(
        tmp_path / "trades.json", (SYMBOL,), part.index[-1] + part.step, inverse={SYMBOL}
    )
    assert len(found) > 20
    for row in (5, 25, 200, 399):  # long, short, later
        account = real_account(found, part.rows(0, row + 1), equity=2.0, stops={}, inverse={SYMBOL})
        assert account.equity == pytest.approx(done.equity[row, 0], rel=1e-12)
    orders = [
        Order(bar=part.index[0], symbol=SYMBOL, number=0, side="Buy", units=u, price=p, fee=0.0)
        for u, p in ((30.0, 15_000.0), (10.0, 12_000.0))
    ]  # fmt: skip
    path = fills_of(tmp_path, [fill(part, 0, "buy", 40, 15_000)])
    (match,) = reconcile(part, orders, read_fills(path, (SYMBOL,), NOW), inverse={SYMBOL})
    assert match.cost == pytest.approx(30 / 15_000 + 10 / 12_000 - 40 / 15_000, rel=1e-9)
    assert match.shadow_price == pytest.approx(40 / (30 / 15_000 + 10 / 12_000))


def test_an_inverse_fee_in_the_quote_currency_is_refused(tmp_path):
    path = tmp_path / "trades.json"
    path.write_text(json.dumps([CCXT[1]]))
    with pytest.raises(DataError, match="its fee is in USDT; give its worth in BTC"):
        read_fills(path, SYMBOLS, NOW, inverse={"BTC/USDT"})


def test_a_real_account_that_is_ruined_says_so(tmp_path, bars):
    path = fills_of(tmp_path, [fill(bars, 1000, "buy", 100, 15_000, fee=1e5)])
    found = read_fills(path, (SYMBOL,), NOW)
    with pytest.raises(DataError, match=r"the real account is ruined at .* look for a fill in"):
        real_account(found, bars.rows(0, 1001), equity=1e4, stops={})


def order(bars, row, side, units, price, number=0):
    return Order(bar=bars.index[row], symbol=SYMBOL, number=number, side=side, units=units,
                 price=price, fee=units * price * 0.0005)  # fmt: skip


def test_orders_and_fills_are_compared_bar_by_bar(tmp_path, bars):
    part = bars.rows(990, 1010)
    orders = [
        order(bars, 1000, "Buy", 0.2, 15_000),
        order(bars, 1001, "Sell", 0.2, 15_100),  # a reversal: two orders
        order(bars, 1001, "Sell", 0.1, 15_100, number=1),
        order(bars, 1002, "Buy", 0.1, 15_200),
        order(bars, 1004, "Buy", 0.1, 15_000),
    ]
    path = fills_of(tmp_path, [
        fill(bars, 1000, "buy", 0.15, 15_003, fee=2),
        fill(bars, 1000, "buy", 0.05, 15_007, seconds=3_599, fee=1),
        fill(bars, 1001, "sell", 0.3, 15_085, fee=1),
        fill(bars, 1002, "buy", 0.04, 15_200, fee=1),
        fill(bars, 1006, "sell", 0.5, 15_000),
        fill(bars, 1011, "sell", 0.5, 15_000),  # its bar is not there yet
    ])  # fmt: skip
    found = reconcile(part, orders, read_fills(path, (SYMBOL,), bars.index[-1]))
    assert [(one.bar, one.state, one.fills) for one in found] == [
        (bars.index[1000], "matched", 2),
        (bars.index[1001], "matched", 1),
        (bars.index[1002], "other size", 1),
        (bars.index[1004], "missing", 0),
        (bars.index[1006], "extra", 1),
    ]
    assert found[0].price == pytest.approx(15_004)
    assert found[0].worse_bp == pytest.approx(4 / 15_000 * 1e4)
    assert found[0].cost == pytest.approx(0.2 * 4 + 3 - 1.5)
    assert found[1].worse_bp == pytest.approx(15 / 15_100 * 1e4)  # sold for less
    assert found[2].cost == pytest.approx(1 - 0.04 * 15_200 * 0.0005)  # on the units there were
    assert (found[3].worse_bp, found[3].cost, found[4].cost) == (None, None, None)
    counts = summary(found)
    assert [counts[name] for name in ("matched", "other size", "missing", "extra")] == [2, 1, 1, 1]
    assert counts["cost"] == pytest.approx(sum(one.cost for one in found[:3]))
    lines = summary_lines(found)
    assert lines[0].endswith("2 matched, 1 other size, 1 missing, 1 extra")
    assert lines[-1].endswith(
        "Sell SIM/USDT in the bar of 2022-02-11 22:00 UTC, shadow 0, real 0.5"
    )
    within = reconcile(part, orders, read_fills(path, (SYMBOL,), bars.index[-1]), lot=0.06)
    assert [one.state for one in within[:3]] == ["matched"] * 3


def test_decisions_are_sized_on_the_real_account(finished, tmp_path, bars):
    first = len(bars) - 30
    path = fills_of(tmp_path, [
        fill(bars, 5, "buy", 3.0, 15_000),  # long before
        fill(bars, first + 4, "buy", 0.05, float(bars.open[first + 4, 0]), fee=2.5),
    ])  # fmt: skip
    heard, journal = [], tmp_path / "a.sqlite"
    closes = rehearsed(finished, journal, 30, fills=path, say=heard.append)
    assert heard[0].endswith("fills.csv: 2 new fill(s), 0 known already")
    assert heard[1].startswith("1 fill(s) before ")
    plain = rehearsed(finished, tmp_path / "plain.sqlite", 30)
    steps = [close.decisions.decisions[0] for close in closes]
    assert all(one.step in ("stay out", "enter long", "enter short") for one in steps[:4])
    assert steps[3].target != 0.05
    assert next(one.target for one in steps[4:] if one.step == "hold long") == 0.05
    for ours, theirs in zip(closes, plain, strict=True):  # the shadow account is its own
        assert ours.state == theirs.state
        np.testing.assert_array_equal(ours.row.codes, theirs.row.codes)


def test_the_same_file_again_books_no_fill_twice(finished, tmp_path, bars):
    records = [fill(bars, 1190, "buy", 0.05, 15_000), fill(bars, 1191, "sell", 0.05, 15_000)]
    path, journal, heard = fills_of(tmp_path, records), tmp_path / "a.sqlite", []
    rehearsed(finished, journal, 20, fills=path, say=heard.append)
    before = dump(journal)["fills"]
    fills_of(tmp_path, [*records, fill(bars, 1195, "buy", 0.05, 15_000)])
    with pytest.raises(DataError, match=r"are in .* already"):
        rehearsed(finished, journal, 20, fills=path, say=heard.append)
    after = dump(journal)["fills"]
    assert (len(before), len(after)) == (2, 3)
    assert heard[-1].endswith("1 new fill(s), 2 known already")
    with open_journal(journal) as book:
        assert len(book.fills()) == 3


def test_two_equal_fills_with_ids_of_their_own_are_two(tmp_path, bars):
    same = fill(bars, 1190, "buy", 0.05, 15_000)
    path = fills_of(tmp_path, [same | {"id": "a"}, same | {"id": "b"}, same | {"id": "b"}])
    with open_journal(tmp_path / "a.sqlite") as journal:
        assert journal.add_fills(read_fills(path, (SYMBOL,), bars.index[-1])) == 2
        assert journal.add_fills(read_fills(path, (SYMBOL,), bars.index[-1])) == 0


def test_a_future_fill_is_refused_by_the_sessions_own_clock(finished, tmp_path, bars):
    path = fills_of(tmp_path, [fill(bars, 1190, "buy", 0.05, 15_000)])
    closes = live_session(
        finished.directory, journal=tmp_path / "a.sqlite", fills=path,
        clock=lambda: bars.index[1100], rehearse=3,
    )  # fmt: skip
    with pytest.raises(DataError, match=r"lies after 2022-02-15 20:00 UTC"):
        next(closes)


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (None, "fills 1 and 3 are alike in all: give each an id, or leave out the copy"),
        (("7", "8", "7"), None),
        (("7", "7", "9"), "fills 1 and 2 have the id 7 and differ; an id is of one fill"),
    ],
)
def test_rows_that_may_be_one_fill_or_two_are_refused(tmp_path, ids, said):
    rows = ["2025-01-02T03:04:05Z,btc,buy,0.5,100,0", "2025-01-02T03:04:06Z,btc,buy,0.5,100,0"]
    rows.append(rows[0])
    head = "time,symbol,side,units,price,fee"
    if ids:
        head, rows = f"{head},id", [f"{row},{one}" for row, one in zip(rows, ids, strict=True)]
    path = tmp_path / "fills.csv"
    path.write_text("\n".join([head, *rows]))
    now = pd.Timestamp("2025-02-01", tz="UTC")
    if said is None:
        assert len(read_fills(path, ["btc"], now)) == 2  # the first one is told of twice
    else:
        with pytest.raises(DataError, match=said):
            read_fills(path, ["btc"], now)


def test_transfers_that_may_be_one_or_two_are_refused(tmp_path):
    path = tmp_path / "fills.csv"
    row = "2025-01-02T03:04:05Z,,deposit,50,"
    path.write_text("\n".join(["time,symbol,side,units,price", row, row]))
    with pytest.raises(DataError, match="fills 1 and 2 are alike in all"):
        read_transfers(path, pd.Timestamp("2025-02-01", tz="UTC"))
