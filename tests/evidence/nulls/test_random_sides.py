import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from convnext_vbt.evidence.accounts import daily_returns
from convnext_vbt.evidence.headline import headline
from convnext_vbt.evidence.nulls import random_sides
from convnext_vbt.evidence.nulls.null import compare
from convnext_vbt.evidence.nulls.random_sides import _SideAccounts, random_sides_null
from convnext_vbt.evidence.selection import nested_selection
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.trading import codes
from tests.evidence.markets import FIRST_TEST, make_bars, make_predictions, make_sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")

COSTS = {"fees": 0.0005, "slippage": 0.0002}
TERMS = {
    "label": {},
    "stop only": {"stop": 0.01, "max_holding": 30},
    "nothing but a stop": {"stop": 0.03},
    "wide": {"stop": 0.005, "take_profit": 0.03, "max_holding": 40},
    "two bars": {"max_holding": 2},
    "one bar": {"max_holding": 1},
    "tight": {"stop": 0.001, "take_profit": 0.001},
    "multiples": {"stop_multiple": [0.5, 1.0], "take_profit_multiple": [2.0]},
    "capped": {"risk": 0.1},
}


@pytest.fixture(scope="module")
def bars():
    return make_bars()


def holes(bars, share=0.05, seed=0):
    """The same bars, some missing at random for each symbol on its own."""
    rng = np.random.default_rng(seed)
    gone = rng.random(bars.close.shape) < share
    gone[:FIRST_TEST] = False  # the volatility is known at the first prediction
    return replace(bars, **{f: np.where(gone, np.nan, getattr(bars, f)) for f in FIELDS})


def with_jumps(bars, share=0.1, size=0.01, seed=0):
    """The same bars with jumps from one close to the next open, so that gaps pass stops."""
    rng = np.random.default_rng(seed)
    jump = np.where(rng.random(bars.close.shape) < share, rng.choice([-1, 1], bars.close.shape), 0)
    level = np.exp(np.cumsum(size * jump, axis=0))
    return replace(bars, **{f: getattr(bars, f) * level for f in FIELDS if f != "volume"})


def without_missing(preds, bars):
    split = np.where(bars.present, preds.split, -1)
    proba = np.where(bars.present[:, :, None], preds.proba, np.nan)
    return replace(preds, proba=proba, split=split)


@pytest.mark.parametrize("terms", TERMS.values(), ids=TERMS)
@pytest.mark.parametrize("symbols", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_on_the_observed_sides_it_is_the_headlines_own_account(terms, symbols):
    whole = with_jumps(make_bars(symbols=symbols, seed=3))
    market = holes(whole)
    preds = without_missing(make_predictions(whole), market)
    result = make_sweep(market, preds, **(COSTS | {"threshold": ["q0.30", "q0.60"]} | terms))
    selection = nested_selection(result)
    assert len(selection.simulation.trades) > 100
    accounts = _SideAccounts(result, selection, None)
    (returns,), (growth,) = accounts.walk_sides(accounts.positions.is_long[None, :])
    equity = selection.simulation.equity[-1].sum()
    assert growth == pytest.approx(equity / 10_000, rel=1e-12)
    np.testing.assert_allclose(returns, daily_returns(selection.account), rtol=0, atol=1e-13)


def plain_growth(result, selection, is_long):
    """Growth of one symbol's positions on these sides without costs, one position at a time.

    Only the bars that are there are counted: what is signalled is due at the next one of them.
    """
    bars, brackets = result.window_bars, selection.brackets.rows(*result.window)
    here = np.flatnonzero(bars.present[:, 0])
    first, high, low, close = (getattr(bars, f)[here, 0] for f in FIELDS[:4])
    trades, sizes = selection.simulation.trades, selection.signals.rows(*result.window).size[:, 0]
    sizes, number = sizes[here], {row: i for i, row in enumerate(here.tolist())}
    money = 1.0
    for k, trade in enumerate(trades):
        row = number[int(trade["entry_idx"])] - 1
        inside = trade["reason"] in (codes.STOP, codes.GAP_STOP, codes.TAKE_PROFIT)
        end = number[int(trade["exit_idx"])] + inside if trade["status"] else len(close)
        if k + 1 < len(trades):
            end = min(end, number[int(trades[k + 1]["entry_idx"])])
        names = (
            ("stop_long", "take_profit_long") if is_long[k] else ("stop_short", "take_profit_short")
        )
        loss, gain = (getattr(brackets, name)[here[row], 0] for name in names)
        side = 1 if is_long[k] else -1
        entry = first[row + 1]
        stop, target = entry * (1 - side * loss), entry * (1 + side * gain)
        notional = min(0.005 * sizes[row] / loss, 1.0) * money
        price = None
        for i in range(row + 1, min(end, len(close))):
            worst, best = (low[i], high[i]) if side > 0 else (high[i], low[i])
            ahead, behind = side * (target - first[i]), side * (first[i] - stop)
            if i > row + 1 and (ahead <= 0 or behind <= 0):
                price = first[i]
            elif side * worst <= side * stop:
                price = stop
            elif side * best >= side * target:
                price = target
            if price is not None:
                break
        if price is None:
            price = first[end] if end < len(close) else close[-1]
        money += side * notional * (price / entry - 1)
    return money


@pytest.mark.parametrize("terms", [TERMS[name] for name in ("label", "wide", "one bar", "tight")])
def test_drawn_sides_trade_at_the_same_times_by_the_same_brackets(bars, terms):
    whole = with_jumps(bars)
    market = holes(whole, share=0.1)
    result = make_sweep(market, without_missing(make_predictions(whole), market), **terms)
    selection = nested_selection(result)
    accounts = _SideAccounts(result, selection, None)
    rng = np.random.default_rng(5)
    sides = rng.random((6, len(selection.simulation.trades))) < 0.5
    sides[0] = ~accounts.positions.is_long
    _, growth = accounts.walk_sides(sides)
    expected = [plain_growth(result, selection, row) for row in sides]
    assert growth == pytest.approx(expected, rel=1e-9)
    assert len(set(expected)) == 6


def test_it_tells_skill_from_none(bars):
    clever = make_sweep(bars, make_predictions(bars, skill=6.0))
    found = random_sides_null(clever, nested_selection(clever), draws=400)
    assert found.p_value < 0.01
    assert found.observed == pytest.approx(headline(clever).sharpe)
    assert found.reason == ""
    assert found.median_sharpe == pytest.approx(np.median(found.draws))
    assert abs(found.median_sharpe) < found.observed
    assert found.median_return == np.median(found.total_returns)

    blind = make_sweep(bars, make_predictions(bars, skill=0.0))
    assert random_sides_null(blind, nested_selection(blind), draws=400).p_value > 0.1
    wrong = make_sweep(bars, make_predictions(bars, skill=-6.0))
    assert random_sides_null(wrong, nested_selection(wrong), draws=400).p_value > 0.9


def test_each_symbol_keeps_its_own_share_of_longs():
    pair = make_bars(symbols=2)
    preds = make_predictions(pair)
    proba = np.array(preds.proba)
    proba[:, 1, 1] += proba[:, 1, 0]  # the second symbol never falls
    proba[:, 1, 0] *= 0.0
    result = make_sweep(pair, replace(preds, proba=proba))
    selection = nested_selection(result)
    trades = selection.simulation.trades
    shares = random_sides._long_shares(_SideAccounts(result, selection, None).positions, 2)
    first = trades[trades["col"] == 0]
    assert shares.tolist() == [np.mean(first["direction"] == 0), 1.0]
    found = random_sides_null(result, selection, draws=50, seed=4)
    assert found.reason == ""
    coins = np.random.default_rng(4).random((50, len(trades)))
    sides = coins < np.where(trades["col"] == 0, shares[0], 1.0)
    _, growth = _SideAccounts(result, selection, None).walk_sides(sides)
    np.testing.assert_array_equal(found.total_returns, growth - 1)


def test_one_sided_or_idle_strategies_have_no_direction_to_test(bars):
    preds = make_predictions(bars)
    longs = make_sweep(bars, preds, short=False)
    found = random_sides_null(longs, nested_selection(longs))
    assert math.isnan(found.p_value)
    assert found.reason == "the positions of each symbol are all on one side"
    assert math.isnan(found.median_sharpe)
    idle = make_sweep(bars, preds, threshold=[0.999999])
    found = random_sides_null(idle, nested_selection(idle))
    assert math.isnan(found.p_value)
    assert found.reason == "there is no position"


def test_the_p_value_counts_the_observed_result_and_what_is_undefined():
    none = np.zeros(4)
    assert compare(2.0, np.array([0.0, 1.0, 2.0, 3.0]), none).p_value == 3 / 5
    assert compare(9.0, np.array([0.0, 1.0, 2.0, 3.0]), none).p_value == 1 / 5
    assert compare(9.0, np.array([0.0, 1.0, np.nan, 3.0]), none).p_value == 2 / 5
    undefined = compare(math.nan, np.array([0.0, 1.0, 2.0, 3.0]), none)
    assert math.isnan(undefined.p_value)
    assert undefined.reason == "the strategy has no Sharpe ratio"


@pytest.mark.slow
@pytest.mark.parametrize("terms", [TERMS["label"], TERMS["wide"]])
def test_on_martingales_it_rejects_as_often_as_it_says(terms):
    """Stakes follow volatility (risk over the stop distance), confidence comes in runs."""
    markets, rejected = 160, 0
    for seed in range(markets):
        bars = simulated_bars(seed=10_000 + seed, edge=0.0, bars=3000)
        result = make_sweep(bars, runs(bars, seed), threshold=["q0.60"], **(COSTS | terms))
        found = random_sides_null(result, nested_selection(result), draws=199, seed=seed)
        rejected += found.p_value <= 0.05
    # 5 % lies inside the 99 % interval of what was seen.
    low, high = binomtest(rejected, markets).proportion_ci(0.99)
    assert low < 0.05 < high
    assert rejected >= 2


def runs(bars, seed):
    """Predictions without skill whose side and confidence last for about a day."""
    preds = make_predictions(bars, skill=0.0, seed=seed)
    smooth = np.array(preds.proba)
    known = preds.split[:, 0] >= 0
    noise = np.random.default_rng(seed).normal(size=known.sum() + 23)
    score = np.convolve(noise, np.full(24, 24**-0.5), "valid")
    weights = np.exp(np.stack([-score, np.full_like(score, 0.3), score], axis=1))
    smooth[known, 0] = weights / weights.sum(axis=1, keepdims=True)
    return replace(preds, proba=smooth)
