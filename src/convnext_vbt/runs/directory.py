"""A run directory: its manifest, its log, and whether it belongs to these bars.

`OUT/<name>-<id8>/` holds config.toml, manifest.json, splits/, predictions.parquet, sweep.parquet,
orders.parquet, headline.parquet, headline_orders.parquet, metrics.json, report.html and run.log.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import logging
import os
import platform
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from convnext_vbt.errors import ConfigError, DamagedError, DataError, InputError, WriteError
from convnext_vbt.learning.models import kind_of
from convnext_vbt.learning.models.prior_file import load_prior
from convnext_vbt.learning.splits import Splits
from convnext_vbt.market.bars import Bars, step_text
from convnext_vbt.market.gaps import find_gaps
from convnext_vbt.runs.config import Config, load_written
from convnext_vbt.storage import (
    DIGEST,
    open_seal,
    remove_temporary,
    sha256_file,
    write_sealed,
)
from convnext_vbt.system import exclusive
from convnext_vbt.user_code import code_sha256

logger = logging.getLogger("convnext_vbt")

FORMAT = 1
_PACKAGES = ("convnext-vbt", "torch", "vectorbt", "pandas", "numpy", "numba", "plotly")


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


@contextlib.contextmanager
def sole_owner(directory: Path) -> Iterator[None]:
    """Work on a run directory alone: what a killed owner left half-written is removed.

    Raises `DataError` while another process works on it. The lock is the operating system's, so a
    killed process gives it back too.
    """

    def refuse() -> None:
        raise DataError(
            f"another process is working on {directory}; wait until it is done (the same "
            "command then takes over its splits), or give --out another folder"
        )

    with exclusive(directory / ".lock", on_wait=refuse) as alone:
        if alone:
            remove_temporary(directory)
        yield


def write_manifest(
    directory: Path,
    config: Config,
    bars: Bars,
    splits: Splits,
    *,
    changes: Sequence[str] = (),
    times: str = "",
) -> None:
    """Write what the run is made from, before any work is done.

    `changes` says what had to be changed in the file that the bars come from, `times` whose clock
    its times are on and what they stand for.

    The trials that were counted for these very bars stay: the same run gives the same page.
    """
    path = directory / "manifest.json"
    gaps, fingerprint, frozen = find_gaps(bars), bars.fingerprint(), None
    with contextlib.suppress(DataError, KeyError, TypeError):
        old = read_manifest(directory)
        frozen = old["trials"] if old["data"]["fingerprint"] == fingerprint else None
    write_sealed(
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
                "times": times,
            },
            "versions": versions(),
            "features_code": code_sha256(config.features.file),
            "labels_code": code_sha256(config.labels.file),
            "model_code": code_sha256(config.model.file),
            "primary_code": code_sha256(config.model.primary),
            "prior": _prior_facts(config),
            "trials": frozen,
            "splits": [asdict(split) for split in splits],
        },
    )


def _prior_facts(config: Config) -> dict[str, Any] | None:
    """Which network was trained beforehand, and on what; None where none was."""
    own = config.model.file is not None
    if own or kind_of(config.model.kind).reads(config.model) is None:
        return None
    prior = load_prior(config.model.prior)
    return {"sha256": prior.sha256, "families": list(prior.families)}


def sibling_splits(directory: Path) -> list[Path]:
    """The splits of the other runs beside this one, which may be taken over."""
    found = directory.parent.glob("*/splits")
    return sorted(path for path in found if path.parent != directory)


def update_manifest(directory: Path, **changes: Any) -> None:
    """Change top-level entries of the manifest."""
    write_sealed(directory / "manifest.json", read_manifest(directory) | changes)


def read_manifest(directory: Path) -> dict[str, Any]:
    """A run's manifest, of this format and with every digit in place; else a `DataError`."""
    path = directory / "manifest.json"
    if not path.is_file():
        raise DataError(f"{directory} is not a run directory; `convnext-vbt runs` lists them")
    manifest = read_json(path)
    form = manifest.get("format")
    if isinstance(form, int) and (form != FORMAT or DIGEST not in manifest):
        than = "a newer" if form > FORMAT else "an older"
        known = f"format {form}, this version writes {FORMAT}"
        if form == FORMAT:
            known = "its manifest carries no digest"
        raise DataError(
            f"{directory} was written by {than} version of convnext-vbt ({known}); move it away "
            "and run the strategy again, or read it with the version that made it "
            f"({_made_by(manifest)})"
        )
    try:
        return open_seal(manifest)
    except InputError as error:
        raise DamagedError(
            f"{path} is damaged ({error}); run the strategy again: finished splits are kept"
        ) from error


def _made_by(manifest: dict[str, Any]) -> str:
    made = manifest.get("versions")
    return str(made.get("convnext-vbt", "unknown")) if isinstance(made, dict) else "unknown"


def refuse_other_data(directory: Path, bars: Bars) -> None:
    """A run directory goes on with the bars it was made from; later bars may join them.

    Raises `DataError` for other bars or another format. A damaged manifest is only logged: it is
    written anew, and every split is checked by its own hashes.
    """
    if not (directory / "manifest.json").is_file():
        return
    try:
        known = read_manifest(directory)["data"]
    except DamagedError as error:
        logger.warning("%s", error)
        return
    count, fingerprint = known["bars"], known["fingerprint"]
    if len(bars) < count or bars.fingerprint(count) != fingerprint:
        raise DataError(
            f"{directory} was made from other data: its {count:,} bars from {known['first']} to "
            f"{known['last']} are not the first of these {len(bars):,}; give --out another "
            "folder, or move the old run away"
        )


def read_config(directory: Path) -> Config:
    """The strategy of a run; a `DamagedError` where its file is not what was written."""
    path = directory / "config.toml"
    try:
        return load_written(path)
    except ConfigError as error:
        why = str(error) if path.is_file() else "it is not there"
        raise DamagedError(
            f"{path} is damaged ({why}); run the strategy again: finished splits are kept"
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a run directory; anything else is a `DataError`."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise InputError("not an object")
    except (OSError, ValueError) as error:
        raise DamagedError(
            f"{path} is damaged ({error}); run the strategy again: finished splits are kept"
        ) from error
    return value


def read_metrics(directory: Path) -> dict[str, Any]:
    """metrics.json of a finished run, just as it was written."""
    path = directory / "metrics.json"
    if not path.is_file():
        raise DataError(f"{directory} is not a finished run; `convnext-vbt runs` lists them")
    manifest = read_manifest(directory)
    if not manifest["finished"]:
        raise DataError(
            f"{directory} is not a finished run: it was stopped, or is at work; run the strategy "
            "again, finished splits are kept"
        )
    if manifest["metrics_sha256"] != sha256_file(path):
        raise DamagedError(
            f"{path} is damaged: it does not match its hash; "
            f"`convnext-vbt report {directory}` writes it anew"
        )
    return read_json(path)


def list_runs(out: Path) -> list[dict[str, Any]]:
    """What the finished runs in a folder came to, in the order of their names.

    One that cannot be read is left out, with a warning.
    """
    rows = []
    for path in sorted(out.glob("*/metrics.json")):
        try:
            metrics, manifest = read_metrics(path.parent), read_manifest(path.parent)
        except DataError as error:
            logger.warning("%s", error)
            continue
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
def run_log(directory: Path, facts: Mapping[str, Any]) -> Iterator[None]:
    """Everything logged or warned of while a run is worked on also goes to its run.log.

    Appended to what is there. It begins with the command, `facts` and the versions, and ends with
    how the work ended: done, or the traceback.
    """
    try:
        handler = _RunLog(directory / "run.log", encoding="utf-8")
    except OSError as error:
        raise WriteError.of(directory / "run.log", error) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    logger.addHandler(handler)
    level, shown = logger.level, warnings.showwarning
    logger.setLevel(logging.INFO)

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        handler.handle(logger.makeRecord(
            logger.name, logging.WARNING, "", 0, "%s: %s", (category.__name__, message), None
        ))  # fmt: skip
        shown(message, category, *place, **more)

    warnings.showwarning = show
    try:
        logger.info("---- %s", _without_secrets(" ".join(sys.argv)))
        for name, value in (dict(facts) | versions() | {"platform": platform.platform()}).items():
            logger.info("%s: %s", name, _without_secrets(str(value)))
        yield
        logger.info("done")
    except KeyboardInterrupt:
        logger.info("interrupted")
        raise
    except BaseException as error:
        logger.info("stopped: %s: %s", type(error).__name__, error, exc_info=True)
        raise
    finally:
        warnings.showwarning = shown
        logger.setLevel(level)
        logger.removeHandler(handler)
        with contextlib.suppress(OSError):
            handler.close()


class _RunLog(logging.FileHandler):
    """A log that does not stop the work when its disk is full."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802
        """Say once what cannot be written, and write no more."""
        error = sys.exc_info()[1]
        logger.removeHandler(self)
        logger.warning("%s: no more is written to it (%s)", self.baseFilename, error)


def _without_secrets(text: str) -> str:
    """User names and passwords in addresses are nobody's business."""
    return re.sub(r"//[^/@\s]+@", "//***@", text)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a result."""
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in _PACKAGES
    }
