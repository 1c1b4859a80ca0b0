"""The page's tables as text: facts, key figures, splits, confusion and reliability."""

from __future__ import annotations

import importlib.metadata
import itertools
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence import scores
from convnext_vbt.evidence.ledger import Trials
from convnext_vbt.market.bars import step_text
from convnext_vbt.market.gaps import find_gaps
from convnext_vbt.predictions import CLASSES, Predictions, Split, SplitFit, Target
from convnext_vbt.report.formats import FIGURES, Figure, format_interval, format_number
from convnext_vbt.trading.sweep import SweepResult

ABSENT = "–"
_PACKAGES = ("convnext-vbt", "vectorbt", "torch", "numpy", "pandas", "numba", "plotly")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of provenance."""

    label: str
    value: str
    note: str = ""
    help: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of the per-split table; `role` names the series that follows the selection."""

    text: str
    css: str = ""
    role: str = ""
    tag: str = ""
    note: str = ""
    """A second, smaller line."""
    help: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column's head."""

    label: str
    help: str = ""
    text: bool = False


def facts(res: SweepResult, trials: Trials) -> list[Fact]:
    """What every reader has to know: which data, which window, which costs, how it is filled."""
    bars, config, (start, stop) = res.bars, res.config, res.window
    gaps = find_gaps(bars)
    missing = int(gaps["missing"].sum())
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
            label="Judged out of sample",
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
            label="Costs, each side",
            value=f"{(config.fees + config.slippage) * 1e4:g} bp",
            note=f"fees {config.fees * 1e4:g} bp, slippage {config.slippage * 1e4:g} bp",
            help="1 bp is 0.01 % of the traded value.",
        ),
        _label(res.predictions.target),
        Fact(
            label="Tried on this data",
            value=f"{_count(len(res.account_metrics), 'cell', 'cells')} here",
            note=f"{_count(trials.num_runs, 'strategy', 'strategies')} and "
            f"{_count(trials.num_rules, 'rule', 'rules')} so far",
            help="The best of many tries looks good by luck alone. Cells that differ in risk "
            "alone are one rule; the ledger of earlier runs counts too, if there is one.",
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
            help="Bars that one prediction looks back on, beside the features' own memory.",
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
    if config.take_profit is not None:
        target = f"{config.take_profit * 100:g} %"
    else:
        target = "the label’s barrier" if config.stop is None else "none"
    held = res.brackets.max_holding
    limit = "no time limit" if held is None else f"{held} bars at most"
    return Fact(
        label="Exits beside signals", value=f"stop: {stop}", note=f"take-profit: {target}; {limit}"
    )


def quote_currency(symbols: tuple[str, ...]) -> str:
    """What prices and profits are counted in: USDT for BTC/USDT, else the words."""
    quotes = {symbol.rpartition("/")[2] for symbol in symbols}
    quote = quotes.pop()
    known = not quotes and quote not in symbols and re.fullmatch(r"[A-Z0-9]{2,10}", quote)
    return quote if known else "quote currency"


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
    about = "What UP and DOWN mean; σ is the volatility a bar known at the signal."
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
            if part[1] > part[0]
        ]
        bars += [b[0] - a[1] for a, b in itertools.pairwise(parts)]
    if not bars:
        return "none"
    low, high = min(bars), max(bars)
    return f"{low} bars at every boundary" if low == high else f"{low} to {high} bars a boundary"


def key_rows(
    cells: pd.DataFrame,
    *,
    start: int,
    fixed: int | None,
    columns: Mapping[str, Mapping[str, float]],
) -> list[dict[str, str]]:
    """One row a key figure: headline, selected cell, the strategy file's, and `columns`.

    `cells` is `cells.table`; `columns` has the figures of headline, hold and random by name.
    """
    shown = {"selected": start} | ({} if fixed is None else {"fixed": fixed})
    own = {name: dict(cells.iloc[row].astype(float)) for name, row in shown.items()}
    cash = dict.fromkeys(
        ("total_return", "cagr", "log_growth", "volatility", "max_drawdown", "longest_drawdown",
         "exposure", "turnover", "trades", "costs", "funding"), 0.0,
    )  # fmt: skip
    head = columns["headline"]
    return [
        {
            "name": figure.name,
            "label": figure.label,
            "help": figure.help,
            "headline": figure_text(head, figure, trades=head["trades"]),
            **{
                name: figure_text(values, figure, trades=values["trades"])
                for name, values in own.items()
            },
            "hold": figure_text(columns["hold"], figure),
            "cash": figure_text(cash, figure),
            "random": figure_text(columns["random"], figure),
        }
        for figure in FIGURES
        if figure.name != "funding" or "funding" in head
    ]


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplitFigures:
    """The headline's figures of each split, (S,) each; `intervals` of its Sharpe ratios (S, 2)."""

    returns: np.ndarray
    drawdowns: np.ndarray
    """Fractions <= 0."""
    trades: np.ndarray
    sharpes: np.ndarray
    intervals: np.ndarray


SPLIT_COLUMNS = (
    Column(label="Split"),
    Column(label="Test from", text=True),
    Column(label="to", text=True),
    Column(label="Rule chosen", text=True,
           help="By nested selection: the best one over the earlier test ranges, or the initial "
                "one. Hover over it for the reason."),
    Column(label="Headline return", help="Of the account that follows the chosen rules."),
    Column(label="Headline drawdown", help="Maximum drawdown within the split."),
    Column(label="Headline Sharpe",
           help="Annualised, with its 90 % interval: wide, since a split is short; n/a where "
                "too few days have a return."),
    Column(label="Headline trades", help="Trades entered in the split."),
    Column(label="Cell’s return", help="Of the selected cell, the same rule throughout."),
    Column(label="Cell’s drawdown", help="Maximum drawdown within the split."),
    Column(label="Cell’s Sharpe", help="Annualised."),
    Column(label="Cell’s trades", help="Trades entered in the split."),
)  # fmt: skip

SCORE_COLUMNS = (
    Column(label="Split"),
    Column(label="AUC up", help="Chance that P(UP) ranks a bar that went UP first; 0.5 is a coin."),
    Column(label="AUC down", help="The same for DOWN."),
    Column(label="Log-loss / prior’s",
           help="How surprised the probabilities were, in nats, and how surprised the training "
                "range’s class frequencies: the first should be the lower one."),
    Column(label="Accuracy", help="Share of bars whose most probable class came true."),
    Column(label="ECE", help="Expected calibration error: probabilities against frequencies."),
    Column(label="Steps", help="Training steps up to the weights that were kept; 0 means that "
           "the network added nothing on the validation range."),
)  # fmt: skip


COVERAGE = Column(
    label="Coverage / set",
    help="Share of bars whose outcome is in the conformal set meant to hold 90 % of them, and how "
    "many of the three classes the set has on average.",
)


def score_columns(preds: Predictions) -> tuple[Column, ...]:
    """Heads of the table of scores; conformal sets only where the predictions have them."""
    return SCORE_COLUMNS if preds.nonconformity is None else (*SCORE_COLUMNS, COVERAGE)


def split_rows(
    preds: Predictions, *, choices: Mapping[int, tuple[str, str]], headline: SplitFigures
) -> list[list[Cell]]:
    """What each split came to; `choices` is the rule of each and why."""
    rows = []
    for k, split in enumerate(preds.splits):
        gain = float(headline.returns[k])
        rule, why = choices.get(split.number, (ABSENT, "outside the window"))
        rows.append(
            [
                Cell(text=str(split.number + 1)),
                *_test_dates(preds, split),
                Cell(text=rule, css="text", help=why),
                Cell(text=format_number(gain, "percent"), css="bad" if gain < 0 else ""),
                Cell(text=format_number(headline.drawdowns[k], "percent")),
                Cell(
                    text=format_number(headline.sharpes[k], "ratio"),
                    note=format_interval(*headline.intervals[k].tolist()),
                ),
                Cell(text=format_number(headline.trades[k], "count")),
                *(
                    Cell(text=ABSENT, role=role)
                    for role in ("return", "drawdown", "sharpe", "trades")
                ),
            ]
        )
    return rows


def score_rows(
    preds: Predictions, table: pd.DataFrame | None, *, base: str = ""
) -> list[list[Cell]]:
    """The scores of each split; `table` is `score_splits`, or None without labels.

    `base` is the model that the network stands on, named where it was left alone.
    """
    fits = {fit.number: fit for fit in preds.fits}
    rows = []
    for split in preds.splits:
        known = table is not None and split.number in table.index
        score = dict(table.loc[split.number].items()) if known and table is not None else None
        row = [
            Cell(text=str(split.number + 1)),
            _score(score, "auc_up", 3),
            _score(score, "auc_down", 3),
            _losses(score),
            _score(score, "accuracy", 3),
            _score(score, "ece", 3),
            _steps(fits.get(split.number), base),
        ]
        if preds.nonconformity is not None:
            share, size = _score(score, "coverage_90", 3), _score(score, "set_size_90", 1)
            row.append(Cell(text=f"{share.text} / {size.text}"))
        rows.append(row)
    return rows


def _steps(fit: SplitFit | None, base: str) -> Cell:
    if fit is None:
        return Cell(text=ABSENT)
    alone = base if fit.epochs == 0 else ""
    text = f"0: {alone} alone" if alone else f"{fit.epochs:,}"
    return Cell(text=text, tag="" if fit.learned else "did not learn")


def _test_dates(preds: Predictions, split: Split) -> list[Cell]:
    start, stop = split.test
    return [
        Cell(text=f"{preds.index[start]:%Y-%m-%d}", css="text"),
        Cell(text=f"{preds.index[stop - 1]:%Y-%m-%d}", css="text", help=f"{stop - start:,} bars"),
    ]


def _score(score: dict[Any, Any] | None, name: str, digits: int) -> Cell:
    if score is None or not np.isfinite(score[name]):
        return Cell(text="n/a")
    return Cell(text=f"{score[name]:.{digits}f}")


def _losses(score: dict[Any, Any] | None) -> Cell:
    own, prior = _score(score, "log_loss", 4), _score(score, "prior_log_loss", 4)
    worse = score is not None and score["log_loss"] >= score["prior_log_loss"]
    return Cell(text=f"{own.text} / {prior.text}", css="bad" if worse else "")


def confusion(preds: Predictions, values: np.ndarray) -> dict[str, object]:
    """The confusion matrix as text, shares by row."""
    table = scores.confusion(preds, values)
    counts = table.to_numpy()
    rows = []
    for k, name in enumerate(CLASSES):
        total = int(counts[k].sum())
        cells = [
            {
                "count": f"{count:,}",
                "share": f"{count / total:.0%}".replace("%", " %") if total else "n/a",
            }
            for count in counts[k].tolist()
        ]
        rows.append({"name": name, "cells": cells, "total": f"{total:,}"})
    return {"classes": CLASSES, "rows": rows, "total": f"{int(counts.sum()):,}"}


def reliability(preds: Predictions, values: np.ndarray) -> list[list[str]]:
    """The reliability bins of all classes as text."""
    out = []
    for k, name in enumerate(CLASSES):
        table = scores.reliability(preds, values, k)
        numbers = table[["mean_probability", "frequency", "low", "high"]].to_numpy(np.float64)
        counts = table["count"].to_numpy(np.int64)
        for row, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            out.append([name, *(f"{value:.3f}" for value in row), f"{count:,}"])
    return out


def plural(name: str, count: int) -> str:
    """A level's name as a count's noun: 9 thresholds."""
    word = {"risk": "risk fraction"}.get(name, name.replace("_", " "))
    return word if count == 1 else f"{word[:-1]}es" if word.endswith("is") else f"{word}s"
