"""Whether a simulated market is one that the network's prior was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from convnext_vbt.market.sources import simulated_family


def prior_notes(
    source: str | Path | Sequence[str | Path], families: Sequence[str] | None
) -> list[str]:
    """A sentence for each family of simulated markets in `source`, in or out of the prior.

    `families` are those that the prior was trained on; None is a network without a prior, of which
    nothing is said, as nothing is of real data.
    """
    if families is None:
        return []
    sources = [source] if isinstance(source, (str, Path)) else source
    simulated = dict.fromkeys(filter(None, map(simulated_family, sources)))
    return [_note(family, families) for family in simulated]


def _note(family: str, families: Sequence[str]) -> str:
    if family in families:
        return (
            f"This market's family ({family}) was in the simulation that the network's prior was "
            "trained on: shows capacity, not skill."
        )
    return (
        f"This market's family ({family}) was not in the simulation that the network's prior was "
        f"trained on ({', '.join(families)})."
    )
