"""Bootstrapped bars: the whole strategy on bars that know little of each other.

Dimensions: T bars, N symbols.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.evidence.nulls.null import Case, Null, NullTest
from convnext_vbt.evidence.nulls.retraining import NUM_DRAWS, retrained
from convnext_vbt.evidence.selection import USUAL, Preset
from convnext_vbt.evidence.stages import Stages
from convnext_vbt.market.bars import FIELDS, Bars
from convnext_vbt.trading.sweep import SweepResult


def bootstrapped_bars_null(
    bars: Bars,
    stages: Stages,
    preset: Preset = USUAL,
    *,
    observed: float,
    block_bars: float,
    draws: int = NUM_DRAWS,
) -> Null:
    """Run everything on bars that are drawn from these in blocks of `block_bars` on average.

    What the bars know of each other over longer than a block is gone; what they know within one
    stays, and so does an edge that needs no longer memory. A fraction of the label's horizon is a
    null for most strategies. `observed` is the headline's Sharpe ratio, annual.
    """

    def draw(rng: np.random.Generator) -> SweepResult:
        drawn = bootstrapped_bars(bars, block_bars, rng)
        labels = stages.labels(drawn)
        preds = stages.predict(drawn, stages.features(drawn), labels, stages.splits(labels))
        return stages.sweep(drawn, preds)

    return retrained(draw, preset, observed, draws)


def bootstrapped_bars(bars: Bars, block_bars: float, rng: np.random.Generator) -> Bars:
    """Bars of the same times whose moves are drawn in blocks, all symbols together.

    Stationary bootstrap (Politis and Romano 1994): every bar follows its predecessor's successor,
    or with probability 1 / block_bars any bar at all. A bar is drawn as its prices over the
    symbol's close before it, with its volume; a missing bar is drawn as missing.

    Raises `ValueError` for blocks shorter than one bar, and where a symbol is never drawn.
    """
    if not block_bars >= 1:
        raise InputError(f"block_bars must be at least 1, got {block_bars:g}")
    count = len(bars)
    jumps = rng.random(count) < 1 / block_bars
    jumps[0] = True
    start = np.flatnonzero(jumps)
    block = np.cumsum(jumps) - 1
    rows = (rng.integers(0, count, len(start))[block] + np.arange(count) - start[block]) % count
    first_open = pd.DataFrame(bars.open).bfill().iloc[0]
    before = pd.DataFrame(bars.close).ffill().shift(1).fillna(first_open).to_numpy()
    moves = {name: (getattr(bars, name) / before)[rows] for name in FIELDS if name != "volume"}
    steps = np.where(np.isnan(moves["close"]), 1.0, moves["close"])
    level = np.cumprod(np.vstack([before[:1], steps[:-1]]), axis=0)
    prices = {name: move * level for name, move in moves.items()}
    funding = None if bars.funding is None else bars.funding[rows]
    return replace(bars, volume=bars.volume[rows], funding=funding, **prices)


def _draw(case: Case) -> Null:
    assert case.stages is not None
    return bootstrapped_bars_null(
        case.result.bars,
        case.stages,
        case.preset,
        observed=case.headline.sharpe,
        block_bars=case.stages.horizon / 4,
    )


BOOTSTRAPPED_BARS = NullTest(
    name="bootstrapped_bars",
    title="bootstrapped bars",
    question="Does it need long-range structure?",
    draws="walk-forwards ran on bars resampled in short blocks",
    meaning="If many do, the ratio does not come from long-range structure.",
    draw=_draw,
    retrains=True,
)
