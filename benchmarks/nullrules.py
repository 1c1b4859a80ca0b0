"""What is traded in `benchmarks.nulls`.

A rule says at the close of each bar what is wanted from the next open on, by the bars up to that
close and by coins of its own. Only `told` looks ahead, on purpose: it measures power.
Dimension: T bars.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from benchmarks.judging import ROOT, varied
from benchmarks.nullmarkets import FALLING, RISING
from convnext_vbt.evidence.selection import Preset
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.volatility import ewma_volatility
from convnext_vbt.predictions import QUANTILE_LEVELS, Predictions, Split, Target
from convnext_vbt.runs.config import Config, load_config
from convnext_vbt.runs.run import walk_forward
from convnext_vbt.runs.strategy import make_sweep
from convnext_vbt.trading.signals import Signals
from convnext_vbt.trading.sweep import SweepResult, sweep

COSTS = {"default costs": {}, "no costs": {"fees": 0.0, "slippage": 0.0}}
"""Arguments of a simulation, which are also keys of [trading]."""

DAY, WEEK = 24, 168
SPLITS, SPLIT_BARS = 8, 1_460
"""Test ranges at the end of the market: 1.33 years."""
CALM = 0.003
"""Hourly volatility at which a position of 1 / volatility is worth the whole equity."""
FAR = 0.9
"""A stop that is never touched; with as much at risk, size 1 is the whole equity."""

TOKEN, TOKEN_HOURS = 0.05, 3
"""Size of the token short, as a share of the long's, and how long it is held."""
TIGHT, WIDE = 0.006, 0.035
BRACKET_HOURS = 48

SKILL = {(2.5, True): 0.27, (2.5, False): 0.345, (8.0, True): 0.86, (7.0, False): 2.0}
"""What `told` must know for this mean net Sharpe ratio, by whether it sells short: on seeds 1-20,
none of which is reported. Without shorts hardly more than 7 can be had."""
TOLD_THRESHOLDS = ("q0.50", "q0.70", "q0.80", "q0.90")


class Strategy(Protocol):
    """Something to judge."""

    preset: Preset

    def sweep(self, bars: Bars, costs: str) -> SweepResult:
        """Traded at these of the `COSTS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruled:
    """Signals of one's own."""

    signals: Signals
    preset: Preset
    stop: float = FAR
    take_profit: float | None = None
    max_holding: int | None = None

    def sweep(self, bars: Bars, costs: str) -> SweepResult:
        """Beside predictions that say nothing."""
        return sweep(
            bars,
            predictions(bars, np.zeros(len(bars))),
            signals=self.signals,
            risk=FAR,
            stop=self.stop,
            take_profit=self.take_profit,
            max_holding=self.max_holding,
            **COSTS[costs],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Predictions that know, by the confidence rule."""

    predictions: Predictions
    short: bool
    preset: Preset

    def sweep(self, bars: Bars, costs: str) -> SweepResult:
        """Some thresholds, the label's own brackets."""
        return sweep(
            bars, self.predictions, threshold=TOLD_THRESHOLDS, short=self.short, **COSTS[costs]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Piped:
    """What the whole pipeline has learned, by a strategy file."""

    config: Config
    predictions: Predictions

    @property
    def preset(self) -> Preset:
        """The file's."""
        return self.config.preset

    def sweep(self, bars: Bars, costs: str) -> SweepResult:
        """As a run would."""
        return make_sweep(varied(self.config, {"trading": COSTS[costs]}), bars, self.predictions)


Rule = Callable[[Bars, int], Sequence[Strategy]]
"""What is traded on the bars of a seed; of several strategies the best counts."""


def predictions(bars: Bars, score_T: np.ndarray) -> Predictions:
    """Probabilities by score, over test ranges; quantiles are those of all that came before."""
    first = len(bars) - SPLITS * SPLIT_BARS
    weights = np.exp(np.stack([-score_T, np.zeros_like(score_T), score_T], axis=1))
    proba = weights / weights.sum(axis=1, keepdims=True)
    confidence = proba[:, [0, 2]].max(axis=1)
    edges = [first + k * SPLIT_BARS for k in range(SPLITS + 1)]
    split = np.full(len(bars), -1)
    for k, (start, stop) in enumerate(itertools.pairwise(edges)):
        split[start:stop] = k
    proba[split < 0] = np.nan
    return Predictions(
        index=bars.index,
        symbols=bars.symbols,
        proba=proba[:, None],
        split=split[:, None],
        splits=tuple(
            Split(number=k, train=(0, edges[k] - DAY), test=(edges[k], edges[k + 1]))
            for k in range(SPLITS)
        ),
        quantiles=np.stack(
            [np.quantile(confidence[: e - DAY], QUANTILE_LEVELS) for e in edges[:-1]]
        ),
        target=Target(horizon=DAY),
    )


def held(bars: Bars, side_T: np.ndarray, size_T: np.ndarray) -> Signals:
    """Long where the side is 1, short where -1, else out; the size is that at the entry."""
    return _signals(bars, side_T, size_T, leaves=True)


def pulses(bars: Bars, side_T: np.ndarray, size_T: np.ndarray) -> Signals:
    """Entries where the side is not 0; brackets do the rest."""
    return _signals(bars, side_T, size_T, leaves=False)


def _signals(bars: Bars, side_T: np.ndarray, size_T: np.ndarray, *, leaves: bool) -> Signals:
    side = side_T[:, None]
    return Signals(
        index=bars.index,
        columns=pd.MultiIndex.from_arrays([bars.symbols], names=["symbol"]),
        entries=side > 0,
        exits=(side <= 0) & leaves,
        short_entries=side < 0,
        short_exits=(side >= 0) & leaves,
        size=size_T[:, None],
    )


def calm_size(bars: Bars, halflife: float = 24.0) -> np.ndarray:
    """1 / volatility, at most the whole equity, (T,); 0 until the volatility is known."""
    sigma = ewma_volatility(bars, halflife=halflife)[:, 0]
    return np.where(sigma > 0, np.minimum(CALM / np.where(sigma > 0, sigma, 1.0), 1.0), 0.0)


def biased(
    bars: Bars,
    seed: int,
    *,
    side: int = 1,
    hour: int = 0,
    halflife: float = 24.0,
    token: float = TOKEN,
) -> list[Strategy]:
    """On one side by 1 / volatility, and once a week for three hours a token on the other."""
    into_week = (np.arange(len(bars)) - hour) % WEEK
    is_token = into_week < TOKEN_HOURS
    size = calm_size(bars, halflife) * np.where(is_token, token, 1.0)
    signals = held(bars, np.where(is_token, -side, side), size)
    return [Ruled(signals=signals, preset=Preset(seed=seed))]


def timed_long(bars: Bars, seed: int) -> list[Strategy]:
    """Long by 1 / volatility on days that begin calmer than most of the last week, else out."""
    side = _daily(_is_calm(bars).astype(int))
    return [Ruled(signals=held(bars, side, calm_size(bars)), preset=Preset(seed=seed))]


def timed_sides(bars: Bars, seed: int) -> list[Strategy]:
    """Long by 1 / volatility on days that begin calm, else a quarter of that short."""
    side = _daily(np.where(_is_calm(bars), 1, -1))
    size = calm_size(bars) * np.where(side > 0, 1.0, 0.25)
    return [Ruled(signals=held(bars, side, size), preset=Preset(seed=seed))]


def _is_calm(bars: Bars) -> np.ndarray:
    sigma = pd.Series(ewma_volatility(bars, halflife=12.0)[:, 0])
    return (sigma < sigma.rolling(WEEK, min_periods=DAY).median()).to_numpy()


def _daily(value_T: np.ndarray, hours: int = DAY) -> np.ndarray:
    """What it was at the last whole day (or so many hours)."""
    rows = np.arange(len(value_T))
    daily: np.ndarray = value_T[rows - rows % hours]
    return daily


def bracketed(
    bars: Bars, seed: int, *, stop: float, take_profit: float, longs: float = 0.5
) -> list[Strategy]:
    """A side by coin every two days, left by a stop, a target or when the two days are over."""
    coin = np.random.default_rng([seed, 3]).random(len(bars)) < longs
    asks = np.arange(len(bars)) % BRACKET_HOURS == 0
    side = np.where(coin, 1, -1) * asks
    return [
        Ruled(
            signals=pulses(bars, side, calm_size(bars)),
            preset=Preset(seed=seed),
            stop=stop,
            take_profit=take_profit,
            max_holding=BRACKET_HOURS - 1,
        )
    ]


def following(
    bars: Bars, seed: int, *, sign: int = 1, hours: int = DAY, every: int = DAY
) -> list[Strategy]:
    """On the side (sign 1) or against (-1) the move of the last hours, looked at daily or so."""
    close = np.log(bars.close[:, 0])
    move = close - np.append(np.full(hours, close[0]), close[:-hours])
    side = _daily(sign * np.sign(move), every)
    return [Ruled(signals=held(bars, side, calm_size(bars)), preset=Preset(seed=seed))]


def by_the_clock(bars: Bars, seed: int) -> list[Strategy]:
    """Long in the hours that rise, short in those that fall: the true season."""
    hour = (bars.index + bars.step).hour  # a row acts at the next bar's open
    side = np.isin(hour, RISING).astype(int) - np.isin(hour, FALLING)
    return [Ruled(signals=held(bars, side, calm_size(bars)), preset=Preset(seed=seed))]


def told(bars: Bars, seed: int, *, sharpe: float, short: bool) -> list[Strategy]:
    """A little of the next 24 hours, in noise: power, not a null."""
    return [knowing(bars, seed, SKILL[sharpe, short], short)]


def knowing(bars: Bars, seed: int, skill: float, short: bool) -> Told:
    """A score of `skill` x the standardised move of the next 24 hours + `slow_noise`."""
    opens = np.log(bars.open[:, 0])
    move = np.zeros(len(bars))
    move[: -DAY - 1] = opens[DAY + 1 :] - opens[1:-DAY]
    width = ewma_volatility(bars, halflife=24.0)[:, 0] * np.sqrt(DAY)
    ahead = np.where(width > 0, move / np.where(width > 0, width, 1.0), 0.0)
    score = 0.5 * (skill * ahead + slow_noise(seed, len(bars)))
    return Told(predictions=predictions(bars, score), short=short, preset=Preset(seed=seed))


def slow_noise(seed: int, bars: int) -> np.ndarray:
    """Standard normals that forget in about a day, (T,): one opinion is held for hours."""
    shock = np.random.default_rng([seed, 4]).normal(size=bars)
    kept = 1 - 1 / DAY
    return lfilter([np.sqrt(1 - kept**2)], [1.0, -kept], shock, zi=kept * shock[:1])[0]


def learned(bars: Bars, seed: int) -> list[Strategy]:
    """The quickstart with logistic regression, trained on these bars.

    It trades the surest tenth of the bars by brackets: a rule that asks what a trade is worth would
    wait.
    """
    path = ROOT / "strategies" / "quickstart.toml"
    keen = ['rule.threshold="q0.90"', 'rule.min_edge="none"', 'rule.exit="bracket"']
    config = load_config(path, [f"seed={seed}", 'model.kind="logistic"', *keen])
    return [Piped(config=config, predictions=walk_forward(bars, config, jobs=1, device="cpu"))]


def of_twenty(rules: Sequence[Rule], bars: Bars, seed: int) -> list[Strategy]:
    """All that these rules trade."""
    return [strategy for rule in rules for strategy in rule(bars, seed)]
