"""An account by calendar year, at its best and worst, and in crises that have a name.

Dimensions: T bars of the window, Y calendar years, P periods.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from convnext_vbt.evidence.accounts import Account, split_figures
from convnext_vbt.predictions import Range

CRISES = (
    ("Lehman", "2008-09-15", "2008-11-20"),
    ("US downgrade", "2011-08-01", "2011-08-10"),
    ("Yuan devaluation", "2015-08-17", "2015-08-25"),
    ("Covid crash", "2020-02-20", "2020-03-23"),
    ("China bans mining", "2021-05-12", "2021-05-23"),
    ("Luna and Celsius", "2022-05-05", "2022-06-18"),
    ("FTX", "2022-11-06", "2022-11-21"),
    ("Silicon Valley Bank", "2023-03-09", "2023-03-13"),
    ("Yen carry trade", "2024-08-01", "2024-08-05"),
    ("Tariffs", "2025-04-02", "2025-04-08"),
)
"""Name, first and last UTC day."""
PERIODS = ("day", "week", "month")


def years(account: Account, hold: Account, days_per_year: int) -> pd.DataFrame:
    """One row a calendar year (UTC) with a bar; `hold_*` are those of buying and holding.

    Returns from the equity at the close before the year, drawdowns from a peak inside it, annual
    Sharpe ratios, trades by their entry. NaN as in `accounts.SplitFigures`.
    """
    year_T = np.asarray(account.index.year)
    ranges = _runs(year_T)
    named = {"year": year_T[[start for start, _ in ranges]]}
    return pd.DataFrame(named | _within(account, hold, ranges, days_per_year))


def extremes(account: Account) -> pd.DataFrame:
    """The best and the worst UTC day, week (from Monday) and calendar month, and when they began.

    NaN, and no date, where the account never moved.
    """
    day_T = np.asarray(account.index.as_unit("s").asi8) // 86_400
    keys = {
        "day": day_T,
        "week": (day_T + 3) // 7,  # 1970-01-01 was a Thursday
        "month": np.asarray(account.index.year * 12 + account.index.month),
    }
    rows = []
    for period in PERIODS:
        ranges = _runs(keys[period])
        found = _returns(account, ranges)
        row: dict[str, object] = {"period": period}
        moved = bool((np.nan_to_num(found) != 0).any())
        for name, pick in (("best", np.nanargmax), ("worst", np.nanargmin)):
            k = int(pick(found)) if moved else -1
            row[name] = float(found[k]) if moved else np.nan
            row[f"{name}_from"] = str(account.index[ranges[k][0]].date()) if moved else None
        rows.append(row)
    return pd.DataFrame(rows)


def crises(account: Account, hold: Account, days_per_year: int) -> pd.DataFrame:
    """One row for each of `CRISES` that lies in the window as a whole; columns as of `years`."""
    index = account.index
    last_day = index[-1].normalize()
    names, ranges = [], []
    for name, first, last in CRISES:
        start, stop = pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC")
        if index[0].normalize() <= start and stop <= last_day:
            names.append({"crisis": name, "first": first, "last": last})
            after = stop + pd.Timedelta(days=1)
            ranges.append((int(index.searchsorted(start)), int(index.searchsorted(after))))
    named = pd.DataFrame(names, columns=["crisis", "first", "last"])
    return named.assign(**_within(account, hold, ranges, days_per_year))


def _within(
    account: Account, hold: Account, ranges: Sequence[Range], days_per_year: int
) -> dict[str, np.ndarray]:
    own, other = (split_figures(one, ranges, days_per_year) for one in (account, hold))
    return {
        "total_return": own.returns,
        "sharpe": own.sharpes,
        "max_drawdown": own.drawdowns,
        "trades": np.nan_to_num(own.trades).astype(np.int64),
        "hold_return": other.returns,
        "hold_sharpe": other.sharpes,
        "hold_drawdown": other.drawdowns,
    }


def _runs(key_T: np.ndarray) -> list[Range]:
    """Ranges of bars that share a key; keys do not come back."""
    edges = np.flatnonzero(np.diff(key_T)) + 1
    bounds = [0, *edges.tolist(), len(key_T)]
    return list(itertools.pairwise(bounds))


def _returns(account: Account, ranges: Sequence[Range]) -> np.ndarray:
    """From the close before each range to its last one, (P,); NaN once nothing is left."""
    stops = np.array([stop for _, stop in ranges])
    money = np.append(account.init_cash, account.equity[stops - 1])
    before = money[:-1]
    alive = before > 0
    return np.where(alive, money[1:] / np.where(alive, before, 1.0) - 1.0, np.nan)
