"""What the network sees beside the last bar's features: a prior as it is, or one of its own.

How it is trained is in `tests.learning.test_training`.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from convnext_vbt.errors import InputError
from convnext_vbt.learning.features import Features
from convnext_vbt.learning.fitting import fit_split, predict_range
from convnext_vbt.learning.models.convnext import CONVNEXT, build_network, training_flops
from convnext_vbt.learning.models.prior_file import load_prior
from convnext_vbt.learning.network import ConvNeXt1d
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig
from tests.learning.test_training import MODEL, SPLIT, TRAINING, market

pytestmark = pytest.mark.usefixtures("one_thread")

DEFAULT = TrainingConfig()
READS = ("c", "a")
"""Of the features a, b, c, d, in the prior's own order."""


@pytest.fixture
def prior(tmp_path):
    return write_prior(tmp_path / "prior.safetensors")


def write_prior(path, *, features=READS, horizons=(4, 24), states=("regimes",), seed=0):
    generator = torch.Generator().manual_seed(seed)
    outputs = len(horizons) + len(states)
    net = ConvNeXt1d(len(features), num_classes=outputs, depths=(1,), dims=(4,))
    state = {
        name: torch.randn(value.shape, generator=generator).half()
        for name, value in net.state_dict().items()
    }
    facts = {
        "features": features, "depths": [1], "dims": [4], "kernel_size": 7, "patch": 4,
        "stem": 4, "horizons": horizons,
        "states": states, "families": ["none", "regimes"],
    }  # fmt: skip
    save_file(state, path, metadata={"prior": json.dumps(facts)})
    return path


def with_mirror(features):
    """Features a and d lie on the other side of their mean in the mirror, b and c do not."""
    turned = features.values * np.array([-1, 1, 1, -1], "f4") + np.array([20, 0, 0, 10], "f4")
    return replace(features, mirrored=turned)


def fit(features, labels, *, model, training=DEFAULT):
    return fit_split(features, labels, SPLIT, model=model, training=training, seed=0)


def on(prior, **changes):
    return ModelConfig(prior=str(prior), **changes)


def test_a_prior_reads_its_own_features_in_its_own_order(prior):
    features, labels = market()
    fitted = fit(features, labels, model=on(prior, base="none"))
    swapped = Features(
        names=("c", "b", "d", "a"), values=features.values[:, :, [2, 1, 3, 0]], warmup=20
    )
    other = fit(swapped, labels, model=on(prior, base="none"))
    one, again = (
        predict_range(fitted, features, 905, 1000),
        predict_range(other, swapped, 905, 1000),
    )
    np.testing.assert_array_equal(one, again)
    values = features.values.copy()
    values[:, :, [1, 3]] = 7.0 + 0 * values[:, :, [1, 3]]  # what it does not read
    same = fit(replace(features, values=values), labels, model=on(prior, base="none"))
    np.testing.assert_array_equal(predict_range(same, features, 905, 1000), one)
    based = fit(features, labels, model=on(prior))
    assert not np.array_equal(predict_range(based, features, 905, 1000), one, equal_nan=True)


def test_the_mirrored_market_gets_the_mirrored_probabilities_but_for_the_drift(prior):
    features, labels = market()
    both = with_mirror(features)
    turned = replace(features, values=both.mirrored, mirrored=features.values)
    fitted = fit(both, labels, model=on(prior))
    head = fitted.predictor.head
    still = replace(head, direction=torch.cat([head.direction[:-1], torch.zeros(1)]))
    fitted = replace(fitted, predictor=replace(fitted.predictor, head=still))
    one, other = (predict_range(fitted, view, 905, 1000) for view in (both, turned))
    np.testing.assert_allclose(one, other[:, :, ::-1], atol=1e-5)
    assert np.nanmax(np.abs(one[:, :, 0] - one[:, :, 2])) > 0.05


def test_a_prior_is_taken_as_it_is(prior):
    features, labels = market()
    fitted = fit(features, labels, model=on(prior))
    weights = fitted.predictor.trunk.nets[0].state_dict()
    for name, value in load_prior(str(prior)).weights.items():
        assert torch.equal(weights[name], value)
    assert (fitted.members, fitted.fit.epochs) == ((), None)


def test_what_is_kept_comes_back_with_the_prior_that_it_was_made_with(prior):
    features, labels = market()
    fitted = fit(features, labels, model=on(prior))
    tensors = fitted.predictor.tensors()
    assert sorted(tensors) == ["heads.0.direction", "heads.0.move", "inputs", "prior_sha256"]
    (restored,) = CONVNEXT.restore(on(prior), 4, tensors, "cpu")
    before, after = (
        predict_range(replace(fitted, predictor=predictor), features, 905, 1000)
        for predictor in (fitted.predictor, restored)
    )
    np.testing.assert_array_equal(before, after)
    write_prior(prior, seed=1)
    with pytest.raises(InputError, match=r"made with another prior than model.prior = .* is here"):
        CONVNEXT.restore(on(prior), 4, tensors, "cpu")


def test_a_network_of_its_own_adds_what_lies_before_the_last_bar():
    features, labels = market(noise=0.3)  # two of the three bars that tell lie before the last
    linear = fit(features, labels, model=ModelConfig(kind="logistic"))
    training = replace(TRAINING, steps=80, feature_dropout=0.0)
    fitted = fit(features, labels, model=replace(MODEL, base="logistic"), training=training)
    assert fitted.fit.valid_loss < linear.fit.valid_loss - 0.1


def test_training_beside_a_prior_is_refused(prior):
    features, labels = market()
    with pytest.raises(
        InputError,
        match=r"^\[training\], or \[model\], describes a network of its own, but model.prior = "
        r'".*p.*" is taken as it is; leave its keys out, or set model.prior = "none"',
    ):
        fit(features, labels, model=on(prior), training=replace(DEFAULT, ensemble=3))


def test_a_prior_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(InputError, match=r'model.prior = "nowhere": there is no .*"none".*simulat'):
        load_prior("nowhere")


def test_a_path_of_a_prior_starts_at_the_working_directory(tmp_path, monkeypatch):
    there = write_prior(tmp_path / "p.safetensors")
    monkeypatch.chdir(tmp_path)
    assert load_prior("p.safetensors").sha256 == load_prior(str(there)).sha256
    with pytest.raises(InputError, match=rf"no q\.safetensors \(paths start at {tmp_path}\);"):
        load_prior("q.safetensors")


def test_features_that_the_prior_lacks_are_named(tmp_path):
    features, labels = market()
    path = write_prior(tmp_path / "p.safetensors", features=("a", "rsi_14", "hour_sin"))
    with pytest.raises(
        InputError, match=r'there: rsi_14, hour_sin; .* lack .* Set model.prior = "none" to train'
    ):
        fit(features, labels, model=on(path))


@pytest.mark.parametrize("damage", [b"", b"no safetensors at all, but longer than eight bytes"])
def test_a_file_that_is_no_prior_is_named(tmp_path, damage):
    path = tmp_path / "p.safetensors"
    path.write_bytes(damage)
    with pytest.raises(InputError, match=r"p.safetensors is no file of a prior"):
        load_prior(str(path))
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"p.safetensors is no file of a prior"):
        load_prior(str(path))


def test_a_prior_of_an_earlier_version_says_so(tmp_path):
    path = write_prior(tmp_path / "p.safetensors")
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["prior"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del facts["patch"], facts["stem"]
    save_file(weights, path, metadata={"prior": json.dumps(facts)})
    with pytest.raises(InputError, match="an earlier version made it; make it anew"):
        load_prior(str(path))


def test_training_flops_count_what_a_forward_and_backward_pass_multiply():
    """Against torch's own count, which leaves out norms and activations."""
    from torch.utils.flop_counter import FlopCounterMode

    model = ModelConfig(prior="none")
    training = TrainingConfig(steps=1, segments=1, segment_bars=512)
    net = build_network(model, 30)
    with FlopCounterMode(display=False) as counter:
        net.forward_valid(torch.zeros(1, 30, 512 + net.receptive_field - 1)).sum().backward()
    counted = counter.get_total_flops()
    assert counted < training_flops(model, training, 30) < 2 * counted
