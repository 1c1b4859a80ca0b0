"""The time of the day."""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnext_vbt.learning.features.family import Family
from convnext_vbt.learning.features.series import phase
from convnext_vbt.learning.features.symbol import SymbolBars

DAY = pd.Timedelta(days=1)


def hour(bars: SymbolBars) -> list[np.ndarray]:
    """Sine and cosine of the day's angle, from 00:00 UTC."""
    angle = phase(bars.stamps, DAY.value, 0)
    return [np.sin(angle), np.cos(angle)]


FAMILY = Family(warmups={"hour_sin": 0, "hour_cos": 0}, compute=hour, below=DAY)
