"""Where bars go on after an idle stretch, without asking for each of its pages.

An exchange that answers with a fixed window of time and leaves idle bars out says nothing of what
comes after an empty answer. Its weekly, daily and hourly candles do: a hundred of these span weeks
to years. They are believed once they have been seen to hold bars that are known; where there are
none, or they are no such candles, the windows are asked for one by one.

Requests: each idle stretch takes two for its first window, then one for each timeframe of `LONGER`
and two more for each hundred candles of it that are idle; proving a timeframe takes one, once.
Where the candles cannot be used: two for each window. Where no bar is known and they hold nothing
at all, up to `BLIND` windows are asked for one by one; a longer stretch is taken to be empty.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from convnext_vbt.market.cache import timeframe_step
from convnext_vbt.market.exchange import Feed, UnusableError

LONGER = ("1w", "1d", "1h")
PROOFS = 3  # tries to prove a timeframe, before it is left aside
BLIND = 1_000  # windows; more are not asked for one by one if there are no candles at all
DOUBTS = 2  # candles with volume of whose time the exchange has no bars: it keeps none that old
EPSILON = 1e-6  # of a volume: sums are rounded


class Overview:
    """A feed's longer candles, for one download."""

    def __init__(self, feed: Feed, notify: Callable[[str], None]) -> None:
        self.feed = feed
        self.notify = notify
        names = [name for name in LONGER if name in (feed.exchange.timeframes or {})]
        self._levels = [feed.of(name) for name in names if timeframe_step(name) >= 4 * feed.step]
        self._proven: dict[str, bool] = {}
        self._tries: dict[str, int] = {}
        self._found: dict[tuple[str, pd.Timestamp], tuple[pd.Timestamp, bool]] = {}
        self._doubts = 0
        self._is_sure = False
        self._told = False

    def found(self) -> None:
        """There were bars at the last time that `resume` gave."""
        self._doubts, self._is_sure = 0, False

    def resume(
        self, start: pd.Timestamp, stop: pd.Timestamp, sample: pd.DataFrame | None
    ) -> pd.Timestamp | None:
        """A time from `start` on before which there are no bars; None if there are none to `stop`.

        `sample` holds bars that are known; the candles must hold them too. Called again without
        `found` between, it takes note that there were no bars where a candle said so.
        """
        self._doubts += self._is_sure
        self._is_sure = False
        if self._doubts >= DOUBTS:
            self._doubts = 0
            return self._where_bars_begin(start, stop)
        levels = self._believed(start, stop, sample)
        when, sure = self._walk(levels, start, stop)
        if not levels and not self._told and stop - start > 20 * self.feed.window:
            self._told = True
            self.notify(f"no bars at {start:%Y-%m-%d %H:%M}; asking page by page for later ones")
        self._is_sure = sure
        return when if when < stop else None

    def traded_before(self, first: pd.DataFrame, begin: pd.Timestamp) -> pd.Timestamp | None:
        """The open of the first candle from `begin` on that closed before the first bar.

        None if there is none, or the candles are not proven by these bars.
        """
        start = begin - self.feed.step + self.feed.window  # as after an empty page at `begin`
        for level in self._levels[:1]:
            try:
                when, _ = self._next(level, start, first.index[0])
            except UnusableError:
                return None
            if when + level.step <= first.index[0] and self._is_proven(level, first):
                return when
        return None

    def _believed(
        self, start: pd.Timestamp, stop: pd.Timestamp, sample: pd.DataFrame | None
    ) -> list[Feed]:
        """The proven timeframes, the longest first."""
        if sample is None and self._levels and not self._proven:
            # Nothing is known: the bars that the candles lead to are the proof.
            when, _ = self._walk(self._levels, start, stop)
            sample = self._any_bars([when, stop - self.feed.window], start, stop)
            if sample is None:
                none = when >= stop and stop - start > BLIND * self.feed.window
                self._proven = {level.timeframe: none for level in self._levels} | self._proven
        if sample is None:
            return [level for level in self._levels if self._proven.get(level.timeframe)]
        return [level for level in self._levels if self._is_proven(level, sample)]

    def _any_bars(
        self, times: list[pd.Timestamp], start: pd.Timestamp, stop: pd.Timestamp
    ) -> pd.DataFrame | None:
        for when in times:
            if start <= when < stop:
                page = self.feed.page(when - self.feed.step)
                if len(page):
                    return page
        return None

    def _walk(
        self, levels: list[Feed], start: pd.Timestamp, stop: pd.Timestamp
    ) -> tuple[pd.Timestamp, bool]:
        """The first time from `start` on that lies in a candle of every level; `stop` if none.

        And whether there was trading within the window that begins then.
        """
        when, sure = start, False
        for level in levels:
            try:
                opened, sure = self._next(level, when, stop)
            except UnusableError:
                self._proven[level.timeframe] = False
                continue
            when = max(when, opened)
        return when, sure

    def _next(
        self, level: Feed, start: pd.Timestamp, stop: pd.Timestamp
    ) -> tuple[pd.Timestamp, bool]:
        """The open of the first candle that closes after `start`.

        And whether a candle with volume lies in the window of bars from there, or `start`, on.
        """
        key = (level.timeframe, start)
        while key not in self._found and start < stop:
            since = start - level.step  # the candle that `start` lies in, whatever the grid
            for _ in range(2):
                page = level.page(since)
                _check_spacing(page, level)
                later = page[page.index > since]
                if len(later):
                    opened = max(start, later.index[0])
                    last = opened + self.feed.window - self.feed.step - level.step
                    within = later[(later.index >= opened) & (later.index <= last)]
                    self._found[key] = later.index[0], bool((within["volume"] > 0).any())
                    break
            start = since + level.window
        opened, traded = self._found.get(key, (stop, False))
        return min(opened, stop), traded and opened < stop

    def _is_proven(self, level: Feed, sample: pd.DataFrame) -> bool:
        name = level.timeframe
        if name not in self._proven:
            self._tries[name] = self._tries.get(name, 0) + 1
            try:
                page = level.page(sample.index[-1] - 2 * level.step)
                _check_spacing(page, level)
            except UnusableError:
                self._proven[name] = False
                return False
            if _holds(page, level.step, sample):
                self._proven[name] = True
            elif self._tries[name] >= PROOFS:
                self._proven[name] = False
        return self._proven.get(name, False)

    def _where_bars_begin(self, start: pd.Timestamp, stop: pd.Timestamp) -> pd.Timestamp | None:
        """The window with the first bars that the exchange has kept; None if there are none.

        Bisection, for there was trading all along: what is older than those is not kept.
        """
        low, high = start, max(start, stop - self.feed.window)
        if not self._has_bars(high):
            return start  # idle at the moment: nothing to go by
        while high - low > self.feed.window:
            middle = low + (high - low) // 2
            low, high = (low, middle) if self._has_bars(middle) else (middle, high)
        return low

    def _has_bars(self, since: pd.Timestamp) -> bool:
        page = self.feed.page(since)
        return bool(len(page)) and bool(page.index[-1] >= since)


def _check_spacing(page: pd.DataFrame, level: Feed) -> None:
    """Refuse an answer that holds bars of another timeframe."""
    if ((page.index[1:] - page.index[:-1]) % level.step != pd.Timedelta(0)).any():
        raise UnusableError(f"{level.exchange.id}: no candles of {level.timeframe}")


def _holds(candles: pd.DataFrame, step: pd.Timedelta, bars: pd.DataFrame) -> bool:
    """Whether a candle is made of known bars, and is not one of them."""
    rows = candles[["high", "low", "volume"]].to_numpy()
    for opened, (high, low, volume) in zip(pd.DatetimeIndex(candles.index), rows, strict=True):
        inside = bars[(bars.index >= opened) & (bars.index < opened + step)]
        if inside.empty or (len(inside) == 1 and inside.index[0] == opened):
            continue
        if (  # without volumes there is no telling candles from bars
            volume > 0
            and high >= inside["high"].max()
            and low <= inside["low"].min()
            and volume >= inside["volume"].sum() * (1 - EPSILON)
        ):
            return True
    return False
