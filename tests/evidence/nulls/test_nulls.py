"""Nulls as a mapping: every one has a name of its own and is drawn where it can be."""

import math
from dataclasses import replace

import numpy as np
import pytest

from convnext_vbt.evidence.headline import headline_of
from convnext_vbt.evidence.nulls import NULLS, draw_nulls, shown
from convnext_vbt.evidence.nulls.null import Case, compare, undefined
from convnext_vbt.evidence.nulls.random_sides import RANDOM_SIDES
from convnext_vbt.evidence.nulls.shuffled_labels import SHUFFLED_LABELS
from convnext_vbt.evidence.selection import Preset
from tests.evidence.markets import make_bars, make_predictions, make_sweep
from tests.evidence.nulls.test_retraining import STAGES

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")


@pytest.fixture(scope="module")
def case():
    bars = make_bars()
    result = make_sweep(bars, make_predictions(bars))
    preset = Preset(seed=4)
    head = headline_of(result, preset)
    return Case(result=result, headline=head, preset=preset, num_draws=30)


def test_every_null_has_a_name_and_words_of_its_own():
    for what in ("name", "title", "question", "draws", "meaning"):
        texts = [getattr(test, what) for test in NULLS]
        assert all(texts)
        assert len(set(texts)) == len(NULLS), what
    assert all(test.name.isidentifier() for test in NULLS)


def test_without_stages_the_nulls_that_train_nothing_are_drawn(case):
    found = draw_nulls(case)
    assert list(found) == [test.name for test in NULLS if not test.retrains]
    sides = found[RANDOM_SIDES.name]
    assert len(sides.draws) == 30
    assert sides.observed == pytest.approx(case.headline.sharpe)
    again = draw_nulls(replace(case, preset=Preset(seed=5)))[RANDOM_SIDES.name]
    assert (again.draws != sides.draws).any()


def test_with_stages_those_that_train_again_are_drawn(case):
    found = draw_nulls(replace(case, stages=STAGES))
    assert list(found) == [test.name for test in NULLS if test.retrains]
    for null in found.values():
        assert len(null.draws) == 9
        assert null.observed == case.headline.sharpe


def test_they_are_shown_in_one_order_whatever_was_drawn_first(case):
    none = undefined(1.0, "nothing was drawn")
    mixed = {test.name: none for test in reversed(NULLS)}
    assert [test for test, _ in shown(mixed)] == list(NULLS)
    assert list(shown({})) == []


def test_a_sentence_says_how_many_did_as_well_or_why_nobody_knows():
    null = compare(1.0, np.array([0.5, 2.0, np.nan]), np.zeros(3))
    assert (null.as_good, null.p_value, null.median_sharpe) == (2, 0.75, 1.25)
    assert SHUFFLED_LABELS.sentence(null) == (
        "Retrained 3 times on shuffled labels: p = 0.75, median Sharpe 1.25."
    )
    none = undefined(1.0, "there is no position")
    assert math.isnan(none.p_value)
    assert RANDOM_SIDES.sentence(none) == "No p-value on random sides: there is no position."
