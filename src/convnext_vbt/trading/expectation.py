"""The brackets of a rule's trade, and what that trade is expected to return before its costs.

Dimensions: T bars, N symbols.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist
from typing import Literal, get_args

import numpy as np

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.volatility import ewma_volatility
from convnext_vbt.predictions import DOWN, UP, Predictions, Target
from convnext_vbt.trading.brackets import Brackets, barrier_width, fixed_brackets, target_brackets
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.instruments import HALFLIFE, instrument_of, needs_volatility

Exit = Literal["bracket", "edge"]
"""How a position ends: by its bracket and exit level, or when its expected return turns."""

TERMS = 40
"""Of the series of `exit_time`: they fall as n^-3."""
NEVER = 6.0
"""Deviations that a price does not move by."""


def round_trips(
    config: SimulationConfig, bars: Bars, *, halflife: float | None = None
) -> np.ndarray:
    """Costs of an entry and an exit at each bar, as a share of the position: float64 (T, N).

    2 x (fee + slippage) of each symbol's own, as far as they do not depend on the order's size: its
    share of the notional, the half-spread at that close, and what volatility (of this half-life in
    bars) adds. Neither a least fee, a fee by contract nor impact is in it.
    """
    out = np.empty(bars.close.shape)
    for n, symbol in enumerate(bars.symbols):
        own = instrument_of(config.instruments, symbol)
        fee = config.fees if own.taker is None else own.taker
        slippage = config.slippage if own.slippage is None else own.slippage
        out[:, n] = 2.0 * (fee + slippage)
        if own.half_spread:
            out[:, n] += 2.0 * own.half_spread / bars.close[:, n]
        if own.volatility_slippage:
            sigma = ewma_volatility(bars, halflife=halflife or HALFLIFE)[:, n]
            out[:, n] += 2.0 * own.volatility_slippage * sigma
    return out


def least_returns(min_edge: float | None, exits: Exit, round_trips: np.ndarray) -> np.ndarray:
    """Least gross return that must be expected of an entry, -inf where none is asked for, (T, N).

    A net return of `min_edge` round trips, that is (1 + min_edge) of them before costs. A position
    that ends when its expectation turns is not entered where it has turned already.
    """
    if min_edge is None:
        return np.full(round_trips.shape, 0.0 if exits == "edge" else -math.inf)
    return (1.0 + min_edge) * round_trips


def expected_returns(
    preds: Predictions,
    bars: Bars,
    config: SimulationConfig,
    *,
    exits: Exit = "bracket",
    history: Bars | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Gross return expected of a long and of a short that row t enters: float64 (T, N) each.

    The label's own trade is expected to return P(UP) x u - P(DOWN) x d for a long, and minus that
    for a short; STAY counts as zero. u and d are the barriers' distances at t (`target_brackets`).
    Of kind "fixed" they are the mean moves beyond the dead zone: of a normal with deviation
    w = sigma_t sqrt(horizon), w phi(k) / (1 - Phi(k)) for a dead zone of k w (inverse Mills ratio).

    A stop, take-profit or holding limit of the user's own makes a trade of another length, and by
    Wald's identity (Ann. Math. Stat. 15, 1944) a small drift earns in proportion to the time held.
    So the label's expectation is scaled by `exit_time` of the trade / that of the label; without
    take-profit and limit the trade is taken to last for the label's horizon. STAY as zero leaves
    out what moves that touch nothing drift: a tenth and more, so the expectation errs low.
    With exits = "edge" the trade lasts as long as the edge,
    of which the label knows its own time alone: nothing is scaled. Nor do a sweep's multiples of
    stop and take-profit scale anything: one expectation holds for all of them.

    NaN where there is no prediction or sigma is not known. Volatility is that of `history`, bars
    that end with `bars`, where it is given.

    Raises `ValueError` for predictions that do not say what they speak of.
    """
    target = preds.target
    if target is None:
        raise InputError(
            "min_edge and exit='edge' need to know what the probabilities speak of; give "
            "Predictions a target, such as convnext_vbt.predictions.Target(horizon=24), or leave "
            "both out"
        )
    source = bars if history is None else history
    width = barrier_width(source, target)
    long = short = np.ones_like(width)
    own = (config.stop, config.take_profit, config.max_holding)
    if exits == "bracket" and any(value is not None for value in own):
        long, short = _relative_times(width, rule_brackets(source, preds, config), target)
    up, down = _moves(target)
    proba = preds.proba.astype(np.float64)
    last = slice(len(source) - len(bars), None)
    move = width[last] * (proba[:, :, UP] * up - proba[:, :, DOWN] * down)
    return move * long[last], -move * short[last]


def _moves(target: Target) -> tuple[float, float]:
    """Mean move given UP and, downwards, given DOWN, in units of the barrier's width."""
    if target.kind == "barrier":
        return target.up, target.down
    normal = NormalDist()
    up, down = (normal.pdf(k) / normal.cdf(-k) for k in (target.up, target.down))
    return up, down


def _relative_times(
    width: np.ndarray, brackets: Brackets, target: Target
) -> tuple[np.ndarray, np.ndarray]:
    """How long a long and a short last, in times of the label's own trade, (T, N) each."""
    label = exit_time(target.down, target.up, 1.0) if target.kind == "barrier" else 1.0
    limit = math.inf if brackets.max_holding is None else brackets.max_holding / target.horizon

    def side(stop: np.ndarray, profit: np.ndarray) -> np.ndarray:
        time = exit_time(stop / width, profit / width, limit)
        return np.where(np.isinf(time), 1.0, time) / label

    return (
        side(brackets.stop_long, brackets.take_profit_long),
        side(brackets.stop_short, brackets.take_profit_short),
    )


def exit_time(
    stop: float | np.ndarray, profit: float | np.ndarray, limit: float
) -> float | np.ndarray:
    """Mean time in which a driftless Brownian motion leaves (-stop, profit), or `limit` if sooner.

    In horizons, the distances in sigma sqrt(horizon); a `profit` of NaN is never reached. Without a
    limit it is stop x profit; with one, the integral of the chance to be inside still (Borodin and
    Salminen, Handbook of Brownian Motion, II.1.15), with L = stop + profit and n odd:

        sum of 4 / (pi n) sin(pi n stop / L) (1 - exp(-k limit)) / k,   k = (pi n / L)^2 / 2
    """
    if math.isinf(limit):
        return np.where(np.isnan(profit), math.inf, np.multiply(stop, profit))
    profit = np.where(np.isnan(profit), NEVER * math.sqrt(limit), profit)
    length, time = stop + profit, np.zeros_like(profit)
    for n in range(1, 2 * TERMS, 2):
        k = (math.pi * n / length) ** 2 / 2.0
        inside = 4.0 / (math.pi * n) * np.sin(math.pi * n * stop / length)
        time += inside * (1.0 - np.exp(-k * limit)) / k
    return time


def check_exit(exits: Exit, config: SimulationConfig) -> None:
    """Raise `ValueError` for an unknown exit, and for limits or a ladder that nothing reads."""
    if exits not in get_args(Exit):
        raise InputError(f"exit must be one of {get_args(Exit)}, got {exits!r}")
    for name in ("take_profit", "max_holding"):
        value = getattr(config, name)
        if exits == "edge" and value is not None:
            raise InputError(
                f"{name} = {value} has no meaning with exit = 'edge', which holds while the edge "
                "lasts; leave it out or set exit = 'bracket'"
            )
    if config.take_profit_ladder and exits == "edge":
        raise InputError(
            "take_profit_ladder has no meaning with exit = 'edge', which has no take-profit; leave "
            "it out or set exit = 'bracket'"
        )


def check_ladder(brackets: Brackets) -> None:
    """Raise `ValueError` where there is no take-profit that a ladder could be steps of."""
    if all(np.isnan(own).all() for own in (brackets.take_profit_long, brackets.take_profit_short)):
        raise InputError(
            "take_profit_ladder has no meaning without a take-profit, whose multiples its steps "
            "are; set take_profit too"
        )


def rule_brackets(
    bars: Bars,
    preds: Predictions,
    config: SimulationConfig,
    *,
    exits: Exit = "bracket",
    assumed: Target | None = None,
) -> Brackets:
    """The brackets that `config` asks for: fixed distances, or the label's own.

    With exits = "edge" their stops alone. `assumed` stands in for a target that the predictions do
    not name. Raises `ValueError` when there is neither a stop nor a target, and for what
    `check_exit` and `check_ladder` refuse.
    """
    check_exit(exits, config)
    target = preds.target or assumed
    own = _bracket(bars, target, config)
    if target is not None and any(map(needs_volatility, config.instruments.values())):
        sigma = ewma_volatility(bars, halflife=target.halflife)
        own = replace(own, volatility=sigma)
    if config.take_profit_ladder:
        check_ladder(own)
    return own.stops_alone() if exits == "edge" else own


def _bracket(bars: Bars, target: Target | None, config: SimulationConfig) -> Brackets:
    if config.stop is not None:
        return fixed_brackets(
            bars, stop=config.stop, take_profit=config.take_profit, max_holding=config.max_holding
        )
    if target is None:
        raise InputError(
            "these predictions do not say what they speak of, so there are no barriers to trade "
            "by; give stop=0.03 or the like, or Predictions with target="
        )
    own = target_brackets(bars, target)
    if config.take_profit is not None:
        fixed = fixed_brackets(bars, take_profit=config.take_profit)
        own = replace(
            own,
            take_profit_long=fixed.take_profit_long,
            take_profit_short=fixed.take_profit_short,
        )
    return own if config.max_holding is None else replace(own, max_holding=config.max_holding)
