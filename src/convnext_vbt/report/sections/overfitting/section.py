"""Luck and choice in hindsight: random sides, PBO, ranks, deflation, Hansen's test."""

from __future__ import annotations

import math

import numpy as np

from convnext_vbt.evidence.hindsight import Hindsight, compared_returns
from convnext_vbt.evidence.nulls import Null
from convnext_vbt.evidence.overfitting import BacktestOverfitting, rank_transfer
from convnext_vbt.evidence.verdict import Assessment
from convnext_vbt.report import judgement
from convnext_vbt.report.formats import format_number
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.returns import histogram
from convnext_vbt.report.section import Content, Section
from convnext_vbt.report.sections.overfitting.figures import logit_figure, null_figure, rank_figure


def content(inputs: Inputs, _: Pool) -> Content:
    """Texts, tables and up to three charts."""
    res, assessment = inputs.result, inputs.assessment
    best, null = assessment.hindsight, assessment.random_sides
    best_name = inputs.grid.name(inputs.grid.find(best.cell)) if best.cell else ""
    found = judgement.backtest_overfitting(res)
    ranks = rank_transfer(compared_returns(res)) if len(found.logits) else np.zeros((0, 2))
    figures = {}
    if len(null.draws):
        figures["random"] = null_figure(null)
    if len(found.logits):
        figures["logits"] = logit_figure(found.logits)
    if len(ranks):
        figures["ranks"] = rank_figure(ranks)
    return Content(
        context={
            "random_text": _random_text(null),
            "random_rows": _bins(null.draws),
            "deflations": _deflation_rows(assessment, best_name),
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


def _random_text(null: Null) -> str:
    if null.reason:
        return f"Not available: {null.reason}."
    as_good = int((~(null.draws < null.observed)).sum())
    return (
        f"{len(null.draws):,} accounts took the strategy’s positions at the same times and sizes, "
        f"each side by coin: {as_good:,} of them had a Sharpe ratio at least as high as its "
        f"{format_number(null.observed, 'ratio')} (p = {null.p_value:.3f}, half of them below "
        f"{format_number(null.median_sharpe, 'ratio')}). If many do, the network does not know "
        "the direction."
    )


def _deflation_rows(assessment: Assessment, best_name: str) -> list[list[str]]:
    return [
        [
            row.name,
            row.note,
            format_number(row.sharpe, "ratio"),
            f"{row.num_trials:,}",
            f"{row.variance:.3g}" if math.isfinite(row.variance) else "n/a",
            format_number(row.expected, "ratio"),
            format_number(row.dsr, "probability"),
        ]
        for row in judgement.deflations(assessment, best_name)
    ]


def _deflation_text(best: Hindsight, name: str) -> str:
    if not best.cell:
        return "No cell has 30 trades, so none is named the best in hindsight."
    return (
        f"The best cell in hindsight is {name}: Sharpe ratio "
        f"{format_number(best.sharpe, 'ratio')}, {format_number(best.total_return, 'percent')} in "
        f"{best.trades:,} trades. Nobody could have traded it, since it is known only now. The "
        "best of as many tries without any skill is expected to reach the ratio of column SR0; "
        "the deflated Sharpe ratio is the probability of being truly above 0 after allowing for "
        "that."
    )


def _pbo_text(found: BacktestOverfitting) -> str:
    if found.reason:
        return f"Not available: {found.reason} (rules with fewer than 30 trades are left out)."
    return (
        f"The days were divided into two halves in {len(found.logits):,} ways. In "
        f"{format_number(found.probability, 'percent')} of them the rule with the best Sharpe "
        f"ratio on one half was in the worse half of all {found.num_configurations} on the other: "
        "at 50 % the choice is worth nothing."
    )


def _spa_text(best: Hindsight) -> str:
    if not math.isfinite(best.spa):
        return "Hansen’s test of the best rule against cash is not available."
    p = "p < 0.001" if best.spa < 0.0005 else f"p = {best.spa:.3f}"
    return (
        f"Hansen’s test of superior predictive ability: {p} for “none of these "
        f"{best.num_compared} rules beats cash”."
    )


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
