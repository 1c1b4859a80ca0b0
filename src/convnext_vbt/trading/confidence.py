"""Confidence rules as a recipe, and the kernel that makes the signals of its columns.

Dimensions: T bars, N symbols, C columns (rules outer, symbols inner), F values that a threshold
takes: one for each walk-forward split and one where there is no prediction; M values of min_edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numba import njit, prange

from convnext_vbt.trading.expectation import Exit
from convnext_vbt.trading.signals import LEVEL_BITS, Rules, Signals, unpacked


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ConfidenceRules(Rules):
    """Confidence rules as a recipe: the arrays of any of their columns, made when asked for.

    Ten thousand thresholds over a year would be a gigabyte of `Signals`. The rule itself is that of
    `confidence_signals`.
    """

    index: pd.DatetimeIndex
    columns: pd.MultiIndex
    up: np.ndarray
    """float32 (N, T): P(UP), NaN where there is no prediction."""
    down: np.ndarray
    """float32 (N, T): P(DOWN)."""
    allowed: np.ndarray
    """uint8 (M, N, T): bits of `LEVELS`, sides that may be entered and must be left on that bar."""
    min_edges: tuple[float | None, ...]
    """What `allowed` asks of a trade, (M,); the first asks nothing."""
    net: np.ndarray
    """float32 (2, N, T): net return expected of a long and of a short, in round trips of costs."""
    value: np.ndarray
    """int64 (N, T): which of the F values of a threshold holds on that bar."""
    symbol: np.ndarray
    """int64 (C,)."""
    long: np.ndarray
    """float32 (C, F): the confidence from which on UP is bought."""
    short: np.ndarray
    """float32 (C, F): that from which on DOWN is sold, or, long only, ends a long."""
    gap: np.ndarray
    """float32 (C,): how far below its threshold a probability ends a position; inf: never."""
    edge: np.ndarray
    """int64 (C,): which of the M values of `min_edges` holds."""
    sized: np.ndarray
    """int64 (C,): which of them sizes are measured from; as `edge`, unless nothing is asked."""
    full: np.ndarray
    """float32 (F,): the confidence of the full size."""
    full_edge: float | None
    """Net return of the full size, in round trips, where a `min_edge` is asked for; None: the
    size is by confidence."""
    floor: float
    """Size of a trade right at the threshold, or right at `min_edge`."""
    is_short: bool
    """Whether DOWN is sold."""
    exit: Exit
    """How positions end."""

    def rows(self, start: int, stop: int) -> ConfidenceRules:
        """The half-open range of bars [start, stop)."""
        cut: dict[str, Any] = {
            name: np.ascontiguousarray(getattr(self, name)[:, start:stop])
            for name in ("up", "down", "value")
        }
        for name in ("allowed", "net"):
            cut[name] = np.ascontiguousarray(getattr(self, name)[:, :, start:stop])
        return replace(self, index=self.index[start:stop], **cut)

    def take(self, columns: Sequence[int] | np.ndarray) -> ConfidenceRules:
        """The columns at these positions."""
        chosen = np.asarray(columns, dtype=np.int64)
        names = ("symbol", "long", "short", "gap", "edge", "sized")
        kept: dict[str, Any] = {name: getattr(self, name)[chosen] for name in names}
        return replace(self, columns=self.columns[chosen], **kept)

    def asking_nothing(self) -> ConfidenceRules:
        """The same columns, whatever return is expected of a trade, in the same sizes."""
        return replace(self, edge=np.zeros_like(self.edge))

    def signals(self) -> Signals:
        """The arrays of all columns."""
        codes, sizes = self.packed()
        return Signals(index=self.index, columns=self.columns, size=sizes.T, **unpacked(codes))

    def packed(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes and sizes for the kernel; see `Rules.packed`."""
        shape = (len(self.columns), len(self.index))
        codes, sizes = np.empty(shape, dtype=np.uint8), np.empty(shape)
        apply_rules_nb(
            self.up, self.down, self.allowed, self.value, self.symbol, self.long, self.short,
            self.gap, self.edge, self.full, float(self.floor), self.is_short, LEVEL_BITS,
            codes, sizes,
        )  # fmt: skip
        if self.full_edge is not None:
            least = [np.nan if least is None else least for least in self.min_edges]
            size_by_edge_nb(
                codes, self.net, self.symbol, np.array(least)[self.sized], float(self.full_edge),
                float(self.floor), LEVEL_BITS, sizes,
            )  # fmt: skip
        return codes, sizes


@njit(cache=True, error_model="numpy")
def size_nb(p: float, threshold: float, full: float, floor: float) -> float:
    """Share of the full stake at confidence or net return p; float32 goes in, float64 comes out."""
    room = np.float64(full) - np.float64(threshold)
    reach = 1.0
    if room > 0.0:
        reach = min(max((np.float64(p) - np.float64(threshold)) / room, 0.0), 1.0)
    return floor + (1.0 - floor) * reach


@njit(cache=True, parallel=True, error_model="numpy")
def apply_rules_nb(
    up_NT: np.ndarray,
    down_NT: np.ndarray,
    allowed_MNT: np.ndarray,
    value_NT: np.ndarray,
    symbol_C: np.ndarray,
    long_CF: np.ndarray,
    short_CF: np.ndarray,
    gap_C: np.ndarray,
    edge_C: np.ndarray,
    full_F: np.ndarray,
    floor: float,
    is_short: bool,
    bits: tuple[int, int, int, int],
    code_CT: np.ndarray,
    size_CT: np.ndarray,
) -> None:
    """Fill the codes and sizes of all columns; see `ConfidenceRules` for what they are made of.

    Probabilities are compared as float32, so that 0.7 as a probability is not below 0.7 as a
    threshold. No two levels of the rule that conflict are ever true together. `bits` are those of
    `LEVELS`: passed, for a kernel on disk does not notice that another file changed.
    """
    enter_long, exit_long, enter_short, exit_short = bits
    for c in prange(len(symbol_C)):
        n, gap = symbol_C[c], gap_C[c]
        allowed_T = allowed_MNT[edge_C[c], n]
        for t in range(up_NT.shape[1]):
            up, down, f = up_NT[n, t], down_NT[n, t], value_NT[n, t]
            theta, theta_down = long_CF[c, f], short_CF[c, f]
            allowed = np.int64(allowed_T[t])
            code, size = allowed & (exit_long | exit_short), 0.0
            if up < theta - gap:
                code |= exit_long
            if is_short and down < theta_down - gap:
                code |= exit_short
            if up >= theta and up > down and allowed & enter_long:
                code |= enter_long
                size = size_nb(up, theta, full_F[f], floor)
            elif down >= theta_down and down > up and allowed & enter_short:
                if is_short:
                    code |= enter_short
                    size = size_nb(down, theta_down, full_F[f], floor)
                else:
                    code |= exit_long
            code_CT[c, t] = code
            size_CT[c, t] = size


@njit(cache=True, parallel=True, error_model="numpy")
def size_by_edge_nb(
    code_CT: np.ndarray,
    net_2NT: np.ndarray,
    symbol_C: np.ndarray,
    least_C: np.ndarray,
    full: float,
    floor: float,
    bits: tuple[int, int, int, int],
    size_CT: np.ndarray,
) -> None:
    """Overwrite the sizes of entries: `floor` at the least net return asked for, 1 from `full` on.

    Columns that ask for none (NaN) keep theirs.
    """
    enter_long, _, enter_short, _ = bits
    for c in prange(len(symbol_C)):
        n, least = symbol_C[c], least_C[c]
        if np.isnan(least):
            continue
        for t in range(code_CT.shape[1]):
            code = np.int64(code_CT[c, t])
            if code & enter_long:
                size_CT[c, t] = size_nb(net_2NT[0, n, t], least, full, floor)
            elif code & enter_short:
                size_CT[c, t] = size_nb(net_2NT[1, n, t], least, full, floor)
