"""The cells of a sweep as positions on its levels.

Dimensions: P cells, L levels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.report.formats import level_label, level_text


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """The cells of a sweep as positions on its levels."""

    names: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    positions: np.ndarray
    """int (P, L)."""

    @classmethod
    def of(cls, metrics: pd.DataFrame) -> Grid:
        """The grid of a metrics table, levels and values in the order they appear."""
        index = metrics.index
        if not isinstance(index, pd.MultiIndex):
            index = pd.MultiIndex.from_arrays([index], names=[index.name])
        codes, values = [], []
        for name in map(str, index.names):
            code, unique = pd.factorize(index.get_level_values(name))
            codes.append(code)
            values.append(tuple(unique.tolist()))
        names = tuple(str(name) for name in index.names)
        return cls(names=names, values=tuple(values), positions=np.column_stack(codes))

    def __len__(self) -> int:
        return len(self.positions)

    def cell(self, row: int) -> dict[str, Any]:
        """The cell's level values, as `SweepResult.simulation` takes them."""
        return {
            name: values[k]
            for name, values, k in zip(self.names, self.values, self.positions[row], strict=True)
        }

    def find(self, cell: Mapping[str, object]) -> int:
        """The row of a cell; a level that is left out takes its first value.

        Raises `ValueError` naming what exists when the sweep has no such cell.
        """
        unknown = [name for name in cell if name not in self.names]
        if unknown:
            raise InputError(f"the sweep has no level {unknown}, only {list(self.names)}")
        wanted = []
        for name, values in zip(self.names, self.values, strict=True):
            value = cell.get(name, values[0])
            if value not in values:
                raise InputError(f"{name}={value!r} was not swept; choose from {list(values)}")
            wanted.append(values.index(value))
        rows = np.flatnonzero((self.positions == wanted).all(axis=1))
        if not len(rows):
            raise InputError(f"the sweep has no cell {dict(cell)}")
        return int(rows[0])

    def name(self, row: int) -> str:
        """The cell in words: its values on every level that has more than one, and its risk."""
        return " · ".join(
            level_text(name, values[k]) + (" risk" if name == "risk" else "")
            for name, values, k in zip(self.names, self.values, self.positions[row], strict=True)
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


def heatmap_axes(metrics: pd.DataFrame) -> tuple[str, str]:
    """The levels drawn across and up: threshold and risk, else the first level of a user's rule."""
    names = [str(name) for name in metrics.index.names]
    rules = [name for name in names if name not in ("risk", "symbol")]
    across = "threshold" if "threshold" in names else [*rules, "symbol"][0]
    return across, "risk"
