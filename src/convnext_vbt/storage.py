"""Files that are either whole or absent, and the hashes that say which is which.

A JSON object may be sealed: it then carries a digest of the rest of it, so that a changed digit is
noticed as surely as a missing brace. `plain` gives values in JSON's own types.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from convnext_vbt.errors import InputError, WriteError
from convnext_vbt.system import replace_file, sync_folder

DIGEST = "digest"


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it into place.

    A reader sees the old file or the new one, never a half; a failed write leaves no trace. The
    file is on the disk before its name is: a power cut leaves the old one or the new one too.
    Raises `WriteError` where the disk is full, read-only or not there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        replace_file(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise WriteError.of(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_temporary(folder: Path) -> None:
    """Remove what writers that were killed left in a folder and below; only for its owner."""
    for path in folder.rglob(".*.tmp"):
        path.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically."""
    write_with(path, lambda temporary: temporary.write_bytes(data))


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys, atomically; NaN is refused (use None)."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object together with a digest of it, atomically."""
    write_json(path, value | {DIGEST: sha256_json(value)})


def open_seal(value: dict[str, Any]) -> dict[str, Any]:
    """What `write_sealed` was given. Raises `ValueError` when a single digit of it has changed."""
    bare = {key: item for key, item in value.items() if key != DIGEST}
    if value.get(DIGEST) != sha256_json(bare):
        raise InputError("its contents do not match their digest")
    return bare


def sha256_json(value: Any) -> str:
    """SHA-256 of a value's canonical JSON text."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plain(value: Any) -> Any:
    """JSON's own types; NaN, which is "undefined" throughout, becomes null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)
