#!/usr/bin/env bash
# backtesting.py 0.6.6: the yearly volatility of a rising market is more than twice the usual one.
#
# Expected: "Volatility (Ann.) [%]" is the standard deviation of daily returns times the square
# root of the days in a year, and the Sharpe ratio is made of it.
# Happens: it is the standard deviation of a year's compounded return, which grows with the mean.
# Daily returns that alternate between +4.3 % and -3.7 % have 76 % by the usual formula and 194 %
# here; the Sharpe ratio is 0.61 where mean over deviation gives 1.40. Turned upside down (the same
# returns with the other sign), it is 23 %: the same noise, an eighth of the risk.

set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@" 2>"$folder/pip.log"; }
pip install 'backtesting==0.6.6' 'numpy==2.4.6' 'pandas==3.1.1' || { cat "$folder/pip.log"; exit 2; }

"$folder/venv/bin/python" - <<'PYTHON'
import warnings

warnings.simplefilter("ignore")
import backtesting
import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy


class Hold(Strategy):
    def init(self):
        pass

    def next(self):
        if not self.position:
            self.buy(size=0.999999)


def figures(returns):
    close = 100 * np.cumprod(1 + returns)
    frame = pd.DataFrame(
        {name: close for name in ("Open", "High", "Low", "Close")},
        pd.date_range("2023-01-01", periods=len(close)),
    )
    stats = Backtest(frame, Hold, cash=1e9, finalize_trades=True).run()
    daily = stats._equity_curve.Equity.pct_change().dropna()
    usual = 100 * daily.std() * 365**0.5
    return stats["Volatility (Ann.) [%]"], usual, stats["Sharpe Ratio"], daily.mean() / daily.std() * 365**0.5


up = np.tile([0.043, -0.037], 365)
print("backtesting", backtesting.__version__)
got = {"rising": figures(up), "falling": figures(-up)}
for name, (volatility, usual, sharpe, usual_sharpe) in got.items():
    print(f"{name:8} volatility {volatility:6.1f} % (usual {usual:.1f} %), Sharpe {sharpe:.2f} (usual {usual_sharpe:.2f})")
assert abs(got["rising"][1] - got["falling"][1]) < 1
assert got["rising"][0] > 2.5 * got["rising"][1]
assert got["falling"][0] < got["falling"][1] / 3
PYTHON
