"""The network on top of logistic regression: where it starts, what is held fixed, what it adds.

How it is trained is in `tests.learning.test_training`.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from convnext_vbt.learning.fitting import fit_split, predict_range
from convnext_vbt.learning.models.convnext import CONVNEXT, build_network, training_flops
from convnext_vbt.learning.models.last_bar import Linear
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig
from tests.learning.test_training import MODEL, SPLIT, TRAINING, market

pytestmark = pytest.mark.usefixtures("one_thread")

ON_BASE = replace(MODEL, base="logistic")
LOGISTIC = ModelConfig(kind="logistic")


def fit(features, labels, *, model=ON_BASE, training=TRAINING):
    return fit_split(features, labels, SPLIT, model=model, training=training, seed=0)


def test_it_starts_as_logistic_regression_and_stays_so_where_nothing_is_left_to_learn():
    features, labels = market()
    told = []
    training = replace(TRAINING, lr=10.0, warmup_steps=0)  # every step makes it worse
    fitted = fit_split(
        features, labels, SPLIT, model=ON_BASE, training=training, seed=0,
        progress=lambda *report: told.append(report),
    )  # fmt: skip
    assert told[0][0] == 0  # the first look is at the start itself
    assert fitted.fit.epochs == 0
    assert fitted.fit.valid_loss == np.float32(told[0][2])
    linear = fit(features, labels, model=LOGISTIC)
    ours, theirs = (
        predict_range(replace(one, temperature=1.0), features, 905, 1000)
        for one in (fitted, linear)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert np.isfinite(ours).any()


def test_the_base_is_held_fixed_and_the_network_adds_what_it_leaves():
    features, labels = market(noise=0.3)  # two of the three bars that tell lie before the last
    linear = fit(features, labels, model=LOGISTIC)
    training = replace(TRAINING, steps=80, feature_dropout=0.0)
    fitted = fit(features, labels, training=training)
    base = fitted.predictor.base
    assert isinstance(base, Linear)
    torch.testing.assert_close(base.coef, linear.predictor.coef)
    torch.testing.assert_close(base.intercept, linear.predictor.intercept)
    assert fitted.fit.valid_loss < linear.fit.valid_loss - 0.1


def test_what_the_base_knows_is_not_learned_again():
    features, labels = market()
    known = labels.values >= 0
    skewed = np.random.default_rng(1).choice(3, p=[0.1, 0.8, 0.1], size=known.shape)
    told = []
    fit_split(
        replace(features, values=features.values * 0 + 1),  # frequencies are all there is to know
        replace(labels, values=np.where(known, skewed, -1)),
        SPLIT,
        model=ON_BASE,
        training=replace(TRAINING, steps=60, lr=1e-2, label_smoothing=0.0),
        seed=0,
        progress=lambda *report: told.append(report),
    )
    losses = [loss for _, _, loss, _ in told]
    assert len(losses) > 5
    assert max(losses) - losses[0] < 0.003


def test_weights_and_base_come_back_from_their_tensors():
    features, labels = market()
    fitted = fit(features, labels, training=replace(TRAINING, ensemble=2))
    restored = CONVNEXT.restore(ON_BASE, 4, fitted.predictor.tensors(), "cpu")
    fits = [fitted, *fitted.members]
    for one, again in zip(fits, restored, strict=True):
        before, after = (
            predict_range(replace(fitted, predictor=predictor), features, 905, 1000)
            for predictor in (one.predictor, again)
        )
        np.testing.assert_array_equal(before, after)
    assert [one.predictor.base for one in fits] == [fitted.predictor.base] * 3


def test_without_a_base_the_network_is_on_its_own():
    features, labels = market()
    fitted = fit(features, labels, model=MODEL)
    assert fitted.predictor.base is None
    assert not any(name.startswith("base") for name in fitted.predictor.tensors())


def test_training_flops_count_what_a_forward_and_backward_pass_multiply():
    """Against torch's own count, which leaves out norms and activations."""
    from torch.utils.flop_counter import FlopCounterMode

    model, training = ModelConfig(), TrainingConfig(steps=1, segments=1, segment_bars=512)
    net = build_network(model, 30)
    with FlopCounterMode(display=False) as counter:
        net.forward_valid(torch.zeros(1, 30, 512 + net.receptive_field - 1)).sum().backward()
    counted = counter.get_total_flops()
    assert counted < training_flops(model, training, 30) < 2 * counted
