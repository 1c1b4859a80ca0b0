"""One split from bars to calibrated probabilities, whatever kind of model is trained.

Dimensions: T bars, N symbols, F features, K = 3 classes, R rows of a range, over all symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from convnext_vbt.errors import InputError
from convnext_vbt.learning.calibration import calibrate
from convnext_vbt.learning.devices import resolve_device
from convnext_vbt.learning.features import Features
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.labels import Labels
from convnext_vbt.learning.models import kind_of
from convnext_vbt.learning.models.protocol import FitTask, Learned, Predictor
from convnext_vbt.learning.segments import Series, pack, scale
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig
from convnext_vbt.predictions import CLASSES, Split, SplitFit

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
    """Train the model of one split and calibrate it, and each member of an ensemble alone.

    Weights come from `split.train` alone, early stopping from `split.valid`, temperature, quantiles
    and conformal scores from `split.calibration`; no bar after it is read. The result depends on
    the arguments (and the number of threads) only, not on any global random state.

    Raises `InputError` when a range has no bar with both a label and a full receptive field.
    """
    kind = kind_of(model.kind)
    device = resolve_device(device)
    mean, std = scale(features, split.train)
    series = pack(features, mean, std, split.calibration[1])
    reach = kind.receptive_field(model, len(features.names))
    train, valid, calibration = (
        _held_out(series, labels, split, name, reach) for name in ("train", "valid", "calibration")
    )
    prior_loss = _prior_loss(train, valid)

    def report(step: int, steps: int, loss: float) -> None:
        if progress is not None:
            progress(step, steps, loss, prior_loss)

    task = FitTask(
        train=train,
        valid=valid,
        labels=labels,
        split=split,
        model=model,
        training=training,
        seed=seed,
        device=device,
        progress=report,
    )

    def calibrated(learned: Learned) -> FittedSplit:
        return _calibrated(learned, task, calibration, mean=mean, std=std, receptive_field=reach)

    learned = kind.fit(task)
    members = tuple(calibrated(member) for member in learned.members)
    return replace(calibrated(learned), members=members)


def predict_range(fitted: FittedSplit, features: Features, start: int, stop: int) -> np.ndarray:
    """Probabilities of DOWN, STAY, UP at the bars [start, stop), float32 (stop - start, N, 3).

    NaN where a symbol has no bar, too short a history or no scale. A bar's value depends on the
    receptive field that ends there, not on the range it is asked in (to 1e-5).
    """
    assert fitted.predictor is not None
    series = pack(features, fitted.mean, fitted.std, stop)
    out = np.full((stop - start, len(series), len(CLASSES)), np.nan, dtype=np.float32)
    for n, one in enumerate(series):
        rows = one.predictable((start, stop), fitted.receptive_field)
        held = HeldOut(series=[one], rows=[rows], y=torch.empty(0))
        proba = (fitted.predictor.log_proba(held) / fitted.temperature).softmax(1)
        out[one.bars[slice(*rows)] - start, n] = proba.numpy()
    return out


def predict_last(fitted: FittedSplit, features: Features) -> np.ndarray:
    """Probabilities of DOWN, STAY, UP at the last bar alone, float32 (N, 3): a live decision."""
    num_bars = len(features.values)
    last: np.ndarray = predict_range(fitted, features, num_bars - 1, num_bars)[0]
    return last


def _held_out(
    series: Sequence[Series], labels: Labels, split: Split, name: str, receptive_field: int
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


def _prior_loss(train: HeldOut, valid: HeldOut) -> float:
    """What the class frequencies of the training range score on the validation range.

    A class that the training range lacks would cost infinitely much there.
    """
    loss_K = -np.log(np.maximum(train.frequencies, 1e-6))
    return float(loss_K[valid.labelled.numpy()].mean())


def _calibrated(
    learned: Learned,
    task: FitTask,
    calibration: HeldOut,
    *,
    mean: np.ndarray,
    std: np.ndarray,
    receptive_field: int,
) -> FittedSplit:
    predictor, prior = learned.predictor, task.train.frequencies
    found = calibrate(
        predictor.log_proba(calibration),
        calibration,
        task.labels,
        task.split,
        temperature=None if kind_of(task.model.kind).tempered else 1.0,
    )
    return FittedSplit(
        predictor=predictor,
        mean=mean,
        std=std,
        fit=SplitFit(
            number=task.split.number,
            epochs=learned.epochs,
            valid_loss=task.valid.loss(predictor.log_proba(task.valid)),
            prior_loss=_prior_loss(task.train, task.valid),
            temperature=found.temperature,
            prior=(float(prior[0]), float(prior[1]), float(prior[2])),
            num_scores=found.num_scores,
        ),
        temperature=found.temperature,
        quantiles=found.quantiles,
        nonconformity=found.nonconformity,
        receptive_field=receptive_field,
    )
