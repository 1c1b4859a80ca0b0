"""What a family of features is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnext_vbt.learning.features.symbol import SymbolBars


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Family:
    """Features that are made together."""

    warmups: Mapping[str, int]
    """Each feature's name and first valid bar."""
    compute: Callable[[SymbolBars], Sequence[np.ndarray] | np.ndarray]
    """Gives an array (M,) for each name, in that order, from M bars of one symbol.

    A value at a bar depends on bars up to that one alone. Before the feature's warm-up it is
    arbitrary; from there on it is finite, and a starting value weighs less than 1e-6 in it.
    """
    needs_volume: bool = False
    """Left out where a symbol has no volume."""
    below: pd.Timedelta = pd.Timedelta.max
    """By default left out where bars take this long or longer: it says nothing there."""
