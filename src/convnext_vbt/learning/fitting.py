"""One split from bars to calibrated probabilities, whatever kind of model is trained.

Dimensions: T bars, N symbols, F features, K = 3 classes, R rows of a range, over all symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from convnext_vbt.errors import InputError
from convnext_vbt.learning.calibration import OutOfFold, label_bars
from convnext_vbt.learning.combinations import inside, learned_ranges
from convnext_vbt.learning.devices import resolve_device
from convnext_vbt.learning.features import Features
from convnext_vbt.learning.folds import fold_rows
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.labels import Labels
from convnext_vbt.learning.models import kind_of
from convnext_vbt.learning.models.majority import frequencies_out_of_fold
from convnext_vbt.learning.models.protocol import FitTask, Learned, Predictor
from convnext_vbt.learning.primary import as_long, sides_of, taken
from convnext_vbt.learning.segments import Series, pack, present_rows, scale, without_values
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig
from convnext_vbt.predictions import CLASSES, Split, SplitFit
from convnext_vbt.predictions.slopes import apply

Progress = Callable[[int, int, float, float], None]
"""(step, steps, loss out of fold, that of the class frequencies)"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedSplit:
    """All that predicting needs: what one split learned, its scale, what calibrates it."""

    predictor: Predictor | None
    """None where it was read back from a file that cannot hold it."""
    mean: np.ndarray
    """float32 (N, F), of the training range; NaN for a symbol that is hardly in it."""
    std: np.ndarray
    fit: SplitFit
    """Its slopes change nothing until they are known: when the splits before it have predicted."""
    out_of_fold: OutOfFold
    receptive_field: int
    members: tuple[FittedSplit, ...] = ()
    """Of an ensemble: each network alone, calibrated alone."""


def fit_split(
    features: Features,
    labels: Labels,
    split: Split,
    *,
    model: ModelConfig,
    training: TrainingConfig,
    seed: int,
    device: str = "cpu",
    progress: Progress | None = None,
) -> FittedSplit:
    """Train the model of one split, and each member of an ensemble alone.

    All of it comes from `learned_ranges(split)`: what must be chosen is chosen out of fold, then
    every label is learned; no bar after `split.train` is read. The result depends on the arguments
    (and the number of threads) only, not on any global random state.

    Raises `InputError` when no bar has both a label and a full receptive field, when that leaves
    nothing to learn a fold from, and when settings and features do not go together.
    """
    kind = kind_of(model.kind)
    kind.check(model, training, features.names)
    device = resolve_device(device)
    learned_from = learned_ranges(split)
    labels = labels.within(learned_from)
    mean, std = scale(features, *learned_from)
    series = pack(features, mean, std, split.train[1])
    reach = kind.receptive_field(model, len(features.names))
    train = _train_rows(features, series, labels, split, reach)
    task = FitTask(
        train=train,
        folds=fold_rows(train, labels, split),
        names=features.names,
        labels=labels,
        split=split,
        model=model,
        training=training,
        seed=seed,
        device=device,
        progress=lambda step, steps, loss: (
            None if progress is None else progress(step, steps, loss, prior_loss)
        ),
    )
    prior_loss = train.loss(frequencies_out_of_fold(task))
    sides = sides_of(features)
    sides_R = np.ones(len(train.y), np.int8) if sides is None else train.at(sides)
    rows = inside(train.bars.numpy(), learned_from) & (sides_R != 0)

    def fitted(learned: Learned) -> FittedSplit:
        said, y = as_long(learned.out_of_fold.numpy(), train.y.numpy().astype(np.int8), sides_R)
        return FittedSplit(
            predictor=learned.predictor,
            mean=mean,
            std=std,
            fit=_fit_of(learned, task, prior_loss),
            out_of_fold=OutOfFold(
                log_proba=said[rows],
                y=y[rows],
                label_bars=label_bars(labels, split.train),
            ),
            receptive_field=reach,
        )

    learned = kind.fit(task)
    return replace(fitted(learned), members=tuple(map(fitted, learned.members)))


def log_proba_range(fitted: FittedSplit, features: Features, start: int, stop: int) -> np.ndarray:
    """Uncalibrated log-probabilities at the bars [start, stop), float32 (stop - start, N, 3).

    NaN where a symbol has no bar, too short a history or no scale. A bar's value depends on the
    receptive field that ends there, not on the range it is asked in (to 1e-5).
    """
    assert fitted.predictor is not None
    series = pack(features, fitted.mean, fitted.std, stop)
    out = np.full((stop - start, len(series), len(CLASSES)), np.nan, dtype=np.float32)
    for n, one in enumerate(series):
        rows = one.predictable((start, stop), fitted.receptive_field)
        held = HeldOut(series=[one], rows=[rows], y=torch.empty(0))
        out[one.bars[slice(*rows)] - start, n] = fitted.predictor.log_proba(held).numpy()
    return out


def predict_range(fitted: FittedSplit, features: Features, start: int, stop: int) -> np.ndarray:
    """Probabilities of DOWN, STAY, UP, float32 (stop - start, N, 3), calibrated by `fitted.fit`."""
    proba_TNK = apply(fitted.fit, log_proba_range(fitted, features, start, stop))
    sides = sides_of(features)
    return proba_TNK if sides is None else taken(proba_TNK, sides[start:stop])


def predict_last(fitted: FittedSplit, features: Features) -> np.ndarray:
    """Probabilities of DOWN, STAY, UP at the last bar alone, float32 (N, 3): a live decision."""
    num_bars = len(features.values)
    last: np.ndarray = predict_range(fitted, features, num_bars - 1, num_bars)[0]
    return last


def refuse_untrainable(
    features: Features, labels: Labels, splits: Sequence[Split], reach: int
) -> None:
    """Raise `InputError` for the first split that nothing, or no fold of which, can be learned of.

    `reach` is the model's receptive field. Everything that training itself would find.
    """
    last = max(split.train[1] for split in splits)
    present = [present_rows(features, n, last) for n in range(features.values.shape[1])]
    for split in splits:
        series = [without_values(rows, split.train) for rows in present]
        fold_rows(_train_rows(features, series, labels, split, reach), labels, split)


def _train_rows(
    features: Features, series: Sequence[Series], labels: Labels, split: Split, reach: int
) -> HeldOut:
    """The rows of the training range, at least one of them labelled."""
    train = HeldOut.of(series, labels.values, split.train, reach)
    if not len(train.labelled):
        refuse_short(features, split, reach)
        start, stop = split.train
        raise InputError(
            f"split {split.number + 1}: no bar of the train range [{start}, {stop}) with the "
            "history that is needed has a label; lengthen splits.train, or start the splits later"
        )
    return train


def refuse_short(features: Features, split: Split, reach: int) -> None:
    """Raise `InputError` where no bar of the split can have the history that a model reads.

    `reach` is the model's receptive field.
    """
    start, stop = split.train
    needed = features.warmup + reach
    if stop < needed:
        raise InputError(
            f"split {split.number + 1}: no bar of the train range [{start}, {stop}) can be learned "
            f"from: that takes a label and {_bars(needed)} up to it, {_bars(features.warmup)} "
            f"until its features are known and {_bars(reach)} that the model reads, and there "
            f"{_are(stop)}; lengthen splits.train, or choose features with less memory "
            "(features.names)"
        )


def _bars(count: int) -> str:
    return f"{count:,} bar{'s' * (count != 1)}"


def _are(count: int) -> str:
    return f"{'is' if count == 1 else 'are'} {count:,}"


def _fit_of(learned: Learned, task: FitTask, prior_loss: float) -> SplitFit:
    prior = task.train.frequencies
    return SplitFit(
        number=task.split.number,
        epochs=learned.epochs,
        valid_loss=task.train.loss(learned.out_of_fold),
        prior_loss=prior_loss,
        prior=(float(prior[0]), float(prior[1]), float(prior[2])),
        num_scores=len(task.train.labelled),
    )
