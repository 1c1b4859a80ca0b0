"""The one door to the order kernel: many accounts for their sums, or few for every order.

Dimensions: T bars, C columns, A accounts, P cells, R rows of an account, K columns of one account,
S fields of a state, D UTC days.
"""

from __future__ import annotations

import numpy as np

from convnext_vbt.trading import kernel
from convnext_vbt.trading.codes import ENTER
from convnext_vbt.trading.records import Walked, walked


def is_shared(market: kernel.Market) -> bool:
    """Whether accounts hold several symbols: then the first row of a state is the whole account."""
    return len(market.delisted) > 1


def walk_accounts(
    market: kernel.Market, columns: kernel.Columns, cells: kernel.Cells, terms: kernel.Terms
) -> tuple[np.ndarray, np.ndarray]:
    """States of all cells, float64 (P, R, S), and the daily returns asked for, (rows, R, D).

    An account of one symbol has one row. Of several it has a row as a whole and one for each of
    its columns: the same account with that symbol's profits alone.
    """
    num_rows = columns.accounts.shape[1] + is_shared(market)
    num_days = int(market.day_end.sum())
    days = np.zeros((int(cells.day_row.max(initial=-1)) + 1, num_rows, num_days))
    if not len(days):
        days = np.zeros((1, num_rows, 0))  # no row is asked for
    if is_shared(market):
        return kernel.walk_shared_cells_nb(market, columns, cells, terms, days), days
    # Cells that differ in their risk alone are walked together, so they go side by side, in front
    # the one whose daily returns are kept.
    account_P, points_P3, day_row_P = cells
    together = np.lexsort((day_row_P < 0, points_P3[:, 2], points_P3[:, 1], account_P))
    sorted_cells = kernel.Cells(*(values[together] for values in cells))
    found = kernel.walk_cells_nb(market, columns, sorted_cells, terms, days)
    states = np.empty_like(found)
    states[together] = found
    return states[:, None], days


def record_accounts(
    market: kernel.Market, columns: kernel.Columns, risk: float, terms: kernel.Terms
) -> tuple[np.ndarray, list[Walked]]:
    """Every account at `risk`, written down: equity at each close, (T, A), and each column."""
    num_columns, num_bars = columns.codes.shape
    num_funding = market.funding.shape[1]
    equity = np.empty((num_bars, len(columns.accounts)))
    made: dict[int, Walked] = {}
    for a, padded in enumerate(columns.accounts):
        own = padded[padded >= 0]
        num = len(own)
        # An entry needs a row that signals one, and has one exit at most.
        most = 2 * int(np.count_nonzero(columns.codes[own] & ENTER, axis=1).max())
        log = kernel.Log(
            fills=np.empty((num, most, len(kernel.FILL_FIELDS))),
            equity=np.empty(num_bars),
            value=np.empty((num, num_bars)),
            position=np.empty((num, num_bars)),
            funding=np.zeros((num, num_funding)),
            days=np.empty((0, 0)),
        )
        point = np.array([risk, 1.0, 1.0])
        states = np.empty((num + is_shared(market), kernel.NUM_STATE))
        if is_shared(market):
            kernel.walk_shared_nb(market, columns, a, point, terms, states, log)
        else:
            kernel.walk_nb(market, columns, a, point[None], terms, states, log)
        equity[:, a] = log.equity
        for k, c in enumerate(own):
            made[int(c)] = walked(log, k, states[k - num])
    return equity, [made[c] for c in range(num_columns)]
