"""An own model as arrays, without pickle: torch modules by their state, estimators by skops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convnext_vbt.errors import InputError
from convnext_vbt.learning.models.own.calls import OwnModel, make_own, seeded
from convnext_vbt.user_code import load_function, user_path

TRUSTED = (
    "aeon.",
    "catboost.",
    "collections.OrderedDict",
    "collections.defaultdict",
    "lightgbm.",
    "sklearn.",
    "sktime.",
    "xgboost.",
)
"""Types, or packages of them, that are read back beside those of numpy and scipy,
which skops knows, and those of the user's own file, which is executed anyway."""
_STATE, _SKOPS, _ONLY = "state.", "skops", "only"
_AGREEMENT = 1e-6


def kept_tensors(own: OwnModel, probe: np.ndarray) -> tuple[dict[str, Tensor], str]:
    """The arrays that the model can be made from again, and, where there are none, why not.

    What is kept is read back at once: it must say the same of the cases `probe`.
    """
    try:
        tensors = _written(own)
        again = restored(own.reference, tensors, probe.shape[1], where=own.where)
        found, before = again.proba(probe), own.proba(probe)
    except Exception as error:  # whatever a library makes of an object that it does not know
        return {}, f"{type(error).__name__}: {error}".splitlines()[0][:200]
    if not np.allclose(found, before, rtol=0, atol=_AGREEMENT):
        return {}, "what was read back says something else"
    return tensors, ""


def restored(
    reference: str, tensors: Mapping[str, Tensor], num_features: int, *, where: str
) -> OwnModel:
    """The very model; raises `InputError` where it cannot be read."""
    if _ONLY in tensors:
        return OwnModel(reference=reference, model=int(tensors[_ONLY]), where=where)
    if _SKOPS in tensors:
        load_function(reference)  # its own classes are found by its module
        model = _loads(tensors[_SKOPS].numpy().tobytes(), reference)
        return OwnModel(reference=reference, model=model, where=where)
    with seeded(0):
        own = make_own(reference, 0, num_features, where)
    state = {
        name.removeprefix(_STATE): value
        for name, value in tensors.items()
        if name.startswith(_STATE)
    }
    own.model.load_state_dict(state)
    own.model.eval()
    return own


def _written(own: OwnModel) -> dict[str, Tensor]:
    if isinstance(own.model, int):
        return {_ONLY: torch.tensor(own.model)}
    if own.is_module:
        state = own.model.state_dict()
        odd = [name for name, value in state.items() if not isinstance(value, Tensor)]
        if odd:
            raise InputError(f"its state has what is no tensor: {', '.join(odd)}")
        return {_STATE + name: value.detach().clone().contiguous() for name, value in state.items()}
    data = _skops().dumps(own.model)
    _refuse_unknown(data, own.reference)
    return {_SKOPS: torch.from_numpy(np.frombuffer(data, np.uint8).copy())}


def _loads(data: bytes, reference: str) -> Any:
    return _skops().loads(data, trusted=_refuse_unknown(data, reference))


def _refuse_unknown(data: bytes, reference: str) -> list[str]:
    """The types that skops does not know by itself, once all of them are trusted."""
    own_file = f"_user_{user_path(reference).stem}."
    found = sorted(_skops().get_untrusted_types(data=data))
    unknown = [name for name in found if not name.startswith((*TRUSTED, own_file))]
    if unknown:
        raise InputError(f"types that are not known to be safe to read: {', '.join(unknown)}")
    return found


def _skops() -> Any:
    try:
        import skops.io
    except ImportError:
        raise InputError("skops is not installed; pip install 'convnext-vbt[own]'") from None
    return skops.io
