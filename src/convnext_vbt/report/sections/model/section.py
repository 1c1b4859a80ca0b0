"""The model itself: its confidence against returns, its probabilities against what happened."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence.confidence import Deciles, Outlines
from convnext_vbt.evidence.gathering import Evidence
from convnext_vbt.evidence.views import View
from convnext_vbt.predictions import CLASSES
from convnext_vbt.report.formats import format_number
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section
from convnext_vbt.report.sections.model.figures import (
    decile_figure,
    log_loss_figure,
    outline_figure,
    reliability_figure,
)

_NO_TARGET = "These predictions have no target, so they cannot be compared with outcomes."
_NO_OUTCOME = "No predicted bar has a known outcome, so the model cannot be judged."
_SCORES = (
    ("accuracy", "Accuracy", "Share of bars whose most probable class was the actual one."),
    ("balanced_accuracy", "Balanced accuracy",
     "Mean recall of the three classes; always predicting one class gets 1 / 3."),
    ("mcc", "Matthews correlation (MCC)",
     "Correlation of predicted and actual class: 0 is chance, 1 is perfect."),
    ("log_loss", "Log-loss, nats per bar",
     "Mean negative log probability of the actual class; lower is better."),
    ("brier", "Brier score", "Mean squared error of the probabilities, 0 to 2; lower is better."),
    ("ece", "Calibration error (ECE)",
     "Mean gap between probability and observed frequency."),
)  # fmt: skip


def content(inputs: Inputs, _: Pool) -> Content:
    """Tables and charts; the script adds an account's trades and the selected threshold."""
    res, evidence, found = inputs.result, inputs.evidence, inputs.evidence.cells.deciles
    figures = {}
    if found is not None:
        figures["deciles"] = decile_figure(found)
    judged = _judged(evidence)
    return Content(
        context={
            "no_model_reason": _NO_OUTCOME if res.predictions.target else _NO_TARGET,
            "decile_rows": _decile_rows(found),
            "decile_text": _decile_text(found),
            **judged.context,
        },
        figures=figures | dict(judged.figures),
        data={
            "deciles": [] if found is None else found.table["decile"].tolist(),
            "thresholds": [span and list(span) for span in evidence.threshold_ranges],
        },
    )


def _judged(evidence: Evidence) -> Content:
    """What needs labels."""
    model, scores = evidence.model, evidence.split_scores
    if model is None or scores is None:
        return Content(context={"confusion": None})
    figures = {
        "reliability": reliability_figure(model.reliability),
        "outlines": outline_figure(model.outlines),
    }
    if len(evidence.result.predictions.splits) > 1:
        figures["logloss"] = log_loss_figure(
            [str(number + 1) for number in scores.index],
            scores["log_loss"].to_numpy(np.float64),
            scores["prior_log_loss"].to_numpy(np.float64),
        )
    return Content(
        context={
            "confusion": _confusion(model.confusion),
            "class_rows": _class_rows(model.classes),
            "score_rows": _score_rows(model.overall),
            "reliability_rows": _reliability_rows(model.reliability),
            "outline_rows": [row for each in model.outlines for row in _outline_rows(each)],
            "has_log_loss": "logloss" in figures,
        },
        figures=figures,
    )


def series(view: View, pool: Pool) -> dict[str, Any]:
    """Mean net return and number of an account's trades in each decile of confidence."""
    if view.decile_returns is None or view.decile_trades is None:
        return {"deciles": None}
    return {
        "deciles": {
            "net": pool.add(view.decile_returns, "f4"),
            "count": pool.add(view.decile_trades, "i4"),
        }
    }


MODEL = Section(name="model", title="Model", content=content, series=series)


def _confusion(table: pd.DataFrame) -> dict[str, object]:
    """The confusion matrix as text, shares by row."""
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


def _reliability_rows(tables: Mapping[str, pd.DataFrame]) -> list[list[str]]:
    """The reliability bins of all classes as text."""
    out = []
    for name, table in tables.items():
        numbers = table[["mean_probability", "frequency", "low", "high"]].to_numpy(np.float64)
        counts = table["count"].to_numpy(np.int64)
        for row, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            out.append([name, *(f"{value:.3f}" for value in row), f"{count:,}"])
    return out


def _class_rows(table: pd.DataFrame) -> list[list[str]]:
    return [
        [str(name), *(format_number(float(value), "probability") for value in row)]
        for name, row in zip(table.index, table.to_numpy(np.float64), strict=True)
    ]


def _score_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for name, label, about in _SCORES:
        digits = 4 if name in ("log_loss", "brier") else 3
        # Their class is scored as "majority", their probabilities as "prior": never both.
        known = table[name].loc[["majority", "prior"]].dropna()
        values = [float(table[name].loc["model"]), float(known.iloc[0]) if len(known) else math.nan]
        texts = [f"{v:.{digits}f}".replace("-", "−") if math.isfinite(v) else "–" for v in values]
        rows.append({"label": label, "help": about, "texts": texts})
    return rows


def _decile_rows(found: Deciles | None) -> list[list[str]]:
    if found is None:
        return []
    return [
        [
            f"{row['decile']:.0f}",
            f"{row['from']:.3f} to {row['to']:.3f}",
            f"{row['bars']:,.0f}",
            format_number(row["gross"], "basis_points"),
            format_number(row["net"], "basis_points"),
            _span(row["low"], row["high"]),
        ]
        for row in found.table.astype(np.float64).to_dict("records")
    ]


def _span(low: float, high: float) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return "n/a"
    ends = [format_number(value, "basis_points").removesuffix(" bp") for value in (low, high)]
    return f"{ends[0]} to {ends[1]}"


def _decile_text(found: Deciles | None) -> str:
    if found is None:
        return "Not available: no predicted bar leans to a side and has an outcome."
    table = found.table
    sure = table["decile"][table["low"] > 0].tolist()
    paying = table["decile"][table["net"] > 0].tolist()
    if sure:
        said = f"Net return above zero in {_ranges(sure)} (90 % CI)."
    elif paying:
        said = f"Net return above zero in {_ranges(paying)}, but every 90 % CI contains zero."
    else:
        said = "No decile covers its costs."
    return (
        f"Each predicted bar traded in its direction for {found.horizon} bars, without stops. No "
        f"skill is the dashed line; useful confidence rises to the right. {said}"
    )


def _ranges(numbers: list[int]) -> str:
    """Deciles as words: [1, 3, 4, 5] is "deciles 1 and 3 to 5"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    joined = " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))
    return f"decile{'s' * (len(numbers) > 1)} {joined}"


def _outline_rows(each: Outlines) -> list[list[str]]:
    return [
        [f"P({each.name})", f"{low:.3f}", f"{high:.3f}", *(f"{count:,}" for count in counts)]
        for low, high, counts in zip(
            each.edges[:-1].tolist(), each.edges[1:].tolist(), each.counts.T.tolist(), strict=True
        )
    ]
