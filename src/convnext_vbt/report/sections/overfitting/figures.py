"""Histograms of luck and of choices in hindsight."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from convnext_vbt.evidence.nulls.null import Null
from convnext_vbt.report.charts import histogram, histogram_figure
from convnext_vbt.report.layout import BLUE, GRID, INK, MUTED, lay_out

if TYPE_CHECKING:
    import plotly.graph_objects as go

_HEIGHT = 290


def null_figure(null: Null) -> go.Figure:
    """Sharpe ratios of the draws, the strategy's own as a line."""
    counts, edges = histogram(null.draws)
    title = "Sharpe ratio, annualised"
    return with_line(
        histogram_figure(counts, edges, what="draws", title=title), null.observed, "the strategy"
    )


def logit_figure(logits: np.ndarray) -> go.Figure:
    """Logits of the out-of-sample rank of the in-sample best; up to 0 is the worse half."""
    counts, edges = histogram(logits)
    title = "logit of the rank out of sample"
    return with_line(
        histogram_figure(counts, edges, what="combinations", title=title), 0.0, "median rank"
    )


def rank_figure(ranks_N2: np.ndarray) -> go.Figure:
    """Mean out-of-sample rank of each in-sample rank (`overfitting.rank_transfer`), 1 the best."""
    import plotly.graph_objects as go

    inside, outside = ranks_N2.T
    ends = [1.0, float(len(inside))]
    middle = (len(inside) + 1) / 2
    out = go.Figure()
    for y, name, dash in (
        (ends, "ranks persist", "dot"),
        ([middle] * 2, "ranks are chance", "dash"),
    ):
        out.add_scatter(
            x=ends, y=y, name=name, mode="lines", hoverinfo="skip",
            line={"color": MUTED, "width": 1.2, "dash": dash},
        )  # fmt: skip
    out.add_scatter(
        x=inside, y=outside, name="rules", mode="lines+markers",
        line={"color": BLUE, "width": 1.8}, marker={"size": 7},
        hovertemplate="rank %{x:.0f} in sample, mean %{y:.1f} out of sample<extra></extra>",
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


def with_line(figure: go.Figure, at: float, text: str) -> go.Figure:
    """A histogram with a named line at a value; as it was where that is not finite."""
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
