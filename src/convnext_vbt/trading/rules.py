"""The confidence rule: from probabilities to the signals of as many thresholds as are asked for.

Dimensions: T bars, N symbols, S rules, C = S x N columns (rules outer, symbols inner), F values
that a threshold takes: one for each walk-forward split and one where there is no prediction.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numba import njit, prange

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import DOWN, UP, Predictions
from convnext_vbt.trading.signals import LEVEL_BITS, Rules, Signals, unpacked

FULL_WITHOUT_QUANTILES = 0.80
"""Confidence that earns the full size when predictions carry no calibration quantiles."""

Threshold = float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleConfig:
    """The confidence rule of a strategy file; the fields of `confidence_signals`."""

    threshold: Threshold = "q0.90"
    """Enter at this confidence: a probability, or a quantile of it such as "q0.90"."""
    hysteresis: float = 0.05
    """Leave when the probability falls this much below the threshold."""
    short: bool = True
    """Whether DOWN is sold short, or merely not bought."""
    short_threshold: Threshold | None = None
    """A threshold of its own for DOWN; none: the same."""
    floor: float = 0.25
    """Share of the full size that a trade right at the threshold gets."""
    full: Threshold = "q0.99"
    """Confidence from which on the full size is staked."""
    abstain: float | None = None
    """Coverage of the conformal sets, such as 0.5, that must name one side for an entry."""


RULE_DEFAULTS = RuleConfig()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ConfidenceRules(Rules):
    """Confidence rules as a recipe: the arrays of any of their columns, made when asked for.

    Ten thousand thresholds over a year would be a gigabyte of `Signals`. The rule itself is that of
    `confidence_signals`.
    """

    index: pd.DatetimeIndex
    columns: pd.MultiIndex
    up: np.ndarray
    """float32 (N, T): P(UP), NaN where there is no prediction."""
    down: np.ndarray
    """float32 (N, T): P(DOWN)."""
    may_enter: np.ndarray
    """bool (N, T): False where neither side is signalled."""
    value: np.ndarray
    """int64 (N, T): which of the F values of a threshold holds on that bar."""
    symbol: np.ndarray
    """int64 (C,)."""
    long: np.ndarray
    """float32 (C, F): the confidence from which on UP is bought."""
    short: np.ndarray
    """float32 (C, F): that from which on DOWN is sold, or, long only, ends a long."""
    gap: np.ndarray
    """float32 (C,): how far below its threshold a probability ends a position."""
    full: np.ndarray
    """float32 (F,): the confidence of the full size."""
    floor: float
    """Size of a trade right at the threshold."""
    is_short: bool
    """Whether DOWN is sold."""

    def rows(self, start: int, stop: int) -> ConfidenceRules:
        """The half-open range of bars [start, stop)."""
        cut: dict[str, Any] = {
            name: np.ascontiguousarray(getattr(self, name)[:, start:stop])
            for name in ("up", "down", "may_enter", "value")
        }
        return replace(self, index=self.index[start:stop], **cut)

    def take(self, columns: Sequence[int] | np.ndarray) -> ConfidenceRules:
        """The columns at these positions."""
        chosen = np.asarray(columns, dtype=np.int64)
        names = ("symbol", "long", "short", "gap")
        kept: dict[str, Any] = {name: getattr(self, name)[chosen] for name in names}
        return replace(self, columns=self.columns[chosen], **kept)

    def signals(self) -> Signals:
        """The arrays of all columns."""
        codes, sizes = self.packed()
        return Signals(index=self.index, columns=self.columns, size=sizes.T, **unpacked(codes))

    def packed(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes and sizes for the kernel; see `Rules.packed`."""
        shape = (len(self.columns), len(self.index))
        codes, sizes = np.empty(shape, dtype=np.uint8), np.empty(shape)
        apply_rules_nb(
            self.up, self.down, self.may_enter, self.value, self.symbol, self.long, self.short,
            self.gap, self.full, float(self.floor), self.is_short, LEVEL_BITS, codes, sizes,
        )  # fmt: skip
        return codes, sizes


@njit(cache=True, error_model="numpy")
def size_nb(p: float, threshold: float, full: float, floor: float) -> float:
    """Share of the full stake at confidence p; float32 goes in, float64 comes out."""
    room = np.float64(full) - np.float64(threshold)
    reach = 1.0
    if room > 0.0:
        reach = min(max((np.float64(p) - np.float64(threshold)) / room, 0.0), 1.0)
    return floor + (1.0 - floor) * reach


@njit(cache=True, parallel=True, error_model="numpy")
def apply_rules_nb(
    up_NT: np.ndarray,
    down_NT: np.ndarray,
    may_enter_NT: np.ndarray,
    value_NT: np.ndarray,
    symbol_C: np.ndarray,
    long_CF: np.ndarray,
    short_CF: np.ndarray,
    gap_C: np.ndarray,
    full_F: np.ndarray,
    floor: float,
    is_short: bool,
    bits: tuple[int, int, int, int],
    code_CT: np.ndarray,
    size_CT: np.ndarray,
) -> None:
    """Fill the codes and sizes of all columns; see `ConfidenceRules` for what they are made of.

    Probabilities are compared as float32, so that 0.7 as a probability is not below 0.7 as a
    threshold. No two levels of the rule that conflict are ever true together. `bits` are those of
    `LEVELS`: passed, for a kernel on disk does not notice that another file changed.
    """
    enter_long, exit_long, enter_short, exit_short = bits
    for c in prange(len(symbol_C)):
        n, gap = symbol_C[c], gap_C[c]
        for t in range(up_NT.shape[1]):
            up, down, f = up_NT[n, t], down_NT[n, t], value_NT[n, t]
            theta, theta_down = long_CF[c, f], short_CF[c, f]
            code, size = 0, 0.0
            if up < theta - gap:
                code |= exit_long
            if is_short and down < theta_down - gap:
                code |= exit_short
            if may_enter_NT[n, t]:
                if up >= theta and up > down:
                    code |= enter_long
                    size = size_nb(up, theta, full_F[f], floor)
                elif down >= theta_down and down > up:
                    if is_short:
                        code |= enter_short
                        size = size_nb(down, theta_down, full_F[f], floor)
                    else:
                        code |= exit_long
            code_CT[c, t] = code
            size_CT[c, t] = size


def confidence_rules(
    preds: Predictions,
    bars: Bars,
    rule: RuleConfig,
    *,
    thresholds: Sequence[Threshold] | None = None,
    hystereses: Sequence[float] | None = None,
) -> ConfidenceRules:
    """The recipe of `confidence_signals`, to which the errors belong.

    `thresholds` and `hystereses` are traded each with each in place of the rule's own; only where
    the latter are given do the columns have a level "hysteresis".
    """
    check_same_bars(preds, bars)
    thetas = [rule.threshold] if thresholds is None else thresholds
    gaps = [rule.hysteresis] if hystereses is None else hystereses
    _check_rule(rule, thetas, gaps)
    symbols = list(bars.symbols)
    levels: dict[str, Sequence[Any]] = {"threshold": thetas, "hysteresis": gaps, "symbol": symbols}
    if hystereses is None:
        del levels["hysteresis"]
    long_SF = np.stack([_values(preds, theta, "threshold") for theta in thetas])
    short_SF = long_SF
    if rule.short_threshold is not None:
        own_F = _values(preds, rule.short_threshold, "short_threshold")
        short_SF = np.tile(own_F, (len(long_SF), 1))
    per_threshold = len(gaps) * len(symbols)
    return ConfidenceRules(
        index=bars.index,
        columns=pd.MultiIndex.from_tuples(
            list(itertools.product(*levels.values())), names=list(levels)
        ),
        up=_time_last(preds.proba[:, :, UP]),
        down=_time_last(preds.proba[:, :, DOWN]),
        may_enter=_time_last(_may_enter(preds, rule.abstain)),
        value=_time_last(preds.split_position),
        symbol=np.tile(np.arange(len(symbols)), len(thetas) * len(gaps)),
        long=long_SF.repeat(per_threshold, axis=0),
        short=short_SF.repeat(per_threshold, axis=0),
        gap=np.tile(np.repeat(np.array(gaps, np.float32), len(symbols)), len(thetas)),
        full=_values(preds, _full(preds, rule), "full"),
        floor=rule.floor,
        is_short=rule.short,
    )


def _may_enter(preds: Predictions, abstain: float | None) -> np.ndarray:
    """Where a side may be entered at all: bool (T, N)."""
    if abstain is None:
        return np.ones(preds.split.shape, dtype=np.bool_)
    sets = preds.conformal_sets(abstain)
    return np.asarray(sets[:, :, UP] != sets[:, :, DOWN])


def _full(preds: Predictions, rule: RuleConfig) -> Threshold:
    if rule.full == RULE_DEFAULTS.full and preds.quantiles is None:
        return FULL_WITHOUT_QUANTILES
    return rule.full


def confidence_signals(
    preds: Predictions,
    bars: Bars,
    *,
    threshold: Threshold | Sequence[Threshold],
    hysteresis: float | Sequence[float] = RULE_DEFAULTS.hysteresis,
    short: bool = RULE_DEFAULTS.short,
    short_threshold: Threshold | None = RULE_DEFAULTS.short_threshold,
    floor: float = RULE_DEFAULTS.floor,
    full: Threshold = RULE_DEFAULTS.full,
    abstain: float | None = RULE_DEFAULTS.abstain,
) -> Signals:
    """Signals of the confidence rule, one column a threshold (x hysteresis) x symbol.

    A long is entered where P(UP) >= threshold and P(UP) > P(DOWN), and left where P(UP) falls
    below threshold - hysteresis; shorts mirror it. A short entry is itself the end of a long;
    with `short=False` it only ends the long. A tie enters nothing; a missing probability neither
    enters nor leaves. An entry's size is

        floor + (1 - floor) clip((p - threshold) / (full - threshold), 0, 1)

    and 1 where full <= threshold. A threshold is a probability in (0, 1) or a quantile of
    confidence on the split's own calibration range: "q0.90". The default `full` is 0.80 when the
    predictions carry no such quantiles (`Predictions.from_frames`).

    With `abstain`, a coverage in (0, 1), there is no entry on a bar whose conformal set of that
    coverage (`Predictions.conformal_sets`) holds both UP and DOWN or neither of them; STAY may be
    in it or not. So no position is turned there either; one that is held ends by its own exit
    level, stop or time. The higher the coverage, the larger the sets and the fewer the entries.

    Columns: "threshold" as it was given, "hysteresis" if a list was given, "symbol".

    Raises `ValueError` for a threshold, hysteresis or floor out of range, and for predictions
    that do not belong to these bars.
    """
    hystereses = as_list("hysteresis", hysteresis)
    rule = RuleConfig(
        hysteresis=hystereses[0], short=short, short_threshold=short_threshold, floor=floor,
        full=full, abstain=abstain,
    )  # fmt: skip
    return confidence_rules(
        preds,
        bars,
        rule,
        thresholds=as_list("threshold", threshold),
        hystereses=hystereses if np.ndim(hysteresis) else None,
    ).signals()


def parse_threshold(threshold: Threshold, name: str = "threshold") -> tuple[str, float]:
    """("probability", p) or ("quantile", q) of a threshold as users write it.

    Raises `ValueError` naming what is allowed.
    """
    remedy = "give a probability in (0, 1) such as 0.5, or a quantile of confidence such as 'q0.90'"
    if isinstance(threshold, str):
        try:
            level = float(threshold[1:]) if threshold[:1] == "q" else float("nan")
        except ValueError:
            level = float("nan")
        if not 0 <= level <= 1:
            raise InputError(f"{name} {threshold!r} is not understood; {remedy}")
        return "quantile", level
    if not 0 < threshold < 1:
        raise InputError(f"{name} must lie in (0, 1), got {threshold!r}; {remedy}")
    return "probability", float(threshold)


def check_same_bars(preds: Predictions, bars: Bars) -> None:
    """Raise `ValueError` unless the predictions speak of exactly these bars."""
    if preds.symbols != bars.symbols:
        raise InputError(f"predictions are of {preds.symbols}, the bars of {bars.symbols}")
    if not preds.index.equals(bars.index):
        raise InputError(
            f"predictions cover {len(preds.index):,} bars from {preds.index[0]}, the bars are "
            f"{len(bars):,} from {bars.index[0]}; give both the same index (NaN where there is "
            "no prediction)"
        )


def _values(preds: Predictions, threshold: Threshold, name: str) -> np.ndarray:
    """The values that a threshold takes, by `Predictions.split_position`: float32 (F,)."""
    kind, value = parse_threshold(threshold, name)
    if kind == "quantile":
        return preds.split_quantiles(value)
    return np.full(len(preds.splits) + 1, value, dtype=np.float32)


def _time_last(values_TN: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values_TN.T)


def as_list(name: str, values: Any) -> list[Any]:
    """One value or a sequence of them as a list of plain Python values.

    Raises `ValueError` for an empty or repeating sequence.
    """
    items = [values] if np.ndim(values) == 0 else list(values)
    items = [item.item() if isinstance(item, np.generic) else item for item in items]
    if not items or len(set(items)) != len(items):
        raise InputError(f"{name} needs one or more distinct values, got {items}")
    return items


def _check_rule(
    rule: RuleConfig, thresholds: Sequence[Threshold], hystereses: Sequence[float]
) -> None:
    lowest = min((t for t in thresholds if not isinstance(t, str)), default=1.0)
    for gap in hystereses:
        if not 0 <= gap < lowest:
            raise InputError(
                f"hysteresis must lie in [0, threshold), got {gap:g} with threshold {lowest:g}; "
                "the exit level is threshold - hysteresis"
            )
    if not 0 <= rule.floor <= 1:
        raise InputError(f"floor must lie in [0, 1], got {rule.floor}")
    if rule.short_threshold is not None and not rule.short:
        raise InputError("short_threshold has no meaning with short=False; leave one of them out")
