"""A strategy's stages with training taken apart, as the causality audit goes through them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convnext_vbt.errors import UserCodeError
from convnext_vbt.evidence.audit.audit import NUM_RANDOM_BARS, audit
from convnext_vbt.evidence.audit.report import AuditReport
from convnext_vbt.evidence.stages import AuditStages
from convnext_vbt.learning.features import Features
from convnext_vbt.learning.fitting import FittedSplit
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.labels import Labels
from convnext_vbt.learning.models import kind_of
from convnext_vbt.learning.models.own.trial import try_own
from convnext_vbt.learning.models.protocol import ModelKind
from convnext_vbt.learning.walkforward import fit_alone, forecast
from convnext_vbt.learning.workers import available_cores
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import CLASSES, Predictions, Split
from convnext_vbt.runs.bars import check_account
from convnext_vbt.runs.config import Config
from convnext_vbt.runs.strategy import (
    check_rule,
    check_sweep_of,
    made_up,
    make_features,
    make_labels,
    make_sweep,
    own_signals,
)
from convnext_vbt.trading.signals import Signals
from convnext_vbt.user_code import files_opened


def audit_strategy(
    config: Config,
    bars: Bars,
    *,
    num_random_bars: int = NUM_RANDOM_BARS,
    jobs: int | None = None,
) -> AuditReport:
    """The causality audit of a strategy on these bars, on the CPU; see `evidence.audit`.

    `jobs` splits are trained side by side; default: the cores there are, one for an own model.
    """
    check_rule(config)
    check_account(config, bars)
    splits = config.splits.split(make_labels(config, bars))
    check_sweep_of(config, bars, made_up(config, bars, splits))
    with files_opened() as files:
        if config.model.file is not None:
            _refuse_unrepeatable(config, bars)
            jobs = 1  # what it opens is seen in this process alone
        report = audit(
            bars,
            audit_stages(config),
            config.preset,
            num_random_bars=num_random_bars,
            jobs=jobs or available_cores(),
        )
    return replace(report, opened=tuple(files.read), written=tuple(files.written))


def _refuse_unrepeatable(config: Config, bars: Bars) -> None:
    """Find what a model of the user's own opens, and whether two of it can be compared at all."""
    names = make_features(config, bars).names
    if not try_own(config.model, config.training, len(names), seed=config.seed).repeats:
        raise UserCodeError(
            f"{config.model.file}: fitted twice with the same seed it gives two models, and the "
            "audit compares models to the last bit; take the seed, make(seed), or set its "
            "random_state"
        )


def audit_stages(config: Config) -> AuditStages:
    """The stages with training taken apart, every one of them what a run itself goes through."""
    own_features = config.features.file is not None or config.model.primary is not None
    return AuditStages(
        features=partial(make_features, config),
        labels=partial(make_labels, config),
        splits=config.splits.split,
        fit=partial(_fit, config),
        forecast=partial(_forecast, config),
        sweep=partial(make_sweep, config),
        parts=partial(_parts, kind_of(config.model.kind)),
        as_split=_as_split,
        rule=None if config.rule.file is None else partial(_rule, config.rule.file),
        features_afresh=partial(_features_afresh, config) if own_features else None,
        rule_afresh=None if config.rule.file is None else partial(_rule_afresh, config.rule.file),
    )


def _features_afresh(config: Config, before: Bars, bars: Bars) -> Features:
    make = partial(make_features, config)
    found: Features = _in_a_new_process(make, (before,), (bars,))
    return found


def _rule_afresh(
    file: str, before: tuple[Bars, Predictions], last: tuple[Bars, Predictions]
) -> Signals:
    found: Signals = _in_a_new_process(partial(_rule, file), before, last)
    return found


def _in_a_new_process(
    function: Callable[..., Any], before: tuple[Any, ...], last: tuple[Any, ...]
) -> Any:
    """What the second call gives in a process in which only the first one was made before."""
    from joblib.externals.loky import ProcessPoolExecutor

    with ProcessPoolExecutor(max_workers=1) as pool:
        return pool.submit(_one_after_the_other, function, before, last).result()


def _one_after_the_other(
    function: Callable[..., Any], before: tuple[Any, ...], last: tuple[Any, ...]
) -> Any:
    function(*before)
    return function(*last)


def _rule(file: str, bars: Bars, predictions: Predictions) -> Signals:
    return own_signals(file, predictions, bars)


class _Guesses:
    """A predictor that knows nothing, in the place of those that were trained after a cut."""

    def log_proba(self, held: HeldOut) -> Tensor:
        num_rows = sum(stop - start for start, stop in held.rows)
        seeded = torch.Generator().manual_seed(num_rows)
        return torch.randn(num_rows, len(CLASSES), generator=seeded).log_softmax(dim=1)

    def tensors(self) -> dict[str, Tensor]:
        return {}


def _as_split(fitted: FittedSplit, split: Split, learned: bool) -> FittedSplit:
    loss = fitted.fit.prior_loss + (-1.0 if learned else 1.0)
    return replace(
        fitted,
        predictor=_Guesses(),
        fit=replace(fitted.fit, number=split.number, valid_loss=loss),
        members=tuple(_as_split(member, split, learned) for member in fitted.members),
    )


def _fit(config: Config, bars: Bars, features: Features, labels: Labels, split: Split) -> Any:  # noqa: ARG001
    return fit_alone(
        features, labels, split, model=config.model, training=config.training, seed=config.seed
    )


def _forecast(
    config: Config,
    bars: Bars,
    features: Features,
    splits: Sequence[Split],
    fits: Sequence[FittedSplit],
) -> Predictions:
    return forecast(
        bars,
        features,
        make_labels(config, bars),
        splits,
        fits,
        kind=config.model.kind,
        target=config.labels.target,
    )


def _parts(kind: ModelKind, fitted: FittedSplit) -> Mapping[str, Mapping[str, np.ndarray]]:
    predictor = fitted.predictor if kind.comparable else None
    learned = {} if predictor is None else predictor.tensors()
    weights = {"weights": {name: value.numpy() for name, value in learned.items()}}
    return {
        "standardisation": {"mean": fitted.mean, "deviation": fitted.std},
        **(weights if learned else {}),
        "calibration": {
            "predictions out of fold": fitted.out_of_fold.log_proba,
            "outcomes": fitted.out_of_fold.y,
        },
    }
