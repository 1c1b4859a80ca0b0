"""What the sections of the page read: everything that was computed, and what the caller adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convnext_vbt.evidence.cells import Grid
from convnext_vbt.evidence.gathering import Evidence
from convnext_vbt.evidence.verdict import Assessment
from convnext_vbt.market.simulated import are_simulated
from convnext_vbt.report.grid import cell_name
from convnext_vbt.trading.sweep import SweepResult


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """Everything of one result that a section may show; nothing is computed from here on."""

    evidence: Evidence
    provenance: Mapping[str, str]
    caveats: Sequence[str]
    """The caller's."""

    @property
    def result(self) -> SweepResult:
        """The sweep."""
        return self.evidence.result

    @property
    def assessment(self) -> Assessment:
        """Headline, verdict and what it rests on."""
        return self.evidence.assessment

    @property
    def grid(self) -> Grid:
        """The cells' places on their levels."""
        return self.evidence.cells.grid

    @property
    def simulated(self) -> bool:
        """Whether the bars come from the simulated market."""
        return is_simulated(self.result, str(self.provenance.get("Source", "")))

    @property
    def start_name(self) -> str:
        """The cell that is selected at first, in words."""
        return cell_name(self.grid, self.evidence.cells.start)

    @property
    def fixed_name(self) -> str | None:
        """The strategy's own cell in words."""
        fixed = self.evidence.cells.fixed
        return None if fixed is None else cell_name(self.grid, fixed)

    @property
    def split_labels(self) -> list[str]:
        """The splits' numbers as they are shown, from 1."""
        return [str(split.number + 1) for split in self.result.predictions.splits]


def is_simulated(res: SweepResult, source: str) -> bool:
    """Whether the bars come from the simulated market."""
    return source.startswith("simulated") or are_simulated(res.bars.symbols)
