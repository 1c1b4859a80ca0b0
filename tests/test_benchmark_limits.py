import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.bayes import beliefs
from benchmarks.limits import LabelModel, mirrored, motif_features, motif_signs, projection
from benchmarks.oracle import Truth
from convnext_vbt.learning.prior.markets import motif_recipe, played
from convnext_vbt.market.simulated import simulated_bars

BARS = 1_500
GRID = (0.0, 1.0, 2.0)


@pytest.fixture(scope="module")
def inferred():
    """Beliefs, (T, E, 3), of who must infer that the edge is 1, and the hidden regime."""
    bars = simulated_bars(seed=41_000, edge=1.0, bars=BARS)
    return beliefs(bars, GRID, particles=48).posterior, Truth.of(41_000, BARS).regime


def test_the_filter_names_the_regime_far_better_than_its_base_rate(inferred):
    posterior, regime = inferred
    np.testing.assert_allclose(posterior.sum(axis=(1, 2)), 1.0)
    told = posterior.sum(axis=1)[np.arange(BARS), regime + 1]
    assert -np.log(told[200:]).mean() < 0.3  # a third each: 1.10


def test_the_filter_finds_the_edge(inferred):
    by_edge = inferred[0].sum(axis=2)
    assert by_edge[0, 1] == pytest.approx(1 / 3, abs=0.1)
    assert by_edge[-1, 1] > 0.9


def test_the_filter_at_an_edge_of_nothing_believes_in_none():
    bars = simulated_bars(seed=41_001, edge=0.0, bars=BARS)
    assert beliefs(bars, GRID, particles=48).posterior[-1, 0].sum() > 0.9


def test_the_filter_does_not_look_ahead():
    short, long = (simulated_bars(seed=41_002, bars=300).rows(0, n) for n in (200, 300))
    seen = [beliefs(bars, (1.0,), particles=16) for bars in (short, long)]
    np.testing.assert_array_equal(seen[0].posterior, seen[1].posterior[:200])
    np.testing.assert_array_equal(seen[0].volatility, seen[1].volatility[:200])


def test_motif_features_tell_which_melody_the_market_has_heard():
    tempos = (2, 3)
    bars, hidden = played(np.random.default_rng(41_000), motif_recipe(1.0, tempos=tempos), 2_000)
    side, x = motif_features(bars, hidden, tempos)
    left, near = x[:, 8], x[:, 12:14]
    loudest = near[np.arange(len(near)), np.abs(near).argmax(axis=1)]
    heard = (np.abs(loudest) > 2.5)[64:-1]
    np.testing.assert_array_equal(left[64:-1] == 12, heard)
    assert heard.any()
    np.testing.assert_array_equal(side[64:-1][heard], np.sign(loudest)[64:-1][heard])


def test_a_market_upside_down_has_the_features_that_its_mirror_says():
    tempos = (2, 3)
    bars, hidden = played(np.random.default_rng(41_001), motif_recipe(1.0, tempos=tempos), 800)
    prices = {name: 1 / getattr(bars, name) for name in ("open", "close")}
    flipped = replace(bars, **prices, high=1 / bars.low, low=1 / bars.high)
    side, x = motif_features(bars, hidden, tempos)
    upside_down = hidden._replace(
        melody=-hidden.melody, counter=-hidden.counter, heard=-hidden.heard
    )
    other_side, other = motif_features(flipped, upside_down, tempos)
    np.testing.assert_array_equal(other_side, -side)
    np.testing.assert_allclose(other, motif_signs(tempos) * x, rtol=1e-9, atol=1e-9)
    assert mirrored(np.array([0, 1, 2, -1])).tolist() == [2, 1, 0, -1]


def test_a_projection_is_largest_at_the_end_of_the_melody():
    moves = np.concatenate([np.zeros(5), np.repeat([1, -1, -1, 1, -1, 1, 1, -1], 3), np.zeros(5)])
    heard = projection(moves, 3)
    assert heard.argmax() == 5 + 24 - 1
    assert heard.max() == pytest.approx(math.sqrt(24))


def test_a_label_model_weighs_its_states():
    rng = np.random.default_rng(0)
    state, label = rng.integers(-1, 2, 3_000), rng.integers(0, 3, 3_000)
    label[state == 1] = np.where(rng.random((state == 1).sum()) < 0.9, 2, label[state == 1])
    model = LabelModel(state, rng.standard_normal((3_000, 1)), label)
    chance = np.array([[0, 0, 1], [0.5, 0, 0.5], [0, 0, 1]])
    sure, half, unknown = model.proba(chance, np.array([[0.0], [0.0], [np.nan]]))
    assert sure[2] > 0.9
    assert half[2] == pytest.approx((sure[2] + 1 / 3) / 2, abs=0.05)
    assert np.isnan(unknown).all()
