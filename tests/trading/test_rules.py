"""The confidence rule: row by row, against plain Python, of many columns or of one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnext_vbt.predictions import QUANTILE_LEVELS, Predictions, Split, SplitFit
from convnext_vbt.trading.rules import RuleConfig, confidence_rules, confidence_signals
from convnext_vbt.trading.signals import LEVELS, Signals
from tests.examples import examples

from .markets import bars_of, hours, random_bars, random_predictions

FLAT = (100.0, 100.0, 100.0, 100.0)
NAN = float("nan")


def rule(up: list[float], down: list[float], **arguments) -> Signals:
    """The rule on these rows (and on two more without a prediction: bars come in numbers)."""
    num_bars = len(up) + 2
    frames = {
        name: pd.DataFrame({"A": [*values, NAN, NAN]}, hours(num_bars))
        for name, values in (("prob_up", up), ("prob_down", down))
    }
    signals = confidence_signals(
        Predictions.from_frames(**frames), bars_of([FLAT] * num_bars), **arguments
    )
    return signals.rows(0, len(up))


def on(signals: Signals, name: str) -> list[int]:
    return np.flatnonzero(getattr(signals, name)[:, 0]).tolist()


#        strong up, weak up, between, fading, none, tie, strong down, up yet down is larger
UP = [0.70, 0.50, 0.47, 0.40, NAN, 0.50, 0.10, 0.45]
DOWN = [0.10, 0.20, 0.10, 0.20, NAN, 0.50, 0.80, 0.50]


def test_levels_row_by_row():
    signals = rule(UP, DOWN, threshold=0.5, hysteresis=0.05)
    assert on(signals, "entries") == [0, 1]
    assert on(signals, "exits") == [3, 6]  # below 0.45; row 7 stands exactly on it
    assert on(signals, "short_entries") == [6, 7]
    assert on(signals, "short_exits") == [0, 1, 2, 3]
    assert signals.columns.tolist() == [(0.5, "A")]


def test_long_only_leaves_when_down_signals():
    signals = rule(UP, DOWN, threshold=0.5, hysteresis=0.05, short=False)
    assert on(signals, "short_entries") == []
    assert on(signals, "exits") == [3, 6, 7]


def test_short_threshold_of_its_own():
    signals = rule(UP, DOWN, threshold=0.5, short_threshold=0.6)
    assert on(signals, "short_entries") == [6]
    assert on(signals, "short_exits") == [0, 1, 2, 3, 5, 7]


def test_a_threshold_is_met_by_a_probability_of_the_same_digits():
    for value in np.round(np.arange(0.34, 0.9, 0.01), 2):
        assert on(rule([value], [0.05], threshold=float(value)), "entries") == [0]
        assert on(rule([value], [0.05], threshold=float(value), hysteresis=0.0), "exits") == []


def test_more_confidence_stakes_more():
    signals = rule([0.5, 0.65, 0.7, 0.8, 0.9, 0.2], [0.1] * 5 + [0.7], threshold=0.5, full=0.8)
    assert signals.size[:, 0] == pytest.approx([0.25, 0.625, 0.75, 1.0, 1.0, 0.75], rel=1e-6)


def test_full_size_at_or_below_the_threshold_means_full_size_always():
    assert rule([0.6, 0.7], [0.1, 0.1], threshold=0.6, full=0.6).size[:, 0].tolist() == [1.0, 1.0]
    assert rule([0.6, 0.2], [0.1, 0.1], threshold=0.6, full=0.5).size[:, 0].tolist() == [1.0, 0.0]


def test_full_falls_back_to_80_percent_without_quantiles():
    by_default = rule([0.65], [0.1], threshold=0.5)
    assert by_default.size == pytest.approx(rule([0.65], [0.1], threshold=0.5, full=0.8).size)


def test_quantile_thresholds_are_each_splits_own():
    bars = random_bars(num_bars=1_000, seed=2)
    preds = random_predictions(bars, seed=2)
    signals = confidence_signals(
        preds, bars, threshold=["q0.50", 0.5], hysteresis=0.0, full="q0.90"
    )
    assert signals.columns.tolist() == [("q0.50", "A"), (0.5, "A")]
    first, second = preds.split[:, 0] == 0, preds.split[:, 0] == 1
    up, down = (getattr(preds, name).to_numpy()[:, 0] for name in ("prob_up", "prob_down"))
    theta = np.where(first, 0.33 + 0.5 * 0.5, 0.35 + 0.6 * 0.5)
    full = np.where(first, 0.33 + 0.5 * 0.9, 0.35 + 0.6 * 0.9)
    entries = (up >= theta) & (up > down) & (first | second)
    assert np.array_equal(signals.entries[:, 0], entries)
    share = 0.25 + 0.75 * np.clip((up - theta) / (full - theta), 0, 1)
    assert signals.size[entries, 0] == pytest.approx(share[entries], abs=1e-6)


def abstaining(up, down, *, coverage=0.5, limit=0.5, **arguments) -> tuple[Signals, Signals]:
    """The rule on these rows with and without abstaining; sets hold what has P >= 1 - limit."""
    num_bars = len(up) + 2
    frames = {
        name: pd.DataFrame({"A": [*values, NAN, NAN]}, hours(num_bars))
        for name, values in (("prob_up", up), ("prob_down", down))
    }
    fit = SplitFit(
        number=0, epochs=1, valid_loss=1.0, prior_loss=1.1,
        prior=(0.3, 0.4, 0.3), num_scores=100,
    )  # fmt: skip
    preds = replace(
        Predictions.from_frames(**frames),
        splits=(Split(number=0, train=(0, 0), test=(0, num_bars)),),
        fits=(fit,),
        nonconformity=np.full((1, 1001), limit),
    )
    bars = bars_of([FLAT] * num_bars)
    both = [
        confidence_signals(preds, bars, abstain=abstain, full=0.8, **arguments)
        for abstain in (None, coverage)
    ]
    return both[0].rows(0, len(up)), both[1].rows(0, len(up))


#       UP alone, UP and STAY, UP and DOWN, STAY alone, nothing, DOWN alone, none
UPS = [0.62, 0.46, 0.46, 0.35, 0.36, 0.25, NAN]
DOWNS = [0.20, 0.12, 0.41, 0.20, 0.32, 0.55, NAN]


def test_abstaining_enters_only_where_the_set_names_one_side():
    """Sets hold every class of probability 0.4 or more."""
    free, bound = abstaining(UPS, DOWNS, limit=0.6, threshold=0.34, hysteresis=0.05)
    assert on(free, "entries") == [0, 1, 2, 3, 4]
    assert on(bound, "entries") == [0, 1]
    assert on(free, "short_entries") == on(bound, "short_entries") == [5]
    for name in ("exits", "short_exits"):
        assert on(bound, name) == on(free, name)
    assert (bound.size[[2, 3, 4]] == 0).all()
    np.testing.assert_array_equal(bound.size[[0, 1, 5]], free.size[[0, 1, 5]])


def test_abstaining_turns_no_position_and_lets_exit_levels_be():
    """Long only: a DOWN that is not in the set alone ends no long, the exit level does."""
    up, down = [0.45, 0.20], [0.50, 0.50]
    free, bound = abstaining(up, down, limit=0.6, threshold=0.4, hysteresis=0.05, short=False)
    assert on(free, "exits") == [0, 1]
    assert on(bound, "exits") == [1]


def test_sets_too_large_or_empty_enter_nothing():
    for limit in (1.0, 0.2):
        _, bound = abstaining(UPS, DOWNS, limit=limit, threshold=0.34)
        assert on(bound, "entries") == on(bound, "short_entries") == []


def test_abstaining_needs_conformal_scores_and_a_coverage():
    with pytest.raises(ValueError, match="conformal sets need predictions with calibration"):
        rule(UP, DOWN, threshold=0.5, abstain=0.8)
    with pytest.raises(ValueError, match=r"abstain must lie in \(0, 1\), got 80"):
        abstaining(UPS, DOWNS, coverage=80, threshold=0.34)


@examples(20)
@given(st.integers(0, 2**32 - 1), st.integers(550, 690))
def test_rows_depend_on_nothing_after_them(seed, t):
    bars = random_bars(num_bars=700, seed=0)
    one, other = random_predictions(bars, seed=seed), random_predictions(bars, seed=seed + 1)
    proba = np.concatenate([one.proba[: t + 1], other.proba[t + 1 :]])
    spliced = Predictions(
        index=one.index, symbols=one.symbols, proba=proba, split=one.split, splits=one.splits,
        quantiles=one.quantiles, target=one.target,
    )  # fmt: skip
    rules = {"threshold": [0.45, "q0.60"], "hysteresis": [0.0, 0.1]}
    before, after = (
        confidence_signals(one, bars, **rules),
        confidence_signals(spliced, bars, **rules),
    )
    for name in (*LEVELS, "size"):
        assert np.array_equal(getattr(before, name)[: t + 1], getattr(after, name)[: t + 1])
    assert before.columns.names == ["threshold", "hysteresis", "symbol"]
    assert not (before.entries & (before.exits | before.short_entries)).any()


def test_columns_are_rules_outer_symbols_inner():
    bars = random_bars(num_bars=700, seed=1, symbols=("A", "B"))
    signals = confidence_signals(random_predictions(bars, seed=1), bars, threshold=[0.4, 0.5])
    assert signals.columns.tolist() == [(0.4, "A"), (0.4, "B"), (0.5, "A"), (0.5, "B")]
    assert signals.take([2]).rows(10, 20).frame("size").shape == (10, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 1.5}, r"threshold must lie in \(0, 1\), got 1.5; give a probability"),
        ({"threshold": "0.5"}, "threshold '0.5' is not understood; give a probability"),
        ({"threshold": "qx"}, "'qx' is not understood"),
        ({"threshold": "q1.2"}, "'q1.2' is not understood"),
        ({"threshold": [0.5, 0.5]}, "threshold needs one or more distinct values"),
        ({"threshold": []}, "threshold needs one or more distinct values"),
        (
            {"threshold": 0.5, "hysteresis": 0.5},
            r"hysteresis must lie in \[0, threshold\), got 0.5",
        ),
        ({"threshold": 0.5, "floor": 1.5}, r"floor must lie in \[0, 1\], got 1.5"),
        ({"threshold": 0.5, "short_threshold": 0.0}, "short_threshold must lie in"),
        ({"threshold": 0.5, "full": 7}, "full must lie in"),
        ({"threshold": "q0.9"}, r"quantile thresholds need .* its splits="),
    ],
)
def test_rule_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        rule([0.5], [0.2], **arguments)


def test_predictions_of_other_bars_are_refused():
    bars = random_bars(num_bars=700, seed=1)
    preds = random_predictions(bars, seed=1)
    with pytest.raises(ValueError, match=r"predictions cover 700 bars .* the bars are 400"):
        confidence_signals(preds, bars.rows(0, 400), threshold=0.5)
    with pytest.raises(ValueError, match="predictions are of"):
        confidence_signals(preds, random_bars(num_bars=700, seed=1, symbols=("Z",)), threshold=0.5)


def plain_rule(preds, t, n, *, threshold, short_threshold, hysteresis, short, floor, full):
    """The rule as its documentation puts it, at one bar of one symbol."""
    up, down, split = preds.proba[t, n, 2], preds.proba[t, n, 0], preds.split[t, n]
    if split < 0:
        return False, False, False, False, 0.0

    def level(asked):
        if isinstance(asked, str):
            return np.float32(np.interp(float(asked[1:]), QUANTILE_LEVELS, preds.quantiles[split]))
        return np.float32(asked)

    theta, full = level(threshold), float(level(full))
    theta_down = level(threshold if short_threshold is None else short_threshold)
    gap = np.float32(hysteresis)
    buys, sells = up >= theta and up > down, down >= theta_down and down > up
    size = 0.0
    if buys or (sells and short):
        p, at = (float(up), float(theta)) if buys else (float(down), float(theta_down))
        size = floor + (1 - floor) * (min((p - at) / (full - at), 1) if full > at else 1)
    leaves = up < theta - gap or (sells and not short)
    return buys, leaves, sells and short, short and down < theta_down - gap, size


MARKET = random_bars(num_bars=700, seed=3, symbols=("A", "B"), missing=0.05)
PREDS = random_predictions(MARKET, seed=3)
LISTS = {"threshold": [0.42, "q0.30", "q0.60"], "hysteresis": [0.0, 0.06]}


@pytest.mark.parametrize(
    "rest",
    [
        {"short": True, "short_threshold": None, "floor": 0.25, "full": "q0.99"},
        {"short": True, "short_threshold": "q0.35", "floor": 0.0, "full": 0.6},
        {"short": False, "short_threshold": None, "floor": 1.0, "full": 0.5},
    ],
)
def test_all_columns_say_what_the_plain_rule_says(rest):
    signals = confidence_signals(PREDS, MARKET, **LISTS, **rest)
    assert len(signals.columns) == 12
    for c, (threshold, hysteresis, symbol) in enumerate(signals.columns):
        n = MARKET.symbols.index(symbol)
        asked = {"threshold": threshold, "hysteresis": hysteresis, **rest}
        said = [plain_rule(PREDS, t, n, **asked) for t in range(len(MARKET))]
        for name, expected in zip((*LEVELS, "size"), zip(*said, strict=True), strict=True):
            np.testing.assert_array_equal(getattr(signals, name)[:, c], expected, err_msg=name)
    assert signals.entries.any(axis=0).all()


def test_a_part_of_the_rules_is_that_part_of_their_signals():
    rules = confidence_rules(
        PREDS, MARKET, RuleConfig(), thresholds=LISTS["threshold"], hystereses=LISTS["hysteresis"]
    )
    part, columns = rules.take([7, 2, 3]).rows(560, 690), rules.columns[[7, 2, 3]]
    expected = rules.signals().take([7, 2, 3]).rows(560, 690)
    assert part.columns.equals(columns)
    assert part.index.equals(expected.index)
    for name in (*LEVELS, "size"):
        np.testing.assert_array_equal(getattr(part.signals(), name), getattr(expected, name))
    for mine, its in zip(part.packed(), expected.packed(), strict=True):
        np.testing.assert_array_equal(mine, its)
    assert "130 bars, 3 columns by threshold, hysteresis, symbol" in repr(part)
