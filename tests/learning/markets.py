"""Random bars for the tests of features, labels and splits."""

import numpy as np
import pandas as pd

from convnext_vbt.market.bars import FIELDS, Bars


def hours(count: int) -> pd.DatetimeIndex:
    """When hourly bars open that nothing interrupts."""
    return pd.date_range("2024-01-01", periods=count, freq="h", tz="UTC")


def random_frame(*, num_bars: int, seed: int = 0, volatility: float = 0.006) -> pd.DataFrame:
    """A driftless random walk with consistent highs and lows from twelve steps a bar."""
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal((num_bars, 12)) * volatility / np.sqrt(12)
    path = 100 * np.exp(np.cumsum(steps.ravel())).reshape(num_bars, 12)
    open_ = np.r_[100.0, path[:-1, -1]]
    return pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(path.max(axis=1), open_),
            "low": np.minimum(path.min(axis=1), open_),
            "close": path[:, -1],
            "volume": rng.lognormal(size=num_bars),
        },
        index=hours(num_bars),
    )


def random_bars(*, num_bars: int, seed: int = 0, volatility: float = 0.006) -> Bars:
    frame = random_frame(num_bars=num_bars, seed=seed, volatility=volatility)
    return Bars.from_frame(frame, symbol="A")


def random_panel(*, num_bars: int, num_symbols: int, seed: int = 0, missing: float = 0.1) -> Bars:
    """A panel whose symbols miss bars at random, one of them from the start."""
    rng = np.random.default_rng(seed)
    frames = {}
    for n in range(num_symbols):
        frame = random_frame(num_bars=num_bars, seed=seed + n)
        kept = rng.random(num_bars) >= missing * (n > 0)
        kept[: num_bars // 10 * (n == 1)] = False
        frames[f"S{n}"] = frame[kept]
    return Bars.from_frames(frames)


def garbage_after(bars: Bars, t: int, seed: int) -> Bars:
    """The same bars up to t, and other valid ones after it, some of them missing."""
    other = random_panel(num_bars=len(bars), num_symbols=len(bars.symbols), seed=seed, missing=0.3)
    later = np.arange(len(bars))[:, None] > t
    arrays = {
        field: np.where(later, 7.0 * getattr(other, field), getattr(bars, field))
        for field in FIELDS
    }
    return Bars(index=bars.index, symbols=bars.symbols, step=bars.step, **arrays)
