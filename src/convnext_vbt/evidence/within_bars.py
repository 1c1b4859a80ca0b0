"""What bars do not tell of an account: the order of events within one, and entries never made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnext_vbt.evidence import measures
from convnext_vbt.evidence.accounts import Account, daily_returns
from convnext_vbt.evidence.selection import Selection
from convnext_vbt.evidence.window import Window
from convnext_vbt.trading.codes import BUST, GAP_STOP, LIQUIDATION
from convnext_vbt.trading.instruments import have_least_size
from convnext_vbt.trading.sweep import SweepResult

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class WithinBars:
    """Of the headline's account, in which the stop comes first where a bar reached both."""

    exits: int
    """Trades that ended."""
    ambiguous_exits: int
    """Those in a bar that reached both the stop and a take-profit; with finer bars, within one of
    those."""
    ambiguous_share: float
    """Of all exits; NaN without any."""
    total_return: float
    """With the stop first."""
    sharpe: float
    """Annual, with the stop first."""
    best_total_return: float
    """The same signals with the take-profit first."""
    best_sharpe: float
    has_detail: bool
    """Whether finer bars were asked."""
    refused_entries: int
    """Entries that were not placed: under the least size or worth of their instrument, or without
    room under the caps."""
    has_least_size: bool
    """Whether any instrument has a least size or worth."""
    is_shared: bool
    """Whether several symbols share the account and its caps."""
    liquidations: int
    """Trades that were closed because the margin was used up."""
    is_bust: bool
    """Whether the account was lost."""
    past_risk: int
    """Stops gapped through that lost more of the equity at the close before the entry than `risk`,
    which is what a trade of full size may lose."""
    worst_loss: float
    """The largest of these losses, as a share of that equity; 0 without any."""
    risk: float


def within_bars(res: SweepResult, chosen: Selection, *, risk: float) -> WithinBars:
    """Of what was selected, traded at `risk`; once more with take-profits first if that matters."""
    account, window = chosen.account, Window(res)
    ambiguous = int(chosen.simulation.ambiguous.sum())
    best = account
    if ambiguous:
        best = Account.of(
            window.simulate(chosen.signals, chosen.brackets, risk=risk, best_first=True)
        )
    exits = int(measures.is_closed(account.trades).sum())
    reasons, losses = account.trades["reason"], gap_losses(account)
    past = losses[losses > risk * (1.0 + _ROUNDING)]
    year = res.bars.days_per_year
    return WithinBars(
        exits=exits,
        ambiguous_exits=ambiguous,
        ambiguous_share=measures.ratio(ambiguous, exits),
        total_return=_gain(account),
        sharpe=measures.sharpe(daily_returns(account), year),
        best_total_return=_gain(best),
        best_sharpe=measures.sharpe(daily_returns(best), year),
        has_detail=res.bars.detail is not None,
        refused_entries=int(chosen.simulation.refused.sum()),
        has_least_size=have_least_size(res.bars, res.config.instruments),
        is_shared=len(account.symbols) > 1,
        liquidations=int((reasons == LIQUIDATION).sum()),
        is_bust=bool((reasons == BUST).any() or not account.equity[-1] > 0),
        past_risk=len(past),
        worst_loss=float(past.max(initial=0.0)),
        risk=risk,
    )


def gap_losses(account: Account) -> np.ndarray:
    """What each trade whose stop was gapped through lost of the equity before its entry."""
    trades = account.trades[account.trades["reason"] == GAP_STOP]
    before = np.append(account.init_cash, account.equity)[trades["entry_idx"]]
    return np.asarray(-trades["pnl"] / before)


def _gain(account: Account) -> float:
    return float(account.equity[-1] / account.init_cash - 1.0)
