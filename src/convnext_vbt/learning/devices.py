"""Where networks are computed: on the CPU, or on a CUDA card that processes may share.

A card is not trusted: what fails there is reported and done in a plainer way, at last on the CPU,
and what is kept says which of the two it comes from. Dimensions: B batch, F features, L bars.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn

from convnext_vbt.errors import DeviceError, InputError
from convnext_vbt.learning.network import ConvNeXt1d, DropPath

BYTES_A_SPLIT = 2 * 2**30
"""Room on a card for one more process: CUDA's context, cuBLAS's workspace and activations."""
PLAIN_STEPS = 5
"""Steps before one is captured as a graph, so that its check meets weights that have moved."""
AGREEMENT = 1e-2
"""By how much a graph's logits and gradients may differ from the plain ones', of their norms."""

Result = TypeVar("Result")


FAILURES = (RuntimeError, AssertionError, DeviceError)
"""What torch raises where a card, its driver or its memory fails, and where it knows no card."""


def resolve_device(name: str) -> str:
    """The device that "cpu", "cuda" or "auto" (the GPU where one works) means here.

    Warns where "auto" finds a GPU that does not work. Raises `ValueError` for another name, and
    `DeviceError` for "cuda" where there is none that works.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f'device must be "auto", "cpu" or "cuda", got {name!r}')
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        raise DeviceError('device "cuda" was asked for but torch sees no GPU; use "cpu" or "auto"')
    try:  # a driver, a card and a build that do not belong together are found out by use alone
        (torch.ones(8, 8, device="cuda") @ torch.ones(8, 8, device="cuda")).sum().item()
    except FAILURES as error:
        if name == "cuda":
            raise DeviceError(
                f'device "cuda" was asked for but the GPU does not work ({_why(error)}); use "cpu"'
            ) from error
        warnings.warn(
            f"the GPU does not work ({_why(error)}), so the CPU is used; say device cpu to keep "
            "it so",
            stacklevel=2,
        )
        return "cpu"
    return "cuda"


def training_dtype(device: str) -> torch.dtype:
    """What networks are multiplied in while they train: bfloat16 on cards that are made for it."""
    made_for_it = device != "cpu" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if made_for_it else torch.float32


def arithmetic(device: str) -> str:
    """What shapes the weights besides their inputs: "cpu", or "cuda, bfloat16"."""
    if device == "cpu":
        return device
    return f"{device}, {str(training_dtype(device)).removeprefix('torch.')}"


def describe_device(device: str) -> str:
    """For a log: "cpu", or "cuda, bfloat16 (NVIDIA H100)"."""
    if device == "cpu":
        return device
    return f"{arithmetic(device)} ({torch.cuda.get_device_name()})"


def splits_at_once(cores: int) -> int:
    """How many processes may share the card: one a core, as far as its free memory goes."""
    try:
        free, _ = torch.cuda.mem_get_info()
    except FAILURES:  # each split will find out for itself, and tell
        return 1
    return max(1, min(cores, free // BYTES_A_SPLIT))


def or_on_cpu(
    device: str, work: Callable[[str], Result], warn: Callable[[str], object] = warnings.warn
) -> Result:
    """`work(device)`; where that is a card and fails, `warn` says why and the CPU does it all."""
    if device == "cpu":
        return work(device)
    try:
        return work(device)
    except FAILURES as error:
        why = f"the GPU failed ({_why(error)}), so the CPU does this instead"
        if isinstance(error, torch.OutOfMemoryError):
            why += "; fewer splits at once (--jobs) need less of its memory"
    warn(why)
    return work("cpu")


@contextlib.contextmanager
def exact(device: str) -> Iterator[None]:
    """Float32 that is float32, and sums in the same order each time, on a card too.

    TF32, torch's default for convolutions there, rounds factors to 10 bits: 5e-4 of each, too near
    the 1e-3 by which a card's probabilities may differ from the CPU's. Nor is a word heard of a
    CUDA graph's gradients coming from a stream of their own: they do, and torch waits for them.
    """
    if device == "cpu":
        yield
        return
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    conv = cudnn.conv  # type: ignore[attr-defined]
    before = cudnn.deterministic, cudnn.benchmark, conv.fp32_precision, matmul.fp32_precision
    cudnn.deterministic, cudnn.benchmark = True, False
    conv.fp32_precision = matmul.fp32_precision = "ieee"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The AccumulateGrad node's stream does not match")
            yield
    finally:
        cudnn.deterministic, cudnn.benchmark, conv.fp32_precision, matmul.fp32_precision = before


def send(tensor: Tensor, device: str) -> Tensor:
    """The CPU's tensor on the device; to a card from pinned memory, while the CPU goes on."""
    return tensor if device == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def training_pass(net: ConvNeXt1d, device: str) -> Callable[[Tensor], Tensor]:
    """`net.forward_valid` as it trains best there: a batch on the CPU to float32 logits."""
    return net.forward_valid if device == "cpu" else CardPass(net, device, training_dtype(device))


class CardPass:
    """`forward_valid` of a network in training on a card.

    Weights stay float32, products are made in `dtype`. A small network's step is bound by some
    hundreds of kernel launches, so after `PLAIN_STEPS` forward and backward pass become one CUDA
    graph each; batches must have one shape.
    """

    def __init__(self, net: ConvNeXt1d, device: str, dtype: torch.dtype) -> None:
        self._forward = _Forward(net, device, dtype)
        self._device, self._dtype, self._steps = device, dtype, 0

    def __call__(self, x_BFL: Tensor) -> Tensor:
        """(B, F, L) bars to logits as `forward_valid` does, its random draws in the same order."""
        kept = [path.draw(len(x_BFL)) for path in self._forward.paths]
        inputs = tuple(send(one, self._device) for one in (x_BFL, *kept))
        if self._steps == PLAIN_STEPS:
            new = _Forward(self._forward.net, self._device, self._dtype)
            self._forward = _graphed(self._forward, new, inputs)
        self._steps += 1
        logits_BLK: Tensor = self._forward(*inputs)
        return logits_BLK


class _Forward(nn.Module):
    """The pass whose draws are inputs, for a graph cannot draw on the CPU."""

    def __init__(self, net: ConvNeXt1d, device: str, dtype: torch.dtype) -> None:
        super().__init__()
        self.net = net
        self.paths = [m for m in net.modules() if isinstance(m, DropPath) and m.rate]
        # a graph forbids the cache of cast weights; each is cast once a pass anyway
        faster = dtype != torch.float32
        self._autocast = torch.autocast(device, dtype, enabled=faster, cache_enabled=False)

    def forward(self, x_BFL: Tensor, *kept_B11: Tensor) -> Tensor:
        for path, kept in zip(self.paths, kept_B11, strict=True):
            path.kept = kept
        with self._autocast:
            logits_BLK = self.net.forward_valid(x_BFL)
        for path in self.paths:
            path.kept = None
        return logits_BLK.float()


def _graphed(plain: _Forward, new: _Forward, inputs: tuple[Tensor, ...]) -> _Forward:
    """`new` as CUDA graphs where they say what `plain` says here; else `plain`, with a warning."""
    try:
        expected = _logits_and_gradients(plain, inputs)
        with torch.cuda.stream(torch.cuda.current_stream()):  # left behind by a failed capture
            torch.cuda.make_graphed_callables(new, tuple(one.clone() for one in inputs))
        found = _logits_and_gradients(new, inputs)
        pairs = zip(expected, found, strict=True)
        if not all((a - b).norm() <= AGREEMENT * a.norm() for a, b in pairs):  # nor NaN
            raise RuntimeError("its gradients are not the plain ones")
    except FAILURES as error:
        warnings.warn(
            f"a CUDA graph of the training step failed ({_why(error)}), so its kernels are "
            "launched one by one: slower, with the same result",
            stacklevel=2,
        )
        return plain
    return new


def _logits_and_gradients(run: _Forward, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    logits = run(*inputs)
    gradients = torch.autograd.grad(logits.square().sum(), list(run.parameters()))
    return [logits.detach().clone(), *(gradient.clone() for gradient in gradients)]


def _why(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
