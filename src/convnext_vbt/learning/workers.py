"""Work in several processes, each on one thread: failures caught, dead workers replaced.

They are joblib's own, or those of the cluster that `joblib.parallel_config` names.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import joblib
import torch
from joblib.externals.loky.process_executor import ShutdownExecutorError
from joblib.parallel import get_active_backend
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Task = TypeVar("Task")
Result = TypeVar("Result")

NUM_ATTEMPTS = 3
"""How often a task is given to workers that die."""
_POOL_ERRORS = (BrokenProcessPool, ShutdownExecutorError, OSError)
"""What joblib's own workers raise when one of them dies, or cannot even be started."""

logger = logging.getLogger("convnext_vbt")


class WorkerError(RuntimeError):
    """A process that worked on a task is gone."""


def available_cores() -> int:
    """Cores this process may use, or those of the cluster inside `joblib.parallel_config`."""
    return int(joblib.effective_n_jobs(-1))


def on_this_machine() -> bool:
    """Whether workers are this machine's, not a cluster's."""
    return type(get_active_backend()[0]).__name__ == "LokyBackend"


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Thread counts change the order of float sums; one thread makes them the same everywhere."""
    import sklearn.utils  # noqa: F401  # brings an OpenMP of its own, limited only if it is there

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):  # scikit-learn's and numpy's
            yield
    finally:
        torch.set_num_threads(before)


def caught(work: Callable[[Task], Result], task: Task) -> Result | Exception:
    """What `work` makes of a task, or the error that it raises: others go on."""
    try:
        return work(task)
    except Exception as error:
        return error


def attempt(work: Callable[[Task], Result], task: Task) -> Result | Exception:
    """The same on one thread."""
    with one_thread():
        return caught(work, task)


def in_workers(
    work: Callable[[Task], Result], tasks: Mapping[int, Task], jobs: int
) -> Iterator[tuple[int, Result | Exception]]:
    """Each task's result, or error, by number as they come, from `jobs` processes.

    A worker that dies takes the others with it. What had not come by then is given to new ones,
    half as many, for want of memory is what most often kills them; at the third time it has failed.
    """
    left, here = dict(tasks), on_this_machine()
    # a cluster's are of many kinds
    pool_errors: tuple[type[Exception], ...] = _POOL_ERRORS if here else (Exception,)
    yields_early = get_active_backend()[0].supports_return_generator
    order = "generator_unordered" if yields_early else "list"
    died = WorkerError()
    for attempt_number in range(1, NUM_ATTEMPTS + 1):
        try:
            with _one_thread_a_worker() if here else contextlib.nullcontext():
                parallel = joblib.Parallel(n_jobs=jobs, return_as=order, batch_size=1)
            calls = [joblib.delayed(_numbered)(work, number, task) for number, task in left.items()]
            for number, result in parallel(calls):
                del left[number]
                yield number, result
            return
        except pool_errors as error:
            died = WorkerError(f"a worker died, killed or out of memory ({_first_line(error)})")
            if attempt_number < NUM_ATTEMPTS:
                jobs = max(1, jobs // 2)
                logger.warning("%s; its splits are computed again, %d at a time", died, jobs)
    yield from ((number, died) for number in left)


def _numbered(
    work: Callable[[Task], Result], number: int, task: Task
) -> tuple[int, Result | Exception]:
    return number, attempt(work, task)


def _one_thread_a_worker() -> joblib.parallel_config:
    """What joblib's own workers set when they start, so that none makes a pool for nothing."""
    return joblib.parallel_config("loky", inner_max_num_threads=1)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0][:200]
