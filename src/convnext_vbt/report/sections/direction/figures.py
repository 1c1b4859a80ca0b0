"""The reliability of direction as a picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from convnext_vbt.evidence.direction import Direction
from convnext_vbt.report.layout import BLUE, GRID, MUTED, ORANGE, lay_out

if TYPE_CHECKING:
    import plotly.graph_objects as go


def direction_figure(found: Direction) -> go.Figure:
    """Share of moved bars that went UP against P(UP | move); on the dotted diagonal it is true.

    The line is what the slope makes of each claim.
    """
    import plotly.graph_objects as go

    table = found.reliability
    claimed, rose, low, high = (
        table[name].to_numpy(np.float64) for name in ("claimed", "rose", "low", "high")
    )
    ends = np.concatenate([claimed, rose, low[np.isfinite(low)], high[np.isfinite(high)]])
    pad = 0.05 * max(float(np.ptp(ends)), 0.02)
    out = go.Figure()
    span = [float(claimed.min()) - pad, float(claimed.max()) + pad]
    out.add_scatter(
        x=span, y=span, name="claimed = real", mode="lines", hoverinfo="skip",
        line={"color": MUTED, "dash": "dot", "width": 1.2},
    )  # fmt: skip
    slope = found.all.slope.value
    if math.isfinite(slope):
        x = np.linspace(max(span[0], 1e-6), min(span[1], 1.0 - 1e-6), 41)
        out.add_scatter(
            x=x, y=1.0 / (1.0 + ((1.0 - x) / x) ** slope), name=f"slope {slope:.2f}",
            mode="lines", hoverinfo="skip", line={"color": ORANGE, "width": 1.8},
        )  # fmt: skip
    out.add_scatter(
        x=claimed, y=rose, name="bars, 90 % CI", mode="markers",
        marker={"color": BLUE, "size": 8},
        error_y={"type": "data", "symmetric": False, "array": high - rose,
                 "arrayminus": rose - low, "thickness": 1.4, "width": 3, "color": BLUE},
        customdata=np.column_stack([table["bars"].to_numpy(np.float64), low, high]),
        hovertemplate="claimed P(UP) given a move %{x:.3f}<br>went UP %{y:.3f} "
        "(%{customdata[1]:.3f} to %{customdata[2]:.3f})<br>%{customdata[0]:,.0f} bars"
        "<extra></extra>",
    )  # fmt: skip
    axis = {"gridcolor": GRID, "zeroline": False, "fixedrange": True, "tickformat": ".2f"}
    return lay_out(
        out, 340,
        every_x=axis,
        every_y=axis,
        dragmode=False,
        xaxis={"title": {"text": "claimed: P(UP) / (P(UP) + P(DOWN))", "standoff": 6},
               "range": span},
        yaxis={"title": {"text": "share of moved bars that went UP"},
               "range": [float(ends.min()) - pad, float(ends.max()) + pad]},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
