"""The order kernel: accounts walked bar by bar, many at once where all is plain.

`walk_nb` is the rule for one symbol on an account of its own: lots, ticks, least orders and fees,
a stop that trails, detail bars. Whatever else a broker asks for, and several symbols on one cash,
is `trading.broker`; at one fee and one slippage the two agree to the last bit. They keep running
sums for the metrics and, when asked, write every order, position and equity value. An account that
could not order what those beside it could is told APART, to be walked alone.

Accounts of one symbol that differ in their risk alone trade at the same bars and prices, in other
sizes: `walk_nb` walks up to `LANES` of them at once. Orders are for several accounts too, because
numba counts references, atomically, wherever an array goes through a call or a slice: one account
a call spent most of the time in that.

What a row of signals, size, stop and take-profit says acts at the open of the symbol's own next
bar, however many rows of other symbols lie between, and is frozen there:
1. At the open: a gap beyond the stop (take-profit) exits at the open. Then the row exits, reverses
   (close, then open the other side) or enters. An entry on the side that is held is ignored.
2. Inside the bar, from the entry bar on: stop first, then take-profit, each at its level; with
   detail bars what these reached first.
3. After `max_holding` bars, those that a gap swallowed among them: exit at the open, unless the
   same side is still signalled; then the position and its stop stay and the clock restarts.
4. Wherever the price would leave nothing of the equity, costs of closing in it: closed right
   there, before a stop that is farther away, and no order ever after. A gap costs no more.
5. At the close: equity is marked.

A row without a bar says nothing, fills nothing, moves no clock and is marked at the last close. In
a bar in which nobody traded nothing is filled, neither at its open nor inside. A funding rate is
due at its bar's open, before any order: from a long that is held then, to a short. Sized by risk,
an entry without a stop is none.

Dimensions: T bars, N symbols, C columns, K columns of one account, A accounts, P cells, D days,
L accounts at once, S fields of an account, O orders, F fields of an order, J fields of an
instrument, U detail bars, W steps of a ladder.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange

ENTER_LONG, EXIT_LONG, ENTER_SHORT, EXIT_SHORT = 1, 2, 4, 8
"""Bits of what acts at a row's open."""
UNTRADED, LEAVE, ABSENT = 16, 32, 64
"""Nobody trades in the bar; its open is too late to hold anything; there is no bar."""

BY_RISK, BY_NOTIONAL, BY_VALUE = range(3)

(
    ENTRY, SIGNAL, REVERSE, STOP, GAP_STOP, TAKE_PROFIT, MAX_HOLDING, BUST, DELISTED,
    LEAVE_TIME, LIQUIDATION,
) = range(11)  # fmt: skip
"""Why an order was placed. `int(BUST)` in a call: for a bare constant numba compiles again."""
NONE = ENTRY

# One account: its state, then the running sums that metrics are made of. BASE is the equity without
# the open position's move: cash while flat, and so free of the rounding that cash flows would add.
# APART: it could not order what its neighbours could, so that it is to be walked alone.
# WANTED, NOTIONAL and SIZE belong to the order at hand: the stake, what the caps leave, units.
(
    BASE, POSITION, STOP_LEVEL, TARGET_LEVEL, ENTRY_PRICE, ENTRY_FEES, IS_CAPPED,
    EQUITY, LAST_PRICE, DRAWDOWN, EQUITY_SUM, BARS_HELD, IS_BUST,
    DAYS, DAY_EQUITY, DAY_MEAN, DAY_SQUARES, DAY_DOWNSIDE,
    ORDERS, TRADES, CLOSED, WINS, GROSS_PROFIT, GROSS_LOSS, RETURN_SUM,
    TRADED, FEES_PAID, SLIPPAGE_PAID, CAPPED, GAP_STOPS, TRADE_FUNDING, FUNDING_PAID,
    REFUSED, AMBIGUOUS, LIQUIDATED, APART,
    WANTED, NOTIONAL, SIZE,
    NUM_STATE,
) = range(40)  # fmt: skip

SUMMED = (
    ORDERS, TRADES, CLOSED, WINS, GROSS_PROFIT, GROSS_LOSS, RETURN_SUM,
    TRADED, FEES_PAID, SLIPPAGE_PAID, CAPPED, GAP_STOPS, FUNDING_PAID, REFUSED, AMBIGUOUS,
    LIQUIDATED,
)  # fmt: skip
"""What a shared account has as the sum over its symbols."""

LANES = 64
"""Accounts that `walk_nb` walks at once, at most."""

# What changes in every bar, each for `LANES` accounts: in one array at known distances, so that the
# compiler sees that they do not overlap and takes several accounts in one instruction.
M_BASE, M_UNITS, M_EQUITY, M_SUM, M_PEAK, M_DRAWDOWN, M_HELD, NUM_MARKS = range(0, 8 * LANES, LANES)

NOTHING = 1e-9
"""A share of the initial cash: an equity of no more is rounding, and trades no more."""

ROUNDING = 1e-12
"""Relative slack of a cap, so that a sum in another order is not cut."""
WHOLE = 1e-9
"""Of a unit: a size that lacks no more than this is a whole multiple."""

# What an instrument asks for: `instruments.Instrument`, in units of the underlying.
(
    TICK, LOT, MIN_NOTIONAL, TAKER, MAKER, UNIT_FEE, MIN_FEE, SLIPPAGE, HALF_SPREAD,
    VOLATILITY_SLIPPAGE, IMPACT, VOLUME_SHARE, BORROW, INTEREST, LEVERAGE, MAINTENANCE, IS_INVERSE,
    NUM_COSTS,
) = range(18)  # fmt: skip

BY_CLOSE, BY_EXTREME = 1, 2
"""How a trailing stop follows the price; 0: there is none."""

CACHED = {"cache": True, "error_model": "numpy"}
INNER = CACHED | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
BARE = INNER | {"_nrt": False}
"""What makes no array: numba then counts no references, which took most of the time."""
INLINED = INNER | {"forceinline": True, "_nrt": False}
"""What a walk does in every bar: a call would count the references of all its arrays."""

FILL_FIELDS = (
    "idx", "size", "price", "fees", "side", "reason", "pnl", "capped", "funding", "slippage",
)  # fmt: skip
"""One order as the kernel writes it; an entry and the exits that follow it make a trade.

The profit of an exit is of the units that it closes; funding is the trade's until then, paid with
the last one. Slippage is in money."""


class Terms(NamedTuple):
    """What every account of one run has in common."""

    sizing: int
    max_leverage: float
    init_cash: float
    max_holding: int
    """0 = no limit."""
    max_open_risk: float
    """Of a shared account sized by risk."""
    trail: int
    """0, BY_CLOSE or BY_EXTREME."""


class Market(NamedTuple):
    """What all accounts trade on; time runs last, so that one account reads straight on."""

    prices: np.ndarray
    """float64 (N, 4, T): open, high, low, close."""
    brackets: np.ndarray
    """float64 (N, 4, T): stop long, stop short, take-profit long, take-profit short."""
    funding: np.ndarray
    """float64 (N, T): the rate at each bar's open, 0 where none is due; (N, 0) without funding."""
    clock: np.ndarray
    """int64 (N, T): the symbol's bars up to the row, those that a gap swallowed counted."""
    previous: np.ndarray
    """int64 (N, T): the row of the symbol's bar before, -1 for none."""
    day_end: np.ndarray
    """bool (T,): the last bar of its UTC day."""
    delisted: np.ndarray
    """int64 (N,): the row at whose open a symbol is known to be gone; T where it never is."""
    detail: np.ndarray
    """float64 (N, 4, U): finer bars; (N, 4, 0) without."""
    starts: np.ndarray
    """int64 (N, T + 1): where in `detail` each bar begins; (N, 0) without."""


class Columns(NamedTuple):
    """What is signalled, and which columns are one account."""

    codes: np.ndarray
    """uint8 (C, T): what acts at the row's open, without conflicts, as bits."""
    sizes: np.ndarray
    """float64 (C, T): at the row that said it."""
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
    stop: np.ndarray
    """float64 (K, T): the stop at the close, NaN where nothing is held."""
    funding: np.ndarray
    """float64 (K, T): funding paid at the bar's open."""
    days: np.ndarray
    """float64 (1 + K, D), or (1, D) of one symbol: returns of the account, then of each column's
    value, from one UTC day's last close to the next."""


@njit(**BARE)
def multiple_nb(value: float, unit: float, up: bool) -> float:
    """The next whole multiple of a unit, up or down; the value itself where there is no unit."""
    if not unit > 0.0 or not np.isfinite(value):
        return value
    count = value / unit
    slack = WHOLE + ROUNDING * count
    count = np.ceil(count - slack) if up else np.floor(count + slack)
    per = np.rint(1.0 / unit)  # a decimal unit: 3 x 0.1 is 3 / 10, which is 0.3
    is_decimal = per >= 1.0 and abs(per * unit - 1.0) < 1e-12
    rounded: float = count / per if is_decimal else count * unit
    return rounded


@njit(**BARE)
def level_nb(price: float, side: float, costs: np.ndarray) -> float:
    """A stop's level, rounded towards the entry; of a take-profit or a limit with the other side.

    An inverse contract's prices are one over those that have ticks.
    """
    if costs[IS_INVERSE] != 0.0:
        over: float = 1.0 / multiple_nb(1.0 / price, costs[TICK], side < 0.0)
        return over
    level: float = multiple_nb(price, costs[TICK], side > 0.0)
    return level


@njit(**BARE)
def moved_nb(price: float, way: float, costs: np.ndarray) -> float:
    """A price that is moved by a share of itself.

    An inverse contract's is one over the price that moves by as much the other way.
    """
    if costs[IS_INVERSE] == 0.0:
        return price * (1.0 + way)
    return np.inf if way >= 1.0 else price / (1.0 - way)


@njit(**BARE)
def back_nb(price: float, side: float, stop: float, slippage: float, costs: np.ndarray) -> float:
    """What the exit of an entry at `price` is filled at when stopped at its level."""
    if costs[IS_INVERSE] == 0.0:
        return price * max(1.0 - side * stop, 0.0) * (1.0 - side * slippage)
    back: float = moved_nb(moved_nb(price, -side * stop, costs), -side * slippage, costs)
    return back


@njit(**BARE)
def fee_nb(units: float, price: float, rate: float, costs: np.ndarray) -> float:
    """The fee of one order."""
    fee: float = units * price * rate
    if costs[UNIT_FEE] != 0.0:
        fee += units * costs[UNIT_FEE]
    return max(fee, costs[MIN_FEE]) if costs[MIN_FEE] > 0.0 else fee


@njit(**BARE)
def share_lost_nb(
    side: float, stop: float, price: float, rate: float, slippage: float, costs: np.ndarray
) -> float:
    """Loss per unit of entry notional when stopped, both fees and slippage in it."""
    back = back_nb(1.0, side, stop, slippage, costs)
    if rate == costs[TAKER]:
        lost: float = side * (1.0 - back) + rate * (1.0 + back)
    else:
        lost = side * (1.0 - back) + rate + costs[TAKER] * back
    return lost + 2.0 * costs[UNIT_FEE] / price if costs[UNIT_FEE] != 0.0 else lost


@njit(**BARE)
def affordable_nb(
    budget: float, side: float, stop: float, price: float, rate: float, slippage: float,
    costs: np.ndarray,
) -> float:  # fmt: skip
    """The largest notional that loses no more than the budget when stopped.

    The loss is the largest of four straight lines in the size: each of the two fees is the least
    one or is not.
    """
    lost = share_lost_nb(side, stop, price, rate, slippage, costs)
    most: float = budget / lost
    least = costs[MIN_FEE]
    if least > 0.0:
        back = back_nb(1.0, side, stop, slippage, costs)
        first = rate + costs[UNIT_FEE] / price
        second = costs[TAKER] * back + costs[UNIT_FEE] / price
        most = min(most, (budget - least) / (lost - first), (budget - least) / (lost - second))
        most = min(most, (budget - 2.0 * least) / (lost - first - second))
    return max(most, 0.0)


@njit(**BARE)
def book_nb(
    account_S: np.ndarray, fills_OF: np.ndarray, i: int, side: float, raw: float, reason: int,
    size: float, price: float, fees: float, pnl: float,
) -> None:  # fmt: skip
    """Count an order of one account and, where there is room, write it down."""
    account_S[BASE] -= fees
    account_S[TRADED] += size * price
    account_S[FEES_PAID] += fees
    account_S[SLIPPAGE_PAID] += size * abs(price - raw)
    order = int(account_S[ORDERS])
    account_S[ORDERS] += 1.0
    if order < len(fills_OF):
        fills_OF[order, 0], fills_OF[order, 1] = i, size
        fills_OF[order, 2], fills_OF[order, 3] = price, fees
        fills_OF[order, 4], fills_OF[order, 5] = side, reason
        fills_OF[order, 6], fills_OF[order, 7] = pnl, account_S[IS_CAPPED]
        fills_OF[order, 8] = account_S[TRADE_FUNDING]
        fills_OF[order, 9] = size * abs(price - raw)


@njit(**BARE)
def exit_nb(
    accounts_LS: np.ndarray,
    fills_LOF: np.ndarray,
    i: int,
    raw: float,
    reason: int,
    costs: np.ndarray,
) -> None:
    """Close the whole position, of one side, of all accounts at `raw` less slippage."""
    rate, has_fixed_fee = costs[TAKER], costs[UNIT_FEE] != 0.0 or costs[MIN_FEE] > 0.0
    for k in range(len(accounts_LS)):
        held = accounts_LS[k, POSITION]
        if held == 0.0:
            continue
        size, side = abs(held), -1.0 if held > 0.0 else 1.0
        price = raw * (1.0 + side * costs[SLIPPAGE])
        fees = fee_nb(size, price, rate, costs) if has_fixed_fee else size * price * rate
        entry_price = accounts_LS[k, ENTRY_PRICE]
        gross = size * side * (entry_price - price)
        pnl = gross - accounts_LS[k, ENTRY_FEES] - fees - accounts_LS[k, TRADE_FUNDING]
        book_nb(accounts_LS[k], fills_LOF[k], i, side, raw, reason, size, price, fees, pnl)
        accounts_LS[k, BASE] += gross
        accounts_LS[k, POSITION] = 0.0
        accounts_LS[k, CLOSED] += 1.0
        accounts_LS[k, RETURN_SUM] += pnl / (size * entry_price)
        accounts_LS[k, WINS] += pnl > 0.0
        accounts_LS[k, GROSS_PROFIT] += max(pnl, 0.0)
        accounts_LS[k, GROSS_LOSS] += max(-pnl, 0.0)
        accounts_LS[k, GAP_STOPS] += reason == GAP_STOP


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
    if code & LEAVE:
        return LEAVE_TIME
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


@njit(**BARE)
def raised_nb(level: float, side: float, stop: float, distance: float, costs: np.ndarray) -> float:
    """A stop that trails a price at its distance, never back."""
    level *= 1.0 - side * distance
    if not side * level > side * stop:
        return stop
    raised: float = side * max(side * stop, side * level_nb(level, side, costs))
    return raised


@njit(**BARE)
def along_nb(
    detail_4U: np.ndarray, side: float, stop: float, target: float, danger: float, distance: float,
    costs: np.ndarray, trail: int,
) -> tuple[int, float, bool]:  # fmt: skip
    """How a position ends along the finer bars of one bar: why, at which raw price, ambiguously.

    `BUST` where an account may have nothing left before; none is told from its neighbours here.
    """
    for u in range(detail_4U.shape[1]):
        first, high, low = detail_4U[0, u], detail_4U[1, u], detail_4U[2, u]
        worst, best = (low, high) if side > 0 else (high, low)
        if u > 0 and side * first <= side * danger:
            return BUST, first, False
        if u > 0 and side * first <= side * stop:
            return GAP_STOP, first, False
        if u > 0 and side * first >= side * target:
            return TAKE_PROFIT, first, False
        if side * worst <= side * danger and not side * danger <= side * stop:
            return BUST, worst, False
        reason, price = bracket_in_bar_nb(side, first, high, low, stop, target)
        if reason != NONE:
            return reason, price, reason == STOP and side * best >= side * target
        if trail == BY_EXTREME:
            stop = raised_nb(best, side, stop, distance, costs)
    return NONE, 0.0, False


@njit(**INNER)
def bust_price_nb(account_S: np.ndarray, side: float, costs: np.ndarray) -> float:
    """The raw price at which closing the position leaves nothing; 0 or less where none does."""
    units = abs(account_S[POSITION])
    left: float = side * units * account_S[ENTRY_PRICE] - account_S[BASE]
    price: float = left / (units * (side - costs[TAKER])) / (1.0 - side * costs[SLIPPAGE])
    return price


@njit(**INNER)
def danger_nb(accounts_LS: np.ndarray, side: float, costs: np.ndarray) -> float:
    """The nearest price at which any account has nothing left, `-side` infinity where none is."""
    danger: float = -side * np.inf
    for k in range(len(accounts_LS)):
        if accounts_LS[k, POSITION] != 0.0:
            price = bust_price_nb(accounts_LS[k], side, costs)
            danger = max(danger, price) if side > 0 else min(danger, price)
    return danger


@njit(**BARE)
def most_share_nb(side: float, unit: float, terms: Terms, costs: np.ndarray) -> float:
    """The largest notional of an entry at `unit`, by equity; a long pays its fee from it too."""
    most: float = min(terms.max_leverage, costs[LEVERAGE])
    return most / (1.0 + costs[TAKER] + costs[UNIT_FEE] / unit) if side > 0.0 else most


@njit(**BARE)
def safe_until_nb(side: float, raw: float, terms: Terms, costs: np.ndarray) -> float:
    """A price before which no position just entered at `raw` can have nothing left.

    The largest notional that the caps allow stands for all, so that it takes no look at them.
    """
    if costs[UNIT_FEE] != 0.0 or costs[MIN_FEE] > 0.0:
        return side * np.inf
    unit, rate = raw * (1.0 + side * costs[SLIPPAGE]), costs[TAKER]
    least = 1.0 / most_share_nb(side, unit, terms, costs) - rate - WHOLE  # equity by notional
    price: float = unit * (side - least) / (side - rate) / (1.0 - side * costs[SLIPPAGE])
    return price


@njit(**INNER)
def bust_nb(
    accounts_LS: np.ndarray,
    fills_LOF: np.ndarray,
    i: int,
    side: float,
    price: float,
    stop: float,
    costs: np.ndarray,
) -> int:
    """End the accounts that have nothing left at `price` or before; the last that holds, or -1.

    A `stop` that is reached before keeps an account alive.
    """
    lead = -1
    for k in range(len(accounts_LS)):
        if accounts_LS[k, POSITION] == 0.0:
            continue
        nothing = bust_price_nb(accounts_LS[k], side, costs)
        if side * price <= side * nothing and not side * nothing <= side * stop:
            one, fills = accounts_LS[k : k + 1], fills_LOF[k : k + 1]
            exit_nb(one, fills, i, nothing, int(BUST), costs)
            # Closing costs that do not grow with the size would end it elsewhere.
            accounts_LS[k, APART] = costs[MIN_FEE] + costs[UNIT_FEE] > 0.0
            accounts_LS[k, IS_BUST], accounts_LS[k, BASE] = 1.0, 0.0
        else:
            lead = k
    return lead


@njit(**BARE)
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
    costs: np.ndarray,
) -> None:
    """End the accounts whose equity is gone: none of them trades again."""
    for k in range(len(accounts_LS)):
        if marks[M_EQUITY + k] <= 0.0 and accounts_LS[k, IS_BUST] == 0.0:
            accounts_LS[k, IS_BUST] = 1.0
            if accounts_LS[k, POSITION] != 0.0:
                exit_nb(accounts_LS[k : k + 1], fills_LOF[k : k + 1], i, last, int(BUST), costs)
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
    costs: np.ndarray,
) -> int:
    """Equity of all accounts at the close; how many have nothing left, of which `broke` ended."""
    num, move = len(accounts_LS), last - accounts_LS[lead, ENTRY_PRICE]
    gone: int = revalue_nb(marks, num, move)
    if gone > broke:
        close_broke_nb(accounts_LS, fills_LOF, i, last, marks, costs)
        gone = revalue_nb(marks, num, move)
    mark_nb(marks, num)
    return gone


@njit(**BARE)
def enter_nb(
    accounts_LS: np.ndarray,
    fills_LOF: np.ndarray,
    i: int,
    entry: Entry,
    points_L3: np.ndarray,
    costs: np.ndarray,
    terms: Terms,
) -> int:
    """The entry of accounts of one symbol, each by its own equity; the last that entered, or -1.

    In whole lots; what is too small is refused.
    """
    side, rate, least, lot = entry.side, costs[TAKER], costs[MIN_FEE], costs[LOT]
    price = entry.raw * (1.0 + side * costs[SLIPPAGE])
    stop = level_nb(price * (1.0 - side * entry.stop), side, costs)
    target = level_nb(price * (1.0 + side * entry.target), -side, costs)
    by_risk, by_value = terms.sizing == BY_RISK, terms.sizing == BY_VALUE
    lost = share_lost_nb(side, entry.stop, price, rate, costs[SLIPPAGE], costs)
    cap = min(terms.max_leverage, costs[LEVERAGE])
    part = most_share_nb(side, price, terms, costs)
    is_beyond, has_fixed_fee = side * price <= side * stop, costs[UNIT_FEE] != 0.0 or least > 0.0
    lead, num_held = -1, 0
    if by_risk and np.isnan(entry.stop):
        return lead
    for k in range(len(points_L3)):
        equity = accounts_LS[k, BASE] * (accounts_LS[k, IS_BUST] == 0.0)
        share = points_L3[k, 0] * entry.share
        if equity <= NOTHING * terms.init_cash or not share > 0.0:
            continue
        most = part * equity
        if not by_risk:
            wanted = share * (terms.init_cash if by_value else equity)
        elif least > 0.0:
            money = share * equity
            wanted = affordable_nb(money, side, entry.stop, price, rate, costs[SLIPPAGE], costs)
        else:
            wanted = share / lost * equity
        if side > 0.0 and least > 0.0:  # a long pays its fee from the same cash
            most = min(most, cap * equity - least)
        units = min(wanted, most) / price
        if lot > 0.0:
            units = multiple_nb(units, lot, False)
        if is_beyond or units * price < costs[MIN_NOTIONAL] or not units > 0.0:
            accounts_LS[k, REFUSED] += 1.0  # a least fee may take all of the stake
            continue
        fees = fee_nb(units, price, rate, costs) if has_fixed_fee else units * price * rate
        accounts_LS[k, IS_CAPPED] = most < wanted
        accounts_LS[k, CAPPED] += most < wanted
        accounts_LS[k, STOP_LEVEL], accounts_LS[k, TARGET_LEVEL] = stop, target
        accounts_LS[k, POSITION], accounts_LS[k, ENTRY_PRICE] = side * units, price
        accounts_LS[k, ENTRY_FEES], accounts_LS[k, TRADE_FUNDING] = fees, 0.0
        accounts_LS[k, TRADES] += 1.0
        book_nb(
            accounts_LS[k], fills_LOF[k], i, side, entry.raw, int(ENTRY), units, price, fees, 0.0
        )
        lead = k
        num_held += 1
    if 0 < num_held < len(points_L3):
        for k in range(len(points_L3)):
            if accounts_LS[k, POSITION] == 0.0 and accounts_LS[k, IS_BUST] == 0.0:
                accounts_LS[k, APART] = 1.0
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
    costs: np.ndarray,
    terms: Terms,
    accounts_LS: np.ndarray,
    log: Log,
) -> None:
    """Walk accounts that differ in their risk alone; `accounts_LS` holds the outcome afterwards.

    `costs`, (J,), are the symbol's.

    The multiples are the same in all rows of `points_L3`, of which there are `LANES` at most. What
    happens in every bar is kept in `marks` and what happens in an order in the account: that is
    what makes ten thousand cells affordable.
    """
    num, c = len(points_L3), columns.accounts[a, 0]
    n, code_T, size_T = columns.symbol[c], columns.codes[c], columns.sizes[c]
    prices_4T, brackets_4T, funding_T = market.prices[n], market.brackets[n], market.funding[n]
    detail_4U, starts_T = market.detail[n], market.starts[n]
    clock_T, day_end_T, fills, days = market.clock[n], market.day_end, log.fills, log.days
    log_equity, log_funding = log.equity, log.funding[0]
    log_value, log_position, log_stop = log.value[0], log.position[0], log.stop[0]
    marks, last = begin_nb(accounts_LS, terms.init_cash), terms.init_cash
    side, lead = 0.0, 0  # what is held and by which account, though it may have gone bust since
    broke = np.int64(0)  # for a bare constant numba would compile again
    danger, since, said = 0.0, np.int64(0), 0  # `said`: the row of the bar before
    stop = target = distance = np.nan
    for i in range(len(code_T)):
        code = np.int64(code_T[i])
        is_changed = False
        if not code & ABSENT:
            first, last = prices_4T[0, i], prices_4T[3, i]
            if side != 0.0 and len(funding_T) > 0 and funding_T[i] != 0.0:
                paid = pay_funding_nb(accounts_LS, funding_T[i], first)
                danger, is_changed = danger_nb(accounts_LS, side, costs), True
                if len(log_funding) > 0:
                    log_funding[i] = paid
            if side != 0.0 and not code & UNTRADED:
                if side * first <= side * danger:
                    lead = bust_nb(accounts_LS, fills, i, side, first, -side * np.inf, costs)
                    danger, is_changed = danger_nb(accounts_LS, side, costs), True
                is_due = 0 < terms.max_holding <= clock_T[i] - since
                reason = MAX_HOLDING
                if lead >= 0:
                    reason = reason_at_open_nb(side, first, stop, target, code, is_due)
                if reason != NONE:
                    exit_nb(accounts_LS, fills, i, first, reason, costs)
                    side, is_changed = 0.0, True
                elif is_due:
                    since = clock_T[i]
            if code & (ENTER_LONG | ENTER_SHORT) and side == 0.0 and not code & (UNTRADED | LEAVE):
                since, is_changed = clock_T[i], True
                way, k = (1.0, 0) if code & ENTER_LONG else (-1.0, 1)
                distance = brackets_4T[k, said] * points_L3[0, 1]
                profit = brackets_4T[k + 2, said] * points_L3[0, 2]
                entry = Entry(way, first, size_T[said], distance, profit)
                lead = enter_nb(accounts_LS, fills, i, entry, points_L3, costs, terms)
                if lead >= 0:
                    side, danger = way, safe_until_nb(way, first, terms, costs)
                    stop, target = accounts_LS[lead, STOP_LEVEL], accounts_LS[lead, TARGET_LEVEL]
            if side != 0.0 and not code & UNTRADED:
                high, low = prices_4T[1, i], prices_4T[2, i]
                worst, best = (low, high) if side > 0 else (high, low)
                if side * worst <= side * danger:
                    danger = danger_nb(accounts_LS, side, costs)
                reason, price = bracket_in_bar_nb(side, first, high, low, stop, target)
                is_unclear = reason == STOP and side * best >= side * target
                if len(starts_T) > 0 and starts_T[i] < starts_T[i + 1]:
                    reach = stop
                    if terms.trail == BY_EXTREME:
                        reach = raised_nb(best, side, stop, distance, costs)
                    if (
                        reason != NONE
                        or side * worst <= side * reach
                        or side * worst <= side * danger
                    ):
                        reason, price, is_unclear = along_nb(
                            detail_4U[:, starts_T[i] : starts_T[i + 1]], side, stop, target,
                            danger, distance, costs, terms.trail,
                        )  # fmt: skip
                        if reason == BUST:
                            for k in range(num):
                                accounts_LS[k, APART] = 1.0
                elif side * worst <= side * danger:
                    lead, is_changed = (
                        bust_nb(accounts_LS, fills, i, side, worst, stop, costs),
                        True,
                    )
                    danger = danger_nb(accounts_LS, side, costs)
                if reason != NONE or lead < 0:
                    if is_unclear:
                        for k in range(num):
                            accounts_LS[k, AMBIGUOUS] += accounts_LS[k, POSITION] != 0.0
                    exit_nb(accounts_LS, fills, i, price, reason, costs)
                    side, is_changed = 0.0, True
                elif terms.trail != 0:
                    level = last if terms.trail == BY_CLOSE else best
                    stop = raised_nb(level, side, stop, distance, costs)
            said = i
        if is_changed:
            for k in range(num):
                marks[M_BASE + k] = accounts_LS[k, BASE]
                marks[M_UNITS + k] = accounts_LS[k, POSITION]
        if is_changed or side != 0.0:
            at = max(lead, 0)
            broke = mark_alone_nb(accounts_LS, fills, i, last, at, broke, marks, costs)
        for k in range(num):
            marks[M_SUM + k] += marks[M_EQUITY + k]
        if len(log_equity) > 0:
            log_equity[i] = log_value[i] = marks[M_EQUITY]
            log_position[i] = marks[M_UNITS]
            log_stop[i] = stop if marks[M_UNITS] != 0.0 else np.nan
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
    market: Market,
    columns: Columns,
    cells: Cells,
    costs_NJ: np.ndarray,
    terms: Terms,
    days_RKD: np.ndarray,
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
        log = Log(fills, np.empty(0), none, none, none, none, days)
        points = cells.points[p:q]
        walk_nb(market, columns, cells.account[p], points, costs_NJ[0], terms, states[p:q], log)
    return states
