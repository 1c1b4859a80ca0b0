"""Two nested binary logits: does the price move (UP or DOWN against STAY), and where to.

    P(UP) = P(move) sigma(d),  P(DOWN) = P(move) sigma(-d),  P(STAY) = 1 - P(move)

Whether it moves is told from columns that the mirror (1 / price, UP and DOWN exchanged) leaves as
they are, where to from columns that change their sign in it. So the bars and their mirror image
get mirrored probabilities, up to a constant for markets that drift, and what one of them teaches
holds for both.
Dimensions: F features, C columns, K = 3 classes, S strengths, R rows of a range, over all symbols.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from convnext_vbt.learning.folds import FoldRows
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.models.averaging import averaged
from convnext_vbt.learning.models.ridge import THINNING, ridge_path
from convnext_vbt.predictions import STAY, UP

STRENGTHS = tuple(10.0 ** np.arange(-5, 0.5, 0.5))
"""What the summed log-loss is multiplied by beside half the squared coefficients, the C of
scikit-learn: the one with the least loss out of fold is taken."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """What the two logits are linear in, float64 (R, any number) each."""

    move: np.ndarray
    features: np.ndarray
    """For the direction: what the last bar shows."""
    experts: np.ndarray
    """For the direction: what networks say, each column something that may be all there is."""

    def beside(self, other: Columns) -> Columns:
        """Both, side by side."""
        return Columns(
            move=np.hstack([self.move, other.move]),
            features=np.hstack([self.features, other.features]),
            experts=np.hstack([self.experts, other.experts]),
        )

    @property
    def direction(self) -> np.ndarray:
        """Features, experts and the expert that says UP at every bar, float64 (R, C)."""
        return np.hstack([self.features, self.experts, np.ones((len(self.features), 1))])


def views(view: np.ndarray, mirror: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The parts that the mirror leaves as they are and those that change their sign in it.

    Without a mirrored view all of it is either.
    """
    return (view, view) if mirror is None else ((view + mirror) / 2, (view - mirror) / 2)


def last_bar_columns(held: HeldOut) -> Columns:
    """The standardised features of each row's own bar."""
    view, mirror = held.last_bars.double().numpy(), held.mirrored
    even, odd = views(view, None if mirror is None else mirror.last_bars.double().numpy())
    return Columns(move=even, features=odd, experts=odd[:, :0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """The two logits."""

    move: Tensor
    """float64: coefficients of `Columns.move`, the constant last."""
    direction: Tensor
    """float64: those of `Columns.direction`."""

    def log_proba(self, columns: Columns) -> Tensor:
        """Log-probabilities at the rows, float32 (R, K)."""
        return joined(
            _with_constant(columns.move) @ self.move.numpy(),
            columns.direction @ self.direction.numpy(),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LastBar:
    """Logistic regression: the head on the last bar's features alone."""

    head: Head

    def log_proba(self, held: HeldOut) -> Tensor:
        """Log-probabilities at the rows, (R, K)."""
        return self.head.log_proba(last_bar_columns(held))

    def tensors(self) -> dict[str, Tensor]:
        """Coefficients and constants of both logits."""
        return {"move": self.head.move, "direction": self.head.direction}


def joined(move_R: np.ndarray, direction_R: np.ndarray) -> Tensor:
    """Log-probabilities of DOWN, STAY and UP from the two logits, float32 (R, K)."""
    moves, stays = -np.logaddexp(0, -move_R), -np.logaddexp(0, move_R)
    down, up = -np.logaddexp(0, direction_R), -np.logaddexp(0, -direction_R)
    return torch.from_numpy(np.stack([moves + down, stays, moves + up], axis=1)).float()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedHead:
    """A head of every label, and what heads say outside their own rows."""

    head: Head
    out_of_fold: Tensor
    """float32 (R, K)."""
    iterations: int
    """Newton's, of the last fits."""


def fit_head(
    columns: Columns, y_R: np.ndarray, folds: Sequence[FoldRows], *, label_bars: float
) -> FittedHead:
    """The head on all labels, its choices made out of fold.

    `y_R` are labels, -1 for none, that last `label_bars` bars on average. The move's penalty is the
    one with the least loss; the direction is `averaging.averaged`, one expert being a constant, for
    a market that drifts.
    """
    known, moved = y_R >= 0, (y_R >= 0) & (y_R != STAY)
    move = _choose(_with_constant(columns.move), y_R != STAY, known, folds)
    x_RC = columns.direction
    first = columns.features.shape[1]
    direction = averaged(
        x_RC[:, :first], x_RC[:, first:], y_R == UP, moved, folds, label_bars=label_bars
    )
    return FittedHead(
        head=Head(move=torch.from_numpy(move.coef), direction=torch.from_numpy(direction.coef)),
        out_of_fold=joined(move.logit, direction.logit),
        iterations=move.iterations,
    )


def _with_constant(x_RC: np.ndarray) -> np.ndarray:
    return np.hstack([x_RC, np.ones((len(x_RC), 1))])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Binary:
    """One logit, its penalty chosen."""

    coef: np.ndarray
    """float64 (C,)."""
    logit: np.ndarray
    """float64 (R,), out of fold."""
    iterations: int
    """Of the last fit."""


def _choose(
    x_RC: np.ndarray, yes_R: np.ndarray, rows_R: np.ndarray, folds: Sequence[FoldRows]
) -> _Binary:
    """The strength with the least loss out of fold at `rows_R`, and the fit on all of them.

    Strengths rise until the loss does.
    """
    sign_R = np.where(yes_R[rows_R], -1.0, 1.0)
    paths = [_path(x_RC, yes_R, fold.fit.numpy() & rows_R, STRENGTHS) for fold in folds]
    best, best_loss, best_strength = np.empty(0), np.inf, STRENGTHS[0]
    for strength, *coefs in zip(STRENGTHS, *paths, strict=True):
        logit_R = np.empty(len(x_RC))
        for fold, (coef, _) in zip(folds, coefs, strict=True):
            held = fold.held.numpy()
            logit_R[held] = x_RC[held] @ coef
        loss = float(np.logaddexp(0, sign_R * logit_R[rows_R]).sum())
        if loss >= best_loss:
            break
        best, best_loss, best_strength = logit_R, loss, strength
    *_, (coef, iterations) = _path(x_RC, yes_R, rows_R, (best_strength,))
    return _Binary(coef=coef, logit=best, iterations=iterations)


def _path(
    x_RC: np.ndarray, yes_R: np.ndarray, rows_R: np.ndarray, strengths: Sequence[float]
) -> Iterator[tuple[np.ndarray, int]]:
    """`ridge_path` at every other one of some rows, each of which counts twice."""
    rows = np.flatnonzero(rows_R)[::THINNING]
    return ridge_path(x_RC[rows], yes_R[rows], [strength * THINNING for strength in strengths])
