"""The audit against a learner small enough to plant every kind of leak in."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.evidence.audit import alone
from convnext_vbt.evidence.audit.audit import audit
from convnext_vbt.evidence.audit.garbage import garbage_after
from convnext_vbt.evidence.selection import nested_selection
from convnext_vbt.evidence.stages import AuditStages
from convnext_vbt.learning.labels import labels_for
from convnext_vbt.learning.splits import WalkForward
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.predictions import QUANTILE_LEVELS, Predictions, Target
from convnext_vbt.trading.signals import LEVELS, Signals
from convnext_vbt.trading.simulation import simulate_signals
from tests.evidence.markets import make_bars, make_sweep

BARS = 1200
TARGET = Target(horizon=12, halflife=5.0)
WALK = WalkForward(train=500, test=350)
THRESHOLDS = [0.34, 0.38]


@pytest.fixture(scope="module", autouse=True)
def few_cuts():
    """Of features alone, which tests/evidence/audit/test_alone.py looks at in hundreds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alone, "NUM_CUTS", 25)
        patch.setattr(alone, "NUM_UNUSUAL", 2)
        yield


@dataclass(frozen=True)
class Fit:
    mean: float
    std: float
    slope: float
    quantiles: np.ndarray


def features_of(smooth):
    """Features from a function of the closing prices as a frame; one column, float64 (T, 1)."""

    def features(bars):
        return smooth(bars.frame("close")).to_numpy() / bars.close - 1.0

    return features


def trailing_mean(close):
    return close.rolling(24, min_periods=1).mean()


def scale_by_training(feature, split):
    return feature[slice(*split.train)]


def fit(bars, feature, labels, split, *, scale_by=scale_by_training):
    """A line through labels: enough to have a scale, a weight and a calibration."""
    scale = scale_by(feature, split)
    mean, std = float(scale.mean()), float(scale.std())
    rows = np.arange(*split.train)
    rows = rows[labels.values[rows, 0] >= 0]
    x, y = (feature[rows, 0] - mean) / std, labels.values[rows, 0] - 1.0
    slope = float((x * y).mean())
    held = proba_of((feature[slice(*split.train), 0] - mean) / std * slope)
    quantiles = np.quantile(held[:, [0, 2]].max(axis=1), QUANTILE_LEVELS)
    return Fit(mean=mean, std=std, slope=slope, quantiles=quantiles)


def proba_of(score):
    weights = np.exp(np.stack([-score, np.zeros_like(score), score], axis=-1))
    return weights / weights.sum(axis=-1, keepdims=True)


def forecast(bars, feature, splits, fits):
    proba = np.full((*bars.close.shape, 3), np.nan)
    number = np.full(bars.close.shape, -1)
    for split, one in zip(splits, fits, strict=True):
        test = slice(*split.test)
        proba[test] = proba_of(20 * (feature[test] - one.mean) / one.std * one.slope)
        number[test] = np.where(np.isfinite(proba[test]).all(axis=2), split.number, -1)
    return Predictions(
        index=bars.index, symbols=bars.symbols, proba=proba, split=number, splits=tuple(splits),
        quantiles=np.stack([one.quantiles for one in fits]), target=TARGET,
    )  # fmt: skip


def parts(one):
    return {
        "standardisation": {"mean": np.array(one.mean), "deviation": np.array(one.std)},
        "weights": {"slope": np.array(one.slope)},
        "calibration": {"quantiles": one.quantiles},
    }


def traded(bars, preds, signals=None):
    return make_sweep(bars, preds, threshold=THRESHOLDS, hysteresis=0.0, full=0.6, signals=signals)


HONEST = AuditStages(
    features=features_of(trailing_mean),
    labels=lambda bars: labels_for(bars, TARGET),
    splits=WALK.split,
    fit=fit,
    forecast=forecast,
    sweep=traded,
    parts=parts,
)


@pytest.fixture(scope="module")
def bars():
    return make_bars(bars=BARS, seed=2)


def examine(bars, stages=HONEST, **changes):
    return audit(bars, replace(stages, **changes), num_random_bars=2)


def assert_blamed(report, stage, *words):
    assert not report.passed
    assert report.first.stage == stage
    text = report.lines()[-1]
    assert text.startswith(f"LEAK in {stage}: bar ")
    for word in words:
        assert word in text
    before = report.stages[: report.stages.index(stage)]
    assert all(check.identical for check in report.checks if check.stage in before)
    assert report.first.difference.bar <= report.first.cut.bar + 1


@pytest.fixture(scope="module")
def report(bars):
    """Of the honest strategy."""
    return examine(bars)


def test_an_honest_strategy_passes_and_every_stage_was_compared(report):
    assert report.passed
    assert report.first is None
    assert report.stages == (
        "asked twice", "features", "features alone", "columns", "labels", "splits",
        "training labels", "standardisation", "weights", "calibration", "retrained split",
        "predictions", "signals", "sizes", "brackets", "selection", "orders", "equity",
    )  # fmt: skip
    counts = report.counts()
    assert all(made == same > 0 for made, same in counts.values())
    assert counts["weights"] == (2, 2)
    assert report.lines()[-1].startswith("no leak: ")
    assert not any("never traded" in line for line in report.lines())
    facts = report.to_dict()
    assert facts["passed"]
    assert facts["differences"] == []
    assert facts["stages"]["orders"]["compared"] == counts["orders"][0]


def test_cuts_cover_every_boundary_entries_and_the_beginning(bars, report):
    cuts = {(check.cut.bar, check.cut.next_open) for check in report.checks}
    for split in WALK.split(labels_for(bars, TARGET)):
        assert {(split.test[0] - 1, False), (split.test[0], False)} <= cuts
    assert {(0, False), (1, False), (3, False), (7, False)} <= cuts
    assert any(next_open for _, next_open in cuts)


def test_the_same_seed_gives_the_same_report(bars, report):
    assert examine(bars).to_dict() == report.to_dict()


def test_a_centred_rolling_mean_is_caught(bars):
    leaky = features_of(lambda close: close.rolling(5, center=True, min_periods=1).mean())
    assert_blamed(examine(bars, features=leaky), "features")


@pytest.mark.slow
def test_a_shift_backwards_is_caught(bars):
    leaky = features_of(lambda close: close.shift(-1).ffill())
    assert_blamed(examine(bars, features=leaky), "features")


@pytest.mark.slow
def test_a_resample_that_uses_the_finished_day_is_caught(bars):
    def daily(close):
        return close.resample("1D").last().reindex(close.index, method="ffill")

    assert_blamed(examine(bars, features=features_of(daily)), "features")


def test_a_back_filled_nan_is_caught(bars):
    leaky = features_of(lambda close: close.rolling(24).mean().bfill())
    report = examine(bars, features=leaky)
    assert_blamed(report, "features", "bar 0 ")
    blamed = {check.cut.bar for check in report.checks if not check.identical}
    assert max(blamed) < 23  # nowhere else


def test_a_back_filled_bar_is_caught(bars):
    """A hole in the middle, filled from after it."""
    empty = bars.volume.copy()
    empty[700:703] = 0.0
    bars = replace(bars, volume=empty)

    def features(bars):
        seen = bars.frame("close").where(bars.frame("volume") > 0)
        return seen.bfill().ffill().rolling(24, min_periods=1).mean().to_numpy() / bars.close - 1

    assert_blamed(examine(bars, features=features), "features", "no volume")


@pytest.mark.slow
def test_a_quantile_over_the_whole_sample_is_caught_in_features(bars):
    leaky = features_of(lambda close: close * 0 + close.quantile(0.9))
    assert_blamed(examine(bars, features=leaky), "features")


def test_a_quantile_over_the_whole_sample_is_caught_in_a_rule(bars):
    def sweep(bars, preds):
        entries = preds.prob_up >= preds.prob_up.stack().quantile(0.8)
        return traded(bars, preds, Signals.from_frames(entries=entries, exits=~entries))

    assert_blamed(examine(bars, sweep=sweep), "signals", "entries")


def test_a_scaler_fitted_on_everything_is_caught(bars):
    def leaky(bars, feature, labels, split):
        return fit(bars, feature, labels, split, scale_by=lambda feature, _: feature)

    assert_blamed(examine(bars, fit=leaky), "standardisation", "mean of split", "trained again")


def test_labels_that_overlap_the_test_range_are_caught(bars):
    def unpurged(labels):
        for split in WALK.split(labels):
            yield replace(split, train=(split.train[0], split.test[0]))

    report = examine(bars, splits=lambda labels: list(unpurged(labels)))
    assert_blamed(report, "training labels", "label", "range of split")


def test_weights_that_look_past_the_training_range_are_caught(bars):
    def leaky(bars, feature, labels, split):
        return replace(fit(bars, feature, labels, split), slope=float(feature[split.test[0], 0]))

    assert_blamed(examine(bars, fit=leaky), "weights", "slope of split 1")


def test_quantiles_of_the_test_range_are_caught(bars):
    def leaky(bars, feature, labels, split):
        honest = fit(bars, feature, labels, split)
        held = proba_of((feature[slice(*split.test), 0] - honest.mean) / honest.std * honest.slope)
        confidence = held[:, [0, 2]].max(axis=1)
        return replace(honest, quantiles=np.quantile(confidence, QUANTILE_LEVELS))

    assert_blamed(examine(bars, fit=leaky), "calibration", "quantiles of split 1")


def test_a_learner_that_cannot_be_looked_into_is_judged_by_its_predictions(bars):
    def leaky(bars, feature, labels, split):
        return fit(bars, feature, labels, split, scale_by=lambda feature, _: feature)

    report = examine(bars, fit=leaky, parts=lambda fitted: {})
    assert_blamed(report, "retrained split", "what split 1 predicts")


def test_predictions_that_use_the_next_bar_are_caught(bars):
    def leaky(bars, feature, splits, fits):
        return forecast(bars, np.roll(feature, -1, axis=0), splits, fits)

    assert_blamed(examine(bars, forecast=leaky), "predictions", "P(DOWN)")


def test_a_size_from_tomorrow_is_caught(bars):
    def sweep(bars, preds):
        up = preds.prob_up > preds.prob_down
        size = bars.frame("close").pct_change().shift(-1).abs().clip(upper=1.0).fillna(0.5)
        return traded(bars, preds, Signals.from_frames(entries=up, exits=~up, size=size))

    assert_blamed(examine(bars, sweep=sweep), "sizes")


def test_a_threshold_chosen_on_the_test_range_is_caught(bars):
    def hindsight(res, preset):
        """The rule that will have done best, from the first split on."""
        best = res.metrics["total_return"].idxmax()[0]
        column = res.signals.columns.get_level_values("threshold").get_loc(best)
        found = nested_selection(res, replace(preset, initial=best))
        columns = pd.MultiIndex.from_arrays([["S0"]], names=["symbol"])
        alone = res.signals.take([column])
        return replace(
            found,
            choices=found.choices.assign(threshold=best),
            signals=replace(alone, columns=columns),
        )

    report = examine(bars, select=hindsight)
    assert_blamed(report, "selection", "threshold of the rule chosen for split 1")


@pytest.mark.parametrize("price", ["open", pytest.param("close", marks=pytest.mark.slow)])
def test_a_fill_in_the_signals_own_bar_is_caught(bars, price):
    def same_bar(res, preset):
        found = nested_selection(res, preset)
        early = {}
        for name in (*LEVELS, "size"):
            values = getattr(found.signals, name)
            early[name] = np.vstack([values[1:], np.zeros_like(values[:1])])
        market = res.bars if price == "open" else replace(res.bars, open=res.bars.close)
        window = slice(*res.window)
        return replace(
            found,
            simulation=simulate_signals(
                market.rows(window.start, window.stop),
                replace(found.signals, **early).rows(window.start, window.stop),
                res.brackets.rows(window.start, window.stop),
                config=res.config,
            ),
        )

    report = examine(bars, select=same_bar)
    assert_blamed(report, "orders", "entry at the next open")


def test_splits_that_depend_on_the_future_are_caught(bars):
    def leaky(labels):
        late = int(labels.values[1100:].sum()) % 50
        return [replace(s, train=(s.train[0] + late, s.train[1])) for s in WALK.split(labels)]

    assert_blamed(examine(bars, splits=leaky), "splits", "train range of split 1")


def test_labels_that_say_they_are_known_too_early_are_caught(bars):
    def leaky(bars):
        labels = labels_for(bars, TARGET)
        return replace(labels, end=np.maximum(labels.end - 3, np.arange(len(bars))[:, None]))

    assert_blamed(examine(bars, labels=leaky), "labels", "label of S0")


def test_a_short_warmup_is_reported_and_not_judged(bars):
    def features(bars):
        return bars.frame("close").ewm(span=200).mean().to_numpy() / bars.close - 1.0

    report = examine(bars, features=features)
    assert report.passed
    one, half, whole = report.late_starts
    assert (one.dropped, half.dropped, whole.dropped) == (1, 250, 500)
    assert half.feature_move > 0.01
    assert whole.prediction_move > 0.001
    assert half.predictions == 700
    assert "over 1e-05: warm-up" in "\n".join(report.lines())


def test_a_memory_that_ends_is_not_moved_by_a_later_start(bars):
    def features(bars):
        mean = bars.frame("close").rolling(24).mean() / bars.close - 1.0
        return mean.to_numpy()

    def skip(bars, feature, *rest, **options):
        return fit(bars, np.nan_to_num(feature), *rest, **options)

    report = examine(bars, features=features, fit=skip)
    assert report.passed
    assert all(late.feature_move < 1e-9 for late in report.late_starts)
    assert all(late.prediction_move < 1e-9 for late in report.late_starts)


def test_a_strategy_that_fails_on_garbage_is_told_where(bars):
    def picky(bars):
        if bars.close[-1, 0] != make_bars(bars=BARS, seed=2).close[-1, 0]:
            raise ValueError("I know this market")
        return HONEST.features(bars)

    with pytest.raises(ValueError, match=r"failed on garbage after bar 499 .*I know this market"):
        examine(bars, features=picky)


def test_garbage_begins_right_after_the_bar_and_keeps_the_calendar():
    bars = make_bars(symbols=2, bars=400)
    holes = {name: getattr(bars, name).copy() for name in FIELDS}
    for values in holes.values():
        values[250:260, 1] = np.nan
    bars = replace(bars, **holes)
    for keep_open in (False, True):
        other = garbage_after(bars, 200, keep_open=keep_open, seed=3)
        assert other.index.equals(bars.index)
        np.testing.assert_array_equal(other.present, bars.present)
        for name in FIELDS:
            before, after = getattr(bars, name), getattr(other, name)
            np.testing.assert_array_equal(after[:201], before[:201])
            rest = 202 if keep_open and name == "open" else 201
            assert (after[rest:] != before[rest:])[bars.present[rest:]].all()
        np.testing.assert_array_equal(other.open[201] == bars.open[201], keep_open)
        again = garbage_after(bars, 200, keep_open=keep_open, seed=3)
        np.testing.assert_array_equal(other.close, again.close)
    moves = np.diff(np.log(other.close[202:250]), axis=0).std()
    assert 2 < moves / np.diff(np.log(bars.close[:200]), axis=0).std() < 6
    with pytest.raises(ValueError, match=r"bar must lie in \[0, 399\) to have a future, got 399"):
        garbage_after(bars, 399)
