"""A strategy file's stages as plain functions of bars, and what is refused before any training."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from convnext_vbt.errors import ConfigError, InputError, UserCodeError
from convnext_vbt.evidence.selection import check_initial
from convnext_vbt.evidence.stages import Stages
from convnext_vbt.learning.features import Features, compute_features
from convnext_vbt.learning.fitting import refuse_untrainable
from convnext_vbt.learning.labels import Labels, labels_for
from convnext_vbt.learning.models import kind_of
from convnext_vbt.learning.models.own.trial import tell, try_own
from convnext_vbt.learning.primary import with_sides
from convnext_vbt.learning.splits import Splits
from convnext_vbt.learning.walkforward import (
    SplitDone,
    walk_forward,
    walk_paths,
)
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import CLASSES, Predictions, SplitFit
from convnext_vbt.predictions.slopes import confidence_quantiles, conformal_scores
from convnext_vbt.runs.bars import check_account
from convnext_vbt.runs.config import Config
from convnext_vbt.runs.own_labels import OwnLabels, refuse_foresight
from convnext_vbt.runs.own_primary import primary_sides, refuse_early
from convnext_vbt.trading.expectation import Exit
from convnext_vbt.trading.rules import confidence_rules, parse_threshold, refuse_untradable
from convnext_vbt.trading.signals import Rules, Signals
from convnext_vbt.trading.sweep import (
    GRID,
    SweepConfig,
    SweepResult,
    check_multiples,
    check_sweep,
    sweep_rules,
)
from convnext_vbt.user_code import load_function


def run_stages(config: Config, *, jobs: int | None = None, device: str = "auto") -> Stages:
    """The stages with training in one piece: all splits side by side."""
    return Stages(
        horizon=config.labels.horizon,
        features=partial(make_features, config),
        labels=partial(make_labels, config),
        splits=config.splits.split,
        predict=partial(_predict, config, jobs, device),
        sweep=partial(make_sweep, config),
    )


def make_features(config: Config, bars: Bars) -> Features:
    """The features of `[features]`, of the bars and, unless told not to, of their mirror image.

    Beside them stand the primary's sides, where there is one.
    """
    features, primary = _features(config, bars), config.model.primary
    return features if primary is None else with_sides(features, primary_sides(primary, bars))


def _features(config: Config, bars: Bars) -> Features:
    section = config.features

    def made_of(view: Bars) -> Features:
        return compute_features(
            view,
            names=section.names,
            function=None if section.file is None else load_function(section.file),
            extend=section.extend,
        )

    features = made_of(bars)
    if not section.mirror:
        return features
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what there is to say was said of the bars themselves
            mirrored = made_of(bars.mirrored())
    except Exception as error:
        if section.file is None:
            raise
        raise UserCodeError(
            f"{section.file} fails on mirrored bars, every price 1 / price, from which the "
            f"direction is learned too ({type(error).__name__}: {error}); make it work on any "
            "prices, or set features.mirror = false"
        ) from error
    if (mirrored.names, mirrored.warmup) != (features.names, features.warmup):
        raise UserCodeError(
            f"{section.file} gives other names or another warm-up on mirrored bars, every price "
            "1 / price; make them the same, or set features.mirror = false"
        )
    return replace(features, mirrored=mirrored.values)


def make_labels(config: Config, bars: Bars) -> Labels:
    """The labels of `[labels]`; of bars at which the primary has a side, where there is one."""
    labels, primary = _labels(config, bars), config.model.primary
    return labels if primary is None else labels.beside(primary_sides(primary, bars))


def _labels(config: Config, bars: Bars) -> Labels:
    section = config.labels
    if section.file is not None:
        return OwnLabels(reference=section.file, horizon=section.horizon)(bars)
    return labels_for(bars, section)


def make_sweep(config: Config, bars: Bars, predictions: Predictions) -> SweepResult:
    """The sweep of `[sweep]`, the strategy's own cell always among its cells."""
    lists, rules = swept_lists(config), make_rules(config, bars, predictions)
    reference = replace(config.trading, risk=min(lists.risk))
    return sweep_rules(bars, predictions, rules, reference, lists, exits=rule_exit(config))


def check_sweep_of(config: Config, bars: Bars, predictions: Predictions) -> None:
    """Raise what `make_sweep` and the selection would refuse; nothing is traded.

    The user's own rule is called. Raises `ConfigError` or, of that rule, `UserCodeError`.
    """
    lists = swept_lists(config)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what there is to say is said when they are traded
            rules = make_rules(config, bars, predictions)
            check_sweep(bars, predictions, rules, config.trading, lists, exits=rule_exit(config))
    except UserCodeError:
        raise
    except InputError as error:
        raise ConfigError(str(error)) from None
    try:
        check_initial(rules, {name: getattr(lists, name) for name in GRID}, config.preset)
    except InputError as error:
        raise ConfigError(f"[selection] {error}") from None


def swept_lists(config: Config) -> SweepConfig:
    """The lists of `[sweep]`, the strategy's own values among them."""
    rule = config.rule
    return config.sweep.including(rule.threshold, config.trading.risk, rule.min_edge)


def make_rules(config: Config, bars: Bars, predictions: Predictions) -> Rules:
    """The rules that are swept: the confidence rule by its lists, or the user's own."""
    rule, lists = config.rule, swept_lists(config)
    if rule.file is not None:
        return own_signals(rule.file, predictions, bars)
    return confidence_rules(
        predictions,
        bars,
        rule,
        trading=config.trading,
        thresholds=lists.threshold,
        hystereses=lists.hysteresis,
        min_edges=lists.min_edge,
    )


def rule_exit(config: Config) -> Exit:
    """How positions end: a user's own rule signals its exits itself, within the bracket."""
    return config.rule.exit if config.rule.file is None else "bracket"


def own_signals(file: str, predictions: Predictions, bars: Bars) -> Signals:
    """What the user's own rule, "mine.py:function", says."""
    signals = load_function(file)(predictions, bars)
    if not isinstance(signals, Signals):
        raise ConfigError(f"{file} must return convnext_vbt.Signals, got {type(signals).__name__}")
    return signals


NONE = Splits(())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """What the learning half makes of the bars before any training."""

    bars: Bars
    features: Features
    labels: Labels
    splits: Splits
    combinations: Splits = NONE
    """Those of `splits.kind` = "cpcv", numbered after the others."""


def check_rule(config: Config) -> None:
    """Find what the sweep would refuse, before anything is trained for it.

    Raises `ConfigError` for a threshold that is none and for keys that do not go together,
    `UserCodeError` for a rule that cannot be loaded.
    """
    rule, initial, lists = config.rule, config.selection.initial, config.sweep
    if config.labels.file is not None:
        _refuse_unpriced(config)
    if config.model.primary is not None and rule_exit(config) == "edge":
        raise ConfigError(
            'model.primary: with rule.exit = "edge" a trade would outlast the side that it was '
            'taken for; set rule.exit = "bracket"'
        )
    if rule.file is not None:
        load_function(rule.file)
        return
    thresholds = [("[rule] threshold", rule.threshold), ("[rule] full", rule.full)]
    thresholds += [("[sweep] threshold", value) for value in config.sweep.threshold]
    if rule.short_threshold is not None:
        thresholds.append(("[rule] short_threshold", rule.short_threshold))
    if initial is not None:
        thresholds.append(("[selection] initial", initial))
    try:
        for name, value in thresholds:
            parse_threshold(value, name)
        levels = (*lists.threshold, rule.threshold)
        refuse_untradable(rule, config.trading, levels, lists.hysteresis, lists.min_edge)
        check_multiples(rule.exit, lists)
    except InputError as error:
        raise ConfigError(str(error)) from None


def _refuse_unpriced(config: Config) -> None:
    """What a user's own UP and DOWN are worth in money nobody knows, nor where their stops lie."""
    rule = config.rule
    asked = {} if rule.file else {
        "rule.exit": (rule.exit, "bracket"),
        "rule.min_edge": (rule.min_edge, None),
        "rule.full_edge": (rule.full_edge, None),
        "sweep.min_edge": (config.sweep.min_edge, None),
    }  # fmt: skip
    wrong = [name for name, (value, needed) in asked.items() if value != needed]
    if config.trading.stop is None:
        wrong.append("trading.stop")
    if wrong:
        raise ConfigError(
            f"labels.file: what your UP and DOWN are worth in money is not known, and "
            f'{", ".join(wrong)} would need it; set rule.exit = "bracket", rule.min_edge = '
            '"none", rule.full_edge = "none", no sweep.min_edge, and trading.stop, such as 0.03'
        )


def prepare(config: Config, bars: Bars) -> Prepared:
    """Features, labels and splits of these bars, once rule, account and model can be used.

    Raises `InputError` too where the first split cannot have the history that is needed.
    """
    check_rule(config)
    check_account(config, bars)
    if config.model.primary is not None:
        refuse_early(config.model.primary, bars)
    if config.labels.file is not None:
        own = OwnLabels(reference=config.labels.file, horizon=config.labels.horizon)
        refuse_foresight(own, bars, _labels(config, bars))
    prepared = prepare_again(config, bars)
    check_sweep_of(config, bars, made_up(config, bars, prepared.splits))
    if config.model.file is not None:
        names = prepared.features.names
        tell(config.model, try_own(config.model, config.training, len(names), seed=config.seed))
    return prepared


def prepare_again(config: Config, bars: Bars) -> Prepared:
    """The same of what `prepare` has found to be right."""
    labels, features = make_labels(config, bars), make_features(config, bars)
    kind = kind_of(config.model.kind)
    kind.check(config.model, config.training, features.names)
    splits = config.splits.split(labels)
    reach = kind.receptive_field(config.model, len(features.names))
    refuse_untrainable(features, labels, splits, reach)
    return Prepared(
        bars=bars,
        features=features,
        labels=labels,
        splits=splits,
        combinations=config.splits.combinations(
            labels, first=features.warmup + reach - 1, number=len(splits)
        ),
    )


def made_up(config: Config, bars: Bars, splits: Splits) -> Predictions:
    """Predictions that know nothing, in the place of those to come: what a rule can be tried on.

    They have all that a walk-forward's have, members of an ensemble too.
    """
    rng = np.random.default_rng(config.seed)
    split_TN = np.full(bars.close.shape, -1, dtype=np.int16)
    for split in splits:
        split_TN[slice(*split.test)] = split.number
    split_TN[~bars.present] = -1
    proba_TNK = rng.dirichlet(np.ones(len(CLASSES)), bars.close.shape).astype(np.float32)
    proba_TNK[split_TN < 0] = np.nan
    known_RK = proba_TNK[split_TN >= 0]
    shape = (len(splits), 1)
    fits = tuple(
        SplitFit(
            number=split.number, epochs=1, valid_loss=1.0, prior_loss=1.1, prior=(0.3, 0.4, 0.3),
            num_scores=len(known_RK),
        )
        for split in splits
    )  # fmt: skip
    one = Predictions(
        index=bars.index,
        symbols=bars.symbols,
        proba=proba_TNK,
        split=split_TN,
        splits=tuple(splits),
        fits=fits,
        quantiles=np.tile(confidence_quantiles(known_RK), shape),
        nonconformity=np.tile(
            conformal_scores(known_RK, rng.integers(0, len(CLASSES), len(known_RK))), shape
        ),
        target=config.labels.target,
        receptive_field=1,
    )
    ensemble = config.training.ensemble
    return replace(one, members=(one,) * ensemble if ensemble > 1 else ())


def walk(
    config: Config,
    prepared: Prepared,
    *,
    directory: Path | None = None,
    siblings: Sequence[Path] = (),
    jobs: int | None = None,
    device: str = "auto",
    progress: Callable[[SplitDone], None] | None = None,
    watch: Path | None = None,
    with_paths: bool = False,
) -> Predictions:
    """Every split trained and predicted: `learning.walkforward.walk_forward` by this strategy.

    `with_paths` trains the combinations too, for `predicted_paths`.
    """
    return walk_forward(
        prepared.bars,
        prepared.features,
        prepared.labels,
        prepared.splits,
        model=config.model,
        training=config.training,
        target=config.labels.target,
        seed=config.seed,
        directory=directory,
        siblings=siblings,
        jobs=jobs,
        device=device,
        progress=progress,
        watch=watch,
        further=prepared.combinations if with_paths else (),
    )


def predicted_paths(
    config: Config,
    prepared: Prepared,
    *,
    directory: Path | None = None,
    siblings: Sequence[Path] = (),
    jobs: int | None = None,
    device: str = "auto",
) -> Iterator[Predictions]:
    """The predictions of each path: `learning.walkforward.walk_paths` by this strategy."""
    return walk_paths(
        prepared.bars,
        prepared.features,
        prepared.labels,
        prepared.combinations,
        model=config.model,
        training=config.training,
        target=config.labels.target,
        seed=config.seed,
        directory=directory,
        siblings=siblings,
        jobs=jobs,
        device=device,
    )


def _predict(
    config: Config,
    jobs: int | None,
    device: str,
    bars: Bars,
    features: Features,
    labels: Labels,
    splits: Splits,
) -> Predictions:
    prepared = Prepared(bars=bars, features=features, labels=labels, splits=splits)
    return walk(config, prepared, jobs=jobs, device=device)
