"""Luck and choice in hindsight: nulls, PBO, ranks, deflation, Hansen's test."""

from __future__ import annotations

import math

import numpy as np

from convnext_vbt.evidence.gathering import Evidence
from convnext_vbt.evidence.hindsight import Hindsight
from convnext_vbt.evidence.nulls import shown
from convnext_vbt.evidence.nulls.null import Null, NullTest
from convnext_vbt.evidence.overfitting import BacktestOverfitting
from convnext_vbt.evidence.selection import How
from convnext_vbt.report.charts import histogram
from convnext_vbt.report.formats import format_number
from convnext_vbt.report.grid import cell_name
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section
from convnext_vbt.report.sections.overfitting.figures import logit_figure, null_figure, rank_figure

HEADLINES: dict[How, str] = {
    "nested": "Headline: nested selection",
    "initial": "Headline: the initial rule",
    "fixed": "Headline: one fixed rule",
}


def content(inputs: Inputs, _: Pool) -> Content:
    """Texts, tables and charts: one of each null, and of the choice in hindsight."""
    evidence, best = inputs.evidence, inputs.assessment.hindsight
    best_name = cell_name(inputs.grid, inputs.grid.find(best.cell)) if best.cell else ""
    found, ranks = best.overfitting, evidence.ranks
    nulls = list(shown(evidence.nulls))
    figures = {test.name: null_figure(null) for test, null in nulls if len(null.draws)}
    if len(found.logits):
        figures["logits"] = logit_figure(found.logits)
    if len(ranks):
        figures["ranks"] = rank_figure(ranks)
    return Content(
        context={
            "nulls": [
                {"test": test, "text": _null_text(test, null), "rows": _bins(null.draws)}
                for test, null in nulls
            ],
            "deflations": _deflation_rows(evidence, best_name),
            "deflation_text": _deflation_text(best, best_name),
            "pbo": format_number(found.probability, "percent"),
            "pbo_text": _pbo_text(found),
            "pbo_rows": _bins(found.logits),
            "rank_rows": [[f"{a:.0f}", f"{b:.2f}"] for a, b in ranks.tolist()],
            "spa_text": _spa_text(best),
        },
        figures=figures,
    )


OVERFITTING = Section(name="overfitting", title="Overfitting", content=content)


def _null_text(test: NullTest, null: Null) -> str:
    if null.reason:
        return f"Not available: {null.reason}."
    return (
        f"{len(null.draws):,} {test.draws}: {null.as_good:,} reached the strategy’s Sharpe "
        f"ratio on the same terms, {format_number(null.observed, 'ratio')} (p = "
        f"{null.p_value:.3f}, median {format_number(null.median_sharpe, 'ratio')}). {test.meaning}"
    )


def _deflation_rows(evidence: Evidence, best_name: str) -> list[list[str]]:
    rows = [
        (
            HEADLINES[evidence.assessment.headline.selection.how],
            "N = strategies tried, V = 1/T",
            evidence.deflated_headline,
        ),
    ]
    if evidence.deflated_best is not None:
        note = f"{best_name}; N = rules tried, V = theirs"
        rows.append(("Best cell in hindsight", note, evidence.deflated_best))
    return [
        [
            name,
            note,
            format_number(one.sharpe, "ratio"),
            f"{one.num_trials:,}",
            f"{one.variance:.3g}" if math.isfinite(one.variance) else "n/a",
            format_number(one.expected, "ratio"),
            format_number(one.dsr, "probability"),
        ]
        for name, note, one in rows
    ]


def _deflation_text(best: Hindsight, name: str) -> str:
    if not best.cell:
        return "No cell has 30 trades, so there is no best cell in hindsight."
    return (
        f"Best cell in hindsight: {name}, Sharpe ratio {format_number(best.sharpe, 'ratio')}, "
        f"total return {format_number(best.total_return, 'percent')}, {best.trades:,} trades. It "
        "could not have been traded: which cell is best is known only afterwards."
    )


def _pbo_text(found: BacktestOverfitting) -> str:
    if found.reason:
        return f"{found.reason} (rules with fewer than 30 trades are left out)."
    return (
        f"Over {len(found.logits):,} ways to split the days in half: how often the rule with the "
        "best Sharpe ratio on one half ranks in the worse half of all "
        f"{found.num_configurations} on the other. 50 % is chance; a low PBO says that ranks "
        "persist, not that any rule is profitable. It does not judge the headline."
    )


def _spa_text(best: Hindsight) -> str:
    if not math.isfinite(best.spa):
        return "Hansen’s SPA test: not available."
    p = "p < 0.001" if best.spa < 0.0005 else f"p = {best.spa:.3f}"
    many = best.num_compared > 1
    rules = f"none of these {best.num_compared} rules beats" if many else "this rule does not beat"
    return f"Hansen’s SPA test of “{rules} cash”: {p}."


def _bins(values: np.ndarray) -> list[list[str]]:
    if not np.isfinite(values).any():
        return []
    counts, edges = histogram(values)
    return [
        [format_number(low, "ratio"), format_number(high, "ratio"), f"{count:,}"]
        for low, high, count in zip(
            edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True
        )
    ]
