"""Training one network: segments in, weights out, deterministic on one thread.

Dimensions: F features, K = 3 classes, B batch, L labelled bars.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from convnext_vbt.learning.devices import send, training_pass
from convnext_vbt.learning.network import ConvNeXt1d, decay_groups
from convnext_vbt.learning.optimizer import AdamW
from convnext_vbt.learning.segments import Segments
from convnext_vbt.learning.settings import TrainingConfig


def train(
    net: ConvNeXt1d,
    average: ConvNeXt1d,
    segments: Segments,
    *,
    prior: np.ndarray,
    config: TrainingConfig,
    seeds: np.random.SeedSequence,
    device: str,
) -> Iterator[int]:
    """Train `net` from random weights; yield the step at each look.

    At a look, the first before any step, `average` is the moving average of the weights, on the
    device and ready to predict. `prior` holds the class frequencies of the training range.
    """
    data_seed, net_seed = seeds.spawn(2)
    trainer = _Trainer(
        net, average,
        context=segments.context, weights=_class_weights(prior, config), config=config,
        seed=int(net_seed.generate_state(1)[0]), device=device,
    )  # fmt: skip
    batches = segments.batches(config.segments, np.random.default_rng(data_seed))
    yield 0
    for step in range(1, config.steps + 1):
        trainer.step(step, *next(batches))
        if step % config.eval_every == 0 or step == config.steps:
            yield step


class _Trainer:
    """A network, the moving average of its weights, its optimiser and its random draws."""

    def __init__(
        self,
        net: ConvNeXt1d,
        average: ConvNeXt1d,
        *,
        context: int,
        weights: Tensor,
        config: TrainingConfig,
        seed: int,
        device: str,
    ) -> None:
        self.net, self.average = net, average
        self.context, self.config, self.device = context, config, device
        self.generator = torch.Generator().manual_seed(seed)
        net.reset(self.generator)
        average.load_state_dict(net.state_dict())
        net.to(device).train()
        average.to(device).eval()
        self.weights = weights.to(device)
        self.optimizer = AdamW(decay_groups(net, config.weight_decay), lr=config.lr, fused=True)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: _lr_factor(step, config)
        )
        self.forward = training_pass(net, device)

    def step(self, step: int, x_BFL: Tensor, y_BL: Tensor) -> None:
        """One step down the gradient of a batch: bars (B, F, context + L), labels (B, L)."""
        shape = *x_BFL.shape[:2], 1
        kept_BF1 = torch.rand(shape, generator=self.generator) >= self.config.feature_dropout
        self.optimizer.zero_grad()
        # not a name keeps a step's graph: the next one may be captured, with no other alive
        _loss(
            self.forward(x_BFL * kept_BF1),
            send(y_BL, self.device),
            self.weights,
            self.config.label_smoothing,
        ).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        decay = min(self.config.ema, step / (step + 9))  # at first over fewer steps
        _average(self.average, self.net, decay)


def _loss(logits_BLK: Tensor, y_BL: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    # Weighing the classes shifts the best logits by log(weights): the shift is put in here,
    # so that the network itself learns the unweighted probabilities.
    return functional.cross_entropy(
        (logits_BLK + weights.log()).flatten(0, 1),
        y_BL.flatten(),
        weight=weights,
        ignore_index=-1,
        label_smoothing=smoothing,
    )


@torch.no_grad()
def _average(average: ConvNeXt1d, net: ConvNeXt1d, decay: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1.0 - decay)


def _class_weights(prior: np.ndarray, config: TrainingConfig) -> Tensor:
    """Inverse class frequencies, one on average over the bars."""
    if config.class_weights == "none":
        return torch.ones(len(prior))
    inverse = 1.0 / np.maximum(prior, 1e-3)
    return torch.tensor(inverse / (inverse * prior).sum(), dtype=torch.float32)


def _lr_factor(step: int, config: TrainingConfig) -> float:
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return 0.5 * (1.0 + math.cos(math.pi * done))
