"""Out-of-sample class probabilities, their quantiles of confidence and their conformal sets.

Dimensions: T bars, N symbols, K = 3 classes.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError, InputTypeError
from convnext_vbt.predictions import file
from convnext_vbt.predictions.earlier import Outcomes, calibrated, earlier_quantiles, outcomes_of
from convnext_vbt.predictions.foreign import SplitsLike, numbers_of, splits_of
from convnext_vbt.predictions.types import (
    CLASSES,
    DOWN,
    QUANTILE_LEVELS,
    STAY,
    UP,
    Split,
    SplitFit,
    Target,
)
from convnext_vbt.summary import Summary, listed, span


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """Probabilities of DOWN, STAY, UP at the close of each bar, strictly out of sample.

    `proba` is float32 (T, N, 3), NaN where there is no out-of-sample prediction; `split` is
    int16 (T, N), the number of the split that made the prediction, -1 where there is none.
    `quantiles`, float32 (number of splits, 1001), holds each split's quantiles of confidence
    max(P(UP), P(DOWN)) at the levels 0, 0.001, ..., 1: out of fold on its own training range, or,
    of predictions from elsewhere, over the test ranges before its own, NaN for the first split.
    `nonconformity`, of the same shape, holds those of 1 - P(true class) there; each is the nearest
    one of the scores.
    """

    index: pd.DatetimeIndex
    symbols: tuple[str, ...]
    proba: np.ndarray
    split: np.ndarray
    splits: tuple[Split, ...] = ()
    fits: tuple[SplitFit, ...] = ()
    quantiles: np.ndarray | None = None
    nonconformity: np.ndarray | None = None
    target: Target | None = None
    receptive_field: int | None = None
    """Bars that one prediction looks back on, beside the features' own memory."""
    members: tuple[Predictions, ...] = ()
    """Of an ensemble: what each network says alone, calibrated alone, at the same bars. How far
    their results lie apart is how much the seed matters."""

    def __post_init__(self) -> None:
        _check_index(self.index)
        object.__setattr__(self, "index", self.index.as_unit("ns"))
        shape = (len(self.index), len(self.symbols))
        proba = np.array(self.proba, dtype=np.float32, order="C")
        split = np.array(self.split, dtype=np.int16, order="C")
        if proba.shape != (*shape, 3) or split.shape != shape:
            raise InputError(
                f"proba must have shape {(*shape, 3)} and split {shape}, got "
                f"{proba.shape} and {split.shape}"
            )
        _check_probabilities(self.index, proba, split)
        proba[split < 0] = np.nan  # one bit pattern for every NaN, so that equal means identical
        for name, values in (("proba", proba), ("split", split)):
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if self.splits and not set(np.unique(split)) <= {-1, *(s.number for s in self.splits)}:
            raise InputError(
                f"split holds numbers {sorted(set(np.unique(split).tolist()) - {-1})}, "
                f"splits holds {[s.number for s in self.splits]}"
            )
        for name in ("quantiles", "nonconformity"):
            if getattr(self, name) is None:
                continue
            table = np.array(getattr(self, name), dtype=np.float32, order="C")
            if table.shape != (len(self.splits), len(QUANTILE_LEVELS)):
                raise InputError(
                    f"{name} must have shape {(len(self.splits), len(QUANTILE_LEVELS))}, "
                    f"got {table.shape}"
                )
            table.flags.writeable = False
            object.__setattr__(self, name, table)
        if self.nonconformity is not None:
            numbers = [split.number for split in self.splits]
            if [fit.number for fit in self.fits] != numbers:
                raise InputError(
                    f"nonconformity needs a fit for each split {numbers} (how many scores there "
                    f"were), got fits {[fit.number for fit in self.fits]}"
                )

        for member in self.members:
            if not (
                member.index.equals(self.index)
                and member.symbols == self.symbols
                and np.array_equal(member.split, split)
            ):
                raise InputError(
                    "members must be predictions of the same bars, symbols and splits; replace "
                    "them together with proba, or leave them out"
                )

    @classmethod
    def from_frames(
        cls,
        *,
        prob_up: pd.DataFrame | pd.Series,
        prob_down: pd.DataFrame | pd.Series,
        target: Target | None = None,
        splits: SplitsLike | None = None,
    ) -> Self:
        """Anybody's probabilities: series, or frames of shape (T, N), on one index of UTC times.

        NaN in both says that there is no prediction; P(STAY) is what is left to 1. The columns are
        the symbols; two series of different names are one symbol, "asset".

        `splits` says which bars each prediction was made from, positions counting the frames' rows:
        (train, test) pairs as a splitter of scikit-learn or skfolio yields them (arrays, slices,
        half-open (start, stop)), `Split` objects, the splitter itself, or one fold number a bar
        (-1 or NaN for none). Each test range is one stretch of bars. With them thresholds are
        chosen split by split, quantiles such as "q0.90" are those of the test ranges before (so
        that none is met in the first one), and the page has its tables by split. Training on bars
        of the test range or after it, as in K-fold cross-validation, is no walk-forward: it is
        taken, said everywhere, and never comes to a PASS; so are fold numbers, which do not tell
        what was learned from. Without splits one rule is traded that the caller fixes.

        Raises `ValueError` for values outside [0, 1], a sum above 1, a NaN in only one of the two
        and for frames that do not match, naming the bar; and for splits that are none of these
        bars or overlap, and predictions outside all test ranges.
        """
        up, down = _as_frames(prob_up, prob_down)
        index = _utc(up.index)
        p_up, p_down = up.to_numpy(np.float64), down.to_numpy(np.float64)
        none = np.isnan(p_up) & np.isnan(p_down)
        fine = (p_up >= 0) & (p_down >= 0) & (p_up + p_down <= 1 + 1e-6)
        if not (none | fine).all():
            t, n = np.argwhere(~(none | fine))[0]
            raise InputError(
                f"{index[t]}: P(UP)={p_up[t, n]:g} and P(DOWN)={p_down[t, n]:g} must both be >= 0 "
                "and sum to at most 1, or both be NaN for no prediction"
            )
        proba = np.stack([p_down, np.clip(1.0 - p_up - p_down, 0.0, None), p_up], axis=2)
        symbols = tuple(str(name) for name in up.columns)
        if splits is None:
            split = np.where(none, -1, 0)
            return cls(index=index, symbols=symbols, proba=proba, split=split, target=target)
        found = splits_of(splits, up)
        return cls(
            index=index,
            symbols=symbols,
            proba=proba,
            split=numbers_of(found, ~none, index),
            splits=found,
            quantiles=earlier_quantiles(found, proba),
            target=target,
        )

    def calibrated(
        self, outcomes: Outcomes | pd.DataFrame | pd.Series, *, horizon: int | None = None
    ) -> Self:
        """The same predictions made true, each split by what was known before its test range.

        `outcomes` are what came: labels, as `convnext_vbt.barrier_labels(bars, horizon=24)` makes
        them, or a frame of classes (0 DOWN, 1 STAY, 2 UP, -1 or NaN unknown), each known `horizon`
        bars later. Whether the price moves and where to are calibrated each by one slope, from
        predictions of earlier test ranges whose outcome was known before this one began; a
        confidence in direction that has not been borne out yet is taken for mostly a coin's, so
        the first split keeps a fifth of it. Quantiles follow under the same slopes. It never looks
        at the split's own test range, nor at what is learned by later ones.

        Raises `ValueError` for predictions without splits, and for those whose quantiles were made
        out of fold (`walk_forward`'s), which are calibrated already.
        """
        if not self.splits:
            raise InputError(
                "calibration learns from earlier splits; give Predictions.from_frames its splits="
            )
        if self.fits:
            raise InputError("these predictions were calibrated when they were made, out of fold")
        known = outcomes_of(outcomes, self.index, self.symbols, horizon)
        proba, quantiles = calibrated(self.splits, self.proba, known)
        return dataclasses.replace(self, proba=proba, quantiles=quantiles)

    def __repr__(self) -> str:
        return str(self._summary())

    def _repr_html_(self) -> str:
        return self._summary().html()

    def _summary(self) -> Summary:
        told = self.split >= 0
        count = int(np.count_nonzero(told))
        rows = [("out of sample", f"{count:,} of {told.size:,} bars")]
        if count:
            when = np.flatnonzero(told.any(axis=1))
            once = np.broadcast_to(told[:, :, None], self.proba.shape)
            sums = np.add.reduce(self.proba, axis=(0, 1), where=once, dtype=np.float64)
            shares = " · ".join(f"{CLASSES[k]} {sums[k] / count:.0%}" for k in (UP, STAY, DOWN))
            rows += [("from, to", span(self.index[[when[0], when[-1]]])), ("mean", shares)]
        if self.splits:
            learned = sum(fit.learned for fit in self.fits)
            also = f", of which {learned} learned" if self.fits else ""
            rows.append(("splits", f"{len(self.splits)}{also}"))
        if self.fits:
            loss, base = (
                sum(getattr(fit, name) for fit in self.fits) / len(self.fits)
                for name in ("valid_loss", "prior_loss")
            )
            rows.append(("loss", f"{loss:.4f} out of fold, base rates {base:.4f}"))
        return Summary(f"Predictions of {listed(self.symbols)}", tuple(rows))

    def _frame(self, values: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(values, index=self.index, columns=pd.Index(self.symbols, name="symbol"))

    @property
    def prob_down(self) -> pd.DataFrame:
        """P(DOWN), a (T, N) frame, NaN where there is no prediction."""
        return self._frame(self.proba[:, :, DOWN])

    @property
    def prob_stay(self) -> pd.DataFrame:
        """P(STAY), a (T, N) frame, NaN where there is no prediction."""
        return self._frame(self.proba[:, :, STAY])

    @property
    def prob_up(self) -> pd.DataFrame:
        """P(UP), a (T, N) frame, NaN where there is no prediction."""
        return self._frame(self.proba[:, :, UP])

    def confidence_quantile(self, level: float) -> np.ndarray:
        """The quantile of confidence that each bar's own split was calibrated to, float32 (T, N).

        It is taken from before the split's test range (see `quantiles`), so it is known at every
        bar it is given for. NaN where there is no prediction, or nothing before it.
        """
        return self._by_bar(self.split_quantiles(level))

    def split_quantiles(self, level: float) -> np.ndarray:
        """That quantile by `split_position`, float32 (number of splits + 1,); the last is NaN."""
        if self.quantiles is None:
            raise InputError(
                "quantile thresholds need to know what came before each prediction: give "
                "Predictions.from_frames its splits=, or absolute thresholds such as 0.5"
            )
        if not 0 <= level <= 1:
            raise InputError(f"a quantile level must lie in [0, 1], got {level}")
        values = [np.interp(level, QUANTILE_LEVELS, row) for row in self.quantiles]
        return np.array([*values, np.nan], dtype=np.float32)

    @property
    def split_position(self) -> np.ndarray:
        """The place in `splits` of each bar's own split, int64 (T, N).

        Without a prediction, and where no splits are given, it is the number of splits.
        """
        numbers = [split.number for split in self.splits]
        # one place for each number and, at [-1], one for "no prediction"
        position = np.full(max([*numbers, self.split.max(initial=0)]) + 2, len(self.splits))
        position[numbers] = np.arange(len(numbers))
        place: np.ndarray = position[self.split]
        return place

    def conformal_sets(self, coverage: float) -> np.ndarray:
        """The classes not ruled out at each bar, bool (T, N, 3); none without a prediction.

        Split conformal prediction (Vovk et al. 2005; Lei et al. 2018): a class is in the set where
        1 - P(class) is at most the ceil((n + 1) coverage)-th smallest of the n scores
        1 - P(true class) on the split's own training range, out of fold; where n is too small for
        that, all three are. If bars were exchangeable the set would hold the true class with at
        least this probability. They are not (labels overlap, markets change): `evidence.scores`
        says how often it did.
        """
        if self.nonconformity is None:
            raise InputError(
                "conformal sets need predictions with calibration ranges, as walk_forward makes "
                "them; leave abstain out"
            )
        if not 0 < coverage < 1:
            raise InputError(f"coverage must lie in (0, 1), got {coverage}; 0.8 is 80 %")
        pairs = zip(self.nonconformity, self.fits, strict=True)
        limits = [_conformal_limit(row, fit.num_scores, coverage) for row, fit in pairs]
        limit = self._by_bar(np.array([*limits, np.nan], dtype=np.float32))
        sets: np.ndarray = 1.0 - self.proba <= limit[:, :, None]
        return sets

    def _by_bar(self, per_split: np.ndarray) -> np.ndarray:
        """Each bar's own split's value, (T, N); the last one where there is no prediction."""
        value: np.ndarray = per_split[self.split_position]
        return value

    def save(self, path: str | Path) -> None:
        """Write the file that `load` reads: one Parquet row a prediction, atomically.

        Columns timestamp, symbol, split, prob_down, prob_stay, prob_up.
        """
        every = (self, *self.members)
        names = [field.name for field in dataclasses.fields(self) if field.name != "members"]
        file.write(Path(path), [{name: getattr(one, name) for name in names} for one in every])

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises `FileNotFoundError` when there is no such file and `ValueError` when it is damaged
        or of another format.
        """
        fields, *members = file.read(Path(path))
        return cls(**fields, members=tuple(cls(**member) for member in members))


def _conformal_limit(scores: np.ndarray, count: int, coverage: float) -> float:
    """The ceil((count + 1) coverage)-th smallest of the scores that these are the quantiles of.

    Exactly it up to 500 scores, else it or one at most 0.1 % of them further up: 1,001 quantiles
    tell no more. 1 rules nothing out.
    """
    rank = math.ceil((count + 1) * coverage - 1e-9)  # 0.9 of 10 is 9, whatever floats say
    if rank > count:
        return 1.0
    level = (rank - 1) / max(count - 1, 1)
    return float(scores[math.ceil(level * (len(scores) - 1) - 1e-9)])


def _check_index(index: pd.DatetimeIndex) -> None:
    if str(index.tz) != "UTC":
        raise InputError(f"prediction times must be UTC, got time zone {index.tz}")
    late = np.flatnonzero(np.diff(index.asi8) <= 0)
    if len(late):
        row = int(late[0]) + 1
        raise InputError(
            f"row {row}: {index[row]} does not come after {index[row - 1]}; sort by time and keep "
            "one row per timestamp"
        )


def _check_probabilities(
    index: pd.DatetimeIndex, proba_TNK: np.ndarray, split_TN: np.ndarray
) -> None:
    made = split_TN >= 0
    wrong = np.where(made, ~np.isfinite(proba_TNK).all(axis=2), ~np.isnan(proba_TNK).all(axis=2))
    if wrong.any():
        t, n = np.argwhere(wrong)[0]
        raise InputError(
            f"{index[t]}: proba must be finite exactly where split >= 0, got "
            f"{proba_TNK[t, n].tolist()} in split {split_TN[t, n]}"
        )
    off = (np.abs(proba_TNK.sum(axis=2) - 1) > 1e-4) | (proba_TNK < 0).any(axis=2)
    if off.any():
        t, n = np.argwhere(off)[0]
        raise InputError(
            f"{index[t]}: probabilities must be >= 0 and sum to 1, got {proba_TNK[t, n].tolist()}"
        )


def _as_frames(
    up: pd.DataFrame | pd.Series, down: pd.DataFrame | pd.Series
) -> tuple[pd.DataFrame, pd.DataFrame]:
    if isinstance(up, pd.Series) and isinstance(down, pd.Series):
        name = up.name if up.name is not None and up.name == down.name else "asset"
        up, down = up.to_frame(name), down.to_frame(name)
    if not isinstance(up, pd.DataFrame) or not isinstance(down, pd.DataFrame):
        raise InputTypeError(
            f"prob_up and prob_down must be two frames or two series, got {type(up).__name__} "
            f"and {type(down).__name__}"
        )
    if not up.index.equals(down.index) or not up.columns.equals(down.columns):
        raise InputError(
            f"prob_up {up.shape} and prob_down {down.shape} must share their index and columns; "
            "use prob_down.reindex_like(prob_up)"
        )
    return up, down


def _utc(index: pd.Index) -> pd.DatetimeIndex:
    if not isinstance(index, pd.DatetimeIndex):
        raise InputTypeError(
            f"probabilities need a DatetimeIndex of bar open times, got {type(index).__name__}"
        )
    return index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
