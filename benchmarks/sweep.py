"""The sweep against vectorbt: every cell through `from_signals`, then the same metrics.

Run `python -m benchmarks.sweep [--quick]`.

vectorbt gets what suits it: its Rust engine, the chunk of columns that is fastest here, and its
own methods for the metrics. Both first trade the same cells, and their orders must be equal up to
the first bar that needs two; then seconds are compared per cell, since vectorbt runs a subset.
Cells that differ in their risk alone are walked together here, so two grids of as many cells are
timed: thresholds x stops x risks, and many thresholds at four risks each ("few_risks"), where
making the signals, which vectorbt is given ready made, takes a quarter of the time.
backtesting.py (where it is installed) runs a few cells with its own statistics, after its trades
have shown the same number, bars and sides.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import pandas as pd
import vectorbt as vbt

from benchmarks.timing import paired_medians
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.predictions import Predictions, Target
from convnext_vbt.trading.brackets import fixed_brackets
from convnext_vbt.trading.codes import CLOSED, REASONS
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.portfolio import simulate
from convnext_vbt.trading.rules import confidence_signals
from convnext_vbt.trading.signals import LEVELS, Signals
from convnext_vbt.trading.simulation import simulate_signals
from convnext_vbt.trading.sweep import sweep

TARGET = Target(kind="barrier", horizon=24, up=1.0, down=1.0, halflife=24.0)
WARMUP = 500
STOP, PROFIT = 0.03, 0.05


def predictions(bars: Bars) -> Predictions:
    """Random probabilities that change slowly, so that positions last for hours."""
    rng = np.random.default_rng(0)
    logits = (
        pd.DataFrame(rng.standard_normal((len(bars), 3))).ewm(halflife=12).mean().to_numpy() * 4
    )
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    proba[:WARMUP] = np.nan
    up, down = (pd.DataFrame({bars.symbols[0]: proba[:, k]}, bars.index) for k in (2, 0))
    return Predictions.from_frames(prob_up=up, prob_down=down, target=TARGET)


def tiled(signals: Signals, risks: np.ndarray) -> Signals:
    """One column a cell, which is what vectorbt needs: the risk goes into the size."""
    rules = np.arange(len(risks)) % len(signals.columns)
    symbols = signals.symbols[rules]
    columns = pd.MultiIndex.from_arrays([np.arange(len(risks)), symbols], names=["cell", "symbol"])
    levels = {name: getattr(signals, name)[:, rules] for name in LEVELS}
    size = signals.size[:, rules] * risks
    return Signals(index=signals.index, columns=columns, size=size, **levels)


def vectorbt_metrics(bars: Bars, signals: Signals, chunk: int) -> pd.DataFrame:
    """Return, Sharpe on days, drawdown, trades, win rate, profit factor of each column."""
    parts = []
    for first in range(0, len(signals.columns), chunk):
        part = signals.take(np.arange(first, min(first + chunk, len(signals.columns))))
        portfolio = simulate(
            bars,
            part,
            risk=1.0,
            stop=STOP,
            take_profit=PROFIT,
            size_type="value",
            engine="vectorbt",
        )
        value = portfolio.value()
        days = value.resample("1D").last().pct_change()
        trades = portfolio.trades
        parts.append(
            pd.DataFrame(
                {
                    "total_return": portfolio.total_return(),
                    "max_drawdown": portfolio.max_drawdown(),
                    "sharpe": days.mean() / days.std() * np.sqrt(365),
                    "trades": trades.count(),
                    "win_rate": trades.win_rate(),
                    "profit_factor": trades.profit_factor(),
                }
            )
        )
    return pd.concat(parts)


def compared_orders(bars: Bars, signals: Signals) -> int:
    """Orders that are equal in both engines, in each column until a bar needs two of them."""
    brackets = fixed_brackets(bars, stop=STOP, take_profit=PROFIT)
    config = SimulationConfig(risk=1.0)
    ours = simulate_signals(bars, signals, brackets, config=config, size_type="value")
    theirs = simulate(
        bars, signals, stop=brackets, risk=1.0, size_type="value", engine="vectorbt"
    ).orders.values
    compared = 0
    for c in range(len(signals.columns)):
        orders, trades = ours.orders[ours.orders["col"] == c], ours.trades[ours.trades["col"] == c]
        reasons = np.array(REASONS)[trades["reason"][trades["status"] == CLOSED]]
        in_bar = np.zeros(len(orders), dtype=bool)
        in_bar[1::2] = np.isin(reasons, ["stop", "gap through stop", "take-profit"])
        row = orders["idx"] - ~in_bar  # vectorbt stamps a next-open fill with the signal's bar
        clash = np.flatnonzero(np.diff(row) == 0)  # two orders in one bar: vectorbt loses one
        agreed = int(clash[0]) if len(clash) else len(row)
        orders, other = orders[:agreed], theirs[theirs["col"] == c][:agreed]
        np.testing.assert_array_equal(row[:agreed], other["idx"])
        np.testing.assert_array_equal(orders["side"], other["side"])
        for name in ("size", "price", "fees"):
            np.testing.assert_allclose(orders[name], other[name], rtol=1e-12)
        compared += len(orders)
    if not compared:
        raise SystemExit("no column could be compared with vectorbt")
    return compared


def backtesting_seconds(bars: Bars, signals: Signals, repeats: int) -> tuple[int, float] | None:
    """Trades compared and median seconds a column in backtesting.py; None if not installed."""
    try:
        from benchmarks import by_backtesting
    except ImportError:
        return None
    gapless = by_backtesting.without_gaps(bars)
    compared = by_backtesting.compared_trades(gapless, signals, stop=STOP, profit=PROFIT)
    columns = range(len(signals.columns))
    seconds = paired_medians(
        *(
            lambda c=c: by_backtesting.run(gapless, signals, c, stop=STOP, profit=PROFIT)
            for c in columns
        ),
        repeats=repeats,
    )
    return compared, float(np.mean(seconds))


def peak_mb(function: Callable[[], object]) -> float | None:
    """Most memory in MB that the process holds during the call, beyond what it held before."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        return None  # only Linux tells

    def read_kb(field: str) -> int:
        return int(status.read_text().split(f"{field}:")[1].split()[0])

    before = read_kb("VmRSS")
    reset.write_text("5")
    function()
    return round((read_kb("VmHWM") - before) / 1024, 1)


def main() -> None:
    """Check, time in turns, print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer cells and repeats")
    quick = parser.parse_args().quick
    cells, subset, repeats = (2_000, 100, 3) if quick else (10_000, 250, 3)
    warnings.simplefilter("ignore")

    bars = simulated_bars(seed=0, edge=0.0, bars=8_760 + WARMUP)
    preds = predictions(bars)
    thresholds = np.round(np.linspace(0.40, 0.78, 20), 2).tolist()

    def swept(rules: int, stops: int, risks: int) -> Callable[[], object]:
        return lambda: sweep(
            bars,
            preds,
            threshold=np.linspace(0.40, 0.78, rules).tolist(),
            risk=np.linspace(0.001, 0.02, risks).tolist(),
            stop_multiple=np.linspace(0.5, 2.0, stops).tolist(),
        )

    ours, few_risks = swept(cells // 100, 10, 10), swept(cells // 4, 1, 4)
    start = time.perf_counter()
    swept(20, 1, 1)()
    first = time.perf_counter() - start
    peak = max(found) if (found := [*filter(None, map(peak_mb, (ours, few_risks)))]) else None

    signals = confidence_signals(preds, bars, threshold=thresholds)
    rng = np.random.default_rng(1)
    rival = tiled(signals.rows(WARMUP, len(bars)), rng.uniform(0.02, 0.6, subset))
    window = bars.rows(WARMUP, len(bars))

    compared = compared_orders(window, rival)
    chunks = [c for c in (50, 100, 250) if c <= subset]
    taken = paired_medians(
        *(lambda c=c: vectorbt_metrics(window, rival, c) for c in chunks), repeats=1
    )
    best = chunks[int(np.argmin(taken))]
    mine, mine_few, theirs = paired_medians(
        ours, few_risks, lambda: vectorbt_metrics(window, rival, best), repeats=repeats
    )
    few = tiled(signals.take(np.array([0, 9])).rows(WARMUP - 1, len(bars)), np.array([0.1, 0.5]))
    slow = backtesting_seconds(bars.rows(WARMUP - 1, len(bars)), few, 1 if quick else repeats)
    print(f"{'':>28}{'cells':>8}{'seconds':>10}{'cells/s':>12}")
    rival_name = f"vectorbt {vbt.__version__}, chunks of {best}"
    for name, count, seconds in (
        ("convnext_vbt.sweep", cells, mine),
        ("the same, four risks a rule", cells, mine_few),
        (rival_name, subset, theirs),
    ):
        print(f"{name:>28}{count:>8}{seconds:>10.2f}{count / seconds:>12,.0f}")
    if slow:
        print(f"{'backtesting.py':>28}{2:>8}{2 * slow[1]:>10.2f}{1 / slow[1]:>12,.1f}")
        print(f"{slow[0]:,} trades equal to backtesting.py's in number, bars and sides")
    print(f"{compared:,} orders equal to vectorbt's; first sweep here, of 20 cells: {first:.2f} s")
    result = {
        "over_vectorbt": round((theirs / subset) / (mine / cells), 1),
        "few_risks_over_vectorbt": round((theirs / subset) / (mine_few / cells), 1),
        "over_backtesting_py": round(slow[1] / (mine / cells)) if slow else None,
        "cells": cells,
        "seconds": round(mine, 3),
        "few_risks_seconds": round(mine_few, 3),
        "peak_mb": peak,
        "first_seconds": round(first, 3),
        "threads": numba.get_num_threads(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
