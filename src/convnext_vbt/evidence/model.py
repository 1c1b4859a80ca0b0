"""The predictions judged against their labels, every score once.

Dimensions: T bars, N symbols, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from convnext_vbt.evidence import scores
from convnext_vbt.evidence.confidence import Outlines, outlines
from convnext_vbt.predictions import CLASSES, Predictions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelScores:
    """What the probabilities were worth as such; the tables are those of `evidence.scores`."""

    overall: pd.DataFrame
    confusion: pd.DataFrame
    classes: pd.DataFrame
    """`class_scores`."""
    reliability: dict[str, pd.DataFrame]
    """By class."""
    outlines: tuple[Outlines, ...]

    @classmethod
    def of(cls, preds: Predictions, labels: np.ndarray) -> Self | None:
        """None where no predicted bar has a label; `labels` are int8 (T, N), -1 for none."""
        if not ((labels >= 0) & (preds.split >= 0)).any():
            return None
        confusion = scores.confusion(preds, labels)
        return cls(
            overall=scores.overall(preds, labels),
            confusion=confusion,
            classes=scores.class_scores(confusion),
            reliability={
                name: scores.reliability(preds, labels, k) for k, name in enumerate(CLASSES)
            },
            outlines=tuple(outlines(preds, labels)),
        )
