"""Composes the stages into a run: bars to report, in a directory that can be resumed.

A run is `OUT/<name>-<id8>/`, id8 being a hash of the resolved strategy. Splits of other runs in
OUT are taken over where they are exactly what is needed, so that changing a threshold or a risk
never retrains.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.assessment import gather_evidence
from convnext_vbt.config import Config, DataSection, load_config, parse_config
from convnext_vbt.errors import (
    ConfigError,
    ConvnextVbtError,
    DataError,
    InputError,
    MissingFileError,
)
from convnext_vbt.jsontypes import plain
from convnext_vbt.learning.devices import describe_device, resolve_device
from convnext_vbt.learning.labels import labels_for
from convnext_vbt.learning.training import training_flops
from convnext_vbt.learning.walkforward import SplitDone, available_cores
from convnext_vbt.market.bars import ALWAYS_OPEN, Bars, step_text
from convnext_vbt.market.files import FileReport
from convnext_vbt.market.gaps import closed_weekdays, find_gaps, short_sessions
from convnext_vbt.market.sources import load_report
from convnext_vbt.market.spikes import find_spikes
from convnext_vbt.predictions import CLASSES, Predictions, Target
from convnext_vbt.report.page import write_report
from convnext_vbt.rundir import (
    make_directory,
    read_manifest,
    refuse_other_data,
    run_directory,
    run_log,
    sole_owner,
    update_manifest,
    versions,
    write_manifest,
)
from convnext_vbt.stages import make_sweep, prepare, walk, with_own
from convnext_vbt.storage import sha256_file, write_json, write_sealed, write_text, write_with
from convnext_vbt.summary import strategy_cell, summarize
from convnext_vbt.trading.sweep import SweepResult
from convnext_vbt.userfile import code_sha256

logger = logging.getLogger("convnext_vbt")

FLOPS_A_SECOND = 9e10
"""What one core of a server of 2024 trains at, for the estimate of a dry run and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """A finished run and where it lies."""

    directory: Path
    config: Config
    predictions: Predictions
    result: SweepResult
    metrics: dict[str, Any]

    @property
    def report(self) -> Path:
        """The HTML page."""
        return self.directory / "report.html"


def run(
    config: Config,
    *,
    out: str | Path = "reports",
    jobs: int | None = None,
    device: str = "auto",
    strict: bool = False,
    progress: Callable[[SplitDone], None] | None = None,
    watch: Path | None = None,
) -> Run:
    """Walk forward, sweep and report; whatever is already there and still valid is used again.

    `strict` refuses a data file in which anything had to be changed; else changes are logged.
    `progress` hears of every finished split; in `watch`, an existing folder, those in training tell
    how far they are.

    Raises `ConfigError`, `DataError` or `SplitError`; finished splits stay on disk in any case.
    """
    directory = run_directory(config, out)
    source = _read(config, strict=strict)
    bars, changes = source.bars, [str(change) for change in source.changes]
    stages = prepare(config, bars)
    make_directory(directory)
    where = describe_device(resolve_device(device))
    with _at_work(directory, config, bars, splits=len(stages.splits), device=where):
        for change in changes:
            logger.warning("%s: %s", config.data.source, change)
        refuse_other_data(directory, bars)
        write_text(directory / "config.toml", config.to_toml())
        write_manifest(directory, config, bars, stages.splits, changes=changes)
        predictions = walk(
            config,
            stages,
            directory=directory / "splits",
            siblings=sorted(p for p in directory.parent.glob("*/splits") if p.parent != directory),
            jobs=jobs,
            device=device,
            progress=progress,
            watch=watch,
        )
        predictions.save(directory / "predictions.parquet")
        return _finish(directory, config, bars, predictions, jobs=jobs, device=device)


def walk_forward(
    bars: Bars,
    config: Config | Mapping[str, Any] | str | Path | None = None,
    *,
    directory: str | Path | None = None,
    jobs: int | None = None,
    device: str = "auto",
    progress: Callable[[SplitDone], None] | None = None,
) -> Predictions:
    """Out-of-sample predictions of these bars; `config` is a Config, its dict, a TOML file or None.

    The `[data]` section is not read: the bars are given. With a `directory`, finished splits are
    kept there and used again.
    """
    if config is None:
        config = Config()
    elif isinstance(config, (str, Path)):
        config = load_config(config)
    elif not isinstance(config, Config):
        config = parse_config(dict(config))
    folder = None if directory is None else Path(directory)
    stages = prepare(config, bars)
    return walk(config, stages, directory=folder, jobs=jobs, device=device, progress=progress)


def resweep(directory: str | Path, lists: Mapping[str, Sequence[Any]] | None = None) -> Run:
    """Sweep and report a finished run again, from its predictions: nothing is retrained.

    `lists` replaces lists of the `[sweep]` section, e.g. {"threshold": [0.4, 0.5]}. The result of
    other lists is a run directory of its own beside the old one, which stays as it is.
    """
    old = Path(directory)
    config, bars, predictions = open_run(old)
    document = config.model_dump(mode="json")
    document["sweep"] |= {key: list(values) for key, values in (lists or {}).items()}
    config = parse_config(document, origin="sweep")
    new = run_directory(config, old.resolve().parent if old.name == "" else old.parent)
    if not lists:
        new = old  # whatever its folder is called now
    make_directory(new)
    with _at_work(new, config, bars, swept_from=old.name):
        if new != old:
            refuse_other_data(new, bars)
            write_text(new / "config.toml", config.to_toml())
            _copy_splits(old / "splits", new / "splits")
            predictions.save(new / "predictions.parquet")
            manifest = read_manifest(old)
            manifest |= {"id8": config.id8, "config_sha256": config.sha256, "finished": False}
            manifest["trials"] = None
            write_sealed(new / "manifest.json", manifest)
        return _finish(new, config, bars, predictions)


@contextlib.contextmanager
def _at_work(directory: Path, config: Config, bars: Bars, **facts: Any) -> Iterator[None]:
    """Alone on a run directory, with everything that happens in its log."""
    about = {
        "run": directory.name,
        "config": config.sha256,
        "bars": bars,
        "data": f"{config.data.source}, SHA-256 {bars.fingerprint()}",
        "cores": available_cores(),
    }
    with sole_owner(directory), run_log(directory, about | facts):
        yield


def _copy_splits(old: Path, new: Path) -> None:
    """Copy finished splits, each file whole or not at all and a split's record after its files."""
    new.mkdir(exist_ok=True)
    for path in sorted(old.glob("[0-9]*"), key=lambda path: path.suffix == ".json"):
        write_with(new / path.name, partial(shutil.copyfile, path))


def open_run(directory: str | Path) -> tuple[Config, Bars, Predictions]:
    """The strategy, the bars and the predictions of a finished run, checked against each other."""
    directory = Path(directory)
    count = read_manifest(directory)["data"]["bars"]
    config = load_config(directory / "config.toml")
    bars = read_bars(config)
    refuse_other_data(directory, bars)
    bars = bars.rows(0, count)  # bars that came later belong to a later run
    path = directory / "predictions.parquet"
    try:
        predictions = Predictions.load(path)
    except MissingFileError:
        raise DataError(f"{path} is not there yet; run the strategy to its end first") from None
    except InputError as error:
        raise DataError(str(error)) from error
    if predictions.symbols != bars.symbols or not predictions.index.equals(bars.index):
        raise DataError(f"{path} was made from other bars than {config.data.source}; run again")
    return config, bars, predictions


def read_bars(config: Config, *, strict: bool = False) -> Bars:
    """The bars that `[data]` names; every fault is a `DataError`, every change is logged."""
    source = _read(config, strict=strict)
    for change in source.changes:
        logger.warning("%s: %s", config.data.source, change)
    return source.bars


def _read(config: Config, *, strict: bool) -> FileReport:
    try:
        report = load_report(config.data.source, strict=strict)
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


def _finish(
    directory: Path,
    config: Config,
    bars: Bars,
    predictions: Predictions,
    *,
    jobs: int | None = None,
    device: str = "auto",
) -> Run:
    """Sweep the predictions, judge them, and write everything that follows."""
    result = make_sweep(config, bars, predictions)
    selected = strategy_cell(config, result)
    table = result.metrics.reset_index()
    for column in table.columns[: result.metrics.index.nlevels]:
        if table[column].dtype == object:  # thresholds may be numbers and quantiles
            table[column] = table[column].astype(str)
    write_with(directory / "sweep.parquet", lambda path: table.to_parquet(path, index=False))
    orders = result.simulation(**selected).orders_frame()
    write_with(directory / "orders.parquet", lambda path: orders.to_parquet(path, index=False))
    evidence = gather_evidence(directory, config, result, jobs=jobs, device=device)
    metrics = evidence.to_dict() | summarize(config, result)
    write_json(directory / "metrics.json", metrics)
    write_report(
        result,
        directory / "report.html",
        title=config.name,
        selected=selected,
        provenance=_provenance(config, bars),
        assessment=evidence.assessment,
        baselines=evidence.baselines,
        caveats=evidence.sentences(),
    )
    code = code_sha256(config.rule.file)
    update_manifest(
        directory,
        finished=True,
        cells=len(table),
        rule_code=code,
        metrics_sha256=sha256_file(directory / "metrics.json"),
    )
    logger.info("report: %s", directory / "report.html")
    return Run(
        directory=directory, config=config, predictions=predictions, result=result, metrics=metrics
    )


def _provenance(config: Config, bars: Bars) -> dict[str, str]:
    source = config.data.source
    return {
        "Source": source if isinstance(source, str) else ", ".join(source),
        "Data SHA-256": bars.fingerprint()[:16],
        "Strategy SHA-256": config.sha256[:16],
        "Seed": str(config.seed),
        "Versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }


def plan(
    config: Config,
    *,
    out: str | Path = "reports",
    jobs: int | None = None,
    strict: bool = False,
) -> dict[str, Any]:
    """What `run` would do, without doing it."""
    directory = run_directory(config, out)
    bars = read_bars(config, strict=strict)
    refuse_other_data(directory, bars)
    stages = prepare(config, bars)
    first, lists = stages.splits[0], config.sweep
    cells = len(with_own(lists.threshold, config.rule.threshold)) * len(
        with_own(lists.risk, config.trading.risk)
    )
    for multiples in (lists.stop_multiple, lists.take_profit_multiple, lists.hysteresis or (0,)):
        cells *= len(multiples)
    finished = len(list((directory / "splits").glob("*.json")))
    side_by_side = min(jobs or available_cores(), len(stages.splits))
    seconds = 1.0  # a baseline's
    if config.model.kind == "convnext":
        flops = training_flops(config.model, config.training, len(stages.features.names))
        seconds = flops / FLOPS_A_SECOND
    return {
        "directory": str(directory),
        "splits": len(stages.splits),
        "finished": finished,
        "jobs": side_by_side,
        "minutes": seconds * (len(stages.splits) - finished) / side_by_side / 60,
        "train": first.calibration[1] - first.train[0],
        "test": first.test[1] - first.test[0],
        "purge": config.labels.horizon,
        "features": len(stages.features.names),
        "cells": cells,
        "bars": len(bars),
    }


def _span(bars: Bars, gaps: pd.DataFrame, n: int) -> dict[str, Any]:
    """How many bars a symbol has, from when to when, and what is missing between."""
    index, own = bars.index[bars.present[:, n]], gaps[gaps["symbol"] == bars.symbols[n]]
    return {
        "bars": len(index),
        "first": f"{index[0]:%Y-%m-%d %H:%M}",
        "last": f"{index[-1]:%Y-%m-%d %H:%M}",
        "gaps": len(own),
        "missing_bars": int(own["missing"].sum()),
    }


def check_bars(source: str, *, strict: bool = False) -> dict[str, Any]:
    """What is to be known of bars before they are traded on: reading, gaps, spikes, labels."""
    report = _read(Config(data=DataSection(source=source)), strict=strict)
    bars = report.bars
    gaps, spikes = find_gaps(bars), find_spikes(bars)
    values = labels_for(bars, Target()).values
    shares = {
        symbol: dict(
            zip(CLASSES, np.bincount(known, minlength=3) / max(len(known), 1), strict=True)
        )
        for symbol, known in zip(bars.symbols, (row[row >= 0] for row in values.T), strict=True)
    }
    sessions = bars.days_per_year != ALWAYS_OPEN
    largest = gaps.sort_values(["missing", "start"], ascending=[False, True]).head(5)
    facts: dict[str, Any] = plain(
        {
            "symbols": list(bars.symbols),
            "step": step_text(bars.step),
            "bars": len(bars),
            "first": f"{bars.index[0]:%Y-%m-%d %H:%M}",
            "last": f"{bars.index[-1]:%Y-%m-%d %H:%M}",
            "bars_per_year": bars.bars_per_year,
            "days_per_year": bars.days_per_year,
            "closed_weekdays": closed_weekdays(bars) if sessions else None,
            "short_sessions": short_sessions(bars) if sessions else None,
            "reading": list(report.reading),
            "changes": [{"count": c.count, "what": c.what} for c in report.changes],
            "by_symbol": {name: _span(bars, gaps, n) for n, name in enumerate(bars.symbols)},
            "gaps": len(gaps),
            "missing_bars": int(gaps["missing"].sum()),
            "largest_gaps": largest.to_dict("records"),
            "spikes": len(spikes),
            "largest_spikes": spikes.head(5).to_dict("records"),
            "labels": shares,
        }
    )
    return facts
