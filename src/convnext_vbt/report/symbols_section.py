"""The table of what each symbol brought to the headline's account."""

from __future__ import annotations

from typing import Any

from convnext_vbt.evidence.by_symbol import figures_by_symbol
from convnext_vbt.report.formats import Kind, format_number
from convnext_vbt.trading.simulation import Simulation

_COLUMNS: dict[str, tuple[str, Kind]] = {
    "profit": ("Profit", "money"),
    "total_return": ("Of the initial cash", "percent"),
    "max_drawdown": ("Max drawdown", "percent"),
    "trades": ("Trades", "count"),
    "win_rate": ("Win rate", "percent"),
    "long_share": ("Long", "percent"),
    "exposure": ("Exposure", "percent"),
    "funding": ("Funding paid", "money"),
}


def symbols_context(simulation: Simulation) -> dict[str, Any]:
    """Header and rows of the table; no rows where the account has one symbol."""
    if len(simulation.columns) == 1:
        return {"symbol_columns": [], "symbol_rows": []}
    table = figures_by_symbol(simulation)
    shown = [name for name in _COLUMNS if name in table]
    rows = [
        [str(symbol), *(format_number(float(row[name]), _COLUMNS[name][1]) for name in shown)]
        for symbol, row in table.iterrows()
    ]
    return {"symbol_columns": ["Symbol", *(_COLUMNS[n][0] for n in shown)], "symbol_rows": rows}
