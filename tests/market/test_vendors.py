"""Forms known by their columns: read right and told, or refused with lines that mend it."""

import re
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from convnext_vbt.market.clock import Clock
from convnext_vbt.market.files import read_file

COUNT = 30
HOURS = pd.date_range("2026-02-02 10:00", periods=COUNT, freq="h")
OPEN = np.round(250 + np.random.default_rng(2).normal(0, 1, COUNT).cumsum(), 2)
PRICES = pd.DataFrame({"open": OPEN, "high": OPEN + 2, "low": OPEN - 2, "close": OPEN + 1})
COINS = np.arange(COUNT) + 10.5
MONEY = np.round(COINS * (OPEN + 0.5), 4)


def told(report):
    return "; ".join([report.times, *report.reading, *map(str, report.changes)])


def written(folder, frame, file="x.csv", **how):
    path = folder / file
    frame.to_csv(path, index=False, **how)
    return path


def remedies(path):
    """What the lines of a refusal say: a clock for each way that it names."""
    with pytest.raises(ValueError, match=r"data\.timezone") as caught:
        read_file(path)
    zones = re.findall(r'data\.timezone = "([^"]+)"', str(caught.value))
    stamps = re.findall(r'data\.stamp = "(open|close)"', str(caught.value))
    stamps = stamps or [None] * len(zones)
    return [Clock(timezone=z, stamp=s) for z, s in zip(zones, stamps, strict=True)]


def first(report):
    return f"{report.bars.index[0]:%Y-%m-%d %H:%M}"


def split(frame, date="%Y%m%d", clock="%H%M%S", names=("date", "time"), hours=HOURS):
    frame = frame.copy()
    frame.insert(0, names[0], hours.strftime(date))
    frame.insert(1, names[1], hours.strftime(clock))
    return frame


def test_lean_counts_parts_of_a_cent_on_the_exchanges_clock(tmp_path):
    whole = (PRICES * 10_000).round().astype(int).assign(volume=1_000)
    whole.insert(0, "t", HOURS.strftime("%Y%m%d %H:%M"))
    with zipfile.ZipFile(tmp_path / "spy.zip", "w") as archive:
        archive.writestr("spy.csv", whole.to_csv(index=False, header=False))
    (clock,) = remedies(tmp_path / "spy.zip")
    report = read_file(tmp_path / "spy.zip", clock=clock)
    np.testing.assert_allclose(report.bars.open[:, 0], OPEN)
    assert first(report) == "2026-02-02 15:00"
    assert "30 bars with LEAN's prices, divided by 10,000" in told(report)


@pytest.mark.parametrize("pretty", [False, True])
def test_databento_in_fixed_point(tmp_path, pretty):
    frame = PRICES.map(lambda v: f"{v:.9f}") if pretty else (PRICES * 1e9).round().astype("int64")
    ids = pd.DataFrame({"ts_event": HOURS.as_unit("ns").asi8, "rtype": 34, "publisher_id": 1})
    frame = pd.concat([ids, frame, pd.DataFrame({"volume": 7, "symbol": ["ESH6"] * COUNT})], axis=1)
    report = read_file(written(tmp_path, frame))
    np.testing.assert_allclose(report.bars.close[:, 0], PRICES["close"])
    assert ("divided by 1,000,000,000" in told(report)) != pretty


@pytest.mark.parametrize("epochs", [False, True])
def test_metatrader_5_is_on_the_brokers_clock(tmp_path, epochs):
    frame = PRICES.assign(tick_volume=5, spread=1, real_volume=0)
    if epochs:
        frame.insert(0, "time", HOURS.as_unit("s").asi8)
    else:
        frame = split(PRICES.assign(TICKVOL=5, VOL=0, SPREAD=1), "%Y.%m.%d", "%H:%M:%S")
    path = written(tmp_path, frame, sep="\t")
    (clock,) = remedies(path)
    assert first(read_file(path, clock=clock)) == "2026-02-02 08:00"


def test_days_of_metatrader_stay_readable(tmp_path):
    days = pd.bdate_range("2026-01-05", periods=COUNT)
    frame = split(PRICES.assign(TICKVOL=5, VOL=0, SPREAD=1), "%Y.%m.%d", "%H:%M:%S", hours=days)
    assert first(read_file(written(tmp_path, frame, sep="\t"))) == "2026-01-05 00:00"


def test_ninjatrader_and_histdata_write_one_form(tmp_path):
    frame = PRICES.assign(volume=9)
    frame.insert(0, "t", HOURS.strftime("%Y%m%d %H%M%S"))
    path = written(tmp_path, frame, "nq.txt", sep=";", header=False)
    ninja, hist = remedies(path)
    assert (ninja.stamp, hist.stamp) == ("close", "open")
    assert first(read_file(path, clock=ninja)) == "2026-02-02 09:00"
    assert first(read_file(path, clock=hist)) == "2026-02-02 15:00"
    with pytest.raises(ValueError, match=r'data\.stamp = "close" for NinjaTrader'):
        read_file(path, clock=Clock(timezone="UTC"))  # which of the two is still not said


@pytest.mark.parametrize(
    ("names", "date", "clock", "opens"),
    [
        (("d", "c"), "%Y.%m.%d", "%H:%M", ["2026-02-02 08:00", "2026-02-02 15:00"]),
        (("d", "c"), "%m/%d/%Y", "%H:%M", ["2026-02-02 15:00"]),
        (("d", None), "%Y.%m.%d %H:%M", None, ["2026-02-02 07:00"]),
    ],
)
def test_forms_without_a_header(tmp_path, names, date, clock, opens):
    """MetaTrader 4 and HistData, Kibot, Bybit for MetaTrader."""
    hours = pd.date_range("2026-02-02 10:00", periods=COUNT, freq="h")
    late = hours + pd.Timedelta(days=20)  # so that a day tells itself from a month
    frame = PRICES.assign(volume=9)
    frame.insert(0, "d", hours.strftime(date))
    frame.loc[COUNT - 1, "d"] = late[-1].strftime(date)
    if clock:
        frame.insert(1, "c", hours.strftime(clock))
    path = written(tmp_path, frame, header=False)
    assert [first(read_file(path, clock=clock)) for clock in remedies(path)] == opens


def test_tradestation_stamps_the_close_and_splits_the_volume(tmp_path):
    frame = split(PRICES.assign(Up=range(COUNT), Down=3), "%Y-%m-%d", "%H:%M", ("Date", "Time"))
    path = written(tmp_path, frame)
    (clock,) = remedies(path)
    report = read_file(path, clock=clock)
    assert first(report) == "2026-02-02 14:00"
    assert report.bars.volume[:3, 0].tolist() == [3, 4, 5]
    assert "volume from Up + Down" in told(report)


def test_stooq_stamps_the_close_in_warsaw(tmp_path):
    frame = split(PRICES.assign(VOL=9, OPENINT=0))
    frame.insert(0, "TICKER", "X.US")
    frame.insert(1, "PER", 60)
    frame.columns = [f"<{name.upper()}>" for name in frame]
    report = read_file(written(tmp_path, frame, "x.txt"))
    assert first(report) == "2026-02-02 08:00"
    assert "times: Europe/Warsaw, stamped at the bar's close (known of Stooq)" in told(report)
    with pytest.raises(ValueError, match="30 times on the clock of Europe/Warsaw converted"):
        read_file(tmp_path / "x.txt", strict=True)
    frame["<TIME>"] = "000000"
    frame["<DATE>"] = pd.bdate_range("2026-01-05", periods=COUNT).strftime("%Y%m%d")
    assert first(read_file(written(tmp_path, frame, "x.txt"))) == "2026-01-05 00:00"


def test_barchart_is_chicagos_and_ends_in_a_footer(tmp_path):
    frame = PRICES.rename(columns={"close": "latest"}).assign(Change=1, Volume=8)
    frame.insert(0, "Time", HOURS.strftime("%Y-%m-%d %H:%M"))
    path = written(tmp_path, frame)
    path.write_text(path.read_text() + '"Downloaded from Barchart.com as of 02-05-2026"\n')
    report = read_file(path)
    assert first(report) == "2026-02-02 16:00"
    assert "1 footer left out" in told(report)


def test_sierra_chart_with_studies(tmp_path):
    frame = split(PRICES.rename(columns={"close": "Last"}), "%Y-%m-%d", "%H:%M:%S.000000")
    frame = frame.assign(Volume=4, BidVolume=1, AskVolume=3)
    again = PRICES.rename(columns={"close": "Last"}) * 2
    report = read_file(written(tmp_path, pd.concat([frame, again], axis=1)))
    np.testing.assert_array_equal(report.bars.close[:, 0], PRICES["close"])
    assert "taken as UTC" in told(report)


def test_hyperliquid_has_two_times_that_differ_by_case(tmp_path):
    opens = HOURS.as_unit("ms").asi8
    frame = PRICES.set_axis(list("ohlc"), axis=1).assign(v=COINS, n=3)
    frame.insert(0, "t", opens)
    frame.insert(1, "T", opens + 3_599_999)
    frame.insert(2, "s", "ETH")
    frame.insert(3, "i", "1h")
    report = read_file(written(tmp_path, frame))
    assert first(report) == "2026-02-02 10:00"
    assert report.bars.symbols == ("ETH",)


def test_coinmarketcap_opens_at_timeopen_and_its_volume_is_money(tmp_path):
    days = pd.date_range("2026-01-01", periods=COUNT, freq="D")
    ends = days.strftime("%Y-%m-%dT23:59:59.999Z")
    frame = pd.DataFrame({"timeOpen": days.strftime("%Y-%m-%dT00:00:00.000Z"), "timeClose": ends})
    frame = frame.assign(timeHigh=ends, timeLow=ends, name="1")
    frame = pd.concat([frame, PRICES.assign(volume=1e9, timestamp=ends)], axis=1)[::-1]
    report = read_file(written(tmp_path, frame, sep=";"))
    assert first(report) == "2026-01-01 00:00"
    assert not report.bars.has_volume[0]
    assert "volumes are in US dollars" in told(report)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"amount": COINS, "vol": MONEY}, "volume from amount: vol over it is the price"),
        ({"amount": MONEY, "vol": COINS}, "volume from vol"),
        ({"volume": MONEY, "quantity": COINS}, "volume from quantity: volume over it is the pr"),
    ],
)
def test_money_is_no_volume_where_the_price_proves_it(tmp_path, columns, said):
    frame = PRICES.assign(timestamp=HOURS.as_unit("s").asi8, **columns)
    report = read_file(written(tmp_path, frame))
    np.testing.assert_array_equal(report.bars.volume[:, 0], COINS)
    assert said in told(report)


def test_near_a_price_of_one_money_and_coins_are_left_as_they_are(tmp_path):
    near = pd.DataFrame({"open": 1.0, "high": 1.001, "low": 0.999, "close": 1.0}, range(COUNT))
    frame = near.assign(timestamp=HOURS.as_unit("s").asi8, volume=COINS, amount=COINS * 1.0002)
    assert read_file(written(tmp_path, frame)).bars.volume[0, 0] == COINS[0]


@pytest.mark.parametrize("name", ["BTC-USDT-SWAP", "BTC-USDT", "BTC-USD-260327"])
def test_okx_counts_contracts_of_swaps_and_futures(tmp_path, name):
    swap = name != "BTC-USDT"
    vols = (COINS * 100, COINS, MONEY) if swap else (COINS, MONEY, MONEY)
    frame = PRICES.assign(vol=vols[0], vol_ccy=vols[1], vol_quote=vols[2])
    frame.insert(0, "instrument_name", name)
    report = read_file(written(tmp_path, frame.assign(open_time=HOURS.as_unit("ms").asi8)))
    np.testing.assert_array_equal(report.bars.volume[:, 0], COINS)
    assert report.bars.symbols == (name,)


def test_tushare_counts_lots_and_its_date_is_trade_date(tmp_path):
    days = pd.bdate_range("2026-01-05", periods=COUNT).strftime("%Y%m%d")
    frame = PRICES.assign(ts_code="1.SZ", trade_date=days, vol=12.0, amount=3.0)
    path = tmp_path / "t.csv"
    frame[::-1].reset_index(drop=True).to_csv(path)
    report = read_file(path)
    assert first(report) == "2026-01-05 00:00"
    assert report.bars.volume[0, 0] == 1200


def test_minutes_of_chinese_vendors_stamp_the_close_in_shanghai(tmp_path):
    clocks = [pd.Timedelta(hours=h) for h in (10.5, 11.5, 14, 15)]
    days = pd.bdate_range("2026-01-05", periods=8)
    ends = pd.DatetimeIndex([day + clock for day in days for clock in clocks])[:COUNT]
    frame = PRICES.assign(ts_code="1.SZ", trade_time=ends.astype(str), vol=9)
    report = read_file(written(tmp_path, frame))
    opens = report.bars.index.tz_convert("Asia/Shanghai")
    assert opens[:4].strftime("%H:%M").tolist() == ["09:30", "10:30", "13:00", "14:00"]


def test_interactive_brokers_has_no_volume_of_midpoints(tmp_path):
    frame = PRICES.assign(date=HOURS.strftime("%Y-%m-%d %H:%M:%S+00:00"), volume=-1.0)
    report = read_file(written(tmp_path, frame))
    assert not report.bars.has_volume[0]
    assert "30 volumes are all -1, which is taken as no volume" in told(report)


def test_ticks_stand_in_for_a_volume_that_mostly_lacks(tmp_path):
    frame = split(PRICES.assign(TICKVOL=range(1, COUNT + 1), VOL=0.0), "%Y.%m.%d", "%H:%M:%S")
    frame.loc[:4, "VOL"] = 5e6
    report = read_file(written(tmp_path, frame), clock=Clock(timezone="UTC"))
    assert report.bars.volume[0, 0] == 1
    assert "VOL is 0 in 25 of 30 rows that have ticks" in told(report)


def test_a_volume_that_some_bars_lack_names_two_remedies(tmp_path):
    volume = [str(v) for v in COINS]
    volume[4] = volume[9] = ""
    frame = PRICES.assign(timestamp=HOURS.as_unit("s").asi8, volume=volume)
    with pytest.raises(
        ValueError, match=r"missing in 2 of 30 bars .* fill these in, or delete the"
    ):
        read_file(written(tmp_path, frame))
    assert len(read_file(written(tmp_path, frame.drop(columns="volume"))).bars) == COUNT


def test_a_date_with_a_clock_of_four_digits(tmp_path):
    frame = split(PRICES.assign(Volume=1), "%m/%d/%Y", "%H%M", ("Date", "Time"))
    frame.loc[COUNT - 1, "Date"] = "02/20/2026"
    assert first(read_file(written(tmp_path, frame))) == "2026-02-02 10:00"


def test_lunch_breaks_and_half_hours_are_no_other_bar_size(tmp_path):
    clocks = [pd.Timedelta(hours=h) for h in (1.5, 2.5, 5, 6)]
    days = pd.bdate_range("2026-01-05", periods=8)
    opens = pd.DatetimeIndex([day + clock for day in days for clock in clocks])[:COUNT]
    frame = PRICES.assign(timestamp=opens.strftime("%Y-%m-%dT%H:%M:%SZ"), volume=1)
    assert len(read_file(written(tmp_path, frame)).bars) == COUNT


def test_bars_of_a_closed_weekend_are_left_out(tmp_path):
    hours = pd.date_range("2026-02-05", periods=COUNT, freq="4h")
    frame = PRICES.assign(volume=np.arange(COUNT) + 1.0)
    closed = np.flatnonzero((hours >= "2026-02-06 20:00") & (hours < "2026-02-08 20:00"))
    frame.loc[closed, ["open", "high", "low", "close"]] = frame.loc[closed[0] - 1, "close"]
    frame.loc[closed, "volume"] = 0.0
    frame.insert(0, "Gmt time", hours.strftime("%Y-%m-%d %H:%M"))
    report = read_file(written(tmp_path, frame))
    assert len(report.bars) == COUNT - len(closed)
    assert "12 row(s) without trades on closed weekends left out" in told(report)
    frame.loc[closed[5], "volume"] = 3.0  # somebody traded: the market is open
    assert len(read_file(written(tmp_path, frame)).bars) == COUNT


@pytest.mark.parametrize(("volume", "count"), [(True, 5), (False, 7)])
def test_copies_of_bars_of_hours_before_are_refused(tmp_path, volume, count):
    frame = PRICES.assign(timestamp=HOURS.as_unit("s").asi8)
    frame = frame.assign(volume=COINS) if volume else frame
    fields = list(frame.columns.drop("timestamp"))
    frame.loc[12 : 11 + count, fields] = frame.loc[4 : 3 + count, fields].to_numpy()
    with pytest.raises(ValueError, match=rf"line 14: {count} bars .* copies of those from 6 on"):
        read_file(written(tmp_path, frame))
    frame.loc[13, "close"] += 0.01  # one bar alike, one not: a market may do that
    frame.loc[16, "close"] += 0.01
    assert len(read_file(written(tmp_path, frame.loc[:16])).bars) == 17


def test_finam_is_asked_for_moscow(tmp_path):
    frame = split(PRICES.assign(VOL=9))
    frame.insert(0, "TICKER", "SBER")
    frame.insert(1, "PER", 60)
    frame.columns = [f"<{name.upper()}>" for name in frame]
    path = written(tmp_path, frame, "x.txt", sep=";")
    (clock,) = remedies(path)
    report = read_file(path, clock=clock)
    assert first(report) == "2026-02-02 07:00"
    assert report.bars.symbols == ("SBER",)
    np.testing.assert_array_equal(report.bars.close[:, 0], PRICES["close"])


def test_moex_begins_on_moscows_clock_and_value_is_money(tmp_path):
    ends = HOURS + pd.Timedelta(minutes=59, seconds=59)
    frame = PRICES[["open", "close", "high", "low"]].assign(value=MONEY, volume=COINS)
    frame = frame.assign(begin=HOURS.astype(str), end=ends.astype(str))
    path = tmp_path / "x.csv"
    path.write_text("candles\n\n" + frame.to_csv(index=False, sep=";"))
    report = read_file(path)
    assert first(report) == "2026-02-02 07:00"
    np.testing.assert_array_equal(report.bars.volume[:, 0], COINS)
    assert "times: Europe/Moscow, stamped at the bar's open" in told(report)
    assert "known of MOEX" in told(report)


CHINA = pd.DatetimeIndex(
    [
        day + pd.Timedelta(hours=hour)
        for day in pd.bdate_range("2026-01-05", periods=8)
        for hour in (10.5, 11.5, 14, 15)
    ]
)[:COUNT]
OPENS = ["09:30", "10:30", "13:00", "14:00"]


def test_ricequant_stamps_the_close_in_shanghai(tmp_path):
    frame = PRICES.assign(volume=COINS, total_turnover=MONEY)
    frame.insert(0, "order_book_id", "000001.XSHE")
    frame.insert(1, "datetime", CHINA.astype(str))
    report = read_file(written(tmp_path, frame))
    assert report.bars.index.tz_convert("Asia/Shanghai")[:4].strftime("%H:%M").tolist() == OPENS
    assert report.bars.symbols == ("000001.XSHE",)
    assert "times: Asia/Shanghai, stamped at the bar's close (known of RiceQuant)" in told(report)


def test_joinquant_is_asked_for_shanghai_and_stamps_the_close(tmp_path):
    frame = PRICES[["open", "close", "high", "low"]].assign(volume=COINS, money=MONEY)
    path = tmp_path / "x.csv"
    frame.set_index(CHINA).to_csv(path)
    (clock,) = remedies(path)
    report = read_file(path, clock=clock)
    assert report.bars.index.tz_convert("Asia/Shanghai")[:4].strftime("%H:%M").tolist() == OPENS
    np.testing.assert_array_equal(report.bars.volume[:, 0], COINS)


def test_vnpy_is_asked_for_the_exchanges_clock(tmp_path):
    frame = PRICES.assign(volume=9.0, turnover=0.0, open_interest=5.0)
    frame.insert(0, "symbol", "rb2605")
    frame.insert(1, "exchange", "SHFE")
    frame.insert(2, "datetime", HOURS.astype(str))
    path = written(tmp_path, frame)
    (clock,) = remedies(path)
    report = read_file(path, clock=clock)
    assert first(report) == "2026-02-02 02:00"
    assert report.bars.symbols == ("rb2605",)


def test_akshare_counts_lots_of_a_hundred(tmp_path):
    days = pd.bdate_range("2026-01-05", periods=COUNT)
    chinese = {"open": "开盘", "close": "收盘", "high": "最高", "low": "最低"}
    frame = PRICES[list(chinese)].rename(columns=chinese).assign(成交量=12, 成交额=3.0, 换手率=0.1)
    frame.insert(0, "日期", days.strftime("%Y-%m-%d"))
    frame.insert(1, "股票代码", "000001")
    report = read_file(written(tmp_path, frame))
    assert first(report) == "2026-01-05 00:00"
    assert report.bars.volume[0, 0] == 1200
    assert "30 volumes are in lots of 100, multiplied by it" in told(report)
    np.testing.assert_array_equal(report.bars.low[:, 0], PRICES["low"])


@pytest.mark.parametrize("time", ["20260202 10:00", "36000000"])
def test_quotes_of_lean_are_refused_with_what_makes_bars_of_them(tmp_path, time):
    path = tmp_path / "quotes.csv"
    row = f"{time},1.1,1.2,1.0,1.15,5,1.11,1.21,1.01,1.16,6"
    path.write_text(f"{row}\n" * COUNT)
    with pytest.raises(ValueError, match=r"quotes in QuantConnect LEAN's form.*pd\.read_csv"):
        read_file(path)


@pytest.mark.parametrize("width", [8, 16])
def test_nautilus_has_binary_numbers(tmp_path, width):
    binary = pa.array([b"1" * width] * COUNT, pa.binary(width))
    times = pa.array(HOURS.as_unit("ns").asi8.astype("uint64"))
    columns = dict.fromkeys(["open", "high", "low", "close", "volume"], binary)
    table = pa.table({**columns, "ts_event": times, "ts_init": times})
    pq.write_table(table, tmp_path / "bars.parquet")
    with pytest.raises(ValueError, match=r"open holds binary numbers .*Bar\.to_dict"):
        read_file(tmp_path / "bars.parquet")


def okx(confirm):
    frame = PRICES.assign(vol=COINS, vol_ccy=MONEY, open_time=HOURS.as_unit("ms").asi8)
    return frame.assign(confirm=confirm)


@pytest.mark.parametrize("newest_first", [False, True])
def test_okx_says_which_bar_is_not_over(tmp_path, newest_first):
    frame = okx(1)
    frame.loc[[3, COUNT - 1], "confirm"] = 0  # the older one has ended since
    report = read_file(written(tmp_path, frame[::-1] if newest_first else frame))
    assert len(report.bars) == COUNT - 1
    line = 2 if newest_first else COUNT + 1
    said = f"1 row(s) of bars that are not over left out (confirm is 0, line {line})"
    assert said in told(report)
    with pytest.raises(ValueError, match="strict"):
        read_file(tmp_path / "x.csv", strict=True)


@pytest.mark.parametrize("confirm", [0, 1])
def test_okx_with_one_word_for_all_bars_says_nothing_by_it(tmp_path, confirm):
    assert len(read_file(written(tmp_path, okx(confirm))).bars) == COUNT
