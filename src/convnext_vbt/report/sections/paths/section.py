"""How much hangs on which bars were learned from: paths through combinatorial splits."""

from __future__ import annotations

import math

import numpy as np

from convnext_vbt.evidence.paths import HIGH, LOW, Paths
from convnext_vbt.report.formats import FIGURE, format_number
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section
from convnext_vbt.report.sections.paths.figures import path_figure

_FIGURES = ("sharpe", "total_return", "max_drawdown", "trades")


def content(inputs: Inputs, _: Pool) -> Content:
    """One chart and one table."""
    paths, headline = inputs.evidence.paths, inputs.assessment.headline.sharpe
    assert paths is not None
    drawn = len(paths.sharpes) > 0
    return Content(
        context={
            "paths": paths,
            "summary": _summary(paths, headline),
            "columns": ["Path", *(FIGURE[name].label for name in _FIGURES)],
            "rows": _rows(paths),
            "drawn": drawn,
        },
        figures={"paths": path_figure(np.array([path.sharpe for path in paths.paths]), headline)}
        if drawn
        else {},
    )


def _shown(inputs: Inputs) -> bool:
    return inputs.evidence.paths is not None


PATHS = Section(name="paths", title="Paths", content=content, shown=_shown)


def _summary(paths: Paths, headline: float) -> str:
    if math.isnan(paths.median):
        return "No path made a trade, so none has a Sharpe ratio."
    low, middle, high = (
        format_number(paths.quantile(level), "ratio") for level in (LOW, 0.5, HIGH)
    )
    known, total = len(paths.sharpes), len(paths.paths)
    below = int((paths.sharpes < 0).sum())
    left_out = f" ({total - known} without a trade are left out)" if known < total else ""
    return (
        f"Median Sharpe ratio {middle}, 5 % to 95 % of the paths {low} to {high}; {below} of "
        f"{known} paths{left_out} below 0. Headline: {format_number(headline, 'ratio')}."
    )


def _rows(paths: Paths) -> list[list[str]]:
    return [
        [
            str(number),
            *(format_number(getattr(path, name), FIGURE[name].kind) for name in _FIGURES),
        ]
        for number, path in enumerate(paths.paths, 1)
    ]
