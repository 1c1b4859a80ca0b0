"""How well probabilities predicted the labels, beside what base rates alone would score.

Only bars with both a prediction and a label (>= 0) count, pooled over symbols. A score that is
not defined (no such bar, only one class seen) is NaN. Dimensions: T bars, N symbols, K = 3
classes, M bars that count.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.predictions import CLASSES, DOWN, STAY, UP, Predictions

NUM_BINS = 10
COLUMNS = (
    "bars",
    "auc_up",
    "auc_down",
    "auc_direction",
    "log_loss",
    "prior_log_loss",
    "brier",
    "prior_brier",
    "ece",
    "accuracy",
    "majority_accuracy",
    "balanced_accuracy",
    "mcc",
    "coverage_90",
    "set_size_90",
)
COVERAGE = 0.90
"""Of the conformal sets that are scored."""
_LEAST = 1e-7
"""Log-loss counts no probability as less than this, about the resolution of float32."""


def score_splits(preds: Predictions, values: np.ndarray) -> pd.DataFrame:
    """Classification scores of every split, one row a split (index "split"), columns `COLUMNS`.

    `values` are label values, int8 (T, N), -1 where there is none. What the columns are:

    - auc_up, auc_down: ROC area of P(UP), P(DOWN), one class against the rest; auc_direction:
      that of P(UP) - P(DOWN), UP against DOWN, among bars that turned out one of the two.
    - log_loss in nats a bar; brier = sum over classes of squared errors, in [0, 2] (Brier 1950).
    - ece: expected calibration error of the predicted class's probability, in 10 bins of equal
      mass; equal probabilities share a bin.
    - prior_*: the same for the split's training frequencies of the classes (of all labels before
      the split's first bar where the predictions do not carry them); majority_accuracy: of always
      saying the class that was the most frequent in training.
    - balanced_accuracy: mean recall of the classes seen; mcc: Matthews' (Gorodkin 2004).
    - coverage_90: share of bars whose label is in the conformal set of 90 % coverage, and
      set_size_90: how many classes it holds on average (`Predictions.conformal_sets`). Coverage
      that wanders from split to split is a market that changes. NaN without conformal scores.

    Raises `ValueError` when `values` has not the shape of the predictions.
    """
    _check(preds, values)
    numbers = [split.number for split in preds.splits] or np.unique(preds.split[preds.split >= 0])
    sets = None if preds.nonconformity is None else preds.conformal_sets(COVERAGE)
    rows = {}
    for number in map(int, numbers):
        counted = (preds.split == number) & (values >= 0)
        proba = _normalised(preds.proba[counted])
        rows[number] = _scores(proba, values[counted], _prior(preds, values, number))
        if sets is not None and counted.any():
            rows[number] |= _coverage(sets[counted], values[counted])
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS))
    return table.rename_axis("split").astype({"bars": np.int64})


def overall(preds: Predictions, values: np.ndarray) -> pd.DataFrame:
    """Scores over all bars that count, beside those of knowing nothing but frequencies.

    Rows: "model"; "majority", always the class that was the most frequent in the split's training
    range; "prior", that range's class frequencies as probabilities. Columns: accuracy,
    balanced_accuracy, mcc, log_loss, brier, ece as in `score_splits`. Bars of splits without a
    prior are left out of the last two rows; what is not defined is NaN.
    """
    proba, actual = _pooled(preds, values)
    numbers = preds.split[(preds.split >= 0) & (values >= 0)]
    prior_MK = np.full(proba.shape, np.nan)
    for number in np.unique(numbers):
        prior_MK[numbers == number] = _prior(preds, values, int(number))
    known = np.isfinite(prior_MK).all(axis=1)
    prior_MK, seen = prior_MK[known], actual[known]
    usual = prior_MK.argmax(axis=1)
    certain = dict.fromkeys(("log_loss", "brier", "ece"), np.nan)
    prior = _judged(prior_MK, seen) | dict.fromkeys(
        ("accuracy", "balanced_accuracy", "mcc", "ece"), np.nan
    )
    rows = {
        "model": _judged(proba, actual),
        "majority": _judged(np.eye(3)[usual], seen) | certain,
        "prior": prior,
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _judged(proba_MK: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    names = ("accuracy", "balanced_accuracy", "mcc", "log_loss", "brier", "ece")
    scores = _scores(proba_MK, actual, np.full(3, np.nan))
    return {name: scores[name] for name in names}


def confusion(preds: Predictions, values: np.ndarray) -> pd.DataFrame:
    """Number of bars by label (rows, "actual") and most probable class (columns, "predicted")."""
    proba, actual = _pooled(preds, values)
    return pd.DataFrame(
        _confusion(proba.argmax(axis=1), actual),
        index=pd.Index(CLASSES, name="actual"),
        columns=pd.Index(CLASSES, name="predicted"),
    )


def class_scores(confusion: pd.DataFrame) -> pd.DataFrame:
    """precision, recall and f1 of each class of a `confusion`, NaN where undefined."""
    counts = confusion.to_numpy(np.float64)
    said, true, both = counts.sum(axis=0), counts.sum(axis=1), counts.diagonal()
    with np.errstate(invalid="ignore"):
        scores = {"precision": both / said, "recall": both / true, "f1": 2 * both / (said + true)}
    return pd.DataFrame(scores, index=pd.Index(CLASSES, name="class"))


def reliability(
    preds: Predictions, values: np.ndarray, cls: int, *, bins: int = NUM_BINS
) -> pd.DataFrame:
    """How often class `cls` came true against how probable it was called, in bins of equal mass.

    One row a bin, from improbable to probable: mean_probability, frequency, low and high (Wilson
    95 % interval of the frequency), count. Equal probabilities share a bin, so there may be fewer
    than `bins`. Labels of neighbouring bars overlap: the intervals are those of independent bars,
    and too narrow for it.
    """
    proba, actual = _pooled(preds, values)
    probability, came_true = proba[:, cls], actual == cls
    groups = (
        pd.DataFrame({"probability": probability, "came_true": came_true})
        .groupby(_equal_mass_bins(probability, bins))
        .agg(
            mean_probability=("probability", "mean"),
            frequency=("came_true", "mean"),
            count=("came_true", "size"),
        )
    )
    low, high = wilson_interval(groups["frequency"].to_numpy(), groups["count"].to_numpy())
    table = groups.assign(low=low, high=high).reset_index(drop=True).rename_axis("bin")
    return table[["mean_probability", "frequency", "low", "high", "count"]]


def wilson_interval(
    frequency: np.ndarray, count: np.ndarray, *, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's (1927) score interval of a share `frequency` of `count` cases, count >= 1."""
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    centre = (frequency + z2 / (2 * count)) / (1 + z2 / count)
    half = np.sqrt(z2 * (frequency * (1 - frequency) + z2 / (4 * count)) / count)
    half = half / (1 + z2 / count)
    # At a share of exactly 0 or 1 rounding may step over the edge.
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def _check(preds: Predictions, values: np.ndarray) -> None:
    if values.shape != preds.split.shape:
        raise InputError(
            f"label values must have the predictions' shape {preds.split.shape}, got "
            f"{values.shape}; make both from the same bars"
        )


def _normalised(proba_MK: np.ndarray) -> np.ndarray:
    proba = proba_MK.astype(np.float64)
    return np.asarray(proba / proba.sum(axis=1, keepdims=True))  # float32 rows sum to 1 within 1e-4


def _pooled(preds: Predictions, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (M, 3) and labels (M,) of all bars that count."""
    _check(preds, values)
    counted = (preds.split >= 0) & (values >= 0)
    return _normalised(preds.proba[counted]), values[counted]


def _prior(preds: Predictions, values: np.ndarray, number: int) -> np.ndarray:
    """Class frequencies known before the split, (3,); NaN where there is no earlier label."""
    for fit in preds.fits:
        if fit.number == number:
            return np.asarray(fit.prior, dtype=np.float64)
    bars = np.flatnonzero((preds.split == number).any(axis=1))
    earlier = values[: bars[0]] if len(bars) else values[:0]
    counts = np.bincount(earlier[earlier >= 0], minlength=3)
    return counts / counts.sum() if counts.any() else np.full(3, np.nan)


def _scores(proba_MK: np.ndarray, actual: np.ndarray, prior: np.ndarray) -> dict[str, float]:
    if not len(actual):
        return dict.fromkeys(COLUMNS, np.nan) | {"bars": 0}
    predicted = proba_MK.argmax(axis=1)
    table = _confusion(predicted, actual)
    prior_MK = np.broadcast_to(prior, proba_MK.shape)
    moved = actual != STAY
    seen = table.sum(axis=1) > 0
    return dict.fromkeys(COLUMNS, np.nan) | {
        "bars": len(actual),
        "auc_up": _auc(actual == UP, proba_MK[:, UP]),
        "auc_down": _auc(actual == DOWN, proba_MK[:, DOWN]),
        "auc_direction": _auc(actual[moved] == UP, proba_MK[moved, UP] - proba_MK[moved, DOWN]),
        "log_loss": _log_loss(proba_MK, actual),
        "prior_log_loss": _log_loss(prior_MK, actual),
        "brier": _brier(proba_MK, actual),
        "prior_brier": _brier(prior_MK, actual),
        "ece": _calibration_error(proba_MK.max(axis=1), predicted == actual),
        "accuracy": float(np.mean(predicted == actual)),
        "majority_accuracy": float(np.mean(actual == prior.argmax()))
        if np.isfinite(prior).all()
        else np.nan,
        "balanced_accuracy": float(np.mean(table.diagonal()[seen] / table.sum(axis=1)[seen])),
        "mcc": _matthews(predicted, actual),
    }


def _coverage(sets_MK: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    return {
        "coverage_90": float(sets_MK[np.arange(len(actual)), actual].mean()),
        "set_size_90": float(sets_MK.sum(axis=1).mean()),
    }


def _confusion(predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    pairs = 3 * actual.astype(np.int64) + predicted
    return np.bincount(pairs, minlength=9).reshape(3, 3)


def _auc(positive: np.ndarray, score: np.ndarray) -> float:
    if positive.all() or not positive.any():  # also when there is no bar
        return np.nan
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(positive, score))


def _matthews(predicted: np.ndarray, actual: np.ndarray) -> float:
    if np.ptp(predicted) == 0 or np.ptp(actual) == 0:  # scikit-learn calls this 0
        return np.nan
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(actual, predicted))


def _log_loss(proba_MK: np.ndarray, actual: np.ndarray) -> float:
    given = proba_MK[np.arange(len(actual)), actual]
    return float(-np.log(np.maximum(given, _LEAST)).mean())


def _brier(proba_MK: np.ndarray, actual: np.ndarray) -> float:
    return float(np.square(proba_MK - np.eye(3)[actual]).sum(axis=1).mean())


def _calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Mean over bins, weighted by their size, of |mean confidence - share that was correct|."""
    bins = _equal_mass_bins(confidence, NUM_BINS)
    return float(np.abs(np.bincount(bins, weights=confidence - correct)).sum() / len(bins))


def _equal_mass_bins(values: np.ndarray, num_bins: int) -> np.ndarray:
    """Number of each value's bin, by quantiles of the values; equal values share a bin."""
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    inner = np.quantile(values, np.arange(1, num_bins) / num_bins)
    return np.searchsorted(inner, values, side="right")
