"""Every rule at every point of a grid of risks and bracket multiples, walked through the kernel.

Dimensions: T bars, N symbols, C columns, A accounts (rules), Q points of the grid, K columns of an
account, R rows of an account, S fields of a state, D UTC days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnext_vbt.market.bars import Bars
from convnext_vbt.trading import kernel
from convnext_vbt.trading.brackets import Brackets
from convnext_vbt.trading.conditions import conditions_of
from convnext_vbt.trading.inputs import (
    SimulationConfig,
    account_columns,
    check_stops,
    day_ends,
    kernel_inputs,
)
from convnext_vbt.trading.signals import Rules
from convnext_vbt.trading.walk import walk_accounts

CHUNK_BYTES = 2**24
"""Signals that are in memory at a time; how many rules are walked at once changes no result."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """What became of every account at every point.

    An account of one symbol has one row. Of several it has a row as a whole and one for each of
    its columns: the same account with that symbol's profits alone.
    """

    rows: np.ndarray
    """int64 (A, R): the column that a row is of; -1 is the whole account."""
    is_there: np.ndarray
    """bool (A, R): False where an account has fewer columns than others."""
    states: np.ndarray
    """float64 (A, Q, R, S), fields as in `trading.kernel`."""
    days: np.ndarray
    """float64 (A, R, D): UTC-day returns at the base point."""


def walk_grid(
    bars: Bars,
    rules: Rules,
    brackets: Brackets,
    *,
    points: np.ndarray,
    base: np.ndarray,
    terms: kernel.Terms,
    config: SimulationConfig,
) -> Cells:
    """Walk each account of `rules` at all `points`, (Q, 3): risk, stop and take-profit multiple.

    Daily returns are kept at the point `base`, which need not be one of them. Signals are made and
    walked a chunk of accounts at a time.

    Raises `ValueError` when sizing by risk meets an entry without a stop.
    """
    is_base = (points == base).all(axis=1)
    walked = points if is_base.any() else np.vstack([points, base])
    at_base = int(is_base.argmax()) if is_base.any() else len(points)
    accounts = account_columns(bars, rules)
    is_shared = len(bars.symbols) > 1
    lead = np.full((len(accounts), int(is_shared)), -1)
    rows = np.hstack([lead, accounts])
    is_there = rows >= 0
    is_there[:, 0] = True

    bytes_each = accounts.shape[1] * len(bars) * (np.uint8(0).nbytes + np.float64(0).nbytes)
    step = max(1, CHUNK_BYTES // bytes_each)
    states = np.empty((len(rows), len(points), rows.shape[1], kernel.NUM_STATE))
    days = np.zeros((len(rows), rows.shape[1], int(day_ends(bars).sum())))
    for first in range(0, len(accounts), step):
        part = slice(first, first + step)
        own = accounts[part]
        chunk = rules.take(own[own >= 0])
        made, days[part] = _walk(bars, chunk, brackets, walked, at_base, terms, config)
        states[part] = made[:, : len(points)]
    return Cells(rows=rows, is_there=is_there, states=states, days=days)


def _walk(
    bars: Bars,
    rules: Rules,
    brackets: Brackets,
    points_Q3: np.ndarray,
    at_base: int,
    terms: kernel.Terms,
    config: SimulationConfig,
) -> tuple[np.ndarray, np.ndarray]:
    """States of these accounts, (A, Q, R, S), and their daily returns, (A, R, D)."""
    market, columns = kernel_inputs(bars, rules, brackets, config)
    check_stops(bars, brackets, market, columns, terms)
    num_accounts, num_points = len(columns.accounts), len(points_Q3)
    account_P = np.repeat(np.arange(num_accounts), num_points)
    keeps_P = np.tile(np.arange(num_points) == at_base, num_accounts)
    cells = kernel.Cells(
        account=account_P,
        points=np.tile(points_Q3, (num_accounts, 1)),
        day_row=np.where(keeps_P, account_P, -1),
    )
    conditions = conditions_of(config, bars, brackets)
    states, days = walk_accounts(market, columns, cells, terms, conditions)
    return states.reshape(num_accounts, num_points, *states.shape[1:]), days
