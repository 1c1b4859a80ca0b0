"""How far each split's training is, made known across processes through small files.

Workers share no memory with whoever watches. Each writes its latest look into a file of its own,
whole or not at all; nothing that is trained depends on it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from convnext_vbt.storage import write_text

_TOTAL = "total"


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitStep:
    """A split that is being trained, at its latest look at the loss out of fold."""

    number: int
    step: int
    """Of all networks of an ensemble together, as `steps` is."""
    steps: int
    """At most; training may stop earlier."""
    valid_loss: float
    prior_loss: float
    """What the class frequencies of the training range would score."""


def announce(folder: Path, total: int) -> None:
    """Say how many splits there are, before the first is begun."""
    with contextlib.suppress(OSError):
        write_text(folder / _TOTAL, str(total))


def total_in(folder: Path) -> int:
    """How many splits were announced; 0 until then."""
    try:
        return int((folder / _TOTAL).read_text(encoding="utf-8"))
    except OSError:
        return 0


def step_writer(folder: Path, number: int) -> Callable[[int, int, float, float], None]:
    """A `fitting.Progress` that keeps the split's latest step in `folder`.

    A folder that is gone is no reason to stop training.
    """
    path = folder / f"{number}.json"

    def write(step: int, steps: int, valid_loss: float, prior_loss: float) -> None:
        latest = SplitStep(
            number=number, step=step, steps=steps, valid_loss=valid_loss, prior_loss=prior_loss
        )
        with contextlib.suppress(OSError):
            write_text(path, json.dumps(asdict(latest)))

    return write


def steps_in(folder: Path) -> list[SplitStep]:
    """The latest step of every split that wrote one, by number."""
    found = []
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError):
            found.append(SplitStep(**json.loads(path.read_text(encoding="utf-8"))))
    return sorted(found, key=lambda step: step.number)
