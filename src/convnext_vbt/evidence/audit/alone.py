"""Features, and a user's own rule, by themselves: many more cuts than a whole run can pay for.

Dimensions: T bars, N symbols, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence.audit.garbage import another_future, garbage_after
from convnext_vbt.evidence.audit.report import Cut
from convnext_vbt.evidence.audit.trace import (
    Difference,
    feature_values,
    first_feature,
    first_signal,
)
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions
from convnext_vbt.trading.signals import Signals

NUM_CUTS = 500
"""At regular distances: of leaks that come every so many bars, at most as many, none is missed."""
NUM_UNUSUAL = 12
"""Of each kind of unusual bar."""
BLOCK = 5_000
"""Bars that features are computed on; more where their warm-up is long."""
TOLERANCE = 1e-5
"""Standard deviations: how much a sum may differ when the arrays have another length."""
GREGORIAN_CYCLE = pd.Timedelta(days=10_227)
"""28 years, after which dates and weekdays fall together again (from 1901 to 2099)."""
FORETOLD = (1, 24)
"""Bars over which a move may be foretold."""
MOST_T = 7.0
"""|t| beyond which a column of another market's bars knows these ones' moves: less than one column
in 10^8 does so by luck."""
NUM_BATCHES = 50
MOST_SCORE = 4.0
"""Standard deviations at which a value is cut off before it is correlated."""

Found = tuple[Cut, Difference | None]


def cut_features(
    bars: Bars, features: Any, make: Callable[[Bars], Any], *, seed: int
) -> Iterator[Found]:
    """Features of bars whose future is another market on another calendar, beside those as it was.

    `features` are what `make` makes of the bars. The cuts are `cuts_alone`; features are computed
    on blocks of some thousand bars. Equal is what differs by less than `TOLERANCE`.
    """
    warmup = int(getattr(features, "warmup", 0))
    half = max(BLOCK // 2, 2 * warmup)
    start, block, real = -1, bars, features
    skipped = False
    for cut in cuts_alone(bars, warmup, seed):
        first = max(0, (cut.bar // half - 1) * half)
        if first != start:
            start, block = first, bars.rows(first, min(len(bars), first + 2 * half))
            try:
                real, skipped = make(block), False
            except ValueError:  # a symbol that begins later, say: too little to compare
                skipped = True
        if skipped:
            continue
        inside = cut.bar - start
        try:
            other = _on_another_future(block, inside, make, seed)
        except ValueError as error:  # on bars that are the same but for the future
            yield cut, Difference(bar=cut.bar, text=f"the features fail: {error}")
            continue
        found = first_feature(real, other, inside, bars.symbols, tolerance=TOLERANCE, shift=start)
        yield cut, found


def _on_another_future(bars: Bars, bar: int, make: Callable[[Bars], Any], seed: int) -> Any:
    """What is made of another future, of one without outages where it cannot do with any."""
    try:
        return make(another_future(bars, bar, seed=seed))
    except ValueError:
        return make(another_future(bars, bar, pauses=False, seed=seed))


def cut_rule(
    bars: Bars, preds: Predictions, rule: Callable[[Bars, Predictions], Signals], *, seed: int
) -> Iterator[Found]:
    """A rule's signals where later bars and probabilities are garbage, beside those as they are.

    At every other cut the future has another calendar too.
    """

    def on_other_bars(future: Bars, bar: int) -> Signals:
        return rule(future, _cut_probabilities(preds, future, bar, seed))

    real = rule(bars, preds)
    predicted = np.flatnonzero((preds.split >= 0).any(axis=1))
    for cut in cuts_alone(bars, int(predicted[0]) if len(predicted) else 0, seed):
        try:
            if cut.bar % 2:
                future = garbage_after(bars, cut.bar, seed=seed)
                other = rule(future, other_probabilities(preds, cut.bar))
            else:
                make = partial(on_other_bars, bar=cut.bar)
                other = _on_another_future(bars, cut.bar, make, seed)
        except ValueError as error:  # on bars that are the same but for the future
            yield cut, Difference(bar=cut.bar, text=f"the rule fails: {error}")
            continue
        rows = (0, cut.bar + 1)
        yield cut, first_signal(real.rows(*rows), other.rows(*rows), cut.bar)


def rule_foretells(
    bars: Bars, preds: Predictions, rule: Callable[[Bars, Predictions], Signals]
) -> Difference | None:
    """Whether its entries on another market, with probabilities of others, foretell these bars."""
    signals = rule(garbage_after(bars, 0), other_probabilities(preds, -1))
    side = signals.entries.astype(float) - signals.short_entries
    for column, symbol in enumerate(signals.symbols):
        n = bars.symbols.index(symbol)
        values = np.full(preds.split.shape, np.nan)
        values[:, n] = np.where(preds.split[:, n] >= 0, side[:, column], np.nan)
        t = foretelling(bars, values)[n]
        if t > MOST_T:
            text = f"its entries on another market's bars foretell these (t = {t:.0f}): it holds"
            return Difference(bar=0, text=f"{text} a table of what came, or remembers it")
    return None


def other_probabilities(preds: Predictions, bar: int) -> Predictions:
    """The same up to `bar`; then those of bars in another order, UP and DOWN exchanged."""
    proba = preds.proba.copy()
    for n in range(len(preds.symbols)):
        rows = bar + 1 + np.flatnonzero(preds.split[bar + 1 :, n] >= 0)
        proba[rows, n] = proba[rows[::-1], n, ::-1]
    return replace(preds, proba=proba, members=())


def _cut_probabilities(preds: Predictions, future: Bars, bar: int, seed: int) -> Predictions:
    """The same up to `bar`; then some for the bars of another future."""
    later = len(future) - bar - 1
    rng = np.random.default_rng([seed, bar])
    drawn = rng.dirichlet((2.0, 2.0, 2.0), (later, len(preds.symbols)))
    number = preds.split[: bar + 1].max()
    split = np.where(future.present[bar + 1 :] & (number >= 0), number, -1)
    drawn[split < 0] = np.nan
    return replace(
        preds,
        index=future.index,
        proba=np.concatenate([preds.proba[: bar + 1], drawn]),
        split=np.concatenate([preds.split[: bar + 1], split]),
        members=(),
    )


def cuts_alone(bars: Bars, warmup: int, seed: int) -> list[Cut]:
    """`NUM_CUTS` bars, no two of which are alike in any rhythm, and unusual ones, in order."""
    first, last = min(warmup, len(bars) - 2), len(bars) - 2
    span = last - first + 1
    step = max(1, span // NUM_CUTS)
    while step > 1 and np.gcd(step, NUM_CUTS) > 1:  # all remainders of NUM_CUTS come up
        step -= 1
    regular = [first + k * step for k in range(min(NUM_CUTS, span))]
    cuts = [Cut(bar=bar, why="regular bar") for bar in regular]
    rng = np.random.default_rng(seed)
    for why, found in _unusual(bars).items():
        inside = found[(found >= first) & (found <= last)]
        cuts += [Cut(bar=int(bar), why=why) for bar in rng.permutation(inside)[:NUM_UNUSUAL]]
    unique = {cut.bar: cut for cut in reversed(cuts)}
    return [unique[bar] for bar in sorted(unique)]


def _unusual(bars: Bars) -> dict[str, np.ndarray]:
    """Bars at which somebody might look further ahead than at others."""
    volume, close = (np.nan_to_num(getattr(bars, name)) for name in ("volume", "close"))
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.nan_to_num(np.abs(np.diff(np.log(close), axis=0, prepend=np.nan)), posinf=0.0)
        reach = np.nan_to_num(np.log(bars.high / bars.low))
    most = {"most volume": volume, "largest move": moved, "widest range": reach}
    out = {why: _largest(values) for why, values in most.items()}
    out["least volume"] = _largest(-volume)
    days = bars.index.normalize()
    for why, period in (
        ("end of a day", days),
        ("end of a week", days - pd.to_timedelta(days.day_of_week, unit="D")),
        ("end of a month", days - pd.to_timedelta(days.day - 1, unit="D")),
    ):
        out[why] = np.flatnonzero(period[1:] != period[:-1])
    gap = np.flatnonzero(np.diff(bars.index.asi8) > bars.step.value)
    out["before a gap"], out["after a gap"] = gap, gap + 1
    present = bars.present
    out["a symbol's end"] = np.flatnonzero((present[:-1] & ~present[1:]).any(axis=1))
    return out


def _largest(values_TN: np.ndarray) -> np.ndarray:
    rows = np.argsort(-values_TN, axis=0, kind="stable")[:NUM_UNUSUAL]
    return np.unique(rows)[:NUM_UNUSUAL]


def outside_columns(
    bars: Bars, features: Any, make: Callable[[Bars], Any]
) -> tuple[tuple[str, ...], Difference | None]:
    """Columns that read the clock alone, and the first one that comes from elsewhere.

    A column that, made of another market's bars, foretells what these ones did holds a table of
    it. One that stays as it is on the other's bars reads no bars. On the same bars 28 years
    later dates and weekdays fall together again, so that a column of bars and clock stays as it
    is; what does not was brought along, a table, a cache, a file, be it mixed with the bars.
    """
    real = _by_column(feature_values(features))
    other = _by_column(feature_values(make(garbage_after(bars, 0))))
    if real.shape != other.shape:
        return (), None
    try:
        later = _by_column(feature_values(make(replace(bars, index=bars.index + GREGORIAN_CYCLE))))
    except ValueError as error:
        return (), Difference(bar=0, text=f"the same bars 28 years later make it fail: {error}")
    told = np.isfinite(real).any(axis=0)
    blind = told & _same(real[1:], other[1:]).all(axis=0)
    stays = _close(real, later)
    names = [_name(column, features, bars) for column in range(real.shape[1])]
    known = foretelling(bars, other)
    if (known > MOST_T).any():
        column = int(known.argmax())
        text = f"{names[column]}, made of another market's bars, foretells these: it holds a table"
        return (), Difference(bar=0, text=f"{text} of what came (t = {known[column]:.0f})")
    clock = [names[column] for column in np.flatnonzero(blind & stays.all(axis=0))]
    foreign = np.flatnonzero(told & ~stays.all(axis=0))
    found = None
    if len(foreign):
        column = int(foreign[np.argmax(blind[foreign])])
        what = (
            "is the same whatever the bars are, and does not follow from the clock either: it was "
            "brought along"
            if blind[column]
            else "is another one for the same bars 28 years later: it reads more than bars and "
            "clock, a table that was brought along or the year itself"
        )
        row = int(np.flatnonzero(~stays[:, column])[0])
        found = Difference(bar=row, text=f"{names[column]} {what}")
    return tuple(dict.fromkeys(clock)), found


def foretelling(bars: Bars, values: np.ndarray) -> np.ndarray:
    """|t| of each column of (T, columns) against the side of its symbol's next moves, the largest.

    By batch means (Schmeiser 1982), which count what neighbours have in common.
    """
    opens = np.log(bars.open)
    per_symbol = values.shape[1] // len(bars.symbols)
    out = np.zeros(values.shape[1])
    for horizon in FORETOLD:
        if len(bars) < NUM_BATCHES * (horizon + 2):
            continue
        side = np.sign(opens[1 + horizon :] - opens[1:-horizon])
        for column, told in enumerate(values[: len(side)].T):
            moved = side[:, column // per_symbol]
            both = np.isfinite(told) & np.isfinite(moved)
            if both.sum() < NUM_BATCHES * (horizon + 2) or told[both].std() == 0:
                continue
            score = (told[both] - told[both].mean()) / told[both].std()
            score = np.clip(score, -MOST_SCORE, MOST_SCORE)
            product = score * (moved[both] - moved[both].mean())
            means = np.array([part.mean() for part in np.array_split(product, NUM_BATCHES)])
            error = means.std(ddof=1) / np.sqrt(NUM_BATCHES)
            out[column] = max(out[column], abs(means.mean()) / error if error > 0 else 0.0)
    return out


def _by_column(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


def _same(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.asarray((left == right) | ((left != left) & (right != right)))


def _close(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Equal but for the rounding of a time that is counted from far away."""
    with np.errstate(invalid="ignore"):
        near = np.abs(left - right) <= TOLERANCE * np.nan_to_num(np.nanstd(left, axis=0))
    return np.asarray(near | _same(left, right))


def _name(column: int, features: Any, bars: Bars) -> str:
    names = getattr(features, "names", ())
    if not names:
        return "feature"
    name = str(names[column % len(names)])
    return name if len(bars.symbols) == 1 else f"{name} of {bars.symbols[column // len(names)]}"
