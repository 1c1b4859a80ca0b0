"""The one door to the order kernel: many accounts for their sums, or few for every order.

Dimensions: T bars, C columns, A accounts, P cells, R rows of an account, K columns of one account,
S fields of a state, D UTC days.
"""

from __future__ import annotations

import math

import numpy as np

from convnext_vbt.trading import broker, kernel
from convnext_vbt.trading.codes import ENTER
from convnext_vbt.trading.records import Walked, walked


def is_shared(market: kernel.Market) -> bool:
    """Whether accounts hold several symbols: then the first row of a state is the whole account."""
    return len(market.delisted) > 1


def walk_accounts(
    market: kernel.Market,
    columns: kernel.Columns,
    cells: kernel.Cells,
    terms: kernel.Terms,
    conditions: broker.Conditions,
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
    if is_shared(market) or not is_simple(conditions):
        states = broker.walk_account_cells_nb(
            market, columns, cells, conditions, terms, num_rows, days
        )
        return states, days
    # Cells that differ in their risk alone are walked together, so they go side by side, in front
    # the one whose daily returns are kept.
    account_P, points_P3, day_row_P = cells
    together = np.lexsort((day_row_P < 0, points_P3[:, 2], points_P3[:, 1], account_P))
    sorted_cells = kernel.Cells(*(values[together] for values in cells))
    found = kernel.walk_cells_nb(market, columns, sorted_cells, conditions.costs, terms, days)
    states = np.empty_like(found)
    states[together] = found
    states = states[:, None]
    apart = np.flatnonzero(states[:, 0, kernel.APART] > 0)
    if len(apart):  # they could not order what the cells beside them could
        alone = kernel.Cells(*(np.ascontiguousarray(values[apart]) for values in cells))
        states[apart] = broker.walk_account_cells_nb(
            market, columns, alone, conditions, terms, num_rows, days
        )
    return states, days


def is_simple(conditions: broker.Conditions) -> bool:
    """Whether `kernel.walk_nb` keeps them: lots, ticks, least orders and fees."""
    costs, simple = conditions.costs, (
        kernel.TICK, kernel.LOT, kernel.MIN_NOTIONAL, kernel.TAKER, kernel.MAKER, kernel.UNIT_FEE,
        kernel.MIN_FEE, kernel.SLIPPAGE, kernel.LEVERAGE, kernel.VOLUME_SHARE,
    )  # fmt: skip
    others = np.delete(costs, simple, axis=1)
    return bool(
        not others.any()
        and np.isinf(costs[:, kernel.VOLUME_SHARE]).all()
        and math.isnan(conditions.break_even)
        and math.isnan(conditions.limit_offset)
        and not len(conditions.ladder)
        and not conditions.best_first
    )


def record_accounts(
    market: kernel.Market,
    columns: kernel.Columns,
    risk: float,
    terms: kernel.Terms,
    conditions: broker.Conditions,
) -> tuple[np.ndarray, list[Walked]]:
    """Every account at `risk`, written down: equity at each close, (T, A), and each column."""
    num_columns, num_bars = columns.codes.shape
    equity = np.empty((num_bars, len(columns.accounts)))
    made: dict[int, Walked] = {}
    point = np.array([risk, 1.0, 1.0])
    alone = not is_shared(market) and is_simple(conditions)
    num_funding = num_bars if conditions.borrows else market.funding.shape[1]
    for a, padded in enumerate(columns.accounts):
        own = padded[padded >= 0]
        num = len(own)
        # An entry needs a row that signals one; it has one exit, and one for each step of a ladder.
        entries = np.count_nonzero(columns.codes[own] & ENTER, axis=1).max(initial=0)
        log = kernel.Log(
            fills=np.empty(
                (num, int(entries) * (2 + len(conditions.ladder)), len(kernel.FILL_FIELDS))
            ),
            equity=np.empty(num_bars),
            value=np.empty((num, num_bars)),
            position=np.empty((num, num_bars)),
            stop=np.empty((num, num_bars)),
            funding=np.zeros((num, num_funding)),
            days=np.empty((0, 0)),
        )
        states = np.empty((num + is_shared(market), kernel.NUM_STATE))
        if alone:
            costs = conditions.costs[0]
            kernel.walk_nb(market, columns, a, point[None], costs, terms, states, log)
        if not alone or states[0, kernel.APART] > 0:
            broker.walk_account_nb(market, columns, a, point, conditions, terms, states, log)
        equity[:, a] = log.equity
        for k, c in enumerate(own):
            made[int(c)] = walked(log, k, states[k - num])
    return equity, [made[c] for c in range(num_columns)]
