"""How straight the price has gone."""

from __future__ import annotations

import numpy as np

from convnext_vbt.learning.features.family import Family
from convnext_vbt.learning.features.series import DAY, change, day_sum, ratio
from convnext_vbt.learning.features.symbol import SymbolBars


def efficiency(bars: SymbolBars) -> list[np.ndarray]:
    """Kaufman's efficiency ratio of a day, with its sign: net move over the path, -1 to 1."""
    path = day_sum(np.abs(change(bars.close, 1)))
    return [ratio(change(bars.close, DAY), path)]


FAMILY = Family(warmups={"efficiency_24": DAY}, compute=efficiency)
