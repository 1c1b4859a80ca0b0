"""What the benchmarks share: fair timing of rivals on a machine that others may be using."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def paired_medians(
    *functions: Callable[[], object],
    repeats: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Median seconds of each function, run in turns so that all meet the same disturbances.

    Everything is called once before it is timed: compilation and caches are not measured. Where
    all run on one thread, `time.process_time` as the clock leaves out what others do meanwhile.
    """
    seconds: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(repeats):
        for function, taken in zip(functions, seconds, strict=True):
            start = clock()
            function()
            taken.append(clock() - start)
    return [statistics.median(taken) for taken in seconds]
