"""Native vectorbt portfolios: from the exact kernel's orders, or from vectorbt's own loop.

Dimensions: T bars, N symbols, C columns.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd
import vectorbt as vbt
from vectorbt.base.array_wrapper import ArrayWrapper
from vectorbt.portfolio.enums import log_dt

from convnext_vbt.market.bars import Bars
from convnext_vbt.trading.brackets import Brackets, fixed_brackets
from convnext_vbt.trading.signals import Signals
from convnext_vbt.trading.simulation import (
    Simulation,
    SimulationConfig,
    SizeType,
    check_inputs,
    simulate_signals,
)

Engine = Literal["exact", "vectorbt"]


def simulate(
    bars: Bars,
    signals: Signals,
    *,
    risk: float = 0.01,
    stop: float | pd.DataFrame | Brackets | None = None,
    take_profit: float | pd.DataFrame | None = None,
    fees: float = 0.0005,
    slippage: float = 0.0002,
    max_leverage: float = 1.0,
    max_holding: int | None = None,
    init_cash: float = 10_000.0,
    size_type: SizeType = "risk",
    engine: Engine = "exact",
) -> vbt.Portfolio:
    """Trade the signals, each column on an account of its own; a native `vbt.Portfolio`.

    A signal at bar t is filled at the open of t+1. `stop` and `take_profit` are fractions of the
    slipped fill price: numbers, (T, N) frames, or `Brackets` in `stop` for distances that differ
    by side. `risk` times the row's size is, by `size_type`, the share of equity that a stopped
    trade loses ("risk"), the share of equity that a position is worth ("notional"), or the share
    of the initial cash that it is worth ("value"). See `simulation.simulate_signals`.

    `engine="vectorbt"` hands the same arrays to `vbt.Portfolio.from_signals`. It places one order
    a column and bar, so a same-bar stop and re-entry loses one of the two, and a reversal is one
    order; it stamps signal orders with the signal's bar and values them there. It knows neither
    sizing on equity ("risk", "notional"), nor `max_holding`, nor leverage, and caps no short.

    Raises `ValueError` for inputs that do not fit, or that the engine cannot do.
    """
    if engine not in get_args(Engine):
        raise ValueError(f"engine must be one of {get_args(Engine)}, got {engine!r}")
    if isinstance(stop, Brackets):
        if take_profit is not None or max_holding is not None:
            raise ValueError(
                "Brackets hold take_profit and max_holding; set them there, not beside"
            )
        brackets = stop
    else:
        brackets = fixed_brackets(bars, stop=stop, take_profit=take_profit, max_holding=max_holding)
    config = SimulationConfig(
        risk=risk, fees=fees, slippage=slippage, max_leverage=max_leverage, init_cash=init_cash
    )
    if engine == "exact":
        done = simulate_signals(bars, signals, brackets, config=config, size_type=size_type)
        return to_portfolio(done, bars)
    check_inputs(bars, signals, brackets, size_type)
    _refuse_what_vectorbt_cannot(config, brackets, size_type)
    return _from_signals(bars, signals, brackets, config)


def to_portfolio(simulation: Simulation, bars: Bars) -> vbt.Portfolio:
    """The simulation's orders as a native `vbt.Portfolio`, one column an account.

    A missing bar is valued at the last close, as in the simulation, so the portfolio's close is
    filled forward there (and back before a symbol's first bar, when nothing can be held).

    Raises `ValueError` for bars other than those that were simulated.
    """
    if not simulation.index.equals(bars.index):
        raise ValueError(
            f"the simulation covers {len(simulation.index):,} bars from {simulation.index[0]}, the "
            f"bars are {len(bars):,} from {bars.index[0]}; pass the bars that were simulated"
        )
    close = _per_column(bars.frame("close").ffill().bfill(), simulation.columns)
    return vbt.Portfolio(
        ArrayWrapper.from_obj(close, freq=bars.step),
        close,
        simulation.orders,
        np.empty(0, dtype=log_dt),
        np.full(len(simulation.columns), simulation.init_cash),
        False,
    )


def _refuse_what_vectorbt_cannot(
    config: SimulationConfig, brackets: Brackets, size_type: SizeType
) -> None:
    if size_type != "value":
        raise ValueError(
            f"engine='vectorbt' cannot size on equity (size_type={size_type!r}): its percent is of "
            "cash and cannot reverse; use size_type='value', or engine='exact'"
        )
    if brackets.max_holding is not None:
        raise ValueError(
            f"engine='vectorbt' knows no max_holding, got {brackets.max_holding}; "
            "use engine='exact'"
        )
    if config.max_leverage != 1.0:
        raise ValueError(
            f"engine='vectorbt' buys with cash alone, got max_leverage={config.max_leverage:g}; "
            "use engine='exact'"
        )


def _from_signals(
    bars: Bars, signals: Signals, brackets: Brackets, config: SimulationConfig
) -> vbt.Portfolio:
    symbol_C = pd.Index(bars.symbols).get_indexer(signals.symbols)
    next_open = np.full(bars.open.shape, np.nan)
    next_open[:-1] = bars.open[1:]
    is_short = signals.short_entries
    fill = next_open[:, symbol_C] * np.where(is_short, 1 - config.slippage, 1 + config.slippage)

    def by_side(long_TN: np.ndarray, short_TN: np.ndarray) -> np.ndarray:
        return np.where(is_short, short_TN[:, symbol_C], long_TN[:, symbol_C])

    return vbt.Portfolio.from_signals(
        _per_column(bars.frame("close"), signals.columns),
        entries=signals.entries,
        exits=signals.exits,
        short_entries=signals.short_entries,
        short_exits=signals.short_exits,
        # units, not money: vectorbt would divide by the price before slippage
        size=config.risk * signals.size * config.init_cash / fill,
        size_type="amount",
        price=next_open[:, symbol_C],
        fees=config.fees,
        slippage=config.slippage,
        open=bars.open[:, symbol_C],
        high=bars.high[:, symbol_C],
        low=bars.low[:, symbol_C],
        sl_stop=by_side(brackets.stop_long, brackets.stop_short),
        tp_stop=by_side(brackets.take_profit_long, brackets.take_profit_short),
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
    )


def _per_column(frame: pd.DataFrame, columns: pd.MultiIndex) -> pd.DataFrame:
    return frame[columns.get_level_values("symbol")].set_axis(columns, axis=1)
