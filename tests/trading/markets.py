"""Small and random markets and signals for the tests of trading."""

import numpy as np
import pandas as pd

from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import QUANTILE_LEVELS, Predictions, Split, Target
from convnext_vbt.trading.signals import LEVELS, Signals

TARGET = Target(kind="barrier", horizon=24, up=1.0, down=1.0, halflife=24.0)


def hours(num_bars: int) -> pd.DatetimeIndex:
    return pd.date_range("2024-01-01", periods=num_bars, freq="h", tz="UTC")


def bars_of(rows: list[tuple[float, float, float, float] | None]) -> Bars:
    """Bars from (open, high, low, close) rows; None is a missing bar."""
    blank = (np.nan,) * 4
    table = np.array([blank if row is None else row for row in rows], dtype=float)[:, :, None]
    volume = np.where(np.isnan(table[:, 0]), np.nan, 1.0)
    return Bars(
        index=hours(len(rows)), symbols=("A",), step=pd.Timedelta(hours=1), volume=volume,
        open=table[:, 0], high=table[:, 1], low=table[:, 2], close=table[:, 3],
    )  # fmt: skip


def random_bars(
    *, num_bars: int, seed: int, symbols: tuple[str, ...] = ("A",), gaps: float = 0.004,
    volatility: float = 0.01, missing: float = 0.0,
) -> Bars:  # fmt: skip
    """Random walks whose opens jump away from the close before by `gaps` (0: not at all)."""
    rng = np.random.default_rng(seed)
    shape = (num_bars, len(symbols))
    jump = rng.standard_normal(shape) * gaps
    move = rng.standard_normal(shape) * volatility
    open_ = 100 * np.exp(np.cumsum(jump + np.roll(move, 1, axis=0), axis=0))
    close = open_ * np.exp(move)
    if gaps == 0:  # to the last bit
        open_[1:] = close[:-1]
    high = np.maximum(open_, close) * np.exp(np.abs(rng.standard_normal(shape)) * volatility / 2)
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.standard_normal(shape)) * volatility / 2)
    fields = {"open": open_, "high": high, "low": low, "close": close, "volume": np.ones(shape)}
    gone = rng.random(shape) < missing
    gone[0] = gone[-1] = False
    for values in fields.values():
        values[gone] = np.nan
    return Bars(index=hours(num_bars), symbols=symbols, step=pd.Timedelta(hours=1), **fields)


def signals_of(
    num_bars: int, symbols: tuple[str, ...] = ("A",), size: float = 1.0, **rows: list[int]
) -> Signals:
    """One rule whose levels are on at the named rows: entries=[0, 3]."""
    arrays = {name: np.zeros((num_bars, len(symbols)), dtype=bool) for name in LEVELS}
    for name, on in rows.items():
        arrays[name][on] = True
    columns = pd.MultiIndex.from_arrays([symbols], names=["symbol"])
    sizes = np.full((num_bars, len(symbols)), size)
    return Signals(index=hours(num_bars), columns=columns, size=sizes, **arrays)


def random_signals(
    *,
    num_bars: int,
    num_rules: int,
    seed: int,
    symbols: tuple[str, ...] = ("A",),
    density: float = 0.1,
) -> Signals:
    """Levels that are on at random rows, conflicts included, and sizes between 0 and 1."""
    rng = np.random.default_rng(seed)
    shape = (num_bars, num_rules * len(symbols))
    columns = pd.MultiIndex.from_product([range(num_rules), symbols], names=["rule", "symbol"])
    levels = {name: rng.random(shape) < density for name in LEVELS}
    return Signals(
        index=hours(num_bars), columns=columns, size=rng.random(shape).round(1), **levels
    )


def random_predictions(
    bars: Bars, *, seed: int, start: int = 550, target: Target | None = TARGET
) -> Predictions:
    """Dirichlet probabilities from bar `start` on, two splits with calibration quantiles."""
    rng = np.random.default_rng(seed)
    shape = bars.close.shape
    proba = rng.dirichlet([3, 3, 3], shape)
    middle = (start + len(bars)) // 2
    split = np.full(shape, -1)
    split[start:middle], split[middle:] = 0, 1
    split[~bars.present] = -1
    proba[split < 0] = np.nan
    levels = np.stack([0.33 + 0.5 * QUANTILE_LEVELS, 0.35 + 0.6 * QUANTILE_LEVELS])
    return Predictions(
        index=bars.index, symbols=bars.symbols, proba=proba, split=split, target=target,
        splits=(
            Split(number=0, train=(0, start - 30), test=(start, middle)),
            Split(number=1, train=(0, start - 30), test=(middle, len(bars))),
        ),
        quantiles=levels,
    )  # fmt: skip
