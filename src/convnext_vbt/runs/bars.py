"""The bars that a strategy file's `[data]` section names."""

from __future__ import annotations

import logging
from dataclasses import replace

import pandas as pd

from convnext_vbt.errors import (
    ConfigError,
    ConvnextVbtError,
    DataError,
)
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.files import FileReport
from convnext_vbt.market.sources import load_report
from convnext_vbt.runs.config import Config

logger = logging.getLogger("convnext_vbt")


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
    return replace(report, bars=bars.rows(*edges))
