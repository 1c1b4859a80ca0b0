#!/usr/bin/env bash
# TA-Lib 0.8.2 (C library 0.8.1): after one missing price some indicators go on with numbers.
#
# Expected, and said by its README as typical: one NaN makes all later values NaN, as it does for
# EMA.
# Happens: RSI, CMO and ULTOSC are exactly 0 from that bar to the end, ADX keeps its last value for
# ever, CORREL is 0 for hundreds of bars. Nothing is NaN, so that no check for NaN finds it, and an
# RSI of 0 reads as "oversold" on every bar.

set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@" 2>"$folder/pip.log"; }
pip install 'TA-Lib==0.8.2' 'numpy==2.4.6' || { cat "$folder/pip.log"; exit 2; }

"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import talib

rng = np.random.default_rng(0)
close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 1000)))
holed = close.copy()
holed[200] = np.nan
high, low = holed * 1.01, holed * 0.99
got = {
    "EMA(14)": talib.EMA(holed, 14),
    "RSI(14)": talib.RSI(holed, 14),
    "CMO(14)": talib.CMO(holed, 14),
    "ULTOSC": talib.ULTOSC(high, low, holed),
    "ADX(14)": talib.ADX(high, low, holed, 14),
    "CORREL(20)": talib.CORREL(holed, close[::-1].copy(), 20),
}
print("TA-Lib", talib.__version__, "C library", talib.__ta_version__.decode().split()[0])
for name, values in got.items():
    after = values[200:]
    print(f"{name:11} before {values[199]:8.3f}, then {after[:3]}, NaN in {np.isnan(after).sum()} of 800")
assert np.isnan(got["EMA(14)"][200:]).all()
for name in ("RSI(14)", "CMO(14)", "ULTOSC"):
    assert (got[name][200:] == 0).all(), name
assert (got["ADX(14)"][200:] == got["ADX(14)"][199]).all() and got["ADX(14)"][199] > 1
assert (got["CORREL(20)"][200:600] == 0).all()
PYTHON
