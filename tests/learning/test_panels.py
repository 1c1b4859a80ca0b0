"""One network over symbols that start, pause and end when they do."""

import numpy as np
import pytest

from convnext_vbt.learning.features import compute_features
from convnext_vbt.learning.labels import labels_for
from convnext_vbt.learning.models.convnext import build_network
from convnext_vbt.learning.segments import MIN_ROWS, scale
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig
from convnext_vbt.learning.splits import WalkForward
from convnext_vbt.learning.walkforward import walk_forward
from convnext_vbt.market.bars import FIELDS, Bars
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.predictions import Target

TARGET = Target(horizon=6, halflife=5.0)
MODEL = ModelConfig(prior="none", depths=(1, 1), dims=(4, 4))
TRAINING = TrainingConfig(steps=4, segments=2, segment_bars=64, eval_every=2)
WALK = WalkForward(train=500, test=120)
NAMES = ("candle_body", "candle_upper_wick", "hour_sin")
YOUNG, LATER, ENDED = 1, 2, 3


@pytest.fixture(scope="module")
def run():
    parts = [simulated_bars(seed=n, bars=860, symbol=f"S{n}") for n in range(4)]
    bars = Bars.join(parts)
    fields = {field: np.array(getattr(bars, field)) for field in FIELDS}
    features = compute_features(bars, names=NAMES)
    first = WALK.split(labels_for(bars, TARGET))[0]
    for values in fields.values():
        # YOUNG: a scale, but not one full look back; LATER: no scale before the third test
        values[: first.train[1] - MIN_ROWS - features.warmup - 5, YOUNG] = np.nan
        values[: first.test[0] + 90, LATER] = np.nan
        values[700:, ENDED] = np.nan
        values[650:655, 0] = np.nan
    bars = Bars(index=bars.index, symbols=bars.symbols, step=bars.step, **fields)
    features, labels = compute_features(bars, names=NAMES), labels_for(bars, TARGET)
    splits = WALK.split(labels)
    preds = walk_forward(
        bars, features, labels, splits, model=MODEL, training=TRAINING, target=TARGET, jobs=1
    )
    return bars, features, splits, preds


def test_a_symbol_without_training_rows_has_no_prediction_and_is_no_error(run):
    _, features, splits, preds = run
    reach = build_network(MODEL, len(NAMES)).receptive_field
    assert reach > MIN_ROWS + 5  # else YOUNG would be no test of anything
    known = np.isfinite(preds.proba).all(axis=2)
    for split in splits[:2]:
        assert not known[slice(*split.test), LATER].any()
    assert known[slice(*splits[2].test), LATER].all()
    assert np.isnan(scale(features, splits[0].train)[0][LATER]).all()


def test_a_symbol_is_predicted_once_it_can_be_looked_back_on(run):
    bars, _, splits, preds = run
    known = np.isfinite(preds.proba).all(axis=2)
    start, stop = splits[0].test
    assert known[start:stop, 0].sum() == bars.present[start:stop, 0].sum()
    assert known[start:stop, YOUNG].any()
    assert not known[700:, ENDED].any()
    assert not known[650:655, 0].any()
    assert (known == (preds.split >= 0)).all()


def test_each_symbol_is_standardised_by_itself(run):
    _, features, splits, _ = run
    mean, std = scale(features, splits[0].train)
    rows = features.values[slice(*splits[0].train)]
    for n in (0, ENDED):
        np.testing.assert_allclose(mean[n], np.nanmean(rows[:, n], axis=0), atol=1e-6)
        np.testing.assert_allclose(std[n], np.nanstd(rows[:, n], axis=0), rtol=1e-5)
    assert not np.allclose(mean[0], mean[ENDED])
