"""Other models through the same splits, rules and account."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from convnext_vbt.evidence.baselines import Comparison
from convnext_vbt.report.formats import ABSENT, FIGURE, format_interval, format_number
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section
from convnext_vbt.report.sections.direction.section import slope_text

_FIGURES = ("total_return", "cagr", "max_drawdown", "sharpe")


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
    rows, names = baselines.table.astype(np.float64).to_dict("index"), baselines.names
    claims = {name: one.all for name, one in baselines.directions.items()}
    slopes = {name: [slope_text(claims[name])] if name in claims else [ABSENT] for name in names}
    return {
        "baseline_rows": [
            _row(names[str(name)], figures) + (slopes[str(name)] if claims else [])
            for name, figures in rows.items()
        ],
        "has_directions": bool(claims),
        "baseline_sentences": baselines.sentences,
        "baseline_base": names[baselines.base] if baselines.base else "",
        "has_base_rates": "majority" in rows,
        "has_primary": "primary" in rows,
    }


def _row(name: str, figures: Mapping[Hashable, float]) -> list[str]:
    """The difference is the first model's Sharpe ratio less this one's."""
    trades = figures["trades"]
    difference = ABSENT, ABSENT
    if math.isfinite(figures["difference"]):
        difference = (
            format_number(-figures["difference"], "ratio"),
            format_interval(-figures["difference_high"], -figures["difference_low"]),
        )
    return [
        name,
        *(format_number(figures[key], FIGURE[key].kind, trades=trades) for key in _FIGURES),
        format_interval(figures["sharpe_low"], figures["sharpe_high"]),
        f"{trades:,.0f}",
        *difference,
    ]
