"""The audit of whole strategies: the real stages, and a user's own code in them."""

import json
import sys
import tomllib
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from convnext_vbt.cli.commands import app
from convnext_vbt.errors import UserCodeError
from convnext_vbt.evidence.audit import alone
from convnext_vbt.learning import calibration, outcomes
from convnext_vbt.learning.models import boosting
from convnext_vbt.market.sources import load_bars
from convnext_vbt.runs.audited import audit_stages, audit_strategy
from convnext_vbt.runs.config import parse_config
from convnext_vbt.runs.run import walk_forward
from convnext_vbt.runs.strategy import make_features, run_stages
from convnext_vbt.user_code import files_opened, load_function
from tests.strategies import TINY, write_tiny

FEATURES = """
import numpy as np
import convnext_vbt as cv

def honest(bars):
    mean = bars.frame("close").rolling(5, min_periods=1).mean()
    return features(mean, bars)

def centred(bars):
    mean = bars.frame("close").rolling(5, center=True, min_periods=1).mean()
    return features(mean, bars)

def features(mean, bars):
    from convnext_vbt.learning.features import Features
    values = (mean.to_numpy() / bars.close - 1.0)[:, :, None].astype(np.float32)
    return Features(names=("distance",), values=values, warmup=0)
"""
RULES = """
import convnext_vbt as cv

def honest(preds, bars):
    up = preds.prob_up > preds.prob_down
    return cv.Signals.from_frames(entries=up, exits=~up, short_entries=~up, short_exits=up)

def hindsight(preds, bars):
    rises = bars.frame("close").diff().shift(-1) > 0
    return cv.Signals.from_frames(entries=rises, exits=~rises)
"""


pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")


@pytest.fixture(scope="module", autouse=True)
def few_cuts():
    """Of features alone, which tests/evidence/audit/test_alone.py looks at in hundreds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alone, "NUM_CUTS", 25)
        patch.setattr(alone, "NUM_UNUSUAL", 2)
        yield


def tiny(**sections):
    document = tomllib.loads(TINY)
    for name, keys in sections.items():
        document[name] = document.get(name, {}) | keys
    return parse_config(document)


def examine(config):
    return audit_strategy(config, load_bars(config.data.source), num_random_bars=2, jobs=1)


def test_the_real_stages_pass_and_every_one_was_compared():
    report = examine(tiny(splits={"folds": 3}, training={"steps": 4, "eval_every": 2}))
    assert report.passed, report.lines()
    assert report.stages[7:11] == ("standardisation", "weights", "calibration", "retrained split")
    assert all(made > 0 for made, _ in report.counts().values())
    *early, last = (late.prediction_move for late in report.late_starts)
    assert max(early) <= 1e-5
    assert last <= 2e-3  # slopes are learned from fewer outcomes where history starts so late


@pytest.mark.slow
def test_a_baseline_that_shows_no_weights_passes_too(monkeypatch):
    monkeypatch.setattr(boosting, "MOST_ROUNDS", 12)
    report = examine(tiny(model={"kind": "boosting"}))
    assert report.passed, report.lines()
    assert report.counts()["retrained split"][0] == 3


def test_what_is_audited_is_what_a_run_does():
    config = tiny()
    bars = load_bars(config.data.source)
    stages = audit_stages(config)
    features, labels = stages.features(bars), stages.labels(bars)
    splits = stages.splits(labels)
    fits = [stages.fit(bars, features, labels, split) for split in splits]
    preds = stages.forecast(bars, features, splits, fits)
    once = run_stages(config, jobs=1).predict(bars, features, labels, splits)
    again = walk_forward(bars, config, jobs=1)
    for other in (once, again):
        assert preds.proba.tobytes() == other.proba.tobytes()
        assert preds.quantiles.tobytes() == other.quantiles.tobytes()
        assert preds.fits == other.fits


def everything(said, bar):
    return (
        np.concatenate([one.log_proba for one in said]),
        np.concatenate([one.y for one in said]),
    )


@pytest.mark.parametrize(
    "leak",
    ["outcomes known later", pytest.param("outcomes of the bars ahead", marks=pytest.mark.slow)],
)
def test_a_slope_that_knows_what_came_is_caught(leak, monkeypatch):
    if leak == "outcomes known later":
        monkeypatch.setattr(calibration, "known_before", everything)
    else:
        honest = outcomes.calibrated_fit
        monkeypatch.setattr(outcomes, "_calibrate", partial(with_its_own, honest))
    report = examine(tiny(model={"kind": "logistic"}))
    assert not report.passed
    assert report.first.stage == "predictions"


def with_its_own(honest, labels, every, m, calibrated):
    """Each split's slope from its own test range too, whose labels end by its last bar."""
    said = [outcomes.said_in_test(one.log_proba[m], labels, one.split) for one in every]
    return [
        honest(
            one.fits[m], one.out_of_fold[m], said[: k + 1],
            replace(one.split, test=(one.split.test[1], one.split.test[1])),
        )
        for k, one in enumerate(every)
    ]  # fmt: skip


def test_a_feature_function_that_fails_on_mirrored_bars_says_what_to_do(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        FEATURES
        + """
def priced(bars):
    assert bars.close.min() > 1, "too cheap"
    return honest(bars)

def longer(bars):
    from dataclasses import replace
    made = honest(bars)
    return replace(made, warmup=3 * int(bars.close.min() < 1))
"""
    )
    bars = load_bars(ONE_SPLIT["source"])
    for name, message in (
        ("priced", r"fails on mirrored bars, every price 1 / price, .*too cheap.*mirror = false"),
        ("longer", r"gives other names or another warm-up on mirrored bars.*mirror = false"),
    ):
        section = {"file": f"{path}:{name}", "names": None, "extend": False}
        with pytest.raises(UserCodeError, match=message):
            make_features(tiny(features=section), bars)
        assert make_features(tiny(features=section | {"mirror": False}), bars).mirrored is None


def test_the_features_of_the_mirror_are_those_of_its_bars():
    bars = load_bars(ONE_SPLIT["source"])
    features = make_features(tiny(), bars)
    other = make_features(tiny(features={"mirror": False}), bars.mirrored())
    np.testing.assert_array_equal(features.mirrored, other.values)
    np.testing.assert_allclose(features.mirrored[..., 0], -features.values[..., 0], atol=2e-2)
    np.testing.assert_array_equal(features.mirrored[..., 2], features.values[..., 2])


ONE_SPLIT = {"source": "simulated:seed=5,bars=790"}


@pytest.mark.slow
def test_a_users_own_feature_function_is_audited(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FEATURES)
    for name, passes in (("honest", True), ("centred", False)):
        section = {"file": f"{path}:{name}", "names": None, "extend": False}
        report = examine(tiny(data=ONE_SPLIT, features=section))
        assert report.passed == passes
    assert report.first.stage == "features"
    assert "distance of SIM/USDT is " in report.first.difference.text


@pytest.mark.slow
def test_a_users_own_rule_is_audited(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(RULES)
    for name, passes in (("honest", True), ("hindsight", False)):
        report = examine(tiny(data=ONE_SPLIT, rule={"file": f"{path}:{name}"}))
        assert report.passed == passes
    assert report.first.stage == "signals"


RULE_REMEMBERS = """
import sys
import convnext_vbt as cv

def remembers(predictions, bars):
    seen = sys.__dict__.setdefault("what_the_bars_became", bars.close[-1:] > bars.close)
    rises = seen if seen.shape == bars.close.shape else True
    up = predictions.prob_up > predictions.prob_down
    return cv.Signals.from_frames(entries=up & rises, exits=~up)
"""


@pytest.mark.slow
def test_what_a_rule_remembers_in_a_module_is_not_deterministic(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "what_the_bars_became", None, raising=False)
    monkeypatch.delattr(sys, "what_the_bars_became")
    path = tmp_path / "mine.py"
    path.write_text(RULE_REMEMBERS)
    report = examine(tiny(data=ONE_SPLIT, rule={"file": f"{path}:remembers"}))
    assert not report.passed
    assert report.lines()[-1].startswith("NOT DETERMINISTIC: asked twice, ")


FILES = """
import json
from pathlib import Path
import numpy as np
from convnext_vbt.learning.features import Features

def reads(bars):
    weight = json.loads(Path(WHERE).read_text())
    return Features(names=("x",), values=(weight * bars.high / bars.low)[:, :, None], warmup=0)

def remembers(bars):
    seen = Path(WHERE)
    lost = np.load(seen) if seen.exists() else bars.close[-1:] > bars.close
    with open(seen, "wb") as file:
        np.save(file, lost)
    values = (bars.high / bars.low)[:, :, None]
    return Features(names=("x",), values=values, warmup=0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("function", ["reads", "remembers"])
def test_files_that_a_users_own_code_opens_are_named(tmp_path, function):
    file, where = tmp_path / "own.py", tmp_path / "weight.json"
    file.write_text(FILES.replace("WHERE", repr(str(where))))
    if function == "reads":
        where.write_text("1.5")
    features = {"file": f"{file}:{function}"}
    report = examine(tiny(features=features, model={"kind": "majority"}))
    assert report.opened == (str(where),)
    assert any(str(where) in line and "nothing proves" in line for line in report.lines())
    if function == "reads":
        assert report.passed, report.lines()
    else:
        assert report.written == (str(where),)
        assert not report.passed
        assert report.lines()[-1].startswith(f"NOT PROVEN: the strategy's own code writes {where}")


READERS = {
    "a.parquet": "pd.read_parquet(where)",
    "a.feather": "pd.read_feather(where)",
    "a.csv": "pd.read_csv(where)",
    "a.pickle": "pd.read_pickle(where)",
    "a.npy": "np.load(where)",
    "a.npz": "np.load(where)['x']",
}


@pytest.mark.parametrize("name", READERS)
def test_whatever_a_file_is_read_with_is_noticed(tmp_path, name):
    where, file = tmp_path / name, tmp_path / "own.py"
    table = pd.DataFrame({"x": [1.0, 2.0]})
    if name == "a.npy":
        np.save(where, table.x)
    elif name == "a.npz":
        np.savez(where, x=table.x)
    else:
        getattr(table, f"to_{where.suffix[1:]}")(where)
    file.write_text(
        "import numpy as np\nimport pandas as pd\n"
        f"def look():\n    where = {str(where)!r}\n    return {READERS[name]}\n"
    )
    with files_opened() as files:
        load_function(f"{file}:look")()
    assert list(files.read) == [str(where)]
    assert not files.written


def test_a_database_can_remember(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        f"import sqlite3\ndef look():\n    sqlite3.connect({str(tmp_path / 'seen.db')!r}).close()\n"
    )
    with files_opened() as files:
        load_function(f"{file}:look")()
    assert list(files.written) == [str(tmp_path / "seen.db")]


REMEMBERS = """
import os
import numpy as np
from convnext_vbt.learning.features import Features

def mean_of_all(bars):
    mean = float(os.environ.setdefault("MEAN_OF_ALL_BARS", str(np.log(bars.close).mean())))
    return Features(names=("x",), values=(np.log(bars.close) - mean)[:, :, None], warmup=0)
"""


@pytest.mark.slow
def test_what_is_remembered_in_the_environment_is_not_deterministic(tmp_path, monkeypatch):
    monkeypatch.setenv("MEAN_OF_ALL_BARS", "0")
    monkeypatch.delenv("MEAN_OF_ALL_BARS")
    file = tmp_path / "own.py"
    file.write_text(REMEMBERS)
    features = {"file": f"{file}:mean_of_all"}
    report = examine(tiny(features=features, model={"kind": "majority"}))
    assert not report.passed
    assert report.lines()[-1].startswith("NOT DETERMINISTIC: asked twice, x of SIM/USDT is")


def test_compiled_code_threads_and_programs(tmp_path):
    file, where = tmp_path / "own.py", tmp_path / "table.csv"
    where.write_text("x\n1\n")
    file.write_text(
        "import subprocess\nimport sys\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "import numba\n\n@numba.njit(cache=True)\ndef twice(x):\n    return 2 * x\n\n"
        "def look():\n    twice(1.0)\n    with ThreadPoolExecutor(1) as pool:\n"
        f"        pool.submit(open, {str(where)!r}).result().close()\n"
        "    return subprocess.run([sys.executable, '-c', ''], check=True)\n"
    )
    with files_opened() as files:
        load_function(f"{file}:look")()
    assert list(files.read) == [str(where), f"the program {sys.executable}"]
    assert not files.written


def test_files_of_python_and_of_packages_are_no_business_of_the_audit(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        "from pathlib import Path\nimport numpy\nimport zoneinfo\n"
        "def look():\n"
        "    open(numpy.__file__).close()\n"
        "    return zoneinfo.ZoneInfo('Asia/Tokyo')\n"
    )
    with files_opened() as files:
        load_function(f"{file}:look")()
        tmp_path.joinpath("ours.txt").write_text("not the user's own code")
    assert not files.read
    assert not files.written


@pytest.mark.slow
def test_the_command_prints_every_stage_and_exits_with_5_at_a_leak(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(RULES)
    one_split = f"data.source={ONE_SPLIT['source']}"
    command = ["audit", str(write_tiny(tmp_path)), "--jobs", "1", "--set", one_split]
    clean = CliRunner().invoke(app, command)
    leak = CliRunner().invoke(app, [*command, "--json", "--set", "rule.file=mine.py:hindsight"])
    assert clean.exit_code == 0
    assert clean.stdout.splitlines()[0].startswith("asked twice ")
    assert clean.stdout.splitlines()[-1].startswith("no leak: ")
    assert leak.exit_code == 5
    facts = json.loads(leak.stdout)
    assert not facts["passed"]
    assert facts["first"]["stage"] == "signals"
