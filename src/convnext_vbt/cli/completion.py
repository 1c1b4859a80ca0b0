"""What a shell's TAB offers: strategy files, run directories, keys of `--set`.

It is asked at every press of the key, so nothing here loads more than it reads.
"""

from __future__ import annotations

import glob
import re
from importlib.resources import files
from pathlib import Path

_SECTION = re.compile(r"^(?:# )?\[([\w.]+)\]")
_KEY = re.compile(r"^(?:# )?(\w+) = ")


def strategy_files(incomplete: str) -> list[str]:
    """TOML files that begin so, in that folder or one below; not `pyproject.toml`."""
    found = _matching(incomplete, "*.toml") + _matching(incomplete, "*/*.toml")
    return sorted(name for name in found if Path(name).name != "pyproject.toml")


def run_directories(incomplete: str) -> list[str]:
    """Folders of runs that begin so, in that folder or one below."""
    found = _matching(incomplete, "*/manifest.json") + _matching(incomplete, "*/*/manifest.json")
    return sorted(name.removesuffix("manifest.json")[:-1] for name in found)


def set_keys(incomplete: str) -> list[str]:
    """Keys of a strategy that begin so, `trading.risk=`, in the order of the commented file."""
    return [f"{key}=" for key in strategy_keys() if key.startswith(incomplete)]


def strategy_keys() -> list[str]:
    """Every key that `convnext-vbt init` writes, set or commented out, with its sections."""
    text = files("convnext_vbt.runs").joinpath("strategy.toml").read_text(encoding="utf-8")
    keys, section = [], ""
    for line in text.splitlines():
        if begins := _SECTION.match(line):
            section = f"{begins[1]}."
        elif key := _KEY.match(line):
            keys.append(section + key[1])
    return keys


def _matching(incomplete: str, pattern: str) -> list[str]:
    return glob.glob(glob.escape(incomplete) + pattern)  # noqa: PTH207 - keeps a typed "./"
