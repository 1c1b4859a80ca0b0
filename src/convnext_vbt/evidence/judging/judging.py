"""From a grid of columns to findings: one pass over what every figure needs.

Dimensions: D days, C columns, V columns that vary.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.evidence import measures, stats
from convnext_vbt.evidence.judging.choosing import choose
from convnext_vbt.evidence.judging.findings import WALK_FORWARD, Best, Findings, Judged
from convnext_vbt.evidence.judging.grid import Grid, read_grid
from convnext_vbt.evidence.judging.nulls import sides_null, times_null
from convnext_vbt.evidence.judging.path import Path, join
from convnext_vbt.evidence.judging.trials import effective_trials, leads_over, superior
from convnext_vbt.evidence.judging.weighing import weigh
from convnext_vbt.evidence.overfitting import probability_of_backtest_overfitting

MOST_CHOICES = 4_000_000
"""Choices of blocks times columns: as many blocks, up to 16, as stay below it."""
NAN = math.nan


def find(
    source: Any,
    *,
    num_trials: int | None = None,
    benchmark: pd.Series | None = None,
    slippage: float | None = None,
    seed: int = 0,
    title: str = "",
) -> Findings:
    """All that is known of a portfolio or of returns; `report.judge.judge` is its public face."""
    grid = read_grid(source, benchmark, slippage)
    varies = grid.varies
    alive = np.flatnonzero(varies)
    returns_DV = grid.returns if varies.all() else grid.returns[:, alive]
    tried = _tried(num_trials, len(alive))
    grids = tried / len(alive)
    effective = effective_trials(returns_DV) * grids
    many = len(grid.names) > 1
    path = join(grid, choose(grid.returns))
    judged = _judged(grid, path, WALK_FORWARD if many else _name(grid), grids)
    sharpes = np.full(len(grid.names), NAN)
    sharpes[alive] = stats.sharpe_ratio(returns_DV, grid.days_per_year)
    best = _best(grid, sharpes, effective, tried)
    against = grid.benchmark
    if against is not None and against.shape[1] > 1:
        against = against[:, alive]
    ahead = superior(leads_over(returns_DV, against), seed)
    blocks = _blocks(len(grid.days), len(alive))
    sides, times = (draw(path, grid.days_per_year, seed=seed) for draw in (sides_null, times_null))
    known = grid.benchmark_name if grid.benchmark is not None else ""
    return Findings(
        title=title,
        first=grid.days[0],
        last=grid.days[-1],
        num_days=len(grid.days),
        days_per_year=grid.days_per_year,
        num_columns=len(grid.names),
        idle_columns=len(grid.names) - len(alive),
        num_trials=tried,
        effective_trials=effective,
        judged=judged,
        best=best,
        pbo=probability_of_backtest_overfitting(returns_DV, blocks),
        pbo_blocks=blocks,
        spa=ahead.p_value,
        leads=np.isin(np.arange(len(grid.names)), alive[ahead.columns]),
        mean_block=ahead.mean_block,
        benchmark=known,
        sides=sides,
        times=times,
        periods=_periods(grid, path),
        sharpes=sharpes,
        names=grid.names,
        days=grid.days,
        path=path,
        best_returns=grid.returns[:, best.position],
        notes=(*grid.notes, *_notes(grid, judged)),
        verdict=weigh(
            judged, best, num_trials=tried, effective=effective, spa=ahead.p_value,
            benchmark=known, sides=sides, times=times,
        ),
    )  # fmt: skip


def _tried(num_trials: int | None, columns: int) -> float:
    if num_trials is not None and num_trials < columns:
        raise InputError(
            f"num_trials counts the columns that traded too, so at least {columns}, got "
            f"{num_trials}"
        )
    return float(columns if num_trials is None else num_trials)


def _name(grid: Grid) -> str:
    name = grid.names[0]
    return "the strategy" if name in (0, None) else str(name)


def _judged(grid: Grid, path: Path, name: str, num_trials: float) -> Judged:
    returns, year, held = path.returns, grid.days_per_year, path.positions
    growth = np.append(1.0, np.cumprod(1.0 + returns))
    low, high = measures.sharpe_interval(returns, year)
    luck = stats.expected_maximum_sharpe(num_trials, 1.0 / len(returns))
    earned = [_earned(path, one.start, one.stop) for one in path.periods]
    charged, doubled = _costs(grid, path)
    return Judged(
        name=name,
        num_days=len(returns),
        total_return=float(growth[-1] - 1.0),
        cagr=measures.growth_rate(float(growth[-1]), len(returns) / year),
        max_drawdown=measures.max_drawdown(growth[1:], 1.0),
        sharpe=measures.sharpe(returns, year),
        sharpe_low=low,
        sharpe_high=high,
        dsr=measures.probabilistic_sharpe(returns, float(luck)),
        num_trials=num_trials,
        benchmark_sharpe=NAN if path.benchmark is None else measures.sharpe(path.benchmark, year),
        trades=None if held is None else len(held.is_long),
        long_share=float(held.is_long.mean()) if held is not None and len(held.is_long) else NAN,
        periods_traded=sum(active for _, active in earned),
        periods_positive=sum(gain > 0 for gain, _ in earned),
        charged=charged,
        doubled_costs_sharpe=doubled,
        switching_costs=NAN if held is None else float(held.switching.sum()),
    )


def _earned(path: Path, start: int, stop: int) -> tuple[float, bool]:
    """Net return of some days, and whether there was any."""
    own = path.returns[start - path.start : stop - path.start]
    return float(np.prod(1.0 + own) - 1.0), bool((own != 0).any())


def _costs(grid: Grid, path: Path) -> tuple[float, float]:
    """What a side was charged, and the Sharpe ratio with it paid once more."""
    held = path.positions
    if held is None or grid.book is None:
        return NAN, NAN
    costs = held.fees + (grid.book.slippage or 0.0) * held.traded
    charged = measures.ratio(float(costs.sum()), float(held.traded.sum()))
    return charged, measures.sharpe(path.returns - costs, grid.days_per_year)


def _best(grid: Grid, sharpes: np.ndarray, effective: float, tried: float) -> Best:
    position, year = int(np.nanargmax(sharpes)), grid.days_per_year
    own, count = grid.returns[:, position], len(grid.days)
    luck = float(stats.expected_maximum_sharpe(effective, 1.0 / count))
    known = sharpes[np.isfinite(sharpes)] / math.sqrt(year)
    spread = float(known.var(ddof=1)) if len(known) > 1 else 1.0 / count
    return Best(
        name=grid.names[position],
        position=position,
        sharpe=float(sharpes[position]),
        luck=luck * math.sqrt(year),
        dsr=measures.probabilistic_sharpe(own, luck),
        dsr_dispersion=measures.probabilistic_sharpe(
            own, float(stats.expected_maximum_sharpe(tried, spread))
        ),
    )


def _blocks(num_days: int, columns: int) -> int:
    """An even number of blocks for the probability of backtest overfitting."""
    fits = [
        blocks
        for blocks in range(4, 18, 2)
        if math.comb(blocks, blocks // 2) * columns <= MOST_CHOICES and 2 * blocks <= num_days
    ]
    return max(fits, default=4)


def _periods(grid: Grid, path: Path) -> pd.DataFrame:
    year = math.sqrt(grid.days_per_year)
    rows = [
        {
            "first": f"{grid.days[one.start]:%Y-%m-%d}",
            "last": f"{grid.days[one.stop - 1]:%Y-%m-%d}",
            "column": grid.names[one.column] if one.column >= 0 else None,
            "position": one.column,
            "sharpe_before": one.sharpe * year,
            "total_return": _earned(path, one.start, one.stop)[0],
        }
        for one in path.periods
    ]
    return pd.DataFrame(rows)


def _notes(grid: Grid, judged: Judged) -> list[str]:
    """What is approximated or missing, in sentences."""
    if grid.book is None:
        text = (
            "Returns alone do not show orders: trades, costs, random sides and random times are "
            "not known, so that a PASS cannot be had."
        )
        return [text]
    out = []
    if grid.book.slippage is None:
        out.append(
            "Order records hold prices after slippage, so that only fees are doubled; give "
            "slippage to have it paid once more too."
        )
    idle = int((grid.ledger is not None) * (~grid.varies).sum())
    if idle:
        out.append(f"{idle:,} of {len(grid.names):,} columns never traded and are no trials.")
    if grid.ledger is not None and (ruined := int((grid.ledger.equity[-1] <= 0).sum())):
        out.append(f"{ruined:,} of {len(grid.names):,} columns lost everything, and ended there.")
    if judged.switching_costs > 0:
        out.append(
            f"Changing from column to column cost {100 * judged.switching_costs:.2f} % of the "
            "account: what one held is closed, what the next one holds is opened."
        )
    return out
