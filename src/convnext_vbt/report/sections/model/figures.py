"""Figures of the model: returns by confidence, probabilities by class, log-loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence.confidence import Deciles, Outlines
from convnext_vbt.predictions import CLASSES
from convnext_vbt.report.layout import BLUE, CLASS_COLOURS, GRID, INK, MUTED, ORANGE, RED, lay_out

if TYPE_CHECKING:
    import plotly.graph_objects as go

_DASHES = {"DOWN": "dash", "STAY": "dot", "UP": "solid"}
_LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}


def decile_figure(found: Deciles) -> go.Figure:
    """Mean net forward return by decile of confidence, with the line of no skill.

    A decile that knows no direction lies at the costs of a round trip below 0, one above 0 pays for
    its trades.
    """
    import plotly.graph_objects as go

    table, cost = found.table, found.cost
    x, net = table["decile"].to_numpy(), table["net"].to_numpy(np.float64) * 1e4
    low, high = (table[name].to_numpy(np.float64) * 1e4 for name in ("low", "high"))
    out = go.Figure()
    out.add_scatter(
        x=x, y=net, name="all bars, 90 % CI", meta="bars", mode="markers",
        marker={"color": BLUE, "size": 9},
        error_y={"type": "data", "symmetric": False, "array": high - net,
                 "arrayminus": net - low, "thickness": 1.6, "width": 4, "color": BLUE},
        customdata=table[["from", "to", "bars"]].to_numpy(np.float64),
        hovertemplate="decile %{x}: confidence %{customdata[0]:.3f} to %{customdata[1]:.3f}<br>"
        "%{y:.1f} bp net, %{customdata[2]:,.0f} bars<extra></extra>",
    )  # fmt: skip
    out.add_scatter(
        x=[], y=[], name="trades of the account", meta="trades", mode="markers",
        marker={"color": ORANGE, "size": 9, "symbol": "diamond-open", "line": {"width": 2}},
        hovertemplate="%{hovertext}<extra></extra>",
    )  # fmt: skip
    edge = {"x0": 0, "x1": 1, "xref": "paper", "type": "line"}
    out.add_shape(y0=0, y1=0, line={"color": INK, "width": 1.2}, layer="below", **edge)
    out.add_shape(
        y0=-cost * 1e4, y1=-cost * 1e4, line={"color": RED, "width": 1.6, "dash": "dash"},
        layer="below", **edge,
    )  # fmt: skip
    out.add_annotation(
        x=1, xref="paper", xanchor="right", y=-cost * 1e4, yanchor="top", showarrow=False,
        text=f"no skill: −{cost * 1e4:g} bp of costs", font={"size": 11, "color": RED},
    )  # fmt: skip
    return lay_out(
        out, 350,
        dragmode=False,
        xaxis={"title": {"text": "decile of confidence, 10 the highest", "standoff": 6},
               "tickvals": list(range(1, 11)), "range": [0.4, 10.6], "showgrid": False,
               "zeroline": False, "fixedrange": True},
        yaxis={"title": {"text": "mean net return, bp"}, "gridcolor": GRID, "zeroline": False,
               "fixedrange": True},
        legend=_LEGEND,
    )  # fmt: skip


def outline_figure(found: Sequence[Outlines]) -> go.Figure:
    """Distribution of P(DOWN) and of P(UP) over the bars of each true class, as outlines."""
    from plotly.subplots import make_subplots

    out = make_subplots(
        rows=1, cols=len(found), horizontal_spacing=0.08,
        subplot_titles=[f"P({each.name})" for each in found],
    )  # fmt: skip
    axes: dict[str, Any] = {}
    for col, each in enumerate(found, start=1):
        for k, name in enumerate(CLASSES):
            total = each.counts[k].sum()
            share = each.counts[k] / total * 100 if total else np.zeros(len(each.counts[k]))
            out.add_scatter(
                x=each.edges, y=np.append(share, share[-1:]), name=f"actual: {name}",
                mode="lines", showlegend=col == 1,
                line={"shape": "hv", "color": CLASS_COLOURS[name], "width": 2,
                      "dash": _DASHES[name]},
                hovertemplate=f"actual {name}: %{{y:.1f}} % of its bars<extra></extra>",
                row=1, col=col,
            )  # fmt: skip
        title = {"text": f"predicted P({each.name})", "standoff": 6}
        axes[f"xaxis{col if col > 1 else ''}"] = {"title": title, "tickformat": ".2f"}
    every = {"gridcolor": GRID, "zeroline": False, "fixedrange": True}
    return lay_out(
        out, 310,
        every_x=every,
        every_y=every | {"rangemode": "tozero"},
        yaxis={"title": {"text": "share of the class’s bars, %"}},
        annotations=(),  # the axes say it
        dragmode=False,
        legend=_LEGEND,
        **axes,
    )  # fmt: skip


def log_loss_figure(labels: Sequence[str], own: np.ndarray, prior: np.ndarray) -> go.Figure:
    """Log-loss of each split beside that of the base rates."""
    import plotly.graph_objects as go

    at = np.arange(len(labels))
    out = go.Figure()
    for name, values, colour, symbol in (
        ("base rates", prior, MUTED, "line-ew"),
        ("model", own, BLUE, "circle"),
    ):
        out.add_scatter(
            x=at, y=values, name=name, mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 9 if name == "model" else 15,
                    "line": {"width": 0 if name == "model" else 2.5, "color": colour}},
            hovertemplate=f"{name}: %{{y:.4f}} nats per bar<extra></extra>",
        )  # fmt: skip
    every = max(1, -(-len(labels) // 25))
    return lay_out(
        out, 270,
        dragmode=False,
        hovermode="x unified",
        xaxis={"title": {"text": "split", "standoff": 6}, "tickvals": at[::every].tolist(),
               "ticktext": list(labels)[::every], "range": [-0.6, len(labels) - 0.4],
               "showgrid": False, "zeroline": False, "fixedrange": True},
        yaxis={"title": {"text": "log-loss, nats per bar"}, "gridcolor": GRID, "zeroline": False,
               "fixedrange": True, "tickformat": ".3f"},
        legend=_LEGEND,
    )  # fmt: skip


def reliability_figure(tables: Mapping[str, pd.DataFrame]) -> go.Figure:
    """Observed frequency of each class against its predicted probability.

    `tables` are those of `scores.reliability` by class; on the dotted diagonal the probabilities
    are calibrated.
    """
    from plotly.subplots import make_subplots

    out = make_subplots(
        rows=1, cols=3, subplot_titles=CLASSES, shared_yaxes=True, horizontal_spacing=0.04
    )
    axes: dict[str, Any] = {}
    for k, (name, table) in enumerate(tables.items()):
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
                f"predicted {name} %{{x:.3f}}<br>observed %{{y:.3f}} "
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
