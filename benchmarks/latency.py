"""A live decision: the network alone on its last context, and everything from bars to order.

Run `python -m benchmarks.latency [--quick]`. `signal_ms` is one `forward` of the small network on
one thread, the network's part of a signal; `dense_ms` is the same probability by the dense pass
that the backtest uses. `decision_ms` is what `convnext-vbt signal` does once the run and the bars
are loaded (features, three networks of the default shape, rule, sizing by the kernel), and
`first_decision_ms` the first one of a process. Live and dense probabilities are compared before
they are timed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch

from benchmarks.prediction import network, series
from benchmarks.timing import paired_medians

STRATEGY = """
name = "latency"
[data]
source = "simulated:bars=4400"
[splits]
train = 3600
test = 400
[model]
prior = "none"
[training]
steps = 2
ensemble = 3
[sweep]
threshold = ["q0.50", "q0.90"]
risk = [0.01]
[rule]
threshold = "q0.50"
"""


@torch.inference_mode()
def forward_ms(size: str, repeats: int) -> dict[str, float]:
    """One bar by `forward` and by the dense pass, on as many bars as the network looks back."""
    net = network(size).eval()
    x_BFL = series(net.receptive_field)
    difference = (net(x_BFL) - net.forward_valid(x_BFL)[:, -1]).abs().max().item()
    if difference > 1e-4:
        raise AssertionError(f"forward and dense differ by {difference}")
    live, dense = paired_medians(
        lambda: net(x_BFL), lambda: net.forward_valid(x_BFL), repeats=repeats
    )
    return {"signal_ms": 1e3 * live, "dense_ms": 1e3 * dense, "max_abs_diff": difference}


def trained_run(folder: Path) -> Path:
    """A finished run of the default network on the simulated market."""
    from convnext_vbt.runs import run as pipeline
    from convnext_vbt.runs.config import load_config

    (folder / "latency.toml").write_text(STRATEGY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return pipeline.run(load_config(folder / "latency.toml"), out=folder).directory


def decision_ms(directory: str, repeats: int) -> dict[str, float]:
    """A decision at each of the last bars, the first one apart, and how many were entries."""
    from convnext_vbt.live.decision import decide
    from convnext_vbt.live.session import open_session, time_of
    from convnext_vbt.live.trained import difference_from_backtest

    session = open_session(directory)
    now = time_of("2100-01-01", "--as-of")
    assert now is not None
    bars, _ = session.bars(now, replay=True)
    difference = difference_from_backtest(session.trained, bars)
    if difference is None or difference > 1e-5:
        raise AssertionError(f"live and backtest differ by {difference}")
    taken = []
    entries = 0
    for back in range(repeats):
        known = bars.rows(0, len(bars) - back)
        start = time.perf_counter()
        found = decide(session.trained, known, session.account)
        taken.append(1e3 * (time.perf_counter() - start))
        entries += found.decisions[0].entry is not None
    return {
        "first_decision_ms": taken[0],
        "decision_ms": statistics.median(taken[1:]),
        "decision_best_ms": min(taken[1:]),
        "decisions": repeats,
        "entries": entries,
    }


FRESH = "import json; from benchmarks.latency import *; print(json.dumps(decision_ms({!r}, {})))"


def main() -> None:
    """The network on one thread, small and atto, then whole decisions in a process of their own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    repeats = 40 if parser.parse_args().quick else 200
    torch.set_num_threads(1)
    results = forward_ms("small_1d", repeats)
    results |= {f"atto_{key}": value for key, value in forward_ms("atto", repeats).items()}
    with tempfile.TemporaryDirectory() as folder:
        code = FRESH.format(str(trained_run(Path(folder))), repeats)
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )
    results |= json.loads(done.stdout.splitlines()[-1])
    print("Latency of a live decision, milliseconds")
    for key, value in results.items():
        print(f"{key:24s}{value:12.4g}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
