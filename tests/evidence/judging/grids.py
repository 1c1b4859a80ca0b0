"""Portfolios and returns to judge."""

import numpy as np
import pandas as pd
import vectorbt as vbt


def prices(seed=0, days=120, drift=0.0, columns=1):
    """Hourly closes of a random walk."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(drift / 24, 0.006, (24 * days, columns))
    index = pd.date_range("2023-01-02", periods=24 * days, freq="h")
    return pd.DataFrame(
        100 * np.exp(steps.cumsum(axis=0)), index, [f"a{k}" for k in range(columns)]
    )


def crossings(close, windows=(6, 12, 24, 48), short=True, fees=0.001, **options):
    """A grid of moving-average crossings over one price."""
    fast, slow = vbt.MA.run_combs(close, window=list(windows), r=2)
    up, down = fast.ma_crossed_above(slow), fast.ma_crossed_below(slow)
    sides = {"short_entries": down, "short_exits": up} if short else {}
    return vbt.Portfolio.from_signals(close, up, down, fees=fees, **sides, **options)


def knowing(close, edge, seed=0, columns=6, hold=12):
    """Sizes by coin and, in the first column, by what comes: long and short, `hold` bars each."""
    rng = np.random.default_rng(seed)
    values = close.to_numpy().ravel()
    side = rng.choice([-1.0, 1.0], (len(values), columns))
    ahead = np.sign(np.append(values[hold:], np.repeat(values[-1], hold)) - values)
    side[:, 0] = np.where(rng.random(len(values)) < edge, ahead, side[:, 0])
    size = np.full(side.shape, np.nan)
    size[::hold] = side[::hold]
    frame = pd.DataFrame(size, close.index)
    return vbt.Portfolio.from_orders(close, frame, size_type="targetpercent", fees=0.0005, freq="h")


def noise(days=300, columns=5, seed=0, mean=0.0):
    index = pd.date_range("2022-01-03", periods=days, freq="B")
    values = np.random.default_rng(seed).normal(mean, 0.01, (days, columns))
    return pd.DataFrame(values, index, [f"r{k}" for k in range(columns)])
