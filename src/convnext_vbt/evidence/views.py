"""One account as it is looked at: its lines by day, its months, splits, falls and trades.

Dimensions: T bars of the window, D UTC days, M calendar months, K trades, S splits, L deciles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from convnext_vbt.evidence.accounts import (
    Account,
    Daily,
    Drawdown,
    Figures,
    SplitFigures,
    before_costs,
    break_even,
    daily,
    daily_returns,
    drawdowns,
    key_figures,
    longest_drawdown_days,
    split_figures,
)
from convnext_vbt.evidence.confidence import Deciles, trades_by_decile
from convnext_vbt.evidence.measures import probabilistic_sharpe
from convnext_vbt.evidence.returns import (
    Excursions,
    bars_held,
    excursions,
    monthly_returns,
    rolling_sharpe,
)
from convnext_vbt.predictions import Range
from convnext_vbt.trading.sweep import SweepResult

NUM_DRAWDOWNS = 10
"""The deepest falls of an account that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lines:
    """An account by day, as it was and as if costs had been given back."""

    net: Daily
    gross: Daily
    gross_figures: Figures
    rolling: np.ndarray
    """Annual Sharpe ratio of the last 90 days, at each of `returns.rolling_days`."""

    @classmethod
    def of(cls, account: Account, res: SweepResult) -> Self:
        """The lines of an account of this sweep's window."""
        gross = before_costs(account)
        return cls(
            net=daily(account),
            gross=daily(gross),
            gross_figures=key_figures(gross, res.window_bars),
            rolling=rolling_sharpe(daily_returns(account), res.bars.days_per_year),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """Everything that is drawn or listed of one account: by day and by trade, nothing by bar."""

    symbols: tuple[str, ...]
    """Of each column of the trades."""
    init_cash: float
    trades: np.ndarray
    """By entry."""
    returns: np.ndarray
    """By UTC day, (D,)."""
    lines: Lines
    longest_drawdown: float
    """In days."""
    psr: float
    break_even: float
    months: np.ndarray
    """Return of each calendar month, (M,); NaN once nothing is left."""
    splits: SplitFigures
    worst: tuple[Drawdown, ...]
    """The deepest falls, deepest first."""
    excursions: Excursions
    bars_held: np.ndarray
    """Bars of its own symbol from the entry of each trade to its exit, (K,)."""
    shares: np.ndarray
    """Profit of each trade over the equity at the close before its entry, (K,)."""
    decile_returns: np.ndarray | None
    """Mean net return of the trades of each decile of confidence, (L,); None without deciles."""
    decile_trades: np.ndarray | None
    """How many those are, (L,)."""

    @classmethod
    def of(
        cls, account: Account, res: SweepResult, *, ranges: Sequence[Range], deciles: Deciles | None
    ) -> Self:
        """The view of an account of this sweep's window; `ranges` are its test ranges there."""
        before = np.append(account.init_cash, account.equity)[account.trades["entry_idx"]]
        mean = count = None
        if deciles is not None:
            mean, count = trades_by_decile(account, res, deciles)
        returns, falls = daily_returns(account), drawdowns(account)
        return cls(
            symbols=account.symbols,
            init_cash=account.init_cash,
            trades=account.trades,
            returns=returns,
            lines=Lines.of(account, res),
            longest_drawdown=longest_drawdown_days(falls, account.index),
            psr=probabilistic_sharpe(returns),
            break_even=break_even(account),
            months=monthly_returns(account),
            splits=split_figures(account, ranges, res.bars.days_per_year),
            worst=tuple(falls[:NUM_DRAWDOWNS]),
            excursions=excursions(account, res.window_bars),
            bars_held=bars_held(account, res.window_bars),
            shares=account.trades["pnl"] / before,
            decile_returns=mean,
            decile_trades=count,
        )
