"""Small markets and predictions for the tests of this folder."""

from dataclasses import replace

import numpy as np

from convnext_vbt.market.bars import FIELDS, Bars
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.predictions import QUANTILE_LEVELS, Predictions, Split, Target
from convnext_vbt.trading.sweep import SweepResult, sweep

FIRST_TEST = 500
TARGET = Target(kind="barrier", horizon=12, up=1.0, down=1.0, halflife=24.0)
THRESHOLDS = ("q0.30", "q0.60", "q0.80", "q0.97")


def make_bars(*, bars=3000, symbols=1, seed=0) -> Bars:
    parts = [simulated_bars(seed=seed + n, bars=bars) for n in range(symbols)]
    arrays = {field: np.hstack([getattr(part, field) for part in parts]) for field in FIELDS}
    names = tuple(f"S{n}" for n in range(symbols))
    return Bars(index=parts[0].index, symbols=names, step=parts[0].step, **arrays)


def make_predictions(bars: Bars, *, splits=6, skill=3.0, seed=0) -> Predictions:
    """Probabilities that know a little of the next 12 bars."""
    rng = np.random.default_rng(seed)
    move = np.zeros_like(bars.close)
    move[:-12] = np.log(bars.close[12:] / bars.close[:-12])
    score = skill * move / move.std() * 0.1 + rng.normal(size=move.shape)
    weights = np.exp(np.stack([-score, np.full_like(score, 0.3), score], axis=2))
    proba = weights / weights.sum(axis=2, keepdims=True)
    number = np.full(score.shape, -1)
    edges = np.linspace(FIRST_TEST, len(bars), splits + 1).astype(int).tolist()
    table = []
    for k in range(splits):
        number[edges[k] : edges[k + 1]] = k
        table.append(Split(number=k, train=(0, edges[k] - 12), test=(edges[k], edges[k + 1])))
    proba[number < 0] = np.nan
    confidence = np.quantile(np.nanmax(proba[FIRST_TEST:, :, [0, 2]], axis=2), QUANTILE_LEVELS)
    return Predictions(
        index=bars.index,
        symbols=bars.symbols,
        proba=proba,
        split=number,
        splits=tuple(table),
        quantiles=np.tile(confidence, (splits, 1)),
        target=TARGET,
    )


def first_rows(preds: Predictions, stop: int) -> Predictions:
    """The predictions as they were at the close of bar stop - 1, a boundary of test ranges."""
    count = sum(split.test[1] <= stop for split in preds.splits)
    return replace(
        preds,
        index=preds.index[:stop],
        proba=preds.proba[:stop],
        split=preds.split[:stop],
        splits=preds.splits[:count],
        quantiles=preds.quantiles[:count],
    )


def make_sweep(bars: Bars, preds: Predictions, **arguments) -> SweepResult:
    """Without costs, so that no rule is the best for trading least."""
    usual = {"threshold": list(THRESHOLDS), "risk": 0.005, "fees": 0.0, "slippage": 0.0}
    return sweep(bars, preds, **(usual | arguments))
