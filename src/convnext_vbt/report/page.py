"""The report: one HTML file that needs no network, no server and no other file."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convnext_vbt import __version__
from convnext_vbt.evidence.baselines import Comparison
from convnext_vbt.evidence.ledger import Trials
from convnext_vbt.evidence.selection import Preset
from convnext_vbt.evidence.verdict import Assessment, assess
from convnext_vbt.market.bars import step_text
from convnext_vbt.report import accounts, cells, layout
from convnext_vbt.report.document import markup, render_document, render_fragment
from convnext_vbt.report.embedded import embedded_note, embedded_rows
from convnext_vbt.report.formats import FIGURES, format_day
from convnext_vbt.report.grid import Grid, levels
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.model import confidence_deciles
from convnext_vbt.report.payload import Pool, figure_json
from convnext_vbt.report.section import Content
from convnext_vbt.report.sections import SECTIONS
from convnext_vbt.report.series import View, line, trades
from convnext_vbt.storage import write_text
from convnext_vbt.trading.simulation import Simulation
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
    grid = Grid.of(res.metrics)
    fixed = None if selected is None else grid.find(selected)
    if assessment is None:
        risk = None if fixed is None else grid.cell(fixed)["risk"]
        assessment = assess(res, preset=Preset(risk=risk))
    pool = Pool()
    view_of = functools.partial(
        View.of,
        res=res,
        ranges=accounts.split_ranges([split.test for split in res.predictions.splits], res.window),
        deciles=confidence_deciles(res),
    )
    rows = embedded_rows(res, grid, [fixed or 0])
    series, carried = _embed(rows, res, grid, view_of, assessment.trials, pool)
    inputs = Inputs.of(
        view_of(assessment.headline.selection.simulation),
        assessment=assessment,
        baselines=baselines,
        grid=grid,
        fixed=fixed,
        table=cells.table(res, carried),
        provenance=provenance,
        caveats=caveats,
    )
    title = title or f"Walk-forward backtest: {_symbols(res)}, {step_text(res.bars.step)}"
    return _page(inputs, pool, series, title=title, note=embedded_note(res, rows))


def _embed(
    rows: list[int],
    res: SweepResult,
    grid: Grid,
    view_of: Callable[[Simulation], View],
    trials: Trials,
    pool: Pool,
) -> tuple[list[dict[str, Any]], dict[int, dict[str, float]]]:
    """Series of the cells that are carried, and their figures that only those have.

    One account at a time, since many of long histories do not fit in memory together.
    """
    series, carried = [], {}
    for row in rows:
        view = view_of(res.simulation(**grid.cell(row)))
        series.append({"row": row, **_account(view, pool)})
        carried[row] = cells.carried_figures(view.account, view.result, trials)
    return series, carried


def _account(view: View, pool: Pool) -> dict[str, Any]:
    """Everything of one account that the page shows."""
    own = _merged(section.series(view, pool) for section in SECTIONS)
    return line(pool, view.result, view.account) | {"trades": trades(pool, view)} | own


def _page(
    inputs: Inputs, pool: Pool, series: list[dict[str, Any]], *, title: str, note: str
) -> str:
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
        subtitle=_subtitle(inputs.result),
        simulated=inputs.simulated,
        header=[text for section, text in fragments if section.in_header],
        sections=[text for section, text in fragments if not section.in_header],
        contents=[(section.anchor, section.title) for section in shown if section.title],
        levels=levels(inputs.grid),
        fixed_name=inputs.fixed_name,
        embedded_note=note,
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
    res, grid, table, head = inputs.result, inputs.grid, inputs.table, inputs.headline
    named = [figure.name for figure in FIGURES if figure.name in table]
    found = inputs.headline_figures
    return {
        "rows": len(grid),
        "levels": levels(grid),
        "positions": pool.add(grid.positions.ravel(), "i4"),
        "metrics": {
            name: pool.add(table[name].to_numpy(np.float64), "f8")
            for name in (*named, *cells.RULE_COLUMNS)
        },
        "kinds": {figure.name: figure.kind for figure in FIGURES},
        "carried": cells.CARRIED,
        "fixed": inputs.fixed,
        "start": inputs.start,
        "headline": _account(head, pool)
        | {
            "symbols": inputs.simulation.columns.get_level_values("symbol").tolist(),
            "cagr": found["cagr"],
            "drawdown": found["max_drawdown"],
        },
        "holds": [
            line(pool, res, hold) | {"cagr": figures["cagr"], "drawdown": figures["max_drawdown"]}
            for hold, figures in zip(inputs.holds, inputs.hold_figures, strict=True)
        ],
        **_time(inputs, pool),
        "dark": layout.DARK,
        "muted": layout.MUTED,
    }


def _time(inputs: Inputs, pool: Pool) -> dict[str, Any]:
    """The axes that all accounts share."""
    seconds = np.asarray(inputs.result.window_bars.index.as_unit("s").asi8)
    head = inputs.headline.account
    days = accounts.daily(head.index, head.equity, head.init_cash).days
    return {
        "days": pool.add(days, "i4"),
        "first_bar": int(seconds[0]),
        "bars": pool.add(np.diff(seconds, prepend=seconds[0]), "i4"),
    }


def _symbols(res: SweepResult) -> str:
    names = res.bars.symbols
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} symbols"


def _subtitle(res: SweepResult) -> str:
    start, stop = res.window
    index = res.bars.index[start:stop]
    splits = len(res.predictions.splits)
    count = f" · {splits} walk-forward split{'s' * (splits != 1)}" if splits else ""
    number = len(res.account_metrics)
    cells = f"{number:,} cell{'s' * (number != 1)}"
    return f"Out of sample from {format_day(index[0])} to {format_day(index[-1])}{count} · {cells}"
