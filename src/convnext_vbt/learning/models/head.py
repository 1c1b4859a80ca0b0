"""Two nested binary logits: does the price move (UP or DOWN against STAY), and where to.

    P(UP) = P(move) sigma(d),  P(DOWN) = P(move) sigma(-d),  P(STAY) = 1 - P(move)

Whether it moves is told from columns that the mirror (1 / price, UP and DOWN exchanged) leaves as
they are, where to from columns that change their sign in it, without a constant. So the bars and
their mirror image get exactly mirrored probabilities, and what one of them teaches holds for both.
Dimensions: F features, C columns, K = 3 classes, S strengths, R rows of a range, over all symbols.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from convnext_vbt.learning.folds import FoldRows
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.predictions import STAY, UP

STRENGTHS = tuple(10.0 ** np.arange(-5, 0.5, 0.5))
"""What the summed log-loss is multiplied by beside half the squared coefficients, the C of
scikit-learn: the one with the least loss out of fold is taken."""
TOLERANCE = 1e-4
"""Newton's method stops after a step that moves no coefficient by more: the next one would move
them by its square."""
THINNING = 2
"""One of so many rows is fitted on."""
MOST_ITERATIONS = 50
FREE = 1e-8
"""The penalty of a constant that is to have none: enough to keep it finite for a lone class."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """What the two logits are linear in, float64 (R, C) each."""

    move: np.ndarray
    direction: np.ndarray
    mirrored: bool
    """Whether they are of both views."""

    @classmethod
    def of(cls, even: np.ndarray, odd: np.ndarray) -> Columns:
        """Columns that the mirror leaves as they are, and columns that change their sign in it."""
        return cls(move=even, direction=odd, mirrored=True)

    def beside(self, other: Columns) -> Columns:
        """Both, side by side."""
        return Columns(
            move=np.hstack([self.move, other.move]),
            direction=np.hstack([self.direction, other.direction]),
            mirrored=self.mirrored,
        )


def last_bar_columns(held: HeldOut) -> Columns:
    """The standardised features of each row's own bar."""
    view, mirror = held.last_bars.double().numpy(), held.mirrored
    if mirror is None:
        return Columns(move=view, direction=view, mirrored=False)
    other = mirror.last_bars.double().numpy()
    return Columns.of((view + other) / 2, (view - other) / 2)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """The two logits."""

    move: Tensor
    """float64 (C + 1,): coefficients, the constant last."""
    direction: Tensor
    """Likewise."""

    def log_proba(self, columns: Columns) -> Tensor:
        """Log-probabilities at the rows, float32 (R, K)."""
        return joined(
            *(
                x @ coef.numpy()[:-1] + float(coef[-1])
                for x, coef in ((columns.move, self.move), (columns.direction, self.direction))
            )
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
    """The head with the penalties, one for each logit, that have the least loss out of fold.

    `y_R` are labels, -1 for none, that last `label_bars` bars on average. With both views the
    direction has a constant, penalised as coefficients are, only in a market that drifts: where it
    saves more than a nat out of fold, Akaike's price of a parameter, overlapping labels counted as
    one outcome.
    """
    known, moved = y_R >= 0, (y_R >= 0) & (y_R != STAY)
    move = _choose(_with_constant(columns.move), y_R != STAY, known, folds, free=True)
    x, rises = _with_constant(columns.direction), y_R == UP
    if columns.mirrored:
        symmetric = x * np.append(np.ones(x.shape[1] - 1), 0.0)
        direction = _choose(symmetric, rises, moved, folds, free=False)
        drifting = _choose(x, rises, moved, folds, free=False, strengths=(direction.strength,))
        if drifting.loss < direction.loss - max(1.0, label_bars):
            direction = drifting
    else:
        direction = _choose(x, rises, moved, folds, free=True)
    return FittedHead(
        head=Head(move=torch.from_numpy(move.coef), direction=torch.from_numpy(direction.coef)),
        out_of_fold=joined(move.logit, direction.logit),
        iterations=move.iterations + direction.iterations,
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
    strength: float
    loss: float
    """Out of fold, at its rows."""
    iterations: int
    """Of the last fit."""


def _choose(
    x_RC: np.ndarray,
    yes_R: np.ndarray,
    rows_R: np.ndarray,
    folds: Sequence[FoldRows],
    *,
    free: bool,
    strengths: Sequence[float] = STRENGTHS,
) -> _Binary:
    """The strength with the least loss out of fold at `rows_R`, and the fit on all of them.

    Strengths rise until the loss does. Where no row is there to be fitted on, the logit is 0.
    """
    sign_R = np.where(yes_R[rows_R], -1.0, 1.0)
    paths = [_path(x_RC, yes_R, fold.fit.numpy() & rows_R, strengths, free=free) for fold in folds]
    best, best_loss, best_strength = np.empty(0), np.inf, strengths[0]
    for strength, *coefs in zip(strengths, *paths, strict=True):
        logit_R = np.empty(len(x_RC))
        for fold, (coef, _) in zip(folds, coefs, strict=True):
            held = fold.held.numpy()
            logit_R[held] = x_RC[held] @ coef
        loss = float(np.logaddexp(0, sign_R * logit_R[rows_R]).sum())
        if loss >= best_loss:
            break
        best, best_loss, best_strength = logit_R, loss, strength
    *_, (coef, iterations) = _path(x_RC, yes_R, rows_R, (best_strength,), free=free)
    return _Binary(
        coef=coef, logit=best, strength=best_strength, loss=best_loss, iterations=iterations
    )


def _path(
    x_RC: np.ndarray,
    yes_R: np.ndarray,
    rows_R: np.ndarray,
    strengths: Sequence[float],
    *,
    free: bool,
) -> Iterator[tuple[np.ndarray, int]]:
    """`ridge_path` at every other one of some rows: labels overlap, so that hardly less is known.

    Each counts twice, so that a strength means the same.
    """
    rows = np.flatnonzero(rows_R)[::THINNING]
    thinned = [strength * THINNING for strength in strengths]
    return ridge_path(x_RC[rows], yes_R[rows], thinned, free=free)


def ridge_path(
    x_RC: np.ndarray, yes_R: np.ndarray, strengths: Sequence[float], *, free: bool
) -> Iterator[tuple[np.ndarray, int]]:
    """Coefficients (C,) of penalised logistic regression for ascending strengths, and iterations.

    Each minimises strength x sum of log-losses + half the squared coefficients by Newton's method
    (iteratively reweighted least squares; Hastie et al. 2009, section 4.4.1) from the one before.
    The last column is the constant: with `free` it is not penalised.
    """
    coef = np.zeros(x_RC.shape[1])
    for strength in strengths:
        penalty_C = np.full(x_RC.shape[1], 1.0 / strength)
        if free:
            penalty_C[-1] = FREE
        coef, iterations = _newton(x_RC, yes_R, coef, penalty_C)
        yield coef, iterations


def _newton(
    x_RC: np.ndarray, yes_R: np.ndarray, coef: np.ndarray, penalty_C: np.ndarray
) -> tuple[np.ndarray, int]:
    """The minimum of the summed log-loss + penalty / 2 x squares, and the iterations it took.

    A step that would lead uphill is halved until it does not.
    """
    sign_R = np.where(yes_R, -1.0, 1.0)

    def cost(at: np.ndarray, logit_R: np.ndarray) -> float:
        loss = np.logaddexp(0, sign_R * logit_R).sum()
        return float(loss + 0.5 * (penalty_C * at**2).sum())

    logit_R = x_RC @ coef
    value = cost(coef, logit_R)
    iterations = 0
    while iterations < MOST_ITERATIONS:
        iterations += 1
        proba_R = expit(logit_R)
        slope_C = x_RC.T @ (proba_R - yes_R) + penalty_C * coef
        curvature = (x_RC * (proba_R * (1.0 - proba_R))[:, None]).T @ x_RC
        step = np.linalg.solve(curvature + np.diag(penalty_C), slope_C)
        before, share = value, 1.0
        while share > TOLERANCE:
            logit_R = x_RC @ (coef - share * step)
            value = cost(coef - share * step, logit_R)
            if value <= before + 1e-9 * abs(before):  # but for rounding
                break
            share /= 2
        coef = coef - share * step
        if np.abs(step).max() < TOLERANCE:
            break
    return coef, iterations
