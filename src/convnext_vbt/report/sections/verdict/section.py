"""The verdict, what it rests on, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from convnext_vbt.evidence.accounts import cost_a_side
from convnext_vbt.evidence.headline import Headline
from convnext_vbt.evidence.nulls.null import Null
from convnext_vbt.evidence.nulls.random_sides import RANDOM_SIDES
from convnext_vbt.evidence.nulls.random_times import RANDOM_TIMES
from convnext_vbt.evidence.selection import Selection
from convnext_vbt.evidence.verdict import FEWEST_TRADES, Assessment, Verdict
from convnext_vbt.report.formats import format_interval, format_number, level_text
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section

SHORTEST_RATE = 90
"""Days; of a shorter history there is no CAGR at the head of the page."""
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
    waiting = inputs.evidence.waiting
    shown = {
        "word": verdict.word,
        "css": verdict.word.lower(),
        "meaning": meaning(verdict, head),
        "sentence": sentence(head),
        "waiting": waiting.sentence.replace(" x ", " × ") if waiting else "",
        "questions": by_question(tiles(inputs)),
        "reasons": verdict.reasons,
        "notes": inputs.evidence.notes,
    }
    return Content(context={"verdict": shown, "simulated": inputs.simulated})


VERDICT = Section(name="verdict", content=content, in_header=True)


def meaning(verdict: Verdict, head: Headline) -> str:
    """The verdict in one plain sentence."""
    if verdict.word == "PASS":
        return "Edge: chance, the trials counted so far and costs do not explain it."
    if verdict.word == "FAIL":
        return "No edge. Do not trade."
    if head.trades < FEWEST_TRADES:
        return f"Fewer than {FEWEST_TRADES} trades: too few to judge."
    if any(reason.subject == "later_splits" for reason in verdict.reasons):
        return "Not walk-forward: it learned from later bars, so this is no test of trading."
    if any(reason.subject == "untold_splits" for reason in verdict.reasons):
        return "Not shown to be walk-forward: nobody says what the predictions were learned from."
    return "An edge is neither shown nor ruled out. More data can tell; more tuning cannot."


def sentence(head: Headline) -> str:
    """How the headline's rules came about and what a trade risks, in words."""
    if not head.trades:
        return "The strategy never traded."
    text = (
        f"{_how_chosen(head.selection)} Each trade risks up to "
        f"{level_text('risk', head.risk)} of the account."
    )
    return text.replace(" %", "\u00a0%")


def _how_chosen(selection: Selection) -> str:
    if selection.how == "fixed":
        return "One fixed rule, chosen by you."
    if selection.how == "initial":
        return "The initial rule throughout: no split had earlier results to choose another by."
    rules = "Thresholds" if "threshold" in selection.choices else "Rules"
    return f"{rules} were chosen walk-forward."


def _growth(head: Headline) -> Tile:
    """CAGR, or of a history too short for one the whole return."""
    total = format_number(head.total_return, "percent")
    if head.num_days >= SHORTEST_RATE:
        return Tile(
            question=QUESTIONS[0],
            label="CAGR, net",
            value=format_number(head.cagr, "percent"),
            note=f"total return {total}",
            help="Compound annual growth rate after all costs.",
        )
    days = f"{head.num_days} day{'s' * (head.num_days != 1)}"
    return Tile(
        question=QUESTIONS[0],
        label="Net return",
        value=total,
        note=f"in {days}, too few for a CAGR",
        help=f"After all costs; a CAGR needs {SHORTEST_RATE} days.",
    )


def tiles(inputs: Inputs) -> list[Tile]:
    """The figures that the verdict rests on."""
    assessment = inputs.assessment
    head = assessment.headline
    account = assessment.headline.selection.account
    charged = cost_a_side(account, inputs.result.config) * 1e4
    holding = format_number(assessment.buy_and_hold_sharpe, "ratio")
    interval = format_interval(head.sharpe_low, head.sharpe_high)
    edge, _, cost = QUESTIONS
    return [
        _growth(head),
        Tile(
            question=edge,
            label="Sharpe ratio",
            value=format_number(head.sharpe, "ratio", trades=head.trades),
            note=f"90 % CI {interval}; buy and hold {holding}",
            help="Of UTC-day returns, annualised.",
        ),
        *_certainty(assessment),
        Tile(
            question=cost,
            label="Max drawdown",
            value=format_number(head.max_drawdown, "percent"),
            note="at bar closes",
            help="Deepest fall below an earlier peak or the start.",
        ),
        Tile(
            question=cost,
            label="Break-even cost per side",
            value=format_number(inputs.evidence.headline_figures["break_even"], "basis_points"),
            note=f"charged: {charged:.4g} bp",
            help="Fees plus slippage at which the same trades earn nothing; negative when they "
            "lose before costs.",
        ),
    ]


def _certainty(assessment: Assessment) -> list[Tile]:
    head, sides, times = assessment.headline, assessment.random_sides, assessment.random_times
    tried = "1 strategy" if head.num_trials == 1 else f"{head.num_trials:,} strategies"
    return [
        Tile(
            question=QUESTIONS[1],
            label="Trades",
            value=f"{head.trades:,}",
            note=f"{head.splits_positive} of {head.splits_traded} splits profitable",
            help="Round trips, one still open at the end included.",
        ),
        Tile(
            question=QUESTIONS[1],
            label="Random times",
            value=p_text(times),
            note=times.reason or f"random sides: {sides.reason or p_text(sides)}",
            help=f"Share of {len(times.draws):,} draws that do as well on the same terms: "
            f"{RANDOM_TIMES.draws}. Random sides: {RANDOM_SIDES.draws}.",
        ),
        Tile(
            question=QUESTIONS[1],
            label="Deflated Sharpe ratio",
            value=format_number(head.dsr, "probability"),
            note=f"{tried} tried",
            help="Probability that the true Sharpe ratio is above 0, given the number of "
            "strategies tried on this data.",
        ),
    ]


def p_text(null: Null) -> str:
    """A null's p-value, or that there is none."""
    return f"p = {null.p_value:.3f}" if math.isfinite(null.p_value) else "no test"


def by_question(tiles: Sequence[Tile]) -> list[dict[str, object]]:
    """The tiles as the template takes them."""
    return [
        {"question": question, "tiles": [tile for tile in tiles if tile.question == question]}
        for question in QUESTIONS
    ]
