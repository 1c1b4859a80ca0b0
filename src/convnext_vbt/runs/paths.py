"""The paths of `splits.kind` = "cpcv", trained where they are not yet, and traded."""

from __future__ import annotations

from pathlib import Path

from convnext_vbt.evidence.paths import Paths, rule_text, trade_path
from convnext_vbt.evidence.selection import initial_columns, initial_multiple
from convnext_vbt.market.bars import Bars
from convnext_vbt.runs.config import Config
from convnext_vbt.runs.directory import sibling_splits
from convnext_vbt.runs.strategy import (
    make_rules,
    predicted_paths,
    prepare_again,
    rule_exit,
    swept_lists,
)
from convnext_vbt.trading.expectation import rule_brackets


def trade_paths(
    directory: Path,
    config: Config,
    bars: Bars,
    *,
    jobs: int | None = None,
    device: str = "auto",
) -> Paths | None:
    """The paths through combinatorial splits, each traded by the preset's first rule alone.

    None where there are no such splits. What is not in `splits/` is trained.
    """
    if config.splits.kind != "cpcv":
        return None
    lists, preset = swept_lists(config), config.preset
    multiples = (lists.stop_multiple, lists.take_profit_multiple)
    stop, take_profit = map(initial_multiple, multiples)
    traded = []
    for predictions in predicted_paths(
        config,
        prepare_again(config, bars),
        directory=directory / "splits",
        siblings=sibling_splits(directory),
        jobs=jobs,
        device=device,
    ):
        rules = make_rules(config, bars, predictions)
        brackets = rule_brackets(bars, predictions, config.trading, exits=rule_exit(config))
        own = rules.take(initial_columns(rules, preset.initial))
        scaled = brackets.scaled(stop=stop, take_profit=take_profit)
        traded.append(trade_path(bars, predictions, own, scaled, config.trading))
    return Paths(
        groups=config.splits.groups,
        held_out=config.splits.held_out,
        rule=rule_text(own),
        paths=tuple(traded),
    )
