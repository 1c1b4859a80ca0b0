"""The next network, trained in the background while a live session goes on.

It is the run itself, gone on with over the bars that its source has by now: finished splits come
from their cache, only the next one is trained, and the rule is chosen for it, so that it is bit for
bit what `convnext-vbt run` makes of the longer data.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from convnext_vbt.errors import DataError
from convnext_vbt.live.clock import when
from convnext_vbt.runs.bars import read_bars
from convnext_vbt.runs.config import Config
from convnext_vbt.runs.directory import read_config, read_manifest, run_directory
from convnext_vbt.system import low_priority

_MAIN = "import sys; from convnext_vbt.live.retrain import go_on_with; go_on_with(sys.argv[1])"


@dataclass(slots=True, kw_only=True, eq=False)
class Training:
    """A run that is gone on with in a process of its own; one at a time."""

    directory: Path
    _process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def is_running(self) -> bool:
        """Whether it is at work."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Begin, at a low priority; what it says is in the run's own log."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, str(self.directory)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def finish(self) -> None:
        """Wait for its end. Raises `DataError` when it failed."""
        code = 0 if self._process is None else self._process.wait()
        self._process = None
        if code:
            raise DataError(
                f"the next network could not be trained (exit code {code}); "
                f"{self.directory / 'run.log'} says why"
            )

    def stop(self) -> None:
        """End it; finished splits are kept."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


def go_on_with(directory: str) -> None:
    """Run the strategy of a run directory again over what its source has now."""
    low_priority()
    from convnext_vbt.runs.run import run

    folder = Path(directory).resolve()
    run(read_config(folder), out=folder.parent, jobs=1, progress=False)


def refuse_retraining(
    directory: Path,
    config: Config,
    source: str | Sequence[str],
    now: pd.Timestamp,
    *,
    renamed: bool,
) -> None:
    """Raise `DataError` where the run's own bars do not go on, so that it cannot either.

    A run takes every bar that its source has: one that has not closed would be its own for good.
    """
    again = "run the strategy again on the longer data, and start `live` on that run"
    if renamed or source != config.data.source:
        raise DataError(
            f"no next network is trained: the run was made from {config.data.source}, and this "
            f"session reads {source}, by which the run's own bars do not grow; {again}"
        )
    if config.data.end is not None:
        raise DataError(
            f"no next network is trained: data.end = {config.data.end} keeps later bars out of "
            f"the run; {again}"
        )
    bars = read_bars(config)
    if bars.index[-1] + bars.step > now:
        raise DataError(
            f"no next network is trained: {config.data.source} has the bar of "
            f"{when(bars.index[-1])} already, which has not closed, and a run takes every bar; "
            f"leave unfinished bars out of the file, or {again}"
        )
    own = run_directory(config, directory.resolve().parent)
    if own != directory.resolve():
        raise DataError(
            f"no next network is trained: {directory} is not called {own.name} any more, so a "
            f"run would not go on there; rename it, or {again}"
        )


def is_unfinished(directory: Path) -> bool:
    """Whether a run was stopped on its way, as a training that is killed leaves it."""
    return not read_manifest(directory)["finished"]
