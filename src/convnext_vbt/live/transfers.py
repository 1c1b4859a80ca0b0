"""Deposits and withdrawals: money that comes and goes, and returns that are none of it.

In a file of fills they are rows whose side is "deposit" or "withdrawal", `units` being the money.
Dimensions: T closes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import DataError, InputError
from convnext_vbt.live.clock import when
from convnext_vbt.live.fills import (
    MONEY,
    fee_of,
    made_of,
    positive,
    read_records,
    read_time,
    side_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Money that came, or went."""

    key: str
    """Its own id, else all that is known of it: booked once."""
    time: pd.Timestamp
    amount: float
    """In the quote currency, negative where it went; a fee went too."""


def read_transfers(path: Path, now: pd.Timestamp) -> list[Transfer]:
    """The deposits and withdrawals of a file of fills. Raises `DataError` for what is none."""
    rows = [
        (number, record)
        for number, record in enumerate(read_records(path), start=1)
        if side_of(record) in MONEY
    ]
    found = made_of(path, rows, lambda record: _transfer(record, now))
    return sorted(found, key=lambda one: (one.time, one.key))


def transfer(amount: float, time: pd.Timestamp) -> Transfer:
    """Money that is told of on the command line. Raises `InputError` for an amount that is none."""
    if not np.isfinite(amount) or amount == 0:
        raise InputError(f"a deposit or withdrawal must be a positive amount, got {amount:g}")
    return Transfer(key=f"{time.isoformat()} {amount!r}", time=time, amount=amount)


def by_close(transfers: Sequence[Transfer], closes: pd.DatetimeIndex) -> np.ndarray:
    """What came by each of these times since the one before, float64 (T,).

    What came by the first one is in what the account began with, and left out; so is what comes
    after the last.
    """
    flows = np.zeros(len(closes))
    for one in transfers:
        row = int(closes.searchsorted(one.time, side="left"))
        if 0 < row < len(closes):
            flows[row] += one.amount
    return flows


def growth(equity_T: np.ndarray, flows_T: np.ndarray, begun: float) -> np.ndarray:
    """Growth of 1, float64 (T,): each close's return is of the money that was there before it.

    The time-weighted return: what came by a close is no gain of it.
    """
    before = np.concatenate([[begun], equity_T[:-1]])
    grown: np.ndarray = np.cumprod((equity_T - flows_T) / before)
    return grown


def _transfer(record: Mapping[str, Any], now: pd.Timestamp) -> Transfer:
    side = side_of(record)
    time = read_time(record.get("time") or record["timestamp"])
    if time > now:
        raise DataError(f"its time {when(time)} lies after {when(now)}; times are taken as UTC")
    money = positive("units, the money of a deposit or withdrawal,", record["units"])
    fee, in_coin = fee_of(record.get("fee", 0.0), "")
    amount = MONEY[side] * money - fee - in_coin
    own = str(record.get("id") or "")
    parts = (time.isoformat(), side, repr(money))
    return Transfer(key=f"{side} {own}" if own else " ".join(parts), time=time, amount=amount)
