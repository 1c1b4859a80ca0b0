"""What a rule says at one close: all that the order kernel reads of it.

Dimensions: N symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from convnext_vbt.trading.brackets import DISTANCES, Brackets
from convnext_vbt.trading.signals import Signals, unpacked


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """Signals, size and brackets of every symbol at one close; it depends on no account."""

    codes: np.ndarray
    """uint8 (N,): bits as in `Rules.packed`."""
    sizes: np.ndarray
    """float64 (N,): shares of the full stake."""
    distances: np.ndarray
    """float64 (4, N) by `brackets.DISTANCES`, NaN for none."""
    still: np.ndarray
    """bool (N,), as in `Brackets`."""
    max_holding: int | None
    """Bars, as in `Brackets`."""
    volatility: np.ndarray
    """float64 (N,), as in `Brackets`; NaN where no cost asks for it."""

    def distance(self, kind: str, side: int, n: int) -> float:
        """Symbol n's "stop" or "take_profit" of a long (1) or a short (-1)."""
        word = "long" if side > 0 else "short"
        return float(self.distances[DISTANCES.index(f"{kind}_{word}"), n])

    @classmethod
    def of(cls, signals: Signals, brackets: Brackets) -> Self:
        """The one row that both of them have, one column a symbol."""
        codes, sizes = signals.packed()
        still = brackets.still
        return cls(
            codes=codes[:, 0],
            sizes=sizes[:, 0],
            distances=np.stack([getattr(brackets, name)[0] for name in DISTANCES]),
            still=np.zeros(len(codes), dtype=np.bool_) if still is None else still[0],
            max_holding=brackets.max_holding,
            volatility=np.full(len(codes), np.nan)
            if brackets.volatility is None
            else brackets.volatility[0],
        )

    @classmethod
    def nothing(cls, num_symbols: int) -> Self:
        """A row that signals nothing."""
        return cls(
            codes=np.zeros(num_symbols, dtype=np.uint8),
            sizes=np.zeros(num_symbols),
            distances=np.full((len(DISTANCES), num_symbols), np.nan),
            still=np.zeros(num_symbols, dtype=np.bool_),
            max_holding=None,
            volatility=np.full(num_symbols, np.nan),
        )


def joined(
    rows: Sequence[Row], index: pd.DatetimeIndex, symbols: tuple[str, ...]
) -> tuple[Signals, Brackets]:
    """The signals and brackets of consecutive rows, as `simulate_signals` takes them.

    The holding limit is that of the last row which has one: a strategy has one for good.
    """
    codes_NT = np.stack([row.codes for row in rows], axis=1)
    distances_4TN = np.stack([row.distances for row in rows], axis=1)
    limits = [row.max_holding for row in rows if row.max_holding is not None]
    signals = Signals(
        index=index,
        columns=pd.MultiIndex.from_arrays([list(symbols)], names=["symbol"]),
        size=np.stack([row.sizes for row in rows]),
        **unpacked(codes_NT),
    )
    sigma = np.stack([row.volatility for row in rows])
    brackets = Brackets(
        **dict(zip(DISTANCES, distances_4TN, strict=True)),
        max_holding=limits[-1] if limits else None,
        still=np.stack([row.still for row in rows]),
        volatility=None if np.isnan(sigma).all() else sigma,
    )
    return signals, brackets
