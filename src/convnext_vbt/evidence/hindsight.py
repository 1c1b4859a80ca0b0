"""The best cell of a sweep, picked after the fact, and what such a pick is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from convnext_vbt.evidence import measures, stats
from convnext_vbt.evidence.accounts import Account, daily_returns
from convnext_vbt.evidence.cells import Cells
from convnext_vbt.evidence.ledger import Trials
from convnext_vbt.evidence.overfitting import BacktestOverfitting
from convnext_vbt.trading.sweep import FEW_TRADES, SweepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindsight:
    """Nobody could have traded this result: it is known only once all cells are."""

    cell: dict[str, Any]
    """Value of each level of the sweep's metrics; empty where no cell has 30 trades."""
    total_return: float
    sharpe: float
    """Annual; the highest of all cells with at least 30 trades."""
    trades: int
    dsr: float
    """Deflated Sharpe ratio with N = `num_trials` and V = `variance`."""
    num_trials: int
    """Distinct rules tried on this data."""
    variance: float
    """Of their Sharpe ratios per UTC day."""
    overfitting: BacktestOverfitting
    """Over `num_compared` rules."""
    spa: float
    """P-value of "none of these rules beats cash" (Hansen's SPA, consistent)."""
    num_compared: int
    """Rules with at least 30 trades at the reference risk: those in PBO and SPA."""

    def to_dict(self) -> dict[str, Any]:
        """Its figures by name; of the overfitting only the probability and why there is none."""
        figures = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "overfitting"}
        pbo = {"pbo": self.overfitting.probability, "pbo_reason": self.overfitting.reason}
        return figures | pbo


def hindsight(
    res: SweepResult, trials: Trials, *, seed: int = 0, cells: Cells | None = None
) -> Hindsight:
    """The best cell in hindsight, deflated by all that was tried; `cells` are known accounts."""
    accounts = res.account_metrics
    able = accounts[accounts["trades"] >= FEW_TRADES]
    returns_DC = compared_returns(res)
    cell: dict[str, Any] = {}
    total_return = sharpe = dsr = math.nan
    trades = 0
    if able["sharpe"].notna().any():
        row = int(np.nanargmax(able["sharpe"].to_numpy()))
        best = able.iloc[row]
        cell = dict(zip(map(str, able.index.names), _levels(able.index[row]), strict=True))
        view = None if cells is None else cells.view(cell)
        returns = view.returns if view else daily_returns(Account.of(res.simulation(**cell)))
        total_return, sharpe = float(best["total_return"]), float(best["sharpe"])
        trades = int(best["trades"])
        dsr = measures.deflated_sharpe(returns, trials.num_rules, trials.rule_variance)
    return Hindsight(
        cell=cell,
        total_return=total_return,
        sharpe=sharpe,
        trades=trades,
        dsr=dsr,
        num_trials=trials.num_rules,
        variance=trials.rule_variance,
        overfitting=stats.probability_of_backtest_overfitting(returns_DC),
        spa=stats.superior_predictive_ability(returns_DC, seed=seed),
        num_compared=returns_DC.shape[1],
    )


def compared_returns(res: SweepResult) -> np.ndarray:
    """Daily returns at the reference risk of the rules with enough trades, (D, C)."""
    accounts, returns = res.account_metrics, res.account_returns
    cells = accounts.index
    first = np.ones(len(cells), dtype=bool)
    for name, values in res.grid.items():
        if name in cells.names:  # the number of trades hardly depends on the risk
            wanted = min(values) if name == "risk" else values[0]
            first &= cells.get_level_values(name) == wanted
    levels = [*res.rules.rule_levels, "symbol"]
    rules = zip(*(cells.get_level_values(name)[first] for name in levels), strict=True)
    trades = dict(zip(rules, accounts["trades"].to_numpy()[first], strict=True))
    columns: list[Any] = returns.columns.to_list()
    enough = [trades[column] >= FEW_TRADES for column in columns]
    return np.asarray(returns.to_numpy()[:, enough])


def _levels(key: Any) -> tuple[Any, ...]:
    return tuple(value.item() if isinstance(value, np.generic) else value for value in key)
