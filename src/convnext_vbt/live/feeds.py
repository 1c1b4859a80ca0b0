"""New bars of `ccxt:` sources, fetched into the cache before a decision looks at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convnext_vbt.errors import ConfigError, DownloadError, MissingPackageError
from convnext_vbt.market.cache import Shelf, shelf_of
from convnext_vbt.market.download import MINUTE, Download, download_bars
from convnext_vbt.market.exchange import open_exchange

if TYPE_CHECKING:
    import ccxt


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Feeds:
    """The exchanges that sources come from; other sources are no business of theirs."""

    shelves: tuple[Shelf, ...]
    notify: Callable[[str], None]
    """Hears what was fetched, each wait, and why a fetch failed."""
    _exchanges: dict[str, ccxt.Exchange] = field(default_factory=dict)
    """Kept open: an exchange's list of markets is asked for once."""

    def fetch(self) -> bool:
        """Store what has finished since the last stored bar; whether every exchange answered.

        What fails is reported and is no error: the stored bars may do, and stale ones are
        refused by their time. A source of which nothing is stored is left to the reader, who
        says how to download it. Raises `ValueError` for a name that the exchange does not have.
        """
        answered = [self._fetched(shelf) for shelf in self.shelves if _is_begun(shelf)]
        return all(answered)

    def _fetched(self, shelf: Shelf) -> bool:
        try:
            if shelf.exchange not in self._exchanges:
                self._exchanges[shelf.exchange] = open_exchange(shelf.exchange)
            exchange = self._exchanges[shelf.exchange]
            done = download_bars(exchange, shelf.symbol, shelf.timeframe, tell=self.notify)
        except MissingPackageError as error:
            raise ConfigError(f"{shelf.source}: {error}, or replay with --as-of") from error
        except (DownloadError, OSError) as error:
            self.notify(f"{shelf.source} could not be fetched: {error}")
            return False
        for line in _told(done):
            self.notify(line)
        return True


def open_feeds(sources: Sequence[str], notify: Callable[[str], None]) -> Feeds:
    """The feeds of the `ccxt:` sources among these."""
    shelves = tuple(shelf_of(one) for one in sources if one.startswith("ccxt:"))
    return Feeds(shelves=shelves, notify=notify)


def _is_begun(shelf: Shelf) -> bool:
    return any(shelf.folder.glob("*.parquet"))


def _told(done: Download) -> list[str]:
    bars = "bar" if done.added == 1 else "bars"
    fetched = f"fetched {done.added:,} new {bars} of {done.shelf.source}"
    new = [f"{fetched}, up to {done.last:{MINUTE}} UTC"] if done.added else []
    return [*new, *(revision.text for revision in done.revised)]
