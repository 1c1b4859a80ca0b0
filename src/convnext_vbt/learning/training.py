"""Training the networks of one split: segments in, weights out, deterministic on one thread.

Dimensions: F features, K = 3 classes, R rows of a range, B batch, L labelled bars.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from convnext_vbt.errors import InputError
from convnext_vbt.learning.baselines import Linear
from convnext_vbt.learning.devices import exact, send, training_pass
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.model import SIZES, ConvNeXt1d, decay_groups
from convnext_vbt.learning.optimizer import AdamW
from convnext_vbt.learning.segments import Segments, series_logits
from convnext_vbt.predictions import CLASSES

NUM_CLASSES = len(CLASSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """What is trained: `[model]` of a strategy file. All but `kind` describes the network."""

    kind: Literal["convnext", "logistic", "boosting", "majority"] = "convnext"
    """The network, or a baseline: logistic regression or gradient-boosted trees on the last bar's
    features, or the class frequencies of the training range (`learning.baselines`)."""
    base: Literal["logistic", "none"] = "logistic"
    """What the network's logits are added to: those of logistic regression on the last bar's
    features, so that it has only to learn what they leave, or nothing."""
    size: str | None = None
    """A named size (atto, femto, pico, nano, tiny, small) instead of depths and dims."""
    depths: tuple[int, ...] = (1, 1, 3, 1)
    """Blocks in each stage."""
    dims: tuple[int, ...] = (16, 32, 64, 128)
    """Channels of each stage."""
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
            raise InputError(f"model.size must be one of {', '.join(SIZES)}, got {self.size!r}")
        if len(self.depths) != len(self.dims) or not self.depths:
            raise InputError(
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
    segments: int = 1
    """Segments a step."""
    segment_bars: int = 2048
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
    """Networks from different seeds whose probabilities are averaged; with two or more, what each
    says alone is kept too (`Predictions.members`)."""

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
class Networks:
    """An ensemble whose probabilities are averaged."""

    nets: tuple[ConvNeXt1d, ...]
    """On `device`, in evaluation mode."""
    base: Linear | None
    """Its logits are added to those of every network."""
    device: str

    @torch.inference_mode()
    def log_proba(self, held: HeldOut) -> Tensor:
        """Log of the networks' mean probability at the rows, (R, K)."""
        offset = self.base.logits(held.last_bars) if self.base else torch.zeros(())
        total = torch.zeros(())
        with exact(self.device):
            for net in self.nets:
                pairs = zip(held.series, held.rows, strict=True)
                parts = [series_logits(net, *pair, self.device) for pair in pairs]
                total = total + (torch.cat(parts) + offset).softmax(1)
        return (total / len(self.nets)).log()

    @torch.inference_mode()
    def log_proba_last(self, x_BFL: Tensor) -> Tensor:
        """The same at the last bar of windows as long as the receptive field, (B, K): one live bar.

        `forward` computes a thirtieth of what a dense pass over the window would.
        """
        x = send(x_BFL, self.device)
        offset = self.base.logits(x_BFL[..., -1]) if self.base else torch.zeros(())
        with exact(self.device):
            logits = [net(x).float().cpu() + offset for net in self.nets]
        total = sum((one.softmax(1) for one in logits), torch.zeros(()))
        return (total / len(self.nets)).log()

    def members(self) -> tuple[Networks, ...]:
        """Each network by itself."""
        return tuple(replace(self, nets=(net,)) for net in self.nets)

    def tensors(self) -> dict[str, Tensor]:
        """The weights as "member.parameter", on the CPU, and the base's as "base.name"."""
        base = self.base.tensors() if self.base else {}
        return {f"base.{name}": value for name, value in base.items()} | {
            f"{member}.{name}": value.cpu().contiguous()
            for member, net in enumerate(self.nets)
            for name, value in net.state_dict().items()
        }


def build_network(model: ModelConfig, num_features: int) -> ConvNeXt1d:
    """The network that `model` describes, with weights that nobody should keep."""
    depths, dims = SIZES[model.size] if model.size else (model.depths, model.dims)
    with torch.random.fork_rng(devices=[]):  # building one draws weights
        return ConvNeXt1d(
            num_features,
            num_classes=NUM_CLASSES,
            depths=depths,
            dims=dims,
            kernel_size=model.kernel_size,
            layer_scale=model.layer_scale,
            drop_path=model.drop_path,
            pool=model.pool,
        )


def training_flops(model: ModelConfig, training: TrainingConfig, num_features: int) -> float:
    """Floating-point operations that training one split takes at most, early stopping aside.

    Six an input bar and parameter (forward, and backward twice that), because the dense network
    holds one token a bar at every stage.
    """
    with torch.random.fork_rng(devices=[]):
        net = build_network(model, num_features)
    parameters: int = sum(p.numel() for p in net.parameters())
    bars: int = training.segments * (training.segment_bars + net.receptive_field - 1)
    return 6.0 * parameters * bars * training.steps * training.ensemble


def restore_networks(
    model: ModelConfig, num_features: int, tensors: Mapping[str, Tensor], device: str
) -> Networks:
    """The networks that these are the `Networks.tensors` of."""
    states: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        owner, _, parameter = name.partition(".")
        states.setdefault(owner, {})[parameter] = value
    base = states.pop("base", None)
    nets = []
    for _, state in sorted(states.items(), key=lambda pair: int(pair[0])):
        net = build_network(model, num_features)
        net.load_state_dict(state)
        nets.append(net.to(device).eval())
    return Networks(nets=tuple(nets), base=Linear(**base) if base else None, device=device)


def fit_networks(
    segments: Segments,
    valid: HeldOut,
    *,
    base: Linear | None,
    prior: np.ndarray,
    num_features: int,
    model: ModelConfig,
    training: TrainingConfig,
    seeds: Sequence[int],
    device: str,
    told: Callable[[int, int, float], None],
) -> tuple[Networks, list[int]]:
    """The networks of one split and the steps that each of them took.

    Weights come from `segments` alone, the rows of `valid` say which are kept: none (step 0) where
    training never improved on the start, which is `base` itself where there is one. `prior` holds
    the class frequencies of the training range; `told` hears of (step, steps, validation loss).
    """
    nets, kept_steps = [], []
    for member in range(training.ensemble):

        def told_of(step: int, loss: float, before: int = member * training.steps) -> None:
            told(before + step, training.ensemble * training.steps, loss)

        net = build_network(model, num_features)
        with exact(device):
            kept = _train(
                net,
                build_network(model, num_features),
                base,
                segments,
                valid,
                weights=_class_weights(prior, training),
                config=training,
                seeds=np.random.SeedSequence([*seeds, member]),
                device=device,
                told=told_of,
            )
        nets.append(net)
        kept_steps.append(kept)
    return Networks(nets=tuple(nets), base=base, device=device), kept_steps


def _train(
    net: ConvNeXt1d,
    average: ConvNeXt1d,
    base: Linear | None,
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
    if base:
        torch.nn.init.zeros_(net.head.weight)  # it starts as the base alone
    average.load_state_dict(net.state_dict())
    net.to(device).train()
    average.to(device).eval()
    weights = weights.to(device)
    optimizer = AdamW(decay_groups(net, config.weight_decay), lr=config.lr, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _lr_factor(step, config))
    batches = segments.batches(config.segments, np.random.default_rng(data_seed))
    predictor = Networks(nets=(average,), base=base, device=device)
    best_loss = valid.loss(predictor.log_proba(valid))
    forward = training_pass(net, device)
    best, best_step, looks_since = _copy(average), 0, 0
    told(0, best_loss)
    for step in range(1, config.steps + 1):
        x_BFL, y_BL = next(batches)
        kept_BF1 = torch.rand(*x_BFL.shape[:2], 1, generator=generator) >= config.feature_dropout
        bars_BLF = x_BFL[..., segments.context :].transpose(1, 2)
        offset = send(base.logits(bars_BLF), device) if base else None
        optimizer.zero_grad()
        # not a name keeps a step's graph: the next one may be captured, with no other alive
        _loss(
            forward(x_BFL * kept_BF1), offset, send(y_BL, device), weights, config.label_smoothing
        ).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        _average(average, net, min(config.ema, step / (step + 9)))  # at first over fewer steps
        if step % config.eval_every and step < config.steps:
            continue
        valid_loss = valid.loss(predictor.log_proba(valid))
        told(step, valid_loss)
        looks_since += 1
        if valid_loss < best_loss:
            best = _copy(average)
            best_step, best_loss, looks_since = step, valid_loss, 0
        if looks_since >= config.patience:
            break
    net.load_state_dict(best)
    net.eval()
    return best_step


def _loss(
    logits_BLK: Tensor, offset: Tensor | None, y_BL: Tensor, weights: Tensor, smoothing: float
) -> Tensor:
    if offset is not None:
        logits_BLK = logits_BLK + offset
    # Weighing the classes shifts the best logits by log(weights): the shift is put in here,
    # so that the network itself learns the unweighted probabilities.
    return functional.cross_entropy(
        (logits_BLK + weights.log()).flatten(0, 1),
        y_BL.flatten(),
        weight=weights,
        ignore_index=-1,
        label_smoothing=smoothing,
    )


def _copy(net: ConvNeXt1d) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


@torch.no_grad()
def _average(average: ConvNeXt1d, net: ConvNeXt1d, decay: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1.0 - decay)


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
        raise InputError(f"{key} must be {what}, got {value!r}")
