"""What operating systems do differently: locks, open files that are replaced, folders on the disk.

Whatever only one of them has belongs here; ruff bans POSIX's modules elsewhere, and `make lint` has
mypy read the package as Windows would.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import FileLock

logger = logging.getLogger("convnext_vbt")

_PAUSES = (0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.4)
"""Seconds between two attempts to replace a file, one second in all."""


@contextlib.contextmanager
def exclusive(lock_file: Path, on_wait: Callable[[], object] = lambda: None) -> Iterator[bool]:
    """Work while no other process holds `lock_file`, which stays where it is and stays empty.

    Where another process holds it, `on_wait` is called first; what it raises is raised, else this
    waits. The lock is the operating system's, so a killed process gives it back too. On a network
    disk without locks, and where no file can be made, the work goes on without: False is yielded.
    """
    from filelock import FileLock, Timeout  # 50 ms that most commands do without

    # A soft lock would be a mere file, which a killed process leaves behind.
    lock = FileLock(lock_file, poll_interval=0.01, fallback_to_soft=False)
    try:
        held = _acquire(lock, timeout=0)
    except Timeout:
        on_wait()
        held = _acquire(lock, timeout=-1)
    try:
        yield held
    finally:
        lock.release()


def _acquire(lock: FileLock, timeout: float) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        raise
    except OSError as error:
        logger.info("%s cannot be locked (%s)", lock.lock_file, error.strerror or error)
        return False
    return True


def replace_file(new: Path, path: Path) -> None:
    """Rename `new` over `path`; while Windows refuses, because a reader has it open, try again."""
    for pause in _PAUSES:
        try:
            new.replace(path)
        except PermissionError:
            time.sleep(pause)
        else:
            return
    new.replace(path)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk; Windows opens no folder and sees to that itself."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def low_priority() -> None:
    """Let all other processes go first; where a system has no such thing, nothing changes."""
    if hasattr(os, "nice"):
        os.nice(10)
