"""What the nulls have in common that trade the headline's own positions again."""

import numpy as np
import pytest

from convnext_vbt.evidence.headline import headline
from convnext_vbt.evidence.nulls import positions
from convnext_vbt.evidence.nulls.random_sides import random_sides_null
from convnext_vbt.evidence.nulls.random_times import random_times_null
from convnext_vbt.evidence.selection import Preset, nested_selection
from tests.evidence.markets import make_bars, make_predictions, make_sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")
BOTH = pytest.mark.parametrize("null", [random_sides_null, random_times_null])


@pytest.fixture(scope="module")
def result():
    bars = make_bars()
    return make_sweep(bars, make_predictions(bars))


@BOTH
def test_draws_follow_the_seed_and_not_the_chunks(null, result, monkeypatch):
    selection = nested_selection(result)
    first = null(result, selection, draws=40, seed=1)
    monkeypatch.setattr(positions, "CHUNK_CELLS", 7 * result.window[1])
    again = null(result, selection, draws=40, seed=1)
    np.testing.assert_array_equal(first.draws, again.draws)
    np.testing.assert_array_equal(first.total_returns, again.total_returns)
    other = null(result, selection, draws=40, seed=2)
    assert (first.draws != other.draws).any()


@BOTH
def test_it_trades_at_the_headlines_risk(null, result):
    small, large = (
        null(result, nested_selection(result, Preset(risk=risk)), risk=risk, draws=50)
        for risk in (0.001, 0.002)
    )
    if null is random_sides_null:  # the other trades on other prices
        assert small.observed == pytest.approx(headline(result, risk=0.001).sharpe)
    ratio = np.std(large.total_returns) / np.std(small.total_returns)
    assert ratio == pytest.approx(2, rel=0.1)
