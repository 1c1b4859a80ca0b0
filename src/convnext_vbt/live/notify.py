"""A command that hears of decisions and refusals; what it makes of them stops nothing."""

from __future__ import annotations

import json
import logging
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from convnext_vbt.errors import ConfigError

SECONDS = 10.0
"""What a command has to hear of one event."""

logger = logging.getLogger("convnext_vbt")

Notify = Callable[[Mapping[str, Any]], bool]


def notifier(command: str | None, *, seconds: float = SECONDS) -> Notify | None:
    """Runs the command once an event, without a shell, with one JSON line on its stdin.

    It gives whether the command returned, whatever with. That it fails, is not there or does not
    end in time is logged. Raises `ConfigError` for a
    command line that cannot be split into words.
    """
    if command is None:
        return None
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"--notify {command!r} is no command line ({error})") from error
    if not words:
        raise ConfigError("--notify needs a command, such as 'python tell.py'")

    def notify(event: Mapping[str, Any]) -> bool:
        try:
            with tempfile.TemporaryFile() as line:  # whole for the command whoever is killed
                line.write(json.dumps(event).encode() + b"\n")
                line.seek(0)
                done = subprocess.run(
                    words, stdin=line, timeout=seconds, check=False,
                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                )  # fmt: skip
        except subprocess.TimeoutExpired:
            logger.warning("--notify %s did not end within %g s; going on", command, seconds)
        except OSError as error:
            logger.warning("--notify %s cannot be run (%s); going on", command, error.strerror)
        else:
            if done.returncode:
                said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
                why = f": {said[0]}" if said else ""
                logger.warning(
                    "--notify %s ended with %d%s; going on", command, done.returncode, why
                )
            return True
        return False

    return notify
