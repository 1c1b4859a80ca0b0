"""The network as a scikit-learn classifier of labelled windows, for anybody's time series.

Dimensions: cases, channels, timepoints (aeon's order); K classes.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from torch.nn import functional

from convnext_vbt.errors import InputError
from convnext_vbt.learning.devices import exact, or_on_cpu, resolve_device, send
from convnext_vbt.learning.network import ConvNeXt1d, decay_groups
from convnext_vbt.learning.optimizer import AdamW

WARMUP_SHARE = 0.1  # of all steps
MIN_STEPS, EPOCHS = 500, 60  # whichever is more, where `epochs` is None
EVERY_TOKEN = 2**31  # more than a window has: a stage alone does not see all of it from the last


class ConvNeXtClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A 1-D ConvNeXt on windows X (cases, channels, timepoints), any number of classes.

    The network reads each channel and its differences from one timepoint to the next, all of them
    standardised with the training cases' mean and deviation: in a smooth series what tells shapes
    apart is often a hundredth of the level that it rides on. Windows of any length do: short ones
    are filled with the mean on their left to a whole token. The head reads the mean of all tokens;
    each token reads both sides (`padding="same"`) or, with `padding="causal"`, its past alone. By
    default all is at one resolution, behind a stem whose patches overlap; a pyramid such as
    depths=(1, 1, 3, 1), dims=(16, 32, 64, 128) loses shapes with each stride.

    `epochs=None` trains 60 epochs and at least 500 steps, for a set of fifty cases needs many more
    epochs than one of a thousand.

    `seed` decides the weights; the same seed, data and thread count give the same classifier.

    Example:
        >>> X = np.random.default_rng(0).normal(size=(40, 1, 64))
        >>> y = np.repeat(["calm", "wild"], 20)
        >>> X[y == "wild"] *= 3
        >>> ConvNeXtClassifier(epochs=20, seed=0).fit(X, y).predict_proba(X).shape
        (40, 2)
    """

    def __init__(
        self,
        *,
        depths: tuple[int, ...] = (3,),
        dims: tuple[int, ...] = (32,),
        kernel_size: int = 7,
        patch: int = 4,
        stem: int = 8,
        padding: Literal["same", "causal"] = "same",
        version: Literal[1, 2] = 1,
        layer_scale: float = 1.0,
        drop_path: float = 0.1,
        epochs: int | None = None,
        batch_size: int = 16,
        lr: float = 4e-3,
        weight_decay: float = 0.05,
        label_smoothing: float = 0.1,
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        self.depths = depths
        self.dims = dims
        self.kernel_size = kernel_size
        self.patch = patch
        self.stem = stem
        self.padding = padding
        self.version = version
        self.layer_scale = layer_scale
        self.drop_path = drop_path
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.device = device
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Train on windows X (cases, channels, timepoints) and their classes y (cases,).

        Raises `ValueError` when X is not three-dimensional or not finite, when the lengths
        differ, or when y has a single class.
        """
        X = _windows(X)
        y = np.asarray(y)
        check_classification_targets(y)
        if y.shape != (len(X),):
            raise InputError(f"y must hold one class a case, shape ({len(X)},), got {y.shape}")
        self.classes_, target = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(f"y must hold at least 2 classes, got only {self.classes_.tolist()}")
        self.n_features_in_ = X.shape[1]
        both = _with_differences(X)
        self.mean_ = both.mean(axis=(0, 2))
        spread = both.std(axis=(0, 2))
        self.std_ = np.where(spread > 1e-12, spread, 1.0)
        x, classes = self._standardised(X), torch.from_numpy(target.astype(np.int64))

        def trained(device: str) -> dict[str, Tensor]:
            with exact(device):
                return self._train(x, classes, device)

        self.state_ = or_on_cpu(resolve_device(self.device), trained)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probabilities (cases, K) in the order of `classes_`."""
        check_is_fitted(self)
        X = _windows(X)
        if X.shape[1] != self.n_features_in_:
            raise InputError(
                f"X has {X.shape[1]} channels, but the classifier was fitted on "
                f"{self.n_features_in_}"
            )
        batches = torch.split(self._standardised(X), 256)

        def logits(device: str) -> Tensor:
            net = self._network()
            net.load_state_dict(self.state_)
            net.to(device).eval()
            with exact(device):
                return torch.cat([net(send(x, device)).cpu() for x in batches])

        with torch.inference_mode():
            both = or_on_cpu(resolve_device(self.device), logits)
        proba: np.ndarray = both.double().softmax(1).numpy()
        return proba

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The most probable class of each case."""
        proba = self.predict_proba(X)
        chosen: np.ndarray = self.classes_[proba.argmax(axis=1)]
        return chosen

    def _network(self) -> ConvNeXt1d:
        with torch.random.fork_rng(devices=[]):  # building one draws weights
            return ConvNeXt1d(
                2 * self.n_features_in_,
                num_classes=len(self.classes_),
                depths=self.depths,
                dims=self.dims,
                kernel_size=self.kernel_size,
                patch=self.patch,
                stem=self.stem,
                weights="fan_in",
                pool=EVERY_TOKEN,
                padding=self.padding,
                version=self.version,
                layer_scale=self.layer_scale,
                drop_path=self.drop_path,
            )

    def _standardised(self, X: np.ndarray) -> Tensor:
        scaled = (_with_differences(X) - self.mean_[:, None]) / self.std_[:, None]
        return torch.from_numpy(scaled.astype(np.float32))

    def _train(self, x: Tensor, y: Tensor, device: str) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        net = self._network()
        net.reset(generator)
        net.to(device).train()
        optimizer = AdamW(decay_groups(net, self.weight_decay), lr=self.lr)
        batches = self._batches(len(x), generator)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.lr, total_steps=len(batches) + 1, pct_start=WARMUP_SHARE
        )
        for rows in batches:
            loss = functional.cross_entropy(
                net(send(x[rows], device)),
                send(y[rows], device),
                label_smoothing=self.label_smoothing,
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        return {name: value.cpu() for name, value in net.state_dict().items()}

    def _batches(self, cases: int, generator: torch.Generator) -> list[Tensor]:
        """Rows of each step: epochs in random order, laid end to end, so that batches are whole.

        The two cases that an epoch of fifty leaves over would else make a step as large as any.
        """
        epochs, least = (EPOCHS, MIN_STEPS) if self.epochs is None else (self.epochs, 1)
        steps = max(least, epochs * cases // self.batch_size)
        epochs = -(-steps * self.batch_size // cases)
        orders = [torch.randperm(cases, generator=generator) for _ in range(epochs)]
        return list(torch.split(torch.cat(orders)[: steps * self.batch_size], self.batch_size))


def _with_differences(X: np.ndarray) -> np.ndarray:
    """(cases, channels, timepoints) to twice the channels; the first difference is 0."""
    return np.concatenate([X, np.diff(X, axis=2, prepend=X[..., :1])], axis=1)


def _windows(X: Any) -> np.ndarray:
    X = np.asarray(X, dtype=np.float64)
    if X.ndim != 3:
        raise InputError(
            f"X must have shape (cases, channels, timepoints), got {X.shape}; "
            "one channel is X[:, None, :]"
        )
    if not X.size:
        raise InputError(
            f"X is empty, shape {X.shape}; give at least one case, channel and timepoint"
        )
    if not np.isfinite(X).all():
        case, channel, time = (int(i) for i in np.argwhere(~np.isfinite(X))[0])
        raise InputError(
            f"X has a value that is not finite ({X[case, channel, time]} at case {case}, channel "
            f"{channel}, timepoint {time}); fill or drop such cases"
        )
    checked: np.ndarray = X
    return checked
