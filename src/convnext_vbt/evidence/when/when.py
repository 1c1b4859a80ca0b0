"""When and why an account earned, all of it; `when_of` computes it of the headline.

Dimensions: T bars of the window, D UTC days.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence import measures
from convnext_vbt.evidence.accounts import Account, daily_returns, days_of
from convnext_vbt.evidence.returns import bars_held
from convnext_vbt.evidence.selection import Selection
from convnext_vbt.evidence.when.distribution import Distribution, Relative
from convnext_vbt.evidence.when.exposure import Exposure, Rolling
from convnext_vbt.evidence.when.periods import crises, extremes, years
from convnext_vbt.evidence.when.regimes import by_clock, by_regime, regimes_of_days
from convnext_vbt.evidence.when.sides import Rhythm, by_exit, by_side, rhythm
from convnext_vbt.market.simulated import are_simulated
from convnext_vbt.trading.sweep import SweepResult

UNITS = {
    "fraction": (
        "total_return", "max_drawdown", "hold_return", "hold_drawdown", "best", "worst",
        "win_rate", "mean_trade", "busiest_share", "bars_in_market", "bars_net_long",
        "bars_net_short", "correlation", "up_capture", "down_capture",
    ),
    "fraction a day": ("var_95", "cvar_95", "var_99", "cvar_99"),
    "fraction a year": ("volatility", "alpha", "tracking_error"),
    "annual ratio": ("sharpe", "hold_sharpe", "information_ratio"),
    "ratio": ("profit_factor", "dispersion", "skew", "excess_kurtosis", "tail_ratio", "beta"),
    "multiple of equity": ("mean_gross", "max_gross", "mean_net"),
    "account currency": ("profit",),
    "trades": ("trades", "most_wins", "most_losses"),
    "days": ("days", "mean_days", "busiest_days"),
    "bars": ("mean_bars",),
    "UTC": ("year", "hour", "weekday", "best_from", "worst_from", "first", "last"),
}  # fmt: skip
"""The names of the figures in `When.to_dict`, by their unit; a capture is a fraction of 1."""
NEVER_TRADED = "The headline never traded, so there is nothing to explain."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class When:
    """One account against buying and holding the same bars; what is undefined is NaN."""

    reason: str
    """Why there is nothing to explain; empty where there is."""
    years: pd.DataFrame
    extremes: pd.DataFrame
    crises: pd.DataFrame
    sides: pd.DataFrame
    exits: pd.DataFrame
    rhythm: Rhythm
    exposure: Exposure
    rolling: Rolling
    distribution: Distribution
    relative: Relative
    regimes: pd.DataFrame
    hours: pd.DataFrame
    weekdays: pd.DataFrame
    returns: np.ndarray
    """By UTC day, (D,); `hold_returns` are those of buying and holding."""
    hold_returns: np.ndarray
    bars: pd.DataFrame
    """One row a bar: open time, equity, gross and net exposure, and buying and holding's equity."""

    def to_dict(self) -> dict[str, Any]:
        """Every figure by name, no series, and each one's unit."""
        tables = ("years", "extremes", "crises", "sides", "exits", "regimes", "hours", "weekdays")
        return {
            "reason": self.reason,
            **{name: getattr(self, name).to_dict("records") for name in tables},
            "rhythm": asdict(self.rhythm),
            "exposure": self.exposure.to_dict(),
            "rolling": self.rolling.to_dict(),
            "distribution": asdict(self.distribution),
            "relative": asdict(self.relative),
            "units": {name: unit for unit, names in UNITS.items() for name in names},
        }


def when_of(res: SweepResult, selection: Selection, hold: Account) -> When:
    """Of the nested selection's account over the sweep's window."""
    account, simulation, bars = selection.account, selection.simulation, res.window_bars
    trades, index, year = account.trades, account.index, res.bars.days_per_year
    is_short = measures.is_short(trades) != simulation.inverse[trades["col"]]  # as it is quoted
    returns, others = daily_returns(account), daily_returns(hold)
    days, first, _ = days_of(index)
    entry_day = np.searchsorted(first, trades["entry_idx"], side="right") - 1
    exposure = Exposure.of(simulation, account, bars)
    hours, weekdays = by_clock(trades, index)
    regimes = regimes_of_days(res.bars, days)
    dated = crises(account, hold, year)
    return When(
        reason="" if len(trades) else NEVER_TRADED,
        years=years(account, hold, year),
        extremes=extremes(account),
        crises=dated[:0] if are_simulated(res.bars.symbols) else dated,
        sides=by_side(trades, is_short, index, bars_held(account, bars)),
        exits=by_exit(trades, is_short),
        rhythm=rhythm(trades, entry_day, len(days)),
        exposure=exposure,
        rolling=Rolling.of(exposure, returns, others, index, year),
        distribution=Distribution.of(returns),
        relative=Relative.of(returns, others, year),
        regimes=by_regime(regimes, returns, others, entry_day, year),
        hours=hours,
        weekdays=weekdays,
        returns=returns,
        hold_returns=others,
        bars=pd.DataFrame(
            {
                "timestamp": index,
                "equity": account.equity,
                "gross": exposure.gross,
                "net": exposure.net,
                "buy_and_hold": hold.equity,
            }
        ),
    )
