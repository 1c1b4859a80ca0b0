"""The headline's own signals, traded again at other costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from convnext_vbt.evidence.accounts import Account, Figures, cost_a_side, key_figures
from convnext_vbt.evidence.headline import Headline
from convnext_vbt.evidence.window import Window
from convnext_vbt.trading.sweep import SweepResult

COST_MULTIPLES = (0, 1, 2, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPoint:
    """The headline's signals traded again at a multiple of the costs."""

    multiple: int
    basis_points: float
    """Fees and slippage a side."""
    figures: Figures


def traded_again(window: Window, head: Headline, *, cost_multiple: int) -> Account:
    """The headline's signals at a multiple of fees and slippage.

    Sizes shrink with costs, because the loss at a stop counts them; times and sides stay.
    """
    chosen = head.selection
    simulation = window.simulate(
        chosen.signals, chosen.brackets, risk=head.risk, cost_multiple=float(cost_multiple)
    )
    return Account.of(simulation)


def cost_points(
    res: SweepResult, head: Headline, known: Mapping[int, Account]
) -> tuple[CostPoint, ...]:
    """At no, the given, doubled and tripled costs; `known` are accounts by their multiple."""
    window, config = Window(res), res.config
    out = []
    for multiple in COST_MULTIPLES:
        account = known.get(multiple) or traded_again(window, head, cost_multiple=multiple)
        out.append(
            CostPoint(
                multiple=multiple,
                basis_points=cost_a_side(account, config.times_costs(multiple)) * 1e4,
                figures=key_figures(account, window.bars),
            )
        )
    return tuple(out)
