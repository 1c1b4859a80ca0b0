"""One picture for each part of "When and why"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence.when.distribution import Distribution, Relative
from convnext_vbt.evidence.when.exposure import Rolling
from convnext_vbt.report.charts import histogram, histogram_figure
from convnext_vbt.report.layout import BLUE, GRID, MUTED, ORANGE, SKY, lay_out

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT = 200
MAX_DAYS = 600
"""Points of the scatter; of more days every k-th is drawn."""
_AXIS = {"gridcolor": GRID, "zeroline": True, "zerolinecolor": MUTED, "fixedrange": True}
_LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}


def years_figure(years: pd.DataFrame) -> go.Figure:
    """Each calendar year's return beside buying and holding's, in percent."""
    names = [str(year) for year in years["year"]]
    return _paired(
        names, years["total_return"] * 100, years["hold_return"] * 100,
        title="return, %", hover="%{y:.1f} %",
    )  # fmt: skip


def regimes_figure(regimes: pd.DataFrame) -> go.Figure:
    """Annual Sharpe ratio in each regime beside buying and holding's."""
    names = [name.replace(" ", "<br>") for name in regimes["regime"]]
    return _paired(
        names, regimes["sharpe"], regimes["hold_sharpe"], title="Sharpe ratio", hover="%{y:.2f}"
    )


def exits_figure(exits: pd.DataFrame, quote: str) -> go.Figure:
    """Profit by the reason for which trades ended, longs and shorts apart."""
    import plotly.graph_objects as go

    out = go.Figure()
    reasons = list(dict.fromkeys(exits["reason"]))
    for side, colour in (("long", BLUE), ("short", ORANGE)):
        own = exits[exits["side"] == side].set_index("reason").reindex(reasons)
        out.add_bar(
            x=reasons, y=own["profit"].to_numpy(), name=side, marker={"color": colour},
            customdata=own["trades"].to_numpy(),
            hovertemplate=f"%{{x}}, {side}<br>%{{y:,.2f}} {quote}, %{{customdata:,.0f}} trades"
            "<extra></extra>",
        )  # fmt: skip
    return _laid_out(
        out, xaxis={"type": "category", "showgrid": False},
        yaxis={"title": {"text": f"profit, {quote}"}},
    )  # fmt: skip


def exposure_figure(rolling: Rolling) -> go.Figure:
    """Gross and net exposure and the rolling beta, all multiples of equity."""
    import plotly.graph_objects as go

    out = go.Figure()
    days = rolling.days.astype("datetime64[D]").astype(str)
    lines = (
        ("gross", rolling.gross, MUTED, 1.0),
        ("net", rolling.net, BLUE, 1.2),
        ("beta, 90 days", rolling.beta, ORANGE, 2.0),
    )
    for name, values, colour, width in lines:
        out.add_scatter(
            x=days, y=values, name=name, mode="lines", line={"color": colour, "width": width},
            hovertemplate=f"%{{x|%d %b %Y}}<br>{name} %{{y:.2f}} ×<extra></extra>",
        )  # fmt: skip
    return _laid_out(
        out, xaxis={"type": "date", "showgrid": False}, yaxis={"title": {"text": "× equity"}}
    )


def days_figure(returns_D: np.ndarray, found: Distribution) -> go.Figure:
    """Histogram of daily returns in percent, with the value at risk."""
    out = histogram_figure(
        *histogram(returns_D * 100), what="days", title="return of a day, %"
    )  # fmt: skip
    marks = [
        (name, value * 100)
        for name, value in (("95 %", found.var_95), ("99 %", found.var_99))
        if np.isfinite(value)
    ]
    names = [name for name, _ in reversed(marks)]
    shapes = [
        {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1,
         "line": {"color": ORANGE, "width": 1.5, "dash": "dot"}}
        for _, x in marks
    ]  # fmt: skip
    words = [
        {"x": marks[-1][1], "y": 1, "yref": "paper", "showarrow": False, "xanchor": "right",
         "yanchor": "top", "font": {"size": 11}, "text": f"VaR {' and '.join(names)} "}
    ] if marks else []  # fmt: skip
    return lay_out(out, HEIGHT, shapes=shapes, annotations=words)


def relative_figure(returns_D: np.ndarray, hold_D: np.ndarray, found: Relative) -> go.Figure:
    """Daily returns against buying and holding's, in percent, with the line of beta."""
    import plotly.graph_objects as go

    every = max(1, -(-len(returns_D) // MAX_DAYS))
    out = go.Figure()
    out.add_scatter(
        x=hold_D[::every] * 100, y=returns_D[::every] * 100, mode="markers", name="days",
        marker={"color": SKY, "size": 4, "opacity": 0.7},
        hovertemplate="buy and hold %{x:.2f} %<br>headline %{y:.2f} %<extra></extra>",
    )  # fmt: skip
    if np.isfinite(found.beta):
        ends = np.array([hold_D.min(), hold_D.max()])
        fitted = returns_D.mean() + found.beta * (ends - hold_D.mean())
        out.add_scatter(
            x=ends * 100, y=fitted * 100, mode="lines", name=f"beta {found.beta:.2f}",
            line={"color": ORANGE, "width": 1.8}, hoverinfo="skip",
        )  # fmt: skip
    return _laid_out(
        out,
        xaxis={"title": {"text": "buy and hold, % a day", "standoff": 6}},
        yaxis={"title": {"text": "headline, % a day"}},
    )


def _paired(names: list[str], own: Any, hold: Any, *, title: str, hover: str) -> go.Figure:
    """Bars of the headline beside those of buying and holding."""
    import plotly.graph_objects as go

    out = go.Figure()
    for name, values, colour in (("headline", own, BLUE), ("buy and hold", hold, MUTED)):
        out.add_bar(
            x=names, y=values.to_numpy(), name=name, marker={"color": colour},
            hovertemplate=f"%{{x}}<br>{name} {hover}<extra></extra>",
        )  # fmt: skip
    return _laid_out(
        out, xaxis={"type": "category", "showgrid": False}, yaxis={"title": {"text": title}}
    )


def _laid_out(figure: go.Figure, **layout: Any) -> go.Figure:
    return lay_out(
        figure, HEIGHT, every_x=_AXIS, every_y=_AXIS, dragmode=False, legend=_LEGEND,
        bargap=0.35, **layout,
    )  # fmt: skip
