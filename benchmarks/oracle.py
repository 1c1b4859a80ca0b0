"""What the simulated market's planted edge is worth to a trader who sees the hidden regime.

The oracle knows the regime of each bar at its close. It holds one equity long in an up regime, one
short in a down regime and nothing between them, from the next open, and pays the costs of the
quickstart for every change. Nobody can do better on the direction alone, so its net Sharpe ratio
is the ceiling by which the power of the verdict is measured.

Run `python -m benchmarks.oracle [--quick]`. The last line is JSON: the edge for each net Sharpe
ratio, as recorded in `EDGES`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass

import numpy as np

from convnext_vbt.market.bars import Bars
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.trading.inputs import SimulationConfig

COSTS = SimulationConfig()
HOURS_PER_DAY = 24
ROUNDING = 1e-4
"""Log return below which a difference is one of rounding prices to cents."""
TARGETS = (1.0, 1.5, 2.0, 3.0)
SEEDS = range(1, 101)
"""None of them is among the seeds that the verdict is measured with."""

EDGES = {1.0: 0.0769, 1.5: 0.1124, 2.0: 0.1480, 3.0: 0.2199}
"""Edge at which the oracle's mean net Sharpe ratio is the key, by bisection over `SEEDS`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """What one seed's markets hide. The price is linear in the edge: no regime moves volatility."""

    regime: np.ndarray
    """-1, 0 or +1 at each bar, int64 (T,)."""
    log_open: np.ndarray
    """Without an edge, (T,)."""
    drift: np.ndarray
    """What `edge=1` adds to it, (T,)."""

    @classmethod
    def of(cls, seed: int, bars: int = 17_520) -> Truth:
        """Seen by laying the market with an edge over the one without."""
        without = simulated_bars(seed=seed, edge=0.0, bars=bars)
        planted = simulated_bars(seed=seed, edge=1.0, bars=bars)
        log_open = np.log(without.open[:, 0])
        return cls(
            regime=hidden_regime(without, planted),
            log_open=log_open,
            drift=np.log(planted.open[:, 0]) - log_open,
        )

    def net_sharpe(self, edge: float) -> float:
        """The oracle's annual Sharpe ratio of daily returns after costs."""
        opens = np.exp(self.log_open + edge * self.drift)
        held = self.regime[:-2]  # known at the close of t, held from the open of t+1 to the next
        gross = held * (opens[2:] / opens[1:-1] - 1.0)
        costs = (COSTS.fees + COSTS.slippage) * np.abs(np.diff(held, prepend=0))
        hourly = np.concatenate([[0.0], gross - costs])  # by the hour in which it was earned
        days = len(hourly) // HOURS_PER_DAY
        daily = hourly[: days * HOURS_PER_DAY].reshape(days, HOURS_PER_DAY).sum(axis=1)
        return float(daily.mean() / daily.std(ddof=1) * np.sqrt(365))


def hidden_regime(without: Bars, planted: Bars) -> np.ndarray:
    """-1, 0 or +1 at each bar, (T,), of two markets that differ in the edge alone.

    Inside a bar nothing but the planted drift sets them apart; what rounding to cents leaves is a
    tenth of the smallest drift.
    """
    inside = np.log(planted.close / planted.open) - np.log(without.close / without.open)
    return np.where(np.abs(inside[:, 0]) < ROUNDING, 0, np.sign(inside[:, 0])).astype(np.int64)


def mean_sharpe(truths: list[Truth], edge: float) -> float:
    """Mean over the markets of the oracle's net Sharpe ratio."""
    return float(np.mean([truth.net_sharpe(edge) for truth in truths]))


def edge_for(truths: list[Truth], target: float) -> float:
    """Edge at which the mean net Sharpe ratio is `target`, by bisection to 1e-4."""
    low, high = 0.0, 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if mean_sharpe(truths, middle) < target else (low, middle)
    return round((low + high) / 2, 4)


def main() -> None:
    """Print the oracle's net Sharpe ratio by edge, and the edge for each target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ten seeds instead of a hundred")
    seeds = SEEDS[:10] if parser.parse_args().quick else SEEDS
    truths = [Truth.of(seed) for seed in seeds]
    print(f"the oracle's net Sharpe ratio, mean of {len(truths)} markets of two years")
    for edge in (0.0, 0.1, 0.25, 0.5, 1.0):
        ratios = [truth.net_sharpe(edge) for truth in truths]
        print(f"  edge {edge:<5g} {np.mean(ratios):6.2f} +- {np.std(ratios, ddof=1):.2f}")
    print(json.dumps({f"{target:g}": edge_for(truths, target) for target in TARGETS}))


if __name__ == "__main__":
    main()
