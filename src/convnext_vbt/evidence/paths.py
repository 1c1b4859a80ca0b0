"""What the strategy would have earned on each path through combinatorial splits.

Every bar of a path is predicted by a split that did not learn from it, but most of those splits
learned from later bars too (Lopez de Prado 2018, ch. 12). So how far the paths lie apart tells how
much a result owes to which bars were learned from; it is no result that could have been had.
Dimensions: P paths.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from convnext_vbt.evidence import measures
from convnext_vbt.evidence.accounts import Account, daily_returns
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions
from convnext_vbt.trading.brackets import Brackets
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.signals import Rules
from convnext_vbt.trading.simulation import simulate_signals
from convnext_vbt.trading.sweep import prediction_window

LOW, HIGH = 0.05, 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """Figures of one path's account, net of all costs."""

    sharpe: float
    """Annual, of UTC-day returns; NaN without a trade."""
    total_return: float
    max_drawdown: float
    trades: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """All of them, traded by one rule that was fixed beforehand."""

    groups: int
    held_out: int
    """Of the groups, in each combination."""
    rule: str
    """Its levels, in words."""
    paths: tuple[Path, ...]

    @property
    def num_combinations(self) -> int:
        """Models that were trained for them."""
        return math.comb(self.groups, self.held_out)

    @property
    def sharpes(self) -> np.ndarray:
        """Those that are defined, ascending, float64 (up to P,)."""
        values = np.array([path.sharpe for path in self.paths])
        return np.sort(values[np.isfinite(values)])

    @property
    def median(self) -> float:
        """NaN where no path traded."""
        return self.quantile(0.5)

    @property
    def share_below_zero(self) -> float:
        """Of the paths with a Sharpe ratio; NaN where there are none."""
        return float((self.sharpes < 0).mean()) if len(self.sharpes) else math.nan

    def quantile(self, level: float) -> float:
        """Of the Sharpe ratios, linear between them; NaN where no path traded."""
        return float(np.quantile(self.sharpes, level)) if len(self.sharpes) else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Every figure by name."""
        return {
            "groups": self.groups,
            "held_out": self.held_out,
            "combinations": self.num_combinations,
            "rule": self.rule,
            "median_sharpe": self.median,
            "sharpe_5": self.quantile(LOW),
            "sharpe_95": self.quantile(HIGH),
            "share_below_zero": self.share_below_zero,
            "paths": [asdict(path) for path in self.paths],
        }


def rule_text(rules: Rules) -> str:
    """The levels of the one rule that these columns are of: "threshold q0.50"."""
    values = rules.columns[0][:-1]
    pairs = zip(rules.rule_levels, values, strict=True)
    return ", ".join(f"{name} {value}" for name, value in pairs) or "your own"


def trade_path(
    bars: Bars, predictions: Predictions, rules: Rules, brackets: Brackets, config: SimulationConfig
) -> Path:
    """One path traded from its first prediction to its last, all symbols on one account.

    `rules` are the columns of one rule, a symbol each; they and `brackets` are on all bars.
    """
    start, stop = prediction_window(predictions)
    done = simulate_signals(
        bars.rows(start, stop), rules.rows(start, stop), brackets.rows(start, stop), config=config
    )
    account = Account.of(done)
    return Path(
        sharpe=measures.sharpe(daily_returns(account), bars.days_per_year),
        total_return=float(account.equity[-1] / account.init_cash) - 1.0,
        max_drawdown=measures.max_drawdown(account.equity, account.init_cash),
        trades=len(account.trades),
    )
