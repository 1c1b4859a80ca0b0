"""Stationary, causal features of OHLCV bars for the network.

Dimensions: T bars, N symbols, F features, M bars that one symbol has.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import pandas as pd

from convnext_vbt.learning import indicators
from convnext_vbt.learning.indicators import LOOKBACK
from convnext_vbt.learning.symbols import each_symbol, present_bars
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.volatility import decay_warmup


def _span(span: int) -> int:
    """Warm-up of an EMA with weight 2 / (span + 1)."""
    return decay_warmup(1.0 - 2.0 / (span + 1))


# A value made of changes from bar to bar starts at the second bar: hence the + 1.
_WILDER = 1 + decay_warmup(13.0 / 14.0)
_SIGMA = 1 + decay_warmup(0.5 ** (1.0 / 24))
_LAGS = (1, 4, 24, 72, 168)
CHUNK = 4000  # bars whose features are made at once; not a power of two, or rows share cache sets


class _Chunk:
    """Some of one symbol's present bars, LOOKBACK more in front, and what several families share.

    A chunk and all that is made of it fit into a core's cache, however long the history.
    """

    def __init__(self, fields: list[np.ndarray], stamps: np.ndarray, first: int) -> None:
        self.open, self.high, self.low, self.close, self.volume = fields
        self.stamps, self.first = stamps, first
        self.log_close = np.log(self.close)
        self.averages = np.empty((indicators.NUM_AVERAGES, len(stamps)))


def _chunks(fields: tuple[np.ndarray, ...], stamps: np.ndarray) -> Iterator[_Chunk]:
    """A symbol's bars in order; before the first there are flat ones at its close."""
    memory = np.zeros(indicators.NUM_AVERAGES)
    close, volume = fields[3], fields[4]
    for first in range(0, len(close), CHUNK):
        parts = [x[max(0, first - LOOKBACK) : first + CHUNK] for x in fields]
        if first == 0:
            flat = [close[0]] * 4 + [volume[0]]
            parts = [np.append(np.full(LOOKBACK, v), x) for v, x in zip(flat, parts, strict=True)]
            for part in parts:
                part.flags.writeable = False
        chunk = _Chunk(parts, stamps[first : first + CHUNK], first)
        indicators.averages_nb(
            chunk.high, chunk.low, chunk.close, chunk.log_close, first, memory, chunk.averages
        )
        yield chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """Features that one kernel writes together: names, first valid bars, the call."""

    warmups: dict[str, int]
    write: Callable[[_Chunk, np.ndarray], None]
    of_volume: bool = False


# Logarithms, sines and cosines are taken here: numpy's are vectorised, numba's are not.
def _write_volatility(s: _Chunk, out: np.ndarray) -> None:
    span, body = np.log(s.high / s.low), np.log(s.close / s.open)
    indicators.variance_ratios_nb(s.log_close, span, body, s.averages, 24, out)
    np.log(out, out=out)
    out *= 0.5


def _write_trend(s: _Chunk, out: np.ndarray) -> None:
    indicators.trend_nb(s.close, s.averages, out)
    np.log(out[0], out=out[0])


def _write_clock(s: _Chunk, out: np.ndarray) -> None:
    indicators.clock_nb(s.stamps, out)
    for f, wave in enumerate((np.sin, np.cos, np.sin, np.cos)):
        wave(out[f], out=out[f])


_TIMES = ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos")
_FAMILIES = (
    _Family(
        warmups={f"return_{lag}": max(lag, _SIGMA) for lag in _LAGS},
        write=lambda s, out: indicators.returns_nb(s.log_close, s.averages, np.array(_LAGS), out),
    ),
    _Family(
        warmups={"candle_body": 0, "candle_upper_wick": 0, "candle_lower_wick": 0},
        write=lambda s, out: indicators.candle_nb(s.open, s.high, s.low, s.close, out),
    ),
    _Family(
        warmups={
            "volatility_ratio_6_24": _SIGMA,
            "volatility_ratio_24_168": 168,
            "parkinson_over_close_24": 24,
            "garman_klass_ratio_24_168": 167,
        },
        write=_write_volatility,
    ),
    _Family(
        warmups={
            "log_natr_14": _WILDER,
            "macd_over_atr": max(_span(26), _WILDER),
            "keltner_20": max(_span(20), _WILDER),
            "ema_distance_24": max(_span(24), _WILDER),
            "ema_distance_168": _span(168),
            "rsi_14": _WILDER,
            # ADX averages what is itself an average: their memories add up.
            "adx_14": 2 * _WILDER,
            "di_spread_14": _WILDER,
        },
        write=_write_trend,
    ),
    _Family(
        warmups={"bollinger_percent_b_20": 19, "bollinger_width_20": _WILDER},
        write=lambda s, out: indicators.bollinger_nb(s.close, s.averages, 20, out),
    ),
    _Family(
        warmups={"stochastic_k_14": 13},
        write=lambda s, out: indicators.stochastic_nb(s.high, s.low, s.close, 14, out),
    ),
    _Family(
        warmups={"efficiency_24": 24},
        write=lambda s, out: indicators.efficiency_nb(s.close, 24, out),
    ),
    _Family(
        warmups={
            "vwap_distance_24": _WILDER,
            "volume_zscore_24": 23,
            "volume_trend_24_168": 167,
            "chaikin_money_flow_24": 23,
            "return_volume_correlation_24": 24,
        },
        write=lambda s, out: indicators.volume_nb(
            s.high, s.low, s.close, s.log_close, s.volume, s.averages, 24, out
        ),
        of_volume=True,
    ),
    _Family(
        warmups=dict.fromkeys(_TIMES, 0),
        write=_write_clock,
    ),
)
_WARMUPS = {name: first for family in _FAMILIES for name, first in family.warmups.items()}
_OF_VOLUME = {name for family in _FAMILIES if family.of_volume for name in family.warmups}

ALL_FEATURES: tuple[str, ...] = tuple(_WARMUPS)
"""Names of the built-in features."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """What the network sees at the close of each bar.

    `values` is float32 (T, N, F). The first `warmup` bars that a symbol has are NaN, as is every
    bar it does not have; all other values are finite.
    """

    names: tuple[str, ...]
    values: np.ndarray
    warmup: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if not self.names or repeated or not all(isinstance(n, str) and n for n in self.names):
            raise ValueError(
                f"feature names must be distinct, non-empty and at least one, got {self.names}"
            )
        values = np.asarray(self.values)
        if values.ndim != 3 or values.shape[2] != len(self.names):
            raise ValueError(
                f"feature values must have shape (bars, symbols, {len(self.names)} features), "
                f"got {values.shape}"
            )
        if not np.issubdtype(values.dtype, np.floating):
            raise ValueError(f"feature values must be float32, got {values.dtype}; use .astype")
        if isinstance(self.warmup, bool) or not isinstance(self.warmup, int) or self.warmup < 0:
            raise ValueError(f"warmup must be a number of bars >= 0, got {self.warmup!r}")
        if values.flags.writeable or values.dtype != np.float32:  # else nobody can change them
            values = np.array(values, dtype=np.float32, order="C")
            values.flags.writeable = False
        object.__setattr__(self, "values", values)


FeatureFunction = Callable[[Bars], Features]
"""A user's own features: a pure function whose row t depends on bars up to t alone."""


def compute_features(
    bars: Bars,
    *,
    names: Sequence[str] | None = None,
    function: FeatureFunction | None = None,
    extend: bool = True,
) -> Features:
    """The built-in features `names` (all of them by default), and a user's own.

    With `function` its features are appended to the built-in ones, or with `extend=False` take
    their place. `warmup` is the longest of the features chosen: a recursive one is valid once its
    starting value weighs under 1e-6. Where a symbol has no volume (`Bars.has_volume`), features
    made of it are left out with a warning that names them; by default the hour is left out of
    daily bars and the weekday of weekly ones, which say nothing there.

    Raises `ValueError` for an unknown name, for bars too short to give any value, and for output
    of `function` that breaks the rules of `Features`.
    """
    own = None if function is None else _own_features(bars, function)
    if own is not None and not extend:
        if names is not None:
            raise ValueError(
                "names choose built-in features, but extend=False replaces them; drop one of "
                "features.names and features.extend"
            )
        return own
    built_in = _built_in(bars, _possible(bars, None if names is None else _known(names)))
    return built_in if own is None else _joined(bars, built_in, own)


def _known(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise TypeError(f"names must be a sequence of feature names, got the text {names!r}")
    if not names:
        raise ValueError("features.names is empty; name at least one feature, or leave it out")
    for name in names:
        if name not in _WARMUPS:
            close = get_close_matches(name, ALL_FEATURES, n=1)
            hint = (
                f"did you mean {close[0]!r}?" if close else f"there are {', '.join(ALL_FEATURES)}"
            )
            raise ValueError(f"unknown feature {name!r} in features.names; {hint}")
    return tuple(names)


def _possible(bars: Bars, names: tuple[str, ...] | None) -> tuple[str, ...]:
    """The names that these bars can give a meaning to; None asks for all such."""
    if names is None:
        day = pd.Timedelta(days=1)
        empty = [name for name in _TIMES if bars.step >= (day if "hour" in name else 7 * day)]
        names = tuple(name for name in ALL_FEATURES if name not in empty)
    without = [symbol for symbol, has in zip(bars.symbols, bars.has_volume, strict=True) if not has]
    lost = [name for name in names if name in _OF_VOLUME] if without else []
    if not lost:
        return names
    kept = tuple(name for name in names if name not in _OF_VOLUME)
    what = f"{', '.join(without)} has no volume"
    if not kept:
        raise ValueError(
            f"{what}, of which all features asked for are made ({', '.join(lost)}); choose others "
            "(features.names)"
        )
    warnings.warn(f"{what}; features made of it are left out: {', '.join(lost)}", stacklevel=3)
    return kept


def _built_in(bars: Bars, names: tuple[str, ...]) -> Features:
    warmup = max(_WARMUPS[name] for name in names)
    longest = int(bars.present.sum(axis=0).max())
    if longest <= warmup:
        raise ValueError(
            f"these features give their first value after {warmup:,} bars, but the longest symbol "
            f"has {longest:,}; load more bars or choose features with less memory (features.names)"
        )
    families = [family for family in _FAMILIES if not family.warmups.keys().isdisjoint(names)]
    made = [name for family in families for name in family.warmups]
    order = [made.index(name) for name in names]
    # One row a feature in memory, as the network reads them.
    values_NFT = np.empty((len(bars.symbols), len(names), len(bars)), dtype=np.float32)
    stamps = bars.index.asi8

    def work(n: int) -> None:
        rows, fields = present_bars(bars, n)
        room = np.empty(len(made) * CHUNK, dtype=np.float32)
        values_NFT[n, :, : warmup if len(rows) == len(bars) else len(bars)] = np.nan
        for chunk in _chunks(fields, stamps[rows]):
            size = len(chunk.stamps)
            columns = room[: len(made) * size].reshape(len(made), size)
            _write_families(chunk, families, columns)
            here, start = rows[chunk.first : chunk.first + size], max(0, warmup - chunk.first)
            if len(here) > start:
                is_whole = here[-1] - here[start] == len(here) - 1 - start
                to = slice(here[start], here[-1] + 1) if is_whole else here[start:]
                for row, f in zip(values_NFT[n], order, strict=True):
                    row[to] = columns[f, start:]

    each_symbol(work, len(bars.symbols))
    values_NFT.flags.writeable = False
    return Features(names=names, values=values_NFT.transpose(2, 0, 1), warmup=warmup)


def _write_families(chunk: _Chunk, families: Sequence[_Family], columns_FM: np.ndarray) -> None:
    first = 0
    for family in families:
        family.write(chunk, columns_FM[first : first + len(family.warmups)])
        first += len(family.warmups)


def _own_features(bars: Bars, function: FeatureFunction) -> Features:
    """What the user's function makes of the bars, checked and with its warm-up blanked."""
    where = f"the feature function {getattr(function, '__name__', function)!r}"
    made = function(bars)
    if not isinstance(made, Features):
        raise TypeError(f"{where} must return Features, got {type(made).__name__}")
    if made.values.shape[:2] != bars.close.shape:
        raise ValueError(
            f"{where} must give values for {bars.close.shape} (bars, symbols), got "
            f"{made.values.shape[:2]}"
        )
    ready = _ready(bars, made.warmup)
    if not ready.any():
        raise ValueError(
            f"{where} states a warm-up of {made.warmup:,} bars, but there are only {len(bars):,}"
        )
    broken = ready[:, :, None] & ~np.isfinite(made.values)
    if broken.any():
        t, n, f = (int(i) for i in np.argwhere(broken)[0])
        raise ValueError(
            f"{where}: {made.names[f]} of {bars.symbols[n]} is {made.values[t, n, f]} at bar {t} "
            f"({bars.index[t]}), past its warm-up of {made.warmup} bars; make it finite there or "
            "state a longer warmup"
        )
    return _blanked(made.names, made.values, made.warmup, ready)


def _joined(bars: Bars, built_in: Features, own: Features) -> Features:
    clash = sorted(set(built_in.names) & set(own.names))
    if clash:
        raise ValueError(
            f"the feature function gives {', '.join(clash)}, which is built in; rename it"
        )
    warmup = max(built_in.warmup, own.warmup)
    values = np.concatenate([built_in.values, own.values], axis=2)
    return _blanked((*built_in.names, *own.names), values, warmup, _ready(bars, warmup))


def _ready(bars: Bars, warmup: int) -> np.ndarray:
    """Whether, (T, N), the symbol has this bar and at least `warmup` before it."""
    return bars.present & (np.cumsum(bars.present, axis=0) > warmup)


def _blanked(
    names: tuple[str, ...], values: np.ndarray, warmup: int, ready: np.ndarray
) -> Features:
    return Features(names=names, values=np.where(ready[:, :, None], values, np.nan), warmup=warmup)
