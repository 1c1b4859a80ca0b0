"""The ConvNeXt: what a network sees in the bars, weighed beside the last bar's features.

The network is a prior, trained beforehand on simulated markets and taken as it is; or one of its
own, trained on nothing but the training range. Then each fold has a network of its own that has not
seen it, and the head is fitted on what those say out of fold.
Dimensions: F features, K = 3 classes, R rows of a range, over all symbols.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from convnext_vbt.errors import InputError
from convnext_vbt.learning.calibration import label_bars
from convnext_vbt.learning.devices import exact
from convnext_vbt.learning.folds import FoldRows
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.labels import NO_LABEL
from convnext_vbt.learning.models.head import Columns, Head, fit_head, joined, last_bar_columns
from convnext_vbt.learning.models.prior_file import Prior, load_prior
from convnext_vbt.learning.models.protocol import FitTask, Learned, ModelKind
from convnext_vbt.learning.models.trunk import SCALE, Trunk
from convnext_vbt.learning.network import SIZES, ConvNeXt1d
from convnext_vbt.learning.segments import Segments, Series
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig, describes_network
from convnext_vbt.learning.training import train
from convnext_vbt.predictions import CLASSES, UP

FLOPS_A_SECOND = 9e10
"""What one core of a server of 2024 trains at, for the estimate of a dry run and nothing else."""
SECONDS_OF_PRIOR = 1.5
"""About what a split takes where nothing is trained, likewise."""
NUM_FOLDS = 5
_SHA256 = "prior_sha256"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seeing:
    """The head on a trunk's columns and, with `base`, the last bar's features."""

    trunk: Trunk
    head: Head
    base: bool
    prior: Prior | None
    """What the trunk is; None where it was trained."""
    member_heads: tuple[Head, ...] = ()
    """Of an ensemble: the heads of its networks, each alone."""

    def log_proba(self, held: HeldOut) -> Tensor:
        """Log-probabilities at the rows, (R, K)."""
        return self.head.log_proba(_columns(self.trunk.columns(held), held, base=self.base))

    def tensors(self) -> dict[str, Tensor]:
        """The heads', the prior's hash, and "member.parameter" of networks that were trained."""
        tensors = {
            f"heads.{i}.{name}": value
            for i, head in enumerate((self.head, *self.member_heads))
            for name, value in (("move", head.move), ("direction", head.direction))
        }
        if self.trunk.inputs is not None:
            tensors["inputs"] = self.trunk.inputs
        if self.prior is not None:
            tensors[_SHA256] = _bytes(self.prior.sha256)
        return tensors | {
            f"{member}.{name}": value.cpu().contiguous()
            for member, net in enumerate(() if self.prior else self.trunk.nets)
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
    """Floating-point operations that training one network for one split takes at most.

    Six an input bar and parameter (forward, and backward twice that), because the dense network
    holds one token a bar at every stage.
    """
    net = build_network(model, num_features)
    parameters: int = sum(p.numel() for p in net.parameters())
    bars: int = training.segments * (training.segment_bars + net.receptive_field - 1)
    return 6.0 * parameters * bars * training.steps


def _seconds(model: ModelConfig, training: TrainingConfig, num_features: int) -> float:
    if model.prior != "none":
        return SECONDS_OF_PRIOR
    networks = training.ensemble * (NUM_FOLDS + 1)
    return 1.0 + networks * training_flops(model, training, num_features) / FLOPS_A_SECOND


def _prior(model: ModelConfig) -> Prior | None:
    return None if model.prior == "none" else load_prior(model.prior)


def _receptive_field(model: ModelConfig, num_features: int) -> int:
    prior = _prior(model)
    net = build_network(model, num_features) if prior is None else prior.network()
    reach: int = net.receptive_field
    return reach


def _check(model: ModelConfig, training: TrainingConfig, names: tuple[str, ...]) -> None:
    prior = _prior(model)
    if prior is None:
        return
    if describes_network(model, training):
        raise InputError(
            "[training], or [model], describes a network of its own, but model.prior = "
            f'"{model.prior}" is taken as it is; leave its keys out, or set model.prior = "none"'
        )
    lacking = [name for name in prior.features if name not in names]
    if lacking:
        some = ", ".join(lacking[:5]) + f" and {len(lacking) - 5} more" * (len(lacking) > 5)
        raise InputError(
            f'model.prior = "{model.prior}" reads features that are not there: {some}; '
            "features.names leaves them out, or the bars lack what they are made of. Set "
            'model.prior = "none" to train a network of these features, or let all of them be there'
        )


def _reads(model: ModelConfig) -> str | None:
    prior = _prior(model)
    return None if prior is None else prior.sha256


def _fit(task: FitTask) -> Learned:
    """The trunk, as it is or trained, and the head on its columns out of fold."""
    prior = _prior(task.model)
    if prior is not None:
        trunk = _trunk_of(prior, task)
        return _headed(task, prior, trunk, trunk.columns(task.train), steps=None)
    with exact(task.device):
        made = [_train(task, member) for member in range(task.training.ensemble)]
    alone = [_headed(task, None, one.trunk, one.columns, steps=one.steps) for one in made]
    if len(made) == 1:
        return alone[0]
    trunk = Trunk(
        nets=tuple(net for one in made for net in one.trunk.nets),
        inputs=None,
        moves=None,
        device=task.device,
    )
    columns = _mean_columns([one.columns for one in made])
    steps = -(-sum(one.steps for one in made) // len(made))  # 0 only if none learned anything
    return _headed(task, None, trunk, columns, steps=steps, members=alone)


def _headed(
    task: FitTask,
    prior: Prior | None,
    trunk: Trunk,
    columns: Columns,
    *,
    steps: int | None,
    members: Sequence[Learned] = (),
) -> Learned:
    """The head on columns out of fold, reading the trunk from now on."""
    base = task.model.base == "logistic"
    every = _columns(columns, task.train, base=base)
    lasting = label_bars(task.labels, task.split.train)
    fitted = fit_head(every, task.train.y.numpy(), task.folds, label_bars=lasting)
    predictor = Seeing(
        trunk=trunk,
        head=fitted.head,
        base=base,
        prior=prior,
        member_heads=tuple(_head_of(one) for one in members),
    )
    return Learned(
        predictor=predictor,
        out_of_fold=fitted.out_of_fold,
        epochs=steps,
        members=tuple(members),
    )


def _head_of(learned: Learned) -> Head:
    assert isinstance(learned.predictor, Seeing)
    return learned.predictor.head


def _columns(of_trunk: Columns, held: HeldOut, *, base: bool) -> Columns:
    return last_bar_columns(held).beside(of_trunk) if base else of_trunk


def _mean_columns(parts: Sequence[Columns]) -> Columns:
    return Columns(
        move=np.mean([one.move for one in parts], axis=0),
        features=parts[0].features,
        experts=np.mean([one.experts for one in parts], axis=0),
    )


def _trunk_of(prior: Prior, task: FitTask) -> Trunk:
    return Trunk(
        nets=(prior.network().to(task.device),),
        inputs=torch.tensor([task.names.index(name) for name in prior.features]),
        moves=len(prior.horizons),
        device=task.device,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Trained:
    trunk: Trunk
    columns: Columns
    """Out of fold."""
    steps: int


def _train(task: FitTask, member: int) -> _Trained:
    """A network trained for as many steps as have the least loss out of fold, on everything.

    All folds' networks are trained side by side, so that training stops when their common loss has
    not fallen for `training.patience` looks.
    """
    training = task.training
    in_folds = [_steps(task, member, 1 + k) for k in range(len(task.folds))]
    best: Columns | None = None
    best_step, best_loss, looks_since = 0, np.inf, 0
    for looks in zip(*in_folds, strict=True):
        step = looks[0][0]
        columns = _at_held(task, [trunk for _, trunk in looks])
        loss = _loss(columns, task)
        task.progress(member * training.steps + step, training.ensemble * training.steps, loss)
        looks_since += 1
        if loss < best_loss:
            best, best_step, best_loss, looks_since = columns, step, loss, 0
        if looks_since >= training.patience:
            break
    assert best is not None
    on_all = _steps(task, member, 0)
    trunk = next(trunk for step, trunk in on_all if step == best_step)
    return _Trained(trunk=trunk, columns=best, steps=best_step)


def _steps(task: FitTask, member: int, place: int) -> Iterator[tuple[int, Trunk]]:
    """A network in training, at each look: on all labels, or from place 1 on on those of a fold."""
    net, average = (build_network(task.model, task.num_features) for _ in range(2))
    trunk = Trunk(nets=(average,), inputs=None, moves=None, device=task.device)
    series, labels_TN = _both_views(task, task.folds[place - 1] if place else None)
    looks = train(
        net,
        average,
        Segments(
            series,
            labels_TN,
            task.split.train,
            context=net.receptive_field - 1,
            length=task.training.segment_bars,
        ),
        prior=task.train.frequencies,
        config=task.training,
        seeds=np.random.SeedSequence([task.seed, task.split.number, member, place]),
        device=task.device,
    )
    for step in looks:
        yield step, trunk


def _both_views(task: FitTask, fold: FoldRows | None) -> tuple[list[Series], np.ndarray]:
    """The series and, beside them, their mirror images, with the labels that may be learned."""
    labels_TN = task.labels.values
    if fold is not None:
        allowed_T = fold.bars.may_fit(np.arange(len(labels_TN)))
        labels_TN = np.where(allowed_T[:, None], labels_TN, NO_LABEL)
    mirrored = task.train.mirrored
    if mirrored is None:
        return list(task.train.series), labels_TN
    other_TN = np.where(labels_TN == NO_LABEL, NO_LABEL, UP - labels_TN)
    return [*task.train.series, *mirrored.series], np.hstack([labels_TN, other_TN])


def _at_held(task: FitTask, trunks: Sequence[Trunk]) -> Columns:
    """Each fold's rows as its own network sees them, and nobody else's."""
    num_rows = len(task.train.y)
    out = Columns(
        move=np.empty((num_rows, 1)),
        features=np.empty((num_rows, 0)),
        experts=np.empty((num_rows, 1)),
    )
    for fold, trunk in zip(task.folds, trunks, strict=True):
        reach = trunk.nets[0].receptive_field
        rows = HeldOut.of(task.train.series, task.labels.values, fold.bars.held, reach)
        part, held = trunk.columns(rows), fold.held.numpy()
        out.move[held], out.experts[held] = part.move, part.experts
    return out


def _loss(columns: Columns, task: FitTask) -> float:
    """What the network's own logits, without the head, cost at the labelled rows."""
    return task.train.loss(joined(columns.move[:, 0] / SCALE, columns.experts[:, 0]))


def _restore(
    model: ModelConfig, num_features: int, tensors: Mapping[str, Tensor], device: str
) -> list[Seeing]:
    """What these are the `Seeing.tensors` of, and each network by itself if there are several.

    Raises `InputError` where the prior's file is not the one that it was made with.
    """
    prior = _prior(model)
    sha256 = tensors.get(_SHA256)
    if prior is not None and (sha256 is None or not torch.equal(sha256, _bytes(prior.sha256))):
        raise InputError(
            f'it was made with another prior than model.prior = "{model.prior}" is here'
        )
    states: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        owner, _, parameter = name.partition(".")
        states.setdefault(owner, {})[parameter] = value
    parts = states.pop("heads")
    heads = [
        Head(move=parts[f"{i}.move"], direction=parts[f"{i}.direction"])
        for i in range(len(parts) // 2)
    ]
    members = [states[name] for name in sorted(filter(str.isdecimal, states), key=int)]
    nets = []
    for state in members:
        net = build_network(model, num_features)
        net.load_state_dict(state)
        nets.append(net)
    if not nets:
        assert prior is not None
        nets = [prior.network()]
    trunk = Trunk(
        nets=tuple(net.to(device).eval() for net in nets),
        inputs=tensors.get("inputs"),
        moves=None if prior is None else len(prior.horizons),
        device=device,
    )

    def seeing(trunk: Trunk, place: int) -> Seeing:
        return Seeing(
            trunk=trunk, head=heads[place], base=model.base == "logistic", prior=prior,
            member_heads=tuple(heads[1:]) if place == 0 else (),
        )  # fmt: skip

    alone = trunk.members() if len(heads) > 1 else ()
    return [seeing(trunk, 0), *(seeing(one, m) for m, one in enumerate(alone, start=1))]


def _bytes(digest: str) -> Tensor:
    return torch.tensor(list(bytes.fromhex(digest)), dtype=torch.uint8)


CONVNEXT = ModelKind(
    name="network",
    fit=_fit,
    restore=_restore,
    receptive_field=_receptive_field,
    seconds=_seconds,
    uses_card=True,
    check=_check,
    reads=_reads,
)
