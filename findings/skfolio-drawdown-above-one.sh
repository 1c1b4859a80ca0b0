#!/usr/bin/env bash
# skfolio 1.12.2: a portfolio that has lost 78 % has a maximum drawdown of 120 %.
#
# Expected: a drawdown is a share of the highest wealth so far and cannot pass 100 %; the Calmar
# ratio is the yearly return over it.
# Happens: wealth is the plain sum of returns unless compounded=True is given, and the drawdown a
# difference of sums: three days of -40 % make 120 %. The Calmar ratio divides the mean of one day
# by the drawdown: 0.026 for a year with a mean of 12.6 % and a drawdown of 1.9 %, and no
# annualised one stands beside it as there does for Sharpe.

set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@" 2>"$folder/pip.log"; }
pip install 'skfolio==1.12.2' 'numpy==2.4.6' 'pandas==3.1.1' || { cat "$folder/pip.log"; exit 2; }

"$folder/venv/bin/python" - <<'PYTHON'
import warnings

warnings.simplefilter("ignore")
import numpy as np
import pandas as pd
import skfolio
from skfolio import Portfolio


def portfolio(returns, **options):
    frame = pd.DataFrame({"asset": returns}, pd.date_range("2024-01-01", periods=len(returns)))
    return Portfolio(X=frame, weights=[1.0], **options)


crash = portfolio([0.1, -0.4, -0.4, -0.4])
same = portfolio([0.1, -0.4, -0.4, -0.4], compounded=True)
year = portfolio(np.tile([0.02, -0.019], 126))
summary = year.summary()
ratios = [name for name in summary.index if "Calmar" in name or "Sharpe" in name]
print("skfolio", skfolio.__version__)
print("three days of -40 %: maximum drawdown", crash.max_drawdown, "compounded", same.max_drawdown)
print("mean of a day", year.mean, "maximum drawdown", year.max_drawdown, "Calmar ratio", year.calmar_ratio)
print("ratios in the summary", ratios)
assert abs(crash.max_drawdown - 1.2) < 1e-9 and abs(same.max_drawdown - 0.784) < 1e-9
assert abs(year.calmar_ratio - year.mean / year.max_drawdown) < 1e-12
assert ratios == ["Sharpe Ratio", "Annualized Sharpe Ratio", "Calmar Ratio"]
PYTHON
