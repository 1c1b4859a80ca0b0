"""Figures of how sure one may be: luck, choice in hindsight, thresholds and costs."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from convnext_vbt.evidence.nulls import Null
from convnext_vbt.report.figures import BLUE, GRID, INK, MUTED, SKY, base_layout
from convnext_vbt.report.judgement import Costs, histogram

if TYPE_CHECKING:
    import plotly.graph_objects as go

_HEIGHT = 290


def null_figure(null: Null) -> go.Figure:
    """Sharpe ratios of the draws, the strategy's own as a line."""
    figure = _histogram(null.draws, "draws", "Sharpe ratio, annualised")
    return _line(figure, null.observed, "the strategy")


def logit_figure(logits: np.ndarray) -> go.Figure:
    """Logits of the out-of-sample rank of the in-sample best; up to 0 is the worse half."""
    figure = _histogram(logits, "choices", "logit of the rank out of sample")
    return _line(figure, 0.0, "the middle of the field")


def _histogram(values: np.ndarray, what: str, title: str) -> go.Figure:
    import plotly.graph_objects as go

    counts, edges = histogram(values)
    figure = go.Figure()
    figure.add_bar(
        x=(edges[1:] + edges[:-1]) / 2,
        y=counts,
        width=np.diff(edges),
        marker={"color": SKY, "line": {"width": 0}},
        customdata=np.column_stack([edges[:-1], edges[1:]]),
        hovertemplate=(
            f"%{{customdata[0]:.2f}} to %{{customdata[1]:.2f}}<br>%{{y:,.0f}} {what}<extra></extra>"
        ),
    )
    return figure.update_layout(
        **base_layout(_HEIGHT),
        bargap=0.06,
        showlegend=False,
        dragmode=False,
        xaxis={"title": {"text": title, "standoff": 6}, "zeroline": False, "showgrid": False,
               "fixedrange": True},
        yaxis={"title": {"text": what, "standoff": 8}, "automargin": True,
               "gridcolor": GRID, "zeroline": False, "fixedrange": True},
    )  # fmt: skip


def _line(figure: go.Figure, at: float, text: str) -> go.Figure:
    if not math.isfinite(at):
        return figure
    figure.add_shape(
        type="line", x0=at, x1=at, y0=0, y1=1, yref="paper", line={"color": INK, "width": 2}
    )
    x = np.asarray(figure.data[0].x)
    right = at > (x.min() + x.max()) / 2
    figure.add_annotation(
        x=at, y=1, yref="paper", yanchor="bottom", xanchor="right" if right else "left",
        text=text, showarrow=False, font={"size": 12, "color": INK},
    )  # fmt: skip
    return figure


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
        name="90 % interval", fill="tonexty", fillcolor="rgba(86,180,233,0.25)", row=1, col=1,
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
    out.update_xaxes(
        range=[-0.5, len(ticks) - 0.5],
        showgrid=False,
        zeroline=False,
        fixedrange=True,
        automargin=True,
        **ticking,
    )
    out.update_xaxes(title={"text": html.escape(title), "standoff": 6}, row=2, col=1)
    out.update_yaxes(gridcolor=GRID, zeroline=False, fixedrange=True)
    out.update_yaxes(
        title={"text": "Sharpe ratio"}, zeroline=True, zerolinecolor=MUTED, row=1, col=1
    )
    out.update_yaxes(title={"text": "trades"}, rangemode="tozero", row=2, col=1)
    return out.update_layout(**base_layout(380), showlegend=False, dragmode=False, bargap=0.55)


def cost_figure(costs: Sequence[Costs]) -> go.Figure:
    """Sharpe ratio of the headline against the cost a side."""
    import plotly.graph_objects as go

    points: list[dict[str, Any]] = [
        {"x": cost.basis_points, "y": cost.figures["sharpe"], "times": cost.multiple}
        for cost in costs
    ]
    out = go.Figure()
    out.add_scatter(
        x=[point["x"] for point in points],
        y=[point["y"] for point in points],
        customdata=[point["times"] for point in points],
        mode="lines+markers",
        line={"color": BLUE, "width": 1.8},
        marker={"size": 8},
        hovertemplate="%{x:g} bp a side (%{customdata} ×)<br>Sharpe ratio %{y:.2f}<extra></extra>",
    )
    return out.update_layout(
        **base_layout(_HEIGHT),
        showlegend=False,
        dragmode=False,
        xaxis={"title": {"text": "cost a side, bp", "standoff": 6}, "gridcolor": GRID,
               "zeroline": False, "fixedrange": True, "tickvals": [p["x"] for p in points]},
        yaxis={"title": {"text": "Sharpe ratio"}, "gridcolor": GRID, "zeroline": True,
               "zerolinecolor": MUTED, "fixedrange": True},
    )  # fmt: skip
