"""Stops, take-profits and the holding limit that go with an entry.

Distances are fractions of the slipped fill price, read at the signal's bar and frozen at the fill.
Dimensions: T bars, N symbols.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.volatility import ewma_volatility
from convnext_vbt.predictions import Target
from convnext_vbt.trading.arguments import check_number

DISTANCES = ("stop_long", "stop_short", "take_profit_long", "take_profit_short")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Brackets:
    """Distances of stop and take-profit per bar and symbol, float64 (T, N), NaN = none.

    A long entered at price p is stopped at p (1 - stop_long) and takes profit at
    p (1 + take_profit_long); a short at p (1 + stop_short) and p (1 - take_profit_short). A
    level at or below zero (a long stop or a short's take-profit of 1 or more) is never reached:
    such a long risks all that it is worth.

    Raises `ValueError` for a distance that is not positive.
    """

    stop_long: np.ndarray
    stop_short: np.ndarray
    take_profit_long: np.ndarray
    take_profit_short: np.ndarray
    max_holding: int | None = None
    """Bars of the symbol's own that a position is held at most; None = no limit."""
    still: np.ndarray | None = None
    """bool (T, N): where a symbol has no barrier because its price never moved by then, so that
    sized by risk there is no entry. Any other entry without a stop is refused. None: nowhere."""
    volatility: np.ndarray | None = None
    """float64 (T, N): of a bar, for slippage that depends on it; None: read off the bars traded."""

    def __post_init__(self) -> None:
        shape = np.shape(self.stop_long)
        for name in DISTANCES:
            values = np.array(getattr(self, name), dtype=np.float64, order="C")
            if values.shape != shape or len(shape) != 2:
                raise InputError(
                    f"{name} must have shape (bars, symbols) {shape}, got {values.shape}"
                )
            wrong = (values <= 0) | np.isinf(values)
            if wrong.any():
                t, n = (int(i) for i in np.argwhere(wrong)[0])
                raise InputError(
                    f"row {t}, symbol {n}: {name} must lie in (0, inf), got {values[t, n]:g}: it "
                    "is a fraction of the fill price; use NaN for none"
                )
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if self.max_holding is None:
            return
        check_number("max_holding", self.max_holding)
        if self.max_holding < 1:
            raise InputError(f"max_holding must be at least 1 bar or None, got {self.max_holding}")

    def scaled(self, *, stop: float = 1.0, take_profit: float = 1.0) -> Brackets:
        """The same brackets, distances times `stop` and `take_profit`."""
        return replace(
            self,
            stop_long=self.stop_long * stop,
            stop_short=self.stop_short * stop,
            take_profit_long=self.take_profit_long * take_profit,
            take_profit_short=self.take_profit_short * take_profit,
        )

    def stops_alone(self) -> Brackets:
        """The stops without take-profits and without a holding limit."""
        none = np.full(self.stop_long.shape, np.nan)
        return replace(self, take_profit_long=none, take_profit_short=none, max_holding=None)

    def rows(self, start: int, stop: int) -> Brackets:
        """The half-open range of bars [start, stop)."""
        names = (*DISTANCES, "still", "volatility")
        cut: dict[str, Any] = {
            name: values[start:stop]
            for name in names
            if (values := getattr(self, name)) is not None
        }
        return replace(self, **cut)


def barrier_width(bars: Bars, target: Target) -> np.ndarray:
    """sigma_t x sqrt(horizon), of which barriers are multiples: float64 (T, N).

    NaN until sigma is known, and where it is 0: prices that never moved have no barrier.
    """
    width = _deviation(bars, target)
    return np.where(width > 0, width, np.nan)


def _deviation(bars: Bars, target: Target) -> np.ndarray:
    """sigma_t x sqrt(horizon), 0 while a price has never moved."""
    return ewma_volatility(bars, halflife=target.halflife) * math.sqrt(target.horizon)


def target_brackets(bars: Bars, target: Target) -> Brackets:
    """The brackets of the very trade that the label speaks of, NaN until sigma is known and > 0.

    With sigma_t the EWMA volatility at the signal's bar: a long stops at the down barrier, down x
    sigma_t x sqrt(horizon), and takes profit at the up barrier; a short mirrors it; both leave
    after `horizon` bars. Of kind "fixed" there is no barrier to touch: the stop is
    1 x sigma_t x sqrt(horizon) and there is no take-profit.
    """
    deviation = _deviation(bars, target)
    still = deviation == 0
    width = np.where(still, np.nan, deviation)
    if target.kind == "fixed":
        none = np.full_like(width, np.nan)
        up = down = width
        profit_up = profit_down = none
    else:
        up, down = width * target.up, width * target.down
        profit_up, profit_down = up, down
    return Brackets(
        stop_long=down,
        stop_short=up,
        take_profit_long=profit_up,
        take_profit_short=profit_down,
        max_holding=target.horizon,
        still=still if still.any() else None,
    )


def fixed_brackets(
    bars: Bars,
    *,
    stop: float | pd.DataFrame | pd.Series | None = None,
    take_profit: float | pd.DataFrame | pd.Series | None = None,
    max_holding: int | None = None,
) -> Brackets:
    """The same distances for both sides: a number, a (T, N) frame on the bars' index, or none.

    Raises `ValueError` for a stop of 1 or more, which is surely meant in percent.
    """
    stops = _distance("stop", stop, bars)
    if (stops >= 1).any():
        raise InputError(
            f"stop must lie in (0, 1), got {np.nanmax(stops):g}: it is a fraction of the fill "
            "price, 0.03 for 3 %"
        )
    profits = _distance("take_profit", take_profit, bars)
    return Brackets(
        stop_long=stops,
        stop_short=stops,
        take_profit_long=profits,
        take_profit_short=profits,
        max_holding=max_holding,
    )


def _distance(name: str, value: float | pd.DataFrame | pd.Series | None, bars: Bars) -> np.ndarray:
    shape = (len(bars), len(bars.symbols))
    if value is None:
        return np.full(shape, np.nan)
    if isinstance(value, (pd.Series, pd.DataFrame)):
        table = value.to_frame() if isinstance(value, pd.Series) else value
        if not table.index.equals(bars.index) or table.shape != shape:
            raise InputError(
                f"{name} {table.shape} must have the bars' index and shape {shape}; reindex it"
            )
        return table.to_numpy(np.float64)
    check_number(name, value)
    return np.full(shape, float(value))
