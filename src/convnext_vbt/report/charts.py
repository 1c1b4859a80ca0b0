"""Figures that several sections draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convnext_vbt.report.layout import GRID, MUTED, SKY, lay_out

if TYPE_CHECKING:
    import plotly.graph_objects as go


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
