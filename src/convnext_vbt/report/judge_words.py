"""What the page of `judge` says: its sentences, the figures beside the verdict and all others."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any, NamedTuple

from convnext_vbt.evidence.judging.findings import WALK_FORWARD, Findings
from convnext_vbt.evidence.verdict import FEWEST_TRADES
from convnext_vbt.report.charts import histogram
from convnext_vbt.report.formats import ABSENT, format_interval, format_number
from convnext_vbt.report.sections.verdict.section import QUESTIONS, Tile, p_text

MOST_NAMES = 8
"""Of columns, in a sentence."""


class Row(NamedTuple):
    """A figure and what it is."""

    name: str
    value: str
    help: str


def meaning(found: Findings) -> str:
    """The verdict in one plain sentence."""
    word = found.verdict.word
    if word == "PASS":
        return "Edge: chance, the trials counted, the market and costs do not explain it."
    if word == "FAIL":
        return "No edge. Do not trade."
    unmet = [reason for reason in found.verdict.reasons if not reason.ok]
    if len(unmet) == len(found.unknown):
        return "All that can be known is met; what is not known keeps it from a PASS."
    if found.judged.trades is not None and found.judged.trades < FEWEST_TRADES:
        return f"Fewer than {FEWEST_TRADES} trades: too few to judge."
    return "An edge is neither shown nor ruled out. More data can tell; more tuning cannot."


def sentence(found: Findings) -> str:
    """What was judged, in words."""
    if found.judged.name != WALK_FORWARD:
        return "One column, judged by itself."
    if not found.judged.periods_traded:
        return "No column could be chosen: none had 20 days with a return in time."
    return (
        f"{found.num_columns:,} columns, judged by the walk-forward choice: in each of "
        f"{len(found.periods)} periods the column with the best Sharpe ratio so far."
    )


def tiles(found: Findings) -> list[Tile]:
    """The figures that the verdict rests on."""
    one, (edge, sure, cost) = found.judged, QUESTIONS
    holding = format_number(one.benchmark_sharpe, "ratio") if found.benchmark else "not known"
    interval = format_interval(one.sharpe_low, one.sharpe_high)
    trades = ABSENT if one.trades is None else f"{one.trades:,}"
    return [
        Tile(question=edge, label="CAGR, net", value=format_number(one.cagr, "percent"),
             note=f"total return {format_number(one.total_return, 'percent')}",
             help="Compound annual growth rate after all costs."),
        Tile(question=edge, label="Sharpe ratio",
             value=format_number(one.sharpe, "ratio", trades=one.trades),
             note=f"90 % CI {interval}; benchmark {holding}",
             help="Of daily returns, annualised."),
        Tile(question=sure, label="Trades", value=trades,
             note=f"{one.periods_positive} of {one.periods_traded} periods profitable",
             help="Positions begun or carried in; not known from returns alone."),
        Tile(question=sure, label="Random times", value=p_text(found.times),
             note=f"random sides: {p_text(found.sides)}",
             help="Share of draws that do as well on the same terms."),
        Tile(question=sure, label="Deflated Sharpe ratio",
             value=format_number(one.dsr, "probability"),
             note=f"best column: {format_number(found.best.dsr, 'probability')}",
             help="Probability that the true Sharpe ratio is above 0, given the trials."),
        Tile(question=cost, label="Max drawdown", value=format_number(one.max_drawdown, "percent"),
             note="at days’ ends", help="Deepest fall below an earlier peak or the start."),
        Tile(question=cost, label="Sharpe, costs doubled",
             value=format_number(one.doubled_costs_sharpe, "ratio"),
             note=f"charged: {_charged(found)}",
             help="Fees, and slippage where it is known, paid once more; trades stay the same "
             "share of the account."),
    ]  # fmt: skip


def figure_rows(found: Findings) -> list[Row]:
    """Every other figure."""
    best, one = found.best, found.judged
    luck = format_number(best.luck, "ratio")
    dispersed = format_number(best.dsr_dispersion, "probability")
    return [
        Row("Columns", f"{found.num_columns:,}", f"{found.idle_columns:,} of them never traded."),
        Row(
            "Tried",
            f"{found.num_trials:,.0f}",
            "Strategies tried on this data: the columns that traded, or as many as were said.",
        ),
        Row(
            "Effective trials",
            f"{found.effective_trials:,.1f}",
            "r + (1 − r) N, r the mean correlation of daily returns (Bailey, López de Prado 2014).",
        ),
        Row("Best column", label(best.name), "By Sharpe ratio over all days, in hindsight."),
        Row(
            "Its Sharpe ratio",
            format_number(best.sharpe, "ratio"),
            f"The best of so many effective trials is expected to reach {luck} by luck.",
        ),
        Row(
            "Its deflated Sharpe ratio",
            format_number(best.dsr, "probability"),
            f"N = effective trials, V = 1/T. N = all and V of their own ratios: {dispersed}.",
        ),
        Row(
            "SPA",
            format_number(found.spa, "probability"),
            "p-value of “no column leads over the benchmark at its own beta” (Hansen 2005, "
            f"studentised, mean block {found.mean_block} days).",
        ),
        Row(
            "StepM",
            _superior(found),
            "Columns that lead, with a family-wise error of 5 % (Romano and Wolf 2005).",
        ),
        Row(
            "PBO",
            format_number(found.pbo.probability, "probability"),
            f"{found.pbo_blocks} blocks. No condition: equally good columns have about 0.5.",
        ),
        Row("Longs", format_number(one.long_share, "percent"), "Share of the positions."),
        Row(
            "Switching",
            format_number(one.switching_costs, "percent"),
            "Fees of changing from column to column, part of the returns.",
        ),
    ]


def _superior(found: Findings) -> str:
    more = len(found.superior) - MOST_NAMES
    names = "; ".join(map(label, found.superior[:MOST_NAMES])) or "none"
    return f"{names} and {more:,} more" if more > 0 else names


def pbo_text(found: Findings) -> str:
    """What the probability of backtest overfitting is of."""
    if found.pbo.reason:
        return f"Not known: {found.pbo.reason}."
    return (
        f"Over {len(found.pbo.logits):,} ways to split the days in half: how often the best column "
        f"of one half ranks in the worse half of all {found.pbo.num_configurations:,} on the other."
    )


def null_part(name: str, question: str, found: Findings) -> dict[str, Any]:
    """One null in words and as a table, for the template."""
    null = found.sides if name == "sides" else found.times
    what = (
        "the same times and sizes, each side by coin flip"
        if name == "sides"
        else "the same positions at random times, without the market’s drift and costs and beside "
        "the mean exposure"
    )
    if null.reason:
        return {"name": name, "question": question, "text": f"Not known: {null.reason}.",
                "rows": []}  # fmt: skip
    counts, edges = histogram(null.draws)
    rows = [
        [format_number(low, "ratio"), format_number(high, "ratio"), f"{count:,}"]
        for low, high, count in zip(
            edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True
        )
    ]
    text = (
        f"{null.as_good:,} of {len(null.draws):,} draws with {what} reach its Sharpe ratio on the "
        f"same terms, {format_number(null.observed, 'ratio')} (p = {null.p_value:.3f}, median "
        f"{format_number(null.median_sharpe, 'ratio')})."
    )
    return {"name": name, "question": question, "text": text, "rows": rows}


def label(name: Hashable) -> str:
    """A column's name; the values of a MultiIndex with commas."""
    return ", ".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _charged(found: Findings) -> str:
    charged = found.judged.charged
    return f"{1e4 * charged:.4g} bp a side" if math.isfinite(charged) else "not known"
