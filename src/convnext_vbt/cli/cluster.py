"""Which processes run the splits: this machine's, or a Dask or Ray cluster's through joblib.

A split gives the same bits wherever it runs, so the backend is no part of a strategy. Every
machine needs this package in the same versions, and the folder of runs at the same path.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

import joblib

from convnext_vbt.errors import ConfigError

BACKENDS = ("processes", "dask", "ray")
_INSTALL = "pip install 'convnext-vbt[distributed]'"


@contextlib.contextmanager
def workers(backend: str, address: str | None = None, *, jobs: int | None = None) -> Iterator[None]:
    """Run all splits inside on this backend.

    `address` is the cluster's, else that of DASK_SCHEDULER_ADDRESS or RAY_ADDRESS; without any,
    `jobs` workers (default: the cores there are) are started on this machine. Raises `ConfigError`
    where there is no such backend, library or cluster.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"--backend {backend!r}: choose one of {', '.join(BACKENDS)}")
    if backend == "processes":
        if address is not None:
            raise ConfigError("--cluster is the address of a cluster: add --backend dask or ray")
        yield
        return
    start = _dask if backend == "dask" else _ray
    with start(address, jobs), joblib.parallel_config(backend):
        yield


@contextlib.contextmanager
def _dask(address: str | None, jobs: int | None) -> Iterator[None]:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ConfigError(f"--backend dask needs dask: {_INSTALL}") from None
    address = address or os.environ.get("DASK_SCHEDULER_ADDRESS")
    with contextlib.ExitStack() as stack:
        try:
            place: Any = address or stack.enter_context(
                LocalCluster(
                    n_workers=jobs or joblib.cpu_count(),
                    threads_per_worker=1,
                    dashboard_address=None,
                )
            )
            client = stack.enter_context(Client(place, timeout="20s"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"--cluster {address}: no Dask scheduler answers ({error})"
            ) from error
        threads = client.nthreads()
        if any(count != 1 for count in threads.values()):
            raise ConfigError(
                f"the Dask workers have up to {max(threads.values())} threads each; a split gives "
                "the same bits only in a process of its own: start them with --nthreads 1"
            )
        yield


@contextlib.contextmanager
def _ray(address: str | None, jobs: int | None) -> Iterator[None]:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        raise ConfigError("--backend ray needs ray: pip install ray") from None
    address = address or os.environ.get("RAY_ADDRESS")
    try:
        ray.init(
            address=address,
            num_cpus=None if address else jobs,  # only for a cluster that is started here
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"--cluster {address}: no Ray cluster answers ({error})") from error
    register_ray()
    try:
        yield
    finally:
        ray.shutdown()
