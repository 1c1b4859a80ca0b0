"""Bars from an exchange into the cache: page by page, going on where the last call stopped.

Every request asks again for the bar before those that are wanted, so that pages are seen to fit
together and a bar that the exchange has changed since is noticed. Only finished bars are stored,
and each page is stored before the next is asked for: a kill loses one page at most. Missing bars
are asked for once more, then reported and never filled. Where there are none for longer than a
page, `convnext_vbt.market.idle` finds where they go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from convnext_vbt import storage
from convnext_vbt.errors import DownloadError, InputError
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.market.cache import AFTER, BarStore, cache_root
from convnext_vbt.market.clock import TOLD
from convnext_vbt.market.contracts import contract_terms, terms_text
from convnext_vbt.market.exchange import BEGINNING, RETRY, SMALL_PAGE, Feed, Retry
from convnext_vbt.market.gaps import regular_gaps
from convnext_vbt.market.idle import Overview

if TYPE_CHECKING:
    import ccxt

MINUTE = "%Y-%m-%d %H:%M"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A stored bar that the exchange now gives another value for. The cache keeps what it had."""

    time: pd.Timestamp
    changes: str
    """E.g. "close 42000 -> 42010"."""
    path: Path
    """The file that holds the stored bar."""
    remedy: str
    """How to take the exchange's new value."""

    @property
    def text(self) -> str:
        """What has changed and what to do, in one line."""
        return (
            f"the exchange has changed its bar of {self.time:{MINUTE}}: {self.changes}; "
            f"the stored one is kept. {self.remedy}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """Bars that the exchange does not have; times are the first and the last one's open."""

    start: pd.Timestamp
    end: pd.Timestamp
    missing: int

    @property
    def text(self) -> str:
        """The hole in one line."""
        bars = "bar" if self.missing == 1 else "bars"
        return f"hole {self.start:{MINUTE}} to {self.end:{MINUTE}} ({self.missing:,} {bars})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What an exchange keeps that sends its newest bars only, whatever is asked."""

    first: pd.Timestamp
    bars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is reported after each page is stored."""

    first: pd.Timestamp
    last: pd.Timestamp
    added: int
    """Bars stored by this call so far."""
    share: float
    """Of the time asked for, in [0, 1]."""

    @property
    def text(self) -> str:
        """How far it is, in one line."""
        return f"{self.added:,} new, up to {self.last:{MINUTE}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What a download did, and what is stored now."""

    store: BarStore
    added: int
    bars: int
    first: pd.Timestamp
    last: pd.Timestamp
    holes: tuple[Hole, ...]
    """All that are in the stored bars, not those of this call alone."""
    revised: tuple[Revision, ...]
    ends_early: bool
    """Whether the exchange has no bars up to the end that was asked for."""
    starts_late: bool
    """Whether the exchange has no bars from the beginning that was asked for."""
    missing_before: int
    """Bars before the first one that were asked for, or that there must have been; 0 if none."""
    traded_since: pd.Timestamp | None
    """Where the exchange's longer candles begin, if it keeps these alone of the time before."""
    kept: Kept | None
    """Set where the exchange has no more than its newest bars."""
    instrument: dict[str, float | bool | str]
    """What the exchange says of the contract: keys of a strategy's [instruments], which follow it
    only once they are there."""

    @property
    def instrument_text(self) -> str:
        """The table to paste into a strategy file; empty where the exchange says nothing."""
        return terms_text(self.store.symbol, self.instrument) if self.instrument else ""

    @property
    def times(self) -> str:
        """Whose clock the times are on and what they stand for, in one line."""
        return str(TOLD)

    @property
    def notes(self) -> list[str]:
        """What the user might not expect of the two ends."""
        none = f"{self.store.exchange} gives no bars"
        notes = []
        if self.traded_since is not None:
            notes.append(
                f"{none} before {self.first:{MINUTE}}, though it has traded since "
                f"{self.traded_since:{MINUTE}}: {self.missing_before:,} are missing"
            )
        elif self.starts_late:
            notes.append(
                f"{none} before {self.first:{MINUTE}}: "
                f"{self.missing_before:,} that were asked for are missing"
            )
        if self.kept is not None:
            days = self.kept.bars * self.store.step / pd.Timedelta(days=1)
            notes.append(
                f"{self.store.exchange} keeps its newest {self.kept.bars:,} bars only, now none "
                f"before {self.kept.first:{MINUTE}}; download again within {days:.3g} days, or "
                "some are lost"
            )
        if self.ends_early:
            why = "the pair is delisted or halted, or the exchange keeps no more"
            notes.append(f"{none} after {self.last:{MINUTE}}: {why}")
        return notes

    def to_dict(self) -> dict[str, Any]:
        """The same for machines; times in ISO 8601."""
        return {
            "source": self.store.source,
            "folder": str(self.store.folder),
            "added": self.added,
            "bars": self.bars,
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "times": self.times,
            "holes": [
                {"start": one.start.isoformat(), "end": one.end.isoformat(), "missing": one.missing}
                for one in self.holes
            ],
            "revised": [
                {"time": one.time.isoformat(), "changes": one.changes, "file": str(one.path)}
                for one in self.revised
            ],
            "starts_late": self.starts_late,
            "ends_early": self.ends_early,
            "missing_before": self.missing_before,
            "traded_since": self.traded_since and self.traded_since.isoformat(),
            "keeps": self.kept and self.kept.bars,
            "instrument": self.instrument,
        }


def download_bars(
    exchange: str | ccxt.Exchange,
    symbol: str,
    timeframe: str,
    *,
    since: pd.Timestamp | str | None = None,
    until: pd.Timestamp | str | None = None,
    cache: str | Path | None = None,
    retry: Retry = RETRY,
    clock: Callable[[], float] = time.time,
    progress: Callable[[Page], None] | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> Download:
    """Store the finished bars of [since, until) that are not stored yet; they become a source.

    `exchange` is a ccxt name, or a ccxt exchange built by the caller. Times are bar open times,
    UTC without a zone. Without `since` the first call begins with the exchange's first bar; stored
    bars are always continued, so that no hole arises. `clock` gives epoch seconds where the
    exchange gives no time; `notify` is given one line whenever there is a wait.

    Raises `ValueError` for an unknown exchange, symbol, timeframe or time, `DownloadError` when
    the exchange does not answer or its answers cannot be used, `CacheError` for damaged files.

    Example:
        cv.download_bars("binance", "BTC/USDT", "1h", since="2021-01-01")
        bars = cv.load_bars("ccxt:binance:BTC/USDT:1h")
    """
    begin, end = _time(since, "since"), _time(until, "until")
    if begin is not None and end is not None and begin >= end:
        raise InputError(f"since = {since} must lie before until = {until}")
    feed = Feed(exchange, symbol, timeframe, retry=retry, notify=notify)
    store = BarStore(
        exchange=feed.exchange.id, symbol=symbol, timeframe=timeframe, root=cache_root(cache)
    )
    with store.lock(lambda: notify(f"another download of {store.source} is running; waiting")):
        stop = feed.now(clock) - feed.step + pd.Timedelta(milliseconds=1)  # finished bars
        stop = stop if end is None else min(stop, end)
        parts = store.parts()
        work = _Work(feed=feed, store=store, progress=progress, notify=notify, parts=list(parts))
        for stretch in _stretches(parts, begin, stop, feed.step):
            work.fetch(stretch)
        return _result(work, begin, stop, is_first=not parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """Bars that are not stored: open times in [start, stop), and the stored part before them."""

    start: pd.Timestamp
    stop: pd.Timestamp
    known: pd.DataFrame | None


def _stretches(
    parts: list[pd.DataFrame],
    begin: pd.Timestamp | None,
    stop: pd.Timestamp,
    step: pd.Timedelta,
) -> Iterator[_Stretch]:
    """What is missing before, between and after the stored parts."""
    if not parts:
        yield _Stretch(start=begin or BEGINNING, stop=stop, known=None)
        return
    if begin is not None and begin < parts[0].index[0]:
        yield _Stretch(start=begin, stop=min(stop, parts[0].index[0]), known=None)
    for before, after in pairwise(parts):
        asked = after.attrs.get(AFTER) == before.index[-1]
        if after.index[0] - before.index[-1] > step and not asked:
            start = before.index[-1] + step
            yield _Stretch(start=start, stop=min(stop, after.index[0]), known=before)
    yield _Stretch(start=parts[-1].index[-1] + step, stop=stop, known=parts[-1])


@dataclass(slots=True, kw_only=True)
class _Work:
    """One call's progress through its stretches."""

    feed: Feed
    store: BarStore
    progress: Callable[[Page], None] | None
    notify: Callable[[str], None]
    parts: list[pd.DataFrame]
    """All that is stored, in any order."""
    overview: Overview = field(init=False)
    added: int = 0
    kept: Kept | None = None
    idle_to: pd.Timestamp | None = None
    """The last row of the last page, idle or not."""
    revised: list[Revision] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.overview = Overview(self.feed, self.notify)

    def fetch(self, stretch: _Stretch) -> None:
        """Ask for a stretch's bars, page by page, and store them; `start` grows with each turn."""
        start, known, origin = stretch.start, stretch.known, None
        while start < stretch.stop:
            bars = self._bars(start, known, stretch.stop)
            fresh = bars[bars.index < stretch.stop]
            if fresh.empty:
                later = self._after_idle(start, stretch.stop, known) if bars.empty else None
                if later is None:
                    return
                start = later
                continue
            self.overview.found()
            self.store.append(fresh, after=None if known is None else known.index[-1])
            self.parts.append(fresh)
            self.added += len(fresh)
            known, start = fresh, fresh.index[-1] + self.feed.step
            origin = origin or fresh.index[0]  # not `start`: the pair may be listed later
            if self.progress is not None:
                share = (start - origin) / max(stretch.stop - origin, self.feed.step)
                self.progress(
                    Page(first=fresh.index[0], last=fresh.index[-1], added=self.added, share=share)
                )

    def _bars(
        self, start: pd.Timestamp, known: pd.DataFrame | None, stop: pd.Timestamp
    ) -> pd.DataFrame:
        """One page with the bars from `start` on, those that it lacks being asked for twice."""
        fresh = self._fresh(start, known)
        if fresh.empty or _has_holes(known, fresh, self.feed.step):
            fresh = _joined(fresh, self._fresh(start, known))
        rows, first = self.feed.rows, self.feed.first_row(start)
        may_hide = self.feed.may_hide
        self.idle_to = self.feed.last_row
        while may_hide and first is not None and first - start >= self.feed.step:
            before = self.feed.page_between(start - self.feed.step, first)
            earlier = self.feed.first_row(start)
            if earlier is None or earlier >= first:
                full = rows >= (self.feed.limit or SMALL_PAGE)
                if full and len(fresh) and fresh.index[-1] + self.feed.step >= stop:
                    self.kept = Kept(first=fresh.index[0], bars=rows)
                break
            again = self._fresh(start, known)  # they may have been missing for a moment only
            came = self.feed.first_row(start)
            if not self.feed.bounded and (came is None or came >= first):
                self.feed.bound(rows)
                return self._bars(start, known, stop)
            first = min(earlier, came or earlier)
            fresh = _joined(_joined(fresh, again), before[before.index >= start])
        return fresh

    def _fresh(self, start: pd.Timestamp, known: pd.DataFrame | None) -> pd.DataFrame:
        page = self._page(start, known)
        return page[page.index >= start]

    def _page(self, start: pd.Timestamp, known: pd.DataFrame | None) -> pd.DataFrame:
        """The answer from the bar before `start` on, compared with the known bars.

        With that bar exchanges that leave out the time asked for do no harm.
        """
        page = self.feed.page(start - self.feed.step)
        if known is not None:
            self._compare(known, page)
        return page

    def _after_idle(
        self,
        start: pd.Timestamp,
        stop: pd.Timestamp,
        known: pd.DataFrame | None,
    ) -> pd.Timestamp | None:
        """Where to ask after an answer without a bar from `start` on; None if there is none.

        An answer with earlier bars is no proof that none come later: an exchange that sends the
        same page again is asked for a later one, and refused for it.
        """
        if self.idle_to is not None and self.idle_to >= start:
            return self.idle_to + self.feed.step  # idle bars were sent, and say as much
        asked = start - self.feed.step
        later = asked + self.feed.window
        if later >= stop:
            return None
        sent = self.feed.first_row(BEGINNING)
        if (sent is None or sent >= asked) and self.feed.says_all():
            return None
        sample = known if known is not None else next(iter(self.parts), None)
        return self.overview.resume(later, stop, sample)

    def _compare(self, known: pd.DataFrame, page: pd.DataFrame) -> None:
        """Note the known bars that the page gives another value for."""
        both = known.index.intersection(page.index)
        old, new = (frame.loc[both, list(FIELDS)].to_numpy() for frame in (known, page))
        known_times = {revision.time for revision in self.revised}
        for row in (old != new).any(axis=1).nonzero()[0]:
            when = both[int(row)]
            if when in known_times:
                continue
            pairs = zip(FIELDS, old[row], new[row], strict=True)
            changes = ", ".join(f"{name} {a:.12g} -> {b:.12g}" for name, a, b in pairs if a != b)
            path = self.store.path(known.index[0])
            remedy = (
                f"To take the new one, delete {path} and run "
                f"{self.store.command} --since {known.index[0]:%Y-%m-%dT%H:%M}"
            )
            self.revised.append(Revision(time=when, changes=changes, path=path, remedy=remedy))


def _has_holes(known: pd.DataFrame | None, fresh: pd.DataFrame, step: pd.Timedelta) -> bool:
    """Whether bars are missing between the last known one and the last fresh one."""
    index = fresh.index if known is None else fresh.index.union(known.index[-1:])
    return bool(_spans(index, step))


def _spans(index: pd.Index, step: pd.Timedelta) -> list[tuple[int, int, int]]:
    return regular_gaps(pd.DatetimeIndex(index).as_unit("ns").asi8, step.value)


def _joined(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """The bars of both answers; where both have a bar, the first one's."""
    if second.empty:
        return first
    return pd.concat([first, second[~second.index.isin(first.index)]]).sort_index()


def _result(
    work: _Work, begin: pd.Timestamp | None, stop: pd.Timestamp, *, is_first: bool
) -> Download:
    store, step = work.store, work.feed.step
    if not work.parts:
        since = f" from {begin:{MINUTE}}" if begin is not None else ""
        raise DownloadError(
            f"{store.exchange} has no finished bars of {store.symbol} {store.timeframe}{since} "
            f"to {stop:{MINUTE}} UTC"
        )
    index = pd.concat(work.parts).index.sort_values()
    starts_late = begin is not None and index[0] - begin >= step
    traded = None
    if starts_late or (begin is None and is_first):
        first = min(work.parts, key=lambda part: part.index[0])
        traded = work.overview.traded_before(first, begin or BEGINNING)
    oldest = traded if traded is not None else begin
    instrument = _keep_terms(work)
    return Download(
        store=store,
        added=work.added,
        bars=len(index),
        first=index[0],
        last=index[-1],
        holes=tuple(
            Hole(
                start=pd.Timestamp(start, unit="ns", tz="UTC"),
                end=pd.Timestamp(end, unit="ns", tz="UTC"),
                missing=missing,
            )
            for start, end, missing in _spans(index, step)
        ),
        revised=tuple(work.revised),
        ends_early=bool(index[-1] + step < stop),
        starts_late=bool(starts_late),
        missing_before=0 if oldest is None else max(0, int((index[0] - oldest) // step)),
        traded_since=traded,
        kept=work.kept,
        instrument=instrument,
    )


def _keep_terms(work: _Work) -> dict[str, float | bool | str]:
    """What the exchange says of the contract now, which is also written beside the bars."""
    newest = max(work.parts, key=lambda part: part.index[-1])
    exchange, price = work.feed.exchange, float(newest["close"].iloc[-1])
    terms = contract_terms(work.feed.market, exchange.precisionMode, price=price)
    if terms:
        text = f"# As {exchange.id} said last\n{terms_text(work.store.symbol, terms)}\n"
        storage.write_text(work.store.terms, text)
    return terms


def _time(value: pd.Timestamp | str | None, name: str) -> pd.Timestamp | None:
    if value is None:
        return None
    try:
        when = pd.Timestamp(value)
    except ValueError:
        raise InputError(f"{name} = {value!r} is not a time such as 2021-01-01") from None
    return when.tz_localize("UTC") if when.tz is None else when.tz_convert("UTC")
