"""A live session laid over its run's backtest, as one HTML file.

It is handed plain times and numbers; what they are is found by `live.review`. Dimensions: T closes.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convnext_vbt import __version__
from convnext_vbt.report import layout, payload
from convnext_vbt.report.document import render_document
from convnext_vbt.storage import write_text

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_SYMBOLS = 6
"""Of which prices and fills are drawn."""
STYLES = {
    "shadow account": (layout.BLUE, "solid", 2.2),
    "backtest": (layout.ORANGE, "dash", 1.8),
    "real account": (layout.GREEN, "dot", 2.0),
}
"""How each account is drawn: colour, dash and width of its line."""
_MARKS = {"shadow account": "", "backtest": "-open", "real account": "-open-dot"}
_SIZES = {"shadow account": 8, "backtest": 13, "real account": 10}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """One account over time; its name is one of `STYLES`."""

    name: str
    times: np.ndarray
    """datetime64 (T,), UTC."""
    growth: np.ndarray
    """float64 (T,): of 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Marks:
    """The fills of one account in one symbol."""

    name: str
    times: np.ndarray
    prices: np.ndarray
    bought: np.ndarray
    """bool."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Price:
    """One symbol's closes and what was filled over them."""

    symbol: str
    times: np.ndarray
    close: np.ndarray
    fills: tuple[Marks, ...]


Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Heads, and rows of text."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiveView:
    """Everything that the page shows."""

    run: str
    title: str
    when: str
    sentences: tuple[str, ...]
    """What it came to."""
    lines: tuple[Line, ...]
    difference: Line | None
    """The shadow account's growth over the backtest's, less one, at common closes."""
    prices: tuple[Price, ...]
    totals: Table | None
    """Of the reconciliation; None where no fills were told of."""
    matches: Table | None
    closes: Table
    is_simulated: bool


def write_live_page(view: LiveView, path: str | Path) -> Path:
    """Write the page and give its path; the same view gives the same bytes."""
    path = Path(path)
    write_text(path, render_live_page(view))
    return path


def render_live_page(view: LiveView) -> str:
    """The page of `write_live_page` as text."""
    shown = view.prices[:MOST_SYMBOLS]
    figures = {"growth": payload.figure_json(growth_figure(view))}
    figures |= {
        f"price-{k}": payload.figure_json(price_figure(price)) for k, price in enumerate(shown)
    }
    return render_document(
        "live.html.j2",
        scripts=("tables.js", "charts.js", "compare.js"),
        data={"figures": figures, "dark": layout.DARK},
        title=view.title,
        when=view.when,
        run=view.run,
        sentences=view.sentences,
        simulated=view.is_simulated,
        symbols=[price.symbol for price in shown],
        left_out=len(view.prices) - len(shown),
        totals=view.totals,
        matches=view.matches,
        closes=view.closes,
        signature=f"Written by convnext-vbt {__version__}. Nothing here was sent to an exchange.",
    )


def growth_figure(view: LiveView) -> go.Figure:
    """Growth of 1 of every account, below it the shadow account over the backtest in bp."""
    from plotly.subplots import make_subplots

    out = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.06
    )
    for line in view.lines:
        colour, dash, width = STYLES[line.name]
        out.add_scatter(
            x=line.times, y=line.growth, name=line.name, mode="lines",
            line={"color": colour, "dash": dash, "width": width}, hovertemplate="%{y:.4f}",
            row=1, col=1,
        )  # fmt: skip
    if view.difference is not None:
        out.add_scatter(
            x=view.difference.times, y=view.difference.growth * 1e4, name="shadow over backtest",
            mode="lines", line={"color": layout.INK, "width": 1.2}, showlegend=False,
            hovertemplate="%{y:.2f} bp", row=2, col=1,
        )  # fmt: skip
    return layout.lay_out(
        out, 440, bottom=44,
        every_x={"type": "date", "gridcolor": layout.GRID, "zeroline": False},
        every_y={"gridcolor": layout.GRID, "zeroline": False, "fixedrange": True},
        yaxis={"title": {"text": "growth of 1"}},
        yaxis2={"title": {"text": "difference, bp"}, "zeroline": True,
                "zerolinecolor": layout.MUTED},
        hovermode="x unified",
        legend={"orientation": "h", "y": 1.06, "yanchor": "bottom", "x": 0},
    )  # fmt: skip


def price_figure(price: Price) -> go.Figure:
    """Closes with each account's fills: up triangles bought, down triangles sold."""
    import plotly.graph_objects as go

    out = go.Figure()
    out.add_scatter(
        x=price.times, y=price.close, name="close", mode="lines",
        line={"color": layout.MUTED, "width": 1.1}, hovertemplate="%{y:,.6~g}", connectgaps=False,
    )  # fmt: skip
    for marks in price.fills:
        colour = STYLES[marks.name][0]
        for side, chosen, shape in (
            ("bought", marks.bought, "triangle-up"),
            ("sold", ~marks.bought, "triangle-down"),
        ):
            label = f"{marks.name}: {side}"
            out.add_scatter(
                x=marks.times[chosen], y=marks.prices[chosen], name=label, mode="markers",
                marker={"symbol": shape + _MARKS[marks.name], "color": colour,
                        "size": _SIZES[marks.name]},
                hovertemplate=f"{html.escape(label)} %{{y:,.6~g}}<extra></extra>",
            )  # fmt: skip
    return layout.lay_out(
        out, 340, bottom=44,
        hovermode="closest",
        xaxis={"type": "date", "gridcolor": layout.GRID, "zeroline": False},
        yaxis={"title": {"text": f"price, {html.escape(price.symbol)}"}, "gridcolor": layout.GRID,
               "zeroline": False, "fixedrange": True},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
