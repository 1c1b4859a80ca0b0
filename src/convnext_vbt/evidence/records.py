"""What an account had to show for itself by the close before each test range.

Dimension: K test ranges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convnext_vbt.evidence import measures
from convnext_vbt.evidence.accounts import Account, daily_returns
from convnext_vbt.predictions import Predictions, Range


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackRecord:
    """Of one account, on the bars before each test range."""

    sharpes: np.ndarray
    """Annual, float64 (K,); NaN where undefined, as for the first range."""
    trades: np.ndarray
    """Closed ones, int64 (K,)."""


def track_record(account: Account, starts: Sequence[int], days_per_year: int) -> TrackRecord:
    """The record on bars [0, start) of the window, for each start."""
    exits = measures.closed(account.trades)["exit_idx"]
    returns = (daily_returns(account, start) for start in starts)
    sharpes = [measures.sharpe(found, days_per_year) for found in returns]
    return TrackRecord(
        sharpes=np.array(sharpes, dtype=np.float64),
        trades=np.array([(exits < start).sum() for start in starts], dtype=np.int64),
    )


def has_splits(preds: Predictions) -> bool:
    """Whether the predictions tell test ranges apart, so that one can be chosen by another."""
    return bool(preds.splits) or len(np.unique(preds.split[preds.split >= 0])) > 1


def test_ranges(preds: Predictions, window: Range) -> dict[int, Range]:
    """Test ranges by split number, in time order, in bars of the window and cut to it."""
    if preds.splits:
        ranges = {split.number: split.test for split in preds.splits}
    else:
        numbers = np.unique(preds.split[preds.split >= 0]).tolist()
        made = {k: np.flatnonzero((preds.split == k).any(axis=1)) for k in numbers}
        ranges = {k: (int(rows[0]), int(rows[-1]) + 1) for k, rows in made.items()}
    start, stop = window
    cut = {k: (max(a, start) - start, min(b, stop) - start) for k, (a, b) in ranges.items()}
    return {k: cut[k] for k in sorted(cut, key=cut.__getitem__) if cut[k][0] < cut[k][1]}
