"""Longs against shorts, why trades ended, in what runs they won, and whether they cluster.

Dimension: K trades, by entry.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnext_vbt.evidence import measures
from convnext_vbt.trading.codes import DIRECTIONS, REASONS

BUSIEST = 0.10
"""The share of the days with the most entries that is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """Runs of wins and losses, and how trades are spread over days."""

    most_wins: int
    """Closed trades with a profit in a row, in the order of their exits; the same for losses."""
    most_losses: int
    busiest_days: int
    """A tenth of the days of the window, rounded up."""
    busiest_share: float
    """Share of all trades that were entered on those of the days that have the most of them."""
    dispersion: float
    """Variance of the entries a day over their mean: 1 of times that do not depend on each other,
    above it where trades come together."""


def by_side(
    trades: np.ndarray, is_short: np.ndarray, index: pd.DatetimeIndex, bars_held: np.ndarray
) -> pd.DataFrame:
    """One row for longs and one for shorts; NaN where a side has no trade.

    `profit` is in the account's currency after all costs, trades still open at their last close
    among it; win rate, profit factor and mean trade are of the closed ones (`measures`).
    `mean_days` and `mean_bars` are from entry to exit, or to the last bar.
    """
    span = index[trades["exit_idx"]] - index[trades["entry_idx"]]
    days = np.asarray(span / pd.Timedelta(days=1))
    rows = []
    for side, own in zip(DIRECTIONS, (~is_short, is_short), strict=True):
        chosen = trades[own]
        rows.append(
            {
                "side": side.lower(),
                "trades": len(chosen),
                "win_rate": measures.win_rate(chosen),
                "profit": float(chosen["pnl"].sum()),
                "profit_factor": measures.profit_factor(chosen),
                "mean_trade": measures.mean_trade(chosen),
                "mean_days": measures.ratio(float(days[own].sum()), len(chosen)),
                "mean_bars": measures.ratio(float(bars_held[own].sum()), len(chosen)),
            }
        )
    return pd.DataFrame(rows)


def by_exit(trades: np.ndarray, is_short: np.ndarray) -> pd.DataFrame:
    """Count and profit of each reason that occurs, longs and shorts apart, in `REASONS`' order.

    A trade that left in parts counts once, by its last exit.
    """
    rows = []
    for code, side in itertools.product(range(len(REASONS)), range(len(DIRECTIONS))):
        own = trades[(trades["reason"] == code) & (is_short == bool(side))]
        if len(own):
            rows.append(
                {
                    "reason": REASONS[code],
                    "side": DIRECTIONS[side].lower(),
                    "trades": len(own),
                    "profit": float(own["pnl"].sum()),
                    "mean_trade": measures.mean_trade(own),
                }
            )
    return pd.DataFrame(rows, columns=["reason", "side", "trades", "profit", "mean_trade"])


def rhythm(trades: np.ndarray, entry_day: np.ndarray, num_days: int) -> Rhythm:
    """Of an account; `entry_day` (K,) is the number of each entry's day among the window's."""
    done = measures.closed(trades)
    profits = done["pnl"][np.lexsort((done["entry_idx"], done["exit_idx"]))]
    counts = np.bincount(entry_day, minlength=num_days)
    busiest = math.ceil(BUSIEST * num_days)
    spread = float(counts.var(ddof=1)) if num_days > 1 else math.nan
    return Rhythm(
        most_wins=_longest(profits > 0),
        most_losses=_longest(profits < 0),
        busiest_days=busiest,
        busiest_share=measures.ratio(float(np.sort(counts)[-busiest:].sum()), len(trades)),
        dispersion=measures.ratio(spread, float(counts.mean())),
    )


def _longest(true: np.ndarray) -> int:
    """The most neighbours that are all true."""
    return max((len(list(run)) for is_so, run in itertools.groupby(true) if is_so), default=0)
