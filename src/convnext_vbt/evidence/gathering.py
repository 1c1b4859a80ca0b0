"""All that speaks for a strategy or against it, computed once.

The page, metrics.json and the terminal read it.

Dimensions: P cells, S splits, N symbols.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence import stats
from convnext_vbt.evidence.accounts import (
    RULES_ONLY,
    Account,
    Figures,
    daily,
    daily_returns,
    key_figures,
    split_intervals,
)
from convnext_vbt.evidence.baselines import Comparison
from convnext_vbt.evidence.by_symbol import figures_by_symbol
from convnext_vbt.evidence.cells import Cells, look_into
from convnext_vbt.evidence.concerns import Concerns, concerns
from convnext_vbt.evidence.confidence import threshold_range
from convnext_vbt.evidence.costs import CostPoint, SymbolCosts, cost_points, costs_by_symbol
from convnext_vbt.evidence.direction import Direction, direction_of, sentence
from convnext_vbt.evidence.headline import Headline
from convnext_vbt.evidence.hindsight import Hindsight, compared_returns
from convnext_vbt.evidence.measures import growth_rate, log_growth, sharpe_interval
from convnext_vbt.evidence.model import ModelScores
from convnext_vbt.evidence.nulls.null import Null
from convnext_vbt.evidence.overfitting import rank_transfer
from convnext_vbt.evidence.paths import Paths
from convnext_vbt.evidence.records import has_splits
from convnext_vbt.evidence.returns import Fan, bootstrap_fan, months_of, rolling_days
from convnext_vbt.evidence.scores import score_splits
from convnext_vbt.evidence.selection import USUAL, Preset, Selection, rule_of
from convnext_vbt.evidence.sweep_table import Plateaus, plateaus, table
from convnext_vbt.evidence.verdict import Assessment, assess
from convnext_vbt.evidence.views import Lines, View
from convnext_vbt.evidence.waiting import Waiting, waiting_of
from convnext_vbt.evidence.when.when import When, when_of
from convnext_vbt.evidence.window import Window
from convnext_vbt.evidence.within_bars import WithinBars, within_bars
from convnext_vbt.trading.instruments import have_least_size
from convnext_vbt.trading.sweep import TOTAL, SweepResult

CASH = dict.fromkeys(
    ("total_return", "cagr", "log_growth", "volatility", "max_drawdown", "longest_drawdown",
     "exposure", "turnover", "trades", "costs", "funding"), 0.0,
)  # fmt: skip
"""Key figures of money that is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Holding:
    """A symbol bought with all cash and held; of `TOTAL`, all symbols."""

    symbol: str
    account: Account
    lines: Lines
    figures: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Deflation:
    """What a Sharpe ratio had to beat, as one of many."""

    sharpe: float
    """Annual, as `expected` is."""
    num_trials: int
    variance: float
    """Of the trials' Sharpe ratios per day."""
    expected: float
    """SR0: what the best of that many without skill reaches."""
    dsr: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """Everything that is computed of a sweep's worth; `gather` makes it."""

    result: SweepResult
    assessment: Assessment
    nulls: dict[str, Null]
    """By name: the assessment's, and those that train again where they were drawn."""
    baselines: Comparison | None
    sharpe_by_seed: tuple[float, ...]
    """Headline Sharpe ratios of an ensemble's networks, each alone."""
    cells: Cells
    table: pd.DataFrame
    """`sweep_table.table`: every figure of every cell."""
    plateaus: Plateaus
    days: np.ndarray
    """UTC days that have a bar of the window, from 1970-01-01."""
    rolling_at: np.ndarray
    """Of those the ones at which rolling figures are taken."""
    months: np.ndarray
    """Calendar months that have a bar of the window, from 1970-01."""
    headline: View
    headline_figures: Figures
    split_intervals: np.ndarray
    """float64 (S, 2): 90 % interval of the headline's Sharpe ratio within each split."""
    fan: Fan | None
    by_symbol: pd.DataFrame | None
    """`figures_by_symbol` of the headline; None of one symbol."""
    random_figures: Figures
    """What is known of the median draw of random sides."""
    holdings: tuple[Holding, ...]
    """In the order of the sweep's level "symbol"."""
    costs: tuple[CostPoint, ...]
    costs_by_symbol: tuple[SymbolCosts, ...]
    """None where there are no instruments."""
    ranks: np.ndarray
    """`overfitting.rank_transfer`; (0, 2) where there is no PBO."""
    deflated_headline: Deflation
    deflated_best: Deflation | None
    """None where no cell has enough trades."""
    split_scores: pd.DataFrame | None
    """`scores.score_splits`; None without labels."""
    model: ModelScores | None
    """None without labels, or where no predicted bar has one."""
    direction: Direction | None
    """None without labels or a horizon, or where no predicted bar moved."""
    notes: tuple[str, ...]
    """What stands beside the verdict without being a condition of it."""
    threshold_ranges: list[tuple[float, float] | None]
    """Of each swept threshold: the lowest and the highest probability that it stood for."""
    concerns: Concerns
    within_bars: WithinBars
    paths: Paths | None
    """None where no combinatorial splits were trained."""
    waiting: Waiting | None
    """None where the cell that is shown first asks for no edge."""
    when: When
    """When and why the headline earned."""


def gather(
    res: SweepResult,
    *,
    selected: Mapping[str, Any] | None = None,
    labels: np.ndarray | None = None,
    assessment: Assessment | None = None,
    baselines: Comparison | None = None,
    cells: Cells | None = None,
    retrained: Mapping[str, Null] | None = None,
    sharpe_by_seed: tuple[float, ...] = (),
    notes: Sequence[str] = (),
    paths: Paths | None = None,
) -> Evidence:
    """Compute everything that is not given.

    `selected` is the strategy's own cell, fixed beforehand; levels that are left out take their
    first value. `cells` are those that were looked into already, `selected` among them. `labels`
    are what came true, int8 (T, N), -1 where nothing did; None where nobody knows. `assessment`
    None makes it of this sweep alone (no earlier tries count) at the strategy's own risk and, of
    predictions without splits, by its own rule.
    `retrained` are nulls that train again, by name. `notes` are the caller's, to stand beside the
    verdict; a claim of direction that is false joins them.

    Raises `InputError` when `selected` is not a cell of the sweep.
    """
    if cells is None:
        cells = look_into(res, selected)
    if assessment is None:
        assessment = assess(res, preset=_preset(res, cells, selected), cells=cells)
    head, preds, year = assessment.headline, res.predictions, res.bars.days_per_year
    account = head.selection.account
    days = daily(account).days
    direction = None if labels is None else direction_of(res, labels)
    figures = table(res, cells, assessment.trials)
    return Evidence(
        result=res,
        assessment=assessment,
        nulls=assessment.nulls | dict(retrained or {}),
        baselines=baselines,
        sharpe_by_seed=sharpe_by_seed,
        cells=cells,
        table=figures,
        plateaus=plateaus(figures, cells.grid),
        days=days,
        rolling_at=rolling_days(len(days)),
        months=months_of(account.index),
        headline=View.of(account, res, ranges=cells.ranges, deciles=cells.deciles),
        headline_figures=_headline_figures(res, assessment),
        split_intervals=split_intervals(account, cells.ranges, year),
        fan=bootstrap_fan(daily_returns(account)),
        by_symbol=_by_symbol(head.selection),
        random_figures=_random_figures(res, assessment),
        holdings=_holdings(res, cells, assessment),
        costs=cost_points(res, head, {1: account, 2: assessment.doubled_costs}),
        costs_by_symbol=costs_by_symbol(res, account),
        ranks=_ranks(res, assessment.hindsight),
        deflated_headline=_deflation(head, head.variance, year),
        deflated_best=_deflated_best(assessment.hindsight, year),
        split_scores=None if labels is None else score_splits(preds, labels),
        model=None if labels is None else ModelScores.of(preds, labels),
        direction=direction,
        notes=(*_direction_notes(direction), *notes),
        threshold_ranges=[threshold_range(preds, one) for one in cells.grid.thresholds],
        concerns=concerns(res, account),
        within_bars=within_bars(res, head.selection, risk=head.risk),
        paths=paths,
        waiting=waiting_of(res, cells),
        when=when_of(res, head.selection, assessment.buy_and_hold),
    )


def _preset(res: SweepResult, cells: Cells, selected: Mapping[str, Any] | None) -> Preset:
    """The strategy's own risk and, where without splits one rule is traded, its own rule."""
    if cells.fixed is None:
        return USUAL
    cell = cells.grid.cell(cells.fixed)
    named = cell if selected is None else selected
    left_out = [
        name
        for name, values in zip(cells.grid.names, cells.grid.values, strict=True)
        if len(values) > 1 and name not in (*named, "risk", "symbol")
    ]
    fixed = None if has_splits(res.predictions) or left_out else rule_of(res, cell)
    return Preset(risk=cell["risk"], initial=fixed)


def _direction_notes(direction: Direction | None) -> list[str]:
    false = direction is not None and direction.all.is_false
    return [f"{sentence(direction.all)}."] if direction is not None and false else []


def _headline_figures(res: SweepResult, assessment: Assessment) -> Figures:
    """Every key figure of the nested selection's account, all symbols' money together."""
    head = assessment.headline
    found = key_figures(head.selection.account, res.window_bars)
    if have_least_size(res.bars, res.config.instruments):
        found["refused"] = float(head.selection.simulation.refused.sum())
    return found | {
        "sharpe_low": head.sharpe_low,
        "sharpe_high": head.sharpe_high,
        "dsr": head.dsr,
    }


def hold_figures(res: SweepResult, account: Account) -> Figures:
    """Every key figure of buying and holding; nothing was tried there, so there is no DSR."""
    low, high = sharpe_interval(daily_returns(account), res.bars.days_per_year)
    found = key_figures(account, res.window_bars)
    for name in RULES_ONLY:
        del found[name]
    return found | {"sharpe_low": low, "sharpe_high": high}


def _random_figures(res: SweepResult, assessment: Assessment) -> Figures:
    null = assessment.random_sides
    total = {"total_return": null.median_return, "sharpe": null.median_sharpe}
    growth = 1.0 + null.median_return
    if not growth > 0:
        return total
    cagr = growth_rate(growth, res.window_bars.years)
    return total | {"cagr": cagr, "log_growth": log_growth(cagr)}


def _holdings(res: SweepResult, cells: Cells, assessment: Assessment) -> tuple[Holding, ...]:
    window, names = Window(res), cells.grid.level("symbol")
    out = []
    for name in map(str, names):
        if name == TOTAL or len(names) == 1:
            account = assessment.buy_and_hold
        else:
            account = Account.of(window.buy_and_hold(name))
        out.append(
            Holding(
                symbol=name,
                account=account,
                lines=Lines.of(account, res),
                figures=hold_figures(res, account),
            )
        )
    return tuple(out)


def _by_symbol(selection: Selection) -> pd.DataFrame | None:
    several = len(selection.account.symbols) > 1
    return figures_by_symbol(selection.simulation) if several else None


def _ranks(res: SweepResult, best: Hindsight) -> np.ndarray:
    if not len(best.overfitting.logits):
        return np.zeros((0, 2))
    return rank_transfer(compared_returns(res))


def _deflated_best(best: Hindsight, days_per_year: int) -> Deflation | None:
    return _deflation(best, best.variance, days_per_year) if best.cell else None


def _deflation(of: Headline | Hindsight, variance: float, days_per_year: int) -> Deflation:
    expected = float(stats.expected_maximum_sharpe(of.num_trials, variance))
    return Deflation(
        sharpe=of.sharpe,
        num_trials=of.num_trials,
        variance=variance,
        expected=expected * math.sqrt(days_per_year),
        dsr=of.dsr,
    )
