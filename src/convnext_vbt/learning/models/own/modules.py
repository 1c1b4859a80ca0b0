"""A torch module of the user's own, trained by a plain loop.

AdamW on shuffled batches; after each pass over the rows the loss out of fold is looked at, and as
many passes are kept as have the least one over all folds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from convnext_vbt.learning.models.own.calls import OwnModel
from convnext_vbt.learning.models.own.rows import Cases
from convnext_vbt.learning.settings import TrainingConfig

BATCH = 256
MOST_PASSES = 40


def train_module(
    own: OwnModel, cases: Cases, places: np.ndarray, training: TrainingConfig, seed: int
) -> Iterator[int]:
    """Train the module in place on the cases at `places`; yield the pass after each one.

    AdamW with `training.lr` and `training.weight_decay`, batches of 256, cross-entropy.
    """
    optimizer = _optimizer(own, training)
    shuffler = np.random.default_rng(seed)
    for number in range(1, MOST_PASSES + 1):
        own.model.train()
        order = shuffler.permutation(places)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            _step(own, optimizer, cases.take(batch), cases.y[batch])
        yield number


def one_pass(own: OwnModel, x: np.ndarray, y: np.ndarray, training: TrainingConfig) -> None:
    """Train the module in place by one step on these cases."""
    _step(own, _optimizer(own, training), x, y)


def _optimizer(own: OwnModel, training: TrainingConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        own.model.parameters(), lr=training.lr, weight_decay=training.weight_decay
    )


def _step(own: OwnModel, optimizer: torch.optim.Optimizer, x: np.ndarray, y: np.ndarray) -> None:
    optimizer.zero_grad()
    said = own.logits(torch.from_numpy(x))
    functional.cross_entropy(said, torch.from_numpy(y)).backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def curve_of(
    own: OwnModel,
    cases: Cases,
    fit: np.ndarray,
    held: np.ndarray,
    training: TrainingConfig,
    seed: int,
) -> tuple[np.ndarray, Tensor]:
    """Log-loss at the held rows after each pass, float64 (passes,), and what was said of them.

    `fit` and `held` are bool (R,); the second is float32 (passes, held rows, K). It ends after
    `training.patience` passes without improvement.
    """
    places = np.flatnonzero(held)
    y = torch.from_numpy(cases.y[places])
    losses: list[float] = []
    said: list[Tensor] = []
    for _ in train_module(own, cases, cases.places(fit), training, seed):
        log_proba = own.log_proba(cases.blocks(places))
        said.append(log_proba)
        loss = functional.cross_entropy(log_proba, y, ignore_index=-1)
        losses.append(float(loss) if (y >= 0).any() else 0.0)
        if len(losses) - int(np.argmin(losses)) > training.patience:
            break
    return np.array(losses), torch.stack(said)
