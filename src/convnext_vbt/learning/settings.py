"""What is trained and how: `[model]` and `[training]` of a strategy file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from convnext_vbt.errors import InputError
from convnext_vbt.learning.network import SIZES

DEFAULT_KIND, OWN = "convnext", "own"
"""The kind where none is named, and that of `ModelConfig.file`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """What is trained: `[model]` of a strategy file.

    All from `size` on describes a network of its own; how large a prior is its file
    says.
    """

    kind: str = DEFAULT_KIND
    """The network, or another of `learning.models.KINDS`; "own" where `file` is given."""
    file: str | None = None
    """The user's own model, "mine.py:make" ([seed[, num_features]] -> estimator or torch module),
    its path from the working directory."""
    input: Literal["last", "window"] = "last"
    """What an own model reads of a bar: its features (cases, F), or those of the last `window`
    bars, (cases, F, window)."""
    window: int = 64
    """Bars of `input` = "window", the case's own one included."""
    primary: str | None = None
    """The user's own primary, "mine.py:rule" (Bars -> -1, 0 or 1 at each close), likewise: then
    what is learned is whether its trades work (`learning.primary`)."""
    base: Literal["logistic", "none"] = "logistic"
    """What the last regression reads beside what the network says: the last bar's features, or
    nothing."""
    prior: str = "simulated"
    """A network trained beforehand: "simulated", which comes with the package and has seen nothing
    but simulated markets, the path of another one's file from the working directory, or "none"."""
    size: str | None = None
    """A named size (atto, femto, pico, nano, tiny, small) instead of depths and dims."""
    depths: tuple[int, ...] = (1, 1, 3, 1)
    """Blocks in each stage."""
    dims: tuple[int, ...] = (16, 32, 64, 128)
    """Channels of each stage."""
    kernel_size: int = 7
    """Taps of the depthwise convolutions."""
    version: Literal[1, 2] = 1
    """ConvNeXt version; walk-forward needs 1, because GRN of version 2 is not causal."""
    layer_scale: float = 0.1
    """Start of the factor on each block's branch (1e-6 belongs to 300 epochs)."""
    drop_path: float = 0.1
    """Share of branches dropped in the last block while training; it rises from 0 linearly."""
    pool: int = 1
    """Tokens that the head averages; 1 reads the last one only."""

    def __post_init__(self) -> None:
        if self.file is not None and self.kind == DEFAULT_KIND:
            object.__setattr__(self, "kind", OWN)
        if (self.file is None) == (self.kind == OWN):
            raise InputError(
                f'model.kind = "{self.kind}" and model.file = {self.file!r} do not go together: '
                "give the one or the other"
            )
        if self.file is None and (self.input, self.window) != ("last", 64):
            raise InputError(
                f"model.input = {self.input!r} and model.window = {self.window} are of a model of "
                "your own; give model.file too, or leave them out"
            )
        _check("model.input", self.input, self.input in ("last", "window"), '"last" or "window"')
        _check("model.window", self.window, self.window >= 2, "at least 2")
        if self.size is not None and self.size not in SIZES:
            raise InputError(f"model.size must be one of {', '.join(SIZES)}, got {self.size!r}")
        if len(self.depths) != len(self.dims) or not self.depths:
            raise InputError(
                "model.depths and model.dims must be of equal length, got "
                f"{self.depths} and {self.dims}"
            )
        for key in ("depths", "dims"):
            _check(f"model.{key}", getattr(self, key), min(getattr(self, key)) >= 1, "all >= 1")
        _check("model.kernel_size", self.kernel_size, self.kernel_size >= 2, "at least 2")
        _check(
            "model.version", self.version, self.version == 1, "1: GRN of version 2 reads the future"
        )
        _check("model.layer_scale", self.layer_scale, self.layer_scale > 0, "positive")
        _check("model.drop_path", self.drop_path, 0 <= self.drop_path < 1, "in [0, 1)")
        _check("model.pool", self.pool, self.pool >= 1, "at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How a network of one's own is trained, without a prior: `[training]` of a strategy file."""

    steps: int = 40
    """Optimiser steps at most, of which as many are kept as are best out of fold; few, because a
    training year is soon overfitted."""
    lr: float = 1e-3
    """Peak learning rate of AdamW."""
    warmup_steps: int = 10
    """Steps in which the learning rate rises to its peak; then it falls as a cosine to zero."""
    weight_decay: float = 0.05
    """AdamW's weight decay, on matrices and kernels only."""
    segments: int = 1
    """Segments a step."""
    segment_bars: int = 2048
    """Labelled bars a segment; a receptive field of context comes before them."""
    label_smoothing: float = 0.1
    """Share of each label that is spread evenly over the classes."""
    feature_dropout: float = 0.5
    """Chance that a feature is blanked throughout a training segment, so that none is leant on."""
    class_weights: Literal["none", "balanced"] = "none"
    """"balanced" weighs classes by inverse frequency; probabilities are corrected for it."""
    ema: float = 0.9
    """Decay a step of the moving average of the weights that predicts; 0 takes the last weights."""
    eval_every: int = 5
    """Steps between two looks at the loss out of fold; the best number of steps is kept."""
    patience: int = 5
    """Looks without improvement after which training stops."""
    ensemble: int = 1
    """Networks trained from different seeds whose logits are averaged; with two or more, what each
    says alone is kept too (`Predictions.members`)."""

    def __post_init__(self) -> None:
        for key in ("steps", "segments", "segment_bars", "eval_every", "patience", "ensemble"):
            _check(f"training.{key}", getattr(self, key), getattr(self, key) >= 1, "at least 1")
        _check("training.lr", self.lr, self.lr > 0, "positive")
        for key in ("warmup_steps", "weight_decay"):
            _check(f"training.{key}", getattr(self, key), getattr(self, key) >= 0, "at least 0")
        for key in ("label_smoothing", "feature_dropout", "ema"):
            _check(f"training.{key}", getattr(self, key), 0 <= getattr(self, key) < 1, "in [0, 1)")
        known = self.class_weights in ("none", "balanced")
        _check("training.class_weights", self.class_weights, known, '"none" or "balanced"')


def describes_network(model: ModelConfig, training: TrainingConfig) -> bool:
    """Whether anything is said of a network of one's own, which a prior has no use for."""
    own = replace(model, kind=DEFAULT_KIND, base="logistic", prior="simulated", primary=None)
    return training != TrainingConfig() or own != ModelConfig()


def _check(key: str, value: object, ok: bool, what: str) -> None:
    if not ok:
        raise InputError(f"{key} must be {what}, got {value!r}")
