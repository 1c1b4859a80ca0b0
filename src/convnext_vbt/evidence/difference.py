"""Two strategies over the same days: by how much one is better, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from convnext_vbt.evidence.accounts import Account, daily, daily_returns
from convnext_vbt.evidence.measures import CONFIDENCE
from convnext_vbt.evidence.sharpe import estimate

FIRST_LESS_SECOND = np.array([[1.0], [-1.0]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first strategy's annual Sharpe ratio less the second's, with its interval."""

    sharpe: float
    low: float
    high: float
    num_days: int
    """UTC days that both accounts have."""

    def reversed(self) -> Difference:
        """The second less the first."""
        return replace(self, sharpe=0.0 - self.sharpe, low=-self.high, high=-self.low)


def sharpe_difference(
    first: Account,
    second: Account,
    *,
    days_per_year: int,
) -> Difference:
    """`returns_difference` of the daily returns of two accounts, each over its whole length."""
    return returns_difference(
        _by_day(first),
        _by_day(second),
        days_per_year=days_per_year,
    )


def returns_difference(
    first: pd.Series,
    second: pd.Series,
    *,
    days_per_year: int,
) -> Difference:
    """How two series of UTC-day returns differ on their common days.

    Standard error and 90 % interval are those of `stats.sharpe_confidence_interval`, with the same
    blocks of days left out of both, so what moves the whole market cancels out. NaN where either
    Sharpe ratio is undefined, and an interval of NaN where one has none.
    """
    pair = pd.concat([first, second], axis=1, join="inner").to_numpy()
    found, year = estimate(pair, FIRST_LESS_SECOND), math.sqrt(days_per_year)
    (low,), (high,) = found.interval(CONFIDENCE)
    return Difference(
        sharpe=float(found.value[0]) * year,
        low=float(low) * year,
        high=float(high) * year,
        num_days=len(pair),
    )


def difference_sentence(first: str, second: str, difference: Difference) -> str:
    """What a difference, of `first` minus `second`, says in words."""
    opening = f"{_capital(first)} minus {second}"
    if math.isnan(difference.sharpe):
        return f"{opening}: no Sharpe ratio, one of them never traded."
    text = f"{opening}: Sharpe {difference.sharpe:.2f}"
    if difference.sharpe == 0.0:
        return f"{text}, no difference."
    if math.isnan(difference.low):
        return f"{text}, too few days for an interval."
    text = f"{text} (90 % CI {difference.low:.2f} to {difference.high:.2f})"
    if difference.low <= 0 <= difference.high:
        return f"{text}. No measurable difference."
    better = first if difference.sharpe > 0 else second
    return f"{text}. {_capital(better)} did better."


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _by_day(account: Account) -> pd.Series:
    return pd.Series(daily_returns(account), daily(account).days)
