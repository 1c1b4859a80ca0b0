"""What a kind of model is to the walk-forward, the cache, the audit and live decisions.

Dimensions: F features, K = 3 classes, R rows of a range, over all symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from convnext_vbt.learning.folds import FoldRows
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.labels import Labels
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig
from convnext_vbt.predictions import Split


class Predictor(Protocol):
    """What was learned on one split."""

    def log_proba(self, held: HeldOut) -> Tensor:
        """Log-probabilities at the rows, uncalibrated, float32 (R, K)."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """The arrays on the CPU that it consists of; empty where it does not consist of arrays."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FitTask:
    """One split as a kind is fitted on it; series end with the training range."""

    train: HeldOut
    """The rows to learn from; at least one is labelled."""
    folds: Sequence[FoldRows]
    """For choices among what could be learned, such as when to stop: each fold's held rows are
    judged by what its fit rows teach. Together the held rows are all of `train`."""
    names: tuple[str, ...]
    """Of the features."""
    labels: Labels
    """For a kind that reads the training range as series: their `values` at `split.train`."""
    split: Split
    model: ModelConfig
    training: TrainingConfig
    seed: int
    device: str
    """"cpu", or "cuda" for a kind that `uses_card`."""
    progress: Callable[[int, int, float], None]
    """May be called with (step, steps at most, loss out of fold)."""

    @property
    def num_features(self) -> int:
        """F."""
        return len(self.names)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learned:
    """What fitting gives."""

    predictor: Predictor
    """Of every label of the training range."""
    out_of_fold: Tensor
    """float32 (R, K): log-probabilities at the training range's rows, labelled or not, each by
    what was learned outside its fold."""
    epochs: int | None
    """Steps, iterations or rounds that were kept; 0 if nothing was learned beyond the start, None
    where a network is taken as it is."""
    members: tuple[Learned, ...] = ()
    """Of an ensemble of two or more: each predictor alone."""


def last_bar_only(model: ModelConfig, num_features: int) -> int:  # noqa: ARG001
    """The receptive field of a kind that reads a row's own features."""
    return 1


def nothing_read(model: ModelConfig) -> str | None:  # noqa: ARG001
    """Of a kind that is made of its task alone."""
    return None


def nothing_to_check(
    model: ModelConfig,
    training: TrainingConfig,
    names: tuple[str, ...],
) -> None:
    """The check of a kind that takes any settings and features."""


def about_a_second(
    model: ModelConfig,  # noqa: ARG001
    training: TrainingConfig,  # noqa: ARG001
    num_features: int,  # noqa: ARG001
) -> float:
    """The time of a kind that is fitted in no time to speak of."""
    return 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelKind:
    """One kind of model: functions, and a few facts about them.

    They take `ModelConfig`, the number of features and, some, more. Fitting the same task twice on
    one thread gives the same model, whatever the global random state.
    """

    name: str
    """As sentences call it: "logistic regression"."""
    fit: Callable[[FitTask], Learned]
    restore: (
        Callable[[ModelConfig, int, Mapping[str, Tensor], str], Sequence[Predictor | None]] | None
    )
    """From `Predictor.tensors` and a device: the very predictor, then an ensemble's members. None:
    it is not kept on disk, so it is fitted again when new bars come, and cannot decide live; a
    predictor that is None is fitted again there too."""
    receptive_field: Callable[[ModelConfig, int], int] = last_bar_only
    """Bars that a prediction reads, its own one included."""
    seconds: Callable[[ModelConfig, TrainingConfig, int], float | None] = about_a_second
    """About how long a core takes for one split, for a dry run and nothing else; or None."""
    uses_card: bool = False
    """Whether it can be fitted on a CUDA card."""
    calibrated: bool = True
    """Whether move and direction are calibrated; False where probabilities are what they are."""
    check: Callable[[ModelConfig, TrainingConfig, tuple[str, ...]], None] = nothing_to_check
    """Raises `InputError` where settings and names of features do not go together."""
    reads: Callable[[ModelConfig], str | None] = nothing_read
    """SHA-256 of what it reads beside its task, which belongs to the key of what is kept."""
    comparable: bool = True
    """Whether equal predictors have equal tensors; the audit compares predictions in any case."""
