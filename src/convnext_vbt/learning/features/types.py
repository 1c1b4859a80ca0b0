"""What a set of features is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import Bars


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """What the network sees at the close of each bar.

    `values` is float32 (T, N, F). The first `warmup` bars that a symbol has are NaN, as is every
    bar it does not have; all other values are finite. `mirrored`, of the same shape and finite
    where `values` are, holds the same features of `Bars.mirrored()`; None where nobody made them.
    """

    names: tuple[str, ...]
    values: np.ndarray
    warmup: int
    mirrored: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if not self.names or repeated or not all(isinstance(n, str) and n for n in self.names):
            raise InputError(
                f"feature names must be distinct, non-empty and at least one, got {self.names}"
            )
        object.__setattr__(self, "values", _checked(self.values, self.names))
        if isinstance(self.warmup, bool) or not isinstance(self.warmup, int) or self.warmup < 0:
            raise InputError(f"warmup must be a number of bars >= 0, got {self.warmup!r}")
        if self.mirrored is not None:
            mirrored = _checked(self.mirrored, self.names)
            if mirrored.shape != self.values.shape:
                raise InputError(
                    f"mirrored features must have the shape of values, {self.values.shape}, got "
                    f"{mirrored.shape}"
                )
            object.__setattr__(self, "mirrored", mirrored)


def _checked(given: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """float32 (T, N, F) that nobody can change."""
    values = np.asarray(given)
    if values.ndim != 3 or values.shape[2] != len(names):
        raise InputError(
            f"feature values must have shape (bars, symbols, {len(names)} features), "
            f"got {values.shape}"
        )
    if not np.issubdtype(values.dtype, np.floating):
        raise InputError(f"feature values must be float32, got {values.dtype}; use .astype")
    if values.flags.writeable or values.dtype != np.float32:  # else nobody can change them
        values = np.array(values, dtype=np.float32, order="C")
        values.flags.writeable = False
    return values


FeatureFunction = Callable[[Bars], Features]
"""A user's own features: a pure function whose row t depends on bars up to t alone."""
