"""The order kernel: one account walked bar by bar. The only place where trades are made.

`walk_nb` is the rule; it keeps running sums for the metrics and, when asked, writes every order,
trade, position and equity value. Both the sweep and the full record of chosen columns call it.

Row t of signals, size, stop and take-profit acts at the open of t+1 and is frozen there:
1. At the open: a gap beyond the stop (take-profit) exits at the open. Then row t exits, reverses
   (close, then open the other side) or enters. An entry on the side that is held is ignored.
2. Inside the bar, from the entry bar on: stop first, then take-profit, each at its level.
3. After `max_holding` bars: exit at the open, unless the same side is still signalled; then the
   position and its stop stay and the clock restarts.
4. At the close: equity is marked. Equity <= 0: close, and no order ever after.

A missing bar (NaN) fills nothing, moves no clock and is marked at the last close; a row's signal
acts at the very next row or never.
Dimensions: T bars, N symbols, C columns, P cells, D days.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange

ENTER_LONG, EXIT_LONG, ENTER_SHORT, EXIT_SHORT = 1, 2, 4, 8
"""Bits of a row's signal code."""

BY_RISK, BY_NOTIONAL, BY_VALUE = range(3)

ENTRY, SIGNAL, REVERSE, STOP, GAP_STOP, TAKE_PROFIT, MAX_HOLDING, BUST = range(8)
"""Why an order was placed."""
NONE = ENTRY

# One account: its state, then the running sums that metrics are made of. BASE is the equity without
# the open position's move: cash while flat, and so free of the rounding that cash flows would add.
(
    BASE, POSITION, STOP_LEVEL, TARGET_LEVEL, ENTRY_PRICE, ENTRY_FEES, IS_CAPPED,
    EQUITY, LAST_PRICE, DRAWDOWN, EQUITY_SUM, BARS_HELD, IS_BUST,
    DAYS, DAY_EQUITY, DAY_MEAN, DAY_SQUARES, DAY_DOWNSIDE,
    ORDERS, TRADES, CLOSED, WINS, GROSS_PROFIT, GROSS_LOSS, RETURN_SUM,
    TRADED, FEES_PAID, SLIPPAGE_PAID, CAPPED, GAP_STOPS,
    NUM_STATE,
) = range(31)  # fmt: skip

FILL_FIELDS = ("idx", "size", "price", "fees", "side", "reason", "pnl", "capped")
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


class Log(NamedTuple):
    """Where one account is written down; all of length 0 when only its sums are wanted."""

    fills: np.ndarray
    """float64 (K, 8), `FILL_FIELDS`."""
    equity: np.ndarray
    """float64 (T,)."""
    position: np.ndarray
    """float64 (T,)."""
    days: np.ndarray
    """float64 (D,): returns from one UTC day's last close to the next one's."""


@njit(cache=True)
def loss_at_stop_nb(side: float, stop: float, fees: float, slippage: float) -> float:
    """Loss per unit of entry notional when stopped at `stop`, both fees and slippage in it."""
    back = max(1.0 - side * stop, 0.0) * (1.0 - side * slippage)
    return side * (1.0 - back) + fees * (1.0 + back)


@njit(cache=True)
def fill_nb(
    account: np.ndarray,
    fills: np.ndarray,
    i: int,
    side: float,
    size: float,
    raw: float,
    reason: int,
    terms: Terms,
) -> None:
    """Buy (side 1) or sell (-1) `size` units at `raw` less slippage."""
    price = raw * (1.0 + side * terms.slippage)
    fees = size * price * terms.fees
    account[BASE] -= fees
    account[TRADED] += size * price
    account[FEES_PAID] += fees
    account[SLIPPAGE_PAID] += size * abs(price - raw)
    pnl = 0.0
    if reason == ENTRY:
        account[POSITION] = side * size
        account[ENTRY_PRICE] = price
        account[ENTRY_FEES] = fees
        account[TRADES] += 1.0
    else:
        gross = size * side * (account[ENTRY_PRICE] - price)
        pnl = gross - account[ENTRY_FEES] - fees
        account[BASE] += gross
        account[POSITION] = 0.0
        account[CLOSED] += 1.0
        account[RETURN_SUM] += pnl / (size * account[ENTRY_PRICE])
        account[WINS] += pnl > 0.0
        account[GROSS_PROFIT] += max(pnl, 0.0)
        account[GROSS_LOSS] += max(-pnl, 0.0)
        account[GAP_STOPS] += reason == GAP_STOP
    k = int(account[ORDERS])
    account[ORDERS] += 1.0
    if k < len(fills):
        fills[k, 0], fills[k, 1], fills[k, 2], fills[k, 3] = i, size, price, fees
        fills[k, 4], fills[k, 5], fills[k, 6] = side, reason, pnl
        fills[k, 7] = account[IS_CAPPED]


@njit(cache=True)
def exit_nb(
    account: np.ndarray, fills: np.ndarray, i: int, raw: float, reason: int, terms: Terms
) -> None:
    """Close the whole position at `raw` less slippage."""
    side = -1.0 if account[POSITION] > 0.0 else 1.0
    fill_nb(account, fills, i, side, abs(account[POSITION]), raw, reason, terms)


@njit(cache=True)
def enter_nb(
    account: np.ndarray,
    fills: np.ndarray,
    i: int,
    side: float,
    share: float,
    raw: float,
    stop: float,
    target: float,
    terms: Terms,
) -> None:
    """Open a position worth `share` of equity (of initial cash by value), up to the cap."""
    cap = terms.max_leverage
    if side > 0:
        cap /= 1.0 + terms.fees  # a long pays its fee from the same cash
    base = terms.init_cash if terms.sizing == BY_VALUE else account[BASE]
    notional = min(share * base, cap * account[BASE])
    if not (share > 0.0 and notional > 0.0):
        return
    is_capped = notional < share * base
    account[IS_CAPPED] = is_capped
    account[CAPPED] += is_capped
    size = notional / (raw * (1.0 + side * terms.slippage))
    fill_nb(account, fills, i, side, size, raw, ENTRY, terms)
    account[STOP_LEVEL] = account[ENTRY_PRICE] * (1.0 - side * stop)
    account[TARGET_LEVEL] = account[ENTRY_PRICE] * (1.0 + side * target)


@njit(cache=True)
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


@njit(cache=True)
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


@njit(cache=True)
def end_day_nb(account: np.ndarray, days: np.ndarray, equity: float) -> None:
    """Book the return of a UTC day that ends at `equity`."""
    before = account[DAY_EQUITY]
    change = equity / before - 1.0 if before > 0.0 else 0.0
    if len(days) > 0:
        days[int(account[DAYS])] = change
    account[DAYS] += 1.0
    offset = change - account[DAY_MEAN]  # Welford (1962)
    account[DAY_MEAN] += offset / account[DAYS]
    account[DAY_SQUARES] += offset * (change - account[DAY_MEAN])
    account[DAY_DOWNSIDE] += min(change, 0.0) ** 2
    account[DAY_EQUITY] = equity


@njit(cache=True)
def walk_nb(
    prices_4T: np.ndarray,
    day_end_T: np.ndarray,
    code_T: np.ndarray,
    size_T: np.ndarray,
    brackets_4T: np.ndarray,
    risk: float,
    stop_multiple: float,
    target_multiple: float,
    terms: Terms,
    account: np.ndarray,
    log: Log,
) -> None:
    """Walk one account over all bars; `account` (NUM_STATE,) holds the outcome afterwards.

    What happens in every bar is kept in local variables and what happens in an order in the
    account: that is what makes ten thousand cells affordable.
    """
    account[:] = 0.0
    account[BASE] = account[DAY_EQUITY] = terms.init_cash
    equity = peak = last = terms.init_cash
    drawdown = equity_sum = 0.0
    bars_held = held = 0
    alive = True
    for i in range(len(code_T)):
        first = prices_4T[0, i]
        if not np.isnan(first):
            code = code_T[i - 1] if i > 0 else 0
            last = prices_4T[3, i]
            if account[POSITION] != 0.0:
                side = 1.0 if account[POSITION] > 0.0 else -1.0
                is_due = 0 < terms.max_holding <= held
                reason = reason_at_open_nb(
                    side, first, account[STOP_LEVEL], account[TARGET_LEVEL], code, is_due
                )
                if reason != NONE:
                    exit_nb(account, log.fills, i, first, reason, terms)
                elif is_due:
                    held = 0
            if code & (ENTER_LONG | ENTER_SHORT) and account[POSITION] == 0.0 and alive:
                held = 0
                side, k = (1.0, 0) if code & ENTER_LONG else (-1.0, 1)
                stop = brackets_4T[k, i - 1] * stop_multiple
                target = brackets_4T[k + 2, i - 1] * target_multiple
                share = risk * size_T[i - 1]
                if terms.sizing == BY_RISK:
                    share /= loss_at_stop_nb(side, stop, terms.fees, terms.slippage)
                enter_nb(account, log.fills, i, side, share, first, stop, target, terms)
            if account[POSITION] != 0.0:
                held += 1
                side = 1.0 if account[POSITION] > 0.0 else -1.0
                reason, price = bracket_in_bar_nb(
                    side, first, prices_4T[1, i], prices_4T[2, i],
                    account[STOP_LEVEL], account[TARGET_LEVEL],
                )  # fmt: skip
                if reason != NONE:
                    exit_nb(account, log.fills, i, price, reason, terms)
            equity = account[BASE] + account[POSITION] * (last - account[ENTRY_PRICE])
            if equity <= 0.0 and alive:
                alive = False
                if account[POSITION] != 0.0:
                    exit_nb(account, log.fills, i, last, BUST, terms)
                    equity = account[BASE]
        equity_sum += equity
        peak = max(peak, equity)
        drawdown = min(drawdown, equity / peak - 1.0)
        bars_held += account[POSITION] != 0.0
        if len(log.equity) > 0:
            log.equity[i] = equity
            log.position[i] = account[POSITION]
        if day_end_T[i]:
            end_day_nb(account, log.days, equity)
    account[LAST_PRICE] = last
    account[EQUITY], account[DRAWDOWN], account[EQUITY_SUM] = equity, drawdown, equity_sum
    account[BARS_HELD], account[IS_BUST] = bars_held, not alive


@njit(cache=True, parallel=True)
def walk_cells_nb(
    prices_N4T: np.ndarray,
    day_end_T: np.ndarray,
    code_CT: np.ndarray,
    size_CT: np.ndarray,
    brackets_N4T: np.ndarray,
    symbol_C: np.ndarray,
    cell_column_P: np.ndarray,
    cell_terms_P3: np.ndarray,
    terms: Terms,
    days_PD: np.ndarray,
) -> np.ndarray:
    """The accounts of all cells, float64 (P, NUM_STATE), side by side; memory does not grow with T.

    `cell_terms_P3` holds risk, stop multiple and take-profit multiple. `days_PD` receives daily
    returns, or has no column when they are not wanted.
    """
    accounts = np.empty((len(cell_column_P), NUM_STATE))
    for p in prange(len(cell_column_P)):
        c = cell_column_P[p]
        n = symbol_C[c]
        log = Log(np.empty((0, 8)), np.empty(0), np.empty(0), days_PD[p])
        walk_nb(
            prices_N4T[n], day_end_T, code_CT[c], size_CT[c], brackets_N4T[n],
            cell_terms_P3[p, 0], cell_terms_P3[p, 1], cell_terms_P3[p, 2],
            terms, accounts[p], log,
        )  # fmt: skip
    return accounts
