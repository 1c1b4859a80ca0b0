"""Several finished runs side by side, over the time that all of them were out of sample.

Dimensions: T bars of a run's window, D UTC days.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.evidence.accounts import (
    RULES_ONLY,
    Account,
    Daily,
    Figures,
    daily,
    daily_returns,
    key_figures,
)
from convnext_vbt.evidence.difference import Difference, difference_sentence, returns_difference
from convnext_vbt.evidence.headline import Headline
from convnext_vbt.evidence.measures import sharpe_interval
from convnext_vbt.evidence.window import Window
from convnext_vbt.market.bars import FIELDS, Bars, step_text
from convnext_vbt.trading.sweep import SweepResult

MANY_RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contender:
    """One finished run."""

    name: str
    result: SweepResult
    headline: Headline
    verdict: str
    """Of its own report, over its own window; so is the headline's deflated Sharpe ratio."""
    settings: Mapping[str, str]
    """Every key of its configuration, "section.key", and what it is set to."""
    report: str = ""
    """Where its report lies, from the comparison's folder; empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One run within the common window; figures as `accounts.key_figures` names them."""

    name: str
    figures: Figures
    account: Account
    days: Daily
    """The account by day."""
    difference: Difference | None = None
    """Its annual Sharpe ratio less the first run's; None for the first and for buy-and-hold."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunComparison:
    """What `compare_runs` found."""

    contenders: tuple[Contender, ...]
    rows: tuple[Row, ...]
    """In the order of `contenders`."""
    hold: Row | None
    """Buy-and-hold of the same symbols; None where the runs' data differ."""
    first: pd.Timestamp
    """Open of the common window's first bar."""
    last: pd.Timestamp
    """Open of its last bar, the first run's."""
    settings: tuple[str, ...]
    """Keys that are not set alike in all runs."""
    unequal: tuple[str, ...]
    """In what the runs differ that makes the comparison unfair: nothing, if all is well."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the differences say, a sentence for each run but the first."""
        first = self.rows[0].name
        found = [
            difference_sentence(row.name, first, row.difference)
            for row in self.rows
            if row.difference is not None
        ]
        if len(self.rows) >= MANY_RUNS:
            found.append(
                f"The best of {len(self.rows)} runs is a choice in hindsight; each run's deflated "
                "Sharpe ratio counts those tried before it."
            )
        return tuple(found)


def compare_runs(contenders: Sequence[Contender]) -> RunComparison:
    """Cut the headline accounts of finished runs to their common window and measure them there.

    The window goes from the latest first bar to the earliest end; a run that began before it
    starts from the equity it had by then. Differences are paired by day, against the first run.

    Raises `ValueError` for fewer than two runs, a name given twice, no common window, or a run
    that had lost everything before it.
    """
    names = [one.name for one in contenders]
    if len(names) < 2 or len(set(names)) != len(names):
        raise InputError(f"a comparison needs at least two different runs, got {', '.join(names)}")
    windows = [one.result.window_bars for one in contenders]
    first = max(bars.index[0] for bars in windows)
    stop = min(bars.index[-1] + bars.step for bars in windows)
    if first >= stop:
        spans = "; ".join(
            f"{name} {bars.index[0]:%Y-%m-%d} to {bars.index[-1]:%Y-%m-%d}"
            for name, bars in zip(names, windows, strict=True)
        )
        raise InputError(f"the runs have no out-of-sample day in common: {spans}")
    unequal = (*_other_data(contenders), *_other_costs(contenders))
    rows = [_row(one.name, one, one.headline.selection.account, first, stop)
            for one in contenders]  # fmt: skip
    base = _by_day(rows[0].account)
    year = contenders[0].result.bars.days_per_year
    for k, row in enumerate(rows[1:], start=1):
        difference = returns_difference(_by_day(row.account), base, days_per_year=year)
        rows[k] = replace(row, difference=difference)
    return RunComparison(
        contenders=tuple(contenders),
        rows=tuple(rows),
        hold=None if _other_data(contenders) else _hold(contenders[0], first, stop),
        first=first,
        last=rows[0].account.index[-1],
        settings=different_settings([one.settings for one in contenders]),
        unequal=unequal,
    )


def different_settings(settings: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """Keys that are missing in some of the settings or not the same in all, in their order."""
    keys = dict.fromkeys(itertools.chain.from_iterable(settings))
    return tuple(key for key in keys if len({one.get(key) for one in settings}) > 1)


def _row(name: str, one: Contender, whole: Account, first: pd.Timestamp, stop: pd.Timestamp) -> Row:
    window = one.result.window_bars
    start, end = (int(window.index.searchsorted(when)) for when in (first, stop))
    account = whole.cut(start, end)
    if not account.init_cash > 0:
        raise InputError(
            f"{name} had lost its whole account before {first:%Y-%m-%d}, where the common "
            "out-of-sample window begins; leave it out"
        )
    found = key_figures(account, window.rows(start, end))
    year = one.result.bars.days_per_year
    low, high = sharpe_interval(daily_returns(account), year)
    return Row(
        name=name,
        figures=found | {"sharpe_low": low, "sharpe_high": high},
        account=account,
        days=daily(account),
    )


def _by_day(account: Account) -> pd.Series:
    return pd.Series(daily_returns(account), daily(account).days)


def _hold(one: Contender, first: pd.Timestamp, stop: pd.Timestamp) -> Row:
    """Bought at the start of the first run's own window; measured in the common one."""
    account = Account.of(Window(one.result).buy_and_hold())
    row = _row("buy and hold", one, account, first, stop)
    return replace(row, figures={k: v for k, v in row.figures.items() if k not in RULES_ONLY})


def _other_data(contenders: Sequence[Contender]) -> list[str]:
    """Runs whose bars are not the first run's wherever both have some."""
    base, *others = contenders
    out = []
    for one in others:
        bars, mine = base.result.bars, one.result.bars
        if bars.symbols != mine.symbols or bars.step != mine.step:
            out.append(f"data: {base.name} traded {_what(bars)}, {one.name} {_what(mine)}")
        elif not _same_bars(bars, mine):
            out.append(
                f"data: {base.name} and {one.name} have different bars over their common dates"
            )
    return out


def _what(bars: Bars) -> str:
    return f"{', '.join(bars.symbols)} {step_text(bars.step)}"


def _same_bars(a: Bars, b: Bars) -> bool:
    first, last = max(a.index[0], b.index[0]), min(a.index[-1], b.index[-1])
    parts = []
    for bars in (a, b):
        rows = slice(bars.index.searchsorted(first), bars.index.searchsorted(last, side="right"))
        parts.append([bars.index.asi8[rows], *(getattr(bars, name)[rows] for name in FIELDS)])
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(*parts, strict=True))


def _other_costs(contenders: Sequence[Contender]) -> list[str]:
    base, *others = contenders
    return [
        f"costs: {base.name} paid {_costs(base)}, {one.name} {_costs(one)}"
        for one in others
        if _costs(one) != _costs(base)
    ]


def _costs(one: Contender) -> str:
    config = one.result.config
    own = f", and {len(config.instruments)} instrument(s) of its own" if config.instruments else ""
    charged = f"{config.fees * 1e4:g} bp of fees and {config.slippage * 1e4:g} bp of slippage"
    return f"{charged} per side{own}"
