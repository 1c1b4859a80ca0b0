"""The causality audit: the future is replaced by garbage, and nothing before it may change.

At every boundary of every split and at many other bars t, all that comes after the close of t is
replaced and the whole run is done again: features, labels, splits, predictions, signals, sizes,
the nested choice of rules, orders, equity. What was known at t must come out equal to the last
bit. Each split is also trained a second time, with garbage from its test range on; of a split that
begins later, what another one has learned stands in. Bars are never cut off: the shapes stay, so a
difference is a leak and not another order of floating-point sums.

Features, and a rule of the user's own, are then looked at alone, at hundreds of bars; there the
calendar of the future is another one too. Columns that read no bars must follow from the clock. All
of it rests on code that gives the same twice, which is tried first.
Dimensions: T bars, N symbols, K splits.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import joblib
import numpy as np

from convnext_vbt.errors import InputError
from convnext_vbt.evidence.audit.alone import (
    cut_features,
    cut_rule,
    other_probabilities,
    outside_columns,
    rule_foretells,
)
from convnext_vbt.evidence.audit.garbage import garbage_after
from convnext_vbt.evidence.audit.report import AuditReport, Check, Cut, LateStart
from convnext_vbt.evidence.audit.trace import (
    AFTER_TRAINING,
    BEFORE_TRAINING,
    Difference,
    Prepared,
    Traded,
    compare_arrays,
    compare_prepared,
    compare_traded,
    feature_values,
    first_feature,
    first_signal,
    ranges_of,
)
from convnext_vbt.evidence.selection import USUAL, Preset
from convnext_vbt.evidence.stages import AuditStages
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Range, Split

REPEATED, ALONE, OUTSIDE = "asked twice", "features alone", "columns"
"""Before all others: whether the user's code gives the same twice; beside "features": at many more
bars, and whether columns come from the bars or the clock."""
RULE_ALONE = "rule alone"
RETRAINED = "retrained split"
"""The stage in which a split that was trained twice predicts the same bars twice."""
NUM_RANDOM_BARS = 12
NUM_ODD_BARS = 4
"""Of each kind of bar at which something is missing."""


def audit(
    bars: Bars,
    stages: AuditStages,
    preset: Preset = USUAL,
    *,
    num_random_bars: int = NUM_RANDOM_BARS,
    jobs: int = 1,
) -> AuditReport:
    """Replace the future by garbage again and again; report the first thing that noticed.

    Cuts are all boundaries of all splits, the first bars of their test ranges, `num_random_bars`
    bars at random, as many at which the account entered (there only the open of the entry bar is
    known), the first bars in doubling steps, and bars beside gaps and without volume. Every split
    is trained twice, `jobs` side by side; otherwise the weights of the first training are used.

    Raises `ValueError` when a stage fails on garbage that it accepts as bars; the message names
    the bar after which it began.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few trades, of divisions in the user's own code
        return _Audit(bars, stages, preset).report(num_random_bars, jobs)


class _Audit:
    """One audit: the run as it is, beside which every other one is laid."""

    def __init__(self, bars: Bars, stages: AuditStages, preset: Preset) -> None:
        self.bars, self.stages, self.preset = bars, stages, preset
        # Before the first call here: who remembers, in a module or the environment, remembers
        # another market there.
        make = stages.features_afresh
        self.afresh = None if make is None else make(garbage_after(bars, 0), bars)
        self.real = Prepared.of(stages, bars)
        self.splits = list(self.real.splits)

    def report(self, num_random_bars: int, jobs: int) -> AuditReport:
        self.fits, again = self._train(jobs)
        self.traded = self._trade(self.real, self.fits)
        repeated = list(self._repeat())
        if not all(check.identical for check in repeated):
            return AuditReport(stages=(REPEATED,), checks=tuple(repeated))
        parts = list(self.stages.parts(self.fits[0]))
        checks = [*repeated, *self._compare_fits(again)]
        for cut in self._cuts(num_random_bars):
            checks += self._compare(cut)
        alone = list(self._alone())
        clock, outside = self._outside()
        rule = () if self.stages.rule is None else (RULE_ALONE,)
        features, *before = BEFORE_TRAINING
        return AuditReport(
            stages=(
                REPEATED, features, ALONE, OUTSIDE, *before, *parts, RETRAINED, *AFTER_TRAINING,
                *rule,
            ),
            checks=(*checks, *alone, outside, *self._rule_alone()),
            late_starts=tuple(self._late_starts()),
            clock=clock,
            bars_alone=len(alone),
            traded=len(self.traded.selection.simulation.trades) > 0,
        )  # fmt: skip

    def _repeat(self) -> Iterator[Check]:
        """The same bars once more, features and rule."""
        last = len(self.bars) - 1
        cut = Cut(bar=last, why="asked twice")
        again = self.stages.features(self.bars)
        names = self.bars.symbols
        yield self._check(REPEATED, cut, first_feature(self.real.features, again, last, names))
        if self.afresh is not None:
            found = first_feature(self.real.features, self.afresh, last, names)
            yield self._check(REPEATED, cut, found)
        if self.stages.rule is not None:
            other = self._trade(self.real, self.fits)
            after = compare_traded(self.traded, other, last, next_open=False)
            yield self._check(REPEATED, cut, next(filter(None, after), None))
        if self.stages.rule_afresh is not None:
            yield self._check(REPEATED, cut, self._rule_afresh(last))

    def _rule_afresh(self, last: int) -> Difference | None:
        """Whether the rule says the same where it has seen nothing but another market before."""
        stages, preds = self.stages, self.traded.predictions
        assert stages.rule is not None
        assert stages.rule_afresh is not None
        before = garbage_after(self.bars, 0), other_probabilities(preds, -1)
        afresh = stages.rule_afresh(before, (self.bars, preds))
        return first_signal(stages.rule(self.bars, preds), afresh, last)

    def _alone(self) -> Iterator[Check]:
        features, make, seed = self.real.features, self.stages.features, self.preset.seed
        for cut, difference in cut_features(self.bars, features, make, seed=seed):
            yield self._check(ALONE, cut, difference)

    def _outside(self) -> tuple[tuple[str, ...], Check]:
        """Columns that follow from the clock, and whether any is from elsewhere."""
        clock, found = outside_columns(self.bars, self.real.features, self.stages.features)
        cut = Cut(bar=len(self.bars) - 1, why="all bars are others")
        return clock, self._check(OUTSIDE, cut, found)

    def _rule_alone(self) -> Iterator[Check]:
        rule, preds = self.stages.rule, self.traded.predictions
        if rule is not None:
            for cut, difference in cut_rule(self.bars, preds, rule, seed=self.preset.seed):
                yield self._check(RULE_ALONE, cut, difference)
            cut = Cut(bar=len(self.bars) - 1, why="all bars are others")
            yield self._check(RULE_ALONE, cut, rule_foretells(self.bars, preds, rule))

    def _train(self, jobs: int) -> tuple[list[Any], list[Any]]:
        """Every split as it is, and again with garbage from its test range on."""
        tasks = [(self.real, split) for split in self.splits]
        for number, split in enumerate(self.splits):
            other = self._prepared(Cut(bar=split.test[0] - 1, why=""))
            tasks.append((other, list(other.splits)[number]))
        fits = joblib.Parallel(n_jobs=jobs)(
            joblib.delayed(self.stages.fit)(run.bars, run.features, run.labels, split)
            for run, split in tasks
        )
        return fits[: len(self.splits)], fits[len(self.splits) :]

    def _prepared(self, cut: Cut) -> Prepared:
        garbage = garbage_after(self.bars, cut.bar, keep_open=cut.next_open, seed=self.preset.seed)
        try:
            return Prepared.of(self.stages, garbage)
        except ValueError as error:
            raise InputError(self._failure(cut, error)) from error

    def _trade(self, run: Prepared, fits: Sequence[Any]) -> Traded:
        preds = self.stages.forecast(run.bars, run.features, self.splits, fits)
        result = self.stages.sweep(run.bars, preds)
        selection = self.stages.select(result, self.preset)
        return Traded(predictions=preds, result=result, selection=selection)

    def _failure(self, cut: Cut, error: Exception) -> str:
        return (
            f"the strategy failed on garbage after bar {cut.bar} ({self.bars.index[cut.bar]}), "
            f"which are valid bars all the same: {error}"
        )

    def _compare_fits(self, again: Sequence[Any]) -> Iterator[Check]:
        """What each split learned, and what it then says about its test range."""
        real = self.real
        second = self.stages.forecast(self.bars, real.features, self.splits, again)
        for fit, other, split in zip(self.fits, again, self.splits, strict=True):
            cut = Cut(bar=split.test[0] - 1, why=f"split {split.number + 1} trained again")
            theirs = self.stages.parts(other)
            for stage, arrays in self.stages.parts(fit).items():
                found = (
                    compare_arrays(
                        value,
                        theirs[stage][name],
                        f"{name} of split {split.number + 1}",
                        cut.bar + 1,
                    )
                    for name, value in arrays.items()
                )
                yield self._check(stage, cut, next(filter(None, found), None))
            says, now = (p.proba[slice(*split.test)] for p in (self.traded.predictions, second))
            title = f"what split {split.number + 1} predicts"
            yield self._check(RETRAINED, cut, compare_arrays(says, now, title, cut.bar + 1))

    def _compare(self, cut: Cut) -> Iterator[Check]:
        """Every stage but training, with everything after the cut replaced."""
        other = self._prepared(cut)
        found = list(compare_prepared(self.real, other, cut.bar))
        for stage, difference in zip(BEFORE_TRAINING, found, strict=True):
            yield self._check(stage, cut, difference)
        if any(found) or cut.bar + 1 < self.splits[0].test[0]:
            return  # what follows inherits the leak, or nothing is predicted yet
        try:
            traded = self._trade(other, self._fits_known(cut.bar))
        except ValueError as error:
            raise InputError(self._failure(cut, error)) from error
        after = compare_traded(self.traded, traded, cut.bar, next_open=cut.next_open)
        for stage, difference in zip(AFTER_TRAINING, after, strict=True):
            yield self._check(stage, cut, difference)

    def _fits_known(self, bar: int) -> list[Any]:
        """What was learned for test ranges that begin by the bar after `bar`; then strangers."""
        others = [*self.fits[1:], self.fits[0]]
        learned = bool(bar % 2)
        return [
            fit if split.test[0] <= bar + 1 else self.stages.as_split(other, split, learned)
            for split, fit, other in zip(self.splits, self.fits, others, strict=True)
        ]

    def _check(self, stage: str, cut: Cut, difference: Difference | None) -> Check:
        index = self.bars.index
        when = None if difference is None else index[difference.bar]
        return Check(
            stage=stage, cut=cut, time=index[cut.bar], difference=difference, difference_time=when
        )

    def _cuts(self, num_random_bars: int) -> list[Cut]:
        """All cuts in order of time, each once."""
        rng = np.random.default_rng(self.preset.seed)
        last = len(self.bars) - 2
        cuts = [*_boundaries(self.splits)]
        drawn = rng.choice(last + 1, size=min(num_random_bars, last + 1), replace=False)
        cuts += [Cut(bar=int(bar), why="random bar") for bar in drawn]
        cuts += [Cut(bar=2**k - 1, why="early bar") for k in range(last.bit_length())]
        for why, odd in _odd_bars(self.bars).items():
            chosen = rng.permutation(odd)[:NUM_ODD_BARS]
            cuts += [Cut(bar=int(bar), why=why) for bar in chosen]
        entries = self.traded.selection.simulation.trades["entry_idx"]
        filled = np.unique(entries + self.traded.result.window[0])
        cuts += [
            Cut(bar=int(bar) - 1, why="entry at the next open", next_open=True)
            for bar in rng.permutation(filled)[:num_random_bars]
        ]
        unique = {(cut.bar, cut.next_open): cut for cut in reversed(cuts) if 0 <= cut.bar <= last}
        return [unique[key] for key in sorted(unique)]

    def _late_starts(self) -> Iterator[LateStart]:
        """History from a bar later, from halfway to the first test range, and from there."""
        first = self.splits[0].test[0]
        for dropped in sorted({1, first // 2, first}):
            yield self._late_start(dropped)

    def _late_start(self, dropped: int) -> LateStart:
        cut = self.bars.rows(dropped, len(self.bars))
        features = self.stages.features(cut)
        later = [
            (_moved(split, dropped), fit)
            for split, fit in zip(self.splits, self.fits, strict=True)
            if split.test[1] > dropped
        ]
        preds = self.stages.forecast(cut, features, *map(list, zip(*later, strict=True)))
        before = self.traded.predictions.proba[dropped:]
        moves = np.abs(preds.proba.astype(np.float64) - before)
        known = np.isfinite(moves)
        move, name = _feature_move(self.real.features, features, dropped)
        return LateStart(
            dropped=dropped,
            feature_move=move,
            feature=name,
            prediction_move=float(moves[known].max()) if known.any() else np.nan,
            predictions=int(known.all(axis=2).sum()),
        )


def _boundaries(splits: Sequence[Split]) -> Iterator[Cut]:
    for split in splits:
        limits = [
            (f"end of {name} of split {split.number + 1}", b) for name, _, b in ranges_of(split)
        ]
        limits.append((f"end of test of split {split.number + 1}", split.test[1]))
        for why, limit in limits:
            yield Cut(bar=limit - 1, why=why)
        # what was learned last for this range, from outcomes of the ranges before, is used here
        yield Cut(bar=split.test[0], why=f"first bar of test of split {split.number + 1}")


def _odd_bars(bars: Bars) -> dict[str, np.ndarray]:
    """Bars at which something is missing: what fills it must not come from later."""
    missing = ~bars.present
    return {
        "missing bar": np.flatnonzero(missing.any(axis=1)),
        "gap in time": np.flatnonzero(np.diff(bars.index.asi8) > bars.step.value),
        "no volume": np.flatnonzero((bars.volume == 0).any(axis=1)),
    }


def _moved(split: Split, dropped: int) -> Split:
    """The same split when the first bars are gone."""

    def moved(bars: Range) -> Range:
        return max(0, bars[0] - dropped), max(0, bars[1] - dropped)

    return replace(split, train=moved(split.train), test=moved(split.test))


def _feature_move(full: Any, short: Any, dropped: int) -> tuple[float, str]:
    """Largest move in standard deviations and the feature that makes it."""
    values = feature_values(full).astype(np.float64)
    spread = np.nanstd(values.reshape(-1, values.shape[-1]) if values.ndim > 2 else values, axis=0)
    moves = np.abs(feature_values(short) - values[dropped:])
    moves = moves / np.where(spread > 0, spread, 1.0)
    known = np.isfinite(moves)
    if not known.any():
        return np.nan, ""
    at = np.unravel_index(np.where(known, moves, -1.0).argmax(), moves.shape)
    names = getattr(full, "names", ())
    return float(moves[at]), str(names[at[-1]]) if names else ""
