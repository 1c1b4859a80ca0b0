"""What happens to every symbol at the next open, as the order kernel goes about it.

Exits come first, then entries on what is left. Dimensions: N symbols.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.live.account import FLAT, Account, Holding, Limits, Resting
from convnext_vbt.live.due import due_of, overdue_since, row_of, side_signalled
from convnext_vbt.live.entry import WORDS, Book, Entry, limit_price, place, to_entry
from convnext_vbt.live.resting import is_cancelled
from convnext_vbt.live.trained import Trained
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions
from convnext_vbt.trading import broker
from convnext_vbt.trading.brackets import Brackets
from convnext_vbt.trading.codes import LEAVE, MAX_HOLDING, NONE
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.instruments import instrument_of
from convnext_vbt.trading.leaving import leave_rows_after
from convnext_vbt.trading.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moment:
    """All symbols at the last close."""

    trained: Trained
    bars: Bars
    """The history that was read."""
    all_bars: Bars
    """All that there are."""
    preds: Predictions
    """Of the last bar alone, as signals and brackets are."""
    levels: dict[str, Any]
    signals: Signals
    """One column a symbol."""
    brackets: Brackets
    """Of all the bars."""
    account: Account
    trading: SimulationConfig
    """The strategy's, its instruments under the limits that were given."""

    @property
    def last(self) -> Bars:
        """The last bar alone."""
        return self.bars.rows(len(self.bars) - 1, len(self.bars))

    def limits(self, n: int) -> Limits:
        """What the exchange takes of a symbol."""
        return Limits.of(instrument_of(self.trading.instruments, self.bars.symbols[n]))

    def held(self, n: int) -> Holding:
        """The position in a symbol."""
        return self.account.held.get(self.bars.symbols[n], FLAT)

    def resting(self, n: int) -> Resting | None:
        """The entry that rests at its limit; of a symbol that is held there is none."""
        return None if self.held(n).side else self.account.resting.get(self.bars.symbols[n])


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What happens to one symbol at the next open."""

    held: Holding
    bars_held: int | None
    ends: int
    """The kernel's reason why the position ends, `NONE` if it does not or there is none."""
    opens: Entry | str | None
    """An entry, why a signalled one is not made, or None where none is signalled."""
    overdue: pd.Timestamp | None
    """The bar at whose close its time was up already, if it was."""
    resting: Resting | None = None
    """What rests on; `opens` is then what it would take."""
    cancelled: Resting | None = None
    """What rested until now."""

    @property
    def entry(self) -> Entry | None:
        """What is placed now."""
        return self.opens if isinstance(self.opens, Entry) and self.resting is None else None


def trading_of(
    config: SimulationConfig, symbols: Sequence[str], limits: Limits
) -> SimulationConfig:
    """The strategy's own with the limits that were given over those of each instrument."""
    if limits == Limits():
        return config
    own = {name: limits.over(instrument_of(config.instruments, name)) for name in symbols}
    return replace(config, instruments=own)


def plans_of(moment: Moment) -> list[Plan]:
    """Every symbol's."""
    symbols = range(len(moment.bars.symbols))
    held = [moment.held(n) for n in symbols]
    there = moment.bars.present[-1]
    said = np.where(there, moment.signals.packed()[0][:, 0], 0).tolist()
    bars, limit, prices = moment.bars, moment.brackets.max_holding, prices_of(moment)
    due = [due_of(held[n], bars, n, limit) for n in symbols]
    overdue = [
        None if side_signalled(said[n]) == held[n].side else _overdue(moment, n, due[n].before)
        for n in symbols
    ]
    codes = [code | bits for code, bits in zip(said, _next_bits(moment), strict=True)]
    ends = [
        _why_it_ends(held[n], codes[n], is_due=due[n].now) if overdue[n] is None else MAX_HOLDING
        for n in symbols
    ]
    rests = [moment.resting(n) for n in symbols]
    gone = [one if one and is_cancelled(one, codes[n]) else None for n, one in enumerate(rests)]
    rests = [one if gone[n] is None else None for n, one in enumerate(rests)]
    stays = np.array([held[n].side != 0 and ends[n] == NONE for n in symbols])
    cost = sum(_cost_of_closing(moment, n, prices[n]) for n in symbols if ends[n] != NONE)
    sides = np.array([
        0 if stays[n] else one.side if (one := rests[n]) else side_signalled(codes[n])
        for n in symbols
    ])  # fmt: skip
    book = Book(
        equity=moment.account.equity - cost,
        price=prices,
        units=np.array([held[n].units if stays[n] else 0.0 for n in symbols]),
        stop=np.array([_held_stop(moment, n, prices[n]) if stays[n] else 0.0 for n in symbols]),
    )
    opens = _entries(moment, book, sides, rests)
    return [
        Plan(
            held=held[n], bars_held=due[n].held, ends=ends[n], opens=opens[n], overdue=overdue[n],
            resting=rests[n], cancelled=gone[n],
        )
        for n in symbols
    ]  # fmt: skip


def _entries(
    moment: Moment, book: Book, sides: np.ndarray, rests: Sequence[Resting | None]
) -> list[Entry | str | None]:
    """What is entered now and what rests on, sized on one account; see `entry.place`."""
    opens: list[Entry | str | None] = [None for _ in sides]
    if not sides.any():
        return opens
    row = moment.brackets.rows(len(moment.bars) - 1, len(moment.bars))
    shares, levels = moment.signals.size[0].copy(), np.full(len(sides), np.nan)
    closes = _last_closes(moment.bars)
    for n in np.flatnonzero(sides).tolist():
        if (one := rests[n]) is not None:
            row = _as_it_was_said(one, n, row)
            shares[n], levels[n] = one.share, one.price
        elif moment.trading.limit_offset is not None:
            levels[n] = limit_price(
                closes[n], int(sides[n]), moment.trading, moment.bars.symbols[n]
            )
    bar = _with_volumes(moment.bars, rests)
    placed = place(book, sides, shares, bar, row, moment.trading, levels)
    for n in np.flatnonzero(sides).tolist():
        opens[n] = to_entry(placed, n, row, equity=book.equity, config=moment.trading)
    return opens


def _as_it_was_said(one: Resting, n: int, row: Brackets) -> Brackets:
    """The last bar's brackets with those that symbol n's order was placed by."""
    changed: dict[str, Any] = {}
    for kind in ("stop", "take_profit"):
        name = f"{kind}_{WORDS[one.side]}"
        changed[name] = getattr(row, name).copy()
        changed[name][0, n] = getattr(one, kind)
    if row.volatility is not None:
        changed["volatility"] = row.volatility.copy()
        changed["volatility"][0, n] = one.volatility
    return replace(row, **changed)


def _with_volumes(bars: Bars, rests: Sequence[Resting | None]) -> Bars:
    """The last bar, with the volumes of the bars that placed what rests."""
    count = len(bars)
    if not any(rests):
        return bars.rows(count - 1, count)
    volume = bars.volume.copy()
    for n, one in enumerate(rests):
        if one is not None and bars.present[-1, n]:
            volume[-1, n] = one.volume
    return replace(bars, volume=volume).rows(count - 1, count)


def _overdue(moment: Moment, n: int, before: tuple[int, ...]) -> pd.Timestamp | None:
    skipped = len(moment.all_bars) - len(moment.bars)
    rows = tuple(skipped + row for row in before)
    return overdue_since(moment.trained, moment.all_bars, n, moment.held(n).side, rows)


def _next_bits(moment: Moment) -> list[int]:
    """What the next open says of itself: whether it is too late to hold anything."""
    leave_at, bars = moment.trading.leave_at, moment.all_bars
    if leave_at is None:
        return [0] * len(bars.symbols)
    return [LEAVE if late else 0 for late in leave_rows_after(bars, leave_at)]


def prices_of(moment: Moment) -> np.ndarray:
    """Each symbol's last close, or what the account reckons with, (N,)."""
    bars, closes = moment.bars, _last_closes(moment.bars)
    given = [moment.account.prices.get(name, np.nan) for name in bars.symbols]
    return np.where(np.isnan(given), closes, given)


def _last_closes(bars: Bars) -> np.ndarray:
    last = len(bars) - 1 - bars.present[::-1].argmax(axis=0)
    closes: np.ndarray = bars.close[last, np.arange(len(bars.symbols))]
    return closes


def _held_stop(moment: Moment, n: int, price: float) -> float:
    """The stop of a position that stays: its own if its entry is in the history, else today's."""
    held, bars = moment.held(n), moment.bars
    if held.stop is not None:
        return held.stop
    distances = getattr(moment.brackets, f"stop_{WORDS[held.side]}")[:, n]
    row = -1 if held.entered is None else row_of(bars, n, held.entered)
    said = int(bars.previous[row, n]) if 0 < row < len(bars) else -1
    if said < 0 or not np.isfinite(bars.open[row, n] * distances[said]):
        last = np.flatnonzero(bars.present[:, n])[-1]
        return float(price * (1.0 - held.side * distances[last]))
    fill = bars.open[row, n] * (1.0 + held.side * moment.trading.slippage)
    return float(fill * (1.0 - held.side * distances[said]))


def _why_it_ends(held: Holding, code: int, *, is_due: bool) -> int:
    """The kernel's own reason why a position ends at the next open; its stops rest elsewhere."""
    if held.side == 0:
        return NONE
    side, never = float(held.side), -held.side * math.inf
    reason: int = broker.reason_at_open_nb.py_func(side, 1.0, never, code, is_due)
    return reason


def _cost_of_closing(moment: Moment, n: int, price: float) -> float:
    """Slippage and fee of closing a position, against its worth at `price`."""
    held, trading = moment.held(n), moment.trading
    own = instrument_of(trading.instruments, moment.bars.symbols[n])
    slippage = trading.slippage if own.slippage is None else own.slippage
    slippage += own.half_spread / price
    fees = trading.fees if own.taker is None else own.taker
    worth = abs(held.units) * (1.0 / price if own.inverse else price)
    fee = worth * (1.0 - held.side * slippage) * fees
    fee += abs(held.units) * own.fee_per_contract / own.multiplier
    return worth * slippage + max(fee, own.min_fee)
