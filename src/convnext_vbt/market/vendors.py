"""Whose file it is, told by its columns: what its stamps, clock, prices and volumes mean.

One row a form. `docs/formats.md` has the same table in words, with versions and sources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from convnext_vbt.market.clock import BROKER, Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A form that is known by its columns, or by its first row where it has no header."""

    name: str
    has: str = ""
    """Columns that must all be there, by their letters and digits, lower-case."""
    lacks: str = ""
    """Columns of which none may be there."""
    first: str = ""
    """Pattern of the first row, its cells joined by a blank, where there is no header."""
    names: tuple[str, ...] = ()
    """The columns of a file without a header."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Columns that mean something else here than elsewhere, and what: a name of `columns`."""
    timezone: str | None = None
    """The clock of times without an offset."""
    certain: bool = False
    """Whether that is every such file's; else it is asked for."""
    epochs_local: bool = False
    """Whether even its epochs count on that clock."""
    stamp: Stamp | None = None
    other: tuple[str, str, Stamp] | None = None
    """Who else writes the very same form, on another clock or stamp."""
    price_unit: float = 1.0
    """What a whole-number price counts."""
    volume_unit: float = 1.0
    volumes: tuple[str, ...] = ()
    """Columns that add up to the volume."""
    money: Literal["", "US dollars"] = ""
    """What the column called volume is in, where it is no number of coins or shares."""
    forming: bool = False
    """Whether a column confirm says which bars are over."""
    suspect: str = ""
    """What may be wrong, said when the times are refused."""


_SERVER = "the clock of the broker's server, mostly two hours ahead of UTC, three in summer"
_EXCHANGE = "the exchange's clock"
_PRICES = ("open", "high", "low", "close", "volume")

VENDORS = (
    Vendor(
        name="Hyperliquid", has="t T s i o c h l v", roles={"T": "closetime", "s": "symbol"},
        timezone="UTC", certain=True, stamp="open",
    ),
    Vendor(
        name="CoinMarketCap", has="timeopen timeclose timehigh timelow",
        roles={"timeopen": "timestamp", "timestamp": "closetime", "name": "-"},
        timezone="UTC", certain=True, stamp="open", money="US dollars",
    ),
    Vendor(
        name="Databento", has="tsevent rtype publisherid", timezone="UTC", certain=True,
        stamp="open", price_unit=1e-9,
    ),
    Vendor(
        name="Nautilus", has="tsevent tsinit", timezone="UTC", certain=True,
        roles={"tsinit": "-"}, stamp="close",
    ),
    Vendor(
        name="HTX", has="id amount vol count open", roles={"id": "timestamp"}, stamp="open",
    ),
    Vendor(
        name="OKX", has="vol volccy", timezone="UTC", certain=True,
        roles={"instrumentname": "symbol"}, stamp="open", forming=True,
    ),
    Vendor(
        name="MetaTrader 5", has="date time tickvol", timezone=BROKER, stamp="open",
        suspect=_SERVER,
    ),
    Vendor(
        name="MetaTrader 5", has="time tickvolume realvolume", timezone=BROKER, epochs_local=True,
        stamp="open", suspect=_SERVER,
    ),
    Vendor(
        name="TradeStation", has="date time open up down", timezone="America/New_York",
        stamp="close", volumes=("up", "down"), suspect=_EXCHANGE,
    ),
    Vendor(
        name="TradeStation", has="date time open vol oi", timezone="America/New_York",
        stamp="close", suspect=_EXCHANGE,
    ),
    Vendor(
        name="Stooq", has="per date time openint", timezone="Europe/Warsaw", certain=True,
        stamp="close",
    ),
    Vendor(
        name="Finam", has="per date time vol", lacks="openint tickvol", timezone="Europe/Moscow",
        stamp="open", suspect="Moscow's clock, unless it was exported otherwise",
    ),
    Vendor(
        name="MOEX", has="begin end value open", timezone="Europe/Moscow", certain=True,
        stamp="open",
    ),
    Vendor(
        name="Barchart", has="time open latest", timezone="America/Chicago", certain=True,
        stamp="open",
    ),
    Vendor(
        name="Barchart", has="time open last change chg", timezone="America/Chicago", certain=True,
        stamp="open",
    ),
    Vendor(
        name="Sierra Chart", has="date time open high low last volume bidvolume askvolume",
        stamp="open",
    ),
    Vendor(
        name="Tushare", has="tscode tradedate", lacks="tradetime",
        roles={"tradedate": "date", "tscode": "symbol"}, volume_unit=100.0,
    ),
    Vendor(
        name="Tushare", has="tscode tradetime",
        roles={"tradetime": "datetime", "tradedate": "-", "tscode": "symbol"},
        timezone="Asia/Shanghai", certain=True, stamp="close",
    ),
    Vendor(
        name="RiceQuant", has="orderbookid totalturnover", timezone="Asia/Shanghai", certain=True,
        roles={"orderbookid": "symbol"}, stamp="close",
    ),
    Vendor(
        name="JoinQuant", has="open close high low volume money", timezone="Asia/Shanghai",
        stamp="close", suspect="Shanghai's clock",
    ),
    Vendor(
        name="vn.py", has="symbol exchange datetime openinterest", timezone="Asia/Shanghai",
        stamp="open", suspect=_EXCHANGE,
    ),
    Vendor(
        name="AKShare", has="日期 股票代码", roles={"股票代码": "symbol"}, volume_unit=100.0,
    ),
    Vendor(
        name="LEAN", first=r"^\d{8} \d{2}:\d{2}(?: \d{2,}){4} \d+$",
        names=("timestamp", *_PRICES), timezone="America/New_York", stamp="open",
        price_unit=1e-4, suspect=_EXCHANGE,
    ),
    Vendor(
        name="NinjaTrader", first=r"^\d{8} \d{6}(?: \S+){4,5}$", names=("timestamp", *_PRICES),
        timezone="UTC", stamp="close", other=("HistData", "-05:00", "open"),
        suspect="UTC and the close, or five hours behind UTC and the open",
    ),
    Vendor(
        name="Bybit", first=r"^\d{4}\.\d{2}\.\d{2} \d{2}:\d{2}(?: \S+){4,5}$",
        names=("timestamp", *_PRICES), timezone="+03:00", stamp="open",
        suspect="UTC+3, or the clock of the broker's server",
    ),
    Vendor(
        name="MetaTrader 4", first=r"^\d{4}\.\d{2}\.\d{2}\|\d{2}:\d{2}(?: \S+){4,5}$",
        names=("date", "time", *_PRICES), timezone=BROKER, stamp="open",
        other=("HistData", "-05:00", "open"), suspect=_SERVER,
    ),
    Vendor(
        name="Kibot", first=r"^\d{2}/\d{2}/\d{4}\|\d{2}:\d{2}(?: \S+){4,5}$",
        names=("date", "time", *_PRICES), timezone="America/New_York", stamp="open",
        suspect=_EXCHANGE,
    ),
)  # fmt: skip


def vendor_of(names: Sequence[str], plain: Sequence[str]) -> Vendor | None:
    """The vendor that these columns tell of; `plain` are their letters and digits."""
    here = {*plain, *(name.strip() for name in names)}
    for vendor in VENDORS:
        has, lacks = set(vendor.has.split()), set(vendor.lacks.split())
        if has and has <= here and not lacks & here:
            return vendor
    return None


def vendor_of_row(cells: Sequence[str]) -> Vendor | None:
    """The vendor that a first row of data tells of; date and clock apart are joined by a bar."""
    apart = len(cells) > 1 and re.match(r"^\d{1,2}:\d{2}", cells[1])
    text = f"{cells[0]}|{' '.join(cells[1:])}" if apart else " ".join(cells)
    return next((v for v in VENDORS if v.first and re.match(v.first, text)), None)
