"""The headline's signals traded again at other costs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from convnext_vbt.evidence.accounts import cost_a_side
from convnext_vbt.evidence.costs import CostPoint
from convnext_vbt.report.formats import FIGURE, format_number
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section
from convnext_vbt.report.sections.costs.figures import cost_figure

_COST_FIGURES = ("cagr", "sharpe", "max_drawdown")


def content(inputs: Inputs, _: Pool) -> Content:
    """One table and one chart."""
    costs = inputs.evidence.costs
    return Content(
        context={
            "cost_labels": [FIGURE[name].label for name in _COST_FIGURES],
            "cost_rows": _cost_rows(costs),
            "cost_text": _cost_text(inputs),
        },
        figures={"costs": cost_figure(costs)},
    )


COSTS = Section(name="costs", title="Costs", content=content)


def _cost_rows(costs: Sequence[CostPoint]) -> list[list[str]]:
    return [
        [
            f"{cost.multiple} ×",
            f"{cost.basis_points:g} bp",
            *(format_number(cost.figures[name], FIGURE[name].kind) for name in _COST_FIGURES),
        ]
        for cost in costs
    ]


def _cost_text(inputs: Inputs) -> str:
    break_even = inputs.evidence.headline_figures["break_even"]
    account = inputs.assessment.headline.selection.account
    charged = cost_a_side(account, inputs.result.config) * 1e4
    lead = f"The headline’s signals traded at other costs. Charged per side: {charged:.4g} bp"
    if not math.isfinite(break_even):
        return f"{lead}; it never traded."
    if break_even <= 0:
        return f"{lead}; the trades lose before costs."
    return f"{lead}; break-even: {format_number(break_even, 'basis_points')}."
