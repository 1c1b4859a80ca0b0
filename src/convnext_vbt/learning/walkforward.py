"""Every split trained and predicted once: in parallel, cached by content, resumable.

The weights of a split are keyed by a hash of everything that shaped them, its predictions by that
and the rows they were made from; so a changed threshold retrains nothing, an appended bar retrains
nothing (but kinds that are not kept on disk), and a killed run goes on where it stopped with
bit-identical results. Dimensions: T bars, N symbols, F features, K = 3 classes.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import numpy as np

from convnext_vbt.errors import SplitError, UserCodeError, WriteError
from convnext_vbt.learning.devices import or_on_cpu, resolve_device, splits_at_once
from convnext_vbt.learning.features import Features
from convnext_vbt.learning.fitting import FittedSplit, fit_split
from convnext_vbt.learning.labels import Labels
from convnext_vbt.learning.models import kind_of
from convnext_vbt.learning.outcomes import (
    Outcome,
    assemble,
    assemble_paths,
    outcome_of,
    predict_test,
)
from convnext_vbt.learning.primary import sides_of
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig
from convnext_vbt.learning.splitcache import FoundSplit, find_split, has_split, save_split
from convnext_vbt.learning.splits import Splits
from convnext_vbt.learning.splittask import SplitTask
from convnext_vbt.learning.watching import announce, step_writer
from convnext_vbt.learning.workers import (
    attempt,
    available_cores,
    caught,
    in_workers,
    on_this_machine,
    one_thread,
)
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions, Split, SplitFit, Target

DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""No split can be kept until they are mended."""

logger = logging.getLogger("convnext_vbt")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitDone:
    """One finished split, as a progress callback hears of it."""

    fit: SplitFit
    done: int
    total: int
    cached: bool


def walk_forward(
    bars: Bars,
    features: Features,
    labels: Labels,
    splits: Splits,
    *,
    model: ModelConfig,
    training: TrainingConfig,
    target: Target | None,
    seed: int = 0,
    directory: Path | None = None,
    siblings: Sequence[Path] = (),
    jobs: int | None = None,
    device: str = "auto",
    progress: Callable[[SplitDone], None] | None = None,
    watch: Path | None = None,
    further: Sequence[Split] = (),
) -> Predictions:
    """Train and predict every split; return the out-of-sample probabilities of all test ranges.

    `directory` keeps NNN.safetensors (weights), NNN.parquet (predictions) and NNN.json (written
    last) for each split and is read first; `siblings` are such directories of other runs whose
    splits may be taken over. `jobs` splits run side by side (default: the cores there are, on a
    card no more than its memory holds), each on one torch thread, so order and parallelism change
    nothing. Inside `joblib.parallel_config` its backend runs them, be it a cluster; every machine
    then needs `directory` at the same path. A split in which a card fails is the CPU's, with a
    warning in the log; kinds that use none are always the CPU's. `progress` hears of every finished
    split; in `watch`, an existing folder, those in training write how far they are
    (`watching.steps_in`). `further` splits, numbered after the others, are trained side by side
    with them and kept for `walk_paths`; they are no part of what is returned.

    Raises `SplitError` when splits failed, after all the others have finished, `UserCodeError`
    where it was the user's own model that did, and `WriteError` when the disk is full or read-only.
    """
    outcomes = _outcomes(
        bars, features, labels, [*splits, *further],
        model=model, training=training, seed=seed, directory=directory, siblings=siblings,
        jobs=jobs, device=device, progress=progress, watch=watch,
    )  # fmt: skip
    calibrated = kind_of(model.kind).calibrated
    return assemble(
        bars, labels, outcomes[: len(splits)], target,
        calibrated=calibrated, sides=sides_of(features),
    )  # fmt: skip


def walk_paths(
    bars: Bars,
    features: Features,
    labels: Labels,
    combinations: Splits,
    *,
    model: ModelConfig,
    training: TrainingConfig,
    target: Target | None,
    seed: int = 0,
    directory: Path | None = None,
    siblings: Sequence[Path] = (),
    jobs: int | None = None,
    device: str = "auto",
) -> Iterator[Predictions]:
    """The predictions of each path through combinatorial splits, one path at a time.

    What `walk_forward` kept of them in `directory` is used again; the rest as there. Every bar of a
    path is predicted by a split that did not learn from it, but most of those learned from later
    bars.
    """
    outcomes = _outcomes(
        bars, features, labels, combinations,
        model=model, training=training, seed=seed, directory=directory, siblings=siblings,
        jobs=jobs, device=device, progress=None, watch=None,
    )  # fmt: skip
    calibrated = kind_of(model.kind).calibrated
    yield from assemble_paths(
        bars, labels, outcomes, target, calibrated=calibrated, sides=sides_of(features)
    )


def _outcomes(
    bars: Bars,
    features: Features,
    labels: Labels,
    splits: Sequence[Split],
    *,
    model: ModelConfig,
    training: TrainingConfig,
    seed: int,
    directory: Path | None,
    siblings: Sequence[Path],
    jobs: int | None,
    device: str,
    progress: Callable[[SplitDone], None] | None,
    watch: Path | None,
) -> list[Outcome]:
    """What every split came to, in their order."""
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
    kind = kind_of(model.kind)
    kind.check(model, training, features.names)
    device = resolve_device(device) if kind.uses_card else "cpu"
    tasks = {
        split.number: SplitTask(
            split=split,
            index=bars.index,
            symbols=bars.symbols,
            features=features,
            labels=labels,
            model=model,
            training=training,
            seed=seed,
            device=device,
            directory=None if directory is None else directory.absolute(),
            siblings=tuple(path.absolute() for path in siblings),
            watch=watch,
        )
        for split in splits
    }
    if watch is not None:
        announce(watch, len(tasks))
    outcomes: dict[int, Outcome] = {}
    failures: dict[int, Exception] = {}
    for number, outcome in _run_all(tasks, jobs, device):
        if isinstance(outcome, Exception):
            failures[number] = outcome
            continue
        outcomes[number] = outcome
        _log(model.kind, outcome)
        if progress is not None:
            fit, done = outcome.fits[0], len(outcomes)
            progress(SplitDone(fit=fit, done=done, total=len(tasks), cached=outcome.cached))
    if failures:
        _give_up(model.kind, failures, len(tasks))
    return [outcomes[number] for number in tasks]


def fit_alone(
    features: Features,
    labels: Labels,
    split: Split,
    *,
    model: ModelConfig,
    training: TrainingConfig,
    seed: int = 0,
    device: str = "cpu",
) -> FittedSplit:
    """One split trained just as `walk_forward` trains it, to be handed to `forecast`."""
    with one_thread():
        return fit_split(
            features, labels, split, model=model, training=training, seed=seed, device=device
        )


def forecast(
    bars: Bars,
    features: Features,
    labels: Labels,
    splits: Sequence[Split],
    fits: Sequence[FittedSplit],
    *,
    kind: str,
    target: Target | None,
) -> Predictions:
    """The predictions of splits that were trained by `fit_alone`, bit for bit `walk_forward`'s.

    `labels` are those of `bars`, `kind` that of the model.
    """
    with one_thread():
        outcomes = [
            outcome_of(split, fitted, predict_test(fitted, features, split))
            for split, fitted in zip(splits, fits, strict=True)
        ]
    calibrated, sides = kind_of(kind).calibrated, sides_of(features)
    return assemble(bars, labels, outcomes, target, calibrated=calibrated, sides=sides)


def _log(kind: str, outcome: Outcome) -> None:
    for level, note in outcome.notes:
        logger.log(level, note)
    how = "from cache" if outcome.cached else "trained"
    number, seconds = outcome.split.number + 1, outcome.seconds
    logger.info("%s split %d %s in %.2f s: %s", kind, number, how, seconds, outcome.fits[0])


def _give_up(kind: str, failures: Mapping[int, Exception], total: int) -> NoReturn:
    """Raise what the failed splits came to; their tracebacks are in the log."""
    for number, failure in sorted(failures.items()):
        logger.error("%s split %d failed", kind, number + 1, exc_info=failure)
    number, first = min(failures.items())
    if isinstance(first, WriteError) and first.errno in DISK_FAULTS:
        raise first
    if isinstance(first, UserCodeError):
        raise UserCodeError(
            f"{first}; {len(failures)} of {total} splits failed, the others are kept"
        ) from first
    raise SplitError(
        f"{len(failures)} of {total} splits failed (split {number + 1}: "
        f"{type(first).__name__}: {first}); the others are kept"
    ) from first


def _run_all(
    tasks: Mapping[int, SplitTask], jobs: int | None, device: str
) -> Iterator[tuple[int, Outcome | Exception]]:
    """Outcomes as they come; one job runs in this process, several in workers."""
    here, cores = on_this_machine(), available_cores()
    jobs = jobs or (splits_at_once(cores) if here and device != "cpu" else cores)
    jobs = min(jobs, len(tasks))
    left = dict(tasks)
    if jobs > 1 or not here:  # workers take seconds to start: not to read what is there
        for number, task in tasks.items():
            outcome = caught(_kept, task)
            if isinstance(outcome, Outcome):
                del left[number]
                yield number, outcome  # what could not even be read says so again when it is run
    if not left:
        return
    jobs = min(jobs, len(left))
    if jobs == 1 and here:
        yield from ((number, attempt(_run, task)) for number, task in left.items())
    else:
        yield from in_workers(_run, left, jobs)


def _kept(task: SplitTask) -> Outcome | None:
    """A split that needs no computing; None, after hardly a look, where there are no files."""
    folders = (task.directory, *task.siblings)
    if not any(folder and has_split(folder, task.split.number) for folder in folders):
        return None
    start, found = time.perf_counter(), find_split(task)
    if found.fitted is None or found.log_proba is None:
        return None
    return _done(task, found, found.fitted, found.log_proba, start)


def _run(task: SplitTask) -> Outcome:
    """The split, from disk or trained; where a card fails, wholly the CPU's, and kept as such."""
    faults: list[str] = []
    outcome = or_on_cpu(
        task.device, lambda device: _run_on(replace(task, device=device)), faults.append
    )
    notes = [(logging.WARNING, f"split {task.split.number + 1}: {line}") for line in faults]
    return replace(outcome, notes=(*notes, *outcome.notes))


def _run_on(task: SplitTask) -> Outcome:
    start, found = time.perf_counter(), find_split(task)
    fitted, log_proba = found.fitted, found.log_proba
    if fitted is None:
        fitted = fit_split(
            task.features,
            task.labels,
            task.split,
            model=task.model,
            training=task.training,
            seed=task.seed,
            device=task.device,
            progress=None if task.watch is None else step_writer(task.watch, task.split.number),
        )
    if log_proba is None:
        log_proba = predict_test(fitted, task.features, task.split)
    return _done(task, found, fitted, log_proba, start)


def _done(
    task: SplitTask, found: FoundSplit, fitted: FittedSplit, log_proba: np.ndarray, start: float
) -> Outcome:
    """The outcome of a split, which is on disk from now on."""
    as_it_lies = found.log_proba is not None and found.folder == task.directory
    if task.directory is not None and not as_it_lies:
        save_split(task.directory, task, fitted, log_proba, found.keys)
    outcome = outcome_of(
        task.split, fitted, log_proba, cached=found.fitted is not None, notes=found.notes
    )
    return replace(outcome, seconds=time.perf_counter() - start)
