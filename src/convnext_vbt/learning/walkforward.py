"""Every split trained and predicted once: in parallel, cached by content, resumable.

A split is a network's or a baseline's. Its weights are keyed by a hash of everything that shaped
them, its predictions by that and the rows they were made from; so a changed threshold retrains
nothing, an appended bar retrains nothing (but boosting, whose trees are not kept), and a killed run
goes on where it stopped with bit-identical results. Dimensions: T bars, N symbols, F features,
K = 3 classes.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import joblib
import numpy as np
import torch
from joblib.parallel import get_active_backend
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from convnext_vbt.errors import SplitError, WriteError
from convnext_vbt.learning.devices import or_on_cpu, resolve_device, splits_at_once
from convnext_vbt.learning.features import Features
from convnext_vbt.learning.fitting import FittedSplit, fit_split, predict_range
from convnext_vbt.learning.labels import Labels
from convnext_vbt.learning.splitcache import (
    FoundSplit,
    SplitTask,
    find_split,
    has_split,
    save_split,
)
from convnext_vbt.learning.splits import Splits
from convnext_vbt.learning.training import ModelConfig, TrainingConfig
from convnext_vbt.learning.watching import announce, teller
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions, Split, SplitFit, Target

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""The disk's faults: no split can be kept until they are mended."""

logger = logging.getLogger("convnext_vbt")

R = TypeVar("R")


NUM_ATTEMPTS = 3
"""How often a split is given to workers that die."""


class WorkerError(RuntimeError):
    """A process that worked on a split is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitDone:
    """One finished split, as told to a progress callback."""

    fit: SplitFit
    done: int
    total: int
    cached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    split: Split
    fits: tuple[SplitFit, ...]
    """M + 1 of them, as of all that follows: the ensemble's first, then each member's."""
    quantiles: list[np.ndarray]
    nonconformity: list[np.ndarray]
    receptive_field: int
    proba: np.ndarray
    cached: bool
    notes: tuple[tuple[int, str], ...]
    """What the log should say, each with its level; workers have no log of their own."""
    seconds: float = 0.0


def walk_forward(
    bars: Bars,
    features: Features,
    labels: Labels,
    splits: Splits,
    *,
    model: ModelConfig,
    training: TrainingConfig,
    target: Target,
    seed: int = 0,
    directory: Path | None = None,
    siblings: Sequence[Path] = (),
    jobs: int | None = None,
    device: str = "auto",
    progress: Callable[[SplitDone], None] | None = None,
    watch: Path | None = None,
) -> Predictions:
    """Train and predict every split; return the out-of-sample probabilities of all test ranges.

    `directory` keeps NNN.safetensors (weights), NNN.parquet (predictions) and NNN.json (written
    last) for each split and is read first; `siblings` are such directories of other runs whose
    splits may be taken over. `jobs` splits run side by side (default: the cores there are, on a
    card no more than its memory holds), each on one torch thread, so order and parallelism change
    nothing. Inside `joblib.parallel_config` its backend runs them, be it a cluster; every machine
    then needs `directory` at the same path. A split in which a card fails is the CPU's, with a
    warning in the log; baselines are always the CPU's. `progress` hears of every finished split;
    in `watch`, an existing folder, those in training tell how far they are (`watching.steps_in`).

    Raises `SplitError` when splits failed, after all the others have finished, and `WriteError`
    when the disk is full or read-only.
    """
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
    device = resolve_device(device) if model.kind == "convnext" else "cpu"
    tasks = [
        SplitTask(
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
    ]
    if watch is not None:
        announce(watch, len(tasks))
    outcomes: dict[int, _Outcome] = {}
    failures: dict[int, Exception] = {}
    for number, outcome in _run_all(tasks, jobs, device):
        if isinstance(outcome, Exception):
            failures[number] = outcome
            continue
        outcomes[number] = outcome
        for level, note in outcome.notes:
            logger.log(level, note)
        how = "from cache" if outcome.cached else "trained"
        logger.info(
            "%s split %d %s in %.2f s: %s",
            *(model.kind, number, how, outcome.seconds, outcome.fits[0]),
        )
        if progress is not None:
            progress(
                SplitDone(
                    fit=outcome.fits[0], done=len(outcomes), total=len(tasks), cached=outcome.cached
                )
            )
    if failures:
        for number, failure in sorted(failures.items()):
            logger.error("%s split %d failed", model.kind, number, exc_info=failure)
        first = min(failures)
        failed = failures[first]
        if isinstance(failed, WriteError) and failed.errno in NO_ROOM:
            raise failed
        raise SplitError(
            f"{len(failures)} of {len(tasks)} splits failed (number {first}: "
            f"{type(failures[first]).__name__}: {failures[first]}); the others are kept"
        ) from failures[first]
    return _assemble(bars, [outcomes[split.number] for split in splits], target)


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
    with _one_thread():
        return fit_split(
            features, labels, split, model=model, training=training, seed=seed, device=device
        )


def forecast(
    bars: Bars,
    features: Features,
    splits: Sequence[Split],
    fits: Sequence[FittedSplit],
    *,
    target: Target,
) -> Predictions:
    """The predictions of splits that were trained by `fit_alone`, bit for bit `walk_forward`'s."""
    with _one_thread():
        outcomes = [
            _outcome(split, fitted, _predicted(fitted, features, split))
            for split, fitted in zip(splits, fits, strict=True)
        ]
    return _assemble(bars, outcomes, target)


def available_cores() -> int:
    """Cores this process may use, or those of the cluster inside `joblib.parallel_config`."""
    return int(joblib.effective_n_jobs(-1))


def _run_all(
    tasks: list[SplitTask], jobs: int | None, device: str
) -> Iterator[tuple[int, _Outcome | Exception]]:
    """Outcomes as they come; one job runs in this process, several in joblib's workers.

    A worker that dies takes the others with it. What had not come by then is given to new ones,
    half as many, for want of memory is what most often kills them; at the third time it has failed.
    """
    backend = get_active_backend()[0]
    here = type(backend).__name__ == "LokyBackend"
    cores = available_cores()
    jobs = jobs or (splits_at_once(cores) if here and device != "cpu" else cores)
    jobs = min(jobs, len(tasks))
    if jobs == 1 and here:
        yield from map(_run_caught, tasks)
        return
    left: dict[int, SplitTask] = {}
    for task in tasks:  # workers take seconds to start: not to read what is there
        number, outcome = _caught(_kept, task)
        if isinstance(outcome, _Outcome):
            yield number, outcome
        else:  # what could not even be read says so again when it is run
            left[number] = task
    if not left or (len(left) == 1 and here):
        yield from map(_run_caught, left.values())
        return
    jobs = min(jobs, len(left))
    order = "generator_unordered" if backend.supports_return_generator else "list"
    for attempt in range(1, NUM_ATTEMPTS + 1):
        try:
            with _one_thread_a_worker() if here else contextlib.nullcontext():
                parallel = joblib.Parallel(n_jobs=jobs, return_as=order, batch_size=1)
            calls = [joblib.delayed(_run_caught)(task) for task in left.values()]
            for number, outcome in parallel(calls):
                del left[number]
                yield number, outcome
            return
        except Exception as error:  # the pool's own: a split's is handed over as its outcome
            died = WorkerError(f"a worker died, killed or out of memory ({_first_line(error)})")
            if attempt < NUM_ATTEMPTS:
                jobs = max(1, jobs // 2)
                logger.warning("%s; its splits are computed again, %d at a time", died, jobs)
    yield from ((number, died) for number in left)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0][:200]


def _run_caught(task: SplitTask) -> tuple[int, _Outcome | Exception]:
    with _one_thread():
        return _caught(_run, task)


def _caught(step: Callable[[SplitTask], R], task: SplitTask) -> tuple[int, R | Exception]:
    try:
        return task.split.number, step(task)
    except Exception as error:
        return task.split.number, error


def _one_thread_a_worker() -> joblib.parallel_config:
    """What joblib's own workers are told when they start, so that none makes a pool for nothing."""
    return joblib.parallel_config("loky", inner_max_num_threads=1)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Thread counts change the order of float sums; one thread makes them the same everywhere."""
    import sklearn.utils  # noqa: F401  # brings an OpenMP of its own, limited only if it is there

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):  # scikit-learn's and numpy's
            yield
    finally:
        torch.set_num_threads(before)


def _kept(task: SplitTask) -> _Outcome | None:
    """A split that needs no computing; None, after hardly a look, where there are no files."""
    folders = (task.directory, *task.siblings)
    if not any(folder and has_split(folder, task.split.number) for folder in folders):
        return None
    start, found = time.perf_counter(), find_split(task)
    if found.fitted is None or found.proba is None:
        return None
    return _done(task, found, found.fitted, found.proba, start)


def _run(task: SplitTask) -> _Outcome:
    """The split, from disk or trained; where a card fails, wholly the CPU's, and kept as such."""
    told: list[str] = []
    outcome = or_on_cpu(
        task.device, lambda device: _run_on(replace(task, device=device)), told.append
    )
    notes = [(logging.WARNING, f"split {task.split.number}: {line}") for line in told]
    return replace(outcome, notes=(*notes, *outcome.notes))


def _run_on(task: SplitTask) -> _Outcome:
    start, found = time.perf_counter(), find_split(task)
    fitted, proba = found.fitted, found.proba
    if fitted is None:
        fitted = fit_split(
            task.features,
            task.labels,
            task.split,
            model=task.model,
            training=task.training,
            seed=task.seed,
            device=task.device,
            progress=None if task.watch is None else teller(task.watch, task.split.number),
        )
    if proba is None:
        proba = _predicted(fitted, task.features, task.split)
    return _done(task, found, fitted, proba, start)


def _done(
    task: SplitTask, found: FoundSplit, fitted: FittedSplit, proba: np.ndarray, start: float
) -> _Outcome:
    """The outcome of a split, which is on disk from now on."""
    as_it_lies = found.proba is not None and found.folder == task.directory
    if task.directory is not None and not as_it_lies:
        save_split(task.directory, task, fitted, proba, found.keys)
    outcome = _outcome(
        task.split, fitted, proba, cached=found.fitted is not None, notes=found.notes
    )
    return replace(outcome, seconds=time.perf_counter() - start)


def _outcome(
    split: Split,
    fitted: FittedSplit,
    proba: np.ndarray,
    *,
    cached: bool = False,
    notes: Sequence[tuple[int, str]] = (),
) -> _Outcome:
    everyone = (fitted, *fitted.members)
    return _Outcome(
        split=split,
        fits=tuple(one.fit for one in everyone),
        quantiles=[one.quantiles for one in everyone],
        nonconformity=[one.nonconformity for one in everyone],
        receptive_field=fitted.receptive_field,
        proba=proba,
        cached=cached,
        notes=tuple(notes),
    )


def _predicted(fitted: FittedSplit, features: Features, split: Split) -> np.ndarray:
    """Probabilities of the test range, float32 (M + 1, bars, N, K)."""
    everyone = (fitted, *fitted.members)
    return np.stack([predict_range(one, features, *split.test) for one in everyone])


def _assemble(bars: Bars, outcomes: list[_Outcome], target: Target) -> Predictions:
    whole, *members = (
        _predictions(bars, outcomes, target, m) for m in range(len(outcomes[0].fits))
    )
    return replace(whole, members=tuple(members))


def _predictions(bars: Bars, outcomes: list[_Outcome], target: Target, m: int) -> Predictions:
    """The ensemble's (m = 0), or a member's."""
    shape = (len(bars), len(bars.symbols))
    proba_TNK = np.full((*shape, 3), np.nan, dtype=np.float32)
    split_TN = np.full(shape, -1, dtype=np.int16)
    for outcome in outcomes:
        rows = slice(*outcome.split.test)
        proba_TNK[rows] = outcome.proba[m]
        made = np.isfinite(outcome.proba[m]).all(axis=2)
        split_TN[rows][made] = outcome.split.number
    return Predictions(
        index=bars.index,
        symbols=bars.symbols,
        proba=proba_TNK,
        split=split_TN,
        splits=tuple(outcome.split for outcome in outcomes),
        fits=tuple(outcome.fits[m] for outcome in outcomes),
        quantiles=np.stack([outcome.quantiles[m] for outcome in outcomes]),
        nonconformity=np.stack([outcome.nonconformity[m] for outcome in outcomes]),
        target=target,
        receptive_field=outcomes[0].receptive_field,
    )
