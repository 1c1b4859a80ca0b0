"""One account as the page carries it: what the browser needs to draw any selected cell.

Dimensions: T bars of the window, D UTC days, S splits, K trades.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from convnext_vbt.report import accounts, returns
from convnext_vbt.report.confidence import Deciles, trades_by_decile
from convnext_vbt.report.payload import Pool, Ref
from convnext_vbt.trading.simulation import Simulation
from convnext_vbt.trading.sweep import SweepResult

NUM_DRAWDOWNS = 10
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
class SeriesWriter:
    """Puts accounts of one sweep into the pool and gives where everything lies."""

    pool: Pool
    res: SweepResult
    ranges: list[tuple[int, int]]
    """Test ranges in bars of the window."""
    deciles: Deciles | None

    def account(self, account: accounts.Account, simulation: Simulation) -> dict[str, Any]:
        """Everything of one account that its cell shows."""
        pool, equity, cash = self.pool, account.equity, account.init_cash
        worst = accounts.drawdowns(equity, cash)[:NUM_DRAWDOWNS]
        symbols = returns.symbol_numbers(simulation, self.res.bars)
        return self.line(account) | {
            "monthly": pool.add(returns.monthly_returns(account), "f4"),
            "splits": self._splits(account),
            "drawdowns": {
                "peak": pool.add([fall.peak for fall in worst], "i4"),
                "trough": pool.add([fall.trough for fall in worst], "i4"),
                "end": pool.add([fall.end for fall in worst], "i4"),
                "depth": pool.add([fall.depth for fall in worst], "f4"),
            },
            "trades": self._trades(account, symbols),
            "histograms": self._histograms(account.trades),
            "deciles": self._deciles(account, symbols),
        }

    def line(self, account: accounts.Account) -> dict[str, Any]:
        """Daily growth and underwater, net and gross, and the rolling Sharpe ratio."""
        year = self.res.bars.days_per_year
        daily_returns = accounts.daily_returns(account)
        gross = accounts.before_costs(account, slippage=self.res.config.slippage)
        rolling = returns.rolling_sharpe(daily_returns, year)
        return {
            "net": self._daily(account),
            "gross": self._daily(gross) | {"figures": self._gross_figures(gross)},
            "rolling": self.pool.add_rounded(rolling, 0.01),
        }

    def _daily(self, account: accounts.Account) -> dict[str, Ref]:
        day = accounts.daily(account.index, account.equity, account.init_cash)
        return {
            "growth": self.pool.add_rounded(day.growth, LINE_STEP, line=True),
            "underwater": self.pool.add_rounded(day.underwater, LINE_STEP, line=True),
        }

    def _gross_figures(self, gross: accounts.Account) -> Ref:
        slippage = self.res.config.slippage
        found = accounts.figures(gross, self.res.window_bars, slippage=slippage)
        return self.pool.add([found.get(name, math.nan) for name in GROSS_FIGURES], "f8")

    def _splits(self, account: accounts.Account) -> dict[str, Ref]:
        entries = account.trades["entry_idx"]
        gains, depths, counts = accounts.split_figures(
            account.equity, entries, self.ranges, account.init_cash
        )
        year = self.res.bars.days_per_year
        return {
            "return": self.pool.add(gains, "f4"),
            "drawdown": self.pool.add(-depths, "f4"),
            "trades": self.pool.add(counts, "f4"),
            "sharpe": self.pool.add(returns.split_sharpes(account, self.ranges, year), "f4"),
        }

    def _trades(self, account: accounts.Account, symbols: np.ndarray) -> dict[str, Ref]:
        pool, trades = self.pool, account.trades
        # Equity at the close before each entry.
        before = np.concatenate([[account.init_cash], account.equity])[trades["entry_idx"]]
        cent = money_step(account.init_cash)
        away = returns.excursions(trades, self.res.window_bars, symbols)
        return {
            "symbol": pool.add(trades["col"], "i4"),
            "entry": pool.add(trades["entry_idx"], "i4"),
            "exit": pool.add(trades["exit_idx"], "i4"),
            "side": pool.add(trades["direction"], "u1"),
            "reason": pool.add(trades["reason"], "u1"),
            "capped": pool.add(trades["capped"], "u1"),
            "entry_price": pool.add(trades["entry_price"], "f8"),
            "exit_price": pool.add(trades["exit_price"], "f8"),
            "return": pool.add(trades["return"], "f4"),
            "adverse": pool.add(away.adverse, "f4"),
            "favourable": pool.add(away.favourable, "f4"),
            "size": pool.add(trades["size"], "f4"),
            "fees": pool.add_rounded(trades["entry_fees"] + trades["exit_fees"], cent),
            "profit": pool.add_rounded(trades["pnl"], cent),
            "share": pool.add_rounded(trades["pnl"] / before, LINE_STEP),
        }

    def _histograms(self, trades: np.ndarray) -> dict[str, dict[str, Ref]]:
        held = (trades["exit_idx"] - trades["entry_idx"]).astype(np.float64)
        out = {}
        for name, values, whole in (("return", trades["return"], False), ("held", held, True)):
            counts, edges = returns.histogram(values, whole=whole)
            out[name] = {"counts": self.pool.add(counts, "i4"), "edges": self.pool.add(edges, "f8")}
        return out

    def _deciles(self, account: accounts.Account, symbols: np.ndarray) -> dict[str, Ref] | None:
        if self.deciles is None:
            return None
        mean, count = trades_by_decile(
            account, self.res.predictions, self.deciles, start=self.res.window[0], symbols=symbols
        )
        return {"net": self.pool.add(mean, "f4"), "count": self.pool.add(count, "i4")}
