"""One split as a worker is given it, and by what it is known again on disk.

Weights are keyed by a hash of everything that shaped them, predictions by that and the rows they
were made from.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import convnext_vbt
from convnext_vbt.learning.devices import arithmetic
from convnext_vbt.learning.features import Features
from convnext_vbt.learning.labels import Labels
from convnext_vbt.learning.models import kind_of
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig
from convnext_vbt.predictions import Split
from convnext_vbt.storage import sha256_json


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTask:
    """All that a worker needs for one split; plain data, so it travels to another process."""

    split: Split
    index: pd.DatetimeIndex
    symbols: tuple[str, ...]
    features: Features
    labels: Labels
    model: ModelConfig
    training: TrainingConfig
    seed: int
    device: str
    directory: Path | None
    siblings: tuple[Path, ...]
    watch: Path | None = None
    """Where its training tells how far it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitKeys:
    """By what a split on disk is known to be the one that is asked for."""

    inputs: dict[str, Any]
    """Everything that shapes the weights: arrays by content, not by their recipe."""
    fit: str
    """Hash of the inputs."""
    predict: str
    """Hash of `fit` and the rows that are predicted."""


def keys_of(task: SplitTask) -> SplitKeys:
    """The keys of a split's weights and predictions."""
    stop = task.split.train[1]
    views = [task.features.values, task.features.mirrored]
    content = hashlib.sha256()
    for view in views:
        content.update(b"" if view is None else view[:stop].tobytes())
    content.update(task.labels.values[:stop].tobytes())
    content.update(task.labels.end[:stop].tobytes())
    inputs = {
        "bars": content.hexdigest(),
        "features": task.features.names,
        "symbols": task.symbols,
        "split": {k: v for k, v in asdict(task.split).items() if k != "test"},
        "model": asdict(task.model),
        "prior": kind_of(task.model.kind).reads(task.model),
        "training": asdict(task.training),
        "seed": task.seed,
        "device": arithmetic(task.device),
        "code": _code_hash(),
        "versions": [convnext_vbt.__version__, torch.__version__, version("scikit-learn")],
    }
    fit = sha256_json(inputs)
    start, stop = task.split.test
    digest = hashlib.sha256(fit.encode())
    digest.update(np.array([start, stop]).tobytes())
    digest.update(task.index.asi8[start:stop].tobytes())
    for view in views:
        digest.update(b"" if view is None else view[:stop].tobytes())
    plain = json.loads(json.dumps(inputs))  # as it comes back from a file
    return SplitKeys(inputs=plain, fit=fit, predict=digest.hexdigest())


@cache
def _code_hash() -> str:
    """Hash of the learning half's own source, all folders, so that no edit meets a stale cache."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
