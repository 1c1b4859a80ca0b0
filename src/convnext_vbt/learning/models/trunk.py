"""What networks see in the bars, as columns for the head: theirs of both views, brought together.

Dimensions: F features, K = 3 classes, H horizons, R rows of a range, over all symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from convnext_vbt.learning.devices import exact
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.models.head import Columns
from convnext_vbt.learning.network import ConvNeXt1d
from convnext_vbt.learning.segments import Series, series_logits
from convnext_vbt.predictions import CLASSES, DOWN, STAY, UP

SCALE = 10.0
"""What a network's logits are multiplied by before they are columns: the head's penalty draws its
coefficients to 0, and theirs are to be about 1 where those of a feature are a hundredth."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trunk:
    """One network or several whose logits are averaged, in evaluation mode."""

    nets: tuple[ConvNeXt1d, ...]
    inputs: Tensor | None
    """int64: the features that they read, in their order; None: all as they come."""
    device: str
    """Where they are."""

    def columns(self, held: HeldOut) -> Columns:
        """For each horizon one column of movement and one of direction, at the rows."""
        return columns_of(self.logits(held), self._mirrored_logits(held))

    def logits(self, held: HeldOut) -> Tensor:
        """Mean logits at the rows, float32 (R, H K)."""
        series = picked(held.series, self.inputs)
        with torch.inference_mode(), exact(self.device):
            of_nets = [
                torch.cat(
                    [
                        series_logits(net, one, span, self.device)
                        for one, span in zip(series, held.rows, strict=True)
                    ]
                )
                for net in self.nets
            ]
            return torch.stack(of_nets).mean(0)

    def members(self) -> tuple[Trunk, ...]:
        """Each network by itself."""
        return tuple(replace(self, nets=(net,)) for net in self.nets)

    def _mirrored_logits(self, held: HeldOut) -> Tensor | None:
        mirrored = held.mirrored
        return None if mirrored is None else self.logits(mirrored)


def picked(series: Sequence[Series], inputs: Tensor | None) -> list[Series]:
    """Series of some of the features."""
    if inputs is None:
        return list(series)
    return [
        Series(
            bars=one.bars,
            values=one.values[inputs],
            mirrored=None if one.mirrored is None else one.mirrored[inputs],
        )
        for one in series
    ]


def columns_of(view: Tensor, mirror: Tensor | None) -> Columns:
    """The head's columns of logits (R, H K) of the bars and of their mirror image."""
    move, direction = _move_and_direction(view)
    if mirror is None:
        both = np.hstack([move, direction])
        return Columns(move=both, direction=both, mirrored=False)
    other_move, other_direction = _move_and_direction(mirror)
    return Columns.of((move + other_move) / 2, (direction - other_direction) / 2)


def _move_and_direction(logits: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Log P(UP or DOWN) / P(STAY) and log P(UP) / P(DOWN), scaled, float64 (R, H) each."""
    wide_RHK = logits.double().unflatten(1, (-1, len(CLASSES))).numpy()
    down, stay, up = (wide_RHK[:, :, k] for k in (DOWN, STAY, UP))
    return SCALE * (np.logaddexp(down, up) - stay), SCALE * (up - down)
