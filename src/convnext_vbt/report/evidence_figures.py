"""Figures of how sure one may be: luck, choice in hindsight, thresholds and costs."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from convnext_vbt.evidence.nulls import Null
from convnext_vbt.report.judgement import Costs
from convnext_vbt.report.layout import BLUE, GRID, INK, MUTED, lay_out
from convnext_vbt.report.returns import histogram
from convnext_vbt.report.trade_figures import histogram_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go

_HEIGHT = 290


def null_figure(null: Null) -> go.Figure:
    """Sharpe ratios of the draws, the strategy's own as a line."""
    counts, edges = histogram(null.draws)
    title = "Sharpe ratio, annualised"
    return _line(
        histogram_figure(counts, edges, what="draws", title=title), null.observed, "the strategy"
    )


def logit_figure(logits: np.ndarray) -> go.Figure:
    """Logits of the out-of-sample rank of the in-sample best; up to 0 is the worse half."""
    counts, edges = histogram(logits)
    title = "logit of the rank out of sample"
    return _line(
        histogram_figure(counts, edges, what="choices", title=title), 0.0, "the middle of the field"
    )


def rank_figure(ranks_N2: np.ndarray) -> go.Figure:
    """Mean out-of-sample rank of each in-sample rank (`overfitting.rank_transfer`), 1 the best."""
    import plotly.graph_objects as go

    inside, outside = ranks_N2.T
    ends = [1.0, float(len(inside))]
    middle = (len(inside) + 1) / 2
    out = go.Figure()
    for y, name, dash in ((ends, "ranks last", "dot"), ([middle] * 2, "ranks are luck", "dash")):
        out.add_scatter(
            x=ends, y=y, name=name, mode="lines", hoverinfo="skip",
            line={"color": MUTED, "width": 1.2, "dash": dash},
        )  # fmt: skip
    out.add_scatter(
        x=inside, y=outside, name="these rules", mode="lines+markers",
        line={"color": BLUE, "width": 1.8}, marker={"size": 7},
        hovertemplate="rank %{x:.0f} in sample, %{y:.1f} on average out of it<extra></extra>",
    )  # fmt: skip
    axis = {"gridcolor": GRID, "zeroline": False, "fixedrange": True, "autorange": "reversed"}
    return lay_out(
        out,
        _HEIGHT,
        dragmode=False,
        xaxis=axis | {"title": {"text": "rank in sample, 1 the best", "standoff": 6}},
        yaxis=axis | {"title": {"text": "mean rank out of sample"}},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )


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


def cost_figure(costs: Sequence[Costs]) -> go.Figure:
    """Sharpe ratio and growth a year of the headline against the cost a side."""
    from plotly.subplots import make_subplots

    out = make_subplots(rows=1, cols=2, horizontal_spacing=0.12)
    x = [cost.basis_points for cost in costs]
    shown = (("sharpe", "Sharpe ratio, annual", 1, ""), ("cagr", "growth a year, %", 100, " %"))
    for col, (name, _, scale, unit) in enumerate(shown, start=1):
        out.add_scatter(
            x=x,
            y=[cost.figures[name] * scale for cost in costs],
            customdata=[cost.multiple for cost in costs],
            mode="lines+markers",
            line={"color": BLUE, "width": 1.8},
            marker={"size": 8},
            hovertemplate="%{x:g} bp a side (%{customdata} ×)<br>"
            f"%{{y:.2f}}{unit}<extra></extra>",
            row=1,
            col=col,
        )
    left, right = ({"title": {"text": label, "standoff": 4}} for _, label, _, _ in shown)
    return lay_out(
        out, _HEIGHT,
        every_x={"title": {"text": "cost a side, bp", "standoff": 6}, "gridcolor": GRID,
                 "zeroline": False, "fixedrange": True, "tickvals": sorted(set(x))},
        every_y={"gridcolor": GRID, "zeroline": True, "zerolinecolor": MUTED, "fixedrange": True},
        yaxis=left,
        yaxis2=right,
        showlegend=False,
        dragmode=False,
    )  # fmt: skip
