"""Each symbol's part in the headline's account."""

from __future__ import annotations

import pandas as pd

from convnext_vbt.report.formats import Kind, format_number
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section

_COLUMNS: dict[str, tuple[str, Kind]] = {
    "profit": ("Profit", "money"),
    "total_return": ("Return on initial cash", "percent"),
    "max_drawdown": ("Max drawdown", "percent"),
    "trades": ("Trades", "count"),
    "win_rate": ("Win rate", "percent"),
    "long_share": ("Long", "percent"),
    "exposure": ("Exposure", "percent"),
    "funding": ("Funding paid", "money"),
}


def content(inputs: Inputs, _: Pool) -> Content:
    """One table."""
    table = inputs.evidence.by_symbol
    heads, rows = ([], []) if table is None else symbol_table(table)
    return Content(context={"symbol_columns": heads, "symbol_rows": rows})


SYMBOLS = Section(
    name="symbols",
    title="Symbols",
    content=content,
    shown=lambda inputs: inputs.evidence.by_symbol is not None,
)


def symbol_table(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Head and rows, one a symbol and a last one of all."""
    shown = [name for name in _COLUMNS if name in table]
    rows = [
        [str(symbol), *(format_number(float(row[name]), _COLUMNS[name][1]) for name in shown)]
        for symbol, row in table.iterrows()
    ]
    return ["Symbol", *(_COLUMNS[name][0] for name in shown)], rows
