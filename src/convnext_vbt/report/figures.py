"""The report's figures as plain `go.Figure`, for a notebook as well as for the page.

Text that comes from the user is escaped, because plotly reads pseudo-HTML.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.evidence import scores
from convnext_vbt.evidence.window import Window
from convnext_vbt.predictions import CLASSES, Predictions
from convnext_vbt.report import accounts
from convnext_vbt.report.formats import FIGURE, THIN_TRADES, Figure, level_label, level_text
from convnext_vbt.report.layout import (
    BAND,
    BLUE,
    CLASS_COLOURS,
    DIVERGING,
    FAN_NARROW,
    FAN_WIDE,
    FILL,
    GRID,
    MUTED,
    RANGE_COLOURS,
    lay_out,
)
from convnext_vbt.report.returns import Fan
from convnext_vbt.trading.sweep import SweepResult

if TYPE_CHECKING:  # plotly takes half a second to import, and `write_report` is imported early
    import plotly.graph_objects as go

_MAX_LABELLED_CELLS = 150


def plot_heatmap(res: SweepResult, metric: str = "cagr", **levels: object) -> go.Figure:
    """One metric over threshold (across) and risk (up), a cell each.

    `levels` fixes further swept levels by name, such as `symbol="BTC/USDT"`; one that is left
    out is shown at its first value. Cells with fewer than 30 trades are hatched.

    Raises `ValueError` for an unknown metric or level value.
    """
    if metric not in res.metrics:
        raise InputError(
            f"metric must be one of {', '.join(map(str, res.metrics))}, got {metric!r}"
        )
    across, up = heatmap_axes(res.metrics)
    table = res.metrics
    for name in map(str, table.index.names):
        if name in (across, up):
            continue
        values = table.index.get_level_values(name)
        wanted = levels.get(name, values[0])
        if wanted not in values:
            raise InputError(f"{name} must be one of {list(values.unique())}, got {wanted!r}")
        table = table[values == wanted]
    x, y = (list(table.index.get_level_values(name).unique()) for name in (across, up))
    rows = pd.MultiIndex.from_product([y, x]) if across != up else pd.MultiIndex.from_product([y])
    keys = pd.MultiIndex.from_arrays([table.index.get_level_values(name) for name in (up, across)])
    table = table.set_axis(keys, axis=0).reindex(rows)
    shape = (len(y), len(x))
    figure = FIGURE.get(metric, Figure(name=metric, label=metric, kind="ratio", help=""))
    return _heatmap(
        z=table[metric].to_numpy(np.float64).reshape(shape),
        trades=table["trades"].to_numpy(np.float64).reshape(shape),
        figure=figure,
        x=(level_label(across), [level_text(across, value) for value in x]),
        y=(level_label(up), [level_text(up, value) for value in y]),
    )


def heatmap_axes(metrics: pd.DataFrame) -> tuple[str, str]:
    """The levels drawn across and up: threshold and risk, else the first level of a user's rule."""
    names = [str(name) for name in metrics.index.names]
    rules = [name for name in names if name not in ("risk", "symbol")]
    across = "threshold" if "threshold" in names else [*rules, "symbol"][0]
    return across, "risk"


def _heatmap(
    *,
    z: np.ndarray,
    trades: np.ndarray,
    figure: Figure,
    x: tuple[str, list[str]],
    y: tuple[str, list[str]],
) -> go.Figure:
    import plotly.graph_objects as go

    percent = figure.kind == "percent"
    shown = z * 100 if percent else z
    unit = " %" if percent else ""
    limit = float(np.nanmax(np.abs(shown), initial=0.0)) or 1.0
    trace = go.Heatmap(
        z=shown,
        x=list(range(shown.shape[1])),
        y=list(range(shown.shape[0])),
        text=[[_cell_text(value, figure) for value in row] for row in shown],
        texttemplate="%{text}" if shown.size <= _MAX_LABELLED_CELLS else None,
        customdata=trades,
        hovertemplate=(
            f"{html.escape(x[0])} %{{x}}<br>{html.escape(y[0])} %{{y}}<br>"
            f"<b>{html.escape(figure.label)} %{{text}}{unit}</b><br>"
            "%{customdata} trades<extra></extra>"
        ),
        colorscale=DIVERGING if figure.signed else "Cividis",
        zmin=-limit if figure.signed else None,
        zmax=limit if figure.signed else None,
        xgap=2,
        ygap=2,
        hoverongaps=False,
        colorbar={"title": {"text": f"{figure.label}{', %' if percent else ''}", "side": "right"},
                  "thickness": 12, "outlinewidth": 0},
    )  # fmt: skip
    axes: dict[str, Any] = {
        axis: {
            "title": {"text": html.escape(title), "standoff": 8},
            "tickvals": list(range(len(ticks))),
            "ticktext": [html.escape(tick) for tick in ticks],
            "range": [-0.5, len(ticks) - 0.5],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
            "automargin": True,
        }
        for axis, (title, ticks) in (("xaxis", x), ("yaxis", y))
    }
    hatch = _hatch(trades < THIN_TRADES)
    stroke = {"type": "path", "path": hatch, "line": {"color": MUTED, "width": 1}, "name": "thin"}
    height = min(640, 150 + 46 * max(shown.shape[0], 3))
    return lay_out(
        go.Figure(trace),
        height,
        dragmode=False,
        shapes=[stroke | {"layer": "above"}] if hatch else [],
        **axes,
    )


def _cell_text(value: float, figure: Figure) -> str:
    if not np.isfinite(value):
        return "n/a"
    digits = 0 if figure.kind == "count" else 1 if figure.kind == "percent" else 2
    return f"{value:.{digits}f}".replace("-", "−")


def _hatch(thin: np.ndarray) -> str:
    """Three diagonal strokes over each thin cell, as one SVG path in cell coordinates."""
    strokes = ((-0.46, 0.0, 0.0, 0.46), (-0.46, -0.46, 0.46, 0.46), (0.0, -0.46, 0.46, 0.0))
    return "".join(
        f"M{col + x0:g},{row + y0:g}L{col + x1:g},{row + y1:g}"
        for row, col in np.argwhere(thin).tolist()
        for x0, y0, x1, y1 in strokes
    )


def plot_splits(preds: Predictions) -> go.Figure:
    """The walk-forward splits on a time axis: what trained, stopped, calibrated and tested when.

    Purge is every bar that is left out between two ranges, the embargo with it.

    Raises `ValueError` when the predictions were not made by a walk-forward.
    """
    import plotly.graph_objects as go

    if not preds.splits:
        raise InputError("these predictions carry no splits; walk_forward makes some that do")
    out = go.Figure()
    for name, colour in RANGE_COLOURS.items():
        spans = [
            (split.number, start, stop)
            for split in preds.splits
            for start, stop in _spans(split, name)
            if stop > start
        ]
        if not spans:
            continue
        begin = [_bar_time(preds.index, start) for _, start, _ in spans]
        end = [_bar_time(preds.index, stop) for _, _, stop in spans]
        out.add_bar(
            y=[number + 1 for number, _, _ in spans],
            x=[(b - a) / pd.Timedelta(milliseconds=1) for a, b in zip(begin, end, strict=True)],
            base=[f"{time:%Y-%m-%d %H:%M}" for time in begin],
            orientation="h",
            name="purge and embargo" if name == "purge" else name,
            marker={"color": colour, "line": {"width": 0}},
            customdata=[
                [f"{a:%Y-%m-%d %H:%M}", f"{b:%Y-%m-%d %H:%M}", stop - start]
                for a, b, (_, start, stop) in zip(begin, end, spans, strict=True)
            ],
            hovertemplate=(
                "<b>%{fullData.name}</b>, split %{y}<br>%{customdata[0]} to %{customdata[1]}<br>"
                "%{customdata[2]} bars<extra></extra>"
            ),
        )
    count = len(preds.splits)
    return lay_out(
        out,
        110 + min(26 * count, 640),
        bottom=28,
        barmode="overlay",
        bargap=0.35,
        dragmode=False,
        xaxis={"type": "date", "gridcolor": GRID, "fixedrange": True},
        yaxis={
            "title": {"text": "Split"},
            "autorange": "reversed",
            "dtick": max(1, -(-count // 15)),
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
    )


def _spans(split: Any, name: str) -> list[tuple[int, int]]:
    parts = [split.train, split.valid, split.calibration, split.test]
    if name == "purge":
        parts = [part for part in parts if part[1] > part[0]]
        return [(a[1], b[0]) for a, b in itertools.pairwise(parts)]
    return [parts[("train", "validation", "calibration", "test").index(name)]]


def _bar_time(index: pd.DatetimeIndex, row: int) -> pd.Timestamp:
    if row < len(index):
        return index[row]
    return index[-1] + (index[-1] - index[-2])


def plot_reliability(preds: Predictions, values: np.ndarray, *, bins: int = 10) -> go.Figure:
    """How often each class came true against how probable it was said to be.

    `values` is int8 (T, N), the labels, -1 where there is none. `bins` equal-mass bins a class,
    with 95 % Wilson intervals; on the dotted diagonal the probabilities are honest.
    """
    from plotly.subplots import make_subplots

    out = make_subplots(
        rows=1, cols=3, subplot_titles=CLASSES, shared_yaxes=True, horizontal_spacing=0.04
    )
    axes: dict[str, Any] = {}
    for k, name in enumerate(CLASSES):
        table = scores.reliability(preds, values, k, bins=bins)
        mean, share = (table[c].to_numpy(np.float64) for c in ("mean_probability", "frequency"))
        low, high = (table[c].to_numpy(np.float64) for c in ("low", "high"))
        top = float(np.nanmax(np.concatenate([mean, high]), initial=0.0)) or 1.0
        # Nothing below 0 or above 1 is a probability, but a dot on the edge needs room.
        bottom = float(np.nanmin(np.concatenate([mean, low]), initial=top))
        pad = 0.06 * max(top - bottom, 0.02)
        span = [max(bottom - pad, -0.02), min(top + pad, 1.02)]
        diagonal = {"color": MUTED, "dash": "dot", "width": 1}
        out.add_scatter(
            x=span, y=span, mode="lines", line=diagonal, hoverinfo="skip", row=1, col=k + 1
        )
        out.add_scatter(
            x=mean,
            y=share,
            mode="markers",
            marker={
                "color": CLASS_COLOURS[name],
                "size": 7,
                "symbol": ("triangle-down", "square", "triangle-up")[k],
            },
            error_y={
                "type": "data",
                "symmetric": False,
                "array": high - share,
                "arrayminus": share - low,
                "thickness": 1.2,
                "width": 0,
            },
            customdata=np.column_stack([table["count"].to_numpy(np.float64), low, high]),
            hovertemplate=(
                f"said {name} %{{x:.3f}}<br>came true %{{y:.3f}} "
                "(%{customdata[1]:.3f} to %{customdata[2]:.3f})<br>"
                "%{customdata[0]:,.0f} bars<extra></extra>"
            ),
            row=1,
            col=k + 1,
        )
        axes[f"xaxis{k + 1 if k else ''}"] = {"range": span, "nticks": 6}
    axes["xaxis2"]["title"] = {"text": "predicted probability", "standoff": 6}
    every = {"gridcolor": GRID, "zeroline": False, "fixedrange": True, "tickformat": ".2f"}
    return lay_out(
        out,
        330,
        every_x=every,
        every_y=every,
        yaxis={"title": {"text": "observed frequency"}},
        showlegend=False,
        dragmode=False,
        **axes,
    )


def plot_equity(res: SweepResult, **cell: object) -> go.Figure:
    """Growth of 1 of one cell beside buy-and-hold at the same costs, underwater below.

    `cell` names the cell by its levels, such as `threshold="q0.90", risk=0.01`; a level with
    one value may be left out. Daily closes; the shaded bands are the test ranges of the splits.
    """
    simulation = res.simulation(**cell)
    symbols = simulation.columns.get_level_values("symbol")
    hold = accounts.Account.of(Window(res).buy_and_hold(symbols[0] if len(symbols) == 1 else None))
    lines = [
        Line(name="buy and hold", account=_daily(hold), colour=MUTED, width=1.4, dash="dot"),
        Line(
            name="strategy",
            account=_daily(accounts.Account.of(simulation)),
            colour=BLUE,
            width=1.8,
            fill=FILL,
        ),
    ]
    return equity_figure(lines, bands=split_bands(res))


def _daily(account: accounts.Account) -> accounts.Daily:
    return accounts.daily(account.index, account.equity, account.init_cash)


def split_bands(res: SweepResult) -> list[tuple[int, pd.Timestamp, pd.Timestamp]]:
    """Number, begin and end of each split's test range, cut to the simulated window."""
    start, stop = res.window
    return [
        (
            split.number,
            _bar_time(res.bars.index, max(split.test[0], start)),
            _bar_time(res.bars.index, min(split.test[1], stop)),
        )
        for split in res.predictions.splits
        if min(split.test[1], stop) > max(split.test[0], start)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One account of an equity figure."""

    name: str
    account: accounts.Daily
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
    """The two panels of `plot_equity`; the last line lies on top, `fan` below all of them."""
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
        yaxis2={"title": {"text": "below peak, %"}, "rangemode": "tozero"},
        hovermode="x unified",
        legend={"orientation": "h", "y": 1.06, "yanchor": "bottom", "x": 0},
    )


def _add_fan(out: go.Figure, days: np.ndarray, fan: Fan) -> None:
    """Two bands, 90 % and 50 % of the resampled histories."""
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    for low, high, name, colour in (
        (0, 4, "90 % of resampled histories", FAN_WIDE),
        (1, 3, "50 % of them", FAN_NARROW),
    ):
        out.add_scatter(
            x=days, y=fan.growth[low], meta=f"fan {low}", showlegend=False, row=1, col=1, **edge
        )
        out.add_scatter(
            x=days, y=fan.growth[high], name=name, meta=f"fan {high}", fill="tonexty",
            fillcolor=colour, row=1, col=1, **edge,
        )  # fmt: skip
