"""Stationary, causal features of OHLCV bars for the network.

Dimensions: T bars, N symbols, F features, M bars that one symbol has.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError, InputTypeError
from convnext_vbt.learning import indicators
from convnext_vbt.learning.streaming import PIECE
from convnext_vbt.learning.symbols import each_symbol, fields_at, present_rows
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.volatility import decay_warmup


def _span(span: int) -> int:
    """Warm-up of an EMA with weight 2 / (span + 1)."""
    return decay_warmup(1.0 - 2.0 / (span + 1))


# A value made of changes from bar to bar starts at the second bar: hence the + 1.
_WILDER = 1 + decay_warmup(13.0 / 14.0)
_SIGMA = 1 + decay_warmup(0.5 ** (1.0 / 24))

_TIMES = ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos")
_VOLUME = {
    "vwap_distance_24": _WILDER,
    "volume_zscore_24": 23,
    "volume_trend_24_168": 167,
    "chaikin_money_flow_24": 23,
    "return_volume_correlation_24": 24,
}
# Features that one kernel makes together, and their first valid bars; as `features_nb` takes them.
_FAMILIES: tuple[dict[str, int], ...] = (
    {f"return_{lag}": max(lag, _SIGMA) for lag in (1, 4, 24, 72, 168)},
    {"candle_body": 0, "candle_upper_wick": 0, "candle_lower_wick": 0},
    {
        "volatility_ratio_6_24": _SIGMA,
        "volatility_ratio_24_168": 168,
        "parkinson_over_close_24": 24,
        "garman_klass_ratio_24_168": 167,
    },
    {
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
    {"bollinger_percent_b_20": 19, "bollinger_width_20": _WILDER},
    {"stochastic_k_14": 13},
    {"efficiency_24": 24},
    _VOLUME,
    dict.fromkeys(_TIMES, 0),
)
_WARMUPS = {name: first for family in _FAMILIES for name, first in family.items()}

_LARGE_PAGE = 2 * 2**20 // 4  # float32 values

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
            raise InputError(
                f"feature names must be distinct, non-empty and at least one, got {self.names}"
            )
        values = np.asarray(self.values)
        if values.ndim != 3 or values.shape[2] != len(self.names):
            raise InputError(
                f"feature values must have shape (bars, symbols, {len(self.names)} features), "
                f"got {values.shape}"
            )
        if not np.issubdtype(values.dtype, np.floating):
            raise InputError(f"feature values must be float32, got {values.dtype}; use .astype")
        if isinstance(self.warmup, bool) or not isinstance(self.warmup, int) or self.warmup < 0:
            raise InputError(f"warmup must be a number of bars >= 0, got {self.warmup!r}")
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
            raise InputError(
                "names choose built-in features, but extend=False replaces them; drop one of "
                "features.names and features.extend"
            )
        return own
    built_in = _built_in(bars, _possible(bars, None if names is None else _known(names)))
    return built_in if own is None else _joined(bars, built_in, own)


def _known(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise InputTypeError(f"names must be a sequence of feature names, got the text {names!r}")
    if not names:
        raise InputError("features.names is empty; name at least one feature, or leave it out")
    for name in names:
        if name not in _WARMUPS:
            close = get_close_matches(name, ALL_FEATURES, n=1)
            hint = (
                f"did you mean {close[0]!r}?" if close else f"there are {', '.join(ALL_FEATURES)}"
            )
            raise InputError(f"unknown feature {name!r} in features.names; {hint}")
    return tuple(names)


def _possible(bars: Bars, names: tuple[str, ...] | None) -> tuple[str, ...]:
    """The names that these bars can give a meaning to; None asks for all such."""
    if names is None:
        day = pd.Timedelta(days=1)
        empty = [name for name in _TIMES if bars.step >= (day if "hour" in name else 7 * day)]
        names = tuple(name for name in ALL_FEATURES if name not in empty)
    without = [symbol for symbol, has in zip(bars.symbols, bars.has_volume, strict=True) if not has]
    lost = [name for name in names if name in _VOLUME] if without else []
    if not lost:
        return names
    kept = tuple(name for name in names if name not in _VOLUME)
    what = f"{', '.join(without)} has no volume"
    if not kept:
        raise InputError(
            f"{what}, of which all features asked for are made ({', '.join(lost)}); choose others "
            "(features.names)"
        )
    warnings.warn(f"{what}; features made of it are left out: {', '.join(lost)}", stacklevel=3)
    return kept


def _built_in(bars: Bars, names: tuple[str, ...]) -> Features:
    warmup = max(_WARMUPS[name] for name in names)
    rows_of = [present_rows(bars, n) for n in range(len(bars.symbols))]
    stamps = bars.index.asi8
    longest = max(len(stamps[rows]) for rows in rows_of)
    if longest <= warmup:
        raise InputError(
            f"these features give their first value after {warmup:,} bars, but the longest symbol "
            f"has {longest:,}; load more bars or choose features with less memory (features.names)"
        )
    places = _places(names)
    # One row a feature in memory, as the network reads them.
    values_NFT = _room(len(bars.symbols), len(names), len(bars))

    def work(n: int) -> None:
        rows, values = rows_of[n], values_NFT[n]
        fields, times = fields_at(bars, n, rows), stamps[rows]
        times.flags.writeable = False  # as the kernel is compiled for
        if isinstance(rows, slice) and rows.start % PIECE == 0:
            indicators.features_nb(fields, times, places, values, rows.start)
            values[:, : rows.start + warmup] = values[:, rows.stop :] = np.nan
        else:
            made = _room(1, len(names), len(times))[0]
            indicators.features_nb(fields, times, places, made, 0)
            values[:] = np.nan
            values[:, np.arange(len(bars))[rows][warmup:]] = made[:, warmup : len(times)]

    each_symbol(work, len(bars.symbols))
    values_NFT.flags.writeable = False
    values = values_NFT[:, :, : len(bars)].transpose(2, 0, 1)
    return Features(names=names, values=values, warmup=warmup)


def _room(num_symbols: int, num_features: int, num_bars: int) -> np.ndarray:
    """Unset float32 (N, F, T or a little more): rows of whole pieces, as the kernel puts them.

    Large ones begin at a large page and end before one, so that the system gives no small ones.
    """
    shape = (num_symbols, num_features, -(-num_bars // PIECE) * PIECE)
    size = math.prod(shape)
    unit = _LARGE_PAGE if size >= 2 * _LARGE_PAGE else PIECE  # from there on numpy asks for them
    room = np.empty(-(-size // unit) * unit + unit, dtype=np.float32)
    first = -room.ctypes.data // room.itemsize % unit
    return room[first : first + size].reshape(shape)


def _places(names: tuple[str, ...]) -> np.ndarray:
    """Rows for the kernel, int64 (families, features): one after the names for what comes along."""
    places = np.full((len(_FAMILIES), max(len(family) for family in _FAMILIES)), -1)
    for place, family in zip(places, _FAMILIES, strict=True):
        if not family.keys().isdisjoint(names):
            place[: len(family)] = [(*names, name).index(name) for name in family]
    return places


def _own_features(bars: Bars, function: FeatureFunction) -> Features:
    """What the user's function makes of the bars, checked and with its warm-up blanked."""
    where = f"the feature function {getattr(function, '__name__', function)!r}"
    made = function(bars)
    if not isinstance(made, Features):
        raise InputTypeError(f"{where} must return Features, got {type(made).__name__}")
    if made.values.shape[:2] != bars.close.shape:
        raise InputError(
            f"{where} must give values for {bars.close.shape} (bars, symbols), got "
            f"{made.values.shape[:2]}"
        )
    ready = _ready(bars, made.warmup)
    if not ready.any():
        raise InputError(
            f"{where} states a warm-up of {made.warmup:,} bars, but there are only {len(bars):,}"
        )
    broken = ready[:, :, None] & ~np.isfinite(made.values)
    if broken.any():
        t, n, f = (int(i) for i in np.argwhere(broken)[0])
        raise InputError(
            f"{where}: {made.names[f]} of {bars.symbols[n]} is {made.values[t, n, f]} at bar {t} "
            f"({bars.index[t]}), past its warm-up of {made.warmup} bars; make it finite there or "
            "state a longer warmup"
        )
    return _blanked(made.names, made.values, made.warmup, ready)


def _joined(bars: Bars, built_in: Features, own: Features) -> Features:
    clash = sorted(set(built_in.names) & set(own.names))
    if clash:
        raise InputError(
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
