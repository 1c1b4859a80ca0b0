"""Numbers as the report writes them: with a unit, with a real minus sign, and "n/a" when undefined.

`templates/numbers.js` formats the cell that is selected; the two must agree, and a browser test
compares them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from convnext_vbt.trading.sweep import FEW_TRADES

ABSENT = "–"

Kind = Literal[
    "percent", "ratio", "interval", "probability", "count", "times", "basis_points", "money", "days"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One key figure: its column in `SweepResult.metrics`, its label and how it is written."""

    name: str
    label: str
    kind: Kind
    help: str
    signed: bool = False
    """Whether zero separates good from bad (a diverging colour scale in the heatmap)."""


FIGURES = (
    Figure(name="total_return", label="Total return", kind="percent", signed=True,
           help="Final equity over initial cash, less one, after all costs."),
    Figure(name="cagr", label="CAGR", kind="percent", signed=True,
           help="Compound annual growth rate after all costs."),
    Figure(name="log_growth", label="Log growth per year", kind="percent", signed=True,
           help="Logarithm of final over initial equity, per year."),
    Figure(name="volatility", label="Volatility, annualised", kind="percent",
           help="Standard deviation of daily returns, annualised."),
    Figure(name="sharpe", label="Sharpe ratio, annualised", kind="ratio", signed=True,
           help="Mean over standard deviation of daily returns, annualised, no risk-free rate."),
    Figure(name="sharpe_interval", label="Sharpe ratio, 90 % CI", kind="interval",
           help="By leaving out blocks of days, which need not be independent. For a cell: at the "
                "smallest risk, which hardly changes the ratio."),
    Figure(name="psr", label="PSR (true Sharpe > 0)", kind="probability",
           help="Probabilistic Sharpe ratio: the probability that the true Sharpe ratio is above "
                "0, by the standard error of the interval, as if nothing else had been tried."),
    Figure(name="dsr", label="DSR (PSR deflated for trials)", kind="probability",
           help="Deflated Sharpe ratio: the same probability, allowing for the number of trials. "
                "The headline counts strategies; a cell counts every rule tried."),
    Figure(name="sortino", label="Sortino ratio, annualised", kind="ratio", signed=True,
           help="Like Sharpe, but only downside deviation counts as risk."),
    Figure(name="calmar", label="Calmar ratio", kind="ratio", signed=True,
           help="CAGR over max drawdown."),
    Figure(name="max_drawdown", label="Max drawdown", kind="percent",
           help="Deepest fall of equity below its earlier peak or start, at bar closes."),
    Figure(name="longest_drawdown", label="Longest drawdown", kind="days",
           help="Longest time below an earlier peak, recovered or not."),
    Figure(name="exposure", label="Exposure", kind="percent",
           help="Share of bars at whose close a position is held."),
    Figure(name="turnover", label="Turnover per year", kind="times",
           help="Traded value, both sides, over mean equity, per year."),
    Figure(name="trades", label="Trades", kind="count",
           help="Round trips, one still open at the end included."),
    Figure(name="win_rate", label="Win rate", kind="percent",
           help="Share of closed trades with a profit after costs."),
    Figure(name="profit_factor", label="Profit factor", kind="ratio",
           help="Sum of profits over sum of losses, closed trades after costs."),
    Figure(name="mean_trade", label="Mean trade, net", kind="basis_points", signed=True,
           help="Mean net return of closed trades, each on its own entry value; 1 bp is 0.01 %."),
    Figure(name="costs", label="Costs paid, quote currency", kind="money",
           help="Fees and slippage, in units of the quote currency."),
    Figure(name="funding", label="Funding paid, quote currency", kind="money",
           help="Paid less received, borrow and interest too. Part of every return, gross of "
                "costs as well, and not of the costs above."),
    Figure(name="break_even", label="Break-even cost per side", kind="basis_points", signed=True,
           help="Fees plus slippage per side at which the same trades earn nothing; negative when "
                "they lose before costs."),
    Figure(name="capped_share", label="Trades at the size cap", kind="percent",
           help="Entries cut by the leverage cap, which risk less than set."),
    Figure(name="gap_stops", label="Stops gapped through", kind="count",
           help="Stops filled at an open beyond their level, losing more than planned."),
    Figure(name="refused", label="Entries not placed", kind="count",
           help="Entries under the least size or worth of their instrument, or without room under "
                "the caps."),
)  # fmt: skip

OPTIONAL_FIGURES = ("funding", "refused")
"""Where the bars have rates or an instrument lends, and where an instrument has a least size."""
HEATMAP_FIGURES = ("cagr", "max_drawdown", "calmar", "sharpe", "log_growth", "trades")
FIGURE = {figure.name: figure for figure in FIGURES}
THIN_TRADES = FEW_TRADES
"""Cells with fewer trades say little and are hatched."""

_LEVEL_LABELS = {
    "threshold": "Threshold",
    "short_threshold": "Short threshold",
    "hysteresis": "Hysteresis",
    "min_edge": "Least edge, × round trip",
    "risk": "Risk per trade",
    "stop_multiple": "Stop, × barrier",
    "take_profit_multiple": "Take-profit, × barrier",
    "symbol": "Symbol",
}


def level_label(name: str) -> str:
    """A swept level's name in words."""
    return _LEVEL_LABELS.get(name, name.replace("_", " ").capitalize())


def level_text(name: str, value: object) -> str:
    """One value of a swept level: risk as a percentage, anything else as it was given."""
    if name == "risk" and isinstance(value, (int, float)):
        return f"{value * 100:.6g} %"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def format_number(value: float | None, kind: Kind, *, trades: float | None = None) -> str:
    """`value` with its unit; undefined is "n/a", and "n/a (0 trades)" where that is the reason."""
    if value is None or not math.isfinite(value):
        return "n/a (0 trades)" if trades == 0 else "n/a"
    if kind == "percent":
        return _fixed(value * 100, 1 if abs(value) < 10 else 0) + " %"
    if kind == "basis_points":
        return _fixed(value * 1e4, 1) + " bp"
    if kind == "probability" and not 0.0005 <= value <= 0.9995:  # never quite sure
        return "> 0.999" if value > 0.5 else "< 0.001"
    digits, unit = {
        "ratio": (2, ""),
        "probability": (3, ""),
        "count": (0, ""),
        "times": (1, " ×"),
        "money": (2 if abs(value) < 100 else 0, ""),
        "days": (1 if value < 10 else 0, " days"),
    }[kind]
    return _fixed(value, digits) + unit


def format_interval(low: float, high: float) -> str:
    """Both ends of an interval of ratios, or "n/a"."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "n/a"
    return f"{_fixed(low, 2)} to {_fixed(high, 2)}"


def format_day(time: datetime) -> str:
    """A date in words, the day without a leading zero: "3 January 2022"."""
    return f"{time.day} {time:%B %Y}"


def _fixed(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    if not any(digit in text for digit in "123456789"):
        text = text.lstrip("-")
    return text.replace("-", "−")


def figure_text(values: Mapping[str, float], figure: Figure, *, trades: float | None = None) -> str:
    """One figure as text; a dash where it is not among `values`."""
    if figure.kind == "interval":
        if "sharpe_low" not in values:
            return ABSENT
        return format_interval(values["sharpe_low"], values["sharpe_high"])
    if figure.name not in values:
        return ABSENT
    return format_number(values[figure.name], figure.kind, trades=trades)


def figure_texts(values: Mapping[str, float]) -> dict[str, str]:
    """Every key figure as text, by name."""
    return {figure.name: figure_text(values, figure) for figure in FIGURES}


def quote_currency(symbols: tuple[str, ...]) -> str:
    """What prices and profits are counted in: USDT for BTC/USDT, else the words."""
    quotes = {symbol.rpartition("/")[2] for symbol in symbols}
    quote = quotes.pop()
    known = not quotes and quote not in symbols and re.fullmatch(r"[A-Z0-9]{2,10}", quote)
    return quote if known else "quote currency"
