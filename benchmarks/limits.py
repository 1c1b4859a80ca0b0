"""The best that can be said of the labels of a simulated market by who knows how it is made.

P(label | past) is a mixture: over what may be hidden, P(hidden | past) times P(label | hidden,
volatility and clock). The first factor is that of `benchmarks.bayes`; for motifs the hidden state
is told, since it follows from the closes. The second is a multinomial logistic
regression, fitted on other markets whose hidden state is known: what it misses, a limit misses too.
Nothing after the close of a bar is used at that bar. Dimensions: T bars, E edges, D features,
K = 3 classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.bayes import MEDIAN_VOLATILITY, beliefs, season
from benchmarks.oracle import Truth
from convnext_vbt.learning.labels import labels_for
from convnext_vbt.learning.prior.markets import (
    COUNTER_LAGS,
    THUE_MORSE,
    Hidden,
    motif_recipe,
    played,
)
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.market.volatility import ewma_volatility
from convnext_vbt.predictions import DOWN, UP, Target

BARS = 17_520
KNOWS, INFERS = "limit that knows", "limit that infers"
GRID = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
"""Edges among which the inferring limit must find its market's."""
FIRST_CALIBRATION_SEED = 69_000
CALIBRATION = {"regimes": 8, "motifs": 24}
"""Markets on which a limit is fitted; motifs have more features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """A kind of market with an edge; `bars` gives one of them."""

    family: str
    """"regimes" (`market.simulated`) or "motifs" (`learning.prior.markets`)."""
    edge: float
    tempos: tuple[int, ...] = ()
    """At which melodies are played; motifs only."""

    def __str__(self) -> str:
        speeds = f", tempos {' '.join(map(str, self.tempos))}" if self.tempos else ""
        return f"{self.family} {self.edge:g}{speeds}"

    def bars(self, seed: int) -> Bars:
        """Two years of it."""
        if self.tempos:
            return _motifs(self, seed)[0]
        return simulated_bars(seed=seed, edge=self.edge, bars=BARS)


def _motifs(market: Market, seed: int) -> tuple[Bars, Hidden]:
    """Bars and hidden states of a market of motifs; see `learning.prior.markets.played`."""
    recipe = motif_recipe(market.edge, tempos=market.tempos)
    return played(np.random.default_rng(seed), recipe, BARS)


class LabelModel:
    """P(label | hidden state, features): a logistic regression for each of three states."""

    def __init__(self, state_T: np.ndarray, x_TD: np.ndarray, label_T: np.ndarray) -> None:
        usable = (label_T >= 0) & np.isfinite(x_TD).all(axis=1)
        self.models = []
        for state in (-1, 0, 1):
            own = usable & (state_T == state)
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
            self.models.append(model.fit(x_TD[own], label_T[own]))

    def proba(self, chance_TS: np.ndarray, x_TD: np.ndarray) -> np.ndarray:
        """Probabilities (T, K), weighted by the chances of the three states; NaN where x is."""
        usable = np.isfinite(x_TD).all(axis=1)
        out = np.full((len(x_TD), 3), np.nan)
        out[usable] = sum(
            chance_TS[usable, s, None] * model.predict_proba(x_TD[usable])
            for s, model in enumerate(self.models)
        )
        return out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limit:
    """What can be said of a kind of market; `calibrated` makes it."""

    market: Market
    models: dict[float, LabelModel]
    """By edge: the market's own and, where it can be inferred, the whole grid's."""

    def proba(self, seed: int, bars: Bars) -> dict[str, np.ndarray]:
        """Probabilities (T, K) of who `KNOWS` the edge and, of regimes, of who `INFERS` it.

        The filter starts at the first bar with all edges of the grid equally likely. Who knows the
        edge takes from the same cloud of particles what it holds of that edge.
        """
        if self.market.tempos:
            bars, hidden = _motifs(self.market, seed)
            state, x = motif_features(bars, hidden, self.market.tempos)
            return {KNOWS: self._own.proba(np.eye(3)[state + 1], x)}
        found = beliefs(bars, GRID)
        x = regime_features(bars, found.volatility)
        e = GRID.index(self.market.edge)
        told = found.posterior[:, e] / found.posterior[:, e].sum(axis=1, keepdims=True)
        parts = [self.models[edge].proba(found.posterior[:, i], x) for i, edge in enumerate(GRID)]
        return {KNOWS: self._own.proba(told, x), INFERS: np.sum(parts, axis=0)}

    @property
    def _own(self) -> LabelModel:
        return self.models[self.market.edge]


def calibrated(market: Market, count: int | None = None) -> Limit:
    """The limit of a kind of market, fitted on `count` others of it (default: `CALIBRATION`)."""
    count = count or CALIBRATION[market.family]
    if market.tempos:
        return Limit(market=market, models={market.edge: _motif_model(market, count)})
    return Limit(market=market, models={edge: _regime_model(edge, count) for edge in GRID})


@cache
def _regime_model(edge: float, count: int) -> LabelModel:
    parts = []
    for seed in _calibration_seeds(count):
        bars = simulated_bars(seed=seed, edge=edge, bars=BARS)
        x = regime_features(bars, beliefs(bars, (edge,), particles=128, seed=seed).volatility)
        regime, label = Truth.of(seed, BARS).regime, classes(bars)
        parts += [(regime, x, label), (-regime, x, mirrored(label))]
    return _fitted(parts)


def _motif_model(market: Market, count: int) -> LabelModel:
    parts = []
    signs = motif_signs(market.tempos)
    for seed in _calibration_seeds(count):
        bars, hidden = _motifs(market, seed)
        (side, x), label = motif_features(bars, hidden, market.tempos), classes(bars)
        parts += [(side, x, label), (-side, signs * x, mirrored(label))]
    return _fitted(parts)


def mirrored(label: np.ndarray) -> np.ndarray:
    """Classes with UP and DOWN exchanged: both kinds of market are as likely upside down."""
    return np.where(label == UP, DOWN, np.where(label == DOWN, UP, label))


def _calibration_seeds(count: int) -> range:
    return range(FIRST_CALIBRATION_SEED, FIRST_CALIBRATION_SEED + count)


def _fitted(parts: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> LabelModel:
    state, x, label = (np.concatenate(p) for p in zip(*parts, strict=True))
    return LabelModel(state, x, label)


def classes(bars: Bars) -> np.ndarray:
    """The labels of the quickstart, (T,), -1 where there is none."""
    return labels_for(bars, Target()).values[:, 0]


def regime_features(bars: Bars, volatility: np.ndarray) -> np.ndarray:
    """Beside the regime, what the chance of a barrier hangs on, (T, 8); NaN while it warms up.

    True against assumed volatility, how much of it is about to fade, and the clock. `volatility`
    (T, 2) is fast and slow.
    """
    t = np.arange(len(bars))
    assumed = np.log(ewma_volatility(bars, halflife=24.0)[:, 0] / MEDIAN_VOLATILITY)
    excess = volatility.sum(axis=1) - assumed
    weekend = (np.arange(len(t) + 24) // 24) % 7 < 2
    ahead = np.lib.stride_tricks.sliding_window_view(weekend, 24)[1:].mean(axis=1)
    hour = 2 * np.pi * (t % 24) / 24
    clock = [f(k * hour) for k in (1, 2) for f in (np.sin, np.cos)]
    return np.column_stack([excess, excess**2, volatility[:, 0], ahead, *clock])


def motif_features(
    bars: Bars, hidden: Hidden, tempos: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Side of the melody's drift (T,) in the next bar, and what else the label hangs on (T, D).

    How long that drift lasts, the counter-drift, the moves that it will read, and how nearly a
    next melody has been played. All of it is known at the close of the bar before.
    """
    level = hidden.level - season(len(bars))
    x = regime_features(bars, np.column_stack([level, np.zeros(len(level))]))
    raw, counter, left = (
        np.append(drift[1:], 0.0) for drift in (hidden.melody, hidden.counter, hidden.left)
    )
    moves = hidden.heard
    near = np.column_stack([projection(moves, tempo) for tempo in tempos])
    past = [np.concatenate([np.zeros(k), moves[: len(moves) - k]]) for k in range(COUNTER_LAGS)]
    others = [left, left**2, left * x[:, 0], counter, near, np.abs(near), *past]
    return np.sign(raw).astype(np.int64), np.column_stack([x, *others])


def motif_signs(tempos: tuple[int, ...]) -> np.ndarray:
    """-1 for each of `motif_features` that changes its sign with the market, (D,)."""
    same, flips = [1.0], [-1.0]
    count = len(tempos)
    return np.array(same * 11 + flips * (1 + count) + same * count + flips * COUNTER_LAGS)


def projection(moves: np.ndarray, tempo: int) -> np.ndarray:
    """How clearly the last moves play the melody, `tempo` bars a note, in deviations: (T,)."""
    shape = np.repeat(THUE_MORSE, tempo) / np.sqrt(tempo * len(THUE_MORSE))
    return np.convolve(moves, shape[::-1])[: len(moves)]
