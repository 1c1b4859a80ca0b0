"""What each symbol brought to the headline's account."""

from __future__ import annotations

from convnext_vbt.evidence.by_symbol import figures_by_symbol
from convnext_vbt.report.formats import Kind, format_number
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section
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


def content(inputs: Inputs, _: Pool) -> Content:
    """One table."""
    heads, rows = symbol_table(inputs.simulation)
    return Content(context={"symbol_columns": heads, "symbol_rows": rows})


SYMBOLS = Section(
    name="symbols",
    title="Symbols",
    content=content,
    shown=lambda inputs: len(inputs.simulation.columns) > 1,
)


def symbol_table(simulation: Simulation) -> tuple[list[str], list[list[str]]]:
    """Head and rows, one a symbol and a last one of all."""
    table = figures_by_symbol(simulation)
    shown = [name for name in _COLUMNS if name in table]
    rows = [
        [str(symbol), *(format_number(float(row[name]), _COLUMNS[name][1]) for name in shown)]
        for symbol, row in table.iterrows()
    ]
    return ["Symbol", *(_COLUMNS[name][0] for name in shown)], rows
