"""The network and its baselines side by side: what each earned, and how they differ."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.evidence.difference import (
    Difference,
    difference_sentence,
    sharpe_difference,
)
from convnext_vbt.evidence.direction import Direction, direction_of
from convnext_vbt.evidence.headline import Headline, headline_of
from convnext_vbt.evidence.selection import USUAL, Preset
from convnext_vbt.trading.sweep import SweepResult

FIGURES = ("total_return", "cagr", "max_drawdown", "sharpe", "sharpe_low", "sharpe_high", "trades")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Headlines of several strategies on the same test ranges, each against the first."""

    table: pd.DataFrame
    """One row a strategy, index "model": the headline's `FIGURES`; difference, difference_low and
    difference_high, its annual Sharpe ratio less the first one's with a 90 % interval; days, the
    number of UTC days. The first row's differences are NaN."""
    sentences: tuple[str, ...]
    """What that says, a sentence for each strategy but the first."""
    names: Mapping[str, str]
    """How sentences call each strategy."""
    base: str | None = None
    """The strategy whose probabilities the first one starts from, if any."""
    directions: Mapping[str, Direction] = field(default_factory=dict)
    """What each one's claims of direction were worth; of those without any, nothing."""


def compare(
    results: Mapping[str, SweepResult],
    *,
    preset: Preset = USUAL,
    base: str | None = None,
    known: Mapping[str, Headline] | None = None,
    names: Mapping[str, str] | None = None,
    labels: np.ndarray | None = None,
    unclaimed: Collection[str] = (),
) -> Comparison:
    """Compare the headlines of sweeps by name, all traded by one `preset`.

    All must have been traded over the same bars and test ranges. `base` is the name of the one
    that the first starts from, as a network from logistic regression. Differences are those of
    `difference.sharpe_difference`: both strategies on the same days. `known` are headlines by
    `preset` that are there already; `names` say how sentences call a strategy, if not as it is.
    `labels` are what came true, int8 (T, N), -1 where nothing did; None where nobody knows.
    `unclaimed` are strategies whose probabilities claim nothing and are only traded by.

    Raises `ValueError` for fewer than two sweeps and for sweeps of different ranges.
    """
    _check(results)
    there = known or {}
    heads = {name: there.get(name) or headline_of(res, preset) for name, res in results.items()}
    called = {name: name for name in results} | dict(names or {})
    first, *others = heads
    rows = {first: _row(heads[first], None)}
    claimed = {name: res for name, res in results.items() if name not in unclaimed}
    sentences = []
    for name in others:
        difference = sharpe_difference(
            heads[name].selection.account,
            heads[first].selection.account,
            days_per_year=heads[name].days_per_year,
        )
        rows[name] = _row(heads[name], difference)
        other = f"{called[name]} alone" if name == base else called[name]
        sentences.append(difference_sentence(called[first], other, difference.reversed()))
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
    return Comparison(
        table=table,
        sentences=tuple(sentences),
        names=called,
        base=base,
        directions={} if labels is None else _directions(claimed, labels),
    )


def _directions(results: Mapping[str, SweepResult], labels: np.ndarray) -> dict[str, Direction]:
    found = {name: direction_of(res, labels) for name, res in results.items()}
    return {name: one for name, one in found.items() if one is not None}


def _row(head: Headline, difference: Difference | None) -> dict[str, float]:
    row = {name: getattr(head, name) for name in FIGURES}
    row |= dict.fromkeys(("difference", "difference_low", "difference_high"), math.nan)
    if difference is not None:
        row |= {
            "difference": difference.sharpe,
            "difference_low": difference.low,
            "difference_high": difference.high,
        }
    return row | {"days": head.num_days}


def _check(results: Mapping[str, SweepResult]) -> None:
    if len(results) < 2:
        raise InputError(f"a comparison needs at least two sweeps, got {list(results)}")
    (first, base), *others = results.items()
    for name, res in others:
        same = (
            res.bars.symbols == base.bars.symbols
            and res.window_bars.index.equals(base.window_bars.index)
            and [s.test for s in res.predictions.splits]
            == [s.test for s in base.predictions.splits]
        )
        if not same:
            raise InputError(
                f"{name} was not traded over the bars and test ranges of {first}; compare sweeps "
                "of the same [data], [labels] and [splits]"
            )
