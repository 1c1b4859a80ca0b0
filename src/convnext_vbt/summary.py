"""What a prompt and a notebook show of a result: a title and the few figures one asks for first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

NAMES_SHOWN = 3
_LEFT = "text-align:left"


@dataclass(frozen=True, slots=True)
class Summary:
    """A title and rows of (what it is, what it comes to)."""

    title: str
    rows: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """One line each, the values under each other."""
        width = max((len(label) for label, _ in self.rows), default=0)
        return "\n".join(
            (self.title, *(f"  {label:<{width}}  {value}" for label, value in self.rows))
        )

    def html(self) -> str:
        """The same as a table, in the notebook's own colours and fonts, whatever its theme."""
        rows = "".join(
            f'<tr><th style="{_LEFT}">{escape(label)}</th>'
            f'<td style="{_LEFT}">{escape(value)}</td></tr>'
            for label, value in self.rows
        )
        return (
            f'<table><caption style="{_LEFT};caption-side:top;color:inherit;white-space:nowrap">'
            f"<b>{escape(self.title)}</b></caption>{rows}</table>"
        )


def number(value: Any, form: str) -> str:
    """`value` by `form`; n/a where it is undefined: None or NaN."""
    return "n/a" if value is None or value != value else form.format(value)


def listed(names: Sequence[Any]) -> str:
    """The names, or the first of them and how many more there are."""
    shown = ", ".join(map(str, names[:NAMES_SHOWN]))
    more = len(names) - NAMES_SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown


def span(index: pd.DatetimeIndex) -> str:
    """First and last time, UTC."""
    if not len(index):
        return "no bars"
    return f"{index[0]:%Y-%m-%d %H:%M} to {index[-1]:%Y-%m-%d %H:%M} UTC"
