"""Every trade; the script writes the table and the CSV from the series that all sections share."""

from __future__ import annotations

from convnext_vbt.report.formats import quote_currency
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section


def content(inputs: Inputs, _: Pool) -> Content:
    """What prices and profits are counted in."""
    return Content(context={"quote": quote_currency(inputs.result.bars.symbols)})


TRADES = Section(name="trades", title="Trades", content=content)
