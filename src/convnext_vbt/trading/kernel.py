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

Row t of signals, size, stop and take-profit acts at the open of t+1 and is frozen there:
1. At the open: a gap beyond the stop (take-profit) exits at the open. Then row t exits, reverses
   (close, then open the other side) or enters. An entry on the side that is held is ignored.
2. Inside the bar, from the entry bar on: stop first, then take-profit, each at its level.
3. After `max_holding` bars: exit at the open, unless the same side is still signalled; then the
   position and its stop stay and the clock restarts.
4. At the close: equity is marked. Equity <= 0: close, and no order ever after.

A missing bar (NaN) fills nothing, moves no clock and is marked at the last close; a row's signal
acts at the very next row or never. A funding rate is due at its bar's open, before any order: from
a long that is held then, to a short.

On a shared account all exits of an open come before all entries. Entries are sized on one equity,
each symbol at its open or else its last close, and cut by one factor where gross exposure or open
risk would pass its cap, so that the order of the symbols means nothing; where that leaves next to
nothing of an entry, there is none. A symbol without another bar is closed at its last close.
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


class Log(NamedTuple):
    """Where accounts are written down; lengths of 0 for what is not wanted."""

    fills: np.ndarray
    """float64 (L, O, F), `FILL_FIELDS`."""
    equity: np.ndarray
    """float64 (T,), of the first account."""
    position: np.ndarray
    """float64 (T,), of the first account."""
    funding: np.ndarray
    """float64 (T,): funding paid at the bar's open by the first account."""
    days: np.ndarray
    """float64 (1, D): returns of the first account from one UTC day's last close to the next."""


class SharedLog(NamedTuple):
    """Where a shared account is written down; lengths of 0 for what is not wanted."""

    fills: np.ndarray
    """float64 (K, O, F)."""
    equity: np.ndarray
    """float64 (T,)."""
    value: np.ndarray
    """float64 (K, T): the initial cash and the column's own profit."""
    position: np.ndarray
    """float64 (K, T)."""
    funding: np.ndarray
    """float64 (K, T)."""
    days: np.ndarray
    """float64 (1 + K, D): of the account, then of each column's value."""


@njit(cache=True, error_model="numpy")
def loss_at_stop_nb(side: float, stop: float, fees: float, slippage: float) -> float:
    """Loss per unit of entry notional when stopped at `stop`, both fees and slippage in it."""
    back = max(1.0 - side * stop, 0.0) * (1.0 - side * slippage)
    return side * (1.0 - back) + fees * (1.0 + back)


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
def stake_nb(
    risk: float, size: float, side: float, stop: float, equity: float, terms: Terms
) -> float:
    """Entry notional that the sizing asks for, before any cap."""
    share = risk * size
    if terms.sizing == BY_RISK:
        share /= loss_at_stop_nb(side, stop, terms.fees, terms.slippage)
    return share * (terms.init_cash if terms.sizing == BY_VALUE else equity)


@njit(cache=True, error_model="numpy")
def most_notional_nb(side: float, equity: float, terms: Terms) -> float:
    """The largest position that the leverage allows."""
    cap = terms.max_leverage
    if side > 0:
        cap /= 1.0 + terms.fees  # a long pays its fee from the same cash
    return cap * equity


@njit(cache=True, error_model="numpy")
def enter_nb(
    accounts_LS: np.ndarray,
    fills_LOF: np.ndarray,
    i: int,
    side: float,
    raw: float,
    stop: float,
    target: float,
    terms: Terms,
) -> None:
    """Each account opens a position worth its NOTIONAL, the part of WANTED that the caps leave."""
    unit = raw * (1.0 + side * terms.slippage)
    for k in range(len(accounts_LS)):
        wanted, notional = accounts_LS[k, WANTED], accounts_LS[k, NOTIONAL]
        accounts_LS[k, SIZE] = 0.0
        if wanted > 0.0 and notional > 0.0:
            is_capped = notional < wanted
            accounts_LS[k, IS_CAPPED] = is_capped
            accounts_LS[k, CAPPED] += is_capped
            accounts_LS[k, SIZE] = notional / unit
            accounts_LS[k, STOP_LEVEL] = unit * (1.0 - side * stop)
            accounts_LS[k, TARGET_LEVEL] = unit * (1.0 + side * target)
    fill_nb(accounts_LS, fills_LOF, i, side, raw, int(ENTRY), terms)


@njit(cache=True, error_model="numpy")
def pay_funding_nb(accounts_LS: np.ndarray, rate: float, price: float) -> float:
    """What a long pays and a short receives on its notional, part of the trade; of the first."""
    for k in range(len(accounts_LS)):
        amount = rate * accounts_LS[k, POSITION] * price
        accounts_LS[k, BASE] -= amount
        accounts_LS[k, TRADE_FUNDING] += amount
        accounts_LS[k, FUNDING_PAID] += amount
    first: float = rate * accounts_LS[0, POSITION] * price
    return first


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
def revalue_nb(marks: np.ndarray, num: int, move: float) -> int:
    """Equity of `num` accounts at a price `move` above the entry's; how many have nothing left."""
    broke = 0
    for k in range(num):
        equity = marks[M_BASE + k] + marks[M_UNITS + k] * move
        marks[M_EQUITY + k] = equity
        broke += equity <= 0.0
    return broke


@njit(cache=True, error_model="numpy")
def mark_nb(marks: np.ndarray, num: int) -> None:
    """Peak, drawdown and bars with a position of `num` accounts."""
    for k in range(num):
        equity = marks[M_EQUITY + k]
        peak = max(marks[M_PEAK + k], equity)
        marks[M_PEAK + k] = peak
        marks[M_DRAWDOWN + k] = min(marks[M_DRAWDOWN + k], equity / peak - 1.0)
        marks[M_HELD + k] += marks[M_UNITS + k] != 0.0


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
def walk_nb(
    prices_4T: np.ndarray,
    funding_T: np.ndarray,
    day_end_T: np.ndarray,
    code_T: np.ndarray,
    size_T: np.ndarray,
    brackets_4T: np.ndarray,
    terms_L3: np.ndarray,
    terms: Terms,
    accounts_LS: np.ndarray,
    log: Log,
) -> None:
    """Walk accounts that differ in their risk alone; `accounts_LS` holds the outcome afterwards.

    `terms_L3` holds risk, stop multiple and take-profit multiple; the multiples are the same in all
    rows. There are `LANES` rows at most. What happens in every bar is kept in `marks` and what
    happens in an order in the account: that is what makes ten thousand cells affordable.
    """
    num = len(terms_L3)
    fills, days = log.fills, log.days
    log_equity, log_position, log_funding = log.equity, log.position, log.funding
    marks = np.zeros(NUM_MARKS)
    for k in range(num):
        for field in range(NUM_STATE):
            accounts_LS[k, field] = 0.0
        accounts_LS[k, BASE] = accounts_LS[k, DAY_EQUITY] = terms.init_cash
        marks[M_BASE + k] = marks[M_EQUITY + k] = marks[M_PEAK + k] = terms.init_cash
    last = terms.init_cash
    side, lead = 0.0, 0  # what is held and by which account, though it may have gone bust since
    held = broke = 0
    for i in range(len(code_T)):
        first = prices_4T[0, i]
        is_changed = False
        if not np.isnan(first):
            code = code_T[i - 1] if i > 0 else 0
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
                stop = brackets_4T[k, i - 1] * terms_L3[0, 1]
                target = brackets_4T[k + 2, i - 1] * terms_L3[0, 2]
                for k in range(num):
                    equity = accounts_LS[k, BASE] * (accounts_LS[k, IS_BUST] == 0.0)
                    wanted = stake_nb(terms_L3[k, 0], size_T[i - 1], way, stop, equity, terms)
                    accounts_LS[k, WANTED] = wanted
                    accounts_LS[k, NOTIONAL] = min(wanted, most_notional_nb(way, equity, terms))
                enter_nb(accounts_LS, fills, i, way, first, stop, target, terms)
                for k in range(num):
                    if accounts_LS[k, POSITION] != 0.0:
                        side, lead = way, k
            if side != 0.0:
                held += 1
                reason, price = bracket_in_bar_nb(
                    side, first, prices_4T[1, i], prices_4T[2, i],
                    accounts_LS[lead, STOP_LEVEL], accounts_LS[lead, TARGET_LEVEL],
                )  # fmt: skip
                if reason != NONE:
                    exit_nb(accounts_LS, fills, i, price, reason, terms)
                    side, is_changed = 0.0, True
        if is_changed:
            for k in range(num):
                marks[M_BASE + k] = accounts_LS[k, BASE]
                marks[M_UNITS + k] = accounts_LS[k, POSITION]
        if is_changed or side != 0.0:
            move = last - accounts_LS[lead, ENTRY_PRICE]
            gone = revalue_nb(marks, num, move)
            if gone > broke:
                close_broke_nb(accounts_LS, fills, i, last, marks, terms)
                broke = revalue_nb(marks, num, move)
            mark_nb(marks, num)
        for k in range(num):
            marks[M_SUM + k] += marks[M_EQUITY + k]
        if len(log_equity) > 0:
            log_equity[i] = marks[M_EQUITY]
            log_position[i] = marks[M_UNITS]
        if day_end_T[i]:
            end_day_nb(accounts_LS, days, marks[M_EQUITY : M_EQUITY + num])
    for k in range(num):
        accounts_LS[k, LAST_PRICE] = last
        accounts_LS[k, EQUITY], accounts_LS[k, EQUITY_SUM] = marks[M_EQUITY + k], marks[M_SUM + k]
        accounts_LS[k, DRAWDOWN] = marks[M_DRAWDOWN + k]
        accounts_LS[k, BARS_HELD] = marks[M_HELD + k]


@njit(cache=True, error_model="numpy")
def block_starts_nb(
    cell_column_P: np.ndarray, cell_terms_P3: np.ndarray, day_row_P: np.ndarray
) -> np.ndarray:
    """Where each run of cells begins that are walked together, and where the last one ends."""
    start_B = np.empty(len(cell_column_P) + 1, dtype=np.int64)
    b = start_B[0] = 0
    for p in range(1, len(cell_column_P)):
        if (
            p - start_B[b] == LANES
            or day_row_P[p] >= 0
            or cell_column_P[p] != cell_column_P[p - 1]
            or cell_terms_P3[p, 1] != cell_terms_P3[p - 1, 1]
            or cell_terms_P3[p, 2] != cell_terms_P3[p - 1, 2]
        ):
            b += 1
            start_B[b] = p
    start_B[b + 1] = len(cell_column_P)
    return start_B[: b + 2]


@njit(cache=True, parallel=True, error_model="numpy")
def walk_cells_nb(
    prices_N4T: np.ndarray,
    funding_NT: np.ndarray,
    day_end_T: np.ndarray,
    code_CT: np.ndarray,
    size_CT: np.ndarray,
    brackets_N4T: np.ndarray,
    symbol_C: np.ndarray,
    cell_column_P: np.ndarray,
    cell_terms_P3: np.ndarray,
    day_row_P: np.ndarray,
    terms: Terms,
    days_RD: np.ndarray,
) -> np.ndarray:
    """The accounts of all cells, float64 (P, NUM_STATE), side by side; memory does not grow with T.

    `funding_NT` is (N, 0) where there is none. `cell_terms_P3` holds risk, stop multiple and
    take-profit multiple; neighbours that differ in their risk alone are walked together.
    `day_row_P` is the row of `days_RD` that receives a cell's daily returns, -1 for none.
    """
    start_B = block_starts_nb(cell_column_P, cell_terms_P3, day_row_P)
    accounts = np.empty((len(cell_column_P), NUM_STATE))
    for b in prange(len(start_B) - 1):
        p, q = start_B[b], start_B[b + 1]
        c = cell_column_P[p]
        n = symbol_C[c]
        fills = np.empty((q - p, 0, len(FILL_FIELDS)))
        r = day_row_P[p]
        days = days_RD[r : r + 1] if r >= 0 else days_RD[:0]
        log = Log(fills, np.empty(0), np.empty(0), np.empty(0), days)
        walk_nb(
            prices_N4T[n], funding_NT[n], day_end_T, code_CT[c], size_CT[c], brackets_N4T[n],
            cell_terms_P3[p:q], terms, accounts[p:q], log,
        )  # fmt: skip
    return accounts


@njit(cache=True, error_model="numpy")
def value_nb(base: float, position: float, entry_price: float, mark: float) -> float:
    """Equity of one column, its position at `mark`; a column that holds nothing needs no price."""
    return base + position * (mark - entry_price) if position != 0.0 else base


@njit(cache=True, error_model="numpy")
def shared_equity_nb(own_KS: np.ndarray, mark_K: np.ndarray, init_cash: float) -> float:
    """Equity of the account: each column's value holds the initial cash, which counts once."""
    equity = 0.0
    for k in range(len(own_KS)):
        position, entry_price = own_KS[k, POSITION], own_KS[k, ENTRY_PRICE]
        value = value_nb(own_KS[k, BASE], position, entry_price, mark_K[k])
        equity += value - (init_cash if k > 0 else 0.0)
    return equity


@njit(cache=True, error_model="numpy")
def open_risk_nb(account: np.ndarray, mark: float, terms: Terms) -> float:
    """What a held position loses from `mark` on when it is stopped, costs included."""
    side = 1.0 if account[POSITION] > 0.0 else -1.0
    back = max(account[STOP_LEVEL], 0.0) * (1.0 - side * terms.slippage)
    loss: float = account[POSITION] * (mark - back) + abs(account[POSITION]) * back * terms.fees
    return max(loss, 0.0)


@njit(cache=True, error_model="numpy")
def room_nb(needed: float, room: float) -> float:
    """The factor at which what is needed fits into the room."""
    if needed <= 0.0 or needed <= room * (1.0 + ROUNDING):
        return 1.0
    return max(room, 0.0) / needed


@njit(cache=True, error_model="numpy")
def enter_shared_nb(
    own_KS: np.ndarray,
    fills_KOF: np.ndarray,
    i: int,
    open_K: np.ndarray,
    mark_K: np.ndarray,
    side_K: np.ndarray,
    share_K: np.ndarray,
    stop_K: np.ndarray,
    target_K: np.ndarray,
    risk: float,
    terms: Terms,
) -> None:
    """All entries of one open (`side_K` 0: none), sized on one equity and cut by one factor."""
    num = len(side_K)
    equity = shared_equity_nb(own_KS, mark_K, terms.init_cash)
    gross = needed_gross = held_risk = needed_risk = 0.0
    for k in range(num):
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
    for k in range(num):
        own_KS[k, NOTIONAL] *= factor
        if side_K[k] != 0.0 and (factor == 1.0 or own_KS[k, NOTIONAL] >= DUST * equity):
            enter_nb(
                own_KS[k : k + 1], fills_KOF[k : k + 1], i, side_K[k], open_K[k], stop_K[k],
                target_K[k], terms,
            )  # fmt: skip


@njit(cache=True, error_model="numpy")
def walk_shared_nb(
    prices_N4T: np.ndarray,
    funding_NT: np.ndarray,
    final_N: np.ndarray,
    day_end_T: np.ndarray,
    code_CT: np.ndarray,
    size_CT: np.ndarray,
    brackets_N4T: np.ndarray,
    symbol_C: np.ndarray,
    column_K: np.ndarray,
    risk: float,
    stop_multiple: float,
    target_multiple: float,
    terms: Terms,
    states: np.ndarray,
    log: SharedLog,
) -> None:
    """Walk the columns `column_K` on one account; afterwards `states` (1 + K, NUM_STATE) holds it.

    The first row is the account. Each other is a column's own: its value is the initial cash and
    the column's own profit, so that profits add up. `final_N` is each symbol's last bar.
    """
    num, num_bars = len(column_K), code_CT.shape[1]
    states[:] = 0.0
    states[:, BASE] = states[:, DAY_EQUITY] = states[:, EQUITY] = terms.init_cash
    own_KS, fills_KOF, days = states[1:], log.fills, log.days
    log_equity, log_value, log_position = log.equity, log.value, log.position
    log_funding = log.funding
    first_K, mark_K = np.full(num, np.nan), np.zeros(num)
    value_K, peak_K = np.full(num, terms.init_cash), np.full(num, terms.init_cash)
    equity_A = np.empty(1 + num)  # of the account, then each column's value
    side_K, share_K, stop_K, target_K = np.zeros(num), np.zeros(num), np.zeros(num), np.zeros(num)
    symbol_K, held_K = symbol_C[column_K], np.zeros(num, dtype=np.int64)
    equity = peak = terms.init_cash
    alive = True
    for i in range(num_bars):
        enters = False
        for k in range(num):
            n = symbol_K[k]
            first = first_K[k] = prices_N4T[n, 0, i]
            side_K[k] = 0.0
            if np.isnan(first):
                continue
            mark_K[k] = first
            code = code_CT[column_K[k], i - 1] if i > 0 else 0
            if own_KS[k, POSITION] != 0.0:
                if funding_NT.shape[1] > 0 and funding_NT[n, i] != 0.0:
                    paid = pay_funding_nb(own_KS[k : k + 1], funding_NT[n, i], first)
                    if log_funding.shape[1] > 0:
                        log_funding[k, i] = paid
                side = 1.0 if own_KS[k, POSITION] > 0.0 else -1.0
                is_due = 0 < terms.max_holding <= held_K[k]
                stop, target = own_KS[k, STOP_LEVEL], own_KS[k, TARGET_LEVEL]
                reason = reason_at_open_nb(side, first, stop, target, code, is_due)
                if reason != NONE:
                    exit_nb(own_KS[k : k + 1], fills_KOF[k : k + 1], i, first, reason, terms)
                elif is_due:
                    held_K[k] = 0
            if code & (ENTER_LONG | ENTER_SHORT) and own_KS[k, POSITION] == 0.0 and alive:
                enters = True
                held_K[k] = 0
                side_K[k], j = (1.0, 0) if code & ENTER_LONG else (-1.0, 1)
                share_K[k] = size_CT[column_K[k], i - 1]
                stop_K[k] = brackets_N4T[n, j, i - 1] * stop_multiple
                target_K[k] = brackets_N4T[n, j + 2, i - 1] * target_multiple
        if enters:
            enter_shared_nb(
                own_KS, fills_KOF, i, first_K, mark_K, side_K, share_K, stop_K, target_K, risk,
                terms,
            )  # fmt: skip
        equity = 0.0
        for k in range(num):
            if not np.isnan(first_K[k]):
                n = symbol_K[k]
                mark_K[k] = prices_N4T[n, 3, i]
                if own_KS[k, POSITION] != 0.0:
                    held_K[k] += 1
                    reason, price = bracket_in_bar_nb(
                        1.0 if own_KS[k, POSITION] > 0.0 else -1.0,
                        first_K[k], prices_N4T[n, 1, i], prices_N4T[n, 2, i],
                        own_KS[k, STOP_LEVEL], own_KS[k, TARGET_LEVEL],
                    )  # fmt: skip
                    if reason == NONE and i == final_N[n] and i < num_bars - 1:
                        reason, price = int(DELISTED), mark_K[k]
                    if reason != NONE:
                        exit_nb(own_KS[k : k + 1], fills_KOF[k : k + 1], i, price, reason, terms)
            entry_price = own_KS[k, ENTRY_PRICE]
            value = value_nb(own_KS[k, BASE], own_KS[k, POSITION], entry_price, mark_K[k])
            equity_A[1 + k] = value
            equity += value - (terms.init_cash if k > 0 else 0.0)
        if equity <= 0.0 and alive:
            alive = False
            for k in range(num):
                if own_KS[k, POSITION] != 0.0:
                    exit_nb(own_KS[k : k + 1], fills_KOF[k : k + 1], i, mark_K[k], int(BUST), terms)
                equity_A[1 + k] = own_KS[k, BASE]
            equity = shared_equity_nb(own_KS, mark_K, terms.init_cash)
        holds = False
        for k in range(num):
            value, position = equity_A[1 + k], own_KS[k, POSITION]
            if value != value_K[k]:
                value_K[k] = value
                peak_K[k] = max(peak_K[k], value)
                own_KS[k, DRAWDOWN] = min(own_KS[k, DRAWDOWN], value / peak_K[k] - 1.0)
            if position != 0.0:
                holds = True
                own_KS[k, BARS_HELD] += 1.0
            if len(log_equity) > 0:
                log_value[k, i], log_position[k, i] = value, position
        peak = max(peak, equity)
        states[0, DRAWDOWN] = min(states[0, DRAWDOWN], equity / peak - 1.0)
        states[0, EQUITY_SUM] += equity
        states[0, BARS_HELD] += holds
        if len(log_equity) > 0:
            log_equity[i] = equity
        if day_end_T[i]:
            equity_A[0] = equity
            end_day_nb(states, days, equity_A)
    for k in range(num):
        own_KS[k, LAST_PRICE], own_KS[k, EQUITY] = mark_K[k], equity_A[1 + k]
        own_KS[k, EQUITY_SUM], own_KS[k, IS_BUST] = states[0, EQUITY_SUM], not alive
        for field in SUMMED:
            states[0, field] += own_KS[k, field]
    states[0, BASE] = states[0, EQUITY] = equity
    states[0, IS_BUST] = not alive


@njit(cache=True, parallel=True, error_model="numpy")
def walk_shared_cells_nb(
    prices_N4T: np.ndarray,
    funding_NT: np.ndarray,
    final_N: np.ndarray,
    day_end_T: np.ndarray,
    code_CT: np.ndarray,
    size_CT: np.ndarray,
    brackets_N4T: np.ndarray,
    symbol_C: np.ndarray,
    column_AK: np.ndarray,
    cell_account_P: np.ndarray,
    cell_terms_P3: np.ndarray,
    day_row_P: np.ndarray,
    terms: Terms,
    days_RKD: np.ndarray,
) -> np.ndarray:
    """The shared accounts of all cells side by side: float64 (P, 1 + K, NUM_STATE).

    `column_AK` lists each account's columns, -1 after the last one, whose rows stay 0. `day_row_P`
    is the row of `days_RKD`, (rows, 1 + K, D), that receives a cell's daily returns, -1 for none.
    """
    states = np.zeros((len(cell_account_P), 1 + column_AK.shape[1], NUM_STATE))
    for p in prange(len(cell_account_P)):
        column_K = column_AK[cell_account_P[p]]
        num = 0
        while num < len(column_K) and column_K[num] >= 0:
            num += 1
        none = np.empty((num, 0))
        fills = np.empty((num, 0, len(FILL_FIELDS)))
        r = day_row_P[p]
        days = days_RKD[max(r, 0), : (num + 1 if r >= 0 else 0)]
        log = SharedLog(fills, np.empty(0), none, none, none, days)
        walk_shared_nb(
            prices_N4T, funding_NT, final_N, day_end_T, code_CT, size_CT, brackets_N4T, symbol_C,
            column_K[:num], cell_terms_P3[p, 0], cell_terms_P3[p, 1], cell_terms_P3[p, 2],
            terms, states[p, : num + 1], log,
        )  # fmt: skip
    return states
