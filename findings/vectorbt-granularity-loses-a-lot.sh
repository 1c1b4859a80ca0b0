#!/usr/bin/env bash
# vectorbt 1.2.0: an order of three lots of 0.1 buys two, and closing a position leaves a lot open.
#
# Expected: size_granularity=0.1 leaves 0.3, 0.6 and 1.2 as they are: they are whole multiples of it.
# Happens: sizes are rounded down by `size // granularity * granularity`, and in binary 0.3 // 0.1 is 2:
# 0.2, 0.5 and 1.1 are bought. An exit of "everything" is rounded likewise: of 0.2 + 0.5 held, 0.6 are
# sold, and the 0.1 that is left counts as an open trade until the end. Lots of 0.25 or 1 are exact.
# (With vectorbt-rust 1.2.0 installed 0.9 stays 0.9, where numba's 0.9 // 0.1 makes 0.8 of it.)

set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@" 2>"$folder/pip.log"; }
pip install 'vectorbt==1.2.0' 'numpy==2.4.6' 'pandas==3.1.1' 'numba==0.68.1' || { cat "$folder/pip.log"; exit 2; }

"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import pandas as pd
import vectorbt as vbt

close = pd.Series([10.0, 10.0, 10.0])


def bought(size, lot):
    made = vbt.Portfolio.from_orders(close, size=[size, 0, 0], size_granularity=lot, init_cash=1000)
    return float(made.assets().iloc[0])


print("vectorbt", vbt.__version__)
for lot, sizes in ((0.1, (0.3, 0.6, 1.2)), (0.25, (0.25, 0.75, 1.25))):
    print("lots of", lot, {size: bought(size, lot) for size in sizes})
assert [bought(size, 0.1) for size in (0.3, 0.6, 1.2)] == [0.2, 0.5, 1.1]
assert bought(0.75, 0.25) == 0.75

lots = vbt.Portfolio.from_orders(
    close, size=[0.2, 0.5, -np.inf], size_granularity=[np.nan, np.nan, 0.1], init_cash=1000,
    direction="longonly",
)
left = lots.assets().tolist()
print("0.2 and 0.5 bought, then all sold in lots of 0.1; held:", left)
assert round(left[1], 9) == 0.7 and round(left[2], 9) == 0.1
assert lots.trades.records_readable["Status"].tolist()[-1] == "Open"
PYTHON
