"""Equity, spells and costs by the orders alone, against vectorbt's own."""

import numpy as np
import pandas as pd
import pytest
import vectorbt as vbt

import convnext_vbt as cv
from convnext_vbt.evidence.judging.choosing import LOOK, NUM_PERIODS, choose, periods_of
from convnext_vbt.evidence.judging.grid import read_grid
from convnext_vbt.evidence.judging.path import join
from tests.evidence.judging.grids import crossings, noise, prices


def rebalanced(days=100, cash_sharing=True, seed=0):
    """Three assets, random target weights every six hours, two groups of which one has one."""
    close = prices(days=days, columns=3, seed=seed)
    weight = np.random.default_rng(seed).uniform(-0.3, 0.3, close.shape)
    weight[np.arange(len(close)) % 6 > 0] = np.nan
    return vbt.Portfolio.from_orders(
        close, weight, size_type="targetpercent", fees=0.001, slippage=0.0005, freq="h",
        group_by=["x", "x", "y"], cash_sharing=cash_sharing, call_seq="auto",
    )  # fmt: skip


def with_gaps():
    close = prices(days=90)["a0"].copy()
    close.iloc[[0, 1, 700, 701, -1]] = np.nan
    entry = pd.Series(np.arange(len(close)) % 48 == 5, close.index)
    return vbt.Portfolio.from_signals(close, entry, entry.shift(20, fill_value=False), fees=0.001)


PORTFOLIOS = {
    "crossings": lambda: crossings(prices(days=90)),
    "long only": lambda: crossings(prices(days=90), short=False, slippage=0.001),
    "shared cash": rebalanced,
    "groups": lambda: rebalanced(cash_sharing=False),
    "gaps": with_gaps,
    "automatic cash": lambda: crossings(prices(days=90), size=1.0, init_cash="auto"),
}


@pytest.fixture(scope="module", params=PORTFOLIOS)
def portfolio(request):
    return PORTFOLIOS[request.param]()


def test_equity_and_costs_are_vectorbts(portfolio):
    grid = read_grid(portfolio)
    value = portfolio.value().to_numpy().reshape(len(portfolio.wrapper.index), -1)
    np.testing.assert_allclose(grid.ledger.equity, value[grid.book.last_bar], rtol=1e-10)
    frame = pd.DataFrame(portfolio.returns())
    daily = (1 + frame).groupby(frame.index.normalize()).prod() - 1
    np.testing.assert_allclose(grid.returns, daily, atol=1e-10)
    fees = portfolio.orders.fees.sum(group_by=False)
    groups = portfolio.wrapper.grouper.get_groups()
    expected = np.bincount(groups, np.atleast_1d(fees))
    np.testing.assert_allclose(grid.ledger.fees, expected)
    positions = np.atleast_1d(portfolio.get_positions(group_by=False).count())
    assert grid.ledger.spells.sum(axis=1).tolist() == np.bincount(groups, positions).tolist()
    held = pd.DataFrame(portfolio.benchmark_returns())
    held = (1 + held).groupby(held.index.normalize()).prod() - 1
    for column in range(len(grid.names)):
        np.testing.assert_allclose(grid.benchmark_of(column), held.iloc[:, column], atol=1e-10)


def test_the_path_is_what_its_spells_gained_less_its_fees(portfolio):
    grid = read_grid(portfolio)
    path = join(grid, choose(grid.returns))
    held = path.positions
    gained = np.bincount(held.day, weights=held.gross, minlength=len(path.returns))
    np.testing.assert_allclose(gained - held.fees, path.returns, atol=1e-12)
    assert np.unique(held.spell).tolist() == list(range(len(held.is_long)))
    joined = np.zeros(len(path.returns))
    for one in path.periods:
        if one.column >= 0:
            days = slice(one.start - path.start, one.stop - path.start)
            joined[days] = grid.returns[one.start : one.stop, one.column]
    np.testing.assert_allclose(joined - held.switching, path.returns, atol=1e-12)
    for asset in held.stretches:
        for one in asset:
            assert one.day.max() < len(path.returns)


def test_a_value_that_no_order_explains_is_judged_by_returns_alone():
    class Lent(vbt.Portfolio):
        def value(self, *args, **options):
            held = super().value(*args, **options)
            return held * np.linspace(1, 1.1, len(held))

    made = crossings(prices(days=90)["a0"], windows=(6, 24))
    lent = Lent(**made._config)
    found = cv.judge(lent)
    assert found.judged.trades is None
    assert any("do not explain" in note for note in found.notes)
    assert found.judged.total_return == pytest.approx(float(lent.value().iloc[-1] / 100 - 1))


def test_doubled_costs_are_paid_as_shares_of_the_account():
    close = prices(days=200)["a0"]
    once, twice = (
        cv.judge(crossings(close, windows=(12, 48), fees=fees)) for fees in (0.001, 0.002)
    )
    assert once.judged.charged == pytest.approx(0.001)
    # all in, so that a dearer fee is the same share of a smaller account
    assert once.judged.doubled_costs_sharpe == pytest.approx(twice.judged.sharpe, abs=0.02)
    slipped = cv.judge(crossings(close, windows=(12, 48)), slippage=0.001)
    assert slipped.judged.charged == pytest.approx(0.002)
    assert slipped.judged.doubled_costs_sharpe < once.judged.doubled_costs_sharpe


def test_the_choice_is_the_best_so_far_by_a_plain_loop():
    returns = noise(columns=7, days=250).to_numpy(copy=True)
    returns[:120, 3] = 0.0
    returns[120:, 3] += 0.01
    chosen = choose(returns)
    assert len(chosen) == NUM_PERIODS - LOOK
    for (start, stop), one in zip(periods_of(250)[LOOK:], chosen, strict=True):
        before = returns[:start]
        ratio = before.mean(axis=0) / before.std(axis=0, ddof=1).clip(1e-12)
        ratio[(before != 0).sum(axis=0) < 20] = -np.inf
        assert (one.start, one.stop, one.column) == (start, stop, ratio.argmax())
        assert one.sharpe == pytest.approx(ratio.max())
    assert chosen[-1].column == 3
    later = returns.copy(order="K")
    later[200:] = -later[200:]
    assert choose(later)[:6] == chosen[:6]  # what comes after changes nothing


def test_switching_closes_the_one_and_opens_the_other():
    pf = crossings(prices(days=200, seed=4)["a0"])
    grid = read_grid(pf)
    path = join(grid, choose(grid.returns))
    columns = [one.column for one in path.periods]
    position = pf.assets().to_numpy() * pf.close.to_numpy().reshape(len(pf.assets()), -1)
    exposure = np.abs(position / pf.value().to_numpy())[grid.book.last_bar]
    expected = np.zeros(len(path.returns))
    for before, after in zip(path.periods[:-1], path.periods[1:], strict=True):
        if before.column != after.column:
            both = exposure[after.start - 1, [before.column, after.column]]
            expected[after.start - path.start] = 0.001 * both.sum()
    assert len(set(columns)) > 1
    np.testing.assert_allclose(path.positions.switching, expected, rtol=1e-9)


def test_days_are_of_the_index_own_clock_and_a_year_is_the_markets():
    week = noise(days=300)
    assert cv.judge(week).days_per_year == 252
    assert cv.judge(week.tz_localize("Asia/Tokyo")).to_dict() == cv.judge(week).to_dict()
    always = week.set_axis(pd.date_range("2022", periods=300))
    assert cv.judge(always).days_per_year == 365
    monthly = week.set_axis(pd.date_range("2000", periods=300, freq="MS"))
    assert cv.judge(monthly).days_per_year == 12
    assert cv.judge(monthly).num_days == 300


def test_returns_within_days_are_compounded_and_a_first_nan_is_no_return():
    close = prices(days=90, columns=3)
    found = read_grid(close.pct_change())
    last = close.groupby(close.index.normalize()).last()
    expected = last / last.shift(1).fillna(close.iloc[0]) - 1
    np.testing.assert_allclose(found.returns, expected, atol=1e-12)
