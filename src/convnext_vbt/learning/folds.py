"""Folds of the training range, so that all of it can be predicted by what is learned elsewhere.

Contiguous folds, purged on both sides through the labels' ends (Lopez de Prado 2018, ch. 7).
Dimensions: T bars, N symbols, K = 3 classes, R rows of a range, over all symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from convnext_vbt.errors import InputError
from convnext_vbt.learning.combinations import inside, purged_end
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.labels import NO_LABEL, Labels
from convnext_vbt.predictions import CLASSES, Range, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Bars that are predicted, and those around them that may be learned from."""

    held: Range
    before: Range
    after: Range
    """Empty, as `before` may be, where the purge leaves nothing."""

    def may_fit(self, bars: np.ndarray) -> np.ndarray:
        """Which of some bars may be learned from, bool of the same shape."""
        return inside(bars, (self.before, self.after))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoldRows:
    """A fold as rows of the training range."""

    bars: Fold
    held: Tensor
    """bool (R,): the rows that are predicted, labelled or not."""
    fit: Tensor
    """bool (R,): the labelled rows that may be learned from."""


def cut_folds(held_bars: np.ndarray, labels: Labels, split: Split) -> tuple[Fold, ...]:
    """Folds with equally many of the bars `held_bars` (ascending), which tile the train range.

    No label of a bar that may be learned from reaches into the bars that are held out, and none of
    theirs into it. Before the fold the whole tail goes from the first bar whose label reaches it,
    behind it all bars up to the last end of its labels, and `split.embargo` bars more on both
    sides. Ends of unlabelled bars count too: that a label is ambiguous is known only at its end.
    """
    start, stop = split.train
    places = np.arange(1, split.folds) * len(held_bars) // split.folds
    cuts = [start, *(int(bar) for bar in held_bars[places]), stop]
    reach_T = labels.end.max(axis=1)
    folds = []
    for first, last in pairwise(cuts):
        end = int(reach_T[first:last].max()) if last > first else last
        after = end + 1 + split.embargo
        folds.append(
            Fold(
                held=(first, last),
                before=(start, purged_end(reach_T, start, first, split.embargo)),
                after=(min(after, stop), stop),
            )
        )
    return tuple(folds)


def fold_rows(train: HeldOut, labels: Labels, split: Split) -> tuple[FoldRows, ...]:
    """The folds of the rows of a training range.

    Raises `InputError` where nothing is left to learn a fold from.
    """
    bars, labelled = train.bars.numpy(), train.y.numpy() != NO_LABEL
    rows = []
    for fold in cut_folds(np.unique(bars[labelled]), labels, split):
        fit = fold.may_fit(bars) & labelled
        if not fit.any():
            raise InputError(
                f"split {split.number + 1}: no labelled bar is left to learn from beside the fold "
                f"[{fold.held[0]}, {fold.held[1]}) of the train range [{split.train[0]}, "
                f"{split.train[1]}), purged by label end; raise splits.train, or lower "
                "labels.horizon or splits.embargo"
            )
        held = (bars >= fold.held[0]) & (bars < fold.held[1])
        rows.append(FoldRows(bars=fold, held=torch.from_numpy(held), fit=torch.from_numpy(fit)))
    return tuple(rows)


def out_of_fold(
    folds: Sequence[FoldRows], num_rows: int, predict: Callable[[FoldRows], Tensor]
) -> Tensor:
    """What `predict` says of each fold's held rows, put together, float32 (R, K)."""
    log_proba = torch.empty(num_rows, len(CLASSES))
    for fold in folds:
        log_proba[fold.held] = predict(fold)
    return log_proba
