"""Shuffled labels: the strategy trained anew on labels that mean nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from convnext_vbt.evidence.nulls.null import Case, Null, NullTest
from convnext_vbt.evidence.nulls.retraining import NUM_DRAWS, retrained
from convnext_vbt.evidence.selection import USUAL, Preset
from convnext_vbt.evidence.stages import Stages
from convnext_vbt.market.bars import Bars
from convnext_vbt.trading.sweep import SweepResult


def shuffled_labels_null(
    bars: Bars,
    stages: Stages,
    preset: Preset = USUAL,
    *,
    observed: float,
    draws: int = NUM_DRAWS,
) -> Null:
    """Train every split anew on labels that are permuted in time within each symbol.

    Class frequencies, bars and everything after the training stay as they are. A high Sharpe ratio
    here means that it does not come from what was learned. `observed` is the headline's, annual.
    """
    features, labels = stages.features(bars), stages.labels(bars)
    splits = stages.splits(labels)

    def draw(rng: np.random.Generator) -> SweepResult:
        preds = stages.predict(bars, features, shuffled_labels(labels, rng), splits)
        return stages.sweep(bars, preds)

    return retrained(draw, preset, observed, draws)


def shuffled_labels(labels: Any, rng: np.random.Generator) -> Any:
    """The labels with each symbol's known values in random order; -1 stays where it is."""
    values = labels.values.copy()
    for column in values.T:
        known = column >= 0
        column[known] = rng.permutation(column[known])
    return replace(labels, values=values)


def _draw(case: Case) -> Null:
    assert case.stages is not None
    return shuffled_labels_null(
        case.result.bars, case.stages, case.preset, observed=case.headline.sharpe
    )


SHUFFLED_LABELS = NullTest(
    name="shuffled_labels",
    title="shuffled labels",
    question="Does it come from the labels?",
    draws="walk-forwards were trained on labels in random order",
    meaning="If many do, the result does not come from training.",
    draw=_draw,
    retrains=True,
)
