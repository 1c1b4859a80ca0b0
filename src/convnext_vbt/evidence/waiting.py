"""How often nothing was worth its costs, and what trading anyway would have brought.

Dimensions: T bars, N symbols.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from convnext_vbt.evidence.cells import Cells
from convnext_vbt.evidence.window import Window
from convnext_vbt.trading.codes import ENTER
from convnext_vbt.trading.confidence import ConfidenceRules
from convnext_vbt.trading.expectation import expected_returns, least_returns, round_trips
from convnext_vbt.trading.sweep import SweepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Of one cell whose entries have to be worth their costs, and the same without that."""

    min_edge: float
    round_trip: float
    """Costs of an entry and an exit, as a share of the position."""
    predictions: int
    """Bars with a prediction and a known volatility, on which it could decide, of all symbols."""
    undecided: int
    """Bars with a prediction that are not counted, as their volatility is not known."""
    waited: int
    """Of `predictions`: on how many no side was worth its costs."""
    trades: int
    total_return: float
    trades_anyway: int
    """Of the same cell without `min_edge`, on the bars on which it could decide."""
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
            f"neither side was expected to return, net of costs, {self.min_edge:g} x the "
            f"{self.round_trip:.2%} that entry and exit cost.{self._not_counted} The strategy's "
            f"own rule made {_count(self.trades)} and {self.total_return:+.1%}; without waiting it "
            f"would have made {_count(self.trades_anyway)} and {self.total_return_anyway:+.1%}."
        )

    @property
    def _not_counted(self) -> str:
        if not self.undecided:
            return ""
        return f" {self.undecided:,} more, on bars whose volatility is not known, are not counted."


def waiting_of(res: SweepResult, cells: Cells) -> Waiting | None:
    """Of the cell that is shown first, the strategy's own.

    None where it asks for no edge, or could decide on no bar.
    """
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
    predicted_TN = res.predictions.split >= 0
    known_TN, worth_TN = _worth(res, rules, min_edge)
    decided_TN = predicted_TN & known_TN
    if not decided_TN.any():
        return None
    free = rules.asking_nothing()  # but where volatility is unknown, so that there may be no stop
    allowed = np.where(known_TN.T, free.allowed, free.allowed & ~np.uint8(ENTER))
    free = replace(free, allowed=np.ascontiguousarray(allowed))
    anyway = Window(res).simulate(free, brackets, risk=cell["risk"])
    own = res.metrics.iloc[cells.start]
    return Waiting(
        min_edge=min_edge,
        round_trip=float(np.nanmean(_round_trips(res)[predicted_TN])),
        predictions=int(decided_TN.sum()),
        undecided=int((predicted_TN & ~known_TN).sum()),
        waited=int((decided_TN & ~worth_TN).sum()),
        trades=int(own["trades"]),
        total_return=float(own["total_return"]),
        trades_anyway=len(anyway.trades),
        total_return_anyway=float(anyway.equity[-1, 0] / res.config.init_cash - 1.0),
    )


def _worth(
    res: SweepResult, rules: ConfidenceRules, min_edge: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where a return is expected at all, and where a side is worth its costs, bool (T, N) each."""
    long, short = expected_returns(res.predictions, res.bars, res.config, exits=rules.exit)
    least = least_returns(min_edge, rules.exit, _round_trips(res))
    return np.isfinite(long), (long >= least) | ((short >= least) & rules.is_short)


def _round_trips(res: SweepResult) -> np.ndarray:
    target = res.predictions.target
    return round_trips(res.config, res.bars, halflife=None if target is None else target.halflife)


def _count(trades: int) -> str:
    return f"{trades:,} trade{'s' * (trades != 1)}"
