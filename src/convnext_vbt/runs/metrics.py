"""What metrics.json says of a run, in JSON's own types: every figure, no series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence.accounts import Drawdown
from convnext_vbt.evidence.concerns import Concerns
from convnext_vbt.evidence.gathering import CASH, Evidence
from convnext_vbt.evidence.nulls import shown
from convnext_vbt.evidence.nulls.null import Null, NullTest
from convnext_vbt.evidence.waiting import Waiting
from convnext_vbt.runs.config import Config
from convnext_vbt.storage import plain
from convnext_vbt.trading.sweep import FEW_TRADES, SweepResult


def summarize(evidence: Evidence, cell: Mapping[str, Any]) -> dict[str, Any]:
    """Everything; `cell` is the strategy's own, by its levels without the symbol."""
    summary: dict[str, Any] = plain(
        evidence.assessment.to_dict()
        | _others(evidence)
        | _sweep(evidence, cell)
        | {
            "key_figures": _key_figures(evidence),
            "buy_and_hold": {one.symbol: one.figures for one in evidence.holdings},
            "costs": [asdict(point) for point in evidence.costs],
            "costs_by_symbol": [asdict(one) for one in evidence.costs_by_symbol],
            "overfitting": _overfitting(evidence),
            "deflation": _deflation(evidence),
            "split_figures": _split_figures(evidence),
            "months": _months(evidence),
            "drawdowns": [
                _drawdown(fall, evidence.result.window_bars.index)
                for fall in evidence.headline.worst
            ],
            "model": _model(evidence),
            "direction": _direction(evidence),
            "notes": evidence.notes,
            "concerns": _concerns(evidence.concerns),
            "within_bars": asdict(evidence.within_bars),
            "paths": None if evidence.paths is None else evidence.paths.to_dict(),
            "waiting": _waiting(evidence.waiting),
            "when": evidence.when.to_dict(),
        }
    )
    return summary


def network_sentences(evidence: Evidence) -> list[str]:
    """What an ensemble's networks would have earned alone, in words; nothing of a single one."""
    if not evidence.sharpe_by_seed:
        return []
    each = ", ".join(f"{sharpe:.2f}" for sharpe in evidence.sharpe_by_seed)
    text = (
        f"Headline Sharpe ratio by ensemble member: {each}; ensemble: "
        f"{evidence.assessment.headline.sharpe:.2f}."
    )
    return [text]


def _null_sentences(evidence: Evidence) -> list[str]:
    """What the nulls beside the verdict's say, in words."""
    return [test.sentence(null) for test, null in shown(evidence.nulls) if test.retrains]


def strategy_cell(config: Config, result: SweepResult) -> dict[str, Any]:
    """The levels that select the strategy file's own cell among a sweep's."""
    wanted: dict[str, Any] = {
        "threshold": config.rule.threshold,
        "hysteresis": config.rule.hysteresis,
        "min_edge": config.rule.min_edge,
        "risk": config.trading.risk,
        "stop_multiple": 1.0,
        "take_profit_multiple": 1.0,
    }
    cell: dict[str, Any] = {}
    for level in map(str, result.metrics.index.names[:-1]):  # the last one is the symbol
        values = list(result.metrics.index.unique(level))
        # A level of the user's own rule, or a list without the default: its first value.
        cell[level] = wanted[level] if wanted.get(level) in values else values[0]
    return cell


def _others(evidence: Evidence) -> dict[str, Any]:
    """Other models, all nulls, single networks."""
    baselines = evidence.baselines
    retrained = [(test, null) for test, null in shown(evidence.nulls) if test.retrains]
    return {
        "baselines": None
        if baselines is None
        else {
            "models": baselines.table.reset_index().to_dict("records"),
            "sentences": baselines.sentences,
        },
        "nulls": {test.name: _null(test, null) for test, null in shown(evidence.nulls)},
        "retrained_nulls": {
            test.name: {"p_value": null.p_value, "reason": null.reason, "draws": list(null.draws)}
            for test, null in retrained
        },
        "sharpe_by_seed": list(evidence.sharpe_by_seed),
        "sentences": [*network_sentences(evidence), *_null_sentences(evidence)],
    }


def _null(test: NullTest, null: Null) -> dict[str, Any]:
    return {
        "title": test.title,
        "observed": null.observed,
        "p_value": null.p_value,
        "reason": null.reason,
        "num_draws": len(null.draws),
        "as_good": null.as_good,
        "median_sharpe": null.median_sharpe,
        "median_return": null.median_return,
    }


def _sweep(evidence: Evidence, cell: Mapping[str, Any]) -> dict[str, Any]:
    """The strategy's own cell, the best one in hindsight, all that were looked into, training."""
    result = evidence.result
    accounts, fits = result.account_metrics, result.predictions.fits
    first, last = (result.bars.index[i] for i in (result.window[0], result.window[1] - 1))
    scores = evidence.split_scores
    return {
        "strategy_cell": {"cell": dict(cell), "symbols": _by_symbol(result.metrics, cell)},
        "best_cell_in_hindsight": _best_in_hindsight(accounts),
        "cells": len(accounts),
        "cells_under_30_trades": evidence.concerns.thin_cells,
        "cells_looked_into": _cells(evidence),
        "plateaus": _plateaus(evidence),
        "window": [str(first), str(last)],
        "splits": [] if scores is None else scores.reset_index().to_dict("records"),
        "fits": [asdict(fit) | {"learned": fit.learned} for fit in fits],
    }


def _by_symbol(metrics: pd.DataFrame, cell: Mapping[str, Any]) -> dict[str, Any]:
    rows = metrics
    for level, value in cell.items():
        rows = rows[rows.index.get_level_values(level) == value]
    symbols = rows.index.get_level_values("symbol")
    return dict(zip(symbols, rows.to_dict("records"), strict=True))


def _best_in_hindsight(metrics: pd.DataFrame) -> dict[str, Any] | None:
    """The cell with the highest Sharpe ratio among those with enough trades to speak of."""
    sharpe = metrics["sharpe"].where(metrics["trades"] >= FEW_TRADES).to_numpy()
    if np.isnan(sharpe).all():
        return None
    best = int(np.nanargmax(sharpe))
    levels = {
        level: metrics.index.get_level_values(level)[best]
        for level in map(str, metrics.index.names)
    }
    return {"cell": levels, "metrics": metrics.iloc[best].to_dict()}


def _cells(evidence: Evidence) -> list[dict[str, Any]]:
    rows = list(evidence.cells.views)
    figures = evidence.table.iloc[rows].to_dict("records")
    cells = (evidence.cells.grid.cell(row) for row in rows)
    return [{"cell": cell, "metrics": found} for cell, found in zip(cells, figures, strict=True)]


def _plateaus(evidence: Evidence) -> list[dict[str, Any]]:
    grid = evidence.cells.grid
    return [
        {"score": one.score, "peak": grid.cell(one.peak) if one.peak >= 0 else None}
        for one in evidence.plateaus.found
    ]


def _key_figures(evidence: Evidence) -> dict[str, Any]:
    """The columns of the page's first table."""
    cells = evidence.cells
    symbol = cells.grid.positions[cells.start][cells.grid.names.index("symbol")]
    return {
        "headline": evidence.headline_figures,
        "strategy_cell": evidence.table.iloc[cells.start].to_dict(),
        "buy_and_hold": evidence.holdings[symbol].figures,
        "cash": CASH,
        "random_sides": evidence.random_figures,
    }


def _overfitting(evidence: Evidence) -> dict[str, Any]:
    found = evidence.assessment.hindsight.overfitting
    return {
        "probability": found.probability,
        "reason": found.reason,
        "num_configurations": found.num_configurations,
        "num_choices": len(found.logits),
        "ranks": evidence.ranks.tolist(),
    }


def _deflation(evidence: Evidence) -> dict[str, Any]:
    best = evidence.deflated_best
    return {
        "headline": asdict(evidence.deflated_headline),
        "hindsight": None if best is None else asdict(best),
    }


def _split_figures(evidence: Evidence) -> list[dict[str, Any]]:
    """The headline within each split."""
    found, splits = evidence.headline.splits, evidence.result.predictions.splits
    low, high = evidence.split_intervals.T
    columns = {
        "split": [split.number for split in splits],
        "total_return": found.returns,
        "max_drawdown": found.drawdowns,
        "sharpe": found.sharpes,
        "sharpe_low": low,
        "sharpe_high": high,
        "trades": found.trades,
    }
    rows: list[dict[str, Any]] = plain(pd.DataFrame(columns).to_dict("records"))
    return rows


def _months(evidence: Evidence) -> dict[str, float]:
    """The headline's return of each calendar month."""
    names = (f"{1970 + month // 12}-{month % 12 + 1:02d}" for month in evidence.months.tolist())
    return dict(zip(names, evidence.headline.months.tolist(), strict=True))


def _drawdown(fall: Drawdown, index: pd.DatetimeIndex) -> dict[str, Any]:
    """Times of bars; no peak where the fall is from the start, no end where it goes on."""
    when = {
        name: None if bar < 0 else str(index[bar])
        for name, bar in (("peak", fall.peak), ("trough", fall.trough), ("end", fall.end))
    }
    return when | {"depth": -fall.depth}


def _model(evidence: Evidence) -> dict[str, Any] | None:
    model, deciles = evidence.model, evidence.cells.deciles
    facts: dict[str, Any] = {
        "deciles": [] if deciles is None else deciles.table.to_dict("records"),
        "thresholds": dict(
            zip(map(str, evidence.cells.grid.thresholds), evidence.threshold_ranges, strict=True)
        ),
    }
    if model is None:
        return facts
    return facts | {
        "overall": model.overall.to_dict("index"),
        "confusion": model.confusion.to_dict("index"),
        "classes": model.classes.to_dict("index"),
        "reliability": {
            name: table.to_dict("records") for name, table in model.reliability.items()
        },
    }


def _direction(evidence: Evidence) -> dict[str, Any] | None:
    """What claims of direction were worth, the baselines' too."""
    found, others = evidence.direction, evidence.baselines
    if found is None:
        return None
    baselines = {} if others is None else others.directions
    return found.to_dict() | {
        "models": {name: one.all.to_dict() for name, one in baselines.items()}
    }


def _waiting(found: Waiting | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return asdict(found) | {"share": found.share, "sentence": found.sentence}


def _concerns(found: Concerns) -> dict[str, Any]:
    tables = ("gaps", "spikes", "leaps", "frozen")
    facts = asdict(found) | {name: len(getattr(found, name)) for name in tables}
    return facts | {
        "missing_bars": int(found.gaps["missing"].sum()),
        "frozen_bars": int(found.frozen["bars"].sum()),
    }
