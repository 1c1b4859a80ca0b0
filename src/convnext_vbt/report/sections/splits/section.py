"""The walk-forward splits on a time axis."""

from __future__ import annotations

from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section
from convnext_vbt.report.sections.splits.figures import plot_splits


def content(inputs: Inputs, _: Pool) -> Content:
    """One chart; its legend on the page is the template's."""
    preds = inputs.result.predictions
    if not preds.splits:
        return Content(context={"has_splits": False})
    concerns = inputs.evidence.concerns
    return Content(
        context={
            "has_splits": True,
            "learned_later": bool(concerns.later_splits),
            "untold": bool(concerns.untold_splits),
        },
        figures={"splits": plot_splits(preds)},
    )


SPLITS = Section(name="splits", title="Splits", content=content)
