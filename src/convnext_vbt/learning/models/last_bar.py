"""What models of the last bar's features share.

Dimensions: F features, K = 3 classes, R rows of a range, over all symbols.
"""

from __future__ import annotations

import numpy as np

from convnext_vbt.predictions import CLASSES

LEAST = 1e-7
"""No probability is taken to be less, so that its logarithm is finite."""
_GHOST = 1e-3
"""Weight, in bars, of a class that is not there."""


def with_every_class(x_RF: np.ndarray, y_R: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows, classes and weights, with a ghost of a row for each class that is not there.

    Without it scikit-learn would know of fewer classes, or of only one and refuse.
    """
    lacking = np.setdiff1d(np.arange(len(CLASSES)), y_R)
    x = np.vstack([x_RF, np.zeros((len(lacking), x_RF.shape[1]))])
    weight = np.append(np.ones(len(y_R)), np.full(len(lacking), _GHOST))
    return x, np.append(y_R, lacking), weight
