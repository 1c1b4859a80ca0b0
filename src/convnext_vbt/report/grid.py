"""The cells of a sweep in words."""

from __future__ import annotations

from convnext_vbt.evidence.cells import Grid
from convnext_vbt.report.formats import level_label, level_text


def cell_name(grid: Grid, row: int) -> str:
    """A cell's values on every level that has more than one, and its risk."""
    return " · ".join(
        level_text(name, values[k]) + (" risk" if name == "risk" else "")
        for name, values, k in zip(grid.names, grid.values, grid.positions[row], strict=True)
        if len(values) > 1 or name == "risk"
    )


def levels(grid: Grid) -> list[dict[str, object]]:
    """The swept levels with their values as keys (for the address) and as text."""
    return [
        {
            "name": name,
            "label": level_label(name),
            "values": [{"key": str(value), "text": level_text(name, value)} for value in values],
        }
        for name, values in zip(grid.names, grid.values, strict=True)
    ]
