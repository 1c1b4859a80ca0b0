"""Orders, trades and equity of chosen signal columns: every rule trades on one account.

The rule, bar by bar, is in `trading.kernel`; what goes in is checked in `trading.inputs`, and this
file names what comes out. The columns of one rule, one for each symbol, share its cash.
Dimensions: T bars, N symbols, C columns, A accounts (rules).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from convnext_vbt.market.bars import Bars
from convnext_vbt.trading import kernel
from convnext_vbt.trading.brackets import Brackets
from convnext_vbt.trading.codes import DIRECTIONS, REASONS, SIDES, STATUSES
from convnext_vbt.trading.conditions import conditions_of
from convnext_vbt.trading.inputs import (
    SimulationConfig,
    SizeType,
    check_inputs,
    check_stops,
    kernel_inputs,
    kernel_terms,
)
from convnext_vbt.trading.instruments import are_inverse
from convnext_vbt.trading.records import Walked, order_records, trade_records
from convnext_vbt.trading.signals import Rules
from convnext_vbt.trading.walk import record_accounts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Simulation:
    """What happened: every order and trade of each column, the accounts at every close."""

    index: pd.DatetimeIndex
    columns: pd.MultiIndex
    orders: np.ndarray
    """`ORDER_DTYPE` records by column, then time; `id` counts within the column."""
    trades: np.ndarray
    """`TRADE_DTYPE` records by column, then entry. Open ones are valued at the last close."""
    equity: np.ndarray
    """float64 (T, A): cash and positions at each close."""
    position: np.ndarray
    """float64 (T, C): units held at each close, negative when short."""
    stop: np.ndarray
    """float64 (T, C): each stop's level at each close, NaN where nothing is held."""
    value: np.ndarray
    """float64 (T, C): the initial cash and the column's own profit so far, at each close."""
    account: np.ndarray
    """int64 (C,): the account of each column; of one symbol, every column has its own."""
    funding: np.ndarray | None
    """float64 (T, C): funding paid at each bar's open, negative where received; None without."""
    init_cash: float
    """Of each account."""
    inverse: np.ndarray
    """bool (C,): of an inverse contract, whose orders and trades hold one over its prices, and its
    longs as shorts of the quote currency."""
    refused: np.ndarray
    """int64 (C,): entries that were signalled and not placed: under the least size or worth, or
    without room under the caps of the account."""
    ambiguous: np.ndarray
    """int64 (C,): exits in a bar that reached both the stop and a take-profit."""

    def __repr__(self) -> str:
        return (
            f"Simulation({len(self.index):,} bars, {len(self.columns)} column(s), "
            f"{len(self.trades):,} trades)"
        )

    def alone(self, column: int) -> Simulation:
        """One column, its equity as if the account had only that column's profit.

        Sizes stay those of the shared account, so that the profits of all columns add up.
        """
        only = slice(column, column + 1)
        orders, trades = (
            records[records["col"] == column].copy() for records in (self.orders, self.trades)
        )
        orders["col"] = trades["col"] = 0
        return replace(
            self,
            columns=self.columns[only],
            orders=orders,
            trades=trades,
            equity=self.value[:, only],
            position=self.position[:, only],
            stop=self.stop[:, only],
            value=self.value[:, only],
            account=np.zeros(1, dtype=np.int64),
            **{name: getattr(self, name)[only] for name in ("inverse", "refused", "ambiguous")},
            funding=None if self.funding is None else self.funding[:, only],
        )

    def orders_frame(self) -> pd.DataFrame:
        """One row an order: column levels, open time of the bar it filled in, side, size, costs."""
        records, over = self.orders, self.inverse[self.orders["col"]]
        side = np.where(over, 1 - records["side"], records["side"])
        return self._labelled(
            records["col"],
            {
                "timestamp": self.index[records["idx"]],
                "side": np.array(SIDES)[side],
                "size": records["size"],
                "price": _quoted(records["price"], over),
                "fees": records["fees"],
            },
        )

    def trades_frame(self) -> pd.DataFrame:
        """One row a trade: column levels, entry and exit, profit in money and as a fraction."""
        records, over = self.trades, self.inverse[self.trades["col"]]
        direction = np.where(over, 1 - records["direction"], records["direction"])
        return self._labelled(
            records["col"],
            {
                "entry": self.index[records["entry_idx"]],
                "exit": self.index[records["exit_idx"]],
                "direction": np.array(DIRECTIONS)[direction],
                "size": records["size"],
                "entry_price": _quoted(records["entry_price"], over),
                "exit_price": _quoted(records["exit_price"], over),
                **{
                    name: records[name]
                    for name in (
                        "entry_fees",
                        "exit_fees",
                        "pnl",
                        "return",
                        *(() if self.funding is None else ("funding",)),
                    )
                },
                "status": np.array(STATUSES)[records["status"]],
                "reason": np.array(REASONS)[records["reason"]],
                "capped": records["capped"],
            },
        )

    def _labelled(self, column: np.ndarray, values: dict[str, object]) -> pd.DataFrame:
        names = [str(name) for name in self.columns.names]
        labels = {
            name: self.columns.get_level_values(level).to_numpy()[column]
            for level, name in enumerate(names)
        }
        return pd.DataFrame({**labels, **values})


def _quoted(prices: np.ndarray, over: np.ndarray) -> np.ndarray:
    """Prices as they are quoted."""
    quoted = prices.copy()
    quoted[over] = 1.0 / prices[over]
    return quoted


def simulate_signals(
    bars: Bars,
    signals: Rules,
    brackets: Brackets,
    *,
    config: SimulationConfig | None = None,
    size_type: SizeType = "risk",
    best_first: bool = False,
) -> Simulation:
    """Every order, trade and equity value of the columns of `signals`, filled at the next open.

    Of bars of several symbols, the columns of one rule trade on one account: see
    `trading.kernel`. Their entries at one open are cut by one factor where all positions would
    pass max_leverage or, sized by risk, all open stops max_open_risk.

    `size_type` says what `config.risk` (times the row's size) is a share of: "risk", what a
    stopped trade loses of the equity; "notional", what the position is worth of the equity;
    "value", what it is worth of the initial cash, so that profits are not compounded. No position
    exceeds max_leverage x equity; a long also pays its fee from that, so it gets
    max_leverage / (1 + fees).

    The stop and take-profit fields of `config` are not read: `brackets` holds them. Where a bar
    reaches both, the stop came first; with `best_first` the take-profit did.

    Raises `ValueError` when index, symbols or shapes do not fit, and when sizing by risk meets an
    entry without a stop.
    """
    config = config or SimulationConfig()
    check_inputs(bars, signals, brackets, size_type)
    market, columns = kernel_inputs(bars, signals, brackets, config)
    terms = kernel_terms(config, brackets, size_type)
    check_stops(bars, brackets, market, columns, terms)
    conditions = conditions_of(config, bars, brackets, best_first=best_first)
    equity, made = record_accounts(market, columns, config.risk, terms, conditions)
    account = np.empty(len(columns.symbol), dtype=np.int64)
    account[columns.accounts[columns.accounts >= 0]] = np.nonzero(columns.accounts >= 0)[0]
    return Simulation(
        index=bars.index,
        columns=signals.columns,
        orders=np.concatenate([order_records(column.fills, c) for c, column in enumerate(made)]),
        trades=np.concatenate(
            [trade_records(column, c, len(bars) - 1) for c, column in enumerate(made)]
        ),
        equity=equity,
        position=np.column_stack([column.position for column in made]),
        stop=_levels(made, are_inverse(bars, config.instruments)[columns.symbol]),
        value=np.column_stack([column.value for column in made]),
        account=account,
        funding=None
        if not made[0].funding.size
        else np.column_stack([column.funding for column in made]),
        init_cash=float(config.init_cash),
        inverse=are_inverse(bars, config.instruments)[columns.symbol],
        refused=_counted(made, kernel.REFUSED),
        ambiguous=_counted(made, kernel.AMBIGUOUS),
    )


def _levels(made: list[Walked], over: np.ndarray) -> np.ndarray:
    levels = np.column_stack([column.stop for column in made])
    levels[:, over] = 1.0 / levels[:, over]
    return levels


def _counted(made: list[Walked], field: int) -> np.ndarray:
    return np.array([column.state[field] for column in made], dtype=np.int64)
