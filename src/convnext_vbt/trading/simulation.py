"""Orders, trades and equity of chosen signal columns, each on an account of its own.

The rule, bar by bar, is in `trading.kernel`; this file checks what goes in and names what comes
out. Dimensions: T bars, N symbols, C columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from convnext_vbt.market.bars import Bars
from convnext_vbt.trading import kernel
from convnext_vbt.trading.brackets import Brackets, fixed_brackets, target_brackets
from convnext_vbt.trading.signals import Signals

__all__ = [
    "Brackets",
    "Simulation",
    "SimulationConfig",
    "fixed_brackets",
    "simulate_signals",
    "target_brackets",
]

SizeType = Literal["risk", "notional", "value"]
SIDES = ("Buy", "Sell")
DIRECTIONS = ("Long", "Short")
STATUSES = ("Open", "Closed")
REASONS = (
    "open", "signal", "reverse", "stop", "gap through stop", "take-profit", "max holding", "bust",
)  # fmt: skip

ORDER_DTYPE = np.dtype(
    [
        ("id", np.int64),
        ("col", np.int64),
        ("idx", np.int64),
        ("size", np.float64),
        ("price", np.float64),
        ("fees", np.float64),
        ("side", np.int64),
    ],
    align=True,
)
"""vectorbt's `order_dt`; side 0 buys, 1 sells."""

TRADE_DTYPE = np.dtype(
    [
        ("col", np.int64),
        ("entry_idx", np.int64),
        ("exit_idx", np.int64),
        ("direction", np.int64),
        ("size", np.float64),
        ("entry_price", np.float64),
        ("exit_price", np.float64),
        ("entry_fees", np.float64),
        ("exit_fees", np.float64),
        ("pnl", np.float64),
        ("return", np.float64),
        ("status", np.int64),
        ("reason", np.int64),
        ("capped", np.bool_),
    ],
    align=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationConfig:
    """Money and costs. `stop`, `take_profit` and `max_holding` default to the label's own."""

    risk: float = 0.01
    """Share of equity that a stopped trade of full size loses, costs included."""
    fees: float = 0.0005
    """Share of the traded notional, per order."""
    slippage: float = 0.0002
    """Share of the price that every fill is worse by."""
    max_leverage: float = 1.0
    """Most that a position may be worth, in equities."""
    init_cash: float = 10_000.0
    """Money that each column starts with."""
    stop: float | None = None
    """Stop distance as a fraction of the fill price; none: the label's opposite barrier."""
    take_profit: float | None = None
    """Take-profit distance; none: the label's barrier, or no take-profit when `stop` is given."""
    max_holding: int | None = None
    """Bars held at most; none: the label's horizon, or no limit when `stop` is given."""

    def __post_init__(self) -> None:
        if not 0 < self.risk <= 1:
            raise ValueError(f"risk must lie in (0, 1], got {self.risk}; 0.01 risks 1 % a trade")
        for name in ("fees", "slippage"):
            value = getattr(self, name)
            if not 0 <= value < 0.5:
                raise ValueError(f"{name} must lie in [0, 0.5), got {value}; 0.0005 is 5 bp")
        for name in ("max_leverage", "init_cash"):
            value = getattr(self, name)
            if not (value > 0 and np.isfinite(value)):
                raise ValueError(f"{name} must be positive and finite, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Simulation:
    """What happened in each column: every order, trade and the account at every close."""

    index: pd.DatetimeIndex
    columns: pd.MultiIndex
    orders: np.ndarray
    """`ORDER_DTYPE` records by column, then time; `id` counts within the column."""
    trades: np.ndarray
    """`TRADE_DTYPE` records by column, then entry. Open ones are valued at the last close."""
    equity: np.ndarray
    """float64 (T, C): cash and position at each close."""
    position: np.ndarray
    """float64 (T, C): units held at each close, negative when short."""
    init_cash: float

    def __repr__(self) -> str:
        return (
            f"Simulation({len(self.index):,} bars, {len(self.columns)} column(s), "
            f"{len(self.trades):,} trades)"
        )

    def orders_frame(self) -> pd.DataFrame:
        """One row an order: column levels, open time of the bar it filled in, side, size, costs."""
        records = self.orders
        return self._labelled(
            records["col"],
            {
                "timestamp": self.index[records["idx"]],
                "side": np.array(SIDES)[records["side"]],
                "size": records["size"],
                "price": records["price"],
                "fees": records["fees"],
            },
        )

    def trades_frame(self) -> pd.DataFrame:
        """One row a trade: column levels, entry and exit, profit in money and as a fraction."""
        records = self.trades
        return self._labelled(
            records["col"],
            {
                "entry": self.index[records["entry_idx"]],
                "exit": self.index[records["exit_idx"]],
                "direction": np.array(DIRECTIONS)[records["direction"]],
                **{
                    name: records[name]
                    for name in (
                        "size",
                        "entry_price",
                        "exit_price",
                        "entry_fees",
                        "exit_fees",
                        "pnl",
                        "return",
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


def simulate_signals(
    bars: Bars,
    signals: Signals,
    brackets: Brackets,
    *,
    config: SimulationConfig | None = None,
    size_type: SizeType = "risk",
) -> Simulation:
    """Every order, trade and equity value of each column of `signals`, filled at the next open.

    `size_type` says what `config.risk` (times the row's size) is a share of: "risk", what a
    stopped trade loses of the equity; "notional", what the position is worth of the equity;
    "value", what it is worth of the initial cash, so that profits are not compounded. No position
    exceeds max_leverage x equity; a long also pays its fee from that, so it gets
    max_leverage / (1 + fees).

    The stop and take-profit fields of `config` are not read: `brackets` holds them.

    Raises `ValueError` when index, symbols or shapes do not fit, and when sizing by risk meets an
    entry without a stop.
    """
    config = config or SimulationConfig()
    check_inputs(bars, signals, brackets, size_type)
    inputs = kernel_inputs(bars, signals, brackets)
    terms = kernel_terms(config, brackets, size_type)
    num_bars, num_columns = len(bars), len(signals.columns)
    equity = np.empty((num_columns, num_bars))
    position = np.empty((num_columns, num_bars))
    # A bar holds at most four orders: out at the open, in again, out at the stop; out when bust.
    fills = np.empty((4 * num_bars, len(kernel.FILL_FIELDS)))
    orders, trades = [], []
    for c in range(num_columns):
        n = inputs.symbols[c]
        account = np.empty(kernel.NUM_STATE)
        log = kernel.Log(fills, equity[c], position[c], np.empty(0))
        kernel.walk_nb(
            inputs.prices[n], inputs.day_end, inputs.codes[c], inputs.sizes[c], inputs.brackets[n],
            config.risk, 1.0, 1.0, terms, account, log,
        )  # fmt: skip
        made = pd.DataFrame(fills[: int(account[kernel.ORDERS])], columns=list(kernel.FILL_FIELDS))
        orders.append(_order_records(made, c))
        trades.append(_trade_records(made, c, len(bars) - 1, account[kernel.LAST_PRICE]))
    return Simulation(
        index=bars.index,
        columns=signals.columns,
        orders=np.concatenate(orders),
        trades=np.concatenate(trades),
        equity=np.ascontiguousarray(equity.T),
        position=np.ascontiguousarray(position.T),
        init_cash=float(config.init_cash),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KernelInputs:
    """The arrays of `trading.kernel`: time runs last, so that one account reads straight on."""

    prices: np.ndarray
    """float64 (N, 4, T): open, high, low, close."""
    day_end: np.ndarray
    """bool (T,): the last bar of its UTC day."""
    codes: np.ndarray
    """uint8 (C, T): the row's signals without conflicts, as bits."""
    sizes: np.ndarray
    """float64 (C, T)."""
    brackets: np.ndarray
    """float64 (N, 4, T): stop long, stop short, take-profit long, take-profit short."""
    symbols: np.ndarray
    """int64 (C,): the column's symbol."""


def kernel_inputs(bars: Bars, signals: Signals, brackets: Brackets) -> KernelInputs:
    """Everything that the kernel reads, transposed. A row without a bar says nothing."""
    symbols = _symbol_positions(bars, signals)
    days = bars.index.normalize().asi8
    prices = (bars.open.T, bars.high.T, bars.low.T, bars.close.T)
    distances = (
        brackets.stop_long.T,
        brackets.stop_short.T,
        brackets.take_profit_long.T,
        brackets.take_profit_short.T,
    )
    return KernelInputs(
        prices=np.stack(prices, axis=1),
        day_end=np.append(days[1:] != days[:-1], True),
        codes=np.ascontiguousarray((signal_codes(signals) * bars.present[:, symbols]).T),
        sizes=np.ascontiguousarray(signals.size.T),
        brackets=np.stack(distances, axis=1),
        symbols=symbols,
    )


def kernel_terms(config: SimulationConfig, brackets: Brackets, size_type: SizeType) -> kernel.Terms:
    """The scalars that all accounts share."""
    return kernel.Terms(
        sizing=get_args(SizeType).index(size_type),
        fees=float(config.fees),
        slippage=float(config.slippage),
        max_leverage=float(config.max_leverage),
        init_cash=float(config.init_cash),
        max_holding=brackets.max_holding or 0,
    )


def signal_codes(signals: Signals) -> np.ndarray:
    """The four levels as bits, uint8 (T, C), conflicts removed as vectorbt's "ignore" does.

    Entry and exit of one side on one row cancel each other; so do the entries of both sides.
    """
    long_clash = signals.entries & signals.exits
    short_clash = signals.short_entries & signals.short_exits
    enter_long, enter_short = signals.entries & ~long_clash, signals.short_entries & ~short_clash
    both = enter_long & enter_short
    bits = (
        (enter_long & ~both, kernel.ENTER_LONG),
        (signals.exits & ~long_clash, kernel.EXIT_LONG),
        (enter_short & ~both, kernel.ENTER_SHORT),
        (signals.short_exits & ~short_clash, kernel.EXIT_SHORT),
    )
    code = np.zeros(signals.size.shape, dtype=np.uint8)
    for level, bit in bits:
        code |= level * np.uint8(bit)
    return code


def check_inputs(bars: Bars, signals: Signals, brackets: Brackets, size_type: SizeType) -> None:
    """Raise `ValueError` unless the four belong together."""
    if size_type not in get_args(SizeType):
        raise ValueError(f"size_type must be one of {get_args(SizeType)}, got {size_type!r}")
    if not signals.index.equals(bars.index):
        raise ValueError(
            f"signals cover {len(signals.index):,} bars from {signals.index[0]}, the bars are "
            f"{len(bars):,} from {bars.index[0]}; give both the same index"
        )
    strangers = signals.symbols.difference(pd.Index(bars.symbols))
    if len(strangers):
        raise ValueError(f"signals of {list(strangers)}, but the bars hold {list(bars.symbols)}")
    if brackets.stop_long.shape != bars.close.shape:
        raise ValueError(
            f"brackets have shape {brackets.stop_long.shape}, the bars {bars.close.shape}"
        )
    if size_type == "risk":
        _check_stops(bars, signals, brackets)


def _check_stops(bars: Bars, signals: Signals, brackets: Brackets) -> None:
    symbols = _symbol_positions(bars, signals)
    staked = (signals.size > 0) & bars.present[:, symbols]
    bare = signals.entries & staked & np.isnan(brackets.stop_long)[:, symbols]
    bare |= signals.short_entries & staked & np.isnan(brackets.stop_short)[:, symbols]
    if bare.any():
        row = int(bare.any(axis=1).argmax())
        raise ValueError(
            f"{int(bare.sum())} entries have no stop (first at {bars.index[row]}), and sizing by "
            "risk divides by the loss at the stop; give stop=0.03 or the like, or use "
            "size_type='notional'"
        )


def _symbol_positions(bars: Bars, signals: Signals) -> np.ndarray:
    return pd.Index(bars.symbols).get_indexer(signals.symbols).astype(np.int64)


def _order_records(fills: pd.DataFrame, column: int) -> np.ndarray:
    records = np.zeros(len(fills), dtype=ORDER_DTYPE)
    records["id"] = np.arange(len(fills))
    records["col"] = column
    for name in ("idx", "size", "price", "fees"):
        records[name] = fills[name]
    records["side"] = fills["side"] < 0
    return records


def _trade_records(fills: pd.DataFrame, column: int, last: int, last_price: float) -> np.ndarray:
    """Entries and exits take turns; an entry without an exit is valued at the last close."""
    entries, exits = fills.iloc[0::2], fills.iloc[1::2]
    records = np.zeros(len(entries), dtype=TRADE_DTYPE)
    records["col"] = column
    records["direction"] = entries["side"] < 0
    for name, field in (
        ("entry_idx", "idx"),
        ("size", "size"),
        ("entry_price", "price"),
        ("entry_fees", "fees"),
        ("capped", "capped"),
    ):
        records[name] = entries[field]
    closed = records[: len(exits)]
    for name, field in (
        ("exit_idx", "idx"),
        ("exit_price", "price"),
        ("exit_fees", "fees"),
        ("reason", "reason"),
        ("pnl", "pnl"),
    ):
        closed[name] = exits[field]
    closed["status"] = 1
    for still_open in records[len(exits) :]:
        still_open["exit_idx"], still_open["exit_price"] = last, last_price
        move = still_open["size"] * (last_price - still_open["entry_price"])
        still_open["pnl"] = (-move if still_open["direction"] else move) - still_open["entry_fees"]
    records["return"] = records["pnl"] / (records["size"] * records["entry_price"])
    return records
