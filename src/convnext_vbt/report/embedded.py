"""Which cells' series the page carries: all if there is room, else the telling ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convnext_vbt.report.formats import HEATMAP_FIGURES, THIN_TRADES
from convnext_vbt.report.grid import Grid
from convnext_vbt.trading.sweep import SweepResult

MAX_EMBEDDED = 120
"""Cells whose daily series, drawdowns and trades are carried; key figures are carried for all."""
MAX_BYTES, BYTES_A_DAY, BYTES_A_TRADE = 1_600_000, 5, 18
"""Fewer cells are carried where theirs would take more than about so much."""
BYTES_A_SHARED_TRADE = 90
"""On a shared account risk changes the times of trades, so that cells have few arrays in common;
and the symbols' closes need room."""


def embedded_rows(res: SweepResult, grid: Grid, keep: Sequence[int]) -> list[int]:
    """The cells whose series are carried: all if they are few and small enough.

    Otherwise those of `keep`, the best cell by each heatmap metric, and evenly spaced ones as long
    as there is room. Of several symbols that is true of whole accounts; the accounts in `keep`
    have each symbol's series too.
    """
    a_trade = BYTES_A_TRADE if len(res.bars.symbols) == 1 else BYTES_A_SHARED_TRADE
    weight = BYTES_A_DAY * len(res.daily_returns) + a_trade * res.metrics["trades"].to_numpy()
    if len(grid) <= MAX_EMBEDDED and weight.sum() <= MAX_BYTES:
        return list(range(len(grid)))
    whole = res.whole_accounts
    able = np.flatnonzero(whole)
    solid = (res.metrics["trades"].to_numpy() >= THIN_TRADES) & whole
    symbol = grid.names.index("symbol")
    others = np.delete(grid.positions, symbol, axis=1)
    chosen = dict.fromkeys(
        row for k in keep for row in np.flatnonzero((others == others[k]).all(axis=1)).tolist()
    )
    for name in HEATMAP_FIGURES:
        values = np.where(solid, res.metrics[name].to_numpy(np.float64), np.nan)
        if np.isfinite(values).any():
            chosen[int(np.nanargmax(values))] = None
    needed = list(chosen)
    count = min(len(able), MAX_EMBEDDED)
    while True:
        room = max(count - len(needed), 0)
        even = able[np.linspace(0, len(able) - 1, room).round().astype(int)].tolist()
        rows = sorted(chosen | dict.fromkeys(even if count < len(able) else able.tolist()))
        if room == 0 or weight[rows].sum() <= MAX_BYTES:
            return rows
        count = count * 9 // 10


def embedded_note(res: SweepResult, rows: list[int]) -> str:
    """What of the cells is in this file, in words."""
    if len(rows) == len(res.metrics):
        return "Daily series, drawdowns and trades of every cell are in this file."
    cells, carried = len(res.account_metrics), int(res.whole_accounts[rows].sum())
    num_symbols = len(res.bars.symbols)
    apart = f" Of each of the {num_symbols} symbols alone, those of the first one shown."
    return (
        f"Key figures are here for all {cells:,} cells; daily series, drawdowns and trades for "
        f"{carried:,} of them: the first one shown, the best by each metric, evenly spaced ones."
        f"{apart if num_symbols > 1 else ''}"
    )
