"""The timeline of the splits."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.predictions import Predictions
from convnext_vbt.report.layout import GRID, RANGE_COLOURS, bar_time, lay_out

if TYPE_CHECKING:
    import plotly.graph_objects as go


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
        begin = [bar_time(preds.index, start) for _, start, _ in spans]
        end = [bar_time(preds.index, stop) for _, _, stop in spans]
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
    ranges = {
        "train": split.train,
        "validation": split.valid,
        "calibration": split.calibration,
        "test": split.test,
    }
    if name == "purge":
        parts = [part for part in ranges.values() if part and part[1] > part[0]]
        return [(a[1], b[0]) for a, b in itertools.pairwise(parts)]
    span = ranges[name]
    return [] if span is None else [span]
