"""Cards, pretended where there is none: what fails on them is told and done in a plainer way.

What needs a real one is marked gpu: `pytest -m gpu`.
"""

import contextlib
import gc
import json
import logging
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from convnext_vbt.errors import DeviceError
from convnext_vbt.learning import classifier, devices, fitting, splittask, training, walkforward
from convnext_vbt.learning.classifier import ConvNeXtClassifier
from convnext_vbt.learning.devices import (
    PLAIN_STEPS,
    CardPass,
    arithmetic,
    describe_device,
    exact,
    or_on_cpu,
    resolve_device,
    splits_at_once,
    training_dtype,
)
from convnext_vbt.learning.fitting import predict_range
from convnext_vbt.learning.network import ConvNeXt1d, DropPath
from convnext_vbt.market.simulated import simulated_bars
from tests.learning.test_training import MODEL, TRAINING, fit, market
from tests.learning.test_walkforward import TARGET, assert_same, inputs, predict

pytestmark = pytest.mark.usefixtures("one_thread")

LONGER = replace(TRAINING, steps=16, lr=1e-2)
GIB = 2**30
CARD = torch.cuda.is_available()
no_card = pytest.mark.skipif(CARD, reason="there is a CUDA card: none need be pretended")


@pytest.fixture(scope="module")
def bars():
    return simulated_bars(seed=5, bars=820)


@pytest.fixture(scope="module")
def on_cpu(bars):
    return predict(bars)[0]


def network(drop_path=0.5):
    """Two networks that are the same and draw the same."""
    nets = [ConvNeXt1d(4, depths=(1, 2), dims=(8, 16), drop_path=drop_path) for _ in range(2)]
    for net in nets:
        net.reset(torch.Generator().manual_seed(1))
        net.head.weight.data *= 50
    return [net.train() for net in nets]


def batches(net, count):
    generator = torch.Generator().manual_seed(2)
    bars = net.receptive_field - 1 + 32
    return [torch.randn(3, 4, bars, generator=generator) for _ in range(count)]


def same_training(plain, net, forward, steps=PLAIN_STEPS + 3):
    """Whether a training by `forward` is, bit for bit, what it is without."""
    pairs = [
        (step(net, forward, x), step(plain, plain.forward_valid, x)) for x in batches(net, steps)
    ]
    return all(torch.equal(*both) for pair in pairs for both in zip(*pair, strict=True))


def step(net, forward, x):
    """Logits and gradients, and a step down them."""
    net.zero_grad()
    logits = forward(x)
    logits.square().mean().backward()
    gradient = torch.cat([p.grad.flatten() for p in net.parameters()])
    with torch.no_grad():
        for parameter in net.parameters():
            parameter -= 1e-3 * parameter.grad
    return logits.detach().clone(), gradient


# Which device


def test_devices():
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") == ("cuda" if CARD else "cpu")
    with pytest.raises(ValueError, match="got 'tpu'"):
        resolve_device("tpu")
    if not CARD:
        with pytest.raises(DeviceError, match='"cuda" was asked for but torch sees no GPU'):
            resolve_device("cuda")


@no_card
def test_a_gpu_that_does_not_work_is_told_of_and_left(monkeypatch):
    """This torch is built without CUDA, or has no card: whichever, using one fails."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.warns(UserWarning, match=r"the GPU does not work \(.+\), so the CPU is used"):
        assert resolve_device("auto") == "cpu"
    with pytest.raises(DeviceError, match='"cuda" was asked for but the GPU does not work'):
        resolve_device("cuda")
    assert resolve_device("cpu") == "cpu"


@pytest.mark.parametrize("made_for_bf16", [True, False])
def test_a_card_trains_in_bfloat16_where_it_is_made_for_it_and_that_is_said(
    monkeypatch, made_for_bf16
):
    asked = []

    def supported(**how):
        asked.append(how)
        return made_for_bf16

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Pretended 1")
    name = "bfloat16" if made_for_bf16 else "float32"
    assert training_dtype("cuda") == getattr(torch, name)
    assert arithmetic("cuda") == f"cuda, {name}"
    assert describe_device("cuda") == f"cuda, {name} (Pretended 1)"
    assert all(how == {"including_emulation": False} for how in asked)
    assert training_dtype("cpu") == torch.float32
    assert arithmetic("cpu") == describe_device("cpu") == "cpu"


def test_as_many_splits_share_a_card_as_its_free_memory_holds(monkeypatch):
    if not CARD:
        assert splits_at_once(8) == 1, "asking it failed"
    for free, expected in ((9 * GIB, 4), (100 * GIB, 8), (GIB, 1)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda free=free: (free, 200 * GIB))
        assert splits_at_once(8) == expected


# What fails


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("cuDNN error\nhere"), r"the GPU failed \(cuDNN error\), so the CPU does"),
        (AssertionError(), r"the GPU failed \(AssertionError\)"),
        (DeviceError("not there"), r"the GPU failed \(not there\)"),
        (torch.OutOfMemoryError("CUDA out of memory"), r"memory\).+fewer splits.+--jobs"),
    ],
)
def test_what_fails_on_a_card_is_told_and_done_on_the_cpu(error, message):
    def work(device):
        if device == "cuda":
            raise error
        return device

    with pytest.warns(UserWarning, match=message):
        assert or_on_cpu("cuda", work) == "cpu"
    told = []
    assert or_on_cpu("cuda", work, told.append) == "cpu"
    assert len(told) == 1
    assert or_on_cpu("cuda", lambda device: device) == "cuda"


def test_what_is_not_the_cards_fault_is_raised():
    calls = []

    def broken(device, error):
        calls.append(device)
        raise error(device)

    with pytest.raises(RuntimeError, match="cpu"):
        or_on_cpu("cpu", lambda device: broken(device, RuntimeError))
    with pytest.raises(ValueError, match="cuda"):
        or_on_cpu("cuda", lambda device: broken(device, ValueError))
    with pytest.warns(UserWarning, match="GPU"), pytest.raises(RuntimeError, match="cpu"):
        or_on_cpu("cuda", lambda device: broken(device, RuntimeError))
    assert calls == ["cpu", "cuda", "cuda", "cpu"]


@no_card
@pytest.mark.parametrize("lie", ["the parent's", "everybody's"])
def test_a_split_whose_card_fails_is_the_cpus_to_the_bit_and_is_kept_as_such(
    bars, on_cpu, tmp_path, monkeypatch, caplog, lie
):
    """The card is pretended; what fails, when it is looked for or used, is torch itself."""
    monkeypatch.setattr(walkforward, "resolve_device", lambda name: "cuda")
    if lie == "everybody's":
        monkeypatch.setattr(fitting, "resolve_device", lambda name: name)
    with caplog.at_level(logging.WARNING, logger="convnext_vbt"):
        predictions, cached = predict(bars, directory=tmp_path, jobs=None)
    assert_same(predictions, on_cpu)
    assert cached == [False] * 3
    lines = [record.getMessage() for record in caplog.records]
    assert [line[:23] for line in lines] == [f"split {n}: the GPU failed" for n in (1, 2, 3)]
    why = "torch sees no GPU" if lie == "the parent's" else "accelerator|CUDA"
    assert all(re.search(why, line) for line in lines)
    record = json.loads((tmp_path / "001.json").read_text())
    assert record["inputs"]["device"] == "cpu"
    monkeypatch.undo()
    assert predict(bars, directory=tmp_path)[1] == [True] * 3


def test_a_baseline_is_the_cpus_wherever_networks_are(bars, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(walkforward, "resolve_device", lambda name: "cuda")
    features, labels, splits = inputs(bars)
    walkforward.walk_forward(
        bars, features, labels, splits, model=replace(MODEL, kind="majority"), training=TRAINING,
        target=TARGET, jobs=1, directory=tmp_path,
    )  # fmt: skip
    assert json.loads((tmp_path / "001.json").read_text())["inputs"]["device"] == "cpu"
    assert not caplog.records


@no_card
def test_a_classifier_whose_card_fails_is_the_cpus(monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 1, 32)), np.resize(["a", "b"], 20)
    expected = ConvNeXtClassifier(epochs=1).fit(X, y).predict_proba(X)
    monkeypatch.setattr(classifier, "resolve_device", lambda name: "cuda")
    with pytest.warns(UserWarning, match="the GPU failed"):
        fitted = ConvNeXtClassifier(epochs=1, device="cuda").fit(X, y)
    with pytest.warns(UserWarning, match="the GPU failed"):
        np.testing.assert_array_equal(fitted.predict_proba(X), expected)


# What is kept


def test_a_card_and_its_precision_are_part_of_what_a_split_is_known_by(
    bars, tmp_path, monkeypatch, caplog
):
    predict(bars, directory=tmp_path)
    monkeypatch.setattr(splittask, "arithmetic", lambda device: "cuda, bfloat16")
    with caplog.at_level(logging.INFO, logger="convnext_vbt"):
        assert predict(bars, directory=tmp_path)[1] == [False] * 3
    assert "001.json is of another device" in caplog.text
    record = json.loads((tmp_path / "001.json").read_text())
    assert record["inputs"]["device"] == "cuda, bfloat16"


def test_a_split_of_another_version_of_the_training_code_is_trained_anew(
    bars, tmp_path, monkeypatch, caplog
):
    predict(bars, directory=tmp_path)
    monkeypatch.setattr(splittask, "_code_hash", lambda: "another")
    with caplog.at_level(logging.INFO, logger="convnext_vbt"):
        assert predict(bars, directory=tmp_path)[1] == [False] * 3
    assert "001.json is of another code" in caplog.text


# How a card computes


def precision():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    precisions = cudnn.conv.fp32_precision, matmul.fp32_precision
    return cudnn.deterministic, cudnn.benchmark, *precisions


@pytest.fixture
def tf32():
    """As a user may have it who asks for speed."""
    cudnn, matmul, before = torch.backends.cudnn, torch.backends.cuda.matmul, precision()
    cudnn.benchmark, matmul.fp32_precision = True, "tf32"
    yield (False, True, "tf32", "tf32")
    cudnn.deterministic, cudnn.benchmark, cudnn.conv.fp32_precision, matmul.fp32_precision = before


def test_float32_is_float32_on_a_card_and_settings_come_back(tf32):
    with exact("cpu"):
        assert precision() == tf32
    with contextlib.suppress(KeyError), exact("cuda"):
        assert precision() == (True, False, "ieee", "ieee")
        raise KeyError
    assert precision() == tf32


@no_card
@pytest.mark.parametrize("drop_path", [0.0, 0.5])
def test_a_cards_pass_draws_what_the_plain_one_does_and_goes_on_without_a_graph(drop_path):
    """All but the card is tried here; the graph fails, for there is none."""
    plain, net = network(drop_path)
    forward = CardPass(net, "cpu", torch.float32)
    with pytest.warns(UserWarning, match="a CUDA graph of the training step failed") as told:
        assert same_training(plain, net, forward)
    assert len(told) == 1
    (x,) = batches(net, 1)
    assert torch.equal(net.forward_valid(x), plain.forward_valid(x)), "it draws for itself again"
    assert torch.equal(net.eval().forward_valid(x), plain.eval().forward_valid(x))


def test_bfloat16_is_for_products_alone():
    plain, net = network()
    (x,) = batches(net, 1)
    expected, gradient = step(plain, plain.forward_valid, x)
    logits, rounded = step(net, CardPass(net, "cpu", torch.bfloat16), x)
    assert logits.dtype == rounded.dtype == torch.float32
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert 0 < (logits - expected).norm() < 0.02 * expected.norm()
    assert 0 < (rounded - gradient).norm() < 0.05 * gradient.norm()


def tensors_of_a_pass():
    """Those that a backward pass could start from: a capture meets their nodes on other streams."""
    gc.collect()  # what other tests have left
    tensors = [one for one in gc.get_objects() if issubclass(type(one), torch.Tensor)]
    return [one for one in tensors if one.grad_fn is not None]


def test_neither_pass_draws_or_asks_for_a_value(monkeypatch):
    """A capture forbids both; tensors without values could not serve the latter."""
    _, net = network()
    (x,) = batches(net, 1)
    run = devices._Forward(net, "cpu", torch.float32)
    kept = [path.draw(len(x)).to("meta") for path in run.paths]
    run.to("meta")
    monkeypatch.delattr(DropPath, "draw")
    logits = run(x.to("meta"), *kept)
    gradients = torch.autograd.grad(logits.sum(), list(run.parameters()))  # each of them is used
    assert {one.device.type for one in (logits, *gradients)} == {"meta"}


class Replay:
    """`make_graphed_callables` of a pretended card: the pass on inputs of its own."""

    def __init__(self, monkeypatch, *, factor=1.0, gradient=1.0):
        self.calls, self.factor, self.gradient = 0, factor, gradient
        monkeypatch.setattr(torch.cuda, "make_graphed_callables", self)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda: None)
        monkeypatch.setattr(torch.cuda, "stream", contextlib.nullcontext)

    def __call__(self, module, sample):
        run, self.alive = module.forward, tensors_of_a_pass()

        def replay(*inputs):
            self.calls += 1
            for mine, given in zip(sample, inputs, strict=True):
                mine.copy_(given)
            logits = run(*sample) * self.factor
            return logits.detach() + self.gradient * (logits - logits.detach())

        module.forward = replay
        return module


def test_a_graph_that_says_the_same_takes_over(monkeypatch):
    plain, net = network()
    replay = Replay(monkeypatch)
    forward = CardPass(net, "cpu", torch.float32)
    assert same_training(plain, net, forward)
    assert replay.calls == 1 + 3, "the check and the steps that are left"


@pytest.mark.parametrize(
    "fault",
    [
        {"factor": 1.1},
        {"gradient": 0.9},
        pytest.param({"factor": float("nan")}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_graph_that_says_something_else_is_not_taken(monkeypatch, fault):
    plain, net = network()
    replay = Replay(monkeypatch, **fault)
    forward = CardPass(net, "cpu", torch.float32)
    with pytest.warns(UserWarning, match=r"failed \(its gradients are not the plain ones\)"):
        assert same_training(plain, net, forward)
    assert replay.calls == 1


@pytest.mark.slow
def test_training_as_on_a_card_ends_near_the_plain_loss(monkeypatch):
    """Bfloat16, draws as inputs and a (pretended) graph, in the whole of a split's training."""
    features, labels = market()
    plain = fit(features, labels, training=LONGER)
    replay = Replay(monkeypatch)
    monkeypatch.setattr(
        training, "training_pass", lambda net, device: CardPass(net, device, torch.bfloat16)
    )
    rounded = fit(features, labels, training=LONGER)
    assert replay.calls > 20
    assert replay.alive == [], "a capture is the only pass there is"
    assert 0 < abs(rounded.fit.valid_loss - plain.fit.valid_loss) < 0.01
    assert rounded.fit.valid_loss < rounded.fit.prior_loss - 0.05


# On a card


def gpu(test):
    need = pytest.mark.skipif(not CARD, reason="torch sees no CUDA card on this machine")
    return pytest.mark.gpu(need(test))


@gpu
def test_a_gpu_predicts_what_the_cpu_does():
    features, labels = market()
    fitted = fit(features, labels, model=replace(MODEL, base="logistic"), training=LONGER)
    cpu = predict_range(fitted, features, 905, 1000)
    fitted.predictor.nets[0].cuda()
    on_gpu = replace(fitted, predictor=replace(fitted.predictor, device="cuda"))
    gpu = predict_range(on_gpu, features, 905, 1000)
    np.testing.assert_allclose(gpu, cpu, rtol=0, atol=1e-3)
    assert np.nanmax(abs(cpu - 1 / 3)) > 0.05, "there is something to be equal to"


@gpu
@pytest.mark.parametrize("base", ["none", "logistic"])
def test_training_on_a_gpu_ends_near_the_cpus_loss(base):
    features, labels = market()
    model = replace(MODEL, base=base)
    cpu, card, again = (
        fit(features, labels, model=model, training=LONGER, device=device)
        for device in ("cpu", "cuda", "cuda")
    )
    assert card.fit.valid_loss == pytest.approx(cpu.fit.valid_loss, abs=0.02)
    assert card.fit.valid_loss < card.fit.prior_loss
    assert again.fit.valid_loss == pytest.approx(card.fit.valid_loss, abs=1e-3)
    assert {p.dtype for p in card.predictor.nets[0].parameters()} == {torch.float32}


@gpu
def test_a_cuda_graph_trains_what_single_launches_train(monkeypatch):
    """No warning comes (warnings are errors here), so the graph was taken."""
    features, labels = market()
    with_graph = fit(features, labels, training=LONGER, device="cuda")
    monkeypatch.setattr(devices, "PLAIN_STEPS", 10**6)
    without = fit(features, labels, training=LONGER, device="cuda")
    one, other = (predict_range(fitted, features, 905, 1000) for fitted in (with_graph, without))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-2)
    assert with_graph.fit.valid_loss == pytest.approx(without.fit.valid_loss, abs=1e-3)


@gpu
def test_two_splits_at_once_on_one_card_give_what_one_by_one_gives(bars, tmp_path):
    together, _ = predict(bars, jobs=2, device="cuda", directory=tmp_path)
    alone, _ = predict(bars, jobs=1, device="cuda")
    np.testing.assert_allclose(together.proba, alone.proba, rtol=0, atol=1e-3)
    record = json.loads((tmp_path / "001.json").read_text())
    assert record["inputs"]["device"] == arithmetic("cuda")
