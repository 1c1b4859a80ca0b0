"""What speed rests on and no clock would show: nothing compiles twice, memory stays small."""

import json
import os
import platform
import subprocess
import sys

import pytest

SMALL_RUN = """
import importlib, json, pkgutil, warnings
import numpy as np
import pandas as pd
from numba.core.dispatcher import Dispatcher
import convnext_vbt as cv
from convnext_vbt import learning, market, trading

warnings.simplefilter("ignore")
one = cv.load_bars("simulated:seed=0,bars=1800")
frames = {name: pd.DataFrame({f: getattr(one, f)[:, 0] for f in (
    "open", "high", "low", "close", "volume")}, index=one.index) for name in ("A", "B")}
frames["B"] = frames["B"].drop(frames["B"].index[700:720])
panel = cv.Bars.from_frames(frames)
for bars in (one, panel, one.rows(100, 1700), panel.rows(100, 1700)):
    cv.compute_features(bars)
    cv.barrier_labels(bars)
    cv.fixed_horizon_labels(bars)
    rng = np.random.default_rng(0)
    up, down = (pd.DataFrame(rng.uniform(0.1, 0.45, bars.close.shape), bars.index,
                list(bars.symbols)) for _ in range(2))
    preds = cv.Predictions.from_frames(prob_up=up, prob_down=down)
    for threshold in ([0.38, 0.4], 0.4):
        result = cv.sweep(bars, preds, threshold=threshold, risk=[0.01, 0.02], stop=0.03)
        result.simulation(threshold=0.4, risk=0.01)

found = {}
for package in (learning, market, trading):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, Dispatcher):
                found[value.py_func.__module__ + "." + value.__name__] = len(value.signatures)
print(json.dumps(found))
"""


LARGE_RUN = """
import resource, sys, warnings
import numpy as np
import pandas as pd
import torch
import convnext_vbt as cv
from benchmarks.features import market
from convnext_vbt.learning.segments import pack, scale, series_logits

warnings.simplefilter("ignore")
torch.set_num_threads(1)
num_bars, num_cells = int(sys.argv[1]), int(sys.argv[2])
bars = cv.Bars.from_frame(market(num_bars))
features = cv.compute_features(bars)
net = cv.ConvNeXt1d(len(features.names)).eval()
(series,) = pack(features, *scale(features, (0, 10_000)), num_bars)
with torch.inference_mode():
    rows = series.predictable((0, num_bars), net.receptive_field)
    proba = series_logits(net, series, rows, "cpu").softmax(1).numpy()
assert len(proba) > 0.99 * num_bars
after_prediction = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

year = cv.load_bars("simulated:seed=0,bars=8760")
rng = np.random.default_rng(0)
up, down = (pd.DataFrame({"SIM/USDT": rng.uniform(0.1, 0.45, 8_760)}, year.index) for _ in "ab")
preds = cv.Predictions.from_frames(prob_up=up, prob_down=down)
result = cv.sweep(year, preds, threshold=np.linspace(0.34, 0.43, num_cells // 10).tolist(),
                  risk=np.linspace(0.001, 0.02, 10).tolist(), stop=0.03)
assert len(result.metrics) == num_cells
print(after_prediction, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

PASSES = """
import resource
import torch
from convnext_vbt.learning.network import ConvNeXt1d

torch.set_num_threads(1)
net, x = ConvNeXt1d(33), torch.randn(1, 33, 2631)
for _ in range(12):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    net.forward_valid(x).sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def python(program: str, *arguments: int, **environment: str) -> str:
    """What a new process prints."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    env = {**os.environ, **environment}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout


@pytest.mark.slow
def test_no_kernel_compiles_twice(tmp_path):
    """With an empty cache: from a full one, kernels inside others are not loaded."""
    found = json.loads(python(SMALL_RUN, NUMBA_CACHE_DIR=str(tmp_path)))
    signatures = {name: count for name, count in found.items() if count}
    assert len(signatures) > 30
    assert {name: count for name, count in signatures.items() if count > 1} == {}


@pytest.mark.slow
def test_half_a_million_bars_and_a_hundred_thousand_cells_stay_under_two_gigabytes():
    predicted, swept = (int(kb) / 2**20 for kb in python(LARGE_RUN, 500_000, 100_000).split())
    assert predicted < 2.0
    assert swept < 2.0


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what glibc does with freed memory")
def test_a_training_step_takes_its_memory_from_the_step_before():
    page_faults = int(python(PASSES))
    assert page_faults < 300
