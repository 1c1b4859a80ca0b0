"""The report: one HTML file that needs no network, no server and no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convnext_vbt import __version__
from convnext_vbt.evidence.baselines import NAMES as BASELINES
from convnext_vbt.evidence.baselines import Comparison
from convnext_vbt.evidence.selection import Preset
from convnext_vbt.evidence.verdict import Assessment, assess
from convnext_vbt.evidence.window import Window
from convnext_vbt.market.bars import step_text
from convnext_vbt.report import accounts, cells, judgement, payload, returns, tables
from convnext_vbt.report.caveats import generated, is_simulated
from convnext_vbt.report.document import markup, render_document
from convnext_vbt.report.evidence_section import baseline_context, evidence_context
from convnext_vbt.report.formats import (
    FIGURE,
    HEATMAP_FIGURES,
    THIN_TRADES,
    format_day,
    level_label,
)
from convnext_vbt.report.glossary import GLOSSARY
from convnext_vbt.report.model_section import (
    confidence_deciles,
    judged_model,
    model_context,
    thresholds,
)
from convnext_vbt.report.series import GROSS_FIGURES, SeriesWriter
from convnext_vbt.report.symbols_section import symbols_context
from convnext_vbt.report.time_section import time_figures
from convnext_vbt.storage import write_text
from convnext_vbt.trading.sweep import TOTAL, SweepResult

MAX_PRICES = 130_000
"""Closes carried over all symbols together; of more, every k-th one."""


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
        risk = None if fixed is None else grid.cell(fixed)["risk"]
        assessment = assess(res, preset=Preset(risk=risk))
    start = 0 if fixed is None else fixed
    title = title or f"Walk-forward backtest: {_symbols(res)}, {step_text(res.bars.step)}"
    simulated = is_simulated(res, str(provenance.get("Source", "")))
    notes = generated(
        res, assessment.headline.selection.simulation, "the headline",
        num_rules=assessment.trials.num_rules, simulated=simulated,
    )  # fmt: skip
    base = BASELINES.get(baselines.base or "", "") if baselines else ""
    data, pool, context = _body(res, grid, assessment, start=start, fixed=fixed, base=base)
    return render_document(
        "report.html.j2",
        script=("numbers.js", "tables.js", "charts.js", "report.js"),
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
        glossary=GLOSSARY,
        signature=f"Written by convnext-vbt {__version__}.",
    )


def _body(
    res: SweepResult,
    grid: payload.Grid,
    assessment: Assessment,
    *,
    start: int,
    fixed: int | None,
    base: str,
) -> tuple[dict[str, Any], payload.Pool, dict[str, Any]]:
    """The page's data, its pool of arrays and what the template shows without a script."""
    pool = payload.Pool()
    ranges = accounts.split_ranges([split.test for split in res.predictions.splits], res.window)
    deciles = confidence_deciles(res)
    writer = SeriesWriter(pool=pool, res=res, ranges=ranges, deciles=deciles)
    rows = payload.embedded_rows(res, grid, [start])
    series, carried = [], {}
    for row in rows:
        simulation = res.simulation(**grid.cell(row))
        account = accounts.Account.of(simulation)
        series.append({"row": row, **writer.account(account, simulation)})
        carried[row] = cells.carried_figures(account, res, assessment.trials)
    table = cells.table(res, carried)
    simulation = assessment.headline.selection.simulation
    head = accounts.Account.of(simulation)
    holds = _holds(res, grid)
    hold_figures = [judgement.hold_figures(res, hold) for hold in holds]
    columns = {
        "headline": judgement.headline_figures(res, assessment),
        "hold": hold_figures[grid.positions[start][grid.names.index("symbol")]],
        "random": judgement.random_figures(res, assessment),
    }
    evidence, charts = evidence_context(res, grid, assessment, columns["headline"])
    model = judged_model(res)
    judged, model_charts = model_context(res, model, deciles)
    intervals = returns.split_intervals(head, ranges, res.bars.days_per_year)
    data = payload.sweep_payload(pool, res, grid, table) | {
        "fixed": fixed,
        "start": start,
        "series": pool.add_json(series),
        "headline": writer.account(head, simulation)
        | {
            "symbols": simulation.columns.get_level_values("symbol").tolist(),
            "cagr": columns["headline"]["cagr"],
            "drawdown": columns["headline"]["max_drawdown"],
        },
        "holds": [
            writer.line(hold)
            | {
                "figures": tables.figure_texts(found),
                "cagr": found["cagr"],
                "drawdown": found["max_drawdown"],
            }
            for hold, found in zip(holds, hold_figures, strict=True)
        ],
        "gross_figures": GROSS_FIGURES,
        "deciles": [] if deciles is None else deciles.table["decile"].tolist(),
        "split_labels": [str(split.number + 1) for split in res.predictions.splits],
        "thresholds": thresholds(res, dict(zip(grid.names, grid.values, strict=True)).get(
            "threshold", ())),
        **_time(pool, res, grid, head, holds),
        "figures": time_figures(res, head, ranges, intervals, pool) | charts | model_charts,
    }  # fmt: skip
    context = {
        "key_rows": tables.key_rows(table, start=start, fixed=fixed, columns=columns),
        "num_symbols": len(simulation.columns),
        **symbols_context(simulation),
        "has_rules": "rules" in charts,
        "across_label": level_label(data["heatmap"]["across"]),
        "embedded_note": _embedded_note(res, rows),
        "has_fan": "fan" in data["figures"],
    }
    entries = head.trades["entry_idx"]
    gains, depths, counts = accounts.split_figures(head.equity, entries, ranges, head.init_cash)
    preds = res.predictions
    splits = {
        "has_splits": bool(preds.splits),
        "failed_splits": any(not fit.learned for fit in preds.fits),
        "split_columns": tables.SPLIT_COLUMNS,
        "split_rows": tables.split_rows(
            preds,
            choices=judgement.choices(assessment.headline),
            headline=tables.SplitFigures(
                returns=gains,
                drawdowns=-depths,
                trades=counts,
                sharpes=returns.split_sharpes(head, ranges, res.bars.days_per_year),
                intervals=intervals,
            ),
        ),
        "score_columns": tables.score_columns(preds),
        "split_scores": tables.score_rows(preds, model.scores if model else None, base=base),
    }
    return data, pool, context | evidence | judged | splits


def _time(
    pool: payload.Pool,
    res: SweepResult,
    grid: payload.Grid,
    head: accounts.Account,
    holds: list[accounts.Account],
) -> dict[str, Any]:
    """The axes that all accounts share, and every symbol's closes; of `TOTAL`, its basket's."""
    seconds = np.asarray(res.window_bars.index.as_unit("s").asi8)
    days = accounts.daily(head.index, head.equity, head.init_cash).days
    symbols = grid.values[grid.names.index("symbol")]
    every = max(1, -(-len(seconds) * len(symbols) // MAX_PRICES))
    closes = [
        hold.equity if name == TOTAL else res.window_bars.close[:, res.bars.symbols.index(name)]
        for name, hold in zip(symbols, holds, strict=True)
    ]
    return {
        "days": pool.add(days, "i4"),
        "rolling_at": pool.add(returns.rolling_days(len(days)), "i4"),
        "months": pool.add(returns.months_of(res.window_bars.index), "i4"),
        "first_bar": int(seconds[0]),
        "bars": pool.add(np.diff(seconds, prepend=seconds[0]), "i4"),
        "prices": [pool.add(close[::every], "f4") for close in closes],
        "price_every": every,
    }


def _embedded_note(res: SweepResult, rows: list[int]) -> str:
    if len(rows) == len(res.metrics):
        return "Daily series, drawdowns and trades of every cell are in this file."
    cells, carried = len(res.account_metrics), int(res.whole_accounts[rows].sum())
    num_symbols = len(res.bars.symbols)
    apart = f" Of each of the {num_symbols} symbols alone, those of the first one shown."
    return (
        f"Key figures are here for all {cells:,} cells; daily series, drawdowns and trades for "
        f"{carried:,} of them: the first one shown, the best by each metric, evenly spaced ones."
        f"{apart if num_symbols > 1 else ''}"
    )


def _holds(res: SweepResult, grid: payload.Grid) -> list[accounts.Account]:
    """Buy-and-hold of every symbol of the sweep, in the order of its level; `TOTAL` holds all."""
    window, symbols = Window(res), grid.values[grid.names.index("symbol")]
    bought = (window.buy_and_hold(None if name == TOTAL else name) for name in symbols)
    return [accounts.Account.of(simulation) for simulation in bought]


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


def _sweep_lead(grid: payload.Grid) -> str:
    sizes = [
        f"{len(values)} {tables.plural(name, len(values))}"
        for name, values in zip(grid.names, grid.values, strict=True)
        if len(values) > 1 and name != "symbol"
    ]
    num_symbols = len(set(grid.values[grid.names.index("symbol")]) - {TOTAL})
    shared = f", {num_symbols} symbols on one account" if num_symbols > 1 else ""
    return (
        f"{' × '.join(sizes) or 'One cell'}, each an account of its own on the same bars{shared}."
    )
