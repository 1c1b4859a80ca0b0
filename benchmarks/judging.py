"""One market of `benchmarks.verdict`, through the whole pipeline to its verdict.

A module of its own so that worker processes can import it. Dimension: T bars.
"""

from __future__ import annotations

import hashlib
import itertools
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.oracle import EDGES
from convnext_vbt.evidence.headline import deflated, headline
from convnext_vbt.evidence.ledger import rule_entries, trials_of
from convnext_vbt.evidence.verdict import LEAST_DSR, Assessment, assess
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.market.sources import load_bars
from convnext_vbt.predictions import Predictions
from convnext_vbt.runs.config import Config, load_config, parse_config
from convnext_vbt.runs.run import walk_forward
from convnext_vbt.runs.strategy import make_sweep
from convnext_vbt.storage import plain

ROOT = Path(__file__).parents[1]
PRICES = ("open", "high", "low", "close")
YEARLY_DRIFT = 1.5
WINDOW_BARS = 17_520
"""Bars of each market; of longer real bars, a stretch that the seed chooses."""

MARKETS = {
    "edge 0": 0.0,
    "edge 0.25": 0.25,
    "edge 0.5": 0.5,
    "edge 1": 1.0,
    **{f"oracle {sharpe:g}": edge for sharpe, edge in EDGES.items()},
    "drift": 0.0,
}
"""The edge planted in each simulated cell."""
BEST = "best of 20"

BRACKET = {"exit": "bracket", "min_edge": -1.0}
VARIANTS = tuple(
    {"rule": {"short": short, **rule}, **brackets}
    for short, (rule, brackets) in itertools.product(
        (True, False),
        (
            ({"min_edge": -1.0}, {}),
            ({"min_edge": 0.0}, {}),
            ({"min_edge": 0.5}, {}),
            ({"min_edge": 1.0}, {}),
            ({"min_edge": 1.0}, {"sweep": {"stop_multiple": [0.5]}}),
            ({"min_edge": 1.0}, {"sweep": {"stop_multiple": [2.0]}}),
            (BRACKET, {}),
            (BRACKET, {"sweep": {"stop_multiple": [2.0], "take_profit_multiple": [2.0]}}),
            (BRACKET, {"trading": {"max_holding": 12}}),
            (
                BRACKET,
                {"sweep": {"take_profit_multiple": [2.0]}, "trading": {"max_holding": 72}},
            ),
        ),
    )
)
"""The twenty strategies: how sure of a gain, how long to stay in, whether to sell short."""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One market of one cell; plain data, so it travels to another process."""

    cell: str
    seed: int
    source: str
    """Real bars for the cell "signs"."""


def run(task: Task) -> list[Record]:
    """Verdict on one market; at edge 0 also on the best of twenty strategies there."""
    started = time.perf_counter()
    config, bars = market(task)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # few trades: the verdict says so itself
        predictions = walk_forward(bars, config, jobs=1, device="cpu")
        judged = verdict_on(config, bars, predictions)
        key = {"cell": task.cell, "seed": task.seed, "code": code_hash()}
        record = key | facts(judged) | {"seconds": round(time.perf_counter() - started, 1)}
        if task.cell != "edge 0":
            return [plain(record)]
        best = key | {"cell": BEST} | best_of(VARIANTS, config, bars, predictions)
        return [plain(record), plain(best)]


def market(task: Task) -> tuple[Config, Bars]:
    """Strategy and bars of a task; the network's seed is the market's."""
    config = load_config(ROOT / "strategies" / "quickstart.toml", [f"seed={task.seed}"])
    if task.cell in MARKETS:
        bars = simulated_bars(seed=task.seed, edge=MARKETS[task.cell], bars=WINDOW_BARS)
        return config, with_drift(bars, YEARLY_DRIFT) if task.cell == "drift" else bars
    bars = load_bars(task.source)
    if task.source == "sp500":
        path = ROOT / "strategies" / "sp500_daily.toml"
        config = load_config(path, [f"seed={task.seed}"])
    spare = len(bars) - WINDOW_BARS
    start = int(np.random.default_rng(task.seed).integers(spare + 1)) if spare > 0 else 0
    return config, random_signs(bars.rows(start, min(len(bars), start + WINDOW_BARS)), task.seed)


def with_drift(bars: Bars, factor: float) -> Bars:
    """The same bars, their prices growing by `factor` a year on top, from bar to bar."""
    growth = factor ** (np.arange(len(bars)) / bars.bars_per_year)[:, None]
    prices = {name: getattr(bars, name) * growth for name in PRICES}
    return replace(bars, **prices)


def random_signs(bars: Bars, seed: int) -> Bars:
    """Real bars turned upside down one by one, by coin, and each gap by a coin of its own.

    How far prices went stays, up to the drift that makes successive opens, where trades are
    filled, an exact martingale: exp(+-x) has the mean cosh(x). Volume stays. One symbol only.
    """
    if len(bars.symbols) != 1:
        raise ValueError(f"give bars of one symbol, got {len(bars.symbols)}: {bars.symbols}")
    first, high, low, last = (
        np.log(getattr(bars, n)[:, 0]) for n in ("open", "high", "low", "close")
    )
    coin = np.random.default_rng(seed).choice([-1.0, 1.0], size=(2, len(bars)))
    up, down = coin[0] > 0, coin[0] < 0
    above = np.where(up, high - first, first - low)
    below = np.where(down, first - high, low - first)
    body = coin[0] * (last - first)
    gap = np.append(0.0, coin[1, 1:] * (first[1:] - last[:-1]))
    fair = np.log(np.cosh(gap)) + np.append(0.0, np.log(np.cosh(body[:-1])))
    log_open = first[0] + np.cumsum(gap - fair + np.append(0.0, body[:-1]))
    steps = zip(PRICES, (0.0, above, below, body), strict=True)
    return replace(bars, **{name: np.exp(log_open + step)[:, None] for name, step in steps})


def verdict_on(config: Config, bars: Bars, predictions: Predictions) -> Assessment:
    """What a run of this strategy would say, as the first one on its data."""
    return assess(make_sweep(config, bars, predictions), preset=config.preset)


def facts(judged: Assessment) -> Record:
    """The word, the figures behind it, and the conditions of a PASS that were not met."""
    head = judged.headline
    figures = (
        "total_return", "sharpe", "sharpe_low", "sharpe_high", "dsr", "trades", "splits_traded",
        "splits_positive",
    )  # fmt: skip
    return {
        "word": judged.verdict.word,
        "unmet": [reason.subject for reason in judged.verdict.reasons if not reason.ok],
        **{name: getattr(head, name) for name in figures},
        "sides_p": judged.random_sides.p_value,
        "times_p": judged.random_times.p_value,
        "buy_and_hold_sharpe": judged.buy_and_hold_sharpe,
        "doubled_costs_sharpe": judged.doubled_costs_sharpe,
    }


def best_of(
    variants: Sequence[dict[str, Any]], config: Config, bars: Bars, predictions: Predictions
) -> Record:
    """Verdict on the best of these strategies, each judged as one of so many.

    Only those are assessed to the end whose deflated Sharpe ratio leaves a PASS open. The figures
    are those of the highest Sharpe ratio, the word that of the one nearest to a PASS.
    """
    configs = [varied(config, variant) for variant in variants]
    sweeps = [make_sweep(own, bars, predictions) for own in configs]
    rules = trials_of(e for k, res in enumerate(sweeps) for e in rule_entries(res, str(k)))
    trials = replace(rules, num_runs=len(variants))
    heads = [
        deflated(headline(res, initial=own.rule.threshold, risk=own.trading.risk), len(variants))
        for own, res in zip(configs, sweeps, strict=True)
    ]
    judged = [
        facts(assess(res, head, trials=trials, preset=own.preset))
        for own, res, head in zip(configs, sweeps, heads, strict=True)
        if head.dsr >= LEAST_DSR
    ]
    judged.sort(key=lambda record: len(record["unmet"]))  # the one that is nearest to a PASS
    best = max(heads, key=lambda head: -np.inf if np.isnan(head.sharpe) else head.sharpe)
    return {
        "word": judged[0]["word"] if judged else "INCONCLUSIVE",
        "unmet": judged[0]["unmet"] if judged else ["dsr"],
        "passes": sum(record["word"] == "PASS" for record in judged),
        "sharpe": best.sharpe,
        "dsr": best.dsr,
        "trades": best.trades,
        "total_return": best.total_return,
    }


def varied(config: Config, changes: dict[str, Any]) -> Config:
    """The strategy with some keys of some sections changed."""
    document = config.model_dump(mode="json")
    for section, values in changes.items():
        document[section] |= values
    return parse_config(document, origin="variant")


@cache
def code_hash() -> str:
    """Eight hex digits of all that a verdict depends on: results of other code are not mixed in."""
    package = ROOT / "src" / "convnext_vbt"
    parts = ("market", "learning", "predictions", "trading", "evidence", "runs")
    files = sorted(path for part in parts for path in (package / part).rglob("*.py"))
    files += sorted(package.rglob("*.safetensors"))  # the prior
    files += [ROOT / "strategies" / f"{name}.toml" for name in ("quickstart", "sp500_daily")]
    files += [ROOT / "benchmarks" / f"{name}.py" for name in ("judging", "oracle")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]
