"""Downloaded bars on disk: a folder for each exchange, symbol and timeframe, only ever added to.

`ROOT/binance/BTC%2FUSDT/1h/2024-01-01T000000Z.parquet` holds the bars of one page, named after the
first of them. A part is written under a temporary name, flushed and renamed: it is whole or
absent, and nothing changes it afterwards. The reader joins the parts and trusts none of them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import platformdirs
import pyarrow as pa
import pyarrow.parquet as pq

from convnext_vbt import storage
from convnext_vbt.errors import CacheError, InputError
from convnext_vbt.market.bars import FIELDS, Bars
from convnext_vbt.system import exclusive

ENVIRONMENT = "CONVNEXT_VBT_CACHE"
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
EXAMPLE = "ccxt:binance:BTC/USDT:1h"
AFTER = "after"
LONGEST_NAME = 255  # bytes, of a file name on every usual file system
SCHEMA = pa.schema(
    [("timestamp", pa.timestamp("ms", "UTC")), *((field, pa.float64()) for field in FIELDS)]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BarStore:
    """Where the bars of one exchange, symbol and timeframe stand.

    Frames are indexed by UTC open time and have the five columns of `FIELDS`, float64.
    Raises `ValueError` for a name or a timeframe that no folder can be made of.
    """

    exchange: str
    symbol: str
    timeframe: str
    root: Path
    """The cache folder, `cache_root()` by default."""

    def __post_init__(self) -> None:
        timeframe_step(self.timeframe)
        for kind, name in (("exchange", self.exchange), ("symbol", self.symbol)):
            if not name or not name.isprintable() or len(_safe(name)) > LONGEST_NAME:
                raise InputError(f"{kind} {name[:60]!r} cannot be a name; write it as in {EXAMPLE}")

    @property
    def source(self) -> str:
        """The text that `load_bars` and `data.source` take."""
        return f"ccxt:{self.exchange}:{self.symbol}:{self.timeframe}"

    @property
    def command(self) -> str:
        """The command that downloads these bars."""
        where = "" if self.root == cache_root() else f" --cache {shlex.quote(str(self.root))}"
        symbol = shlex.quote(self.symbol)
        return f"convnext-vbt download {self.exchange} {symbol} {self.timeframe}{where}"

    @property
    def usage(self) -> str:
        """A command that runs on these bars, wherever the cache is."""
        run = f"convnext-vbt run STRATEGY.toml --set data.source={self.source}"
        return (
            run
            if self.root == cache_root()
            else f"{ENVIRONMENT}={shlex.quote(str(self.root))} {run}"
        )

    @property
    def step(self) -> pd.Timedelta:
        """The distance between two bars."""
        return timeframe_step(self.timeframe)

    @property
    def folder(self) -> Path:
        """The folder of the parts; names are escaped, so it never lies outside the root."""
        return self.root / _safe(self.exchange) / _safe(self.symbol) / self.timeframe

    @property
    def terms(self) -> Path:
        """Where it is kept what the exchange says of the contract."""
        return self.folder / "instrument.toml"

    def path(self, first: pd.Timestamp) -> Path:
        """The part whose first bar opens at `first`."""
        return self.folder / f"{first:%Y-%m-%dT%H%M%SZ}.parquet"

    @contextlib.contextmanager
    def lock(self, on_wait: Callable[[], None]) -> Iterator[None]:
        """Be the only writer; `on_wait` is called before waiting for another process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with exclusive(self.folder / ".lock", on_wait) as alone:
            if alone:
                storage.remove_temporary(self.folder)
            yield

    def append(self, frame: pd.DataFrame, *, after: pd.Timestamp | None = None) -> Path:
        """Store a page of new bars; it must not overlap what is there.

        `after` is the bar before them if the exchange has been asked for all that lies between.
        """
        path = self.path(frame.index[0])
        assert not path.exists(), f"{path} is there already"
        arrays = [pd.DatetimeIndex(frame.index).as_unit("ms"), *(frame[field] for field in FIELDS)]
        known = {} if after is None else {AFTER: after.isoformat()}
        schema = SCHEMA.with_metadata({"source": self.source, **known})
        table = pa.Table.from_arrays(
            [pa.array(values, kind.type) for values, kind in zip(arrays, schema, strict=True)],
            schema=schema,
        )
        storage.write_with(path, lambda file: pq.write_table(table, file, write_page_checksum=True))
        return path

    def parts(self) -> list[pd.DataFrame]:
        """The stored parts in order of time, each with its bars in strict order; none overlap.

        `attrs["after"]` of a part is the time that `append` was given, where it was.
        Raises `CacheError` naming the file that is damaged, of another source, or overlapping.
        """
        paths = sorted(self.folder.glob("*.parquet"))
        frames = [self._read(path) for path in paths]
        for path, before, frame in zip(paths[1:], frames, frames[1:], strict=False):
            if frame.index[0] <= before.index[-1]:
                raise CacheError(self._remedy(path, "overlaps the part before it"))
        return frames

    def bars(self) -> Bars:
        """All stored bars; raises `CacheError` when there are fewer than two or a faulty one."""
        parts = self.parts()
        if sum(map(len, parts)) < 2:
            raise CacheError(
                f"no bars of {self.source} are stored in {self.root}{self._others()}; download "
                f"them first: {self.command}"
            )
        try:
            return Bars.from_frame(pd.concat(parts), symbol=self.symbol)
        except InputError as error:
            raise CacheError(f"{self.folder}, as {self.exchange} sent it: {error}") from error

    def _read(self, path: Path) -> pd.DataFrame:
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                table = file.read(use_threads=False)
        except (pa.ArrowException, OSError) as error:
            what = " ".join(str(error).split())[:120]
            raise CacheError(self._remedy(path, f"is damaged ({what})")) from error
        found = (table.schema.metadata or {}).get(b"source", b"").decode()
        if found != self.source or not table.schema.equals(SCHEMA):
            raise CacheError(self._remedy(path, f"holds {found or 'something else'}"))
        index = pd.DatetimeIndex(table["timestamp"].to_numpy(), name="timestamp").tz_localize("UTC")
        order = index.is_monotonic_increasing and index.is_unique
        if not len(index) or not order or self.path(index[0]) != path:
            raise CacheError(self._remedy(path, "is not the part that its name says"))
        frame = pd.DataFrame({field: table[field].to_numpy() for field in FIELDS}, index=index)
        after = (table.schema.metadata or {}).get(AFTER.encode())
        if after is not None:
            frame.attrs[AFTER] = pd.Timestamp(after.decode())
        return frame

    def _remedy(self, path: Path, fault: str) -> str:
        return f"{path} {fault}; delete it and run {self.command} again"

    def _others(self) -> str:
        """The timeframes of this symbol that are stored."""
        there = sorted({path.parent.name for path in self.folder.parent.glob("*/*.parquet")})
        return f" (only {', '.join(there)})" if there else ""


def cache_root(folder: str | Path | None = None) -> Path:
    """The cache folder: `folder`, else $CONVNEXT_VBT_CACHE, else the user's cache folder."""
    chosen = folder or os.environ.get(ENVIRONMENT)
    if chosen:
        return Path(chosen).expanduser()
    return platformdirs.user_cache_path("convnext-vbt", appauthor=False) / "bars"


def timeframe_step(timeframe: str) -> pd.Timedelta:
    """The length of a bar of "15m", "1h", "1d" or "1w"."""
    match = re.fullmatch(r"([1-9]\d{0,3})([smhdw])", timeframe)
    if match is None:
        raise InputError(
            f"{timeframe!r} is not a timeframe of fixed length; write a number and one of "
            f"{', '.join(UNITS)}, such as 1h (months have no fixed length)"
        )
    return pd.Timedelta(seconds=int(match[1]) * UNITS[match[2]])


def cached_bars(source: str, folder: str | Path | None = None) -> Bars:
    """The stored bars of `ccxt:EXCHANGE:SYMBOL:TIMEFRAME`; the network is never asked.

    Raises `ValueError` for a text of another form and `CacheError` when nothing is stored.
    """
    return store_of(source, folder).bars()


def store_of(source: str, folder: str | Path | None = None) -> BarStore:
    """Where the bars of `ccxt:EXCHANGE:SYMBOL:TIMEFRAME` stand; `ValueError` for another form."""
    _, _, rest = source.partition(":")
    exchange, _, rest = rest.partition(":")
    symbol, _, timeframe = rest.rpartition(":")  # a symbol may hold one: BTC/USDT:USDT
    if not (exchange and symbol and timeframe):
        raise InputError(
            f"source {source!r} is not ccxt:EXCHANGE:SYMBOL:TIMEFRAME; write e.g. {EXAMPLE}"
        )
    root = cache_root(folder)
    return BarStore(exchange=exchange, symbol=symbol, timeframe=timeframe, root=root)


def _safe(name: str) -> str:
    """A name as one path component: no separator, no dot, nothing that a shell or disk minds."""
    return quote(name, safe="").replace(".", "%2E")
