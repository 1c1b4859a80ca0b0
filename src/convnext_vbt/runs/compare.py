"""Finished runs opened again and compared: nothing is trained, no run is changed."""

from __future__ import annotations

import hashlib
import json
import os
import urllib.parse
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from convnext_vbt.errors import ConfigError, FewTradesWarning, InputError, StillPriceWarning
from convnext_vbt.evidence.comparison import Contender, RunComparison, compare_runs
from convnext_vbt.evidence.headline import deflated, headline_of
from convnext_vbt.runs.config import Config
from convnext_vbt.runs.directory import read_manifest, read_metrics
from convnext_vbt.runs.run import open_run
from convnext_vbt.runs.strategy import make_sweep


def compare_directories(
    directories: Sequence[str | Path], *, anyway: bool = False
) -> RunComparison:
    """Compare the runs in these directories over their common out-of-sample window.

    The first one is what the others are measured against. Raises `ConfigError` for runs on
    different data or costs unless `anyway`, which leaves it to the page to say so, and for runs
    that cannot be compared at all; `DataError` for a directory that is no finished run.
    """
    folders = [Path(directory) for directory in directories]
    for folder in folders:
        read_metrics(folder)  # all are looked at before the first one is worked on
    names = _names(folders)
    contenders = [_contender(*pair) for pair in zip(folders, names, strict=True)]
    try:
        found = compare_runs(contenders)
    except InputError as error:
        raise ConfigError(str(error)) from None
    if found.unequal and not anyway:
        said = "\n".join(found.unequal)
        raise ConfigError(
            f"{said}\nthese runs are not on equal terms; compare others, or give --anyway: the "
            "page then says so"
        )
    return found


def page_path(directories: Sequence[str | Path]) -> Path:
    """Where a comparison is written by default: beside the first run."""
    names = "\0".join(str(Path(directory).resolve()) for directory in directories)
    first = Path(directories[0]).resolve()
    return first.parent / f"compare-{hashlib.sha256(names.encode()).hexdigest()[:8]}.html"


def linked(found: RunComparison, directories: Sequence[str | Path], page: Path) -> RunComparison:
    """The same comparison, each run with the way from `page` to its report."""
    base = page.resolve().parent
    contenders = []
    for one, directory in zip(found.contenders, directories, strict=True):
        report = Path(directory).resolve() / "report.html"
        way = _way(report, base) if report.is_file() else ""
        contenders.append(replace(one, report=way))
    return replace(found, contenders=tuple(contenders))


def _way(report: Path, base: Path) -> str:
    try:
        return f"./{urllib.parse.quote(Path(os.path.relpath(report, base)).as_posix())}"
    except ValueError:  # on another drive of Windows
        return report.as_uri()


def _names(folders: Sequence[Path]) -> list[str]:
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) == len(names):
        return names
    return [str(folder.resolve()) for folder in folders]  # two folders of runs have one alike


def _contender(folder: Path, name: str) -> Contender:
    config, bars, predictions = open_run(folder)
    metrics, manifest = read_metrics(folder), read_manifest(folder)
    with warnings.catch_warnings():  # each run warned of few trades itself
        warnings.simplefilter("ignore", FewTradesWarning)
        warnings.simplefilter("ignore", StillPriceWarning)
        result = make_sweep(config, bars, predictions)
    head = headline_of(result, config.preset)
    return Contender(
        name=name,
        result=result,
        headline=deflated(head, metrics["headline"]["num_trials"]),
        verdict=metrics["verdict"]["word"],
        settings=settings_of(config, manifest["versions"]),
    )


def settings_of(config: Config, versions: Mapping[str, str]) -> dict[str, str]:
    """Every key of a configuration but its name, "section.key", and the versions it ran with."""
    flat: dict[str, str] = {}
    for section, value in config.model_dump(mode="json").items():
        if isinstance(value, dict):
            flat |= {f"{section}.{key}": _text(item) for key, item in value.items()}
        elif section != "name":
            flat[section] = _text(value)
    return flat | {f"version of {name}": version for name, version in versions.items()}


def _text(value: Any) -> str:
    if value is None:
        return "not set"
    return value if isinstance(value, str) else json.dumps(value)
