"""The ConvNeXt: an ensemble of networks, each of them trained on top of logistic regression.

Dimensions: F features, K = 3 classes, R rows of a range, B batch, L bars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from convnext_vbt.learning.devices import exact
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.models.last_bar import Linear
from convnext_vbt.learning.models.logistic import fit_logistic
from convnext_vbt.learning.models.protocol import FitTask, Learned, ModelKind
from convnext_vbt.learning.network import SIZES, ConvNeXt1d
from convnext_vbt.learning.segments import Segments, series_logits
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig
from convnext_vbt.learning.training import train
from convnext_vbt.predictions import CLASSES

FLOPS_A_SECOND = 9e10
"""What one core of a server of 2024 trains at, for the estimate of a dry run and nothing else."""


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
            num_classes=len(CLASSES),
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
    net = build_network(model, num_features)
    parameters: int = sum(p.numel() for p in net.parameters())
    bars: int = training.segments * (training.segment_bars + net.receptive_field - 1)
    return 6.0 * parameters * bars * training.steps * training.ensemble


def _seconds(model: ModelConfig, training: TrainingConfig, num_features: int) -> float:
    return training_flops(model, training, num_features) / FLOPS_A_SECOND


def _receptive_field(model: ModelConfig, num_features: int) -> int:
    reach: int = build_network(model, num_features).receptive_field
    return reach


def _fit(task: FitTask) -> Learned:
    """Networks from the training range; the validation range says which step of each is kept.

    That is none (step 0) where training never improved on the start, which is the base itself
    where there is one.
    """
    base = fit_logistic(task.train, task.valid)[0] if task.model.base == "logistic" else None
    trained = [_fit_one(task, base, member) for member in range(task.training.ensemble)]
    networks = Networks(nets=tuple(net for net, _ in trained), base=base, device=task.device)
    steps = [kept for _, kept in trained]
    alone = zip(networks.members(), steps, strict=True) if len(steps) > 1 else ()
    return Learned(
        predictor=networks,
        epochs=-(-sum(steps) // len(steps)),  # 0 only if no network learned anything
        members=tuple(Learned(predictor=one, epochs=kept) for one, kept in alone),
    )


def _fit_one(task: FitTask, base: Linear | None, member: int) -> tuple[ConvNeXt1d, int]:
    """One network of the ensemble, and the step that it is from."""
    training = task.training
    net, average = (build_network(task.model, task.num_features) for _ in range(2))
    predictor = Networks(nets=(average,), base=base, device=task.device)
    steps_before = member * training.steps

    def progress(step: int, loss: float) -> None:
        task.progress(steps_before + step, training.ensemble * training.steps, loss)

    with exact(task.device):
        kept = train(
            net,
            average,
            Segments(
                task.train.series,
                task.labels.values,
                task.split.train,
                context=net.receptive_field - 1,
                length=training.segment_bars,
            ),
            valid_loss=lambda: task.valid.loss(predictor.log_proba(task.valid)),
            offset=base.logits if base else None,
            prior=task.train.frequencies,
            config=training,
            seeds=np.random.SeedSequence([task.seed, task.split.number, member]),
            device=task.device,
            progress=progress,
        )
    return net, kept


def _restore(
    model: ModelConfig, num_features: int, tensors: Mapping[str, Tensor], device: str
) -> list[Networks]:
    """The networks that these are the `Networks.tensors` of, and each by itself if several."""
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
    networks = Networks(nets=tuple(nets), base=Linear(**base) if base else None, device=device)
    return [networks, *(networks.members() if len(nets) > 1 else ())]


CONVNEXT = ModelKind(
    name="network",
    fit=_fit,
    restore=_restore,
    receptive_field=_receptive_field,
    seconds=_seconds,
    uses_card=True,
)
