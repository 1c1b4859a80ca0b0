#!/usr/bin/env bash
# arch 8.0.0: SPA's studentize=True studentizes nothing.
#
# Expected: with studentize=True (the default, and Hansen's test) each model's lead over the
# benchmark is divided by its own standard error, so that a model full of noise cannot hide a good
# one; studentize=False gives another p-value.
# Happens: both give the same p-values to the last digit. The variances are only used to choose
# which models are re-centred; the statistic is the largest raw mean. One good model among nine
# without an edge whose losses are ten times as noisy: p = 0.82, though alone it has p = 0.00.
# Dividing each column by its standard deviation first gives what was expected.

set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@" 2>"$folder/pip.log"; }
pip install 'arch==8.0.0' 'numpy==2.4.6' 'pandas==3.1.1' 'scipy==1.17.1' 'statsmodels==0.15.0' || { cat "$folder/pip.log"; exit 2; }

"$folder/venv/bin/python" - <<'PYTHON'
import arch
import numpy as np
from arch.bootstrap import SPA

rng = np.random.default_rng(7)
benchmark = np.zeros(1000)
good = -0.001 + 0.005 * rng.standard_normal(1000)  # a loss: below zero is better
noisy = 0.05 * rng.standard_normal((1000, 9))
models = np.column_stack([good, noisy - noisy.mean(0)])


def p_values(losses, **options):
    test = SPA(benchmark, losses, block_size=5, reps=1000, seed=1, **options)
    test.compute()
    return [float(value) for value in test.pvalues]


studentized = p_values(models, studentize=True)
raw = p_values(models, studentize=False)
alone = p_values(models[:, :1])
scaled = p_values(models / models.std(0))
print("arch", arch.__version__, "p-values: lower, consistent, upper")
print("t-ratio of the good model ", round(-good.mean() / good.std() * 1000**0.5, 2))
print("ten models, studentize=True ", studentized)
print("ten models, studentize=False", raw)
print("the good model alone        ", alone)
print("ten models, scaled by hand  ", scaled)
assert studentized == raw, "studentize has an effect now"
assert studentized[1] > 0.5 and alone[1] < 0.01 and scaled[1] < 0.01
PYTHON
