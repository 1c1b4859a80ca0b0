"""The evidence of a run: its trials entered in the ledger, its headline judged.

The ledger lies beside the runs, `OUT/ledger.jsonl`; what it counted when a run was finished is
frozen into the run's manifest, so that the same run always gives the same page.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from convnext_vbt.errors import DataError, FewTradesWarning, StillPriceWarning
from convnext_vbt.evidence.baselines import Comparison, compare
from convnext_vbt.evidence.cells import look_into
from convnext_vbt.evidence.gathering import Evidence, gather
from convnext_vbt.evidence.headline import Headline, headline_of
from convnext_vbt.evidence.ledger import (
    DataSet,
    Trials,
    count_trials,
    record,
    rule_entries,
    run_entry,
)
from convnext_vbt.evidence.nulls import draw_nulls
from convnext_vbt.evidence.nulls.null import Case, Null
from convnext_vbt.evidence.prior import prior_notes
from convnext_vbt.evidence.selection import initial_multiple
from convnext_vbt.evidence.verdict import assess
from convnext_vbt.learning.models import kind_of
from convnext_vbt.learning.models.prior_file import load_prior
from convnext_vbt.learning.settings import ModelConfig
from convnext_vbt.predictions import STAY
from convnext_vbt.runs.config import LATER_KEYS, OWN_CODE, Config
from convnext_vbt.runs.directory import read_manifest, update_manifest
from convnext_vbt.runs.own_primary import primary_sides
from convnext_vbt.runs.paths import trade_paths
from convnext_vbt.runs.strategy import (
    make_labels,
    make_sweep,
    prepare,
    run_stages,
    walk,
)
from convnext_vbt.storage import plain, sha256_json
from convnext_vbt.trading.rules import RuleConfig, confidence_rules
from convnext_vbt.trading.sweep import SweepConfig, SweepResult, sweep_rules

PRIMARY = "primary"
"""What a comparison calls the primary without the model."""
_OWN_OF_RULES = ("threshold", "hysteresis", "min_edge")
"""What may be swept: of a rule's own key and not of what the rules share."""


def gather_evidence(
    directory: Path,
    config: Config,
    result: SweepResult,
    *,
    selected: Mapping[str, Any],
    jobs: int | None = None,
    device: str = "auto",
) -> Evidence:
    """Everything that is computed of a run's worth; enters the ledger once for each run.

    `selected` is the strategy's own cell.
    """
    manifest = read_manifest(directory)
    prior, full = manifest.get("prior"), config.evidence == "full"  # no prior before 0.3.0
    if full and prior is not None:
        _refuse_other_prior(directory, config, prior["sha256"])
    labels = make_labels(config, result.bars).values
    cells = look_into(result, selected)
    head = headline_of(result, config.preset, cells=cells)
    trials = _frozen_trials(manifest)
    if trials is None:
        trials = _enter(directory, config, result, head, prior=prior and prior["sha256"])
    return gather(
        result,
        labels=labels,
        assessment=assess(result, head, trials=trials, preset=config.preset, cells=cells),
        baselines=compare_baselines(directory, config, result, head, labels=labels, jobs=jobs),
        cells=cells,
        retrained=retrain_nulls(config, result, head, jobs=jobs, device=device) if full else {},
        sharpe_by_seed=sharpe_by_seed(config, result),
        notes=prior_notes(config.data.source, prior and prior["families"]),
        paths=trade_paths(directory, config, result.bars, jobs=jobs, device=device),
    )


def _refuse_other_prior(directory: Path, config: Config, sha256: str) -> None:
    """The nulls that train again need the prior itself, which may be gone or another by now."""
    if load_prior(config.model.prior).sha256 != sha256:
        raise DataError(
            f'model.prior = "{config.model.prior}" is not the network that {directory} was made '
            "with; run the strategy again"
        )


def compare_baselines(
    directory: Path,
    config: Config,
    result: SweepResult,
    head: Headline,
    *,
    labels: np.ndarray,
    jobs: int | None = None,
) -> Comparison:
    """The run against simpler models on its own splits, labels and portfolio code.

    Their splits are kept in `baselines/<kind>/`. With `evidence = "full"` boosting joins them.
    """
    kinds = ("majority", "logistic", *(("boosting",) if config.evidence == "full" else ()))
    results: dict[str, SweepResult] = {config.model.kind: result}
    primary = config.model.primary
    others = {
        kind: config.model_copy(update={"model": ModelConfig(kind=kind, primary=primary)})
        for kind in kinds
    }
    prepared = prepare(others[kinds[0]], result.bars)  # the same of every model, prior or not
    for kind, other in others.items():
        if kind == config.model.kind:
            continue
        folder = Path("baselines") / kind
        neighbours = (path for path in directory.parent.glob(f"*/{folder}"))
        predictions = walk(
            other,
            prepared,
            directory=directory / folder,
            siblings=sorted(path for path in neighbours if path != directory / folder),
            jobs=jobs,
        )
        with warnings.catch_warnings():  # the run warned of few trades itself
            warnings.simplefilter("ignore", FewTradesWarning)
            warnings.simplefilter("ignore", StillPriceWarning)
            results[kind] = make_sweep(other, result.bars, predictions)
    model, known, names = config.model, {config.model.kind: head}, dict[str, str]()
    if primary is not None:
        results[PRIMARY], known[PRIMARY] = primary_alone(config, result)
        names[PRIMARY] = "the primary alone"
    return compare(
        results,
        preset=config.preset,
        known=known,
        unclaimed=tuple(names),
        base=model.base if model.kind == "convnext" and model.base in results else None,
        names={kind: kind_of(kind).name for kind in results if kind not in names} | names,
        labels=labels,
    )


def primary_alone(config: Config, result: SweepResult) -> tuple[SweepResult, Headline]:
    """The primary without the model: all its trades of full size, in the same test ranges.

    A trade lasts until its stop, its take-profit, its limit, or the end of its side; costs, risk
    and account are the strategy's.
    """
    assert config.model.primary is not None
    bars, trading, preset = result.bars, config.trading, config.preset
    sides = primary_sides(config.model.primary, bars)
    made = result.predictions.split >= 0
    proba = np.where(made[:, :, None], np.eye(3)[sides + STAY], np.nan)
    sure = replace(result.predictions, proba=proba, quantiles=None, nonconformity=None, members=())
    rule = RuleConfig(threshold=0.5, short=config.rule.short)  # what is certain stakes all
    lists = SweepConfig(
        threshold=(0.5,),
        risk=(trading.risk,),
        stop_multiple=(initial_multiple(config.sweep.stop_multiple),),
        take_profit_multiple=(initial_multiple(config.sweep.take_profit_multiple),),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewTradesWarning)
        warnings.simplefilter("ignore", StillPriceWarning)
        rules = confidence_rules(sure, bars, rule, trading=trading)
        swept = sweep_rules(bars, sure, rules, trading, lists)
    return swept, headline_of(swept, replace(preset, initial=0.5))


def retrain_nulls(
    config: Config,
    result: SweepResult,
    head: Headline,
    *,
    jobs: int | None = None,
    device: str = "auto",
) -> dict[str, Null]:
    """The nulls that train again, each draw a whole walk-forward; for `evidence = "full"`."""
    stages = run_stages(config, jobs=jobs, device=device)
    return draw_nulls(Case(result=result, headline=head, preset=config.preset, stages=stages))


def sharpe_by_seed(config: Config, result: SweepResult) -> tuple[float, ...]:
    """Headline Sharpe ratios of the ensemble's networks, each alone; empty for a single one."""
    sharpes = []
    for member in result.predictions.members:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FewTradesWarning)
            warnings.simplefilter("ignore", StillPriceWarning)
            alone = make_sweep(config, result.bars, member)
        sharpes.append(headline_of(alone, config.preset).sharpe)
    return tuple(sharpes)


def _enter(
    directory: Path, config: Config, result: SweepResult, head: Headline, *, prior: str | None
) -> Trials:
    ledger = directory.parent / "ledger.jsonl"
    run_key, rule_key = trial_keys(config, prior=prior)
    data = DataSet.of(result.bars)
    fixed = {name: getattr(config.rule, name) for name in _OWN_OF_RULES[1:]}
    rules = rule_entries(result, rule_key, fixed=fixed)
    record(ledger, data, [run_entry(head, run_key), *rules])
    trials = count_trials(ledger, data)
    update_manifest(directory, trials=plain(asdict(trials)))
    return trials


def _frozen_trials(manifest: Mapping[str, Any]) -> Trials | None:
    frozen = manifest.get("trials")
    if frozen is None:
        return None
    variance = frozen["variance"]
    return Trials(
        num_runs=frozen["num_runs"],
        num_rules=frozen["num_rules"],
        variance=math.nan if variance is None else variance,
    )


def trial_keys(config: Config, *, prior: str | None = None) -> tuple[str, str]:
    """Hashes of the strategy and of what its rules share: same key, same trial.

    Neither holds the data, the name, the risks or the cash; the rules' one lacks the swept lists
    too. A user's own code counts by its text, a network trained beforehand by `prior`, the SHA-256
    of its file.
    """
    shape = config.hashed()
    if prior is not None:
        shape["model"]["prior"] = prior
    del shape["name"], shape["data"]
    for key in LATER_KEYS["splits"]:  # paths are shown beside the headline and change nothing of it
        shape["splits"].pop(key, None)
    for key in ("risk", "max_open_risk", "init_cash"):
        del shape["trading"][key]
    del shape["sweep"]["risk"]
    for section, key in OWN_CODE:
        reference = shape[section].get(key)
        if reference is not None:
            path = Path(reference.rpartition(":")[0]).expanduser()
            shape[section][key] = [reference.rpartition(":")[2], path.read_text("utf-8")]
    run_key = sha256_json(shape)
    del shape["sweep"], shape["selection"]
    for key in _OWN_OF_RULES:
        shape["rule"].pop(key, None)
    return run_key, sha256_json(shape)
