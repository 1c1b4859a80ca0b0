"""Kinds of models, one a file: what `model.kind` may say, and what each can do.

Another kind is a file beside these, with a `ModelKind`, and a line in `KINDS`.
"""

from __future__ import annotations

import difflib

from convnext_vbt.errors import InputError
from convnext_vbt.learning.models.boosting import BOOSTING
from convnext_vbt.learning.models.convnext import CONVNEXT
from convnext_vbt.learning.models.logistic import LOGISTIC
from convnext_vbt.learning.models.majority import MAJORITY
from convnext_vbt.learning.models.own import OWN_MODEL
from convnext_vbt.learning.models.protocol import ModelKind
from convnext_vbt.learning.settings import OWN

KINDS: dict[str, ModelKind] = {
    "convnext": CONVNEXT,
    "logistic": LOGISTIC,
    "boosting": BOOSTING,
    "majority": MAJORITY,
}


def kind_of(name: str) -> ModelKind:
    """The kind that `model.kind` names, or that of `model.file`.

    Raises `InputError` where there is none such.
    """
    if name == OWN:
        return OWN_MODEL
    if name in KINDS:
        return KINDS[name]
    close = difflib.get_close_matches(name, KINDS, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    raise InputError(f"model.kind must be one of {', '.join(KINDS)}, got {name!r}{hint}")
