"""The seam: out-of-sample class probabilities and their file.

The learning half writes a `Predictions`, the trading half reads it; neither knows the other.
"""

from convnext_vbt.predictions.probabilities import Predictions
from convnext_vbt.predictions.types import (
    CLASSES,
    DOWN,
    QUANTILE_LEVELS,
    STAY,
    UP,
    Range,
    Split,
    SplitFit,
    Target,
)

__all__ = [
    "CLASSES",
    "DOWN",
    "QUANTILE_LEVELS",
    "STAY",
    "UP",
    "Predictions",
    "Range",
    "Split",
    "SplitFit",
    "Target",
]
