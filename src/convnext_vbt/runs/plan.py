"""What a run would do, and about how long it would take, without doing it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from convnext_vbt.learning.models import kind_of
from convnext_vbt.learning.workers import available_cores
from convnext_vbt.runs.bars import read_report, warn_of_costs
from convnext_vbt.runs.config import Config
from convnext_vbt.runs.directory import (
    refuse_other_data,
    run_directory,
)
from convnext_vbt.runs.strategy import prepare, swept_lists

logger = logging.getLogger("convnext_vbt")


def plan(
    config: Config,
    *,
    out: str | Path = "reports",
    jobs: int | None = None,
    strict: bool = False,
) -> dict[str, Any]:
    """What `run` would do, without doing it."""
    directory = run_directory(config, out)
    source = read_report(config, strict=strict)
    for change in source.changes:
        logger.warning("%s: %s", config.data.source, change)
    bars = source.bars
    warn_of_costs(config, bars)
    refuse_other_data(directory, bars)
    stages = prepare(config, bars)
    first, num_splits = stages.splits[0], len(stages.splits) + len(stages.combinations)
    finished = len(list((directory / "splits").glob("*.json")))
    side_by_side = min(jobs or available_cores(), num_splits)
    num_features = len(stages.features.names)
    seconds = kind_of(config.model.kind).seconds(config.model, config.training, num_features)
    rounds = (num_splits - finished) / side_by_side
    return {
        "directory": str(directory),
        "splits": num_splits,
        "combinations": len(stages.combinations),
        "finished": finished,
        "jobs": side_by_side,
        "minutes": None if seconds is None else seconds * rounds / 60,
        "train": first.train[1] - first.train[0],
        "test": first.test[1] - first.test[0],
        "trained_from": f"{bars.index[first.train[0]]:%Y-%m-%d}",
        "tested_from": f"{bars.index[first.test[0]]:%Y-%m-%d}",
        "purge": config.labels.horizon,
        "features": num_features,
        "cells": swept_lists(config).num_cells,
        "bars": len(bars),
        "times": source.times,
    }
