"""Calls into the user's own model: what it is handed, what it may give, what is said of a mistake.

Dimensions: F features, W bars of a window, K = 3 classes, R rows.
"""

from __future__ import annotations

import contextlib
import inspect
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from convnext_vbt.errors import UserCodeError
from convnext_vbt.learning.models.last_bar import LEAST
from convnext_vbt.predictions import CLASSES
from convnext_vbt.user_code import load_function, reporting_errors, user_path

TOLERANCE = 1e-3
"""By how much the probabilities of a row may miss 1, as those of float32 do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnModel:
    """What `make` gave, and how sentences call it."""

    reference: str
    """ "mine.py:make"."""
    model: Any
    """An estimator of scikit-learn's kind or a torch module; the only class, an int, where the
    training rows knew one alone and nothing was fitted."""
    where: str
    """What it is for: "split 3"."""

    @property
    def is_module(self) -> bool:
        """Whether it is a torch module."""
        return isinstance(self.model, nn.Module)

    def fit(self, x: np.ndarray, y: np.ndarray) -> OwnModel:
        """The estimator fitted on cases and classes; one class alone needs no fitting."""
        only = np.unique(y)
        if len(only) == 1:
            return OwnModel(reference=self.reference, model=int(only[0]), where=self.where)
        self._call("fit", lambda: self.model.fit(x, y))
        return self

    def proba(self, x: np.ndarray) -> np.ndarray:
        """Probabilities of DOWN, STAY, UP at cases, float64 (R, K), none below 1e-7.

        Raises `UserCodeError` for anything that is not such.
        """
        if isinstance(self.model, int):
            given = np.zeros((len(x), len(CLASSES)))
            given[:, self.model] = 1.0
        elif self.is_module:
            given = self._of_logits(x)
        else:
            said = self._call("predict_proba", lambda: self.model.predict_proba(x))
            given = self._by_class(said, len(x))
        floored = np.maximum(given, LEAST)
        proba: np.ndarray = floored / floored.sum(axis=1, keepdims=True)
        return proba

    def log_proba(self, blocks: Iterable[np.ndarray]) -> torch.Tensor:
        """Log-probabilities at all cases of some blocks, float32 (R, K)."""
        said = [torch.from_numpy(np.log(self.proba(block))).float() for block in blocks]
        return torch.cat(said) if said else torch.empty(0, len(CLASSES))

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """What the module says of cases, (R, K)."""
        said = self._call("forward", lambda: self.model(x))
        if not isinstance(said, torch.Tensor) or said.shape != (len(x), len(CLASSES)):
            shape = tuple(said.shape) if isinstance(said, torch.Tensor) else type(said).__name__
            raise self.error(
                f"its forward gave {shape} for {len(x)} cases of shape {tuple(x.shape[1:])}; "
                f"give ({len(x)}, 3) logits of DOWN, STAY, UP"
            )
        return said

    @torch.no_grad()
    def _of_logits(self, x: np.ndarray) -> np.ndarray:
        self.model.eval()
        logits = self.logits(torch.from_numpy(x))
        if not torch.isfinite(logits).all():
            raise self.error("its forward gave NaN or infinite logits")
        proba: np.ndarray = logits.double().softmax(dim=1).numpy()
        return proba

    def _by_class(self, said: Any, num_rows: int) -> np.ndarray:
        try:
            columns = np.asarray(said, dtype=np.float64)
        except (TypeError, ValueError):
            raise self.error(
                f"predict_proba gave {type(said).__name__}, which is no table of numbers"
            ) from None
        known = self._classes()
        if columns.shape != (num_rows, len(known)):
            raise self.error(
                f"predict_proba gave the shape {columns.shape} for {num_rows} cases; give "
                f"({num_rows}, {len(known)}), a column for each of the classes {known}"
            )
        if not np.isfinite(columns).all():
            raise self.error(
                f"predict_proba gave NaN or infinity at {int((~np.isfinite(columns)).sum())} places"
            )
        if columns.size and columns.min() < -LEAST:
            raise self.error(f"predict_proba gave a negative probability, {columns.min():.4g}")
        sums = columns.sum(axis=1)
        wrong = np.abs(sums - 1.0) > TOLERANCE
        if wrong.any():
            raise self.error(
                f"predict_proba gave rows whose sum is not 1, such as {sums[wrong][0]:.4g} "
                f"({int(wrong.sum())} of {num_rows})"
            )
        out = np.zeros((num_rows, len(CLASSES)))
        out[:, known] = columns
        return out

    def _classes(self) -> list[int]:
        given = getattr(self.model, "classes_", None)
        if given is None:
            return list(range(len(CLASSES)))
        try:
            known = [int(value) for value in given]
        except (TypeError, ValueError):
            known = []
        if not known or len(set(known)) < len(known) or not set(known) <= set(range(len(CLASSES))):
            raise self.error(
                f"classes_ is {list(given)}; it must hold some of 0 (DOWN), 1 (STAY) and 2 (UP)"
            )
        return known

    def error(self, what: str) -> UserCodeError:
        """A mistake of the user's, in one line."""
        return UserCodeError(f"{self.reference}, {self.where}: {what}")

    def _call(self, method: str, call: Callable[[], Any]) -> Any:
        what = f"{self.reference}, {self.where}: {method}"
        return reporting_errors(user_path(self.reference), what, call)


def make_own(reference: str, seed: int, num_features: int, where: str) -> OwnModel:
    """What the user's `make()`, `make(seed)` or `make(seed, num_features)` gives.

    Raises `UserCodeError` where it is neither an estimator nor a torch module.
    """
    function = load_function(reference)
    takes = len(inspect.signature(function).parameters)
    model = function(*(seed, num_features)[:takes])
    own = OwnModel(reference=reference, model=model, where=where)
    if isinstance(own.model, type):
        raise own.error(
            f"it returned the class {own.model.__name__}; return one of it, {own.model.__name__}()"
        )
    if own.is_module:
        own.model.float()
        return own
    lacks = [name for name in ("fit", "predict_proba") if not callable(_found(own.model, name))]
    if lacks:
        raise own.error(
            f"it returned {type(own.model).__name__}, which has no {' and no '.join(lacks)}; "
            "return what has fit(X, y) and predict_proba(X), or a torch.nn.Module"
        )
    return own


def _found(model: Any, name: str) -> Any:
    """An attribute, None also where scikit-learn says that the estimator has none such."""
    return getattr(model, name, None)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The global generators of Python, numpy and torch, seeded inside and as they were outside.

    Who sets no seed of his own (`random_state=None`, a dropout) gets the same one each time so.
    """
    python, numpy_ = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy_)  # noqa: NPY002
