"""What the page says of the model itself: its probabilities against what came true."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence import scores
from convnext_vbt.learning.labels import labels_for
from convnext_vbt.predictions import CLASSES
from convnext_vbt.report import confidence, figures, model_figures, payload, tables
from convnext_vbt.report.formats import format_number
from convnext_vbt.trading.sweep import SweepResult

_NO_TARGET = (
    "These predictions do not say what their probabilities speak of (no target), so they cannot be "
    "compared with what came true."
)
_NO_OUTCOME = "Not one predicted bar has a known outcome, so the model cannot be judged."
_SCORES = (
    ("accuracy", "Accuracy", "Share of bars whose most probable class came true."),
    ("balanced_accuracy", "Balanced accuracy",
     "Mean over the classes of the share that was found; always saying the same class gets 1 / 3."),
    ("mcc", "Matthews correlation (MCC)",
     "Correlation of said and true class: 0 is chance, 1 is perfect."),
    ("log_loss", "Log-loss, nats a bar",
     "How surprised the probabilities were by what came true; lower is better."),
    ("brier", "Brier score", "Mean squared error of the probabilities, 0 to 2; lower is better."),
    ("ece", "Calibration error (ECE)",
     "How far probabilities and frequencies lie apart, on average."),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """The predictions judged against their labels."""

    values: np.ndarray
    """int8 (T, N), -1 where there is no label."""
    scores: pd.DataFrame
    """`evidence.scores.score_splits`."""


def judged_model(res: SweepResult) -> Model | None:
    """None without a target, or where no predicted bar has a known outcome."""
    preds = res.predictions
    if preds.target is None:
        return None
    values = labels_for(res.bars, preds.target).values
    if not ((values >= 0) & (preds.split >= 0)).any():
        return None
    return Model(values=values, scores=scores.score_splits(preds, values))


def round_trip_cost(res: SweepResult) -> float:
    """Fees and slippage of both sides, as a share of the entry value."""
    return 2.0 * (res.config.fees + res.config.slippage)


def confidence_deciles(res: SweepResult) -> confidence.Deciles | None:
    """Forward returns by confidence; None where no horizon is known or no bar counts."""
    target = res.predictions.target
    horizon = target.horizon if target else res.brackets.max_holding
    if horizon is None:
        return None
    found = confidence.deciles(
        res.predictions, res.bars, horizon=horizon, cost=round_trip_cost(res)
    )
    return found if len(found) else None


def model_context(
    res: SweepResult, model: Model | None, deciles: confidence.Deciles | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The template's texts and the charts, by name."""
    preds = res.predictions
    context: dict[str, Any] = {
        "confusion": tables.confusion(preds, model.values) if model else None,
        "class_rows": _class_rows(scores.confusion(preds, model.values)) if model else [],
        "score_rows": _score_rows(scores.overall(preds, model.values)) if model else [],
        "reliability_rows": tables.reliability(preds, model.values) if model else [],
        "no_model_reason": _NO_OUTCOME if preds.target else _NO_TARGET,
        "decile_rows": _decile_rows(deciles),
        "decile_text": _decile_text(res, deciles),
        "outline_rows": [],
        "has_log_loss": bool(model and len(preds.splits) > 1),
    }
    charts = {}
    if deciles is not None:
        charts["deciles"] = model_figures.decile_figure(deciles, cost=round_trip_cost(res))
    if model is not None:
        charts["reliability"] = figures.plot_reliability(preds, model.values)
        found = confidence.outlines(preds, model.values)
        charts["outlines"] = model_figures.outline_figure(found)
        context["outline_rows"] = [row for each in found for row in _outline_rows(each)]
        if context["has_log_loss"]:
            charts["logloss"] = model_figures.log_loss_figure(
                [str(number + 1) for number in model.scores.index],
                model.scores["log_loss"].to_numpy(np.float64),
                model.scores["prior_log_loss"].to_numpy(np.float64),
            )
    return context, {name: payload.figure_json(figure) for name, figure in charts.items()}


def thresholds(res: SweepResult, values: tuple[Any, ...]) -> list[list[float] | None]:
    """Of each swept threshold: the lowest and highest probability that it stood for."""
    spans = [confidence.threshold_range(res.predictions, value) for value in values]
    return [None if span is None else list(span) for span in spans]


def _class_rows(table: pd.DataFrame) -> list[list[str]]:
    counts = table.to_numpy(np.float64)
    rows = []
    for k, name in enumerate(CLASSES):
        said, true, both = counts[:, k].sum(), counts[k].sum(), counts[k, k]
        precision, recall = (both / n if n else math.nan for n in (said, true))
        f1 = 2 * both / (said + true) if said + true else math.nan
        rows.append([name, *(format_number(v, "probability") for v in (precision, recall, f1))])
    return rows


def _score_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for name, label, about in _SCORES:
        digits = 4 if name in ("log_loss", "brier") else 3
        values = [float(table[name].loc[row]) for row in ("model", "majority", "prior")]
        texts = [f"{v:.{digits}f}".replace("-", "−") if math.isfinite(v) else "–" for v in values]
        rows.append({"label": label, "help": about, "texts": texts})
    return rows


def _decile_rows(found: confidence.Deciles | None) -> list[list[str]]:
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


def _decile_text(res: SweepResult, found: confidence.Deciles | None) -> str:
    if found is None:
        return "Not available: no predicted bar leans to a side and has an outcome."
    table = found.table
    sure = table["decile"][table["low"] > 0].tolist()
    paying = table["decile"][table["net"] > 0].tolist()
    if sure:
        said = f"The whole interval lies above zero in {_ranges(sure)}."
    elif paying:
        said = f"The mean is above zero in {_ranges(paying)}, but nowhere the whole interval."
    else:
        said = "No decile pays for its costs."
    target = res.predictions.target
    horizon = target.horizon if target else res.brackets.max_holding
    return (
        f"Every predicted bar as if traded in its direction for {horizon} bars, without stops. "
        "A model that knows nothing lies on the dashed line; where the points do not rise to the "
        f"right, its confidence is worth nothing. {said}"
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


def _outline_rows(each: confidence.Outlines) -> list[list[str]]:
    return [
        [f"P({each.name})", f"{low:.3f}", f"{high:.3f}", *(f"{count:,}" for count in counts)]
        for low, high, counts in zip(
            each.edges[:-1].tolist(), each.edges[1:].tolist(), each.counts.T.tolist(), strict=True
        )
    ]
