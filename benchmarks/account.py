"""What lots, least fees, a trailing stop and finer bars cost the sweep, against the plain one.

Run `python -m benchmarks.account [--quick]`.

The same market and cells, in turns: at one fee and one slippage; with an exchange's lots, least
order, least fee and a stop that trails the extreme; and with the sixty minute bars of each hour,
which tell what came first within it. Another market each would trade other bars.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable

import numba
import numpy as np
import pandas as pd

from benchmarks.sweep import predictions
from benchmarks.timing import paired_medians
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.detail import Detail
from convnext_vbt.trading.instruments import Instrument
from convnext_vbt.trading.sweep import sweep

HOURS = 8_760
MINUTES = 60
EXCHANGE = Instrument(
    tick=0.01, lot=0.00001, min_notional=5.0, taker=0.0005, min_fee=0.01, slippage=0.0002
)


def hours_of_minutes() -> tuple[Bars, Bars]:
    """A random walk in hours, without and with the minutes that they are made of."""
    rng = np.random.default_rng(0)
    shape = (HOURS, MINUTES)
    moves = rng.standard_normal(HOURS * MINUTES) * 0.005 / np.sqrt(MINUTES)
    close = 20_000 * np.exp(np.cumsum(moves)).reshape(shape)
    opened = np.append(20_000.0, close.ravel()[:-1]).reshape(shape)
    reach = np.abs(rng.standard_normal(shape)) * 0.0002
    high, low = np.maximum(opened, close) * (1 + reach), np.minimum(opened, close) * (1 - reach)
    volume = np.ones(shape)

    def bars(step: str, columns: dict[str, np.ndarray]) -> Bars:
        index = pd.date_range("2024-01-01", periods=len(columns["open"]), freq=step, tz="UTC")
        return Bars.from_frame(pd.DataFrame(columns, index=index), symbol="SIM")

    fine = bars(
        "min",
        {"open": opened.ravel(), "high": high.ravel(), "low": low.ravel(),
         "close": close.ravel(), "volume": volume.ravel()},
    )  # fmt: skip
    coarse = {
        "open": opened[:, 0], "high": high.max(axis=1), "low": low.min(axis=1),
        "close": close[:, -1], "volume": volume.sum(axis=1),
    }  # fmt: skip
    plain = bars("h", coarse)
    values = {name: getattr(plain, name) for name in ("open", "high", "low", "close", "volume")}
    detailed = Bars(
        index=plain.index, symbols=plain.symbols, step=plain.step,
        detail=Detail.from_bars(plain, fine), **values,
    )  # fmt: skip
    return plain, detailed


def main() -> None:
    """Time in turns, print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer cells and repeats")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    plain, detailed = hours_of_minutes()
    preds = predictions(plain)
    rules, stops, risks = (10, 4, 10) if quick else (100, 10, 10)
    cells = rules * stops * risks

    def swept(bars: Bars, **more: object) -> Callable[[], object]:
        return lambda: sweep(
            bars, preds,
            threshold=np.linspace(0.40, 0.78, rules).tolist(),
            risk=np.linspace(0.001, 0.02, risks).tolist(),
            stop_multiple=np.linspace(0.5, 2.0, stops).tolist(),
            **more,
        )  # fmt: skip

    own = {"instruments": {"default": EXCHANGE}}
    names = ("one fee and slippage", "lots, least fee, trailing stop", "lots, least fee",
             "the same with 60 detail bars each")  # fmt: skip
    taken = paired_medians(
        swept(plain), swept(plain, trail="extreme", **own), swept(plain, **own),
        swept(detailed, **own), repeats=3,
    )  # fmt: skip
    print(f"{'':>36}{'cells':>8}{'seconds':>10}{'cells/s':>12}")
    for name, seconds in zip(names, taken, strict=True):
        print(f"{name:>36}{cells:>8}{seconds:>10.2f}{cells / seconds:>12,.0f}")
    result = {
        "cells": cells,
        "exchange_over_plain": round(taken[0] / taken[1], 2),
        "detail_over_none": round(taken[3] / taken[2], 2),
        "threads": numba.get_num_threads(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
