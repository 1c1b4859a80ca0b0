"""Triple-barrier labels against numpy, twice, and against mlfinpy's where it can be imported.

Run `python -m benchmarks.labels [--quick]`. `over_numpy` speaks of the triple barrier as it is
usually written, bar by bar over slices of highs and lows (Lopez de Prado 2018, snippet 3.2, in
numpy); `over_numpy_windows` of sliding windows without a Python loop, which hold 24 times the
bars. Slow rivals label fewer bars; the ratio is per bar. mlfinpy watches closes alone: it is
compared on bars whose highs and lows are no wider than their bodies.
"""

from __future__ import annotations

import argparse
import json
import math
import time

import numba
import numpy as np
import pandas as pd

from benchmarks.features import market
from benchmarks.timing import paired_medians
from convnext_vbt.learning.labels import barrier_labels
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import DOWN, STAY, UP

HORIZON = 24
HALFLIFE = 24.0
WARMUP = math.ceil(math.log(1e-6) / math.log(0.5 ** (1 / HALFLIFE)))


def widths(close: np.ndarray) -> np.ndarray:
    """Barrier widths by pandas, (T,), NaN while the volatility warms up."""
    squares = pd.Series(np.log(close)).diff() ** 2
    sigma = np.sqrt(squares.ewm(halflife=HALFLIFE, adjust=False).mean().to_numpy())
    sigma[: WARMUP + 1] = np.nan
    return sigma * math.sqrt(HORIZON)


def numpy_loop(bars: Bars) -> tuple[np.ndarray, np.ndarray]:
    """Values and ends, (T,), bar by bar; the rows at the end are -1."""
    open_, high, low = (x[:, 0] for x in (bars.open, bars.high, bars.low))
    width = widths(bars.close[:, 0])
    values = np.full(len(bars), -1, dtype=np.int8)
    end = np.minimum(np.arange(len(bars)) + HORIZON, len(bars) - 1)
    for t in range(WARMUP + 1, len(bars) - HORIZON):
        entry = open_[t + 1]
        rose = np.flatnonzero(high[t + 1 : t + 1 + HORIZON] >= entry * (1 + width[t]))
        fell = np.flatnonzero(low[t + 1 : t + 1 + HORIZON] <= entry * (1 - width[t]))
        first_rise = rose[0] if len(rose) else HORIZON
        first_fall = fell[0] if len(fell) else HORIZON
        if first_rise != first_fall:
            values[t] = UP if first_rise < first_fall else DOWN
        elif first_rise == HORIZON:
            values[t] = STAY
        end[t] = t + 1 + min(first_rise, first_fall, HORIZON - 1)
    return values, end


def numpy_windows(bars: Bars) -> tuple[np.ndarray, np.ndarray]:
    """The same with sliding windows of highs and lows."""
    open_, high, low = (x[:, 0] for x in (bars.open, bars.high, bars.low))
    count = len(bars) - HORIZON
    entry, width = open_[1 : count + 1], widths(bars.close[:, 0])[:count]
    upper, lower = entry * (1 + width), entry * (1 - width)
    highs = np.lib.stride_tricks.sliding_window_view(high[1:], HORIZON)
    lows = np.lib.stride_tricks.sliding_window_view(low[1:], HORIZON)
    rose, fell = highs >= upper[:, None], lows <= lower[:, None]
    first_rise = np.where(rose.any(axis=1), rose.argmax(axis=1), HORIZON)
    first_fall = np.where(fell.any(axis=1), fell.argmax(axis=1), HORIZON)
    values = np.full(len(bars), -1, dtype=np.int8)
    values[:count] = np.select(
        [first_rise < first_fall, first_fall < first_rise, first_rise == HORIZON],
        [UP, DOWN, STAY],
        -1,
    )
    end = np.minimum(np.arange(len(bars)) + HORIZON, len(bars) - 1)
    end[:count] = np.arange(count) + 1 + np.minimum(np.minimum(first_rise, first_fall), HORIZON - 1)
    values[: WARMUP + 1], end[: WARMUP + 1] = -1, np.arange(WARMUP + 1) + HORIZON
    return values, end


def mlfinpy_ends(bars: Bars) -> pd.Series:
    """When each label is decided, by mlfinpy's `get_events` on closes."""
    from mlfinpy.labeling.labeling import get_events

    close = pd.Series(bars.close[:, 0], bars.index)
    width = pd.Series(widths(bars.close[:, 0]), bars.index)
    decided = pd.Series(bars.index, bars.index).shift(-HORIZON).dropna()
    entered = decided.index[WARMUP + 1 :]
    events = get_events(
        close, entered, [1, 1], width, 0.0, 1, vertical_barrier_times=decided, verbose=False
    )
    return events["t1"]


def bodies(bars: Bars) -> Bars:
    """The bars without wicks, each opening at the close before."""
    close = bars.close[:, 0]
    open_ = np.r_[close[0], close[:-1]]
    frame = pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(open_, close),
            "low": np.minimum(open_, close),
            "close": close,
            "volume": 1.0,
        },
        index=bars.index,
    )
    return Bars.from_frame(frame)


def over_mlfinpy(bars: Bars, seconds_a_bar: float) -> float | None:
    """How many times longer a bar takes there; None where it is not installed."""
    try:
        import mlfinpy  # noqa: F401
    except ImportError:
        return None
    bars = bodies(bars)
    ends = mlfinpy_ends(bars)
    ours = barrier_labels(bars, horizon=HORIZON, halflife=HALFLIFE).end[:, 0]
    at = bars.index.get_indexer(ends.index)
    np.testing.assert_array_equal(bars.index[ours[at]], pd.DatetimeIndex(ends))
    (seconds,) = paired_medians(lambda: mlfinpy_ends(bars), repeats=1, clock=time.process_time)
    return seconds / len(bars) / seconds_a_bar


def main() -> None:
    """Check that all agree, time them in turns, print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer bars and repeats")
    quick = parser.parse_args().quick
    num_bars, repeats = (200_000, 3) if quick else (1_000_000, 5)

    frame = market(num_bars)
    bars = Bars.from_frame(frame)
    few = bars.rows(0, num_bars // 20)
    panel = Bars.from_frames({"A": frame, "B": market(num_bars, seed=1)})
    for some, rival in ((few, numpy_loop), (bars, numpy_windows)):
        labels = barrier_labels(some, horizon=HORIZON, halflife=HALFLIFE)
        values, end = rival(some)
        known = len(some) - HORIZON
        np.testing.assert_array_equal(labels.values[:known, 0], values[:known])
        np.testing.assert_array_equal(labels.end[:known, 0], end[:known])

    numba.set_num_threads(1)
    ours, loop, by_windows, two_symbols = paired_medians(
        lambda: barrier_labels(bars, horizon=HORIZON, halflife=HALFLIFE),
        lambda: numpy_loop(few),
        lambda: numpy_windows(bars),
        lambda: barrier_labels(panel, horizon=HORIZON, halflife=HALFLIFE),
        repeats=repeats,
        clock=time.process_time,
    )
    threads = min(2, numba.config.NUMBA_NUM_THREADS)
    numba.set_num_threads(threads)
    (two_threads,) = paired_medians(
        lambda: barrier_labels(panel, horizon=HORIZON, halflife=HALFLIFE), repeats=repeats
    )

    print(f"{num_bars:,} bars, horizon {HORIZON}, medians of {repeats}, one thread unless said")
    print(f"{'':44}{'bars':>12}{'seconds':>10}{'million bars/s':>16}")
    for what, count, seconds in (
        ("convnext_vbt", num_bars, ours),
        ("numpy, bar by bar", len(few), loop),
        ("numpy, sliding windows", num_bars, by_windows),
        ("two symbols, convnext_vbt", 2 * num_bars, two_symbols),
        (f"two symbols, convnext_vbt, {threads} threads", 2 * num_bars, two_threads),
    ):
        print(f"{what:44}{count:>12,}{seconds:>10.4f}{count / seconds / 1e6:>16.2f}")
    result = {
        "over_numpy": loop / len(few) / (ours / num_bars),
        "over_numpy_windows": by_windows / ours,
        "over_mlfinpy": over_mlfinpy(bars.rows(0, 2_000), ours / num_bars),
        "bars_per_second": num_bars / ours,
        "two_threads_bars_per_second": 2 * num_bars / two_threads,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
