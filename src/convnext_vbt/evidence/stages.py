"""The stages of a run as functions, for tests that must go through all of them again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions
from convnext_vbt.trading.sweep import SweepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What one strategy makes of bars, stage by stage; each is a pure function.

    Features, labels and splits are the learning half's own and are only passed on here. Labels are
    a dataclass whose field `values` is int8 (T, N), -1 where there is none.
    """

    features: Callable[[Bars], Any]
    labels: Callable[[Bars], Any]
    splits: Callable[[Any], Any]
    """From labels."""
    predict: Callable[[Bars, Any, Any, Any], Predictions]
    """From bars, features, labels and splits: every split trained, and predicted out of sample."""
    sweep: Callable[[Bars, Predictions], SweepResult]
