"""What is seen of a download while it works: a bar on a terminal, lines elsewhere, on stderr."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convnext_vbt.market.download import Page


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
