"""Monthly returns, and how far trades went against and with the account.

Each trace's `meta` names what the page's script puts into it for another cell.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from convnext_vbt.report.layout import BLUE, DIVERGING, GRID, MUTED, RED, lay_out

if TYPE_CHECKING:
    import plotly.graph_objects as go

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MAX_EXCURSIONS = 600


def monthly_figure(months: np.ndarray, returns: np.ndarray) -> go.Figure:
    """Returns by calendar month, years down; months without a bar, or undefined, stay blank.

    `months` (M,) counts from 1970-01.
    """
    import plotly.graph_objects as go

    first, last = (int(m) // 12 for m in (months[0], months[-1]))
    z = np.full((last - first + 1, 12), np.nan)
    z[months // 12 - first, months % 12] = returns * 100
    years = [str(1970 + year) for year in range(first, last + 1)]
    limit = float(np.nanmax(np.abs(z), initial=0.0)) or 1.0
    trace = go.Heatmap(
        z=z, x=MONTHS, y=years, meta="months", colorscale=DIVERGING, zmin=-limit, zmax=limit,
        text=[[f"{v:.1f}".replace("-", "−") if math.isfinite(v) else "" for v in row] for row in z],
        texttemplate="%{text}", hoverongaps=False, xgap=2, ygap=2, showscale=False,
        hovertemplate="%{x} %{y}<br><b>%{text} %</b><extra></extra>",
    )  # fmt: skip
    return lay_out(
        go.Figure(trace), 46 + 34 * len(years), bottom=10,
        dragmode=False,
        xaxis={"side": "top", "showgrid": False, "zeroline": False, "fixedrange": True},
        yaxis={"autorange": "reversed", "type": "category", "showgrid": False, "zeroline": False,
               "fixedrange": True},
    )  # fmt: skip


def excursion_figure(adverse: np.ndarray, favourable: np.ndarray, returns: np.ndarray) -> go.Figure:
    """Net return of each trade against the worst and the best it was at, all fractions (K,)."""
    from plotly.subplots import make_subplots

    every = max(1, -(-len(returns) // MAX_EXCURSIONS))
    y = returns[::every] * 100
    out = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.05)
    for col, (name, x) in enumerate((("adverse", adverse), ("favourable", favourable)), start=1):
        for won, symbol, colour in ((True, "circle", BLUE), (False, "x-thin", RED)):
            own = (y > 0) == won
            out.add_scatter(
                x=x[::every][own] * 100, y=y[own], mode="markers",
                meta=f"{name}_{'won' if won else 'lost'}",
                name="won" if won else "lost", showlegend=col == 1,
                marker={"symbol": symbol, "color": colour, "size": 5, "opacity": 0.7,
                        "line": {"width": 1.2 * (not won), "color": colour}},
                hovertemplate="MAE %{x:.2f} %, net return %{y:.2f} %<extra></extra>"
                if col == 1
                else "MFE %{x:.2f} %, net return %{y:.2f} %<extra></extra>",
                row=1, col=col,
            )  # fmt: skip
    axis = {"gridcolor": GRID, "zeroline": True, "zerolinecolor": MUTED, "fixedrange": True}
    return lay_out(
        out, 320,
        every_x=axis,
        every_y=axis,
        xaxis={"title": {"text": "MAE, %", "standoff": 6}},
        xaxis2={"title": {"text": "MFE, %", "standoff": 6}},
        yaxis={"title": {"text": "net return, %"}},
        dragmode=False,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
