"""One split from bars to calibrated probabilities, whatever is trained: network or baseline.

Dimensions: T bars, N symbols, F features, K = 3 classes, R rows of a range, over all symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from convnext_vbt.errors import InputError
from convnext_vbt.learning.baselines import Linear, fit_baseline, fit_logistic
from convnext_vbt.learning.calibration import calibrate
from convnext_vbt.learning.devices import resolve_device
from convnext_vbt.learning.features import Features
from convnext_vbt.learning.heldout import HeldOut, Predictor
from convnext_vbt.learning.labels import Labels
from convnext_vbt.learning.segments import Segments, Series, pack, scale
from convnext_vbt.learning.training import (
    NUM_CLASSES,
    ModelConfig,
    Networks,
    TrainingConfig,
    build_network,
    fit_networks,
    restore_networks,
)
from convnext_vbt.predictions import Split, SplitFit

Progress = Callable[[int, int, float, float], None]
"""(step, steps, validation loss, prior loss)"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedSplit:
    """All that predicting needs: what was learned, scale and calibration of one split."""

    predictor: Predictor | None
    """None where it was read back from a file that cannot hold it."""
    mean: np.ndarray
    """float32 (N, F), of the training range; NaN for a symbol that is hardly in it."""
    std: np.ndarray
    temperature: float
    fit: SplitFit
    quantiles: np.ndarray
    """float32 (1001,): quantiles of max(P(UP), P(DOWN)) on the calibration range."""
    nonconformity: np.ndarray
    """float32 (1001,): quantiles of 1 - P(true class) on its second half."""
    receptive_field: int
    members: tuple[FittedSplit, ...] = ()
    """Of an ensemble: each network alone, calibrated alone."""


def fit_split(
    features: Features,
    labels: Labels,
    split: Split,
    *,
    model: ModelConfig,
    training: TrainingConfig,
    seed: int,
    device: str = "cpu",
    progress: Progress | None = None,
) -> FittedSplit:
    """Train the networks, or the baseline, of one split and calibrate them.

    Weights come from `split.train` alone, early stopping from `split.valid`, temperature, quantiles
    and conformal scores from `split.calibration`; no bar after it is read. The result depends on
    the arguments (and the number of threads) only, not on any global random state.

    Raises `ValueError` when a range has no bar with both a label and a full receptive field.
    """
    device = resolve_device(device)
    num_features = len(features.names)
    mean, std = scale(features, split.train)
    series = pack(features, mean, std, split.calibration[1])
    convnext = model.kind == "convnext"
    reach = build_network(model, num_features).receptive_field if convnext else 1
    train, valid, calibration = (
        _held_out(series, labels, split, name, reach) for name in ("train", "valid", "calibration")
    )
    prior = np.bincount(train.labelled.numpy(), minlength=NUM_CLASSES) / len(train.labelled)
    # A class that the training range lacks would cost infinitely much in the validation range.
    prior_loss = float(-np.log(np.maximum(prior, 1e-6))[valid.labelled.numpy()].mean())

    def told(step: int, steps: int, loss: float) -> None:
        if progress is not None:
            progress(step, steps, loss, prior_loss)

    def calibrated(
        predictor: Predictor, steps: Sequence[int], members: tuple[FittedSplit, ...] = ()
    ) -> FittedSplit:
        found = calibrate(
            predictor.log_proba(calibration),
            calibration,
            labels,
            split,
            temperature=1.0 if model.kind == "majority" else None,  # the prior is what it is
        )
        fit = SplitFit(
            number=split.number,
            epochs=-(-sum(steps) // len(steps)),  # 0 only if no network learned anything
            valid_loss=valid.loss(predictor.log_proba(valid)),
            prior_loss=prior_loss,
            temperature=found.temperature,
            prior=(float(prior[0]), float(prior[1]), float(prior[2])),
            num_scores=found.num_scores,
        )
        return FittedSplit(
            predictor=predictor,
            mean=mean,
            std=std,
            fit=fit,
            temperature=found.temperature,
            quantiles=found.quantiles,
            nonconformity=found.nonconformity,
            receptive_field=reach,
            members=members,
        )

    if model.kind != "convnext":
        baseline, steps = fit_baseline(model.kind, train, valid, seed=seed)
        return calibrated(baseline, [steps])
    networks, kept = fit_networks(
        Segments(
            series, labels.values, split.train, context=reach - 1, length=training.segment_bars
        ),
        valid,
        base=fit_logistic(train, valid)[0] if model.base == "logistic" else None,
        prior=prior,
        num_features=num_features,
        model=model,
        training=training,
        seeds=(seed, split.number),
        device=device,
        told=told,
    )
    alone = zip(networks.members(), kept, strict=True) if len(kept) > 1 else ()
    return calibrated(networks, kept, tuple(calibrated(one, [steps]) for one, steps in alone))


def predict_range(fitted: FittedSplit, features: Features, start: int, stop: int) -> np.ndarray:
    """Probabilities of DOWN, STAY, UP at the bars [start, stop), float32 (stop - start, N, 3).

    NaN where a symbol has no bar, too short a history or no scale. A bar's value depends on the
    receptive field that ends there, not on the range it is asked in (to 1e-5).
    """
    assert fitted.predictor is not None
    series = pack(features, fitted.mean, fitted.std, stop)
    out = np.full((stop - start, len(series), NUM_CLASSES), np.nan, dtype=np.float32)
    for n, one in enumerate(series):
        rows = one.predictable((start, stop), fitted.receptive_field)
        held = HeldOut(series=[one], rows=[rows], y=torch.empty(0))
        proba = (fitted.predictor.log_proba(held) / fitted.temperature).softmax(1)
        out[one.bars[slice(*rows)] - start, n] = proba.numpy()
    return out


def predict_last(fitted: FittedSplit, features: Features) -> np.ndarray:
    """Probabilities of DOWN, STAY, UP at the last bar alone, float32 (N, 3), as `predict_range`.

    One pass of the network over the receptive field: a live decision.
    """
    assert fitted.predictor is not None
    num_bars = len(features.values)
    reach = fitted.receptive_field
    out = np.full((features.values.shape[1], NUM_CLASSES), np.nan, dtype=np.float32)
    for n, one in enumerate(pack(features, fitted.mean, fitted.std, num_bars)):
        start, stop = one.predictable((num_bars - 1, num_bars), reach)
        if start == stop:
            continue
        if isinstance(fitted.predictor, Networks):
            log_proba = fitted.predictor.log_proba_last(one.values[None, :, stop - reach : stop])
        else:
            held = HeldOut(series=[one], rows=[(start, stop)], y=torch.empty(0))
            log_proba = fitted.predictor.log_proba(held)
        out[n] = (log_proba[0] / fitted.temperature).softmax(0).numpy()
    return out


def restore(
    model: ModelConfig, num_features: int, tensors: Mapping[str, Tensor], device: str
) -> Predictor | None:
    """The predictor that these are the `tensors` of; None for one that has none."""
    if model.kind == "convnext":
        return restore_networks(model, num_features, tensors, device)
    return Linear(coef=tensors["coef"], intercept=tensors["intercept"]) if tensors else None


def _held_out(
    series: list[Series], labels: Labels, split: Split, name: str, receptive_field: int
) -> HeldOut:
    start, stop = getattr(split, name)
    held = HeldOut.of(series, labels.values, (start, stop), receptive_field)
    if not len(held.labelled):
        raise InputError(
            f"split {split.number}: no bar of the {name} range [{start}, {stop}) has both a label "
            f"and the {receptive_field} bars of history that the network reads; lengthen "
            "splits.train, or start the splits later"
        )
    return held
