"""The whole account in plain Python: one symbol or several on one cash, written from the rule.

Slow on purpose, with no code of the kernel: where two formulas would be fast, it searches. Dues,
liquidation, exits, entries, the way inside the bar, then the moves of the stop at its close: the
functions of `Account` stand in the order in which a bar walks through them.

A price is in quote money. What a unit is worth is its price, or of an inverse contract, whose
account is in the coin, one over its price. Units are contracts times the multiplier.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from .plain_market import (
    ENTER_LONG,
    ENTER_SHORT,
    EXIT_LONG,
    EXIT_SHORT,
    YEAR,
    Held,
    Order,
    Outcome,
    Prices,
    Resting,
    Step,
    Symbol,
    Terms,
    Trade,
    Wish,
    crossing,
    largest,
)


class Account:
    def __init__(self, symbols: list[Symbol], index: pd.DatetimeIndex, terms: Terms) -> None:
        self.symbols, self.index, self.terms = symbols, index, terms
        self.is_shared = len(symbols) > 1
        self.cash = terms.init_cash  # equity without what open positions have moved since entry
        self.is_bust = False
        self.out = Outcome()

    # Money -------------------------------------------------------------------------------------

    def fee(self, symbol: Symbol, units: float, price: float, *, is_maker: bool = False) -> float:
        one = symbol.instrument
        taker = self.terms.fees if one.taker is None else one.taker
        rate = taker if not is_maker or one.maker is None else one.maker
        per_unit = one.fee_per_contract / one.multiplier
        fee = symbol.worth(units, price) * rate + units * per_unit  # below 0: a rebate
        return float(max(one.min_fee, fee) if one.min_fee else fee)

    def slippage(self, symbol: Symbol, said: int, raw: float, units: float) -> float:
        """Share of the price; NaN where what it needs is not known."""
        one = symbol.instrument
        volume = symbol.volume[said] * one.multiplier  # it counts contracts
        share = self.terms.slippage if one.slippage is None else one.slippage
        share += one.half_spread / raw
        if one.volatility_slippage:
            share += one.volatility_slippage * symbol.sigma[said]
        if one.impact:
            if not volume > 0:
                return math.nan
            share += one.impact * symbol.sigma[said] * math.sqrt(units / volume)
        return float(share)

    def equity(self) -> float:
        total = self.cash
        for symbol in self.holders():
            held = symbol.held
            assert held
            total += symbol.gain(held.side, held.units, held.entry, symbol.mark)
        return total

    def holders(self) -> list[Symbol]:
        return [symbol for symbol in self.symbols if symbol.held]

    def leave(self, symbol: Symbol, i: int, raw: float, reason: str, units: float = 0.0) -> None:
        """Sell what is held, or so many units of it, at a raw price."""
        held = symbol.held
        assert held
        units = min(units, held.units) or held.units
        price = raw * (1 - held.side * held.slippage)
        fees = self.fee(symbol, units, price)
        gained = symbol.gain(held.side, units, held.entry, price)
        self.cash += gained - fees
        held.realised += gained
        held.sold += units * price
        held.units -= units
        trade = held.trade
        trade.exit_fees += fees
        self.out.orders.append(Order(symbol.name, i, -held.side, units, price, fees, reason))
        if held.units <= 1e-12 * trade.units:
            trade.exit_row, trade.reason = i, reason
            trade.exit_price = held.sold / trade.units
            trade.pnl = held.realised - trade.entry_fees - trade.exit_fees - trade.funding
            symbol.held = None
            self.out.counts["gap_stops"] += reason == "gap_stop"

    # The bar -----------------------------------------------------------------------------------

    def run(self) -> Outcome:
        for i in range(len(self.index)):
            here = [symbol for symbol in self.symbols if symbol.bars[i] is not None]
            for symbol in self.holders():
                if symbol.bars[i] is None and i == symbol.gone:
                    self.leave(symbol, i, symbol.mark, "delisted")
            self.row(i, here)
            self.out.equity.append(self.equity())
        last = len(self.index) - 1
        for symbol in self.holders():
            held = symbol.held
            assert held
            trade, open_gain = (
                held.trade,
                symbol.gain(held.side, held.units, held.entry, symbol.mark),
            )
            trade.exit_row = last
            trade.exit_price = (held.sold + held.units * symbol.mark) / trade.units
            trade.pnl = (
                held.realised + open_gain - trade.entry_fees - trade.exit_fees - trade.funding
            )
        return self.out

    def row(self, i: int, here: list[Symbol]) -> None:
        before_marks = {symbol.name: symbol.mark for symbol in self.symbols}
        said = {symbol.name: symbol.before for symbol in here}
        for symbol in here:
            symbol.mark = prices_of(symbol, i)[0]
        self.dues(i, here)
        fills = [symbol for symbol in here if not is_untraded(symbol, i)]
        if fills and not self.is_bust:
            self.liquidate_at_open(i, before_marks)
            for symbol in fills:
                if symbol.held:
                    self.exits_at_open(symbol, i, said[symbol.name])
            wishes = [
                wish for symbol in fills for wish in self.wishes(symbol, i, said[symbol.name])
            ]
            self.enter(i, wishes)
            if self.is_shared:
                self.inside_together(i, fills)
            else:
                self.inside_alone(i, fills[0])
        for symbol in here:
            symbol.mark, symbol.before = prices_of(symbol, i)[3], i
            symbol.has_traded |= symbol.volume[i] > 0
            if symbol.resting:
                symbol.resting.bars_left -= 1
                if symbol.resting.bars_left <= 0 or symbol.leave[i]:
                    symbol.resting = None

    def dues(self, i: int, here: list[Symbol]) -> None:
        """Funding, borrow and interest, all on what there was at the open before any of them."""
        total = sum(s.worth(s.held.units, s.mark) for s in self.symbols if s.held)
        debt = max(0.0, total - self.equity())
        for symbol in here:
            held, one = symbol.held, symbol.instrument
            if not held:
                continue
            years = (self.index[i] - self.index[symbol.before]) / YEAR
            worth = symbol.worth(held.units, symbol.mark)
            due = symbol.funding[i] * held.side * worth
            if held.side < 0:
                due += one.borrow * years * worth
            due += one.interest * years * debt * worth / total
            self.cash -= due
            held.trade.funding += due

    # Liquidation -------------------------------------------------------------------------------

    def levels(self, symbol: Symbol) -> tuple[float, float]:
        """Of the one symbol of an account: raw prices of its liquidation, and of nothing left."""
        held, margin = symbol.held, symbol.instrument.maintenance_margin
        assert held

        def over_margin(price: float) -> float:
            moved = symbol.gain(held.side, held.units, held.entry, price)
            return float(self.cash + moved - margin * symbol.worth(held.units, price))

        def left(price: float) -> float:
            fill = price * (1 - held.side * held.slippage)
            moved = symbol.gain(held.side, held.units, held.entry, fill)
            return self.cash + moved - self.fee(symbol, held.units, fill)

        called, broke = (crossing(f, held.entry, held.side) for f in (over_margin, left))
        return (max if held.side > 0 else min)(called, broke), broke

    def liquidate(self, symbol: Symbol, i: int, price: float, broke: float) -> None:
        held = symbol.held
        assert held
        is_bust = held.side * price <= held.side * broke
        self.leave(symbol, i, broke if is_bust else price, "bust" if is_bust else "liquidation")
        self.out.counts["liquidations"] += 1
        self.end(is_bust)

    def end(self, is_bust: bool) -> None:
        if is_bust:
            self.is_bust = True
            self.out.counts["bust"] = 1
            self.cash = max(self.cash, 0.0)  # what cost more than there was is owed to nobody
            for symbol in self.symbols:
                symbol.resting = None

    def liquidate_at_open(self, i: int, before: dict[str, float]) -> None:
        if not self.holders():
            return
        if self.is_shared:
            ends = {s.name: s.mark for s in self.symbols}
            self.liquidate_on_the_way(i, before, ends, is_gap=True)
            return
        symbol = self.symbols[0]
        assert symbol.held
        level, broke = self.levels(symbol)
        if symbol.held.side * symbol.mark <= symbol.held.side * level:
            self.liquidate(symbol, i, symbol.mark, broke)

    def liquidate_on_the_way(
        self, i: int, start: dict[str, float], end: dict[str, float], *, is_gap: bool
    ) -> None:
        """All that is held, as its prices go from `start` to `end` together.

        In a gap nothing fills on the way: liquidated is at the end of it, or, as the bankruptcy
        price of each, where nothing is left. That is the start where dues have taken all before.
        """
        at, called, broke = self.way_out(start, end)
        if called > 1.0:
            return
        if is_gap:
            called = 1.0
        is_bust, prices = broke <= called, at(min(broke, called))
        for symbol in self.holders():
            self.leave(symbol, i, prices[symbol.name], "bust" if is_bust else "liquidation")
            self.out.counts["liquidations"] += 1
        self.end(is_bust)

    def way_out(
        self, start: dict[str, float], end: dict[str, float]
    ) -> tuple[Callable[[float], dict[str, float]], float, float]:
        """Prices at a share of the way; the shares at which the account is liquidated, and at
        which nothing is left; inf where it comes through."""
        holders = self.holders()

        def at(way: float) -> dict[str, float]:
            return {s.name: s.on_the_way(start[s.name], end[s.name], way) for s in holders}

        def over_margin(way: float) -> float:
            prices, total = at(way), self.cash
            for symbol in holders:
                held, price = symbol.held, prices[symbol.name]
                assert held
                total += symbol.gain(held.side, held.units, held.entry, price)
                margin = symbol.instrument.maintenance_margin
                total -= margin * symbol.worth(held.units, price)
            return total

        def left(way: float) -> float:
            prices, total = at(way), self.cash
            for symbol in holders:
                held = symbol.held
                assert held
                fill = prices[symbol.name] * (1 - held.side * held.slippage)
                total += symbol.gain(held.side, held.units, held.entry, fill)
                total -= self.fee(symbol, held.units, fill)
            return total

        def first(value: Callable[[float], float]) -> float:
            if value(1.0) > 0:
                return math.inf
            over, under = 0.0, 1.0
            if value(over) <= 0:
                return over
            for _ in range(120):
                middle = (over + under) / 2
                over, under = (middle, under) if value(middle) > 0 else (over, middle)
            return under

        broke = first(left)
        return at, min(first(over_margin), broke), broke

    # At the open -------------------------------------------------------------------------------

    def exits_at_open(self, symbol: Symbol, i: int, said: int) -> None:
        held, price = symbol.held, symbol.mark
        assert held
        if self.gap(symbol, i, price):
            return
        code = symbol.codes[said]
        same, exit_, other = sided(held.side)
        is_due = (
            self.terms.max_holding is not None
            and symbol.slots[i] - held.clock >= self.terms.max_holding
        )
        if code & other:
            self.leave(symbol, i, price, "reverse")
        elif code & exit_:
            self.leave(symbol, i, price, "signal")
        elif symbol.leave[i]:
            self.leave(symbol, i, price, "leave")
        elif is_due and not code & same:
            self.leave(symbol, i, price, "max_holding")
        elif is_due:
            held.clock = symbol.slots[i]

    def gap(self, symbol: Symbol, i: int, price: float) -> bool:
        """An open beyond the stop, or beyond targets; whether nothing is held any more."""
        held = symbol.held
        assert held
        if held.side * price <= held.side * held.stop:
            self.leave(symbol, i, price, "gap_stop")
            return True
        while symbol.held and held.steps and held.side * price >= held.side * held.steps[0].level:
            self.take_step(symbol, i, price)
        return symbol.held is None

    def take_step(self, symbol: Symbol, i: int, price: float) -> None:
        held = symbol.held
        assert held
        step = held.steps.pop(0)
        held.due += step.share
        gone = held.trade.units - held.units
        units = symbol.whole_lots(held.due * held.trade.units - gone)
        units = held.units if step.is_last else min(units, held.units)
        if not step.is_last and symbol.is_too_small(units, price):
            return
        self.leave(symbol, i, price, "take_profit", units)

    def wishes(self, symbol: Symbol, i: int, said: int) -> list[Wish]:
        """What the symbol enters at this open; or its order is placed, cancelled, left resting."""
        price = symbol.mark
        code = symbol.codes[said] if said >= 0 else 0
        if symbol.held:
            return []
        resting = symbol.resting
        if resting:
            _, exit_, other = sided(resting.side)
            if symbol.leave[i] or code & (exit_ | other):
                symbol.resting = None
            elif resting.side * price < resting.side * resting.price:
                symbol.resting = None
                return [Wish(symbol, resting.side, resting.said, price, is_limit=True)]
            else:
                return []
        if symbol.leave[i] or not code & (ENTER_LONG | ENTER_SHORT):
            return []
        side = 1 if code & ENTER_LONG else -1
        if self.terms.limit_offset is None:
            return [Wish(symbol, side, said, price)]
        limit = prices_of(symbol, said)[3] * (1 - side * self.terms.limit_offset)
        limit = symbol.rounded(limit, -side)
        if side * price <= side * limit:
            return [Wish(symbol, side, said, price)]
        symbol.resting = Resting(side, limit, said, self.terms.limit_bars)
        return []

    # Entries -----------------------------------------------------------------------------------

    def fill_of(self, wish: Wish, units: float) -> tuple[float, float]:
        """The entry's price and the trade's share of slippage."""
        share = self.slippage(wish.symbol, wish.said, wish.raw, units)
        return wish.raw * (1 if wish.is_limit else 1 + wish.side * share), share

    def cost(self, wish: Wish, units: float) -> float:
        """What the leverage must carry: what it is worth, and a long's fee."""
        price, _ = self.fill_of(wish, units)
        worth = wish.symbol.worth(units, price)
        if wish.side > 0:
            worth += self.fee(wish.symbol, units, price, is_maker=wish.is_limit)
        return worth

    def loss(self, wish: Wish, units: float) -> float:
        """What it loses, all costs included, when it is stopped at its stop."""
        price, share = self.fill_of(wish, units)
        distance, _ = wish.symbol.distances(wish.side, wish.said)
        back = price * max(1 - wish.side * distance, 0.0) * (1 - wish.side * share)
        entry_fee = self.fee(wish.symbol, units, price, is_maker=wish.is_limit)
        if back == 0:  # a long that may lose all
            return wish.symbol.worth(units, price) + entry_fee + self.fee(wish.symbol, units, 0.0)
        return (
            entry_fee
            + self.fee(wish.symbol, units, back)
            - wish.symbol.gain(wish.side, units, price, back)
        )

    def full_size(self, wish: Wish, equity: float) -> float:
        """The most units that its stake and its own caps allow."""
        symbol, terms, one = wish.symbol, self.terms, wish.symbol.instrument
        stake = terms.risk * symbol.sizes[wish.said]
        stake *= terms.init_cash if terms.sizing == "value" else equity
        most = terms.max_leverage * equity
        if one.initial_margin is not None:
            most = min(most, equity / one.initial_margin)

        def allows(units: float) -> bool:
            price, _ = self.fill_of(wish, units)
            if terms.sizing == "risk":
                is_staked = self.loss(wish, units) <= stake
            else:
                is_staked = symbol.worth(units, price) <= stake
            has_volume = one.max_volume_share is None or (
                units <= one.max_volume_share * symbol.volume[wish.said] * one.multiplier
            )
            return is_staked and has_volume and self.cost(wish, units) <= most

        return largest(allows, equity / symbol.worth(1.0, wish.raw))

    def enter(self, i: int, wishes: list[Wish]) -> None:
        """Entries of one moment, sized on one equity and cut by one factor."""
        terms, equity = self.terms, self.equity()
        asked = []
        for wish in wishes:
            distance, _ = wish.symbol.distances(wish.side, wish.said)
            is_bare = terms.sizing == "risk" and math.isnan(distance)
            is_over = equity <= 1e-9 * terms.init_cash
            if wish.symbol.sizes[wish.said] == 0 or is_bare or is_over:
                continue
            wish.units = self.full_size(wish, equity)
            if wish.units > 0:
                asked.append(wish)
            else:
                self.out.counts["refused"] += 1
        factor = self.room(asked, equity) if self.is_shared else 1.0
        for wish in asked:
            wish.units *= factor
            is_dust = factor < 1 and (wish.symbol.worth(wish.units, wish.raw) < 1e-6 * equity)
            if is_dust or not self.open(wish, i, equity):
                self.out.counts["refused"] += 1

    def room(self, asked: list[Wish], equity: float) -> float:
        """The factor at which all that is asked fits beside what is held."""
        pairs = []
        gross = sum(s.worth(s.held.units, s.mark) for s in self.symbols if s.held)
        needed = sum(self.cost(wish, wish.units) for wish in asked)
        pairs.append((needed, self.terms.max_leverage * equity - gross))
        margin = sum(
            s.worth(s.held.units, s.mark) * (s.instrument.initial_margin or 0.0)
            for s in self.symbols
            if s.held
        )
        needed = sum(
            self.cost(wish, wish.units) * (wish.symbol.instrument.initial_margin or 0.0)
            for wish in asked
        )
        pairs.append((needed, equity - margin))
        if self.terms.sizing == "risk":
            needed = sum(self.loss(wish, wish.units) for wish in asked)
            at_risk = sum(self.at_risk(symbol) for symbol in self.holders())
            pairs.append((needed, self.terms.max_open_risk * equity - at_risk))
        return min(
            1.0 if needed <= 0 or needed <= room * (1 + 1e-12) else max(room, 0.0) / needed
            for needed, room in pairs
        )

    def at_risk(self, symbol: Symbol) -> float:
        """What a held position loses from its mark on when it is stopped."""
        held = symbol.held
        assert held
        back = max(held.stop, 0.0) * (1 - held.side * held.slippage)
        if back == 0:
            return symbol.worth(held.units, symbol.mark) + self.fee(symbol, held.units, 0.0)
        lost = -symbol.gain(held.side, held.units, symbol.mark, back)
        return max(0.0, lost + self.fee(symbol, held.units, back))

    def open(self, wish: Wish, i: int, equity: float) -> bool:
        """Whether there is an entry."""
        symbol, side, terms = wish.symbol, wish.side, self.terms
        units = symbol.whole_lots(wish.units)
        price, share = self.fill_of(wish, units)
        if not units > 0 or symbol.is_too_small(units, price) or math.isnan(share):
            return False
        distance, profit = symbol.distances(side, wish.said)
        stop = symbol.rounded(price * (1 - side * distance), side)
        if math.isnan(distance):
            stop = -side * math.inf
        elif symbol.instrument.tick and side * stop >= side * price:
            return False
        fees = self.fee(symbol, units, price, is_maker=wish.is_limit)
        self.cash -= fees
        allowed = math.inf
        if terms.sizing == "risk":
            allowed = terms.risk * symbol.sizes[wish.said] * equity
        trade = Trade(symbol.name, side, i, units, price, fees, allowed)
        self.out.trades.append(trade)
        self.out.orders.append(Order(symbol.name, i, side, units, price, fees, "entry"))
        ladder = terms.ladder or ((1.0, 1.0),)
        is_whole = sum(part for _, part in ladder) > 1 - 1e-9
        steps = [
            Step(
                symbol.rounded(price * (1 + side * multiple * profit), -side),
                part,
                is_whole and n == len(ladder) - 1,
            )
            for n, (multiple, part) in enumerate(ladder)
            if not math.isnan(profit)
        ]
        symbol.held = Held(
            side, units, price, share, distance, stop, steps, trade, clock=symbol.slots[i]
        )
        return True

    # Inside ------------------------------------------------------------------------------------

    def segments(self, symbol: Symbol, i: int) -> Sequence[Prices]:
        return symbol.detail[i] or [prices_of(symbol, i)]

    def limit_fill(self, symbol: Symbol, i: int) -> tuple[int, float] | None:
        """In which segment the resting order is filled, and at which price."""
        resting = symbol.resting
        if not resting:
            return None
        for k, (first, high, low, _) in enumerate(self.segments(symbol, i)):
            if k > 0 and resting.side * first < resting.side * resting.price:
                return k, first
            if resting.side * (low if resting.side > 0 else high) < resting.side * resting.price:
                return k, resting.price
        return None

    def fill_resting(self, i: int, symbols: list[Symbol]) -> dict[str, int]:
        """Resting orders that this bar fills, sized together; the segment of each."""
        found, wishes = {}, []
        for symbol in symbols:
            fill = self.limit_fill(symbol, i)
            if fill and symbol.resting:
                found[symbol.name] = fill[0]
                resting = symbol.resting
                wishes.append(Wish(symbol, resting.side, resting.said, fill[1], is_limit=True))
                symbol.resting = None
        self.enter(i, wishes)
        return found

    def inside_alone(self, i: int, symbol: Symbol) -> None:
        filled = self.fill_resting(i, [symbol]).get(symbol.name, -1)
        segments = self.segments(symbol, i)
        for k, segment in enumerate(segments):
            if symbol.held and k > max(filled, 0):
                self.segment_open(symbol, i, segment[0])
            if symbol.held and k >= filled:
                self.inside(symbol, i, segment, may_profit=k != filled, may_liquidate=True)
            if symbol.held and k >= filled:
                at_close = k == len(segments) - 1
                self.move_stop(symbol, segment, only_close=k == filled, at_close=at_close)

    def segment_open(self, symbol: Symbol, i: int, price: float) -> None:
        """The open of a detail bar: liquidation and brackets, no signals."""
        held = symbol.held
        assert held
        if not self.is_shared:
            level, broke = self.levels(symbol)
            if held.side * price <= held.side * level:
                self.liquidate(symbol, i, price, broke)
                return
        self.gap(symbol, i, price)

    def inside(
        self, symbol: Symbol, i: int, segment: Prices, *, may_profit: bool, may_liquidate: bool
    ) -> None:
        """The stop or the liquidation, whichever is nearer, then targets; or targets first."""
        held = symbol.held
        assert held
        side, (first, high, low, _) = held.side, segment
        worst, best = (low, high) if side > 0 else (high, low)
        if not may_profit:
            first = held.entry
        level, broke = self.levels(symbol) if may_liquidate else (-side * math.inf,) * 2
        nearest = (max if side > 0 else min)(held.stop, level)
        is_stopped = side * worst <= side * nearest
        is_gap = side * first < side * nearest
        profits = may_profit and bool(held.steps) and side * best >= side * held.steps[0].level
        if is_stopped and profits and not is_gap:
            self.out.counts["ambiguous"] += 1
            if self.terms.order == "best":
                is_stopped = False
        for turn in range(2):
            if is_stopped and symbol.held:
                if side * level > side * held.stop:
                    self.liquidate(symbol, i, first if is_gap else level, broke)
                elif is_gap:
                    self.leave(symbol, i, first, "gap_stop")
                else:
                    self.leave(symbol, i, held.stop, "stop")
            elif turn == 0 and profits:
                while symbol.held and held.steps and side * best >= side * held.steps[0].level:
                    self.take_step(symbol, i, held.steps[0].level)
                if symbol.held and may_liquidate:  # parts have left
                    level, broke = self.levels(symbol)
                    nearest = (max if side > 0 else min)(held.stop, level)
                is_stopped = side * worst <= side * nearest

    def inside_together(self, i: int, fills: list[Symbol]) -> None:
        """All that is held goes to its worst prices together: own stops and the account's
        liquidation come in the order of that way, then targets."""
        filled = self.fill_resting(i, fills)
        held_here = [symbol for symbol in fills if symbol.held]
        if self.falls_short(i, held_here, filled):
            while self.stop_on_the_way(i, held_here, filled):
                pass
            self.liquidate_on_the_way(i, *self.ways(i, held_here, filled), is_gap=False)
        for symbol in held_here:
            if symbol.held:
                may_profit = symbol.name not in filled
                segment = prices_of(symbol, i)
                self.inside(symbol, i, segment, may_profit=may_profit, may_liquidate=False)
            if symbol.held:
                self.move_stop(symbol, prices_of(symbol, i), only_close=symbol.name in filled)

    def ways(
        self, i: int, held_here: list[Symbol], filled: dict[str, int]
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Where the prices of all symbols start inside the bar, and their worst."""
        start = {symbol.name: symbol.mark for symbol in self.symbols}
        end = dict(start)
        for symbol in held_here:
            if symbol.held:
                end[symbol.name] = prices_of(symbol, i)[2 if symbol.held.side > 0 else 1]
                if symbol.name in filled:
                    start[symbol.name] = symbol.held.entry
        return start, end

    def falls_short(self, i: int, held_here: list[Symbol], filled: dict[str, int]) -> bool:
        if not self.holders():
            return False
        return self.way_out(*self.ways(i, held_here, filled))[1] <= 1.0

    def stop_on_the_way(self, i: int, held_here: list[Symbol], filled: dict[str, int]) -> bool:
        """The nearest own stop, if it comes before the account's liquidation."""
        start, end = self.ways(i, held_here, filled)
        found = []
        for symbol in held_here:
            held = symbol.held
            if held and held.side * end[symbol.name] <= held.side * held.stop:
                way = symbol.share_of_way(start[symbol.name], end[symbol.name], held.stop)
                found.append((max(way, 0.0), self.symbols.index(symbol), symbol))
        if not found:
            return False
        way, _, symbol = min(found)
        if way > self.way_out(start, end)[1]:
            return False
        may_profit = symbol.name not in filled
        self.inside(symbol, i, prices_of(symbol, i), may_profit=may_profit, may_liquidate=False)
        return True

    # At the close ------------------------------------------------------------------------------

    def move_stop(
        self, symbol: Symbol, segment: Prices, *, only_close: bool, at_close: bool = True
    ) -> None:
        """Trailing and break-even; from the bar of a fill inside it only the close is known to
        have come after. What trails by the close does so by that of the bar."""
        held, terms = symbol.held, self.terms
        assert held
        side, (_, high, low, close) = held.side, segment
        best = close if only_close else high if side > 0 else low
        if math.isnan(held.distance):
            return
        levels = [held.stop]
        if terms.trail == "extreme" or (terms.trail and at_close):
            top = close if terms.trail == "close" else best
            levels.append(symbol.rounded(top * (1 - side * held.distance), side))
        reached = held.entry * (1 + side * (terms.break_even or 0) * held.distance)
        if terms.break_even is not None and side * best >= side * reached:
            levels.append(symbol.rounded(self.break_even(symbol), side))
        held.stop = (max if side > 0 else min)(levels)

    def break_even(self, symbol: Symbol) -> float:
        """The raw price at which what was entered, closed there, makes nothing after its fees."""
        held = symbol.held
        assert held
        trade = held.trade

        def makes(price: float) -> float:
            fill = price * (1 - held.side * held.slippage)
            gained = symbol.gain(held.side, trade.units, held.entry, fill)
            return gained - self.fee(symbol, trade.units, fill) - trade.entry_fees

        level = crossing(makes, held.entry, held.side)
        return level if 0 < level < math.inf else held.stop


def sided(side: int) -> tuple[int, int, int]:
    """The codes that enter this side, leave it, and enter the other."""
    if side > 0:
        return ENTER_LONG, EXIT_LONG, ENTER_SHORT
    return ENTER_SHORT, EXIT_SHORT, ENTER_LONG


def prices_of(symbol: Symbol, i: int) -> Prices:
    prices = symbol.bars[i]
    assert prices
    return prices


def is_untraded(symbol: Symbol, i: int) -> bool:
    _, high, low, _ = prices_of(symbol, i)
    return symbol.volume[i] == 0 and high == low and symbol.has_traded


def plain_account(
    bars: Mapping[str, pd.DataFrame],
    codes: Mapping[str, Sequence[int]],
    sizes: Mapping[str, Sequence[float]],
    brackets: Mapping[str, Mapping[str, Sequence[float]]],
    instruments: Mapping[str, Any],
    terms: Terms,
    *,
    sigma: Mapping[str, Sequence[float]] | None = None,
    leave: Mapping[str, Sequence[bool]] | None = None,
    slots: Mapping[str, Sequence[int]] | None = None,
    detail: Mapping[str, Sequence[Sequence[Prices] | None]] | None = None,
    gone: Mapping[str, int] | None = None,
) -> Outcome:
    """Orders, trades, equity at every close and counts of one account.

    `bars` are frames on one index: open, high, low, close (NaN without a bar), volume and, where
    it is due, funding. `codes` and `sizes` are the rows' signals, `brackets` the distances
    stop_long, stop_short, take_profit_long, take_profit_short. Without `slots` there is a bar slot
    for each bar of the symbol's own.
    """
    symbols = []
    for name, frame in bars.items():
        rows = [
            None if math.isnan(row[0]) else (row[0], row[1], row[2], row[3])
            for row in frame[["open", "high", "low", "close"]].to_numpy(dtype=float).tolist()
        ]
        num = len(rows)
        rates = frame["funding"].fillna(0.0).tolist() if "funding" in frame else [0.0] * num
        own = pd.Series([row is not None for row in rows]).cumsum().tolist()
        symbols.append(
            Symbol(
                name,
                rows,
                frame["volume"].tolist(),
                rates,
                codes[name],
                sizes[name],
                brackets[name],
                instruments[name],
                sigma[name] if sigma else [math.nan] * num,
                leave[name] if leave else [False] * num,
                slots[name] if slots else own,
                (detail or {}).get(name) or [None] * num,
                (gone or {}).get(name, num),
            )
        )
    index = pd.DatetimeIndex(next(iter(bars.values())).index)
    return Account(symbols, index, terms).run()
