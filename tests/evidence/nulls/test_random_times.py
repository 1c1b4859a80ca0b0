import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from benchmarks.nullfamilies import FAMILIES
from convnext_vbt.evidence.nulls.positions import without_drift
from convnext_vbt.evidence.nulls.random_times import _TimeAccounts, random_times_null
from convnext_vbt.evidence.selection import nested_selection
from convnext_vbt.evidence.window import Window
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.trading import codes
from convnext_vbt.trading.inputs import kernel_inputs
from tests.evidence.markets import make_bars, make_predictions, make_sweep
from tests.evidence.nulls.test_random_sides import TERMS, holes, runs, with_jumps, without_missing

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")

COSTS = {"fees": 0.0005, "slippage": 0.0002}
NO_COSTS = {"fees": 0.0, "slippage": 0.0}


def drifting(bars, factor):
    """The same bars, `factor` times as dear at their end, a little more with every bar."""
    growth = factor ** (np.arange(len(bars)) / len(bars))[:, None]
    return replace(bars, **{f: getattr(bars, f) * growth for f in FIELDS if f != "volume"})


@pytest.fixture(scope="module")
def bars():
    return make_bars()


@pytest.mark.parametrize("symbols", [1, 2])
@pytest.mark.parametrize("terms", ["label", "nothing but a stop", "one bar", "tight"])
def test_positions_keep_side_size_and_length_and_never_overlap(terms, symbols):
    whole = with_jumps(make_bars(symbols=symbols, seed=3))
    market = holes(whole)
    preds = without_missing(make_predictions(whole), market)
    result = make_sweep(market, preds, **TERMS[terms])
    selection = nested_selection(result)
    accounts = _TimeAccounts(result, selection, None, fair=True)
    own, present = accounts.positions, accounts.present_NT
    bars_before = np.cumsum(present, axis=1)

    def lengths(at):
        until = np.minimum(at.leave, present.shape[1] - 1)
        return bars_before[at.column, until] - bars_before[at.column, at.row]

    starts = []
    for thrown in accounts.throw(1, range(3)):
        for name in ("column", "is_long", "size"):
            np.testing.assert_array_equal(getattr(thrown, name), getattr(own, name))
        np.testing.assert_array_equal(lengths(thrown), lengths(own))
        assert present[thrown.column, thrown.row].all()  # a row without a bar says nothing
        assert (bars_before[thrown.column, thrown.row] < bars_before[thrown.column, -1]).all()
        for n in range(symbols):
            mine = np.flatnonzero(thrown.column == n)
            order = mine[np.argsort(thrown.row[mine])]
            assert (thrown.leave[order[:-1]] <= thrown.row[order[1:]]).all()
        starts.append(thrown.row)
    assert (starts[0] != starts[1]).mean() > 0.9


def test_a_thrown_position_is_held_from_the_open_after_its_row_to_its_end(bars):
    result = make_sweep(bars, make_predictions(bars), max_holding=5)
    selection = nested_selection(result)
    accounts = _TimeAccounts(result, selection, None, fair=True)
    (thrown,) = accounts.throw(7, range(1))
    _, (growth,) = accounts.walk(1, lambda _: accounts.orders([thrown]))
    window, brackets = result.window_bars, selection.brackets.rows(*result.window)
    signals = selection.signals.rows(*result.window)
    flat = without_drift(kernel_inputs(window, signals, brackets, result.config)[0])
    first, high, low, close = flat.prices[0]
    money = 1.0
    for k in np.argsort(thrown.row):
        row, end = thrown.row[k], thrown.leave[k] + 1
        side = 1 if thrown.is_long[k] else -1
        loss = (brackets.stop_long if side > 0 else brackets.stop_short)[row, 0]
        gain = (brackets.take_profit_long if side > 0 else brackets.take_profit_short)[row, 0]
        entry = first[row + 1]
        stop, target = entry * (1 - side * loss), entry * (1 + side * gain)
        price = None
        for i in range(row + 1, min(end, len(close))):
            worst, best = (low[i], high[i]) if side > 0 else (high[i], low[i])
            if i > row + 1 and (side * first[i] <= side * stop or side * first[i] >= side * target):
                price = first[i]
            elif side * worst <= side * stop:
                price = stop
            elif side * best >= side * target:
                price = target
            if price is not None:
                break
        if price is None:
            price = first[end] if end < len(close) else close[-1]
        money *= 1 + side * min(0.005 * thrown.size[k] / loss, 1.0) * (price / entry - 1)
    assert growth == pytest.approx(money, rel=1e-9)


def test_holding_earns_nothing_on_prices_without_drift():
    whole = drifting(make_bars(symbols=2, seed=2), 3.0)
    market = holes(whole)
    rates = np.where(np.arange(len(whole)) % 8 == 0, 0.0001, np.nan)[:, None] * [1.0, -2.0]
    market = replace(market, funding=np.where(market.present, rates, np.nan))
    result = make_sweep(market, without_missing(make_predictions(whole), market))
    window = Window(result)
    selection = nested_selection(result)
    signals = selection.signals.rows(*result.window)
    before, _ = kernel_inputs(
        window.bars, signals, selection.brackets.rows(*result.window), result.config
    )
    after = without_drift(before)
    for n in range(2):
        here = np.isfinite(before.prices[n, 0])
        opens, funding = after.prices[n, 0, here], after.funding[n, here]
        assert np.mean(opens[1:] / opens[:-1] - 1 - funding[1:]) == pytest.approx(0, abs=1e-12)
        ratios = after.prices[n][:, here] / before.prices[n][:, here]
        np.testing.assert_allclose(ratios, np.tile(ratios[0], (4, 1)), rtol=1e-12)
        assert ratios[0, 0] == 1.0
        steps = ratios[0, 1:] / ratios[0, :-1]
        np.testing.assert_allclose(steps, steps[0], rtol=1e-9)


@pytest.mark.parametrize("short", [True, False])
def test_it_tells_skill_from_none(bars, short):
    clever = make_sweep(bars, make_predictions(bars, skill=6.0), short=short)
    found = random_times_null(clever, nested_selection(clever), draws=200)
    assert found.p_value < 0.01
    assert found.reason == ""
    assert abs(found.median_sharpe) < found.observed
    blind = make_sweep(bars, make_predictions(bars, skill=0.0, seed=1), short=short)
    assert random_times_null(blind, nested_selection(blind), draws=200).p_value > 0.1
    wrong = make_sweep(bars, make_predictions(bars, skill=-6.0), short=short)
    assert random_times_null(wrong, nested_selection(wrong), draws=200).p_value > 0.9


def test_drift_and_costs_make_no_difference(bars):
    """A market that rises eightfold, traded at a cost, is the one that does not, for this null."""
    preds = make_predictions(bars)
    calm = make_sweep(bars, preds, short=False)
    rising = make_sweep(drifting(bars, 8.0), preds, short=False, **COSTS)
    first, second = (
        random_times_null(res, nested_selection(res), draws=99) for res in (calm, rising)
    )
    assert second.observed == pytest.approx(first.observed, abs=0.5)
    assert second.median_sharpe == pytest.approx(first.median_sharpe, abs=0.5)


def test_without_a_position_there_is_nothing_to_throw(bars):
    idle = make_sweep(bars, make_predictions(bars), threshold=[0.999999])
    found = random_times_null(idle, nested_selection(idle))
    assert math.isnan(found.p_value)
    assert found.reason == "there is no position"


def test_a_position_that_is_always_held_has_no_other_time(bars):
    preds = make_predictions(bars)
    proba = np.where(np.isnan(preds.proba), np.nan, [0.0, 0.1, 0.9])
    result = make_sweep(
        bars, replace(preds, proba=proba), threshold=[0.5], short=False, stop=0.9, max_holding=10**6
    )
    selection = nested_selection(result)
    (trade,) = selection.simulation.trades
    assert trade["status"] == codes.OPEN
    found = random_times_null(result, selection, draws=19)
    assert found.p_value > 0.05


@pytest.mark.parametrize("symbols", [1, 2])
def test_the_mean_exposure_is_what_was_held_of_the_equity(symbols):
    market = make_bars(symbols=symbols, seed=3)
    result = make_sweep(market, make_predictions(market), take_profit=None, **NO_COSTS)
    selection = nested_selection(result)
    accounts = _TimeAccounts(result, selection, None)
    made = selection.simulation
    share = made.position * result.window_bars.close / made.equity
    found = accounts.mean_exposure(accounts.positions)
    np.testing.assert_allclose(found, share.mean(axis=0), atol=0.05 * np.abs(share).mean())


def test_the_markets_own_returns_are_those_of_its_closes_less_their_mean():
    market = make_bars(symbols=2, seed=3)
    result = make_sweep(market, make_predictions(market))
    accounts = _TimeAccounts(result, nested_selection(result), None)
    closes = result.window_bars.frame("close")
    days = closes.groupby(closes.index.floor("D")).last()
    returns = pd.concat([closes.iloc[:1], days]).pct_change().iloc[1:]
    found = accounts.market_returns()
    np.testing.assert_allclose(found, (returns - returns.mean()).T, atol=1e-12)


@pytest.mark.slow
def test_a_rule_timed_by_volatility_is_rejected_as_often_as_it_says():
    """Nearly always long, by 1 / volatility; by the whole account's deviation it would be 13 %."""
    family, markets, rejected = FAMILIES["timed long +100 %"], 160, 0
    for seed in range(50_000, 50_000 + markets):
        bars = family.market(seed)
        (strategy,) = family.rule(bars, seed)
        result = strategy.sweep(bars, "no costs")
        found = random_times_null(result, nested_selection(result, strategy.preset), draws=199)
        rejected += found.p_value <= 0.05
    low, high = binomtest(rejected, markets).proportion_ci(0.99)
    assert low < 0.05 < high


@pytest.mark.slow
@pytest.mark.parametrize("short", [True, False])
@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_without_an_edge_it_rejects_as_often_as_it_says(factor, short):
    """Stakes follow volatility, confidence comes in runs, and the market may rise threefold."""
    markets, rejected = 160, 0
    for seed in range(markets):
        bars = drifting(simulated_bars(seed=10_000 + seed, edge=0.0, bars=3000), factor)
        preds = runs(bars, seed)
        result = make_sweep(bars, preds, threshold=["q0.60"], short=short, **COSTS)
        found = random_times_null(result, nested_selection(result), draws=199, seed=seed)
        rejected += found.p_value <= 0.05
    # 5 % lies inside the 99 % interval of what was seen.
    low, high = binomtest(rejected, markets).proportion_ci(0.99)
    assert low < 0.05 < high
    assert rejected >= 2


def test_finer_bars_lose_the_drift_with_the_bars_that_they_are_in(bars):
    result = make_sweep(bars, make_predictions(bars))
    window, selection = result.window_bars, nested_selection(result)
    signals, brackets = (
        one.rows(*result.window) for one in (selection.signals, selection.brackets)
    )
    market, _ = kernel_inputs(window, signals, brackets, result.config)
    halves = np.repeat(market.prices, 2, axis=2)
    starts = np.tile(2 * np.arange(len(window) + 1), (len(window.symbols), 1))
    flat = without_drift(market._replace(detail=halves, starts=starts))
    assert not np.array_equal(flat.prices, market.prices)
    np.testing.assert_array_equal(flat.detail, np.repeat(flat.prices, 2, axis=2))
