"""How often nothing was worth its costs, and what trading anyway would have brought.

Dimensions: T bars, N symbols.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnext_vbt.evidence.cells import Cells
from convnext_vbt.evidence.window import Window
from convnext_vbt.trading.confidence import ConfidenceRules
from convnext_vbt.trading.expectation import expected_returns, least_return, round_trip
from convnext_vbt.trading.sweep import SweepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Of one cell whose entries have to be worth their costs, and the same without that."""

    min_edge: float
    round_trip: float
    """Costs of an entry and an exit, as a share of the position."""
    predictions: int
    """Bars with a prediction, of all symbols."""
    waited: int
    """Those of them on which no side was worth its costs."""
    trades: int
    total_return: float
    trades_anyway: int
    """Of the same cell without `min_edge`."""
    total_return_anyway: float

    @property
    def share(self) -> float:
        """Of the predictions."""
        return self.waited / self.predictions

    @property
    def sentence(self) -> str:
        """All of it in words."""
        return (
            f"It waited on {self.waited:,} of {self.predictions:,} predictions ({self.share:.1%}): "
            f"after costs no trade was expected to return {self.min_edge:g} x its round trip of "
            f"{self.round_trip:.2%}. Trading anyway at the strategy's own threshold makes "
            f"{_count(self.trades_anyway)} and {self.total_return_anyway:+.1%}, waiting "
            f"{_count(self.trades)} and {self.total_return:+.1%}."
        )


def waiting_of(res: SweepResult, cells: Cells) -> Waiting | None:
    """Of the cell that is shown first, the strategy's own; None where it asks for no edge."""
    if not isinstance(res.rules, ConfidenceRules):
        return None
    cell = cells.grid.cell(cells.start)
    columns = np.ones(len(res.rules.columns), dtype=bool)
    for name in res.rules.rule_levels:
        columns &= res.rules.columns.get_level_values(name) == cell[name]
    rules = res.rules.take(np.flatnonzero(columns))
    min_edge = rules.min_edges[rules.edge[0]]
    if min_edge is None:
        return None
    brackets = res.brackets.scaled(
        **{
            name: cell.get(f"{name}_multiple", res.grid[f"{name}_multiple"][0])
            for name in ("stop", "take_profit")
        }
    )
    anyway = Window(res).simulate(rules.asking_nothing(), brackets, risk=cell["risk"])
    own = res.metrics.iloc[cells.start]
    predicted_TN = res.predictions.split >= 0
    return Waiting(
        min_edge=min_edge,
        round_trip=round_trip(res.config),
        predictions=int(predicted_TN.sum()),
        waited=int((predicted_TN & ~_worth(res, rules, min_edge)).sum()),
        trades=int(own["trades"]),
        total_return=float(own["total_return"]),
        trades_anyway=len(anyway.trades),
        total_return_anyway=float(anyway.equity[-1, 0] / res.config.init_cash - 1.0),
    )


def _worth(res: SweepResult, rules: ConfidenceRules, min_edge: float) -> np.ndarray:
    """Where a side that may be entered is worth its costs, bool (T, N)."""
    long, short = expected_returns(res.predictions, res.bars, res.config, exits=rules.exit)
    least = least_return(min_edge, rules.exit, res.config)
    return np.asarray((long >= least) | ((short >= least) & rules.is_short))


def _count(trades: int) -> str:
    return f"{trades:,} trade{'s' * (trades != 1)}"
