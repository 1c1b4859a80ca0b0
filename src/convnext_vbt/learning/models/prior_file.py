"""A network trained beforehand, as it lies in a file: weights, and what they are weights of.

A safetensors file whose metadata hold, under "prior", JSON with `features` (names, in the order in
which the network reads them), `depths`, `dims`, `kernel_size`, `patch`, `stem`, `horizons`,
`states` and `families`. The outputs are one logit of a move for each horizon in bars, then the
hidden states, which have a side; `learning.prior.recipe` makes such a file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from convnext_vbt.errors import InputError, MissingFileError
from convnext_vbt.learning.network import ConvNeXt1d

FOLDER = Path(__file__).parent.parent / "prior"
"""Where those lie that come with the package, NAME.safetensors each."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prior:
    """What a file holds."""

    features: tuple[str, ...]
    depths: tuple[int, ...]
    dims: tuple[int, ...]
    kernel_size: int
    patch: int
    stem: int
    horizons: tuple[int, ...]
    states: tuple[str, ...]
    families: tuple[str, ...]
    """The kinds of simulated markets that it has seen."""
    weights: Mapping[str, Tensor]
    """float32, whatever the file has."""
    sha256: str
    """Of the file."""

    def network(self) -> ConvNeXt1d:
        """The network with these weights."""
        with torch.random.fork_rng(devices=[]):  # building one draws weights
            net = ConvNeXt1d(
                len(self.features),
                num_classes=len(self.horizons) + len(self.states),
                depths=self.depths,
                dims=self.dims,
                kernel_size=self.kernel_size,
                drop_path=0.0,
                patch=self.patch,
                stem=self.stem,
            )
        net.load_state_dict(self.weights)
        return net.eval()


def load_prior(name: str) -> Prior:
    """The prior of a name that comes with the package, or of a path from the working directory.

    Raises `InputError` where there is no such file or it is none of a prior.
    """
    path = FOLDER / f"{name}.safetensors" if _is_name(name) else Path(name).expanduser()
    if not path.is_file():
        known = ", ".join(f'"{file.stem}"' for file in sorted(FOLDER.glob("*.safetensors")))
        raise MissingFileError(
            f'model.prior = "{name}": there is no {path} (paths start at {Path.cwd()}); give the '
            f'path of a prior, "none", or one that comes with the package '
            f"({known or 'here none does'})"
        )
    facts = path.stat()
    return _read(path, facts.st_mtime_ns, facts.st_size)


def _is_name(name: str) -> bool:
    return Path(name).name == name and not Path(name).suffix


@cache
def _read(path: Path, modified: int, size: int) -> Prior:  # noqa: ARG001 - the cache's key
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {})["prior"])
            if "features" in facts and "patch" not in facts:
                raise LookupError("an earlier version made it; make it anew")
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        prior = Prior(
            features=tuple(facts["features"]),
            depths=tuple(facts["depths"]),
            dims=tuple(facts["dims"]),
            kernel_size=facts["kernel_size"],
            patch=facts["patch"],
            stem=facts["stem"],
            horizons=tuple(facts["horizons"]),
            states=tuple(facts["states"]),
            families=tuple(facts["families"]),
            weights=weights,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        prior.network()
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, RuntimeError) as error:
        line = " ".join(str(error).split())[:200]
        raise InputError(
            f'model.prior: {path} is no file of a prior ({line}); give another, or "none"'
        ) from error
    return prior
