"""One account as the page carries it: what the browser needs to draw any selected cell.

Dimensions: T bars of the window, D UTC days, S splits, K trades.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from convnext_vbt.report import accounts, returns
from convnext_vbt.report.confidence import Deciles
from convnext_vbt.report.payload import Pool, Ref
from convnext_vbt.trading.simulation import Simulation
from convnext_vbt.trading.sweep import SweepResult

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """One account of a sweep, as the sections that follow the selection read it."""

    result: SweepResult
    account: accounts.Account
    symbols: np.ndarray
    """int (N,), the number among the bars' symbols of each column of the account's trades."""
    ranges: list[tuple[int, int]]
    """Test ranges in bars of the window."""
    deciles: Deciles | None

    @classmethod
    def of(
        cls,
        simulation: Simulation,
        res: SweepResult,
        *,
        ranges: list[tuple[int, int]],
        deciles: Deciles | None,
    ) -> Self:
        """The account of all columns of a simulation."""
        return cls(
            result=res,
            account=accounts.Account.of(simulation),
            symbols=returns.symbol_numbers(simulation, res.bars),
            ranges=ranges,
            deciles=deciles,
        )


def line(pool: Pool, res: SweepResult, account: accounts.Account) -> dict[str, Any]:
    """Daily growth and underwater, net and gross, and the rolling Sharpe ratio."""
    gross = accounts.before_costs(account, slippage=res.config.slippage)
    rolling = returns.rolling_sharpe(accounts.daily_returns(account), res.bars.days_per_year)
    return {
        "net": _daily(pool, account),
        "gross": _daily(pool, gross) | {"figures": _gross_figures(pool, res, gross)},
        "rolling": pool.add_rounded(rolling, 0.01),
    }


def _daily(pool: Pool, account: accounts.Account) -> dict[str, Ref]:
    day = accounts.daily(account.index, account.equity, account.init_cash)
    return {
        "growth": pool.add_rounded(day.growth, LINE_STEP, line=True),
        "underwater": pool.add_rounded(day.underwater, LINE_STEP, line=True),
    }


def _gross_figures(pool: Pool, res: SweepResult, gross: accounts.Account) -> Ref:
    found = accounts.figures(gross, res.window_bars, slippage=res.config.slippage)
    return pool.add([found.get(name, math.nan) for name in GROSS_FIGURES], "f8")


def trades(pool: Pool, view: View) -> dict[str, Ref]:
    """Every trade of an account: fills, profit, how far it went against and with it."""
    account, found = view.account, view.account.trades
    # Equity at the close before each entry.
    before = np.concatenate([[account.init_cash], account.equity])[found["entry_idx"]]
    cent = money_step(account.init_cash)
    away = returns.excursions(found, view.result.window_bars, view.symbols)
    return {
        "symbol": pool.add(found["col"], "i4"),
        "entry": pool.add(found["entry_idx"], "i4"),
        "exit": pool.add(found["exit_idx"], "i4"),
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
        "share": pool.add_rounded(found["pnl"] / before, LINE_STEP),
    }
