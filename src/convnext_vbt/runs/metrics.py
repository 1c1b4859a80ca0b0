"""What metrics.json says of a run, in JSON's own types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence.scores import score_splits
from convnext_vbt.learning.labels import labels_for
from convnext_vbt.runs.config import Config
from convnext_vbt.storage import plain
from convnext_vbt.trading.sweep import FEW_TRADES, SweepResult


def summarize(config: Config, result: SweepResult) -> dict[str, Any]:
    """The strategy's own cell, the best one in hindsight, scores and training by split."""
    values = labels_for(result.bars, config.labels).values
    first, last = (result.bars.index[i] for i in (result.window[0], result.window[1] - 1))
    cell = strategy_cell(config, result)
    fits = result.predictions.fits
    accounts = result.account_metrics
    summary: dict[str, Any] = plain(
        {
            "strategy_cell": {"cell": cell, "symbols": _by_symbol(result.metrics, cell)},
            "best_cell_in_hindsight": _best_in_hindsight(accounts),
            "cells": len(accounts),
            "cells_under_30_trades": int((accounts["trades"] < FEW_TRADES).sum()),
            "window": [str(first), str(last)],
            "splits": score_splits(result.predictions, values).reset_index().to_dict("records"),
            "fits": [asdict(fit) | {"learned": fit.learned} for fit in fits],
        }
    )
    return summary


def strategy_cell(config: Config, result: SweepResult) -> dict[str, Any]:
    """The levels that select the strategy file's own cell among a sweep's."""
    wanted: dict[str, Any] = {
        "threshold": config.rule.threshold,
        "hysteresis": config.rule.hysteresis,
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
