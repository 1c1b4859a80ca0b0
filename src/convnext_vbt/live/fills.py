"""Fills that really happened: read from a file, and the account that they make.

A file is a CSV with the columns time, symbol, side, units, price, fee (and id, if there is one), or
what `fetch_my_trades` of ccxt returns, as JSON or CSV. A time without an offset is UTC, a number
is Unix milliseconds, as ccxt's are. Dimensions: N symbols.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd

from convnext_vbt.errors import DataError
from convnext_vbt.live.account import Account, Holding
from convnext_vbt.live.clock import when
from convnext_vbt.market.bars import Bars
from convnext_vbt.trading.instruments import Instrument, instrument_of

COLUMNS = ("time", "symbol", "side", "units", "price", "fee")
_CCXT = {"amount": "units", "datetime": "time"}
_SIDES = {"buy": 1, "sell": -1}
EARLIEST = 1990
"""No fill that is told of is of a year before; seconds taken for milliseconds are of 1970."""
MONEY = {"deposit": 1, "withdrawal": -1}
"""Sides of rows that are no fills: see `live.transfers`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One fill."""

    key: str
    """The exchange's own id with the symbol, else all that is known of it: booked once."""
    time: pd.Timestamp
    symbol: str
    side: str
    """"Buy" or "Sell"."""
    units: float
    price: float
    fee: float
    """In the account's currency: the quote, of an inverse contract the underlying."""
    fee_units: float = 0.0
    """What was paid of the units themselves, as exchanges do of a purchase."""

    @property
    def change(self) -> float:
        """Of the position, signed."""
        return _SIDES[self.side.lower()] * self.units - self.fee_units

    def cash(self, *, inverse: bool = False) -> float:
        """Of the cash, signed, the fee in it."""
        bought = _SIDES[self.side.lower()] * self.units
        return float(-worth_of(bought, self.price, inverse=inverse) - self.fee)


def worth_of(units: float, price: Any, *, inverse: bool) -> Any:
    """What a position adds to its cash, in the account's money; `price` is a number or an array.

    An inverse contract is worth 1 of the quote currency and settled in the underlying: who buys
    one owes 1 / price, so that from E to P its gain is 1 / E - 1 / P.
    """
    return -units / price if inverse else units * price


def inverse_of(symbols: Sequence[str], instruments: Mapping[str, Instrument]) -> frozenset[str]:
    """Those of the symbols whose contract is inverse."""
    return frozenset(name for name in symbols if instrument_of(instruments, name).inverse)


def read_fills(
    path: Path,
    symbols: Sequence[str],
    now: pd.Timestamp,
    *,
    inverse: Set[str] = frozenset(),
) -> list[Fill]:
    """The fills of a file, in time; fees of `inverse` symbols are in the underlying.

    Raises `DataError` for what cannot be one, by its number.
    """
    rows = [
        (number, record)
        for number, record in enumerate(read_records(path), start=1)
        if side_of(record) not in MONEY
    ]
    found = made_of(path, rows, lambda record: _fill(record, symbols, now, inverse))
    return sorted(found, key=lambda fill: (fill.time, fill.key))


class Keyed(Protocol):
    """What is booked once."""

    @property
    def key(self) -> str:
        """What tells it from all others."""


Told = TypeVar("Told", bound=Keyed)


def made_of(
    path: Path,
    rows: Iterable[tuple[int, Mapping[str, Any]]],
    make: Callable[[Mapping[str, Any]], Told],
) -> list[Told]:
    """What `make` reads in these numbered rows; one that is told of twice by its id is one.

    Raises `DataError` by the row's number for what cannot be read, and for two rows that are alike
    in all and have no id, which may be two partial fills or one that was copied.
    """
    found: dict[str, tuple[int, Told]] = {}
    for number, record in rows:
        try:
            one = make(record)
        except (KeyError, TypeError, ValueError, SyntaxError) as error:
            said = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{path}, fill {number}: {said}") from error
        before, same = found.setdefault(one.key, (number, one))
        if before == number:
            continue
        if not record.get("id"):
            raise DataError(
                f"{path}, fills {before} and {number} are alike in all: give each an id, or leave "
                "out the copy"
            )
        if one != same:
            raise DataError(
                f"{path}, fills {before} and {number} have the id {record['id']} and differ; an id "
                "is of one fill"
            )
    return [one for _, one in found.values()]


def real_account(
    fills: Sequence[Fill],
    bars: Bars,
    *,
    equity: float,
    stops: Mapping[str, Holding],
    moved: float = 0.0,
    inverse: Set[str] = frozenset(),
) -> Account:
    """The account that began with `equity` and made these fills, at the close of the last bar.

    Later fills are not known yet; `moved` is the money that came since, negative where it went.
    `stops` are positions whose stops are taken where the side is the same; `inverse` are symbols.
    Raises `DataError` where it is ruined.
    """
    known = bars.index[-1] + bars.step
    units = dict.fromkeys(bars.symbols, 0.0)
    entered: dict[str, pd.Timestamp] = {}
    cash = equity + moved
    for fill in fills:
        if fill.time > known:
            continue
        before, after = units[fill.symbol], _rounded(units[fill.symbol] + fill.change, fill.units)
        if before * after <= 0:
            entered[fill.symbol] = fill.time
        units[fill.symbol] = after
        cash += fill.cash(inverse=fill.symbol in inverse)
    held = {
        name: Holding(units=size, entered=entered[name], stop=_stop(size, stops.get(name)))
        for name, size in units.items()
        if size
    }
    left = cash + sum(
        worth_of(units[name], _last_close(bars, name), inverse=name in inverse) for name in held
    )
    if not left > 0:
        raise DataError(
            f"the real account is ruined at {when(known)}: by the fills that were told of its "
            f"equity is {left:,.8g}; look for a fill in other units, or another --equity"
        )
    return Account(equity=left, held=held)


def _rounded(units: float, of: float) -> float:
    """Nothing, where sums of decimals leave next to nothing."""
    return 0.0 if abs(units) < 1e-9 * of else units


def _stop(units: float, shadow: Holding | None) -> float | None:
    return shadow.stop if shadow is not None and shadow.units * units > 0 else None


def _last_close(bars: Bars, symbol: str) -> float:
    closes = bars.close[:, bars.symbols.index(symbol)]
    return float(closes[np.flatnonzero(~np.isnan(closes))[-1]])


def side_of(record: Mapping[str, Any]) -> str:
    """What a row says it is, in lower case."""
    return str(record.get("side", "")).strip().lower()


def read_records(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV, or the objects of a JSON list, by our own names."""
    if not path.is_file():
        raise DataError(f"{path} is not there; give --fills a CSV or JSON file of fills")
    try:
        text = path.read_text(encoding="utf-8-sig")
        if text.lstrip().startswith("["):
            records = json.loads(text)
            if not all(isinstance(one, dict) for one in records):
                raise DataError(f"{path}: a list of objects is needed, as fetch_my_trades gives it")
            return [
                {_CCXT.get(name, name): value for name, value in one.items()} for one in records
            ]
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, pd.errors.ParserError) as error:
        raise DataError(f"{path} cannot be read as CSV or JSON ({error})") from error
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{path} is empty; its first line names {', '.join(COLUMNS)}") from error
    table.columns = [_CCXT.get(str(name).strip().lower(), str(name).strip().lower())
                     for name in table.columns]  # fmt: skip
    if "time" not in table and "timestamp" in table:
        table = table.rename(columns={"timestamp": "time"})
    missing = [name for name in COLUMNS if name not in table and name != "fee"]
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(missing)}; a file of fills has "
            f"{', '.join(COLUMNS)}, or is ccxt's own list"
        )
    names = [str(name) for name in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.itertuples(index=False)]


def _fill(
    said: Mapping[str, Any], symbols: Sequence[str], now: pd.Timestamp, inverse: Set[str]
) -> Fill:
    symbol, side = str(said["symbol"]), side_of(said)
    if symbol not in symbols:
        raise DataError(f"symbol {symbol} is not traded by the run ({', '.join(symbols)})")
    if side not in _SIDES:
        raise DataError(f"side is {side!r}; write buy or sell, or deposit or withdrawal")
    time = read_time(said.get("time") or said["timestamp"])
    if time > now:
        raise DataError(f"its time {when(time)} lies after {when(now)}; times are taken as UTC")
    units, price = (positive(name, said[name]) for name in ("units", "price"))
    fee, fee_units = fee_of(said.get("fee", 0.0), symbol, inverse=symbol in inverse)
    parts = (time.isoformat(), symbol, side, repr(units), repr(price))
    own = str(said.get("id") or "")
    return Fill(
        key=f"{symbol} {own}" if own else " ".join(parts), time=time, symbol=symbol,
        side=side.capitalize(), units=units, price=price, fee=fee, fee_units=fee_units,
    )  # fmt: skip


def read_time(value: Any) -> pd.Timestamp:
    """A time in ISO 8601, UTC unless it says otherwise; a number is Unix milliseconds.

    Raises `DataError` for another form: 03/02 is a day in February here and in March there.
    """
    text = str(value).strip()
    if text.replace(".", "", 1).isdigit():
        time = pd.to_datetime(float(text), unit="ms", utc=True, errors="coerce")
    else:
        time = pd.to_datetime(text, utc=True, errors="coerce", format="ISO8601")
    if not isinstance(time, pd.Timestamp):
        raise DataError(f"time {text!r} is not one such as 2025-01-31T12:00:05Z")
    if time.year < EARLIEST:
        raise DataError(
            f"time {text} would be {when(time)}; a number counts milliseconds since 1970, "
            "multiply seconds by 1000"
        )
    return time.as_unit("ns")


def positive(name: str, value: Any) -> float:
    """A number above 0. Raises `ValueError` for anything else."""
    number = float(value)
    if not (number > 0 and math.isfinite(number)):
        raise DataError(f"{name} must be positive, got {value}")
    return number


def fee_of(value: Any, symbol: str, *, inverse: bool = False) -> tuple[float, float]:
    """In the account's currency, and in the units themselves, as a coin's fee is."""
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("{"):
            value = ast.literal_eval(text.replace("null", "None"))
        else:
            value = float(text or 0.0)
    if value is None:
        return 0.0, 0.0
    if not isinstance(value, Mapping):
        return _finite(float(value)), 0.0
    cost, currency = _finite(float(value.get("cost") or 0.0)), str(value.get("currency") or "")
    base, _, quote = symbol.partition(":")[0].partition("/")
    money = base if inverse else quote
    if not cost or not currency or currency == money or not quote:
        return cost, 0.0
    if currency == base:
        return 0.0, cost
    raise DataError(f"its fee is in {currency}; give its worth in {money}")


def _finite(fee: float) -> float:
    if not math.isfinite(fee):
        raise DataError(f"fee must be a number, got {fee}")
    return fee
