"""A model of the user's own: what it reads, what it may say, and how it is kept."""

from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest
import torch
from sklearn.naive_bayes import GaussianNB

from convnext_vbt.errors import InputError, UserCodeError
from convnext_vbt.learning.fitting import fit_split, log_proba_range
from convnext_vbt.learning.folds import fold_rows
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.models import KINDS, kind_of
from convnext_vbt.learning.models.own import imported_versions, keeping, modules, rows
from convnext_vbt.learning.models.own.calls import make_own
from convnext_vbt.learning.models.own.rows import Cases, Rows
from convnext_vbt.learning.models.own.trial import try_own
from convnext_vbt.learning.segments import Series, pack, scale
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig
from tests.learning.test_training import SPLIT, T, market

pytestmark = pytest.mark.usefixtures("one_thread")

BAYES = "from sklearn.naive_bayes import GaussianNB\n\ndef make():\n    return GaussianNB()\n"
TREES = """
from sklearn.ensemble import HistGradientBoostingClassifier

def make(seed):
    return HistGradientBoostingClassifier(max_iter=3, random_state=seed)
"""
MODULE = """
import torch

class Net(torch.nn.Module):
    def __init__(self, num_features):
        super().__init__()
        self.linear = torch.nn.Linear(num_features, 3)

    def forward(self, x):
        return self.linear(x if x.ndim == 2 else x[:, :, -1])

def make(seed, num_features):
    torch.manual_seed(seed)
    return Net(num_features)
"""
TABLE = """
import numpy as np

class Table:
    def fit(self, X, y):
        return self
    def predict_proba(self, X):
        {body}

def make():
    return Table()
"""


@pytest.fixture
def own(tmp_path):
    """The settings of a model whose file has this text."""

    def written(text, **more):
        path = tmp_path / "mine.py"
        path.write_text(text)
        return ModelConfig(file=f"{path}:make", **more)

    return written


def fitted(model, features=None, *, training=None, seed=0):
    made, labels = market()
    return fit_split(
        features or made, labels, SPLIT,
        model=model, training=training or TrainingConfig(), seed=seed,
    )  # fmt: skip


def training_rows(features, labels, reach=1):
    series = pack(features, *scale(features, SPLIT.train), SPLIT.train[1])
    return HeldOut.of(series, labels.values, SPLIT.train, reach)


def mirrored(features):
    """The features with a mirrored view: their negatives, but for the last, which stays."""
    values = features.values.copy()
    values[:, :, :3] *= -1
    return replace(features, mirrored=values)


def test_a_file_is_a_kind_of_its_own():
    model = ModelConfig(file="mine.py:make")
    assert kind_of(model.kind).name == "own model"
    assert model.kind not in KINDS
    for wrong in ({"kind": "logistic", "file": "mine.py:make"}, {"kind": "own"}):
        with pytest.raises(InputError, match="give the one or the other"):
            ModelConfig(**wrong)


@pytest.mark.parametrize("with_mirror", [False, True])
def test_it_is_scikit_learns_own_fit_on_the_rows_and_their_mirror_image(own, with_mirror):
    features, labels = market()
    features = mirrored(features) if with_mirror else features
    found = fitted(own(BAYES), features)
    train = training_rows(features, labels)

    def learned(rows):
        x, y = train.last_bars.numpy()[rows], train.y.numpy()[rows]
        if with_mirror:
            other = train.mirrored.last_bars.numpy()[rows]
            x, y = np.concatenate([x, other]), np.concatenate([y, 2 - y])
        return GaussianNB().fit(x, y)

    all_rows = train.y.numpy() >= 0
    series = pack(features, found.mean, found.std, T)
    said = log_proba_range(found, features, *SPLIT.test)
    for n, one in enumerate(series):
        start, stop = one.rows(SPLIT.test)
        expected = learned(all_rows).predict_proba(one.values[:, start:stop].T.numpy())
        np.testing.assert_allclose(
            np.exp(said[one.bars[start:stop] - SPLIT.test[0], n]), expected, atol=1e-5
        )
    for fold in fold_rows(train, labels, SPLIT):
        held = fold.held.numpy()
        expected = learned(fold.fit.numpy()).predict_proba(train.last_bars.numpy()[held])
        np.testing.assert_allclose(np.exp(found.out_of_fold.log_proba[held]), expected, atol=1e-5)


@pytest.mark.parametrize("with_mirror", [False, True])
def test_windows_are_the_bars_up_to_each_row(with_mirror, monkeypatch):
    monkeypatch.setattr(rows, "BLOCK", 7)
    features, labels = market()
    model = ModelConfig(file="mine.py:make", input="window", window=5)
    train = training_rows(mirrored(features) if with_mirror else features, labels, reach=5)
    expected = np.stack([
        one.values[:, row - 4 : row + 1].numpy()
        for one, (start, stop) in zip(train.series, train.rows, strict=True)
        for row in range(start, stop)
    ])  # fmt: skip
    read = Rows(train, model)
    assert len(read) == len(train.y) == len(expected)
    assert all(part.base is not None for part in read.parts), "views"
    np.testing.assert_array_equal(np.concatenate(list(read.blocks())), expected)
    cases = Cases(train, model)
    places = np.random.default_rng(1).permutation(len(cases.y))[:50]
    whole = np.concatenate([expected, expected * np.array([-1, -1, -1, 1])[:, None]])
    scaled = np.concatenate([view.take(np.arange(len(view))) for view in cases.views])
    assert len(scaled) == len(train.y) * (2 if with_mirror else 1)
    if with_mirror:  # the scale of the last column is its own
        np.testing.assert_allclose(scaled[:, :3], whole[:, :3], atol=1e-6)
    np.testing.assert_array_equal(cases.take(places), scaled[places])
    np.testing.assert_array_equal(np.concatenate(list(cases.blocks(places))), scaled[places])


@pytest.mark.parametrize("model", [{}, {"input": "window", "window": 5}])
def test_a_live_decisions_only_case_is_a_copy_that_the_model_may_change(model):
    """Of as many bars as are needed and no more: the view is an array of its own then."""
    values = torch.arange(20.0).reshape(4, 5)
    series = Series(bars=np.arange(5), values=values)
    held = HeldOut(series=[series], rows=[(4, 5)], y=torch.empty(0))
    (block,) = Rows(held, ModelConfig(file="mine.py:make", **model)).blocks()
    assert block.flags.writeable
    block[:] = 0
    assert torch.equal(values, torch.arange(20.0).reshape(4, 5))


def test_a_fit_that_is_too_large_is_refused_before_it_is_copied(own, monkeypatch):
    monkeypatch.setattr(rows, "MOST_BYTES", 1000)
    with pytest.raises(InputError, match=r"model\.file: 1,\d\d\d cases for one fit .* shorter"):
        fitted(own(BAYES, input="window", window=8))


def test_a_class_that_a_training_range_lacks_is_next_to_impossible(own):
    features, labels = market()
    for lacking, text in ((1, BAYES), (1, MODULE)):
        values = np.where(labels.values == lacking, 0, labels.values)
        found = fit_split(
            features, replace(labels, values=values), SPLIT,
            model=own(text), training=TrainingConfig(lr=0.3), seed=0,
        )  # fmt: skip
        proba = np.exp(found.out_of_fold.log_proba)
        assert np.isfinite(found.out_of_fold.log_proba).all()
        assert (proba[:, lacking] < 0.02).all()
        np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)


def test_one_class_alone_is_not_fitted_at_all(own):
    features, labels = market()
    values = np.where(labels.values >= 0, 2, -1)
    text = BAYES.replace("return GaussianNB()", "return GaussianNB(priors=[9])")  # it cannot fit
    found = fit_split(
        features, replace(labels, values=values), SPLIT,
        model=own(text), training=TrainingConfig(), seed=0,
    )  # fmt: skip
    assert (np.exp(found.out_of_fold.log_proba[:, 2]) > 0.999).all()
    assert list(found.predictor.tensors()) == ["only"]


@pytest.mark.parametrize("text", [BAYES, TREES, MODULE], ids=["skops", "trees", "safetensors"])
def test_what_is_kept_says_the_same_to_the_bit(own, text):
    model = own(text)
    features, _ = market()
    found = fitted(model)
    tensors = found.predictor.tensors()
    assert all(isinstance(value, torch.Tensor) for value in tensors.values())
    (again,) = kind_of(model.kind).restore(model, 4, tensors, "cpu")
    said = [
        log_proba_range(replace(found, predictor=one), features, *SPLIT.test)
        for one in (found.predictor, again)
    ]
    np.testing.assert_array_equal(*said)


def test_types_that_nobody_knows_are_not_read_back(own, tmp_path, monkeypatch):
    model = own(BAYES)
    (tmp_path / "stranger.py").write_text("class Odd:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    text = BAYES.replace("return GaussianNB()", "it = GaussianNB()\n    it.odd = stranger.Odd()\n"
                         "    return it").replace("from", "import stranger\nfrom", 1)  # fmt: skip
    trial = try_own(own(text), TrainingConfig(), 4, seed=0)
    assert trial.lost.endswith("types that are not known to be safe to read: stranger.Odd")
    found = fitted(own(text))
    assert found.predictor.tensors() == {}
    assert kind_of("own").restore(model, 4, {}, "cpu") == [None]


def test_without_skops_a_module_is_kept_and_an_estimator_is_not(own, monkeypatch):
    def missing():
        raise InputError("skops is not installed; pip install 'convnext-vbt[own]'")

    monkeypatch.setattr(keeping, "_skops", missing)
    assert "skops is not installed" in try_own(own(BAYES), TrainingConfig(), 4, seed=0).lost
    assert try_own(own(MODULE), TrainingConfig(), 4, seed=0).lost == ""


def test_damaged_bytes_are_fitted_again(own, caplog):
    model = own(BAYES)
    tensors = {"skops": torch.zeros(10, dtype=torch.uint8)}
    assert kind_of("own").restore(model, 4, tensors, "cpu") == [None]
    assert "what was kept cannot be read" in caplog.text


# A torch module


def test_a_module_stops_where_the_loss_out_of_fold_is_least(own, monkeypatch):
    monkeypatch.setattr(modules, "MOST_PASSES", 12)
    found = fitted(own(MODULE), training=TrainingConfig(lr=0.03, patience=2))
    longer = fitted(own(MODULE), training=TrainingConfig(lr=0.03, patience=20))
    assert 1 <= longer.fit.epochs <= 12
    assert found.fit.learned
    assert longer.fit.valid_loss <= found.fit.valid_loss + 1e-9
    monkeypatch.setattr(modules, "MOST_PASSES", 1)
    assert fitted(own(MODULE), training=TrainingConfig(lr=1e-4)).fit.epochs == 1


def test_a_fold_stops_some_passes_after_its_best_one(own):
    features, labels = market()
    train, model = training_rows(features, labels), own(MODULE)
    (fold, _) = fold_rows(train, labels, SPLIT)
    made = make_own(model.file, 0, 4, "here")
    still = TrainingConfig(lr=1e-12, weight_decay=0.0, patience=3)
    curve, said = modules.curve_of(
        made, Cases(train, model), fold.fit.numpy(), fold.held.numpy(), still, seed=0
    )
    assert len(curve) == len(said) == 4 + int(curve.argmin())
    assert said.shape[1] == int(fold.held.sum())
    loss = torch.nn.functional.cross_entropy(said[0], train.y[fold.held], ignore_index=-1)
    assert curve[0] == pytest.approx(float(loss))


def test_a_module_drops_nothing_out_when_it_is_asked(own):
    text = MODULE.replace("self.linear(x", "torch.nn.functional.dropout(self.linear(x").replace(
        "x[:, :, -1])", "x[:, :, -1]), 0.5, self.training)"
    )
    found = fitted(own(text))
    held = training_rows(*market())
    assert torch.equal(found.predictor.log_proba(held), found.predictor.log_proba(held))


def test_a_module_is_trained_as_plain_torch_would(own, monkeypatch):
    """All rows in one batch, one pass: AdamW's first step down the cross-entropy."""
    monkeypatch.setattr(modules, "BATCH", 10**6)
    monkeypatch.setattr(modules, "MOST_PASSES", 1)
    training = TrainingConfig(lr=0.01, weight_decay=0.1)
    found = fitted(own(MODULE), training=training, seed=4)
    features, labels = market()
    train = training_rows(features, labels)
    known = train.y >= 0
    torch.manual_seed(4)
    plain = torch.nn.Linear(4, 3)
    step = torch.optim.AdamW(plain.parameters(), lr=0.01, weight_decay=0.1)
    torch.nn.functional.cross_entropy(plain(train.last_bars[known]), train.y[known]).backward()
    step.step()
    state = found.predictor.tensors()
    torch.testing.assert_close(state["state.linear.weight"], plain.weight.detach())
    torch.testing.assert_close(state["state.linear.bias"], plain.bias.detach())


@pytest.mark.parametrize("text", [BAYES, MODULE], ids=["estimator", "module"])
def test_the_global_random_state_neither_matters_nor_changes(own, text):
    text = text.replace("    torch.manual_seed(seed)\n", "")
    found = []
    for state in (1, 2):
        np.random.seed(state)  # noqa: NPY002
        torch.manual_seed(state)
        before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
        found.append(fitted(own(text)).out_of_fold.log_proba)
        np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), before[1])
    np.testing.assert_array_equal(*found)


# What is told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def make():\n    return 3\n", "it returned int, which has no fit and no predict_proba"),
        (BAYES.replace("GaussianNB()", "GaussianNB"), r"the class GaussianNB; return one of it"),
        ("def make():\n    return 1 / 0\n", r"make raised ZeroDivisionError: .*\(line 2\)"),
        ("def other():\n    pass\n", "has no function 'make'"),
        (TABLE.format(body="raise ValueError('no')"), r"predict_proba raised ValueError: no \(li"),
        (TABLE.format(body="return np.ones((len(X), 2)) / 2"), r"the shape \(\d+, 2\)"),
        (TABLE.format(body="return np.ones((len(X), 3))"), "sum is not 1, such as 3 "),
        (TABLE.format(body="return np.full((len(X), 3), np.nan)"), "NaN or infinity at"),
        (TABLE.format(body="return np.tile([-.5, .5, 1.], (len(X), 1))"), "negative .*, -0.5"),
        (TABLE.format(body="return 'no'"), "gave str, which is no table"),
        (
            TABLE.format(body="self.classes_ = ['a']; return np.ones((len(X), 1))"),
            r"classes_ is \['a'\]; it must hold some of 0",
        ),
        (
            TABLE.format(body="z = X - X.mean(0); p = 1 / (1 + np.exp(-z[:, :1])); "
                              "return np.hstack([p, 1 - p, 0 * p])"),
            "depend on the rows that are asked about beside it",
        ),
        (MODULE.replace("_features, 3)", "_features, 2)"), r"forward gave \(\d+, 2\) for"),
        (MODULE.replace("_features, 3)", "_features + 1, 3)"), "forward raised RuntimeError"),
        (MODULE.replace("return self", "return float('nan') * self"), "NaN or infinite logits"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_before_any_training(own, text, message):
    with pytest.raises(UserCodeError, match=message) as caught:
        try_own(own(text), TrainingConfig(), 4, seed=0)
    assert "\n" not in str(caught.value)
    assert "mine.py" in str(caught.value)


def test_a_mistake_in_a_split_names_file_function_split_and_line(own):
    text = TABLE.format(body="return np.ones((len(X), 3)) / 3").replace(
        "        return self", "        raise KeyError('rows')"
    )
    with pytest.raises(UserCodeError, match=r"mine.py:make, split 4: fit raised KeyError.*line 6"):
        fitted(own(text))


@pytest.mark.parametrize("window", [None, 6])
def test_a_model_that_repeats_is_told_from_one_that_does_not(own, window):
    shape = {} if window is None else {"input": "window", "window": window}
    assert try_own(own(MODULE, **shape), TrainingConfig(), 4, seed=0).repeats
    text = MODULE.replace("torch.manual_seed(seed)", "torch.seed()")
    assert not try_own(own(text, **shape), TrainingConfig(), 4, seed=0).repeats


def test_the_key_has_the_file_and_the_packages_that_it_imports(own):
    reads = kind_of("own").reads
    model = own(BAYES)
    first = reads(model)
    assert reads(own(BAYES)) == first != reads(own(BAYES + "\n# another\n"))
    versions = imported_versions("import os, torch.nn\nfrom sklearn.svm import SVC\nimport nope\n")
    assert versions == {"scikit-learn": version("scikit-learn"), "torch": version("torch")}
    with pytest.raises(UserCodeError, match="no such file"):
        reads(ModelConfig(file="nothing.py:make"))


@pytest.mark.parametrize("given", [{"input": "window"}, {"window": 32}])
def test_what_an_own_model_reads_is_refused_without_one(given):
    with pytest.raises(InputError, match=r"are of a model of your own; give model\.file too"):
        ModelConfig(**given)
    ModelConfig(file="mine.py:make", **given)
