"""When and why the headline earned: six parts, each a sentence, a picture and its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from convnext_vbt.evidence.when.when import When
from convnext_vbt.report.formats import Kind, format_number, quote_currency
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section
from convnext_vbt.report.sections.when.figures import (
    days_figure,
    exits_figure,
    exposure_figure,
    regimes_figure,
    relative_figure,
    years_figure,
)

_ROLLING = ("gross", "net", "volatility", "beta", "sharpe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table behind a picture."""

    label: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A heading, a sentence, a picture, and the tables folded below it."""

    title: str
    sentence: str
    chart: str
    label: str
    tables: tuple[Table, ...] = ()


def content(inputs: Inputs, pool: Pool) -> Content:
    """Six parts; one sentence where there was no trade."""
    found = inputs.evidence.when
    if found.reason:
        return Content(context={"reason": found.reason}, data={"when": None})
    quote = quote_currency(inputs.result.bars.symbols)
    rolling = {name: pool.add(getattr(found.rolling, name), "f4") for name in _ROLLING}
    return Content(
        context={"reason": "", "parts": parts(found, quote)},
        figures={
            "when_years": years_figure(found.years),
            "when_exits": exits_figure(found.exits, quote),
            "when_exposure": exposure_figure(found.rolling),
            "when_days": days_figure(found.returns, found.distribution),
            "when_relative": relative_figure(found.returns, found.hold_returns, found.relative),
            "when_regimes": regimes_figure(found.regimes),
        },
        data={"when": {"days": pool.add(found.rolling.days, "i4")} | rolling},
    )


WHEN = Section(name="when", title="When and why", content=content)


def parts(found: When, quote: str) -> tuple[Part, ...]:
    """What is said of each picture, and its numbers."""
    return (
        Part(
            title="By year",
            sentence=_years_sentence(found),
            chart="when_years",
            label="Return of each calendar year beside buy and hold; the table below has the "
            "numbers",
            tables=(_years(found.years), _extremes(found.extremes)),
        ),
        Part(
            title="Longs, shorts and exits",
            sentence=_sides_sentence(found, quote),
            chart="when_exits",
            label="Profit by reason of exit, longs and shorts; the table below has the numbers",
            tables=(_sides(found.sides, quote), _exits(found.exits, quote), _rhythm(found)),
        ),
        Part(
            title="Exposure and beta",
            sentence=_exposure_sentence(found),
            chart="when_exposure",
            label="Gross and net exposure and rolling beta; the table below has the numbers",
        ),
        Part(
            title="Daily returns",
            sentence=_days_sentence(found),
            chart="when_days",
            label="Histogram of daily returns with the value at risk; the table below has the "
            "figures",
            tables=(_distribution(found),),
        ),
        Part(
            title="Against buy and hold",
            sentence=_relative_sentence(found),
            chart="when_relative",
            label="Daily returns against those of buy and hold; the table below has the figures",
            tables=(_relative(found),),
        ),
        Part(
            title="Regimes",
            sentence=_regimes_sentence(found.regimes),
            chart="when_regimes",
            label="Sharpe ratio by volatility and trend beside buy and hold; the table below has "
            "the numbers",
            tables=(
                _regimes(found.regimes),
                _clock("Hour of entry, UTC", found.hours),
                _clock("Weekday of entry, UTC", found.weekdays),
                *((_crises(found.crises),) if len(found.crises) else ()),
            ),
        ),
    )


def _years_sentence(found: When) -> str:
    rose = int((found.years["total_return"] > 0).sum())
    day, *_, month = found.extremes.to_dict("records")
    return (
        f"{rose} of {len(found.years)} calendar years rose; months lay between "
        f"{_text(month['worst'], 'percent')} and {_text(month['best'], 'percent')}, days between "
        f"{_fine(day['worst'])} and {_fine(day['best'])}."
    )


def _sides_sentence(found: When, quote: str) -> str:
    long, short = found.sides.to_dict("records")
    return (
        f"{long['trades']:,} longs brought {_text(long['profit'], 'money')} {quote}, "
        f"{short['trades']:,} shorts {_text(short['profit'], 'money')}; "
        f"{_text(found.rhythm.busiest_share, 'percent')} of trades began on the busiest tenth of "
        "days."
    )


def _exposure_sentence(found: When) -> str:
    facts = found.exposure.to_dict()
    return (
        f"In the market at {_text(facts['bars_in_market'], 'percent')} of closes; exposure "
        f"{_text(facts['mean_gross'], 'percent')} of equity on average gross, "
        f"{_text(facts['mean_net'], 'percent')} net, "
        f"{_text(facts['max_gross'], 'percent')} at most."
    )


def _days_sentence(found: When) -> str:
    own = found.distribution
    return (
        f"The worst 5 % of days returned {_fine(own.var_95)} or less (historical VaR), "
        f"{_fine(own.cvar_95)} on average (CVaR); skew {_text(own.skew, 'ratio')}, excess "
        f"kurtosis {_text(own.excess_kurtosis, 'ratio')}."
    )


def _relative_sentence(found: When) -> str:
    own = found.relative
    return (
        f"Alpha {_text(own.alpha, 'percent')} a year, beta {_text(own.beta, 'ratio')}, "
        f"correlation {_text(own.correlation, 'ratio')}; up capture "
        f"{_text(own.up_capture, 'percent')}, down capture {_text(own.down_capture, 'percent')}."
    )


def _regimes_sentence(regimes: pd.DataFrame) -> str:
    known = regimes[regimes["sharpe"].notna()].sort_values("sharpe", kind="stable")
    if known.empty:
        return "No regime has enough days for a Sharpe ratio."
    worst, best = (
        f"{row['regime']} ({_text(row['sharpe'], 'ratio')} over {row['days']:,} days)"
        for row in (known.iloc[0], known.iloc[-1])
    )
    return f"Sharpe ratio, as known at a day’s start: highest in {best}, lowest in {worst}."


def _years(years: pd.DataFrame) -> Table:
    kinds: dict[str, Kind] = {
        "total_return": "percent", "hold_return": "percent", "sharpe": "ratio",
        "hold_sharpe": "ratio", "max_drawdown": "percent", "hold_drawdown": "percent",
        "trades": "count",
    }  # fmt: skip
    heads = (
        "Year", "Return", "Buy and hold", "Sharpe ratio", "Buy and hold", "Max drawdown",
        "Buy and hold", "Trades",
    )  # fmt: skip
    return Table(label="By year", heads=heads, rows=_rows(years, "year", kinds))


def _extremes(extremes: pd.DataFrame) -> Table:
    rows = [
        [one["period"], _fine(one["best"]), str(one["best_from"]), _fine(one["worst"]),
         str(one["worst_from"])]
        for one in extremes.to_dict("records")
    ]  # fmt: skip
    heads = ("Period", "Best", "from", "Worst", "from")
    return Table(label="Best and worst periods", heads=heads, rows=rows)


def _sides(sides: pd.DataFrame, quote: str) -> Table:
    kinds: dict[str, Kind] = {
        "trades": "count", "win_rate": "percent", "profit": "money", "profit_factor": "ratio",
        "mean_trade": "basis_points", "mean_days": "days", "mean_bars": "ratio",
    }  # fmt: skip
    heads = (
        "Side", "Trades", "Win rate", f"Profit, {quote}", "Profit factor", "Mean trade",
        "Mean holding", "Bars",
    )  # fmt: skip
    return Table(label="Longs and shorts", heads=heads, rows=_rows(sides, "side", kinds))


def _exits(exits: pd.DataFrame, quote: str) -> Table:
    named = exits.assign(exit=exits["reason"] + ", " + exits["side"])
    kinds: dict[str, Kind] = {"trades": "count", "profit": "money", "mean_trade": "basis_points"}
    heads = ("Exit", "Trades", f"Profit, {quote}", "Mean trade")
    return Table(label="Exits", heads=heads, rows=_rows(named, "exit", kinds))


def _rhythm(found: When) -> Table:
    own = found.rhythm
    rows = [
        ["Longest streak of wins, trades", f"{own.most_wins:,}"],
        ["Longest streak of losses, trades", f"{own.most_losses:,}"],
        [f"Trades on the {own.busiest_days:,} busiest days", _text(own.busiest_share, "percent")],
        ["Entries a day, variance over mean (1: independent)", _text(own.dispersion, "ratio")],
    ]
    return Table(label="Streaks and clusters", heads=("Figure", "Value"), rows=rows)


def _distribution(found: When) -> Table:
    own = found.distribution
    rows = [
        ["Days", f"{own.days:,}"],
        ["VaR 95 %, historical: 5 % quantile", _fine(own.var_95)],
        ["CVaR 95 %: mean of the days at or below it", _fine(own.cvar_95)],
        ["VaR 99 %", _fine(own.var_99)],
        ["CVaR 99 %", _fine(own.cvar_99)],
        ["Skew", _text(own.skew, "ratio")],
        ["Excess kurtosis", _text(own.excess_kurtosis, "ratio")],
        ["Tail ratio: 95 % over 5 % quantile", _text(own.tail_ratio, "ratio")],
    ]
    return Table(label="Distribution of daily returns", heads=("Figure", "Value"), rows=rows)


def _relative(found: When) -> Table:
    own = found.relative
    rows = [
        ["Alpha a year (Jensen)", _text(own.alpha, "percent")],
        ["Beta", _text(own.beta, "ratio")],
        ["Correlation", _text(own.correlation, "ratio")],
        ["Up capture: ratio of mean returns on rising days", _text(own.up_capture, "percent")],
        ["Down capture: the same on falling days", _text(own.down_capture, "percent")],
        ["Tracking error a year", _text(own.tracking_error, "percent")],
        ["Information ratio, annual", _text(own.information_ratio, "ratio")],
    ]
    return Table(label="Against buy and hold", heads=("Figure", "Value"), rows=rows)


def _regimes(regimes: pd.DataFrame) -> Table:
    kinds: dict[str, Kind] = {
        "days": "count", "trades": "count", "total_return": "percent", "sharpe": "ratio",
        "hold_return": "percent", "hold_sharpe": "ratio",
    }  # fmt: skip
    heads = (
        "Regime", "Days", "Trades", "Return", "Sharpe ratio", "Buy and hold", "its Sharpe ratio",
    )  # fmt: skip
    return Table(label="Regimes", heads=heads, rows=_rows(regimes, "regime", kinds))


def _clock(label: str, table: pd.DataFrame) -> Table:
    first = str(table.columns[0])
    kinds: dict[str, Kind] = {"trades": "count", "mean_trade": "basis_points"}
    heads = (label, "Trades", "Mean trade")
    return Table(label=label, heads=heads, rows=_rows(table, first, kinds))


def _crises(crises: pd.DataFrame) -> Table:
    kinds: dict[str, Kind] = {
        "total_return": "percent", "hold_return": "percent", "max_drawdown": "percent",
        "trades": "count",
    }  # fmt: skip
    named = crises.assign(name=crises["crisis"] + ", " + crises["first"] + " to " + crises["last"])
    heads = ("Crisis, UTC days", "Return", "Buy and hold", "Max drawdown", "Trades")
    return Table(label="Crises", heads=heads, rows=_rows(named, "name", kinds))


def _rows(table: pd.DataFrame, name: str, kinds: dict[str, Kind]) -> list[list[str]]:
    """One row each: its name, then the columns that `kinds` names."""
    return [
        [str(row[name]), *(_text(row[column], kind) for column, kind in kinds.items())]
        for row in table.to_dict("records")
    ]


def _text(value: Any, kind: Kind) -> str:
    return format_number(float(value), kind)


def _fine(value: float) -> str:
    """A day's return: two digits of a percent, where one would hide all of it."""
    return "n/a" if pd.isna(value) else f"{value * 100:.2f} %".replace("-", "−")
