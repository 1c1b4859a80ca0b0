"""The time of the week."""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnext_vbt.learning.features.family import Family
from convnext_vbt.learning.features.series import phase
from convnext_vbt.learning.features.symbol import SymbolBars

WEEK = pd.Timedelta(days=7)
A_MONDAY = pd.Timestamp("1970-01-05")


def weekday(bars: SymbolBars) -> list[np.ndarray]:
    """Sine and cosine of the week's angle, from Monday 00:00 UTC."""
    angle = phase(bars.stamps, WEEK.value, A_MONDAY.value)
    return [np.sin(angle), np.cos(angle)]


FAMILY = Family(warmups={"weekday_sin": 0, "weekday_cos": 0}, compute=weekday, below=WEEK)
