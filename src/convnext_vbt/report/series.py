"""One account as the page embeds it: what the browser needs to draw any selected cell.

Dimensions: D UTC days, K trades.
"""

from __future__ import annotations

import math
from typing import Any

from convnext_vbt.evidence.accounts import Daily
from convnext_vbt.evidence.views import Lines, View
from convnext_vbt.report.payload import Pool, Ref

LINE_STEP = 1e-4
"""Growth and drawdown are drawn and listed to four decimals."""
GROSS_FIGURES = (
    "total_return", "cagr", "log_growth", "volatility", "sharpe", "sortino", "calmar",
    "max_drawdown", "longest_drawdown", "win_rate", "profit_factor", "mean_trade",
)  # fmt: skip
"""Key figures that costs change."""


def money_step(init_cash: float) -> float:
    """What money is rounded to: a cent of 10,000, a millionth of that power of ten in general."""
    return float(10.0 ** (math.floor(math.log10(init_cash)) - 6))


def line(pool: Pool, lines: Lines) -> dict[str, Any]:
    """Daily growth and underwater, net and gross, and the rolling Sharpe ratio."""
    gross = [lines.gross_figures.get(name, math.nan) for name in GROSS_FIGURES]
    return {
        "net": _daily(pool, lines.net),
        "gross": _daily(pool, lines.gross) | {"figures": pool.add(gross, "f8")},
        "rolling": pool.add_rounded(lines.rolling, 0.01),
    }


def _daily(pool: Pool, day: Daily) -> dict[str, Ref]:
    return {
        "growth": pool.add_rounded(day.growth, LINE_STEP, line=True),
        "underwater": pool.add_rounded(day.underwater, LINE_STEP, line=True),
    }


def trades(pool: Pool, view: View) -> dict[str, Ref]:
    """Every trade of an account: fills, profit, how far it went against and with it."""
    found, cent, away = view.trades, money_step(view.init_cash), view.excursions
    return {
        "symbol": pool.add(found["col"], "i4"),
        "entry": pool.add(found["entry_idx"], "i4"),
        "exit": pool.add(found["exit_idx"], "i4"),
        "held": pool.add(view.bars_held, "i4"),
        "side": pool.add(found["direction"], "u1"),
        "reason": pool.add(found["reason"], "u1"),
        "capped": pool.add(found["capped"], "u1"),
        "entry_price": pool.add(found["entry_price"], "f8"),
        "exit_price": pool.add(found["exit_price"], "f8"),
        "return": pool.add(found["return"], "f4"),
        "adverse": pool.add(away.adverse, "f4"),
        "favourable": pool.add(away.favourable, "f4"),
        "size": pool.add(found["size"], "f4"),
        "fees": pool.add_rounded(found["entry_fees"] + found["exit_fees"], cent),
        "profit": pool.add_rounded(found["pnl"], cent),
        "share": pool.add_rounded(view.shares, LINE_STEP),
    }
