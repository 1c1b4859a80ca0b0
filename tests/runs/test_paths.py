"""`splits.kind = "cpcv"` in a whole run: trained, traded, shown, and no part of the verdict."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.runs import run as pipeline
from convnext_vbt.runs.bars import read_bars
from convnext_vbt.runs.config import load_config
from convnext_vbt.runs.evidence import trial_keys
from convnext_vbt.runs.paths import trade_paths
from convnext_vbt.runs.plan import plan
from convnext_vbt.runs.strategy import make_sweep, predicted_paths, prepare
from tests.strategies import write_tiny

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")

NETWORK = 'prior = "none"\ndepths = [1, 1]\ndims = [4, 4]\n'
LOGISTIC = (
    (NETWORK, 'kind = "logistic"\n'),
    ("folds = 2", 'folds = 2\nkind = "cpcv"\ngroups = 4\nembargo = 2'),
    ("[training]\nsteps = 2\nsegments = 2\nsegment_bars = 64\neval_every = 1\n", ""),
)
COST_FREE = ("trading.fees=0.0", "trading.slippage=0.0")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def config(home):
    return load_config(write_tiny(home, *LOGISTIC), COST_FREE)


@pytest.fixture(scope="module")
def seen():
    return []


@pytest.fixture(scope="module")
def done(home, config, seen):
    return pipeline.run(config, out=home / "reports", jobs=1, progress=seen.append)


def test_a_run_trains_them_beside_the_others_and_trades_each_path(done, seen):
    assert [event.fit.number for event in seen] == list(range(3 + 6))
    paths = done.metrics["paths"]
    assert (paths["groups"], paths["held_out"], paths["combinations"]) == (4, 2, 6)
    assert paths["rule"] == "threshold q0.50"
    assert len(paths["paths"]) == 3
    sharpes = pd.Series([path["sharpe"] for path in paths["paths"]])
    assert sharpes.nunique() == 3
    assert paths["median_sharpe"] == pytest.approx(sharpes.median())
    assert paths["share_below_zero"] == (sharpes < 0).mean()
    assert all(path["trades"] > 30 for path in paths["paths"])
    assert done.predictions.splits[-1].number == 2  # the headline's predictions know none of them


def test_a_path_earns_what_a_sweep_of_its_predictions_earns(done, config):
    bars = read_bars(config)
    preds = list(predicted_paths(config, prepare(config, bars), jobs=1))[1]
    cells = make_sweep(config, bars, preds).metrics.loc["q0.50", 0.01]
    path = done.metrics["paths"]["paths"][1]
    assert path["trades"] == cells["trades"].item()
    assert path["total_return"] == pytest.approx(cells["total_return"].item())
    assert path["sharpe"] == pytest.approx(cells["sharpe"].item())


def test_nothing_but_the_paths_differs_from_the_walk_forward_alone(done, config, home):
    plain = config.model_copy(
        update={"splits": type(config.splits)(train=500, test=240, folds=2, embargo=2)}
    )
    assert trial_keys(plain) == trial_keys(config)
    seen = []
    other = pipeline.run(plain, out=home / "reports", jobs=1, progress=seen.append)
    assert other.directory != done.directory
    assert [event.cached for event in seen] == [True] * 3  # taken over
    assert other.metrics["paths"] is None
    assert other.metrics | {"paths": 0} == done.metrics | {"paths": 0}
    np.testing.assert_array_equal(other.predictions.proba, done.predictions.proba)
    assert 'id="paths"' not in other.report.read_text()


def test_the_page_says_what_it_is_and_what_it_is_not(done):
    page = done.report.read_text()
    section = re.search(r'<section id="paths".*?</section>', page, re.DOTALL).group()
    text = " ".join(re.sub(r"<[^>]+>", " ", section).split())
    assert "each of the 6 ways to hold out 2 of them" in text
    assert "That makes 3 paths" in text
    assert "learned from bars that came after those they predict" in text
    assert "neither what could have been earned nor how likely luck is" in text
    assert "The verdict does not read them." in text
    median = f"{done.metrics['paths']['median_sharpe']:.2f}".replace("-", "−")
    assert f"Median Sharpe ratio {median}" in text


def test_what_is_finished_is_not_trained_again(done, config, home):
    files = {p: p.stat().st_mtime_ns for p in (done.directory / "splits").iterdir()}
    again = pipeline.run(config, out=home / "reports", jobs=1)
    swept = pipeline.resweep(done.directory, {"risk": [0.02]})
    assert {p: p.stat().st_mtime_ns for p in (done.directory / "splits").iterdir()} == files
    assert again.metrics["paths"] == swept.metrics["paths"] == done.metrics["paths"]
    record = json.loads((swept.directory / "splits" / "008.json").read_text())
    assert record["split"]["tested"] == record["inputs"]["split"]["tested"]
    lost = done.directory / "splits" / "005.json"
    lost.unlink()
    found = trade_paths(done.directory, config, read_bars(config), jobs=1)
    assert lost.exists()
    assert found.to_dict() == done.metrics["paths"]


def test_a_dry_run_counts_them_in(done, config, home, tmp_path):
    fresh, finished = plan(config, out=tmp_path, jobs=1), plan(config, out=home / "reports", jobs=1)
    assert (fresh["splits"], fresh["combinations"], fresh["finished"]) == (9, 6, 0)
    assert fresh["minutes"] == pytest.approx(9 / 60)  # a logistic regression takes a second
    assert (finished["finished"], finished["minutes"]) == (9, 0)


def test_symbols_of_a_panel_share_each_paths_account(config, home):
    sources = ["simulated:seed=5,bars=1200", "simulated:seed=6,bars=1200,symbol=B/USDT"]
    panel = config.model_copy(
        update={"data": type(config.data)(source=tuple(sources)), "name": "panel"}
    )
    bars = read_bars(panel)
    found = trade_paths(home / "reports" / "panel", panel, bars, jobs=1)
    preds = next(predicted_paths(panel, prepare(panel, bars), jobs=1))
    cells = make_sweep(panel, bars, preds).metrics.loc["q0.50", 0.01, "total"]
    assert found.paths[0].sharpe == pytest.approx(cells["sharpe"].item())
    assert found.paths[0].trades == cells["trades"].item()


def test_a_rule_of_ones_own_is_traded_on_each_path(config, home):
    path = home / "mine.py"
    path.write_text(
        "import convnext_vbt as cv\n"
        "def rule(preds, bars):\n"
        "    return cv.confidence_signals(preds, bars, threshold=[0.3, 0.36])\n"
    )
    rule = type(config.rule)(file=f"{path}:rule")
    own = config.model_copy(update={"rule": rule})
    bars = read_bars(own)
    found = trade_paths(home / "reports" / "own", own, bars, jobs=1)
    assert found.rule == "threshold 0.36"  # as a selection begins: the middle one
    assert len(found.paths) == 3
