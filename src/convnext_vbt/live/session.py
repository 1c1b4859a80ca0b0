"""A live session: a run, the bars that it decides on and the account that it decides for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from convnext_vbt.errors import ConfigError
from convnext_vbt.live.account import Account, Holding, Limits
from convnext_vbt.live.clock import check_fresh, finished_bars, utc_now, when
from convnext_vbt.live.decision import Decisions, decide
from convnext_vbt.live.feeds import Feeds, open_feeds
from convnext_vbt.live.plan import trading_of
from convnext_vbt.live.resting import expired, placed_at
from convnext_vbt.live.trained import Trained, difference_from_backtest, open_trained, same_market
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.sources import NAMED
from convnext_vbt.runs.bars import read_bars
from convnext_vbt.runs.config import Config, DataSection

__all__ = ["Limits", "Session", "open_session", "time_of"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Session:
    """A run, a source of bars, and the account."""

    trained: Trained
    source: str | tuple[str, ...]
    symbol: str | None
    """The run's name for the only symbol of the source; None: the source's names are the run's."""
    account: Account
    limits: Limits
    placed: Mapping[str, pd.Timestamp]
    """By symbol, the bar whose decision placed an entry by limit of which no fill is known."""
    feeds: Feeds

    def bars(self, now: pd.Timestamp, *, replay: bool = False) -> tuple[Bars, list[str]]:
        """The finished bars of the source, read anew, and notes on those that are not.

        A bar that had not closed when its file was written was not finished then, whatever the
        clock says by now.
        """
        seen = now if replay else min([now, *_written(self.source)])
        bars = read_bars(Config(data=self._section()))
        return finished_bars(same_market(self.trained, bars, self.symbol), seen, replay=replay)

    def _section(self) -> DataSection:
        """The source, on the clock of the run's own where it is a file or several as there."""
        data = self.trained.config.data
        if self.source == data.source:
            return replace(data, start=None, end=None, detail=None)
        apart = not isinstance(self.source, str) or self.source.partition(":")[0] in NAMED
        clocks = (data.timezone, data.stamp)
        if apart or any(isinstance(said, tuple) for said in clocks):
            return DataSection(source=self.source)
        return DataSection(source=self.source, timezone=data.timezone, stamp=data.stamp)

    def decide(self, bars: Bars, now: pd.Timestamp) -> Decisions:
        """The decision at the close of the last of these bars, unless it is stale."""
        check_fresh(bars, now)
        for name, held in self.account.held.items():
            if held.entered is not None and held.entered > now:
                raise ConfigError(
                    f"--entered {when(held.entered)}, for {name}, lies after {when(now)}; give "
                    "the time of the fill"
                )
        difference = difference_from_backtest(self.trained, bars)
        account = self._with_placed(bars)
        return decide(self.trained, bars, account, limits=self.limits, difference=difference)

    def _with_placed(self, bars: Bars) -> Account:
        """The account with what rests by now; raises `ConfigError` for what does not any more."""
        trading = trading_of(self.trained.config.trading, bars.symbols, self.limits)
        resting, told = {}, {}
        for name, said in self.placed.items():
            n = bars.symbols.index(name)
            fate, order, at = placed_at(self.trained, bars, n, said, trading)
            if fate == "filled":
                raise ConfigError(
                    f"--placed {when(said)}: the bar of {when(at)} traded through the "
                    f"{order.name}, which fills it; give --position and --entered "
                    f"{at:%Y-%m-%dT%H:%M}"
                )
            if fate == "rests":
                resting[name] = order
            else:
                told[name] = expired(order)
        return replace(self.account, resting=resting, told=told)

    def look(self, as_of: pd.Timestamp | None) -> tuple[Decisions, list[str]]:
        """The decision now, or as it would have been at a time of the past.

        What a `ccxt:` source lacks is fetched for the decision now; the past is what is stored.
        """
        if as_of is None:
            self.feeds.fetch()
        now = utc_now() if as_of is None else as_of
        bars, notes = self.bars(now, replay=as_of is not None)
        return self.decide(bars, now), notes


def open_session(
    directory: str | Path,
    *,
    source: Sequence[str] = (),
    symbol: str | None = None,
    equity: float | None = None,
    positions: Sequence[str] = (),
    entered: Sequence[str] = (),
    placed: Sequence[str] = (),
    limits: Limits | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> Session:
    """Read the run; without `source` its own, without `equity` its strategy's initial cash.

    `positions` and `entered` are "0.5" and "2025-01-31T12:00" for a run of one symbol, else
    "SYMBOL=0.5" and so on for each that is held; `placed` likewise for each whose entry rests.
    `notify` hears of new bars being fetched, and of
    what a watch waits for.
    """
    trained = open_trained(directory)
    config, symbols = trained.config, trained.predictions.symbols
    since, rests = (
        {name: time_of(text, option) for name, text in _by_symbol(texts, symbols, option).items()}
        for texts, option in ((entered, "--entered"), (placed, "--placed"))
    )
    held = {
        name: Holding(units=_units(text), entered=since.pop(name, None))
        for name, text in _by_symbol(positions, symbols, "--position").items()
    }
    if since:
        raise ConfigError(f"--entered {', '.join(since)}: give its --position too")
    if both := [name for name in rests if name in held and held[name].side]:
        raise ConfigError(
            f"--placed {', '.join(both)}: it is held, so its entry was filled; leave --placed out"
        )
    chosen = tuple(source) if len(source) > 1 else source[0] if source else config.data.source
    return Session(
        trained=trained,
        source=chosen,
        symbol=symbol,
        account=Account(equity=config.trading.init_cash if equity is None else equity, held=held),
        limits=limits or Limits(),
        placed={name: time for name, time in rests.items() if time is not None},
        feeds=open_feeds((chosen,) if isinstance(chosen, str) else chosen, notify),
    )


def time_of(text: str | None, option: str) -> pd.Timestamp | None:
    """A time on the command line, UTC unless it says otherwise; None stays None."""
    if text is None:
        return None
    time = pd.to_datetime(text, errors="coerce")
    if not isinstance(time, pd.Timestamp):  # NaT is none
        raise ConfigError(f"{option} {text!r} is not a time such as 2025-01-31T12:00")
    return time.tz_localize("UTC") if time.tz is None else time.tz_convert("UTC")


def _written(source: str | tuple[str, ...]) -> list[pd.Timestamp]:
    """When the files among the sources were written."""
    sources = (source,) if isinstance(source, str) else source
    files = (Path(one).expanduser() for one in sources)
    return [
        pd.Timestamp(path.stat().st_mtime, unit="s", tz="UTC") for path in files if path.is_file()
    ]


def _by_symbol(texts: Sequence[str], symbols: tuple[str, ...], option: str) -> dict[str, str]:
    """Values by symbol from "SYMBOL=VALUE", or from "VALUE" alone where there is one symbol."""
    found = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        name = symbols[0] if not equals and len(symbols) == 1 else name
        if name not in symbols or name in found:
            form = "VALUE" if len(symbols) == 1 else f"{symbols[0]}=VALUE, once for each held"
            raise ConfigError(
                f"{option} {text!r}: the run trades {', '.join(symbols)}; write {option} {form}"
            )
        found[name] = value
    return found


def _units(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"--position {text!r} is not a number of units") from None
