"""The headline of a run: what its nested selection earned, and how sure one may be of it."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from convnext_vbt.errors import LaterTrainingWarning
from convnext_vbt.evidence import measures
from convnext_vbt.evidence.accounts import daily_returns
from convnext_vbt.evidence.cells import Cells
from convnext_vbt.evidence.selection import USUAL, How, Preset, Selection, nested_selection
from convnext_vbt.summary import Summary, number
from convnext_vbt.trading.sweep import SweepResult

_HOW: Mapping[How, str] = {
    "nested": "each split by a rule chosen by the splits before it",
    "initial": "the initial rule throughout",
    "fixed": "one fixed rule, chosen by you",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """Figures of the joined account, net of all costs; NaN where undefined (no trade)."""

    total_return: float
    cagr: float
    """Growth a year of the calendar (`Bars.years`)."""
    max_drawdown: float
    """Deepest fall below an earlier peak on bar closes, the initial money included; <= 0."""
    sharpe: float
    """Annual Sharpe ratio of UTC-day returns."""
    sharpe_low: float
    """Lower end of its 90 % interval (`measures.sharpe_interval`)."""
    sharpe_high: float
    dsr: float
    """Deflated Sharpe ratio with N = `num_trials` and V = `variance`."""
    num_trials: int
    """Distinct strategies tried on this data, this one included."""
    num_days: int
    days_per_year: int
    """UTC days that the annual Sharpe ratio counts: the market's own (`Bars.days_per_year`)."""
    skewness: float
    """Of the daily returns."""
    kurtosis: float
    """Of the daily returns, raw (normal = 3)."""
    trades: int
    """All trades, one still open at the end included."""
    splits_traded: int
    """Splits in whose test range a position was held or a trade made."""
    splits_positive: int
    """Those of them that ended with more money than they began with."""
    risk: float
    """Share of equity risked by a trade of full size: given, never selected."""
    selection: Selection
    """Choices, signals and account behind these figures."""

    def __repr__(self) -> str:
        return str(self._summary())

    def _repr_html_(self) -> str:
        return self._summary().html()

    def _summary(self) -> Summary:
        rows = headline_rows({field.name: getattr(self, field.name) for field in fields(self)})
        return Summary(f"Headline, {_HOW[self.selection.how]}, net of costs", rows)

    @property
    def variance(self) -> float:
        """Of a daily Sharpe ratio where there is no edge: 1 / T."""
        return 1.0 / self.num_days


def headline_rows(figures: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What is said first of a headline, given by name; None or NaN where undefined."""
    total, cagr = (number(figures[name], "{:+.1%}") for name in ("total_return", "cagr"))
    names = ("sharpe", "sharpe_low", "sharpe_high")
    sharpe, low, high = (number(figures[name], "{:.2f}") for name in names)
    drawdown, days = number(figures["max_drawdown"], "{:.1%}"), figures["num_days"]
    traded, positive = figures["splits_traded"], figures["splits_positive"]
    return (
        ("return", f"{total} in {days:,} days ({cagr} a year), max drawdown {drawdown}"),
        ("Sharpe ratio", f"{sharpe} a year, 90 % CI {low} to {high}"),
        ("deflated", f"{number(figures['dsr'], '{:.3f}')}, trials: {figures['num_trials']:,}"),
        ("trades", f"{figures['trades']:,} in {traded} splits, {positive} of which gained"),
    )


def headline(
    res: SweepResult,
    *,
    initial: Hashable | None = None,
    risk: float | None = None,
    num_trials: int = 1,
    seed: int = 0,
) -> Headline:
    """The result that could have been had: nested selection, traded as one account.

    `initial`, `risk` and `seed` as in `Preset`. `num_trials` is how many distinct strategies have
    been tried on this data, this one included. Several symbols share the account.

    Warns, with `LaterTrainingWarning`, where training looked at later bars: rules are chosen
    without hindsight then, but predictions are not made without it.
    """
    later = sum(split.learned_later for split in res.predictions.splits)
    if later:
        warnings.warn(
            f"not walk-forward: {later} of {len(res.predictions.splits)} splits learned from bars "
            "of their test range or after it, so nobody could have earned this",
            LaterTrainingWarning,
            stacklevel=2,
        )
    return headline_of(res, Preset(initial=initial, risk=risk, seed=seed), num_trials=num_trials)


def headline_of(
    res: SweepResult,
    preset: Preset = USUAL,
    *,
    num_trials: int = 1,
    cells: Cells | None = None,
) -> Headline:
    """`headline` of what was fixed beforehand as a whole; `cells` as in `nested_selection`."""
    selection = nested_selection(res, preset, cells=cells)
    account, year = selection.account, res.bars.days_per_year
    growth = float(account.equity[-1] / account.init_cash)
    returns = daily_returns(account)
    skewness, kurtosis = measures.moments(returns)
    low, high = measures.sharpe_interval(returns, year)
    traded, positive = _splits(selection)
    return Headline(
        total_return=growth - 1.0,
        cagr=measures.growth_rate(growth, res.window_bars.years),
        max_drawdown=measures.max_drawdown(account.equity, account.init_cash),
        sharpe=measures.sharpe(returns, year),
        sharpe_low=low,
        sharpe_high=high,
        dsr=measures.deflated_sharpe(returns, num_trials, 1.0 / len(returns)),
        num_trials=num_trials,
        num_days=len(returns),
        days_per_year=year,
        skewness=skewness,
        kurtosis=kurtosis,
        trades=len(account.trades),
        splits_traded=traded,
        splits_positive=positive,
        risk=res.reference_risk if preset.risk is None else preset.risk,
        selection=selection,
    )


def deflated(head: Headline, num_trials: int) -> Headline:
    """The same headline as one of `num_trials` distinct strategies: what the ledger counted."""
    returns = daily_returns(head.selection.account)
    dsr = measures.deflated_sharpe(returns, num_trials, head.variance)
    return replace(head, num_trials=num_trials, dsr=dsr)


def _splits(selection: Selection) -> tuple[int, int]:
    """How many test ranges were traded in, and how many of those gained."""
    account = selection.account
    held = account.held.copy()
    held[account.trades["entry_idx"]] = True  # in and out within one bar
    held[account.trades["exit_idx"]] = True
    money = np.append(account.init_cash, account.equity)
    traded = positive = 0
    for start, stop in selection.test_ranges.values():
        if held[start:stop].any():
            traded += 1
            positive += bool(money[stop] > money[start])
    return traded, positive
