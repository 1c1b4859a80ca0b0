"""Dense prediction against what everybody does: a batch of sliding windows in plain PyTorch.

Run `python -m benchmarks.prediction [--quick]`. Plain keys speak of the small network on one
thread. Windows of the receptive field compute the same function; windows of 256 bars a shorter-
sighted one; both run PyTorch's layers as they are. `over_flop_floor` is the time over that of as
many floating-point operations at the rate of a 1024 x 1024 matrix product in the same process,
`over_onednn_floor` at that of the same product as a convolution. Where oneDNN is the faster, as on
AMD processors, the first may fall below 1 and the second is the machine's limit.
"""

from __future__ import annotations

import argparse
import json

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.timing import paired_medians
from convnext_vbt.learning.devices import exact, send
from convnext_vbt.learning.network import PATCH, SIZES, Block, Cache, ConvNeXt1d

FEATURES = 31
BLOCK = 2048
SHORT = 256


def network(size: str) -> ConvNeXt1d:
    """A named network with weights from a fixed seed, large enough to tell bars apart."""
    depths, dims = SIZES[size]
    net = ConvNeXt1d(FEATURES, depths=depths, dims=dims)
    net.reset(torch.Generator().manual_seed(0))
    with torch.no_grad():
        net.head.weight *= 10
    return net


def series(bars: int) -> Tensor:
    """Features (1, F, bars)."""
    return torch.randn(1, FEATURES, bars, generator=torch.Generator().manual_seed(1))


def windows(x_BFL: Tensor, length: int) -> Tensor:
    """Every window of `length` bars as a batch, (windows, F, length), copied as a loader would."""
    return x_BFL[0].unfold(1, length, 1).transpose(0, 1).contiguous()


def operations(net: ConvNeXt1d, bars: int, *, context: bool) -> float:
    """Floating-point operations of a dense pass: multiplications and additions.

    With `context` each layer also computes the rows that later layers look back on, as the first
    block of a series or a training segment does.
    """
    rows = float(bars + (net.receptive_field - PATCH if context else 0))
    total = rows * 2 * net.stem.weight.numel()
    dilation = PATCH
    for i, stage in enumerate(net.stages):
        if i:
            rows -= dilation if context else 0
            total += rows * 2 * net.downs[i - 1].weight.numel()
            dilation *= 2
        for block in stage:
            assert isinstance(block, Block)
            rows -= block.margin[0] * dilation if context else 0
            total += rows * 2 * sum(p.numel() for p in block.parameters() if p.ndim > 1)
    return total + rows * 2 * net.head.weight.numel()


def product() -> Tensor:
    """A yardstick of the machine, `OPERATIONS` of them as a matrix product."""
    return _YARD @ _YARD


def convolution() -> Tensor:
    """The same as a convolution of one tap."""
    return functional.conv2d(
        _YARD.view(16, 64, 1, 1024).permute(0, 3, 1, 2), _YARD[..., None, None]
    )


_YARD = torch.ones(1024, 1024)
OPERATIONS = 2 * 1024**3


@torch.inference_mode()
def measure(size: str, *, bars: int, batch: int, repeats: int) -> dict[str, float]:
    """Check that dense equals windows, then time both and their relatives, per bar."""
    net = network(size).eval()
    reach = net.receptive_field
    x = series(reach - 1 + bars)
    exact, short = (
        windows(x[..., : reach - 1 + batch], reach),
        windows(x[..., : SHORT - 1 + batch], SHORT),
    )

    def dense() -> Tensor:
        cache = Cache()
        out = [net.forward_valid(x[..., : reach - 1 + BLOCK], cache)]
        out += [
            net.forward_dense(block, cache)
            for block in torch.split(x[..., reach - 1 + BLOCK :], BLOCK, 2)
        ]
        return torch.cat(out, 1)

    def dense_bf16() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return dense()

    difference = (dense()[0, :batch] - net(exact)).abs().max().item()
    if difference > 1e-4:
        raise AssertionError(f"dense and windows differ by {difference}")
    bf16_error = (dense_bf16().float().softmax(2) - dense().softmax(2)).abs().max().item()
    dense_s, exact_s, short_s, bf16_s, product_s, convolution_s = paired_medians(
        dense,
        lambda: net(exact),
        lambda: net(short),
        dense_bf16,
        product,
        convolution,
        repeats=repeats,
    )
    work = operations(net, BLOCK, context=True) + operations(net, bars - BLOCK, context=False)
    return {
        "dense_over_exact_windows": exact_s / batch / (dense_s / bars),
        "dense_over_windows_256": short_s / batch / (dense_s / bars),
        "over_flop_floor": dense_s / (product_s * work / OPERATIONS),
        "over_onednn_floor": dense_s / (convolution_s * work / OPERATIONS),
        "max_abs_diff": difference,
        "bf16_over_fp32": dense_s / bf16_s,
        "bf16_max_abs_probability_diff": bf16_error,
        "bars_per_second": bars / dense_s,
        "gemm_gflops": 1e-9 * OPERATIONS / product_s,
        "onednn_gflops": 1e-9 * OPERATIONS / convolution_s,
    }


@torch.inference_mode()
def measure_on_card(*, bars: int, repeats: int) -> dict[str, float]:
    """The small network on a CUDA card, data to it and logits from it included; {} without one."""
    if not torch.cuda.is_available():
        return {}
    net = network("small_1d").eval()
    x = series(net.receptive_field - 1 + bars)
    expected = net.forward_valid(x).softmax(2)
    net.cuda()

    def dense() -> Tensor:
        return net.forward_valid(send(x, "cuda")).cpu()

    with exact("cuda"):
        difference = (dense().softmax(2) - expected).abs().max().item()
        (seconds,) = paired_medians(dense, repeats=repeats)
    return {
        "cuda_bars_per_second": bars / seconds,
        "cuda_max_abs_probability_diff": difference,
    }


def report(title: str, results: dict[str, dict[str, float]], on_card: dict[str, float]) -> None:
    """A table of one column a setting, what a card did, and the JSON line."""
    print(title)
    print(f"{'':32s}" + "".join(f"{name or 'small':>24s}" for name in results))
    for key in next(iter(results.values())):
        print(f"{key:32s}" + "".join(f"{values[key]:24,.4g}" for values in results.values()))
    for key, value in on_card.items():
        print(f"{key:32s}{value:24,.4g}")
    flat = {
        f"{name}{key}": value for name, values in results.items() for key, value in values.items()
    }
    print(json.dumps(flat | on_card))


def main() -> None:
    """Time the small and the atto network on one thread, the small one on two as well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer bars and repeats")
    quick = parser.parse_args().quick
    bars, repeats = (3 * BLOCK, 5) if quick else (8 * BLOCK, 9)
    torch.set_num_threads(1)
    results = {
        "": measure("small_1d", bars=bars, batch=128, repeats=repeats),
        "atto_": measure(
            "atto", bars=2 * BLOCK if quick else bars, batch=32, repeats=3 if quick else 5
        ),
    }
    torch.set_num_threads(2)
    results["two_threads_"] = measure("small_1d", bars=bars, batch=128, repeats=repeats)
    on_card = measure_on_card(bars=bars, repeats=repeats)
    title = "Prediction: seconds a bar of sliding windows over dense, same network"
    report(title, results, on_card)


if __name__ == "__main__":
    main()
