"""Exchanges of every habit, behind ccxt's `fetch_ohlcv`: what ccxt hands on from real ones.

Binance sends the first 1,000 bars after a time. Coinbase, OKX and KuCoin are asked for a window of
as many bars as are wanted; OKX sends the newest of it. Kraken sends its newest 720, whatever is
asked. Idle bars are left out, or come without prices.
"""

import random
from dataclasses import dataclass, field

import ccxt
import pandas as pd

from tests.market.loopback import HOUR, candles, make_bars

START = int(pd.Timestamp("2010-06-01T05:00", tz="UTC").timestamp()) * 1000
HOURS = {"1h": 1, "1d": 24, "1w": 168}


@dataclass(kw_only=True)
class Habits:
    """How an exchange answers."""

    cap: int = 20
    """Rows of an answer at most."""
    named: int | None = 20
    """The limit that ccxt knows of."""
    windowed: bool = False
    """Whether only [since, since + limit bars) is looked at."""
    newest: bool = False
    """Whether an answer is cut to the newest rows."""
    takes_until: bool = False
    excludes_since: bool = False
    keeps: int | None = None
    """Bars back from now that the exchange has."""
    sends_forming: bool = True
    nulls: str = "left out"
    """What becomes of idle bars: "left out", "none" or "zero"."""
    overlap: int = 0
    """Hours before the time asked for that are sent too."""
    is_unsorted: bool = False
    longer: str = "true"
    """Candles of other timeframes: "true", "ignored", "refused" or "idle too" (flat ones too)."""
    faults: list = field(default_factory=list)
    """For the next requests: an error or None."""


class Habitual(ccxt.binance):
    """Only what the downloader asks of ccxt is replaced."""

    def __init__(self, habits, is_there, *, now=None):
        super().__init__({"rateLimit": 1})
        self.habits = habits
        rows = list(make_bars(len(is_there) + 1, start=START).values())
        self.all = [(row, here) for row, here in zip(rows, [*is_there, True], strict=True)]
        self.clock = START + (len(is_there) if now is None else now) * HOUR + HOUR // 3
        self.asked = []

    def load_markets(self, *_, **__):
        self.markets = {
            "BTC/USDT": {"symbol": "BTC/USDT", "id": "BTCUSDT", "spot": True, "type": "spot"}
        }
        return self.markets

    def feature_value(self, *_, **__):
        return self.habits.named

    def fetch_time(self, *_, **__):
        return self.clock

    def begun(self):
        """All rows that have begun, idle ones without prices, that are still kept."""
        oldest = 0 if self.habits.keeps is None else self.clock - self.habits.keeps * HOUR
        return [(row, here) for row, here in self.all if oldest < row[0] <= self.clock]

    def finished(self):
        """What should be stored."""
        return [row for row, here in self.begun() if here and row[0] + HOUR <= self.clock]

    def fetch_ohlcv(self, symbol, timeframe="1h", since=None, limit=None, params=None):
        habits, until = self.habits, (params or {}).get("until")
        self.asked.append((timeframe, since))
        fault = habits.faults.pop(0) if habits.faults else None
        if isinstance(fault, ccxt.BaseError):
            raise fault
        self.last_http_response = "[]"
        hours = HOURS[timeframe]
        if habits.longer == "refused" and hours > 1:
            raise ccxt.BadRequest(f"no {timeframe}")
        hours = 1 if habits.longer == "ignored" else hours
        rows = self.rows(hours)
        first = 1 if habits.excludes_since else 0
        early = since - habits.overlap * hours * HOUR
        before = [row for row in rows if early <= row[0] < since + first]
        rows = [row for row in rows if row[0] >= since + first]
        if habits.windowed:
            end = since + (limit or habits.cap) * hours * HOUR
            rows = [row for row in rows if row[0] < end]
        if habits.takes_until and until is not None:
            rows = [row for row in rows if row[0] <= until]
        most = min(habits.cap, limit or habits.cap)
        rows = rows[-most:] if habits.newest else rows[:most]
        rows = [*before, *rows] if habits.overlap else rows
        if fault == "empty" and hours == 1 and until is None:
            return []
        if habits.is_unsorted:
            rows = rows + rows[:2]
            random.Random(since).shuffle(rows)
        return [list(row) for row in rows]

    def rows(self, hours):
        habits, begun = self.habits, self.begun()
        if hours > 1:
            # Longer candles are kept longer, as Kraken's are.
            traded = [row for row, here in self.all if here and row[0] <= self.clock]
            return candles(traded, hours)
        if not habits.sends_forming:
            begun = [(row, here) for row, here in begun if row[0] + HOUR <= self.clock]
        empty = {"none": [None] * 5, "zero": [0.0] * 5, "left out": None}[habits.nulls]
        rows = [row if here else empty and [row[0], *empty] for row, here in begun]
        return [row for row in rows if row]
