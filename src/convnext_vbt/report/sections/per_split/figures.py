"""Sharpe ratio of each split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from convnext_vbt.report.layout import BLUE, GRID, MUTED, ORANGE, lay_out

if TYPE_CHECKING:
    import plotly.graph_objects as go


def split_figure(
    labels: Sequence[str],
    sharpe: np.ndarray,
    interval_S2: np.ndarray,
    cell: np.ndarray | None = None,
) -> go.Figure:
    """Annual Sharpe ratio of each split with its 90 % CI, and the selected cell's."""
    import plotly.graph_objects as go

    at = np.arange(len(labels))
    low, high = interval_S2.T
    out = go.Figure()
    out.add_scatter(
        x=at, y=sharpe, name="headline, 90 % CI", meta="headline", mode="markers",
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
