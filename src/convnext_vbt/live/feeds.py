"""New bars of `ccxt:` sources, fetched into the cache before a decision looks at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convnext_vbt.errors import ConfigError, DownloadError, MissingPackageError
from convnext_vbt.market.cache import BarStore, store_of
from convnext_vbt.market.download import MINUTE, Download, download_bars
from convnext_vbt.market.exchange import open_exchange

if TYPE_CHECKING:
    import ccxt


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Feeds:
    """The exchanges that sources come from; other sources are no business of theirs."""

    stores: tuple[BarStore, ...]
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
        answered = [self._fetched(store) for store in self.stores if _is_begun(store)]
        return all(answered)

    def _fetched(self, store: BarStore) -> bool:
        try:
            if store.exchange not in self._exchanges:
                self._exchanges[store.exchange] = open_exchange(store.exchange)
            exchange = self._exchanges[store.exchange]
            done = download_bars(exchange, store.symbol, store.timeframe, notify=self.notify)
        except MissingPackageError as error:
            raise ConfigError(f"{store.source}: {error}, or replay with --as-of") from error
        except (DownloadError, OSError) as error:
            self.notify(f"{store.source} could not be fetched: {error}")
            return False
        for line in _fetch_notes(done):
            self.notify(line)
        return True


def open_feeds(sources: Sequence[str], notify: Callable[[str], None]) -> Feeds:
    """The feeds of the `ccxt:` sources among these."""
    stores = tuple(store_of(one) for one in sources if one.startswith("ccxt:"))
    return Feeds(stores=stores, notify=notify)


def _is_begun(store: BarStore) -> bool:
    return any(store.folder.glob("*.parquet"))


def _fetch_notes(done: Download) -> list[str]:
    bars = "bar" if done.added == 1 else "bars"
    fetched = f"fetched {done.added:,} new {bars} of {done.store.source}"
    new = [f"{fetched}, up to {done.last:{MINUTE}} UTC"] if done.added else []
    return [*new, *(revision.text for revision in done.revised)]
