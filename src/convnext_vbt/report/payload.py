"""What the page carries: JSON for the structure, one compressed pool for the arrays.

Each distinct array is stored once, so that cells which differ in risk alone share the times and
prices of their trades. Dimensions: P cells, L levels, D UTC days.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.report import cells, figures, layout
from convnext_vbt.report.formats import (
    FIGURE,
    FIGURES,
    HEATMAP_FIGURES,
    THIN_TRADES,
    format_number,
    level_label,
    level_text,
)
from convnext_vbt.trading.sweep import SweepResult

MAX_EMBEDDED = 120
"""Cells whose daily series, drawdowns and trades are carried; key figures are carried for all."""
MAX_BYTES, BYTES_A_DAY, BYTES_A_TRADE = 1_600_000, 5, 18
"""Fewer cells are carried where theirs would take more than about so much."""
BYTES_A_SHARED_TRADE = 90
"""On a shared account risk changes the times of trades, so that cells have few arrays in common;
and the symbols' closes need room."""

Ref = dict[str, object]


@dataclass(slots=True)
class Pool:
    """Arrays end to end, each at a multiple of 8 bytes and stored once.

    An array of wider items lies byte plane by byte plane, least significant first: first bytes
    that are alike lie together and compress better.
    """

    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    _seen: dict[tuple[str, bytes], Ref] = field(default_factory=dict)

    def add(self, values: np.ndarray | Sequence[float], dtype: str) -> Ref:
        """Store `values` as "f4", "f8", "i4", "i2" or "u1"; gives where they lie."""
        array = np.ascontiguousarray(values, dtype="<" + dtype)
        planes = array.reshape(-1, 1).view(np.uint8).reshape(array.size, array.itemsize).T
        return self._store(planes.tobytes(), dtype, array.size)

    def add_rounded(self, values: np.ndarray, step: float, *, line: bool = False) -> Ref:
        """Store `values` as whole multiples of `step`; those of a finite `line` as differences.

        A drawn line needs no more digits than are shown; the others would be half of the file.
        NaN, which a line may not have, is the lowest whole number of its type.
        """
        known = np.isfinite(values)
        whole = np.rint(np.where(known, values, 0.0) / step).astype(np.int64)
        stored = np.diff(whole, prepend=0) if line else whole
        kind, lowest = ("i2", -(2**15)) if (np.abs(stored) < 2**15).all() else ("i4", -(2**31))
        ref = self.add(np.where(known, stored, lowest), kind)
        return ref | {"step": step} | ({"line": True} if line else {})

    def add_json(self, value: object) -> Ref:
        """Store `value` as JSON text."""
        data = json_text(value).encode()
        return self._store(data, "json", len(data))

    def _store(self, data: bytes, kind: str, count: int) -> Ref:
        ref = self._seen.get((kind, data))
        if ref is None:
            ref = {"at": self.size, "n": count, "t": kind}
            self._seen[kind, data] = ref
            padding = -len(data) % 8
            self.chunks.append(data + b"\0" * padding)
            self.size += len(data) + padding
        return ref

    def text(self) -> str:
        """The whole pool, gzip and base64."""
        return packed(b"".join(self.chunks))


def packed(data: bytes) -> str:
    """Compressed and in base64, the same text for the same bytes (gzip's own clock is set to 0)."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


def json_text(value: object) -> str:
    """JSON that is safe inside a script element: no character that HTML or a script reads."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


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


def embedded_rows(res: SweepResult, grid: Grid, keep: Sequence[int]) -> list[int]:
    """The cells whose series are carried: all if they are few and small enough.

    Otherwise those of `keep`, the best cell by each heatmap metric, and evenly spaced ones as long
    as there is room. Of several symbols that is true of whole accounts; the accounts in `keep`
    have each symbol's series too.
    """
    a_trade = BYTES_A_TRADE if len(res.bars.symbols) == 1 else BYTES_A_SHARED_TRADE
    weight = BYTES_A_DAY * len(res.daily_returns) + a_trade * res.metrics["trades"].to_numpy()
    if len(grid) <= MAX_EMBEDDED and weight.sum() <= MAX_BYTES:
        return list(range(len(grid)))
    whole = res.whole_accounts
    able = np.flatnonzero(whole)
    solid = (res.metrics["trades"].to_numpy() >= THIN_TRADES) & whole
    symbol = grid.names.index("symbol")
    others = np.delete(grid.positions, symbol, axis=1)
    chosen = dict.fromkeys(
        row for k in keep for row in np.flatnonzero((others == others[k]).all(axis=1)).tolist()
    )
    for name in HEATMAP_FIGURES:
        values = np.where(solid, res.metrics[name].to_numpy(np.float64), np.nan)
        if np.isfinite(values).any():
            chosen[int(np.nanargmax(values))] = None
    needed = list(chosen)
    count = min(len(able), MAX_EMBEDDED)
    while True:
        room = max(count - len(needed), 0)
        even = able[np.linspace(0, len(able) - 1, room).round().astype(int)].tolist()
        rows = sorted(chosen | dict.fromkeys(even if count < len(able) else able.tolist()))
        if room == 0 or weight[rows].sum() <= MAX_BYTES:
            return rows
        count = count * 9 // 10


def sweep_payload(pool: Pool, res: SweepResult, grid: Grid, table: pd.DataFrame) -> dict[str, Any]:
    """Levels, cell positions and every figure of every cell; `table` is `cells.table`."""
    across, up = figures.heatmap_axes(res.metrics)
    number, found = cells.plateaus(
        table, grid.positions, grid.names.index(across), grid.names.index(up)
    )
    return {
        "rows": len(grid),
        "levels": levels(grid),
        "positions": pool.add(grid.positions.ravel(), "i4"),
        "metrics": {
            name: pool.add(table[name].to_numpy(np.float64), "f8")
            for name in (*(f.name for f in FIGURES if f.name in table), *cells.RULE_COLUMNS)
        },
        "kinds": {figure.name: figure.kind for figure in FIGURES},
        "carried": cells.CARRIED,
        "plateau": pool.add(number, "i4"),
        "plateaus": [plateau_text(grid, table, plateau) for plateau in found],
        "heatmap": {
            "across": across,
            "up": up,
            "metric": "cagr",
            "metrics": [
                {"name": f.name, "label": f.label, "kind": f.kind, "signed": f.signed}
                for f in (FIGURE[name] for name in HEATMAP_FIGURES)
            ],
            "thin": THIN_TRADES,
            "hatch": layout.MUTED,
            "diverging": layout.DIVERGING,
        },
        "dark": layout.DARK,
    }


def plateau_text(grid: Grid, table: pd.DataFrame, plateau: cells.Plateau) -> str:
    """The plateau score of one heatmap in words."""
    if plateau.peak < 0:
        return f"No plateau score: no cell here has {THIN_TRADES} trades and a Sharpe ratio."
    ratio = format_number(float(table["sharpe"].iloc[plateau.peak]), "ratio")
    peak = f"the highest Sharpe ratio in hindsight is {ratio}, at {grid.name(plateau.peak)}"
    if not np.isfinite(plateau.score):
        why = "there is no cell around it" if len(grid) == 1 else "that is not above 0"
        return f"No plateau score: {peak}; {why}."
    kind = "a spike" if plateau.score < cells.SPIKE else "a plateau"
    score = format_number(plateau.score, "ratio")
    return (
        f"Plateau score {score}, {kind}: {peak}, and the median of the cells around it is "
        f"{score} times that. Under {cells.SPIKE:g} counts as a spike."
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


def figure_json(figure: Any, *, with_data: bool = True) -> dict[str, Any]:
    """A figure as plain JSON; without data where the page puts the selected cell's in."""
    plain: dict[str, Any] = json.loads(figure.to_json())
    plain["layout"].pop("template", None)
    if not with_data:
        for trace in plain["data"]:
            for name in ("x", "y", "z", "text", "customdata"):
                trace.pop(name, None)
    return plain
