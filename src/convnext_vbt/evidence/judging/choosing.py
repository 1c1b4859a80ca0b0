"""What choosing would have earned: in every period the column that was best so far.

Dimensions: D days, C columns, P periods.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnext_vbt.evidence.sharpe import FEWEST_PERIODS

NUM_PERIODS = 12
LOOK = 3
"""Periods that are only looked at before the first choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Some days, half-open, and the column that was held in them."""

    start: int
    stop: int
    column: int
    """-1 where no column qualified: nothing is held."""
    sharpe: float
    """Of that column on all days before, per day; NaN where nothing was chosen."""


def periods_of(num_days: int) -> list[tuple[int, int]]:
    """Twelve stretches of days as equal as may be, as `numpy.array_split` cuts them."""
    bounds = np.cumsum([0, *map(len, np.array_split(np.arange(num_days), NUM_PERIODS))])
    return list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))


def choose(returns_DC: np.ndarray) -> tuple[Period, ...]:
    """The choice for each period after the first three, by the days before it alone.

    It is the column with the best Sharpe ratio so far, among those with at least 20 days with a
    return; of equal ones the first. A single column is held in all periods: nothing is chosen.
    """
    periods = periods_of(len(returns_DC))
    if returns_DC.shape[1] == 1:
        return tuple(
            Period(start=start, stop=stop, column=0, sharpe=np.nan) for start, stop in periods
        )
    sums, squares, active = np.zeros((3, returns_DC.shape[1]))
    out = []
    for number, (start, stop) in enumerate(periods):
        if number >= LOOK:
            ratio = _ratios(start, sums, squares, active)
            best = int(ratio.argmax())
            known = bool(np.isfinite(ratio[best]))
            out.append(
                Period(
                    start=start,
                    stop=stop,
                    column=best if known else -1,
                    sharpe=float(ratio[best]) if known else np.nan,
                )
            )
        block = returns_DC[start:stop]
        sums += block.sum(axis=0)
        squares += np.square(block).sum(axis=0)
        active += (block != 0.0).sum(axis=0)
    return tuple(out)


def runs_of(periods: tuple[Period, ...]) -> list[Period]:
    """Neighbouring periods with the same column as one."""
    out: list[Period] = []
    for one in periods:
        if out and out[-1].column == one.column:
            last = out.pop()
            one = Period(start=last.start, stop=one.stop, column=one.column, sharpe=last.sharpe)
        out.append(one)
    return out


def _ratios(count: int, sums: np.ndarray, squares: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Sharpe ratio per day; -inf for a column that may not be chosen."""
    mean = sums / count
    variance = (squares - count * mean**2) / (count - 1)
    fit = (active >= FEWEST_PERIODS) & (variance > 1e-12 * squares / count)
    ratio = np.full(len(sums), -np.inf)
    np.divide(mean, np.sqrt(np.where(fit, variance, 1.0)), out=ratio, where=fit)
    return ratio
