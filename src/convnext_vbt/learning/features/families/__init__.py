"""The families of built-in features, one file each.

To add one, copy one of the files and name it here.
"""

from __future__ import annotations

from convnext_vbt.learning.features.families import (
    averages,
    bollinger,
    candles,
    directional,
    efficiency,
    hour,
    returns,
    rsi,
    stochastic,
    volatility,
    volume,
    weekday,
)
from convnext_vbt.learning.features.family import Family

FAMILIES: tuple[Family, ...] = (
    returns.FAMILY,
    candles.FAMILY,
    volatility.FAMILY,
    averages.FAMILY,
    rsi.FAMILY,
    directional.FAMILY,
    bollinger.FAMILY,
    stochastic.FAMILY,
    efficiency.FAMILY,
    volume.FAMILY,
    hour.FAMILY,
    weekday.FAMILY,
)
"""In the order in which the features come."""
