"""A dry run of the user's own model: made-up rows find what a long training would find late."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from convnext_vbt.learning.models.own.calls import OwnModel, make_own, seeded
from convnext_vbt.learning.models.own.keeping import kept_tensors
from convnext_vbt.learning.models.own.modules import one_pass
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig
from convnext_vbt.predictions import CLASSES

logger = logging.getLogger("convnext_vbt")

NUM_ROWS, NUM_ASKED = 240, 40
ALONE_TOLERANCE = 1e-4
"""By how much a row's probabilities may depend on the rows beside it: rounding."""
WHERE = f"tried on {NUM_ROWS} made-up rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a dry run found that is no mistake."""

    repeats: bool
    """Whether fitting it twice with one seed gives the same model."""
    lost: str
    """Why it cannot be kept on disk; empty where it can."""


def try_own(model: ModelConfig, training: TrainingConfig, num_features: int, *, seed: int) -> Trial:
    """Make it, fit it twice on made-up rows, ask it and keep it.

    Raises `UserCodeError` for what raises, gives no probabilities, or lets a row's probabilities
    depend on the rows that are asked about beside it, later ones among them.
    """
    assert model.file is not None
    rng = np.random.default_rng(seed)
    depth = (model.window,) if model.input == "window" else ()
    x = rng.standard_normal((NUM_ROWS, num_features, *depth)).astype(np.float32)
    y = np.resize(np.arange(len(CLASSES)), NUM_ROWS)[rng.permutation(NUM_ROWS)]
    asked = np.ascontiguousarray(x[:NUM_ASKED][::-1])
    with threadpool_limits(1):
        own = _fitted(model.file, training, x, y, seed)
        said = own.proba(asked)
        _refuse_asking_beside(own, asked, said)
        again = _fitted(model.file, training, x, y, seed).proba(asked)
        _, lost = kept_tensors(own, asked)
    return Trial(repeats=bool(np.array_equal(said, again)), lost=lost)


def _fitted(
    reference: str, training: TrainingConfig, x: np.ndarray, y: np.ndarray, seed: int
) -> OwnModel:
    with seeded(seed):
        own = make_own(reference, seed, x.shape[1], WHERE)
        if own.is_module:
            one_pass(own, x, y, training)
            return own
        return own.fit(x, y)


def _refuse_asking_beside(own: OwnModel, asked: np.ndarray, said: np.ndarray) -> None:
    alone = np.concatenate([own.proba(asked[i : i + 1]) for i in range(len(asked))])
    off = float(np.abs(alone - said).max())
    if off > ALONE_TOLERANCE:
        raise own.error(
            "a row's probabilities depend on the rows that are asked about beside it (by up to "
            f"{off:.3g}), and later ones are among those; use what was learned in fit alone"
        )


def tell(model: ModelConfig, trial: Trial) -> None:
    """Warn of what the user should know before training."""
    if not trial.repeats:
        logger.warning(
            "%s: fitted twice with the same seed it gives two models, so that no result can be "
            "had again; take the seed, make(seed), or set its random_state",
            model.file,
        )
    if trial.lost:
        logger.warning(
            "%s: it cannot be kept on disk (%s), so it is fitted again for `signal`, `live` and "
            "new bars",
            model.file,
            trial.lost,
        )
