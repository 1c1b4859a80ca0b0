"""Orders, trades and equity of chosen signal columns: every rule trades on one account.

The rule, bar by bar, is in `trading.kernel`; this file checks what goes in and names what comes
out. The columns of one rule, one for each symbol, share its cash. Dimensions: T bars, N symbols,
C columns, A accounts (rules), K columns of one account.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    "delisted",
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
        ("funding", np.float64),
    ],
    align=True,
)
"""`pnl` is net of fees and of `funding`, which is positive where the trade paid it."""


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
    """Most that all positions together may be worth, in equities."""
    init_cash: float = 10_000.0
    """Money that each account starts with."""
    stop: float | None = None
    """Stop distance as a fraction of the fill price; none: the label's opposite barrier."""
    take_profit: float | None = None
    """Take-profit distance; none: the label's barrier, or no take-profit when `stop` is given."""
    max_holding: int | None = None
    """Bars held at most; none: the label's horizon, or no limit when `stop` is given."""
    max_open_risk: float = 0.06
    """Most that all open stops of an account of several symbols may lose together, as a share of
    its equity; entries beyond it are cut pro rata."""

    def __post_init__(self) -> None:
        if not 0 < self.risk <= 1:
            raise ValueError(f"risk must lie in (0, 1], got {self.risk}; 0.01 risks 1 % a trade")
        for name in ("fees", "slippage"):
            value = getattr(self, name)
            if not 0 <= value < 0.5:
                raise ValueError(f"{name} must lie in [0, 0.5), got {value}; 0.0005 is 5 bp")
        for name in ("max_leverage", "init_cash", "max_open_risk"):
            value = getattr(self, name)
            if not (value > 0 and np.isfinite(value)):
                raise ValueError(f"{name} must be positive and finite, got {value}")


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
    value: np.ndarray
    """float64 (T, C): the initial cash and the column's own profit so far, at each close."""
    account: np.ndarray
    """int64 (C,): the account of each column; of one symbol, every column has its own."""
    funding: np.ndarray | None
    """float64 (T, C): funding paid at each bar's open, negative where received; None without."""
    init_cash: float
    """Of each account."""

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
            value=self.value[:, only],
            account=np.zeros(1, dtype=np.int64),
            funding=None if self.funding is None else self.funding[:, only],
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


def simulate_signals(
    bars: Bars,
    signals: Signals,
    brackets: Brackets,
    *,
    config: SimulationConfig | None = None,
    size_type: SizeType = "risk",
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

    The stop and take-profit fields of `config` are not read: `brackets` holds them.

    Raises `ValueError` when index, symbols or shapes do not fit, and when sizing by risk meets an
    entry without a stop.
    """
    config = config or SimulationConfig()
    check_inputs(bars, signals, brackets, size_type)
    inputs = kernel_inputs(bars, signals, brackets)
    terms = kernel_terms(config, brackets, size_type)
    walk = _walk_alone if len(bars.symbols) == 1 else _walk_shared
    equity, made = walk(inputs, config.risk, terms)
    return Simulation(
        index=bars.index,
        columns=signals.columns,
        orders=np.concatenate([_order_records(column.fills, c) for c, column in enumerate(made)]),
        trades=np.concatenate(
            [_trade_records(column, c, len(bars) - 1) for c, column in enumerate(made)]
        ),
        equity=equity,
        position=np.column_stack([column.position for column in made]),
        value=np.column_stack([column.value for column in made]),
        account=inputs.account,
        funding=None
        if bars.funding is None
        else np.column_stack([column.funding for column in made]),
        init_cash=float(config.init_cash),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Column:
    """What the kernel wrote of one column."""

    fills: pd.DataFrame
    state: np.ndarray
    position: np.ndarray
    value: np.ndarray
    funding: np.ndarray


def _walk_alone(
    inputs: KernelInputs, risk: float, terms: kernel.Terms
) -> tuple[np.ndarray, list[_Column]]:
    """Each column on an account of its own: equity (T, C) and the columns."""
    num_columns, num_bars = inputs.codes.shape
    made = []
    for c in range(num_columns):
        n = inputs.symbols[c]
        fills = np.empty((_most_orders(inputs.codes[c]), len(kernel.FILL_FIELDS)))
        equity, position = np.empty(num_bars), np.empty(num_bars)
        funding = np.zeros(num_bars if inputs.funding.shape[1] else 0)
        state = np.empty(kernel.NUM_STATE)
        kernel.walk_nb(
            inputs.prices[n], inputs.funding[n], inputs.day_end, inputs.codes[c], inputs.sizes[c],
            inputs.brackets[n], risk, 1.0, 1.0, terms, state,
            kernel.Log(fills, equity, position, funding, np.empty(0)),
        )  # fmt: skip
        made.append(_column(fills, state, position, equity, funding))
    return np.column_stack([column.value for column in made]), made


def _walk_shared(
    inputs: KernelInputs, risk: float, terms: kernel.Terms
) -> tuple[np.ndarray, list[_Column]]:
    """The columns of each rule on one account: equity (T, A) and the columns."""
    num_columns, num_bars = inputs.codes.shape
    equity = np.empty((num_bars, len(inputs.account_columns)))
    made: dict[int, _Column] = {}
    for a, padded in enumerate(inputs.account_columns):
        columns = padded[padded >= 0]
        num = len(columns)
        most = max(_most_orders(inputs.codes[c]) for c in columns)
        log = kernel.SharedLog(
            np.empty((num, most, len(kernel.FILL_FIELDS))), np.empty(num_bars),
            np.empty((num, num_bars)), np.empty((num, num_bars)),
            np.zeros((num, num_bars if inputs.funding.shape[1] else 0)), np.empty((1 + num, 0)),
        )  # fmt: skip
        states = np.empty((1 + num, kernel.NUM_STATE))
        kernel.walk_shared_nb(
            inputs.prices, inputs.funding, inputs.final, inputs.day_end, inputs.codes,
            inputs.sizes, inputs.brackets, inputs.symbols, columns, risk, 1.0, 1.0, terms, states,
            log,
        )  # fmt: skip
        equity[:, a] = log.equity
        for k, c in enumerate(columns):
            made[int(c)] = _column(
                log.fills[k], states[1 + k], log.position[k], log.value[k], log.funding[k]
            )
    return equity, [made[c] for c in range(num_columns)]


def _column(
    fills: np.ndarray,
    state: np.ndarray,
    position: np.ndarray,
    value: np.ndarray,
    funding: np.ndarray,
) -> _Column:
    placed = fills[: int(state[kernel.ORDERS])]
    return _Column(
        fills=pd.DataFrame(placed, columns=list(kernel.FILL_FIELDS)),
        state=state,
        position=position,
        value=value,
        funding=funding,
    )


def _most_orders(codes: np.ndarray) -> int:
    """An entry needs a row that signals one, and has one exit at most."""
    return 2 * int(np.count_nonzero(codes & (kernel.ENTER_LONG | kernel.ENTER_SHORT)))


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
    funding: np.ndarray
    """float64 (N, T): the rate at each bar's open, 0 where none is due; (N, 0) without funding."""
    final: np.ndarray
    """int64 (N,): each symbol's last bar."""
    account: np.ndarray
    """int64 (C,): the column's account."""
    account_columns: np.ndarray
    """int64 (A, K): the columns of each account, then -1 where it has fewer."""


def kernel_inputs(bars: Bars, signals: Signals, brackets: Brackets) -> KernelInputs:
    """Everything that the kernel reads, transposed. A row without a bar says nothing."""
    symbols = _symbol_positions(bars, signals)
    account = _accounts(bars, signals)
    days = bars.index.normalize().asi8
    prices = (bars.open.T, bars.high.T, bars.low.T, bars.close.T)
    distances = (
        brackets.stop_long.T,
        brackets.stop_short.T,
        brackets.take_profit_long.T,
        brackets.take_profit_short.T,
    )
    return KernelInputs(
        prices=np.ascontiguousarray(np.stack(prices, axis=1)),
        day_end=np.append(days[1:] != days[:-1], True),
        codes=np.ascontiguousarray((signal_codes(signals) * bars.present[:, symbols]).T),
        sizes=np.array(signals.size.T, order="C"),  # not read-only: that would compile again
        brackets=np.ascontiguousarray(np.stack(distances, axis=1)),
        symbols=symbols,
        funding=np.zeros((len(bars.symbols), 0))
        if bars.funding is None
        else np.ascontiguousarray(np.nan_to_num(bars.funding.T)),
        final=len(bars) - 1 - bars.present[::-1].argmax(axis=0),
        account=account,
        account_columns=_account_columns(account),
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
        max_open_risk=float(config.max_open_risk),
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


def _accounts(bars: Bars, signals: Signals) -> np.ndarray:
    """The account of each column: one a rule, or one a column where there is a single symbol."""
    if len(bars.symbols) == 1 or not signals.rule_levels:
        count = len(signals.columns)
        return np.arange(count) if len(bars.symbols) == 1 else np.zeros(count, dtype=np.int64)
    codes: np.ndarray = signals.columns.droplevel("symbol").factorize()[0]
    return codes.astype(np.int64)


def _account_columns(account_C: np.ndarray) -> np.ndarray:
    lists = [np.flatnonzero(account_C == a) for a in range(int(account_C.max()) + 1)]
    padded = np.full((len(lists), max(map(len, lists))), -1)
    for row, columns in zip(padded, lists, strict=True):
        row[: len(columns)] = columns
    return padded


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


def _trade_records(made: _Column, column: int, last: int) -> np.ndarray:
    """Entries and exits take turns; an entry without an exit is valued at the last close."""
    fills, last_price = made.fills, made.state[kernel.LAST_PRICE]
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
        ("funding", "funding"),
    ):
        closed[name] = exits[field]
    closed["status"] = 1
    for still_open in records[len(exits) :]:
        still_open["exit_idx"], still_open["exit_price"] = last, last_price
        move = still_open["size"] * (last_price - still_open["entry_price"])
        still_open["funding"] = made.state[kernel.TRADE_FUNDING]
        paid = still_open["entry_fees"] + still_open["funding"]
        still_open["pnl"] = (-move if still_open["direction"] else move) - paid
    records["return"] = records["pnl"] / (records["size"] * records["entry_price"])
    return records
