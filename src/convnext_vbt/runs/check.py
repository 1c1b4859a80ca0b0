"""What is to be known of bars before they are traded on."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from convnext_vbt.errors import ConfigError, InputError
from convnext_vbt.learning.features import possible_features
from convnext_vbt.learning.labels import labels_for
from convnext_vbt.learning.models.prior_file import load_prior
from convnext_vbt.learning.settings import ModelConfig
from convnext_vbt.market.bars import Bars, step_text
from convnext_vbt.market.frozen import find_frozen
from convnext_vbt.market.gaps import closed_weekdays, find_gaps, odd_days, short_sessions
from convnext_vbt.market.spikes import find_leaps, find_spikes
from convnext_vbt.predictions import CLASSES, Predictions, Target
from convnext_vbt.runs.bars import read_report
from convnext_vbt.runs.config import Config, DataSection
from convnext_vbt.storage import (
    plain,
)


def _span(bars: Bars, gaps: pd.DataFrame, n: int) -> dict[str, Any]:
    """How many bars a symbol has, from when to when, and what is missing between."""
    index, own = bars.index[bars.present[:, n]], gaps[gaps["symbol"] == bars.symbols[n]]
    return {
        "bars": len(index),
        "first": f"{index[0]:%Y-%m-%d %H:%M}",
        "last": f"{index[-1]:%Y-%m-%d %H:%M}",
        "gaps": len(own),
        "missing_bars": int(own["missing"].sum()),
    }


def _prior_lacks(bars: Bars) -> list[str]:
    """Features that the network which comes with the package reads and these bars cannot give."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of features that are left out: that is the question
        there = possible_features(bars)
    return [name for name in load_prior(ModelConfig().prior).features if name not in there]


def check_predictions(path: Path) -> dict[str, Any]:
    """What is to be known of a predictions file: how much is predicted, and learned from what."""
    preds = Predictions.load(path)
    made = np.flatnonzero((preds.split >= 0).any(axis=1))
    first, last = (f"{preds.index[bar]:%Y-%m-%d %H:%M}" for bar in (made[0], made[-1]))
    facts: dict[str, Any] = {
        "symbols": list(preds.symbols),
        "predictions": int((preds.split >= 0).sum()),
        "first": first,
        "last": last,
        "splits": len(preds.splits),
        "learned_later": [s.number + 1 for s in preds.splits if s.learned_later],
        "untold": [s.number + 1 for s in preds.splits if not s.tells_train],
    }
    return facts | {"learned_from": learned_from(facts)}


def learned_from(facts: dict[str, Any]) -> str:
    """Whether predictions are walk-forward, in words; splits are counted from 1."""
    if facts["learned_later"]:
        numbers = ", ".join(map(str, facts["learned_later"]))
        return (
            f"not walk-forward: learned from bars of the test range or after it: splits {numbers}; "
            "the verdict is no PASS"
        )
    if facts["untold"]:
        return "not shown to be walk-forward: fold numbers do not tell what was learned from"
    if not facts["splits"]:
        return "without splits: what was learned from is not told, and one fixed rule is traded"
    return "walk-forward: every split learned from bars before its test range"


def check_bars(
    source: str,
    *,
    strict: bool = False,
    timezone: str | None = None,
    stamp: Literal["open", "close"] | None = None,
) -> dict[str, Any]:
    """What is to be known of bars before they are traded on: reading, gaps, spikes, labels."""
    try:
        section = DataSection(source=source, timezone=timezone, stamp=stamp)
    except InputError as error:
        raise ConfigError(f"--timezone: {error}") from None
    report = read_report(Config(data=section), strict=strict)
    bars = report.bars
    gaps, spikes, leaps = find_gaps(bars), find_spikes(bars), find_leaps(bars)
    frozen = find_frozen(bars)
    values = labels_for(bars, Target()).values
    shares = {
        symbol: dict(
            zip(CLASSES, np.bincount(known, minlength=3) / max(len(known), 1), strict=True)
        )
        for symbol, known in zip(bars.symbols, (row[row >= 0] for row in values.T), strict=True)
    }
    sessions = bars.has_sessions
    largest = gaps.sort_values(["missing", "start"], ascending=[False, True]).head(5)
    facts: dict[str, Any] = plain(
        {
            "symbols": list(bars.symbols),
            "step": step_text(bars.step),
            "bars": len(bars),
            "first": f"{bars.index[0]:%Y-%m-%d %H:%M}",
            "last": f"{bars.index[-1]:%Y-%m-%d %H:%M}",
            "bars_per_year": bars.bars_per_year,
            "days_per_year": bars.days_per_year,
            "closed_weekdays": closed_weekdays(bars) if sessions else None,
            "short_sessions": short_sessions(bars) if sessions else None,
            "times": report.times,
            "reading": list(report.reading),
            "changes": [{"count": c.count, "what": c.what} for c in report.changes],
            "by_symbol": {name: _span(bars, gaps, n) for n, name in enumerate(bars.symbols)},
            "gaps": len(gaps),
            "missing_bars": int(gaps["missing"].sum()),
            "largest_gaps": largest.to_dict("records"),
            "spikes": len(spikes),
            "largest_spikes": spikes.head(5).to_dict("records"),
            "leaps": len(leaps),
            "largest_leaps": leaps.head(5).to_dict("records"),
            "frozen": len(frozen),
            "frozen_bars": int(frozen["bars"].sum()),
            "longest_frozen": frozen.head(5).to_dict("records"),
            "odd_days": [f"{day:%Y-%m-%d}" for day in odd_days(bars)],
            "labels": shares,
            "prior_lacks": _prior_lacks(bars),
        }
    )
    return facts
