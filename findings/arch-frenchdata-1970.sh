#!/usr/bin/env bash
# arch 8.0.0: the Fama-French months that it ships all lie within a millisecond of 1970.
#
# Expected: arch.data.frenchdata.load() has a monthly index from July 1926 to November 2018.
# Happens: the file's dates are numbers such as 192607, and they are read as nanoseconds since
# 1970: 1109 "months" between 1970-01-01 00:00:00.000192607 and 00:00:00.000201811. The index sorts
# and has no duplicates, so that nothing complains; joined with the package's other series by date
# it is empty, and every month falls into one year.

set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@" 2>"$folder/pip.log"; }
pip install 'arch==8.0.0' 'numpy==2.4.6' 'pandas==3.1.1' 'scipy==1.17.1' 'statsmodels==0.15.0' || { cat "$folder/pip.log"; exit 2; }

"$folder/venv/bin/python" - <<'PYTHON'
import arch
import arch.data.core_cpi
import arch.data.frenchdata
import pandas as pd

factors = arch.data.frenchdata.load()
prices = arch.data.core_cpi.load()
print("arch", arch.__version__, "pandas", pd.__version__)
print("first", factors.index[0], "last", factors.index[-1], "months", len(factors))
print("years in the index", sorted(set(factors.index.year)))
print("in common with monthly core CPI:", len(factors.index.intersection(prices.index)))
months = pd.to_datetime(factors.index.astype("int64").astype(str), format="%Y%m")
print("read as year and month:", months[0].date(), "to", months[-1].date())
assert factors.index[0] == pd.Timestamp(192607) and factors.index[-1] == pd.Timestamp(201811)
assert factors.index.is_monotonic_increasing and factors.index.is_unique
assert factors.index.intersection(prices.index).empty
assert len(months.intersection(prices.index)) > 700
PYTHON
