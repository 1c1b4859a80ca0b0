"""Training one split: segments in, calibrated probabilities out, deterministic on one thread.

Dimensions: T bars, N symbols, F features, K = 3 classes, R labelled rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from convnext_vbt.learning.features import Features
from convnext_vbt.learning.heldout import HeldOut, fit_temperature
from convnext_vbt.learning.labels import Labels
from convnext_vbt.learning.model import SIZES, ConvNeXt1d, decay_groups
from convnext_vbt.learning.segments import Segments, Series, pack, scale
from convnext_vbt.predictions import CLASSES, DOWN, QUANTILE_LEVELS, UP, Range, Split, SplitFit

NUM_CLASSES = len(CLASSES)
Progress = Callable[[int, int, float, float], None]
"""(step, steps, validation loss, prior loss)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The network: `[model]` of a strategy file."""

    size: str | None = None
    """A named size (atto, femto, pico, nano, tiny, small) instead of depths and dims."""
    depths: tuple[int, ...] = (1, 1, 3, 1)
    """Blocks in each stage."""
    dims: tuple[int, ...] = (64, 64, 64, 128)
    """Channels of each stage. A stem of 16 channels loses most of about thirty features."""
    kernel_size: int = 7
    """Taps of the depthwise convolutions."""
    version: Literal[1, 2] = 1
    """ConvNeXt version; walk-forward needs 1, because GRN of version 2 is not causal."""
    layer_scale: float = 0.1
    """Start of the factor on each block's branch (1e-6 belongs to 300 epochs)."""
    drop_path: float = 0.1
    """Share of branches dropped in the last block while training; it rises from 0 linearly."""
    pool: int = 1
    """Tokens that the head averages; 1 reads the last one only."""

    def __post_init__(self) -> None:
        if self.size is not None and self.size not in SIZES:
            raise ValueError(f"model.size must be one of {', '.join(SIZES)}, got {self.size!r}")
        if len(self.depths) != len(self.dims) or not self.depths:
            raise ValueError(
                "model.depths and model.dims must be of equal length, got "
                f"{self.depths} and {self.dims}"
            )
        for key in ("depths", "dims"):
            _check(f"model.{key}", getattr(self, key), min(getattr(self, key)) >= 1, "all >= 1")
        _check("model.kernel_size", self.kernel_size, self.kernel_size >= 2, "at least 2")
        _check(
            "model.version", self.version, self.version == 1, "1: GRN of version 2 reads the future"
        )
        _check("model.layer_scale", self.layer_scale, self.layer_scale > 0, "positive")
        _check("model.drop_path", self.drop_path, 0 <= self.drop_path < 1, "in [0, 1)")
        _check("model.pool", self.pool, self.pool >= 1, "at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How a split is trained: `[training]` of a strategy file."""

    steps: int = 40
    """Optimiser steps at most; few, because a training year is soon known by heart."""
    lr: float = 1e-3
    """Peak learning rate of AdamW."""
    warmup_steps: int = 10
    """Steps in which the learning rate rises to its peak; then it falls as a cosine to zero."""
    weight_decay: float = 0.05
    """AdamW's weight decay, on matrices and kernels only."""
    segments: int = 4
    """Segments a step."""
    segment_bars: int = 512
    """Labelled bars a segment; a receptive field of context comes before them."""
    label_smoothing: float = 0.1
    """Share of each label that is spread evenly over the classes."""
    feature_dropout: float = 0.5
    """Chance that a feature is blanked throughout a training segment, so that none is leant on."""
    class_weights: Literal["none", "balanced"] = "none"
    """"balanced" weighs classes by inverse frequency; probabilities are corrected for it."""
    ema: float = 0.9
    """Decay a step of the moving average of the weights that predicts; 0 takes the last weights."""
    eval_every: int = 5
    """Steps between two looks at the validation range; the best weights are kept."""
    patience: int = 5
    """Looks without improvement after which training stops."""
    ensemble: int = 1
    """Networks from different seeds whose probabilities are averaged."""

    def __post_init__(self) -> None:
        for key in ("steps", "segments", "segment_bars", "eval_every", "patience", "ensemble"):
            _check(f"training.{key}", getattr(self, key), getattr(self, key) >= 1, "at least 1")
        _check("training.lr", self.lr, self.lr > 0, "positive")
        for key in ("warmup_steps", "weight_decay"):
            _check(f"training.{key}", getattr(self, key), getattr(self, key) >= 0, "at least 0")
        for key in ("label_smoothing", "feature_dropout", "ema"):
            _check(f"training.{key}", getattr(self, key), 0 <= getattr(self, key) < 1, "in [0, 1)")
        known = self.class_weights in ("none", "balanced")
        _check("training.class_weights", self.class_weights, known, '"none" or "balanced"')


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedSplit:
    """All that predicting needs: weights, scale and temperature of one split."""

    states: list[dict[str, Tensor]]
    """The weights of each network of the ensemble, on the CPU."""
    mean: np.ndarray
    """float32 (N, F), of the training range; NaN for a symbol that is hardly in it."""
    std: np.ndarray
    temperature: float
    fit: SplitFit
    quantiles: np.ndarray
    """float32 (1001,): quantiles of max(P(UP), P(DOWN)) on the calibration range."""
    receptive_field: int


def resolve_device(name: str) -> str:
    """The device that "cpu", "cuda" or "auto" (the GPU where there is one) means here.

    Raises `ValueError` for another name, or for "cuda" where there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f'device must be "auto", "cpu" or "cuda", got {name!r}')
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ValueError('device "cuda" was asked for but torch sees no GPU; use "cpu" or "auto"')
    return ("cuda" if there else "cpu") if name == "auto" else name


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
    """Train the networks of one split and calibrate them.

    Weights come from `split.train` alone, early stopping from `split.valid`, temperature and
    quantiles from `split.calibration`; no bar after it is read. The result depends on the
    arguments (and torch's thread count) only, not on any global random state.

    Raises `ValueError` when a range has no bar with both a label and a full receptive field.
    """
    device = resolve_device(device)
    mean, std = scale(features, split.train)
    series = pack(features, mean, std, split.calibration[1])
    reach = _network(model, features).receptive_field
    train, valid, calibration = (
        _held_out(series, labels, split, name, reach) for name in ("train", "valid", "calibration")
    )
    counts = np.bincount(train.labelled.numpy(), minlength=NUM_CLASSES)
    prior = counts / counts.sum()
    # A class that the training range lacks would cost infinitely much in the validation range.
    prior_loss = float(-np.log(np.maximum(prior, 1e-6))[valid.labelled.numpy()].mean())
    segments = Segments(
        series, labels.values, split.train, context=reach - 1, length=training.segment_bars
    )
    nets, kept_steps = [], []
    for member in range(training.ensemble):

        def told(step: int, loss: float, before: int = member * training.steps) -> None:
            if progress is not None:
                progress(before + step, training.ensemble * training.steps, loss, prior_loss)

        net = _network(model, features)
        kept = _train(
            net,
            _network(model, features),
            segments,
            valid,
            weights=_class_weights(prior, training),
            config=training,
            seeds=np.random.SeedSequence([seed, split.number, member]),
            device=device,
            told=told,
        )
        nets.append(net)
        kept_steps.append(kept)
    log_proba = calibration.log_proba(nets, device)
    temperature = fit_temperature(
        log_proba, calibration, label_bars=_label_bars(labels, split.calibration)
    )
    confidence = (log_proba / temperature).softmax(1)[:, [DOWN, UP]].amax(1)
    return FittedSplit(
        states=[{k: v.cpu().contiguous() for k, v in net.state_dict().items()} for net in nets],
        mean=mean,
        std=std,
        temperature=temperature,
        fit=SplitFit(
            number=split.number,
            epochs=round(sum(kept_steps) / len(kept_steps)),
            valid_loss=valid.loss(valid.log_proba(nets, device)),
            prior_loss=prior_loss,
            temperature=temperature,
            prior=(float(prior[0]), float(prior[1]), float(prior[2])),
        ),
        quantiles=np.quantile(confidence.numpy(), QUANTILE_LEVELS).astype(np.float32),
        receptive_field=reach,
    )


def predict_range(
    fitted: FittedSplit,
    features: Features,
    start: int,
    stop: int,
    *,
    model: ModelConfig,
    device: str = "cpu",
) -> np.ndarray:
    """Probabilities of DOWN, STAY, UP at the bars [start, stop), float32 (stop - start, N, 3).

    NaN where a symbol has no bar, too short a history or no scale. A bar's value depends on the
    receptive field that ends there, not on the range it is asked in (to 1e-5).
    """
    device = resolve_device(device)
    series = pack(features, fitted.mean, fitted.std, stop)
    nets = [_network(model, features) for _ in fitted.states]
    for net, state in zip(nets, fitted.states, strict=True):
        net.load_state_dict(state)
        net.to(device).eval()
    out = np.full((stop - start, len(series), NUM_CLASSES), np.nan, dtype=np.float32)
    for n, one in enumerate(series):
        rows = one.predictable((start, stop), fitted.receptive_field)
        held = HeldOut(series=[one], rows=[rows], y=torch.empty(0))
        proba = (held.log_proba(nets, device) / fitted.temperature).softmax(1)
        out[one.bars[slice(*rows)] - start, n] = proba.numpy()
    return out


def _network(model: ModelConfig, features: Features) -> ConvNeXt1d:
    depths, dims = SIZES[model.size] if model.size else (model.depths, model.dims)
    with torch.random.fork_rng(devices=[]):  # building one draws weights, which nobody keeps
        return ConvNeXt1d(
            len(features.names),
            num_classes=NUM_CLASSES,
            depths=depths,
            dims=dims,
            kernel_size=model.kernel_size,
            layer_scale=model.layer_scale,
            drop_path=model.drop_path,
            pool=model.pool,
        )


def _held_out(
    series: list[Series], labels: Labels, split: Split, name: str, receptive_field: int
) -> HeldOut:
    start, stop = getattr(split, name)
    held = HeldOut.of(series, labels.values, (start, stop), receptive_field)
    if not len(held.labelled):
        raise ValueError(
            f"split {split.number}: no bar of the {name} range [{start}, {stop}) has both a label "
            f"and the {receptive_field} bars of history that the network reads; lengthen "
            "splits.train, or start the splits later"
        )
    return held


def _label_bars(labels: Labels, bars: Range) -> float:
    """How many bars a label lasts on average, from its own to the one that decides it."""
    lasting_TN = (labels.end - np.arange(len(labels.end))[:, None])[slice(*bars)]
    return float(lasting_TN[labels.values[slice(*bars)] >= 0].mean())


def _train(
    net: ConvNeXt1d,
    average: ConvNeXt1d,
    segments: Segments,
    valid: HeldOut,
    *,
    weights: Tensor,
    config: TrainingConfig,
    seeds: np.random.SeedSequence,
    device: str,
    told: Callable[[int, float], None],
) -> int:
    """Train `net` and leave in it the best of `average`; return the step that one is from."""
    data_seed, net_seed = seeds.spawn(2)
    generator = torch.Generator().manual_seed(int(net_seed.generate_state(1)[0]))
    net.reset(generator)
    average.load_state_dict(net.state_dict())
    net.to(device).train()
    average.to(device).eval()
    weights = weights.to(device)
    optimizer = torch.optim.AdamW(decay_groups(net, config.weight_decay), lr=config.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _lr_factor(step, config))
    batches = segments.batches(config.segments, np.random.default_rng(data_seed))
    best, best_step, best_loss, looks_since = net.state_dict(), 0, math.inf, 0
    for step in range(1, config.steps + 1):
        x_BFL, y_BL = next(batches)
        kept_BF1 = torch.rand(*x_BFL.shape[:2], 1, generator=generator) >= config.feature_dropout
        logits_BLK = net.forward_valid((x_BFL * kept_BF1).to(device))
        # Weighing the classes shifts the best logits by log(weights): the shift is put in here,
        # so that the network itself learns the unweighted probabilities.
        loss = functional.cross_entropy(
            (logits_BLK + weights.log()).flatten(0, 1),
            y_BL.flatten().to(device),
            weight=weights,
            ignore_index=-1,
            label_smoothing=config.label_smoothing,
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        _average(average, net, min(config.ema, step / (step + 9)))  # at first over fewer steps
        if step % config.eval_every and step < config.steps:
            continue
        valid_loss = valid.loss(valid.log_proba([average], device))
        told(step, valid_loss)
        looks_since += 1
        if valid_loss < best_loss:
            best = {name: value.clone() for name, value in average.state_dict().items()}
            best_step, best_loss, looks_since = step, valid_loss, 0
        if looks_since >= config.patience:
            break
    net.load_state_dict(best)
    net.eval()
    return best_step


@torch.no_grad()
def _average(average: ConvNeXt1d, net: ConvNeXt1d, decay: float) -> None:
    for slow, fast in zip(average.parameters(), net.parameters(), strict=True):
        slow.lerp_(fast, 1.0 - decay)


def _class_weights(prior: np.ndarray, config: TrainingConfig) -> Tensor:
    """Inverse class frequencies, one on average over the bars."""
    if config.class_weights == "none":
        return torch.ones(NUM_CLASSES)
    inverse = 1.0 / np.maximum(prior, 1e-3)
    return torch.tensor(inverse / (inverse * prior).sum(), dtype=torch.float32)


def _lr_factor(step: int, config: TrainingConfig) -> float:
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return 0.5 * (1.0 + math.cos(math.pi * done))


def _check(key: str, value: object, ok: bool, what: str) -> None:
    if not ok:
        raise ValueError(f"{key} must be {what}, got {value!r}")
