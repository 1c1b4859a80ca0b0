"""What the page's template and charts are given of verdict, overfitting and costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from convnext_vbt.evidence.baselines import NAMES, Comparison
from convnext_vbt.evidence.hindsight import Hindsight, compared_returns
from convnext_vbt.evidence.nulls import Null
from convnext_vbt.evidence.overfitting import BacktestOverfitting, rank_transfer
from convnext_vbt.evidence.verdict import Assessment
from convnext_vbt.report import evidence_figures, figures, judgement, payload
from convnext_vbt.report.formats import (
    FIGURE,
    format_interval,
    format_number,
    level_label,
    level_text,
)
from convnext_vbt.report.returns import histogram
from convnext_vbt.trading.sweep import SweepResult

_BASELINE_FIGURES = ("total_return", "cagr", "max_drawdown", "sharpe")
_COST_FIGURES = ("cagr", "sharpe", "max_drawdown")


def evidence_context(
    res: SweepResult,
    grid: payload.Grid,
    assessment: Assessment,
    headline: dict[str, float],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The template's texts and the charts, by name; `headline` are its key figures."""
    head, best, null = assessment.headline, assessment.hindsight, assessment.random_sides
    best_name = grid.name(grid.find(best.cell)) if best.cell else ""
    overfitting = judgement.backtest_overfitting(res)
    ranks = rank_transfer(compared_returns(res)) if len(overfitting.logits) else np.zeros((0, 2))
    costs = judgement.costs(res, head)
    context = {
        "verdict": {
            "word": assessment.verdict.word,
            "css": assessment.verdict.word.lower(),
            "meaning": judgement.meaning(assessment.verdict, head),
            "sentence": judgement.sentence(head),
            "questions": _by_question(judgement.tiles(res, assessment, headline)),
            "reasons": assessment.verdict.reasons,
        },
        "random_text": _random_text(null),
        "random_rows": _bins(null.draws),
        "deflations": _deflation_rows(assessment, best_name),
        "deflation_text": _deflation_text(best, best_name),
        "pbo": format_number(overfitting.probability, "percent"),
        "pbo_text": _pbo_text(overfitting),
        "pbo_rows": _bins(overfitting.logits),
        "rank_rows": [[f"{a:.0f}", f"{b:.2f}"] for a, b in ranks.tolist()],
        "spa_text": _spa_text(best),
        "cost_labels": [FIGURE[name].label for name in _COST_FIGURES],
        "cost_rows": _cost_rows(costs),
        "cost_text": _cost_text(res, headline["break_even"]),
    }
    charts = {"costs": evidence_figures.cost_figure(costs)}
    if len(null.draws):
        charts["random"] = evidence_figures.null_figure(null)
    if len(overfitting.logits):
        charts["logits"] = evidence_figures.logit_figure(overfitting.logits)
    if len(ranks):
        charts["ranks"] = evidence_figures.rank_figure(ranks)
    drawn = {name: payload.figure_json(figure) for name, figure in charts.items()}
    across, _ = figures.heatmap_axes(res.metrics)
    values = grid.values[grid.names.index(across)]
    if len(values) > 1:
        ticks = [level_text(across, value) for value in values]
        rules = evidence_figures.rule_figure(level_label(across), ticks)
        drawn["rules"] = payload.figure_json(rules, with_data=False)
    return context, drawn


def baseline_context(baselines: Comparison | None) -> dict[str, Any]:
    """The comparison with other models as text; empty where none was made."""
    if baselines is None:
        return {"baseline_rows": [], "baseline_sentences": (), "baseline_base": ""}
    rows = []
    for name, row in zip(
        map(str, baselines.table.index), baselines.table.to_dict("records"), strict=True
    ):
        given = {str(key): float(value) for key, value in row.items()}
        trades = given["trades"]
        known = math.isfinite(given["difference"])
        rows.append(
            [
                NAMES.get(name, name),
                *(
                    format_number(given[key], FIGURE[key].kind, trades=trades)
                    for key in _BASELINE_FIGURES
                ),
                format_interval(given["sharpe_low"], given["sharpe_high"]),
                f"{trades:,.0f}",
                format_number(given["difference"], "ratio") if known else "–",
                format_interval(given["difference_low"], given["difference_high"])
                if known
                else "–",
            ]
        )
    return {
        "baseline_rows": rows,
        "baseline_sentences": baselines.sentences,
        "baseline_base": NAMES.get(baselines.base or "", ""),
    }


def _by_question(tiles: Sequence[judgement.Tile]) -> list[dict[str, object]]:
    return [
        {"question": question, "tiles": [tile for tile in tiles if tile.question == question]}
        for question in judgement.QUESTIONS
    ]


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


def _cost_rows(costs: Sequence[judgement.Costs]) -> list[list[str]]:
    return [
        [
            f"{cost.multiple} ×",
            f"{cost.basis_points:g} bp",
            *(format_number(cost.figures[name], FIGURE[name].kind) for name in _COST_FIGURES),
        ]
        for cost in costs
    ]


def _cost_text(res: SweepResult, break_even: float) -> str:
    charged = (res.config.fees + res.config.slippage) * 1e4
    lead = (
        "The headline’s own signals, traded again at other costs. Fees and slippage together are "
        f"{charged:g} bp of every fill"
    )
    if not math.isfinite(break_even):
        return f"{lead}; it never traded."
    if break_even <= 0:
        return f"{lead}; its trades lose even without any."
    return f"{lead}; its trades earn nothing at {format_number(break_even, 'basis_points')}."
