from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.evidence.accounts import Account, daily_returns
from convnext_vbt.evidence.gathering import gather
from convnext_vbt.evidence.selection import REASONS, Preset, nested_selection
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.predictions import Predictions
from convnext_vbt.trading.signals import LEVELS, Signals
from tests.evidence.markets import (
    FIRST_TEST,
    THRESHOLDS,
    first_rows,
    make_bars,
    make_predictions,
    make_sweep,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")


@pytest.fixture(scope="module")
def result():
    bars = make_bars()
    return make_sweep(bars, make_predictions(bars))


def test_every_choice_is_the_best_of_a_sweep_made_on_that_day(result):
    choices = nested_selection(result).choices
    seen, counts = set(), set()
    for split in result.predictions.splits[1:]:
        start = split.test[0]
        then = make_sweep(result.bars.rows(0, start), first_rows(result.predictions, start))
        table = then.metrics.droplevel(["risk", "symbol"])
        trades = [then.simulation(threshold=rule).trades for rule in THRESHOLDS]
        table["closed"] = [int((records["status"] == 1).sum()) for records in trades]
        row = choices.loc[split.number]
        assert row["sharpe"] == pytest.approx(table.loc[row["threshold"], "sharpe"], rel=1e-9)
        assert row["trades"] == table.loc[row["threshold"], "closed"]
        qualified = table[table["closed"] >= 30]
        assert row["candidates"] == len(qualified)
        counts.add(len(qualified))
        if split.number >= 2:
            assert row["threshold"] == qualified["sharpe"].idxmax()
            assert row["reason"] == REASONS[0]
            seen.add(row["threshold"])
    # Else the market would not put the choice to the test.
    assert len(seen) > 1
    assert counts == {3, 4}


def test_the_first_two_splits_have_the_initial_threshold(result):
    assert list(nested_selection(result).choices["threshold"][:2]) == ["q0.80"] * 2  # the middle
    choices = nested_selection(result, Preset(initial="q0.30")).choices
    assert list(choices["threshold"][:2]) == ["q0.30"] * 2
    assert list(choices["reason"][:2]) == [REASONS[1]] * 2
    assert np.isnan(choices["sharpe"].iloc[0])
    assert choices["trades"].iloc[0] == 0


def test_the_usual_threshold_is_initial_where_it_was_swept():
    bars = make_bars(bars=1500)
    result = make_sweep(bars, make_predictions(bars), threshold=["q0.20", "q0.30", "q0.90"])
    assert nested_selection(result).choices["threshold"].iloc[0] == "q0.90"


def test_an_initial_threshold_that_was_not_swept_is_refused(result):
    with pytest.raises(ValueError, match=r"initial = 'q0\.95' is not among the rules; there are"):
        nested_selection(result, Preset(initial="q0.95"))


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_what_comes_after_changes_no_choice_before(result, k):
    bars, preds = result.bars, result.predictions
    start = preds.splits[k].test[0]
    rng = np.random.default_rng(k)
    arrays = {field: getattr(bars, field).copy() for field in FIELDS}
    factor = rng.uniform(0.97, 1.03, (len(bars) - start, 1))
    for values in arrays.values():
        values[start:] *= factor
    proba = preds.proba.copy()
    proba[start:] = rng.dirichlet((1, 1, 1), size=(len(bars) - start, 1))
    later = make_sweep(replace(bars, **arrays), replace(preds, proba=proba))
    before, after = nested_selection(result), nested_selection(later)
    pd.testing.assert_frame_equal(
        before.choices.iloc[: k + 1], after.choices.iloc[: k + 1], check_exact=True
    )
    known = start - FIRST_TEST
    np.testing.assert_array_equal(before.simulation.equity[:known], after.simulation.equity[:known])
    assert not np.array_equal(before.simulation.equity, after.simulation.equity)


def test_the_joined_signals_are_the_chosen_columns(result):
    selection = nested_selection(result)
    assert list(selection.signals.columns) == [("S0",)]
    for name in (*LEVELS, "size"):
        joined, every = getattr(selection.signals, name)[:, 0], result.signals.frame(name)
        assert not joined[:FIRST_TEST].any()
        for split in result.predictions.splits:
            chosen = every[(selection.choices.loc[split.number, "threshold"], "S0")]
            rows = slice(*split.test)
            np.testing.assert_array_equal(joined[rows], chosen.to_numpy()[rows])


def test_a_position_carries_over_when_the_rule_changes():
    """Two rules: one opens before a boundary, the other knows nothing of the position."""
    bars = make_bars(bars=1500)
    preds = make_predictions(bars, splits=4)
    boundary = preds.splits[2].test[0]
    entries = np.zeros((len(bars), 2), dtype=bool)
    exits = np.zeros_like(entries)
    entries[FIRST_TEST:boundary:8, 1] = True  # only this one trades, so it is chosen at 2
    exits[FIRST_TEST + 4 : boundary : 8, 1] = True
    entries[boundary - 2, 0] = True  # the initial rule is not in use any more at 2
    columns = pd.MultiIndex.from_tuples(
        [("first", "S0"), ("second", "S0")], names=["rule", "symbol"]
    )
    frames = {
        "entries": pd.DataFrame(entries, index=bars.index, columns=columns),
        "exits": pd.DataFrame(exits, index=bars.index, columns=columns),
    }
    result = make_sweep(
        bars, preds, signals=Signals.from_frames(**frames), stop=0.9, max_holding=None
    )
    selection = nested_selection(result, Preset(initial="first"))
    assert list(selection.choices["rule"]) == ["first", "first", "second", "second"]
    trades = selection.simulation.trades
    assert len(trades) == 1
    assert trades["entry_idx"][0] == boundary - 1 - FIRST_TEST
    assert trades["status"][0] == 0, "nothing ends it: neither the new rule nor the boundary"


def test_ties_go_to_the_higher_threshold(result):
    one = result.signals.take([0])
    columns = pd.MultiIndex.from_product(
        [["q0.95", 0.2, "q0.50"], ["S0"]], names=["threshold", "symbol"]
    )
    frames = {
        name: pd.DataFrame(
            np.repeat(getattr(one, name), 3, axis=1), index=one.index, columns=columns
        )
        for name in (*LEVELS, "size")
    }
    twins = make_sweep(result.bars, result.predictions, signals=Signals.from_frames(**frames))
    choices = nested_selection(twins, Preset(initial=0.2)).choices
    assert list(choices["threshold"][:2]) == [0.2, 0.2]
    assert set(choices["threshold"][2:]) == {"q0.95"}


def test_without_thirty_trades_anywhere_the_initial_rule_stays():
    bars = make_bars(bars=900)
    result = make_sweep(bars, make_predictions(bars), threshold=["q0.97", "q0.98", "q0.99"])
    choices = nested_selection(result).choices
    assert set(choices["threshold"]) == {"q0.98"}
    assert set(choices["reason"][2:]) == {REASONS[2]}
    assert (choices["candidates"] == 0).all()


def test_exit_levels_are_selected_too_where_a_list_was_swept(result):
    wide = make_sweep(result.bars, result.predictions, hysteresis=[0.0, 0.1])
    selection = nested_selection(wide, Preset(initial=("q0.60", 0.1)))
    assert list(selection.choices.columns[:2]) == ["threshold", "hysteresis"]
    assert tuple(selection.choices.iloc[0, :2]) == ("q0.60", 0.1)
    by_threshold = nested_selection(wide, Preset(initial="q0.60")).choices
    assert tuple(by_threshold.iloc[0, :2]) == ("q0.60", 0.0)
    with pytest.raises(ValueError, match="not among the rules"):
        nested_selection(wide, Preset(initial=("q0.60", 0.2)))


def test_a_single_rule_without_parameters_is_traded_as_it_is(result):
    signals = result.signals.take([1])
    frames = {name: signals.frame(name)["q0.60"] for name in (*LEVELS, "size")}
    own = make_sweep(result.bars, result.predictions, signals=Signals.from_frames(**frames))
    selection = nested_selection(own)
    assert set(selection.choices["rule"]) == {"own"}
    np.testing.assert_array_equal(
        selection.simulation.equity, result.simulation(threshold="q0.60").equity
    )


def test_risk_is_given_and_never_selected(result):
    more = nested_selection(result, Preset(risk=0.01))
    pd.testing.assert_frame_equal(more.choices, nested_selection(result).choices)
    lone = make_sweep(result.bars, result.predictions, threshold=["q0.60"], risk=[0.001, 0.01])
    np.testing.assert_array_equal(
        nested_selection(lone, Preset(risk=0.01)).simulation.equity,
        lone.simulation(risk=0.01).equity,
    )


def test_symbols_are_chosen_for_together():
    bars = make_bars(symbols=2)
    result = make_sweep(bars, make_predictions(bars))
    selection = nested_selection(result)
    assert selection.simulation.equity.shape == (3000 - FIRST_TEST, 1)
    stop = result.predictions.splits[3].test[0] - FIRST_TEST
    table = {}
    for rule in THRESHOLDS:
        simulation = result.simulation(threshold=rule)
        money = pd.Series(simulation.equity.sum(axis=1), index=simulation.index)[:stop]
        by_day = money.resample("1D").last()
        returns = pd.concat([pd.Series([10_000.0]), by_day]).pct_change().dropna()
        table[rule] = returns.mean() / returns.std() * 365**0.5
    row = selection.choices.loc[3]
    assert row["threshold"] == max(table, key=table.get)
    assert row["sharpe"] == pytest.approx(table[row["threshold"]], rel=1e-9)


def test_splits_are_found_in_predictions_that_list_none(result):
    bare = replace(result.predictions, splits=(), quantiles=None)
    absolute = make_sweep(result.bars, bare, threshold=[0.45, 0.55])
    listed = make_sweep(result.bars, result.predictions, threshold=[0.45, 0.55], full=0.8)
    pd.testing.assert_frame_equal(
        nested_selection(absolute).choices, nested_selection(listed).choices
    )


def test_swept_stop_multiples_are_chosen_with_the_rule(result):
    bars, preds, multiples = result.bars, result.predictions, [0.4, 1.0, 2.5]
    swept = make_sweep(bars, preds, stop_multiple=multiples)
    chosen = nested_selection(swept)
    alone = {m: make_sweep(bars, preds, stop_multiple=m) for m in multiples}
    assert list(chosen.choices["stop_multiple"][:2]) == [1.0, 1.0]  # the usual one to begin with
    for split in preds.splits[2:]:
        records = {}
        for multiple, single in alone.items():
            for rule in THRESHOLDS:
                account = single.simulation(threshold=rule)
                start = split.test[0] - single.window[0]
                closed = account.trades["exit_idx"][account.trades["status"] == 1]
                returns = daily_returns(Account.of(account), start)
                if (closed < start).sum() >= 30:
                    records[rule, multiple] = returns.mean() / returns.std(ddof=1)
        row = chosen.choices.loc[split.number]
        assert (row["threshold"], row["stop_multiple"]) == max(records, key=records.__getitem__)
        assert row["candidates"] == len(records)
        rows = slice(*split.test)
        np.testing.assert_array_equal(
            chosen.brackets.stop_long[rows],
            result.brackets.stop_long[rows] * row["stop_multiple"],
        )
    assert chosen.choices["stop_multiple"].nunique() > 1  # else nothing was put to the test
    one = nested_selection(make_sweep(bars, preds, stop_multiple=[1.0]))
    np.testing.assert_array_equal(one.simulation.equity, nested_selection(result).simulation.equity)


def bare(preds):
    """The same probabilities without splits."""
    return Predictions.from_frames(
        prob_up=preds.prob_up, prob_down=preds.prob_down, target=preds.target
    )


def test_without_splits_one_rule_that_is_named_is_traded_throughout(result):
    preds = bare(result.predictions)
    swept = make_sweep(result.bars, preds, threshold=[0.4, 0.5, 0.6])
    with pytest.raises(ValueError, match=r"3 rules were swept \(0.4, 0.5, 0.6\); name .* initial="):
        nested_selection(swept)
    found = nested_selection(swept, Preset(initial=0.5))
    alone = make_sweep(result.bars, preds, threshold=0.5)
    assert found.how == nested_selection(alone).how == "fixed"
    assert list(found.choices["reason"]) == [REASONS[3]]
    np.testing.assert_array_equal(found.account.equity, nested_selection(alone).account.equity)
    whole = Account.of(alone.simulation(threshold=0.5))
    np.testing.assert_array_equal(found.account.equity, whole.equity)


def test_how_the_rules_came_about_is_said(result):
    assert nested_selection(result).how == "nested"
    one = make_sweep(result.bars, result.predictions, threshold="q0.60")
    assert nested_selection(one).how == "fixed"
    two = make_bars(bars=1500)
    short = make_sweep(two, make_predictions(two, splits=2))
    assert nested_selection(short).how == "initial"


@pytest.mark.parametrize("grid", [{}, {"stop_multiple": [1.0, 2.0]}], ids=["rule", "multiples"])
def test_the_strategy_s_own_cell_names_the_rule_where_there_are_no_splits(result, grid):
    preds = bare(result.predictions)
    swept = make_sweep(
        result.bars, preds, threshold=[0.4, 0.5], hysteresis=[0.05, 0.1], risk=[0.005, 0.01], **grid
    )
    own = {"threshold": 0.5, "hysteresis": 0.1} | dict.fromkeys(grid, 2.0)
    head = gather(swept, selected=own | {"risk": 0.01}).assessment.headline
    assert head.risk == 0.01
    expected = Account.of(swept.simulation(**own, risk=0.01))
    np.testing.assert_array_equal(head.selection.account.equity, expected.equity)
    with pytest.raises(ValueError, match="name the one that you trade"):
        gather(swept, selected={"threshold": 0.5})
