#!/usr/bin/env bash
# TA-Lib 0.8.2 (C library 0.8.1): how long a missing price blinds STDDEV depends on where it
# stands.
#
# Expected: a NaN spoils either the windows that hold it (20 values) or everything after it.
# Happens: STDDEV and WMA add up as they go and start afresh at fixed bars counted from the array's
# start: every 32 periods for STDDEV, every 8 for WMA. With a period of 20, a NaN at bar 100 spoils
# STDDEV to bar 657, one at bar 500 also to bar 657, one at bar 700 to bar 1297. BBANDS, which is
# an average and a STDDEV of the same period, never recovers. Another first bar moves the whole
# grid.

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
close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 3000)))


def last_nan(function, bar):
    holed = close.copy()
    holed[bar] = np.nan
    return int(np.flatnonzero(np.isnan(function(holed)))[-1])


functions = {
    "STDDEV": lambda x: talib.STDDEV(x, 20),
    "WMA": lambda x: talib.WMA(x, 20),
    "BBANDS": lambda x: talib.BBANDS(x, 20)[0],
}
bars = (100, 200, 500, 700)
print("TA-Lib", talib.__version__, "C library", talib.__ta_version__.decode().split()[0])
print("3000 bars, period 20; last bar that is NaN after one NaN at bar", bars)
got = {name: [last_nan(f, bar) for bar in bars] for name, f in functions.items()}
for name, ends in got.items():
    print(f"{name:7}", ends)
assert got["STDDEV"] == [657, 657, 657, 1297]
assert got["WMA"] == [177, 337, 657, 817]
assert got["BBANDS"] == [2999] * 4
PYTHON
