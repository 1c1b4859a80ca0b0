"""Other models through the same splits, rules and account."""

from __future__ import annotations

import math
from typing import Any

from convnext_vbt.evidence.baselines import Comparison
from convnext_vbt.report.formats import FIGURE, format_interval, format_number
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section

_BASELINE_FIGURES = ("total_return", "cagr", "max_drawdown", "sharpe")


def content(inputs: Inputs, _: Pool) -> Content:
    """One table and what it says."""
    found = inputs.evidence.baselines
    return Content(context=baseline_context(found) if found else {})


BASELINES = Section(
    name="baselines",
    content=content,
    shown=lambda inputs: inputs.evidence.baselines is not None,
)


def baseline_context(baselines: Comparison) -> dict[str, Any]:
    """The comparison with other models as text."""
    rows = []
    for name, row in zip(
        map(str, baselines.table.index), baselines.table.to_dict("records"), strict=True
    ):
        given = {str(key): float(value) for key, value in row.items()}
        trades = given["trades"]
        known = math.isfinite(given["difference"])
        rows.append(
            [
                baselines.names[name],
                *(
                    format_number(given[key], FIGURE[key].kind, trades=trades)
                    for key in _BASELINE_FIGURES
                ),
                format_interval(given["sharpe_low"], given["sharpe_high"]),
                f"{trades:,.0f}",
                format_number(given["difference"], "ratio") if known else "–",
                format_interval(given["difference_low"], given["difference_high"])
                if known
                else "–",
            ]
        )
    return {
        "baseline_rows": rows,
        "baseline_sentences": baselines.sentences,
        "baseline_base": baselines.names[baselines.base] if baselines.base else "",
    }
