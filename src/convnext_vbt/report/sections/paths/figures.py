"""Sharpe ratios of paths, one beside the other.

Dimension: P paths.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from convnext_vbt.report.layout import BLUE, GRID, INK, MUTED, lay_out

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_NUMBERS = 15
"""Paths whose numbers have room beside the axis."""


def path_figure(sharpes_P: np.ndarray, headline: float) -> go.Figure:
    """Each path's Sharpe ratio, the worst at the bottom, the headline's as a line.

    A path without one, NaN, is left out; numbers count from 1 as in the table.
    """
    import plotly.graph_objects as go

    order = np.argsort(sharpes_P)[: np.isfinite(sharpes_P).sum()]
    places, numbers = np.arange(len(order)), order + 1
    out = go.Figure()
    out.add_scatter(
        x=sharpes_P[order], y=places, customdata=numbers, mode="markers", meta="paths",
        marker={"color": BLUE, "size": 9},
        hovertemplate="path %{customdata}: Sharpe ratio %{x:.2f}<extra></extra>",
    )  # fmt: skip
    if math.isfinite(headline):
        out.add_shape(
            type="line", x0=headline, x1=headline, y0=0, y1=1, yref="paper",
            line={"color": INK, "width": 2},
        )  # fmt: skip
        right = headline > np.nanmean([np.nanmin(sharpes_P), np.nanmax(sharpes_P)])
        out.add_annotation(
            x=headline, y=1, yref="paper", yanchor="bottom",
            xanchor="right" if right else "left",
            text="headline", showarrow=False, font={"size": 12, "color": INK},
        )  # fmt: skip
    shown = [0.0, *sharpes_P[order], *([headline] if math.isfinite(headline) else [])]
    room = 0.05 * (max(shown) - min(shown) or 1.0)
    axis = {"gridcolor": GRID, "fixedrange": True}
    return lay_out(
        out,
        290,
        showlegend=False,
        dragmode=False,
        xaxis=axis
        | {
            "title": {"text": "Sharpe ratio, annualised", "standoff": 6},
            "zeroline": True,
            "zerolinecolor": MUTED,
            "range": [min(shown) - room, max(shown) + room],
        },
        yaxis=axis
        | {
            "title": {"text": "path"},
            "zeroline": False,
            "range": [-0.7, len(order) - 0.3],
            "tickvals": places,
            "ticktext": numbers.astype(str),
            "showticklabels": len(order) <= MOST_NUMBERS,
        },
    )
