"""Small accounts by hand."""

import numpy as np
import pandas as pd

from convnext_vbt.evidence.accounts import Account
from convnext_vbt.trading.codes import CLOSED, REASONS
from convnext_vbt.trading.records import ORDER_DTYPE, TRADE_DTYPE


def account_of(equity, index, trades=None):
    """An account at these closes with an initial cash of 100."""
    equity = np.asarray(equity, dtype=np.float64)
    return Account(
        index=index,
        symbols=("A",),
        equity=equity,
        held=np.zeros(len(equity), dtype=bool),
        orders=np.zeros(0, ORDER_DTYPE),
        trades=np.zeros(0, TRADE_DTYPE) if trades is None else trades,
        init_cash=100.0,
        funding=None,
    )


def trades_of(*rows):
    """Trades of (entry bar, exit bar, profit, reason, status); each was worth 100."""
    out = np.zeros(len(rows), TRADE_DTYPE)
    for trade, (entry, last, profit, reason, status) in zip(out, rows, strict=True):
        trade["entry_idx"], trade["exit_idx"], trade["pnl"] = entry, last, profit
        trade["return"], trade["reason"] = profit / 100, REASONS.index(reason)
        trade["status"] = status
    return out


def closed_trades(*rows):
    return trades_of(*((*row, "signal", CLOSED) for row in rows))


def walk(days, *, seed=0, scale=0.01, start="2022-01-01"):
    """An hourly account that walks at random."""
    index = pd.date_range(start, periods=24 * days, freq="h", tz="UTC")
    steps = scale / 5 * np.random.default_rng(seed).standard_normal(len(index))
    return account_of(100 * np.exp(np.cumsum(steps)), index)


def series(account):
    return pd.Series(account.equity, account.index)


def day_returns(account):
    """By UTC day in pandas; the first from the initial cash."""
    last = series(account).groupby(account.index.floor("D")).last()
    return last / last.shift(1, fill_value=100.0) - 1
