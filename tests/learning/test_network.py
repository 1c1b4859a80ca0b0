"""The network: causal, dense equal to windows, and the authors' block."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from convnext_vbt.learning.network import SIZES, Block, Cache, ConvNeXt1d, DropPath, decay_groups
from tests.examples import examples

pytestmark = pytest.mark.usefixtures("one_thread")


SMALL = {"depths": (1, 2), "dims": (8, 12), "kernel_size": 5}


def network(*, seed=0, dtype=torch.float64, spread=0.1, **options):
    """A network with large weights, so that every path through it shows in the logits."""
    torch.manual_seed(seed)
    net = ConvNeXt1d(5, **{**SMALL, **options}).to(dtype).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += spread * torch.randn_like(parameter)
    return net


def bars(length, *, batch=2, seed=1, dtype=torch.float64):
    return torch.randn(batch, 5, length, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def window_logits(net, x_BFL):
    """The oracle: one `forward` a bar on exactly the receptive field that ends there."""
    reach = net.receptive_field
    ends = range(reach, x_BFL.shape[-1] + 1)
    return torch.stack([net(x_BFL[:, :, end - reach : end]) for end in ends], dim=1)


@pytest.mark.parametrize(
    ("dtype", "bound"),
    [pytest.param(torch.float32, 1e-5, marks=pytest.mark.slow), (torch.float64, 1e-12)],
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pool": 3},
        {"depths": (1,), "dims": (8,)},
        {"kernel_size": 7, "depths": (1, 1, 1), "dims": (4, 8, 6)},
        {"patch": 1, "stem": 6, "depths": (2,), "dims": (8,), "pool": 5},
        {"patch": 2, "stem": 7, "weights": "fan_in", "spread": 0.02},
    ],
)
def test_dense_equals_windows_at_every_bar(options, dtype, bound):
    net = network(dtype=dtype, **options)
    x = bars(net.receptive_field + 75, dtype=dtype)
    with torch.no_grad():
        expected = window_logits(net, x)
        dense, valid = net.forward_dense(x), net.forward_valid(x)
        history = net(x)
    assert dense.shape == (2, x.shape[-1], 3)
    assert (dense[:, net.receptive_field - 1 :] - expected).abs().max() <= bound
    assert (valid - expected).abs().max() <= bound
    assert (history - expected[:, -1]).abs().max() <= bound, "longer history, same prediction"
    assert expected.std(dim=1).min() > 0.01, "the oracle must tell bars apart"


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")
def test_dense_leaves_every_product_to_onednn_even_of_few_bars():
    net = network(dtype=torch.float32, drop_path=0.0)
    with torch.profiler.profile() as profile:
        net.forward_valid(bars(net.receptive_field, dtype=torch.float32)).sum().backward()
    operators = {event.key for event in profile.key_averages()}
    assert "aten::mkldnn_convolution" in operators
    assert not {name for name in operators if "slow_conv" in name or "im2col" in name}


def test_dense_equals_itself_without_onednn(monkeypatch):
    net = network(dtype=torch.float32)
    x = bars(net.receptive_field + 75, dtype=torch.float32)
    with torch.no_grad():
        expected = net.forward_valid(x)
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
        assert (net.forward_valid(x) - expected).abs().max() <= 1e-5


@pytest.mark.slow
def test_default_network_dense_equals_windows():
    net = network(depths=(1, 1, 3, 1), dims=(16, 32, 64, 128), kernel_size=7, spread=0.05)
    x = bars(net.receptive_field + 40)
    with torch.no_grad():
        assert (net.forward_valid(x) - window_logits(net, x)).abs().max() <= 1e-12


@pytest.mark.parametrize(
    "options", [{}, {"pool": 2}, {"patch": 2, "stem": 7}, {"patch": 1, "stem": 6, "pool": 2}]
)
def test_strided_is_dense_at_the_end_of_every_stride(options):
    net = network(**options)
    x = bars(net.receptive_field + 77)
    with torch.no_grad():
        strided, dense = net.forward_strided(x), net.forward_dense(x)
    ends = torch.arange(net.stride - 1, x.shape[-1], net.stride)
    assert strided.shape == (2, len(ends), 3)
    warm = ends >= net.receptive_field - 1
    assert warm.sum() > 2
    assert (strided - dense[:, ends])[:, warm].abs().max() <= 1e-12
    assert dense[:, ends].std(dim=1).min() > 0.01, "the oracle must tell bars apart"


def test_gradients_of_dense_equal_those_of_windows():
    net = network(pool=2)
    x = bars(net.receptive_field + 20)
    gradients = []
    for logits in (
        net.forward_valid(x),
        net.forward_dense(x)[:, net.receptive_field - 1 :],
        window_logits(net, x),
    ):
        net.zero_grad()
        logits.square().sum().backward()
        gradients.append([p.grad.clone() for p in net.parameters()])
    for valid, dense, windows in zip(*gradients, strict=True):
        scale = 1 + windows.abs().max()
        assert (valid - windows).abs().max() / scale <= 1e-12
        assert (dense - windows).abs().max() / scale <= 1e-12


@examples(25)
@given(
    blocks=st.lists(st.integers(1, 90), min_size=1, max_size=6),
    own=st.booleans(),
    options=st.sampled_from([{}, {"patch": 3, "stem": 8}]),
)
def test_result_does_not_depend_on_the_blocks_a_series_comes_in(blocks, own, options):
    net = network(**options)
    reach = net.receptive_field
    x = bars(reach - 1 + sum(blocks))
    with torch.no_grad():
        cache, out, at = Cache(), [], reach - 1
        if not own:
            net.forward_dense(x[:, :, :at], cache)
        for i, length in enumerate(blocks):
            first = own and i == 0
            block = x[:, :, 0 if first else at : at + length]
            out.append(
                net.forward_valid(block, cache) if first else net.forward_dense(block, cache)
            )
            at += length
        assert (torch.cat(out, dim=1) - net.forward_valid(x)).abs().max() <= 1e-12


@examples(20)
@given(cut=st.integers(1, 180), garbage=st.sampled_from([np.nan, np.inf, 1e30, 0.0]))
def test_the_future_leaves_the_past_bit_identical(cut, garbage):
    net = network(dtype=torch.float32)
    x = bars(181, dtype=torch.float32)
    changed = x.clone()
    changed[:, :, cut:] = garbage
    with torch.no_grad():
        assert torch.equal(net.forward_dense(x)[:, :cut], net.forward_dense(changed)[:, :cut])


def test_a_prediction_reads_its_whole_receptive_field_and_nothing_before():
    net = network()
    reach = net.receptive_field
    x = bars(reach + 30, batch=1).requires_grad_()
    net.forward_dense(x)[0, -1].sum().backward()
    touched = torch.nonzero(x.grad[0].abs().sum(dim=0)).flatten()
    assert touched.tolist() == list(range(30, reach + 30))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 584),
        ({"pool": 8}, 808),
        ({"depths": (1,), "dims": (16,)}, 28),
        ({"depths": (1, 1), "dims": (8, 8)}, 80),
        ({"depths": (1, 1, 3), "dims": (8, 8, 8)}, 376),
        ({"depths": (3,), "dims": (8,), "patch": 2, "stem": 8}, 44),
    ],
)
def test_receptive_field(options, expected):
    assert ConvNeXt1d(5, **options).receptive_field == expected


@pytest.mark.parametrize(
    ("size", "millions"),
    [
        ("small_1d", 0.27),
        ("atto", 3.17),
        ("femto", 4.55),
        ("pico", 8.07),
        ("nano", 14.2),
        ("tiny", 26.8),
        ("small", 48.1),
    ],
)
def test_parameter_counts(size, millions):
    depths, dims = SIZES[size]
    with torch.device("meta"):
        net = ConvNeXt1d(20, depths=depths, dims=dims)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, rel=4e-3)


def copy_into_2d(block, layer):
    """The 1-D kernel in the centre row of the 7 x 7 one; H = 1 then sees no other row."""
    with torch.no_grad():
        layer.dwconv.weight.zero_()
        layer.dwconv.weight[:, :, 3, :] = block.depthwise.weight
        layer.dwconv.bias.copy_(block.depthwise.bias)
        for ours, theirs in (
            (block.norm, layer.layernorm),
            (block.expand, layer.pwconv1),
            (block.project, layer.pwconv2),
        ):
            theirs.weight.copy_(ours.weight)
            theirs.bias.copy_(ours.bias)


@pytest.mark.slow  # seconds of imports
@pytest.mark.parametrize("version", [1, 2])
def test_block_equals_transformers_convnext_layer(version):
    # here, because it takes two seconds to import, which every worker would spend
    from transformers import ConvNextConfig, ConvNextV2Config
    from transformers.models.convnext.modeling_convnext import ConvNextLayer
    from transformers.models.convnextv2.modeling_convnextv2 import ConvNextV2Layer

    torch.manual_seed(version)
    block = Block(24, 7, causal=False, version=version, layer_scale=0.3, rate=0.0)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    if version == 1:
        layer = ConvNextLayer(ConvNextConfig(layer_scale_init_value=0.3), 24)
        layer.layer_scale_parameter.data.copy_(block.gamma)
    else:
        layer = ConvNextV2Layer(ConvNextV2Config(), 24)
        for name in ("beta", "gamma"):
            theirs = getattr(
                layer.grn,
                "bias"
                if name == "beta" and hasattr(layer.grn, "bias")
                else "weight"
                if name == "gamma" and hasattr(layer.grn, "weight")
                else name,
            )
            theirs.data.copy_(getattr(block.grn, name).view_as(theirs))
    copy_into_2d(block, layer)
    x = torch.randn(3, 24, 50)
    with torch.no_grad():
        ours, theirs = block.eval()(x), layer.eval()(x[:, :, None, :])[:, :, 0, :]
    assert (ours - x).abs().max() > 0.5
    assert (ours - theirs).abs().max() <= 1e-6 * theirs.abs().max()


@pytest.mark.parametrize(
    "options",
    [{}, {"padding": "same"}, {"padding": "same", "version": 2}, {"padding": "same", "stem": 7}],
)
def test_every_parameter_has_a_gradient(options):
    net = network(**options).train()
    net(bars(100)).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize(
    "options", [{}, pytest.param({"padding": "same", "version": 2}, marks=pytest.mark.slow)]
)
def test_overfits_eight_windows(options):
    torch.manual_seed(0)
    net = ConvNeXt1d(5, depths=(1, 1), dims=(16, 32), drop_path=0.0, **options)
    x, y = bars(96, batch=8, dtype=torch.float32), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for _ in range(80):
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05
    assert (net.eval()(x).argmax(1) == y).all()


def test_same_seed_same_weights():
    weights = []
    for seed in (3, 3, 4):
        net = ConvNeXt1d(5, **SMALL)
        net.reset(torch.Generator().manual_seed(seed))
        weights.append(nn.utils.parameters_to_vector(net.parameters()))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_initial_weights():
    net = ConvNeXt1d(20, dims=(64, 64, 64, 64), layer_scale=0.1)
    matrices = torch.cat([p.detach().flatten() for p in net.parameters() if p.ndim > 1])
    assert matrices.mean().abs() < 2e-4
    assert matrices.std().item() == pytest.approx(0.02, rel=0.02)
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif name.endswith("gamma"):
            assert (parameter == 0.1).all(), name
        elif parameter.ndim == 1:
            assert (parameter == 1).all(), name
    grn = Block(8, 7, causal=False, version=2, layer_scale=0.1, rate=0.0).grn
    assert not grn.gamma.any()
    assert not grn.beta.any()


def test_weights_by_fan_in_keep_the_variance_and_the_depth_of_a_valley():
    net = ConvNeXt1d(1, dims=(256, 64, 64, 64), weights="fan_in")
    for name, parameter in net.named_parameters():
        if parameter.ndim > 1:
            expected = pytest.approx(parameter[0].numel() ** -0.5, rel=0.15)
            assert parameter.std().item() == expected, name
    assert net.stem.bias.std().item() == pytest.approx(0.3, rel=0.15)

    def behind_stem(net):
        levels = torch.tensor([-1.0, -3.0])[:, None, None].expand(2, 1, 4)
        with torch.no_grad():
            shallow, deep = net.stem_norm(net.stem(levels)[:, :, 0])
        return (shallow - deep).abs().max()

    assert behind_stem(net) > 0.5
    assert behind_stem(ConvNeXt1d(1)) < 0.1, "the authors' draw tells them hardly apart"


def test_only_matrices_and_kernels_decay():
    net = ConvNeXt1d(5, padding="same", version=2, **SMALL)
    decayed, spared = decay_groups(net, 0.05)
    names = {id(p): name for name, p in net.named_parameters()}
    layers = [f"stages.{stage}.{block}" for stage, block in ((0, 0), (1, 0), (1, 1))]
    expected = {"stem.weight", "downs.0.weight", "head.weight"} | {
        f"{layer}.{part}.weight" for layer in layers for part in ("depthwise", "expand", "project")
    }
    assert {names[id(p)] for p in decayed["params"]} == expected
    assert {names[id(p)] for p in spared["params"]} == set(names.values()) - expected
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.05, 0.0)


def test_drop_path_is_off_in_evaluation_and_drops_whole_samples_in_training():
    net = network(drop_path=0.5, spread=0.2)
    x = bars(net.receptive_field, batch=64)
    with torch.no_grad():
        assert torch.equal(net(x), net(x))
        assert torch.equal(net.forward_dense(x), net.forward_dense(x))
        net.train()
        assert not torch.equal(net(x), net(x))
    drop = DropPath(0.25).train()
    drop.generator = torch.Generator().manual_seed(0)
    scale = drop(torch.ones(3), 4000)
    assert scale.shape == (4000, 1, 3)
    assert scale.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert float(scale.mean()) == pytest.approx(1.0, abs=0.03)


def test_drop_path_rises_linearly_with_depth():
    net = ConvNeXt1d(5, drop_path=0.2)
    rates = [m.rate for m in net.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0, 0.04, 0.08, 0.12, 0.16, 0.2])


def test_same_padding_reads_both_sides_and_windows_shorter_than_a_token():
    net = network(padding="same")
    x = bars(64, batch=1).requires_grad_()
    net(x).sum().backward()
    assert x.grad.abs().sum(dim=1).min() > 0
    assert net(bars(3)).shape == (2, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": 2}, "version 2 .GRN. norms over the whole window"),
        ({"depths": (1, 1), "dims": (8,)}, r"equal length, got \(1, 1\) and \(8,\)"),
        ({"stem": 3}, "must read its whole patch, got stem=3, patch=4"),
    ],
)
def test_impossible_networks_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ConvNeXt1d(5, **options)


def test_dense_evaluation_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match='dense evaluation needs padding="causal"'):
        network(padding="same").forward_dense(bars(100))
    net = network()
    with pytest.raises(ValueError, match="10 bars are fewer than the receptive field, 88"):
        net.forward_valid(bars(10))
