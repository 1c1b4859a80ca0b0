"""Features against pandas, and against TA-Lib for the indicators it has.

Run `python -m benchmarks.features [--quick]`.
"""

from __future__ import annotations

import argparse
import json
import time

import numba
import numpy as np
import pandas as pd
import talib

from benchmarks.pandas_features import pandas_features
from benchmarks.timing import paired_medians
from convnext_vbt.learning.features import ALL_FEATURES, compute_features
from convnext_vbt.market.bars import Bars

TALIB_FEATURES = (
    "rsi_14",
    "adx_14",
    "di_spread_14",
    "log_natr_14",
    "macd_over_atr",
    "keltner_20",
    "ema_distance_24",
    "ema_distance_168",
    "bollinger_percent_b_20",
    "bollinger_width_20",
    "stochastic_k_14",
)


def market(num_bars: int, seed: int = 0) -> pd.DataFrame:
    """A random walk of minutes with consistent highs and lows."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.standard_normal(num_bars) * 0.003))
    open_ = np.r_[100.0, close[:-1]]
    wick = np.exp(np.abs(rng.standard_normal((2, num_bars))) * 0.001)
    return pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(open_, close) * wick[0],
            "low": np.minimum(open_, close) / wick[1],
            "close": close,
            "volume": rng.lognormal(size=num_bars),
        },
        index=pd.date_range("2020-01-01", periods=num_bars, freq="min", tz="UTC"),
    )


def talib_features(bars: Bars) -> np.ndarray:
    """TALIB_FEATURES through TA-Lib, float32 (T, F)."""
    high, low, close = bars.high[:, 0], bars.low[:, 0], bars.close[:, 0]
    atr = talib.ATR(high, low, close, 14)
    plus, minus = talib.PLUS_DI(high, low, close, 14), talib.MINUS_DI(high, low, close, 14)
    upper, _, lower = talib.BBANDS(close, 20, 2, 2)
    out = np.empty((len(bars), len(TALIB_FEATURES)), dtype=np.float32)
    out[:, 0] = talib.RSI(close, 14) / 50 - 1
    out[:, 1] = talib.ADX(high, low, close, 14) / 100
    out[:, 2] = (plus - minus) / 100
    out[:, 3] = np.log(100 * atr / close)
    out[:, 4] = talib.MACD(close, 12, 26, 9)[0] / atr
    out[:, 5] = (close - talib.EMA(close, 20)) / (2 * atr)
    out[:, 6] = (close - talib.EMA(close, 24)) / (atr * np.sqrt(24))
    out[:, 7] = (close - talib.EMA(close, 168)) / (atr * np.sqrt(168))
    out[:, 8] = (close - lower) / (upper - lower)
    out[:, 9] = (upper - lower) / (4 * atr)
    out[:, 10] = talib.STOCHF(high, low, close, 14, 1)[0] / 50 - 1
    return out


def main() -> None:
    """Check that all agree, time them in turns, print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer bars and repeats")
    quick = parser.parse_args().quick
    num_bars, repeats = (300_000, 3) if quick else (1_000_000, 9)

    frame = market(num_bars)
    bars = Bars.from_frame(frame)
    panel = Bars.from_frames({"A": frame, "B": market(num_bars, seed=1)})
    ours = compute_features(bars)
    settled = slice(2 * ours.warmup, None)
    by_pandas = pandas_features(frame)[list(ALL_FEATURES)].to_numpy()
    error_pandas = np.abs(ours.values[settled, 0] - by_pandas[settled]).max()
    some = compute_features(bars, names=TALIB_FEATURES)
    error_talib = np.abs(some.values[settled, 0] - talib_features(bars)[settled]).max()
    assert error_pandas < 1e-5, error_pandas
    assert error_talib < 1e-4, error_talib

    numba.set_num_threads(1)
    all_ours, all_pandas, some_ours, some_talib, two_symbols = paired_medians(
        lambda: compute_features(bars),
        lambda: pandas_features(frame).to_numpy(np.float32),  # as ours, and TA-Lib's above
        lambda: compute_features(bars, names=TALIB_FEATURES),
        lambda: talib_features(bars),
        lambda: compute_features(panel),
        repeats=repeats,
        clock=time.process_time,
    )
    threads = min(2, numba.config.NUMBA_NUM_THREADS)
    numba.set_num_threads(threads)
    (two_threads,) = paired_medians(lambda: compute_features(panel), repeats=repeats)

    print(f"{num_bars:,} bars, medians of {repeats}, one thread unless said otherwise")
    print(f"{'':44}{'seconds':>10}{'million bars/s':>16}")
    for what, count, seconds in (
        (f"{len(ALL_FEATURES)} features, convnext_vbt", num_bars, all_ours),
        (f"{len(ALL_FEATURES)} features, pandas", num_bars, all_pandas),
        (f"{len(TALIB_FEATURES)} features, convnext_vbt", num_bars, some_ours),
        (f"{len(TALIB_FEATURES)} features, TA-Lib and numpy", num_bars, some_talib),
        ("two symbols, convnext_vbt", 2 * num_bars, two_symbols),
        (f"two symbols, convnext_vbt, {threads} threads", 2 * num_bars, two_threads),
    ):
        print(f"{what:44}{seconds:>10.4f}{count / seconds / 1e6:>16.2f}")
    result = {
        "over_pandas": all_pandas / all_ours,
        "over_talib": some_talib / some_ours,
        "bars_per_second": num_bars / all_ours,
        "two_threads_bars_per_second": 2 * num_bars / two_threads,
        "max_abs_diff_pandas": float(error_pandas),
        "max_abs_diff_talib": float(error_talib),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
