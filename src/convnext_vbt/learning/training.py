"""Training one network: segments in, weights out, deterministic on one thread.

Dimensions: F features, K = 3 classes, B batch, L labelled bars.
"""

from __future__ import annotations

import math
from collections.abc import Callable

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
    valid_loss: Callable[[], float],
    offset: Callable[[Tensor], Tensor] | None,
    prior: np.ndarray,
    config: TrainingConfig,
    seeds: np.random.SeedSequence,
    device: str,
    progress: Callable[[int, float], None],
) -> int:
    """Train `net` and leave in it the best of `average`; return the step that one is from.

    `average` becomes the moving average of its weights, on the device, which `valid_loss` judges.
    `offset` gives logits (..., K) of features (..., F) that the network's are added to: it starts
    as they alone. `prior` holds the class frequencies of the training range; `progress` hears of
    (step, validation loss).
    """
    data_seed, net_seed = seeds.spawn(2)
    trainer = _Trainer(
        net, average, offset,
        context=segments.context, weights=_class_weights(prior, config), config=config,
        seed=int(net_seed.generate_state(1)[0]), device=device,
    )  # fmt: skip
    batches = segments.batches(config.segments, np.random.default_rng(data_seed))
    best, best_step, best_loss, looks_since = _copy(average), 0, valid_loss(), 0
    progress(0, best_loss)
    for step in range(1, config.steps + 1):
        trainer.step(step, *next(batches))
        if step % config.eval_every and step < config.steps:
            continue
        loss = valid_loss()
        progress(step, loss)
        looks_since += 1
        if loss < best_loss:
            best, best_step, best_loss, looks_since = _copy(average), step, loss, 0
        if looks_since >= config.patience:
            break
    net.load_state_dict(best)
    net.eval()
    return best_step


class _Trainer:
    """A network, the moving average of its weights, its optimiser and its random draws."""

    def __init__(
        self,
        net: ConvNeXt1d,
        average: ConvNeXt1d,
        offset: Callable[[Tensor], Tensor] | None,
        *,
        context: int,
        weights: Tensor,
        config: TrainingConfig,
        seed: int,
        device: str,
    ) -> None:
        self.net, self.average, self.offset = net, average, offset
        self.context, self.config, self.device = context, config, device
        self.generator = torch.Generator().manual_seed(seed)
        net.reset(self.generator)
        if offset:
            torch.nn.init.zeros_(net.head.weight)  # it starts as the offset alone
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
        bars_BLF = x_BFL[..., self.context :].transpose(1, 2)
        offset = send(self.offset(bars_BLF), self.device) if self.offset else None
        self.optimizer.zero_grad()
        # not a name keeps a step's graph: the next one may be captured, with no other alive
        _loss(
            self.forward(x_BFL * kept_BF1),
            offset,
            send(y_BL, self.device),
            self.weights,
            self.config.label_smoothing,
        ).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        decay = min(self.config.ema, step / (step + 9))  # at first over fewer steps
        _average(self.average, self.net, decay)


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
        return torch.ones(len(prior))
    inverse = 1.0 / np.maximum(prior, 1e-3)
    return torch.tensor(inverse / (inverse * prior).sum(), dtype=torch.float32)


def _lr_factor(step: int, config: TrainingConfig) -> float:
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return 0.5 * (1.0 + math.cos(math.pi * done))
