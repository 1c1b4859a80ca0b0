"""The user's own Python functions, loaded from an explicit path and never from anywhere else."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from convnext_vbt.errors import UserCodeError
from convnext_vbt.storage import sha256_file


@dataclass(slots=True)
class Files:
    """What the user's own code opened, each file once, in the order in which it came."""

    read: dict[str, None] = field(default_factory=dict)
    written: dict[str, None] = field(default_factory=dict)


class _Watch:
    """Where files are noted while the user's own code runs, in whatever thread."""

    files: Files | None = None
    inside = False


_watch = _Watch()
_SYSTEM = (sys.prefix, sys.base_prefix, "/usr/share", "/dev", "/etc", "/proc", "/sys")
_EVENTS = ("open", "sqlite3.connect", "subprocess.Popen")
_CODE = (".py", ".pyc", ".so", ".nbi", ".nbc")
_INSTALLED = (*(str(Path(base).absolute()) for base in _SYSTEM), str(Path(np.__file__).parents[1]))
"""Where Python, its packages and the system's own tables lie."""


@contextmanager
def files_opened() -> Iterator[Files]:
    """Note the files that the user's own code opens, and the programs that it starts.

    Files of Python and of installed packages do not count, nor does Python source.
    """
    _hook_once()
    files, before = Files(), _watch.files
    _watch.files = files
    try:
        with _parquet_noted():
            yield files
    finally:
        _watch.files = before


@contextmanager
def _parquet_noted() -> Iterator[None]:
    """Note the tables that pyarrow reads: it opens them itself, and Python hears nothing of it.

    So does `pandas.read_parquet`, but not `pandas.read_feather` (pandas 3.1, pyarrow 26).
    """
    try:
        from pyarrow import parquet
    except ImportError:
        yield
        return
    read = parquet.read_table

    def noting(source: Any, *args: Any, **kwargs: Any) -> Any:
        _note("open", (source, "r", 0))
        return read(source, *args, **kwargs)

    parquet.read_table = noting
    try:
        yield
    finally:
        parquet.read_table = read


@functools.cache
def _hook_once() -> None:
    sys.addaudithook(_note)  # which nobody can take away again


def _note(event: str, args: tuple[Any, ...]) -> None:
    if event not in _EVENTS or not _watch.inside or _watch.files is None:
        return
    if event == "subprocess.Popen":
        _watch.files.read[f"the program {args[0]}"] = None
        return
    name, mode, flags = args if event == "open" else (args[0], "r+", 0)
    if not isinstance(name, str | bytes | os.PathLike):
        return  # a descriptor that somebody has opened before
    _watch.inside = False  # what is asked here opens nothing of the user's
    try:
        path = Path(os.fsdecode(name)).absolute()
        compiled = path.suffix in _CODE or not {"__pycache__", "numba"}.isdisjoint(path.parts)
        kept = (*_INSTALLED, *filter(None, [os.environ.get("NUMBA_CACHE_DIR")]))
        if compiled or any(path.is_relative_to(base) for base in kept):
            return
        writes = any(c in (mode or "r") for c in "wax+") or bool(flags & (os.O_WRONLY | os.O_RDWR))
        found = _watch.files.written if writes else _watch.files.read
        found[str(path)] = None
    finally:
        _watch.inside = True


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
    reporting_errors(path, str(path), lambda: execute(module))
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise UserCodeError(f"{path} has no function {name!r}; it has {', '.join(known) or 'none'}")

    @functools.wraps(function)
    def wrapped(*args: Any) -> Any:
        return reporting_errors(path, reference, lambda: function(*args))

    return wrapped


def code_sha256(reference: str | None) -> str | None:
    """SHA-256 of the file that "mine.py:function" names; None for no function, or no file."""
    if reference is None:
        return None
    path = user_path(reference)
    return sha256_file(path) if path.is_file() else None


def user_path(reference: str) -> Path:
    """The file that "mine.py:function" names."""
    return Path(reference.rpartition(":")[0]).expanduser()


def reporting_errors(path: Path, what: str, call: Callable[[], Any]) -> Any:
    """Call the user's code; whatever it raises becomes one message with the last line of `path`.

    A library that is called by us alone has no line of the user's: then none is named.
    """
    was_inside, _watch.inside = _watch.inside, True
    try:
        return call()
    except (Exception, SystemExit) as error:  # which would end the command without a word
        own = (str(path), str(path.absolute()))
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename in own]
        line = lines[-1] if lines else getattr(error, "lineno", None)
        at = "" if line is None else f" (line {line})"
        said = " ".join(str(error).split())  # libraries write paragraphs
        raise UserCodeError(f"{what} raised {type(error).__name__}: {said}{at}") from error
    finally:
        _watch.inside = was_inside
