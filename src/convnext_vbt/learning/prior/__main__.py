"""Make a prior: `python -m convnext_vbt.learning.prior FILE [--without FAMILY] [--steps N]`.

The one that ships is `python -m convnext_vbt.learning.prior simulated.safetensors`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from convnext_vbt.learning.prior.markets import FAMILIES
from convnext_vbt.learning.prior.recipe import Recipe, train_prior, write_prior

TELL_EVERY = 50


def main() -> None:
    """Train on one thread, telling the mean loss now and then, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--without", choices=FAMILIES, action="append", default=[])
    parser.add_argument("--steps", type=int, default=Recipe().steps)
    chosen = parser.parse_args()
    families = tuple(name for name in FAMILIES if name not in chosen.without)
    recipe = Recipe(families=families, steps=chosen.steps)
    torch.set_num_threads(1)
    started, losses = time.perf_counter(), []

    def tell(step: int, loss: float) -> None:
        losses.append(loss)
        if step % TELL_EVERY == 0 or step == recipe.steps:
            mean = sum(losses) / len(losses)
            minutes = (time.perf_counter() - started) / 60
            say = f"step {step:,} of {recipe.steps:,}: loss {mean:.4f}, {minutes:.1f} min"
            print(say, flush=True)  # noqa: T201
            losses.clear()

    net, names = train_prior(recipe, tell)
    write_prior(chosen.file, net, names, recipe)
    print(chosen.file)  # noqa: T201


if __name__ == "__main__":
    main()
