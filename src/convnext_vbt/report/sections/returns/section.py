"""What an account's returns are made of: months, trades, holding times, excursions."""

from __future__ import annotations

from typing import Any

import numpy as np

from convnext_vbt.evidence.views import View
from convnext_vbt.report.charts import histogram, histogram_figure
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool, Ref
from convnext_vbt.report.section import Content, Section
from convnext_vbt.report.sections.returns.figures import excursion_figure, monthly_figure

_NONE = np.zeros(0)


def content(inputs: Inputs, pool: Pool) -> Content:
    """Four charts that the script fills with the account in view."""
    months = inputs.evidence.months
    counts, edges = np.zeros(1, dtype=np.int64), np.array([0.0, 1.0])
    return Content(
        frames={
            "monthly": monthly_figure(months, np.zeros(len(months))),
            "excursions": excursion_figure(_NONE, _NONE, _NONE),
            "trade_returns": histogram_figure(
                counts, edges, what="trades", title="net return per trade, %"
            ),
            "holding": histogram_figure(counts, edges, what="trades", title="bars held", digits=0),
        },
        data={"months": pool.add(months, "i4")},
    )


def series(view: View, pool: Pool) -> dict[str, Any]:
    """Monthly returns of an account and histograms of its trades."""
    trades = view.trades
    held = view.bars_held.astype(np.float64)
    return {
        "monthly": pool.add(view.months, "f4"),
        "histograms": {
            "return": _histogram(trades["return"], pool, whole=False),
            "held": _histogram(held, pool, whole=True),
        },
    }


RETURNS = Section(name="returns", title="Returns", content=content, series=series)


def _histogram(values: np.ndarray, pool: Pool, *, whole: bool) -> dict[str, Ref]:
    counts, edges = histogram(values, whole=whole)
    return {"counts": pool.add(counts, "i4"), "edges": pool.add(edges, "f8")}
