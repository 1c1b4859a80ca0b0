"""The page of `judge`: one self-contained HTML file, whatever was judged."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convnext_vbt import __version__
from convnext_vbt.evidence.accounts import Daily
from convnext_vbt.evidence.judging.findings import WALK_FORWARD, Findings
from convnext_vbt.evidence.measures import underwater
from convnext_vbt.report import layout, payload
from convnext_vbt.report.charts import histogram, histogram_figure
from convnext_vbt.report.document import render_document
from convnext_vbt.report.formats import ABSENT, format_day, format_number
from convnext_vbt.report.judge_words import (
    figure_rows,
    label,
    meaning,
    null_part,
    pbo_text,
    sentence,
    tiles,
)
from convnext_vbt.report.sections.equity.figures import Line, equity_figure
from convnext_vbt.report.sections.overfitting.figures import logit_figure, null_figure, with_line
from convnext_vbt.report.sections.verdict.section import by_question
from convnext_vbt.storage import write_text

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_ROWS = 25
"""Columns of the table, the best ones."""


def write_judgement(found: Findings, path: str | Path) -> Path:
    """Write the page and give its path; the same findings give the same bytes."""
    path = Path(path)
    write_text(path, render_judgement(found))
    return path


def render_judgement(found: Findings) -> str:
    """The page of `write_judgement` as text."""
    charts = {name: payload.figure_json(one) for name, one in figures(found).items()}
    many = found.judged.name == WALK_FORWARD
    return render_document(
        "judge.html.j2",
        scripts=("tables.js", "charts.js", "compare.js"),
        data={"figures": charts, "dark": layout.DARK},
        title=found.title or f"Judgement of {_subject(found)}",
        when=(
            f"{format_day(found.first)} to {format_day(found.last)}, {found.num_days:,} "
            f"{'days' if found.days_per_year > 52 else 'periods'}, {found.days_per_year} a year"
        ),
        simulated=False,
        verdict={
            "word": found.verdict.word,
            "css": found.verdict.word.lower(),
            "meaning": meaning(found),
            "sentence": sentence(found),
            "waiting": "",
            "questions": by_question(tiles(found)),
            "reasons": found.verdict.reasons,
            "notes": found.notes,
        },
        many=many,
        charts=tuple(charts),
        months=_month_ends(found),
        periods=_period_rows(found) if many else [],
        single_periods=[] if many else _period_rows(found),
        columns=_column_rows(found),
        left_out=max(0, found.num_columns - found.idle_columns - MOST_ROWS),
        figures=figure_rows(found),
        pbo=format_number(found.pbo.probability, "probability"),
        pbo_text=pbo_text(found),
        nulls=[
            null_part("sides", "Does it know which side?", found),
            null_part("times", "Does it know when?", found),
        ],
        signature=f"Written by convnext-vbt {__version__}.",
    )


def figures(found: Findings) -> dict[str, go.Figure]:
    """The charts by name; those of which nothing is known are left out."""
    out = {"equity": equity_figure(_lines(found), bands=[])}
    known = found.sharpes[np.isfinite(found.sharpes)]
    if len(known) > 1:
        counts, edges = histogram(known)
        made = histogram_figure(counts, edges, what="columns", title="Sharpe ratio, annualised")
        out["columns"] = with_line(made, found.best.luck, "best of luck")
    for name, null in (("sides", found.sides), ("times", found.times)):
        if not null.reason:
            out[name] = null_figure(null)
    if len(found.pbo.logits):
        out["logits"] = logit_figure(found.pbo.logits)
    return out


def _subject(found: Findings) -> str:
    if found.num_columns > 1:
        return f"{found.num_columns:,} columns"
    return found.judged.name


def _lines(found: Findings) -> list[Line]:
    start, returns = found.path.start, found.path.returns
    days = found.days.to_numpy().astype("datetime64[D]").astype(np.int64)
    own = days[start : start + len(returns)]
    lines = []
    if found.path.benchmark is not None:
        benchmark = html.escape(found.benchmark)
        lines.append(Line(name=benchmark, account=_daily(own, found.path.benchmark),
                          colour=layout.MUTED, width=1.3, dash="dot"))  # fmt: skip
    if found.judged.name == WALK_FORWARD:
        after = found.best_returns[start : start + len(returns)]
        lines.append(Line(name="best in hindsight", account=_daily(own, after),
                          colour=layout.ORANGE, width=1.3, dash="dash"))  # fmt: skip
    judged = Line(name=html.escape(found.judged.name), account=_daily(own, returns),
                  colour=layout.BLUE, width=2.2, fill=layout.FILL)  # fmt: skip
    return [*lines, judged]


def _daily(days: np.ndarray, returns: np.ndarray) -> Daily:
    growth = np.cumprod(1.0 + returns)
    return Daily(days=days, growth=growth, underwater=underwater(growth, 1.0))


def _month_ends(found: Findings) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Names of the lines, and their growth of 1 at each month's last day."""
    lines = _lines(found)
    days = lines[0].account.days.astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    last = np.flatnonzero(np.append(months[1:] != months[:-1], True))
    rows = [
        (str(days[k]), [f"{line.account.growth[k]:.4f}" for line in lines]) for k in last.tolist()
    ]
    return [html.unescape(line.name) for line in lines], rows


def _period_rows(found: Findings) -> list[list[str]]:
    many = found.judged.name == WALK_FORWARD
    return [
        [
            str(row["first"]),
            str(row["last"]),
            *([ABSENT if row["column"] is None else label(row["column"])] if many else []),
            *([format_number(row["sharpe_before"], "ratio")] if many else []),
            format_number(row["total_return"], "percent"),
        ]
        for row in found.periods.to_dict("records")
    ]


def _column_rows(found: Findings) -> list[list[str]]:
    order = np.argsort(-np.nan_to_num(found.sharpes, nan=-np.inf), kind="stable")[:MOST_ROWS]
    return [
        [
            label(found.names[k]),
            format_number(float(found.sharpes[k]), "ratio"),
            "yes" if found.leads[k] else "no",
        ]
        for k in order.tolist()
        if np.isfinite(found.sharpes[k])
    ]
