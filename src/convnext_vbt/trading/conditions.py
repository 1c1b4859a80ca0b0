"""What instruments and exits ask of an account, as `trading.broker` reads it.

Dimensions: T bars, N symbols.
"""

from __future__ import annotations

import math

import numpy as np

from convnext_vbt.market.bars import Bars
from convnext_vbt.market.volatility import ewma_volatility
from convnext_vbt.trading import broker, kernel
from convnext_vbt.trading.brackets import Brackets
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.instruments import (
    HALFLIFE,
    Instrument,
    check_instruments,
    instrument_of,
    needs_volatility,
)

NANOSECONDS_A_YEAR = 365 * 86_400 * 10**9


def conditions_of(
    config: SimulationConfig, bars: Bars, brackets: Brackets, *, best_first: bool = False
) -> broker.Conditions:
    """What the account of these bars has to keep.

    Raises `ValueError` for instruments that do not fit the bars.
    """
    check_instruments(bars, config.instruments)
    own = [instrument_of(config.instruments, symbol) for symbol in bars.symbols]
    costs = np.array([costs_of(one, config) for one in own])
    sigma = volume = np.zeros((len(own), 0))
    if any(needs_volatility(one) or one.max_volume_share for one in own):
        sigma, volume = _known(bars, brackets, own)
    return broker.Conditions(
        costs=costs,
        sigma=sigma,
        volume=volume,
        years=bars.index.asi8 / NANOSECONDS_A_YEAR,
        break_even=math.nan if config.break_even is None else float(config.break_even),
        ladder=np.array(config.take_profit_ladder, dtype=np.float64).reshape(-1, 2),
        limit_offset=math.nan if config.limit_offset is None else float(config.limit_offset),
        limit_bars=int(config.limit_bars),
        best_first=best_first,
        borrows=any(one.borrow or one.interest for one in own),
        moves=config.trail != "none" or config.break_even is not None,
    )


def costs_of(one: Instrument, config: SimulationConfig) -> np.ndarray:
    """An instrument's row of `broker.Conditions.costs`, in units of the underlying."""
    costs = np.zeros(kernel.NUM_COSTS)
    taker = config.fees if one.taker is None else one.taker
    costs[kernel.TICK] = one.tick or 0.0
    costs[kernel.LOT] = (one.lot or 0.0) * one.multiplier
    costs[kernel.MIN_NOTIONAL] = one.min_notional or 0.0
    costs[kernel.TAKER] = taker
    costs[kernel.MAKER] = taker if one.maker is None else one.maker
    costs[kernel.UNIT_FEE] = one.fee_per_contract / one.multiplier
    costs[kernel.MIN_FEE] = one.min_fee
    costs[kernel.SLIPPAGE] = config.slippage if one.slippage is None else one.slippage
    costs[kernel.HALF_SPREAD] = one.half_spread
    costs[kernel.VOLATILITY_SLIPPAGE] = one.volatility_slippage
    costs[kernel.IMPACT] = one.impact
    costs[kernel.VOLUME_SHARE] = one.max_volume_share or math.inf
    costs[kernel.BORROW] = one.borrow
    costs[kernel.INTEREST] = one.interest
    costs[kernel.LEVERAGE] = math.inf if one.initial_margin is None else 1.0 / one.initial_margin
    costs[kernel.MAINTENANCE] = one.maintenance_margin
    costs[kernel.IS_INVERSE] = one.inverse
    return costs


def _known(bars: Bars, brackets: Brackets, own: list[Instrument]) -> tuple[np.ndarray, np.ndarray]:
    """Volatility and volume in units, (N, T) each."""
    sigma = brackets.volatility
    if sigma is None:
        sigma = ewma_volatility(bars, halflife=HALFLIFE)
    volume = bars.volume.copy()
    for n, one in enumerate(own):
        volume[:, n] *= one.multiplier  # it counts contracts
    return np.ascontiguousarray(sigma.T), np.ascontiguousarray(volume.T)
