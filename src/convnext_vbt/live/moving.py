"""Deposits and withdrawals of a session that are told of on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from convnext_vbt.errors import DataError
from convnext_vbt.live.clock import utc_now, when
from convnext_vbt.live.entry import money_text
from convnext_vbt.live.journal import NAMES, open_journal
from convnext_vbt.live.transfers import transfer


def move_money(
    directory: str | Path,
    amount: float,
    *,
    journal: str | Path | None = None,
    clock: Callable[[], pd.Timestamp] = utc_now,
) -> str:
    """Book a deposit, or where it is negative a withdrawal, now, and say what was booked.

    The session counts it at its next close. Raises `DataError` where no session has begun or one
    is at work, and for more than there is.
    """
    folder, now = Path(directory), clock()
    path = folder / NAMES[False] if journal is None else Path(journal)
    if not path.is_file():
        raise DataError(f"{path} is not there: a session begins with --equity; start it first")
    with open_journal(path) as book:
        equity = book.equity()
        if equity.empty:
            raise DataError(f"{path} has no close yet: a session begins with --equity")
        waiting = sum(one.amount for one in book.transfers(new=True))
        left = float(equity.iloc[-1]) + waiting + amount
        if not left > 0:
            raise DataError(
                f"a withdrawal of {money_text(-amount)} leaves {money_text(left)} of the shadow "
                f"account's {money_text(float(equity.iloc[-1]) + waiting)}; withdraw less"
            )
        book.add_transfers([transfer(amount, now)])
    word = "deposit" if amount > 0 else "withdrawal"
    return (
        f"booked a {word} of {money_text(abs(amount))} at {when(now)}: it counts from the next "
        "close on; start `live` without this option to go on"
    )
