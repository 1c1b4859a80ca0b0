"""The account as a broker books it: lots, least fees, margins, every kind of exit, many symbols.

`walk_account_nb` is the rule of `trading.kernel` for one symbol or many on one cash, with all that
an instrument asks for. Where an account is plain and of one symbol the two agree to the last bit,
and `walk_nb` walks many risks at once; here each account decides for itself, since what one risk
may order is too small at another.

1. At the open: funding, then what is borrowed is paid for. Where the price leaves no more than the
   maintenance margin, all is closed. Then a gap beyond the stop, beyond a take-profit or a step of
   the ladder; a reversal, an exit, the time of day, the holding limit. All exits of an open come
   before all entries. Entries are sized on one equity, each symbol at its open or else its last
   close, and cut by one factor where gross exposure or open risk would pass its cap, so that the
   order of the symbols means nothing; where that leaves next to nothing, there is none.
2. An entry by limit is an order at a level that rests for some bars: filled at the open where that
   lies beyond, inside where the bar trades through it.
3. Inside: all positions go from the open to their worst prices together. Whatever comes first ends
   a position: its stop, or what leaves no more than the maintenance margin of the account. Then
   take-profits, each at its level. Detail bars tell what came first, else the stop did.
4. At the close a trailing stop and break-even move the stop, never back. With detail bars those
   that follow the extreme move at the close of each of them.

A trade's slippage is fixed at its entry, from what is known by then, and so is that of its exits: a
trade that is stopped at its level loses what was meant to be risked, costs in it, or less. Sizes
are rounded down to lots, levels towards the entry. A delisted symbol is closed at its last close,
once its silence tells (`inputs.delisting_rows`): nobody can know before.

Dimensions as in `trading.kernel`.
"""

from __future__ import annotations  # noqa: I001 - one a line, the kernel's names fill a page

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from convnext_vbt.trading.kernel import (
    ABSENT, AMBIGUOUS, BARE, BARS_HELD, BASE, BORROW, BUST, BY_CLOSE, BY_EXTREME, BY_RISK,
    BY_VALUE, CACHED, CAPPED, CLOSED, DAY_EQUITY, DELISTED, DRAWDOWN, ENTER_LONG, ENTER_SHORT,
    ENTRY, ENTRY_FEES, ENTRY_PRICE, EQUITY, EQUITY_SUM, EXIT_LONG, EXIT_SHORT, FEES_PAID,
    FILL_FIELDS, FUNDING_PAID, GAP_STOP, GAP_STOPS, GROSS_LOSS, GROSS_PROFIT, HALF_SPREAD, IMPACT,
    INLINED, INNER, INTEREST, IS_BUST, IS_CAPPED, IS_INVERSE, LAST_PRICE, LEAVE, LEAVE_TIME,
    LEVERAGE, LIQUIDATED, LIQUIDATION, LOT, MAINTENANCE, MAKER, MAX_HOLDING, MIN_FEE, MIN_NOTIONAL,
    NONE, NOTHING, NOTIONAL, NUM_STATE, ORDERS, POSITION, REFUSED, RETURN_SUM, REVERSE, ROUNDING,
    SIGNAL, SIZE, SLIPPAGE, SLIPPAGE_PAID, STOP, STOP_LEVEL, SUMMED, TAKER, TAKE_PROFIT,
    TARGET_LEVEL, TRADED, TRADES, TRADE_FUNDING, UNIT_FEE, UNTRADED, VOLATILITY_SLIPPAGE,
    VOLUME_SHARE, WANTED, WHOLE, WINS, Cells, Columns, Log, Market, Terms, affordable_nb, back_nb,
    end_day_nb, fee_nb, level_nb, moved_nb, multiple_nb, share_lost_nb,
)  # fmt: skip

# What a column has in hand beside its state: the open trade, and an entry that rests at its limit.
(
    EXIT_SLIPPAGE, DISTANCE, TARGET, OPENED, REALISED, STEP, SINCE, EVEN_AT, EVEN,
    LIMIT_SIDE, LIMIT, LIMIT_LEFT, LIMIT_SAID, INSIDE, FIRST_DETAIL, GUARD,
    NUM_HAND,
) = range(17)  # fmt: skip

BY_SIGNAL = ENTER_LONG | EXIT_LONG | ENTER_SHORT | EXIT_SHORT
DUST = 1e-6
"""A share of equity below which what a cap leaves of an entry is not placed."""
ROUGHLY = 1e-9
"""Of the entry's price: how much earlier than needed the margin is looked at."""
HALVINGS = 60
"""Of the interval in which the largest size is sought whose loss, impact in it, is affordable."""


class Conditions(NamedTuple):
    """What instruments and the rules of leaving ask for."""

    costs: np.ndarray
    """float64 (N, J): an instrument's own, 0 for none; LEVERAGE and VOLUME_SHARE: infinite."""
    sigma: np.ndarray
    """float64 (N, T): volatility of a bar, known at its close; (N, 0) where no cost needs it."""
    volume: np.ndarray
    """float64 (N, T): in units; likewise."""
    years: np.ndarray
    """float64 (T,): the time of each row."""
    break_even: float
    """The gain, in stop distances, after which the stop goes to the entry; NaN for none."""
    ladder: np.ndarray
    """float64 (W, 2): multiples of the take-profit distance, shares of the entry's size."""
    limit_offset: float
    """How far from the close an entry's limit is, as a share of it; NaN: entries at the open."""
    limit_bars: int
    best_first: bool
    """Whether take-profits come before the stop where a bar reaches both."""
    borrows: bool
    """Whether anything that is borrowed costs."""
    moves: bool
    """Whether a stop is ever moved."""


class Entries(NamedTuple):
    """What each column of an account enters now, (K,)."""

    side: np.ndarray
    """1 long, -1 short, 0 none."""
    raw: np.ndarray
    share: np.ndarray
    """Of the full stake."""
    stop: np.ndarray
    target: np.ndarray
    said: np.ndarray
    """The row that signalled it."""
    rests: np.ndarray
    """1 where a resting limit is filled: the maker's fee, and no slippage."""


class Book(NamedTuple):
    """An account at work on its K columns."""

    states: np.ndarray
    """float64 (R, S): the account's where it holds several symbols, then each column's."""
    own: np.ndarray
    """The columns' states."""
    hand: np.ndarray
    """float64 (K, NUM_HAND)."""
    column: np.ndarray
    symbol: np.ndarray
    mark: np.ndarray
    """float64 (K,): the last price there was."""
    value: np.ndarray
    """float64 (R,): equity of the account, then each column's value; of one symbol just that."""
    peak: np.ndarray
    """float64 (K,): of the column's value."""
    before: np.ndarray
    """float64 (K,): the marks before this open."""
    worst: np.ndarray
    """float64 (K,): the worst prices of this bar."""
    first: np.ndarray
    """float64 (K,): the prices that the way to the worst begins at."""
    at: np.ndarray
    """float64 (K,): the prices somewhere on a way."""
    entries: Entries


@njit(**BARE)
def slippage_nb(units: float, raw: float, costs: np.ndarray, sigma: float, volume: float) -> float:
    """The share of the price by which an order of this size is filled worse."""
    price = raw if costs[IS_INVERSE] == 0.0 else 1.0 / raw
    share: float = costs[SLIPPAGE] + costs[HALF_SPREAD] / price
    if costs[VOLATILITY_SLIPPAGE] > 0.0:
        share += costs[VOLATILITY_SLIPPAGE] * sigma
    if costs[IMPACT] > 0.0:
        share += costs[IMPACT] * sigma * np.sqrt(units / volume)
    return share


@njit(**BARE)
def money_lost_nb(
    units: float, side: float, stop: float, price: float, rate: float, slippage: float,
    costs: np.ndarray,
) -> float:  # fmt: skip
    """Loss of a position of these units when stopped, both fees and slippage in it."""
    back = back_nb(price, side, stop, slippage, costs)
    fees = fee_nb(units, price, rate, costs) + fee_nb(units, back, costs[TAKER], costs)
    lost: float = side * units * (price - back) + fees
    return lost


@njit(**BARE)
def stake_nb(
    money: float, side: float, stop: float, price: float, rate: float, slippage: float,
    costs: np.ndarray, terms: Terms,
) -> float:  # fmt: skip
    """Entry notional that risks, or is worth, this money."""
    if terms.sizing != BY_RISK:
        return money
    if costs[MIN_FEE] > 0.0:
        notional: float = affordable_nb(money, side, stop, price, rate, slippage, costs)
    else:
        notional = money / share_lost_nb(side, stop, price, rate, slippage, costs)
    return notional


@njit(**BARE)
def pays_cash_nb(side: float, costs: np.ndarray) -> bool:
    """Whether it is a long, which pays its fee from the same cash; an inverse one is turned."""
    pays: bool = (side > 0.0) == (costs[IS_INVERSE] == 0.0)
    return pays


@njit(**BARE)
def carried_nb(
    units: float, notional: float, side: float, price: float, rate: float, costs: np.ndarray
) -> float:
    """What leverage has to carry of an entry: its worth, and a long's fee."""
    if not pays_cash_nb(side, costs):
        return notional
    if costs[UNIT_FEE] == 0.0 and costs[MIN_FEE] == 0.0:
        return notional * (1.0 + rate)
    carried: float = notional + fee_nb(units, price, rate, costs)
    return carried


@njit(**BARE)
def most_notional_nb(
    side: float, equity: float, price: float, rate: float, costs: np.ndarray, volume: float,
    terms: Terms,
) -> float:  # fmt: skip
    """The largest position that leverage, margin and the bar's volume allow."""
    cap = min(terms.max_leverage, costs[LEVERAGE])
    most: float = cap * equity
    if pays_cash_nb(side, costs):
        cap /= 1.0 + rate
        most = cap * equity
        if costs[UNIT_FEE] != 0.0 or costs[MIN_FEE] > 0.0:
            whole = min(terms.max_leverage, costs[LEVERAGE]) * equity
            most = whole / (1.0 + rate + costs[UNIT_FEE] / price)
            most = min(most, whole - costs[MIN_FEE]) if costs[MIN_FEE] > 0.0 else most
    if np.isfinite(costs[VOLUME_SHARE]):
        most = min(most, costs[VOLUME_SHARE] * volume * price if volume > 0.0 else 0.0)
    return most


@njit(**BARE)
def price_nb(
    units: float, side: float, raw: float, rests: float, costs: np.ndarray, sigma: float,
    volume: float,
) -> tuple[float, float]:  # fmt: skip
    """The fill of an entry of these units, and the trade's share of slippage."""
    slippage = slippage_nb(units, raw, costs, sigma, volume)
    return moved_nb(raw, side * (0.0 if rests > 0.0 else slippage), costs), slippage


@njit(**BARE)
def moving_units_nb(
    money: float, most: float, side: float, raw: float, stop: float, rests: float, rate: float,
    costs: np.ndarray, sigma: float, volume: float, terms: Terms,
) -> float:  # fmt: skip
    """The most units of an order that moves its own price: it risks no more than the money.

    `most` is what leverage can carry. Found by halving, from a size without impact.
    """
    price, slippage = price_nb(0.0, side, raw, rests, costs, sigma, volume)
    notional = stake_nb(money, side, stop, price, rate, slippage, costs, terms)
    low, high = 0.0, 2.0 * notional / price
    if np.isfinite(costs[VOLUME_SHARE]) and np.isfinite(most):
        high = min(high, costs[VOLUME_SHARE] * volume)
    for _ in range(HALVINGS):
        units = 0.5 * (low + high)
        price, slippage = price_nb(units, side, raw, rests, costs, sigma, volume)
        worth = units * price
        asked = worth
        if terms.sizing == BY_RISK:
            asked = money_lost_nb(units, side, stop, price, rate, slippage, costs)
        if asked <= money and carried_nb(units, worth, side, price, rate, costs) <= most:
            low = units
        else:
            high = units
    return low


@njit(**INLINED)
def value_nb(own_S: np.ndarray, mark: float) -> float:
    """Equity of one column, its position at `mark`; a column that holds nothing needs no price."""
    value: float = own_S[BASE]
    if own_S[POSITION] != 0.0:
        value += own_S[POSITION] * (mark - own_S[ENTRY_PRICE])
    return value


@njit(**BARE)
def equity_nb(own_KS: np.ndarray, mark_K: np.ndarray, init_cash: float) -> float:
    """Equity of the account: each column's value holds the initial cash, which counts once."""
    equity = 0.0
    for k in range(len(own_KS)):
        equity += value_nb(own_KS[k], mark_K[k]) - (init_cash if k > 0 else 0.0)
    return equity


@njit(**BARE)
def set_guard_nb(own: np.ndarray, hand: np.ndarray, costs: np.ndarray) -> None:
    """Note the price just before that at which an account of one symbol reaches its margin."""
    side, units = (1.0 if own[POSITION] > 0.0 else -1.0), abs(own[POSITION])
    fixed = costs[MIN_FEE] + units * costs[UNIT_FEE]
    owed = side * units * own[ENTRY_PRICE] - own[BASE] + fixed
    closing = (side - costs[TAKER]) * moved_nb(1.0, -side * hand[EXIT_SLIPPAGE], costs)
    first, second = owed / (units * closing), owed / (units * (side - costs[MAINTENANCE]))
    margin = max(side * first, side * second)
    hand[GUARD] = side * (margin + ROUGHLY * own[ENTRY_PRICE])


@njit(**BARE)
def log_fill_nb(
    own_S: np.ndarray, fills_OF: np.ndarray, i: int, units: float, price: float, raw: float,
    fees: float, way: float, reason: int, pnl: float,
) -> None:  # fmt: skip
    """Count one order, and write it down if there is a place for it."""
    order = int(own_S[ORDERS])
    own_S[ORDERS] += 1.0
    own_S[TRADED] += units * price
    own_S[FEES_PAID] += fees
    own_S[SLIPPAGE_PAID] += units * abs(price - raw)
    if order < len(fills_OF):
        row = fills_OF[order]
        row[0], row[1], row[2], row[3], row[4], row[5] = i, units, price, fees, way, reason
        row[6], row[7], row[8] = pnl, own_S[IS_CAPPED], own_S[TRADE_FUNDING]
        row[9] = units * abs(price - raw)


@njit(**BARE)
def reduce_nb(
    own: np.ndarray, hand: np.ndarray, costs: np.ndarray, fills_OF: np.ndarray, i: int,
    units: float, raw: float, reason: int,
) -> None:  # fmt: skip
    """Close these units of a position, at most all of it, at `raw` less the trade's slippage."""
    held = abs(own[POSITION])
    side = 1.0 if own[POSITION] > 0.0 else -1.0
    price = moved_nb(raw, -side * hand[EXIT_SLIPPAGE], costs)
    fees = fee_nb(units, price, costs[TAKER], costs)
    gross = units * -side * (own[ENTRY_PRICE] - price)
    own[BASE] -= fees
    own[BASE] += gross
    if units < held:
        own[POSITION] = side * (held - units)
        pnl = gross - own[ENTRY_FEES] * (units / hand[OPENED]) - fees
        hand[REALISED] += pnl
        log_fill_nb(own, fills_OF, i, units, price, raw, fees, -side, reason, pnl)
        set_guard_nb(own, hand, costs)
        return
    entry_fees = own[ENTRY_FEES]
    if units < hand[OPENED]:
        entry_fees *= units / hand[OPENED]
    pnl = gross - entry_fees - fees - own[TRADE_FUNDING]
    total = pnl + hand[REALISED]
    own[POSITION] = 0.0
    own[CLOSED] += 1.0
    own[RETURN_SUM] += total / (hand[OPENED] * own[ENTRY_PRICE])
    own[WINS] += total > 0.0
    own[GROSS_PROFIT] += max(total, 0.0)
    own[GROSS_LOSS] += max(-total, 0.0)
    own[GAP_STOPS] += reason == GAP_STOP
    log_fill_nb(own, fills_OF, i, units, price, raw, fees, -side, reason, pnl)


@njit(**BARE)
def exit_nb(
    own: np.ndarray, hand: np.ndarray, costs: np.ndarray, fills_OF: np.ndarray, i: int, raw: float,
    reason: int,
) -> None:  # fmt: skip
    """Close what is held."""
    reduce_nb(own, hand, costs, fills_OF, i, abs(own[POSITION]), raw, reason)


@njit(**INLINED)
def place_nb(
    market: Market, book: Book, k: int, i: int, factor: float, conditions: Conditions, log: Log
) -> None:
    """Open a position of what the caps leave of it, in whole lots; or count that there is none."""
    own, hand, entries, n = book.own[k], book.hand[k], book.entries, book.symbol[k]
    costs, said = conditions.costs[n], entries.said[k]
    side, raw, rests = entries.side[k], entries.raw[k], entries.rests[k]
    wanted, notional = own[WANTED], own[NOTIONAL]
    sigma, volume = known_nb(conditions, n, said)
    price, slippage = price_nb(0.0, side, raw, rests, costs, sigma, volume)
    units = notional / price
    if costs[IMPACT] > 0.0:
        units = own[SIZE] * factor
    units = multiple_nb(units, costs[LOT], False)
    if costs[IMPACT] > 0.0:
        price, slippage = price_nb(units, side, raw, rests, costs, sigma, volume)
    stop = level_nb(moved_nb(price, -side * entries.stop[k], costs), side, costs)
    worth = price if costs[IS_INVERSE] == 0.0 else 1.0  # a contract is worth its units of money
    if not units > 0.0 or units * worth < costs[MIN_NOTIONAL] or side * price <= side * stop:
        own[REFUSED] += 1.0
        return
    own[IS_CAPPED] = notional < wanted
    own[CAPPED] += own[IS_CAPPED]
    own[STOP_LEVEL] = stop
    hand[EXIT_SLIPPAGE], hand[DISTANCE], hand[OPENED] = slippage, entries.stop[k], units
    hand[TARGET], hand[REALISED], hand[STEP] = entries.target[k], 0.0, 0.0
    own[POSITION], own[ENTRY_PRICE] = side * units, price
    own[TARGET_LEVEL] = step_level_nb(own, hand, side, costs, conditions.ladder)
    hand[SINCE] = market.clock[n, i]
    rate = costs[MAKER] if rests > 0.0 else costs[TAKER]
    fees = fee_nb(units, price, rate, costs)
    hand[EVEN_AT] = np.nan
    if not np.isnan(conditions.break_even):
        way = side * conditions.break_even * entries.stop[k]
        hand[EVEN_AT] = moved_nb(price, way, costs)
        hand[EVEN] = level_nb(even_nb(units, side, price, fees, slippage, costs), side, costs)
    own[ENTRY_FEES], own[TRADE_FUNDING] = fees, 0.0
    own[BASE] -= fees
    own[TRADES] += 1.0
    log_fill_nb(own, log.fills[k], i, units, price, raw, fees, side, int(ENTRY), 0.0)
    set_guard_nb(own, hand, costs)


@njit(**BARE)
def even_nb(
    units: float, side: float, price: float, fees: float, slippage: float, costs: np.ndarray
) -> float:
    """The raw price at which closing makes up for both fees and slippage of a trade."""
    paid = side * units * price + fees
    back = (paid + units * costs[UNIT_FEE]) / (units * (side - costs[TAKER]))
    if costs[MIN_FEE] > 0.0:
        least = (paid + costs[MIN_FEE]) / (units * side)
        back = side * max(side * back, side * least)
    raw: float = back / moved_nb(1.0, -side * slippage, costs)
    return raw


@njit(**BARE)
def step_level_nb(
    own_S: np.ndarray, hand: np.ndarray, side: float, costs: np.ndarray, ladder_W2: np.ndarray
) -> float:
    """The level of the take-profit, or of the ladder's next step."""
    distance, step = hand[TARGET], int(hand[STEP])
    if len(ladder_W2) > 0:
        if step >= len(ladder_W2):
            return np.nan
        distance *= ladder_W2[step, 0]
    level = moved_nb(own_S[ENTRY_PRICE], side * distance, costs)
    rounded: float = level_nb(level, -side, costs)
    return rounded


@njit(**BARE)
def known_nb(conditions: Conditions, n: int, said: int) -> tuple[float, float]:
    """Volatility and volume of a bar, as far as any cost depends on them."""
    if conditions.sigma.shape[1] == 0:
        return 0.0, 0.0
    return conditions.sigma[n, said], conditions.volume[n, said]


@njit(**BARE)
def open_risk_nb(book: Book, k: int, conditions: Conditions) -> float:
    """What a held position loses from its mark on when it is stopped, costs included."""
    own, mark = book.own[k], book.mark[k]
    costs = conditions.costs[book.symbol[k]]
    side, units = (1.0 if own[POSITION] > 0.0 else -1.0), abs(own[POSITION])
    back = moved_nb(max(own[STOP_LEVEL], 0.0), -side * book.hand[k, EXIT_SLIPPAGE], costs)
    loss: float = own[POSITION] * (mark - back) + fee_nb(units, back, costs[TAKER], costs)
    return max(loss, 0.0)


@njit(**BARE)
def room_nb(needed: float, room: float) -> float:
    """The factor at which what is needed fits into the room."""
    if needed <= 0.0 or needed <= room * (1.0 + ROUNDING):
        return 1.0
    return max(room, 0.0) / needed


@njit(**INLINED)
def size_nb(
    book: Book, k: int, risk: float, equity: float, conditions: Conditions, terms: Terms
) -> tuple[float, float]:
    """WANTED, NOTIONAL and SIZE of an entry by its own caps; what it carries, and may lose."""
    own, entries = book.own[k], book.entries
    costs, side, stop = conditions.costs[book.symbol[k]], entries.side[k], entries.stop[k]
    raw, rests = entries.raw[k], entries.rests[k]
    sigma, volume = known_nb(conditions, book.symbol[k], entries.said[k])
    rate = costs[MAKER] if rests > 0.0 else costs[TAKER]
    money = risk * entries.share[k] * (terms.init_cash if terms.sizing == BY_VALUE else equity)
    price, slippage = price_nb(0.0, side, raw, rests, costs, sigma, volume)
    if np.isnan(slippage):  # what it depends on is not known
        own[WANTED] = own[NOTIONAL] = 0.0
        return 0.0, 0.0
    if costs[IMPACT] == 0.0:
        share = risk * entries.share[k]
        if terms.sizing == BY_RISK and costs[MIN_FEE] == 0.0:
            share /= share_lost_nb(side, stop, price, rate, slippage, costs)
            wanted = share * equity
        else:
            wanted = stake_nb(money, side, stop, price, rate, slippage, costs, terms)
        most = most_notional_nb(side, equity, price, rate, costs, volume, terms)
        own[WANTED], own[NOTIONAL] = wanted, min(wanted, most)
        units = own[NOTIONAL] / price
    else:
        most = min(terms.max_leverage, costs[LEVERAGE]) * equity
        units = moving_units_nb(
            money, np.inf, side, raw, stop, rests, rate, costs, sigma, volume, terms
        )
        own[WANTED] = units * price_nb(units, side, raw, rests, costs, sigma, volume)[0]
        units = moving_units_nb(
            money, most, side, raw, stop, rests, rate, costs, sigma, volume, terms
        )
        price, slippage = price_nb(units, side, raw, rests, costs, sigma, volume)
        own[NOTIONAL] = units * price
    own[SIZE] = units
    carried = carried_nb(units, own[NOTIONAL], side, price, rate, costs)
    if terms.sizing != BY_RISK:
        return carried, 0.0
    if costs[MIN_FEE] > 0.0:
        return carried, money_lost_nb(units, side, stop, price, rate, slippage, costs)
    return carried, own[NOTIONAL] * share_lost_nb(side, stop, price, rate, slippage, costs)


@njit(**INLINED)
def enter_nb(
    market: Market, book: Book, i: int, risk: float, conditions: Conditions, terms: Terms, log: Log
) -> None:
    """All entries of one moment, sized on one equity and cut by one factor."""
    own_KS, entries, is_shared = book.own, book.entries, len(book.own) > 1
    equity = equity_nb(own_KS, book.mark, terms.init_cash)
    gross = needed_gross = held_risk = needed_risk = margin = needed_margin = 0.0
    for k in range(len(own_KS)):
        position, costs = own_KS[k, POSITION], conditions.costs[book.symbol[k]]
        if position != 0.0:
            entries.side[k] = 0.0
            if is_shared:
                gross += abs(position) * book.mark[k]
                margin += abs(position) * book.mark[k] / costs[LEVERAGE]
                held_risk += open_risk_nb(book, k, conditions)
        is_bare = terms.sizing == BY_RISK and np.isnan(entries.stop[k])
        if not entries.share[k] > 0.0 or is_bare or equity <= NOTHING * terms.init_cash:
            entries.side[k] = 0.0
        if entries.side[k] != 0.0:
            carried, lost = size_nb(book, k, risk, equity, conditions, terms)
            if not own_KS[k, NOTIONAL] > 0.0:
                own_KS[k, REFUSED] += 1.0
                entries.side[k] = 0.0
            elif is_shared:
                needed_gross += carried
                needed_margin += carried / costs[LEVERAGE]
                needed_risk += lost
    factor = 1.0
    if is_shared:
        factor = room_nb(needed_gross, terms.max_leverage * equity - gross)
        factor = min(factor, room_nb(needed_margin, equity - margin))
        if terms.sizing == BY_RISK:
            factor = min(factor, room_nb(needed_risk, terms.max_open_risk * equity - held_risk))
    for k in range(len(own_KS)):
        if entries.side[k] == 0.0:
            continue
        own_KS[k, NOTIONAL] *= factor
        if factor == 1.0 or own_KS[k, NOTIONAL] >= DUST * equity:
            place_nb(market, book, k, i, factor, conditions, log)
        else:
            own_KS[k, REFUSED] += 1.0


@njit(**INNER)
def begin_nb(
    columns: Columns, a: int, states: np.ndarray, is_shared: bool, init_cash: float
) -> Book:
    """Account `a` before the first bar; `states` holds it, as many rows as it has, from now on."""
    num = 0
    while num < columns.accounts.shape[1] and columns.accounts[a, num] >= 0:
        num += 1
    num_rows = num + is_shared
    for row in range(num_rows):
        for field in range(NUM_STATE):
            states[row, field] = 0.0
        states[row, BASE] = states[row, DAY_EQUITY] = states[row, EQUITY] = init_cash
    of_column, scratch = np.zeros((3, num), dtype=np.int64), np.zeros((13, num))
    value = np.empty(num_rows)
    for k in range(num):
        of_column[0, k] = columns.accounts[a, k]
        of_column[1, k] = columns.symbol[of_column[0, k]]
        scratch[1, k] = init_cash
    for row in range(num_rows):
        value[row] = init_cash
    entries = Entries(
        scratch[3], scratch[4], scratch[5], scratch[6], scratch[7], of_column[2], scratch[8]
    )
    hand = np.zeros((num, NUM_HAND))
    return Book(
        states[:num_rows], states[num_rows - num : num_rows], hand, of_column[0], of_column[1],
        scratch[0], value, scratch[1], scratch[9], scratch[10],
        scratch[11], scratch[12], entries,
    )  # fmt: skip


@njit(**BARE)
def charge_nb(
    market: Market, book: Book, i: int, conditions: Conditions, terms: Terms, log: Log
) -> None:
    """Funding, and what is borrowed since each symbol's bar before, at this open."""
    own_KS, excess = book.own, 0.0
    for k in range(len(own_KS)):
        excess += abs(own_KS[k, POSITION]) * book.mark[k]
    gross = excess
    if gross > 0.0:
        excess = max(gross - equity_nb(own_KS, book.mark, terms.init_cash), 0.0)
    for k in range(len(own_KS)):
        n, position = book.symbol[k], own_KS[k, POSITION]
        before = market.previous[n, i]
        if position == 0.0 or np.isnan(market.prices[n, 0, i]) or before < 0:
            continue
        costs, worth = conditions.costs[n], position * book.mark[k]
        amount = 0.0
        if market.funding.shape[1] > 0 and market.funding[n, i] != 0.0:
            amount = market.funding[n, i] * position * book.mark[k]
        if costs[BORROW] > 0.0 or costs[INTEREST] > 0.0:
            passed = conditions.years[i] - conditions.years[before]
            lent = worth if costs[IS_INVERSE] != 0.0 else -worth
            amount += costs[BORROW] * passed * max(lent, 0.0)
            amount += costs[INTEREST] * passed * excess * (abs(worth) / gross)
        own_KS[k, BASE] -= amount
        own_KS[k, TRADE_FUNDING] += amount
        own_KS[k, FUNDING_PAID] += amount
        set_guard_nb(own_KS[k], book.hand[k], costs)
        if log.funding.shape[1] > 0:
            log.funding[k, i] = amount


@njit(**INLINED)
def margin_nb(book: Book, price_K: np.ndarray, conditions: Conditions, terms: Terms) -> float:
    """Equity at these prices beyond the maintenance margin, or beyond the costs of closing.

    Of the two what is more, so that nothing is owed afterwards.
    """
    left = closing = margin = 0.0
    for k in range(len(book.own)):
        own, costs = book.own[k], conditions.costs[book.symbol[k]]
        left += own[BASE] - (terms.init_cash if k > 0 else 0.0)
        if own[POSITION] == 0.0:
            continue
        side, units = (1.0 if own[POSITION] > 0.0 else -1.0), abs(own[POSITION])
        left += own[POSITION] * (price_K[k] - own[ENTRY_PRICE])
        price = moved_nb(price_K[k], -side * book.hand[k, EXIT_SLIPPAGE], costs)
        closing += units * abs(price_K[k] - price) + fee_nb(units, price, costs[TAKER], costs)
        margin += costs[MAINTENANCE] * units * price_K[k]
    return left - max(closing, margin)


@njit(**BARE)
def way_nb(
    book: Book, from_K: np.ndarray, to_K: np.ndarray, conditions: Conditions, terms: Terms
) -> float:
    """How far on the way between two prices, 0 to 1, just the margin is left; 2 if it lasts."""
    first = margin_nb(book, from_K, conditions, terms)
    last = margin_nb(book, to_K, conditions, terms)
    if last > 0.0:
        return 2.0
    if first <= 0.0:
        return 0.0
    low, high, at_K = 0.0, 1.0, book.at
    for _ in range(HALVINGS):  # least fees and the larger of two make it a bent line
        way = 0.5 * (low + high)
        for k in range(len(from_K)):
            at_K[k] = from_K[k] + way * (to_K[k] - from_K[k])
        if margin_nb(book, at_K, conditions, terms) > 0.0:
            low = way
        else:
            high = way
    return high


@njit(**BARE)
def liquidate_nb(
    book: Book, i: int, price_K: np.ndarray, conditions: Conditions, terms: Terms, log: Log
) -> None:
    """Close everything at these prices. Where nothing is left, nothing is owed, and all is over."""
    own_KS, last, left = book.own, -1, 0.0
    nothing = NOTHING * terms.init_cash
    is_over = equity_after_nb(book, price_K, conditions, terms) <= nothing
    for k in range(len(own_KS)):
        own, n = own_KS[k], book.symbol[k]
        book.hand[k, LIMIT_SIDE] *= not is_over
        if own[POSITION] != 0.0:
            reason = int(BUST) if is_over else int(LIQUIDATION)
            fills, hand = log.fills[k], book.hand[k]
            exit_nb(own, hand, conditions.costs[n], fills, i, price_K[k], reason)
            own[LIQUIDATED] += 1.0
            last = k
    for k in range(len(own_KS)):
        left += own_KS[k, BASE] - (terms.init_cash if k > 0 else 0.0)
    if is_over:
        book.states[0, IS_BUST] = 1.0
        own_KS[last, BASE] -= left


@njit(**INLINED)
def reason_at_open_nb(side: float, price: float, stop: float, code: int, is_due: bool) -> int:
    """Why the held position ends at this open, take-profits aside; `NONE` if it does not."""
    same, leave, opposite = ENTER_LONG, EXIT_LONG, ENTER_SHORT
    if side < 0:
        same, leave, opposite = ENTER_SHORT, EXIT_SHORT, ENTER_LONG
    if side * price <= side * stop:
        return GAP_STOP
    if code & opposite:
        return REVERSE
    if code & leave:
        return SIGNAL
    if code & LEAVE:
        return LEAVE_TIME
    if is_due and not code & same:
        return MAX_HOLDING
    return NONE


@njit(**BARE)
def take_profit_nb(
    own: np.ndarray, hand: np.ndarray, costs: np.ndarray, ladder_W2: np.ndarray,
    fills_OF: np.ndarray, i: int, reached: float, at_open: bool,
) -> None:  # fmt: skip
    """Close what the price that is reached takes: all of it, or the ladder's steps.

    At the open that is filled at the open, else each at its level.
    """
    side = 1.0 if own[POSITION] > 0.0 else -1.0
    while own[POSITION] != 0.0 and side * reached >= side * own[TARGET_LEVEL]:
        raw, held = (reached if at_open else own[TARGET_LEVEL]), abs(own[POSITION])
        worth = raw if costs[IS_INVERSE] == 0.0 else 1.0
        if len(ladder_W2) == 0:
            reduce_nb(own, hand, costs, fills_OF, i, held, raw, int(TAKE_PROFIT))
            return
        step, total = int(hand[STEP]), 0.0
        for w in range(step + 1):
            total += ladder_W2[w, 1]
        taken = hand[OPENED] - held
        units = multiple_nb(hand[OPENED] * min(total, 1.0) - taken, costs[LOT], False)
        if step == len(ladder_W2) - 1 and total >= 1.0 - WHOLE:
            units = held
        hand[STEP] += 1.0
        if units > 0.0 and (units >= held or units * worth >= costs[MIN_NOTIONAL]):
            units = min(units, held)
            reduce_nb(own, hand, costs, fills_OF, i, units, raw, int(TAKE_PROFIT))
        own[TARGET_LEVEL] = step_level_nb(own, hand, side, costs, ladder_W2)


@njit(**INLINED)
def rest_nb(hand: np.ndarray, code: int) -> None:
    """What becomes of an entry that rests at its limit, by what acts at this open."""
    against = EXIT_LONG | ENTER_SHORT if hand[LIMIT_SIDE] > 0.0 else EXIT_SHORT | ENTER_LONG
    hand[LIMIT_LEFT] -= 1.0
    if hand[LIMIT_LEFT] <= 0.0 or code & against or code & LEAVE:
        hand[LIMIT_SIDE] = 0.0


@njit(**INLINED)
def signal_entry_nb(
    market: Market, columns: Columns, book: Book, k: int, i: int, code: int, point_3: np.ndarray,
    conditions: Conditions,
) -> bool:  # fmt: skip
    """The entry of a flat column at this open, if there is one: signalled, or at its limit."""
    n, hand, entries = book.symbol[k], book.hand[k], book.entries
    first, entries.rests[k] = market.prices[n, 0, i], 0.0
    if hand[LIMIT_SIDE] == 0.0:
        if not code & (ENTER_LONG | ENTER_SHORT) or code & LEAVE:
            return False
        side, said = (1.0 if code & ENTER_LONG else -1.0), market.previous[n, i]
        if not np.isnan(conditions.limit_offset):
            costs, way = conditions.costs[n], -side * conditions.limit_offset
            level = moved_nb(market.prices[n, 3, said], way, costs)
            hand[LIMIT] = level_nb(level, -side, costs)
            hand[LIMIT_SIDE], hand[LIMIT_SAID] = side, said
            hand[LIMIT_LEFT] = conditions.limit_bars
            if side * first > side * hand[LIMIT]:
                return False
    else:
        side, said = hand[LIMIT_SIDE], int(hand[LIMIT_SAID])
        if not side * first < side * hand[LIMIT]:
            return False
        entries.rests[k] = 1.0
    hand[LIMIT_SIDE] = 0.0
    propose_nb(market, columns, book, k, side, first, said, point_3)
    return True


@njit(**INLINED)
def propose_nb(
    market: Market, columns: Columns, book: Book, k: int, side: float, raw: float, said: int,
    point_3: np.ndarray,
) -> None:  # fmt: skip
    """Put an entry down for `enter_nb`."""
    n, entries, j = book.symbol[k], book.entries, (0 if side > 0.0 else 1)
    entries.side[k], entries.raw[k], entries.said[k] = side, raw, said
    entries.share[k] = columns.sizes[book.column[k], said]
    entries.stop[k] = market.brackets[n, j, said] * point_3[1]
    entries.target[k] = market.brackets[n, j + 2, said] * point_3[2]


@njit(**INLINED)
def open_nb(
    market: Market, columns: Columns, book: Book, i: int, point_3: np.ndarray,
    conditions: Conditions, terms: Terms, log: Log,
) -> bool:  # fmt: skip
    """Exits at the open; whether any column enters, as `book.entries` then says."""
    own_KS, hand_KH, entries, enters = book.own, book.hand, book.entries, False
    for k in range(len(own_KS)):
        n, code = book.symbol[k], int(columns.codes[book.column[k], i])
        own, hand = own_KS[k], hand_KH[k]
        entries.side[k] = hand[INSIDE] = 0.0
        if code & ABSENT:
            if i == market.delisted[n]:
                hand[LIMIT_SIDE] = 0.0
                if own[POSITION] != 0.0:
                    exit_nb(
                        own, hand, conditions.costs[n], log.fills[k], i, book.mark[k], int(DELISTED)
                    )
            continue
        if hand[LIMIT_SIDE] != 0.0:
            rest_nb(hand, code & ~BY_SIGNAL if code & UNTRADED else code)
        if code & UNTRADED:
            continue
        first = market.prices[n, 0, i]
        if own[POSITION] != 0.0:
            side = 1.0 if own[POSITION] > 0.0 else -1.0
            is_due = 0 < terms.max_holding <= market.clock[n, i] - hand[SINCE]
            stop = own[STOP_LEVEL]
            if not side * first <= side * stop:
                take_profit_nb(
                    own, hand, conditions.costs[n], conditions.ladder, log.fills[k], i, first, True
                )
            if own[POSITION] != 0.0:
                reason = reason_at_open_nb(side, first, stop, code, is_due)
                if reason != NONE:
                    exit_nb(own, hand, conditions.costs[n], log.fills[k], i, first, reason)
                elif is_due:
                    hand[SINCE] = market.clock[n, i]
        if own[POSITION] == 0.0 and book.states[0, IS_BUST] == 0.0:
            enters |= signal_entry_nb(market, columns, book, k, i, code, point_3, conditions)
    return enters


@njit(**INLINED)
def limits_nb(market: Market, columns: Columns, book: Book, i: int, point_3: np.ndarray) -> bool:
    """Whether the bar trades through any limit that rests, as `book.entries` then says."""
    enters = False
    for k in range(len(book.own)):
        n, hand = book.symbol[k], book.hand[k]
        code, side = int(columns.codes[book.column[k], i]), hand[LIMIT_SIDE]
        book.entries.side[k] = 0.0
        if side == 0.0 or code & (ABSENT | UNTRADED):
            continue
        j = 2 if side > 0.0 else 1
        if not side * market.prices[n, j, i] < side * hand[LIMIT]:
            continue
        raw = hand[LIMIT]
        if market.starts.shape[1] > 0:
            begin = market.starts[n, i]
            for u in range(begin, market.starts[n, i + 1]):
                if side * market.detail[n, j, u] < side * raw:
                    if u > begin:
                        raw = side * min(side * raw, side * market.detail[n, 0, u])
                    hand[FIRST_DETAIL] = u - begin
                    break
        hand[LIMIT_SIDE], hand[INSIDE], enters = 0.0, 1.0, True
        book.entries.rests[k] = 1.0
        propose_nb(market, columns, book, k, side, raw, int(hand[LIMIT_SAID]), point_3)
    return enters


@njit(**BARE)
def raise_stop_nb(own: np.ndarray, level: float) -> None:
    """Move a stop in favour of the position, never back."""
    if own[POSITION] > 0.0:
        own[STOP_LEVEL] = max(own[STOP_LEVEL], level)
    else:
        own[STOP_LEVEL] = min(own[STOP_LEVEL], level)


@njit(**BARE)
def follow_nb(
    own: np.ndarray, hand: np.ndarray, costs: np.ndarray, trail: int, best: float
) -> None:
    """Move a stop by the extreme of a bar that is over."""
    side = 1.0 if own[POSITION] > 0.0 else -1.0
    if trail == BY_EXTREME:
        level = moved_nb(best, -side * hand[DISTANCE], costs)
        if side * level > side * own[STOP_LEVEL]:
            raise_stop_nb(own, level_nb(level, side, costs))
    if side * best >= side * hand[EVEN_AT]:
        raise_stop_nb(own, hand[EVEN])


@njit(**BARE)
def bracket_nb(
    own: np.ndarray, hand: np.ndarray, costs: np.ndarray, ladder_W2: np.ndarray,
    fills_OF: np.ndarray, i: int, prices: tuple[float, float, float], takes: bool, margin: float,
    best_first: bool,
) -> bool:  # fmt: skip
    """Stop and take-profits inside one bar, or one detail bar, of open, high and low.

    `margin` is the price at which the account is liquidated, minus `side` infinity where none is:
    whether that comes first.
    """
    side = 1.0 if own[POSITION] > 0.0 else -1.0
    first, high, low = prices
    worst, best = (low, high) if side > 0 else (high, low)
    stop = own[STOP_LEVEL]
    called = side * worst <= side * margin and not side * margin <= side * stop
    hit = called or side * worst <= side * stop
    profits = takes and side * best >= side * own[TARGET_LEVEL]
    beyond = side * first < side * stop
    if called:
        beyond = side * first <= side * margin
    own[AMBIGUOUS] += hit and profits and not beyond
    if profits and (not hit or (best_first and not beyond)):
        take_profit_nb(own, hand, costs, ladder_W2, fills_OF, i, best, False)
    if hit and own[POSITION] != 0.0 and not called:
        # A stop closer than the slippage is passed at the entry itself.
        reason = int(GAP_STOP) if beyond else int(STOP)
        exit_nb(own, hand, costs, fills_OF, i, first if beyond else stop, reason)
    return called and own[POSITION] != 0.0


@njit(**BARE)
def may_move_nb(
    own: np.ndarray, hand: np.ndarray, costs: np.ndarray, trail: int, best: float
) -> float:
    """Where the stop may get to inside a bar with this extreme."""
    side = 1.0 if own[POSITION] > 0.0 else -1.0
    level = side * own[STOP_LEVEL]
    if trail == BY_EXTREME:
        level = max(level, side * moved_nb(best, -side * hand[DISTANCE], costs))
    if side * best >= side * hand[EVEN_AT]:
        level = max(level, side * hand[EVEN])
    rounded: float = level_nb(side * level, side, costs)
    return rounded


@njit(**BARE)
def part_nb(
    book: Book, k: int, i: int, prices: tuple[float, float, float], takes: bool,
    conditions: Conditions, terms: Terms, log: Log,
) -> None:  # fmt: skip
    """What happens inside one bar or detail bar, the margin of an account of one symbol in it."""
    own, hand, costs = book.own[k], book.hand[k], conditions.costs[book.symbol[k]]
    ladder, fills = conditions.ladder, log.fills[k]
    side = 1.0 if own[POSITION] > 0.0 else -1.0
    margin = -side * np.inf
    for _ in range(2):  # what is left after a take-profit may last longer
        if len(book.own) == 1:
            margin = margin_price_nb(book, prices, conditions, terms)
        if not bracket_nb(
            own, hand, costs, ladder, fills, i, prices, takes, margin, conditions.best_first
        ):
            return
        takes = False
    book.at[0] = margin
    liquidate_nb(book, i, book.at, conditions, terms, log)


@njit(**BARE)
def margin_price_nb(
    book: Book, prices: tuple[float, float, float], conditions: Conditions, terms: Terms
) -> float:
    """Where the way to the worst price leaves an account of one symbol no more than its margin."""
    side = 1.0 if book.own[0, POSITION] > 0.0 else -1.0
    book.first[0], book.worst[0] = prices[0], prices[2] if side > 0 else prices[1]
    way = way_nb(book, book.first, book.worst, conditions, terms)
    if way > 1.0:
        return -side * np.inf
    margin: float = book.first[0] + way * (book.worst[0] - book.first[0])
    return margin


@njit(**BARE)
def detail_nb(
    detail_4U: np.ndarray, book: Book, k: int, i: int, inside: bool, conditions: Conditions,
    terms: Terms, log: Log,
) -> None:  # fmt: skip
    """A held position along the detail bars of one bar."""
    own, hand, costs = book.own[k], book.hand[k], conditions.costs[book.symbol[k]]
    side = 1.0 if own[POSITION] > 0.0 else -1.0
    begin = int(hand[FIRST_DETAIL]) if inside else 0
    for u in range(begin, detail_4U.shape[1]):
        first, high, low, last = detail_4U[0, u], detail_4U[1, u], detail_4U[2, u], detail_4U[3, u]
        fills = inside and u == begin
        if fills:
            first = own[ENTRY_PRICE]
        elif u > begin or inside:
            book.before[k], book.mark[k] = detail_4U[3, u - 1], first
            if len(book.own) == 1 and margin_nb(book, book.mark, conditions, terms) <= 0.0:
                over_nb(book, i, conditions, terms, log)
                return
            if side * first <= side * own[STOP_LEVEL]:
                exit_nb(own, hand, costs, log.fills[k], i, first, int(GAP_STOP))
                return
            take_profit_nb(own, hand, costs, conditions.ladder, log.fills[k], i, first, True)
        if own[POSITION] != 0.0:
            part_nb(book, k, i, (first, high, low), not fills, conditions, terms, log)
        if own[POSITION] == 0.0:
            return
        best = last if fills else high if side > 0 else low
        follow_nb(own, hand, costs, terms.trail, best)


@njit(**INLINED)
def inside_nb(
    market: Market, book: Book, k: int, i: int, conditions: Conditions, terms: Terms, log: Log
) -> None:
    """A held position inside its bar, along the detail bars where these may tell more."""
    own, hand, n = book.own[k], book.hand[k], book.symbol[k]
    costs = conditions.costs[n]
    side = 1.0 if own[POSITION] > 0.0 else -1.0
    first, high, low = market.prices[n, 0, i], market.prices[n, 1, i], market.prices[n, 2, i]
    worst, best = (low, high) if side > 0 else (high, low)
    stop, inside = own[STOP_LEVEL], hand[INSIDE] > 0.0
    begin = end = 0
    if market.starts.shape[1] > 0:
        begin, end = market.starts[n, i], market.starts[n, i + 1]
        if begin < end:
            stop = may_move_nb(own, hand, costs, terms.trail, best)
    called = len(book.own) == 1 and side * worst <= side * hand[GUARD]
    if called or side * worst <= side * stop or side * best >= side * own[TARGET_LEVEL]:
        if begin < end:
            detail_4U = market.detail[n, :, begin:end]
            detail_nb(detail_4U, book, k, i, inside, conditions, terms, log)
        else:
            first = own[ENTRY_PRICE] if inside else first
            part_nb(book, k, i, (first, high, low), not inside, conditions, terms, log)
    if own[POSITION] != 0.0 and conditions.moves:
        if begin == end:
            last = market.prices[n, 3, i]
            follow_nb(own, hand, costs, terms.trail, last if inside else best)
        elif not inside:  # where the detail was walked this moves nothing any more
            follow_nb(own, hand, costs, terms.trail, best)
        if terms.trail == BY_CLOSE:
            level = moved_nb(market.prices[n, 3, i], -side * hand[DISTANCE], costs)
            raise_stop_nb(own, level_nb(level, side, costs))


@njit(**INLINED)
def in_reach_nb(book: Book, price_K: np.ndarray) -> bool:
    """Whether these prices may leave no more than the margin; of several symbols that is open."""
    if len(book.own) > 1:
        return True
    side = 1.0 if book.own[0, POSITION] > 0.0 else -1.0
    reach: bool = side * price_K[0] <= side * book.hand[0, GUARD]
    return reach


@njit(**INLINED)
def held_open_nb(
    market: Market, columns: Columns, book: Book, i: int, conditions: Conditions, terms: Terms,
    log: Log,
) -> bool:  # fmt: skip
    """Marks at the open, what is owed since the bar before, and the margin; whether any is held."""
    own_KS, holds = book.own, False
    for k in range(len(own_KS)):
        holds |= own_KS[k, POSITION] != 0.0
        book.before[k], first = book.mark[k], market.prices[book.symbol[k], 0, i]
        if not np.isnan(first):
            book.mark[k] = first
    if holds:
        if conditions.borrows or market.funding.shape[1] > 0:
            charge_nb(market, book, i, conditions, terms, log)
        over = in_reach_nb(book, book.mark) and margin_nb(book, book.mark, conditions, terms) <= 0.0
        if over and trades_nb(columns, book, i):
            over_nb(book, i, conditions, terms, log)
    return holds


@njit(**INLINED)
def trades_nb(columns: Columns, book: Book, i: int) -> bool:
    """Whether anybody trades any of the symbols in this bar."""
    for k in range(len(book.own)):
        if not columns.codes[book.column[k], i] & (ABSENT | UNTRADED):
            return True
    return False


@njit(**BARE)
def over_nb(book: Book, i: int, conditions: Conditions, terms: Terms, log: Log) -> None:
    """Close all at the open, or where nothing would have been left on the way to it."""
    before_K, at_K, left = (
        book.before,
        book.mark,
        equity_after_nb(book, book.mark, conditions, terms),
    )
    if left <= 0.0 and equity_after_nb(book, before_K, conditions, terms) > 0.0:
        low, high = 0.0, 1.0
        at_K = book.at
        for _ in range(HALVINGS):
            way = 0.5 * (low + high)
            for k in range(len(before_K)):
                at_K[k] = before_K[k] + way * (book.mark[k] - before_K[k])
            if equity_after_nb(book, at_K, conditions, terms) > 0.0:
                low = way
            else:
                high = way
        for k in range(len(before_K)):
            at_K[k] = before_K[k] + high * (book.mark[k] - before_K[k])
    liquidate_nb(book, i, at_K, conditions, terms, log)


@njit(**BARE)
def equity_after_nb(book: Book, price_K: np.ndarray, conditions: Conditions, terms: Terms) -> float:
    """Equity once everything is closed at these prices."""
    left = 0.0
    for k in range(len(book.own)):
        own, costs = book.own[k], conditions.costs[book.symbol[k]]
        left += own[BASE] - (terms.init_cash if k > 0 else 0.0)
        if own[POSITION] != 0.0:
            side, units = (1.0 if own[POSITION] > 0.0 else -1.0), abs(own[POSITION])
            price = moved_nb(price_K[k], -side * book.hand[k, EXIT_SLIPPAGE], costs)
            left += own[POSITION] * (price - own[ENTRY_PRICE])
            left -= fee_nb(units, price, costs[TAKER], costs)
    return left


@njit(**INLINED)
def worst_nb(market: Market, columns: Columns, book: Book, i: int) -> None:
    """Every column's worst price inside the bar, its mark where it does not trade."""
    for k in range(len(book.own)):
        n, position = book.symbol[k], book.own[k, POSITION]
        book.worst[k] = book.mark[k]
        if position != 0.0 and not columns.codes[book.column[k], i] & (ABSENT | UNTRADED):
            book.worst[k] = market.prices[n, 2 if position > 0.0 else 1, i]


@njit(**BARE)
def survive_nb(
    market: Market, columns: Columns, book: Book, i: int, conditions: Conditions, terms: Terms,
    log: Log,
) -> None:  # fmt: skip
    """Stops and the margin of an account of several symbols, in the order of the way.

    In a bar whose worst prices pass the margin.
    """
    own_KS, worst_K, first_K = book.own, book.worst, book.first
    for k in range(len(own_KS)):
        first_K[k] = own_KS[k, ENTRY_PRICE] if book.hand[k, INSIDE] > 0.0 else book.mark[k]
    while True:
        worst_nb(market, columns, book, i)
        margin = way_nb(book, first_K, worst_K, conditions, terms)
        nearest, which = 2.0, -1
        for k in range(len(own_KS)):
            side = 1.0 if own_KS[k, POSITION] > 0.0 else -1.0
            stop, code = own_KS[k, STOP_LEVEL], columns.codes[book.column[k], i]
            if own_KS[k, POSITION] == 0.0 or code & (ABSENT | UNTRADED):
                continue
            if side * worst_K[k] <= side * stop:
                span = worst_K[k] - first_K[k]
                way = (stop - first_K[k]) / span if span != 0.0 else 0.0
                if way < nearest:
                    nearest, which = max(way, 0.0), k
        if which < 0 or nearest > margin:
            break
        n, own, hand = book.symbol[which], own_KS[which], book.hand[which]
        takes = hand[INSIDE] == 0.0
        prices = (first_K[which], market.prices[n, 1, i], market.prices[n, 2, i])
        never = -np.inf if own[POSITION] > 0.0 else np.inf
        bracket_nb(
            own, hand, conditions.costs[n], conditions.ladder, log.fills[which], i, prices,
            takes, never, conditions.best_first,
        )  # fmt: skip
    if margin <= 1.0:
        for k in range(len(own_KS)):
            book.at[k] = first_K[k] + margin * (worst_K[k] - first_K[k])
        liquidate_nb(book, i, book.at, conditions, terms, log)


@njit(**INLINED)
def close_nb(
    market: Market, columns: Columns, book: Book, i: int, conditions: Conditions, terms: Terms,
    log: Log,
) -> None:  # fmt: skip
    """What is held, inside the bar; then the marks are the closes."""
    own_KS = book.own
    worst_nb(market, columns, book, i)
    falls_short = len(own_KS) > 1 and margin_nb(book, book.worst, conditions, terms) <= 0.0
    if falls_short and trades_nb(columns, book, i):
        survive_nb(market, columns, book, i, conditions, terms, log)
    for k in range(len(own_KS)):
        code = int(columns.codes[book.column[k], i])
        if own_KS[k, POSITION] != 0.0 and not code & (ABSENT | UNTRADED):
            inside_nb(market, book, k, i, conditions, terms, log)
        if not code & ABSENT:
            book.mark[k] = market.prices[book.symbol[k], 3, i]


@njit(**INLINED)
def mark_nb(book: Book, i: int, terms: Terms, log: Log) -> bool:
    """Value, peak, drawdown and bars with a position of each column; whether there is any."""
    own_KS, holds, lead = book.own, False, len(book.value) - len(book.own)
    equity = 0.0
    for k in range(len(own_KS)):
        own = own_KS[k]
        value = value_nb(own, book.mark[k])
        equity += value - (terms.init_cash if k > 0 else 0.0)
        if value != book.value[lead + k]:
            book.value[lead + k] = value
            book.peak[k] = max(book.peak[k], value)
            own[DRAWDOWN] = min(own[DRAWDOWN], value / book.peak[k] - 1.0)
        if own[POSITION] != 0.0:
            holds = True
            own[BARS_HELD] += 1.0
        if len(log.equity) > 0:
            log.value[k, i], log.position[k, i] = value, own[POSITION]
            log.stop[k, i] = own[STOP_LEVEL] if own[POSITION] != 0.0 else np.nan
    book.value[0] = equity
    return holds


@njit(**BARE)
def finish_nb(book: Book) -> None:
    """Each column's outcome, and the account's as their sum."""
    states, lead = book.states, len(book.value) - len(book.own)
    states[0, EQUITY] = book.value[0]
    for k in range(len(book.own)):
        own = book.own[k]
        own[LAST_PRICE], own[EQUITY] = book.mark[k], book.value[lead + k]
        own[IS_BUST], own[EQUITY_SUM] = states[0, IS_BUST], states[0, EQUITY_SUM]
        if lead:
            for field in SUMMED:
                states[0, field] += own[field]
    if lead:
        states[0, BASE] = book.value[0]


@njit(**INLINED)
def pass_quiet_nb(
    market: Market, columns: Columns, book: Book, i: int, conditions: Conditions, terms: Terms,
    log: Log,
) -> int:  # fmt: skip
    """Pass the bars in which an account of one symbol places no order; the next that it may.

    It books what `mark_nb` and `end_day_nb` do, bit for bit, without a look at anything else.
    """
    own, hand, n, c = book.own[0], book.hand[0], book.symbol[0], book.column[0]
    prices, funding, position = market.prices[n], market.funding[n], own[POSITION]
    base, entry, mark, value = own[BASE], own[ENTRY_PRICE], book.mark[0], book.value[0]
    total, peak, drawdown, held = own[EQUITY_SUM], book.peak[0], own[DRAWDOWN], own[BARS_HELD]
    costs, trail, guard, target = conditions.costs[n], terms.trail, 0.0, 0.0
    side, acts = 1.0, ENTER_LONG | ENTER_SHORT
    if position != 0.0:
        side = 1.0 if position > 0.0 else -1.0
        acts = EXIT_LONG | ENTER_SHORT if position > 0.0 else EXIT_SHORT | ENTER_LONG
        acts |= LEAVE | UNTRADED
        guard = side * max(side * hand[GUARD], side * own[STOP_LEVEL])
        target = own[TARGET_LEVEL]
    while i < len(market.day_end):
        code = int(columns.codes[c, i])
        if code & acts:
            break
        if position != 0.0:
            if not code & ABSENT:
                worst, best = prices[2, i], prices[1, i]
                if position < 0.0:
                    worst, best = best, worst
                if side * worst <= side * guard or side * best >= side * target:
                    break
                if 0 < terms.max_holding <= market.clock[n, i] - hand[SINCE]:
                    break
                if len(funding) > 0 and funding[i] != 0.0:
                    break
                if conditions.moves and market.starts.shape[1] > 0:
                    reached = may_move_nb(own, hand, costs, trail, best)
                    if side * worst <= side * reached:
                        break
                mark = prices[3, i]
                if conditions.moves:
                    follow_nb(own, hand, costs, trail, best)
                    if trail == BY_CLOSE:
                        level = moved_nb(mark, -side * hand[DISTANCE], costs)
                        raise_stop_nb(own, level_nb(level, side, costs))
                    if side * own[STOP_LEVEL] > side * guard:
                        guard = own[STOP_LEVEL]
            now = base + position * (mark - entry)
            if now != value:
                value, peak = now, max(peak, now)
                drawdown = min(drawdown, value / peak - 1.0)
            held += 1.0
        total += value
        if len(log.equity) > 0:
            log.equity[i] = log.value[0, i] = value
            log.position[0, i] = position
            log.stop[0, i] = own[STOP_LEVEL] if position != 0.0 else np.nan
        if market.day_end[i]:
            book.value[0] = value
            end_day_nb(book.states, log.days, book.value)
        i += 1
    own[EQUITY_SUM], book.peak[0], own[DRAWDOWN], own[BARS_HELD] = total, peak, drawdown, held
    book.mark[0], book.value[0] = mark, value
    return i


@njit(**CACHED)
def walk_account_nb(
    market: Market, columns: Columns, a: int, point_3: np.ndarray, conditions: Conditions,
    terms: Terms, states: np.ndarray, log: Log,
) -> None:  # fmt: skip
    """Walk account `a`, all its columns on one cash; afterwards `states` (R, S) holds it.

    Of several symbols the first row is the account. Each other is a column's own: its value is the
    initial cash and the column's own profit, so that profits add up. Rows of columns that are not
    there stay 0.
    """
    book = begin_nb(columns, a, states, len(market.delisted) > 1, terms.init_cash)
    account, peak, lead = book.states[0], terms.init_cash, len(book.value) - len(book.own)
    holds, num = False, len(book.own)
    with_limits = not np.isnan(conditions.limit_offset)
    i = 0
    while i < len(market.day_end):
        speaks = holds
        for k in range(num):
            if not lead and book.hand[k, LIMIT_SIDE] == 0.0 and not conditions.borrows:
                i = pass_quiet_nb(market, columns, book, i, conditions, terms, log)
                if i == len(market.day_end):
                    break
            speaks |= columns.codes[book.column[k], i] & (ENTER_LONG | ENTER_SHORT) != 0
            speaks |= book.hand[k, LIMIT_SIDE] != 0.0
        if i == len(market.day_end):
            break
        if speaks:
            held_open_nb(market, columns, book, i, conditions, terms, log)
            enters = open_nb(market, columns, book, i, point_3, conditions, terms, log)
            for inside in range(1 + with_limits):
                if inside:
                    enters = limits_nb(market, columns, book, i, point_3)
                if enters:
                    enter_nb(market, book, i, point_3[0], conditions, terms, log)
            close_nb(market, columns, book, i, conditions, terms, log)
            holds = mark_nb(book, i, terms, log)
            if lead:
                peak = max(peak, book.value[0])
                account[DRAWDOWN] = min(account[DRAWDOWN], book.value[0] / peak - 1.0)
                account[BARS_HELD] += holds
        elif len(log.equity) > 0:
            for k in range(num):
                log.value[k, i], log.position[k, i] = book.value[lead + k], 0.0
                log.stop[k, i] = np.nan
        account[EQUITY_SUM] += book.value[0]
        if len(log.equity) > 0:
            log.equity[i] = book.value[0]
        if market.day_end[i]:
            end_day_nb(book.states, log.days, book.value)
        i += 1
    for k in range(num):  # the last close there was, of a column that held nothing too
        prices = market.prices[book.symbol[k], 3]
        for i in range(len(prices) - 1, -1, -1):
            if not np.isnan(prices[i]):
                book.mark[k] = prices[i]
                break
    finish_nb(book)


@njit(parallel=True, **CACHED)
def walk_account_cells_nb(
    market: Market, columns: Columns, cells: Cells, conditions: Conditions, terms: Terms,
    num_rows: int, days_RKD: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """The accounts of all cells side by side: states, float64 (P, R, S).

    `days_RKD`, (rows, R, D), receives daily returns.
    """
    num = columns.accounts.shape[1]
    states = np.zeros((len(cells.account), num_rows, NUM_STATE))
    for p in prange(len(cells.account)):
        fills, none = np.empty((num, 0, len(FILL_FIELDS))), np.empty((num, 0))
        r = cells.day_row[p]
        days = days_RKD[max(r, 0), : (num_rows if r >= 0 else 0)]
        log = Log(fills, np.empty(0), none, none, none, none, days)
        walk_account_nb(
            market, columns, cells.account[p], cells.points[p], conditions, terms, states[p], log
        )
    return states


@njit(**CACHED)
def enter_once_nb(
    market: Market, book: Book, risk: float, conditions: Conditions, terms: Terms, log: Log
) -> np.ndarray:
    """The entries of `book` at the first row, as the walk makes them at an open.

    What each loses when it is stopped at its level, float64 (K,).
    """
    enter_nb(market, book, 0, risk, conditions, terms, log)
    lost_K = np.zeros(len(book.own))
    for k in range(len(book.own)):
        own, costs = book.own[k], conditions.costs[book.symbol[k]]
        if book.entries.side[k] == 0.0 or own[POSITION] == 0.0:
            continue
        side, units = (1.0 if own[POSITION] > 0.0 else -1.0), abs(own[POSITION])
        back = moved_nb(max(own[STOP_LEVEL], 0.0), -side * book.hand[k, EXIT_SLIPPAGE], costs)
        fees = own[ENTRY_FEES] + fee_nb(units, back, costs[TAKER], costs)
        lost_K[k] = side * units * (own[ENTRY_PRICE] - back) + fees
    return lost_K
