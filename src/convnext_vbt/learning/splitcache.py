"""What is kept of one split on disk: weights, predictions and the record that vouches for both.

Weights are keyed by a hash of everything that shaped them, predictions by that and the rows they
were made from. Dimensions: T bars, N symbols, F features, K = 3 classes.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

import convnext_vbt
from convnext_vbt.errors import InputError
from convnext_vbt.learning.devices import arithmetic
from convnext_vbt.learning.features import Features
from convnext_vbt.learning.fitting import FittedSplit, restore
from convnext_vbt.learning.labels import Labels
from convnext_vbt.learning.training import (
    ModelConfig,
    Networks,
    TrainingConfig,
)
from convnext_vbt.predictions import Split, SplitFit
from convnext_vbt.storage import (
    open_seal,
    sha256_file,
    sha256_json,
    write_bytes,
    write_sealed,
    write_with,
)

FORMAT = 3
_ARRAYS = ("mean", "std", "quantiles", "nonconformity")
_WEIGHTS = "model."
_DAMAGE = (OSError, KeyError, TypeError, AttributeError, ValueError, SafetensorError)
"""What reading a damaged file can raise."""
_PROBABILITIES = ("prob_down", "prob_stay", "prob_up")


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
    stop = task.split.calibration[1]
    content = hashlib.sha256(task.features.values[:stop].tobytes())
    content.update(task.labels.values[:stop].tobytes())
    inputs = {
        "bars": content.hexdigest(),
        "features": task.features.names,
        "symbols": task.symbols,
        "split": {k: v for k, v in asdict(task.split).items() if k != "test"},
        "model": asdict(task.model),
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
    digest.update(task.features.values[:stop].tobytes())
    plain = json.loads(json.dumps(inputs))  # as it comes back from a file
    return SplitKeys(inputs=plain, fit=fit, predict=digest.hexdigest())


@cache
def _code_hash() -> str:
    """Hash of the learning half's own source, all folders, so that no edit meets a stale cache."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _paths(folder: Path, number: int) -> tuple[Path, Path, Path]:
    return tuple(folder / f"{number:03d}.{kind}" for kind in ("safetensors", "parquet", "json"))  # type: ignore[return-value]


def has_split(folder: Path, number: int) -> bool:
    """Whether a split of this number was finished in a folder, whatever it was made from."""
    return _paths(folder, number)[2].exists()


def save_split(
    folder: Path,
    task: SplitTask,
    fitted: FittedSplit,
    proba: np.ndarray,
    keys: SplitKeys,
) -> None:
    """Write weights, predictions and, last, the record with their hashes."""
    weights, table, record = _paths(folder, task.split.number)
    learned = {} if fitted.predictor is None else fitted.predictor.tensors()
    tensors = {_WEIGHTS + name: value for name, value in learned.items()}
    everyone = (fitted, *fitted.members)
    tensors |= {
        f"{name}.{m}": torch.from_numpy(np.array(getattr(one, name)))
        for m, one in enumerate(everyone)
        for name in _ARRAYS
    }
    write_bytes(weights, save_tensors(tensors))
    start, stop = task.split.test
    rows, columns = np.indices((stop - start, len(task.symbols))).reshape(2, -1)
    frame = pa.table(
        {
            "timestamp": pa.array(task.index[start:stop][rows]),
            "symbol": pa.array(np.array(task.symbols, dtype=object)[columns]).dictionary_encode(),
            **{
                name: pa.array(proba[m, :, :, k].ravel())
                for m in range(len(everyone))
                for k, name in enumerate(_columns(m))
            },
        }
    )
    write_with(table, lambda temporary: pq.write_table(frame, temporary))
    facts = {
        "format": FORMAT,
        "split": asdict(task.split),
        "fits": [asdict(one.fit) for one in everyone],
        "receptive_field": fitted.receptive_field,
        "features": list(task.features.names),
        "warmup": task.features.warmup,
        "inputs": keys.inputs,
        "fit_key": keys.fit,
        "predict_key": keys.predict,
        "sha256": {path.name: sha256_file(path) for path in (weights, table)},
    }
    write_sealed(record, facts)


def load_split(
    folder: Path, task: SplitTask, keys: SplitKeys, notes: list[tuple[int, str]]
) -> tuple[FittedSplit | None, np.ndarray | None]:
    """A split's weights and predictions from a folder, each only if it is just what is asked.

    `notes` gets a logging level and a line for what is there and was not used.
    """
    weights, table, path = _paths(folder, task.split.number)
    try:
        record = _record(path)
        if record["format"] != FORMAT or record["fit_key"] != keys.fit:
            notes.append((logging.INFO, f"{path} is of another {_changed(record, keys)}"))
            return None, None
        for file in (weights, table):
            _check_hash(file, record)
        tensors = load_tensors(weights.read_bytes())
        fitted = _fitted(task.model, len(task.features.names), task.device, record, tensors)
        if record["predict_key"] != keys.predict:
            notes.append((logging.INFO, f"{path} was predicted from other bars; predicted again"))
            return (None if fitted.predictor is None else fitted), None
        frame = pq.read_table(table)
        shape = (-1, len(task.symbols))
        proba = np.stack(
            [
                np.stack([frame[name].to_numpy().reshape(shape) for name in _columns(m)], axis=2)
                for m in range(len(record["fits"]))
            ]
        )
    except _DAMAGE as error:
        if path.exists():
            what = f"{path} is damaged ({error}); split {task.split.number} is computed again"
            notes.append((logging.WARNING, what))
        return None, None
    return fitted, proba


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundSplit:
    """What is on disk of a split: perhaps its weights, and perhaps its predictions too."""

    keys: SplitKeys
    fitted: FittedSplit | None = None
    proba: np.ndarray | None = None
    folder: Path | None = None
    """The one that was looked into last."""
    notes: tuple[tuple[int, str], ...] = ()
    """Logging levels and lines for what is there and was not used."""


def find_split(task: SplitTask) -> FoundSplit:
    """The split in the task's own folder, else in one of its siblings."""
    found = FoundSplit(keys=keys_of(task))
    notes: list[tuple[int, str]] = []
    for folder in (task.directory, *task.siblings):
        if folder is not None and found.fitted is None:
            heard: list[tuple[int, str]] = []
            fitted, proba = load_split(folder, task, found.keys, heard)
            # that a neighbour's split is another one is no news
            notes += [note for note in heard if folder == task.directory or note[0] > logging.INFO]
            found = replace(found, fitted=fitted, proba=proba, folder=folder)
    return replace(found, notes=tuple(notes))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeptSplit:
    """What a split learned, and the features that it learned from."""

    fitted: FittedSplit
    features: tuple[str, ...]
    warmup: int
    device: str
    """That it was trained and tested on, and in what precision: "cpu", or "cuda, bfloat16"."""


def read_split(folder: Path, number: int, model: ModelConfig) -> KeptSplit:
    """What is kept of a split, on the CPU, for bars that came after the run.

    Its files are only checked against their own hashes: whether the features still mean what they
    did in training is for the caller to find out. Raises `ValueError` for a missing or damaged file
    and for a model that is not kept (boosting).
    """
    weights, _, path = _paths(folder, number)
    try:
        record = _record(path)
        if record["format"] != FORMAT:
            raise InputError(f"format {record['format']}, this version reads {FORMAT}")
        _check_hash(weights, record)
        names, warmup = tuple(record["features"]), int(record["warmup"])
        device = str(record["inputs"]["device"])
        fitted = _fitted(model, len(names), "cpu", record, load_tensors(weights.read_bytes()))
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} is not there") from error
    except _DAMAGE as error:
        raise InputError(f"{path} is damaged ({error})") from error
    if fitted.predictor is None:
        raise InputError(
            f"a {model.kind} model is not kept on disk, as those of model.kind convnext and "
            "logistic are"
        )
    return KeptSplit(fitted=fitted, features=names, warmup=warmup, device=device)


def _record(path: Path) -> dict[str, Any]:
    return open_seal(json.loads(path.read_text(encoding="utf-8")))


def _changed(record: dict[str, Any], keys: SplitKeys) -> str:
    """Which inputs differ from those of a split on disk."""
    if record["format"] != FORMAT:
        return f"format ({record['format']}, not {FORMAT})"
    there = record["inputs"]
    return ", ".join(name for name, value in keys.inputs.items() if there[name] != value)


def _check_hash(file: Path, record: dict[str, Any]) -> None:
    if sha256_file(file) != record["sha256"][file.name]:
        raise InputError(f"{file.name} does not match its hash")


def _fitted(
    model: ModelConfig,
    num_features: int,
    device: str,
    record: dict[str, Any],
    tensors: dict[str, torch.Tensor],
) -> FittedSplit:
    learned = {
        name.removeprefix(_WEIGHTS): value
        for name, value in tensors.items()
        if name.startswith(_WEIGHTS)
    }
    predictor = restore(model, num_features, learned, device)
    alone = predictor.members() if isinstance(predictor, Networks) else ()
    fits = [SplitFit(**{**fit, "prior": tuple(fit["prior"])}) for fit in record["fits"]]
    whole, *members = (
        FittedSplit(
            predictor=predictor if m == 0 else alone[m - 1],
            temperature=fit.temperature,
            fit=fit,
            receptive_field=record["receptive_field"],
            mean=tensors[f"mean.{m}"].numpy(),
            std=tensors[f"std.{m}"].numpy(),
            quantiles=tensors[f"quantiles.{m}"].numpy(),
            nonconformity=tensors[f"nonconformity.{m}"].numpy(),
        )
        for m, fit in enumerate(fits)
    )
    return replace(whole, members=tuple(members))


def _columns(m: int) -> list[str]:
    """Names of the probabilities: the ensemble's, or with "_1" and so on a member's."""
    return [f"{name}_{m}" if m else name for name in _PROBABILITIES]
