#!/usr/bin/env bash
# quantstats 0.0.86: the price of a coin below 1 is taken for returns.
#
# Expected: drawdown and Sharpe ratio of a price series do not depend on the unit of the price.
# Happens: whether a series holds prices or returns is guessed from its size. In cents the maximum
# drawdown is -7.7 % and the Sharpe ratio 0.9; in dollars, where all prices are below 1, they are 0
# % and above 500, because each price counts as a gain of 27 to 31 % in one day.

set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@" 2>"$folder/pip.log"; }
pip install 'quantstats==0.0.86' 'pandas==3.1.1' || { cat "$folder/pip.log"; exit 2; }

"$folder/venv/bin/python" - <<'PYTHON'
import warnings

warnings.simplefilter("ignore")
import importlib.metadata

import pandas as pd
import quantstats as qs

dollars = pd.Series(
    [0.300, 0.306, 0.294, 0.312, 0.288, 0.303], pd.date_range("2024-01-01", periods=6)
)
right = float((dollars / dollars.cummax() - 1).min())
got = {}
print("quantstats", importlib.metadata.version("quantstats"), "true maximum drawdown", round(right, 4))
for unit, price in (("cents", 100 * dollars), ("dollars", dollars)):
    got[unit] = float(qs.stats.max_drawdown(price)), float(qs.stats.sharpe(price))
    print(f"{unit:8} maximum drawdown {got[unit][0]:8.4f}, Sharpe ratio {got[unit][1]:8.2f}")
assert abs(got["cents"][0] - right) < 1e-9 and got["cents"][1] < 2
assert got["dollars"][0] == 0 and got["dollars"][1] > 500
PYTHON
