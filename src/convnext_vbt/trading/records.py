"""Orders and trades as records: what they hold, and how the kernel's fills become them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnext_vbt.trading import kernel
from convnext_vbt.trading.codes import CLOSED, SHORT

ORDER_DTYPE = np.dtype(
    [
        ("id", np.int64),
        ("col", np.int64),
        ("idx", np.int64),
        ("size", np.float64),
        ("price", np.float64),
        ("fees", np.float64),
        ("side", np.int64),
    ],
    align=True,
)
"""vectorbt's `order_dt`; the codes in it are those of `trading.codes`."""

TRADE_DTYPE = np.dtype(
    [
        ("col", np.int64),
        ("entry_idx", np.int64),
        ("exit_idx", np.int64),
        ("direction", np.int64),
        ("size", np.float64),
        ("entry_price", np.float64),
        ("exit_price", np.float64),
        ("entry_fees", np.float64),
        ("exit_fees", np.float64),
        ("pnl", np.float64),
        ("return", np.float64),
        ("status", np.int64),
        ("reason", np.int64),
        ("capped", np.bool_),
        ("funding", np.float64),
    ],
    align=True,
)
"""`pnl` is net of fees and of `funding`, which is positive where the trade paid it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walked:
    """What the kernel wrote of one column; T bars."""

    fills: pd.DataFrame
    state: np.ndarray
    position: np.ndarray
    value: np.ndarray
    funding: np.ndarray


def walked(log: kernel.Log, k: int, state: np.ndarray) -> Walked:
    """What is in the log of its k-th column, as many fills as `state` says were placed."""
    placed = log.fills[k, : int(state[kernel.ORDERS])]
    return Walked(
        fills=pd.DataFrame(placed, columns=list(kernel.FILL_FIELDS)),
        state=state,
        position=log.position[k],
        value=log.value[k],
        funding=log.funding[k],
    )


def order_records(fills: pd.DataFrame, column: int) -> np.ndarray:
    """`ORDER_DTYPE` records of one column's fills."""
    records = np.zeros(len(fills), dtype=ORDER_DTYPE)
    records["id"] = np.arange(len(fills))
    records["col"] = column
    for name in ("idx", "size", "price", "fees"):
        records[name] = fills[name]
    records["side"] = fills["side"] < 0
    return records


def trade_records(made: Walked, column: int, last: int) -> np.ndarray:
    """Entries and exits take turns; an entry without an exit is valued at the last close."""
    fills, last_price = made.fills, made.state[kernel.LAST_PRICE]
    entries, exits = fills.iloc[0::2], fills.iloc[1::2]
    records = np.zeros(len(entries), dtype=TRADE_DTYPE)
    records["col"] = column
    records["direction"] = entries["side"] < 0
    for name, field in (
        ("entry_idx", "idx"),
        ("size", "size"),
        ("entry_price", "price"),
        ("entry_fees", "fees"),
        ("capped", "capped"),
    ):
        records[name] = entries[field]
    closed = records[: len(exits)]
    for name, field in (
        ("exit_idx", "idx"),
        ("exit_price", "price"),
        ("exit_fees", "fees"),
        ("reason", "reason"),
        ("pnl", "pnl"),
        ("funding", "funding"),
    ):
        closed[name] = exits[field]
    closed["status"] = CLOSED
    for still_open in records[len(exits) :]:
        still_open["exit_idx"], still_open["exit_price"] = last, last_price
        move = still_open["size"] * (last_price - still_open["entry_price"])
        still_open["funding"] = made.state[kernel.TRADE_FUNDING]
        paid = still_open["entry_fees"] + still_open["funding"]
        still_open["pnl"] = (-move if still_open["direction"] == SHORT else move) - paid
    records["return"] = records["pnl"] / (records["size"] * records["entry_price"])
    return records
