"""Which column of a file is what, read off the names that exchanges, vendors and terminals use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.market.vendors import Vendor, vendor_of, vendor_of_row

TIME = "timestamp"
NEEDED = f"columns {TIME}, {', '.join(FIELDS)}"
PRICES = FIELDS[:4]

_NAMES: dict[str, tuple[str, ...]] = {
    "open": (
        "open", "o", "openprice", "priceopen", "opening", "openingprice",
        "eröffnung", "erster", "ouverture", "ouv", "apertura", "abertura",
        "откр", "otwarcie", "açılış", "開盤", "开盘", "始値", "시가",
    ),
    "high": (
        "high", "h", "highprice", "pricehigh", "highest",
        "hoch", "plushaut", "haut", "máximo", "maximo", "massimo", "máxima", "maxima", "max",
        "макс", "najwyższy", "yüksek", "最高", "高値", "고가",
    ),
    "low": (
        "low", "l", "lowprice", "pricelow", "lowest",
        "tief", "plusbas", "bas", "mínimo", "minimo", "mínima", "minima", "min",
        "мин", "najniższy", "düşük", "最低", "安値", "저가",
    ),
    "close": (
        "close", "c", "closeprice", "priceclose", "closelast", "last", "price",
        "schluss", "schlusskurs", "zuletzt", "clôture", "cloture", "clot", "dernier", "cierre",
        "último", "ultimo", "chiusura", "fechamento", "цена", "zamknięcie", "ostatnio", "şimdi",
        "收盘", "收盤", "終値", "종가", "latest",
    ),
}  # fmt: skip
"""Letters and digits of a lower-case name, the preferred one first."""

_TIMES = (
    "timestamp", "opentime", "opentimestamp", "unix", "unixtimestamp", "epoch", "ts", "tsevent",
    "windowstart", "starttime", "timeperiodstart", "candlebegintime", "begin", "start", "datetime",
    "time", "date", "timeutc", "dateutc", "datetimeutc", "timestamputc", "gmttime", "utctime",
    "localtime", "t", "dt", "dtyyyymmdd", "bartime", "openat", "mts", "datum", "zeit", "fecha",
    "data", "timeopen", "дата", "tarih", "日期", "时间", "日付け", "날짜",
)  # fmt: skip
_OPEN_TIMES = (
    "opentime", "opentimestamp", "windowstart", "starttime", "timeperiodstart", "candlebegintime",
    "begin", "start", "openat", "timeopen",
)  # fmt: skip
"""Names that say that the bar opens then."""
_CLOSE_TIMES = ("closetime", "closetimestamp", "endtime", "timeclose", "timeperiodend", "closeat")
_DATES = ("date", "dtyyyymmdd", "datum", "fecha", "data", "tradedate")
_CLOCKS = ("time", "zeit", "uhrzeit", "heure", "hora", "ora")
_FUNDING = ("funding", "fundingrate")
_SYMBOLS = ("symbol", "ticker", "pair", "instrument", "tic", "market", "coin")
_VOLUMES = (
    "volume", "vol", "v", "basevolume", "volumebase", "baseassetvolume", "volumefrom", "realvolume",
    "stuecke", "stücke", "volumen", "объём", "wol", "hac", "成交量", "出来高", "거래량",
)  # fmt: skip
_TICKS = ("tickvolume", "tickvol")
_QUOTE_VOLUMES = (
    "quotevolume", "volumequote", "quoteassetvolume", "quotecurrencyvolume", "turnover",
    "volumeto", "volccyquote", "volccy",
)  # fmt: skip
_AMOUNTS = ("amount", "money", "value", "成交额", "size", "qty", "quantity", "coins")
"""Coins or money: what they are, the prices prove."""
_QUOTE_MONEY = frozenset(
    (
        "usd", "usdt", "usdc", "busd", "tusd", "fdusd", "ust", "dai", "eur", "gbp", "jpy", "chf",
        "aud", "cad", "krw", "try", "brl", "rub", "inr", "currency",
    )
)  # fmt: skip
_VOLUME_IN = re.compile(r"^vol(?:ume)?[ _.\-(\[]+([a-z][a-z0-9]{1,9})[)\]]?$")
_NO_MONEY = frozenset(
    ("ma", "sma", "ema", "avg", "average", "osc", "oscillator", "profile", "delta", "color")
)

_BINANCE = (
    "open_time", *FIELDS, "close_time", "quote_volume", "count", "taker_buy_volume",
    "taker_buy_quote_volume", "ignore",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Numbers of the columns that hold the bars; `names` are the file's own."""

    names: tuple[str, ...]
    times: tuple[int, ...]
    """What may be the open time, the preferred one first."""
    date: int | None
    clock: int | None
    """Columns that may hold the date and the time of day, each alone."""
    prices: tuple[int, int, int, int]
    """Open, high, low, close."""
    volume: int | None
    ticks: int | None
    """Number of trades or ticks, a stand-in for a volume that is zero throughout."""
    quote_volume: int | None
    """Volume in the money that prices are written in."""
    funding: int | None
    symbol: int | None
    amount: int | None
    """What may be coins where the volume is money, or the other way round."""
    parts: tuple[int, ...]
    """Columns that add up to the volume."""
    confirm: int | None
    """Whether a bar is over: 1, or 0 of one that is forming still."""
    vendor: Vendor | None

    @property
    def numbers(self) -> tuple[int, ...]:
        """The columns of them that hold prices, volumes and rates."""
        optional = (
            self.volume, self.ticks, self.quote_volume, self.funding, self.amount, self.confirm,
        )  # fmt: skip
        here = {*self.prices, *self.parts, *(i for i in optional if i is not None)}
        return tuple(sorted(here - {*self.times, self.date, self.clock, self.symbol}))

    @property
    def wanted(self) -> tuple[int, ...]:
        """All columns that are read."""
        optional = (
            self.date, self.clock, self.volume, self.ticks, self.quote_volume, self.funding,
            self.symbol, self.amount, self.confirm,
        )  # fmt: skip
        here = {*self.times, *self.prices, *self.parts, *(i for i in optional if i is not None)}
        return tuple(sorted(here))


def plain_name(name: str) -> str:
    """Letters and digits of a name, lower-case: `<OPEN>`, "1. open" and " Open " are all open."""
    text = re.sub(r"^\s*\d+[.)]\s*", "", name.strip().lower())
    return "".join(letter for letter in text if letter.isalnum())


def is_time_name(name: str) -> bool:
    """Whether a column of this name may hold the open time."""
    return plain_name(name) in _TIMES


def count_known(names: Sequence[str]) -> int:
    """How many of the four prices these names hold: 4 means that they are a header."""
    plain = {plain_name(name) for name in names}
    return sum(not plain.isdisjoint(known) for known in _NAMES.values())


def headerless_names(cells: Sequence[str]) -> tuple[str, ...] | None:
    """Names for the columns of a first row that is data, where the layout is a known one.

    Known are Binance's archive (12 columns), Kraken's (7), MetaTrader 4's (date, clock, OHLCV) and
    the plain order time, open, high, low, close[, volume].
    """
    cells = [cell.strip() for cell in cells]
    if len(cells) < 5 or not re.match(r"^\d", cells[0]) or not _are_numbers(cells[-3:]):
        return None
    if len(cells) == 12 and _are_numbers(cells):
        return _BINANCE
    if vendor := vendor_of_row(cells):
        return vendor.names[: len(cells)]
    if len(cells) in (6, 7) and re.match(r"^\d{1,2}:\d{2}", cells[1]):
        return ("date", "time", *FIELDS)[: len(cells)]
    if len(cells) in (5, 6, 7) and _are_numbers(cells[1:]):
        return (TIME, *FIELDS, "count")[: len(cells)]
    return None


def _are_numbers(cells: Sequence[str]) -> bool:
    return all(re.match(r"^-?\d+(?:[.,]\d*)?(?:[eE][+-]?\d+)?$", cell) for cell in cells)


def says_open(name: str) -> bool:
    """Whether the name of a column says that its times are when bars open."""
    return plain_name(name) in _OPEN_TIMES


def says_close(name: str) -> bool:
    """Whether it says that they are when bars close."""
    return plain_name(name) in _CLOSE_TIMES


def says_utc(name: str) -> bool:
    """Whether the name of a column says that its times are in UTC: "Gmt time", "date_utc"."""
    return bool(re.search(r"utc|gmt", name.lower()))


def find_columns(names: Sequence[str], vendor: Vendor | None = None) -> Layout:
    """The layout that a header tells of; `vendor` is whose file it is, where a row has told.

    Raises `ValueError` naming the columns that are missing or twice there.
    """
    plain = [plain_name(name) for name in names]
    vendor = vendor or vendor_of(names, plain)
    if vendor is not None:
        plain = _in_their_roles(vendor, names, plain)
    prices = {field: _first_of(plain, known, field) for field, known in _NAMES.items()}
    times = [plain.index(name) for name in _TIMES if name in plain]
    closing = any(name in plain for name in _CLOSE_TIMES)
    if not (times or closing) and plain and (not plain[0] or plain[0] in ("index", "unnamed0")):
        times = [0]  # a frame's index, written without a name
    absent = [field for field, place in prices.items() if place is None]
    if not times:
        times = [plain.index(name) for name in _CLOSE_TIMES if name in plain]
    if absent or not times:
        absent = [*([] if times else [TIME]), *absent]
        shown = ", ".join(names) if len(names) <= 20 else f"{', '.join(names[:20])}, ..."
        raise InputError(f"column(s) {', '.join(absent)} not found among {shown}; needed: {NEEDED}")
    for place in times:
        if plain.count(plain[place]) > 1:
            raise InputError(f"column {names[place]} is there twice; keep the right one")
    dated = next((i for i in times if plain[i] in _DATES), None)
    clock = next((i for i, name in enumerate(plain) if name in _CLOCKS), None)
    volume, quote = _volumes(names, plain)
    found = [place for place in prices.values() if place is not None]
    return Layout(
        names=tuple(name.strip() for name in names),
        times=tuple(times),
        date=dated,
        clock=clock,
        prices=(found[0], found[1], found[2], found[3]),
        volume=volume,
        ticks=_first_of(plain, _TICKS, "tick volume"),
        quote_volume=quote,
        funding=_first_of(plain, _FUNDING, "funding"),
        symbol=_first_of(plain, _SYMBOLS, "symbol"),
        amount=_first_of(plain, _AMOUNTS, "amount") if volume is not None else None,
        parts=tuple(plain.index(name) for name in vendor.volumes) if vendor else (),
        confirm=_first_of(plain, ("confirm",), "confirm") if vendor and vendor.forming else None,
        vendor=vendor,
    )


def _in_their_roles(vendor: Vendor, names: Sequence[str], plain: Sequence[str]) -> list[str]:
    """The plain names, where a vendor's column means something else than its name says.

    Studies repeat the names of a Sierra Chart's own columns, which come first.
    """
    roles = vendor.roles
    out = [
        roles.get(name.strip(), roles.get(key, key)) for name, key in zip(names, plain, strict=True)
    ]
    if vendor.name == "Sierra Chart":
        out = [key if key not in out[:i] else "-" for i, key in enumerate(out)]
    return out


def _first_of(plain: Sequence[str], known: Sequence[str], field: str) -> int | None:
    """Place of the most preferred known name."""
    for name in known:
        if plain.count(name) > 1:
            raise InputError(
                f"column {field} is there twice; keep the right one (of several symbols side by "
                "side: write one file a symbol)"
            )
        if name in plain:
            return plain.index(name)
    return None


def _volumes(names: Sequence[str], plain: Sequence[str]) -> tuple[int | None, int | None]:
    """Columns of the volume and, where there is one too, of the quote volume."""
    base, quote = _first_of(plain, _VOLUMES, "volume"), _first_of(plain, _QUOTE_VOLUMES, "turnover")
    units = {
        i: m[1] for i, name in enumerate(names) if (m := _VOLUME_IN.match(name.strip().lower()))
    }
    in_quote = [i for i, unit in units.items() if unit in _QUOTE_MONEY]
    in_base = [i for i, unit in units.items() if unit not in _QUOTE_MONEY | _NO_MONEY]
    if base is None and in_base:  # "Volume ETH" beside "Volume BTC": the base comes first
        base, *in_quote = [*in_base, *in_quote]
    if quote is None and in_quote:
        quote = in_quote[0]
    if base is None:
        return quote, None
    return base, quote
