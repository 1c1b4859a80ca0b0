"""The predictions judged against their labels, and what following them earned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnext_vbt.evidence import scores
from convnext_vbt.learning.labels import labels_for
from convnext_vbt.report import confidence
from convnext_vbt.trading.sweep import SweepResult


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """The predictions judged against their labels."""

    values: np.ndarray
    """int8 (T, N), -1 where there is no label."""
    scores: pd.DataFrame
    """`evidence.scores.score_splits`."""


def judged_model(res: SweepResult) -> Model | None:
    """None without a target, or where no predicted bar has a known outcome."""
    preds = res.predictions
    if preds.target is None:
        return None
    values = labels_for(res.bars, preds.target).values
    if not ((values >= 0) & (preds.split >= 0)).any():
        return None
    return Model(values=values, scores=scores.score_splits(preds, values))


def round_trip_cost(res: SweepResult) -> float:
    """Fees and slippage of both sides, as a share of the entry value."""
    return 2.0 * (res.config.fees + res.config.slippage)


def confidence_deciles(res: SweepResult) -> confidence.Deciles | None:
    """Forward returns by confidence; None where no horizon is known or no bar counts."""
    target = res.predictions.target
    horizon = target.horizon if target else res.brackets.max_holding
    if horizon is None:
        return None
    found = confidence.deciles(
        res.predictions, res.bars, horizon=horizon, cost=round_trip_cost(res)
    )
    return found if len(found) else None
