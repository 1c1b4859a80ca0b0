"""What is seen of a run while it works, from the command line and from Python alike.

A terminal shows every split in training, a notebook one line that is drawn anew in place, anything
else a line a split where that is asked for. Always on stderr or in the notebook's cell, so that
results on stdout can be piped.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from convnext_vbt.learning.walkforward import SplitDone
from convnext_vbt.learning.watching import SplitStep, steps_in, total_in

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


PREPARING = "reading bars, computing features and labels ..."
JUDGING = "all splits predicted: sweeping, judging, writing the report ..."
PREDICTED = "all splits predicted"

_NOTEBOOK_SECONDS = 0.5
"""Between two drawings of a notebook's line."""
_STEPS_IN_LINE = 2
"""Splits in training that a notebook's line has room for."""

Progress = bool | Callable[[SplitDone], None] | None
"""True shows it, False does not, None where there is a terminal or a notebook to show it in; a
function is called for each finished split instead."""


@dataclass(slots=True)
class Watcher:
    """What a run reports: `done` is called for each finished split, `folder` is its `watch`."""

    done: Callable[[SplitDone], None] | None = None
    folder: Path | None = None


@contextlib.contextmanager
def watching(progress: Progress = None, *, last: str = JUDGING) -> Iterator[Watcher]:
    """Show a run's progress for as long as the context lasts.

    `last` is what is said when all splits are predicted.
    """
    if callable(progress):
        yield Watcher(done=progress)
    elif progress is False:
        yield Watcher()
    elif in_notebook():
        with _in_a_cell(last) as watcher:
            yield watcher
    else:
        from rich.console import Console

        console = Console(stderr=True, highlight=False)
        if console.is_terminal and not console.is_dumb_terminal:
            with _on_terminal(console, last) as watcher:
                yield watcher
        elif console.is_terminal or progress:
            yield Watcher(done=lambda event: _print_line(console, event, last))
        else:
            yield Watcher()


def in_notebook() -> bool:
    """Whether this is a kernel of Jupyter, Colab, VS Code ... and no IPython in a terminal."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


@contextlib.contextmanager
def _on_terminal(console: Console, last: str) -> Iterator[Watcher]:
    from rich.live import Live

    with tempfile.TemporaryDirectory(prefix="convnext-vbt-") as name:
        state = Display(folder=Path(name), last=last)

        def done(event: SplitDone) -> None:
            state.finish(event)
            _print_line(console, event, last)

        with Live(
            console=console, get_renderable=state.render, refresh_per_second=5, transient=True
        ):
            yield Watcher(done=done, folder=state.folder)


@contextlib.contextmanager
def _in_a_cell(last: str) -> Iterator[Watcher]:
    from IPython.display import display

    with tempfile.TemporaryDirectory(prefix="convnext-vbt-") as name:
        state = Display(folder=Path(name), last=last)
        line = display(state.bundle(), raw=True, display_id=True)  # type: ignore[no-untyped-call]
        over = threading.Event()

        def draw() -> None:
            while not over.wait(_NOTEBOOK_SECONDS):
                line.update(state.bundle(), raw=True)

        drawing = threading.Thread(target=draw, daemon=True)
        drawing.start()
        try:
            yield Watcher(done=state.finish, folder=state.folder)
        finally:
            over.set()
            drawing.join()
            line.update(state.bundle(over=True), raw=True)


def _print_line(console: Console, event: SplitDone, last: str) -> None:
    console.print(split_line(event), soft_wrap=True, markup=False)
    if event.done == event.total and not console.is_terminal:
        console.print(last, soft_wrap=True, markup=False)


def split_line(event: SplitDone) -> str:
    """One finished split in a line: its number, loss out of fold beside that of the base rates."""
    fit = event.fit
    cached = " (from cache)" if event.cached else ""
    learned = "" if fit.learned else "  did not learn"
    return (
        f"split {fit.number + 1} ({event.done}/{event.total})  "
        f"out-of-fold loss {fit.valid_loss:.4f} (base rates {fit.prior_loss:.4f}){learned}{cached}"
    )


@dataclass(slots=True)
class Display:
    """The moving part of a terminal or a notebook: all splits, and each one that is in training."""

    folder: Path
    last: str = JUDGING
    clock: Callable[[], float] = time.monotonic
    total: int = 0
    """Splits; 0 while bars, features and labels are still being made."""
    finished: set[int] = field(default_factory=set)
    cached: int = 0
    started: float = 0.0

    def finish(self, event: SplitDone) -> None:
        """Take a finished split in."""
        self.finished.add(event.fit.number)
        self.cached += event.cached

    def look(self) -> list[SplitStep]:
        """The splits in training, as their files say."""
        if not self.total:
            self.total, self.started = total_in(self.folder), self.clock()
        return [step for step in steps_in(self.folder) if step.number not in self.finished]

    def seconds_left(self, work: float) -> float | None:
        """At the pace so far, of `work` splits done (a fraction for those in training)."""
        trained = work - self.cached
        if trained <= 0:
            return None
        return (self.clock() - self.started) / trained * (self.total - work)

    def words(self, work: float) -> tuple[str, str, str]:
        """How far it is: splits, share of the work, time left."""
        return (
            f"split {len(self.finished)}/{self.total}",
            f"{work / self.total:.0%}".replace("%", " %"),
            f"eta {clock_text(self.seconds_left(work))}",
        )

    def render(self) -> RenderableType:
        """All splits as a bar, then one line for each in training."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        steps = self.look()
        if not self.total:
            return Text(PREPARING)
        if len(self.finished) == self.total:
            return Text(self.last)
        work = self._work(steps)
        splits, share, left = self.words(work)
        line = Table.grid(padding=(0, 1))
        line.add_row(splits, ProgressBar(total=self.total, completed=work, width=24), share, left)
        rows = [Text(f"  {_step_line(step)}", no_wrap=True, overflow="ellipsis") for step in steps]
        return Group(line, *rows)

    def bundle(self, *, over: bool = False) -> dict[str, str]:
        """The same in one line of a notebook, as text and as HTML; `over`: nothing runs any more.

        Colours and fonts are the notebook's own.
        """
        steps = self.look()
        work = self._work(steps)
        if over:
            text = self._outcome()
        elif not self.total:
            text = PREPARING
        elif len(self.finished) == self.total:
            text = self.last
        else:
            more = [f"{len(steps) - _STEPS_IN_LINE} more"] if len(steps) > _STEPS_IN_LINE else []
            shown = map(_step_line, steps[:_STEPS_IN_LINE])
            text = " · ".join((*self.words(work), *shown, *more))
        bar = f'<progress value="{work:.3f}" max="{self.total}"></progress> ' if self.total else ""
        return {"text/plain": text, "text/html": f"<div>{bar}{escape(text)}</div>"}

    def _work(self, steps: list[SplitStep]) -> float:
        return len(self.finished) + sum(step.step / step.steps for step in steps)

    def _outcome(self) -> str:
        if not self.total or len(self.finished) < self.total:
            return f"stopped at split {len(self.finished)}/{self.total or '?'}"
        kept = f", {self.cached} from cache" if self.cached else ""
        return f"{self.total} splits in {clock_text(self.clock() - self.started)}{kept}"


def _step_line(step: SplitStep) -> str:
    return (
        f"split {step.number + 1}  step {step.step}/{step.steps}  "
        f"loss {step.valid_loss:.4f} (base rates {step.prior_loss:.4f})"
    )


def clock_text(seconds: float | None) -> str:
    """Time left as 0:40, 12:05 or 3:07:00; "-:--" when nothing is known yet."""
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
