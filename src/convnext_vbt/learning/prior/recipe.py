"""How the network's prior is made: one pass over simulated markets that never come twice.

The network reads built-in features of whole markets and foretells, at every token, which barrier
is touched first over three horizons. Strides stay strides, so a step sees several markets for the
price of a dense one. Dimensions: B markets, F features, T bars, H horizons, K = 3 classes.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save as save_tensors
from torch import Tensor
from torch.nn import functional

from convnext_vbt.errors import InputError
from convnext_vbt.learning.features import Features, compute_features
from convnext_vbt.learning.labels import barrier_labels
from convnext_vbt.learning.network import ConvNeXt1d, decay_groups
from convnext_vbt.learning.optimizer import AdamW
from convnext_vbt.learning.prior.markets import FAMILIES, STATES, draw_market
from convnext_vbt.learning.segments import CLIP
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import STAY
from convnext_vbt.storage import write_bytes

SHARES = {
    "none": 0.05,
    "regimes": 0.27,
    "motifs": 0.4,
    "momentum": 0.06,
    "reversal": 0.06,
    "flow": 0.16,
}
"""How often each family is drawn."""
AT_ONCE = {"melody": 1}
"""States of which the next bars are foretold, the first horizon for all others: the next bar's
melody follows from the past without a doubt, which shows the network what to listen for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that shapes a prior but the version of the code."""

    families: tuple[str, ...] = FAMILIES
    """Those that it may see; shares stay in proportion."""
    steps: int = 13_000
    seed: int = 64
    depths: tuple[int, ...] = (1, 1, 3, 1)
    dims: tuple[int, ...] = (64, 64, 64, 128)
    kernel_size: int = 7
    patch: int = 2
    """Bars that a token begins after another; melodies of two bars a note need fine ones."""
    stem: int = 8
    """Bars that a token reads."""
    horizons: tuple[int, ...] = (24, 6, 96)
    """Bars within which a barrier of one sigma sqrt(horizon) may be touched."""
    weights: tuple[float, ...] = (1.0, 0.3, 0.3)
    """Of each horizon in the loss."""
    state_weight: float = 4.0
    """Of the hidden states' squared error, against the log-loss of whether it moves."""
    markets: int = 2
    """Whole markets a step."""
    bars: int = 17_520
    """Of each market: two years."""
    scale_bars: int = 8_760
    """Features are standardised by as many, as by the training range of a split."""
    pool: int = 48
    """Markets that are held; every other step the oldest make room for as many new ones."""
    lr: float = 3e-3
    warmup_steps: int = 200
    weight_decay: float = 0.02
    feature_dropout: float = 0.1
    """Chance that a feature is blanked throughout a market and step."""
    ema: float = 0.999

    @property
    def states(self) -> tuple[str, ...]:
        """The hidden states that it foretells, in the order of its outputs after the horizons."""
        return tuple(dict.fromkeys(s for name in self.families for s in STATES.get(name, ())))

    def __post_init__(self) -> None:
        unknown = set(self.families) - set(FAMILIES)
        if unknown or not self.families:
            raise InputError(
                f"families must be among {', '.join(FAMILIES)}, got {', '.join(sorted(unknown))}"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """One market as the network sees it, without the features' warm-up."""

    x: Tensor
    """float32 (F, T)."""
    moved: Tensor
    """float32 (H, T): whether a barrier was touched, NaN = not known."""
    state: Tensor
    """float32 (S, T): the mean hidden state of the next bars, NaN = not known or not its kind."""


@dataclass(slots=True, kw_only=True)
class Markets:
    """Markets of a recipe without end, a few of which are held at a time."""

    recipe: Recipe
    rng: np.random.Generator
    held: deque[Example] = field(default_factory=deque)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches x (B, F, T) and targets at the tokens, (B, H + S, tokens)."""
        recipe, stride = self.recipe, self.recipe.patch * 2 ** (len(self.recipe.depths) - 1)
        self.held.extend(self._fresh() for _ in range(recipe.pool))
        step = 0
        while True:
            chosen = self.rng.choice(len(self.held), size=recipe.markets, replace=False)
            phase = int(self.rng.integers(stride))
            bars = (self.held[0].x.shape[1] - phase) // stride * stride
            rows = slice(phase, phase + bars)
            x = torch.stack([self.held[i].x[:, rows] for i in chosen])
            y = [
                torch.stack([getattr(self.held[i], name)[:, rows] for i in chosen])
                for name in ("moved", "state")
            ]
            yield x, torch.cat([one[..., stride - 1 :: stride] for one in y], dim=1)
            step += 1
            if step % 2 == 0:
                for _ in range(recipe.markets):
                    self.held.popleft()
                    self.held.append(self._fresh())

    def _fresh(self) -> Example:
        recipe = self.recipe
        shares = np.array([SHARES[name] for name in recipe.families])
        family = self.rng.choice(recipe.families, p=shares / shares.sum())
        market = draw_market(self.rng, str(family), bars=recipe.bars)
        features = compute_features(market.bars)
        first = features.warmup
        start = first + int(self.rng.integers(recipe.bars - recipe.scale_bars - first))
        moved = [_moved(market.bars, horizon) for horizon in recipe.horizons]
        unknown = torch.full((recipe.bars,), torch.nan)
        state = [
            _ahead(market.states[name], AT_ONCE.get(name, recipe.horizons[0]))
            if name in market.states
            else unknown
            for name in recipe.states
        ]
        return Example(
            x=_standardised(features, slice(start, start + recipe.scale_bars)),
            moved=torch.stack(moved)[:, first:],
            state=torch.stack(state)[:, first:],
        )


def _moved(bars: Bars, horizon: int) -> Tensor:
    y_T = barrier_labels(bars, horizon=horizon, up=1.0, down=1.0).values[:, 0]
    return torch.from_numpy(np.where(y_T < 0, np.nan, y_T != STAY).astype(np.float32))


def _ahead(state_T: np.ndarray, horizon: int) -> Tensor:
    """Mean state of the next bars, NaN where they are not known."""
    total = np.append(0.0, np.cumsum(state_T))
    mean_T = np.full(len(state_T), np.nan)
    mean_T[:-horizon] = (total[horizon + 1 :] - total[1:-horizon]) / horizon
    return torch.from_numpy(mean_T.astype(np.float32))


def _standardised(features: Features, by: slice) -> Tensor:
    """As a walk-forward split does it, by mean and deviation of some bars: float32 (F, T)."""
    some = features.values[by, 0]
    scaled = (features.values[features.warmup :, 0] - some.mean(0)) / np.maximum(some.std(0), 1e-12)
    return torch.from_numpy(np.ascontiguousarray(np.clip(scaled, -CLIP, CLIP).T, np.float32))


def train_prior(
    recipe: Recipe, progress: Callable[[int, float], None]
) -> tuple[ConvNeXt1d, tuple[str, ...]]:
    """The network after all steps (a moving average of its weights), and its features in order.

    `progress` hears of every step and its loss. One thread makes it repeatable.
    """
    any_market = draw_market(np.random.default_rng(0), "none", bars=recipe.bars)
    names = compute_features(any_market.bars).names
    generator = torch.Generator().manual_seed(recipe.seed)
    net, average = (_network(recipe, len(names)) for _ in range(2))
    net.reset(generator)
    average.load_state_dict(net.state_dict())
    optimizer = AdamW(decay_groups(net, recipe.weight_decay), lr=recipe.lr, fused=True)
    batches = iter(Markets(recipe=recipe, rng=np.random.default_rng(recipe.seed)))
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * _lr_factor(step, recipe)
        x, y = next(batches)
        shape = (*x.shape[:2], 1)
        kept = torch.rand(shape, generator=generator) >= recipe.feature_dropout
        loss = _loss(net, net.forward_strided(x * kept), y, recipe)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        decay = min(recipe.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1.0 - decay)
        progress(step + 1, float(loss.detach()))
    return average.eval(), names


def _network(recipe: Recipe, num_features: int) -> ConvNeXt1d:
    with torch.random.fork_rng(devices=[]):  # building one draws weights
        return ConvNeXt1d(
            num_features,
            num_classes=len(recipe.horizons) + len(recipe.states),
            depths=recipe.depths,
            dims=recipe.dims,
            kernel_size=recipe.kernel_size,
            drop_path=0.0,
            patch=recipe.patch,
            stem=recipe.stem,
        )


def _loss(net: ConvNeXt1d, out_BTC: Tensor, y_BCT: Tensor, recipe: Recipe) -> Tensor:
    """Log-loss of whether it moves, and squared error of the hidden states; after the warm-up."""
    first = net.receptive_field // net.stride + 1
    out_BCT, y_BCT = out_BTC[:, first:].transpose(1, 2), y_BCT[..., first:]
    known = y_BCT.isfinite()
    y_BCT = y_BCT.nan_to_num()
    split = len(recipe.horizons)
    moves = functional.binary_cross_entropy_with_logits(
        out_BCT[:, :split], y_BCT[:, :split], reduction="none"
    )
    states = (out_BCT[:, split:] - y_BCT[:, split:]) ** 2
    move_loss = (moves * known[:, :split]).mean((0, 2)) @ torch.tensor(recipe.weights)
    state_loss: Tensor = (states * known[:, split:]).sum() / known[:, 0].sum()
    return move_loss + recipe.state_weight * state_loss


def _lr_factor(step: int, recipe: Recipe) -> float:
    warm = min(1.0, (step + 1) / recipe.warmup_steps)
    return float(warm * (0.5 * (1.0 + np.cos(np.pi * step / recipe.steps)) + 0.01))


def write_prior(
    path: Path, net: ConvNeXt1d, names: tuple[str, ...], recipe: Recipe
) -> Mapping[str, str]:
    """Write the weights as float16 with what is needed to use them; return that as metadata."""
    facts = asdict(recipe) | {"states": recipe.states, "features": names}
    metadata = {"prior": json.dumps(facts)}
    tensors = {name: value.half().contiguous() for name, value in net.state_dict().items()}
    write_bytes(path, save_tensors(tensors, metadata))
    return metadata
