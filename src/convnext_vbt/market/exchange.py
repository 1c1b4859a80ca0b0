"""One symbol of an exchange through ccxt: checked names, patient requests, checked pages.

Nothing but ccxt's public endpoints is used. Requests keep to the exchange's rate limit and go
through HTTPS_PROXY and REQUESTS_CA_BUNDLE, as those of `requests` do.
"""

from __future__ import annotations

import contextlib
import copy
import difflib
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import DownloadError, InputError, MissingPackageError
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.market.cache import timeframe_step

if TYPE_CHECKING:
    import ccxt

BEGINNING = pd.Timestamp("2010-01-01", tz="UTC")
"""Asked for when nothing else is: before the first exchange."""
SMALL_PAGE = 100  # bars; few exchanges send fewer at once
LARGE_PAGE = 5_000  # bars; where ccxt names no limit, none is taken to be larger
WORTH_A_RETRY = {408, 418, 425, 429}  # and every 5xx; the other 4xx will not change
LONGEST_TEXT = 200
PRICES = FIELDS[:4]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often and how patiently a failed request is repeated."""

    tries: int = 6
    """Requests in all, the first one included."""
    first_wait: float = 1.0
    """Seconds before the second try; doubled each time, times a random factor in [0.5, 1.5)."""
    longest_wait: float = 120.0
    """Seconds; an exchange that asks to wait longer (Retry-After) is given up at once."""
    seed: int = 0
    """Of the random factor."""


RETRY = Retry()


class UnusableError(DownloadError):
    """The exchange refused, or sent what is no answer to what was asked; it will do so again."""


class Feed:
    """Pages of bars of one symbol and timeframe, and what they show of how the exchange answers.

    Some exchanges answer with the first bars after a time, wherever these are; some with those of
    a fixed window of time, where an empty answer says nothing of later; some with the newest bars
    of either, so that a page may hide bars that lie before it. ccxt does not say which.

    Raises `ModuleNotFoundError` without ccxt, `ValueError` with a suggestion for a name that the
    exchange does not have, `DownloadError` when it cannot be asked.
    """

    def __init__(
        self,
        exchange: str | ccxt.Exchange,
        symbol: str,
        timeframe: str,
        *,
        retry: Retry = RETRY,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.exchange = open_exchange(exchange) if isinstance(exchange, str) else exchange
        self.symbol = symbol
        self.timeframe = timeframe
        self.retry = retry
        self.notify = notify
        self._random = random.Random(retry.seed)
        _check_timeframe(self.exchange, timeframe)
        self.step = timeframe_step(timeframe)
        markets = self.ask(self.exchange.load_markets)
        _check_symbol(self.exchange, markets, symbol)
        self.market: dict[str, Any] = markets[symbol]
        self.limit: int | None = self.exchange.feature_value(symbol, "fetchOHLCV", "limit")
        self._forget()

    def _forget(self) -> None:
        self.rows = 0
        """Bars in the last answer, idle ones among them."""
        self._times = pd.DatetimeIndex([], tz="UTC")  # of these, in order
        self.longest = 0
        """Bars in the longest answer: a shorter one is all that there is in its time."""
        self.bounded = False
        """Whether each request names the end of a window as well, see `bound`."""
        self._spanned = 0  # steps from the time asked for to the last bar, at most
        self._jumps: bool | None = None
        self._ended: pd.Timestamp | None = None  # the last bar of the answer before
        self._from_start = False

    def of(self, timeframe: str) -> Feed:
        """The same symbol's bars of another timeframe."""
        other = copy.copy(self)
        other.timeframe, other.step = timeframe, timeframe_step(timeframe)
        bounded = self.bounded
        other._forget()
        other.bounded = bounded
        return other

    @property
    def window(self) -> pd.Timedelta:
        """A stretch of time that one page surely spans, were all its bars there."""
        most = self.limit or LARGE_PAGE
        return max(2, min(most, max(SMALL_PAGE, self._spanned))) * self.step

    @property
    def may_hide(self) -> bool:
        """Whether the last answer may have been cut to the newest bars of its time."""
        return self.rows >= self.longest and not (self._from_start and not self.bounded)

    def first_row(self, start: pd.Timestamp) -> pd.Timestamp | None:
        """The first row of the last answer from `start` on, idle or not; None if there is none."""
        later = self._times[self._times >= start]
        return later[0] if len(later) else None

    @property
    def last_row(self) -> pd.Timestamp | None:
        """The last row of the last answer, idle or not."""
        return self._times[-1] if len(self._times) else None

    def says_all(self) -> bool:
        """Whether an empty answer says that nothing comes later; one request at most finds out."""
        if self._jumps is None:
            with contextlib.suppress(UnusableError):  # so long ago is no time to ask for
                self.page(BEGINNING)
            self._jumps = bool(self._jumps)
        return self._jumps and not self.bounded

    def bound(self, limit: int) -> None:
        """From now on ask for `limit` bars and name the end of the window that these fill.

        For exchanges that send the newest bars of the time asked for: so none are hidden.
        """
        self.limit, self.bounded = max(2, limit), True

    def now(self, clock: Callable[[], float]) -> pd.Timestamp:
        """The exchange's time, or `clock`'s (epoch seconds) where the exchange gives none."""
        if self.exchange.has.get("fetchTime") is True:
            return pd.Timestamp(int(self.ask(self.exchange.fetch_time)), unit="ms", tz="UTC")
        return pd.Timestamp(clock(), unit="s", tz="UTC")

    def page(self, since: pd.Timestamp) -> pd.DataFrame:
        """The exchange's answer to "bars from `since` on": open times strictly increasing.

        An exchange may send earlier ones too, and leave out that of `since` itself. Idle bars
        (all four prices null or 0) are left out.
        """
        until = since + self.limit * self.step if self.bounded and self.limit else None
        page = self._ask_page(since, self.limit, until)
        self.longest = max(self.longest, self.rows)
        later = page.index[page.index >= since]
        if len(later):
            self._spanned = max(self._spanned, int((later[-1] - since) // self.step))
            if later[0] - since > 4 * (self.limit or LARGE_PAGE) * self.step:
                self._jumps = True
            # Without a window, newest bars would have ended at the present both times.
            ended, self._ended = self._ended, later[-1]
            if self._jumps and ended is not None and later[-1] > ended + 2 * self.step:
                self._from_start = True
        elif since <= BEGINNING:
            self._jumps = bool(self._jumps)
        return page

    def page_between(self, since: pd.Timestamp, until: pd.Timestamp) -> pd.DataFrame:
        """The answer to "bars in [since, until)", in the exchange's own words where it has them.

        One that takes no end is asked for as few bars as fit in: where its windows follow from
        the number asked for, that is the same.
        """
        limit = max(2, min(self.limit or SMALL_PAGE, int((until - since) // self.step)))
        try:
            return self._ask_page(since, limit, until)
        except UnusableError:
            return self._ask_page(since, limit, None)

    def _ask_page(
        self, since: pd.Timestamp, limit: int | None, until: pd.Timestamp | None
    ) -> pd.DataFrame:
        start = int(since.timestamp()) * 1000
        ends = {} if until is None else {"until": int(until.timestamp()) * 1000 - 1}
        rows = self.ask(self._rows, start, limit, ends)
        page = self._table(rows)
        if len(page) and page.index[-1] < since - self.window:
            raise UnusableError(
                f"{self.exchange.id} answers a request for bars from {since} with bars from "
                f"{page.index[0]} to {page.index[-1]}: it ignores the time asked for"
            )
        return page

    def _rows(self, since: int, limit: int | None, ends: dict[str, int]) -> list[list[Any]]:
        import ccxt

        rows: list[list[Any]] = self.exchange.fetch_ohlcv(
            self.symbol, self.timeframe, since, limit, ends
        )
        answer = self.exchange.last_http_response
        if not rows and not str(answer).lstrip().startswith(("[", "{")):
            # ccxt reads a page of text (a login form, a proxy's apology) as "no bars".
            raise ccxt.BadResponse(f"the answer is not JSON: {answer}")
        return rows

    def ask(self, request: Callable[..., Any], *args: Any) -> Any:
        """A request's answer, repeated with growing waits while the failure may be passing."""
        import ccxt

        for number in range(1, self.retry.tries + 1):
            try:
                return request(*args)
            except ccxt.BaseError as error:
                failure = error
                passing = _may_pass(error)
            except Exception as error:  # ccxt's parser, on an answer that is none (a proxy's page)
                failure, passing = error, True
            what = f"{self.exchange.id}: {_text(failure, self.exchange.id)}"
            if not passing:
                raise UnusableError(f"{what}; asking again will not help") from failure
            if number == self.retry.tries:
                raise DownloadError(f"{what}; given up after {number} tries") from failure
            self._wait(number, what, failure)
        raise AssertionError("unreachable")

    def _wait(self, number: int, what: str, failure: Exception) -> None:
        seconds = self.retry.first_wait * 2 ** (number - 1) * self._random.uniform(0.5, 1.5)
        asked = _retry_after(failure)
        if asked > self.retry.longest_wait:
            raise DownloadError(
                f"{what}; it asks to be left alone for {asked:,.0f} seconds, run again after that"
            ) from failure
        seconds = max(asked, min(seconds, self.retry.longest_wait))
        self.notify(f"{what}; try {number + 1} of {self.retry.tries} in {seconds:.3g} s")
        time.sleep(seconds)

    def _table(self, rows: list[list[Any]]) -> pd.DataFrame:
        name = f"{self.exchange.id} {self.symbol} {self.timeframe}"
        try:
            values = np.array(rows, dtype=np.float64)
        except (TypeError, ValueError):
            values = np.empty(0)
        values = values if len(rows) else np.empty((0, 1 + len(FIELDS)))
        if values.ndim != 2 or values.shape[1] != 1 + len(FIELDS):
            raise UnusableError(f"{name}: the answer holds no bars: {str(rows)[:80]}")
        self.rows = len(values)
        self._times = pd.to_datetime(np.sort(values[:, 0]), unit="ms", utc=True)
        prices = values[:, 1 : 1 + len(PRICES)]
        values = values[~(np.isnan(prices) | (prices == 0)).all(axis=1)]  # idle: nothing traded
        holed = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(holed):
            bar = values[int(holed[0])].tolist()
            raise UnusableError(f"{name}: a value is missing in the bar {bar}")
        values = np.unique(values, axis=0)  # in order of time, what was sent twice once
        times = values[:, 0].astype(np.int64)
        index = pd.DatetimeIndex(pd.to_datetime(times, unit="ms", utc=True)).as_unit("ms")
        twice = np.flatnonzero(np.diff(times) == 0)
        if len(twice):
            raise UnusableError(f"{name}: two bars of {index[int(twice[0])]} that differ")
        if len(times) > 1 and np.median(np.diff(times)) < self.step.total_seconds() * 1000:
            raise UnusableError(
                f"{name}: the bars are {index[1] - index[0]} apart: the timeframe is ignored"
            )
        return pd.DataFrame(values[:, 1:], columns=list(FIELDS), index=index)


def open_exchange(name: str) -> ccxt.Exchange:
    """A ccxt exchange that keeps to its rate limit, by its ccxt name."""
    try:
        import ccxt
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "downloading needs ccxt, which is not installed: pip install 'convnext-vbt[exchange]'",
            name="ccxt",
        ) from error
    if name not in ccxt.exchanges:
        raise InputError(f"unknown exchange {name!r}{_did_you_mean(name, ccxt.exchanges)}")
    options = {"enableRateLimit": True, "requests_trust_env": True}  # the user's proxy, if any
    return getattr(ccxt, name)(options)


def _check_timeframe(exchange: ccxt.Exchange, timeframe: str) -> None:
    if exchange.has.get("fetchOHLCV") is not True:
        raise InputError(f"{exchange.id} gives no bars (OHLCV); choose another exchange")
    known = list(exchange.timeframes or {})
    if timeframe not in known:
        hint = _same_length(timeframe, known) or _did_you_mean(timeframe, known)
        raise InputError(
            f"{exchange.id} has no timeframe {timeframe!r}{hint}; there are {', '.join(known)}"
        )


def _same_length(timeframe: str, known: list[str]) -> str:
    """The known timeframe of the same length: 1h for 60m."""
    lengths = {}
    for name in (timeframe, *known):
        with contextlib.suppress(ValueError):
            lengths[name] = timeframe_step(name)
    wanted = lengths.pop(timeframe, None)
    same = [name for name, length in lengths.items() if length == wanted]
    return f", did you mean {same[0]!r}?" if same else ""


def _check_symbol(exchange: ccxt.Exchange, markets: dict[str, Any], symbol: str) -> None:
    if symbol not in markets:
        hint = _did_you_mean(symbol, markets) or ", write it like BTC/USDT or BTC/USDT:USDT"
        raise InputError(f"{exchange.id} has no symbol {symbol!r}{hint}")


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    """The known word that is nearest, whatever the case."""
    by_case = {name.upper(): name for name in reversed(list(known))}
    close = difflib.get_close_matches(word.upper(), by_case, n=1)
    return f", did you mean {by_case[close[0]]!r}?" if close else ""


def _may_pass(error: Exception) -> bool:
    """Whether to ask again: by the HTTP status where there is one, else by ccxt's class."""
    import ccxt

    status = getattr(_response(error), "status_code", None)
    if status is not None and (status >= 500 or status in WORTH_A_RETRY):
        return True
    if status is not None and isinstance(error, ccxt.ExchangeNotAvailable):
        return False  # ccxt's class for all other 4xx, such as 403 and 451: not from this country
    return isinstance(error, ccxt.OperationFailed)


def _retry_after(error: Exception) -> float:
    """The seconds that the exchange asks to wait; 0 when it asks for none."""
    text = getattr(_response(error), "headers", {}).get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0


def _response(error: Exception) -> Any:
    """The HTTP response that ccxt raised its error from; a failed `requests` response is falsy."""
    return getattr(error.__context__, "response", None)


def _text(error: Exception, name: str) -> str:
    """A short line: ccxt's messages hold its name, the URL and the whole answer."""
    line = " ".join(str(error).split()).removeprefix(f"{name} ")
    line = line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]} ..."
    status = getattr(_response(error), "status_code", None)
    known = "" if status is None or str(status) in line else f" (HTTP {status})"
    return f"{type(error).__name__}{known}: {line}"
