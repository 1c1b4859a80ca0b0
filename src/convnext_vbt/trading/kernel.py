"""The order kernel: accounts walked bar by bar. The only place where trades are made.

`walk_nb` is the rule for one symbol on an account of its own, `walk_shared_nb` for many on one.
They keep running sums for the metrics and, when asked, write every order, position and equity
value; both the sweep and the full record of chosen columns call them. What a fill, a bracket or a
stake is, they share; it is all in this file because a kernel on disk does not notice that another
file changed.

Accounts of one symbol that differ in their risk alone trade at the same bars and prices, in other
sizes: `walk_nb` walks up to `LANES` of them at once. Orders are for several accounts too, because
numba counts references, atomically, wherever an array goes through a call or a slice: one account
a call spent most of the time in that.

Row t of signals, size, stop and take-profit acts at the open of the symbol's own next bar, however
many rows of other symbols lie between, and is frozen there:
1. At the open: a gap beyond the stop (take-profit) exits at the open. Then row t exits, reverses
   (close, then open the other side) or enters. An entry on the side that is held is ignored.
2. Inside the bar, from the entry bar on: stop first, then take-profit, each at its level.
3. After `max_holding` bars: exit at the open, unless the same side is still signalled; then the
   position and its stop stay and the clock restarts.
4. At the close: equity is marked. Equity <= 0: close, and no order ever after.

A row without a bar (NaN) says nothing, fills nothing, moves no clock and is marked at the last
close. A funding rate is due at its bar's open, before any order: from a long that is held then, to
a short. Sized by risk, an entry without a stop is none.

On a shared account all exits of an open come before all entries. Entries are sized on one equity,
each symbol at its open or else its last close, and cut by one factor where gross exposure or open
risk would pass its cap, so that the order of the symbols means nothing; where that leaves next to
nothing of an entry, there is none. A delisted symbol is closed at its last close, once its silence
tells (`inputs.delisting_rows`): nobody can know before.
Equity <= 0 closes every position.
Dimensions: T bars, N symbols, C columns, K columns of one account, A accounts, P cells, D days,
L accounts at once, S fields of an account, O orders, F fields of an order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange

ENTER_LONG, EXIT_LONG, ENTER_SHORT, EXIT_SHORT = 1, 2, 4, 8
"""Bits of a row's signal code."""

BY_RISK, BY_NOTIONAL, BY_VALUE = range(3)

ENTRY, SIGNAL, REVERSE, STOP, GAP_STOP, TAKE_PROFIT, MAX_HOLDING, BUST, DELISTED = range(9)
"""Why an order was placed. `int(BUST)` in a call: for a bare constant numba compiles again."""
NONE = ENTRY

# One account: its state, then the running sums that metrics are made of. BASE is the equity without
# the open position's move: cash while flat, and so free of the rounding that cash flows would add.
# WANTED, NOTIONAL and SIZE belong to the order at hand: the stake, what the caps leave, units.
(
    BASE, POSITION, STOP_LEVEL, TARGET_LEVEL, ENTRY_PRICE, ENTRY_FEES, IS_CAPPED,
    EQUITY, LAST_PRICE, DRAWDOWN, EQUITY_SUM, BARS_HELD, IS_BUST,
    DAYS, DAY_EQUITY, DAY_MEAN, DAY_SQUARES, DAY_DOWNSIDE,
    ORDERS, TRADES, CLOSED, WINS, GROSS_PROFIT, GROSS_LOSS, RETURN_SUM,
    TRADED, FEES_PAID, SLIPPAGE_PAID, CAPPED, GAP_STOPS, TRADE_FUNDING, FUNDING_PAID,
    WANTED, NOTIONAL, SIZE,
    NUM_STATE,
) = range(36)  # fmt: skip

SUMMED = (
    ORDERS, TRADES, CLOSED, WINS, GROSS_PROFIT, GROSS_LOSS, RETURN_SUM,
    TRADED, FEES_PAID, SLIPPAGE_PAID, CAPPED, GAP_STOPS, FUNDING_PAID,
)  # fmt: skip
"""What a shared account has as the sum over its symbols."""

LANES = 64
"""Accounts that `walk_nb` walks at once, at most."""

# What changes in every bar, each for `LANES` accounts: in one array at known distances, so that the
# compiler sees that they do not overlap and takes several accounts in one instruction.
M_BASE, M_UNITS, M_EQUITY, M_SUM, M_PEAK, M_DRAWDOWN, M_HELD, NUM_MARKS = range(0, 8 * LANES, LANES)

ROUNDING = 1e-12
"""Relative slack of a cap, so that a sum in another order is not cut."""
DUST = 1e-6
"""A share of equity below which what a cap leaves of an entry is not placed."""

CACHED = {"cache": True, "error_model": "numpy"}
INNER = CACHED | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
INLINED = INNER | {"forceinline": True, "_nrt": False}
"""What a walk does in every bar: a call would count the references of all its arrays."""

FILL_FIELDS = ("idx", "size", "price", "fees", "side", "reason", "pnl", "capped", "funding")
"""One order as the kernel writes it; an entry and the exit that follows it make a trade."""


class Terms(NamedTuple):
    """What every account of one run has in common."""

    sizing: int
    fees: float
    slippage: float
    max_leverage: float
    init_cash: float
    max_holding: int
    """0 = no limit."""
    max_open_risk: float
    """Of a shared account sized by risk."""


class Market(NamedTuple):
    """What all accounts trade on; time runs last, so that one account reads straight on."""

    prices: np.ndarray
    """float64 (N, 4, T): open, high, low, close."""
    brackets: np.ndarray
    """float64 (N, 4, T): stop long, stop short, take-profit long, take-profit short."""
    funding: np.ndarray
    """float64 (N, T): the rate at each bar's open, 0 where none is due; (N, 0) without funding."""
    day_end: np.ndarray
    """bool (T,): the last bar of its UTC day."""
    delisted: np.ndarray
    """int64 (N,): the row at whose open a symbol is known to be gone; T where it never is."""


class Columns(NamedTuple):
    """What is signalled, and which columns are one account."""

    codes: np.ndarray
    """uint8 (C, T): the row's signals without conflicts, as bits."""
    sizes: np.ndarray
    """float64 (C, T)."""
    symbol: np.ndarray
    """int64 (C,)."""
    accounts: np.ndarray
    """int64 (A, K): the columns of each account, then -1 where it has fewer."""


class Cells(NamedTuple):
    """Which account is walked at which risk and bracket multiples."""

    account: np.ndarray
    """int64 (P,)."""
    points: np.ndarray
    """float64 (P, 3): risk, stop multiple, take-profit multiple."""
    day_row: np.ndarray
    """int64 (P,): the row of daily returns that the cell fills, -1 for none."""


class Entry(NamedTuple):
    """An entry at one open."""

    side: float
    """1 long, -1 short, 0 none."""
    raw: float
    """The open."""
    share: float
    """Of the full stake."""
    stop: float
    target: float


class Entries(NamedTuple):
    """What each column of a shared account enters at one open: fields of `Entry`, (K,)."""

    side: np.ndarray
    raw: np.ndarray
    share: np.ndarray
    stop: np.ndarray
    target: np.ndarray


class Log(NamedTuple):
    """Where an account is written down; T, O or D of 0 for what is not wanted."""

    fills: np.ndarray
    """float64 (K, O, F), `FILL_FIELDS`; or (L, O, F) of accounts that are walked together."""
    equity: np.ndarray
    """float64 (T,); here and below of the first account."""
    value: np.ndarray
    """float64 (K, T): the initial cash and the column's own profit."""
    position: np.ndarray
    """float64 (K, T)."""
    funding: np.ndarray
    """float64 (K, T): funding paid at the bar's open."""
    days: np.ndarray
    """float64 (1 + K, D), or (1, D) of one symbol: returns of the account, then of each column's
    value, from one UTC day's last close to the next."""


class Book(NamedTuple):
    """A shared account at work on its K columns."""

    states: np.ndarray
    """float64 (1 + K, S): the account's, then each column's."""
    own: np.ndarray
    """The columns' states."""
    column: np.ndarray
    symbol: np.ndarray
    held: np.ndarray
    """int64 (K,): bars since the entry, or since the clock restarted."""
    said: np.ndarray
    """int64 (K,): the row of the symbol's bar before, whose signals act now; -1 for none."""
    mark: np.ndarray
    """float64 (K,): the last price there was."""
    value: np.ndarray
    """float64 (1 + K,): equity of the account, then each column's value."""
    last_value: np.ndarray
    """float64 (K,): at the close before."""
    peak: np.ndarray
    """float64 (K,): of the column's value."""
    entries: Entries
    """Of this open; `raw` is NaN where there is no bar."""


@njit(**INNER)
def loss_at_stop_nb(side: float, stop: float, fees: float, slippage: float) -> float:
    """Loss per unit of entry notional when stopped at `stop`, both fees and slippage in it."""
    back = max(1.0 - side * stop, 0.0) * (1.0 - side * slippage)
    return side * (1.0 - back) + fees * (1.0 + back)


@njit(**INNER)
def fill_nb(
    accounts_LS: np.ndarray,
    fills_LOF: np.ndarray,
    i: int,
    side: float,
    raw: float,
    reason: int,
    terms: Terms,
) -> None:
    """Each account with a SIZE buys (side 1) or sells (-1) it at `raw` less slippage."""
    price = raw * (1.0 + side * terms.slippage)
    for k in range(len(accounts_LS)):
        size = accounts_LS[k, SIZE]
        if not size > 0.0:
            continue
        fees = size * price * terms.fees
        accounts_LS[k, BASE] -= fees
        accounts_LS[k, TRADED] += size * price
        accounts_LS[k, FEES_PAID] += fees
        accounts_LS[k, SLIPPAGE_PAID] += size * abs(price - raw)
        pnl = 0.0
        if reason == ENTRY:
            accounts_LS[k, POSITION] = side * size
            accounts_LS[k, ENTRY_PRICE] = price
            accounts_LS[k, ENTRY_FEES] = fees
            accounts_LS[k, TRADE_FUNDING] = 0.0
            accounts_LS[k, TRADES] += 1.0
        else:
            entry_price = accounts_LS[k, ENTRY_PRICE]
            gross = size * side * (entry_price - price)
            pnl = gross - accounts_LS[k, ENTRY_FEES] - fees - accounts_LS[k, TRADE_FUNDING]
            accounts_LS[k, BASE] += gross
            accounts_LS[k, POSITION] = 0.0
            accounts_LS[k, CLOSED] += 1.0
            accounts_LS[k, RETURN_SUM] += pnl / (size * entry_price)
            accounts_LS[k, WINS] += pnl > 0.0
            accounts_LS[k, GROSS_PROFIT] += max(pnl, 0.0)
            accounts_LS[k, GROSS_LOSS] += max(-pnl, 0.0)
            accounts_LS[k, GAP_STOPS] += reason == GAP_STOP
        order = int(accounts_LS[k, ORDERS])
        accounts_LS[k, ORDERS] += 1.0
        if order < fills_LOF.shape[1]:
            fills_LOF[k, order, 0], fills_LOF[k, order, 1] = i, size
            fills_LOF[k, order, 2], fills_LOF[k, order, 3] = price, fees
            fills_LOF[k, order, 4], fills_LOF[k, order, 5] = side, reason
            fills_LOF[k, order, 6], fills_LOF[k, order, 7] = pnl, accounts_LS[k, IS_CAPPED]
            fills_LOF[k, order, 8] = accounts_LS[k, TRADE_FUNDING]


@njit(**INNER)
def exit_nb(
    accounts_LS: np.ndarray,
    fills_LOF: np.ndarray,
    i: int,
    raw: float,
    reason: int,
    terms: Terms,
) -> None:
    """Close the whole position, of one side, of all accounts at `raw` less slippage."""
    side = 1.0
    for k in range(len(accounts_LS)):
        accounts_LS[k, SIZE] = abs(accounts_LS[k, POSITION])
        if accounts_LS[k, POSITION] > 0.0:
            side = -1.0
    fill_nb(accounts_LS, fills_LOF, i, side, raw, reason, terms)


@njit(**INNER)
def stake_nb(
    risk: float, size: float, side: float, stop: float, equity: float, terms: Terms
) -> float:
    """Entry notional that the sizing asks for, before any cap."""
    share = risk * size
    if terms.sizing == BY_RISK:
        if np.isnan(stop):
            return 0.0
        share /= loss_at_stop_nb(side, stop, terms.fees, terms.slippage)
    return share * (terms.init_cash if terms.sizing == BY_VALUE else equity)


@njit(**INNER)
def most_notional_nb(side: float, equity: float, terms: Terms) -> float:
    """The largest position that the leverage allows."""
    cap = terms.max_leverage
    if side > 0:
        cap /= 1.0 + terms.fees  # a long pays its fee from the same cash
    return cap * equity


@njit(**INNER)
def enter_nb(
    accounts_LS: np.ndarray, fills_LOF: np.ndarray, i: int, entry: Entry, terms: Terms
) -> None:
    """Each account opens a position worth its NOTIONAL, the part of WANTED that the caps leave."""
    side = entry.side
    unit = entry.raw * (1.0 + side * terms.slippage)
    for k in range(len(accounts_LS)):
        wanted, notional = accounts_LS[k, WANTED], accounts_LS[k, NOTIONAL]
        accounts_LS[k, SIZE] = 0.0
        if wanted > 0.0 and notional > 0.0:
            is_capped = notional < wanted
            accounts_LS[k, IS_CAPPED] = is_capped
            accounts_LS[k, CAPPED] += is_capped
            accounts_LS[k, SIZE] = notional / unit
            accounts_LS[k, STOP_LEVEL] = unit * (1.0 - side * entry.stop)
            accounts_LS[k, TARGET_LEVEL] = unit * (1.0 + side * entry.target)
    fill_nb(accounts_LS, fills_LOF, i, side, entry.raw, int(ENTRY), terms)


@njit(**INNER)
def pay_funding_nb(accounts_LS: np.ndarray, rate: float, price: float) -> float:
    """What a long pays and a short receives on its notional, part of the trade; of the first."""
    for k in range(len(accounts_LS)):
        amount = rate * accounts_LS[k, POSITION] * price
        accounts_LS[k, BASE] -= amount
        accounts_LS[k, TRADE_FUNDING] += amount
        accounts_LS[k, FUNDING_PAID] += amount
    first: float = rate * accounts_LS[0, POSITION] * price
    return first


@njit(**INNER)
def reason_at_open_nb(
    side: float, price: float, stop: float, target: float, code: int, is_due: bool
) -> int:
    """Why the held position ends at this open, `NONE` if it does not."""
    same, leave, opposite = ENTER_LONG, EXIT_LONG, ENTER_SHORT
    if side < 0:
        same, leave, opposite = ENTER_SHORT, EXIT_SHORT, ENTER_LONG
    if side * price <= side * stop:
        return GAP_STOP
    if side * price >= side * target:
        return TAKE_PROFIT
    if code & opposite:
        return REVERSE
    if code & leave:
        return SIGNAL
    if is_due and not code & same:
        return MAX_HOLDING
    return NONE


@njit(**INNER)
def bracket_in_bar_nb(
    side: float, first: float, high: float, low: float, stop: float, target: float
) -> tuple[int, float]:
    """Stop, then take-profit: why the position ends inside the bar, and at which raw price."""
    worst, best = (low, high) if side > 0 else (high, low)
    if side * worst <= side * stop:
        if side * first < side * stop:
            return GAP_STOP, first  # a stop closer than the slippage is passed at the entry itself
        return STOP, stop
    if side * best >= side * target:
        return TAKE_PROFIT, target
    return NONE, 0.0


@njit(**INNER)
def end_day_nb(accounts_LS: np.ndarray, days_LD: np.ndarray, equity_L: np.ndarray) -> None:
    """Book the return of a UTC day that ends at this equity, of each account.

    The first accounts' returns are written down, as far as `days_LD` has rows.
    """
    for k in range(len(accounts_LS)):
        before = accounts_LS[k, DAY_EQUITY]
        change = equity_L[k] / before - 1.0 if before > 0.0 else 0.0
        if k < len(days_LD):
            days_LD[k, int(accounts_LS[k, DAYS])] = change
        accounts_LS[k, DAYS] += 1.0
        offset = change - accounts_LS[k, DAY_MEAN]  # Welford (1962)
        accounts_LS[k, DAY_MEAN] += offset / accounts_LS[k, DAYS]
        accounts_LS[k, DAY_SQUARES] += offset * (change - accounts_LS[k, DAY_MEAN])
        accounts_LS[k, DAY_DOWNSIDE] += min(change, 0.0) ** 2
        accounts_LS[k, DAY_EQUITY] = equity_L[k]


@njit(**INNER)
def revalue_nb(marks: np.ndarray, num: int, move: float) -> int:
    """Equity of `num` accounts at a price `move` above the entry's; how many have nothing left."""
    broke = 0
    for k in range(num):
        equity = marks[M_BASE + k] + marks[M_UNITS + k] * move
        marks[M_EQUITY + k] = equity
        broke += equity <= 0.0
    return broke


@njit(**INNER)
def mark_nb(marks: np.ndarray, num: int) -> None:
    """Peak, drawdown and bars with a position of `num` accounts."""
    for k in range(num):
        equity = marks[M_EQUITY + k]
        peak = max(marks[M_PEAK + k], equity)
        marks[M_PEAK + k] = peak
        marks[M_DRAWDOWN + k] = min(marks[M_DRAWDOWN + k], equity / peak - 1.0)
        marks[M_HELD + k] += marks[M_UNITS + k] != 0.0


@njit(**INNER)
def close_broke_nb(
    accounts_LS: np.ndarray,
    fills_LOF: np.ndarray,
    i: int,
    last: float,
    marks: np.ndarray,
    terms: Terms,
) -> None:
    """End the accounts whose equity is gone: none of them trades again."""
    for k in range(len(accounts_LS)):
        if marks[M_EQUITY + k] <= 0.0 and accounts_LS[k, IS_BUST] == 0.0:
            accounts_LS[k, IS_BUST] = 1.0
            if accounts_LS[k, POSITION] != 0.0:
                exit_nb(accounts_LS[k : k + 1], fills_LOF[k : k + 1], i, last, int(BUST), terms)
            marks[M_BASE + k], marks[M_UNITS + k] = accounts_LS[k, BASE], 0.0


@njit(**INLINED)
def mark_alone_nb(
    accounts_LS: np.ndarray,
    fills_LOF: np.ndarray,
    i: int,
    last: float,
    lead: int,
    broke: int,
    marks: np.ndarray,
    terms: Terms,
) -> int:
    """Equity of all accounts at the close; how many have nothing left, of which `broke` ended."""
    num, move = len(accounts_LS), last - accounts_LS[lead, ENTRY_PRICE]
    gone: int = revalue_nb(marks, num, move)
    if gone > broke:
        close_broke_nb(accounts_LS, fills_LOF, i, last, marks, terms)
        gone = revalue_nb(marks, num, move)
    mark_nb(marks, num)
    return gone


@njit(**INNER)
def enter_alone_nb(
    accounts_LS: np.ndarray,
    fills_LOF: np.ndarray,
    i: int,
    entry: Entry,
    points_L3: np.ndarray,
    terms: Terms,
) -> int:
    """The entry of accounts of one symbol, each by its own equity; the last that entered, or -1."""
    for k in range(len(points_L3)):
        equity = accounts_LS[k, BASE] * (accounts_LS[k, IS_BUST] == 0.0)
        wanted = stake_nb(points_L3[k, 0], entry.share, entry.side, entry.stop, equity, terms)
        accounts_LS[k, WANTED] = wanted
        accounts_LS[k, NOTIONAL] = min(wanted, most_notional_nb(entry.side, equity, terms))
    enter_nb(accounts_LS, fills_LOF, i, entry, terms)
    lead = -1
    for k in range(len(points_L3)):
        if accounts_LS[k, POSITION] != 0.0:
            lead = k
    return lead


@njit(**INNER)
def begin_nb(accounts_LS: np.ndarray, init_cash: float) -> np.ndarray:
    """Accounts before the first bar, and their marks."""
    marks = np.zeros(NUM_MARKS)
    for k in range(len(accounts_LS)):
        for field in range(NUM_STATE):
            accounts_LS[k, field] = 0.0
        accounts_LS[k, BASE] = accounts_LS[k, DAY_EQUITY] = init_cash
        marks[M_BASE + k] = marks[M_EQUITY + k] = marks[M_PEAK + k] = init_cash
    return marks


@njit(**INNER)
def finish_nb(accounts_LS: np.ndarray, marks: np.ndarray, last: float) -> None:
    """What was kept in the marks goes into the accounts."""
    for k in range(len(accounts_LS)):
        accounts_LS[k, LAST_PRICE] = last
        accounts_LS[k, EQUITY], accounts_LS[k, EQUITY_SUM] = marks[M_EQUITY + k], marks[M_SUM + k]
        accounts_LS[k, DRAWDOWN] = marks[M_DRAWDOWN + k]
        accounts_LS[k, BARS_HELD] = marks[M_HELD + k]


@njit(**CACHED)
def walk_nb(
    market: Market,
    columns: Columns,
    a: int,
    points_L3: np.ndarray,
    terms: Terms,
    accounts_LS: np.ndarray,
    log: Log,
) -> None:
    """Walk accounts that differ in their risk alone; `accounts_LS` holds the outcome afterwards.

    The multiples are the same in all rows of `points_L3`, of which there are `LANES` at most. What
    happens in every bar is kept in `marks` and what happens in an order in the account: that is
    what makes ten thousand cells affordable.
    """
    num, c = len(points_L3), columns.accounts[a, 0]
    n, code_T, size_T = columns.symbol[c], columns.codes[c], columns.sizes[c]
    prices_4T, brackets_4T, funding_T = market.prices[n], market.brackets[n], market.funding[n]
    day_end_T, fills, days, log_equity = market.day_end, log.fills, log.days, log.equity
    log_value, log_position, log_funding = log.value[0], log.position[0], log.funding[0]
    marks, last = begin_nb(accounts_LS, terms.init_cash), terms.init_cash
    side, lead = 0.0, 0  # what is held and by which account, though it may have gone bust since
    held, broke = 0, np.int64(0)  # for a bare constant numba would compile again
    code, said = np.int64(0), 0  # of the bar before: its signals, and its row
    for i in range(len(code_T)):
        first = prices_4T[0, i]
        is_changed = False
        if not np.isnan(first):
            last = prices_4T[3, i]
            if side != 0.0:
                if len(funding_T) > 0 and funding_T[i] != 0.0:
                    paid = pay_funding_nb(accounts_LS, funding_T[i], first)
                    is_changed = True
                    if len(log_funding) > 0:
                        log_funding[i] = paid
                is_due = 0 < terms.max_holding <= held
                stop, target = accounts_LS[lead, STOP_LEVEL], accounts_LS[lead, TARGET_LEVEL]
                reason = reason_at_open_nb(side, first, stop, target, code, is_due)
                if reason != NONE:
                    exit_nb(accounts_LS, fills, i, first, reason, terms)
                    side, is_changed = 0.0, True
                elif is_due:
                    held = 0
            if code & (ENTER_LONG | ENTER_SHORT) and side == 0.0:
                held, is_changed = 0, True
                way, k = (1.0, 0) if code & ENTER_LONG else (-1.0, 1)
                stop = brackets_4T[k, said] * points_L3[0, 1]
                target = brackets_4T[k + 2, said] * points_L3[0, 2]
                entry = Entry(way, first, size_T[said], stop, target)
                entered = enter_alone_nb(accounts_LS, fills, i, entry, points_L3, terms)
                side, lead = (way, entered) if entered >= 0 else (side, lead)
            if side != 0.0:
                held += 1
                reason, price = bracket_in_bar_nb(
                    side, first, prices_4T[1, i], prices_4T[2, i],
                    accounts_LS[lead, STOP_LEVEL], accounts_LS[lead, TARGET_LEVEL],
                )  # fmt: skip
                if reason != NONE:
                    exit_nb(accounts_LS, fills, i, price, reason, terms)
                    side, is_changed = 0.0, True
            code, said = np.int64(code_T[i]), i
        if is_changed:
            for k in range(num):
                marks[M_BASE + k] = accounts_LS[k, BASE]
                marks[M_UNITS + k] = accounts_LS[k, POSITION]
        if is_changed or side != 0.0:
            broke = mark_alone_nb(accounts_LS, fills, i, last, lead, broke, marks, terms)
        for k in range(num):
            marks[M_SUM + k] += marks[M_EQUITY + k]
        if len(log_equity) > 0:
            log_equity[i] = log_value[i] = marks[M_EQUITY]
            log_position[i] = marks[M_UNITS]
        if day_end_T[i]:
            end_day_nb(accounts_LS, days, marks[M_EQUITY : M_EQUITY + num])
    finish_nb(accounts_LS, marks, last)


@njit(**INNER)
def block_starts_nb(cells: Cells) -> np.ndarray:
    """Where each run of cells begins that are walked together, and where the last one ends."""
    account_P, points_P3, day_row_P = cells
    start_B = np.empty(len(account_P) + 1, dtype=np.int64)
    b = start_B[0] = 0
    for p in range(1, len(account_P)):
        if (
            p - start_B[b] == LANES
            or day_row_P[p] >= 0
            or account_P[p] != account_P[p - 1]
            or points_P3[p, 1] != points_P3[p - 1, 1]
            or points_P3[p, 2] != points_P3[p - 1, 2]
        ):
            b += 1
            start_B[b] = p
    start_B[b + 1] = len(account_P)
    return start_B[: b + 2]


@njit(parallel=True, **CACHED)
def walk_cells_nb(
    market: Market, columns: Columns, cells: Cells, terms: Terms, days_RKD: np.ndarray
) -> np.ndarray:
    """All cells of accounts of one symbol side by side: states, float64 (P, S).

    Neighbours that differ in their risk alone are walked together. Memory does not grow with T.
    `days_RKD`, (rows, 1, D), receives daily returns.
    """
    start_B = block_starts_nb(cells)
    states = np.empty((len(cells.account), NUM_STATE))
    for b in prange(len(start_B) - 1):
        p, q = start_B[b], start_B[b + 1]
        fills, none = np.empty((q - p, 0, len(FILL_FIELDS))), np.empty((1, 0))
        r = cells.day_row[p]
        days = days_RKD[max(r, 0), : (1 if r >= 0 else 0)]
        log = Log(fills, np.empty(0), none, none, none, days)
        points = cells.points[p:q]
        walk_nb(market, columns, cells.account[p], points, terms, states[p:q], log)
    return states


@njit(**INNER)
def value_nb(base: float, position: float, entry_price: float, mark: float) -> float:
    """Equity of one column, its position at `mark`; a column that holds nothing needs no price."""
    return base + position * (mark - entry_price) if position != 0.0 else base


@njit(**INNER)
def shared_equity_nb(own_KS: np.ndarray, mark_K: np.ndarray, init_cash: float) -> float:
    """Equity of the account: each column's value holds the initial cash, which counts once."""
    equity = 0.0
    for k in range(len(own_KS)):
        position, entry_price = own_KS[k, POSITION], own_KS[k, ENTRY_PRICE]
        value = value_nb(own_KS[k, BASE], position, entry_price, mark_K[k])
        equity += value - (init_cash if k > 0 else 0.0)
    return equity


@njit(**INNER)
def open_risk_nb(account: np.ndarray, mark: float, terms: Terms) -> float:
    """What a held position loses from `mark` on when it is stopped, costs included."""
    side = 1.0 if account[POSITION] > 0.0 else -1.0
    back = max(account[STOP_LEVEL], 0.0) * (1.0 - side * terms.slippage)
    loss: float = account[POSITION] * (mark - back) + abs(account[POSITION]) * back * terms.fees
    return max(loss, 0.0)


@njit(**INNER)
def room_nb(needed: float, room: float) -> float:
    """The factor at which what is needed fits into the room."""
    if needed <= 0.0 or needed <= room * (1.0 + ROUNDING):
        return 1.0
    return max(room, 0.0) / needed


@njit(**CACHED)
def enter_shared_nb(
    own_KS: np.ndarray,
    fills_KOF: np.ndarray,
    i: int,
    entries: Entries,
    mark_K: np.ndarray,
    risk: float,
    terms: Terms,
) -> None:
    """All entries of one open, sized on one equity and cut by one factor."""
    side_K, raw_K, share_K, stop_K, target_K = entries
    equity = shared_equity_nb(own_KS, mark_K, terms.init_cash)
    gross = needed_gross = held_risk = needed_risk = 0.0
    for k in range(len(own_KS)):
        position, side = own_KS[k, POSITION], side_K[k]
        own_KS[k, WANTED] = own_KS[k, NOTIONAL] = 0.0
        if position != 0.0:
            gross += abs(position) * mark_K[k]
            held_risk += open_risk_nb(own_KS[k], mark_K[k], terms)
        elif side != 0.0:
            wanted = stake_nb(risk, share_K[k], side, stop_K[k], equity, terms)
            notional = min(wanted, most_notional_nb(side, equity, terms))
            if notional > 0.0:
                own_KS[k, WANTED], own_KS[k, NOTIONAL] = wanted, notional
                needed_gross += notional * (1.0 + terms.fees if side > 0 else 1.0)
                needed_risk += notional * loss_at_stop_nb(
                    side, stop_K[k], terms.fees, terms.slippage
                )
    factor = room_nb(needed_gross, terms.max_leverage * equity - gross)
    if terms.sizing == BY_RISK:
        factor = min(factor, room_nb(needed_risk, terms.max_open_risk * equity - held_risk))
    for k in range(len(own_KS)):
        own_KS[k, NOTIONAL] *= factor
        if side_K[k] != 0.0 and (factor == 1.0 or own_KS[k, NOTIONAL] >= DUST * equity):
            one = Entry(side_K[k], raw_K[k], share_K[k], stop_K[k], target_K[k])
            enter_nb(own_KS[k : k + 1], fills_KOF[k : k + 1], i, one, terms)


@njit(**INNER)
def open_book_nb(columns: Columns, a: int, states: np.ndarray, init_cash: float) -> Book:
    """Account `a` before the first bar; `states` holds it, as many rows as it has, from now on."""
    num = 0
    while num < columns.accounts.shape[1] and columns.accounts[a, num] >= 0:
        num += 1
    of_column, scratch = np.zeros((4, num), dtype=np.int64), np.zeros((8, num))
    for row in range(1 + num):
        for field in range(NUM_STATE):
            states[row, field] = 0.0
        states[row, BASE] = states[row, DAY_EQUITY] = states[row, EQUITY] = init_cash
    for k in range(num):
        of_column[0, k] = columns.accounts[a, k]
        of_column[1, k] = columns.symbol[of_column[0, k]]
        of_column[3, k] = -1
        scratch[1, k] = scratch[2, k] = init_cash
    entries = Entries(scratch[3], scratch[4], scratch[5], scratch[6], scratch[7])
    return Book(
        states[: 1 + num], states[1 : 1 + num], of_column[0], of_column[1], of_column[2],
        of_column[3], scratch[0], np.empty(1 + num), scratch[1], scratch[2], entries,
    )  # fmt: skip


@njit(**INLINED)
def open_shared_nb(
    market: Market,
    columns: Columns,
    book: Book,
    i: int,
    point_3: np.ndarray,
    terms: Terms,
    log: Log,
) -> bool:
    """Funding and exits at the open; whether any column enters, as `book.entries` then says."""
    own_KS, entries, enters = book.own, book.entries, False
    for k in range(len(own_KS)):
        n, c = book.symbol[k], book.column[k]
        first = entries.raw[k] = market.prices[n, 0, i]
        entries.side[k] = 0.0
        if np.isnan(first):
            if i == market.delisted[n] and own_KS[k, POSITION] != 0.0:
                mark = book.mark[k]
                exit_nb(own_KS[k : k + 1], log.fills[k : k + 1], i, mark, int(DELISTED), terms)
            continue
        book.mark[k] = first
        said = book.said[k]
        book.said[k] = i
        code = columns.codes[c, said] if said >= 0 else 0
        if own_KS[k, POSITION] != 0.0:
            if market.funding.shape[1] > 0 and market.funding[n, i] != 0.0:
                paid = pay_funding_nb(own_KS[k : k + 1], market.funding[n, i], first)
                if log.funding.shape[1] > 0:
                    log.funding[k, i] = paid
            side = 1.0 if own_KS[k, POSITION] > 0.0 else -1.0
            is_due = 0 < terms.max_holding <= book.held[k]
            stop, target = own_KS[k, STOP_LEVEL], own_KS[k, TARGET_LEVEL]
            reason = reason_at_open_nb(side, first, stop, target, code, is_due)
            if reason != NONE:
                exit_nb(own_KS[k : k + 1], log.fills[k : k + 1], i, first, reason, terms)
            elif is_due:
                book.held[k] = 0
        if code & (ENTER_LONG | ENTER_SHORT) and own_KS[k, POSITION] == 0.0:
            enters = True
            book.held[k] = 0
            entries.side[k], j = (1.0, 0) if code & ENTER_LONG else (-1.0, 1)
            entries.share[k] = columns.sizes[c, said]
            entries.stop[k] = market.brackets[n, j, said] * point_3[1]
            entries.target[k] = market.brackets[n, j + 2, said] * point_3[2]
    return enters


@njit(**INLINED)
def close_shared_nb(market: Market, book: Book, i: int, terms: Terms, log: Log) -> float:
    """Brackets inside the bar, then every column's value at the close; the account's equity."""
    own_KS, first_K = book.own, book.entries.raw
    equity = 0.0
    for k in range(len(own_KS)):
        if not np.isnan(first_K[k]):
            n = book.symbol[k]
            book.mark[k] = market.prices[n, 3, i]
            if own_KS[k, POSITION] != 0.0:
                book.held[k] += 1
                reason, price = bracket_in_bar_nb(
                    1.0 if own_KS[k, POSITION] > 0.0 else -1.0,
                    first_K[k], market.prices[n, 1, i], market.prices[n, 2, i],
                    own_KS[k, STOP_LEVEL], own_KS[k, TARGET_LEVEL],
                )  # fmt: skip
                if reason != NONE:
                    exit_nb(own_KS[k : k + 1], log.fills[k : k + 1], i, price, reason, terms)
        base, position, entry_price = own_KS[k, BASE], own_KS[k, POSITION], own_KS[k, ENTRY_PRICE]
        value: float = value_nb(base, position, entry_price, book.mark[k])
        book.value[1 + k] = value
        equity += value - (terms.init_cash if k > 0 else 0.0)
    return equity


@njit(**INNER)
def close_all_nb(book: Book, i: int, terms: Terms, log: Log) -> float:
    """End an account whose equity is gone; what is left of it."""
    own_KS = book.own
    for k in range(len(own_KS)):
        if own_KS[k, POSITION] != 0.0:
            exit_nb(own_KS[k : k + 1], log.fills[k : k + 1], i, book.mark[k], int(BUST), terms)
        book.value[1 + k] = own_KS[k, BASE]
    left: float = shared_equity_nb(own_KS, book.mark, terms.init_cash)
    return left


@njit(**INLINED)
def mark_shared_nb(book: Book, i: int, log: Log) -> bool:
    """Peak, drawdown and bars with a position of each column; whether there is any position."""
    own_KS, holds = book.own, False
    for k in range(len(own_KS)):
        value, position = book.value[1 + k], own_KS[k, POSITION]
        if value != book.last_value[k]:
            book.last_value[k] = value
            book.peak[k] = max(book.peak[k], value)
            own_KS[k, DRAWDOWN] = min(own_KS[k, DRAWDOWN], value / book.peak[k] - 1.0)
        if position != 0.0:
            holds = True
            own_KS[k, BARS_HELD] += 1.0
        if len(log.equity) > 0:
            log.value[k, i], log.position[k, i] = value, position
    return holds


@njit(**INNER)
def finish_shared_nb(book: Book) -> None:
    """Each column's outcome, and the account's as their sum."""
    states = book.states
    states[0, BASE] = states[0, EQUITY] = book.value[0]
    for k in range(1, len(states)):
        states[k, LAST_PRICE], states[k, EQUITY] = book.mark[k - 1], book.value[k]
        states[k, EQUITY_SUM], states[k, IS_BUST] = states[0, EQUITY_SUM], states[0, IS_BUST]
        for field in SUMMED:
            states[0, field] += states[k, field]


@njit(**CACHED)
def walk_shared_nb(
    market: Market,
    columns: Columns,
    a: int,
    point_3: np.ndarray,
    terms: Terms,
    states: np.ndarray,
    log: Log,
) -> None:
    """Walk account `a`, all its columns on one cash; afterwards `states` (1 + K, S) holds it.

    The first row is the account. Each other is a column's own: its value is the initial cash and
    the column's own profit, so that profits add up. Rows of columns that are not there stay 0.
    """
    book = open_book_nb(columns, a, states, terms.init_cash)
    account, peak, is_bust = book.states[0], terms.init_cash, False
    for i in range(len(market.day_end)):
        enters = open_shared_nb(market, columns, book, i, point_3, terms, log)
        if enters and not is_bust:
            enter_shared_nb(book.own, log.fills, i, book.entries, book.mark, point_3[0], terms)
        equity = close_shared_nb(market, book, i, terms, log)
        if equity <= 0.0 and not is_bust:
            is_bust = True
            equity = close_all_nb(book, i, terms, log)
        holds = mark_shared_nb(book, i, log)
        peak = max(peak, equity)
        account[DRAWDOWN] = min(account[DRAWDOWN], equity / peak - 1.0)
        account[EQUITY_SUM] += equity
        account[BARS_HELD] += holds
        book.value[0] = equity
        if len(log.equity) > 0:
            log.equity[i] = equity
        if market.day_end[i]:
            end_day_nb(book.states, log.days, book.value)
    account[IS_BUST] = is_bust
    finish_shared_nb(book)


@njit(parallel=True, **CACHED)
def walk_shared_cells_nb(
    market: Market, columns: Columns, cells: Cells, terms: Terms, days_RKD: np.ndarray
) -> np.ndarray:
    """The shared accounts of all cells side by side: states, float64 (P, 1 + K, S).

    `days_RKD`, (rows, 1 + K, D), receives daily returns.
    """
    num = columns.accounts.shape[1]
    states = np.zeros((len(cells.account), 1 + num, NUM_STATE))
    for p in prange(len(cells.account)):
        fills, none = np.empty((num, 0, len(FILL_FIELDS))), np.empty((num, 0))
        r = cells.day_row[p]
        days = days_RKD[max(r, 0), : (num + 1 if r >= 0 else 0)]
        log = Log(fills, np.empty(0), none, none, none, days)
        walk_shared_nb(market, columns, cells.account[p], cells.points[p], terms, states[p], log)
    return states
