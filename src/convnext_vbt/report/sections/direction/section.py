"""Claimed direction against what came: the slope in words, reliability, each split."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from convnext_vbt.evidence.direction import LEANING, Claim, Direction, Estimate, slope_sentence
from convnext_vbt.predictions import SplitFit
from convnext_vbt.report.formats import ABSENT, format_interval, format_number
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section
from convnext_vbt.report.sections.direction.figures import direction_figure
from convnext_vbt.report.sections.per_split.section import Cell, Column

_MEANING = (
    "A bar moved if its label is UP or DOWN, and only these count. What is claimed of a bar is its "
    "log odds, log P(UP) / P(DOWN). The calibration slope is that of the logistic regression, "
    "without intercept, of what came on what was claimed: at 1 the odds came as claimed, between 0 "
    "and 1 they were overstated, at 0 a coin says as much. Intervals allow for labels that overlap."
)
COLUMNS = (
    Column(label="Split"),
    Column(label="Bars that moved", help="Labelled UP or DOWN."),
    Column(label="Claimed log odds",
           help="Root mean square of log P(UP) / P(DOWN): 0.04 is 51 % against 49 %, 0.85 is 70 % "
                "against 30 %."),
    Column(label="Calibration slope",
           help="Of what came on what was claimed, with its 90 % CI: 1 is true, 0 a coin."),
    Column(label="Gain over a coin",
           help="Nats per 1,000 moved bars by which log-loss lies below a coin’s, with its "
                "90 % CI."),
)  # fmt: skip
APPLIED = Column(
    label="Slope applied",
    help="What the log odds were multiplied by before all this, learned from what came before the "
    "split’s test range.",
)


def content(inputs: Inputs, _: Pool) -> Content:
    """Words, a chart and two tables."""
    found = inputs.evidence.direction
    assert found is not None, "shown only where there is one"
    return Content(
        context={"direction": _context(found, inputs.result.predictions.fits)},
        figures={"direction": direction_figure(found)},
    )


DIRECTION = Section(
    name="direction",
    title="Direction",
    content=content,
    shown=lambda inputs: inputs.evidence.direction is not None,
)


def _context(found: Direction, fits: tuple[SplitFit, ...]) -> dict[str, Any]:
    applied = {fit.number: fit.direction_slope for fit in fits}
    known = any(slope is not None for slope in applied.values())
    return {
        "sentence": slope_sentence(found.all),
        "coin": coin_text(found.all.gain),
        "meaning": _MEANING,
        "leaning": _leaning(found),
        "bins": _bins(found),
        "columns": (*COLUMNS, APPLIED) if known else COLUMNS,
        "splits": [
            _row(number, claim) + ([_applied(applied.get(number))] if known else [])
            for number, claim in found.splits.items()
        ]
        if len(found.splits) > 1
        else [],
    }


def coin_text(gain: Estimate) -> str:
    """Log-loss of direction beside a coin's, as a sentence."""
    side = "below" if gain.value > 0 else "above"
    low, high = (-gain.high, -gain.low) if gain.value <= 0 else (gain.low, gain.high)
    interval = f" (90 % CI {low:.1f} to {high:.1f})" if math.isfinite(low) else ""
    return f"Log-loss: {abs(gain.value):.1f} nats per 1,000 moved bars {side} a coin’s{interval}."


def slope_text(claim: Claim) -> str:
    """The slope with its interval in brackets."""
    low, high = claim.slope.low, claim.slope.high
    return f"{format_number(claim.slope.value, 'ratio')} ({format_interval(low, high)})"


def _leaning(found: Direction) -> str:
    if not found.leaning:
        return ""
    came = found.leaning_came
    return (
        f"On the {found.leaning:,} bars where P(UP) and P(DOWN) differ by more than {LEANING}, the "
        f"mean outcome on the likelier side (1 right, 0 STAY, -1 wrong) should be "
        f"{found.leaning_claimed:.2f} and is {came.value:.2f} "
        f"(90 % CI {format_interval(came.low, came.high)})."
    )


def _bins(found: Direction) -> list[list[str]]:
    table = found.reliability
    numbers = table[["claimed", "rose", "low", "high"]].to_numpy(np.float64)
    return [
        [*(format_number(value, "probability") for value in row), f"{count:,}"]
        for row, count in zip(numbers.tolist(), table["bars"].tolist(), strict=True)
    ]


def _row(number: int, claim: Claim) -> list[Cell]:
    slope, gain = claim.slope, claim.gain
    wrong = claim.word in ("overstated", "understated")
    return [
        Cell(text=str(number + 1)),
        Cell(text=f"{claim.bars:,}"),
        Cell(text=format_number(claim.size, "ratio")),
        Cell(
            text=format_number(slope.value, "ratio"),
            note=format_interval(slope.low, slope.high),
            css="bad" if wrong else "",
            tag=claim.word if wrong else "",
        ),
        Cell(
            text=_nats(gain.value),
            note=f"{_nats(gain.low)} to {_nats(gain.high)}" if math.isfinite(gain.low) else "n/a",
            css="bad" if gain.value <= 0 else "",
        ),
    ]


def _nats(value: float) -> str:
    return f"{value:.1f}".replace("-", "−") if math.isfinite(value) else "n/a"


def _applied(slope: float | None) -> Cell:
    return Cell(text=ABSENT if slope is None else format_number(slope, "ratio"))
