"""An account worked out again from orders and bars alone, in plain pandas.

Nothing here imports the package: it is the second opinion on every figure of the page.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats
from scipy.stats import norm, rankdata

YEAR_DAYS = 365


@dataclass
class Ledger:
    """One symbol's account: `orders` as orders.parquet has them, `bars` of the traded window."""

    orders: pd.DataFrame
    bars: pd.DataFrame
    cash: float = 10_000.0
    slippage: float = 0.0002

    def __post_init__(self):
        orders = self.orders.reset_index(drop=True)
        sign = orders["side"].map({"Buy": 1.0, "Sell": -1.0})
        market = orders["price"] / (1 + sign * self.slippage)
        orders = orders.assign(
            sign=sign,
            cost=orders["fees"] + orders["size"] * (orders["price"] - market).abs(),
            cash=-sign * orders["size"] * orders["price"] - orders["fees"],
            units=sign * orders["size"],
        )
        flows = orders.groupby("timestamp")[["cash", "units", "cost"]].sum()
        self.orders = orders
        self.flows = flows.reindex(self.bars.index, fill_value=0.0).cumsum()
        value = self.cash + self.flows["cash"] + self.flows["units"] * self.bars["close"]
        self.equity = value
        self.gross_equity = value + self.flows["cost"]
        index = self.bars.index
        self.years = (index[-1] - index[0] + pd.Timedelta(hours=1)) / pd.Timedelta(days=365)
        self.trades = self._trades()

    def _trades(self):
        """Entries and exits take turns; an open one is valued at the last close."""
        entries = self.orders.iloc[0::2].reset_index(drop=True)
        exits = self.orders.iloc[1::2].reset_index(drop=True)
        last = {"timestamp": self.bars.index[-1], "price": self.bars["close"].iloc[-1]}
        closed = len(exits) == len(entries)
        if not closed:
            still = pd.DataFrame([{**last, "fees": 0.0, "cost": 0.0}])
            exits = (
                pd.concat([exits[list(still)], still], ignore_index=True) if len(exits) else still
            )
        profit = entries["sign"] * entries["size"] * (exits["price"] - entries["price"])
        profit = profit - entries["fees"] - exits["fees"]
        staked = entries["size"] * entries["price"]
        trades = pd.DataFrame(
            {
                "entry": self.bars.index.get_indexer(entries["timestamp"]),
                "exit": self.bars.index.get_indexer(exits["timestamp"]),
                "sign": entries["sign"], "size": entries["size"],
                "entry_price": entries["price"], "exit_price": exits["price"],
                "fees": entries["fees"] + exits["fees"],
                "profit": profit, "return": profit / staked,
                "gross_profit": profit + entries["cost"] + exits["cost"], "staked": staked,
                "open": False,
            }
        )  # fmt: skip
        trades.loc[len(trades) - 1, "open"] = not closed
        before = np.concatenate([[self.cash], self.equity])
        trades["share"] = trades["profit"] / before[trades["entry"]]
        worst, best = zip(*(self._excursion(trade) for trade in trades.itertuples()), strict=True)
        return trades.assign(adverse=worst, favourable=best)

    def _excursion(self, trade):
        """Over the bars held to their end, and the exit itself."""
        stop = trade.exit + 1 if trade.open else trade.exit
        held = self.bars.iloc[trade.entry : stop]
        prices = [trade.exit_price, *held["high"], *held["low"]]
        moves = [trade.sign * (price / trade.entry_price - 1) for price in prices]
        return min(0.0, *moves), max(0.0, *moves)

    def daily(self, equity=None):
        """Growth of 1 at each UTC day's last close."""
        equity = self.equity if equity is None else equity
        return equity.groupby(equity.index.normalize()).last() / self.cash

    def day_returns(self, equity=None):
        growth = self.daily(equity)
        return growth / growth.shift(fill_value=1.0) - 1

    def underwater(self, equity=None):
        """Below the earlier peak, start included, at each close."""
        equity = self.equity if equity is None else equity
        return equity / equity.cummax().clip(lower=self.cash) - 1

    def falls(self, equity=None):
        """(depth, peak, trough, end) of every drawdown, deepest first; -1 where there is none."""
        below = self.underwater(equity).to_numpy()
        found, start = [], None
        for t, value in enumerate([*below, 0.0]):
            if value < 0 and start is None:
                start = t
            if value >= 0 and start is not None:
                trough = start + int(np.argmin(below[start:t]))
                end = t if t < len(below) else -1
                found.append((-below[trough], start - 1, trough, end))
                start = None
        return sorted(found, key=lambda fall: (-fall[0], fall[1]))

    def figures(self, gross=False):
        """Every key figure that orders and bars can give."""
        equity = self.gross_equity if gross else self.equity
        returns = self.day_returns(equity)
        growth = equity.iloc[-1] / self.cash
        cagr = growth ** (1 / self.years) - 1
        depth = -self.underwater(equity).min()
        closed = self.trades[~self.trades["open"]]
        profit = closed["gross_profit" if gross else "profit"]
        index = self.bars.index
        longest = max(
            (index[end] - index[max(peak, 0)]) / pd.Timedelta(days=1)
            for _, peak, _, end in self.falls(equity)
        )
        turnover = (self.orders["size"] * self.orders["price"]).sum()
        return {
            "total_return": growth - 1,
            "cagr": cagr,
            "log_growth": math.log(growth) / self.years,
            "volatility": returns.std() * YEAR_DAYS**0.5,
            "sharpe": returns.mean() / returns.std() * YEAR_DAYS**0.5,
            "sortino": returns.mean() * YEAR_DAYS**0.5 / (returns.clip(upper=0) ** 2).mean() ** 0.5,
            "calmar": cagr / depth,
            "max_drawdown": -depth,
            "longest_drawdown": longest,
            "exposure": (self.flows["units"].abs() > 1e-12).mean(),
            "turnover": turnover / self.equity.mean() / self.years,
            "trades": len(self.trades),
            "win_rate": (profit > 0).mean(),
            "profit_factor": profit[profit > 0].sum() / (-profit[profit < 0].sum() or math.nan),
            "mean_trade": (profit / closed["staked"]).mean(),
            "costs": self.orders["cost"].sum(),
            "break_even": (self.equity.iloc[-1] - self.cash + self.orders["cost"].sum()) / turnover,
            "psr": self.sharpe_probability(),
        }

    def sharpe_probability(self, trials=1, variance=0.0):
        """That the true Sharpe ratio is above what the best of `trials` reaches by luck."""
        return sharpe_probability(self.day_returns(), luck(trials, variance))

    def in_range(self, start, stop):
        """Return, drawdown, trades, daily returns within bars [start, stop)."""
        before = self.equity.iloc[start - 1] if start else self.cash
        equity = self.equity.iloc[start:stop]
        path = np.concatenate([[before], equity])
        last = equity.groupby(equity.index.normalize()).last()
        money = np.concatenate([[before], last])
        entered = ((self.trades["entry"] >= start) & (self.trades["entry"] < stop)).sum()
        return (
            path[-1] / path[0] - 1,
            (path / np.maximum.accumulate(path) - 1).min(),
            entered,
            money[1:] / money[:-1] - 1,
        )


def luck(trials, variance):
    """Expected highest Sharpe ratio of `trials` without skill, Bailey and Lopez de Prado."""
    if trials == 1:
        return 0.0
    gamma = 0.5772156649015329
    units = (1 - gamma) * norm.ppf(1 - 1 / trials) + gamma * norm.ppf(1 - 1 / (trials * math.e))
    return variance**0.5 * units


def sharpe_error(returns):
    """Sharpe ratio a day, its standard error by leaving out blocks of days, number of blocks."""
    days = np.asarray(returns, dtype=float)
    count = math.isqrt(len(days))
    number = np.searchsorted([k * len(days) // count for k in range(1, count)], range(len(days)),
                             side="right")  # fmt: skip

    def ratio(values):
        return values.mean() / values.std(ddof=1)

    without = np.array([ratio(days[number != k]) for k in range(count)])
    active = days != 0
    square = active * (days - days.mean()) ** 2
    added = pd.Series(ratio(days) * (active / active.mean() - square / square.mean()) / 2)
    together = count / (count - 1) * (added.groupby(number).sum() ** 2).sum()
    bursts = max(together - (added**2).sum(), 0) / len(days) ** 2
    variance = (count - 1) / count * ((without - ratio(days)) ** 2).sum() + 5 * bursts
    return ratio(days), variance**0.5, count


def sharpe_probability(returns, benchmark=0.0):
    """That the true Sharpe ratio a day is above `benchmark`."""
    ratio, error, count = sharpe_error(returns)
    return scipy_stats.t.cdf((ratio - benchmark) / error, count - 1)


def sharpe_interval(returns):
    """90 % interval of the annual Sharpe ratio."""
    ratio, error, count = sharpe_error(returns)
    return (ratio + error * scipy_stats.t.ppf([0.05, 0.95], count - 1)) * YEAR_DAYS**0.5


def halves(returns_DC):
    """Sharpe ratios on both halves of the days in each of the 12,870 ways, a row a way."""
    blocks = np.array_split(returns_DC, 16)
    for chosen in combinations(range(16), 8):
        inside = np.concatenate([blocks[k] for k in chosen])
        outside = np.concatenate([blocks[k] for k in range(16) if k not in chosen])
        yield inside.mean(axis=0) / inside.std(axis=0), outside.mean(axis=0) / outside.std(axis=0)


def overfitting(returns_DC):
    """PBO, and the mean rank out of sample of each rank in sample (1 the best)."""
    logits, ranks = [], []
    count = returns_DC.shape[1]
    for inside, outside in halves(returns_DC):
        relative = rankdata(outside)[inside.argmax()] / (count + 1)
        logits.append(math.log(relative / (1 - relative)))
        ranks.append(rankdata(-outside)[np.argsort(-inside)])
    worse, middle = np.mean(np.array(logits) < 0), np.mean(np.array(logits) == 0)
    return worse + middle / 2, np.mean(ranks, axis=0)


def barrier_labels(bars, horizon=24, halflife=24.0):
    """0 DOWN, 1 STAY, 2 UP, -1 unknown: which barrier, a sigma wide, the next bars touch first."""
    moves = np.log(bars["close"]).diff()
    sigma = (moves**2).ewm(halflife=halflife, adjust=False).mean() ** 0.5
    width = (sigma * horizon**0.5).to_numpy()
    opens, high, low = (bars[name].to_numpy() for name in ("open", "high", "low"))
    out = np.full(len(bars), -1)
    for t in range(len(bars) - 1):
        upper, lower = opens[t + 1] * (1 + width[t]), opens[t + 1] * (1 - width[t])
        for k in range(t + 1, min(t + horizon, len(bars) - 1) + 1):
            rose, fell = high[k] >= upper, low[k] <= lower
            if rose and fell:
                break
            if rose or fell:
                out[t] = 2 if rose else 0
                break
            if k == t + horizon:
                out[t] = 1
    return out
