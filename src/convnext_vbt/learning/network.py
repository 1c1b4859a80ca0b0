"""A one-dimensional ConvNeXt that reads a series causally, one prediction a bar in one pass.

ConvNeXt: Liu et al. 2022, arXiv:2201.03545; version 2 (GRN): Woo et al. 2023, arXiv:2301.00808.
Dimensions: B batch, L bars, F features, K classes, T rows (bars or tokens), C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from convnext_vbt.errors import InputError

SIZES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "small_1d": ((1, 1, 3, 1), (16, 32, 64, 128)),
    "atto": ((2, 2, 6, 2), (40, 80, 160, 320)),
    "femto": ((2, 2, 6, 2), (48, 96, 192, 384)),
    "pico": ((2, 2, 6, 2), (64, 128, 256, 512)),
    "nano": ((2, 2, 8, 2), (80, 160, 320, 640)),
    "tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
    "small": ((3, 3, 27, 3), (96, 192, 384, 768)),
}
"""Depths and dims by name: the default for hourly bars, then the authors' sizes."""

EPS = 1e-6
PATCH = 4  # the stem's stride and, unless it overlaps, its kernel, in bars
STEM_BIAS = 0.3  # in units of a standardised channel
IMAGES = 4  # rows that `_product` hands to oneDNN as so many images

# Once it has freed a block of nearly 32 MB, glibc keeps the memory of smaller ones (mallopt(3),
# dynamic threshold). Else each pass gives it back and the system zeroes it for the next.
torch.empty(2**23 - 2**12)


class DropPath(nn.Module):
    """Stochastic depth: scales a residual branch by 0 or 1 / (1 - rate), one draw a sample."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.generator: torch.Generator | None = None
        """On the CPU; None draws from torch's global one."""
        self.kept: Tensor | None = None
        """What `draw` gave beforehand, on the weights' device; None draws when it is needed."""

    def draw(self, batch: int) -> Tensor:
        """Which samples keep the branch, bool (B, 1, 1) on the CPU."""
        return torch.rand(batch, 1, 1, generator=self.generator) >= self.rate

    def forward(self, scale_C: Tensor, batch: int) -> Tensor:
        """The branch's scale: (C,) when nothing is dropped, else (B, 1, C)."""
        if not self.training or self.rate == 0.0:
            return scale_C
        kept_B11 = self.draw(batch) if self.kept is None else self.kept
        return scale_C * kept_B11.to(scale_C) / (1.0 - self.rate)


class GlobalResponseNorm(nn.Module):
    """GRN of ConvNeXt V2: every channel against the others by its norm over ALL of time."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(dim))
        self.beta = nn.Parameter(torch.zeros(dim))

    def forward(self, x_BTC: Tensor) -> Tensor:
        """(B, T, C) to the same shape."""
        norm_B1C: Tensor = torch.linalg.vector_norm(x_BTC, dim=1, keepdim=True)
        relative_B1C = norm_B1C / (norm_B1C.mean(dim=-1, keepdim=True) + EPS)
        return self.gamma * (x_BTC * relative_B1C) + self.beta + x_BTC


class Block(nn.Module):
    """Depthwise conv, norm, MLP of four times the width, residual."""

    def __init__(
        self,
        dim: int,
        kernel_size: int,
        *,
        causal: bool,
        version: int,
        layer_scale: float,
        rate: float,
    ) -> None:
        super().__init__()
        reach = kernel_size - 1
        self.margin = (reach, 0) if causal else (reach // 2, reach - reach // 2)
        self.depthwise = nn.Conv1d(dim, dim, kernel_size, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=EPS)
        self.expand = nn.Linear(dim, 4 * dim)
        self.grn = GlobalResponseNorm(4 * dim) if version == 2 else nn.Identity()
        self.project = nn.Linear(4 * dim, dim)
        if version == 1:
            self.gamma: Tensor = nn.Parameter(torch.full((dim,), layer_scale))
        else:  # V2 has no layer scale
            self.register_buffer("gamma", torch.ones(dim), persistent=False)
        self.drop_path = DropPath(rate)

    def mlp(self, x_BTC: Tensor, linear: Callable[..., Tensor] = functional.linear) -> Tensor:
        """What happens to a row by itself (and, with GRN, to its scale); `linear` multiplies."""
        hidden = functional.gelu(linear(self.norm(x_BTC), self.expand.weight, self.expand.bias))
        return linear(self.grn(hidden), self.project.weight, self.project.bias)

    def forward(self, x_BCT: Tensor) -> Tensor:
        """(B, C, T) to the same shape, zeros at the edges."""
        branch_BTC = self.mlp(self.depthwise(functional.pad(x_BCT, self.margin)).transpose(1, 2))
        scale: Tensor = self.drop_path(self.gamma, len(x_BCT))
        return x_BCT + (branch_BTC * scale).transpose(1, 2)

    def dense(
        self, x_BTC: Tensor, dilation: int, linear: Callable[..., Tensor] | None = None
    ) -> Tensor:
        """The block at every row; the first (kernel - 1) x dilation rows are context and go.

        Rows a dilation apart form a column of the plane (T / dilation, dilation), so the dilated
        convolution is an ordinary one down its columns: a view, nothing is copied.
        """
        batch, rows, dim = x_BTC.shape
        plane_BCHW = x_BTC.view(batch, rows // dilation, dilation, dim).permute(0, 3, 1, 2)
        kernel = self.depthwise.weight.unsqueeze(-1)
        y_BCHW = functional.conv2d(plane_BCHW, kernel, self.depthwise.bias, groups=dim)
        y_RC = y_BCHW.permute(0, 2, 3, 1).reshape(-1, dim)
        branch_BTC = self.mlp(y_RC, linear or _product).view(batch, -1, dim)
        residual_BTC = x_BTC[:, rows - branch_BTC.shape[1] :]
        return torch.addcmul(residual_BTC, branch_BTC, self.drop_path(self.gamma, batch))


class Cache:
    """The rows every layer looks back on, kept from one block of bars to the next."""

    def __init__(self) -> None:
        self._kept: list[Tensor] = []
        self._layer = self._filling = 0
        self._first = "zeros"

    def start_block(self, filling: int, *, first: Literal["zeros", "own"]) -> None:
        """A block ends in `filling` rows that are no bars.

        A series' first block follows on zeros, as with left padding, or has its "own" context.
        """
        self._layer, self._filling, self._first = 0, filling, first

    def __call__(self, x_BTC: Tensor, rows: int) -> Tensor:
        """One layer's block with the `rows` before it in front; layers come in a fixed order."""
        if self._layer < len(self._kept):
            x_BTC = torch.cat([self._kept[self._layer], x_BTC], dim=1)
        else:
            x_BTC = functional.pad(x_BTC, (0, 0, rows, 0)) if self._first == "zeros" else x_BTC
            self._kept.append(x_BTC)
        end = x_BTC.shape[1] - self._filling
        self._kept[self._layer] = x_BTC[:, end - rows : end].clone()
        self._layer += 1
        return x_BTC


class ConvNeXt1d(nn.Module):
    """Class logits from bars: `forward` at the last bar, `forward_dense` at every bar.

    With `padding="causal"` a prediction depends on the `receptive_field` bars that end at its
    own bar, and the head reads the mean of the last `pool` tokens. With `padding="same"` the
    network is the authors' own: symmetric, the mean of all tokens, for windows only.

    A token begins every `patch` bars and reads `stem` of them (the patch alone by default). A stem
    longer than its patch overlaps its neighbours, so that a shape looks much the same wherever
    between two tokens it begins.

    `weights="authors"` draws them as the authors do. `"fan_in"` draws each with the variance
    1 / fan-in, which trains in fewer steps, and the stem's biases with deviation .3: with biases
    of 0 the norm behind a stem that reads one channel leaves little more than the sign of its
    level, the same for a deep valley and a shallow one.

    Example:
        >>> net = ConvNeXt1d(num_features=8).eval()
        >>> net.receptive_field
        584
        >>> net(torch.zeros(2, 8, 584)).shape, net.forward_dense(torch.zeros(2, 8, 1000)).shape
        (torch.Size([2, 3]), torch.Size([2, 1000, 3]))
    """

    def __init__(
        self,
        num_features: int,
        *,
        num_classes: int = 3,
        depths: tuple[int, ...] = (1, 1, 3, 1),
        dims: tuple[int, ...] = (16, 32, 64, 128),
        kernel_size: int = 7,
        padding: Literal["causal", "same"] = "causal",
        version: Literal[1, 2] = 1,
        layer_scale: float = 0.1,
        drop_path: float = 0.1,
        pool: int = 1,
        patch: int = PATCH,
        stem: int | None = None,
        weights: Literal["authors", "fan_in"] = "authors",
    ) -> None:
        super().__init__()
        if len(depths) != len(dims) or not depths:
            raise InputError(f"depths and dims must be of equal length, got {depths} and {dims}")
        if padding == "causal" and version == 2:
            raise InputError(
                "version 2 (GRN) norms over the whole window, so it is not causal; "
                'use version=1, or padding="same" on windows'
            )
        stem = patch if stem is None else stem
        if not 1 <= patch <= stem:
            raise InputError(f"a stem must read its whole patch, got stem={stem}, patch={patch}")
        self.padding, self.pool, self.patch, self.weights = padding, pool, patch, weights
        self.overlap = stem - patch
        self.stride = patch * 2 ** (len(depths) - 1)
        reach = [(kernel_size - 1) * depth * patch * 2**i for i, depth in enumerate(depths)]
        # The patch and the downsamples together reach over one stride, every further token one
        # more.
        self.receptive_field = sum(reach) + pool * self.stride + self.overlap
        self.stem = nn.Conv1d(num_features, dims[0], stem, stride=patch)
        self.stem_norm = nn.LayerNorm(dims[0], eps=EPS)
        rates = iter(drop_path * i / max(1, sum(depths) - 1) for i in range(sum(depths)))
        self.stages = nn.ModuleList(
            nn.ModuleList(
                Block(dim, kernel_size, causal=padding == "causal", version=version,
                      layer_scale=layer_scale, rate=next(rates))
                for _ in range(depth)
            )
            for depth, dim in zip(depths, dims, strict=True)
        )  # fmt: skip
        pairs = list(pairwise(dims))
        self.down_norms = nn.ModuleList(nn.LayerNorm(a, eps=EPS) for a, _ in pairs)
        self.downs = nn.ModuleList(nn.Conv1d(a, b, 2, stride=2) for a, b in pairs)
        self.head_norm = nn.LayerNorm(dims[-1], eps=EPS)
        self.head = nn.Linear(dims[-1], num_classes)
        self.reset(None)

    def reset(self, generator: torch.Generator | None) -> None:
        """Draw all weights anew (truncated normal) and use the generator for DropPath."""
        by_fan_in = self.weights == "fan_in"
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv1d):
                std = module.weight[0].numel() ** -0.5 if by_fan_in else 0.02
                nn.init.trunc_normal_(module.weight, std=std, generator=generator)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
            elif isinstance(module, DropPath):
                module.generator = generator
        if by_fan_in:
            nn.init.normal_(self.stem.bias, std=STEM_BIAS, generator=generator)  # type: ignore[arg-type]

    def forward(self, x_BFL: Tensor) -> Tensor:
        """(B, F, L) windows to logits (B, K) at their last bar."""
        after = self.overlap // 2 if self.padding == "same" else 0
        filling = -x_BFL.shape[-1] % self.stride  # tokens end at the last bar
        x = functional.pad(x_BFL, (filling + self.overlap - after, after))
        x = _over_channels(self.stem_norm, self.stem(x))
        for i, stage in enumerate(self.stages):
            if i:
                x = self.downs[i - 1](_over_channels(self.down_norms[i - 1], x))
            for block in stage:  # type: ignore[attr-defined]
                x = block(x)
        pooled_BC = (x if self.padding == "same" else x[..., -self.pool :]).mean(-1)
        logits_BK: Tensor = self.head(self.head_norm(pooled_BC))
        return logits_BK

    def forward_strided(self, x_BFL: Tensor) -> Tensor:
        """(B, F, L) bars to logits (B, L // stride, K) at bars stride - 1, 2 stride - 1 and so on.

        One of the phases that `forward_dense` evaluates, for a twelfth of its work: strides stay
        strides. The same function from bar receptive_field - 1 on; tokens before are warm-up.
        """
        bars = x_BFL.shape[-1] // self.stride * self.stride
        x = self.stem_norm(_patches(x_BFL[..., :bars].transpose(1, 2), self.stem))
        for i, stage in enumerate(self.stages):
            if i:
                x = _patches(self.down_norms[i - 1](x), self.downs[i - 1])
            for block in stage:  # type: ignore[attr-defined]
                padded = functional.pad(x, (0, 0, block.depthwise.kernel_size[0] - 1, 0))
                x = block.dense(padded, 1, functional.linear)
        if self.pool > 1:
            padded = functional.pad(x, (0, 0, self.pool - 1, 0))
            x = padded.unfold(1, self.pool, 1).mean(-1)
        logits_BTK: Tensor = self.head(self.head_norm(x))
        return logits_BTK

    def forward_dense(self, x_BFL: Tensor, cache: Cache | None = None) -> Tensor:
        """(B, F, L) bars to logits (B, L, K) at every bar: `forward` on the history up to it.

        The same function from bar receptive_field - 1 on; the bars before are warm-up. A series
        may come in blocks of any length: pass the same `cache` with each, in order.
        """
        return self._blockwise(x_BFL, x_BFL.shape[-1], cache or Cache(), "zeros")

    def forward_valid(self, x_BFL: Tensor, cache: Cache | None = None) -> Tensor:
        """(B, F, L) bars to logits (B, L - receptive_field + 1, K): no warm-up, hence no waste.

        With a new `cache` it is the first block of a series that `forward_dense` continues.
        """
        bars = x_BFL.shape[-1] - self.receptive_field + 1
        if bars < 1:
            raise InputError(
                f"{x_BFL.shape[-1]} bars are fewer than the receptive field, {self.receptive_field}"
            )
        return self._blockwise(x_BFL, bars, cache or Cache(), "own")

    def _blockwise(
        self, x_BFL: Tensor, bars: int, cache: Cache, first: Literal["zeros", "own"]
    ) -> Tensor:
        filling = -bars % self.stride  # columns of the dilated planes must be whole
        cache.start_block(filling, first=first)
        return self._dense(functional.pad(x_BFL, (0, filling)).transpose(1, 2), cache)[:, :bars]

    def _dense(self, x_BTF: Tensor, cache: Cache) -> Tensor:
        """Every stage at full time resolution: strides become dilations (algorithme à trous)."""
        if self.padding != "causal":
            raise InputError('dense evaluation needs padding="causal"; "same" reads whole windows')
        x = self.stem_norm(_dense_conv(cache(x_BTF, self.patch + self.overlap - 1), self.stem, 1))
        dilation = self.patch
        for i, stage in enumerate(self.stages):
            if i:
                x = cache(self.down_norms[i - 1](x), dilation)
                x = _dense_conv(x, self.downs[i - 1], dilation)
                dilation *= 2
            for block in stage:  # type: ignore[attr-defined]
                x = block.dense(cache(x, block.margin[0] * dilation), dilation)
        if self.pool > 1:
            x = cache(x, (self.pool - 1) * dilation)
            rows = x.shape[1] - (self.pool - 1) * dilation
            x = torch.stack([x[:, j * dilation :][:, :rows] for j in range(self.pool)]).mean(0)
        logits_BTK: Tensor = self.head(self.head_norm(x))
        return logits_BTK


def decay_groups(net: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """AdamW's parameter groups: only matrices and kernels decay, never vectors."""
    parameters = list(net.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _over_channels(norm: nn.Module, x_BCT: Tensor) -> Tensor:
    out: Tensor = norm(x_BCT.transpose(1, 2)).transpose(1, 2)
    return out


def _patches(x_BTC: Tensor, conv: nn.Module) -> Tensor:
    """A causal strided convolution as one matrix product: (B, T / stride, C)."""
    assert isinstance(conv, nn.Conv1d)
    taps, stride = conv.kernel_size[0], conv.stride[0]
    padded = functional.pad(x_BTC, (0, 0, taps - stride, 0))
    x_BRCJ = padded.unfold(1, taps, stride)
    return functional.linear(x_BRCJ.flatten(2), conv.weight.flatten(1), conv.bias)


def _dense_conv(x_BTC: Tensor, conv: nn.Module, dilation: int) -> Tensor:
    """A convolution over x[t - j dilation] at every row t, as one matrix product."""
    assert isinstance(conv, nn.Conv1d)
    taps = conv.kernel_size[0]
    rows = x_BTC.shape[1] - (taps - 1) * dilation
    gathered = torch.cat([x_BTC[:, j * dilation :][:, :rows] for j in range(taps)], dim=2)
    weight = conv.weight.transpose(1, 2).flatten(1)
    return _product(gathered.flatten(0, 1), weight, conv.bias).view(len(x_BTC), rows, -1)


def _product(x_RC: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`functional.linear` for rows in fours; on a CPU through oneDNN.

    MKL leaves half of an AMD processor's AVX-512 idle, oneDNN does not. Of float32, PyTorch gives
    it convolutions only, and of those with one tap only dilated ones of more than one image; a
    single tap dilated is still one tap. Strides of less than `IMAGES` bars may leave odd rows.
    """
    has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if x_RC.device.type != "cpu" or not has_onednn or len(x_RC) % IMAGES:
        return functional.linear(x_RC, weight, bias)
    x_4C1R = x_RC.view(IMAGES, 1, -1, x_RC.shape[1]).permute(0, 3, 1, 2)
    y_4C1R = functional.conv2d(x_4C1R, weight[:, :, None, None], bias, dilation=2)
    return y_4C1R.permute(0, 2, 3, 1).flatten(0, 2)
