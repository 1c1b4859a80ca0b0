"""One door to bars: a file, downloaded bars, a simulated market, the S&P 500 that arch carries."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import Bars, FramesBySymbol
from convnext_vbt.market.cache import cached_bars
from convnext_vbt.market.files import FileReport, read_bars, read_file
from convnext_vbt.market.simulated import FAMILY, simulated_bars

NAMED = ("simulated", "sp500", "ccxt")
THERE_ARE = (
    'a path to a .csv, .csv.gz, .parquet or .feather file, "simulated" (or '
    '"simulated:seed=7,edge=0,bars=17520"), "sp500" and, once downloaded, '
    '"ccxt:binance:BTC/USDT:1h"'
)


def load_bars(
    source: str | Path | FramesBySymbol | Sequence[str | Path | FramesBySymbol],
    *,
    strict: bool = False,
) -> Bars:
    """Bars from a path, a named source or a vectorbt data object; from a list of them, one panel.

    - a path to a CSV, zipped CSV, Parquet or Feather file (`market.files`), `~` allowed;
    - `"simulated"` or `"simulated:seed=7,edge=0,bars=17520,symbol=SIM7/USDT"`: hourly bars of a
      simulated market with a planted edge (`market.simulated`);
    - `"sp500"`: real daily S&P 500 bars, 1999 to 2018, which the `arch` package carries;
    - `"ccxt:binance:BTC/USDT:1h"`: what `convnext-vbt download binance BTC/USDT 1h` has stored. The
      network is never asked, so a run gives the same tomorrow;
    - a `vbt.Data` object, such as `vbt.YFData.download(...)` gives (`Bars.from_data`);
    - a list of these: all of them side by side (`Bars.join`).

    A named source wins over a file of the same name; write `./sp500` for the file. What had to be
    changed in a file (rows sorted, columns ignored, ...) is logged as a warning; `strict` refuses
    such a file. `load_report` returns the changes.

    Raises `ValueError` for a source that does not exist and for data that cannot be trusted,
    `FileNotFoundError` for a missing file.

    >>> load_bars("simulated:bars=48")
    Bars(SIM/USDT: 48 bars of 1h, 2022-01-01 00:00 to 2022-01-02 23:00 UTC)
    """
    if isinstance(source, Path):
        return read_bars(source, strict=strict)
    if isinstance(source, Sequence) and not isinstance(source, str):
        return Bars.join([load_bars(one, strict=strict) for one in source])
    if not isinstance(source, str):
        return Bars.from_data(source)
    name, _, options = source.partition(":")
    if name == "simulated":
        return simulated_bars(**_simulated_options(options))
    if source == "sp500":
        return _sp500()
    if name == "ccxt":
        return cached_bars(source)
    if _is_path(source):
        return read_bars(source, strict=strict)
    raise InputError(
        f"unknown source {source!r}{_did_you_mean(name, NAMED)}; there are {THERE_ARE}"
    )


def load_report(source: str | Path | Sequence[str | Path], *, strict: bool = False) -> FileReport:
    """What `load_bars` gives, with how a file was read and all that was changed in it.

    Of several sources every sentence names the file that it speaks of.
    """
    if not isinstance(source, (str, Path)):
        reports = [load_report(one, strict=strict) for one in source]
        return FileReport(
            bars=Bars.join([report.bars for report in reports]),
            reading=tuple(
                f"{one}: {text}"
                for one, report in zip(source, reports, strict=True)
                for text in report.reading
            ),
            changes=tuple(
                replace(change, what=f"{change.what} in {one}")
                for one, report in zip(source, reports, strict=True)
                for change in report.changes
            ),
        )
    named = isinstance(source, str) and source.partition(":")[0] in NAMED
    if isinstance(source, Path) or (not named and _is_path(source)):
        return read_file(source, strict=strict)
    return FileReport(bars=load_bars(source), reading=(), changes=())


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
