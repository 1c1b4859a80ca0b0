import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta

from benchmarks.judging import PRICES
from benchmarks.nullfamilies import BIASED_20, FAMILIES, FOLLOWING_20
from benchmarks.nullmarkets import (
    CRASH,
    CRASH_EVERY_DAYS,
    FALLING,
    PRINT,
    RISING,
    SEASON,
    bounce,
    crash_steps,
    crashes,
    drifting,
    martingale,
    season,
    waves,
)  # fmt: skip
from benchmarks.nullrules import (
    BRACKET_HOURS,
    COSTS,
    DAY,
    TIGHT,
    TOKEN,
    TOKEN_HOURS,
    WEEK,
    WIDE,
    biased,
    calm_size,
    knowing,
)  # fmt: skip
from benchmarks.nulls import (
    FIRST_SEED,
    Task,
    cell_of,
    judged,
    missing,
    named,
    passes,
    result,
    run,
    table,
)  # fmt: skip
from convnext_vbt.evidence.verdict import FEWEST_TRADES
from convnext_vbt.trading.codes import LONG, MAX_HOLDING, STOP, TAKE_PROFIT
from convnext_vbt.trading.signals import LEVELS

SEED = 501  # none of those that are reported
RULES = [name for name, family in FAMILIES.items() if not name.startswith(("told", "bounce"))]


@pytest.fixture(scope="module")
def flat():
    return martingale(SEED)


def log_returns(bars):
    return np.diff(np.log(bars.open[:, 0]))


def simulated(strategy, bars, costs="no costs"):
    return strategy.sweep(bars, costs).simulation()


def altered(bars, row, way=1):
    """The same bars up to this row; what follows goes up (way 1) or down fast."""
    step = np.random.default_rng(9).normal(0.02 * way, 0.02, len(bars))
    growth = np.exp(np.cumsum(step * (np.arange(len(bars)) > row)).clip(-9, 9))[:, None]
    return replace(bars, **{name: getattr(bars, name) * growth for name in PRICES})


@pytest.mark.parametrize("name", RULES)
def test_rules_know_nothing_of_what_follows(name, flat):
    bars = flat.rows(0, 14_000)
    before = FAMILIES[name].rule(bars, SEED)
    for row, way in itertools.product((9_600, 13_003), (1, -1)):
        after = FAMILIES[name].rule(altered(bars, row, way), SEED)
        for one, other in zip(before, after, strict=True):
            for field in (*LEVELS, "size"):
                known, again = (getattr(s.signals, field)[: row + 1] for s in (one, other))
                np.testing.assert_array_equal(known, again)
    assert all(one.signals.entries.any() or one.signals.short_entries.any() for one in before)


def test_what_is_told_is_of_the_future(flat):
    row = 9_000
    one, other = (knowing(b, SEED, 1.0, True).predictions for b in (flat, altered(flat, row)))
    known = row - DAY - 1
    np.testing.assert_array_equal(one.proba[:known], other.proba[:known])
    assert (one.proba[known:row] != other.proba[known:row]).any()


def test_confidence_is_ranked_by_what_came_before_the_split(flat):
    preds = knowing(flat, SEED, 1.0, True).predictions
    cut = preds.splits[3].test[0]
    changed = knowing(altered(flat, cut), SEED, 1.0, True).predictions
    np.testing.assert_array_equal(preds.quantiles[:4], changed.quantiles[:4])
    assert (preds.quantiles[4:] != changed.quantiles[4:]).any()
    assert (preds.split >= 0).sum() == 8 * 1_460
    assert preds.splits[-1].test[1] == len(flat)


def test_the_token_is_sold_once_a_week_for_three_hours(flat):
    swept = biased(flat, SEED)[0].sweep(flat, "no costs")
    done, bars = swept.simulation(), swept.window_bars
    trades = done.trades
    is_long = trades["direction"] == LONG
    shorts, longs = trades[~is_long], trades[is_long]
    assert len(shorts) == pytest.approx(len(bars) / WEEK, abs=1)
    assert set(shorts["exit_idx"] - shorts["entry_idx"]) == {TOKEN_HOURS}
    weekday_hour = (bars.index[shorts["entry_idx"]] - flat.index[1]).total_seconds() / 3600 % WEEK
    assert set(weekday_hour) == {0.0}
    size = calm_size(flat)[swept.window[0] :]
    worth = trades["size"] * trades["entry_price"] / done.equity[trades["entry_idx"] - 1, 0]
    share = np.where(is_long, 1.0, TOKEN)
    inner = trades["entry_idx"] > 0
    np.testing.assert_allclose(
        worth[inner], (size[trades["entry_idx"] - 1] * share)[inner], rtol=0.01
    )
    assert (longs["exit_idx"] - longs["entry_idx"]).max() == WEEK - TOKEN_HOURS


def test_crash_rules_are_each_others_reverse(flat):
    long, short = (
        FAMILIES[f"crashes, {side}"].rule(flat, SEED)[0].signals for side in ("long", "short")
    )
    np.testing.assert_array_equal(long.entries, short.short_entries)
    np.testing.assert_array_equal(long.short_entries, short.entries)


@pytest.mark.parametrize("market", [martingale, waves])
def test_drift_is_planted_and_nothing_else(market):
    plain, grown = market(SEED), drifting(market, 3.0)(SEED)
    step = log_returns(grown) - log_returns(plain)
    np.testing.assert_allclose(step, np.log(3.0) / plain.bars_per_year, rtol=1e-6)


def test_waves_are_a_martingale_whose_volatility_lasts():
    bars = waves(SEED)
    returns = log_returns(bars)
    growth = np.expm1(returns)
    assert abs(growth.mean()) < 3 * growth.std() / np.sqrt(len(growth))
    daily = np.log((returns[: len(returns) // DAY * DAY].reshape(-1, DAY) ** 2).sum(axis=1)) / 2
    week_on = np.corrcoef(daily[:-7], daily[7:])[0, 1]
    assert week_on > 0.35
    assert abs(np.corrcoef(returns[1:], returns[:-1])[0, 1]) < 0.05
    np.testing.assert_array_equal(bars.open[1:], bars.close[:-1])
    assert waves(SEED).fingerprint() == bars.fingerprint() != waves(SEED + 1).fingerprint()


def test_crashes_are_made_up_for_by_the_drift_between_them():
    steps = np.concatenate([crash_steps(seed, 17_520) for seed in range(400)])
    falls = steps < -CRASH / 2
    expected = len(steps) / (24 * CRASH_EVERY_DAYS)
    assert falls.sum() == pytest.approx(expected, abs=4 * np.sqrt(expected))
    between = steps[~falls][0]
    assert between > 0
    probability = 1 / (24 * CRASH_EVERY_DAYS)
    mean = probability * np.exp(between - CRASH) + (1 - probability) * np.exp(between)
    assert mean == pytest.approx(1.0, abs=1e-12)
    laid = np.log(crashes(3).close / martingale(3).close)[:, 0]
    np.testing.assert_allclose(laid, np.cumsum(crash_steps(3, len(laid))), atol=1e-12)


def test_the_season_is_worth_less_than_its_costs(flat):
    bars = season(SEED)
    added = log_returns(bars) - log_returns(flat)
    hour = bars.index.hour[:-1]  # a bar's return runs from its open to the next
    for hours, mean in ((RISING, SEASON), (FALLING, -SEASON)):
        np.testing.assert_allclose(added[np.isin(hour, hours)], mean, atol=1e-12)
    np.testing.assert_allclose(added[~np.isin(hour, [*RISING, *FALLING])], 0, atol=1e-12)
    assert len(RISING) * SEASON < 2 * 0.0007
    swept = FAMILIES["season"].rule(bars, SEED)[0].sweep(bars, "no costs")
    trades = swept.simulation().trades[1:]  # the window begins in the middle of a season
    hours, is_long = swept.window_bars.index.hour[trades["entry_idx"]], trades["direction"] == LONG
    assert set(hours[is_long]) == {RISING[0]}
    assert set(hours[~is_long]) == {FALLING[0]}


def test_prints_bounce_around_a_martingale():
    bars, flat = bounce(SEED), martingale(SEED)
    np.testing.assert_array_equal(bars.open[1:], bars.close[:-1])
    off = np.log(bars.close / flat.close)
    np.testing.assert_allclose(np.abs(off), PRINT, atol=1e-9)
    rounding = 1 + 1e-12
    assert (bars.high * rounding >= np.maximum(flat.high, bars.close)).all()
    assert (bars.low <= np.minimum(flat.low, bars.close) * rounding).all()
    covariances = [
        np.cov(r[1:], r[:-1])[0, 1]
        for r in (np.diff(np.log(bounce(seed).close[:, 0])) for seed in range(8))
    ]
    # Roll (1984): -s^2, 4e-6; the martingale's own is 0 +- 36e-6 / sqrt(8 x 17,520)
    assert np.mean(covariances) == pytest.approx(-(PRINT**2), abs=5e-7)


@pytest.mark.parametrize(
    ("name", "stop", "target"), [("tight stop", TIGHT, WIDE), ("wide stop", WIDE, TIGHT)]
)
def test_brackets_end_what_coins_begin(name, stop, target, flat):
    strategy = FAMILIES[name].rule(flat, SEED)[0]
    assert (strategy.stop, strategy.take_profit) == (stop, target)
    trades = simulated(strategy, flat).trades
    assert set(np.unique(trades["reason"])) >= {STOP, TAKE_PROFIT, MAX_HOLDING}
    assert (trades["exit_idx"] - trades["entry_idx"]).max() < BRACKET_HOURS
    longs = (trades["direction"] == LONG).mean()
    assert longs == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(len(trades)))
    drifted = FAMILIES[f"{name} +100 %"].rule(flat, SEED)[0]
    assert (simulated(drifted, flat).trades["direction"] == LONG).mean() > 0.7


def test_momentum_follows_the_last_day_and_reversal_fades_it(flat):
    follow, fade = (FAMILIES[name].rule(flat, SEED)[0].signals for name in ("momentum", "reversal"))
    for row in (9_600, 12_000):
        rose = flat.close[row, 0] > flat.close[row - DAY, 0]
        for later in (0, DAY - 1):  # decided once a day
            assert follow.entries[row + later, 0] == rose
            assert fade.short_entries[row + later, 0] == rose
    np.testing.assert_array_equal(follow.entries, fade.short_entries)


def test_volatility_alone_times(flat):
    long = FAMILIES["timed long"].rule(flat, SEED)[0].signals
    assert not long.short_entries.any()
    sides = FAMILIES["timed sides"].rule(flat, SEED)[0].signals
    np.testing.assert_array_equal(sides.entries, long.entries)
    turned = replace(
        flat,
        **{
            n: 1 / getattr(flat, m)
            for n, m in zip(PRICES, ("open", "low", "high", "close"), strict=True)
        },
    )
    mirrored = FAMILIES["timed sides"].rule(turned, SEED)[0].signals
    np.testing.assert_array_equal(sides.entries, mirrored.entries)


@pytest.mark.parametrize("name", [name for name in RULES if not name.startswith("best")])
def test_there_are_trades_enough_for_a_verdict(name):
    family = FAMILIES[name]
    bars = family.market(SEED)
    swept = family.rule(bars, SEED)[0].sweep(bars, "no costs")
    assert len(swept.simulation().trades) >= FEWEST_TRADES


def test_the_twenty_are_twenty(flat):
    for rules in (BIASED_20, FOLLOWING_20):
        made = {
            rule(flat, SEED)[0].signals.entries.tobytes()
            + rule(flat, SEED)[0].signals.size.tobytes()
            for rule in rules
        }
        assert len(rules) == len(made) == 20


@pytest.mark.slow
def test_a_market_is_judged_at_both_costs():
    found = run(Task(family="season", seed=SEED))
    assert [r["cell"] for r in found] == [cell_of("season", costs) for costs in COSTS]
    default, free = found
    assert default["word"] != "PASS"
    assert free["sharpe"] > default["sharpe"] + 1
    assert set(default["unmet"]) >= {"doubled_costs_sharpe"}
    assert 0 < free["p_values"]["random_sides"] <= 1
    assert json.dumps(found, allow_nan=False)


@pytest.mark.slow
def test_of_several_each_is_judged_as_one_of_them(flat):
    bars = drifting(martingale, 20.0)(SEED)
    one = biased(bars, SEED)[0]
    alone, of_two = judged([one], bars, "no costs"), judged([one, one], bars, "no costs")
    assert of_two["dsr"] < alone["dsr"]
    assert of_two["sharpe"] == alone["sharpe"]
    hopeless = judged([one, one], altered(flat, 6_000, -1), "default costs")
    assert (hopeless["word"], hopeless["unmet"]) == ("INCONCLUSIVE", ["dsr"])


def record(family, costs, word, **figures):
    base = {"cell": cell_of(family, costs), "seed": FIRST_SEED, "word": word, "unmet": []}
    return base | {"sharpe": 1.0, "seconds": 0.5} | figures


def test_the_table_and_the_json_tell_right_from_wrong():
    records = [record("season", costs, "PASS") for costs in COSTS]
    records += [record("momentum", "default costs", "FAIL", unmet=["dsr"]) for _ in range(3)]
    records += [record("momentum", "default costs", "INCONCLUSIVE", unmet=["dsr", "p_of_times"])]
    lines = table(records).splitlines()
    assert [line.split()[0] for line in lines[1::2]] == ["momentum", "season", "season"]
    assert lines[1].split()[:5] == ["momentum", "default", "costs", "4", "0.00"]
    assert "dsr 4 (3), p_of_times 1 (0)" in lines[2]  # a condition that is new shows by itself
    assert [line.split()[-1] for line in lines[1::2]] == ["wrong", "wrong", "right"]
    value = json.loads(json.dumps(result(records), allow_nan=False))
    assert value["worst_false_pass"] == 1.0
    assert value["false_pass"]["momentum | default costs"] == [
        0,
        0,
        pytest.approx(beta.ppf(0.975, 1, 4)),
    ]
    assert list(value["power"]) == ["season | no costs"]
    assert value["markets"]["momentum | default costs"] == 4
    assert result([])["worst_false_pass"] is None


def test_what_is_missing_comes_seed_by_seed_and_slow_families_seldom():
    done = [record("momentum", costs, "FAIL") for costs in COSTS]
    tasks = missing(["momentum", "bounce"], 7, done)
    seeds = [task.seed - FIRST_SEED for task in tasks if task.family == "bounce"]
    assert seeds == [*range(0, 7, FAMILIES["bounce"].one_in)] == [0, 2, 4, 6]
    assert [task.seed - FIRST_SEED for task in tasks if task.family == "momentum"] == [*range(1, 7)]
    assert missing(["momentum"], 1, done[:1]) != []


def test_families_are_named_by_how_they_begin():
    assert named(["long", "told 8"]) == [*list(FAMILIES)[:3], "told 8"]
    assert named(None) == list(FAMILIES)
    with pytest.raises(ValueError, match="no family 'luck'; there are long-biased"):
        named(["luck"])


def test_passes_have_exact_bounds():
    share, low, high = passes([record("momentum", "no costs", "PASS")] * 3)
    assert (share, high) == (1, 1)
    assert low == pytest.approx(0.025 ** (1 / 3))
