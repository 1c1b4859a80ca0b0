"""The families of `benchmarks.nulls`: a market each, and what is traded there."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial

from benchmarks.nullmarkets import Market, bounce, crashes, drifting, martingale, season, waves
from benchmarks.nullrules import (
    COSTS,
    DAY,
    TIGHT,
    TOKEN,
    WIDE,
    Rule,
    biased,
    bracketed,
    by_the_clock,
    following,
    learned,
    of_twenty,
    timed_long,
    timed_sides,
    told,
)

NO_COSTS = "no costs"

BIASED_20: tuple[Rule, ...] = tuple(
    partial(biased, hour=hour, halflife=halflife, token=token)
    for hour, halflife, token in itertools.product(
        (0, 30, 60, 90, 120), (24.0, 168.0), (TOKEN, 2 * TOKEN)
    )
)
FOLLOWING_20: tuple[Rule, ...] = tuple(
    partial(following, sign=sign, hours=hours, every=every)
    for sign, hours, every in itertools.product((1, -1), (6, 12, 24, 48, 168), (DAY, 2 * DAY))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A market and what is traded there."""

    market: Market
    rule: Rule
    knows: frozenset[str] = frozenset()
    """The costs at which a PASS is right."""
    one_in: int = 1
    """Of so many seeds, one is run: what is slow."""


def _told(sharpe: float, short: bool) -> Family:
    rule = partial(told, sharpe=sharpe, short=short)
    return Family(market=martingale, rule=rule, knows=frozenset(COSTS), one_in=4)


TIGHT_STOP = partial(bracketed, stop=TIGHT, take_profit=WIDE)
WIDE_STOP = partial(bracketed, stop=WIDE, take_profit=TIGHT)

FAMILIES = {
    "long-biased +50 %": Family(market=drifting(waves, 1.5), rule=biased),
    "long-biased +100 %": Family(market=drifting(waves, 2.0), rule=biased),
    "long-biased +200 %": Family(market=drifting(waves, 3.0), rule=biased),
    "timed long": Family(market=waves, rule=timed_long),
    "timed long +100 %": Family(market=drifting(waves, 2.0), rule=timed_long),
    "timed sides": Family(market=waves, rule=timed_sides),
    "timed sides +100 %": Family(market=drifting(waves, 2.0), rule=timed_sides),
    "tight stop": Family(market=martingale, rule=TIGHT_STOP),
    "tight stop +100 %": Family(
        market=drifting(martingale, 2.0), rule=partial(TIGHT_STOP, longs=0.8)
    ),
    "wide stop": Family(market=martingale, rule=WIDE_STOP),
    "wide stop +100 %": Family(
        market=drifting(martingale, 2.0), rule=partial(WIDE_STOP, longs=0.8)
    ),
    "momentum": Family(market=martingale, rule=following),
    "reversal": Family(market=martingale, rule=partial(following, sign=-1)),
    "season": Family(market=season, rule=by_the_clock, knows=frozenset({NO_COSTS})),
    "bounce": Family(market=bounce, rule=learned, one_in=2),
    "crashes, long": Family(market=crashes, rule=biased),
    "crashes, short": Family(market=crashes, rule=partial(biased, side=-1)),
    "told 2.5": _told(2.5, short=True),
    "told 2.5, long-only": _told(2.5, short=False),
    "told 8": _told(8.0, short=True),
    "told 7, long-only": _told(7.0, short=False),
    "best of 20 long-biased": Family(
        market=drifting(waves, 2.0), rule=partial(of_twenty, BIASED_20), one_in=2
    ),
    "best of 20 momentum": Family(
        market=martingale, rule=partial(of_twenty, FOLLOWING_20), one_in=2
    ),
}
