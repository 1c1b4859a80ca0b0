"""What a section of the page is: its words, its charts and what it embeds for the script.

A section `NAME` is a folder of `sections/`: `section.py`, which makes a `Section`, its template
`section.html.j2` and, where something follows the selection, its script `section.js`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convnext_vbt.evidence.views import View
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool

if TYPE_CHECKING:
    import plotly.graph_objects as go

FOLDER = Path(__file__).parent / "sections"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Content:
    """What a section shows of one result; names of charts and data are the page's."""

    context: Mapping[str, Any] = field(default_factory=dict)
    """For its template."""
    figures: Mapping[str, go.Figure] = field(default_factory=dict)
    """Charts that stay as they are; the template has a place for each."""
    frames: Mapping[str, go.Figure] = field(default_factory=dict)
    """Charts without data, which the section's script puts in."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Further JSON for the script; arrays lie in the pool."""


def _always(_: Inputs) -> bool:
    return True


def _nothing(_: View, __: Pool) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Section:
    """One section of the page."""

    name: str
    """Its folder."""
    content: Callable[[Inputs, Pool], Content]
    title: str = ""
    """In the table of contents; empty for what is not in it."""
    in_header: bool = False
    """Whether it stands above the table of contents and the controls."""
    shown: Callable[[Inputs], bool] = _always
    series: Callable[[View, Pool], Mapping[str, Any]] = _nothing
    """What it embeds of the headline's account and of every embedded cell's."""

    @property
    def anchor(self) -> str:
        """The id of its element."""
        return self.name.replace("_", "-")

    @property
    def template(self) -> str:
        """Its template, as `document` finds it."""
        return f"sections/{self.name}/section.html.j2"

    @property
    def script(self) -> str | None:
        """Its script, as `document` finds it; None without one."""
        own = FOLDER / self.name / "section.js"
        return f"sections/{self.name}/section.js" if own.exists() else None
