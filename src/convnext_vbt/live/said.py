"""What a run's rule says at the last of some bars, whoever holds what.

Dimensions: N symbols.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.errors import DataError
from convnext_vbt.live.clock import when
from convnext_vbt.live.row import Row
from convnext_vbt.live.trained import Trained, one_bar, predict_now, predict_since, recent
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions, Split
from convnext_vbt.runs.strategy import own_signals, rule_exit
from convnext_vbt.trading.brackets import Brackets
from convnext_vbt.trading.expectation import rule_brackets
from convnext_vbt.trading.rules import confidence_rules
from convnext_vbt.trading.signals import Signals

LONGEST_HELD = 1000
"""Bars before those that are needed, in which the entry of a held position is looked for."""


def history_of(trained: Trained, split: Split, bars: Bars) -> Bars:
    """The last bars, as many as a decision looks at."""
    return recent(bars, trained.history(trained.kept(split)) + LONGEST_HELD)


def rule_signals(trained: Trained, split: Split, bars: Bars, preds: Predictions) -> Signals:
    """The chosen rule at the last bar, one column a symbol."""
    rule, levels = trained.config.rule, trained.rule(split)
    if rule.file is None:
        chosen_rule = replace(
            rule,
            threshold=levels["threshold"],
            hysteresis=levels.get("hysteresis", rule.hysteresis),
            min_edge=levels.get("min_edge", rule.min_edge),
        )
        last = bars.rows(len(bars) - 1, len(bars))
        trading = trained.config.trading
        return confidence_rules(preds, last, chosen_rule, trading=trading, history=bars).signals()
    signals = own_signals(rule.file, predict_since(trained, split, bars), bars)
    chosen = np.ones(len(signals.columns), dtype=bool)
    for name in signals.rule_levels:
        chosen &= signals.columns.get_level_values(name).astype(str) == str(levels.get(name))
    columns = np.flatnonzero(chosen)
    found = signals.symbols[columns].get_indexer(pd.Index(bars.symbols))
    if (found < 0).any():
        raise DataError(
            f"{rule.file} has no column {levels} of {bars.symbols[int((found < 0).argmax())]}; "
            "run the strategy again"
        )
    return signals.take(columns[found]).rows(len(bars) - 1, len(bars))


def brackets_of(
    trained: Trained, levels: Mapping[str, Any], bars: Bars, preds: Predictions
) -> Brackets:
    """Stops and take-profits at the multiples that were chosen."""
    lists = trained.config.sweep
    exits = rule_exit(trained.config)
    return rule_brackets(bars, preds, trained.config.trading, exits=exits).scaled(
        stop=levels.get("stop_multiple", lists.stop_multiple[0]),
        take_profit=levels.get("take_profit_multiple", lists.take_profit_multiple[0]),
    )


def row_at(trained: Trained, bars: Bars, n: int) -> Row:
    """The row of the rule of the time at the last of these bars, asked for by symbol n.

    Raises `DataError` where it said nothing there or cannot be told any more.
    """
    split = trained.split_of(bars)
    kept, present = trained.kept(split), int(bars.present[:, n].sum())
    if present < trained.history(kept):
        raise DataError(trained.too_short(kept, present))
    proba_NK = predict_now(trained, split, bars)
    if np.isnan(proba_NK[n]).any():
        raise DataError(why_missing(trained, split, bars, n))
    preds = one_bar(trained, split, bars, proba_NK)
    cut = history_of(trained, split, bars)
    brackets = brackets_of(trained, trained.rule(split), cut, preds)
    signals = rule_signals(trained, split, bars, preds)
    return Row.of(signals, brackets.rows(len(cut) - 1, len(cut)))


def why_missing(trained: Trained, split: Split, bars: Bars, n: int) -> str:
    """Why a symbol has no prediction at the last bar."""
    kept, present = trained.kept(split), bars.present[:, n]
    if not present[-1]:
        due = ""
        if present.any():
            last = bars.index[np.flatnonzero(present)[-1]]
            due = (
                f"; what its bar of {when(last)} said is due at its first open from "
                f"{when(last + bars.step)} on"
            )
        return f"no bar at {when(bars.index[-1])}{due}"
    if np.isnan(kept.fitted.mean[n]).any():
        return "hardly a bar in the training range, so the network has no scale for it"
    return trained.too_short(kept, int(present.sum()))
