import json
import math
from dataclasses import fields, replace

import numpy as np
import pytest

from convnext_vbt.evidence.accounts import Account, daily_returns
from convnext_vbt.evidence.concerns import concerns
from convnext_vbt.evidence.headline import deflated, headline
from convnext_vbt.evidence.ledger import Trials
from convnext_vbt.evidence.nulls.random_sides import ONE_SIDED, random_sides_null
from convnext_vbt.evidence.nulls.random_times import random_times_null
from convnext_vbt.evidence.selection import Preset
from convnext_vbt.evidence.spread import implied_half_spread
from convnext_vbt.evidence.stats import sharpe_ratio
from convnext_vbt.evidence.verdict import Facts, assess, judge
from convnext_vbt.evidence.window import Window
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.trading.codes import OPEN
from convnext_vbt.trading.instruments import Instrument
from tests.evidence.markets import make_bars, make_predictions, make_sweep
from tests.evidence.test_spread import bars_of, bouncing

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")

GOOD = Facts(
    total_return=0.5,
    sharpe=2.0,
    sharpe_low=0.8,
    sharpe_high=3.1,
    dsr=0.97,
    num_trials=3,
    buy_and_hold_sharpe=0.7,
    doubled_costs_sharpe=1.1,
    sides_p=0.004,
    times_p=0.003,
    charged=0.0007,
    implied_spread=0.0002,
    trades=250,
    splits_traded=10,
    splits_positive=8,
)

EDGES = [
    # field, meets its condition, just does not, words of the reason
    ("dsr", 0.95, 0.9499, "Deflated Sharpe ratio"),
    ("sharpe_low", 0.001, 0.0, "lower end"),
    ("sharpe", 0.7001, 0.7, "buy-and-hold"),
    ("sides_p", 0.0499, 0.05, "Random sides"),
    ("times_p", 0.0099, 0.01, "Random times"),
    ("splits_positive", 6, 5, "splits"),
    ("trades", 30, 29, "trades"),
    ("doubled_costs_sharpe", 0.001, 0.0, "doubled costs"),
    ("implied_spread", 0.0007, 0.00071, "half-spread"),
]


def test_a_pass_names_all_conditions():
    found = judge(GOOD)
    assert found.word == "PASS"
    assert [reason.text for reason in found.reasons] == [
        "Deflated Sharpe ratio 0.97 (3 strategies tried on this data), needs 0.95: met",
        "Sharpe ratio, lower end of the 90 % CI: 0.80, needs more than 0: met",
        "Sharpe ratio 2.00 against 0.70 for buy-and-hold, needs the higher one: met",
        "Random sides: p = 0.004, needs p < 0.05: met",
        "Random times: p = 0.003, needs p < 0.01: met",
        "8 of 10 traded splits profitable, needs 60 %: met",
        "250 trades, needs 30: met",
        "Sharpe ratio at doubled costs 1.10, needs more than 0: met",
        "7 bp charged a side, needs the 2 bp of half-spread by which closes bounce: met",
    ]
    assert all(reason.ok for reason in found.reasons)


@pytest.mark.parametrize(("name", "meets", "misses", "words"), EDGES)
def test_each_condition_stands_between_a_strategy_and_a_pass(name, meets, misses, words):
    assert judge(replace(GOOD, **{name: meets})).word == "PASS"
    found = judge(replace(GOOD, **{name: misses}))
    assert found.word == "INCONCLUSIVE"
    (missed,) = (reason for reason in found.reasons if not reason.ok)
    assert words in missed.text
    assert missed.text.endswith(": not met")
    assert len(found.reasons) == len(EDGES)


@pytest.mark.parametrize(
    ("name", "fails", "does_not", "text"),
    [
        (
            "sharpe_high",
            -0.001,
            0.0,
            "Sharpe ratio, upper end of the 90 % CI: -0.001, below 0: fails",
        ),
        ("total_return", 0.0, 0.0001, "Net return 0.0 %, not above 0: fails"),
        ("sides_p", 0.501, 0.5, "Random sides: p = 0.501, above 0.5: fails"),
        ("times_p", 0.501, 0.5, "Random times: p = 0.501, above 0.5: fails"),
    ],
)
def test_one_sign_of_no_edge_is_enough_to_fail(name, fails, does_not, text):
    found = judge(replace(GOOD, **{name: fails}))
    assert found.word == "FAIL"
    assert found.reasons[0].text == text
    assert not found.reasons[0].ok
    assert len({reason.subject for reason in found.reasons}) == len(found.reasons)
    assert len(found.reasons) == len(EDGES) + (name == "total_return")
    assert judge(replace(GOOD, **{name: does_not})).word != "FAIL"


def test_all_signs_of_no_edge_are_named():
    found = judge(replace(GOOD, sharpe_high=-1.0, total_return=-0.123, sides_p=0.8))
    assert [reason.text[:10] for reason in found.reasons[:3]] == [
        "Sharpe rat", "Net return", "Random sid",
    ]  # fmt: skip
    assert "Net return -12.3 %" in found.reasons[1].text
    assert len(found.reasons) == len(EDGES) + 1


@pytest.mark.parametrize("worse", [{}, {"total_return": -0.5, "sharpe_high": -1.0, "sides_p": 0.9}])
def test_below_thirty_trades_nothing_is_conclusive(worse):
    found = judge(replace(GOOD, trades=29, **worse))
    assert found.word == "INCONCLUSIVE"
    assert "29 trades, needs 30: not met" in [reason.text for reason in found.reasons]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"dsr": math.nan},
            "No deflated Sharpe ratio (few days or no variation), needs",
        ),
        ({"sharpe_low": math.nan}, "No 90 % CI of the Sharpe ratio (few days with returns)"),
        ({"sharpe": math.nan}, "No Sharpe ratio to compare with buy-and-hold"),
        ({"sides_p": math.nan}, "Random sides: no p-value, needs"),
        ({"times_p": math.nan}, "Random times: no p-value, needs"),
        ({"splits_traded": 0, "splits_positive": 0}, "No split traded, needs a gain"),
        ({"doubled_costs_sharpe": math.nan}, "No Sharpe ratio at doubled costs, needs"),
    ],
)
def test_what_is_undefined_is_said_in_words(changes, words):
    (missed,) = (r.text for r in judge(replace(GOOD, **changes)).reasons if not r.ok)
    assert missed.startswith(words)
    assert missed.endswith(": not met")
    assert "n/a" not in missed
    assert "undefined" not in missed


FLOATS = [f.name for f in fields(Facts) if f.type == "float" and f.name != "total_return"]


@pytest.mark.parametrize("name", FLOATS)
def test_what_is_undefined_neither_passes_nor_fails(name):
    found = judge(replace(GOOD, **{name: math.nan}))
    asks_nothing = name in ("sharpe_high", "implied_spread")
    assert found.word == ("PASS" if asks_nothing else "INCONCLUSIVE")
    if not asks_nothing:
        (missed,) = (reason for reason in found.reasons if not reason.ok)
        assert "no" in missed.text.lower()


@pytest.mark.parametrize(
    ("implied", "words"),
    [(0.0, "the bars imply no spread: met"), (math.nan, "too few bars in a row to tell what they")],
)
def test_a_spread_that_is_not_there_or_not_known_is_said(implied, words):
    found = judge(replace(GOOD, implied_spread=implied))
    assert found.word == "PASS"
    assert words in found.reasons[-1].text


def test_one_sided_strategies_are_judged_by_random_times_alone():
    long_only = replace(GOOD, sides_p=math.nan, one_sided=True)
    found = judge(long_only)
    assert found.word == "PASS"
    assert not any("sides" in reason.text for reason in found.reasons)
    assert judge(replace(long_only, times_p=0.01)).word == "INCONCLUSIVE"
    assert judge(replace(GOOD, sides_p=0.049)).word == "PASS"
    assert judge(replace(long_only, times_p=0.51)).word == "FAIL"


@pytest.mark.parametrize(("skill", "word"), [(12.0, "PASS"), (0.0, "FAIL")])
def test_an_account_that_is_long_only_can_pass(skill, word):
    bars = make_bars()
    preds = make_predictions(bars, skill=skill)
    longs = make_sweep(bars, preds, short=False, fees=0.0002, slippage=0.0)
    found = assess(longs, draws=150)
    assert found.verdict.word == word
    assert found.random_sides.reason == ONE_SIDED


def test_no_split_traded_is_not_sixty_percent():
    found = judge(replace(GOOD, splits_traded=0, splits_positive=0))
    assert found.word == "INCONCLUSIVE"
    assert "No split traded" in found.reasons[5].text


def test_rounding_never_contradicts_the_judgement():
    text = judge(replace(GOOD, dsr=0.94996, sharpe=0.70001)).reasons
    assert "ratio 0.94996 (" in text[0].text
    assert "1 strategy tried" in judge(replace(GOOD, num_trials=1)).reasons[0].text
    assert "Sharpe ratio 0.70001 against 0.70000 for" in text[2].text


@pytest.fixture(scope="module")
def result():
    bars = make_bars()
    return make_sweep(bars, make_predictions(bars), fees=0.0005, slippage=0.0002)


def test_assess_puts_the_parts_together(result):
    trials = Trials(num_runs=7, num_rules=40, variance=0.001)
    preset = Preset(initial="q0.60", risk=0.05, seed=3)
    found = assess(result, preset=preset, trials=trials, draws=60)
    head = headline(result, initial="q0.60", risk=0.05, num_trials=7, seed=3)
    assert head.selection.simulation.trades["capped"].any()  # else the risk would hardly matter
    assert replace(found.headline, selection=head.selection) == head
    null = random_sides_null(result, head.selection, risk=0.05, draws=60, seed=3)
    np.testing.assert_array_equal(found.random_sides.draws, null.draws)
    times = random_times_null(result, head.selection, risk=0.05, draws=60, seed=3)
    np.testing.assert_array_equal(found.random_times.draws, times.draws)
    doubled = Window(result).simulate(
        head.selection.signals, head.selection.brackets, risk=0.05, cost_multiple=2.0
    )
    assert found.doubled_costs_sharpe == sharpe_ratio(daily_returns(Account.of(doubled)), 365)
    assert null.observed == pytest.approx(head.sharpe)
    assert found.hindsight.num_trials == 40
    again = assess(result, head, preset=Preset(seed=3), trials=trials, draws=60)
    assert again.verdict == found.verdict
    assert found.verdict == judge(
        Facts(
            buy_and_hold_sharpe=found.buy_and_hold_sharpe,
            doubled_costs_sharpe=found.doubled_costs_sharpe,
            sides_p=null.p_value,
            times_p=times.p_value,
            charged=0.0007,
            implied_spread=0.0,
            **{f.name: getattr(head, f.name) for f in fields(Facts) if f.name in head.__slots__},
        )
    )


@pytest.mark.parametrize("charged", [0.0007, 0.003])
def test_costs_below_the_spread_that_the_bars_imply_are_no_pass(charged):
    """Of two symbols, one bounces by 20 bp; the bound is weighted by what was traded of each."""
    calm, wild = make_bars(bars=6000), bars_of(*bouncing(0.002, num_bars=6000))
    arrays = {f: np.hstack([getattr(calm, f), getattr(wild, f)]) for f in FIELDS}
    pair = replace(calm, symbols=("calm", "wild"), **arrays)
    res = make_sweep(pair, make_predictions(pair), fees=charged, slippage=0.0)
    found = assess(res, draws=10)
    bound = implied_half_spread(res.window_bars).low[1]
    assert 0.0014 < bound < 0.002
    orders = found.headline.selection.simulation.orders
    value = orders["size"] * orders["price"]
    expected = 1e4 * bound * value[orders["col"] == 1].sum() / value.sum()
    reason = found.verdict.reasons[-1]
    assert reason.subject == "implied_spread"
    assert f"{expected:.3g} bp of half-spread by which closes bounce" in reason.text
    assert reason.ok == (charged > expected / 1e4)


def test_without_a_ledger_the_sweep_itself_is_all_that_was_tried(result):
    found = assess(result, draws=20)
    assert (found.trials.num_runs, found.trials.num_rules) == (1, 4)
    assert found.headline.num_trials == 1


def test_doubled_costs_trade_the_same_signals(result):
    found = assess(result, draws=20)
    dear = make_sweep(result.bars, result.predictions, fees=0.001, slippage=0.0004)
    chosen = found.headline.selection
    account = Window(dear).simulate(chosen.signals, chosen.brackets)
    assert found.doubled_costs_sharpe == sharpe_ratio(daily_returns(Account.of(account)), 365)
    assert found.doubled_costs_sharpe < found.headline.sharpe


def test_deflating_later_is_deflating_at_once(result):
    alone = headline(result)
    assert deflated(alone, 9).dsr == headline(result, num_trials=9).dsr
    assert deflated(alone, 9).num_trials == 9


def test_an_assessment_is_plain_json(result):
    found = assess(result, draws=20).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["verdict"]["word"] in ("PASS", "INCONCLUSIVE", "FAIL")
    assert found["headline"]["variance"] == 1 / found["headline"]["num_days"]
    assert found["hindsight"]["variance"] == found["trials"]["variance"]
    assert [choice["split"] for choice in found["headline"]["choices"]] == list(range(6))
    assert found["headline"]["choices"][0]["sharpe"] is None
    assert found["random_sides"]["draws"] == 20


def test_a_strategy_that_never_trades_is_assessed_without_a_warning(result):
    idle = make_sweep(result.bars, result.predictions, threshold=[0.999999])
    found = assess(idle, draws=20)
    assert found.verdict.word == "INCONCLUSIVE"
    assert found.hindsight.cell == {}
    value = found.to_dict()
    json.dumps(value, allow_nan=False)
    assert value["random_sides"]["p_value"] is None
    assert value["random_sides"]["reason"] == "there is no position"


def test_buy_and_hold_is_bought_whole_at_once_whatever_the_instrument_asks_of_a_trade():
    """Volatility is that of the whole history, and neither a limit nor the volume keeps it out."""
    bars = make_bars()
    own = Instrument(impact=0.01, volatility_slippage=0.01, max_volume_share=1e-9, lot=0.001)
    res = make_sweep(
        bars, make_predictions(bars), instruments={"default": own}, limit_offset=0.01,
        leave_at="12:00", trail="close",
    )  # fmt: skip
    window = Window(res)
    account = window.buy_and_hold()
    assert account.trades["entry_idx"].tolist() == [1]
    assert account.trades["status"].tolist() == [OPEN]
    price = account.trades["entry_price"][0]
    assert window.bars.open[1, 0] < price < window.bars.open[1, 0] * 1.01
    assert 0 <= 10_000 / 1.0005 - account.trades["size"][0] * price <= 0.001 * price


def test_buy_and_hold_pays_its_fee_at_the_first_open_and_shares_money_between_symbols():
    pair = make_bars(symbols=2)
    window = Window(make_sweep(pair, make_predictions(pair), fees=0.001, slippage=0.002))
    account = window.buy_and_hold()
    bars = window.bars
    units = 5_000 / 1.001 / (bars.open[1] * 1.002)
    worth = (units * bars.close[1:]).sum(axis=1)
    np.testing.assert_allclose(account.equity[1:, 0], worth, rtol=1e-12)
    assert (account.equity[0] == 10_000).all()
    one = window.buy_and_hold("S1").equity[1:, 0]
    np.testing.assert_allclose(one, 2 * units[1] * bars.close[1:, 1], rtol=1e-12)
    assert len(account.orders) == 2
    money = account.equity[:, 0]
    days = bars.index.normalize()
    ends = np.append(np.flatnonzero(days[1:] != days[:-1]), len(bars) - 1) + 1
    by_day = np.append(10_000, money[ends - 1])
    expected = np.diff(by_day) / by_day[:-1]
    np.testing.assert_allclose(daily_returns(Account.of(account)), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"later_splits": 4}, "Not walk-forward: 4 splits learned from bars of the test range"),
        ({"untold_splits": 1}, "fold numbers alone do not tell what 1 split learned from"),
    ],
)
def test_what_is_no_walk_forward_never_passes(facts, words):
    found = judge(replace(GOOD, **facts))
    assert found.word == "INCONCLUSIVE"
    assert words in found.reasons[-1].text
    assert not found.reasons[-1].ok
    assert judge(replace(GOOD, total_return=-0.1, **facts)).word == "FAIL"


def test_splits_that_learned_later_are_counted_where_they_are_traded(result):
    preds = result.predictions
    count = len(preds.splits)
    for train, later, untold in (((0, 3000), count, 0), ((0, 0), 0, count)):
        splits = tuple(replace(split, train=train) for split in preds.splits)
        res = replace(result, predictions=replace(preds, splits=splits))
        found = assess(res, draws=19)
        subjects = [reason.subject for reason in found.verdict.reasons]
        assert ("later_splits" in subjects) == bool(later)
        assert ("untold_splits" in subjects) == bool(untold)
        assert found.verdict.word != "PASS"
        careful = concerns(res, found.headline.selection.account)
        assert (len(careful.later_splits), len(careful.untold_splits)) == (later, untold)
    unpurged = tuple(replace(s, train=(0, s.test[0] - 11)) for s in preds.splits)
    careful = concerns(replace(result, predictions=replace(preds, splits=unpurged)), holder(result))
    assert len(careful.unpurged_splits) == count  # labels of 12 bars
    assert concerns(result, holder(result)).unpurged_splits == ()


def holder(result):
    return Account.of(Window(result).buy_and_hold())
