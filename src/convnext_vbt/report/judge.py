"""`judge`: the verdict on any portfolio or table of returns, as an object and as a page."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from convnext_vbt.evidence.judging.findings import Findings
from convnext_vbt.evidence.judging.judging import find


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Judgement(Findings):
    """What `judge` found: figures, `verdict`, `to_dict()`, `write_report(path)`."""

    def write_report(self, path: str | Path) -> Path:
        """Write one self-contained HTML page and give its path; the same findings, same bytes."""
        from convnext_vbt.report.judge_page import write_judgement

        return write_judgement(self, path)


def judge(
    portfolio: Any,
    *,
    num_trials: int | None = None,
    benchmark: pd.Series | None = None,
    slippage: float | None = None,
    seed: int = 0,
    title: str = "",
) -> Judgement:
    """Judge a vectorbt portfolio, or a DataFrame or Series of periodic returns, however made.

    One column is judged by itself. A grid of columns is judged by its walk-forward choice, in each
    of nine periods the column that was best so far, and by its best column corrected for all that
    were tried. Groups are columns; a group that shares cash is one account. Everything is measured
    on daily returns, by the days of the index's own clock, annualised by the days a year that the
    index has. Returns are net, NaN nowhere but in a first row, and compounded to days.

    `num_trials`: how many strategies were tried on this data in all, the columns that traded
    included; None counts these. `benchmark`: returns of what would be held instead; None takes the
    portfolio's own close, and leaves it unknown where there are returns alone. `slippage`: what
    fills lost a side, as a share of the price, which order records do not hold. `seed` is of all
    draws.

    What cannot be known (of returns alone: trades, costs, sides, times) is not met, so that
    returns alone never PASS. Raises `ValueError` or `TypeError` for what cannot be judged.

    >>> cv.judge(pf).verdict.word
    'INCONCLUSIVE'
    """
    found = find(
        portfolio, num_trials=num_trials, benchmark=benchmark, slippage=slippage, seed=seed,
        title=title,
    )  # fmt: skip
    return Judgement(**{field.name: getattr(found, field.name) for field in fields(found)})
