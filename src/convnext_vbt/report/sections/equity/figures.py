"""Figures of an account in time: equity, price with fills, rolling Sharpe ratio.

Each trace's `meta` names what the page's script puts into it for another cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from convnext_vbt.evidence.accounts import Daily
from convnext_vbt.evidence.returns import Fan
from convnext_vbt.report.layout import (
    BAND,
    BLUE,
    FAN_NARROW,
    FAN_WIDE,
    GRID,
    INK,
    MUTED,
    ORANGE,
    RED,
    bar_time,
    lay_out,
)
from convnext_vbt.trading.sweep import SweepResult

if TYPE_CHECKING:
    import plotly.graph_objects as go

MAX_MARKERS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How one kind of fill is drawn over the price: by shape as well as by colour."""

    name: str
    label: str
    symbol: str
    colour: str


MARKS = (
    Mark(name="long", label="long entry", symbol="triangle-up", colour=BLUE),
    Mark(name="short", label="short entry", symbol="triangle-down", colour=RED),
    Mark(name="won", label="exit with a profit", symbol="circle-open", colour=INK),
    Mark(name="lost", label="exit with a loss", symbol="x-thin", colour=INK),
)


def split_bands(res: SweepResult) -> list[tuple[int, pd.Timestamp, pd.Timestamp]]:
    """Number, begin and end of each split's test range, cut to the simulated window."""
    start, stop = res.window
    return [
        (
            split.number,
            bar_time(res.bars.index, max(split.test[0], start)),
            bar_time(res.bars.index, min(split.test[1], stop)),
        )
        for split in res.predictions.splits
        if min(split.test[1], stop) > max(split.test[0], start)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One account of an equity figure."""

    name: str
    account: Daily
    colour: str
    width: float
    dash: str = "solid"
    fill: str | None = None
    """Colour between the drawdown and zero."""


def equity_figure(
    lines: Sequence[Line],
    *,
    bands: list[tuple[int, pd.Timestamp, pd.Timestamp]],
    fan: Fan | None = None,
) -> go.Figure:
    """Growth above, underwater below; the last line lies on top, `fan` below all of them."""
    from plotly.subplots import make_subplots

    out = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.68, 0.32], vertical_spacing=0.05
    )
    if fan is not None:
        _add_fan(out, lines[-1].account.days.astype("datetime64[D]"), fan)
    for line in lines:
        days = line.account.days.astype("datetime64[D]")
        style = {"color": line.colour, "dash": line.dash}
        fill = {"fill": "tozeroy", "fillcolor": line.fill} if line.fill else {}
        out.add_scatter(
            x=days, y=line.account.growth, name=line.name, line={**style, "width": line.width},
            mode="lines", hovertemplate="%{y:.4f}", meta=f"{line.name}: growth", row=1, col=1,
        )  # fmt: skip
        out.add_scatter(
            x=days, y=line.account.underwater * 100, name=line.name,
            line={**style, "width": 0.7 * line.width}, mode="lines", showlegend=False,
            hovertemplate="%{y:.2f} %", meta=f"{line.name}: underwater", row=2, col=1, **fill,
        )  # fmt: skip
    for position, (number, begin, end) in enumerate(bands):
        if position % 2 == 0:
            out.add_vrect(x0=f"{begin:%Y-%m-%d %H:%M}", x1=f"{end:%Y-%m-%d %H:%M}", fillcolor=BAND,
                          line_width=0, layer="below", row="all", col=1)  # fmt: skip
        if len(bands) <= 24:
            middle = begin + (end - begin) / 2
            out.add_annotation(x=f"{middle:%Y-%m-%d %H:%M}", y=1, yref="y domain", yanchor="bottom",
                               text=str(number + 1), showarrow=False,
                               font={"size": 10, "color": MUTED}, row=1, col=1)  # fmt: skip
    return lay_out(
        out,
        480,
        bottom=28,
        every_x={"type": "date", "gridcolor": GRID, "zeroline": False},
        every_y={"gridcolor": GRID, "zeroline": False, "fixedrange": True},
        yaxis={"title": {"text": "growth of 1"}},
        yaxis2={"title": {"text": "drawdown, %"}, "rangemode": "tozero"},
        hovermode="x unified",
        legend={"orientation": "h", "y": 1.06, "yanchor": "bottom", "x": 0},
    )


def _add_fan(out: go.Figure, days: np.ndarray, fan: Fan) -> None:
    """Two bands, 90 % and 50 % of the bootstrap paths."""
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    for low, high, name, colour in (
        (0, 4, "90 % of bootstrap paths", FAN_WIDE),
        (1, 3, "50 %", FAN_NARROW),
    ):
        out.add_scatter(
            x=days, y=fan.growth[low], meta=f"fan {low}", showlegend=False, row=1, col=1, **edge
        )
        out.add_scatter(
            x=days, y=fan.growth[high], name=name, meta=f"fan {high}", fill="tonexty",
            fillcolor=colour, row=1, col=1, **edge,
        )  # fmt: skip


def price_figure(
    times: np.ndarray,
    close: np.ndarray,
    fills: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    quote: str,
) -> go.Figure:
    """Closes (T,) over `times` (datetime64) with fills, (times, prices) by the names of `MARKS`.

    At most 2,000 of each kind of fill are drawn, evenly spaced; the page draws those in view.
    """
    import plotly.graph_objects as go

    out = go.Figure()
    out.add_scatter(
        x=times, y=close, name="close", meta="close", mode="lines",
        line={"color": MUTED, "width": 1.1}, hovertemplate="%{y:,.6~g}", connectgaps=False,
    )  # fmt: skip
    for mark in MARKS:
        x, y = fills.get(mark.name, (times[:0], close[:0]))
        every = max(1, -(-len(x) * len(MARKS) // MAX_MARKERS))
        out.add_scatter(
            x=x[::every], y=y[::every], name=mark.label, meta=mark.name, mode="markers",
            marker={"symbol": mark.symbol, "color": mark.colour, "size": 8,
                    "line": {"width": 1.4, "color": mark.colour}},
            hovertemplate=f"{mark.label} %{{y:,.6~g}}<extra></extra>",
        )  # fmt: skip
    return lay_out(
        out, 340, bottom=28,
        hovermode="closest",
        xaxis={"type": "date", "gridcolor": GRID, "zeroline": False},
        yaxis={"title": {"text": f"price, {quote}"}, "gridcolor": GRID, "zeroline": False,
               "fixedrange": True},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )  # fmt: skip


def rolling_figure(times: np.ndarray, lines: Mapping[str, np.ndarray]) -> go.Figure:
    """Rolling 90-day Sharpe ratios, one line each: "hold", "cell", "headline"."""
    import plotly.graph_objects as go

    out = go.Figure()
    for name, label, colour, width, dash in (
        ("hold", "buy and hold", MUTED, 1.3, "dot"),
        ("cell", "selected cell", ORANGE, 1.2, "solid"),
        ("headline", "headline", BLUE, 2.4, "solid"),
    ):
        out.add_scatter(
            x=times, y=lines.get(name, times[:0]), name=label, meta=name, mode="lines",
            line={"color": colour, "width": width, "dash": dash}, hovertemplate="%{y:.2f}",
        )  # fmt: skip
    return lay_out(
        out, 240, bottom=28,
        hovermode="x unified",
        xaxis={"type": "date", "gridcolor": GRID, "zeroline": False},
        yaxis={"title": {"text": "Sharpe ratio, annual"}, "gridcolor": GRID, "zeroline": True,
               "zerolinecolor": MUTED, "fixedrange": True},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
