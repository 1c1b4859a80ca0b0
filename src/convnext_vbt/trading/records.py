"""Orders and trades as records: what they hold, and how the kernel's fills become them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnext_vbt.trading import kernel
from convnext_vbt.trading.codes import CLOSED, OPEN, SHORT

ORDER_DTYPE = np.dtype(
    [
        ("id", np.int64),
        ("col", np.int64),
        ("idx", np.int64),
        ("size", np.float64),
        ("price", np.float64),
        ("fees", np.float64),
        ("side", np.int64),
        ("slippage", np.float64),
    ],
    align=True,
)
"""vectorbt's `order_dt`, and by how much money the fill was worse than the price; the codes in it
are those of `trading.codes`."""

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
        ("slippage", np.float64),
        ("exits", np.int64),
    ],
    align=True,
)
"""`pnl` is net of fees and of `funding`, which is positive where the trade paid it, and what was
borrowed in it. `exits` orders closed it or a part: `exit_price` is their mean price, units
weighted, the rest valued at the last close where it is still open; row and reason are the last
one's. `slippage` is in money, in the prices already."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walked:
    """What the kernel wrote of one column; T bars."""

    fills: pd.DataFrame
    state: np.ndarray
    position: np.ndarray
    stop: np.ndarray
    value: np.ndarray
    funding: np.ndarray


def walked(log: kernel.Log, k: int, state: np.ndarray) -> Walked:
    """What is in the log of its k-th column, as many fills as `state` says were placed."""
    placed = log.fills[k, : int(state[kernel.ORDERS])]
    return Walked(
        fills=pd.DataFrame(placed, columns=list(kernel.FILL_FIELDS)),
        state=state,
        position=log.position[k],
        stop=log.stop[k],
        value=log.value[k],
        funding=log.funding[k],
    )


def order_records(fills: pd.DataFrame, column: int) -> np.ndarray:
    """`ORDER_DTYPE` records of one column's fills."""
    records = np.zeros(len(fills), dtype=ORDER_DTYPE)
    records["id"] = np.arange(len(fills))
    records["col"] = column
    for name in ("idx", "size", "price", "fees", "slippage"):
        records[name] = fills[name]
    records["side"] = fills["side"] < 0
    return records


def trade_records(made: Walked, column: int, last: int) -> np.ndarray:
    """Each entry with the exits up to the next one; what is left is valued at the last close."""
    fills = {name: made.fills[name].to_numpy() for name in made.fills}
    is_entry = fills["reason"] == kernel.ENTRY
    entry, ends = np.flatnonzero(is_entry), np.flatnonzero(~is_entry)
    of_trade = np.cumsum(is_entry)[ends] - 1
    records = np.zeros(len(entry), dtype=TRADE_DTYPE)
    records["col"] = column
    records["direction"] = fills["side"][entry] < 0
    for name, field in (
        ("entry_idx", "idx"),
        ("size", "size"),
        ("entry_price", "price"),
        ("entry_fees", "fees"),
        ("capped", "capped"),
    ):
        records[name] = fills[field][entry]

    def summed(values: np.ndarray) -> np.ndarray:
        return np.bincount(of_trade, weights=values, minlength=len(entry))

    records["exits"] = np.bincount(of_trade, minlength=len(entry))
    records["exit_fees"], records["pnl"] = summed(fills["fees"][ends]), summed(fills["pnl"][ends])
    records["slippage"] = fills["slippage"][entry] + summed(fills["slippage"][ends])
    worth = summed(fills["size"][ends] * fills["price"][ends])
    left = records["size"] - summed(fills["size"][ends])
    is_open = np.zeros(len(entry), dtype=bool)
    is_open[-1:] = made.position[-1] != 0
    records["status"] = np.where(is_open, OPEN, CLOSED)
    records["exit_price"] = worth / records["size"]
    final = np.append(np.flatnonzero(np.diff(of_trade)), len(ends) - 1)[: len(ends)]
    for name, field in (("exit_idx", "idx"), ("reason", "reason"), ("funding", "funding")):
        records[name][of_trade[final]] = fills[field][ends[final]]
    one = np.flatnonzero(records["exits"] == 1)
    only = ends[np.searchsorted(of_trade, one)]
    records["exit_price"][one] = np.where(is_open[one], 0.0, fills["price"][only])
    for t in np.flatnonzero(is_open).tolist():
        _value_open(records, t, made, worth[t], left[t], last)
    records["return"] = records["pnl"] / (records["size"] * records["entry_price"])
    return records


def _value_open(
    records: np.ndarray, t: int, made: Walked, worth: float, left: float, last: int
) -> None:
    """What is left of the last trade, at the last close."""
    trade, price = records[t], made.state[kernel.LAST_PRICE]
    trade["exit_idx"], trade["reason"] = last, kernel.ENTRY
    trade["exit_price"] = price if trade["exits"] == 0 else (worth + left * price) / trade["size"]
    move = left * (price - trade["entry_price"])
    trade["funding"] = made.state[kernel.TRADE_FUNDING]
    paid = trade["entry_fees"] * (left / trade["size"]) + trade["funding"]
    trade["pnl"] += (-move if trade["direction"] == SHORT else move) - paid
