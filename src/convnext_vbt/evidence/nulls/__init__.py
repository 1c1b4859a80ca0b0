"""Every null that a strategy is measured against: one file each, one line each in `NULLS`."""

from collections.abc import Iterator, Mapping

from convnext_vbt.evidence.nulls.bootstrapped_bars import BOOTSTRAPPED_BARS
from convnext_vbt.evidence.nulls.null import Case, Null, NullTest
from convnext_vbt.evidence.nulls.random_sides import RANDOM_SIDES
from convnext_vbt.evidence.nulls.random_times import RANDOM_TIMES
from convnext_vbt.evidence.nulls.shuffled_labels import SHUFFLED_LABELS

NULLS: tuple[NullTest, ...] = (
    RANDOM_SIDES,
    RANDOM_TIMES,
    SHUFFLED_LABELS,
    BOOTSTRAPPED_BARS,
)
"""In the order in which they are shown."""


def draw_nulls(case: Case) -> dict[str, Null]:
    """By name: with stages those that train again, without any the others."""
    retrains = case.stages is not None
    return {test.name: test.draw(case) for test in NULLS if test.retrains == retrains}


def shown(nulls: Mapping[str, Null]) -> Iterator[tuple[NullTest, Null]]:
    """Each of these nulls with its test, in the order of `NULLS`."""
    return ((test, nulls[test.name]) for test in NULLS if test.name in nulls)
