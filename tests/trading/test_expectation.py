"""What a trade is expected to return, entries that must be worth it, exits while the edge lasts."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import truncnorm

from convnext_vbt.market.volatility import ewma_volatility
from convnext_vbt.predictions import Predictions, Target
from convnext_vbt.trading.codes import SIGNAL, STOP
from convnext_vbt.trading.expectation import exit_time, expected_returns
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.portfolio import simulate
from convnext_vbt.trading.rules import RuleConfig, confidence_rules, confidence_signals
from convnext_vbt.trading.signals import LEVELS
from convnext_vbt.trading.sweep import SweepConfig, sweep
from tests.examples import examples

from .markets import TARGET, bars_of, hours, random_bars, random_predictions

NAN = float("nan")
SIGMA = math.log(1.01)
"""Volatility of a market that rises and falls by 1 % in turn, for a memory of a tenth of a bar."""
QUICK = Target(horizon=4, up=1.5, down=0.5, halflife=0.1)
COSTS = {"fees": 0.0005, "slippage": 0.0002}
ROUND_TRIP = 0.0014


def swinging(num_bars):
    closes = [100.0, 101.0] * (num_bars // 2)
    opens = [100.0, *closes[:-1]]
    rows = zip(opens, closes, strict=True)
    return bars_of([(a, max(a, b), min(a, b), b) for a, b in rows])


def predicted(up, down, target=QUICK):
    """Probabilities of the last bars of ten, none before: sigma is known by then."""
    blank = [NAN] * (10 - len(up))
    frames = {
        name: pd.DataFrame({"A": [*blank, *values]}, hours(10))
        for name, values in (("prob_up", up), ("prob_down", down))
    }
    return Predictions.from_frames(**frames, target=target)


def last_returns(preds, **changes):
    both = expected_returns(preds, swinging(10), SimulationConfig(**COSTS, **changes))
    return [side[-5:, 0] for side in both]


#     long pays, long is too little, short pays, tie, none
UP = [0.50, 0.25, 0.05, 0.20, NAN]
DOWN = [0.20, 0.24, 0.65, 0.20, NAN]
GROSS = [(p * 1.5 - q * 0.5) * 2 * SIGMA for p, q in zip(UP, DOWN, strict=True)]
"""Barriers lie 1.5 and 0.5 x sigma x sqrt(4) away: .0129, .0051, -.0050, .0040 and none."""


def test_expectation_of_five_bars_by_hand():
    long, short = last_returns(predicted(UP, DOWN))
    assert long == pytest.approx(GROSS, rel=1e-6, nan_ok=True)
    assert short == pytest.approx([-gross for gross in GROSS], rel=1e-6, nan_ok=True)
    assert long[0] == pytest.approx(0.65 * 2 * 0.00995033, rel=1e-6)


def entered(preds, **arguments):
    signals = confidence_signals(
        preds, swinging(10), threshold=0.2, hysteresis=0.0, **COSTS, **arguments
    )
    return [np.flatnonzero(getattr(signals, name)[-5:, 0]).tolist() for name in LEVELS]


def test_entries_must_be_worth_their_costs():
    preds = predicted(UP, DOWN)
    free = entered(preds)
    assert (free[0], free[2]) == ([0, 1], [2])
    bound = entered(preds, min_edge=2.6)  # 3.6 x .0014 = .00504
    assert (bound[0], bound[2]) == ([0, 1], [])
    assert (bound[1], bound[3]) == (free[1], free[3])
    bound = entered(preds, min_edge=2.5)
    assert (bound[0], bound[2]) == ([0, 1], [2])


@pytest.mark.parametrize(("row", "side"), [(0, 0), (2, 2)])
def test_the_boundary_is_in(row, side):
    preds = predicted(UP, DOWN)
    gross = last_returns(preds)[side // 2][row]
    edge = gross / ROUND_TRIP - 1.0
    assert row in entered(preds, min_edge=edge * (1 - 1e-9))[side]
    assert row not in entered(preds, min_edge=edge * (1 + 1e-9))[side]


def test_without_costs_a_gain_is_enough_and_minus_one_asks_for_no_more():
    preds = predicted([0.3, 0.3], [0.2, 0.95 - 0.3], target=replace(QUICK, up=0.5, down=1.5))
    for arguments in ({"min_edge": 0.0, "fees": 0.0, "slippage": 0.0}, {"min_edge": -1.0, **COSTS}):
        signals = confidence_signals(preds, swinging(10), threshold=0.2, **arguments)
        assert np.flatnonzero(signals.entries[-2:, 0]).tolist() == []  # .3 x .5 < .2 x 1.5
        assert np.flatnonzero(signals.short_entries[-2:, 0]).tolist() == [1]


def test_too_little_turns_no_position_even_without_shorts():
    preds = predicted([0.10] * 2, [0.30] * 2)
    assert entered(preds, short=False)[1] == [3, 4]
    exits = {"threshold": 0.2, "hysteresis": 0.15, "short": False, **COSTS}
    down = confidence_signals(preds, swinging(10), **exits)
    kept = confidence_signals(preds, swinging(10), min_edge=1.0, **exits)
    assert down.exits[-2:, 0].all()
    assert not kept.exits[-2:, 0].any()


def test_labels_of_fixed_kind_move_as_a_normal_beyond_its_dead_zone():
    target = Target(kind="fixed", horizon=4, up=0.3, down=0.8, halflife=0.1)
    long, short = last_returns(predicted(UP, DOWN, target))
    beyond = [truncnorm.mean(k, np.inf) for k in (0.3, 0.8)]
    expected = [(p * beyond[0] - q * beyond[1]) * 2 * SIGMA for p, q in zip(UP, DOWN, strict=True)]
    assert long == pytest.approx(expected, rel=1e-6, nan_ok=True)
    assert short == pytest.approx([-one for one in expected], rel=1e-6, nan_ok=True)


LABEL = float(exit_time(0.5, 1.5, 1.0))
"""In horizons of four bars."""


@pytest.mark.parametrize(
    ("own", "times"),
    [
        ({"stop": 0.01, "take_profit": 0.02}, [0.01 * 0.02 / (4 * SIGMA**2)] * 2),
        ({"stop": 0.01}, [1.0] * 2),  # without both limits: the label's horizon
        ({"stop": 0.01, "max_holding": 12}, [exit_time(0.005 / SIGMA, NAN, 3.0)] * 2),
        (
            {"take_profit": 0.005},
            [exit_time(stop, 0.0025 / SIGMA, 1.0) for stop in (0.5, 1.5)],
        ),
    ],
)
def test_own_brackets_scale_with_the_time_that_they_take(own, times):
    long, short = last_returns(predicted(UP, DOWN), **own)
    assert long[:4] == pytest.approx([gross * times[0] / LABEL for gross in GROSS[:4]], rel=1e-6)
    assert short[:4] == pytest.approx([-gross * times[1] / LABEL for gross in GROSS[:4]], rel=1e-6)


@pytest.mark.parametrize(
    ("stop", "profit", "limit"), [(1.0, 1.0, 1.0), (0.5, 0.75, 2.0), (2.0, NAN, 1.0), (0.5, NAN, 4)]
)
def test_exit_times_are_those_of_walks(stop, profit, limit):
    """4,000 walks of 400 steps; barriers beyond the steps' own overshoot, .58 of a step each."""
    rng = np.random.default_rng(0)
    step = math.sqrt(limit / 400)
    walks = np.cumsum(rng.standard_normal((4_000, 400)) * step, axis=1)
    overshoot = 0.5826 * step
    top = math.inf if math.isnan(profit) else profit - overshoot
    left = (walks >= top) | (walks <= -stop + overshoot)
    times = np.where(left.any(axis=1), left.argmax(axis=1) + 1, 400) * limit / 400
    assert exit_time(stop, profit, limit) == pytest.approx(times.mean(), rel=0.04)


def test_without_a_limit_a_walk_leaves_after_stop_times_profit():
    assert exit_time(0.5, 1.5, math.inf) == 0.75
    assert exit_time(0.5, 1.5, 100.0) == pytest.approx(0.75, rel=1e-4)
    assert exit_time(0.5, NAN, math.inf) == math.inf


MARKET = random_bars(num_bars=700, seed=3, symbols=("A", "B"), missing=0.05)
PREDS = random_predictions(MARKET, seed=3)
SIGMAS = ewma_volatility(MARKET, halflife=TARGET.halflife)


def plain_row(t, n, *, theta, gap, min_edge, leave, short):
    """The levels of `LEVELS` by the documentation, at one bar of one symbol."""
    down, up = (float(PREDS.proba[t, n, k]) for k in (0, 2))
    if math.isnan(up):
        return (False,) * 4
    gross = (up * TARGET.up - down * TARGET.down) * SIGMAS[t, n] * math.sqrt(TARGET.horizon)
    least = -math.inf
    if leave == "edge":
        least = 0.0
    if min_edge is not None:
        least = (1 + min_edge) * 2 * (0.0005 + 0.0002)
    buys = up >= np.float32(theta) and up > down and (gross >= least or least == -math.inf)
    sells = down >= np.float32(theta) and down > up and (-gross >= least or least == -math.inf)
    if leave == "edge":
        leaves_long, leaves_short = gross < 0, -gross < 0
    else:
        level = np.float32(theta) - np.float32(gap)
        leaves_long, leaves_short = up < level, down < level
    return (
        buys, leaves_long or (sells and not short), sells and short, leaves_short and short,
    )  # fmt: skip


@pytest.mark.parametrize("leave", ["bracket", "edge"])
@pytest.mark.parametrize("short", [True, False])
def test_all_columns_say_what_the_plain_rule_says(leave, short):
    edges = [-1.0, 0.0, 1.5, 4.0]
    rules = {"threshold": [0.36, 0.42], "exit": leave, "short": short}
    swept = confidence_signals(PREDS, MARKET, min_edge=edges, **rules)
    alone = confidence_signals(PREDS, MARKET, **rules)
    assert swept.columns.names == ["threshold", "min_edge", "symbol"]
    assert len(swept.columns) == 16
    columns = [(swept, c, *key) for c, key in enumerate(swept.columns)]
    columns += [(alone, c, theta, None, name) for c, (theta, name) in enumerate(alone.columns)]
    for signals, c, theta, min_edge, symbol in columns:
        n = MARKET.symbols.index(symbol)
        asked = {"theta": theta, "gap": 0.05, "min_edge": min_edge, "leave": leave, "short": short}
        said = np.array([plain_row(t, n, **asked) for t in range(len(MARKET))])
        for k, name in enumerate(LEVELS):
            np.testing.assert_array_equal(getattr(signals, name)[:, c], said[:, k], err_msg=name)
        assert not (signals.entries[:, c] & signals.exits[:, c]).any()
    counts = swept.entries.sum(axis=0)[:8:2].tolist()
    assert sorted(set(counts), reverse=True) == counts


def test_sizes_follow_what_a_trade_is_expected_to_return():
    """From the floor at the least edge to all at the full one, on either side."""
    rules = {"threshold": [0.36, 0.42], "floor": 0.2, "exit": "edge"}
    sized = confidence_signals(PREDS, MARKET, min_edge=[0.5, 3.0], full_edge=5.0, **rules)
    plain = confidence_signals(PREDS, MARKET, min_edge=[0.5, 3.0], **rules)
    for name in LEVELS:
        np.testing.assert_array_equal(getattr(sized, name), getattr(plain, name))
    width = SIGMAS * math.sqrt(TARGET.horizon)
    gross = width * (PREDS.proba[:, :, 2] * TARGET.up - PREDS.proba[:, :, 0] * TARGET.down)
    for c, (_, min_edge, symbol) in enumerate(sized.columns):
        n = MARKET.symbols.index(symbol)
        enters = sized.entries[:, c] | sized.short_entries[:, c]
        side = np.where(sized.entries[:, c], 1.0, -1.0)
        net = side * gross[:, n] / ROUND_TRIP - 1
        expected = 0.2 + 0.8 * np.clip((net - min_edge) / (5.0 - min_edge), 0, 1)
        found = sized.size[enters, c]
        np.testing.assert_allclose(found, expected[enters], rtol=1e-5)
        assert found.min() < 0.5 < found.max()
        assert (sized.size[~enters, c] == 0).all()


def test_whoever_does_not_wait_stakes_the_least_on_what_is_not_worth_it():
    rules = confidence_rules(
        PREDS, MARKET, RuleConfig(threshold=0.36, min_edge=1.5, full_edge=5.0, floor=0.2)
    )
    waits, does_not = rules.signals(), rules.asking_nothing().signals()
    entered = waits.entries | waits.short_entries
    more = (does_not.entries | does_not.short_entries) & ~entered
    assert more.sum() > 20
    np.testing.assert_array_equal(does_not.size[entered], waits.size[entered])
    np.testing.assert_allclose(does_not.size[more], 0.2)


def test_without_a_least_edge_or_costs_there_is_nothing_to_size_by():
    by_confidence = confidence_signals(PREDS, MARKET, threshold=0.36, exit="edge")
    same = confidence_signals(PREDS, MARKET, threshold=0.36, exit="edge", full_edge=5.0)
    np.testing.assert_array_equal(same.size, by_confidence.size)
    free = {"threshold": 0.36, "fees": 0.0, "slippage": 0.0, "min_edge": 0.0}
    found = confidence_signals(PREDS, MARKET, full_edge=2.0, **free)
    np.testing.assert_array_equal(found.size, confidence_signals(PREDS, MARKET, **free).size)
    full = confidence_signals(PREDS, MARKET, threshold=0.36, min_edge=2.0, full_edge=2.0)
    assert set(np.unique(full.size)) == {0.0, 1.0}


@examples(15)
@given(st.integers(0, 2**32 - 1), st.integers(550, 690), st.sampled_from(["bracket", "edge"]))
def test_rows_depend_on_nothing_after_them(seed, t, leave):
    """Neither on probabilities nor on prices: volatility is that of the bars up to the row."""
    bars = random_bars(num_bars=700, seed=0)
    other = random_bars(num_bars=700, seed=seed)
    fields = {
        name: np.concatenate([getattr(bars, name)[: t + 1], getattr(other, name)[t + 1 :]])
        for name in ("open", "high", "low", "close")
    }
    one, two = random_predictions(bars, seed=seed), random_predictions(bars, seed=seed + 1)
    spliced = replace(one, proba=np.concatenate([one.proba[: t + 1], two.proba[t + 1 :]]))
    rules = {"threshold": [0.38], "min_edge": [0.0, 2.0], "full_edge": 4.0, "exit": leave}
    before = confidence_signals(one, bars, **rules)
    after = confidence_signals(spliced, replace(bars, **fields), **rules)
    for name in (*LEVELS, "size"):
        assert np.array_equal(getattr(before, name)[: t + 1], getattr(after, name)[: t + 1])
    assert before.entries.any()


def test_volatility_may_come_from_longer_bars():
    bars = random_bars(num_bars=700, seed=0)
    preds = random_predictions(bars, seed=0)
    whole = expected_returns(preds, bars, SimulationConfig())
    last = Predictions(
        index=preds.index[-3:], symbols=preds.symbols, proba=preds.proba[-3:],
        split=preds.split[-3:], target=preds.target,
    )  # fmt: skip
    part = expected_returns(last, bars.rows(697, 700), SimulationConfig(), history=bars)
    for one, other in zip(whole, part, strict=True):
        np.testing.assert_array_equal(one[-3:], other)


def swept_edge(bars, preds, **arguments):
    rules = {"threshold": 0.4, "exit": "edge", "risk": 0.02, **arguments}
    return sweep(bars, preds, **rules)


@pytest.mark.filterwarnings("ignore:1 of 1 cells")
def test_a_position_is_held_while_its_edge_lasts():
    """Beyond barrier and horizon, through bars without a prediction, until DOWN outweighs UP."""
    closes = 100.0 * 1.02 ** np.arange(10)
    opens = [100.0, *closes[:-1]]
    bars = bars_of([(a, b, a, b) for a, b in zip(opens, closes, strict=True)])
    up = [NAN] * 4 + [0.5, 0.25, NAN, 0.21, 0.2, 0.2]
    down = [NAN] * 4 + [0.1, 0.25, NAN, 0.2, 0.25, 0.2]
    frames = {
        name: pd.DataFrame({"A": values}, hours(10))
        for name, values in (("prob_up", up), ("prob_down", down))
    }
    preds = Predictions.from_frames(
        **frames, target=Target(horizon=2, up=1.0, down=1.0, halflife=0.1)
    )
    (trade,) = swept_edge(bars, preds).simulation().trades
    assert (trade["entry_idx"], trade["exit_idx"]) == (5 - 4, 9 - 4)
    assert trade["reason"] == SIGNAL
    in_bracket = sweep(bars, preds, threshold=0.4, hysteresis=0.3).simulation().trades
    assert in_bracket["exit_idx"][0] < 5


@pytest.mark.filterwarnings("ignore:1 of 1 cells")
def test_ten_stops_in_a_row_leave_four_fifths():
    """The piggy bank: 0.98^10 = 81.7 %, costs and all."""
    bars = random_bars(num_bars=40, seed=1, gaps=0.0)
    closes = 100.0 * 0.95 ** np.arange(40)
    opens = np.array([100.0, *closes[:-1]])
    fields = {"open": opens, "high": opens, "low": closes, "close": closes}
    bars = replace(bars, **{name: values[:, None] for name, values in fields.items()})
    frame = pd.DataFrame({"A": np.full(40, 0.6)}, bars.index)
    target = Target(horizon=1, up=0.5, down=0.5, halflife=0.1)
    preds = Predictions.from_frames(prob_up=frame, prob_down=frame / 6, target=target)
    rules = {"full": 0.5, "max_leverage": 10.0, "min_edge": 1.0}
    done = swept_edge(bars, preds, **rules)
    trades, equity = done.simulation().trades, done.simulation().equity[:, 0]
    assert (trades["reason"][:10] == STOP).all()
    after = equity[trades["exit_idx"][9]] / 10_000
    assert after == pytest.approx(0.98**10, rel=1e-9)
    assert after > 0.8


def test_a_stop_always_stands_and_nothing_else():
    bars = random_bars(num_bars=1_500, seed=5, symbols=("A", "B"), gaps=0.0)
    preds = random_predictions(bars, seed=5)
    done = swept_edge(bars, preds, threshold=0.36, max_leverage=50.0, max_open_risk=1.0)
    assert np.isnan(done.brackets.take_profit_long).all()
    assert np.isnan(done.brackets.take_profit_short).all()
    assert done.brackets.max_holding is None
    entries = done.signals.entries | done.signals.short_entries
    assert np.isfinite(done.brackets.stop_long[entries]).all()
    one = done.simulation()
    trades = one.trades[one.trades["status"] == 1]
    assert (trades["reason"] == STOP).sum() > 2
    before = one.equity[trades["entry_idx"] - 1, 0]
    assert (trades["pnl"] >= -0.02 * before * 1.5).all()


def test_a_list_of_least_edges_is_a_level_of_the_sweep():
    bars = random_bars(num_bars=1_500, seed=7)
    preds = random_predictions(bars, seed=7)
    rules = {"threshold": [0.36, 0.4], "risk": [0.01, 0.02]}
    rules["full_edge"] = 3.0
    both = sweep(bars, preds, min_edge=[0.0, 2.0], hysteresis=[0.02], **rules)
    assert both.metrics.index.names == ["threshold", "hysteresis", "min_edge", "risk", "symbol"]
    assert len(both.metrics) == 8
    for edge in (0.0, 2.0):
        alone = sweep(bars, preds, min_edge=edge, hysteresis=0.02, **rules)
        assert alone.metrics.index.names == ["threshold", "risk", "symbol"]
        picked = both.metrics.xs(edge, level="min_edge").droplevel("hysteresis")
        pd.testing.assert_frame_equal(picked, alone.metrics, check_exact=True)
    cell = {"threshold": 0.36, "risk": 0.01}
    free, bound = (both.simulation(**cell, min_edge=edge).trades for edge in (0.0, 2.0))
    assert len(free) > len(bound) > 0
    assert SweepConfig(min_edge=(0.0, 1.0)).num_cells == 2 * SweepConfig().num_cells


NO_TARGET = replace(predicted(UP, DOWN), target=None)


@pytest.mark.parametrize(
    ("preds", "arguments", "message"),
    [
        (NO_TARGET, {"min_edge": 0.0}, "need to know what the probabilities speak of; give"),
        (NO_TARGET, {"exit": "edge"}, "need to know what the probabilities speak of; give"),
        (None, {"min_edge": -2.0}, "min_edge must be at least 0, or -1 for a gain before costs"),
        (None, {"min_edge": math.inf}, "min_edge must be at least 0"),
        (None, {"min_edge": [1.0, 1.0]}, "min_edge needs one or more distinct values"),
        (
            None,
            {"min_edge": 1.0, "full_edge": math.inf},
            r"full_edge must lie in \(0, inf\), got inf",
        ),
        (None, {"exit": "never"}, r"exit must be one of \('bracket', 'edge'\), got 'never'"),
        (None, {"exit": "edge", "take_profit": 0.1}, "take_profit = 0.1 has no meaning"),
        (None, {"exit": "edge", "max_holding": 9}, "max_holding = 9 has no meaning with exit"),
        (None, {"exit": "edge", "hysteresis": [0.1]}, r"hysteresis = \[0.1\] has no meaning"),
    ],
)
def test_what_cannot_be_traded_is_refused(preds, arguments, message):
    preds = predicted(UP, DOWN) if preds is None else preds
    with pytest.raises(ValueError, match=message):
        confidence_signals(preds, swinging(10), threshold=0.3, **arguments)
    with pytest.raises(ValueError, match=message):
        sweep(swinging(10), preds, threshold=0.3, stop=0.1, **arguments)


def test_no_take_profit_has_no_ladder():
    bars, preds, ladder = swinging(10), predicted(UP, DOWN), [(0.5, 1.0)]
    with pytest.raises(ValueError, match="take_profit_ladder has no meaning with exit = 'edge'"):
        sweep(bars, preds, threshold=0.3, exit="edge", take_profit_ladder=ladder)
    with pytest.raises(ValueError, match="no meaning without a take-profit"):
        sweep(bars, preds, threshold=0.3, stop=0.1, take_profit_ladder=ladder)
    signals = confidence_signals(preds, bars, threshold=0.3)
    with pytest.raises(ValueError, match="no meaning without a take-profit"):
        simulate(bars, signals, stop=0.1, take_profit_ladder=ladder)
    simulate(bars, signals, stop=0.1, take_profit=0.1, take_profit_ladder=ladder)


def test_no_take_profit_has_no_multiples():
    with pytest.raises(ValueError, match=r"take_profit_multiple = \[2.0\] has no meaning"):
        sweep(swinging(10), predicted(UP, DOWN), threshold=0.3, exit="edge",
              take_profit_multiple=2.0)  # fmt: skip
