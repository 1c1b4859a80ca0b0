"""The sections of the page.

`SECTIONS` is their order, from which the table of contents and the scripts follow.
"""

from __future__ import annotations

from convnext_vbt.report.sections.baselines.section import BASELINES
from convnext_vbt.report.sections.caveats.section import CAVEATS
from convnext_vbt.report.sections.costs.section import COSTS
from convnext_vbt.report.sections.direction.section import DIRECTION
from convnext_vbt.report.sections.drawdowns.section import DRAWDOWNS
from convnext_vbt.report.sections.equity.section import EQUITY
from convnext_vbt.report.sections.key.section import KEY
from convnext_vbt.report.sections.model.section import MODEL
from convnext_vbt.report.sections.overfitting.section import OVERFITTING
from convnext_vbt.report.sections.paths.section import PATHS
from convnext_vbt.report.sections.per_split.section import PER_SPLIT
from convnext_vbt.report.sections.provenance.section import PROVENANCE
from convnext_vbt.report.sections.returns.section import RETURNS
from convnext_vbt.report.sections.splits.section import SPLITS
from convnext_vbt.report.sections.sweep.section import SWEEP
from convnext_vbt.report.sections.symbols.section import SYMBOLS
from convnext_vbt.report.sections.trades.section import TRADES
from convnext_vbt.report.sections.verdict.section import VERDICT
from convnext_vbt.report.sections.when.section import WHEN
from convnext_vbt.report.sections.words.section import WORDS

SECTIONS = (
    VERDICT,
    PROVENANCE,
    KEY,
    SYMBOLS,
    SPLITS,
    SWEEP,
    OVERFITTING,
    PATHS,
    BASELINES,
    EQUITY,
    PER_SPLIT,
    MODEL,
    DIRECTION,
    RETURNS,
    WHEN,
    COSTS,
    DRAWDOWNS,
    TRADES,
    CAVEATS,
    WORDS,
)
"""As they stand on the page."""
