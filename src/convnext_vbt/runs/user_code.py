"""The user's own Python functions, loaded from an explicit path and never from anywhere else."""

from __future__ import annotations

import functools
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convnext_vbt.errors import UserCodeError
from convnext_vbt.storage import sha256_file


def load_function(reference: str) -> Callable[..., Any]:
    """The function that "mine.py:function" names; the path starts at the working directory.

    An exception inside it is raised again as `UserCodeError` with its file and line, so that a
    strategy author sees his own mistake in one line.
    """
    file, colon, name = reference.rpartition(":")
    path = Path(file).expanduser()
    if not colon or path.suffix != ".py" or not name.isidentifier():
        raise UserCodeError(f'{reference!r}: name a function as "path/to/file.py:function"')
    if not path.is_file():
        raise UserCodeError(f"{path}: no such file (paths start at {Path.cwd()})")
    spec = importlib.util.spec_from_file_location(f"_user_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    execute = spec.loader.exec_module
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and numba look their module up
    _reporting_errors(path, str(path), lambda: execute(module))
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise UserCodeError(f"{path} has no function {name!r}; it has {', '.join(known) or 'none'}")

    @functools.wraps(function)
    def wrapped(*args: Any) -> Any:
        return _reporting_errors(path, reference, lambda: function(*args))

    return wrapped


def code_sha256(reference: str | None) -> str | None:
    """SHA-256 of the file that "mine.py:function" names; None for no function, or no file."""
    if reference is None:
        return None
    path = Path(reference.rpartition(":")[0]).expanduser()
    return sha256_file(path) if path.is_file() else None


def _reporting_errors(path: Path, what: str, call: Callable[[], Any]) -> Any:
    """Call the user's code; whatever it raises becomes one message with its file and line."""
    try:
        return call()
    except (Exception, SystemExit) as error:  # which would end the command without a word
        own = (str(path), str(path.absolute()))
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename in own]
        line = lines[-1] if lines else getattr(error, "lineno", "?")
        raise UserCodeError(
            f"{what} raised {type(error).__name__}: {error} (line {line})"
        ) from error
