"""Everything that is found of a portfolio or a table of returns, and the verdict on it.

Sharpe ratios are annual, of daily returns, by the days a year that the index has. Dimensions:
D days of the grid, C columns.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence.judging.path import Path
from convnext_vbt.evidence.nulls.null import Null
from convnext_vbt.evidence.overfitting import BacktestOverfitting
from convnext_vbt.evidence.verdict import Verdict
from convnext_vbt.storage import plain

WALK_FORWARD = "walk-forward choice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The series that is judged: a column by itself, or the walk-forward choice over all."""

    name: str
    num_days: int
    total_return: float
    cagr: float
    """Compound growth a year of the calendar."""
    max_drawdown: float
    """Deepest fall below an earlier peak or the start, at days' ends; <= 0."""
    sharpe: float
    sharpe_low: float
    """Lower end of its 90 % interval (`measures.sharpe_interval`)."""
    sharpe_high: float
    dsr: float
    """Deflated Sharpe ratio with N = `num_trials` and V = 1 / T, under no edge."""
    num_trials: float
    """1 for a walk-forward choice, which has paid for its columns; more where more were tried."""
    benchmark_sharpe: float
    """Of the benchmark on the same days; NaN where there is none."""
    trades: int | None
    """Positions begun or carried in; None where there are returns alone."""
    long_share: float
    """Of those; NaN without any."""
    periods_traded: int
    """Of the twelve stretches of days (nine for a choice), those with a return."""
    periods_positive: int
    """Those of them that gained."""
    charged: float
    """Fees a side and known slippage, as a share of the traded value; NaN where not known."""
    doubled_costs_sharpe: float
    """With these paid once more, trades the same share of the account; NaN where not known."""
    switching_costs: float
    """Fees of changing from column to column, as a share of the account, part of the returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The column with the highest Sharpe ratio over all days: a choice in hindsight."""

    name: Hashable
    position: int
    sharpe: float
    luck: float
    """Expected highest Sharpe ratio of `Judgement.effective_trials` without an edge, V = 1 / T."""
    dsr: float
    """Its deflated Sharpe ratio, with that N and V."""
    dsr_dispersion: float
    """The same with N = `Judgement.num_trials` and V of the columns' own Sharpe ratios, as the
    paper has it: columns that bleed costs make it as low as one likes. Shown, not judged by."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Findings:
    """What `judge` found; what is not known is NaN or None."""

    title: str
    first: pd.Timestamp
    last: pd.Timestamp
    num_days: int
    """Days with a row; of weekly or monthly returns, weeks or months."""
    days_per_year: int
    num_columns: int
    idle_columns: int
    """Columns whose returns never vary: they never traded, and are not among the trials."""
    num_trials: float
    """Strategies tried on this data: the columns that varied, or as many as were said."""
    effective_trials: float
    """Independent ones that they amount to (`trials.effective_trials`)."""
    judged: Judged
    best: Best
    pbo: BacktestOverfitting
    """Of choosing the best column in hindsight (CSCV, Bailey et al. 2017)."""
    pbo_blocks: int
    spa: float
    """P-value of "no column leads over the benchmark at its own beta" (Hansen 2005)."""
    leads: np.ndarray = field(repr=False)
    """Whether each column does, with a family-wise error of 5 % (Romano and Wolf 2005), (C,)."""
    mean_block: int
    """Days, of the stationary bootstrap of both."""
    benchmark: str
    """What is held against it; empty where nothing is known."""
    sides: Null
    """Same times and sizes, drawn sides; its p-value is NaN where it cannot be drawn."""
    times: Null
    """Same sides and sizes, drawn times; likewise."""
    periods: pd.DataFrame
    """One row a period: first, last, column, position, sharpe_before, total_return."""
    sharpes: np.ndarray = field(repr=False)
    """Of every column over all days, (C,); NaN for idle ones."""
    names: tuple[Hashable, ...] = field(repr=False)
    days: pd.DatetimeIndex = field(repr=False)
    """Of the grid, (D,)."""
    path: Path = field(repr=False)
    """The daily returns that were judged, and the positions behind them."""
    best_returns: np.ndarray = field(repr=False)
    """Of the best column, (D,)."""
    notes: tuple[str, ...]
    """What else has to be known to read the figures."""
    verdict: Verdict

    @property
    def returns(self) -> pd.Series:
        """Daily returns of what was judged, by day."""
        values = self.path.returns
        index = self.days[self.path.start : self.path.start + len(values)]
        return pd.Series(values, index=index, name=self.judged.name)

    @property
    def superior(self) -> tuple[Hashable, ...]:
        """Names of the columns that lead (StepM)."""
        return tuple(self.names[k] for k in np.flatnonzero(self.leads))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Conditions that cannot be told from what was given."""
        return tuple(r.text for r in self.verdict.reasons if "not known" in r.text)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.verdict.word}: {self.judged.name}, "
            f"Sharpe {self.judged.sharpe:.2f}, {self.num_columns:,} column(s), "
            f"{self.num_days:,} days)"
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{'✓' if reason.ok else '✗'}</td><td style='text-align:left'>"
            f"{escape(reason.text)}</td></tr>"
            for reason in self.verdict.reasons
        )
        head = escape(self.title or self.judged.name)
        return f"<table><caption><b>{self.verdict.word}</b> {head}</caption>{rows}</table>"

    def to_dict(self) -> dict[str, Any]:
        """Plain values as JSON knows them; what is undefined or not known is None."""
        value: dict[str, Any] = plain(
            {
                "verdict": asdict(self.verdict),
                "title": self.title,
                "first": f"{self.first:%Y-%m-%d}",
                "last": f"{self.last:%Y-%m-%d}",
                "days": self.num_days,
                "days_per_year": self.days_per_year,
                "columns": self.num_columns,
                "idle_columns": self.idle_columns,
                "num_trials": self.num_trials,
                "effective_trials": self.effective_trials,
                "judged": asdict(self.judged),
                "best": asdict(self.best),
                "pbo": {
                    "probability": self.pbo.probability,
                    "blocks": self.pbo_blocks,
                    "reason": self.pbo.reason,
                },
                "spa": {"p_value": self.spa, "superior": list(self.superior)},
                "benchmark": self.benchmark or None,
                "random_sides": _null_dict(self.sides),
                "random_times": _null_dict(self.times),
                "periods": self.periods.to_dict("records"),
                "notes": list(self.notes),
            }
        )
        return value


def _null_dict(null: Null) -> dict[str, Any]:
    median = null.median_sharpe if len(null.draws) else math.nan
    return {
        "p_value": null.p_value,
        "reason": null.reason,
        "draws": len(null.draws),
        "median_sharpe": median,
    }
