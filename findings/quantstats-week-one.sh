#!/usr/bin/env bash
# quantstats 0.0.86: the last days of December are compounded into the first week of that January.
#
# Expected: a year has 53 calendar weeks or parts of weeks, each of days in a row.
# Happens: days are grouped by the calendar's year and the ISO week's number. 30 and 31 December
# 2024 are in ISO week 1 (of 2025), so that they join 1 to 7 January 2024: +10 % on 2 January and
# +20 % on 31 December make a best week of +32 %. pandas' own weeks give +20 %.

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

returns = pd.Series(0.0, pd.date_range("2024-01-01", "2024-12-31"))
returns["2024-01-02"] = 0.10
returns["2024-12-31"] = 0.20
weeks = qs.utils.aggregate_returns(returns, "eow")
best = float(qs.stats.best(returns, aggregate="eow"))
pandas_best = float((1 + returns).resample("W").prod().max() - 1)
print("quantstats", importlib.metadata.version("quantstats"))
print("weeks", len(weeks), "best", round(best, 4), "in", weeks.idxmax(), "pandas' best", round(pandas_best, 4))
assert len(weeks) == 52 and abs(best - 0.32) < 1e-9 and tuple(weeks.idxmax()) == (2024, 1)
assert abs(pandas_best - 0.20) < 1e-9
PYTHON
