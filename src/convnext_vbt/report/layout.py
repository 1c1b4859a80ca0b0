"""Colours, letters and margins that all figures of the report share.

Colours are Okabe-Ito's and Cividis, safe for colour-blind readers; `DARK` maps each onto its twin
for a dark page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:  # plotly takes half a second to import, and `write_report` is imported early
    import plotly.graph_objects as go

BLUE, SKY, GREEN, ORANGE, RED, PURPLE = (
    "#0072b2", "#56b4e9", "#009e73", "#e69f00", "#d55e00", "#cc79a7",
)  # fmt: skip
INK, MUTED, GRID, BAND, MIDDLE = "#1d2733", "#7a8592", "#e4e8ec", "#f1f4f7", "#f4f5f6"
DARK = {
    BLUE: "#5cb8f0",
    GREEN: "#2cc49a",
    RED: "#f08a4b",
    INK: "#dde3ea",
    MUTED: "#8b97a5",
    GRID: "#2a333d",
    BAND: "#1a212a",
    MIDDLE: "#2b333c",
}
CLASS_COLOURS = {"DOWN": RED, "STAY": MUTED, "UP": BLUE}
RANGE_COLOURS = {
    "train": SKY,
    "validation": GREEN,
    "calibration": ORANGE,
    "purge": "#b9c1ca",
    "test": RED,
}
DIVERGING = ((0.0, "#cc5a00"), (0.5, MIDDLE), (1.0, "#0a6fad"))
"""Its ends stay as they are on a dark page, where the numbers inside the cells are light."""
FILL = "rgba(0,114,178,0.16)"
FAN_WIDE, FAN_NARROW = "rgba(86,180,233,0.22)", "rgba(86,180,233,0.30)"


def lay_out(
    figure: go.Figure,
    height: int,
    *,
    bottom: int = 48,
    every_x: Mapping[str, Any] | None = None,
    every_y: Mapping[str, Any] | None = None,
    **layout: Any,
) -> go.Figure:
    """`figure` with the size, margins, letters and paper of every figure, and with `layout`.

    An axis keeps what it has, gets `every_x` or `every_y` and then its own part of `layout`. The
    layout is set whole, which plotly checks once; its update methods take several times as long.
    """
    base = {
        "height": height,
        "template": "none",
        "margin": {"l": 64, "r": 16, "t": 34, "b": bottom},
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": INK},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "rgba(0,0,0,0)",
    }
    before = figure.layout.to_plotly_json()
    made = before | base | layout
    every = {"xaxis": every_x or {}, "yaxis": every_y or {}}
    for name in made:
        if name[:5] in every:  # "xaxis2" too
            made[name] = {**before.get(name, {}), **every[name[:5]], **layout.get(name, {})}
    figure.layout = made
    return figure


def bar_time(index: pd.DatetimeIndex, row: int) -> pd.Timestamp:
    """When bar `row` opens; the one after the last is a step later."""
    if row < len(index):
        return index[row]
    return index[-1] + (index[-1] - index[-2])
