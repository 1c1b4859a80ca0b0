"""The tables of `benchmarks.power`: figures by market and model, and which targets are met.

Means over seeds, +- one standard error; differences are paired by seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.limits import INFERS, KNOWS
from benchmarks.seeing import (
    BASE,
    LEFT_OUT,
    LOGISTIC,
    MODELS,
    NETWORKS,
    PRIOR,
    Record,
)

FIGURES = ("gain", "direction", "auc", "slope")
Estimate = tuple[float, float]
"""A mean and its standard error, NaN where one seed gives none."""

SHARES = {"regimes 0.5": 0.80, "regimes 1": 0.85}
"""What the network with its prior is to reach of the direction of the limit that knows."""
MOTIFS, MOTIFS_SHARE = "motifs 1, tempos 2 3 4 6 8", 0.30
"""Of what that limit has over logistic regression."""
CLEAR = 2.0
"""Standard errors from which on a difference counts."""


def paired(records: Sequence[Record], market: str, models: Sequence[str], key: str) -> np.ndarray:
    """A figure of some models on the seeds that all of them have, (models, seeds)."""
    by_model = [
        {r["seed"]: r[key] for r in records if r["market"] == market and r["model"] == model}
        for model in models
    ]
    seeds = sorted(set.intersection(*map(set, by_model)))
    return np.array([[own[s] for s in seeds] for own in by_model], dtype=np.float64)


def mean(values: np.ndarray) -> Estimate:
    """Mean and standard error of those that are known."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return (float(known[0]) if len(known) else math.nan), math.nan
    return float(known.mean()), float(known.std(ddof=1) / math.sqrt(len(known)))


def share(part: np.ndarray, whole: np.ndarray) -> Estimate:
    """Ratio of the means, and its standard error by the delta method; NaN without a whole."""
    if not len(whole) or whole.mean() <= 0:
        return math.nan, math.nan
    ratio = float(part.mean() / whole.mean())
    return ratio, mean(part - ratio * whole)[1] / float(whole.mean())


def difference(records: Sequence[Record], market: str, model: str, other: str) -> Estimate:
    """How much more direction a model has than another."""
    mine, theirs = paired(records, market, (model, other), "direction")
    return mean(mine - theirs)


def summary(records: Sequence[Record]) -> dict[str, dict[str, dict[str, Any]]]:
    """Figures by market and model."""
    return {
        market: {
            model: _row(records, market, model)
            for model in (KNOWS, INFERS, *MODELS)
            if any(r["market"] == market and r["model"] == model for r in records)
        }
        for market in dict.fromkeys(r["market"] for r in records)
    }


def _row(records: Sequence[Record], market: str, model: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "markets": paired(records, market, (model,), "gain").shape[1],
        **{key: mean(paired(records, market, (model,), key)[0]) for key in FIGURES},
    }
    for name, limit in (("of_knows", KNOWS), ("of_infers", INFERS)):
        row[name] = share(*paired(records, market, (model, limit), "direction"))
    row["minus_logistic"] = difference(records, market, model, LOGISTIC)
    if model in NETWORKS:
        row["minus_base"] = difference(records, market, model, BASE)
    return row


def table(found: dict[str, dict[str, dict[str, Any]]]) -> str:
    """A block for each market."""
    columns = "gain", "direction", "AUC", "slope", "of knows", "of infers", "- logistic", "- base"
    lines = ["direction, gain and differences in nats/1000, shares in percent; +- one s.e."]
    for market, rows in found.items():
        lines += ["", f"{market:<28}{'n':>3}" + "".join(f"{name:>15}" for name in columns)]
        for model, row in rows.items():
            cells = [
                shown(row["gain"], 1), shown(row["direction"], 1), shown(row["auc"], 3),
                shown(row["slope"], 2), shown(row["of_knows"], 0, 100),
                shown(row["of_infers"], 0, 100), shown(row["minus_logistic"], 1),
                shown(row.get("minus_base", (math.nan, math.nan)), 1),
            ]  # fmt: skip
            lines.append(f"{model:<28}{row['markets']:>3}" + "".join(f"{c:>15}" for c in cells))
    return "\n".join(lines)


def shown(estimate: Estimate, digits: int, scale: float = 1.0) -> str:
    """An estimate in a cell."""
    value, error = (scale * v for v in estimate)
    if math.isnan(value):
        return ""
    return f"{value:.{digits}f}" + ("" if math.isnan(error) else f" +-{error:.{digits}f}")


def checks(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Each target with what was reached; "met" is None where a model was not run."""
    markets = list(dict.fromkeys(r["market"] for r in records))
    made = []
    for market in markets:
        if market in SHARES:
            reached = share(*paired(records, market, (PRIOR, KNOWS), "direction"))
            name = f"at least {SHARES[market]:.0%} of the limit that knows the edge"
            made.append(_check(market, name, reached, reached[0] - SHARES[market]))
        if market == MOTIFS:
            net, plain, best = paired(records, market, (PRIOR, LOGISTIC, KNOWS), "direction")
            reached = share(net - plain, best - plain)
            name = f"at least {MOTIFS_SHARE:.0%} of what the limit has over logistic"
            made.append(_check(market, name, reached, reached[0] - MOTIFS_SHARE))
        if market in SHARES or market == MOTIFS:
            ahead = difference(records, market, PRIOR, BASE)
            name = f"network above its base by {CLEAR:g} s.e."
            made.append(_check(market, name, ahead, ahead[0] - CLEAR * ahead[1]))
            ahead = difference(records, market, LEFT_OUT, LOGISTIC)
            name = f"family left out, above logistic by {CLEAR:g} s.e."
            made.append(_check(market, name, ahead, ahead[0] - CLEAR * ahead[1]))
        ahead = difference(records, market, PRIOR, BASE)
        made.append(_check(market, "network costs at most 1 s.e.", ahead, ahead[0] + ahead[1]))
    return made


def _check(market: str, target: str, reached: Estimate, margin: float) -> dict[str, Any]:
    met = None if math.isnan(margin) else margin >= 0
    return {"market": market, "target": target, "reached": reached, "met": met}


def checks_table(made: Sequence[dict[str, Any]]) -> str:
    """A line for each target."""
    words = {True: "met", False: "NOT MET", None: "not run"}
    lines = ["targets of direction; of the network with the shipped prior unless said otherwise"]
    for check in made:
        percent = "%" in check["target"]
        cell = shown(check["reached"], 0, 100) + " %" if percent else shown(check["reached"], 1)
        lines.append(f"{check['market']:<28}{check['target']:<50}{cell:>14}  {words[check['met']]}")
    return "\n".join(lines)
