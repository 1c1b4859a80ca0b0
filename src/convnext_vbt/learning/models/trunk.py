"""What networks see in the bars, as columns for the head: theirs of both views, brought together.

Dimensions: F features, O outputs, R rows of a range, over all symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from convnext_vbt.learning.devices import exact
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.models.head import Columns, views
from convnext_vbt.learning.network import ConvNeXt1d
from convnext_vbt.learning.segments import Series, series_logits
from convnext_vbt.predictions import DOWN, STAY, UP

SCALE = 10.0
"""What a network's logits of a move are multiplied by before they are columns: the head's penalty
draws coefficients to 0, and theirs are to be about 1 where those of a feature are a hundredth."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trunk:
    """One network or several whose outputs are averaged, in evaluation mode."""

    nets: tuple[ConvNeXt1d, ...]
    inputs: Tensor | None
    """int64: the features that they read, in their order; None: all as they come."""
    moves: int | None
    """How many of the outputs are logits of whether it moves, the others being hidden states that
    have a side; None: outputs are the logits of DOWN, STAY and UP."""
    device: str
    """Where they are."""

    def columns(self, held: HeldOut) -> Columns:
        """What they say at the rows of both views, as the head reads it."""
        mirrored = held.mirrored
        view, mirror = self._outputs(held), None if mirrored is None else self._outputs(mirrored)
        pairs = self._split(view), (None, None) if mirror is None else self._split(mirror)
        (move, side), (other_move, other_side) = pairs
        even, _ = views(move, other_move)
        _, odd = views(side, other_side)
        return Columns(move=SCALE * even, features=odd[:, :0], experts=odd)

    def _split(self, out_RO: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What tells of a move, and what has a side."""
        if self.moves is not None:
            return out_RO[:, : self.moves], out_RO[:, self.moves :]
        down, stay, up = (out_RO[:, [k]] for k in (DOWN, STAY, UP))
        return np.logaddexp(down, up) - stay, up - down

    def _outputs(self, held: HeldOut) -> np.ndarray:
        """Mean outputs at the rows, float64 (R, any number)."""
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
            return torch.stack(of_nets).mean(0).double().numpy()

    def members(self) -> tuple[Trunk, ...]:
        """Each network by itself."""
        return tuple(replace(self, nets=(net,)) for net in self.nets)


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
