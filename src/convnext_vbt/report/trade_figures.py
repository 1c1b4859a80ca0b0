"""Figures of an account in time and of its trades: price, rolling ratio, months, excursions.

Each trace's `meta` names what the page's script puts into it for another cell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convnext_vbt.report.layout import BLUE, DIVERGING, GRID, INK, MUTED, ORANGE, RED, SKY, lay_out

if TYPE_CHECKING:
    import plotly.graph_objects as go

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MAX_MARKERS = 2_000
MAX_EXCURSIONS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How one kind of fill is drawn over the price: by shape as well as by colour."""

    name: str
    label: str
    symbol: str
    colour: str


MARKS = (
    Mark(name="long", label="long entry", symbol="triangle-up", colour=BLUE),
    Mark(name="short", label="short entry", symbol="triangle-down", colour=RED),
    Mark(name="won", label="exit with a profit", symbol="circle-open", colour=INK),
    Mark(name="lost", label="exit with a loss", symbol="x-thin", colour=INK),
)


def price_figure(
    times: np.ndarray,
    close: np.ndarray,
    fills: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    quote: str,
) -> go.Figure:
    """Closes (T,) over `times` (datetime64) with fills, (times, prices) by the names of `MARKS`.

    At most 2,000 of each kind of fill are drawn, evenly spaced; the page draws those in view.
    """
    import plotly.graph_objects as go

    out = go.Figure()
    out.add_scatter(
        x=times, y=close, name="close", meta="close", mode="lines",
        line={"color": MUTED, "width": 1.1}, hovertemplate="%{y:,.6~g}", connectgaps=False,
    )  # fmt: skip
    for mark in MARKS:
        x, y = fills.get(mark.name, (times[:0], close[:0]))
        every = max(1, -(-len(x) * len(MARKS) // MAX_MARKERS))
        out.add_scatter(
            x=x[::every], y=y[::every], name=mark.label, meta=mark.name, mode="markers",
            marker={"symbol": mark.symbol, "color": mark.colour, "size": 8,
                    "line": {"width": 1.4, "color": mark.colour}},
            hovertemplate=f"{mark.label} %{{y:,.6~g}}<extra></extra>",
        )  # fmt: skip
    return lay_out(
        out, 340, bottom=28,
        hovermode="closest",
        xaxis={"type": "date", "gridcolor": GRID, "zeroline": False},
        yaxis={"title": {"text": f"price, {quote}"}, "gridcolor": GRID, "zeroline": False,
               "fixedrange": True},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )  # fmt: skip


def rolling_figure(times: np.ndarray, lines: Mapping[str, np.ndarray]) -> go.Figure:
    """Rolling 90-day Sharpe ratios, one line each: "hold", "cell", "headline"."""
    import plotly.graph_objects as go

    out = go.Figure()
    for name, label, colour, width, dash in (
        ("hold", "buy and hold", MUTED, 1.3, "dot"),
        ("cell", "selected cell", ORANGE, 1.2, "solid"),
        ("headline", "headline", BLUE, 2.4, "solid"),
    ):
        out.add_scatter(
            x=times, y=lines.get(name, times[:0]), name=label, meta=name, mode="lines",
            line={"color": colour, "width": width, "dash": dash}, hovertemplate="%{y:.2f}",
        )  # fmt: skip
    return lay_out(
        out, 240, bottom=28,
        hovermode="x unified",
        xaxis={"type": "date", "gridcolor": GRID, "zeroline": False},
        yaxis={"title": {"text": "Sharpe ratio, annual"}, "gridcolor": GRID, "zeroline": True,
               "zerolinecolor": MUTED, "fixedrange": True},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )  # fmt: skip


def monthly_figure(months: np.ndarray, returns: np.ndarray) -> go.Figure:
    """Returns by calendar month, years down; months without a bar, or undefined, stay blank.

    `months` (M,) counts from 1970-01.
    """
    import plotly.graph_objects as go

    first, last = (int(m) // 12 for m in (months[0], months[-1]))
    z = np.full((last - first + 1, 12), np.nan)
    z[months // 12 - first, months % 12] = returns * 100
    years = [str(1970 + year) for year in range(first, last + 1)]
    limit = float(np.nanmax(np.abs(z), initial=0.0)) or 1.0
    trace = go.Heatmap(
        z=z, x=MONTHS, y=years, meta="months", colorscale=DIVERGING, zmin=-limit, zmax=limit,
        text=[[f"{v:.1f}".replace("-", "−") if math.isfinite(v) else "" for v in row] for row in z],
        texttemplate="%{text}", hoverongaps=False, xgap=2, ygap=2, showscale=False,
        hovertemplate="%{x} %{y}<br><b>%{text} %</b><extra></extra>",
    )  # fmt: skip
    return lay_out(
        go.Figure(trace), 46 + 34 * len(years), bottom=10,
        dragmode=False,
        xaxis={"side": "top", "showgrid": False, "zeroline": False, "fixedrange": True},
        yaxis={"autorange": "reversed", "type": "category", "showgrid": False, "zeroline": False,
               "fixedrange": True},
    )  # fmt: skip


def histogram_figure(
    counts: np.ndarray, edges: np.ndarray, *, what: str, title: str, digits: int = 2
) -> go.Figure:
    """Bars of counts (B,) between edges (B + 1,)."""
    import plotly.graph_objects as go

    out = go.Figure()
    out.add_bar(
        x=(edges[1:] + edges[:-1]) / 2,
        y=counts,
        width=np.diff(edges),
        meta="bins",
        marker={"color": SKY, "line": {"width": 0}},
        customdata=np.column_stack([edges[:-1], edges[1:]]),
        hovertemplate=(
            f"%{{customdata[0]:.{digits}f}} to %{{customdata[1]:.{digits}f}}<br>"
            f"%{{y:,.0f}} {what}<extra></extra>"
        ),
    )
    return lay_out(
        out, 290,
        bargap=0.06,
        showlegend=False,
        dragmode=False,
        xaxis={"title": {"text": title, "standoff": 6}, "zeroline": True, "zerolinecolor": MUTED,
               "showgrid": False, "fixedrange": True},
        yaxis={"title": {"text": what, "standoff": 8}, "gridcolor": GRID,
               "zeroline": False, "fixedrange": True},
    )  # fmt: skip


def excursion_figure(adverse: np.ndarray, favourable: np.ndarray, returns: np.ndarray) -> go.Figure:
    """Net return of each trade against the worst and the best it was at, all fractions (K,)."""
    from plotly.subplots import make_subplots

    every = max(1, -(-len(returns) // MAX_EXCURSIONS))
    y = returns[::every] * 100
    out = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.05)
    for col, (name, x) in enumerate((("adverse", adverse), ("favourable", favourable)), start=1):
        for won, symbol, colour in ((True, "circle", BLUE), (False, "x-thin", RED)):
            own = (y > 0) == won
            out.add_scatter(
                x=x[::every][own] * 100, y=y[own], mode="markers",
                meta=f"{name}_{'won' if won else 'lost'}",
                name="won" if won else "lost", showlegend=col == 1,
                marker={"symbol": symbol, "color": colour, "size": 5, "opacity": 0.7,
                        "line": {"width": 1.2 * (not won), "color": colour}},
                hovertemplate="%{x:.2f} % at its worst, %{y:.2f} % in the end<extra></extra>"
                if col == 1
                else "%{x:.2f} % at its best, %{y:.2f} % in the end<extra></extra>",
                row=1, col=col,
            )  # fmt: skip
    axis = {"gridcolor": GRID, "zeroline": True, "zerolinecolor": MUTED, "fixedrange": True}
    return lay_out(
        out, 320,
        every_x=axis,
        every_y=axis,
        xaxis={"title": {"text": "at its worst (MAE), %", "standoff": 6}},
        xaxis2={"title": {"text": "at its best (MFE), %", "standoff": 6}},
        yaxis={"title": {"text": "net return, %"}},
        dragmode=False,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )  # fmt: skip


def split_figure(
    labels: Sequence[str],
    sharpe: np.ndarray,
    interval_S2: np.ndarray,
    cell: np.ndarray | None = None,
) -> go.Figure:
    """Annual Sharpe ratio of each split with its 90 % interval, and the selected cell's."""
    import plotly.graph_objects as go

    at = np.arange(len(labels))
    low, high = interval_S2.T
    out = go.Figure()
    out.add_scatter(
        x=at, y=sharpe, name="headline, with its 90 % interval", meta="headline", mode="markers",
        marker={"color": BLUE, "size": 9},
        error_y={"type": "data", "symmetric": False, "array": high - sharpe,
                 "arrayminus": sharpe - low, "thickness": 1.6, "width": 4, "color": BLUE},
        customdata=interval_S2,
        hovertemplate="split %{x}: %{y:.2f} (%{customdata[0]:.2f} to %{customdata[1]:.2f})"
        "<extra></extra>",
    )  # fmt: skip
    out.add_scatter(
        x=at, y=at[:0] if cell is None else cell, name="selected cell", meta="cell",
        mode="markers", marker={"color": ORANGE, "size": 8, "symbol": "diamond-open",
                                "line": {"width": 2}},
        hovertemplate="selected cell: %{y:.2f}<extra></extra>",
    )  # fmt: skip
    every = max(1, -(-len(labels) // 25))
    return lay_out(
        out, 290,
        dragmode=False,
        xaxis={"title": {"text": "split", "standoff": 6}, "tickvals": at[::every].tolist(),
               "ticktext": list(labels)[::every], "range": [-0.6, len(labels) - 0.4],
               "showgrid": False, "zeroline": False, "fixedrange": True},
        yaxis={"title": {"text": "Sharpe ratio, annual"}, "gridcolor": GRID, "zeroline": True,
               "zerolinecolor": MUTED, "fixedrange": True},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )  # fmt: skip


def frontier_figure(points: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Growth a year against maximum drawdown, a point a cell.

    A point has drawdown and cagr (fractions), name, and whether it is thin (under 30 trades).
    """
    import plotly.graph_objects as go

    out = go.Figure()
    for thin, label, symbol in (
        (False, "cell", "circle"),
        (True, "cell with fewer than 30 trades", "circle-open"),
    ):
        own = [point for point in points if point["thin"] == thin]
        out.add_scatter(
            x=[-100 * point["drawdown"] for point in own],
            y=[100 * point["cagr"] for point in own],
            hovertext=[point["name"] for point in own],
            name=label, meta="thin" if thin else "solid", mode="markers",
            marker={"color": MUTED if thin else SKY, "symbol": symbol, "size": 8,
                    "line": {"width": 1.2, "color": MUTED if thin else BLUE}},
            hovertemplate="%{hovertext}<extra></extra>",
        )  # fmt: skip
    for meta, label, symbol, colour in (
        ("hold", "buy and hold", "diamond", MUTED),
        ("headline", "headline", "star", BLUE),
        ("chosen", "selected", "circle-open", INK),
    ):
        out.add_scatter(
            x=[], y=[], name=label, meta=meta, mode="markers", hovertemplate="%{hovertext}"
            "<extra></extra>", marker={"symbol": symbol, "color": colour,
                                       "size": 15 if meta == "chosen" else 13,
                                       "line": {"width": 2.4 if meta == "chosen" else 0}},
        )  # fmt: skip
    return lay_out(
        out, 360,
        dragmode=False,
        hovermode="closest",
        xaxis={"title": {"text": "maximum drawdown, %", "standoff": 6}, "gridcolor": GRID,
               "zeroline": True, "zerolinecolor": MUTED, "rangemode": "tozero",
               "fixedrange": True},
        yaxis={"title": {"text": "growth a year, %"}, "gridcolor": GRID, "zeroline": True,
               "zerolinecolor": MUTED, "fixedrange": True},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
