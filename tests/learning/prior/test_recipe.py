"""How a prior is made: targets by hand, deterministic steps, a file that comes back."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from convnext_vbt.errors import InputError
from convnext_vbt.learning.features import compute_features
from convnext_vbt.learning.models.convnext import CONVNEXT
from convnext_vbt.learning.models.prior_file import load_prior
from convnext_vbt.learning.prior import recipe as recipes
from convnext_vbt.learning.prior.markets import FAMILIES, draw_market
from convnext_vbt.learning.prior.recipe import Markets, Recipe, train_prior, write_prior
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig

pytestmark = pytest.mark.usefixtures("one_thread")

BARS = 2_400  # features are warm after half of them
TINY = Recipe(
    families=("none", "regimes", "flow"), steps=2, seed=3, depths=(1, 1), dims=(4, 6),
    horizons=(6, 24), weights=(1.0, 0.5), markets=2, pool=3, bars=BARS, scale_bars=300,
)  # fmt: skip


def trained():
    told = []
    net, names = train_prior(TINY, lambda *report: told.append(report))
    return net, names, told


def test_two_steps_are_deterministic_and_a_file_of_them_comes_back(tmp_path):
    torch.manual_seed(1)
    net, names, told = trained()
    torch.manual_seed(2)
    again, _, told_again = trained()
    assert told == told_again
    assert [step for step, _ in told] == [1, 2]
    for name, value in net.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    path = tmp_path / "tiny.safetensors"
    write_prior(path, net, names, TINY)
    prior = load_prior(str(path))
    assert prior.families == TINY.families
    assert prior.states == ("regimes", "flow_fast", "flow_slow")
    assert (prior.features, prior.horizons) == (names, TINY.horizons)
    for name, value in net.state_dict().items():
        assert torch.equal(prior.weights[name], value.half().float())
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["prior"])
    assert facts["seed"] == 3
    assert facts["bars"] == BARS


def test_batches_are_whole_markets_and_their_targets_at_the_tokens():
    batches = iter(Markets(recipe=TINY, rng=np.random.default_rng(0)))
    x, y = next(batches)
    stride, outputs = 2 * TINY.patch, len(TINY.horizons) + len(TINY.states)
    assert x.shape[0] == 2
    assert x.shape[2] > 500
    assert y.shape == (2, outputs, x.shape[2] // stride)
    assert x.abs().max() <= 5.0
    assert x.isfinite().all()
    moved, state = y[:, :2], y[:, 2:]
    assert set(moved[moved.isfinite()].tolist()) == {0.0, 1.0}
    assert (state.isfinite().any(dim=2).sum(dim=1) <= 1).all()  # a market is of one kind
    assert state[state.isfinite()].abs().max() <= 1.0
    other, _ = next(batches)
    assert not torch.equal(x[:, :, :100], other[:, :, :100])


def test_the_mean_state_of_the_next_bars_by_hand():
    state = np.random.default_rng(0).normal(size=50)
    ahead = recipes._ahead(state, 6).numpy()
    for t in range(50 - 6):
        assert ahead[t] == pytest.approx(state[t + 1 : t + 7].mean(), abs=1e-6)
    assert np.isnan(ahead[-6:]).all()


def test_features_are_standardised_by_some_of_the_bars():
    features = compute_features(draw_market(np.random.default_rng(0), "none", bars=BARS).bars)
    by = slice(features.warmup + 50, features.warmup + 350)
    x = recipes._standardised(features, by)
    assert x.shape == (len(features.names), BARS - features.warmup)
    some = features.values[by, 0].astype(np.float64)
    expected = (features.values[features.warmup :, 0] - some.mean(0)) / some.std(0)
    np.testing.assert_allclose(x.T, np.clip(expected, -5, 5), atol=1e-3)


@pytest.mark.parametrize("families", [(), ("regimes", "astrology")])
def test_families_that_there_are_not_are_refused(families):
    with pytest.raises(InputError, match=r"families must be among none, regimes, .*, got"):
        Recipe(families=families)


def test_the_prior_that_ships_reads_the_built_in_features():
    prior = load_prior("simulated")
    bars = draw_market(np.random.default_rng(0), "none", bars=BARS).bars
    names = compute_features(bars).names
    assert sorted(prior.features) == sorted(names)
    assert "regimes" in prior.families
    assert set(prior.families) <= set(FAMILIES)
    assert prior.states == Recipe(families=prior.families).states
    x = torch.randn(1, len(names), 700, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert prior.network().forward_strided(x).isfinite().all()
    CONVNEXT.check(ModelConfig(), TrainingConfig(), names)


def test_the_prior_that_ships_names_a_feature_that_is_not_there():
    names = tuple(name for name in load_prior("simulated").features if name != "rsi_14")
    with pytest.raises(InputError, match='"simulated" reads features that are not there: rsi_14;'):
        CONVNEXT.check(ModelConfig(), TrainingConfig(), names)
