"""Stationary, causal features of OHLCV bars for the network.

Dimensions: T bars, N symbols, F features, M bars that one symbol has.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import numpy as np

from convnext_vbt.errors import InputError, InputTypeError
from convnext_vbt.learning.features.families import FAMILIES
from convnext_vbt.learning.features.symbol import SymbolBars
from convnext_vbt.learning.features.types import FeatureFunction, Features
from convnext_vbt.learning.symbols import Rows, each_symbol, fields_at, present_rows
from convnext_vbt.market.bars import FIELDS, Bars

_FAMILY_OF = {name: family for family in FAMILIES for name in family.warmups}

ALL_FEATURES: tuple[str, ...] = tuple(_FAMILY_OF)
"""Names of the built-in features."""

CHUNK = 2**15
"""Bars whose features are made at once, so that what is made on the way stays in the cache."""
MEMORY = 2 * max(max(family.warmups.values()) for family in FAMILIES)
"""Bars that a chunk begins early: past one warm-up its start weighs 1e-6, past two 1e-12."""


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
    built_in = _built_in(bars, possible_features(bars, None if names is None else _known(names)))
    return built_in if own is None else _joined(bars, built_in, own)


def _known(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise InputTypeError(f"names must be a sequence of feature names, got the text {names!r}")
    if not names:
        raise InputError("features.names is empty; name at least one feature, or leave it out")
    for name in names:
        if name not in _FAMILY_OF:
            close = get_close_matches(name, ALL_FEATURES, n=1)
            hint = (
                f"did you mean {close[0]!r}?" if close else f"there are {', '.join(ALL_FEATURES)}"
            )
            raise InputError(f"unknown feature {name!r} in features.names; {hint}")
    return tuple(names)


def possible_features(bars: Bars, names: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """The names that these bars can give a meaning to; None asks for all such."""
    if names is None:
        names = tuple(name for name in ALL_FEATURES if bars.step < _FAMILY_OF[name].below)
    without = [symbol for symbol, has in zip(bars.symbols, bars.has_volume, strict=True) if not has]
    lost = [name for name in names if _FAMILY_OF[name].needs_volume] if without else []
    if not lost:
        return names
    kept = tuple(name for name in names if name not in lost)
    what = f"{', '.join(without)} has no volume"
    if not kept:
        raise InputError(
            f"{what}, of which all features asked for are made ({', '.join(lost)}); choose others "
            "(features.names)"
        )
    warnings.warn(f"{what}; features made of it are left out: {', '.join(lost)}", stacklevel=3)
    return kept


def _built_in(bars: Bars, names: tuple[str, ...]) -> Features:
    warmup = max(_FAMILY_OF[name].warmups[name] for name in names)
    rows_of = [present_rows(bars, n) for n in range(len(bars.symbols))]
    longest = max(len(bars.index[rows]) for rows in rows_of)
    if longest <= warmup:
        raise InputError(
            f"these features give their first value after {warmup:,} bars, but the longest symbol "
            f"has {longest:,}; load more bars or choose features with less memory (features.names)"
        )
    # One row a feature in memory, as the network reads them.
    values_NFT = np.empty((len(bars.symbols), len(names), len(bars)), dtype=np.float32)

    def work(n: int) -> None:
        _fill(values_NFT[n], bars, n, rows_of[n], names, warmup)

    each_symbol(work, len(bars.symbols))
    values_NFT.flags.writeable = False
    return Features(names=names, values=values_NFT.transpose(2, 0, 1), warmup=warmup)


def _fill(
    values_FT: np.ndarray, bars: Bars, n: int, rows: Rows, names: tuple[str, ...], warmup: int
) -> None:
    """Put one symbol's features where it has bars and is past the warm-up, NaN elsewhere."""
    stamps = bars.index.asi8[rows]
    stamps.flags.writeable = False  # as the fields are, so that a kernel compiles once
    columns = dict(zip(FIELDS, fields_at(bars, n, rows), strict=True), stamps=stamps)
    if isinstance(rows, slice):
        made_FM = values_FT[:, rows]
        values_FT[:, : rows.start] = values_FT[:, rows.stop :] = np.nan
    else:
        made_FM = np.empty((len(names), len(stamps)), dtype=np.float32)
    made_FM[:, :warmup] = np.nan
    if len(stamps) > warmup:
        for start in range(0, max(len(stamps) - MEMORY, 1), CHUNK):
            stop = start + MEMORY + CHUNK
            chunk = SymbolBars(**{name: column[start:stop] for name, column in columns.items()})
            skipped = MEMORY if start > 0 else warmup
            for name, values in _chosen(chunk, names):
                made_FM[names.index(name), start + skipped : stop] = values[skipped:]
    if isinstance(rows, np.ndarray):
        values_FT[:] = np.nan
        values_FT[:, rows] = made_FM


def _chosen(chunk: SymbolBars, names: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """Each of the features `names`, whole families at a time."""
    for family in FAMILIES:
        if not family.warmups.keys().isdisjoint(names):
            for name, values in zip(family.warmups, family.compute(chunk), strict=True):
                if name in names:
                    yield name, values


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
            f"{where} states a warm-up of {made.warmup:,} bars, but there are only {len(bars):,}; "
            "load more bars or shorten it"
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
