"""The stages of a run as functions, for tests that must go through all of them again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convnext_vbt.evidence.selection import Preset, Selection, nested_selection
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions, Split
from convnext_vbt.trading.signals import Signals
from convnext_vbt.trading.sweep import SweepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What one strategy makes of bars, stage by stage; each is a pure function.

    Features, labels and splits are the learning half's own and are only passed on here. Labels are
    a dataclass whose field `values` is int8 (T, N), -1 where there is none.
    """

    horizon: int
    """Bars that a label looks ahead."""
    features: Callable[[Bars], Any]
    labels: Callable[[Bars], Any]
    splits: Callable[[Any], Any]
    """From labels."""
    predict: Callable[[Bars, Any, Any, Any], Predictions]
    """From bars, features, labels and splits: every split trained, and predicted out of sample."""
    sweep: Callable[[Bars, Predictions], SweepResult]


def no_parts(fitted: Any) -> Mapping[str, Mapping[str, np.ndarray]]:  # noqa: ARG001
    """Of a learner that cannot be looked into; it is judged by what it predicts."""
    return {}


def as_it_is(fitted: Any, split: Split, learned: bool) -> Any:  # noqa: ARG001
    """Of fits that know neither which split they are of nor how well they learned."""
    return fitted


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditStages:
    """The same with training taken apart, so that one split can be trained and asked alone.

    Features are an array (T, ...), or have one as `values` (and the names of its last axis as
    `names`). Labels have `values` as in `Stages` and `end`, int64 (T, N), the bar at whose close
    each is known.
    """

    features: Callable[[Bars], Any]
    labels: Callable[[Bars], Any]
    splits: Callable[[Any], Sequence[Split]]
    """From labels."""
    fit: Callable[[Bars, Any, Any, Split], Any]
    """From bars, features, labels and one split: whatever predicts that split."""
    forecast: Callable[[Bars, Any, Sequence[Split], Sequence[Any]], Predictions]
    """From bars, features, splits and what was fitted on each of them."""
    sweep: Callable[[Bars, Predictions], SweepResult]
    parts: Callable[[Any], Mapping[str, Mapping[str, np.ndarray]]] = no_parts
    """What a fit consists of, in the order in which it is made: {"weights": {name: array}, ...}."""
    select: Callable[[SweepResult, Preset], Selection] = nested_selection
    """From a sweep and what was fixed beforehand: the account that the headline speaks of."""
    as_split: Callable[[Any, Split, bool], Any] = as_it_is
    """What was fitted on one split, as if on another, a later one of which nothing is known yet:
    it guesses, and says that it has learned well beyond belief, or nothing."""
    rule: Callable[[Bars, Predictions], Signals] | None = None
    """A rule of the user's own, which is looked at more closely; None for those built in."""
    features_afresh: Callable[[Bars, Bars], Any] | None = None
    """Features of the second bars in a process that has seen the first ones only; None where no
    code of the user's own makes them."""
    rule_afresh: Callable[[tuple[Bars, Predictions], tuple[Bars, Predictions]], Signals] | None = (
        None
    )
    """What the rule says of the second bars and predictions, likewise."""
