"""What confidence was worth: forward returns by decile, probabilities by what came true.

Dimensions: T bars, N symbols, M bars that count, K = 3 classes, B bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.evidence.accounts import Account
from convnext_vbt.evidence.returns import symbol_numbers
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import CLASSES, DOWN, UP, Predictions
from convnext_vbt.trading.expectation import round_trips
from convnext_vbt.trading.rules import parse_threshold
from convnext_vbt.trading.sweep import SweepResult

NUM_DECILES = 10
NUM_BINS = 24
BLOCK_HORIZONS = 5
"""Bars within a block of this many horizons count as one observation of an interval."""
_Z90 = NormalDist().inv_cdf(0.95)


def confidence(preds: Predictions) -> np.ndarray:
    """The larger of P(UP) and P(DOWN), float64 (T, N); NaN without a prediction or at a tie."""
    up, down = preds.proba[:, :, UP], preds.proba[:, :, DOWN]
    sure = np.maximum(up, down).astype(np.float64)
    return np.where((preds.split >= 0) & (up != down), sure, np.nan)


def forward_returns(bars: Bars, horizon: int) -> np.ndarray:
    """Return from the open after a bar to the close `horizon` present bars later, (T, N).

    NaN where the symbol has no bar or its data end before.
    """
    out = np.full(bars.close.shape, np.nan)
    for n in range(len(bars.symbols)):
        rows = np.flatnonzero(bars.present[:, n])
        if len(rows) > horizon:
            close, opens = bars.close[rows[horizon:], n], bars.open[rows[1:], n]
            out[rows[:-horizon], n] = close / opens[: len(close)] - 1.0
    return out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deciles:
    """Bars by confidence, and what following it for one horizon earned on average."""

    horizon: int
    """Bars that each one was held."""
    cost: float
    """Of a round trip, a share of the entry value."""
    inner: np.ndarray
    """The confidences between two deciles, rising."""
    table: pd.DataFrame
    """One row a decile, "decile" 1 the least sure: from, to (confidence), bars, gross, net, low
    and high (90 % interval of net, NaN below two blocks), fractions of the entry value."""

    def __len__(self) -> int:
        return len(self.table)

    def of(self, values: np.ndarray) -> np.ndarray:
        """The row of `table` in which each confidence lies."""
        number = np.searchsorted(self.inner, values, side="right")
        return np.searchsorted(self.table["decile"].to_numpy() - 1, number)


def round_trip_cost(res: SweepResult) -> float:
    """Fees and slippage of both sides, as a share of the entry value, on average."""
    return float(np.nanmean(round_trips(res.config, res.bars)))


def deciles_of(res: SweepResult) -> Deciles | None:
    """Forward returns by confidence; None where no horizon is known or no bar counts."""
    target = res.predictions.target
    horizon = target.horizon if target else res.brackets.max_holding
    if horizon is None:
        return None
    found = deciles(res.predictions, res.bars, horizon=horizon, cost=round_trip_cost(res))
    return found if len(found) else None


def deciles(preds: Predictions, bars: Bars, *, horizon: int, cost: float) -> Deciles:
    """Deciles of confidence over all bars with a prediction and an outcome, symbols pooled.

    The return is that of a trade in the direction said, entered at the next open and left at the
    close `horizon` bars on; `cost` is a round trip's share of the entry value. Equal confidences
    share a decile. Intervals are normal with errors clustered by blocks of 5 horizons, because
    neighbouring outcomes overlap.
    """
    sure = confidence(preds)
    side = np.where(preds.proba[:, :, UP] > preds.proba[:, :, DOWN], 1.0, -1.0)
    gross = side * forward_returns(bars, horizon)
    counted = np.isfinite(sure) & np.isfinite(gross)
    known, values = sure[counted], gross[counted]
    blocks = np.nonzero(counted)[0] // (BLOCK_HORIZONS * horizon)
    levels = np.arange(1, NUM_DECILES) / NUM_DECILES
    inner = np.quantile(known, levels) if len(known) else np.zeros(0)
    number = np.searchsorted(inner, known, side="right")
    rows = []
    for k in np.unique(number).tolist():
        own = number == k
        mean, half = float(values[own].mean()), _half_width(values[own], blocks[own])
        rows.append(
            {
                "decile": k + 1, "from": known[own].min(), "to": known[own].max(),
                "bars": int(own.sum()), "gross": mean, "net": mean - cost,
                "low": mean - cost - half, "high": mean - cost + half,
            }
        )  # fmt: skip
    names = ["decile", "from", "to", "bars", "gross", "net", "low", "high"]
    return Deciles(horizon=horizon, cost=cost, inner=inner, table=pd.DataFrame(rows, columns=names))


def _half_width(values: np.ndarray, blocks: np.ndarray) -> float:
    _, which = np.unique(blocks, return_inverse=True)
    sums = np.bincount(which, weights=values - values.mean())
    count = len(sums)
    if count < 2:
        return float("nan")
    return float(_Z90 * np.sqrt(np.square(sums).sum() * count / (count - 1)) / len(values))


def trades_by_decile(
    account: Account, res: SweepResult, found: Deciles
) -> tuple[np.ndarray, np.ndarray]:
    """Mean net return and number of an account's trades in each decile of `found`.

    A trade belongs to the confidence of its symbol's bar before its entry.
    """
    trades, symbols = account.trades, symbol_numbers(account, res.bars)
    symbol = symbols[trades["col"]]
    signal = res.bars.previous[trades["entry_idx"] + res.window[0], symbol]
    sure = confidence(res.predictions)[signal, symbol]
    known = np.isfinite(sure)
    row = found.of(sure[known])
    row = np.minimum(row, max(len(found) - 1, 0))
    count = np.bincount(row, minlength=len(found))
    total = np.bincount(row, weights=trades["return"][known], minlength=len(found))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), count


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlines:
    """How one probability was distributed over the bars of each class that came true."""

    name: str
    edges: np.ndarray
    """float64 (B + 1,)."""
    counts: np.ndarray
    """int64 (K, B), by true class."""


def outlines(preds: Predictions, values: np.ndarray) -> list[Outlines]:
    """P(DOWN) and P(UP) by true class; `values` are labels, (T, N), -1 where there is none."""
    counted = (preds.split >= 0) & (values >= 0)
    out = []
    for cls in (DOWN, UP):
        said, actual = preds.proba[counted][:, cls].astype(np.float64), values[counted]
        low, high = float(said.min()), float(said.max())
        edges = np.linspace(low, high if high > low else low + 1e-6, NUM_BINS + 1)
        counts = [np.histogram(said[actual == k], bins=edges)[0] for k in range(len(CLASSES))]
        out.append(Outlines(name=CLASSES[cls], edges=edges, counts=np.stack(counts)))
    return out


def threshold_range(preds: Predictions, threshold: Any) -> tuple[float, float] | None:
    """The lowest and the highest probability that a threshold stood for in any split.

    None for a level of a user's own rule, or where no split has quantiles.
    """
    try:
        kind, value = parse_threshold(threshold)
    except (InputError, TypeError):
        return None
    if kind == "probability":
        return value, value
    if preds.quantiles is None:
        return None
    by_bar = preds.confidence_quantile(value)
    if np.isnan(by_bar).all():  # nothing came before the only split
        return None
    return float(np.nanmin(by_bar)), float(np.nanmax(by_bar))
