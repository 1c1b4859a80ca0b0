"""Figures that several sections draw.

Dimension: B bins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convnext_vbt.report.layout import GRID, MUTED, SKY, lay_out

if TYPE_CHECKING:
    import plotly.graph_objects as go


NUM_BINS = 30


def histogram(values: np.ndarray, *, whole: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Counts (B,) and edges (B + 1,) of the finite values; `whole` for bins of whole numbers.

    No more bins than distinct values; a single value has one bin around it.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    if whole:
        low, high = int(known.min()), int(known.max())
        width = -(-(high - low + 1) // NUM_BINS)
        edges = low - 0.5 + width * np.arange(-(-(high - low + 1) // width) + 1)
        return np.histogram(known, bins=edges)
    return np.histogram(known, bins=min(NUM_BINS, len(np.unique(known))))


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
