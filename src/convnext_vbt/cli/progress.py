"""What is seen of a run or a download while it works: bars on a terminal, lines elsewhere.

Always on stderr, so that results on stdout can be piped.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from convnext_vbt.learning.walkforward import SplitDone
    from convnext_vbt.learning.watching import SplitStep
    from convnext_vbt.market.download import Page

PREPARING = "reading bars, computing features and labels ..."
JUDGING = "all splits predicted: sweeping, judging, writing the report ..."


@dataclass(slots=True)
class Watcher:
    """What a run reports: `done` is called for each finished split, `folder` is its `watch`."""

    done: Callable[[SplitDone], None] | None = None
    folder: Path | None = None


@contextlib.contextmanager
def watching(*, quiet: bool = False) -> Iterator[Watcher]:
    """Show a run's progress for as long as the context lasts; nothing at all when `quiet`."""
    if quiet:
        yield Watcher()
        return
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield Watcher(done=lambda event: _print_line(console, event))
        return
    from rich.live import Live

    with tempfile.TemporaryDirectory(prefix="convnext-vbt-") as name:
        state = Display(folder=Path(name))

        def done(event: SplitDone) -> None:
            state.finish(event)
            _print_line(console, event)

        with Live(
            console=console, get_renderable=state.render, refresh_per_second=5, transient=True
        ):
            yield Watcher(done=done, folder=state.folder)


def _print_line(console: Console, event: SplitDone) -> None:
    console.print(split_line(event), soft_wrap=True, markup=False)
    if event.done == event.total and not console.is_terminal:
        console.print(JUDGING, soft_wrap=True, markup=False)


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
    """The moving part of a terminal: all splits, and each one that is in training."""

    folder: Path
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
        from convnext_vbt.learning.watching import steps_in, total_in

        if not self.total:
            self.total, self.started = total_in(self.folder), self.clock()
        return [step for step in steps_in(self.folder) if step.number not in self.finished]

    def seconds_left(self, work: float) -> float | None:
        """At the pace so far, of `work` splits done (a fraction for those in training)."""
        trained = work - self.cached
        if trained <= 0:
            return None
        return (self.clock() - self.started) / trained * (self.total - work)

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
            return Text(JUDGING)
        work = len(self.finished) + sum(step.step / step.steps for step in steps)
        line = Table.grid(padding=(0, 1))
        line.add_row(
            f"split {len(self.finished)}/{self.total}",
            ProgressBar(total=self.total, completed=work, width=24),
            f"{work / self.total:.0%}".replace("%", " %"),
            f"eta {clock_text(self.seconds_left(work))}",
        )
        rows = [
            Text(
                f"  split {step.number + 1}  step {step.step}/{step.steps}  "
                f"loss {step.valid_loss:.4f} (base rates {step.prior_loss:.4f})",
                no_wrap=True,
                overflow="ellipsis",
            )
            for step in steps
        ]
        return Group(line, *rows)


@contextlib.contextmanager
def downloading(
    *, quiet: bool = False
) -> Iterator[tuple[Callable[[Page], None] | None, Callable[[str], None]]]:
    """What to call for each page and for each wait; nothing is shown when `quiet`."""
    if quiet:
        yield None, lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)

    def notify(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False)

    if not console.is_terminal or console.is_dumb_terminal:
        shown = -1

        def line(page: Page) -> None:  # a minute's bars come in thousands of pages
            nonlocal shown
            if int(100 * page.share) > shown:
                shown = int(100 * page.share)
                notify(f"{shown:3d} %  {page.text}")

        yield line, notify
        return
    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("asking for the markets ...", total=1)
        yield lambda page: bar.update(task, completed=page.share, description=page.text), notify


def clock_text(seconds: float | None) -> str:
    """Time left as 0:40, 12:05 or 3:07:00; "-:--" when nothing is known yet."""
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
