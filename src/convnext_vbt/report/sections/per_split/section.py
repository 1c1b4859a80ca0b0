"""What each split came to, for the account and for the network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence.accounts import SplitFigures
from convnext_vbt.evidence.headline import Headline
from convnext_vbt.evidence.views import View
from convnext_vbt.predictions import Predictions, Split, SplitFit
from convnext_vbt.report.formats import ABSENT, format_interval, format_number, level_text
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool, Ref
from convnext_vbt.report.section import Content, Section
from convnext_vbt.report.sections.per_split.figures import split_figure


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


SPLIT_COLUMNS = (
    Column(label="Split"),
    Column(label="Test from", text=True),
    Column(label="to", text=True),
    Column(label="Rule chosen", text=True,
           help="The best rule over the earlier test ranges, else the initial one. Hover for the "
                "reason."),
    Column(label="Headline return", help="Of the account that trades the chosen rules."),
    Column(label="Headline drawdown", help="Max drawdown within the split."),
    Column(label="Headline Sharpe",
           help="Annualised, with its 90 % CI; n/a where too few days have a return."),
    Column(label="Headline trades", help="Trades entered in the split."),
    Column(label="Cell return", help="Of the selected cell, the same rule throughout."),
    Column(label="Cell drawdown", help="Max drawdown within the split."),
    Column(label="Cell Sharpe", help="Annualised."),
    Column(label="Cell trades", help="Trades entered in the split."),
)  # fmt: skip

SCORE_COLUMNS = (
    Column(label="Split"),
    Column(label="AUC up",
           help="Probability that a bar that went UP has the higher P(UP); 0.5 is chance."),
    Column(label="AUC down", help="The same for DOWN."),
    Column(label="Log-loss / base rates",
           help="Of the model and of the training range’s class frequencies, in nats; the first "
                "should be lower."),
    Column(label="Accuracy", help="Share of bars whose most probable class was the actual one."),
    Column(label="ECE", help="Expected calibration error: mean gap of probability and frequency."),
)  # fmt: skip

STEPS = Column(
    label="Steps",
    help="Training steps of a network; rounds of boosting, iterations of a regression.",
)

COVERAGE = Column(
    label="Coverage / set",
    help="Share of bars whose outcome is in the 90 % conformal set, and the mean number of classes "
    "in the set.",
)


def content(inputs: Inputs, _: Pool) -> Content:
    """Two tables and a chart to which the script adds the selected cell."""
    evidence, preds = inputs.evidence, inputs.result.predictions
    found, intervals = evidence.headline.splits, evidence.split_intervals
    with_base = evidence.baselines is not None and evidence.baselines.base is not None
    figures = {}
    if preds.splits:
        figures["split_sharpes"] = split_figure(inputs.split_labels, found.sharpes, intervals)
    return Content(
        context={
            "has_splits": bool(preds.splits),
            "failed_splits": bool(evidence.concerns.failed_splits),
            "split_columns": SPLIT_COLUMNS,
            "split_rows": split_rows(
                preds,
                choices=choices(inputs.assessment.headline),
                headline=found,
                intervals=intervals,
            ),
            "score_columns": score_columns(preds),
            "split_scores": score_rows(
                preds, evidence.split_scores if evidence.model else None, with_base=with_base
            ),
        },
        figures=figures,
        data={"split_labels": inputs.split_labels},
    )


def series(view: View, pool: Pool) -> dict[str, dict[str, Ref]]:
    """Return, drawdown, trades and Sharpe ratio of an account within each split."""
    return {
        "splits": {
            "return": pool.add(view.splits.returns, "f4"),
            "drawdown": pool.add(view.splits.drawdowns, "f4"),
            "trades": pool.add(view.splits.trades, "f4"),
            "sharpe": pool.add(view.splits.sharpes, "f4"),
        }
    }


PER_SPLIT = Section(name="per_split", title="Per split", content=content, series=series)


def choices(head: Headline) -> dict[int, tuple[str, str]]:
    """By split number: the rule chosen for it, and why, in words."""
    table = head.selection.choices
    levels = list(table.columns[: table.columns.get_loc("sharpe")])
    out = {}
    for number, row in zip(table.index.tolist(), table.to_dict("records"), strict=True):
        rule = " · ".join(level_text(str(name), row[name]) for name in levels)
        why = str(row["reason"])
        if math.isfinite(row["sharpe"]):
            sharpe = format_number(row["sharpe"], "ratio")
            why += f"; Sharpe ratio {sharpe} over {row['trades']:,} earlier trades"
        out[int(number)] = (rule, why)
    return out


def score_columns(preds: Predictions) -> tuple[Column, ...]:
    """Heads of the table of scores; steps and conformal sets only where there are any."""
    steps = (STEPS,) if _has_steps(preds) else ()
    return (*SCORE_COLUMNS, *steps, *(() if preds.nonconformity is None else (COVERAGE,)))


def _has_steps(preds: Predictions) -> bool:
    """Not those of a network that was trained beforehand and is taken as it is."""
    return any(fit.epochs is not None for fit in preds.fits)


def split_rows(
    preds: Predictions,
    *,
    choices: Mapping[int, tuple[str, str]],
    headline: SplitFigures,
    intervals: np.ndarray,
) -> list[list[Cell]]:
    """What each split came to; `choices` is the rule of each and why.

    `intervals` are those of its Sharpe ratios, (S, 2).
    """
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
                    note=format_interval(*intervals[k].tolist()),
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
    preds: Predictions, table: pd.DataFrame | None, *, with_base: bool
) -> list[list[Cell]]:
    """The scores of each split; `table` is `score_splits`, or None without labels.

    `with_base` is whether the network adds to another model's probabilities.
    """
    fits = {fit.number: fit for fit in preds.fits}
    rows = []
    for split in preds.splits:
        known = table is not None and split.number in table.index
        score = dict(table.loc[split.number].items()) if known and table is not None else None
        fit = fits.get(split.number)
        failed = fit is not None and not fit.learned
        row = [
            Cell(text=str(split.number + 1), tag="did not learn" if failed else ""),
            _score(score, "auc_up", 3),
            _score(score, "auc_down", 3),
            _losses(score),
            _score(score, "accuracy", 3),
            _score(score, "ece", 3),
        ]
        if _has_steps(preds):
            row.append(_steps(fit, with_base))
        if preds.nonconformity is not None:
            share, size = _score(score, "coverage_90", 3), _score(score, "set_size_90", 1)
            row.append(Cell(text=f"{share.text} / {size.text}"))
        rows.append(row)
    return rows


def _steps(fit: SplitFit | None, with_base: bool) -> Cell:
    if fit is None or fit.epochs is None:
        return Cell(text=ABSENT)
    nothing = with_base and fit.epochs == 0
    return Cell(text="0: network added nothing" if nothing else f"{fit.epochs:,}")


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
