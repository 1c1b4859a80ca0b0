"""The report: one HTML file that needs no network, no server and no other file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convnext_vbt import __version__
from convnext_vbt.evidence.accounts import Figures
from convnext_vbt.evidence.baselines import Comparison
from convnext_vbt.evidence.gathering import Evidence, gather
from convnext_vbt.evidence.sweep_table import RULE_COLUMNS, SINGLE
from convnext_vbt.evidence.verdict import Assessment
from convnext_vbt.evidence.views import View
from convnext_vbt.learning.labels import labels_for
from convnext_vbt.market.bars import step_text
from convnext_vbt.report import layout
from convnext_vbt.report.document import markup, render_document, render_fragment
from convnext_vbt.report.formats import FIGURES, format_day
from convnext_vbt.report.grid import levels
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool, figure_json
from convnext_vbt.report.section import Content
from convnext_vbt.report.sections import SECTIONS
from convnext_vbt.report.series import line, trades
from convnext_vbt.storage import write_text
from convnext_vbt.trading.sweep import SweepResult

SCRIPTS = ("numbers.js", "tables.js", "charts.js", "page.js")
"""What all sections' scripts build on; theirs follow in the order of the sections."""


def write_report(
    res: SweepResult,
    path: str | Path,
    *,
    title: str | None = None,
    selected: Mapping[str, Any] | None = None,
    provenance: Mapping[str, str] | None = None,
    caveats: Sequence[str] = (),
    assessment: Assessment | None = None,
    baselines: Comparison | None = None,
) -> Path:
    """Write the report of a sweep as one self-contained HTML file and give its path.

    `selected` is the strategy's own cell, fixed beforehand, such as
    {"threshold": "q0.90", "risk": 0.01}; levels that are left out take their first value.
    `provenance` adds lines such as a config hash and a seed, `caveats` adds warnings.
    `assessment` is the evidence and the verdict; None makes it here, of this sweep alone (no
    earlier tries count) at the strategy's own risk. `baselines` compares it with other models. The
    same result gives the same bytes.

    Raises `ValueError` when `selected` is not a cell of the sweep.
    """
    path = Path(path)
    write_text(
        path,
        render(
            res, title=title, selected=selected, provenance=provenance or {}, caveats=caveats,
            assessment=assessment, baselines=baselines,
        ),
    )  # fmt: skip
    return path


def render(
    res: SweepResult,
    *,
    title: str | None = None,
    selected: Mapping[str, Any] | None = None,
    provenance: Mapping[str, str],
    caveats: Sequence[str] = (),
    assessment: Assessment | None = None,
    baselines: Comparison | None = None,
) -> str:
    """The page of `write_report` as text."""
    preds = res.predictions
    labels = None if preds.target is None else labels_for(res.bars, preds.target).values
    evidence = gather(
        res, selected=selected, labels=labels, assessment=assessment, baselines=baselines
    )
    return render_evidence(evidence, title=title, provenance=provenance, caveats=caveats)


def write_page(
    evidence: Evidence,
    path: Path,
    *,
    title: str,
    provenance: Mapping[str, str],
    caveats: Sequence[str],
) -> None:
    """The page of evidence that is there already; arguments as in `write_report`."""
    write_text(path, render_evidence(evidence, title=title, provenance=provenance, caveats=caveats))


def render_evidence(
    evidence: Evidence,
    *,
    title: str | None = None,
    provenance: Mapping[str, str],
    caveats: Sequence[str] = (),
) -> str:
    """The page as text: what was computed, in words and pictures."""
    res, pool = evidence.result, Pool()
    inputs = Inputs(evidence=evidence, provenance=provenance, caveats=caveats)
    series = [{"row": row, **_account(v, pool)} for row, v in evidence.cells.views.items()]
    title = title or f"{_kind(evidence)}: {_symbols(res)}, {step_text(res.bars.step)}"
    return _page(inputs, pool, series, title=title)


def _account(view: View, pool: Pool) -> dict[str, Any]:
    """Everything of one account that the page shows."""
    own = _merged(section.series(view, pool) for section in SECTIONS)
    return line(pool, view.lines) | {"trades": trades(pool, view)} | own


def _page(inputs: Inputs, pool: Pool, series: list[dict[str, Any]], *, title: str) -> str:
    shown = [section for section in SECTIONS if section.shown(inputs)]
    contents = [section.content(inputs, pool) for section in shown]
    fragments = [
        (section, markup(render_fragment(section.template, content.context)))
        for section, content in zip(shown, contents, strict=True)
    ]
    data = (
        _shared(inputs, pool)
        | _merged(content.data for content in contents)
        | {"series": pool.add_json(series), "figures": _merged(map(_figures, contents))}
    )
    return render_document(
        "report.html.j2",
        scripts=(*SCRIPTS, *filter(None, (section.script for section in shown))),
        data=data,
        pool=markup(pool.text()),
        title=title,
        subtitle=_subtitle(inputs.evidence),
        simulated=inputs.simulated,
        header=[text for section, text in fragments if section.in_header],
        sections=[text for section, text in fragments if not section.in_header],
        contents=[(section.anchor, section.title) for section in shown if section.title],
        levels=levels(inputs.grid),
        fixed_name=inputs.fixed_name,
        embedded_note=_embedded_note(inputs.evidence),
        signature=f"Written by convnext-vbt {__version__}.",
    )


def _figures(content: Content) -> dict[str, Any]:
    charts = {name: figure_json(figure) for name, figure in content.figures.items()}
    return charts | {
        name: figure_json(figure, with_data=False) for name, figure in content.frames.items()
    }


def _merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for part in parts:
        twice = sorted(out.keys() & part.keys())
        assert not twice, f"two sections of the page name {twice}"
        out |= part
    return out


def _shared(inputs: Inputs, pool: Pool) -> dict[str, Any]:
    """What the scripts of all sections read: cells and their figures, accounts, time."""
    evidence, grid, table = inputs.evidence, inputs.grid, inputs.evidence.table
    named = [figure.name for figure in FIGURES if figure.name in table]
    return {
        "rows": len(grid),
        "levels": levels(grid),
        "positions": pool.add(grid.positions.ravel(), "i4"),
        "metrics": {
            name: pool.add(table[name].to_numpy(np.float64), "f8")
            for name in (*named, *RULE_COLUMNS)
        },
        "kinds": {figure.name: figure.kind for figure in FIGURES},
        "account_figures": SINGLE,
        "fixed": evidence.cells.fixed,
        "start": evidence.cells.start,
        "headline": _account(evidence.headline, pool)
        | {"symbols": list(evidence.headline.symbols)}
        | _growth_and_fall(evidence.headline_figures),
        "holds": [
            line(pool, one.lines) | _growth_and_fall(one.figures) for one in evidence.holdings
        ],
        **_time(evidence, pool),
        "dark": layout.DARK,
        "muted": layout.MUTED,
    }


def _growth_and_fall(figures: Figures) -> dict[str, float]:
    return {"cagr": figures["cagr"], "drawdown": figures["max_drawdown"]}


def _time(evidence: Evidence, pool: Pool) -> dict[str, Any]:
    """The axes that all accounts share."""
    seconds = np.asarray(evidence.result.window_bars.index.as_unit("s").asi8)
    return {
        "days": pool.add(evidence.days, "i4"),
        "first_bar": int(seconds[0]),
        "bars": pool.add(np.diff(seconds, prepend=seconds[0]), "i4"),
    }


def _embedded_note(evidence: Evidence) -> str:
    """What of the cells is in this file, in words."""
    res, rows = evidence.result, list(evidence.cells.views)
    if len(rows) == len(res.metrics):
        return "Daily series, drawdowns and trades of every cell are in this file."
    cells, count = evidence.concerns.num_cells, int(res.whole_accounts[rows].sum())
    num_symbols = len(res.bars.symbols)
    apart = f" For each of the {num_symbols} symbols alone: those of the first one shown."
    return (
        f"Key figures are here for all {cells:,} cells; daily series, drawdowns and trades for "
        f"{count:,} of them: the first one shown, the best by each metric, evenly spaced ones."
        f"{apart if num_symbols > 1 else ''}"
    )


def _symbols(res: SweepResult) -> str:
    names = res.bars.symbols
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} symbols"


def _is_walk_forward(evidence: Evidence) -> bool:
    """Whether there are splits, and each is known to have learned from earlier bars alone."""
    found = evidence.concerns
    return bool(evidence.result.predictions.splits) and not (
        found.later_splits or found.untold_splits
    )


def _kind(evidence: Evidence) -> str:
    return "Walk-forward backtest" if _is_walk_forward(evidence) else "Backtest"


def _subtitle(evidence: Evidence) -> str:
    res = evidence.result
    start, stop = res.window
    index = res.bars.index[start:stop]
    splits = len(res.predictions.splits)
    kind = "walk-forward " if _is_walk_forward(evidence) else ""
    count = f" · {splits} {kind}split{'s' * (splits != 1)}" if splits else ""
    number = evidence.concerns.num_cells
    cells = f"{number:,} cell{'s' * (number != 1)}"
    return f"Out of sample from {format_day(index[0])} to {format_day(index[-1])}{count} · {cells}"
