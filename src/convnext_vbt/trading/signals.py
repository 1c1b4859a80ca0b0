"""From probabilities to signals: stateless levels and a size, one column a rule and symbol.

Row t depends on probabilities and bars up to the close of t alone and is acted on at the open of
t+1. Holding time, stops and re-entry belong to the simulation.
Dimensions: T bars, N symbols, S rules, C = S x N columns (rules outer, symbols inner).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import DOWN, UP, Predictions

LEVELS = ("entries", "exits", "short_entries", "short_exits")
FULL_WITHOUT_QUANTILES = 0.80
"""Confidence that earns the full size when predictions carry no calibration quantiles."""

Frame = pd.DataFrame | pd.Series
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Signals:
    """Entry, exit and size arrays in vectorbt's layout: what a rule says at each bar's close.

    The four levels are bool (T, C); `size` is float64 (T, C) in [0, 1], the share of the full
    stake that an entry on that row gets. `columns` is a MultiIndex of the rule's parameters with
    the level "symbol" last. All arrays are C-ordered and read-only.

    Raises `ValueError` for a wrong shape, a size outside [0, 1] or columns without symbols.
    """

    index: pd.DatetimeIndex
    columns: pd.MultiIndex
    entries: np.ndarray
    exits: np.ndarray
    short_entries: np.ndarray
    short_exits: np.ndarray
    size: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", self.index.as_unit("ns"))
        _check_columns(self.columns)
        shape = (len(self.index), len(self.columns))
        for name in (*LEVELS, "size"):
            given = np.asarray(getattr(self, name))
            if given.shape != shape:
                raise ValueError(
                    f"{name} must have shape {shape} (bars, columns), got {given.shape}"
                )
            if name != "size" and given.dtype != np.bool_:
                raise ValueError(
                    f"{name} must be bool, got {given.dtype}; after a shift use "
                    "shift(1, fill_value=False)"
                )
            values = np.array(given, dtype=np.float64 if name == "size" else np.bool_, order="C")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        wrong = ~((self.size >= 0) & (self.size <= 1))
        if wrong.any():
            t, c = (int(i) for i in np.argwhere(wrong)[0])
            raise ValueError(
                f"{self.index[t]}, column {self.columns[c]}: size must lie in [0, 1], got "
                f"{self.size[t, c]:g}; it is a share of the full stake, 0 for no trade"
            )

    @classmethod
    def from_frames(
        cls,
        *,
        entries: Frame,
        exits: Frame | None = None,
        short_entries: Frame | None = None,
        short_exits: Frame | None = None,
        size: Frame | float = 1.0,
    ) -> Self:
        """A rule of one's own: frames (T, C) of bool on one UTC index, levels not shifted.

        Columns are the symbols, or a MultiIndex whose last level holds them; a Series is one
        symbol by its name ("asset" without one). What is left out never signals.
        """
        first = _as_frame(entries)
        columns = _with_symbol_level(first.columns)
        arrays = {
            name: _aligned(name, frame, first)
            for name, frame in zip(
                LEVELS, (entries, exits, short_entries, short_exits), strict=True
            )
        }
        if isinstance(size, (pd.DataFrame, pd.Series)):
            sizes = _aligned("size", size, first)
        else:
            sizes = np.full(tuple(first.shape), float(size))
        index = pd.DatetimeIndex(first.index)
        index = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
        return cls(index=index, columns=columns, size=sizes, **arrays)

    def __repr__(self) -> str:
        names = ", ".join(map(str, self.columns.names))
        return f"Signals({len(self.index):,} bars, {len(self.columns)} columns by {names})"

    @property
    def rule_levels(self) -> list[str]:
        """Names of the column levels before "symbol"."""
        return [str(name) for name in self.columns.names[:-1]]

    @property
    def symbols(self) -> pd.Index:
        """The symbol of each column."""
        return self.columns.get_level_values("symbol")

    def frame(self, name: str) -> pd.DataFrame:
        """One of entries, exits, short_entries, short_exits, size as a frame."""
        return pd.DataFrame(getattr(self, name), index=self.index, columns=self.columns)

    def rows(self, start: int, stop: int) -> Signals:
        """The half-open range of bars [start, stop)."""
        return self._cut(slice(start, stop), slice(None))

    def take(self, columns: Sequence[int] | np.ndarray) -> Signals:
        """The columns at these positions."""
        return self._cut(slice(None), np.asarray(columns, dtype=np.int64))

    def _cut(self, rows: slice, columns: slice | np.ndarray) -> Signals:
        arrays = {name: getattr(self, name)[rows][:, columns] for name in (*LEVELS, "size")}
        return Signals(index=self.index[rows], columns=self.columns[columns], **arrays)


def confidence_signals(
    preds: Predictions,
    bars: Bars,
    *,
    threshold: Threshold | Sequence[Threshold],
    hysteresis: float | Sequence[float] = 0.05,
    short: bool = True,
    short_threshold: Threshold | None = None,
    floor: float = 0.25,
    full: Threshold = "q0.99",
    abstain: float | None = None,
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
    check_same_bars(preds, bars)
    thresholds = as_list("threshold", threshold)
    hystereses = as_list("hysteresis", hysteresis)
    _check_rule(thresholds, hystereses, floor)
    if short_threshold is not None and not short:
        raise ValueError("short_threshold has no meaning with short=False; leave one of them out")
    if full == "q0.99" and preds.quantiles is None:
        full = FULL_WITHOUT_QUANTILES
    full_TN = _level(preds, full, "full")
    open_TN = None
    if abstain is not None:
        sets = preds.conformal_sets(abstain)
        open_TN = sets[:, :, UP] != sets[:, :, DOWN]

    blocks = []
    keys = []
    for theta, gap in itertools.product(thresholds, hystereses):
        long_TN = _level(preds, theta, "threshold")
        short_TN = (
            long_TN
            if short_threshold is None
            else _level(preds, short_threshold, "short_threshold")
        )
        blocks.append(
            rule_arrays(
                preds.proba[:, :, UP],
                preds.proba[:, :, DOWN],
                long=long_TN,
                short=short_TN if short else None,
                full=full_TN,
                hysteresis=gap,
                floor=floor,
                may_enter=open_TN,
            )
        )
        rule = (theta,) if np.ndim(hysteresis) == 0 else (theta, gap)
        keys += [(*rule, symbol) for symbol in bars.symbols]
    names = ["threshold", "symbol"] if len(keys[0]) == 2 else ["threshold", "hysteresis", "symbol"]
    return Signals(
        index=bars.index,
        columns=pd.MultiIndex.from_tuples(keys, names=names),
        **{
            name: np.concatenate([block[name] for block in blocks], axis=1)
            for name in (*LEVELS, "size")
        },
    )


def rule_arrays(
    prob_up: np.ndarray,
    prob_down: np.ndarray,
    *,
    long: np.ndarray,
    short: np.ndarray | None,
    full: np.ndarray,
    hysteresis: float,
    floor: float,
    may_enter: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """The confidence rule on plain (T, N) arrays: entries, exits, short_entries, short_exits, size.

    `long` and `short` are the thresholds of each bar, `full` the confidence of the full size;
    `short` None means long only, and then DOWN at the long threshold ends a long. Where `may_enter`
    is False neither side is signalled. See `confidence_signals` for the rule.
    """
    # float32 against float32: 0.7 as a probability is not below 0.7 as a threshold
    up, down, theta = (np.asarray(x, dtype=np.float32) for x in (prob_up, prob_down, long))
    theta_down = theta if short is None else np.asarray(short, dtype=np.float32)
    gap = np.float32(hysteresis)
    is_up = (up >= theta) & (up > down)
    is_down = (down >= theta_down) & (down > up)
    if may_enter is not None:
        is_up, is_down = is_up & may_enter, is_down & may_enter
    leaves = up < theta - gap
    size = np.where(is_up, _size(up, theta, full, floor), 0.0)
    if short is None:
        never = np.zeros_like(is_up)
        return dict(
            zip((*LEVELS, "size"), (is_up, leaves | is_down, never, never, size), strict=True)
        )
    size = np.where(is_down, _size(down, theta_down, full, floor), size)
    levels = (is_up, leaves, is_down, down < theta_down - gap)
    return dict(zip((*LEVELS, "size"), (*levels, size), strict=True))


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
            raise ValueError(f"{name} {threshold!r} is not understood; {remedy}")
        return "quantile", level
    if not 0 < threshold < 1:
        raise ValueError(f"{name} must lie in (0, 1), got {threshold!r}; {remedy}")
    return "probability", float(threshold)


def check_same_bars(preds: Predictions, bars: Bars) -> None:
    """Raise `ValueError` unless the predictions speak of exactly these bars."""
    if preds.symbols != bars.symbols:
        raise ValueError(f"predictions are of {preds.symbols}, the bars of {bars.symbols}")
    if not preds.index.equals(bars.index):
        raise ValueError(
            f"predictions cover {len(preds.index):,} bars from {preds.index[0]}, the bars are "
            f"{len(bars):,} from {bars.index[0]}; give both the same index (NaN where there is "
            "no prediction)"
        )


def _level(preds: Predictions, threshold: Threshold, name: str) -> np.ndarray:
    """The threshold at every bar, float32 (T, N)."""
    kind, value = parse_threshold(threshold, name)
    if kind == "quantile":
        return preds.confidence_quantile(value)
    return np.full(preds.split.shape, value, dtype=np.float32)


def _size(p: np.ndarray, theta: np.ndarray, full: np.ndarray, floor: float) -> np.ndarray:
    room = np.asarray(full, dtype=np.float64) - theta
    reach = np.where(room > 0, (p.astype(np.float64) - theta) / np.where(room > 0, room, 1.0), 1.0)
    return floor + (1.0 - floor) * np.clip(reach, 0.0, 1.0)


def as_list(name: str, values: Any) -> list[Any]:
    """One value or a sequence of them as a list of plain Python values.

    Raises `ValueError` for an empty or repeating sequence.
    """
    items = [values] if np.ndim(values) == 0 else list(values)
    items = [item.item() if isinstance(item, np.generic) else item for item in items]
    if not items or len(set(items)) != len(items):
        raise ValueError(f"{name} needs one or more distinct values, got {items}")
    return items


def _check_rule(thresholds: list[Threshold], hystereses: list[float], floor: float) -> None:
    lowest = min((t for t in thresholds if not isinstance(t, str)), default=1.0)
    for gap in hystereses:
        if not 0 <= gap < lowest:
            raise ValueError(
                f"hysteresis must lie in [0, threshold), got {gap:g} with threshold {lowest:g}; "
                "the exit level is threshold - hysteresis"
            )
    if not 0 <= floor <= 1:
        raise ValueError(f"floor must lie in [0, 1], got {floor}")


def _check_columns(columns: pd.MultiIndex) -> None:
    names = list(columns.names)
    named = all(isinstance(name, str) for name in names)
    if not isinstance(columns, pd.MultiIndex) or not named or names[-1] != "symbol":
        raise ValueError(
            "columns must be a MultiIndex of named levels, the last one 'symbol', got names "
            f"{names}; use columns.set_names"
        )
    if columns.has_duplicates:
        raise ValueError(f"column {columns[columns.duplicated()][0]} appears more than once")


def _with_symbol_level(columns: pd.Index) -> pd.MultiIndex:
    if isinstance(columns, pd.MultiIndex):
        return columns.set_names("symbol", level=-1) if columns.names[-1] is None else columns
    return pd.MultiIndex.from_arrays([columns], names=["symbol"])


def _as_frame(frame: Frame) -> pd.DataFrame:
    if isinstance(frame, pd.Series):
        return frame.to_frame("asset" if frame.name is None else frame.name)
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"signals must be pandas frames or series, got {type(frame).__name__}")
    return frame


def _aligned(name: str, frame: Frame | None, first: pd.DataFrame) -> np.ndarray:
    if frame is None:
        return np.zeros(first.shape, dtype=bool)
    table = _as_frame(frame)
    if not table.index.equals(first.index) or not table.columns.equals(first.columns):
        raise ValueError(
            f"{name} {table.shape} must share index and columns with entries {first.shape}"
        )
    return table.to_numpy()
