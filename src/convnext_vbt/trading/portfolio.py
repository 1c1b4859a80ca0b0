"""Native vectorbt portfolios: from the exact kernel's orders, or from vectorbt's own loop.

Dimensions: T bars, N symbols, C columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import vectorbt as vbt
from vectorbt.base.array_wrapper import ArrayWrapper
from vectorbt.portfolio.enums import log_dt, order_dt

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import Bars
from convnext_vbt.trading.brackets import Brackets, fixed_brackets
from convnext_vbt.trading.codes import CLOSED, SHORT
from convnext_vbt.trading.expectation import check_ladder
from convnext_vbt.trading.inputs import (
    TRADING_DEFAULTS,
    SimulationConfig,
    SizeType,
    Trail,
    account_columns,
    check_inputs,
)
from convnext_vbt.trading.instruments import Instrument
from convnext_vbt.trading.signals import Signals
from convnext_vbt.trading.simulation import Simulation, simulate_signals

Engine = Literal["exact", "vectorbt"]

YEAR = pd.Timedelta(days=365)
VECTORBT_YEAR = "365 days"
"""vectorbt's own setting, where nobody has chosen another one."""
DUST = 1e-9
"""Units of an order that stands for funding, and at most this much money."""


class MarketPortfolio(vbt.Portfolio):  # type: ignore[misc]  # vectorbt has no types
    """A portfolio whose figures are annualised by its market's own year.

    vectorbt counts a year of 365 days full of bars: 8,760 hours of a market that has 1,764 of them
    make six years one. `year_freq` can still be given to each method.
    """

    @property
    def year_freq(self) -> pd.Timedelta:
        """What the bars of a calendar year add up to: 365 days where none is missing.

        Or what `vbt.settings.returns` was set to.
        """
        index, step = self.wrapper.index, self.wrapper.freq
        chosen = vbt.settings.returns["year_freq"]
        if chosen != VECTORBT_YEAR:
            return pd.Timedelta(chosen)
        year: pd.Timedelta = YEAR * (len(index) * step / (index[-1] - index[0] + step))
        return year

    def get_returns_acc(  # by name, for vectorbt hands its settings to the names it finds
        self,
        group_by: Any = None,
        benchmark_rets: Any = None,
        freq: Any = None,
        year_freq: Any = None,
        **kwargs: Any,
    ) -> Any:
        """As of vectorbt, by the market's year unless another one is given."""
        year = self.year_freq if year_freq is None else year_freq
        return super().get_returns_acc(group_by, benchmark_rets, freq, year, **kwargs)

    @property
    def stats_defaults(self) -> dict[str, Any]:
        """As of vectorbt, by the market's year."""
        return self._by_market(super().stats_defaults)

    @property
    def plots_defaults(self) -> dict[str, Any]:
        """As of vectorbt, by the market's year."""
        return self._by_market(super().plots_defaults)

    def _by_market(self, defaults: dict[str, Any]) -> dict[str, Any]:
        return {**defaults, "settings": {**defaults["settings"], "year_freq": self.year_freq}}


def simulate(
    bars: Bars,
    signals: Signals,
    *,
    risk: float = TRADING_DEFAULTS.risk,
    stop: float | pd.DataFrame | Brackets | None = TRADING_DEFAULTS.stop,
    take_profit: float | pd.DataFrame | None = TRADING_DEFAULTS.take_profit,
    fees: float = TRADING_DEFAULTS.fees,
    slippage: float = TRADING_DEFAULTS.slippage,
    max_leverage: float = TRADING_DEFAULTS.max_leverage,
    max_open_risk: float = TRADING_DEFAULTS.max_open_risk,
    max_holding: int | None = TRADING_DEFAULTS.max_holding,
    init_cash: float = TRADING_DEFAULTS.init_cash,
    trail: Trail = TRADING_DEFAULTS.trail,
    break_even: float | None = TRADING_DEFAULTS.break_even,
    take_profit_ladder: tuple[tuple[float, float], ...] = TRADING_DEFAULTS.take_profit_ladder,
    leave_at: str | None = TRADING_DEFAULTS.leave_at,
    limit_offset: float | None = TRADING_DEFAULTS.limit_offset,
    limit_bars: int = TRADING_DEFAULTS.limit_bars,
    instruments: Mapping[str, Instrument] = TRADING_DEFAULTS.instruments,
    size_type: SizeType = "risk",
    engine: Engine = "exact",
) -> vbt.Portfolio:
    """Trade the signals, each rule on an account of its own; a native `vbt.Portfolio`.

    Of bars of several symbols the columns of one rule share its cash, and the portfolio is
    grouped by rule with `cash_sharing`: `max_leverage` and `max_open_risk` are what all its
    positions together may be worth and, sized by risk, may lose at their stops.

    A signal at bar t is filled at the open of the symbol's own next bar. `stop` and `take_profit`
    are fractions of the slipped fill price: numbers, (T, N) frames, or `Brackets` in `stop` for
    distances that differ by side. `risk` times the row's size is, by `size_type`, the share of
    equity that a stopped trade loses ("risk"), the share of equity that a position is worth
    ("notional"), or the share of the initial cash that it is worth ("value"). See
    `simulation.simulate_signals`, and `SimulationConfig` for the other keywords.

    `engine="vectorbt"` hands the same arrays to `vbt.Portfolio.from_signals`. It places one order
    a column and bar, so a same-bar stop and re-entry loses one of the two, and a reversal is one
    order; it stamps signal orders with the signal's bar and values them there. Where a bar opens
    beyond the take-profit it would still look at the stop first, so it is not shown that bar's way
    to the stop. It knows neither sizing on equity ("risk", "notional"), nor `max_holding`, nor
    leverage, nor funding, nor stops that move, ladders, times to leave, limit entries and
    instruments, and caps no short; symbols that share cash get what is left of it in the order of
    its own call sequence.

    Raises `ValueError` for inputs that do not fit, or that the engine cannot do.
    """
    if engine not in get_args(Engine):
        raise InputError(f"engine must be one of {get_args(Engine)}, got {engine!r}")
    if isinstance(stop, Brackets):
        if take_profit is not None or max_holding is not None:
            raise InputError(
                "Brackets hold take_profit and max_holding; set them there, not beside"
            )
        brackets = stop
    else:
        brackets = fixed_brackets(bars, stop=stop, take_profit=take_profit, max_holding=max_holding)
    config = SimulationConfig(
        risk=risk, fees=fees, slippage=slippage, max_leverage=max_leverage, init_cash=init_cash,
        max_open_risk=max_open_risk, trail=trail, break_even=break_even,
        take_profit_ladder=take_profit_ladder, leave_at=leave_at, limit_offset=limit_offset,
        limit_bars=limit_bars, instruments=instruments,
    )  # fmt: skip
    if config.take_profit_ladder:
        check_ladder(brackets)
    if engine == "exact":
        done = simulate_signals(bars, signals, brackets, config=config, size_type=size_type)
        return to_portfolio(done, bars)
    check_inputs(bars, signals, brackets, size_type)
    _refuse_what_vectorbt_cannot(config, brackets, size_type, funding=bars.funding is not None)
    return _from_signals(bars, signals, brackets, config)


def to_portfolio(simulation: Simulation, bars: Bars) -> vbt.Portfolio:
    """The simulation's orders as a native `vbt.Portfolio`, columns grouped where they share cash.

    vectorbt's orders hold no cash flow, so funding is an order of at most 1e-9 units that carries
    the amount in its fees, negative where it was received; the exit takes these units along.

    A missing bar is valued at the last close, as in the simulation, so the portfolio's close is
    filled forward there (and back before a symbol's first bar, when nothing can be held).

    Raises `ValueError` for bars other than those that were simulated.
    """
    if not simulation.index.equals(bars.index):
        raise InputError(
            f"the simulation covers {len(simulation.index):,} bars from {simulation.index[0]}, the "
            f"bars are {len(bars):,} from {bars.index[0]}; pass the bars that were simulated"
        )
    order = np.argsort(simulation.account, kind="stable")  # vectorbt's groups are neighbours
    columns = simulation.columns[order]
    close = _per_column(bars.frame("close").ffill().bfill(), columns)
    over = simulation.inverse[order]
    close.loc[:, over] = 1.0 / close.loc[:, over]  # an inverse contract's unit is worth that
    num_accounts = simulation.equity.shape[1]
    is_shared = num_accounts < len(columns)
    return MarketPortfolio(
        ArrayWrapper.from_obj(close, freq=bars.step, group_by=_groups(columns, is_shared)),
        close,
        _ordered(orders_with_funding(simulation, bars), order)[list(order_dt.names)].astype(
            order_dt
        ),
        np.empty(0, dtype=log_dt),
        np.full(num_accounts, simulation.init_cash),
        is_shared,
    )


def orders_with_funding(simulation: Simulation, bars: Bars) -> np.ndarray:
    """The orders with one more for each funding that was paid, by column, then time."""
    if simulation.funding is None or not simulation.funding.any():
        return simulation.orders
    column_of = pd.Index(bars.symbols).get_indexer(simulation.columns.get_level_values("symbol"))
    parts = []
    for c in range(len(simulation.columns)):
        orders = simulation.orders[simulation.orders["col"] == c].copy()
        trades = simulation.trades[simulation.trades["col"] == c]
        paid = np.flatnonzero(simulation.funding[:, c])
        price = bars.open[paid, column_of[c]]
        price = 1.0 / price if simulation.inverse[c] else price
        trade = np.searchsorted(trades["entry_idx"], paid) - 1  # held since an earlier bar
        flows = np.zeros(len(paid), dtype=orders.dtype)
        flows["col"], flows["idx"], flows["price"] = c, paid, price
        flows["size"] = DUST / np.maximum(price, 1.0)
        flows["fees"] = simulation.funding[paid, c]
        flows["side"] = trades["direction"][trade]
        closing = np.flatnonzero(trades["status"] == CLOSED)
        dust = np.bincount(trade, weights=flows["size"], minlength=len(trades))
        final = np.cumsum(1 + trades["exits"]) - 1
        orders["size"][final[closing]] += dust[closing]
        # At one open funding comes first: who is held then pays, whoever leaves there.
        joined = np.concatenate([flows, orders])
        joined = joined[np.argsort(joined["idx"], kind="stable")]
        joined["id"] = np.arange(len(joined))
        parts.append(joined)
    return np.concatenate(parts)


def _ordered(orders: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Records whose columns were put into this order."""
    place = np.argsort(order)
    moved = orders.copy()
    moved["col"] = place[orders["col"]]
    return moved[np.argsort(moved["col"], kind="stable")]


def _groups(columns: pd.MultiIndex, is_shared: bool) -> bool | str | list[str] | None:
    """What vectorbt groups by: the rule's levels, or all columns where there is one rule."""
    if not is_shared:
        return None
    names = [str(name) for name in columns.names[:-1]]
    return names[0] if len(names) == 1 else names or True


def _refuse_what_vectorbt_cannot(
    config: SimulationConfig, brackets: Brackets, size_type: SizeType, *, funding: bool
) -> None:
    if size_type != "value":
        raise InputError(
            f"engine='vectorbt' cannot size on equity (size_type={size_type!r}): its percent is of "
            "cash and cannot reverse; use size_type='value', or engine='exact'"
        )
    if brackets.max_holding is not None:
        raise InputError(
            f"engine='vectorbt' knows no max_holding, got {brackets.max_holding}; "
            "use engine='exact'"
        )
    if funding:
        raise InputError(
            "engine='vectorbt' books no funding, and these bars carry rates; use engine='exact'"
        )
    if config.max_leverage != 1.0:
        raise InputError(
            f"engine='vectorbt' buys with cash alone, got max_leverage={config.max_leverage:g}; "
            "use engine='exact'"
        )
    for name in _OURS_ALONE:
        value = getattr(config, name)
        if value != getattr(TRADING_DEFAULTS, name):
            raise InputError(
                f"engine='vectorbt' knows no {name}, got {value!r}; use engine='exact'"
            )


_OURS_ALONE = (
    "trail", "break_even", "take_profit_ladder", "leave_at", "limit_offset", "instruments",
)  # fmt: skip


def _from_signals(
    bars: Bars, signals: Signals, brackets: Brackets, config: SimulationConfig
) -> vbt.Portfolio:
    """The loop of vectorbt, again for each bar at whose open it has missed a take-profit.

    It checks the stop before the take-profit, and only a walk tells which levels are held. What is
    held at a bar does not depend on that bar, so the first such bar of each account is certain:
    the way from its open to the stop is taken out of its prices, and all is walked again.
    """
    is_shared = len(bars.symbols) > 1
    symbol_C = pd.Index(bars.symbols).get_indexer(signals.symbols)
    next_open = bars.frame("open").bfill().shift(-1).to_numpy()  # of the symbol's own next bar
    said = bars.present[:, symbol_C]  # a row without a bar says nothing
    is_short = signals.short_entries
    fill = next_open[:, symbol_C] * np.where(is_short, 1 - config.slippage, 1 + config.slippage)

    def by_side(long_TN: np.ndarray, short_TN: np.ndarray) -> np.ndarray:
        return np.where(is_short, short_TN[:, symbol_C], long_TN[:, symbol_C])

    stop = by_side(brackets.stop_long, brackets.stop_short)
    profit = by_side(brackets.take_profit_long, brackets.take_profit_short)
    accounts = account_columns(bars, signals)
    account = np.empty(len(symbol_C), dtype=np.int64)
    account[accounts[accounts >= 0]] = np.nonzero(accounts >= 0)[0]
    open_, high, low = (x[:, symbol_C] for x in (bars.open, bars.high, bars.low))  # copies
    while True:
        portfolio = MarketPortfolio.from_signals(
            _per_column(bars.frame("close"), signals.columns),
            entries=signals.entries & said,
            exits=signals.exits & said,
            short_entries=signals.short_entries & said,
            short_exits=signals.short_exits & said,
            # units, not money: vectorbt would divide by the price before slippage
            size=config.risk * signals.size * config.init_cash / fill,
            size_type="amount",
            price=next_open[:, symbol_C],
            fees=config.fees,
            slippage=config.slippage,
            open=open_,
            high=high.copy(),
            low=low.copy(),
            sl_stop=stop,
            tp_stop=profit,
            stop_entry_price="fillprice",
            stop_exit_price="stopmarket",
            upon_stop_exit="close",
            upon_long_conflict="ignore",
            upon_short_conflict="ignore",
            upon_dir_conflict="ignore",
            upon_opposite_entry="reverse",
            accumulate=False,
            init_cash=config.init_cash,
            freq=bars.step,
            group_by=_groups(signals.columns, is_shared),
            cash_sharing=is_shared,
            call_seq="auto" if is_shared else None,
        )
        rows, columns, sides = _missed_profits(portfolio, open_, high, low, stop, profit)
        if not len(rows):
            return portfolio
        first = np.full(len(accounts), len(bars))
        np.minimum.at(first, account[columns], rows)
        sure = rows == first[account[columns]]
        for worst, side in ((low, 1), (high, -1)):
            at = rows[sure & (sides == side)], columns[sure & (sides == side)]
            worst[at] = open_[at]


def _missed_profits(
    portfolio: vbt.Portfolio,
    open_TC: np.ndarray,
    high_TC: np.ndarray,
    low_TC: np.ndarray,
    stop_TC: np.ndarray,
    profit_TC: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and side of each trade stopped in a bar that opened beyond its take-profit."""
    orders, trades = portfolio.orders.values, portfolio.trades.values
    trades = trades[trades["status"] == CLOSED]
    rows, columns, entry_rows = trades["exit_idx"], trades["col"], trades["entry_idx"]
    sides = np.where(trades["direction"] == SHORT, -1, 1)
    # a trade's own price is a mean, and a mean is rounded
    place = orders["col"] * len(open_TC) + orders["idx"]
    by_place = np.argsort(place)
    key = columns * len(open_TC) + entry_rows
    entry = orders["price"][by_place[np.searchsorted(place, key, sorter=by_place)]]
    opened = open_TC[rows, columns]
    target = entry * (1 + sides * profit_TC[entry_rows, columns])
    level = entry * (1 - sides * stop_TC[entry_rows, columns])
    worst = np.where(sides > 0, low_TC[rows, columns], high_TC[rows, columns])
    missed = (sides * opened >= sides * target) & (sides * worst <= sides * level)
    return rows[missed], columns[missed], sides[missed]


def _per_column(frame: pd.DataFrame, columns: pd.MultiIndex) -> pd.DataFrame:
    return frame[columns.get_level_values("symbol")].set_axis(columns, axis=1)
