"""The class frequencies of the training range, whatever the bars: the least that is to be beaten.

Dimensions: F features, K = 3 classes.
"""

from __future__ import annotations

import numpy as np
import torch

from convnext_vbt.learning.models.last_bar import LEAST, Linear, restore_linear
from convnext_vbt.learning.models.protocol import FitTask, Learned, ModelKind


def _fit(task: FitTask) -> Learned:
    prior_K = task.train.frequencies
    frequencies = Linear(
        coef=torch.zeros(len(prior_K), task.num_features, dtype=torch.float64),
        intercept=torch.from_numpy(np.log(np.maximum(prior_K, LEAST))),
    )
    return Learned(predictor=frequencies, epochs=0)


MAJORITY = ModelKind(name="base rates", fit=_fit, restore=restore_linear, tempered=False)
