"""Files as exchanges, vendors and terminals write them, each against what pandas makes of it."""

import gzip
import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.market.bars import FIELDS
from convnext_vbt.market.clock import Clock
from convnext_vbt.market.files import read_file
from convnext_vbt.market.simulated import simulated_bars

HOURS = 500
SIMULATED = simulated_bars(bars=HOURS)
BARS = pd.DataFrame({field: SIMULATED.frame(field)["SIM/USDT"].round(2) for field in FIELDS})
BARS.index.name = None
DAYS = BARS.set_axis(pd.bdate_range("2023-01-02", periods=HOURS, tz="UTC"), axis=0)
QUOTE = (BARS["volume"] * (BARS["high"] + BARS["low"]) / 2).round(2)
SECONDS, MILLIS = BARS.index.as_unit("s").asi8, BARS.index.as_unit("ms").asi8
PRICES = BARS.drop(columns="volume")


def told(report):
    return "; ".join([*report.reading, *map(str, report.changes)])


def assert_holds(report, expected, *sentences):
    """The very bars, and every sentence said."""
    assert report.bars.index.equals(expected.index.as_unit("ns"))
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(report.bars, field)[:, 0], expected[field], field)
    for sentence in sentences:
        assert sentence in told(report)


def text_file(folder, text, name="prices.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def capitals(table):
    return table.rename(columns=str.capitalize)


def test_cryptodatadownload(tmp_path):
    table = BARS.assign(unix=SECONDS, date=BARS.index.strftime("%Y-%m-%d %H:%M:%S"), q=QUOTE)
    table["symbol"] = "BTC/USDT"
    table = table[["unix", "date", "symbol", *FIELDS, "q"]][::-1]
    table.columns = [*table.columns[:7], "Volume BTC", "Volume USDT"]
    path = text_file(tmp_path, "https://www.CryptoDataDownload.com\n" + table.to_csv(index=False))
    report = read_file(path)
    assert report.bars.symbols == ("BTC/USDT",)
    oracle = pd.read_csv(path, skiprows=1).iloc[::-1].set_index("unix")
    oracle.index = pd.to_datetime(oracle.index, unit="s", utc=True)
    assert_holds(
        report,
        oracle.rename(columns={"Volume BTC": "volume"}),
        "volume from Volume BTC",
        "1 line(s) above the table skipped ('https://www.CryptoDataDownload.com')",
        "2 column(s) ignored: date, Volume USDT",
        "500 rows turned round: the newest came first",
    )


def test_the_older_cryptodatadownload_has_twelve_hour_clocks(tmp_path):
    stamps = BARS.index.strftime("%Y-%m-%d %I-%p")
    table = BARS.set_axis(stamps, axis=0).rename(columns={"volume": "Volume BTC"})
    table["Symbol"] = ["BTCUSD"] * 300 + ["BTC/USD"] * 200
    path = text_file(tmp_path, table.to_csv(index_label="Date"))
    oracle = pd.read_csv(path)
    oracle.index = pd.to_datetime(oracle["Date"], format="%Y-%m-%d %I-%p", utc=True)
    report = read_file(path)
    assert report.bars.symbols == ("BTC/USD",)
    assert_holds(
        report,
        oracle.rename(columns={"Volume BTC": "volume"}),
        "12-hour clocks in 500 rows",
        "300 row(s) of BTCUSD taken as BTC/USD",
    )


def binance(unit=1):
    table = BARS.assign(q=QUOTE, n=5, b=1.5, t=2.5, i=0)
    table.insert(0, "open", MILLIS * unit, allow_duplicates=True)
    table.insert(6, "close", (MILLIS + 3_600_000) * unit - 1, allow_duplicates=True)
    return table


@pytest.mark.parametrize("kind", ["ms", "us", "both"])
def test_binance_archives_have_no_header_and_changed_their_unit(tmp_path, kind):
    tables = {"ms": [binance()], "us": [binance(1000)]}
    tables["both"] = [tables["ms"][0][:300], tables["us"][0][300:]]
    text = "".join(table.to_csv(index=False, header=False) for table in tables[kind])
    report = read_file(text_file(tmp_path, text))
    oracle = pd.read_csv(io.StringIO(text), header=None)
    stamps = oracle[0].where(oracle[0] < 1e14, oracle[0] // 1000)
    oracle = oracle[[1, 2, 3, 4, 5]].set_axis(list(FIELDS), axis=1)
    oracle.index = pd.DatetimeIndex(pd.to_datetime(stamps, unit="ms", utc=True))
    said = {
        "ms": "epochs in ms",
        "us": "epochs in us",
        "both": "200 epochs in another unit than the rest, each read in its own (300 in ms, 200 in",
    }
    assert_holds(report, oracle, said[kind], "no header: columns read as open_time, open, high")


def test_an_archive_is_read_as_it_comes_zipped(tmp_path):
    text = binance().to_csv(index=False, header=False)
    with zipfile.ZipFile(tmp_path / "BTCUSDT-1h-2024-01.zip", "w") as archive:
        archive.writestr("BTCUSDT-1h-2024-01.csv", text)
    report = read_file(tmp_path / "BTCUSDT-1h-2024-01.zip")
    assert report.bars.symbols == ("BTCUSDT-1h-2024-01",)
    assert_holds(report, BARS)
    (tmp_path / "plain.csv").write_bytes(gzip.compress(text.encode()))
    assert_holds(read_file(tmp_path / "plain.csv"), BARS)
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", text)
        archive.writestr("b.csv", text)
    with pytest.raises(ValueError, match="archive holds 2 files; unpack the one to read"):
        read_file(tmp_path / "two.zip")


def test_kraken(tmp_path):
    table = BARS.assign(trades=3)
    table.insert(0, "time", SECONDS)
    report = read_file(text_file(tmp_path, table.to_csv(index=False, header=False)))
    assert_holds(report, BARS, "columns read as timestamp, open, high, low, close, volume, count")


@pytest.mark.parametrize("volumes", [(7, 0), (7, 9)])
def test_metatrader_5(tmp_path, volumes):
    table = PRICES.rename(columns=lambda name: f"<{name.upper()}>")
    table.insert(0, "<DATE>", BARS.index.strftime("%Y.%m.%d"))
    table.insert(1, "<TIME>", BARS.index.strftime("%H:%M:%S"))
    table = table.assign(**{"<TICKVOL>": volumes[0], "<VOL>": volumes[1], "<SPREAD>": 2})
    path = text_file(tmp_path, table.to_csv(index=False, sep="\t"))
    with pytest.raises(ValueError, match=r'MetaTrader 5.*data\.timezone = "America/New_York\+7h"'):
        read_file(path)
    report = read_file(path, clock=Clock(timezone="UTC"))
    used, other = ("<VOL>", "<TICKVOL>") if volumes[1] else ("<TICKVOL>", "<VOL>")
    expected = PRICES.assign(volume=float(max(volumes)))
    assert_holds(report, expected, f"volume from {used}", f"2 column(s) ignored: {other}, <SPREAD>")
    assert "times from the columns <DATE> and <TIME>" in report.reading
    assert report.times == (
        "times: UTC, stamped at the bar's open "
        "(clock said by the user, stamp known of MetaTrader 5)"
    )


def test_metatrader_4_and_stooq(tmp_path):
    table = BARS.copy()
    table.insert(0, "date", BARS.index.strftime("%Y.%m.%d"))
    table.insert(1, "clock", BARS.index.strftime("%H:%M"))
    path = text_file(tmp_path, table.to_csv(index=False, header=False))
    with pytest.raises(ValueError, match=r'MetaTrader 4 and HistData, .*timezone = "-05:00"'):
        read_file(path)
    assert_holds(read_file(path, clock=Clock(timezone="UTC")), BARS)
    table = BARS.rename(columns=lambda name: f"<{name.upper()[:5]}>")
    table = table.rename(columns={"<VOLUM>": "<VOL>"})
    table.insert(0, "<TICKER>", "SPY.US")
    table.insert(1, "<PER>", "60")
    table.insert(2, "<DATE>", BARS.index.strftime("%Y%m%d"))
    # A spreadsheet has taken the zeros away: 93000 is half past nine, 0 is midnight.
    table.insert(3, "<TIME>", [int(text) for text in BARS.index.strftime("%H%M%S")])
    path = text_file(tmp_path, table.to_csv(index=False), name="spy.txt")
    report = read_file(path, clock=Clock(timezone="UTC", stamp="open"))
    assert report.bars.symbols == ("SPY.US",)
    assert_holds(report, BARS)


@pytest.mark.parametrize("iso", [True, False])
def test_tradingview(tmp_path, iso):
    table = BARS.rename(columns={"volume": "Volume"})
    stamps = BARS.index.tz_convert("America/New_York")
    table.insert(0, "time", [t.isoformat() for t in stamps] if iso else SECONDS)
    table = table.assign(**{"Volume MA": 1.0, "RSI": np.nan}, plot=2.0)
    text = table.to_csv(index=False).replace("RSI,plot", "Plot,Plot")
    report = read_file(text_file(tmp_path, text))
    assert_holds(report, BARS, "volume from Volume", "3 column(s) ignored: Volume MA, Plot, Plot")
    assert ("500 times with an offset (-05:00) converted to UTC" in told(report)) == iso


def test_yahoo_and_its_rows_without_values(tmp_path):
    table = capitals(DAYS).assign(**{"Adj Close": DAYS["close"] * 0.9})
    table = table[["Open", "High", "Low", "Close", "Adj Close", "Volume"]]
    lines = table.set_axis(DAYS.index.strftime("%Y-%m-%d"), axis=0).to_csv().splitlines()
    lines[0] = "Date" + lines[0]
    lines[7] = lines[7].split(",")[0] + ",null" * 6
    report = read_file(text_file(tmp_path, "\n".join(lines)))
    assert_holds(
        report,
        DAYS.drop(DAYS.index[6]),
        "1 row(s) without any price dropped (line 8)",
        "1 column(s) ignored: Adj Close",
    )


def test_yfinance_writes_three_header_lines(tmp_path):
    table = capitals(DAYS)[["Close", "High", "Low", "Open", "Volume"]]
    rows = table.set_axis(DAYS.index.strftime("%Y-%m-%d"), axis=0).to_csv(header=False)
    head = "Price,Close,High,Low,Open,Volume\nTicker,SPY,SPY,SPY,SPY,SPY\nDate,,,,,\n"
    report = read_file(text_file(tmp_path, head + rows))
    assert_holds(report, DAYS, "2 further header line(s) skipped", "times from the column Date")
    two = "Price,Close,Close,High,High,Low,Low,Open,Open\nTicker,A,B,A,B,A,B,A,B\nDate,,,,,,,,\n"
    with pytest.raises(ValueError, match=r"open is there twice; .*write one file a symbol"):
        read_file(text_file(tmp_path, two + "2024-01-01,1,1,1,1,1,1,1,1\n"))


def test_nasdaq_has_dollars_and_investing_thousands_and_letters(tmp_path):
    days = DAYS[["open", "high", "low", "close"]].mul(100).round(2)
    text = {name: days[name].map("{:,.2f}".format) for name in days}
    nasdaq = pd.DataFrame(
        {
            "Date": DAYS.index.strftime("%m/%d/%Y"),
            "Close/Last": "$" + text["close"],
            "Volume": (DAYS["volume"] * 1000).astype(int).map("{:,}".format),
            **{name.capitalize(): "$" + text[name] for name in ("open", "high", "low")},
        }
    )[::-1]
    expected = days.assign(volume=(DAYS["volume"] * 1000).astype(int).astype(float))
    assert_holds(
        read_file(text_file(tmp_path, nasdaq.to_csv(index=False))),
        expected,
        "dates are month first, as '11/29/2024' at line 2 shows",
        "2,000 currency sign(s) beside numbers left out",
        "commas between thousands",
    )
    investing = pd.DataFrame(
        {
            "Date": DAYS.index.strftime("%b %d, %Y"),
            "Price": text["close"],
            **{name.capitalize(): text[name] for name in ("open", "high", "low")},
            "Vol.": [f"{v:.2f}{'KM'[i % 2]}" for i, v in enumerate(DAYS["volume"])],
            "Change %": "0.1%",
        }
    )[::-1]
    volume = [float(f"{v:.2f}") * (1e6 if i % 2 else 1e3) for i, v in enumerate(DAYS["volume"])]
    path = text_file(tmp_path, investing.to_csv(index=False, quoting=1), encoding="utf-8-sig")
    report = read_file(path)
    assert_holds(report, days.assign(volume=volume), "K, M or B after Vol. are powers of ten")


def test_dukascopy_and_a_german_spreadsheet(tmp_path):
    stamps = BARS.index.tz_convert("Europe/Berlin").strftime("%d.%m.%Y %H:%M:%S.000 GMT%z")
    path = text_file(tmp_path, BARS.set_axis(stamps, axis=0).to_csv(index_label="Local time"))
    day_first = "dates are day first, as '13.01.2022 00:00"
    assert_holds(read_file(path), BARS, day_first, "(+01:00) converted to UTC")
    stamps = BARS.index.strftime("%d.%m.%Y %H:%M")
    text = BARS.set_axis(stamps, axis=0).to_csv(index_label="Date", sep=";", decimal=",")
    path = text_file(tmp_path, "sep=;\n" + text)
    oracle = pd.read_csv(path, sep=";", decimal=",", skiprows=1, index_col=0)
    oracle.index = pd.to_datetime(oracle.index, format="%d.%m.%Y %H:%M", utc=True)
    said = (day_first, "columns separated by semicolons", "decimal commas")
    assert_holds(read_file(path), oracle, *said)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks(tmp_path, encoding):
    text = BARS.to_csv(index_label="Datetime", sep="\t")
    assert_holds(read_file(text_file(tmp_path, text, name="a.tsv", encoding=encoding)), BARS)


@pytest.mark.parametrize(
    "names",
    [
        "unix,O,H,L,C,V",
        "Open time,Open,High,Low,Close,Volume",
        "Unix Timestamp,1. open,2. high,3. low,4. close,5. volume",
        "window_start,open_price,high_price,low_price,close_price,base_volume",
        "ts,o,h,l,c,vol",
        "Timestamp,Open,High,Low,Close,Volume_(BTC)",
        "time,priceOpen,priceHigh,priceLow,priceClose,volumefrom",
        " ,open,high,low,close,volume",
        "Date (UTC),OPEN,HIGH,LOW,CLOSE,Volume USDT",
    ],
)
def test_names_of_the_field(tmp_path, names):
    lines = BARS.set_axis(MILLIS, axis=0).to_csv(header=False)
    assert_holds(read_file(text_file(tmp_path, f"# made here\n\n{names}\n{lines}")), BARS)


def test_freqtrade_and_vectorbt_frames(tmp_path):
    BARS.reset_index(names="date").to_feather(tmp_path / "BTC_USDT-1h.feather")
    report = read_file(tmp_path / "BTC_USDT-1h.feather")
    assert report.bars.symbols == ("BTC_USDT-1h",)
    assert_holds(report, BARS, "times from the column date")
    capitals(BARS).rename_axis("Date").to_parquet(tmp_path / "a.parquet")
    assert_holds(read_file(tmp_path / "a.parquet"), BARS)


@pytest.mark.parametrize("swapped", [False, True])
def test_columns_of_two_levels(tmp_path, swapped):
    def written(frames):
        table = pd.concat(frames, axis=1).rename_axis("Date")
        path = tmp_path / "two.parquet"
        (table.swaplevel(axis=1) if swapped else table).to_parquet(path)
        return path

    report = read_file(written({"SPY": BARS}))
    assert report.bars.symbols == ("SPY",)
    assert_holds(report, BARS)
    level = 1 if swapped else 0
    with pytest.raises(
        ValueError, match=rf"2 symbols .*SPY, QQQ\); .*'SPY', axis=1, level={level}"
    ):
        read_file(written({"SPY": BARS, "QQQ": BARS}))
    with pytest.raises(ValueError, match=r"levels that no prices are found in, such as \("):
        read_file(written({"SPY": BARS.add_prefix("x")}))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_one_long_file_is_a_panel(tmp_path, suffix):
    table = pd.concat({"ETH": BARS[100:] * 2, "BTC": BARS}, names=["symbol", "timestamp"])
    path = tmp_path / f"long{suffix}"
    table.to_csv(path) if suffix == ".csv" else table.to_parquet(path)
    bars = read_file(path).bars
    assert bars.symbols == ("ETH", "BTC")
    np.testing.assert_array_equal(bars.close[:, 1], BARS["close"])
    np.testing.assert_array_equal(bars.close[100:, 0], BARS["close"][100:] * 2)
    assert np.isnan(bars.close[:100, 0]).all()
    with pytest.raises(ValueError, match="holds 2 symbols, they cannot all be 'X'"):
        read_file(path, symbol="X")


def test_funding_rates_come_along(tmp_path):
    rates = np.where(np.arange(HOURS) % 8 == 0, 1e-4, np.nan)
    path = text_file(tmp_path, BARS.assign(fundingRate=rates).to_csv(index_label="time"))
    np.testing.assert_array_equal(read_file(path).bars.funding[:, 0], rates)


def test_no_volume_and_a_volume_of_zeros_are_the_same(tmp_path):
    path = text_file(tmp_path, PRICES.to_csv(index_label="time"))
    report = read_file(path)
    assert not report.bars.has_volume.any()
    assert np.isnan(report.bars.volume).all()
    assert "no volume: features made of it are left out" in report.reading
    path = text_file(tmp_path, PRICES.assign(Volume=0).to_csv(index_label="time"))
    report = read_file(path)
    assert not report.bars.has_volume.any()
    assert "500 volumes are all 0, which is taken as no volume" in told(report)
