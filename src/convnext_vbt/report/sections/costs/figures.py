"""Sharpe ratio and CAGR against costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convnext_vbt.evidence.costs import CostPoint
from convnext_vbt.report.layout import BLUE, GRID, MUTED, lay_out

if TYPE_CHECKING:
    import plotly.graph_objects as go

_HEIGHT = 290


def cost_figure(costs: Sequence[CostPoint]) -> go.Figure:
    """Sharpe ratio and CAGR of the headline against the cost per side."""
    from plotly.subplots import make_subplots

    out = make_subplots(rows=1, cols=2, horizontal_spacing=0.12)
    x = [cost.basis_points for cost in costs]
    ticks = sorted(set(x))
    shown = (("sharpe", "Sharpe ratio, annual", 1, ""), ("cagr", "CAGR, %", 100, " %"))
    for col, (name, _, scale, unit) in enumerate(shown, start=1):
        out.add_scatter(
            x=x,
            y=[cost.figures[name] * scale for cost in costs],
            customdata=[cost.multiple for cost in costs],
            mode="lines+markers",
            line={"color": BLUE, "width": 1.8},
            marker={"size": 8},
            hovertemplate="%{x:.4~g} bp per side (%{customdata} ×)<br>"
            f"%{{y:.2f}}{unit}<extra></extra>",
            row=1,
            col=col,
        )
    left, right = ({"title": {"text": label, "standoff": 4}} for _, label, _, _ in shown)
    return lay_out(
        out, _HEIGHT,
        every_x={"title": {"text": "cost per side, bp", "standoff": 6}, "gridcolor": GRID,
                 "zeroline": False, "fixedrange": True, "tickvals": ticks,
                 "ticktext": [f"{tick:.3g}" for tick in ticks]},
        every_y={"gridcolor": GRID, "zeroline": True, "zerolinecolor": MUTED, "fixedrange": True},
        yaxis=left,
        yaxis2=right,
        showlegend=False,
        dragmode=False,
    )  # fmt: skip
