"""What is kept of one split on disk: weights, predictions and the record that vouches for both.

Dimensions: T bars, N symbols, F features, K = 3 classes, M members of an ensemble.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from convnext_vbt.errors import InputError
from convnext_vbt.learning.calibration import OutOfFold
from convnext_vbt.learning.fitting import FittedSplit
from convnext_vbt.learning.models import KINDS, kind_of
from convnext_vbt.learning.models.protocol import Predictor
from convnext_vbt.learning.settings import ModelConfig
from convnext_vbt.learning.splittask import SplitKeys, SplitTask, keys_of
from convnext_vbt.predictions import SplitFit
from convnext_vbt.storage import (
    open_seal,
    sha256_file,
    write_bytes,
    write_sealed,
    write_with,
)

FORMAT = 4
_WEIGHTS = "model."
_DAMAGE = (OSError, ValueError, SafetensorError)
"""What reading a damaged file can raise; what its contents raise afterwards is a bug of ours."""
_LOG_PROBABILITIES = ("log_prob_down", "log_prob_stay", "log_prob_up")


def _paths(folder: Path, number: int) -> tuple[Path, Path, Path]:
    weights, table, record = (
        folder / f"{number:03d}.{kind}" for kind in ("safetensors", "parquet", "json")
    )
    return weights, table, record


def has_split(folder: Path, number: int) -> bool:
    """Whether a split of this number was finished in a folder, whatever it was made from."""
    return _paths(folder, number)[2].exists()


def save_split(
    folder: Path,
    task: SplitTask,
    fitted: FittedSplit,
    log_proba: np.ndarray,
    keys: SplitKeys,
) -> None:
    """Write weights, predictions (M + 1, bars, N, K) and, last, the record with their hashes.

    Predictions are uncalibrated: what calibrates them depends on the splits before.
    """
    weights, table, record = _paths(folder, task.split.number)
    learned = {} if fitted.predictor is None else fitted.predictor.tensors()
    tensors = {_WEIGHTS + name: value for name, value in learned.items()}
    fits = (fitted, *fitted.members)
    tensors |= {
        f"{name}.{m}": torch.from_numpy(np.array(values))
        for m, one in enumerate(fits)
        for name, values in {
            "mean": one.mean,
            "std": one.std,
            "out_of_fold": one.out_of_fold.log_proba,
            "outcomes": one.out_of_fold.y,
        }.items()
    }
    write_bytes(weights, save_tensors(tensors))
    frame = _table(task, log_proba)
    write_with(table, lambda temporary: pq.write_table(frame, temporary))
    facts = {
        "format": FORMAT,
        "split": asdict(task.split),
        "fits": [asdict(one.fit) for one in fits],
        "receptive_field": fitted.receptive_field,
        "label_bars": fitted.out_of_fold.label_bars,
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
    log_proba = None
    try:
        record = _record(path)
        if record["format"] != FORMAT or record["fit_key"] != keys.fit:
            notes.append((logging.INFO, f"{path} is of another {_changed(record, keys)}"))
            return None, None
        for file in (weights, table):
            _check_hash(file, record)
        tensors = load_tensors(weights.read_bytes())
        if record["predict_key"] == keys.predict:
            log_proba = _log_probabilities(table, len(record["fits"]), len(task.symbols))
    except _DAMAGE as error:
        if path.exists():
            what = f"{path} is damaged ({error}); split {task.split.number + 1} is computed again"
            notes.append((logging.WARNING, what))
        return None, None
    fitted = _fitted(task.model, len(task.features.names), task.device, record, tensors)
    if log_proba is None:
        notes.append((logging.INFO, f"{path} was predicted from other bars; predicted again"))
        return (None if fitted.predictor is None else fitted), None
    return fitted, log_proba


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundSplit:
    """What is on disk of a split: perhaps its weights, and perhaps its predictions too."""

    keys: SplitKeys
    fitted: FittedSplit | None = None
    log_proba: np.ndarray | None = None
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
            fitted, log_proba = load_split(folder, task, found.keys, heard)
            # that a neighbour's split is another one is no news
            notes += [note for note in heard if folder == task.directory or note[0] > logging.INFO]
            found = replace(found, fitted=fitted, log_proba=log_proba, folder=folder)
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
    did in training is for the caller to find out. Raises `InputError` for a missing or damaged file
    and for a kind that is not kept.
    """
    if kind_of(model.kind).restore is None:
        kept = ", ".join(name for name, kind in KINDS.items() if kind.restore)
        raise InputError(
            f"a model of kind {model.kind} is not kept on disk, as those of kind {kept} are"
        )
    weights, _, path = _paths(folder, number)
    try:
        record = _record(path)
        if record["format"] != FORMAT:
            raise InputError(f"format {record['format']}, this version reads {FORMAT}")
        _check_hash(weights, record)
        tensors = load_tensors(weights.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} is not there") from error
    except _DAMAGE as error:
        raise InputError(f"{path} is damaged ({error})") from error
    names = tuple(record["features"])
    return KeptSplit(
        fitted=_fitted(model, len(names), "cpu", record, tensors),
        features=names,
        warmup=record["warmup"],
        device=record["inputs"]["device"],
    )


def _record(path: Path) -> dict[str, Any]:
    """The record of a split: whole, as it was written, and hence with all that its format has."""
    sealed = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(sealed, dict):
        raise InputError("it is no record of a split")
    return open_seal(sealed)


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
    tensors: dict[str, Tensor],
) -> FittedSplit:
    learned = {
        name.removeprefix(_WEIGHTS): value
        for name, value in tensors.items()
        if name.startswith(_WEIGHTS)
    }
    fits = [SplitFit(**{**fit, "prior": tuple(fit["prior"])}) for fit in record["fits"]]
    restore = kind_of(model.kind).restore
    predictors: Sequence[Predictor | None] = [None] * len(fits)
    if restore is not None:
        predictors = restore(model, num_features, learned, device)
    whole, *members = (
        FittedSplit(
            predictor=predictor,
            fit=fit,
            receptive_field=record["receptive_field"],
            mean=tensors[f"mean.{m}"].numpy(),
            std=tensors[f"std.{m}"].numpy(),
            out_of_fold=OutOfFold(
                log_proba=tensors[f"out_of_fold.{m}"].numpy(),
                y=tensors[f"outcomes.{m}"].numpy(),
                label_bars=record["label_bars"],
            ),
        )
        for m, (fit, predictor) in enumerate(zip(fits, predictors, strict=True))
    )
    return replace(whole, members=tuple(members))


def _table(task: SplitTask, log_proba: np.ndarray) -> pa.Table:
    """Log-probabilities (M + 1, bars, N, K) of a test range as a table, a row a bar and symbol."""
    start, stop = task.split.test
    rows, columns = np.indices((stop - start, len(task.symbols))).reshape(2, -1)
    return pa.table(
        {
            "timestamp": pa.array(task.index[start:stop][rows]),
            "symbol": pa.array(np.array(task.symbols, dtype=object)[columns]).dictionary_encode(),
            **{
                name: pa.array(of_member_TNK[:, :, k].ravel())
                for m, of_member_TNK in enumerate(log_proba)
                for k, name in enumerate(_columns(m))
            },
        }
    )


def _log_probabilities(table: Path, num_fits: int, num_symbols: int) -> np.ndarray:
    """The same, read back."""
    frame = pq.read_table(table)
    shape = (-1, num_symbols)
    return np.stack(
        [
            np.stack([frame[name].to_numpy().reshape(shape) for name in _columns(m)], axis=2)
            for m in range(num_fits)
        ]
    )


def _columns(m: int) -> list[str]:
    """Names of the log-probabilities: the ensemble's, or with "_1" and so on a member's."""
    return [f"{name}_{m}" if m else name for name in _LOG_PROBABILITIES]
