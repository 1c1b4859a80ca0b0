"""Simulated markets of the prior: repeatable, causal, and of the kind that they say."""

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.learning.prior.markets import (
    FAMILIES,
    FAST_BARS,
    MEDIAN_VOLUME,
    QUICKSTART,
    STATES,
    STEPS_PER_BAR,
    THUE_MORSE,
    Hidden,
    draw_market,
    draw_recipe,
    motif_recipe,
    played,
    walk_nb,
)
from convnext_vbt.market import simulated
from convnext_vbt.market.bars import FIELDS

every_family = pytest.mark.parametrize("family", FAMILIES)
STATE = Hidden._fields.index("state")


def recipe_of(family, *, seed=1):
    return draw_recipe(np.random.default_rng(seed), family)


def draws(bars, *, seed=0):
    rng = np.random.default_rng(seed)
    return [
        rng.standard_normal((bars, STEPS_PER_BAR)),
        rng.standard_normal((bars, 5)),
        rng.random((bars, 4)),
    ]


def moves(bars, hidden):
    """Each bar's move in its own standard deviations, up to a constant; jumps are bounded."""
    moved = np.log(bars.close / bars.open)[:, 0] / np.exp(hidden.level)
    return np.clip(moved / moved.std(), -4, 4)


@every_family
def test_the_same_seed_gives_the_same_market(family):
    one, again, other = (
        draw_market(np.random.default_rng(seed), family, bars=300) for seed in (5, 5, 6)
    )
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(one.bars, field), getattr(again.bars, field))
    assert one.states.keys() == again.states.keys()
    for name, state in one.states.items():
        np.testing.assert_array_equal(state, again.states[name])
    assert not np.array_equal(one.bars.close, other.bars.close)


@every_family
def test_states_are_of_the_family_and_in_range(family):
    for seed in range(8):
        market = draw_market(np.random.default_rng(seed), family, bars=400)
        assert set(market.states) <= set(STATES.get(family, ()))
        assert len(market.states) == {"none": 0, "motifs": 2}.get(family, 1)
        for state in market.states.values():
            assert state.shape == (400,)
            assert np.abs(state).max() <= (3 if family == "motifs" else 1)
        assert np.isfinite(market.bars.volume).all()
        assert (market.bars.low <= market.bars.open).all()
        assert (market.bars.high >= market.bars.close).all()


def test_averages_are_fast_or_slow_by_half_of_their_bars():
    rng = np.random.default_rng(0)
    names = {name for _ in range(20) for name in draw_market(rng, "momentum", bars=2).states}
    assert names == {"follow_fast", "follow_slow"}
    rng = np.random.default_rng(0)
    for _ in range(10):
        recipe = draw_recipe(np.random.default_rng(rng.integers(99)), "flow")
        assert 4.0 <= np.log(0.5) / np.log(recipe.flow_decay) <= 6 * FAST_BARS


def test_the_quickstart_s_recipe_makes_the_quickstart_s_bars():
    made = draws(400)
    for edge in (0.0, 1.0):
        path, _ = walk_nb(*made, QUICKSTART._replace(regime_drift=0.22 * edge))
        np.testing.assert_allclose(path, simulated.walk_nb(*made, edge), rtol=0, atol=1e-12)


@pytest.mark.parametrize("family", ["motifs", "flow"])
def test_compiled_is_plain(family):
    made, recipe = draws(120), recipe_of(family, seed=3)
    for plain, compiled in zip(walk_nb.py_func(*made, recipe), walk_nb(*made, recipe), strict=True):
        np.testing.assert_allclose(plain, compiled, rtol=0, atol=1e-10)


@every_family
@pytest.mark.parametrize("t", [1, 150, 299])
def test_what_is_hidden_and_the_bars_know_nothing_of_later_bars(family, t):
    recipe = recipe_of(family)
    path, hidden = walk_nb(*draws(300), recipe)
    cut, other = draws(300), draws(300, seed=9)
    for array, later in zip(cut, other, strict=True):
        array[t:] = later[t:]
    new_path, new_hidden = walk_nb(*cut, recipe)
    np.testing.assert_array_equal(new_path[:t], path[:t])
    np.testing.assert_array_equal(new_hidden[:t], hidden[:t])
    assert not np.array_equal(new_path[t:], path[t:])


@pytest.mark.parametrize("family", ["motifs", "momentum", "reversal", "flow"])
def test_a_bar_s_drift_is_known_at_its_open(family):
    recipe = recipe_of(family)
    _, hidden = walk_nb(*draws(300), recipe)
    cut, other = draws(300), draws(300, seed=9)
    cut[0][200:], cut[1][200:, 2:] = other[0][200:], other[1][200:, 2:]  # moves, not volatility
    _, new_hidden = walk_nb(*cut, recipe)
    np.testing.assert_array_equal(new_hidden[:201, STATE], hidden[:201, STATE])


QUIET = motif_recipe(0.0)
MARTINGALES = {
    "regimes without an edge": QUICKSTART,
    "melodies without an edge": QUIET,
    "none": recipe_of("none", seed=0),
    "none, its footprint a decoy": recipe_of("none", seed=2),
}


@pytest.mark.parametrize("recipe", MARTINGALES.values(), ids=MARTINGALES)
def test_nothing_foretells_a_market_without_an_edge(recipe):
    bars, hidden = played(np.random.default_rng(0), recipe, 20_000)
    moved = moves(bars, hidden)
    known = {
        "nothing": np.ones(19_999),
        "state": hidden.state[1:],
        "last move": moved[:-1],
        "last volume": np.log(bars.volume[:-1, 0] / MEDIAN_VOLUME) * np.sign(moved[:-1]),
    }
    for what, x in known.items():
        z = (x * moved[1:]).sum() / np.sqrt((x**2 * moved[1:] ** 2).sum() + 1e-12)
        assert abs(z) < 3.5, what


def test_both_kinds_of_nothing_are_drawn():
    assert {recipe_of("none", seed=seed).footprint > 0 for seed in range(8)} == {True, False}


PLAIN = {
    "regimes": QUICKSTART._replace(regime_drift=0.22),
    "motifs": motif_recipe(1.0),
    "momentum": recipe_of("momentum")._replace(follow=0.2),
    "reversal": recipe_of("reversal")._replace(follow=-0.2),
    "flow with": recipe_of("flow")._replace(flow=0.2),
    "flow against": recipe_of("flow")._replace(flow=-0.2),
}


@pytest.mark.parametrize("recipe", PLAIN.values(), ids=PLAIN)
def test_the_state_is_the_drift_with_the_sign_that_momentum_has(recipe):
    bars, hidden = played(np.random.default_rng(0), recipe, 20_000)
    state, moved = hidden.state, moves(bars, hidden)
    sign = np.sign(recipe.follow or recipe.flow or 1.0)
    assert sign * (state * moved).sum() / np.sqrt((state**2).sum()) > 4


def variance_ratio(moved, bars):
    """Of sums of so many moves to what it would be if they were uncorrelated."""
    sums = np.convolve(moved, np.ones(bars), "valid")
    return sums.var() / (bars * moved.var())


def test_the_counter_drift_takes_momentum_out_of_melodies():
    with_it = motif_recipe(1.0)
    ratios = [
        variance_ratio(moves(*played(np.random.default_rng(0), recipe, 20_000)), 12)
        for recipe in (with_it, with_it._replace(counter_rate=0.0))
    ]
    assert abs(ratios[0] - 1) < 0.06
    assert ratios[1] > 1.3


def test_melodies_are_heard_by_whoever_sees_the_closes():
    recipe = motif_recipe(1.0, tempos=(2, 3))
    bars, hidden = played(np.random.default_rng(4), recipe, 3_000)
    change = np.diff(np.log(bars.close[:, 0]))
    variance = pd.Series(change**2).ewm(halflife=24, adjust=False).mean().to_numpy()
    heard = np.clip(change[1:] / np.sqrt(variance[:-1]), -4, 4)
    np.testing.assert_allclose(hidden.heard[1_502:], heard[1_500:], rtol=0, atol=1e-9)
    played_3 = np.convolve(heard, np.repeat(THUE_MORSE, 3)[::-1] / np.sqrt(24), "valid")
    played_2 = np.convolve(heard, np.repeat(THUE_MORSE, 2)[::-1] / np.sqrt(16), "valid")[8:]
    loudest = np.where(np.abs(played_3) > np.abs(played_2), played_3, played_2)
    begins = np.flatnonzero(hidden.left == recipe.melody_bars)
    begins = begins[begins > 1_500]
    assert len(begins) > 30
    at_close_before = loudest[begins - 1 - 2 - 23]
    assert np.abs(at_close_before).min() > recipe.melody_clear
    np.testing.assert_array_equal(np.sign(at_close_before), np.sign(hidden.melody[begins]))
