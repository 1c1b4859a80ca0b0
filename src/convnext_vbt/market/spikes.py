"""Prices that leave their neighbours and come back, or stay away: reported, never changed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnext_vbt.market.bars import Bars

FEWEST, USUAL = 24, 168
"""Bars, at least and at most, before a bar whose median range is the usual one there."""
RANGES, LEAST = 30.0, 0.05
"""From how many usual ranges and from what part of the price on a move is a spike."""
_SMALLEST = 1e-4
LEAP_RANGES, LEAP_LEAST = 10.0, 0.25
"""From how many usual ranges and from what part of the price on a move that stays is a leap."""
_STAYS = 5
"""Bars whose median close must still be away."""
_RATIOS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100, 1_000, 10_000, 100_000)
"""Whole numbers of shares or coins that come for one."""
_HALVES = ((3, 2), (2, 3), (4, 3), (3, 4))
_LEAST_GAP = float(np.log(4 / 3)) - 0.05
_NEAR_RANGES, _NEAREST, _NEAR = 5.0, 0.03, 0.05
"""How far a price may have moved beside it: in usual ranges, at least and at most."""
_GAP_RANGES = 2.5
"""From how many usual ranges on a gap by a plain ratio is a leap."""


def find_spikes(bars: Bars) -> pd.DataFrame:
    """Bad ticks or crashes: columns symbol, time, move, ranges; largest first.

    `move` is the way that a price went and came back, as a fraction of the close before, negative
    when down: inside the bar, from the closes before and at its end to its high or low; or from
    close to close, out with the bar and back with the next one. `ranges` is that in usual ranges,
    the median ln(high / low) of the symbol's up to 168 bars before (from 24 on, at least 0.01 %);
    of the first 24 bars, of those after them. A spike has 30 of them and 5 %.
    """
    found = pd.concat([_symbol_spikes(bars, n) for n in range(len(bars.symbols))])
    return found.sort_values(["ranges", "time"], ascending=[False, True], ignore_index=True)


def _symbol_spikes(bars: Bars, n: int) -> pd.DataFrame:
    here = bars.present[:, n]
    high, low, close = (np.log(getattr(bars, name)[here, n]) for name in ("high", "low", "close"))
    # What stands before the first bar is not known: the bars after it stand in.
    before = np.append(np.median(close[1 : 1 + _STAYS]) if len(close) > 1 else close, close[:-1])
    after = np.append(close[1:], np.nan)
    out, back = close - before, close - after
    moves = np.stack(
        [
            np.fmax(high - np.fmax(before, close), 0.0),
            np.fmin(low - np.fmin(before, close), 0.0),
            np.where(out * back > 0, np.sign(out) * np.fmin(abs(out), abs(back)), 0.0),
        ]
    )
    move = np.take_along_axis(moves, abs(moves).argmax(axis=0)[None], axis=0)[0]
    usual = _usual_ranges(high - low)
    ranges = abs(move) / np.fmax(usual, _SMALLEST)
    rows = np.flatnonzero((ranges >= RANGES) & (abs(np.expm1(move)) >= LEAST) & ~np.isnan(usual))
    return pd.DataFrame(
        {
            "symbol": pd.Series(bars.symbols[n], index=range(len(rows)), dtype="object"),
            "time": bars.index[here][rows],
            "move": np.expm1(move[rows]),
            "ranges": ranges[rows],
        }
    )


def _usual_ranges(ranges: np.ndarray) -> np.ndarray:
    """The median range of the bars before each, where there are too few of those after it."""
    series = pd.Series(ranges)
    before = series.rolling(USUAL, min_periods=FEWEST).median().shift(1)
    after = series[::-1].rolling(USUAL, min_periods=FEWEST).median().shift(1)[::-1]
    return before.fillna(after).to_numpy()


def find_leaps(bars: Bars) -> pd.DataFrame:
    """Bars at which the price changed for good: columns symbol, time, move, ratio; largest first.

    A split that nobody adjusted, another contract, another unit, or a crash: from close to close at
    least a quarter and 10 usual ranges, of which half is still there in the median of 5 closes; or
    an open that leaves the close before by a plain ratio and 2.5 usual ranges.
    `ratio` is the plain one by which the open left the close before, "10:1" for ten new units in
    the place of an old one; "" where there is none: a fall within the bar is no split.
    """
    found = pd.concat([_symbol_leaps(bars, n) for n in range(len(bars.symbols))])
    return found.sort_values("move", key=lambda move: -abs(np.log1p(move)), ignore_index=True)


def _symbol_leaps(bars: Bars, n: int) -> pd.DataFrame:
    here = bars.present[:, n]
    opened, high, low, close = (
        np.log(getattr(bars, name)[here, n]) for name in ("open", "high", "low", "close")
    )
    before = np.append(close[0], close[:-1])
    series = pd.Series(close)
    later = series[::-1].rolling(_STAYS, min_periods=1).median()[::-1]
    earlier = series.rolling(_STAYS, min_periods=1).median().shift(1)
    move, stays = close - before, (later - earlier).fillna(0.0).to_numpy()
    usual = np.fmax(_usual_ranges(high - low), _SMALLEST)
    far = np.fmax(LEAP_RANGES * usual, -np.log1p(-LEAP_LEAST))
    gap = opened - before
    may_be = (abs(move) >= far) | (abs(gap) >= np.fmax(_GAP_RANGES * usual, _LEAST_GAP))
    rows = np.flatnonzero(may_be & (stays / np.where(move == 0, 1, move) >= 0.5))
    rows = np.array(
        [r for r in rows if abs(move[r]) >= far[r] or _plain_ratio(gap[r], usual[r])], np.int64
    )
    ratios = [_plain_ratio(gap[row], usual[row]) for row in rows]
    return pd.DataFrame(
        {
            "symbol": pd.Series(bars.symbols[n], index=range(len(rows)), dtype="object"),
            "time": bars.index[here][rows],
            "move": np.expm1(move[rows]),
            "ratio": pd.Series(ratios, dtype="object"),
        }
    )


def _plain_ratio(gap: float, usual: float) -> str:
    """New units for old ones, "3:2", that explain a gap of logarithms; "" if no plain ones do."""
    pairs = [(1, 1), *_HALVES, *((n, 1) for n in _RATIOS), *((1, n) for n in _RATIOS)]
    away, (new, old) = min((abs(gap + np.log(new / old)), (new, old)) for new, old in pairs)
    return (
        f"{new}:{old}"
        if new != old and away <= np.clip(_NEAR_RANGES * usual, _NEAREST, _NEAR)
        else ""
    )
