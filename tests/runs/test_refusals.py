"""What a strategy file and its bars can tell is refused before training and before any folder."""

import pandas as pd
import pytest

from convnext_vbt.errors import ConvnextVbtError
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.runs import audited
from convnext_vbt.runs import run as pipeline
from convnext_vbt.runs.audited import audit_strategy
from convnext_vbt.runs.config import load_config
from convnext_vbt.runs.plan import plan
from tests.strategies import write_tiny

RULES = """
import convnext_vbt as cv

def number(preds, bars):
    return 3

def fails(preds, bars):
    raise RuntimeError("boom")

def too_few(preds):
    return None

def other_bars(preds, bars):
    return cv.Signals.from_frames(entries=(preds.prob_up > 0.4).iloc[1:])

def good(preds, bars):
    up = preds.prob_up >= preds.confidence_quantile(0.9)
    assert len(preds.members) == 2
    assert preds.conformal_sets(0.5).shape == (*up.shape, 3)
    return cv.Signals.from_frames(entries=up, exits=~up)
"""

REFUSED = [
    (['rule.threshold="q90"'], r"\[rule\] threshold 'q90' is not understood"),
    (["rule.threshold=1.5"], r"\[rule\] threshold must lie in \(0, 1\), got 1.5"),
    (['rule.threshold="90%"'], r"\[rule\] threshold '90%' is not understood"),
    (['sweep.threshold=["q0.5", "q90"]'], r"\[sweep\] threshold 'q90'"),
    (['rule.full="q99"'], r"\[rule\] full 'q99'"),
    (['selection.initial="q0.77"'], r"\[selection\] initial = 'q0.77' is not among the rules"),
    (["rule.abstain=1.5"], r"abstain must lie in \(0, 1\), got 1.5"),
    (["rule.floor=1.5"], r"floor must lie in \[0, 1\]"),
    (["rule.file=nope.py:rule"], "nope.py: no such file"),
    (["rule.file=rules.py:nope"], "rules.py has no function 'nope'; it has number"),
    (["rule.file=rules.py:number"], "must return convnext_vbt.Signals, got int"),
    (["rule.file=rules.py:fails"], r"rules.py:fails raised RuntimeError: boom \(line 8\)"),
    (["rule.file=rules.py:too_few"], "raised TypeError: too_few.. takes 1 positional argument"),
    (["rule.file=rules.py:other_bars"], "signals cover 1,199 bars .* the bars are 1,200"),
    (
        ["rule.file=rules.py:good", "training.ensemble=2", 'selection.initial="q0.5"'],
        r"initial = 'q0.5' is not among the rules; there are \['own'\]",
    ),
    (["trading.stop=3"], r"\[trading\] stop must lie in \(0, 1\), got 3"),
    (["trading.stop=0"], r"\[trading\] stop must lie in \(0, 1\), got 0"),
    (["trading.take_profit=0"], r"\[trading\] take_profit must be positive"),
    (["trading.max_holding=0"], r"\[trading\] max_holding must be at least 1 bar"),
    (["trading.take_profit_ladder=[[0.5, 0.6], [1.0, 0.7]]"], r"shares sum to 1.3"),
    (
        ["trading.take_profit_ladder=[[0.5, 0.6]]", 'labels.kind="fixed"'],
        "no meaning without a take-profit",
    ),
    (["splits.train=50"], r"split 1: no labelled row is left in the train range of 50 bars"),
    (
        ['features.names=["return_168"]', "splits.train=300", "model.depths=[1]", "model.dims=[4]"],
        r"split 1: no bar of the train range .* and there are \d+; lengthen splits.train",
    ),
    (["splits.embargo=150", "splits.folds=3"], "split 1: no labelled bar is left to learn from"),
    (
        ["data.source=gap.csv", 'splits.train="20D"', 'splits.test="5D"'],
        "split 10: no labelled row",
    ),
    (["data.source=nope.csv"], "nope.csv does not exist"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refused")
    write_tiny(folder)
    (folder / "rules.py").write_text(RULES)
    bars = simulated_bars(seed=5, bars=4000)
    frame = pd.concat({name: bars.frame(name).iloc[:, 0] for name in FIELDS}, axis=1)
    later = frame.iloc[2400:]
    pd.concat([frame.iloc[:1500], later]).rename_axis("timestamp").to_csv(folder / "gap.csv")
    return folder


FIELDS = ("open", "high", "low", "close", "volume")


@pytest.mark.parametrize(("overrides", "message"), REFUSED, ids=lambda v: str(v)[:40])
def test_it_is_refused_before_training_and_before_any_folder(
    home, monkeypatch, tmp_path, overrides, message
):
    monkeypatch.chdir(home)
    monkeypatch.setattr(pipeline, "walk", None)  # which training would call
    monkeypatch.setattr(audited, "audit", None)

    def loaded():
        return load_config(home / "tiny.toml", overrides)

    for attempt in (
        lambda: plan(loaded(), out=tmp_path / "out"),
        lambda: pipeline.run(loaded(), out=tmp_path / "out"),
    ):
        with pytest.raises(ConvnextVbtError, match=message) as caught:
            attempt()
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [one for one in REFUSED if "rule" in one[0][0] or "trading" in one[0][0]],
    ids=lambda v: str(v)[:40],
)
def test_an_audit_refuses_the_same_of_rule_and_account(home, monkeypatch, overrides, message):
    monkeypatch.chdir(home)
    monkeypatch.setattr(audited, "audit", None)
    bars = simulated_bars(seed=5, bars=1200)
    with pytest.raises(ConvnextVbtError, match=message):
        audit_strategy(load_config(home / "tiny.toml", overrides), bars)


def test_what_is_right_is_planned(home, monkeypatch, tmp_path):
    """A rule of one's own is tried on predictions that have all that a walk-forward's have."""
    monkeypatch.chdir(home)
    overrides = ["rule.file=rules.py:good", "training.ensemble=2", "model.kind=convnext"]
    assert plan(load_config(home / "tiny.toml", overrides), out=tmp_path)["splits"] == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"threshold": ["q90"]}, r"\[sweep\] threshold 'q90'"),
        ({"threshold": [0.02]}, r"hysteresis must lie in \[0, threshold\), got 0.05"),
        ({"min_edge": [-3]}, "min_edge must be at least 0"),
        ({"risk": [2.0]}, r"risk must lie in \(0, 1\]"),
        ({"take_profit_multiple": [0.0]}, "take_profit_multiple must be positive"),
    ],
)
def test_a_refused_sweep_leaves_no_folder(tiny, tmp_path, monkeypatch, lists, message):
    monkeypatch.setattr(pipeline, "make_directory", None)
    before = sorted(tiny.directory.parent.iterdir())
    with pytest.raises(ConvnextVbtError, match=message):
        pipeline.resweep(tiny.directory, lists)
    assert sorted(tiny.directory.parent.iterdir()) == before
