from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn import metrics

from convnext_vbt.evidence import scores
from convnext_vbt.predictions import (
    DOWN,
    QUANTILE_LEVELS,
    STAY,
    UP,
    Predictions,
    Split,
    SplitFit,
)


def make_predictions(*, bars=600, symbols=2, seed=0, fits=False):
    """Three splits: no prediction in the first 100 bars, then unequal test ranges."""
    rng = np.random.default_rng(seed)
    edges = (100, 250, 420, bars)
    proba = rng.dirichlet((2, 3, 2), size=(bars, symbols)).astype(np.float32)
    # Labels come true with just these probabilities.
    drawn = rng.random((bars, symbols, 1)) > proba.cumsum(axis=2)[:, :, :2]
    values = drawn.sum(axis=2).astype(np.int8)
    number = np.full((bars, symbols), -1, dtype=np.int16)
    for k in range(3):
        number[edges[k] : edges[k + 1]] = k
    number[300, 0] = -1  # a bar that one symbol does not have
    truth = proba.reshape(-1, 3)[np.arange(values.size), values.ravel()]
    limits = np.quantile(1 - truth[:400], QUANTILE_LEVELS, method="nearest")
    proba[number < 0] = np.nan
    values[rng.random(values.shape) < 0.1] = -1
    splits = tuple(Split(number=k, train=(0, 0), test=(edges[k], edges[k + 1])) for k in range(3))
    fit = tuple(
        SplitFit(
            number=k,
            epochs=1,
            valid_loss=1.0,
            prior_loss=1.1,
            prior=(0.2, 0.5, 0.3),
            num_scores=400,
        )
        for k in range(3)
    )
    preds = Predictions(
        index=pd.date_range("2024-01-01", periods=bars, freq="1h", tz="UTC"),
        symbols=tuple(f"S{n}" for n in range(symbols)),
        proba=proba,
        split=number,
        splits=splits,
        fits=fit if fits else (),
        nonconformity=np.tile(limits, (3, 1)) if fits else None,
    )
    return preds, values


def counted(preds, values, number):
    mask = (preds.split == number) & (values >= 0)
    proba = preds.proba[mask].astype(float)
    return proba / proba.sum(axis=1, keepdims=True), values[mask]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_scores_are_scikit_learns(number):
    preds, values = make_predictions(fits=True)
    row = scores.score_splits(preds, values).loc[number]
    proba, actual = counted(preds, values, number)
    predicted = proba.argmax(axis=1)
    prior = np.tile((0.2, 0.5, 0.3), (len(actual), 1))
    moved = actual != STAY
    expected = {
        "bars": len(actual),
        "auc_up": metrics.roc_auc_score(actual == UP, proba[:, UP]),
        "auc_down": metrics.roc_auc_score(actual == DOWN, proba[:, DOWN]),
        "auc_direction": metrics.roc_auc_score(
            actual[moved] == UP, (proba[:, UP] - proba[:, DOWN])[moved]
        ),
        "log_loss": metrics.log_loss(actual, proba, labels=[0, 1, 2]),
        "prior_log_loss": metrics.log_loss(actual, prior, labels=[0, 1, 2]),
        "brier": metrics.brier_score_loss(actual, proba, labels=[0, 1, 2], scale_by_half=False),
        "prior_brier": metrics.brier_score_loss(
            actual, prior, labels=[0, 1, 2], scale_by_half=False
        ),
        "accuracy": metrics.accuracy_score(actual, predicted),
        "majority_accuracy": metrics.accuracy_score(actual, np.full_like(actual, STAY)),
        "balanced_accuracy": metrics.balanced_accuracy_score(actual, predicted),
        "mcc": metrics.matthews_corrcoef(actual, predicted),
    }
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, abs=1e-12), name
    assert row["auc_up"] > 0.55  # the labels were drawn from these probabilities


def test_coverage_and_set_size_are_those_of_the_conformal_sets():
    preds, values = make_predictions(bars=4000, fits=True)
    table = scores.score_splits(preds, values)
    sets = preds.conformal_sets(0.9)
    for number in (0, 1, 2):
        mask = (preds.split == number) & (values >= 0)
        held, actual = sets[mask], values[mask]
        hits = [bool(row[y]) for row, y in zip(held, actual, strict=True)]
        assert table.loc[number, "coverage_90"] == pytest.approx(np.mean(hits))
        assert table.loc[number, "set_size_90"] == pytest.approx(held.sum() / len(held))
    # The last split is long: labels were drawn from these very probabilities.
    assert table.loc[2, "coverage_90"] == pytest.approx(0.9, abs=0.03)
    assert 1.5 < table.loc[2, "set_size_90"] < 2.9
    bare = scores.score_splits(replace(preds, nonconformity=None), values)
    assert bare[["coverage_90", "set_size_90"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(bare.iloc[:, :-2], table.iloc[:, :-2])


def test_the_prior_is_the_frequency_of_all_earlier_labels_when_no_fit_is_there():
    preds, values = make_predictions()
    table = scores.score_splits(preds, values)
    earlier = values[:250][values[:250] >= 0]
    prior = np.bincount(earlier, minlength=3) / len(earlier)
    _, actual = counted(preds, values, 1)
    assert table.loc[1, "prior_log_loss"] == pytest.approx(-np.log(prior[actual]).mean())
    later = values.copy()
    later[250:] = (later[250:] + 1) % 3
    changed = scores.score_splits(preds, later)
    assert changed.loc[0, "prior_log_loss"] == table.loc[0, "prior_log_loss"]


def test_calibration_error_by_hand():
    # Two bins' worth of confidence: 0.6 right half the time, 0.9 right nine times in ten.
    confidence = np.repeat([0.6, 0.9], 50)
    correct = np.r_[np.arange(50) % 2 == 0, np.arange(50) % 10 != 0]
    assert scores._calibration_error(confidence, correct) == pytest.approx(0.05)


def test_calibration_error_does_not_depend_on_the_order_of_equal_confidences():
    confidence = np.full(1000, 0.5)
    correct = np.arange(1000) < 500  # first all right, then all wrong
    assert scores._calibration_error(confidence, correct) == pytest.approx(0.0)


def test_calibration_error_is_that_of_equal_blocks_when_confidences_differ():
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.34, 1, 997)
    correct = rng.random(997) < confidence**2
    order = np.argsort(confidence)
    blocks = np.array_split(order, 10)
    expected = sum(abs(confidence[b].mean() - correct[b].mean()) * len(b) for b in blocks) / 997
    assert scores._calibration_error(confidence, correct) == pytest.approx(expected, abs=2e-3)


def test_a_split_without_labels_is_nan_and_leaves_the_others_alone():
    preds, values = make_predictions(fits=True)
    whole = scores.score_splits(preds, values)
    values[250:420] = -1
    table = scores.score_splits(preds, values)
    assert table.loc[1, "bars"] == 0
    assert table.loc[1].drop("bars").isna().all()
    pd.testing.assert_series_equal(table.loc[0], whole.loc[0])
    assert np.isfinite(table.loc[2]).all()


def test_one_class_alone_leaves_its_scores_undefined():
    preds, values = make_predictions()
    values[100:250] = np.where(values[100:250] >= 0, UP, -1)
    row = scores.score_splits(preds, values).loc[0]
    assert row[["auc_up", "auc_down", "auc_direction", "mcc"]].isna().all()
    assert np.isfinite(row[["log_loss", "brier", "ece", "accuracy", "balanced_accuracy"]]).all()


def test_a_certain_and_wrong_probability_has_a_finite_loss():
    up = pd.Series([1.0, 1.0, 0.2], index=pd.date_range("2024", periods=3, freq="1h"))
    preds = Predictions.from_frames(prob_up=up, prob_down=1 - up)
    table = scores.score_splits(preds, np.array([[DOWN], [UP], [UP]], dtype=np.int8))
    assert np.isfinite(table.loc[0, "log_loss"])
    # The first split of all has no earlier label.
    assert table.loc[0, ["prior_log_loss", "prior_brier", "majority_accuracy"]].isna().all()


def test_labels_of_another_shape_are_refused():
    preds, values = make_predictions()
    with pytest.raises(ValueError, match=r"shape \(600, 2\), got \(599, 2\)"):
        scores.score_splits(preds, values[:-1])


def test_confusion_is_scikit_learns():
    preds, values = make_predictions()
    mask = (preds.split >= 0) & (values >= 0)
    expected = metrics.confusion_matrix(values[mask], preds.proba[mask].argmax(axis=1))
    table = scores.confusion(preds, values)
    np.testing.assert_array_equal(table.to_numpy(), expected)
    assert list(table.index) == ["DOWN", "STAY", "UP"]
    assert (table.index.name, table.columns.name) == ("actual", "predicted")


@pytest.mark.parametrize("cls", [DOWN, STAY, UP])
def test_reliability_of_calibrated_probabilities_lies_within_its_intervals(cls):
    preds, values = make_predictions(bars=4000)
    table = scores.reliability(preds, values, cls)
    assert len(table) == 10
    assert table["count"].sum() == ((preds.split >= 0) & (values >= 0)).sum()
    assert np.ptp(table["count"]) <= 1
    assert table["mean_probability"].is_monotonic_increasing
    assert table["mean_probability"].between(table["low"], table["high"]).sum() >= 8


def test_reliability_without_labels_is_empty():
    preds, values = make_predictions()
    table = scores.reliability(preds, np.full_like(values, -1), UP)
    assert list(table) == ["mean_probability", "frequency", "low", "high", "count"]
    assert table.empty


@pytest.mark.parametrize(("hits", "count"), [(0, 7), (3, 7), (7, 7), (210, 1000)])
def test_wilson_interval_is_scipys(hits, count):
    low, high = scores.wilson_interval(np.array([hits / count]), np.array([count]))
    expected = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert low[0] == pytest.approx(expected.low, abs=1e-12)
    assert high[0] == pytest.approx(expected.high, abs=1e-12)


def test_splits_are_found_in_predictions_that_list_none():
    preds, values = make_predictions()
    bare = replace(preds, splits=())
    pd.testing.assert_frame_equal(
        scores.score_splits(bare, values), scores.score_splits(preds, values)
    )
