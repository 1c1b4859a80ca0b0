"""The headline's signals traded again at other costs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from convnext_vbt.evidence.accounts import cost_a_side
from convnext_vbt.evidence.costs import CostPoint, SymbolCosts
from convnext_vbt.report.formats import ABSENT, FIGURE, format_number
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section
from convnext_vbt.report.sections.costs.figures import cost_figure

_COST_FIGURES = ("cagr", "sharpe", "max_drawdown")


def content(inputs: Inputs, _: Pool) -> Content:
    """One table and one chart."""
    costs = inputs.evidence.costs
    heads, rows = symbol_cost_table(inputs.evidence.costs_by_symbol)
    return Content(
        context={
            "symbol_cost_columns": heads,
            "symbol_cost_rows": rows,
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
            f"{cost.basis_points:.4g} bp",
            *(format_number(cost.figures[name], FIGURE[name].kind) for name in _COST_FIGURES),
        ]
        for cost in costs
    ]


def symbol_cost_table(costs: Sequence[SymbolCosts]) -> tuple[list[str], list[list[str]]]:
    """Head and rows, one a symbol; a column that says nothing of any symbol is left out."""
    rows = [
        {
            "Symbol": one.symbol,
            "Taker fee": _fee_text(one),
            "Slippage": _slippage_text(one),
            "Least fee": _step_text(one.instrument.min_fee),
            "Lot": _step_text(one.instrument.lot),
            "Tick": _step_text(one.instrument.tick),
            "Borrow a year": _share_text(one.instrument.borrow),
            "Margin": _margin_text(one),
            "Paid per side": format_number(one.a_side, "basis_points", trades=one.orders),
            "Paid in all": format_number(one.paid, "money"),
        }
        for one in costs
    ]
    heads = [head for head in (rows[0] if rows else {}) if any(r[head] != ABSENT for r in rows)]
    return heads, [[row[head] for head in heads] for row in rows]


def _fee_text(one: SymbolCosts) -> str:
    share = format_number(one.taker, "basis_points")
    if not one.instrument.fee_per_contract:
        return share
    contract = f"{one.instrument.fee_per_contract:g} a contract"
    return f"{share} + {contract}" if one.taker else contract


def _slippage_text(one: SymbolCosts) -> str:
    """The parts that there are, in words."""
    own = one.instrument
    parts = [
        (one.slippage, f"fixed {format_number(one.slippage, 'basis_points')}"),
        (own.half_spread, f"half-spread {own.half_spread:g}"),
        (own.volatility_slippage, f"volatility × {own.volatility_slippage:g}"),
        (own.impact, f"impact × {own.impact:g}"),
    ]
    return " + ".join(text for value, text in parts if value) or "none"


def _margin_text(one: SymbolCosts) -> str:
    """Initial, then maintenance margin."""
    initial, maintenance = one.instrument.initial_margin, one.instrument.maintenance_margin
    if initial is None and not maintenance:
        return ABSENT
    return f"{_share_text(initial)} / {_share_text(maintenance)}"


def _share_text(value: float | None) -> str:
    return f"{value * 100:.3g} %" if value else ABSENT


def _step_text(value: float | None) -> str:
    return f"{value:g}" if value else ABSENT


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
