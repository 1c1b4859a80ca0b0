"""One door to bars: files, frames, downloaded bars, simulated markets, arch's own S&P 500."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import Bars, FramesBySymbol, frames_of
from convnext_vbt.market.cache import cached_bars
from convnext_vbt.market.clock import Clock, Stamp, remedy
from convnext_vbt.market.files import FileReport, logged, read_bars, read_file, read_frame
from convnext_vbt.market.simulated import FAMILY, simulated_bars

NAMED = ("simulated", "sp500", "ccxt")
THERE_ARE = (
    'a path to a .csv, .csv.gz, .parquet or .feather file, "simulated" (or '
    '"simulated:seed=7,edge=0,bars=17520"), "sp500" and, once downloaded, '
    '"ccxt:binance:BTC/USDT:1h"'
)


class ArrowTable(Protocol):
    """What is needed of a frame that is no pandas one: pyarrow's tables and polars' frames."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The table as a stream of Arrow's C interface."""


Source = str | Path | FramesBySymbol | pd.DataFrame | ArrowTable


def load_bars(
    source: Source | Sequence[Source],
    *,
    strict: bool = False,
    timezone: str | Sequence[str | None] | None = None,
    stamp: Stamp | Sequence[Stamp | None] | None = None,
) -> Bars:
    """Bars from a path, a named source or a vectorbt data object; from a list of them, one panel.

    - a path to a CSV, zipped CSV, Parquet or Feather file (`market.files`), `~` allowed;
    - `"simulated"` or `"simulated:seed=7,edge=0,bars=17520,symbol=SIM7/USDT"`: hourly bars of a
      simulated market with a planted edge (`market.simulated`);
    - `"sp500"`: real daily S&P 500 bars, 1999 to 2018, which the `arch` package carries;
    - `"ccxt:binance:BTC/USDT:1h"`: what `convnext-vbt download binance BTC/USDT 1h` has stored. The
      network is never asked, so a run gives the same tomorrow;
    - a `vbt.Data` object, such as `vbt.YFData.download(...)` gives;
    - a `DataFrame`, an Arrow table or a polars frame, read with the checks and repairs of a file;
    - a list of these: all of them side by side (`Bars.join`).

    A named source wins over a file of the same name; write `./sp500` for the file. What had to be
    changed in a file (rows sorted, columns ignored, ...) is logged as a warning; `strict` refuses
    such a file. `load_report` returns the changes.

    `timezone` ("America/New_York", "UTC", "+03:00", "America/New_York+7h") is the clock of times
    without an offset, `stamp` says whether they are when bars open or when they close; of several
    sources, one for all or one each. Without them it is what the file says, what is known of the
    vendor whose form it has, or, told as a change, UTC.

    Raises `ValueError` for a source that does not exist and for data that cannot be trusted,
    `FileNotFoundError` for a missing file.

    >>> load_bars("simulated:bars=48")
    Bars(SIM/USDT: 48 bars of 1h, 2022-01-01 00:00 to 2022-01-02 23:00 UTC)
    """
    if isinstance(source, Sequence) and not isinstance(source, str):
        clocks = clocks_of(len(source), timezone, stamp)
        return Bars.join(
            [_load(one, clock, strict=strict) for one, clock in zip(source, clocks, strict=True)]
        )
    return _load(source, *clocks_of(1, timezone, stamp), strict=strict)


def clocks_of(
    count: int,
    timezone: str | Sequence[str | None] | None,
    stamp: Stamp | Sequence[Stamp | None] | None,
) -> list[Clock]:
    """What is said of each of several sources' times: one for all, or one each."""
    zones = _each(count, timezone, "timezone")
    stamps = _each(count, stamp, "stamp")
    return [
        Clock(timezone=zone or None, stamp=one or None)  # type: ignore[arg-type]  # checked there
        for zone, one in zip(zones, stamps, strict=True)
    ]


def _each(count: int, said: str | Sequence[str | None] | None, key: str) -> list[str | None]:
    if said is None or isinstance(said, str):
        return [said] * count
    if not isinstance(said, Sequence) or not all(isinstance(one, str | None) for one in said):
        raise InputError(f"{key} must be a text, or a list of one for each source, got {said!r}")
    if len(said) != count:
        raise InputError(
            f"{key} has {len(said)} value(s) for {count} source(s); give one for all, or one each "
            f'("" where nothing is to be said)'
        )
    return list(said)


def _load(source: Source, clock: Clock, *, strict: bool) -> Bars:
    if isinstance(source, Path):
        return read_bars(source, strict=strict, clock=clock)
    if not isinstance(source, str):
        return logged(type(source).__name__, _frame_report(source, clock, strict=strict))
    name, _, options = source.partition(":")
    if name == "simulated" or source == "sp500" or name == "ccxt":
        _refuse_clock(source, clock)
    if name == "simulated":
        return simulated_bars(**_simulated_options(options))
    if source == "sp500":
        return _sp500()
    if name == "ccxt":
        return cached_bars(source)
    if _is_path(source):
        return read_bars(source, strict=strict, clock=clock)
    raise InputError(
        f"unknown source {source!r}{_did_you_mean(name, NAMED)}; there are {THERE_ARE}"
    )


def _refuse_clock(source: str, clock: Clock) -> None:
    """A source of our own says its clock: another one cannot be meant."""
    if clock not in (Clock(), *(Clock(timezone="UTC", stamp=one) for one in (None, "open"))):
        said = remedy(clock.timezone, clock.stamp)
        raise InputError(
            f"{source} is in UTC and stamped at the bar's open, and {said} is not; delete it"
        )


def _frames(source: Any) -> dict[str | None, Any]:
    """The frames of a source that is no path, each under its symbol; None where it has no name.

    Rows that vectorbt has filled with NaN to align symbols are no rows of theirs.
    """
    if isinstance(source, pd.DataFrame) or hasattr(source, "__arrow_c_stream__"):
        return {None: source}
    frames = frames_of(source)
    several = len(frames) > 1
    return {name: frame.dropna(how="all") if several else frame for name, frame in frames.items()}


def _frame_report(source: Any, clock: Clock, *, strict: bool) -> FileReport:
    reports = {}
    for symbol, frame in _frames(source).items():
        name = f"{type(source).__name__} {symbol}" if symbol else type(source).__name__
        reports[name] = read_frame(frame, symbol, strict=strict, clock=clock, name=name)
    return next(iter(reports.values())) if len(reports) == 1 else _joined(list(reports.items()))


def load_report(
    source: Source | Sequence[Source],
    *,
    strict: bool = False,
    timezone: str | Sequence[str | None] | None = None,
    stamp: Stamp | Sequence[Stamp | None] | None = None,
) -> FileReport:
    """What `load_bars` gives, with how a file was read and all that was changed in it.

    Of several sources every sentence names the file that it speaks of.
    """
    if isinstance(source, Sequence) and not isinstance(source, str):
        clocks = clocks_of(len(source), timezone, stamp)
        reports = [
            _report(one, clock, strict=strict) for one, clock in zip(source, clocks, strict=True)
        ]
        return _joined(list(zip(map(_name, source), reports, strict=True)))
    return _report(source, *clocks_of(1, timezone, stamp), strict=strict)


def _name(source: Any) -> str:
    return str(source) if isinstance(source, (str, Path)) else type(source).__name__


def _joined(reports: Sequence[tuple[str, FileReport]]) -> FileReport:
    """One report of several, in which every sentence names what it speaks of."""
    said = list(dict.fromkeys(report.times for _, report in reports))
    return FileReport(
        bars=Bars.join([report.bars for _, report in reports]),
        reading=tuple(f"{name}: {text}" for name, report in reports for text in report.reading),
        changes=tuple(
            replace(change, what=f"{change.what} in {name}")
            for name, report in reports
            for change in report.changes
        ),
        times=said[0]
        if len(said) == 1
        else "; ".join(f"{name}: {report.times}" for name, report in reports),
    )


def _report(source: Any, clock: Clock, *, strict: bool) -> FileReport:
    if not isinstance(source, (str, Path)):
        return _frame_report(source, clock, strict=strict)
    named = isinstance(source, str) and source.partition(":")[0] in NAMED
    if isinstance(source, Path) or (not named and _is_path(source)):
        return read_file(source, strict=strict, clock=clock)
    return FileReport(bars=_load(source, clock, strict=strict), reading=(), changes=())


def simulated_family(source: str | Path) -> str | None:
    """The family of a simulated market; None for any other source."""
    named = isinstance(source, str) and source.partition(":")[0] == "simulated"
    return FAMILY if named else None


def _is_path(source: str) -> bool:
    """Whether a text means a file: it exists, or is written like one and has no scheme."""
    scheme, colon, _ = source.partition(":")
    has_scheme = bool(colon) and len(scheme) > 1  # a drive letter is none
    exists = bool(source) and Path(source).exists()  # Path("") is the current folder
    return exists or (not has_scheme and ("/" in source or "." in source))


def _simulated_options(text: str) -> dict[str, Any]:
    kinds: dict[str, type] = {"seed": int, "edge": float, "bars": int, "symbol": str}
    options: dict[str, Any] = {}
    for part in filter(None, (item.strip() for item in text.split(","))):
        key, _, value = (item.strip() for item in part.partition("="))
        if key not in kinds:
            raise InputError(
                f"the simulated market has no option {key!r}{_did_you_mean(key, kinds)}; "
                f"there are {', '.join(kinds)}"
            )
        if key in options:
            raise InputError(f"the option {key} is given twice in {text!r}; give it once")
        try:
            options[key] = kinds[key](value)
        except ValueError:
            what = "a whole number" if kinds[key] is int else "a number"
            raise InputError(f"{key} must be {what}, got {value!r}; write {key}=1") from None
    return options


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _sp500() -> Bars:
    """Daily S&P 500 bars, all four prices scaled by adjusted close over close."""
    from arch.data import sp500  # loads scipy's optimisers: not for every import

    table = sp500.load().rename(columns=str.lower)
    prices = ["open", "high", "low", "close"]
    adjustment = table["adj close"] / table["close"]
    table[prices] = table[prices].mul(adjustment, axis=0)
    return Bars.from_frame(table, symbol="SP500")
