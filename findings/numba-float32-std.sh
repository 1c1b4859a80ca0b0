#!/usr/bin/env bash
# numba 0.68.1: np.std of float32 prices in a compiled function is wrong by a factor of hundreds.
#
# Expected: as numpy, which adds up in pairs, or at least np.std and np.nanstd alike where nothing
# is NaN.
# Happens: compiled np.mean adds float32 numbers one after the other in float32, and np.std and
# np.var take their distance from that mean. A million prices around 10 000 with a standard
# deviation of 1: np.mean 10 136, np.std 136. Compiled np.nanmean and np.nanstd add up in float64
# and are right.

set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@" 2>"$folder/pip.log"; }
pip install 'numba==0.68.1' 'numpy==2.4.6' || { cat "$folder/pip.log"; exit 2; }

"$folder/venv/bin/python" - <<'PYTHON'
import numba
import numpy as np

prices = (10_000 + np.random.default_rng(0).normal(0, 1, 2**20)).astype(np.float32)
std = numba.njit(lambda x: np.std(x))
nanstd = numba.njit(lambda x: np.nanstd(x))
mean = numba.njit(lambda x: np.mean(x))
nanmean = numba.njit(lambda x: np.nanmean(x))
print("numba", numba.__version__, "numpy", np.__version__, len(prices), "float32 prices")
print("mean: numpy", prices.mean(), "compiled", mean(prices), "compiled nanmean", nanmean(prices))
print("std:  numpy", prices.std(), "compiled", std(prices), "compiled nanstd", nanstd(prices))
print("std of the same prices in float64, compiled", std(prices.astype(np.float64)))
assert abs(prices.std() - 1) < 0.01 and abs(nanstd(prices) - 1) < 0.01
assert std(prices) > 100 and mean(prices) > 10_100
assert abs(std(prices.astype(np.float64)) - 1) < 0.01
PYTHON
