"""Triple-barrier labels against a vectorised numpy version.

Run `python -m benchmarks.labels [--quick]`.
"""

from __future__ import annotations

import argparse
import json
import math

import numba
import numpy as np

from benchmarks.features import market
from benchmarks.timing import paired_medians
from convnext_vbt.learning.labels import barrier_labels
from convnext_vbt.market.bars import Bars

HORIZON = 24
HALFLIFE = 24.0


def numpy_labels(bars: Bars) -> tuple[np.ndarray, np.ndarray]:
    """Values and ends, (T,), with sliding windows of highs and lows; the rows at the end are -1."""
    open_, high, low, close = (x[:, 0] for x in (bars.open, bars.high, bars.low, bars.close))
    num_bars = len(bars)
    squares = np.diff(np.log(close)) ** 2
    decay = 0.5 ** (1 / HALFLIFE)
    sigma = np.full(num_bars, np.nan)
    variance = squares[0]
    warmup = math.ceil(math.log(1e-6) / math.log(decay))
    for t in range(1, num_bars):  # numpy has no recursive filter
        variance = variance if t == 1 else decay * variance + (1 - decay) * squares[t - 1]
        if t > warmup:
            sigma[t] = math.sqrt(variance)
    count = num_bars - HORIZON
    entry, width = open_[1 : count + 1], sigma[:count] * math.sqrt(HORIZON)
    upper, lower = entry * (1 + width), entry * (1 - width)
    highs = np.lib.stride_tricks.sliding_window_view(high[1:], HORIZON)
    lows = np.lib.stride_tricks.sliding_window_view(low[1:], HORIZON)
    rose, fell = highs >= upper[:, None], lows <= lower[:, None]
    first_rise = np.where(rose.any(axis=1), rose.argmax(axis=1), HORIZON)
    first_fall = np.where(fell.any(axis=1), fell.argmax(axis=1), HORIZON)
    values = np.full(num_bars, -1, dtype=np.int8)
    values[:count] = np.select(
        [first_rise < first_fall, first_fall < first_rise, first_rise == HORIZON], [2, 0, 1], -1
    )
    end = np.minimum(np.arange(num_bars) + HORIZON, num_bars - 1)
    end[:count] = np.arange(count) + 1 + np.minimum(np.minimum(first_rise, first_fall), HORIZON - 1)
    values[: warmup + 1], end[: warmup + 1] = -1, np.arange(warmup + 1) + HORIZON
    return values, end


def main() -> None:
    """Check that both agree, time them in turns, print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer bars and repeats")
    quick = parser.parse_args().quick
    num_bars, repeats = (200_000, 3) if quick else (1_000_000, 5)

    frame = market(num_bars)
    bars = Bars.from_frame(frame)
    panel = Bars.from_frames({"A": frame, "B": market(num_bars, seed=1)})
    labels = barrier_labels(bars, horizon=HORIZON, halflife=HALFLIFE)
    values, end = numpy_labels(bars)
    known = num_bars - HORIZON
    np.testing.assert_array_equal(labels.values[:known, 0], values[:known])
    np.testing.assert_array_equal(labels.end[:known, 0], end[:known])

    numba.set_num_threads(1)
    ours, theirs, two_symbols = paired_medians(
        lambda: barrier_labels(bars, horizon=HORIZON, halflife=HALFLIFE),
        lambda: numpy_labels(bars),
        lambda: barrier_labels(panel, horizon=HORIZON, halflife=HALFLIFE),
        repeats=repeats,
    )
    threads = min(2, numba.config.NUMBA_NUM_THREADS)
    numba.set_num_threads(threads)
    (two_threads,) = paired_medians(
        lambda: barrier_labels(panel, horizon=HORIZON, halflife=HALFLIFE), repeats=repeats
    )

    print(f"{num_bars:,} bars, horizon {HORIZON}, medians of {repeats}, one thread unless said")
    print(f"{'':44}{'seconds':>10}{'million bars/s':>16}")
    for what, count, seconds in (
        ("convnext_vbt", num_bars, ours),
        ("numpy, sliding windows", num_bars, theirs),
        ("two symbols, convnext_vbt", 2 * num_bars, two_symbols),
        (f"two symbols, convnext_vbt, {threads} threads", 2 * num_bars, two_threads),
    ):
        print(f"{what:44}{seconds:>10.4f}{count / seconds / 1e6:>16.2f}")
    result = {
        "over_numpy": theirs / ours,
        "bars_per_second": num_bars / ours,
        "two_threads_bars_per_second": 2 * num_bars / two_threads,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
