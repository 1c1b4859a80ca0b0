"""What holds of every kind of model, and that another one takes nothing but a line in `KINDS`."""

import tomllib
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from convnext_vbt.errors import ConfigError, InputError
from convnext_vbt.evidence.audit import alone
from convnext_vbt.learning.fitting import fit_split, predict_last, predict_range
from convnext_vbt.learning.folds import out_of_fold
from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.models import KINDS, boosting, kind_of
from convnext_vbt.learning.models.protocol import Learned, ModelKind
from convnext_vbt.learning.segments import pack
from convnext_vbt.learning.settings import ModelConfig
from convnext_vbt.learning.splitcache import read_split
from convnext_vbt.market.sources import load_bars
from convnext_vbt.runs.audited import audit_strategy
from convnext_vbt.runs.config import parse_config
from convnext_vbt.runs.strategy import make_features, prepare, walk
from tests.learning.test_training import MODEL, SPLIT, TRAINING, N, T, market
from tests.strategies import TINY

pytestmark = pytest.mark.usefixtures("one_thread", "few_rounds")


@pytest.fixture(scope="module")
def few_rounds():
    """Of boosting, which grows slowly: test_baselines.py looks at the rounds themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosting, "MOST_ROUNDS", 12)
        yield


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


SLOWLY_GROWN = pytest.mark.parametrize(
    "kind",
    [pytest.param(each, marks=pytest.mark.slow if each == "boosting" else ()) for each in KINDS],
    indirect=True,
)


@pytest.fixture(scope="module")
def fitted(kind):
    """A model of the kind; of two networks, if it is made of such."""
    return fit(kind)


def fit(kind, *, ensemble=2):
    features, labels = market()
    model = replace(MODEL, kind=kind, base="logistic")
    training = replace(TRAINING, ensemble=ensemble)
    return fit_split(features, labels, SPLIT, model=model, training=training, seed=5)


def held_out(fitted, features):
    """The rows that are to be predicted, as `predict_range` asks for them."""
    series = pack(features, fitted.mean, fitted.std, T)
    rows = [one.predictable(SPLIT.test, fitted.receptive_field) for one in series]
    return HeldOut(series=series, rows=rows, y=torch.empty(0))


@SLOWLY_GROWN
def test_probabilities_are_such(fitted):
    features, _ = market()
    held = held_out(fitted, features)
    log_proba = fitted.predictor.log_proba(held)
    assert log_proba.dtype == torch.float32
    assert log_proba.shape == (len(held.bars), 3)
    torch.testing.assert_close(log_proba.exp().sum(1), torch.ones(len(held.bars)))
    none = replace(held, rows=[(50, 50)] * N)
    assert fitted.predictor.log_proba(none).shape == (0, 3)
    last = predict_range(fitted, features, 0, T)[-1]
    assert np.isfinite(last).any()
    np.testing.assert_allclose(predict_last(fitted, features), last, rtol=0, atol=1e-5)


@SLOWLY_GROWN
def test_the_same_seed_gives_the_same_model(kind, fitted):
    features, _ = market()
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002 - the global state is what must not matter
    again = fit(kind)
    probabilities = [
        [predict_range(one, features, 0, T) for one in parts(model)] for model in (fitted, again)
    ]
    np.testing.assert_array_equal(*probabilities)


@SLOWLY_GROWN
def test_what_is_stored_is_restored_to_the_bit_or_nothing_is_stored(kind, fitted):
    features, _ = market()
    tensors = fitted.predictor.tensors()
    if KINDS[kind].restore is None:
        assert tensors == {}
        return
    assert all(value.device.type == "cpu" and value.is_contiguous() for value in tensors.values())
    copied = {name: value.clone() for name, value in tensors.items()}
    restored = KINDS[kind].restore(replace(MODEL, kind=kind, base="logistic"), 4, copied, "cpu")
    held = held_out(fitted, features)
    for one, again in zip(parts(fitted), restored, strict=True):
        assert torch.equal(again.log_proba(held), one.predictor.log_proba(held))


def parts(fitted):
    return [fitted, *fitted.members]


@SLOWLY_GROWN
def test_an_ensemble_of_one_has_no_members(kind):
    alone = fit(kind, ensemble=1)
    assert alone.members == ()
    if KINDS[kind].restore is not None:
        model = replace(MODEL, kind=kind, base="logistic")
        tensors = alone.predictor.tensors()
        assert len(KINDS[kind].restore(model, 4, tensors, "cpu")) == 1


def test_a_kind_can_be_told_apart_and_timed(kind):
    assert sum(other.name == KINDS[kind].name for other in KINDS.values()) == 1
    assert KINDS[kind].seconds(ModelConfig(kind=kind, prior="none"), TRAINING, 30) > 0


def test_another_kind_is_named_with_those_there_are():
    message = f"must be one of {', '.join(KINDS)}, got 'logstic'; did you mean"
    with pytest.raises(InputError, match=f'model.kind {message} "logistic"'):
        kind_of("logstic")
    with pytest.raises(InputError, match=r"got 'x'$"):
        kind_of("x")
    with pytest.raises(ConfigError, match=rf"^config: \[model\] model.kind {message}"):
        parse_config({"model": {"kind": "logstic"}})


# A kind of one's own


@dataclass(frozen=True)
class Odds:
    """Class frequencies of bars whose first feature is below or above its mean."""

    log_frequencies: Tensor

    def log_proba(self, held):
        return self.log_frequencies[(held.last_bars[:, 0] > 0).long()]

    def tensors(self):
        return {"log_frequencies": self.log_frequencies}


def fit_odds(task):
    def odds(rows):
        above = (task.train.last_bars[rows, 0] > 0).long()
        counts = torch.ones(2, 3)
        counts.index_put_((above, task.train.y[rows]), torch.ones(()), accumulate=True)
        return Odds((counts / counts.sum(1, keepdim=True)).log())

    said = out_of_fold(
        task.folds, len(task.train.y), lambda fold: odds(fold.fit).log_proba(task.train)[fold.held]
    )
    return Learned(predictor=odds(task.train.y >= 0), out_of_fold=said, epochs=1)


def restore_odds(model, num_features, tensors, device):
    return [Odds(**tensors)]


KEPT = ["kept", "not kept"]


@pytest.fixture(params=KEPT)
def toy(request, monkeypatch):
    restore = restore_odds if request.param == "kept" else None
    monkeypatch.setitem(KINDS, "odds", ModelKind(name="odds", fit=fit_odds, restore=restore))
    document = tomllib.loads(TINY)
    return parse_config(document | {"model": {"kind": "odds"}})


def walk_toy(config, prepared, folder):
    cached = []
    preds = walk(
        config, prepared, directory=folder, jobs=1, progress=lambda done: cached.append(done.cached)
    )
    return preds, cached


def test_a_kind_of_ones_own_walks_forward_and_resumes(toy, tmp_path):
    bars = load_bars(toy.data.source)
    prepared = prepare(toy, bars)
    first, cached = walk_toy(toy, prepared, tmp_path)
    assert cached == [False] * 3
    assert len(np.unique(first.proba[first.split == 1], axis=0)) == 2, "two odds a split"
    (tmp_path / "001.json").unlink()
    again, cached = walk_toy(toy, prepared, tmp_path)
    assert cached == [True, False, True]
    np.testing.assert_array_equal(again.proba, first.proba)
    other = parse_config(toy.model_dump() | {"model": {"kind": "majority"}})
    assert walk_toy(other, prepared, tmp_path)[1] == [False] * 3


@pytest.mark.parametrize(
    "toy", [KEPT[0], pytest.param(KEPT[1], marks=pytest.mark.slow)], indirect=True
)
def test_a_kind_of_ones_own_passes_the_audit(toy, monkeypatch):
    monkeypatch.setattr(alone, "NUM_CUTS", 25)  # of features, which are the package's own
    monkeypatch.setattr(alone, "NUM_UNUSUAL", 2)
    report = audit_strategy(toy, load_bars(toy.data.source), num_random_bars=2, jobs=1)
    assert report.passed, report.lines()
    assert report.counts()["retrained split"][0] == 3


def test_a_kind_of_ones_own_decides_live_where_it_is_kept(toy, tmp_path):
    bars = load_bars(toy.data.source)
    preds, _ = walk_toy(toy, prepare(toy, bars), tmp_path)
    if KINDS["odds"].restore is None:
        with pytest.raises(
            InputError, match="a model of kind odds is not kept on disk, as those of"
        ):
            read_split(tmp_path, 0, toy.model)
        return
    split = preds.splits[0]
    now = split.test[0] + 7
    kept = read_split(tmp_path, 0, toy.model)
    past = make_features(toy, bars.rows(0, now + 1))
    fitted = replace(kept.fitted, fit=preds.fits[0])  # the slopes are learned when all have said
    np.testing.assert_allclose(predict_last(fitted, past), preds.proba[now], atol=1e-6)
