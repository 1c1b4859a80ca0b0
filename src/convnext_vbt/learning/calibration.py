"""How probabilities are calibrated on bars after those they were learned from.

The temperature comes from the first half of the calibration range and the conformal scores from
the second, so that the scores are of probabilities whose temperature has not seen them.
Dimensions: T bars, N symbols, K = 3 classes, R rows of the range, over all symbols.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional

from convnext_vbt.errors import InputError
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.labels import NO_LABEL, Labels
from convnext_vbt.predictions import DOWN, QUANTILE_LEVELS, UP, Range, Split

TEMPERATURES = (0.25, 4.0)
LOG_TEMPERATURE_DEVIATION = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """What the calibration range of one split came to."""

    temperature: float
    quantiles: np.ndarray
    """float32 (1001,): quantiles of max(P(UP), P(DOWN)) on the whole range."""
    nonconformity: np.ndarray
    """float32 (1001,): quantiles of 1 - P(true class) on its second half, each one of them."""
    num_scores: int
    """Bars of the second half, with their labels."""


def calibrate(
    log_proba: Tensor,
    held: HeldOut,
    labels: Labels,
    split: Split,
    *,
    temperature: float | None = None,
) -> Calibration:
    """Calibrate log-probabilities (R, K) at `held`, the rows of `split.calibration`.

    A given `temperature` is kept. Raises `ValueError` when a half has no labelled row.
    """
    first, second = halves(labels, split.calibration)
    early, late = _labelled(held, split, first), _labelled(held, split, second)
    if temperature is None:
        temperature = fit_temperature(
            log_proba[early], held.y[early], label_bars=_label_bars(labels, first)
        )
    proba = (log_proba / temperature).softmax(1)
    scores = (1.0 - proba[late, held.y[late]]).numpy()
    return Calibration(
        temperature=temperature,
        quantiles=np.quantile(proba[:, [DOWN, UP]].amax(1).numpy(), QUANTILE_LEVELS).astype("f4"),
        nonconformity=np.quantile(scores, QUANTILE_LEVELS, method="nearest").astype("f4"),
        num_scores=len(scores),
    )


def halves(labels: Labels, bars: Range) -> tuple[Range, Range]:
    """A range of bars cut in the middle; the first half stops before a label reaches the second."""
    start, stop = bars
    middle = (start + stop) // 2
    known = labels.values[start:middle] != NO_LABEL
    late = np.flatnonzero((known & (labels.end[start:middle] >= middle)).any(axis=1))
    return (start, start + int(late[0]) if len(late) else middle), (middle, stop)


def fit_temperature(log_proba: Tensor, y: Tensor, *, label_bars: float) -> float:
    """The temperature in [0.25, 4] by which to divide the logits (Guo et al. 2017, 1706.04599).

    It has the least log-loss at labels `y` (R,) plus a pull towards 1: log T is taken as normal
    with deviation 0.5 beforehand, and labels that last `label_bars` bars overlap so much that R
    of them are worth R / label_bars outcomes. So a short calibration range cannot do much harm.
    """
    outcomes = len(y) / max(1.0, label_bars)

    def cost(log_temperature: float) -> float:
        pull = 0.5 * (log_temperature / LOG_TEMPERATURE_DEVIATION) ** 2
        loss = functional.cross_entropy(log_proba / math.exp(log_temperature), y)
        return outcomes * float(loss) + pull

    low, high = (math.log(t) for t in TEMPERATURES)
    return math.exp(minimize_scalar(cost, bounds=(low, high), method="bounded").x)


def _labelled(held: HeldOut, split: Split, half: Range) -> Tensor:
    """Positions of the rows in a half that have a label."""
    bars = held.bars
    found = torch.nonzero((bars >= half[0]) & (bars < half[1]) & (held.y >= 0)).flatten()
    if not len(found):
        start, stop = split.calibration
        raise InputError(
            f"split {split.number}: no labelled bar is left in the half [{half[0]}, {half[1]}) of "
            f"the calibration range [{start}, {stop}), which temperature and conformal scores "
            "share, purged between them; raise splits.calibration or splits.train, or lower "
            "labels.horizon"
        )
    return found


def _label_bars(labels: Labels, bars: Range) -> float:
    """How many bars a label lasts on average, from its own to the one that decides it."""
    lasting_TN = (labels.end - np.arange(len(labels.end))[:, None])[slice(*bars)]
    return float(lasting_TN[labels.values[slice(*bars)] >= 0].mean())
