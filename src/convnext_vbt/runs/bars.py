"""The bars that a strategy file's `[data]` section names."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import pandas as pd

from convnext_vbt.errors import (
    ConfigError,
    ConvnextVbtError,
    DataError,
    InputError,
)
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.detail import Detail, load_detail
from convnext_vbt.market.files import FileReport
from convnext_vbt.market.sources import load_report
from convnext_vbt.runs.config import Config
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.instruments import check_instruments
from convnext_vbt.trading.leaving import leave_rows

logger = logging.getLogger("convnext_vbt")

_CURRENCIES = frozenset(
    (
        "USD", "EUR", "GBP", "JPY", "CHF", "AUD", "CAD", "NZD", "SEK", "NOK", "DKK", "SGD", "HKD",
        "CNH", "MXN", "ZAR", "TRY", "PLN", "CZK", "HUF", "XAU", "XAG",
    )
)  # fmt: skip
_PAIR = re.compile(r"^([A-Z]{3})[/_-]?([A-Z]{3})(?![A-Z])")


def read_bars(config: Config, *, strict: bool = False) -> Bars:
    """The bars that `[data]` names; every fault is a `DataError`, every change is logged."""
    source = read_report(config, strict=strict)
    logger.info("%s: %s", config.data.source, source.times)
    for change in source.changes:
        logger.warning("%s: %s", config.data.source, change)
    return source.bars


def read_report(config: Config, *, strict: bool = False) -> FileReport:
    """The same bars, with how they were read and what was changed; nothing is logged."""
    try:
        report = load_report(
            config.data.source,
            strict=strict,
            timezone=config.data.timezone,
            stamp=config.data.stamp,  # type: ignore[arg-type]  # "" of a list says nothing
        )
    except (ConvnextVbtError, OSError) as error:
        raise DataError(str(error)) from error
    bars = report.bars
    edges = [0, len(bars)]
    for position, key in enumerate(("start", "end")):
        text = getattr(config.data, key)
        if text is None:
            continue
        try:
            when = pd.Timestamp(text)
        except ValueError:
            raise ConfigError(f"[data] {key} = {text!r} is not a date such as 2021-01-01") from None
        when = when.tz_localize("UTC") if when.tz is None else when.tz_convert("UTC")
        edges[position] = int(bars.index.searchsorted(when))
    if edges[1] - edges[0] < 2:
        raise DataError(
            f"no bars between data.start = {config.data.start} and data.end = {config.data.end}; "
            f"{config.data.source} has {bars.index[0]} to {bars.index[-1]}"
        )
    bars = bars.rows(*edges)
    if (detail := read_detail(config, bars, strict=strict)) is not None:
        bars = replace(bars, detail=detail)
    return replace(report, bars=bars)


def read_detail(config: Config, bars: Bars, *, strict: bool = False) -> Detail | None:
    """The finer bars that `[data]` names, inside these bars; None where it names none.

    Every fault is a `DataError`.
    """
    if config.data.detail is None:
        return None
    try:
        return load_detail(
            config.data.detail,
            bars,
            strict=strict,
            timezone=config.data.timezone,
            stamp=config.data.stamp,  # type: ignore[arg-type]  # "" of a list says nothing
        )
    except (ConvnextVbtError, OSError) as error:
        raise DataError(f"data.detail = {config.data.detail}: {error}") from error


def check_account(config: Config, bars: Bars) -> None:
    """Raise `ConfigError` for instruments and times to leave that these bars do not fit."""
    try:
        check_instruments(bars, config.trading.instruments)
        if config.trading.leave_at is not None:
            leave_rows(bars, config.trading.leave_at)
    except InputError as error:
        raise ConfigError(str(error)) from None


def warn_of_costs(config: Config, bars: Bars) -> None:
    """Log where currencies are traded at the default costs, which are a crypto exchange's."""
    usual, trading = SimulationConfig(), config.trading
    pairs = [name for name in bars.symbols if _is_currencies(name)]
    if pairs and (trading.fees, trading.slippage) == (usual.fees, usual.slippage):
        logger.warning(
            "%s: a pair of currencies, and trading.fees = %g and trading.slippage = %g are a "
            "crypto exchange's; set both to what your broker charges, the spread included",
            ", ".join(pairs[:5]),
            usual.fees,
            usual.slippage,
        )


def _is_currencies(symbol: str) -> bool:
    found = _PAIR.match(symbol.upper())
    return found is not None and _CURRENCIES.issuperset(found.groups())
