"""Single cells of a sweep: which are looked into, and their accounts.

Dimensions: P cells, L levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.evidence.accounts import Account, split_ranges
from convnext_vbt.evidence.confidence import Deciles, deciles_of
from convnext_vbt.evidence.records import TrackRecord, test_ranges, track_record
from convnext_vbt.evidence.views import View
from convnext_vbt.predictions import Range
from convnext_vbt.trading.simulation import Simulation
from convnext_vbt.trading.sweep import FEW_TRADES, TOTAL, SweepResult

COMPARED = ("cagr", "max_drawdown", "calmar", "sharpe", "log_growth", "trades")
"""Metrics by each of which the best cell is looked into."""
MAX_CELLS = 120
"""Cells whose own account is looked into."""
MAX_BYTES, BYTES_A_DAY, BYTES_A_TRADE = 1_600_000, 5, 18
"""Fewer are, where their daily series and trades would take more than about so much of a page."""
BYTES_A_SHARED_TRADE = 90
"""On a shared account risk changes the times of trades, so that cells have few arrays in common;
and the symbols' closes need room."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """The cells of a sweep as positions on its levels."""

    names: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    positions: np.ndarray
    """int (P, L)."""

    @classmethod
    def of(cls, metrics: pd.DataFrame) -> Grid:
        """The grid of a metrics table, levels and values in the order they appear."""
        index = metrics.index
        if not isinstance(index, pd.MultiIndex):
            index = pd.MultiIndex.from_arrays([index], names=[index.name])
        codes, values = [], []
        for name in map(str, index.names):
            code, unique = pd.factorize(index.get_level_values(name))
            codes.append(code)
            values.append(tuple(unique.tolist()))
        names = tuple(str(name) for name in index.names)
        return cls(names=names, values=tuple(values), positions=np.column_stack(codes))

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def across(self) -> str:
        """The level that a heatmap has across: the threshold, else a user's rule's first level."""
        rules = [name for name in self.names if name not in ("risk", "symbol")]
        return "threshold" if "threshold" in self.names else [*rules, "symbol"][0]

    @property
    def up(self) -> str:
        """The level that a heatmap has up."""
        return "risk"

    @property
    def thresholds(self) -> tuple[Any, ...]:
        """The swept thresholds; none of a user's rule without such a level."""
        return self.level("threshold") if "threshold" in self.names else ()

    def level(self, name: str) -> tuple[Any, ...]:
        """The values of a level."""
        return self.values[self.names.index(name)]

    def cell(self, row: int) -> dict[str, Any]:
        """The cell's level values, as `SweepResult.simulation` takes them."""
        return {
            name: values[k]
            for name, values, k in zip(self.names, self.values, self.positions[row], strict=True)
        }

    def find(self, cell: Mapping[str, object]) -> int:
        """The row of a cell; a level that is left out takes its first value.

        Raises `InputError` naming what exists when the sweep has no such cell.
        """
        unknown = [name for name in cell if name not in self.names]
        if unknown:
            raise InputError(f"the sweep has no level {unknown}, only {list(self.names)}")
        wanted = []
        for name, values in zip(self.names, self.values, strict=True):
            value = cell.get(name, values[0])
            if value not in values:
                raise InputError(f"{name}={value!r} was not swept; choose from {list(values)}")
            wanted.append(values.index(value))
        rows = np.flatnonzero((self.positions == wanted).all(axis=1))
        if not len(rows):
            raise InputError(f"the sweep has no cell {dict(cell)}")
        return int(rows[0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """The cells of a sweep that are looked into one by one, each simulated once."""

    grid: Grid
    start: int
    """Row of the cell that is shown first: the strategy's own, else the first one."""
    fixed: int | None
    """Row of the strategy's own cell; None where none was named beforehand."""
    first: Simulation
    """Of the cell `start`."""
    ranges: tuple[Range, ...]
    """Test ranges in bars of the window."""
    deciles: Deciles | None
    views: dict[int, View]
    """By row of the sweep's metrics."""
    records: dict[int, TrackRecord]
    """The same at the reference risk, of whole accounts."""
    reference_risk: float

    def view(self, levels: Mapping[str, object]) -> View | None:
        """The view of a cell, named as in `Grid.find`; None where it was not looked into."""
        row = self._row(levels)
        return None if row is None else self.views.get(row)

    def record(self, rule: Mapping[str, object]) -> TrackRecord | None:
        """The record of a rule, named by its levels; None where it was not looked into."""
        row = self._row({**rule, "risk": self.reference_risk})
        return None if row is None else self.records.get(row)

    def _row(self, levels: Mapping[str, object]) -> int | None:
        known = {name: value for name, value in levels.items() if name in self.grid.names}
        if any(value not in self.grid.level(name) for name, value in known.items()):
            return None
        return self.grid.find(known)


def look_into(res: SweepResult, selected: Mapping[str, Any] | None = None) -> Cells:
    """Simulate the cells of `chosen_rows`, one at a time; `selected` is the strategy's own.

    Of long histories many accounts do not fit in memory together: what is kept is by day and by
    trade.

    Raises `InputError` when `selected` is not a cell of the sweep.
    """
    grid = Grid.of(res.metrics)
    fixed = None if selected is None else grid.find(selected)
    start = 0 if fixed is None else fixed
    rows = chosen_rows(res, grid, [start])
    ranges = split_ranges([split.test for split in res.predictions.splits], res.window)
    starts = [begin for begin, _ in test_ranges(res.predictions, res.window).values()]
    deciles, whole = deciles_of(res), res.whole_accounts
    views, records = {}, {}
    for row, simulation in _simulated(res, grid, rows):
        account = Account.of(simulation)
        views[row] = View.of(account, res, ranges=ranges, deciles=deciles)
        if whole[row] and grid.cell(row)["risk"] == res.reference_risk:
            records[row] = track_record(account, starts, res.bars.days_per_year)
        if row == start:
            first = simulation
    return Cells(
        grid=grid,
        start=start,
        fixed=fixed,
        first=first,
        ranges=tuple(ranges),
        deciles=deciles,
        views=views,
        records=records,
        reference_risk=res.reference_risk,
    )


def _simulated(
    res: SweepResult, grid: Grid, rows: Sequence[int]
) -> Iterator[tuple[int, Simulation]]:
    """Each row with its simulation; the rows of one account, which follow each other, share it."""
    before: dict[str, Any] = {}
    for row in rows:
        cell = grid.cell(row)
        symbol = cell.pop("symbol")
        if cell != before:
            before, whole = cell, res.simulation(**cell)
        if len(res.bars.symbols) == 1 or symbol == TOTAL:
            yield row, whole
        else:
            symbols = list(whole.columns.get_level_values("symbol"))
            yield row, whole.alone(symbols.index(symbol))


def chosen_rows(res: SweepResult, grid: Grid, keep: Sequence[int]) -> list[int]:
    """The cells to look into: all if they are few and small enough.

    Otherwise those of `keep`, the best cell by each of `COMPARED`, and evenly spaced ones as long
    as there is room. Of several symbols that is true of whole accounts; the accounts in `keep`
    have each symbol's rows too.
    """
    a_trade = BYTES_A_TRADE if len(res.bars.symbols) == 1 else BYTES_A_SHARED_TRADE
    weight = BYTES_A_DAY * len(res.daily_returns) + a_trade * res.metrics["trades"].to_numpy()
    if len(grid) <= MAX_CELLS and weight.sum() <= MAX_BYTES:
        return list(range(len(grid)))
    whole = res.whole_accounts
    able = np.flatnonzero(whole)
    solid = (res.metrics["trades"].to_numpy() >= FEW_TRADES) & whole
    symbol = grid.names.index("symbol")
    others = np.delete(grid.positions, symbol, axis=1)
    chosen = dict.fromkeys(
        row for k in keep for row in np.flatnonzero((others == others[k]).all(axis=1)).tolist()
    )
    for name in COMPARED:
        values = np.where(solid, res.metrics[name].to_numpy(np.float64), np.nan)
        if np.isfinite(values).any():
            chosen[int(np.nanargmax(values))] = None
    needed = list(chosen)
    count = min(len(able), MAX_CELLS)
    while True:
        room = max(count - len(needed), 0)
        even = able[np.linspace(0, len(able) - 1, room).round().astype(int)].tolist()
        rows = sorted(chosen | dict.fromkeys(even if count < len(able) else able.tolist()))
        if room == 0 or weight[rows].sum() <= MAX_BYTES:
            return rows
        count = count * 9 // 10
