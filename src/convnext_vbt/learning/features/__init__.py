"""Features of bars: the built-in families, and a user's own."""

from convnext_vbt.learning.features.compute import (
    ALL_FEATURES,
    compute_features,
    possible_features,
)
from convnext_vbt.learning.features.types import FeatureFunction, Features

__all__ = ["ALL_FEATURES", "FeatureFunction", "Features", "compute_features", "possible_features"]
