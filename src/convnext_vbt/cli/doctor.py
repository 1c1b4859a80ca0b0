"""What a bug report needs: versions, engine, device, cores, the kernel cache and the disk."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numba
import torch
from numba.core import config as numba_config

import convnext_vbt
from convnext_vbt.learning.devices import describe_device, resolve_device
from convnext_vbt.learning.workers import available_cores
from convnext_vbt.runs.directory import versions

_OPTIONAL = ("vectorbt-rust", "ccxt", "dask", "distributed", "ray")


def diagnose() -> dict[str, Any]:
    """What this machine would run with; nothing is written but a file that is removed at once."""
    optional = {name: found for name in _OPTIONAL if (found := _version(name))}
    return {
        **versions(),
        **optional,
        "platform": platform.platform(),
        "vectorbt engine": "rust" if find_spec("vectorbt_rust") else "numba",
        "device": describe_device(resolve_device("auto")),
        "cores": available_cores(),
        "threads": {"torch": torch.get_num_threads(), "numba": numba.get_num_threads()},
        "numba cache": numba_cache(),
        "free disk": {"folder": str(Path.cwd()), "bytes": shutil.disk_usage(Path.cwd()).free},
    }


def numba_cache() -> dict[str, Any]:
    """Where numba keeps compiled kernels, whether it can, and how many of ours are there."""
    package = Path(convnext_vbt.__file__).parent
    if numba_config.CACHE_DIR:
        folder = Path(numba_config.CACHE_DIR)
        writable = os.access(_existing(folder), os.W_OK)
        kept = list(folder.glob("*/*.nbi")) if folder.is_dir() else []
    else:
        folder = package
        writable = os.access(package, os.W_OK)
        kept = list(package.rglob("__pycache__/*.nbi"))
    return {"folder": str(folder), "writable": writable, "kernels": len(kept)}


def lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts as rows of a table, (name, value)."""
    cache, disk, threads = facts["numba cache"], facts["free disk"], facts["threads"]
    state = "writable" if cache["writable"] else "NOT writable: every process compiles anew"
    return [
        *((name, str(value)) for name, value in facts.items() if not isinstance(value, dict)),
        ("threads", ", ".join(f"{name} {count}" for name, count in threads.items())),
        ("numba cache", f"{cache['folder']} ({cache['kernels']} kernels, {state})"),
        ("free disk", f"{disk['bytes'] / 1e9:.1f} GB at {disk['folder']}"),
    ]


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
