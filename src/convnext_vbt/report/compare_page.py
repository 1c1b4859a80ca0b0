"""The comparison of several runs as one HTML file, as self-contained as a run's own page."""

from __future__ import annotations

import html
import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convnext_vbt import __version__
from convnext_vbt.evidence.comparison import Contender, Row, RunComparison
from convnext_vbt.market.simulated import are_simulated
from convnext_vbt.report import layout, payload
from convnext_vbt.report.document import render_document
from convnext_vbt.report.formats import (
    ABSENT,
    FIGURE,
    figure_text,
    format_day,
    format_interval,
    format_number,
)
from convnext_vbt.report.sections.equity.figures import Line, equity_figure
from convnext_vbt.storage import plain, write_text

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHOWN = (
    "total_return", "cagr", "volatility", "sharpe", "sharpe_interval", "max_drawdown", "calmar",
    "exposure", "turnover", "trades", "mean_trade", "break_even",
)  # fmt: skip
"""Key figures of the page, in this order."""
COLOURS = (layout.BLUE, layout.ORANGE, layout.GREEN, layout.PURPLE, layout.RED, layout.SKY)
_DASHES = ("solid", "dash", "dashdot")
NOT_SET = "not set"


def write_comparison(found: RunComparison, path: str | Path) -> Path:
    """Write the comparison as one self-contained HTML file and give its path.

    The same runs give the same bytes.
    """
    path = Path(path)
    write_text(path, render_comparison(found))
    return path


def render_comparison(found: RunComparison) -> str:
    """The page of `write_comparison` as text."""
    shown = (*found.rows, *(() if found.hold is None else (found.hold,)))
    differences = [row for row in found.rows if row.difference is not None]
    charts = {"equity": payload.figure_json(comparison_equity(found))}
    if any(math.isfinite(row.figures["sharpe"]) for row in found.rows):
        charts["differences"] = payload.figure_json(difference_figure(found))
    return render_document(
        "compare.html.j2",
        scripts=("tables.js", "charts.js", "compare.js"),
        data={"figures": charts, "dark": layout.DARK},
        title=f"Comparison of {len(found.rows)} runs",
        when=(
            f"Out of sample in all of them from {format_day(found.first)} to "
            f"{format_day(found.last)}"
        ),
        unequal=found.unequal,
        simulated=all(are_simulated(one.result.bars.symbols) for one in found.contenders),
        runs=[_run(one) for one in found.contenders],
        sentences=found.sentences,
        settings=[
            (key, [one.settings.get(key, NOT_SET) for one in found.contenders])
            for key in found.settings
        ],
        columns=[FIGURE[name] for name in SHOWN],
        rows=[(row.name, _texts(row)) for row in shown],
        differences=[_difference(row) for row in differences],
        months=_months(shown),
        base=found.rows[0].name,
        days=len(found.rows[0].days.days),
        signature=f"Written by convnext-vbt {__version__}.",
    )


def comparison_dict(found: RunComparison) -> dict[str, Any]:
    """The comparison in JSON's own types; what is undefined is None."""
    rows = []
    for row in found.rows:
        difference = row.difference
        pair = None if difference is None else {
            "sharpe": difference.sharpe, "low": difference.low, "high": difference.high,
            "days": difference.num_days,
        }  # fmt: skip
        rows.append({"run": row.name, "figures": row.figures, "difference": pair})
    value: dict[str, Any] = plain(
        {
            "first": str(found.first),
            "last": str(found.last),
            "unequal": list(found.unequal),
            "runs": rows,
            "settings": {
                key: [one.settings.get(key) for one in found.contenders] for key in found.settings
            },
            "sentences": list(found.sentences),
        }
    )
    return value


def comparison_equity(found: RunComparison) -> go.Figure:
    """Growth of 1 of every run from the start of the common window, underwater below."""
    lines = [] if found.hold is None else [
        Line(name="buy and hold", account=found.hold.days, colour=layout.MUTED,
                     width=1.3, dash="dot")
    ]  # fmt: skip
    styles = itertools.product(_DASHES, COLOURS)
    for row, (dash, colour) in zip(found.rows, itertools.cycle(styles), strict=False):
        lines.append(
            Line(name=html.escape(row.name), account=row.days, colour=colour, width=1.8, dash=dash)
        )
    return equity_figure(lines, bands=[])


def difference_figure(found: RunComparison) -> go.Figure:
    """Sharpe ratio of each run minus the first one's, with the paired 90 % CI."""
    import plotly.graph_objects as go

    rows = [row for row in found.rows if row.difference is not None][::-1]
    values = [row.difference for row in rows if row.difference is not None]
    centre = np.array([value.sharpe for value in values])
    low, high = (np.array([getattr(v, end) for v in values]) for end in ("low", "high"))
    out = go.Figure()
    out.add_scatter(
        x=centre,
        y=[html.escape(row.name) for row in rows],
        mode="markers",
        marker={"color": layout.BLUE, "size": 10},
        error_x={"type": "data", "symmetric": False, "array": high - centre,
                 "arrayminus": centre - low, "thickness": 1.6, "width": 5},
        customdata=np.column_stack([low, high]),
        hovertemplate="%{y}<br>%{x:.2f} (90 % CI %{customdata[0]:.2f} to %{customdata[1]:.2f})"
        "<extra></extra>",
    )  # fmt: skip
    out.add_vline(x=0, line={"color": layout.INK, "width": 1})
    return layout.lay_out(
        out, 120 + 44 * len(rows),
        showlegend=False,
        dragmode=False,
        xaxis={"title": {"text": "Sharpe ratio difference", "standoff": 6},
               "gridcolor": layout.GRID, "zeroline": False, "fixedrange": True},
        yaxis={"automargin": True, "showgrid": False, "fixedrange": True},
    )  # fmt: skip


def figure_texts(row: Row) -> dict[str, str]:
    """The shown figures of a row as text, by name."""
    return {
        name: figure_text(row.figures, FIGURE[name], trades=row.figures["trades"]) for name in SHOWN
    }


def _texts(row: Row) -> list[str]:
    return list(figure_texts(row).values())


def difference_texts(row: Row) -> tuple[str, str]:
    """The difference to the first run and its interval as text; dashes for the first itself."""
    found = row.difference
    if found is None:
        return ABSENT, ABSENT
    return format_number(found.sharpe, "ratio"), format_interval(found.low, found.high)


def _difference(row: Row) -> tuple[str, str, str, str]:
    days = "0" if row.difference is None else f"{row.difference.num_days:,}"
    return (row.name, *difference_texts(row), days)


def _run(one: Contender) -> dict[str, str]:
    head = one.headline
    index = one.result.window_bars.index
    return {
        "name": one.name,
        "report": one.report,
        "verdict": one.verdict,
        "window": f"{index[0]:%Y-%m-%d} to {index[-1]:%Y-%m-%d}",
        "sharpe": format_number(head.sharpe, "ratio", trades=head.trades),
        "interval": format_interval(head.sharpe_low, head.sharpe_high),
        "dsr": format_number(head.dsr, "probability", trades=head.trades),
        "tried": f"{head.num_trials:,}",
        "trades": f"{head.trades:,}",
    }


def _months(rows: tuple[Row, ...]) -> list[tuple[str, list[str]]]:
    """Growth of 1 at the last day of every month that all rows have."""
    series = [row.days for row in rows]
    growth = [dict(zip(one.days.tolist(), one.growth.tolist(), strict=True)) for one in series]
    common = sorted(set.intersection(*(set(one) for one in growth)))
    dates = np.array(common, dtype="datetime64[D]")
    months = dates.astype("datetime64[M]")
    last = np.flatnonzero(np.append(months[1:] != months[:-1], True)[: len(months)])
    return [(str(dates[k]), [f"{one[common[k]]:.4f}" for one in growth]) for k in last.tolist()]
