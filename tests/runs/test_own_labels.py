"""Labels of the user's own: what they may be, when they are known, and what a run makes of them."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from convnext_vbt.errors import ConfigError, FewTradesWarning, UserCodeError
from convnext_vbt.evidence.audit import alone
from convnext_vbt.learning.labels import barrier_labels
from convnext_vbt.live.trained import open_trained, predict_now
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.market.sources import load_bars
from convnext_vbt.predictions import Target
from convnext_vbt.runs import run as pipeline
from convnext_vbt.runs.audited import audit_strategy
from convnext_vbt.runs.config import Config, LabelsSection, load_config, parse_config
from convnext_vbt.runs.evidence import trial_keys
from convnext_vbt.runs.own_labels import OwnLabels, refuse_foresight
from convnext_vbt.runs.strategy import check_rule, make_labels, prepare
from tests.evidence.markets import make_bars
from tests.strategies import write_tiny

SIGN = """
import numpy as np

def label(bars):
    close = bars.frame("close")
    change = close.shift(-6) / close - 1
    return np.sign(change).where(change.abs() > 0.002, 0).where(change.notna()), {end}
"""
SERIES = """
import numpy as np
import pandas as pd

def label(bars):
    values = np.full(bars.close.shape, np.nan)
    values[:-6] = 1.0
    ends = np.arange(len(bars))[:, None] + 6.0 + 0 * values
    {body}
    return values, ends
"""
ONES = """
import numpy as np

def label(bars):
    values = np.where(bars.present, 1.0, np.nan)
    values[-{last}:] = np.nan
    return values, {ends}
"""


def holed(rows):
    """Sixty bars of two symbols, the second of which lacks some."""
    bars = make_bars(bars=60, symbols=2)
    fields = {name: getattr(bars, name).copy() for name in FIELDS}
    for values in fields.values():
        values[rows, 1] = np.nan
    return replace(bars, **fields)


@pytest.fixture
def own(tmp_path):
    def written(text, horizon=6):
        (tmp_path / "mine.py").write_text(text)
        return OwnLabels(reference=f"{tmp_path / 'mine.py'}:label", horizon=horizon)

    return written


def test_labels_are_those_of_a_plain_formula(own):
    bars = make_bars(bars=300)
    labels = own(SIGN.format(end=6))(bars)
    close = bars.close[:, 0]
    for t in range(300):
        if t + 6 >= 300:
            assert labels.values[t, 0] == -1
            assert labels.end[t, 0] == 299
            continue
        change = close[t + 6] / close[t] - 1
        assert labels.values[t, 0] == (1 if abs(change) <= 0.002 else 2 if change > 0 else 0)
        assert labels.end[t, 0] == t + 6
    refuse_foresight(own(SIGN.format(end=6)), bars, labels)


def test_ends_given_one_by_one_are_kept_and_words_are_classes(own):
    bars = make_bars(bars=200, symbols=2)
    built_in = barrier_labels(bars, horizon=6, halflife=5.0)
    text = """
import numpy as np
from convnext_vbt.learning.labels import barrier_labels

def label(bars):
    made = barrier_labels(bars, horizon=6, halflife=5.0)
    words = np.array(["DOWN", "STAY", "UP", None], dtype=object)
    return words[made.values], made.end
"""
    labels = own(text)(bars)
    np.testing.assert_array_equal(labels.values, built_in.values)
    np.testing.assert_array_equal(labels.end, built_in.end)
    refuse_foresight(own(text), bars, labels)


def test_a_number_of_bars_is_counted_in_the_symbols_own(own):
    gapped = holed(slice(10, 20))
    text = ONES.format(last=3, ends=3)
    labels = own(text, horizon=3)(gapped)
    assert labels.end[8].tolist() == [11, 21]
    assert labels.end[40].tolist() == [43, 43]
    with pytest.raises(UserCodeError, match=r"known 3 bars later, beyond labels\.horizon = 2; set"):
        own(text, horizon=2)(gapped)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SIGN.format(end=5), "said to be known by .* but it changes with bars after"),
        (SIGN.format(end="bars.frame('close') * 0 + 2"), "must end between that bar and the last"),
        (SERIES.format(body="values[:] = bars.close > bars.close.mean()"), "known by bar nan"),
        (
            SERIES.format(body="values[:-6] = (bars.close > bars.close.mean())[:-6]"),
            "but it changes with bars after",
        ),
        (SERIES.format(body="ends[0, 0] = 7.5"), "known by bar 7.5; give the number of a bar"),
        (
            SERIES.format(body="ends[3, 0] = 30"),
            "27 bars later, beyond labels.horizon = 6; set lab",
        ),
        (SERIES.format(body="values[4] = 2"), r"a class is 2 \(1 such\); give -1"),
        (SERIES.format(body="values = values[:-1]"), r"the classes have the shape \(199, 1\)"),
        (SERIES.format(body="values = pd.Series(values[:, 0])"), "another index than the bars"),
        (
            SERIES.format(body="values = pd.DataFrame(values, bars.index, ['x'])"),
            r"have the columns \['x'\], not the symbols",
        ),
        (SERIES.format(body="values = np.full((200, 1), 'HOLD')"), "neither numbers nor DOWN"),
        (SERIES.format(body="return values"), "it gave ndarray; give two things"),
        (SERIES.format(body="return values, -1"), "known -1 bars later; give 0 or more"),
        (SERIES.format(body="return values, 7"), "known 7 bars later, where there is none"),
        (SERIES.format(body="1 / 0"), r"label raised ZeroDivisionError.*\(line 9\)"),
    ],
)
def test_a_mistake_is_one_line(own, text, message):
    bars = make_bars(bars=200)
    with pytest.raises(UserCodeError, match=message) as caught:
        refuse_foresight(made := own(text), bars, made(bars))
    assert "\n" not in str(caught.value)
    assert "mine.py:label" in str(caught.value)


def test_a_label_at_a_bar_that_is_not_there_is_refused(own):
    with pytest.raises(UserCodeError, match=r"has a label at .* but no bar there"):
        own(ONES.format(last=1, ends=1).replace("bars.present", "bars.close != 0"))(holed(30))


def test_a_function_that_cannot_do_with_fewer_bars_is_told_on_which(own):
    text = SIGN.format(end=6).replace("    close =", "    bars.index[150]\n    close =", 1)
    bars = make_bars(bars=200)
    made = own(text)
    with pytest.raises(UserCodeError, match=r"where the bars end with .*: .* raised IndexError"):
        refuse_foresight(made, bars, made(bars))


# In a strategy


def strategy(folder, text, *, horizon=6, stop="stop = 0.01"):
    path = folder / "mine.py"
    path.write_text(text)
    return write_tiny(
        folder,
        ("horizon = 6\nhalflife = 5.0", f'horizon = {horizon}\nfile = "{path}:label"'),
        ("min_edge = -1.0", f'min_edge = "none"\nfull_edge = "none"\n\n[trading]\n{stop}'),
        ('prior = "none"\ndepths = [1, 1]\ndims = [4, 4]', 'kind = "logistic"'),
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    config = load_config(strategy(folder, SIGN.format(end=6)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewTradesWarning)
        return pipeline.run(config, out=folder, jobs=1)


def test_a_run_learns_them_and_decides_by_them(finished):
    preds, bars = finished.predictions, finished.result.bars
    assert preds.target is None
    labels = make_labels(finished.config, bars)
    known = labels.values[slice(*preds.splits[0].train)]
    share = np.bincount(known[known >= 0], minlength=3) / (known >= 0).sum()
    np.testing.assert_allclose(preds.fits[0].prior, share)
    assert labels.end[preds.splits[0].train[1] - 1, 0] < preds.splits[0].test[0], "purged"
    trained, now = open_trained(finished.directory), preds.splits[1].test[0] + 3
    said = predict_now(trained, preds.splits[1], bars.rows(0, now + 1))
    np.testing.assert_allclose(said, preds.proba[now], atol=1e-6)
    assert finished.result.metrics["trades"].sum() > 0


def test_its_text_is_a_trial_and_a_hash_of_its_own(finished, tmp_path):
    config = finished.config
    assert config.sha256 != parse_config(config.model_dump() | {"labels": {"horizon": 6}}).sha256
    other = load_config(strategy(tmp_path, SIGN.format(end=6) + "# another\n"))
    assert trial_keys(other) != trial_keys(config)
    assert parse_config({"labels": {"horizon": 6}}).hashed()["labels"].keys().isdisjoint({"file"})


def test_the_audit_goes_through_them(tmp_path, monkeypatch):
    monkeypatch.setattr(alone, "NUM_CUTS", 25)
    monkeypatch.setattr(alone, "NUM_UNUSUAL", 2)
    for text, passed in ((SIGN.format(end=6), True), (SIGN.format(end=5), False)):
        config = load_config(strategy(tmp_path, text))
        bars = load_bars(config.data.source)
        report = audit_strategy(config, bars, num_random_bars=2, jobs=1)
        assert report.passed == passed, report.lines()


def test_a_plain_target_is_labels_without_a_file():
    target = Target(kind="fixed", horizon=7, up=0.5)
    labels = Config(labels=target).labels
    assert labels.file is None
    assert labels.target == target


def test_foresight_is_found_before_any_training(tmp_path):
    config = load_config(strategy(tmp_path, SIGN.format(end=5)))
    with pytest.raises(UserCodeError, match="but it changes with bars after"):
        prepare(config, load_bars(config.data.source))


def test_what_nobody_can_price_is_refused_with_what_to_set(tmp_path):
    config = Config(labels=LabelsSection(file="mine.py:label"))
    with pytest.raises(ConfigError, match=r"rule.exit, rule.min_edge, rule.full_edge, trading.stop "
                       "would need it; set rule.exit"):  # fmt: skip
        check_rule(config)
    config = load_config(strategy(tmp_path, SIGN.format(end=6), stop=""))
    with pytest.raises(ConfigError, match=r"not known, and trading\.stop would need it"):
        check_rule(config)
