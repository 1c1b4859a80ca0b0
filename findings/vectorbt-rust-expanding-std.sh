#!/usr/bin/env bash
# vectorbt 1.2.0: installing vectorbt-rust changes the expanding standard deviation by a factor of
# 68.
#
# Expected: the optional Rust engine is a faster way to the same numbers as the numba engine.
# Happens: its expanding standard deviation loses nearly all its digits. Volumes around 3 000 000
# 000 with a standard deviation of 2 have 1.99 by numba and pandas and 136 by Rust, and 0.0 instead
# of 2.58 after two values. The engine is "auto" by default, so that having the package installed
# is enough. std() and rolling_std() agree.

set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@" 2>"$folder/pip.log"; }
pip install 'vectorbt==1.2.0' 'vectorbt-rust==1.2.0' 'numpy==2.4.6' 'pandas==3.1.1' || { cat "$folder/pip.log"; exit 2; }

"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import pandas as pd
import vectorbt as vbt

rng = np.random.default_rng(0)
rng.standard_normal(10_000)
volume = pd.Series(3e9 + 2 * rng.standard_normal(10_000), pd.date_range("2024", periods=10_000, freq="min"))
places = [1, 50, -1]
got = {}
print("vectorbt", vbt.__version__, "default engine", vbt.settings["engine"])
print("pandas", volume.expanding().std().iloc[places].tolist())
for engine in ("numba", "rust"):
    got[engine] = volume.vbt.expanding_std(engine=engine)
    whole, rolling = volume.vbt.std(engine=engine), volume.vbt.rolling_std(20, engine=engine).iloc[-1]
    print(f"{engine:6}", got[engine].iloc[places].tolist(), "whole", whole, "rolling", rolling)
assert abs(got["numba"].iloc[-1] / 2 - 1) < 0.05
assert got["rust"].iloc[-1] > 60 * got["numba"].iloc[-1]
assert got["rust"].iloc[1] == 0 and got["numba"].iloc[1] > 1
assert vbt.settings["engine"] == "auto"
assert (volume.vbt.expanding_std().dropna() == got["rust"].dropna()).all()
PYTHON
