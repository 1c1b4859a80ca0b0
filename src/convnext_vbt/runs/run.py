"""Composes the stages into a run: bars to report, in a directory that can be resumed.

A run is `OUT/<name>-<id8>/`, id8 being a hash of the resolved strategy. Splits of other runs in
OUT are taken over where they are exactly what is needed, so that changing a threshold or a risk
never retrains.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from convnext_vbt.errors import (
    DataError,
    InputError,
    MissingFileError,
)
from convnext_vbt.evidence.gathering import Evidence
from convnext_vbt.evidence.headline import headline_rows
from convnext_vbt.learning.devices import describe_device, resolve_device
from convnext_vbt.learning.workers import available_cores
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions
from convnext_vbt.report.page import write_page
from convnext_vbt.runs.bars import read_bars, read_report, warn_of_costs
from convnext_vbt.runs.config import Config, load_config, parse_config
from convnext_vbt.runs.directory import (
    make_directory,
    read_config,
    read_manifest,
    refuse_other_data,
    run_directory,
    run_log,
    sibling_splits,
    sole_owner,
    update_manifest,
    versions,
    write_manifest,
)
from convnext_vbt.runs.evidence import gather_evidence
from convnext_vbt.runs.metrics import network_sentences, strategy_cell, summarize
from convnext_vbt.runs.progress import PREDICTED, Progress, Watcher, watching
from convnext_vbt.runs.strategy import check_rule, check_sweep_of, make_sweep, prepare, walk
from convnext_vbt.storage import (
    sha256_file,
    write_json,
    write_sealed,
    write_text,
    write_with,
)
from convnext_vbt.summary import Summary
from convnext_vbt.trading.sweep import SweepResult
from convnext_vbt.user_code import code_sha256

logger = logging.getLogger("convnext_vbt")


def run_summary(directory: Path, metrics: Mapping[str, Any], report: Path) -> Summary:
    """What a prompt says of a finished run: its verdict, its headline, where its page is."""
    title = f"{directory.name}: {metrics['verdict']['word']}"
    return Summary(title, (*headline_rows(metrics["headline"]), ("report", str(report))))


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Finished:
    """A run's directory and figures, as it is shown."""

    directory: Path
    metrics: dict[str, Any]
    """metrics.json: every figure of the page."""

    def __repr__(self) -> str:
        return str(self._summary())

    def _repr_html_(self) -> str:
        return self._summary().html()

    def _summary(self) -> Summary:
        return run_summary(self.directory, self.metrics, self.report)

    @property
    def report(self) -> Path:
        """The HTML page."""
        return self.directory / "report.html"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Run(Finished):
    """A finished run and where it lies."""

    config: Config
    predictions: Predictions
    result: SweepResult

    @property
    def times(self) -> str:
        """Whose clock the bars' times are on and what they stand for, in one line."""
        return str(read_manifest(self.directory)["data"].get("times", ""))


def run(
    config: Config,
    *,
    out: str | Path = "reports",
    jobs: int | None = None,
    device: str = "auto",
    strict: bool = False,
    progress: Progress = None,
) -> Run:
    """Walk forward, sweep and report; whatever is already there and still valid is used again.

    `strict` refuses a data file in which anything had to be changed; else changes are logged.
    `progress=None` shows how far it is on a terminal and in a notebook, True elsewhere too, a line
    a split, False never; a function is called for every finished split instead.

    Raises `ConfigError`, `DataError` or `SplitError`; finished splits stay on disk in any case.
    """
    with watching(progress) as watcher:
        return _run(config, Path(out), watcher, jobs=jobs, device=device, strict=strict)


def _run(
    config: Config, out: Path, watcher: Watcher, *, jobs: int | None, device: str, strict: bool
) -> Run:
    directory = run_directory(config, out)
    source = read_report(config, strict=strict)
    bars, changes = source.bars, [str(change) for change in source.changes]
    stages = prepare(config, bars)
    where = describe_device(resolve_device(device))
    make_directory(directory)
    with _at_work(directory, config, bars, splits=len(stages.splits), device=where):
        logger.info("%s: %s", config.data.source, source.times)
        for change in changes:
            logger.warning("%s: %s", config.data.source, change)
        warn_of_costs(config, bars)
        refuse_other_data(directory, bars)
        write_text(directory / "config.toml", config.to_toml())
        write_manifest(directory, config, bars, stages.splits, changes=changes, times=source.times)
        predictions = walk(
            config,
            stages,
            directory=directory / "splits",
            siblings=sibling_splits(directory),
            jobs=jobs,
            device=device,
            progress=watcher.done,
            watch=watcher.folder,
            with_paths=True,
        )
        predictions.save(directory / "predictions.parquet")
        return _sweep_and_report(directory, config, bars, predictions, jobs=jobs, device=device)


def walk_forward(
    bars: Bars,
    config: Config | Mapping[str, Any] | str | Path | None = None,
    *,
    directory: str | Path | None = None,
    jobs: int | None = None,
    device: str = "auto",
    progress: Progress = None,
) -> Predictions:
    """Out-of-sample predictions of these bars; `config` is a Config, its dict, a TOML file or None.

    The `[data]` section is not read: the bars are given. With a `directory`, finished splits are
    kept there and used again. `progress` as in `run`.
    """
    if config is None:
        config = Config()
    elif isinstance(config, (str, Path)):
        config = load_config(config)
    elif not isinstance(config, Config):
        config = parse_config(dict(config))
    folder = None if directory is None else Path(directory)
    with watching(progress, last=PREDICTED) as watcher:
        return walk(
            config,
            prepare(config, bars),
            directory=folder,
            jobs=jobs,
            device=device,
            progress=watcher.done,
            watch=watcher.folder,
        )


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
    check_rule(config)
    check_sweep_of(config, bars, predictions)
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
        return _sweep_and_report(new, config, bars, predictions)


@contextlib.contextmanager
def _at_work(directory: Path, config: Config, bars: Bars, **facts: Any) -> Iterator[None]:
    """Own the run directory; everything that happens goes into its log."""
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
    config = read_config(directory)
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
    named = replace(predictions, index=bars.index)  # by the same name, as vectorbt asks of frames
    return config, bars, named


def _sweep_and_report(
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
    evidence = gather_evidence(
        directory, config, result, selected=selected, jobs=jobs, device=device
    )
    orders = evidence.cells.first.orders_frame()
    write_with(directory / "orders.parquet", lambda path: orders.to_parquet(path, index=False))
    _write_headline(directory, evidence)
    metrics = summarize(evidence, selected)
    write_json(directory / "metrics.json", metrics)
    write_page(
        evidence,
        directory / "report.html",
        title=config.name,
        provenance=_provenance(config, bars),
        caveats=network_sentences(evidence),
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


def _write_headline(directory: Path, evidence: Evidence) -> None:
    """The account that is judged, bar by bar, and its orders."""
    orders = evidence.assessment.headline.selection.simulation.orders_frame()
    for name, frame in (("headline", evidence.when.bars), ("headline_orders", orders)):
        write_with(directory / f"{name}.parquet", partial(frame.to_parquet, index=False))


def _provenance(config: Config, bars: Bars) -> dict[str, str]:
    source = config.data.source
    return {
        "Source": source if isinstance(source, str) else ", ".join(source),
        "Data SHA-256": bars.fingerprint()[:16],
        "Strategy SHA-256": config.sha256[:16],
        "Seed": str(config.seed),
        "Versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }
