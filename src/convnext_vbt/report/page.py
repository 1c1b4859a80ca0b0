"""The report: one HTML file that needs no network, no server and no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt import __version__
from convnext_vbt.evidence import scores
from convnext_vbt.evidence.baselines import Comparison
from convnext_vbt.evidence.verdict import Assessment, assess
from convnext_vbt.evidence.window import Window
from convnext_vbt.learning.labels import labels_for
from convnext_vbt.market.bars import step_text
from convnext_vbt.report import accounts, cells, figures, judgement, payload, tables
from convnext_vbt.report.caveats import generated, is_simulated
from convnext_vbt.report.document import markup, render_document
from convnext_vbt.report.evidence_section import baseline_context, evidence_context
from convnext_vbt.report.formats import FIGURE, HEATMAP_FIGURES, THIN_TRADES, level_label
from convnext_vbt.storage import write_text
from convnext_vbt.trading.sweep import SweepResult

_NO_TARGET = (
    "These predictions do not say what their probabilities speak of (no target), so they cannot be "
    "compared with what came true."
)
_NO_OUTCOME = "Not one predicted bar has a known outcome, so the model cannot be judged."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """The predictions judged against their labels."""

    values: np.ndarray
    """int8 (T, N), -1 where there is no label."""
    scores: pd.DataFrame
    """`evidence.scores.score_splits`."""


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
    grid = payload.Grid.of(res.metrics)
    fixed = None if selected is None else grid.find(selected)
    if assessment is None:
        assessment = assess(res, risk=None if fixed is None else grid.cell(fixed)["risk"])
    start = 0 if fixed is None else fixed
    title = title or f"Walk-forward backtest: {_symbols(res)}, {step_text(res.bars.step)}"
    simulated = is_simulated(res, str(provenance.get("Source", "")))
    notes = generated(
        res, assessment.headline.selection.simulation, "the headline",
        num_rules=assessment.trials.num_rules, simulated=simulated,
    )  # fmt: skip
    data, pool, context = _body(res, grid, assessment, start=start, fixed=fixed)
    return render_document(
        "report.html.j2",
        script="report.js",
        data=data,
        pool=markup(pool.text()),
        **context,
        **baseline_context(baselines),
        title=title,
        subtitle=_subtitle(res),
        simulated=simulated,
        facts=tables.facts(res, assessment.trials),
        more_facts=tables.more_facts(res, provenance),
        start_name=grid.name(start),
        fixed_name=None if fixed is None else grid.name(fixed),
        levels=payload.levels(grid),
        sweep_lead=_sweep_lead(grid),
        heatmap_metrics=[FIGURE[name] for name in HEATMAP_FIGURES],
        thin_trades=THIN_TRADES,
        quote=tables.quote_currency(res.bars.symbols),
        caveats=[*caveats, *notes],
        signature=f"Written by convnext-vbt {__version__}.",
    )


def _body(
    res: SweepResult,
    grid: payload.Grid,
    assessment: Assessment,
    *,
    start: int,
    fixed: int | None,
) -> tuple[dict[str, Any], payload.Pool, dict[str, Any]]:
    """The page's data, its pool of arrays and what the template shows without a script."""
    pool = payload.Pool()
    ranges = accounts.split_ranges([split.test for split in res.predictions.splits], res.window)
    rows = payload.embedded_rows(res, grid, [start])
    series, carried = [], {}
    for row in rows:
        account = accounts.Account.of(res.simulation(**grid.cell(row)))
        series.append({"row": row, **payload.account_series(pool, account, ranges)})
        carried[row] = cells.carried_figures(account, res, assessment.trials)
    table = cells.table(res, carried)
    simulation = assessment.headline.selection.simulation
    head = accounts.Account.of(simulation)
    holds = _holds(res, grid)
    columns = {
        "headline": judgement.headline_figures(res, assessment),
        "hold": judgement.hold_figures(
            res, holds[grid.positions[start][grid.names.index("symbol")]]
        ),
        "random": judgement.random_figures(res, assessment),
    }
    evidence, charts = evidence_context(res, grid, assessment, columns["headline"])
    model = _model(res)
    seconds = np.asarray(res.window_bars.index.as_unit("s").asi8)
    data = payload.sweep_payload(pool, res, grid, table) | {
        "fixed": fixed,
        "start": start,
        "series": series,
        "headline": payload.account_series(pool, head, ranges)
        | {"symbols": simulation.columns.get_level_values("symbol").tolist()},
        "holds": [
            payload.daily_series(pool, hold)
            | {"figures": tables.figure_texts(judgement.hold_figures(res, hold))}
            for hold in holds
        ],
        "days": pool.add(_days(head).days, "i4"),
        "first_bar": int(seconds[0]),
        "bars": pool.add(np.diff(seconds, prepend=seconds[0]), "i4"),
        "figures": _figures(res, head, model) | charts,
    }
    context = {
        "key_rows": tables.key_rows(table, start=start, fixed=fixed, columns=columns),
        "num_symbols": len(simulation.columns),
        "has_rules": "rules" in charts,
        "across_label": level_label(data["heatmap"]["across"]),
        "embedded_note": _embedded_note(len(grid), len(rows)),
    }
    entries = head.trades["entry_idx"]
    gains, _, counts = accounts.split_figures(head.equity, entries, ranges, head.init_cash)
    rows_of_splits = tables.split_rows(
        res, model.scores if model else None,
        choices=judgement.choices(assessment.headline), headline=(gains, counts),
    )  # fmt: skip
    return data, pool, context | evidence | _judged(res, model) | {"split_rows": rows_of_splits}


def _judged(res: SweepResult, model: Model | None) -> dict[str, Any]:
    """What the template shows of splits and model."""
    preds = res.predictions
    return {
        "has_splits": bool(preds.splits),
        "split_columns": tables.split_columns(preds),
        "failed_splits": any(not fit.learned for fit in preds.fits),
        "confusion": tables.confusion(preds, model.values) if model else None,
        "reliability_rows": tables.reliability(preds, model.values) if model else [],
        "no_model_reason": _NO_OUTCOME if preds.target else _NO_TARGET,
    }


def _embedded_note(cells: int, carried: int) -> str:
    if carried == cells:
        return "Daily series, drawdowns and trades of every cell are in this file."
    return (
        f"Key figures are here for all {cells:,} cells; daily series, drawdowns and trades for "
        f"{carried:,} of them: the first one shown, the best by each metric, evenly spaced ones."
    )


def _figures(res: SweepResult, head: accounts.Account, model: Model | None) -> dict[str, Any]:
    preds = res.predictions
    day = _days(head)
    lines = [
        figures.Line(name="buy and hold", account=day, colour=figures.MUTED, width=1.3, dash="dot"),
        figures.Line(name="selected cell", account=day, colour=figures.ORANGE, width=1.2),
        figures.Line(
            name="headline", account=day, colour=figures.BLUE, width=2.6, fill=figures.FILL
        ),
    ]
    equity = figures.equity_figure(lines, bands=figures.split_bands(res))
    out = {
        "heatmap": payload.figure_json(figures.plot_heatmap(res), with_data=False),
        "equity": payload.figure_json(equity, with_data=False),
    }
    if preds.splits:
        out["splits"] = payload.figure_json(figures.plot_splits(preds))
    if model:
        out["reliability"] = payload.figure_json(figures.plot_reliability(preds, model.values))
    return out


def _days(account: accounts.Account) -> accounts.Daily:
    return accounts.daily(account.index, account.equity, account.init_cash)


def _model(res: SweepResult) -> Model | None:
    preds = res.predictions
    if preds.target is None:
        return None
    values = labels_for(res.bars, preds.target).values
    if not ((values >= 0) & (preds.split >= 0)).any():
        return None
    return Model(values=values, scores=scores.score_splits(preds, values))


def _holds(res: SweepResult, grid: payload.Grid) -> list[accounts.Account]:
    """Buy-and-hold of every symbol of the sweep, in the order of its level."""
    simulation = Window(res).buy_and_hold()
    symbols = grid.values[grid.names.index("symbol")]
    return [accounts.Account.of(simulation, res.bars.symbols.index(name)) for name in symbols]


def _symbols(res: SweepResult) -> str:
    names = res.bars.symbols
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} symbols"


def _subtitle(res: SweepResult) -> str:
    start, stop = res.window
    index = res.bars.index[start:stop]
    splits = len(res.predictions.splits)
    count = f" · {splits} walk-forward split{'s' * (splits != 1)}" if splits else ""
    cells = f"{len(res.metrics):,} cell{'s' * (len(res.metrics) != 1)}"
    return f"Out of sample from {index[0]:%-d %B %Y} to {index[-1]:%-d %B %Y}{count} · {cells}"


def _sweep_lead(grid: payload.Grid) -> str:
    sizes = [
        f"{len(values)} {tables.plural(name, len(values))}"
        for name, values in zip(grid.names, grid.values, strict=True)
        if len(values) > 1
    ]
    return f"{' × '.join(sizes) or 'One cell'}, each an account of its own on the same bars."
