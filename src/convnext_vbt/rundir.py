"""A run directory: its manifest, its log, and whether it belongs to these bars.

`OUT/<name>-<id8>/` holds config.toml, manifest.json, splits/, predictions.parquet, sweep.parquet,
orders.parquet, metrics.json, report.html and run.log.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import logging
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from convnext_vbt.config import Config
from convnext_vbt.learning.splits import Splits
from convnext_vbt.market.bars import Bars, step_text
from convnext_vbt.market.gaps import find_gaps
from convnext_vbt.storage import write_json
from convnext_vbt.userfile import code_sha256

logger = logging.getLogger("convnext_vbt")

FORMAT = 1
_PACKAGES = ("convnext-vbt", "torch", "vectorbt", "pandas", "numpy", "numba", "plotly")


class DataError(ValueError):
    """Bars or a run directory that cannot be used; nothing finished was touched."""


def run_directory(config: Config, out: str | Path) -> Path:
    """Where this strategy's run lies."""
    return Path(out) / f"{config.name}-{config.id8}"


def make_directory(directory: Path) -> None:
    """Make the run directory, or say why it cannot be."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{directory} cannot be made ({error.strerror}); give --out a folder you may write to"
        ) from error
    if not os.access(directory, os.W_OK):
        raise DataError(f"{directory} is read-only; give --out a folder you may write to")


def write_manifest(
    directory: Path, config: Config, bars: Bars, splits: Splits, *, changes: Sequence[str] = ()
) -> None:
    """Write what the run is made from, before any work is done.

    `changes` says what had to be changed in the file that the bars come from.

    The trials that were counted for these very bars stay: the same run gives the same page.
    """
    path = directory / "manifest.json"
    gaps, fingerprint, frozen = find_gaps(bars), bars.fingerprint(), None
    with contextlib.suppress(DataError, KeyError, TypeError):
        old = read_json(path)
        frozen = old["trials"] if old["data"]["fingerprint"] == fingerprint else None
    write_json(
        path,
        {
            "format": FORMAT,
            "name": config.name,
            "id8": config.id8,
            "config_sha256": config.sha256,
            "seed": config.seed,
            "finished": False,
            "data": {
                "source": config.data.source,
                "symbols": list(bars.symbols),
                "step": step_text(bars.step),
                "bars": len(bars),
                "first": str(bars.index[0]),
                "last": str(bars.index[-1]),
                "fingerprint": fingerprint,
                "gaps": len(gaps),
                "missing_bars": int(gaps["missing"].sum()),
                "changes": list(changes),
            },
            "versions": versions(),
            "features_code": code_sha256(config.features.file),
            "trials": frozen,
            "splits": [asdict(split) for split in splits],
        },
    )


def update_manifest(directory: Path, **changes: Any) -> None:
    """Change top-level entries of the manifest."""
    write_json(directory / "manifest.json", read_json(directory / "manifest.json") | changes)


def refuse_other_data(directory: Path, bars: Bars) -> None:
    """A run directory goes on with the bars it was made from; later bars may join them.

    Raises `DataError` for other bars or another format. A damaged manifest is only logged: it is
    written anew, and every split is checked by its own hashes.
    """
    path = directory / "manifest.json"
    if not path.is_file():
        return
    try:
        manifest = read_json(path)
        form, known = manifest["format"], manifest["data"]
        count, fingerprint = known["bars"], known["fingerprint"]
    except (DataError, KeyError, TypeError) as error:
        logger.warning("%s is damaged (%s); it is written anew", path, error)
        return
    if form != FORMAT:
        raise DataError(
            f"{directory} was written in format {form}, this version writes {FORMAT}; "
            "move it away and run again"
        )
    if len(bars) < count or bars.fingerprint(count) != fingerprint:
        raise DataError(
            f"{directory} was made from other data: its {count:,} bars from {known['first']} to "
            f"{known['last']} are not the first of these {len(bars):,}; give --out another "
            "folder, or move the old run away"
        )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a run directory; anything else is a `DataError`."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError("not an object")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is damaged ({error}); run the strategy again: finished splits are kept"
        ) from error
    return value


def read_metrics(directory: Path) -> dict[str, Any]:
    """metrics.json of a finished run."""
    if not (directory / "metrics.json").is_file():
        raise DataError(f"{directory} is not a finished run; `convnext-vbt runs` lists them")
    return read_json(directory / "metrics.json")


def list_runs(out: Path) -> list[dict[str, Any]]:
    """What the finished runs in a folder came to, in the order of their names."""
    rows = []
    for path in sorted(out.glob("*/metrics.json")):
        manifest, metrics = read_json(path.with_name("manifest.json")), read_metrics(path.parent)
        rows.append(
            {
                "run": path.parent.name,
                "data": f"{', '.join(manifest['data']['symbols'])} {manifest['data']['step']}",
                "window": " to ".join(when[:10] for when in metrics["window"]),
                "splits": len(manifest["splits"]),
                "cells": metrics["cells"],
                **{name: metrics["headline"][name] for name in ("cagr", "sharpe", "trades")},
                "verdict": metrics["verdict"]["word"],
                "report": str(path.with_name("report.html")),
            }
        )
    return rows


@contextlib.contextmanager
def run_log(directory: Path) -> Iterator[None]:
    """Everything logged while a run is worked on also goes to its run.log."""
    handler = logging.FileHandler(directory / "run.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        yield
    except BaseException as error:
        logger.info("stopped: %s: %s", type(error).__name__, error)
        raise
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a result."""
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in _PACKAGES
    }
