#!/usr/bin/env bash
# ccxt 4.5.90: the limit of build_ohlcvc counts trades, not candles.
#
# Expected: build_ohlcvc(trades, "1m", since, 5) gives five candles, as fetch_ohlcv(..., limit=5)
# does.
# Happens: it reads the first five trades and makes candles of those. With ten trades a minute that
# is half a candle, whose high, close and volume look like any other's; with a since after the
# fifth trade it is none at all.

set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@" 2>"$folder/pip.log"; }
pip install 'ccxt==4.5.90' || { cat "$folder/pip.log"; exit 2; }

"$folder/venv/bin/python" - <<'PYTHON'
import ccxt

exchange = ccxt.Exchange()
trades = [
    {"timestamp": 60_000 * minute + 1_000 * i, "price": 100.0 + i, "amount": 1.0}
    for minute in range(10)
    for i in range(10)
]
whole = exchange.build_ohlcvc(trades, "1m")
limited = exchange.build_ohlcvc(trades, "1m", 0, 5)
later = exchange.build_ohlcvc(trades, "1m", 60_000, 5)
print("ccxt", ccxt.__version__, "candle: time, open, high, low, close, volume, trades")
print("no limit:", len(whole), "candles, the first", whole[0])
print("limit 5: ", len(limited), "candle", limited)
print("limit 5 since minute 1:", later)
assert len(whole) == 10 and whole[0][2] == 109.0 and whole[0][5] == 10.0
assert len(limited) == 1 and limited[0][2] == 104.0 and limited[0][5] == 5.0
assert later == []
PYTHON
