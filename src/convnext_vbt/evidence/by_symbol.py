"""What each symbol brought to a shared account.

Dimensions: T bars, K columns, one a symbol.
"""

from __future__ import annotations

import pandas as pd

from convnext_vbt.evidence import measures
from convnext_vbt.trading.simulation import Simulation
from convnext_vbt.trading.sweep import TOTAL


def figures_by_symbol(simulation: Simulation) -> pd.DataFrame:
    """One row a symbol of one account (index "symbol"), then `TOTAL`, the account itself.

    - profit: in money, net of costs and funding; the symbols' add up to the account's.
    - total_return: the profit over the initial cash.
    - max_drawdown: <= 0, of the initial cash and the row's own profit, on bar closes.
    - trades: all; win_rate: of the closed ones, NaN without any; long_share of all.
    - exposure: share of bars with a position at the close.
    - funding: paid, net of what was received; only where the bars have rates.
    """
    rows = {}
    names = [str(name) for name in simulation.columns.get_level_values("symbol")]
    for c, name in enumerate(names):
        rows[name] = _row(simulation.alone(c))
    rows[TOTAL] = _row(simulation)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("symbol")


def _row(simulation: Simulation) -> dict[str, float]:
    value, trades = simulation.equity[:, 0], simulation.trades
    row = {
        "profit": float(value[-1] - simulation.init_cash),
        "total_return": float(value[-1] / simulation.init_cash - 1.0),
        "max_drawdown": measures.max_drawdown(value, simulation.init_cash),
        "trades": len(trades),
        "win_rate": measures.win_rate(trades),
        "long_share": measures.ratio(float((~measures.is_short(trades)).sum()), len(trades)),
        "exposure": measures.exposure(simulation.position),
    }
    if simulation.funding is not None:
        row["funding"] = float(simulation.funding.sum())
    return row
