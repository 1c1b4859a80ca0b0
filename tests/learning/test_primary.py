"""Meta-labelling: what is read beside a primary, what is learned, and what may then be said."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnext_vbt.learning.calibration import OutOfFold, calibrated_fit
from convnext_vbt.learning.features import Features
from convnext_vbt.learning.fitting import fit_split, log_proba_range, predict_last, predict_range
from convnext_vbt.learning.labels import NO_LABEL, Labels
from convnext_vbt.learning.primary import SIDE, as_long, sides_of, taken, with_sides
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig
from convnext_vbt.predictions import DOWN, STAY, UP, Split, SplitFit
from tests.examples import examples
from tests.learning.markets import hours

T = 1_200
SPLIT = Split(number=0, train=(0, 1_000), test=(1_000, T), folds=2)


@pytest.fixture(scope="module")
def market():
    """Trades of a primary that work where it is calm, whatever their side; a third has none."""
    rng = np.random.default_rng(1)
    calm, noise = rng.standard_normal((2, T, 1)).astype(np.float32)
    features = Features(
        names=("calm", "noise"),
        values=np.stack([calm, noise], axis=2),
        mirrored=np.stack([calm, -noise], axis=2),
        warmup=0,
    )
    sides = rng.integers(-1, 2, (T, 1)).astype(np.int8)
    works = (calm + 0.3 * rng.standard_normal((T, 1)) > 0) * 2 - 1
    side = np.where(sides == 0, 1, sides)
    y = np.where(rng.random((T, 1)) < 0.2, STAY, STAY + side * works)
    end = np.minimum(np.arange(T) + 1, T - 1)[:, None]
    return features, sides, Labels(values=y, end=end, opens=hours(T))


def fitted(features, labels, kind="logistic"):
    options = {"model": ModelConfig(kind=kind), "training": TrainingConfig(), "seed": 0}
    return fit_split(features, labels, SPLIT, **options)


def test_sides_and_their_products_stand_beside_the_features(market):
    features, sides, _ = market
    values = features.values.copy()
    values[:7] = np.nan
    made = with_sides(replace(features, values=values, warmup=7), sides)
    assert made.names == ("calm", "noise", "primary", "primary x calm", "primary x noise")
    np.testing.assert_array_equal(made.values[:, :, :2], values)
    assert np.isnan(made.values[:7]).all()
    np.testing.assert_array_equal(made.values[7:, :, 2], sides[7:])
    np.testing.assert_array_equal(made.values[7:, :, 3], sides[7:] * values[7:, :, 0])
    assert not made.values[7:, :, 4].any()  # noise has nothing that the mirror leaves
    np.testing.assert_array_equal(made.mirrored[7:, :, 2:], -made.values[7:, :, 2:])
    np.testing.assert_array_equal(sides_of(made)[7:], sides[7:])
    assert not sides_of(made)[:7].any()
    assert sides_of(features) is None


def test_without_a_mirror_every_feature_is_multiplied(market):
    features, sides, _ = market
    made = with_sides(replace(features, mirrored=None), sides)
    assert made.mirrored is None
    np.testing.assert_array_equal(made.values[:, :, 3:], sides[:, :, None] * features.values)


def test_bars_without_a_side_have_no_label(market):
    _, sides, labels = market
    beside = labels.beside(sides)
    np.testing.assert_array_equal(beside.values == NO_LABEL, sides == 0)
    np.testing.assert_array_equal(beside.values[sides != 0], labels.values[sides != 0])
    np.testing.assert_array_equal(beside.end, labels.end)


@pytest.mark.parametrize("mirror", [True, False], ids=["mirrored", "plain"])
@pytest.mark.parametrize("kind", ["logistic", "boosting"])
def test_whether_a_trade_works_is_learned_of_both_sides(market, kind, mirror):
    features, sides, labels = market
    features = features if mirror else replace(features, mirrored=None)
    beside = labels.beside(sides)
    blind, meta = fitted(features, beside, kind), fitted(with_sides(features, sides), beside, kind)
    assert meta.fit.valid_loss < meta.fit.prior_loss - 0.2
    assert blind.fit.valid_loss > blind.fit.prior_loss - 0.02
    proba = predict_range(meta, with_sides(features, sides), *SPLIT.test)[:, 0]
    side, y = sides[slice(*SPLIT.test), 0], labels.values[slice(*SPLIT.test), 0]
    for own in (-1, 1):
        rows = (side == own) & (y != STAY)
        sure = proba[rows, STAY + own] > proba[rows, STAY - own]
        worked = y[rows] == STAY + own
        assert (sure == worked).mean() > 0.8


def test_a_short_is_judged_as_its_mirror_image_is_as_a_long(market):
    features, sides, labels = market
    meta = fitted(with_sides(features, sides), labels.beside(sides))
    other = Features(
        names=features.names, values=features.mirrored, mirrored=features.values, warmup=0
    )
    one = log_proba_range(meta, with_sides(features, sides), 1_000, T)
    turned = log_proba_range(meta, with_sides(other, -sides), 1_000, T)
    moved = one[:, :, UP] - one[:, :, DOWN], turned[:, :, DOWN] - turned[:, :, UP]
    # up to the constant of a market that drifts
    np.testing.assert_allclose(moved[0] - moved[1], (moved[0] - moved[1])[0, 0], atol=1e-4)
    np.testing.assert_allclose(one[:, :, STAY], turned[:, :, STAY], atol=1e-4)


def test_only_rows_with_a_side_calibrate_as_if_all_were_long(market):
    features, sides, labels = market
    beside = labels.beside(sides)
    out = fitted(with_sides(features, sides), beside).out_of_fold
    train = slice(*SPLIT.train)
    sided = sides[train, 0] != 0
    assert len(out.y) == sided.sum()
    y, own = labels.values[train, 0][sided], sides[train, 0][sided]
    np.testing.assert_array_equal(out.y, np.where(own > 0, y, 2 - y))
    # The slopes are those of the rows as they are.
    said, same = as_long(out.log_proba, out.y, own)
    np.testing.assert_array_equal(same, y)
    fit = SplitFit(number=0, epochs=1, valid_loss=1.0, prior_loss=1.0, prior=(0.3, 0.4, 0.3))
    slopes = [
        calibrated_fit(fit, OutOfFold(log_proba=p, y=values, label_bars=1.0), [], SPLIT)
        for p, values in ((out.log_proba, out.y), (said, same))
    ]
    assert slopes[0].direction_slope == pytest.approx(slopes[1].direction_slope)
    assert slopes[0].move_slope == pytest.approx(slopes[1].move_slope)


def test_a_live_prediction_is_bound_to_the_side_too(market):
    features, sides, labels = market
    made = with_sides(features, sides)
    meta = fitted(made, labels.beside(sides))
    whole = predict_range(meta, made, 1_000, T)
    for stop in range(1_150, T):
        cut = replace(made, values=made.values[:stop], mirrored=made.mirrored[:stop])
        np.testing.assert_allclose(predict_last(meta, cut), whole[stop - 1_001], atol=1e-6)
    assert (whole[sides[1_000:] == 0] == [0, 1, 0]).all()


@examples(60)
@given(seed=st.integers(0, 9999))
def test_nothing_is_said_against_the_primary(seed):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet([1, 1, 1], size=(40, 2)).astype(np.float32)
    proba[rng.random((40, 2)) < 0.1] = np.nan
    sides = rng.integers(-1, 2, (40, 2))
    said = taken(proba, sides)
    for t, n in np.ndindex(40, 2):
        p, out, side = proba[t, n], said[t, n], sides[t, n]
        if np.isnan(p).any():
            assert np.isnan(out).all()
        elif side == 0:
            assert out.tolist() == [0, 1, 0]
        elif p[STAY + side] >= p[STAY - side]:
            assert out.tolist() == p.tolist()
        else:
            assert out[UP] == out[DOWN] == (p[UP] + p[DOWN]) / 2
            assert out[STAY] == p[STAY]
    assert SIDE == "primary"
