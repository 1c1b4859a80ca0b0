"""What a session's journal came to, beside its run's backtest on the same dates.

Dimensions: T closes, N symbols.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import DataError, FewTradesWarning, InputError, StillPriceWarning
from convnext_vbt.evidence.headline import headline_of
from convnext_vbt.live.clock import when
from convnext_vbt.live.entry import money_text
from convnext_vbt.live.fills import Fill, inverse_of, worth_of
from convnext_vbt.live.journal import Journal
from convnext_vbt.live.reconcile import Match, reconcile, summary, summary_lines
from convnext_vbt.live.shadow import orders_of
from convnext_vbt.live.transfers import Transfer, by_close, growth
from convnext_vbt.live.walk import Order
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.simulated import are_simulated
from convnext_vbt.report.live_page import Line, LiveView, Marks, Price, Table, write_live_page
from convnext_vbt.runs.directory import read_config
from convnext_vbt.runs.run import open_run
from convnext_vbt.runs.strategy import make_sweep

SHADOW, BACKTEST, REAL = "shadow account", "backtest", "real account"
STATES = ("matched", "other size", "missing", "extra")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Backtest:
    """The headline's account, on the dates of a session."""

    equity: pd.Series
    """At each close that both have."""
    orders: tuple[Order, ...]
    """Within those dates."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Review:
    """A journal read to its end."""

    run: str
    bars: Bars
    """As the session saw them."""
    equity: pd.Series
    """The shadow account's, at each close."""
    moved: np.ndarray
    """float64 (T,): money that came by each close since the one before."""
    transfers: tuple[Transfer, ...]
    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    matches: tuple[Match, ...]
    backtest: Backtest | None
    """None where no two closes are in both."""
    why_none: str
    begun: float
    """What the account began with."""
    closes: Table
    inverse: frozenset[str]
    """Symbols whose contract is inverse."""

    @property
    def growth(self) -> pd.Series:
        """Of 1 in the shadow account: a deposit is no gain."""
        grown = growth(self.equity.to_numpy(), self.moved, self.begun)
        return pd.Series(grown, index=self.equity.index)


def review(directory: str | Path, journal: Journal, *, lot: float | None = None) -> Review | None:
    """All that a journal has, reconciled and laid beside the backtest; None before two closes."""
    directory = Path(directory)
    equity = journal.equity()
    if len(equity) < 2:
        return None
    shadow = journal.shadow(read_config(directory).trading)
    bars, orders = shadow.bars(), journal.orders()
    begun = equity.index[0] + shadow.step
    fills = [fill for fill in journal.fills() if fill.time >= begun]
    inverse = inverse_of(bars.symbols, shadow.trading.instruments)
    backtest, why = backtest_of(directory, pd.DatetimeIndex(equity.index))
    return Review(
        run=directory.resolve().name,
        bars=bars,
        equity=equity,
        moved=journal.moved(),
        transfers=tuple(journal.transfers()),
        orders=tuple(orders),
        fills=tuple(fills),
        matches=tuple(reconcile(bars, orders, fills, lot=lot, inverse=inverse) if fills else ()),
        backtest=backtest,
        why_none=why,
        begun=float(shadow.trading.init_cash),
        closes=journal.closes_table(),
        inverse=inverse,
    )


def backtest_of(directory: Path, closes: pd.DatetimeIndex) -> tuple[Backtest | None, str]:
    """The run's headline where its dates and these overlap, or why there is none."""
    try:
        config, bars, predictions = open_run(directory)
    except (DataError, InputError, OSError) as error:
        return None, f"The backtest cannot be laid beside it: {error}."
    with warnings.catch_warnings():  # the run warned of them itself
        warnings.simplefilter("ignore", FewTradesWarning)
        warnings.simplefilter("ignore", StillPriceWarning)
        selection = headline_of(make_sweep(config, bars, predictions), config.preset).selection
    account = pd.Series(selection.account.equity, index=selection.account.index)
    common = account.index.intersection(closes)
    if len(common) < 2:
        return None, (
            f"The backtest covers {when(account.index[0])} to {when(account.index[-1])}, the "
            "session other dates; run the strategy again on the longer data to lay them together."
        )
    orders = [one for one in orders_of(selection.simulation) if common[0] <= one.bar <= common[-1]]
    return Backtest(equity=account[common], orders=tuple(orders)), ""


def write_review(
    directory: str | Path, journal: Journal, page: Path, *, lot: float | None = None
) -> list[str]:
    """Write the page of a journal that has two closes; what there is to say, in lines."""
    found = review(directory, journal, lot=lot)
    if found is None:
        return []
    write_live_page(view_of(found), page)
    return [*(summary_lines(found.matches) if found.fills else []), f"page: {page}"]


def view_of(found: Review) -> LiveView:
    """The page's content."""
    index = found.equity.index
    lines = [Line(name=SHADOW, times=_times(index), growth=found.growth.to_numpy())]
    difference = None
    if found.backtest is not None:
        common = found.backtest.equity.index
        theirs = (found.backtest.equity / found.backtest.equity.iloc[0]).to_numpy()
        start = float(found.growth[common[0]])
        ours = found.growth[common].to_numpy() / start
        lines.append(Line(name=BACKTEST, times=_times(common), growth=theirs * start))
        difference = Line(name=SHADOW, times=_times(common), growth=ours / theirs - 1.0)
    if found.fills:
        lines.append(Line(name=REAL, times=_times(index), growth=real_growth(found)))
    totals, matches = _reconciliation(found.matches) if found.fills else (None, None)
    return LiveView(
        run=found.run,
        title=f"Live over backtest: {found.run}",
        when=f"{len(index):,} closes from {when(index[0])} to {when(index[-1])}",
        sentences=tuple(sentences_of(found)),
        lines=tuple(lines),
        difference=difference,
        prices=tuple(_price(found, n) for n in range(len(found.bars.symbols))),
        totals=totals,
        matches=matches,
        closes=found.closes,
        is_simulated=are_simulated(found.bars.symbols),
    )


def sentences_of(found: Review) -> list[str]:
    """What the session came to, in words."""
    made = found.growth.iloc[-1] - 1.0
    begun, now = money_text(found.begun), money_text(float(found.equity.iloc[-1]))
    orders = f"after {len(found.orders):,} orders"
    said = [f"The shadow account began with {begun} and has {now}, {made:+.2%}, {orders}."]
    if found.moved.any():
        said.append(_moved_sentence(found.moved))
    backtest = found.backtest
    if backtest is None:
        said.append(found.why_none)
    else:
        common = backtest.equity.index
        ours = found.growth[common[-1]] / found.growth[common[0]] - 1.0
        theirs = backtest.equity.iloc[-1] / backtest.equity.iloc[0] - 1.0
        apart = ((1.0 + ours) / (1.0 + theirs) - 1.0) * 1e4
        kept = [one for one in found.orders if common[0] <= one.bar <= common[-1]]
        same = len({_place(one) for one in kept} & {_place(one) for one in backtest.orders})
        said.append(
            f"Over the {len(common):,} closes that both have it made {ours:+.2%} and the backtest "
            f"{theirs:+.2%}, {apart:+.1f} bp apart."
        )
        said.append(
            f"{same:,} of its {len(kept):,} orders there are the backtest's "
            f"{len(backtest.orders):,}: same bar, symbol and side. A session begins flat, where "
            "the backtest may have held a position."
        )
    if found.fills:
        real, grown = real_equity(found)[-1], real_growth(found)[-1]
        said.append(
            f"The real account has {money_text(real)}, {grown - 1.0:+.2%}, after "
            f"{len(found.fills):,} fill{'s' * (len(found.fills) != 1)}."
        )
    return said


def real_equity(found: Review) -> np.ndarray:
    """The real account's equity at each close, float64 (T,)."""
    bars, worth = found.bars, np.zeros(len(found.bars))
    ends = bars.index + bars.step
    cash = found.begun + np.cumsum(by_close(found.transfers, ends))
    close = pd.DataFrame(bars.close).ffill().to_numpy()
    for fill in found.fills:
        first = int(ends.searchsorted(fill.time, side="left"))
        is_inverse = fill.symbol in found.inverse
        cash[first:] += fill.cash(inverse=is_inverse)
        marks = close[first:, bars.symbols.index(fill.symbol)]
        worth[first:] += worth_of(fill.change, marks, inverse=is_inverse)
    return cash + worth


def real_growth(found: Review) -> np.ndarray:
    """Of 1 in the real account, float64 (T,): a deposit is no gain."""
    flows = by_close(found.transfers, found.bars.index + found.bars.step)
    return growth(real_equity(found), flows, found.begun)


def _moved_sentence(moved: np.ndarray) -> str:
    came, went = float(moved[moved > 0].sum()), float(-moved[moved < 0].sum())
    parts = [
        f"{money_text(money)} {word}"
        for money, word in ((came, "were deposited"), (went, "were withdrawn"))
        if money
    ]
    return f"{' and '.join(parts)} meanwhile, which is no return: each is of the money before it."


def _reconciliation(matches: Sequence[Match]) -> tuple[Table, Table]:
    found = summary(matches)
    totals = (
        (*(name.capitalize() for name in STATES), "Mean price worse, bp", "Cost"),
        [[*(f"{found[name]:,}" for name in STATES), _bp(found["worse_bp"]),
          _money(found["cost"])]],
    )  # fmt: skip
    heads = ("Bar, UTC", "Symbol", "Side", "State", "Shadow units", "Real units", "Fills",
             "Shadow price", "Real price", "Worse, bp", "Cost")  # fmt: skip
    rows = [
        (
            f"{one.bar:%Y-%m-%d %H:%M}", one.symbol, one.side, one.state,
            f"{one.shadow_units:.8g}", f"{one.units:.8g}", str(one.fills),
            _number(one.shadow_price), _number(one.price), _bp(one.worse_bp),
            _money(one.cost),
        )
        for one in matches
    ]  # fmt: skip
    return totals, (heads, rows)


def _price(found: Review, n: int) -> Price:
    name, backtest = found.bars.symbols[n], found.backtest
    of_orders: list[tuple[str, Sequence[Any]]] = [(SHADOW, found.orders)]
    if backtest is not None:
        of_orders.insert(0, (BACKTEST, backtest.orders))
    fills = [
        _marks(account, [(one.bar, one.price, one.side) for one in orders if one.symbol == name])
        for account, orders in of_orders
    ]
    if found.fills:
        own = [(one.time, one.price, one.side) for one in found.fills if one.symbol == name]
        fills.append(_marks(REAL, own))
    return Price(
        symbol=name,
        times=_times(found.bars.index),
        close=found.bars.close[:, n],
        fills=tuple(fills),
    )


def _marks(account: str, made: Sequence[tuple[pd.Timestamp, float, str]]) -> Marks:
    return Marks(
        name=account,
        times=_times(pd.DatetimeIndex([time for time, _, _ in made], tz="UTC")),
        prices=np.array([price for _, price, _ in made], dtype=np.float64),
        bought=np.array([side == "Buy" for _, _, side in made], dtype=np.bool_),
    )


def _times(index: pd.Index) -> np.ndarray:
    return np.asarray(pd.DatetimeIndex(index).tz_localize(None).to_numpy("datetime64[ms]"))


def _place(one: Order) -> tuple[pd.Timestamp, str, str, int]:
    return one.bar, one.symbol, one.side, one.number


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.8g}"


def _bp(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def _money(value: float | None) -> str:
    return "–" if value is None else money_text(value).replace("-", "−")
