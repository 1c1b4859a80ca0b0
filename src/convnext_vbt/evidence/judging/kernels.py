"""What order records did to an account: compiled walks over orders and closes.

Orders are sorted by column, then time: `bar`, `signed` size (sold < 0), `price`, `fees`, (M,) each.
A position of 1e-9 of the order that left it
is nothing. Dimensions: T bars, D days,
N columns of orders, C accounts (columns, or groups of them), M orders, K spells, E pieces.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def _after_nb(position: float, signed: float) -> float:
    """The position after an order."""
    after = position + signed
    return 0.0 if abs(after) <= 1e-9 * max(abs(position), abs(signed)) else after


@njit(cache=True)
def days_nb(
    starts: np.ndarray,
    bar: np.ndarray,
    signed: np.ndarray,
    price: np.ndarray,
    fees: np.ndarray,
    last_bar: np.ndarray,
    close_DN: np.ndarray,
    account_N: np.ndarray,
    equity_DC: np.ndarray,
    spells_C2: np.ndarray,
    costs_C2: np.ndarray,
) -> None:
    """Add every column's profit to its account's equity at each day's last bar.

    `spells_C2` counts positions begun, long and short; `costs_C2` sums fees and traded value.
    """
    for n in range(len(account_N)):
        c = account_N[n]
        position, cash = 0.0, 0.0
        o = starts[n]
        for d in range(len(last_bar)):
            while o < starts[n + 1] and bar[o] <= last_bar[d]:
                after = _after_nb(position, signed[o])
                if after != 0.0 and (position == 0.0 or (after > 0.0) != (position > 0.0)):
                    spells_C2[c, 0 if after > 0.0 else 1] += 1
                cash -= signed[o] * price[o] + fees[o]
                costs_C2[c, 0] += fees[o]
                costs_C2[c, 1] += abs(signed[o]) * price[o]
                position = after
                o += 1
            equity_DC[d, c] += cash + (position * close_DN[d, n] if position != 0.0 else 0.0)


@njit(cache=True)
def bars_nb(
    bar: np.ndarray,
    signed: np.ndarray,
    price: np.ndarray,
    fees: np.ndarray,
    close: np.ndarray,
    position_T: np.ndarray,
    profit_T: np.ndarray,
    fees_T: np.ndarray,
    piece_spell: np.ndarray,
    piece_bar: np.ndarray,
    piece_gross: np.ndarray,
    spell_long: np.ndarray,
) -> tuple[int, int]:
    """One column bar by bar; gives how many pieces and how many spells there are.

    A spell is a position from nothing to nothing or to the other side. A piece is what a spell
    gained, before fees, within a bar between two fills or closes.
    """
    position, last, o, pieces, spells = 0.0, 0.0, 0, 0, 0
    for t in range(len(close)):
        while o < len(bar) and bar[o] == t:
            if position != 0.0:
                gross = position * (price[o] - last)
                piece_spell[pieces] = spells - 1
                piece_bar[pieces] = t
                piece_gross[pieces] = gross
                pieces += 1
                profit_T[t] += gross
            after = _after_nb(position, signed[o])
            if after != 0.0 and (position == 0.0 or (after > 0.0) != (position > 0.0)):
                spell_long[spells] = after > 0.0
                spells += 1
            position, last = after, price[o]
            fees_T[t] += fees[o]
            o += 1
        if position != 0.0:
            gross = position * (close[t] - last)
            piece_spell[pieces] = spells - 1
            piece_bar[pieces] = t
            piece_gross[pieces] = gross
            pieces += 1
            profit_T[t] += gross
        position_T[t] = position
        last = close[t]
    return pieces, spells


@njit(cache=True)
def thrown_nb(
    weight_T: np.ndarray,
    market_T: np.ndarray,
    day_T: np.ndarray,
    source_K: np.ndarray,
    length_K: np.ndarray,
    begin_MK: np.ndarray,
    out_MD: np.ndarray,
) -> None:
    """Add what spells of exposure earn where they are thrown, day by day.

    Spell k is `weight_T[source:source + length]`; draw m lays it over `market_T` from
    `begin_MK[m, k]` on. Row t of the market is what is earned on the exposure of row t.
    """
    for m in range(len(begin_MK)):
        for k in range(len(source_K)):
            source, begin = source_K[k], begin_MK[m, k]
            for j in range(length_K[k]):
                out_MD[m, day_T[begin + j]] += weight_T[source + j] * market_T[begin + j]
