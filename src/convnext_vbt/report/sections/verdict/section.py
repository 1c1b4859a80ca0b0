"""The verdict, what it rests on, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from convnext_vbt.evidence.headline import Headline
from convnext_vbt.evidence.verdict import FEWEST_TRADES, Verdict
from convnext_vbt.report.formats import format_interval, format_number, level_text
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section

SHORTEST_RATE = 90
"""Days; of a shorter history no growth a year is told at the head of the page."""
QUESTIONS = ("Is there an edge?", "How sure is that?", "At what cost?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One figure of the verdict: what it is, its value, what it is to be read with."""

    question: str
    """Which of `QUESTIONS` it answers."""
    label: str
    value: str
    note: str
    help: str


def content(inputs: Inputs, _: Pool) -> Content:
    """Word, sentence, figures and reasons."""
    verdict, head = inputs.assessment.verdict, inputs.assessment.headline
    shown = {
        "word": verdict.word,
        "css": verdict.word.lower(),
        "meaning": meaning(verdict, head),
        "sentence": sentence(head),
        "questions": _by_question(tiles(inputs)),
        "reasons": verdict.reasons,
    }
    return Content(context={"verdict": shown, "simulated": inputs.simulated})


VERDICT = Section(name="verdict", content=content, in_header=True)


def meaning(verdict: Verdict, head: Headline) -> str:
    """The verdict in one plain sentence."""
    if verdict.word == "PASS":
        return (
            "This history shows an edge. Every condition holds: luck, the tries counted so far "
            "and the costs do not explain it."
        )
    if verdict.word == "FAIL":
        return "This history shows no edge, and one sign of that is enough: not to be traded."
    if head.trades < FEWEST_TRADES:
        return f"Fewer than {FEWEST_TRADES} trades decide nothing, whatever the figures look like."
    return (
        "An edge is neither shown nor ruled out. More data would tell; more tuning on these would "
        "not."
    )


def sentence(head: Headline) -> str:
    """What nested selection earned."""
    if not head.trades:
        return "With its rule chosen anew for each split, the strategy never traded."
    growth, span = _growth(head)
    verb = "lost" if growth < 0 else "earned"
    trades = "1 trade that risks" if head.trades == 1 else f"{head.trades:,} trades that risk"
    of_each = "" if head.trades == 1 else " each"
    text = (
        "With its rule chosen anew for each split by what was known then, the strategy "
        f"{verb} {format_number(abs(growth), 'percent')} {span} after costs "
        f"{_sharpe(head)}, with a maximum drawdown of "
        f"{format_number(abs(head.max_drawdown), 'percent')}, in {trades} "
        f"{level_text('risk', head.risk)} of the account{of_each}."
    )
    return text.replace(" %", "\u00a0%")


def _sharpe(head: Headline) -> str:
    if not math.isfinite(head.sharpe):
        return "(too few days for a Sharpe ratio)"
    interval = format_interval(head.sharpe_low, head.sharpe_high)
    return f"at a Sharpe ratio of {format_number(head.sharpe, 'ratio')} (90 % interval {interval})"


def _growth(head: Headline) -> tuple[float, str]:
    """The rate a year, or of a history too short for one its whole return, and over what."""
    if head.num_days >= SHORTEST_RATE:
        return head.cagr, "a year"
    return head.total_return, f"in {head.num_days} day{'s' * (head.num_days != 1)}"


def tiles(inputs: Inputs) -> list[Tile]:
    """The figures that the verdict rests on."""
    config, assessment = inputs.result.config, inputs.assessment
    head, null = assessment.headline, assessment.random_sides
    charged = (config.fees + config.slippage) * 1e4
    tried = "1 strategy" if head.num_trials == 1 else f"{head.num_trials:,} strategies"
    holding = format_number(assessment.buy_and_hold_sharpe, "ratio")
    interval = format_interval(head.sharpe_low, head.sharpe_high)
    p = f"p = {null.p_value:.3f}" if math.isfinite(null.p_value) else "no test"
    growth, span = _growth(head)
    edge, sure, cost = QUESTIONS
    yearly = span == "a year"
    draws = f"do as well, in {len(null.draws):,} draws" if not null.reason else null.reason
    return [
        Tile(
            question=edge,
            label="Growth a year, net" if yearly else "Net return",
            value=format_number(growth, "percent"),
            note=f"{format_number(head.total_return, 'percent')} in all"
            if yearly
            else f"{span}, too few for a rate a year",
            help="Compound annual growth rate after all costs."
            if yearly
            else f"After all costs; under {SHORTEST_RATE} days no rate a year is told here.",
        ),
        Tile(
            question=edge,
            label="Sharpe ratio",
            value=format_number(head.sharpe, "ratio", trades=head.trades),
            note=f"90 %: {interval}; buy and hold {holding}",
            help="Of UTC-day returns, annualised, with the interval that the true one may lie in.",
        ),
        Tile(
            question=cost,
            label="Maximum drawdown",
            value=format_number(head.max_drawdown, "percent"),
            note="at bar closes",
            help="Deepest fall below an earlier peak or the start.",
        ),
        Tile(
            question=sure,
            label="Trades",
            value=f"{head.trades:,}",
            note=f"{head.splits_positive} of {head.splits_traded} splits gained",
            help="All trades of the account, one still open included.",
        ),
        Tile(
            question=sure,
            label="Random sides",
            value=p,
            note=draws,
            help="Share of accounts that trade at the same times, each side by coin, with at "
            "least this Sharpe ratio.",
        ),
        Tile(
            question=sure,
            label="Deflated Sharpe ratio",
            value=format_number(head.dsr, "probability"),
            note=f"N = {tried}, V = {1 / head.num_days:.2g} a day",
            help="Probability that the true Sharpe ratio is above 0, given how much was tried: N "
            "distinct strategies on this data, V = 1/T the variance of a daily Sharpe ratio "
            "where there is no edge.",
        ),
        Tile(
            question=cost,
            label="Break-even cost",
            value=format_number(inputs.evidence.headline_figures["break_even"], "basis_points"),
            note=f"a side; charged: {charged:g} bp",
            help="Cost a side at which the same trades earn nothing; negative when they lose even "
            "for free.",
        ),
    ]


def _by_question(tiles: Sequence[Tile]) -> list[dict[str, object]]:
    return [
        {"question": question, "tiles": [tile for tile in tiles if tile.question == question]}
        for question in QUESTIONS
    ]
