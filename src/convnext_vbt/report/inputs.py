"""What the sections of the page read: the result, its evidence, and what both come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from convnext_vbt.evidence.baselines import Comparison
from convnext_vbt.evidence.verdict import Assessment
from convnext_vbt.evidence.window import Window
from convnext_vbt.report import accounts, judgement, returns
from convnext_vbt.report.confidence import Deciles
from convnext_vbt.report.grid import Grid
from convnext_vbt.report.model import Model, judged_model
from convnext_vbt.report.series import View
from convnext_vbt.trading.simulation import Simulation
from convnext_vbt.trading.sweep import TOTAL, SweepResult


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """Everything of one result that a section may show. Dimensions: S splits."""

    result: SweepResult
    assessment: Assessment
    baselines: Comparison | None
    grid: Grid
    start: int
    """Row of the cell that is selected at first."""
    fixed: int | None
    """Row of the strategy's own cell, fixed beforehand."""
    table: pd.DataFrame
    """`cells.table`."""
    headline: View
    headline_figures: Mapping[str, float]
    random_figures: Mapping[str, float]
    """Of the median random draw."""
    holds: Sequence[accounts.Account]
    """Buy-and-hold of every symbol of the sweep, in the order of its level."""
    hold_figures: Sequence[Mapping[str, float]]
    split_intervals: np.ndarray
    """float64 (S, 2), of the headline's Sharpe ratio within each split."""
    model: Model | None
    provenance: Mapping[str, str]
    caveats: Sequence[str]
    """The caller's."""
    simulated: bool
    """Whether the bars come from the simulated market."""

    @classmethod
    def of(
        cls,
        headline: View,
        *,
        assessment: Assessment,
        baselines: Comparison | None,
        grid: Grid,
        fixed: int | None,
        table: pd.DataFrame,
        provenance: Mapping[str, str],
        caveats: Sequence[str],
    ) -> Self:
        """The rest computed from the headline's account and what is known beside it."""
        res = headline.result
        holds = _holds(res, grid)
        return cls(
            result=res,
            assessment=assessment,
            baselines=baselines,
            grid=grid,
            start=0 if fixed is None else fixed,
            fixed=fixed,
            table=table,
            headline=headline,
            headline_figures=judgement.headline_figures(res, assessment),
            random_figures=judgement.random_figures(res, assessment),
            holds=holds,
            hold_figures=[judgement.hold_figures(res, hold) for hold in holds],
            split_intervals=returns.split_intervals(
                headline.account, headline.ranges, res.bars.days_per_year
            ),
            model=judged_model(res),
            provenance=provenance,
            caveats=caveats,
            simulated=is_simulated(res, str(provenance.get("Source", ""))),
        )

    @property
    def simulation(self) -> Simulation:
        """The headline's."""
        return self.assessment.headline.selection.simulation

    @property
    def deciles(self) -> Deciles | None:
        """Forward returns by confidence."""
        return self.headline.deciles

    @property
    def start_name(self) -> str:
        """The cell that is selected at first, in words."""
        return self.grid.name(self.start)

    @property
    def fixed_name(self) -> str | None:
        """The strategy's own cell in words."""
        return None if self.fixed is None else self.grid.name(self.fixed)

    @property
    def split_labels(self) -> list[str]:
        """The splits' numbers as they are shown, from 1."""
        return [str(split.number + 1) for split in self.result.predictions.splits]


def is_simulated(res: SweepResult, source: str) -> bool:
    """Whether the bars come from the simulated market."""
    return source.startswith("simulated") or any(
        name.startswith("SIM/") for name in res.bars.symbols
    )


def _holds(res: SweepResult, grid: Grid) -> list[accounts.Account]:
    """Buy-and-hold of every symbol of the sweep, in the order of its level; `TOTAL` holds all."""
    window, symbols = Window(res), grid.values[grid.names.index("symbol")]
    bought = (window.buy_and_hold(None if name == TOTAL else name) for name in symbols)
    return [accounts.Account.of(simulation) for simulation in bought]
