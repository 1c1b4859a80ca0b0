"""Figures over the cells of a sweep.

Text that comes from the user is escaped, because plotly reads pseudo-HTML.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.evidence.cells import Grid
from convnext_vbt.report.formats import FIGURE, THIN_TRADES, Figure, level_label, level_text
from convnext_vbt.report.layout import BLUE, DIVERGING, GRID, INK, MUTED, SKY, lay_out
from convnext_vbt.trading.sweep import SweepResult

if TYPE_CHECKING:
    import plotly.graph_objects as go

_MAX_LABELLED_CELLS = 150


def plot_heatmap(res: SweepResult, metric: str = "cagr", **levels: object) -> go.Figure:
    """One metric over threshold (across) and risk (up), a cell each.

    `levels` fixes further swept levels by name, such as `symbol="BTC/USDT"`; one that is left
    out is shown at its first value. Cells with fewer than 30 trades are hatched.

    Raises `ValueError` for an unknown metric or level value.
    """
    if metric not in res.metrics:
        raise InputError(
            f"metric must be one of {', '.join(map(str, res.metrics))}, got {metric!r}"
        )
    grid = Grid.of(res.metrics)
    across, up = grid.across, grid.up
    table = res.metrics
    for name in map(str, table.index.names):
        if name in (across, up):
            continue
        values = table.index.get_level_values(name)
        wanted = levels.get(name, values[0])
        if wanted not in values:
            raise InputError(f"{name} must be one of {list(values.unique())}, got {wanted!r}")
        table = table[values == wanted]
    x, y = (list(table.index.get_level_values(name).unique()) for name in (across, up))
    rows = pd.MultiIndex.from_product([y, x]) if across != up else pd.MultiIndex.from_product([y])
    keys = pd.MultiIndex.from_arrays([table.index.get_level_values(name) for name in (up, across)])
    table = table.set_axis(keys, axis=0).reindex(rows)
    shape = (len(y), len(x))
    figure = FIGURE.get(metric, Figure(name=metric, label=metric, kind="ratio", help=""))
    return _heatmap(
        z=table[metric].to_numpy(np.float64).reshape(shape),
        trades=table["trades"].to_numpy(np.float64).reshape(shape),
        figure=figure,
        x=(level_label(across), [level_text(across, value) for value in x]),
        y=(level_label(up), [level_text(up, value) for value in y]),
    )


def _heatmap(
    *,
    z: np.ndarray,
    trades: np.ndarray,
    figure: Figure,
    x: tuple[str, list[str]],
    y: tuple[str, list[str]],
) -> go.Figure:
    import plotly.graph_objects as go

    percent = figure.kind == "percent"
    shown = z * 100 if percent else z
    unit = " %" if percent else ""
    limit = float(np.nanmax(np.abs(shown), initial=0.0)) or 1.0
    trace = go.Heatmap(
        z=shown,
        x=list(range(shown.shape[1])),
        y=list(range(shown.shape[0])),
        text=[[_cell_text(value, figure) for value in row] for row in shown],
        texttemplate="%{text}" if shown.size <= _MAX_LABELLED_CELLS else None,
        customdata=trades,
        hovertemplate=(
            f"{html.escape(x[0])} %{{x}}<br>{html.escape(y[0])} %{{y}}<br>"
            f"<b>{html.escape(figure.label)} %{{text}}{unit}</b><br>"
            "%{customdata} trades<extra></extra>"
        ),
        colorscale=DIVERGING if figure.signed else "Cividis",
        zmin=-limit if figure.signed else None,
        zmax=limit if figure.signed else None,
        xgap=2,
        ygap=2,
        hoverongaps=False,
        colorbar={"title": {"text": f"{figure.label}{', %' if percent else ''}", "side": "right"},
                  "thickness": 12, "outlinewidth": 0},
    )  # fmt: skip
    axes: dict[str, Any] = {
        axis: {
            "title": {"text": html.escape(title), "standoff": 8},
            "tickvals": list(range(len(ticks))),
            "ticktext": [html.escape(tick) for tick in ticks],
            "range": [-0.5, len(ticks) - 0.5],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
            "automargin": True,
        }
        for axis, (title, ticks) in (("xaxis", x), ("yaxis", y))
    }
    hatch = _hatch(trades < THIN_TRADES)
    stroke = {"type": "path", "path": hatch, "line": {"color": MUTED, "width": 1}, "name": "thin"}
    height = min(640, 150 + 46 * max(shown.shape[0], 3))
    return lay_out(
        go.Figure(trace),
        height,
        dragmode=False,
        shapes=[stroke | {"layer": "above"}] if hatch else [],
        **axes,
    )


def _cell_text(value: float, figure: Figure) -> str:
    if not np.isfinite(value):
        return "n/a"
    digits = 0 if figure.kind == "count" else 1 if figure.kind == "percent" else 2
    return f"{value:.{digits}f}".replace("-", "−")


def _hatch(thin: np.ndarray) -> str:
    """Three diagonal strokes over each thin cell, as one SVG path in cell coordinates."""
    strokes = ((-0.46, 0.0, 0.0, 0.46), (-0.46, -0.46, 0.46, 0.46), (0.0, -0.46, 0.46, 0.0))
    return "".join(
        f"M{col + x0:g},{row + y0:g}L{col + x1:g},{row + y1:g}"
        for row, col in np.argwhere(thin).tolist()
        for x0, y0, x1, y1 in strokes
    )


def rule_figure(title: str, ticks: Sequence[str]) -> go.Figure:
    """Sharpe ratio with its interval and trades of each rule, without any numbers.

    The page's script puts in those of the rules beside the selected cell's.
    """
    from plotly.subplots import make_subplots

    out = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.06
    )
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    out.add_scatter(name="low", row=1, col=1, **edge)
    out.add_scatter(
        name="90 % CI", fill="tonexty", fillcolor="rgba(86,180,233,0.25)", row=1, col=1,
        **edge,
    )  # fmt: skip
    out.add_scatter(
        name="Sharpe ratio", mode="lines+markers", line={"color": BLUE, "width": 1.8},
        marker={"size": 7}, hovertemplate="%{hovertext}<extra></extra>", row=1, col=1,
    )  # fmt: skip
    out.add_bar(
        name="trades", marker={"color": MUTED, "line": {"width": 0}},
        hovertemplate="%{y:,.0f} trades<extra></extra>", row=2, col=1,
    )  # fmt: skip
    ticking = {"tickvals": list(range(len(ticks))), "ticktext": [html.escape(t) for t in ticks]}
    return lay_out(
        out, 380,
        every_x=ticking | {"range": [-0.5, len(ticks) - 0.5], "showgrid": False,
                           "zeroline": False, "fixedrange": True, "automargin": True},
        every_y={"gridcolor": GRID, "zeroline": False, "fixedrange": True},
        xaxis2={"title": {"text": html.escape(title), "standoff": 6}},
        yaxis={"title": {"text": "Sharpe ratio"}, "zeroline": True, "zerolinecolor": MUTED},
        yaxis2={"title": {"text": "trades"}, "rangemode": "tozero"},
        showlegend=False,
        dragmode=False,
        bargap=0.55,
    )  # fmt: skip


def frontier_figure(points: Sequence[Mapping[str, Any]]) -> go.Figure:
    """CAGR against max drawdown, one point per cell.

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
        xaxis={"title": {"text": "max drawdown, %", "standoff": 6}, "gridcolor": GRID,
               "zeroline": True, "zerolinecolor": MUTED, "rangemode": "tozero",
               "fixedrange": True},
        yaxis={"title": {"text": "CAGR, %"}, "gridcolor": GRID, "zeroline": True,
               "zerolinecolor": MUTED, "fixedrange": True},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
