"""Drawn sides and drawn times against plain loops and against vectorbt."""

import numpy as np
import pandas as pd
import pytest
import vectorbt as vbt

from convnext_vbt.evidence.judging.choosing import choose
from convnext_vbt.evidence.judging.grid import read_grid
from convnext_vbt.evidence.judging.nulls import NO_ORDERS, sides_null, times_null
from convnext_vbt.evidence.judging.path import join
from convnext_vbt.evidence.nulls.random_sides import ONE_SIDED
from convnext_vbt.evidence.sharpe import sharpe_ratio
from tests.evidence.judging.grids import crossings, knowing, noise, prices
from tests.evidence.judging.test_ledger import rebalanced


def path_of(source):
    grid = read_grid(source)
    return join(grid, choose(grid.returns))


def targets(side, close):
    """Orders to these shares of the account, where they change."""
    changed = np.append(True, side[1:] != side[:-1])
    size = pd.Series(np.where(changed, side, np.nan), close.index)
    return vbt.Portfolio.from_orders(close, size, size_type="targetpercent", fees=0.0005, freq="h")


@pytest.fixture(scope="module")
def close():
    return prices(days=150)["a0"]


@pytest.fixture(scope="module")
def sides(close):
    return np.repeat(np.random.default_rng(3).choice([-1.0, 0.0, 1.0], 300), 12)


def test_a_draw_of_sides_is_the_plain_sum_over_spells(close, sides):
    path = path_of(targets(sides, close))
    held, null = path.positions, sides_null(path, 365, draws=3, seed=5)
    share = held.is_long.mean()
    drawn = np.random.default_rng(5).random((3, len(held.is_long))) < share
    for longs, found, growth in zip(drawn, null.draws, null.total_returns, strict=True):
        returns = -held.fees.copy()
        for spell, day, gross in zip(held.spell, held.day, held.gross, strict=True):
            returns[day] += gross if longs[spell] == held.is_long[spell] else -gross
        assert found == pytest.approx(sharpe_ratio(returns, 365))
        assert growth == pytest.approx(np.prod(1 + returns) - 1)


def test_other_sides_are_nearly_what_vectorbt_makes_of_them(close, sides):
    held = path_of(targets(sides, close)).positions
    other = path_of(targets(-sides, close)).returns
    flipped = -np.bincount(held.day, weights=held.gross, minlength=len(other)) - held.fees
    assert np.corrcoef(flipped, other)[0, 1] > 0.995
    assert sharpe_ratio(flipped, 365) == pytest.approx(sharpe_ratio(other, 365), abs=0.3)


def test_what_timing_earns_is_the_plain_sum_over_bars(close, sides):
    path = path_of(targets(sides, close))
    null = times_null(path, 365, draws=2, seed=1)
    portfolio = targets(sides, close)
    weight = (portfolio.assets() * close / portfolio.value()).to_numpy()[:-1]
    market = close.pct_change().to_numpy()[1:]
    earned = (weight - weight.mean()) * (market - market.mean())
    daily = np.bincount((np.arange(1, len(close)) // 24), weights=earned)
    assert null.observed == pytest.approx(sharpe_ratio(daily, 365), rel=1e-6)
    assert null.draws[0] != null.draws[1]


def test_a_choice_has_the_exposure_of_the_column_that_is_held():
    walk = prices(days=200, seed=4)["a0"]
    portfolio = crossings(walk)
    path = path_of(portfolio)
    weight_TC = (portfolio.assets().mul(walk, axis=0) / portfolio.value()).to_numpy()
    column_D = np.repeat(
        [one.column for one in path.periods], [one.stop - one.start for one in path.periods]
    )
    assert len(set(column_D)) > 1
    bars = np.arange(24 * path.start, len(walk))
    weight = weight_TC[bars - 1, column_D[bars // 24 - path.start]]
    market = walk.pct_change().to_numpy()[bars]
    earned = (weight - weight.mean()) * (market - market.mean())
    daily = np.bincount(bars // 24 - path.start, weights=earned)
    observed = times_null(path, 365, draws=1).observed
    assert observed == pytest.approx(sharpe_ratio(daily, 365), rel=1e-6)


def test_thrown_spells_keep_length_and_exposure_and_never_overlap(close, sides, monkeypatch):
    from convnext_vbt.evidence.judging import kernels

    seen = []

    def looked_at(weight, market, day, source, length, begin, out):
        seen.append((source, length, begin))

    monkeypatch.setattr(kernels, "thrown_nb", looked_at)
    times_null(path_of(targets(sides, close)), 365, draws=40)
    (source, length, own), (_, _, thrown) = seen
    assert (own[0] == source).all()
    for begin in thrown:
        order = np.argsort(begin)
        ends = begin[order] + length[order]
        assert (begin[order][1:] >= ends[:-1]).all()
        assert begin.min() >= 0
        assert ends[-1] <= len(close) - 1
    assert len({tuple(begin) for begin in thrown.tolist()}) == 40


def test_knowledge_is_told_from_luck():
    knows = path_of(knowing(prices(days=200), edge=0.4, columns=1))
    assert sides_null(knows, 365).p_value == pytest.approx(1 / 1001)
    assert times_null(knows, 365).p_value == pytest.approx(1 / 1001)


@pytest.mark.parametrize("drift", [0.0, 0.01])
def test_luck_is_seldom_taken_for_knowledge(drift):
    tests = 40
    rejected = np.zeros(2)
    for seed in range(tests):
        walk = prices(seed=seed, days=80, drift=drift)["a0"]
        side = np.repeat(np.random.default_rng(seed).choice([-1.0, 0, 1, 1], 160), 12)
        path = path_of(targets(side, walk))
        nulls = (draw(path, 365, draws=99) for draw in (sides_null, times_null))
        rejected += [null.p_value <= 0.1 for null in nulls]
    assert (rejected <= 10).all()  # 4 of 40 expected; more than 10 once in 1,000


def test_each_asset_of_an_account_keeps_its_own_share_and_place():
    path = path_of(rebalanced(days=90))
    held = path.positions
    assert set(held.asset) == {0, 1}
    assert len(held.stretches) == 2
    assert np.isfinite([sides_null(path, 365).p_value, times_null(path, 365).p_value]).all()


def test_where_nothing_can_be_drawn_it_says_why(close, sides):
    returns = path_of(noise())
    assert sides_null(returns, 252).reason == times_null(returns, 252).reason == NO_ORDERS
    longs = path_of(targets(np.abs(sides), close))
    assert sides_null(longs, 365).reason == ONE_SIDED
    assert np.isfinite(times_null(longs, 365).p_value)
    held = path_of(vbt.Portfolio.from_holding(close, fees=0.001))
    assert "no other times" in times_null(held, 365).reason


def test_draws_follow_the_seed(close):
    path = path_of(crossings(close))
    for draw in (sides_null, times_null):
        first, again, other = (draw(path, 365, draws=20, seed=s) for s in (1, 1, 2))
        np.testing.assert_array_equal(first.draws, again.draws)
        assert not np.array_equal(first.draws, other.draws)
