"""What a run's own data and trades call to be careful with, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnext_vbt.evidence import measures
from convnext_vbt.evidence.accounts import Account
from convnext_vbt.market.frozen import find_frozen
from convnext_vbt.market.gaps import find_gaps
from convnext_vbt.market.spikes import find_leaps, find_spikes
from convnext_vbt.predictions import Predictions
from convnext_vbt.trading.instruments import instrument_of
from convnext_vbt.trading.sweep import FEW_TRADES, SweepResult, untradable_bars


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Concerns:
    """Of a sweep, its bars and one account of it."""

    gaps: pd.DataFrame
    """`find_gaps` of all bars."""
    spikes: pd.DataFrame
    """`find_spikes` of the window's bars."""
    spiked_trades: int
    """Trades that begin or end in a spike."""
    spiked_profit: float
    leaps: pd.DataFrame
    """`find_leaps` of the window's bars."""
    leapt_trades: int
    """Trades that were held over a leap."""
    leapt_profit: float
    frozen: pd.DataFrame
    """`find_frozen` of the window's bars."""
    frozen_orders: int
    """Orders filled in such a stretch."""
    still: dict[str, int]
    """Bars with a prediction on which a symbol's price had never moved, by symbol with any."""
    num_cells: int
    thin_cells: int
    """Cells with fewer than 30 trades."""
    empty_cells: int
    """Those of them without any."""
    bust_cells: int
    """Cells that lose the whole account."""
    failed_splits: tuple[int, ...]
    """Numbers of the splits that did not learn."""
    later_splits: tuple[int, ...]
    """Those that learned from bars of their test range or after it."""
    untold_splits: tuple[int, ...]
    """Those of which nobody says what they learned from."""
    unpurged_splits: tuple[int, ...]
    """Those whose last training labels are known only within the test range."""
    without_splits: bool
    """Whether nothing is told of what the predictions were made from."""
    trades: int
    open_trades: int
    """Trades valued at the last close."""
    capped_share: float
    gap_stops: int
    funded: bool
    """Whether the bars of any symbol have funding rates."""
    unfunded: tuple[str, ...]
    """Traded symbols without funding rates."""
    borrowed: tuple[str, ...]
    """Those of them that were sold short, and whose instrument has no borrow rate."""
    lends: bool
    """Whether any symbol's instrument has one."""


def concerns(res: SweepResult, account: Account) -> Concerns:
    """What to be careful with in a sweep and in this account of its window."""
    trades, cells, preds = account.trades, res.account_metrics, res.predictions
    count = cells["trades"].to_numpy()
    bars = res.window_bars
    spikes, leaps, frozen = find_spikes(bars), find_leaps(bars), find_frozen(bars)
    touched, held = _in_spikes(res, account, spikes), _over(res, account, leaps)
    funding, names = res.bars.funding, np.array(account.symbols)
    known = {
        symbol
        for n, symbol in enumerate(res.bars.symbols)
        if funding is not None and np.isfinite(funding[:, n]).any()
    }
    instruments = res.config.instruments
    lent = {name for name in res.bars.symbols if instrument_of(instruments, name).borrow}
    by_column = trades[np.argsort(trades["col"], kind="stable")]

    def without_rates(some: np.ndarray) -> tuple[str, ...]:
        traded = dict.fromkeys(names[some["col"]].tolist())
        return tuple(name for name in traded if name not in known)

    return Concerns(
        gaps=find_gaps(res.bars),
        spikes=spikes,
        spiked_trades=int(touched.sum()),
        spiked_profit=float(trades["pnl"][touched].sum()),
        leaps=leaps,
        leapt_trades=int(held.sum()),
        leapt_profit=float(trades["pnl"][held].sum()),
        frozen=frozen,
        frozen_orders=_orders_within(account, frozen),
        still=untradable_bars(res.predictions, res.brackets),
        num_cells=len(count),
        thin_cells=int((count < FEW_TRADES).sum()),
        empty_cells=int((count == 0).sum()),
        bust_cells=int(cells["bust"].sum()),
        failed_splits=tuple(fit.number for fit in preds.fits if not fit.learned),
        later_splits=tuple(split.number for split in preds.splits if split.learned_later),
        untold_splits=tuple(split.number for split in preds.splits if not split.tells_train),
        unpurged_splits=_unpurged(preds),
        without_splits=not preds.splits,
        trades=len(trades),
        open_trades=int((~measures.is_closed(trades)).sum()),
        capped_share=measures.capped_share(trades),
        gap_stops=measures.gap_stops(trades),
        funded=bool(known),
        unfunded=without_rates(by_column),
        borrowed=tuple(
            name
            for name in without_rates(by_column[measures.is_short(by_column)])
            if name not in lent
        ),
        lends=bool(lent),
    )


def _unpurged(preds: Predictions) -> tuple[int, ...]:
    """Of predictions from elsewhere; ours are purged by each label's own end."""
    if preds.target is None or preds.fits:
        return ()
    return tuple(
        split.number
        for split in preds.splits
        if split.tells_train
        and not split.learned_later
        and split.train[1] + preds.target.horizon > split.test[0]
    )


def _in_spikes(res: SweepResult, account: Account, spikes: pd.DataFrame) -> np.ndarray:
    """Which trades begin or end in a spike, bool (K,)."""
    trades = account.trades
    rows = res.window_bars.index.get_indexer(pd.DatetimeIndex(spikes["time"]))
    there = set(zip(spikes["symbol"], rows.tolist(), strict=True))
    names = (account.symbols[column] for column in trades["col"].tolist())
    ends = zip(names, trades["entry_idx"].tolist(), trades["exit_idx"].tolist(), strict=True)
    return np.array([(s, a) in there or (s, b) in there for s, a, b in ends], dtype=bool)


def _over(res: SweepResult, account: Account, leaps: pd.DataFrame) -> np.ndarray:
    """Which trades were entered before a leap and left at its bar or later, bool (K,)."""
    trades, names = account.trades, np.array(account.symbols, dtype=object)
    over = np.zeros(len(trades), dtype=bool)
    rows = res.window_bars.index.get_indexer(pd.DatetimeIndex(leaps["time"]))
    for symbol, row in zip(leaps["symbol"], rows, strict=True):
        own = names[trades["col"]] == symbol
        over |= own & (trades["entry_idx"] < row) & (trades["exit_idx"] >= row)
    return over


def _orders_within(account: Account, frozen: pd.DataFrame) -> int:
    orders, names = account.orders, np.array(account.symbols, dtype=object)
    times = account.index[orders["idx"]]
    within = np.zeros(len(orders), dtype=bool)
    for symbol, start, end in zip(frozen["symbol"], frozen["start"], frozen["end"], strict=True):
        within |= (names[orders["col"]] == symbol) & (times >= start) & (times <= end)
    return int(within.sum())
