"""What the causality audit compared, and how it says so."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence.audit.trace import Difference

WARMUP_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A bar after whose close everything is garbage."""

    bar: int
    why: str
    next_open: bool = False
    """The open of the next bar is kept, so that orders placed there can be compared too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One stage at one cut: equal to the last bit, or the first bar that is not."""

    stage: str
    cut: Cut
    time: pd.Timestamp
    """Open time of the cut's bar."""
    difference: Difference | None
    difference_time: pd.Timestamp | None
    """Open time of the first bar that differs."""

    @property
    def identical(self) -> bool:
        """Whether nothing differed."""
        return self.difference is None


@dataclass(frozen=True, slots=True, kw_only=True)
class LateStart:
    """How far things move when history starts later; NaN and "" where nothing can be compared."""

    dropped: int
    """Bars cut from the start."""
    feature_move: float
    """Largest, in standard deviations of the feature, past the warm-up of the shorter history."""
    feature: str
    """The feature that moved most."""
    prediction_move: float
    """Largest change of a probability, with the same weights."""
    predictions: int
    """Bars and symbols whose predictions could be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What was compared, what differed, and how much the start of history matters."""

    stages: tuple[str, ...]
    """In the order in which a bar walks through them."""
    checks: tuple[Check, ...]
    late_starts: tuple[LateStart, ...] = ()
    clock: tuple[str, ...] = ()
    """Columns that read the clock alone."""
    bars_alone: int = 0
    """Bars at which features were looked at alone."""
    traded: bool = True
    """Whether the account made any trade; without one there were no orders to compare."""
    opened: tuple[str, ...] = ()
    """Files that the user's own code opened: nothing proves what is in them."""
    written: tuple[str, ...] = ()
    """Files that it wrote, in which it can remember."""

    @property
    def passed(self) -> bool:
        """Whether no stage knew anything of the future. Warm-up is reported, not judged.

        Code that writes files does not pass: what it remembers there may be of the future.
        """
        return self.first is None and not self.written

    @property
    def rarest(self) -> int:
        """A leak on one bar in so many would have been found among the features with 95 %."""
        return int(1.0 / (1.0 - 0.05 ** (1.0 / self.bars_alone))) if self.bars_alone else 0

    @property
    def first(self) -> Check | None:
        """The first stage that differs, at the earliest bar; later stages inherit its leak."""
        leaks = [
            (self.stages.index(c.stage), c.difference.bar, i)
            for i, c in enumerate(self.checks)
            if c.difference is not None
        ]
        return self.checks[min(leaks)[2]] if leaks else None

    def counts(self) -> dict[str, tuple[int, int]]:
        """By stage: comparisons made, and those of them that were identical."""
        out = dict.fromkeys(self.stages, (0, 0))
        for check in self.checks:
            made, same = out[check.stage]
            out[check.stage] = made + 1, same + check.identical
        return out

    def lines(self) -> list[str]:
        """The report as text, a line a stage and then what was found."""
        width = max(map(len, self.stages))
        rows = [
            f"{stage:<{width}}  {same:>4} of {made:>4} identical{'' if same == made else '  LEAK'}"
            for stage, (made, same) in self.counts().items()
        ]
        if self.clock:
            rows.append(f"from the clock alone, whatever the bars: {', '.join(self.clock)}")
        if not self.traded:
            rows.append("the strategy never traded, so nothing is known of its orders")
        if self.opened:
            rows.append(
                f"the strategy's own code opened {', '.join(self.opened)}: nothing proves that "
                "what is in there was known at the time"
            )
        return [*rows, *map(_late_start_text, self.late_starts), self._verdict()]

    def _verdict(self) -> str:
        first = self.first
        if first is None and self.written:
            return (
                f"NOT PROVEN: the strategy's own code writes {', '.join(self.written)}, in which "
                "it can remember what came later; make it depend on its arguments alone"
            )
        if first is None or first.difference is None:
            rare = f"a leak in one bar of {self.rarest} would be found with 95 %"
            if not self.bars_alone:
                rare = "features fail on a part of the bars, so rare leaks were not looked for"
            return f"no leak: {len(self.checks):,} comparisons, all identical; {rare}"
        if first.cut.why == "asked twice":
            return (
                f"NOT DETERMINISTIC: asked twice, {first.difference.text} at bar "
                f"{first.difference.bar:,} ({first.difference_time:%Y-%m-%d %H:%M}); "
                "make it depend on its arguments alone, seeds included"
            )
        return (
            f"LEAK in {first.stage}: bar {first.difference.bar:,} "
            f"({first.difference_time:%Y-%m-%d %H:%M}) knows what came after bar "
            f"{first.cut.bar:,} ({first.time:%Y-%m-%d %H:%M}; {first.cut.why}): "
            f"{first.difference.text}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The report as plain types: counts by stage, every difference, late starts."""
        first = self.first
        return {
            "passed": self.passed,
            "comparisons": len(self.checks),
            "stages": {
                stage: {"compared": made, "identical": same}
                for stage, (made, same) in self.counts().items()
            },
            "first": None if first is None else _check_facts(first),
            "differences": [_check_facts(c) for c in self.checks if not c.identical],
            "late_starts": [_late_start_facts(late) for late in self.late_starts],
            "clock": list(self.clock),
            "bars_alone": self.bars_alone,
            "traded": self.traded,
            "rarest_leak": self.rarest,
            "opened": list(self.opened),
            "written": list(self.written),
        }


def _late_start_text(late: LateStart) -> str:
    start = f"history {late.dropped:,} bar{'' if late.dropped == 1 else 's'} shorter:"
    if np.isnan(late.feature_move):
        return f"{start} too short to compare"
    text = f"{start} features move by at most {late.feature_move:.1e} standard deviations"
    text += f" ({late.feature})" if late.feature else ""
    if late.predictions:
        text += f", {late.predictions:,} predictions by at most {late.prediction_move:.1e}"
    worst = max(late.feature_move, late.prediction_move if late.predictions else 0.0)
    return f"{text}{'' if worst <= WARMUP_TOLERANCE else f' (over {WARMUP_TOLERANCE:g}: warm-up)'}"


def _late_start_facts(late: LateStart) -> dict[str, Any]:
    facts = asdict(late)
    return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in facts.items()}


def _check_facts(check: Check) -> dict[str, Any]:
    assert check.difference is not None
    return {
        "stage": check.stage,
        "cut_bar": check.cut.bar,
        "cut_time": str(check.time),
        "cut": check.cut.why,
        "bar": check.difference.bar,
        "time": str(check.difference_time),
        "text": check.difference.text,
    }
