"""One market of `benchmarks.power`: what each model and each limit can tell of its second year.

A module of its own so that worker processes can import it. Dimensions: T bars, K = 3 classes.
"""

from __future__ import annotations

import hashlib
import math
import time
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.limits import Limit, Market
from convnext_vbt.evidence.direction import judge_claim
from convnext_vbt.learning.labels import Labels, labels_for
from convnext_vbt.predictions import DOWN, STAY, UP, Target
from convnext_vbt.runs.config import Config, load_config
from convnext_vbt.runs.run import walk_forward
from convnext_vbt.storage import plain

ROOT = Path(__file__).parents[1]
YEAR = 8_760
BLOCK = 120
"""Bars whose outcomes overlap, for the errors of a claim."""
LOGISTIC = "logistic"
OWN_PAST, PRIOR, LEFT_OUT = "network, own past", "network, prior", "network, family left out"
NETWORKS = (OWN_PAST, PRIOR, LEFT_OUT)
ALIKE = ("training.ensemble=1", f"splits.test={YEAR}")
"""Of every model: one network, trained once on the first year."""
MODELS = {
    "base rates": ("model.kind=majority",),
    LOGISTIC: ("model.kind=logistic",),
    "boosting": ("model.kind=boosting",),
    OWN_PAST: ("model.kind=convnext", "model.prior=none", "training.steps=40"),
    PRIOR: ("model.kind=convnext", "model.prior=simulated"),
    LEFT_OUT: (
        "model.kind=convnext",
        f"model.prior={ROOT}/benchmarks/priors/without_{{family}}.safetensors",
    ),
}
"""What each sets in the quickstart's strategy; {family} is the market's."""
BASE = LOGISTIC
"""What a network's logits are added to."""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """One market and what is to be measured on it; travels to another process."""

    market: Market
    seed: int
    models: tuple[str, ...]
    limit: Limit | None
    """Where the limits are asked for."""


def run(task: Task) -> list[Record]:
    """A record for each model and limit."""
    bars = task.market.bars(task.seed)
    labels = labels_for(bars, Target())
    records = []

    def keep(model: str, proba_TK: np.ndarray, seconds: float) -> None:
        key = {"market": str(task.market), "model": model, "seed": task.seed}
        found = figures(proba_TK, labels, YEAR) | {"seconds": round(seconds, 1)}
        records.append(plain(key | {"code": source_hash(model, task.market.family)} | found))

    if task.limit is not None:
        started = time.process_time()
        best = task.limit.proba(task.seed, bars)
        for name, proba_TK in best.items():
            keep(name, proba_TK, (time.process_time() - started) / len(best))
    for model in task.models:
        started = time.process_time()
        config = strategy(model, task.market, task.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            predictions = walk_forward(bars, config, jobs=1, device="cpu")
        keep(model, predictions.proba[:, 0], time.process_time() - started)
    return records


def strategy(model: str, market: Market, seed: int) -> Config:
    """The quickstart's strategy with one of `MODELS`; its seed is the market's."""
    keys = [key.format(family=market.family) for key in MODELS[model]]
    return load_config(ROOT / "strategies" / "quickstart.toml", [f"seed={seed}", *ALIKE, *keys])


def figures(proba_TK: np.ndarray, labels: Labels, first: int) -> dict[str, float]:
    """What probabilities are worth on the labelled bars from `first` on; log-losses in nats/1000.

    - "gain": how far the log-loss lies below that of the class frequencies of all labels that were
      known before `first`.
    - "direction": of UP v DOWN, on the bars that came out as either, how far it lies below a coin.
    - "auc": likewise.
    - "slope": of what came on the claimed logit (`evidence.direction`); 1 is true, NaN where
      nothing is claimed.

    Raises `ValueError` where a labelled bar has no probabilities.
    """
    label_T, end_T = labels.values[:, 0], labels.end[:, 0]
    known = label_T[:first][(label_T[:first] >= 0) & (end_T[:first] < first)]
    frequency = np.bincount(known, minlength=3) / len(known)
    came = label_T[first:] >= 0
    y = label_T[first:][came]
    p = np.maximum(proba_TK[first:][came].astype(np.float64), 1e-7)  # a slope needs the digits
    if np.isnan(p).any():
        raise ValueError(f"{int(np.isnan(p).any(axis=1).sum())} labelled bars lack probabilities")
    gain = np.log(p[np.arange(len(y)), y] / frequency[y]).mean()
    moved = y != STAY
    up, logit = y[moved] == UP, np.log(p[moved, UP] / p[moved, DOWN])
    claim = judge_claim(logit, up, np.flatnonzero(moved) // BLOCK)
    return {
        "gain": 1e3 * float(gain),
        "direction": claim.gain.value,
        "auc": float(roc_auc_score(up, logit)),
        "slope": math.nan if claim.word == "not claimed" else claim.slope.value,
    }


@cache
def source_hash(model: str, family: str) -> str:
    """Eight hex digits of all that a record depends on: those of other code are not mixed in."""
    package, benchmarks = ROOT / "src" / "convnext_vbt", ROOT / "benchmarks"
    if model in MODELS:
        parts = ("market", "learning", "predictions", "runs")
        files = [path for part in parts for path in (package / part).rglob("*.py")]
        files.append(ROOT / "strategies" / "quickstart.toml")
        if model == PRIOR:
            files.append(package / "learning" / "prior" / "simulated.safetensors")
        elif model == LEFT_OUT:
            files.append(benchmarks / "priors" / f"without_{family}.safetensors")
    else:
        made = {"regimes": "market/simulated", "motifs": "learning/prior/markets"}[family]
        names = made, "market/volatility", "learning/labels"
        files = [package / f"{name}.py" for name in names]
        files += [benchmarks / f"{name}.py" for name in ("bayes", "limits", "oracle")]
    files += [benchmarks / "seeing.py", package / "evidence" / "direction.py"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()[:8]
