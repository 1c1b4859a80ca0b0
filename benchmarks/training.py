"""Training on dense segments against training on sliding windows, labelled bars a second.

Run `python -m benchmarks.training [--quick]`. A step is forward, backward and AdamW on the same
network; the dense one takes the default batch of segments, windows come in the batches that suit
them best here. Windows of the receptive field have the same gradients (checked first). Plain keys
speak of the small network on one thread.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.prediction import (
    OPERATIONS,
    SHORT,
    convolution,
    network,
    operations,
    product,
    report,
    series,
    windows,
)
from benchmarks.timing import paired_medians
from convnext_vbt.learning.devices import PLAIN_STEPS, exact, training_pass
from convnext_vbt.learning.network import ConvNeXt1d, decay_groups
from convnext_vbt.learning.settings import TrainingConfig

DEFAULT = TrainingConfig()


def stepper(net: ConvNeXt1d, logits: Callable[[], Tensor]) -> Callable[[], None]:
    """One optimiser step on random labels."""
    optimizer = torch.optim.AdamW(decay_groups(net, DEFAULT.weight_decay), lr=1e-6, fused=True)

    def step() -> None:
        out = logits().flatten(0, -2)
        labels = torch.arange(len(out), device=out.device) % out.shape[1]
        optimizer.zero_grad()
        functional.cross_entropy(out, labels).backward()
        optimizer.step()

    return step


def gradient_difference(net: ConvNeXt1d, bars: int) -> float:
    """The largest difference between dense and window gradients, over the largest gradient."""
    net.eval()  # DropPath draws once a segment but once a window
    x = series(net.receptive_field - 1 + bars)
    gradients = []
    for logits in (net.forward_valid(x)[0], net(windows(x, net.receptive_field))):
        net.zero_grad()
        functional.cross_entropy(logits, torch.arange(bars) % 3).backward()
        gradients.append(
            torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
        )
    dense, exact = gradients
    return ((dense - exact).abs().max() / exact.abs().max()).item()


def measure(size: str, *, batch: int, repeats: int) -> dict[str, float]:
    """Check that the gradients agree, then time a step of each, per labelled bar."""
    net = network(size)
    difference = gradient_difference(net, batch)
    if difference > 1e-4:
        raise AssertionError(f"dense and window gradients differ by {difference} of the largest")
    net.train()
    reach, length = net.receptive_field, DEFAULT.segment_bars
    x = series(reach - 1 + DEFAULT.segments * length)
    segments = x[0].unfold(1, reach - 1 + length, length).transpose(0, 1).contiguous()
    exact, short = (windows(x[..., : n - 1 + batch], n) for n in (reach, SHORT))
    dense_s, exact_s, short_s, product_s, convolution_s = paired_medians(
        stepper(net, lambda: net.forward_valid(segments)),
        stepper(net, lambda: net(exact)),
        stepper(net, lambda: net(short)),
        product,
        convolution,
        repeats=repeats,
    )
    labelled = len(segments) * length
    # The backward pass multiplies twice for each product of the forward pass.
    work = 3 * len(segments) * operations(net, length, context=True)
    return {
        "dense_over_exact_windows": exact_s / batch / (dense_s / labelled),
        "dense_over_windows_256": short_s / batch / (dense_s / labelled),
        "over_flop_floor": dense_s / (product_s * work / OPERATIONS),
        "over_onednn_floor": dense_s / (convolution_s * work / OPERATIONS),
        "max_relative_gradient_diff": difference,
        "labelled_bars_per_second": labelled / dense_s,
        "gemm_gflops": 1e-9 * OPERATIONS / product_s,
        "onednn_gflops": 1e-9 * OPERATIONS / convolution_s,
    }


def measure_on_card(*, repeats: int) -> dict[str, float]:
    """A CUDA card's step as splits are trained, against float32 without a graph; {} without one."""
    if not torch.cuda.is_available():
        return {}
    net = network("small_1d").cuda().train()
    bars = net.receptive_field - 1 + DEFAULT.segment_bars
    segments = series(bars).expand(DEFAULT.segments, -1, -1).contiguous()
    as_trained = training_pass(net, "cuda")
    steps = (
        stepper(net, lambda: as_trained(segments)),
        stepper(net, lambda: net.forward_valid(segments.cuda())),
    )
    with exact("cuda"):
        for _ in range(PLAIN_STEPS + 1):
            steps[0]()
        trained_s, plain_s = paired_medians(
            *(lambda step=step: (step(), torch.cuda.synchronize()) for step in steps),
            repeats=repeats,
        )
    labelled = DEFAULT.segments * DEFAULT.segment_bars
    return {
        "cuda_labelled_bars_per_second": labelled / trained_s,
        "cuda_over_plain_steps": plain_s / trained_s,
    }


def main() -> None:
    """Time the small and the atto network on one thread, the small one on two as well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    results = {
        "": measure("small_1d", batch=256, repeats=5 if quick else 15),
        "atto_": measure("atto", batch=32, repeats=2 if quick else 5),
    }
    torch.set_num_threads(2)
    results["two_threads_"] = measure("small_1d", batch=256, repeats=5 if quick else 15)
    on_card = measure_on_card(repeats=5 if quick else 15)
    title = "Training: seconds a labelled bar of sliding windows over dense segments"
    report(title, results, on_card)


if __name__ == "__main__":
    main()
