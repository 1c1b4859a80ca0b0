"""The page's data: JSON for the structure, one compressed pool for the arrays.

Each distinct array is stored once, so that cells which differ in risk alone share the times and
prices of their trades.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

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


def figure_json(figure: Any, *, with_data: bool = True) -> dict[str, Any]:
    """A figure as plain JSON; without data where the page puts the selected cell's in."""
    plain: dict[str, Any] = json.loads(figure.to_json())
    plain["layout"].pop("template", None)
    if not with_data:
        for trace in plain["data"]:
            for name in ("x", "y", "z", "text", "customdata"):
                trace.pop(name, None)
    return plain
