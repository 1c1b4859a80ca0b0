"""Endless simulated markets of many kinds, for a prior that has seen no real bar.

Every market is hourly bars around which volatility clusters, jumps, has its seasons and moves
volume, all of it drawn anew; what may be known of its direction is one family's drift:

- "none": a martingale, with or without a footprint in volume that means nothing.
- "regimes": a hidden state, -1, 0 or +1, drifts and leaves a footprint in volume (the kind of
  `market.simulated`).
- "motifs": a melody of moves (Thue and Morse's eight notes), played at one of a few tempos, sets
  off a drift of some bars; what is linear in past moves is taken out of it as it goes. Both hear
  the moves as anybody can who sees the closes, in units of an average of past ones: who knows how
  such a market is made knows its drift.
- "momentum", "reversal": the drift goes with, or against, an average of past moves.
- "flow": the drift goes with, or against, an average of past moves weighed by the surprise in
  their volume.

Drifts are in standard deviations of the bar that they move. Dimensions: T bars.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numba import njit

from convnext_vbt.market.bars import Bars

STATES = {
    "regimes": ("regimes",),
    "motifs": ("motifs", "melody"),
    "momentum": ("follow_fast", "follow_slow"),
    "reversal": ("follow_fast", "follow_slow"),
    "flow": ("flow_fast", "flow_slow"),
}
"""Hidden states by family: averages are fast or slow, by half of `FAST_BARS` bars; "motifs" is the
drift, "melody" what it is before the counter-drift."""
FAST_BARS = 20.0
FAST_DECAY = 0.5 ** (1 / FAST_BARS)
FAMILIES = ("none", "regimes", "motifs", "momentum", "reversal", "flow")
START = pd.Timestamp("2022-01-01", tz="UTC")
STEP = pd.Timedelta(hours=1)
STEPS_PER_BAR = 30
MEDIAN_VOLUME = 1_000.0
HEARD_DECAY = 0.5 ** (1 / 24.0)
"""Of the average squared move that melodies are heard in units of."""
COUNTER_LAGS, COUNTER_RATE, SETTLED = 36, 5e-4, 6_000
"""The counter-drift of a melody: moves that it reads, rate, and bars until it has settled."""
MOST_TEMPOS = 5
THUE_MORSE = np.array([1.0, -1, -1, 1, -1, 1, 1, -1])


class MarketRecipe(NamedTuple):
    """What one market is made of; all but the drift is drawn for every family alike."""

    regime_bars: float
    """Bars that a regime lasts on average."""
    regime_drift: float
    footprint: float
    """What regime +1 adds to the log volume of a bar that rises far."""
    follow: float
    """Drift per unit of the standardised average of past moves; negative against it."""
    follow_decay: float
    flow: float
    """Likewise of moves times the surprise in volume."""
    flow_decay: float
    melody_drift: float
    melody_bars: float
    """Bars that the drift after a melody lasts."""
    melody_clear: float
    """Deviations of a projection from which on a melody counts as played."""
    counter_rate: float
    """At which the counter-drift learns what is linear in the last moves; 0 = there is none."""
    tempos: np.ndarray
    volatility: float
    """Median standard deviation of an hour."""
    fast_decay: float
    fast_size: float
    kick: float
    slow_size: float
    day_size: float
    weekend: float
    jump_rate: float
    jump_size: float
    volume_volatility: float
    volume_move: float
    volume_decay: float
    volume_noise: float


QUICKSTART = MarketRecipe(
    regime_bars=96.0, regime_drift=0.0, footprint=0.45, follow=0.0, follow_decay=0.5, flow=0.0,
    flow_decay=0.5, melody_drift=0.0, melody_bars=12.0, melody_clear=2.5, counter_rate=0.0,
    tempos=np.zeros(MOST_TEMPOS), volatility=0.0047, fast_decay=0.97,
    fast_size=0.0802, kick=0.03, slow_size=0.0125, day_size=0.22, weekend=0.2, jump_rate=0.006,
    jump_size=4.2, volume_volatility=1.2, volume_move=0.3, volume_decay=0.7, volume_noise=0.214,
)  # fmt: skip
"""The constants of `market.simulated`, without its drift: regimes of it are half of the family."""


def draw_recipe(rng: np.random.Generator, family: str) -> MarketRecipe:
    """A recipe of a family; sizes are such that the plainest markets are plain to see."""
    u = rng.uniform
    edge = u(0.1, 1.25)
    if family == "regimes" and rng.random() < 0.5:
        return QUICKSTART._replace(regime_drift=0.22 * edge)
    if family == "motifs" and rng.random() < 0.5:
        return motif_recipe(edge)
    sign = 1.0 if family == "momentum" else -1.0
    decoy = family == "regimes" or (family == "none" and rng.random() < 0.5)
    tempos = np.zeros(MOST_TEMPOS)
    chosen = rng.choice([2, 3, 4, 6, 8], size=int(rng.integers(1, 6)), replace=False)
    tempos[: len(chosen)] = np.sort(chosen)
    half = np.exp(u(np.log(2.0), np.log(150.0)))
    flow_half = np.exp(u(np.log(4.0), np.log(120.0)))
    decay = u(0.94, 0.985)
    return MarketRecipe(
        regime_bars=np.exp(u(np.log(30.0), np.log(300.0))),
        regime_drift=edge * u(0.16, 0.28) if family == "regimes" else 0.0,
        footprint=u(0.2, 0.7) if decoy else 0.0,
        follow=sign * edge * u(0.05, 0.2) if family in ("momentum", "reversal") else 0.0,
        follow_decay=0.5 ** (1 / half),
        flow=rng.choice([1.0, -1.0]) * edge * u(0.05, 0.2) if family == "flow" else 0.0,
        flow_decay=0.5 ** (1 / flow_half),
        melody_drift=edge * u(0.35, 0.6) if family == "motifs" else 0.0,
        melody_bars=float(rng.integers(8, 19)),
        melody_clear=u(2.2, 2.8),
        counter_rate=COUNTER_RATE if family == "motifs" else 0.0,
        tempos=tempos,
        volatility=0.0047 * np.exp(0.4 * rng.standard_normal()),
        fast_decay=decay,
        fast_size=u(0.2, 0.45) * np.sqrt(1 - decay**2),
        kick=u(0.0, 0.06),
        slow_size=u(0.005, 0.018),
        day_size=u(0.0, 0.35),
        weekend=u(0.0, 0.35),
        jump_rate=u(0.0, 0.012),
        jump_size=u(3.0, 5.5),
        volume_volatility=u(0.8, 1.6),
        volume_move=u(0.1, 0.5),
        volume_decay=u(0.4, 0.9),
        volume_noise=u(0.12, 0.32),
    )


class Hidden(NamedTuple):
    """What nobody sees, float64 (T,) each; drifts are of the bar itself, known at its open."""

    melody: np.ndarray
    """Drift that a melody has set off."""
    counter: np.ndarray
    """What takes out of it what is linear in past moves."""
    left: np.ndarray
    """Bars that the melody's drift lasts, this one included."""
    level: np.ndarray
    """Log volatility over its median, seasons included."""
    state: np.ndarray
    """Mostly in [-1, 1]: the drift as a share of the market's own size, with the sign that
    momentum has."""
    heard: np.ndarray
    """The bar's move from close to close in units of an average of past ones, bounded."""


class Market(NamedTuple):
    """Bars of one market, and what is hidden in them."""

    bars: Bars
    states: Mapping[str, np.ndarray]
    """Those of `STATES` that it has, float64 (T,); none where nothing is to be known."""


def draw_market(rng: np.random.Generator, family: str, *, bars: int = 17_520) -> Market:
    """One market of a family."""
    recipe = draw_recipe(rng, family)
    made, hidden = played(rng, recipe, bars)
    return Market(bars=made, states=_states(recipe, family, hidden))


def _states(recipe: MarketRecipe, family: str, hidden: Hidden) -> dict[str, np.ndarray]:
    match family:
        case "none":
            return {}
        case "regimes":
            return {"regimes": hidden.state}
        case "motifs":
            return {"motifs": hidden.state, "melody": hidden.melody / recipe.melody_drift}
    fast, slow = STATES[family]
    decay = recipe.flow_decay if family == "flow" else recipe.follow_decay
    return {fast if decay < FAST_DECAY else slow: hidden.state}


def played(rng: np.random.Generator, recipe: MarketRecipe, bars: int) -> tuple[Bars, Hidden]:
    """Bars of a recipe, and what is hidden in them; see `walk_nb`."""
    skipped = SETTLED if recipe.counter_rate > 0 else 0
    count = bars + skipped
    path, hidden = walk_nb(
        rng.standard_normal((count, STEPS_PER_BAR)),
        rng.standard_normal((count, 5)),
        rng.random((count, 4)),
        recipe,
    )
    path, hidden = path[skipped:], hidden[skipped:]
    prices = 30_000.0 * np.exp(path[:, :4] - path[0, 0])
    made = Bars(
        index=pd.date_range(START, periods=bars, freq=STEP, unit="ns"),
        symbols=("SIM/USDT",),
        open=prices[:, 0:1],
        high=prices[:, 1:2],
        low=prices[:, 2:3],
        close=prices[:, 3:4],
        volume=MEDIAN_VOLUME * np.exp(path[:, 4:]),
        step=STEP,
    )
    return made, Hidden(*hidden.T)


def motif_recipe(edge: float, *, tempos: tuple[int, ...] = (2, 3, 4, 6, 8)) -> MarketRecipe:
    """The market of melodies by which power is judged: Thue and Morse's, at five tempos."""
    padded = np.zeros(MOST_TEMPOS)
    padded[: len(tempos)] = tempos
    return QUICKSTART._replace(
        footprint=0.0, melody_drift=0.5 * edge, counter_rate=COUNTER_RATE, tempos=padded
    )


@njit(cache=True)
def walk_nb(
    inner: np.ndarray, normal: np.ndarray, uniform: np.ndarray, r: MarketRecipe
) -> tuple[np.ndarray, np.ndarray]:
    """Log open, high, low, close over the starting price, and log volume over its median: (T, 5).

    Beside it the columns of `Hidden`, (T, 6). The draws are those of `market.simulated.walk_nb`.
    """
    bars, steps = inner.shape
    out = np.empty((bars, 5))
    played = np.zeros(bars + 1)
    regime = int(uniform[0, 3] * 3) - 1
    price = fast = interest = shock = follow = flow = 0.0
    slow = 0.28 * normal[0, 1]
    side, left = 0.0, 0.0
    close, variance = 0.0, r.volatility**2
    lags = COUNTER_LAGS
    weights, recent = np.zeros(lags), np.zeros(lags)
    hidden = np.zeros((bars, 6))  # columns of `Hidden`
    # averages of white noise of deviation 1 have this one
    follow_scale = np.sqrt((1 + r.follow_decay) / (1 - r.follow_decay))
    flow_scale = np.sqrt((1 + r.flow_decay) / (1 - r.flow_decay)) / 0.25
    for t in range(bars):
        fast = (
            r.fast_decay * fast + r.fast_size * normal[t, 0] + r.kick * (min(abs(shock), 5.0) - 0.8)
        )
        slow = 0.999 * slow + r.slow_size * normal[t, 1]
        season = r.day_size * np.cos(2 * np.pi * (t % 24 - 15) / 24) - (
            r.weekend if (t // 24) % 7 < 2 else 0.0
        )
        level = fast + slow + season
        sigma = r.volatility * np.exp(min(level, 3.0))
        if uniform[t, 2] < 1 / r.regime_bars:
            regime = (regime + 2 + int(uniform[t, 3] * 2)) % 3 - 1
        state = 0.0
        if r.follow != 0.0:
            state = np.tanh(follow * follow_scale)
            drift = r.follow * state
        elif r.flow != 0.0:
            state = np.tanh(flow * flow_scale)
            drift = r.flow * state
        else:
            state = float(regime)
            drift = r.regime_drift * regime
        if r.melody_drift != 0.0 or r.counter_rate > 0.0:
            raw = r.melody_drift * side if left > 0 else 0.0
            linear = 0.0
            for k in range(lags):
                linear += weights[k] * recent[(t - 1 - k) % lags]
            drift = raw - linear
            state = drift / r.melody_drift if r.melody_drift > 0.0 else 0.0
            for k in range(lags):
                weights[k] += r.counter_rate * (raw - linear) * recent[(t - 1 - k) % lags]
            hidden[t, 0] = raw
            hidden[t, 1] = -linear
            hidden[t, 2] = max(left, 0.0)
        hidden[t, 3] = level
        hidden[t, 4] = state
        drift *= sigma
        gap = 0.01 * sigma
        price += gap * normal[t, 2] - 0.5 * gap * gap
        first = high = low = price
        inside = sigma / np.sqrt(steps)
        jump = r.jump_size * sigma
        jump_at = int(uniform[t, 1] * steps) if uniform[t, 0] < r.jump_rate else -1
        for j in range(steps):
            price += drift / steps + inside * inner[t, j] - 0.5 * inside * inside
            if j == jump_at:
                price += jump * normal[t, 3] - 0.5 * jump * jump
            high = max(high, price)
            low = min(low, price)
        move = (price - first) / sigma
        shock = move - drift / sigma
        surprise = r.footprint * regime * np.tanh(move)
        interest = r.volume_decay * interest + r.volume_noise * normal[t, 4]
        out[t, 0] = first
        out[t, 1] = high
        out[t, 2] = low
        out[t, 3] = price
        out[t, 4] = (
            r.volume_volatility * level + r.volume_move * min(abs(move), 4.0) + surprise + interest
        )
        bounded = min(max(move, -4.0), 4.0)
        change = price - close
        heard = min(max(change / np.sqrt(variance), -4.0), 4.0)
        variance = HEARD_DECAY * variance + (1 - HEARD_DECAY) * change * change
        close = price
        hidden[t, 5] = heard
        follow = r.follow_decay * follow + (1 - r.follow_decay) * bounded
        flow = r.flow_decay * flow + (1 - r.flow_decay) * np.tanh(move) * interest
        played[t + 1] = played[t] + heard
        recent[t % lags] = heard
        left -= 1
        if r.melody_drift != 0.0:
            best = 0.0
            for k in range(len(r.tempos)):
                n = int(r.tempos[k])
                far = n * len(THUE_MORSE)
                if n == 0 or t + 1 < far:
                    continue
                score = 0.0
                for i in range(len(THUE_MORSE)):
                    a = t + 1 - far + i * n
                    score += THUE_MORSE[i] * (played[a + n] - played[a])
                score /= np.sqrt(far)
                if abs(score) > abs(best):
                    best = score
            if abs(best) > r.melody_clear:
                side, left = np.sign(best), r.melody_bars
    return out, hidden
