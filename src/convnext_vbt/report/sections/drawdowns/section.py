"""The deepest falls below an earlier peak; the script writes the table."""

from __future__ import annotations

from typing import Any

from convnext_vbt.evidence.views import View
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section


def content(_: Inputs, __: Pool) -> Content:
    """Nothing but the template."""
    return Content()


def series(view: View, pool: Pool) -> dict[str, Any]:
    """The worst drawdowns of an account, in bars of the window."""
    worst = view.worst
    return {
        "drawdowns": {
            "peak": pool.add([fall.peak for fall in worst], "i4"),
            "trough": pool.add([fall.trough for fall in worst], "i4"),
            "end": pool.add([fall.end for fall in worst], "i4"),
            "depth": pool.add([fall.depth for fall in worst], "f4"),
        }
    }


DRAWDOWNS = Section(name="drawdowns", title="Drawdowns", content=content, series=series)
