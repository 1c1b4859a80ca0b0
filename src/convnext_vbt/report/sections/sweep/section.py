"""The sweep: heatmap, Sharpe ratio of each rule, CAGR against max drawdown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence.cells import Grid
from convnext_vbt.evidence.sweep_table import Plateau
from convnext_vbt.report.formats import (
    FIGURE,
    HEATMAP_FIGURES,
    THIN_TRADES,
    format_number,
    level_label,
    level_text,
)
from convnext_vbt.report.grid import cell_name
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.layout import DIVERGING
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section
from convnext_vbt.report.sections.sweep.figures import frontier_figure, plot_heatmap, rule_figure
from convnext_vbt.trading.sweep import TOTAL

SPIKE = 0.7
"""Under this plateau score the best cell stands alone."""


def content(inputs: Inputs, pool: Pool) -> Content:
    """Three charts that the script fills and a plateau score for each heatmap."""
    grid = inputs.grid
    across, values = grid.across, grid.level(grid.across)
    frames = {"heatmap": plot_heatmap(inputs.result), "frontier": frontier_figure([])}
    if len(values) > 1:
        ticks = [level_text(across, value) for value in values]
        frames["rules"] = rule_figure(level_label(across), ticks)
    return Content(
        context={
            "sweep_lead": sweep_lead(grid),
            "heatmap_metrics": [FIGURE[name] for name in HEATMAP_FIGURES],
            "fixed_name": inputs.fixed_name,
            "thin_trades": THIN_TRADES,
            "has_rules": "rules" in frames,
            "across_label": level_label(across),
        },
        frames=frames,
        data=_plateaus(inputs, pool) | {"heatmap": _heatmap(across, grid.up)},
    )


SWEEP = Section(name="sweep", title="Sweep", content=content)


def _heatmap(across: str, up: str) -> dict[str, Any]:
    return {
        "across": across,
        "up": up,
        "metric": "cagr",
        "metrics": [
            {"name": f.name, "label": f.label, "kind": f.kind, "signed": f.signed}
            for f in (FIGURE[name] for name in HEATMAP_FIGURES)
        ],
        "thin": THIN_TRADES,
        "diverging": DIVERGING,
    }


def _plateaus(inputs: Inputs, pool: Pool) -> dict[str, Any]:
    grid, evidence = inputs.grid, inputs.evidence
    return {
        "plateau": pool.add(evidence.plateaus.number, "i4"),
        "plateaus": [plateau_text(grid, evidence.table, one) for one in evidence.plateaus.found],
    }


def plateau_text(grid: Grid, table: pd.DataFrame, plateau: Plateau) -> str:
    """The plateau score of one heatmap in words."""
    if plateau.peak < 0:
        return f"No plateau score: no cell here has {THIN_TRADES} trades and a Sharpe ratio."
    ratio = format_number(float(table["sharpe"].iloc[plateau.peak]), "ratio")
    best = cell_name(grid, plateau.peak)
    peak = f"the best cell in hindsight, {best}, has a Sharpe ratio of {ratio}"
    if not np.isfinite(plateau.score):
        why = "without a neighbour" if len(grid) == 1 else "not above 0"
        return f"No plateau score: {peak}, {why}."
    kind = "a spike" if plateau.score < SPIKE else "a plateau"
    score = format_number(plateau.score, "ratio")
    return (
        f"Plateau score {score}, {kind}: {peak}, its neighbours a median of {score} times that. "
        f"Under {SPIKE:g} is a spike."
    )


def sweep_lead(grid: Grid) -> str:
    """What was swept, in words."""
    sizes = [
        f"{len(values)} {_plural(name, len(values))}"
        for name, values in zip(grid.names, grid.values, strict=True)
        if len(values) > 1 and name != "symbol"
    ]
    num_symbols = len(set(grid.values[grid.names.index("symbol")]) - {TOTAL})
    shared = f", {num_symbols} symbols on one account" if num_symbols > 1 else ""
    if not sizes:
        return f"One cell{shared}."
    return f"{' × '.join(sizes)}, each an account of its own on the same bars{shared}."


def _plural(name: str, count: int) -> str:
    """A level's name as a count's noun: 9 thresholds."""
    word = {"risk": "risk fraction"}.get(name, name.replace("_", " "))
    return word if count == 1 else f"{word[:-1]}es" if word.endswith("is") else f"{word}s"
