"""Where the numbers come from: data, window, costs, label, hashes, versions."""

from __future__ import annotations

import importlib.metadata
import itertools
import platform
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from convnext_vbt.evidence.accounts import cost_a_side
from convnext_vbt.evidence.gathering import Evidence
from convnext_vbt.market.bars import step_text
from convnext_vbt.predictions import Split, Target
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section
from convnext_vbt.trading.confidence import ConfidenceRules
from convnext_vbt.trading.sweep import SweepResult

_PACKAGES = ("convnext-vbt", "vectorbt", "torch", "numpy", "pandas", "numba", "plotly")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of provenance."""

    label: str
    value: str
    note: str = ""
    help: str = ""


def content(inputs: Inputs, _: Pool) -> Content:
    """Facts that every reader needs, and more behind a summary."""
    return Content(
        context={
            "facts": facts(inputs.evidence),
            "more_facts": more_facts(inputs.result, inputs.provenance),
            "start_name": inputs.start_name,
        }
    )


PROVENANCE = Section(name="provenance", content=content, in_header=True)


def facts(evidence: Evidence) -> list[Fact]:
    """What every reader has to know: which data, which window, which costs, how it is filled."""
    res, gaps, trials = evidence.result, evidence.concerns.gaps, evidence.assessment.trials
    bars, config, (start, stop) = res.bars, res.config, res.window
    missing = int(gaps["missing"].sum())
    charged = cost_a_side(evidence.assessment.headline.selection.account, config)
    return [
        Fact(
            label="Symbol" if len(bars.symbols) == 1 else "Symbols", value=", ".join(bars.symbols)
        ),
        Fact(
            label="Bars", value=f"{len(bars):,} of {step_text(bars.step)}", note=_span(bars.index)
        ),
        Fact(
            label="Gaps in the data",
            value=f"{len(gaps)}" if len(gaps) else "none",
            note=f"{missing:,} bars missing" if len(gaps) else "",
            help="Missing bars are reported, never filled in.",
        ),
        Fact(
            label="Out of sample",
            value=f"{stop - start:,} bars",
            note=_span(bars.index[start:stop]),
            help="From the first bar with a prediction to the last one.",
        ),
        Fact(
            label="Fills",
            value="at the next open",
            note="signal at the close of bar t, filled at the open of t+1",
            help="Stops and take-profits fill inside a bar at their level, gaps at the open.",
        ),
        Fact(
            label="Costs per side",
            value=f"{charged * 1e4:.4g} bp",
            note=f"of {len(config.instruments)} instrument(s), on average"
            if config.instruments
            else f"fees {config.fees * 1e4:g} bp, slippage {config.slippage * 1e4:g} bp",
            help="1 bp is 0.01 % of the traded value.",
        ),
        _label(res.predictions.target),
        Fact(
            label="Trials on this data",
            value=f"{_count(evidence.concerns.num_cells, 'cell', 'cells')} here",
            note=f"{_count(trials.num_runs, 'strategy', 'strategies')} and "
            f"{_count(trials.num_rules, 'rule', 'rules')} so far",
            help="The best of many trials looks good by chance. Cells that differ in risk alone "
            "are one rule; earlier runs in the ledger count too.",
        ),
    ]


def more_facts(res: SweepResult, provenance: Mapping[str, str]) -> list[Fact]:
    """Hashes, versions and settings: the caller's first, then what the result itself knows."""
    preds, config = res.predictions, res.config
    out = [Fact(label=name, value=str(value)) for name, value in provenance.items()]
    receptive = preds.receptive_field
    out += [
        Fact(label="Data hash (SHA-256)", value=res.bars.fingerprint()[:16]),
        Fact(label="Purge and embargo", value=_purge_text(preds.splits)),
        Fact(
            label="Receptive field",
            value="unknown" if receptive is None else f"{receptive:,} bars",
            help="Bars of history in one prediction, beside the features' own lookback.",
        ),
        _stops(res),
        Fact(label="Initial cash", value=f"{config.init_cash:,.0f}"),
        Fact(label="Leverage cap", value=f"{config.max_leverage:g} × equity"),
        Fact(
            label="Year", value=f"{res.bars.days_per_year} days, {res.bars.bars_per_year:,.0f} bars"
        ),
        Fact(label="Versions", value=versions()),
    ]
    return out


def _count(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _stops(res: SweepResult) -> Fact:
    config = res.config
    stop = "the label’s opposite barrier" if config.stop is None else f"{config.stop * 100:g} %"
    if isinstance(res.rules, ConfidenceRules) and res.rules.exit == "edge":
        note = "left when the expected return turns; no take-profit, no time limit"
        return Fact(label="Other exits", value=f"stop: {stop}", note=note)
    if config.take_profit is not None:
        target = f"{config.take_profit * 100:g} %"
    else:
        target = "the label’s barrier" if config.stop is None else "none"
    held = res.brackets.max_holding
    limit = "no time limit" if held is None else f"{held} bars at most"
    return Fact(label="Other exits", value=f"stop: {stop}", note=f"take-profit: {target}; {limit}")


def versions() -> str:
    """Installed versions of what shaped the numbers; nothing is imported for it."""
    found = [f"python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def _span(index: pd.DatetimeIndex) -> str:
    return f"{index[0]:%Y-%m-%d} to {index[-1]:%Y-%m-%d}"


def _label(target: Target | None) -> Fact:
    about = "What UP and DOWN mean; σ is the volatility per bar known at the signal."
    if target is None:
        return Fact(label="Label", value="unknown", note="the probabilities came without a target")
    width = f"+{target.up:g} / −{target.down:g} σ√{target.horizon}"
    if target.kind == "barrier":
        value, note = (
            f"barriers, {target.horizon} bars",
            f"UP or DOWN: {width} from the next open is touched first",
        )
    else:
        value, note = f"close after {target.horizon} bars", f"UP or DOWN: beyond {width}"
    return Fact(label="Label", value=value, note=note, help=about)


def _purge_text(splits: tuple[Split, ...]) -> str:
    if not splits:
        return "unknown: the predictions came without splits"
    bars = []
    for split in splits:
        parts = [
            part
            for part in (split.train, split.valid, split.calibration, split.test)
            if part and part[1] > part[0]
        ]
        bars += [b[0] - a[1] for a, b in itertools.pairwise(parts)]
    if not bars:
        return "none" if splits[0].tells_train else "unknown: fold numbers do not tell"
    if min(bars) < 0:
        return "none: not walk-forward"
    low, high = min(bars), max(bars)
    return f"{low} bars at every boundary" if low == high else f"{low} to {high} bars per boundary"
