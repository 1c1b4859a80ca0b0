"""A model of the user's own through the whole of a run: splits, cache, live decisions, audit."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from convnext_vbt.cli.commands import app
from convnext_vbt.errors import ConfigError, DataError, FewTradesWarning, UserCodeError
from convnext_vbt.evidence.audit import alone
from convnext_vbt.live.trained import difference_from_backtest, open_trained, predict_now
from convnext_vbt.market.sources import load_bars
from convnext_vbt.runs import run as pipeline
from convnext_vbt.runs.audited import audit_strategy
from convnext_vbt.runs.config import load_config, load_written, parse_config
from convnext_vbt.runs.evidence import trial_keys
from convnext_vbt.runs.strategy import prepare, walk
from tests.strategies import write_tiny

BAYES = "from sklearn.naive_bayes import GaussianNB\n\ndef make():\n    return GaussianNB()\n"
UNKEPT = BAYES.replace(
    "return GaussianNB()", "it = GaussianNB()\n    it.odd = (i for i in ())\n    return it"
)
NETWORK = 'prior = "none"\ndepths = [1, 1]\ndims = [4, 4]\n'


def own_strategy(folder, text, *lines):
    path = folder / "mine.py"
    path.write_text(text)
    model = "\n".join([f'file = "{path}:make"', *lines, ""])
    return write_tiny(folder, (NETWORK, model))


def run_own(folder, text, *lines):
    config = load_config(own_strategy(folder, text, *lines))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewTradesWarning)
        return pipeline.run(config, out=folder, jobs=1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run_own(tmp_path_factory.mktemp("own"), BAYES)


def test_a_run_is_judged_beside_the_baselines_and_reads_back(finished):
    baselines = finished.metrics["baselines"]
    assert {"own", "majority", "logistic"} <= {row["model"] for row in baselines["models"]}
    assert load_written(finished.directory / "config.toml") == finished.config
    assert finished.config.model.kind == "own"
    assert "Own model" in finished.report.read_text()


def test_a_decision_is_the_backtests_from_what_was_kept(finished, caplog):
    trained = open_trained(finished.directory)
    bars = finished.result.bars
    for split in finished.predictions.splits:
        now = split.test[0] + 5
        said = predict_now(trained, split, bars.rows(0, now + 1))
        np.testing.assert_allclose(said, finished.predictions.proba[now], atol=1e-6)
    assert difference_from_backtest(trained, bars) < 1e-6
    assert "fitted again" not in caplog.text


def test_what_was_not_kept_is_fitted_again_with_one_line(tmp_path, caplog):
    done = run_own(tmp_path, UNKEPT)
    assert "it cannot be kept on disk" in caplog.text
    caplog.clear()
    trained, split = open_trained(done.directory), done.predictions.splits[-1]
    now = split.test[0] + 5
    for _ in range(2):
        said = predict_now(trained, split, done.result.bars.rows(0, now + 1))
        np.testing.assert_allclose(said, done.predictions.proba[now], atol=1e-6)
    assert [line for line in caplog.messages if "fitted again" in line] == [
        f"{done.config.model.file}: split 3 was not kept and is fitted again"
    ]


def test_another_text_of_the_file_trains_again_and_refuses_decisions(tmp_path):
    config = load_config(own_strategy(tmp_path, BAYES))
    prepared = prepare(config, load_bars(config.data.source))
    cached = []

    def walked():
        cached.clear()
        return walk(
            config, prepared, directory=tmp_path / "splits", jobs=1,
            progress=lambda done: cached.append(done.cached),
        )  # fmt: skip

    first = walked()
    assert cached == [False] * 3
    np.testing.assert_array_equal(walked().proba, first.proba)
    assert cached == [True] * 3
    keys = trial_keys(config)
    own_strategy(tmp_path, BAYES + "\n# the same but for its text\n")
    np.testing.assert_array_equal(walked().proba, first.proba)
    assert cached == [False] * 3
    assert trial_keys(config) != keys


def test_a_run_of_another_text_decides_nothing(finished):
    path = finished.directory.parent / "mine.py"
    path.write_text(BAYES + "\n# another\n")
    try:
        with pytest.raises(DataError, match=r"mine.py:make \(\[model\] file\) is not what"):
            open_trained(finished.directory)
    finally:
        path.write_text(BAYES)


def test_two_models_are_refused():
    section = {"kind": "logistic", "file": "mine.py:make"}
    with pytest.raises(ConfigError, match=r'kind = "logistic" and file = "mine.py:make" are two'):
        parse_config({"model": section})
    with pytest.raises(ConfigError, match='kind = "convnext" and file'):  # though it is the default
        parse_config({"model": section | {"kind": "convnext"}})
    assert parse_config({"model": section | {"kind": "own"}}).model.kind == "own"


def test_a_strategy_without_an_own_model_keeps_its_hash():
    """As of the version before there were such: a finished run stays open to `signal`."""
    assert parse_config({"name": "x"}).id8 == "a9d6fe40"
    own = parse_config({"name": "x", "model": {"file": "mine.py:make"}})
    other = replace(own.model, input="window")
    assert len({own.sha256, own.model_copy(update={"model": other}).sha256}) == 2


FAILS_LATER = """
class Late:
    def fit(self, X, y):
        if len(X) > 300:
            raise ValueError("too many")
    def predict_proba(self, X):
        return [[0.2, 0.5, 0.3]] * len(X)

def make():
    return Late()
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FAILS_LATER.replace("> 300", "> 0"), "tried on 240 made-up rows: fit raised ValueError"),
        (FAILS_LATER, "split 1: fit raised ValueError: too many (line 5); 3 of 3 splits failed"),
    ],
)
def test_a_users_mistake_ends_the_command_with_2_and_one_line(tmp_path, text, message):
    strategy = own_strategy(tmp_path, text)
    planned = CliRunner().invoke(app, ["run", str(strategy), "--out", str(tmp_path), "--dry-run"])
    assert (planned.exit_code == 2) == ("> 300" not in text)
    assert planned.exit_code or "no telling how many min of training" in planned.output
    done = CliRunner().invoke(app, ["run", str(strategy), "--out", str(tmp_path), "--jobs", "1"])
    assert done.exit_code == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert message in line
    assert "mine.py:make" in line


TRANSDUCTIVE = """
import numpy as np
from sklearn.naive_bayes import GaussianNB

class Scaled(GaussianNB):
    def predict_proba(self, X):
        if len(X) > 100:
            X = X - X.mean(axis=0)
        return super().predict_proba(X)

def make():
    return Scaled()
"""


@pytest.fixture
def few_cuts(monkeypatch):
    """Of features, which are the package's own."""
    monkeypatch.setattr(alone, "NUM_CUTS", 25)
    monkeypatch.setattr(alone, "NUM_UNUSUAL", 2)


@pytest.mark.usefixtures("few_cuts")
@pytest.mark.parametrize("text", [BAYES, TRANSDUCTIVE], ids=["honest", "transductive"])
def test_the_audit_finds_a_model_that_reads_the_rows_beside(tmp_path, text):
    config = load_config(own_strategy(tmp_path, text))
    report = audit_strategy(config, load_bars(config.data.source), num_random_bars=2, jobs=1)
    assert report.passed == (text == BAYES), report.lines()
    assert "weights" not in report.stages, "none were compared"
    assert report.passed or "predictions" in "\n".join(report.lines())


@pytest.mark.usefixtures("few_cuts")
def test_the_audit_names_what_a_model_opens(tmp_path):
    (tmp_path / "table.txt").write_text("1")
    opens = f"open(r'{tmp_path / 'table.txt'}').close()\n    return GaussianNB()"
    config = load_config(own_strategy(tmp_path, BAYES.replace("return GaussianNB()", opens)))
    report = audit_strategy(config, load_bars(config.data.source), num_random_bars=1, jobs=1)
    assert str(tmp_path / "table.txt") in report.opened


BY_LUCK = """
import secrets

class Luck:
    def fit(self, X, y):
        self.luck = secrets.randbelow(10**6) / 1e7
    def predict_proba(self, X):
        return [[0.2 + self.luck, 0.5, 0.3 - self.luck]] * len(X)

def make():
    return Luck()
"""


def test_a_model_that_does_not_repeat_is_warned_of_and_not_audited(tmp_path, caplog):
    config = load_config(own_strategy(tmp_path, BY_LUCK))
    bars = load_bars(config.data.source)
    prepare(config, bars)
    assert "fitted twice with the same seed it gives two models" in caplog.text
    with pytest.raises(UserCodeError, match="the audit compares models to the last bit"):
        audit_strategy(config, bars, num_random_bars=1, jobs=1)
