"""Equity, price with fills, rolling Sharpe ratio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convnext_vbt.evidence.returns import Fan
from convnext_vbt.report import layout
from convnext_vbt.report.formats import quote_currency
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section
from convnext_vbt.report.sections.equity.figures import (
    Line,
    equity_figure,
    price_figure,
    rolling_figure,
    split_bands,
)
from convnext_vbt.trading.sweep import TOTAL

if TYPE_CHECKING:
    import plotly.graph_objects as go

MAX_PRICES = 130_000
"""Closes embedded over all symbols together; of more, every k-th one."""
_NONE = np.zeros(0)


def content(inputs: Inputs, pool: Pool) -> Content:
    """Three charts that the script fills; the fan is a bootstrap of the headline's days."""
    evidence = inputs.evidence
    fan, index = evidence.fan, evidence.result.bars.index
    data = _prices(inputs, pool) | {"rolling_at": pool.add(evidence.rolling_at, "i4")}
    if fan is not None:
        data["fan"] = {str(k): pool.add(growth, "f4") for k, growth in enumerate(fan.growth)}
    return Content(
        context={"has_fan": fan is not None},
        frames={
            "equity": _equity(inputs, fan),
            "price": price_figure(
                index[:0].to_numpy(), _NONE, {},
                quote=quote_currency(inputs.result.bars.symbols),
            ),
            "rolling": rolling_figure(_NONE, {}),
        },
        data=data,
    )  # fmt: skip


EQUITY = Section(name="equity", title="Equity", content=content)


def _prices(inputs: Inputs, pool: Pool) -> dict[str, Any]:
    """Every symbol's closes; of `TOTAL`, its basket's."""
    res, grid = inputs.result, inputs.grid
    symbols, bars = grid.values[grid.names.index("symbol")], res.window_bars
    every = max(1, -(-len(bars) * len(symbols) // MAX_PRICES))
    closes = [
        hold.account.equity if name == TOTAL else bars.close[:, res.bars.symbols.index(name)]
        for name, hold in zip(symbols, inputs.evidence.holdings, strict=True)
    ]
    return {"prices": [pool.add(close[::every], "f4") for close in closes], "price_every": every}


def _equity(inputs: Inputs, fan: Fan | None) -> go.Figure:
    day = inputs.evidence.headline.lines.net
    lines = [
        Line(name="buy and hold", account=day, colour=layout.MUTED, width=1.3, dash="dot"),
        Line(name="selected cell", account=day, colour=layout.ORANGE, width=1.2),
        Line(name="headline", account=day, colour=layout.BLUE, width=2.6, fill=layout.FILL),
    ]
    return equity_figure(lines, bands=split_bands(inputs.result), fan=fan)
