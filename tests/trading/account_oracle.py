"""One account of many symbols in plain Python: slow, and written from the rule alone."""

import itertools
import math
from dataclasses import dataclass, field


@dataclass
class Held:
    side: int
    units: float
    entry: float
    stop: float
    target: float
    since: int
    """The hour of its entry, or when its time began anew."""


@dataclass
class Market:
    """Rows of one symbol: prices (open, high, low, close) or None, and what was signalled."""

    prices: list
    signals: list  # (enter long, exit long, enter short, exit short, size) or None
    stop_long: list
    stop_short: list
    profit_long: list
    profit_short: list
    funding: list


@dataclass
class Account:
    markets: list
    risk: float
    fees: float
    slippage: float
    leverage: float
    open_risk: float
    cash: float  # with what shorts brought in
    sizing: str = "risk"
    max_holding: int | None = None
    held: dict = field(default_factory=dict)
    orders: list = field(default_factory=list)  # (symbol, bar, side, units, price, fees)
    paid: list = field(default_factory=list)  # (symbol, bar, funding)
    equity: list = field(default_factory=list)
    marks: dict = field(default_factory=dict)

    def __post_init__(self):
        self.first_cash, self.bust = self.cash, False

    def fill(self, n, i, side, units, raw):
        price = raw * (1 + side * self.slippage)
        fees = units * price * self.fees
        self.cash -= side * units * price + fees
        self.orders.append((n, i, side, units, price, fees))
        return price

    def close(self, n, i, raw):
        position = self.held.pop(n)
        self.fill(n, i, -position.side, position.units, raw)

    def worth(self):
        return self.cash + sum(p.side * p.units * self.marks[n] for n, p in self.held.items())

    def at_open(self, n, i, price, said):
        position = self.held[n]
        side = position.side
        rate = self.markets[n].funding[i]
        if rate:
            self.cash -= rate * side * position.units * price
            self.paid.append((n, i, rate * side * position.units * price))
        enter, leave, other, _ = said[:4] if side > 0 else (said[2], said[3], said[0], said[1])
        due = self.max_holding is not None and i - position.since >= self.max_holding
        beyond = side * price <= side * position.stop or side * price >= side * position.target
        if beyond or other or leave or (due and not enter):
            self.close(n, i, price)
        elif due:
            position.since = i

    def loss(self, side, distance):
        """Of one unit of money, stopped at that distance, all costs in it."""
        back = max(1 - side * distance, 0) * (1 - side * self.slippage)
        return side * (1 - back) + self.fees + self.fees * back

    def at_risk(self, n):
        position = self.held[n]
        back = max(position.stop, 0) * (1 - position.side * self.slippage)
        lost = position.side * (self.marks[n] - back) + self.fees * back
        return max(position.units * lost, 0)

    def enter(self, i, wishes):
        """`wishes`: (symbol, side, size, price, stop distance, profit distance)."""
        equity = self.worth()
        wanted = {}
        for n, side, size, _, stop, _ in wishes:
            if self.sizing == "risk":
                money = self.risk * size * equity / self.loss(side, stop)
            else:
                money = (
                    self.risk * size * (equity if self.sizing == "notional" else self.first_cash)
                )
            most = self.leverage * equity / (1 + self.fees if side > 0 else 1)
            wanted[n] = min(money, most)
        sides = {n: side for n, side, *_ in wishes}
        stops = {n: stop for n, _, _, _, stop, _ in wishes}
        gross = sum(p.units * self.marks[n] for n, p in self.held.items())
        asked = sum(m * (1 + self.fees if sides[n] > 0 else 1) for n, m in wanted.items())
        factor = 1.0
        if asked > 0 and asked > self.leverage * equity - gross:
            factor = max(self.leverage * equity - gross, 0) / asked
        if self.sizing == "risk":
            open_risk = sum(self.at_risk(n) for n in self.held)
            asked = sum(m * self.loss(sides[n], stops[n]) for n, m in wanted.items())
            if asked > 0 and asked > self.open_risk * equity - open_risk:
                factor = min(factor, max(self.open_risk * equity - open_risk, 0) / asked)
        for n, side, size, price, stop, profit in wishes:
            if size == 0 or (factor < 1 and wanted[n] * factor < 1e-6 * equity):
                continue
            units = wanted[n] * factor / (price * (1 + side * self.slippage))
            filled = self.fill(n, i, side, units, price)
            self.held[n] = Held(
                side,
                units,
                filled,
                filled * (1 - side * stop),
                filled * (1 + side * profit),
                i,
            )

    def inside(self, n, i, prices):
        position = self.held[n]
        first, high, low, _ = prices
        worst, best = (low, high) if position.side > 0 else (high, low)
        if position.side * worst <= position.side * position.stop:
            beyond = position.side * first < position.side * position.stop
            self.close(n, i, first if beyond else position.stop)
        elif position.side * best >= position.side * position.target:
            self.close(n, i, position.target)

    def is_gone(self, n, i):
        """No bar ever again, and one is late by more than any was that came; rows are hours."""
        here = [row for row, price in enumerate(self.markets[n].prices) if price is not None]
        longest = max((b - a for a, b in itertools.pairwise(here)), default=1)
        return i >= here[-1] + longest and i > here[-1]

    def run(self):
        num_bars = len(self.markets[0].prices)
        last = {}  # what each symbol's bar before said
        for i in range(num_bars):
            here = [n for n, market in enumerate(self.markets) if market.prices[i] is not None]
            wishes = []
            for n in list(self.held):
                if self.is_gone(n, i):
                    self.close(n, i, self.marks[n])  # delisted
            for n in here:
                market = self.markets[n]
                self.marks[n] = market.prices[i][0]
            for n in here:
                market = self.markets[n]
                price = market.prices[i][0]
                before = last.get(n)
                last[n] = i
                said = (False,) * 4 + (0.0,) if before is None else market.signals[before]
                if n in self.held:
                    self.at_open(n, i, price, said)
                if n not in self.held and not self.bust and (said[0] or said[2]):
                    side = 1 if said[0] else -1
                    stop, profit = (
                        (market.stop_long[before], market.profit_long[before])
                        if side > 0
                        else (market.stop_short[before], market.profit_short[before])
                    )
                    wishes.append((n, side, said[4], price, stop, profit))
            if wishes:
                self.enter(i, wishes)
            for n in here:
                prices = self.markets[n].prices[i]
                self.marks[n] = prices[3]
                if n in self.held:
                    self.inside(n, i, prices)
            if self.worth() <= 0 and not self.bust:
                self.bust = True
                for n in list(self.held):
                    self.close(n, i, self.marks[n])
            self.equity.append(self.worth())
        return self


def read(bars, signals, brackets, config, sizing):
    """The oracle of what `simulate_signals` is given, one rule."""
    from convnext_vbt.trading import kernel

    codes, markets = signals.packed()[0].T, []
    for c, symbol in enumerate(signals.symbols):
        n = bars.symbols.index(symbol)
        rows = range(len(bars))
        here = bars.present[:, n]
        markets.append(
            Market(
                prices=[
                    tuple(float(getattr(bars, f)[t, n]) for f in ("open", "high", "low", "close"))
                    if here[t]
                    else None
                    for t in rows
                ],
                signals=[
                    (
                        *(bool(codes[t, c] & bit) for bit in (
                            kernel.ENTER_LONG, kernel.EXIT_LONG,
                            kernel.ENTER_SHORT, kernel.EXIT_SHORT,
                        )),
                        float(signals.size[t, c]),
                    )
                    if here[t]
                    else None
                    for t in rows
                ],
                stop_long=brackets.stop_long[:, n].tolist(),
                stop_short=brackets.stop_short[:, n].tolist(),
                profit_long=brackets.take_profit_long[:, n].tolist(),
                profit_short=brackets.take_profit_short[:, n].tolist(),
                funding=[
                    0.0 if bars.funding is None or math.isnan(bars.funding[t, n])
                    else float(bars.funding[t, n])
                    for t in rows
                ],
            )
        )  # fmt: skip
    return Account(
        markets=markets,
        risk=config.risk,
        fees=config.fees,
        slippage=config.slippage,
        leverage=config.max_leverage,
        open_risk=config.max_open_risk,
        cash=config.init_cash,
        sizing=sizing,
        max_holding=brackets.max_holding,
    ).run()
