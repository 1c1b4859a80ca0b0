"""A model of the user's own, `model.file`: scikit-learn's fit and predict_proba, or a torch module.

It is fitted on the rows of the training range and on their mirror image (UP and DOWN exchanged)
where the features have one; predictions read the bars as they are.
Dimensions: F features, K = 3 classes, R rows of a range, over all symbols.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

from convnext_vbt.errors import UserCodeError
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.models.own.calls import OwnModel, make_own, seeded
from convnext_vbt.learning.models.own.keeping import kept_tensors, restored
from convnext_vbt.learning.models.own.modules import MOST_PASSES, curve_of, train_module
from convnext_vbt.learning.models.own.rows import Cases, Rows
from convnext_vbt.learning.models.protocol import FitTask, Learned, ModelKind
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig
from convnext_vbt.predictions import CLASSES
from convnext_vbt.storage import sha256_json
from convnext_vbt.user_code import code_sha256, user_path

logger = logging.getLogger("convnext_vbt")

_PROBE = 32
"""Rows by which what is kept is compared with the model."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Own:
    """What the user's model learned."""

    own: OwnModel
    model: ModelConfig
    kept: Mapping[str, Tensor]

    def log_proba(self, held: HeldOut) -> Tensor:
        """Log-probabilities at the rows, (R, K), block by block."""
        return self.own.log_proba(Rows(held, self.model).blocks())

    def tensors(self) -> dict[str, Tensor]:
        """What it is read back from; empty where it cannot be kept."""
        return dict(self.kept)


def _fit(task: FitTask) -> Learned:
    """Fitted on each fold's rows for what is said out of fold, then on all."""
    cases = Cases(task.train, task.model)
    with threadpool_limits(1), seeded(task.seed):
        first = _make(task)
        own, log_proba, passes = (_fit_module if first.is_module else _fit_estimator)(task, cases)
        probe = cases.views[0].take(np.arange(min(_PROBE, cases.num_rows)))
        kept, _ = kept_tensors(own, probe)
    predictor = Own(own=own, model=task.model, kept=kept)
    return Learned(predictor=predictor, out_of_fold=log_proba, epochs=passes)


def _make(task: FitTask) -> OwnModel:
    assert task.model.file is not None
    return make_own(task.model.file, task.seed, task.num_features, f"split {task.split.number + 1}")


def _fit_estimator(task: FitTask, cases: Cases) -> tuple[OwnModel, Tensor, None]:
    known = cases.y[: cases.num_rows] >= 0
    cases.refuse_large(len(cases.places(known)))

    def fitted(rows: np.ndarray) -> OwnModel:
        places = cases.places(rows)
        with seeded(task.seed):
            return _make(task).fit(cases.take(places), cases.y[places])

    log_proba = torch.empty(cases.num_rows, len(CLASSES))
    for fold in task.folds:
        own, held = fitted(fold.fit.numpy()), np.flatnonzero(fold.held.numpy())
        log_proba[fold.held] = own.log_proba(cases.blocks(held))
    return fitted(known), log_proba, None


def _fit_module(task: FitTask, cases: Cases) -> tuple[OwnModel, Tensor, int]:
    known = cases.y[: cases.num_rows] >= 0
    losses, said = np.zeros(MOST_PASSES), []
    for number, fold in enumerate(task.folds, start=1):
        fit, held = fold.fit.numpy(), fold.held.numpy()
        with seeded(task.seed):
            curve, log_proba = curve_of(_make(task), cases, fit, held, task.training, task.seed)
        losses += (held & known).sum() * np.pad(curve, (0, MOST_PASSES - len(curve)), mode="edge")
        said.append(log_proba)
        task.progress(number, len(task.folds) + 1, float(losses.min() / known.sum()))
    passes = 1 + int(losses.argmin())
    out = torch.empty(cases.num_rows, len(CLASSES))
    for fold, log_proba in zip(task.folds, said, strict=True):
        out[fold.held] = log_proba[min(passes, len(log_proba)) - 1]
    with seeded(task.seed):
        own = _make(task)
        for number in train_module(own, cases, cases.places(known), task.training, task.seed):
            if number == passes:
                break
    return own, out, passes


def _restore(
    model: ModelConfig,
    num_features: int,
    tensors: Mapping[str, Tensor],
    device: str,  # noqa: ARG001
) -> list[Own | None]:
    """The model that was kept; None where none was, or where it cannot be read here."""
    assert model.file is not None
    if not tensors:
        return [None]
    try:
        own = restored(model.file, tensors, num_features, where="what was kept of a split")
    except Exception as error:  # a library of another version, or none, meets its own objects
        logger.warning("%s: what was kept cannot be read (%s)", model.file, error)
        return [None]
    return [Own(own=own, model=model, kept=tensors)]


def _receptive_field(model: ModelConfig, num_features: int) -> int:  # noqa: ARG001
    return model.window if model.input == "window" else 1


def _seconds(
    model: ModelConfig,
    training: TrainingConfig,
    num_features: int,
) -> None:
    """Nobody knows how long a stranger's model takes."""


def _reads(model: ModelConfig) -> str:
    """Hash of the user's file and of the versions of what it imports."""
    assert model.file is not None
    sha256 = code_sha256(model.file)
    if sha256 is None:
        raise UserCodeError(f"{user_path(model.file)}: no such file")
    return sha256_json([sha256, imported_versions(user_path(model.file).read_text("utf-8"))])


def imported_versions(source: str) -> dict[str, str]:
    """Versions of the installed packages that a file's import statements name."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # whoever loads it says so
        return {}
    roots: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            roots.add(node.module.partition(".")[0])
    owners = _distributions()
    names = {name for root in roots for name in owners.get(root, ())}
    return {name: importlib.metadata.version(name) for name in sorted(names)}


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


OWN_MODEL = ModelKind(
    name="own model",
    fit=_fit,
    restore=_restore,
    receptive_field=_receptive_field,
    seconds=_seconds,
    reads=_reads,
    comparable=False,
)
