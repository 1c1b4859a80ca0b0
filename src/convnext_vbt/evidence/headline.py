"""The headline of a run: what its nested selection earned, and how sure one may be of it."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

import numpy as np

from convnext_vbt.evidence import stats
from convnext_vbt.evidence.selection import USUAL, Preset, Selection, nested_selection
from convnext_vbt.evidence.window import daily_returns
from convnext_vbt.trading.sweep import SweepResult

CONFIDENCE = 0.90


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """Figures of the joined account, net of all costs; NaN where undefined (no trade)."""

    total_return: float
    cagr: float
    """Growth a year; bars are counted as `Bars.bars_per_year` does."""
    max_drawdown: float
    """Deepest fall below an earlier peak on bar closes, the initial money included; <= 0."""
    sharpe: float
    """Annual Sharpe ratio of UTC-day returns."""
    sharpe_low: float
    """Lower end of its 90 % interval (stationary bootstrap)."""
    sharpe_high: float
    dsr: float
    """Deflated Sharpe ratio with N = `num_trials` and V = 1 / `num_days`, that of no edge."""
    num_trials: int
    """Distinct strategies tried on this data, this one included."""
    num_days: int
    days_per_year: int
    """Days that the annual Sharpe ratio counts: 365, or 252 for a market with weekends."""
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
    selection: Selection = field(repr=False)
    """Choices, signals and account behind these figures."""


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
    """
    return headline_of(res, Preset(initial=initial, risk=risk, seed=seed), num_trials=num_trials)


def headline_of(res: SweepResult, preset: Preset = USUAL, *, num_trials: int = 1) -> Headline:
    """`headline` of what was fixed beforehand as a whole."""
    selection = nested_selection(res, preset)
    account = selection.simulation
    equity = np.append(account.init_cash * account.equity.shape[1], account.equity.sum(axis=1))
    growth = float(equity[-1] / equity[0])
    years = (len(equity) - 1) / res.bars.bars_per_year
    returns = daily_returns(account)
    skewness, kurtosis = moments(returns)
    year = math.sqrt(res.bars.days_per_year)
    daily_sharpe = stats.sharpe_ratio(returns)
    low, high = stats.sharpe_confidence_interval(returns, CONFIDENCE, seed=preset.seed)
    traded, positive = _splits(selection, equity)
    return Headline(
        total_return=growth - 1.0,
        cagr=growth ** (1.0 / years) - 1.0 if growth > 0 else -1.0,
        max_drawdown=float((equity / np.maximum.accumulate(equity) - 1.0).min()),
        sharpe=float(daily_sharpe * year),
        sharpe_low=low * year,
        sharpe_high=high * year,
        dsr=_dsr(returns, num_trials),
        num_trials=num_trials,
        num_days=len(returns),
        days_per_year=res.bars.days_per_year,
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
    returns = daily_returns(head.selection.simulation)
    return replace(head, num_trials=num_trials, dsr=_dsr(returns, num_trials))


def _dsr(returns: np.ndarray, num_trials: int) -> float:
    """Deflated Sharpe ratio with V = 1/T: the variance of a Sharpe ratio where there is no edge."""
    days = len(returns)
    ratio = stats.sharpe_ratio(returns)
    return float(
        stats.deflated_sharpe_ratio(ratio, days, num_trials, 1.0 / days, *moments(returns))
    )


def moments(returns: np.ndarray) -> tuple[float, float]:
    """Skewness and raw kurtosis; NaN where returns do not vary."""
    if math.isnan(float(stats.sharpe_ratio(returns))):
        return math.nan, math.nan
    standard = (returns - returns.mean()) / returns.std()
    return float((standard**3).mean()), float((standard**4).mean())


def _splits(selection: Selection, equity: np.ndarray) -> tuple[int, int]:
    """How many test ranges were traded in, and how many of those gained; equity[0] is the start."""
    held = (selection.simulation.position != 0).any(axis=1)
    held[selection.simulation.trades["entry_idx"]] = True  # in and out within one bar
    held[selection.simulation.trades["exit_idx"]] = True
    traded = positive = 0
    for start, stop in selection.test_ranges.values():
        if held[start:stop].any():
            traded += 1
            positive += bool(equity[stop] > equity[start])
    return traded, positive
