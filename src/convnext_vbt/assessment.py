"""The evidence of a run: its trials entered in the ledger, its headline judged.

The ledger lies beside the runs, `OUT/ledger.jsonl`; what it counted when a run was finished is
frozen into the run's manifest, so that the same run always gives the same page.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from convnext_vbt.config import Config
from convnext_vbt.evidence.headline import Headline, headline
from convnext_vbt.evidence.ledger import (
    DataSet,
    Trials,
    count_trials,
    record,
    rule_entries,
    run_entry,
)
from convnext_vbt.evidence.verdict import Assessment, assess
from convnext_vbt.rundir import read_json, update_manifest
from convnext_vbt.storage import sha256_json
from convnext_vbt.summary import plain
from convnext_vbt.trading.sweep import SweepResult

_SHARED_BY_RULES = ("threshold", "hysteresis")


def assess_run(directory: Path, config: Config, result: SweepResult) -> Assessment:
    """Headline, verdict and all that they rest on; enters the ledger once for each run."""
    head = headline(
        result,
        initial=_initial(config),
        risk=config.trading.risk,
        seed=config.seed,
    )
    trials = _frozen_trials(directory)
    if trials is None:
        trials = _enter(directory, config, result, head)
    return assess(result, head, trials=trials, seed=config.seed)


def _initial(config: Config) -> float | str | None:
    """The threshold to begin with; a user's own rule has levels of its own."""
    if config.rule.file is not None:
        return config.selection.initial
    initial = config.selection.initial
    return config.rule.threshold if initial is None else initial


def _enter(directory: Path, config: Config, result: SweepResult, head: Headline) -> Trials:
    ledger = directory.parent / "ledger.jsonl"
    run_key, rule_key = trial_keys(config)
    data = DataSet.of(result.bars)
    record(ledger, data, [run_entry(head, run_key), *rule_entries(result, rule_key)])
    trials = count_trials(ledger, data)
    update_manifest(directory, trials=plain(asdict(trials)))
    return trials


def _frozen_trials(directory: Path) -> Trials | None:
    frozen = read_json(directory / "manifest.json").get("trials")
    if frozen is None:
        return None
    variance = frozen["variance"]
    return Trials(
        num_runs=frozen["num_runs"],
        num_rules=frozen["num_rules"],
        variance=math.nan if variance is None else variance,
    )


def trial_keys(config: Config) -> tuple[str, str]:
    """Hashes of the strategy and of what its rules share: same key, same trial.

    Neither holds the data, the name, the risk or the cash; the rules' one lacks the swept lists
    too. A user's own code counts by its text.
    """
    shape: dict[str, Any] = config.model_dump(mode="json")
    del shape["name"], shape["data"]
    del shape["trading"]["risk"], shape["trading"]["init_cash"], shape["sweep"]["risk"]
    for section in ("features", "rule"):
        reference = shape[section]["file"]
        if reference is not None:
            path = Path(reference.rpartition(":")[0]).expanduser()
            shape[section]["file"] = [reference.rpartition(":")[2], path.read_text("utf-8")]
    run_key = sha256_json(shape)
    del shape["sweep"], shape["selection"]
    for key in _SHARED_BY_RULES:
        del shape["rule"][key]
    return run_key, sha256_json(shape)
