import json
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import convnext_vbt as cv
from convnext_vbt.cli.terminal import print_bars
from convnext_vbt.errors import (
    ConfigError,
    ConvnextVbtError,
    DamagedError,
    DataError,
    FewTradesWarning,
    InputError,
    UserCodeError,
)
from convnext_vbt.evidence.ledger import DataSet, count_trials, rule_entries
from convnext_vbt.evidence.nulls import NULLS
from convnext_vbt.learning import walkforward
from convnext_vbt.runs import run as pipeline
from convnext_vbt.runs.bars import read_bars
from convnext_vbt.runs.check import check_bars
from convnext_vbt.runs.config import load_config
from convnext_vbt.runs.evidence import trial_keys
from convnext_vbt.runs.plan import plan
from convnext_vbt.runs.strategy import make_sweep
from tests.learning.models.test_convnext import write_prior
from tests.strategies import TINY, write_tiny

FILES = {
    "baselines",
    "config.toml",
    "headline.parquet",
    "headline_orders.parquet",
    "manifest.json",
    "metrics.json",
    "orders.parquet",
    "predictions.parquet",
    "report.html",
    "run.log",
    "splits",
    "sweep.parquet",
}
HEADLINE = ("headline.parquet", "headline_orders.parquet")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


ON_A_PRIOR = [
    ('prior = "none"\ndepths = [1, 1]\ndims = [4, 4]\n', ""),
    ("[training]\nsteps = 2\nsegments = 2\nsegment_bars = 64\neval_every = 1\n", ""),
]


@pytest.fixture(scope="module")
def prior(home):
    return write_prior(home / "p.safetensors", features=("candle_body", "hour_sin"))


@pytest.fixture(scope="module")
def on_prior(home, prior):
    """A run whose network was trained beforehand; its prior's file is the tests' to break."""
    (home / "prior").mkdir()
    config = load_config(write_tiny(home / "prior", *ON_A_PRIOR), [f"model.prior={prior}"])
    return pipeline.run(config, out=home / "prior", jobs=1)


@pytest.fixture(scope="module")
def done(home, tiny):
    write_tiny(home)
    shutil.copytree(tiny.directory.parent, home / "reports")
    return replace(tiny, directory=home / "reports" / tiny.directory.name)


def test_a_run_is_opened_without_its_strategy_file(home, done, monkeypatch):
    monkeypatch.chdir(home)
    opened = cv.open_run(done.directory)
    assert opened.metrics == done.metrics
    assert opened.report.is_file()
    np.testing.assert_array_equal(opened.predictions.proba, done.predictions.proba)
    assert opened.bars.index.equals(done.predictions.index)
    pd.testing.assert_frame_equal(opened.sweep.metrics, done.result.metrics)
    assert opened.sweep is opened.sweep
    for name in ("sharpe", "dsr", "trades", "total_return", "num_trials"):
        assert getattr(opened.headline, name) == done.metrics["headline"][name], name
    with pytest.raises(DataError, match="nowhere"):
        cv.open_run(home / "nowhere")


def test_a_run_writes_its_directory_and_nothing_else(home, done):
    assert {path.name for path in done.directory.iterdir()} == FILES | {".lock"}
    names = sorted(path.name for path in (home / "reports").iterdir())
    assert names == sorted([done.directory.name, "ledger.jsonl", ".ledger.jsonl.lock"])
    assert (done.directory / ".lock").stat().st_size == 0
    assert done.directory.name == f"tiny-{done.config.id8}"
    manifest = json.loads((done.directory / "manifest.json").read_text())
    assert manifest["finished"] is True
    assert manifest["cells"] == 4
    assert len(manifest["splits"]) == 3
    assert len(manifest["data"]["fingerprint"]) == 64


def test_the_files_agree_with_the_result(done):
    sweep = pd.read_parquet(done.directory / "sweep.parquet")
    np.testing.assert_array_equal(sweep["total_return"], done.result.metrics["total_return"])
    own = done.result.simulation(threshold="q0.50", risk=0.01)
    orders = pd.read_parquet(done.directory / "orders.parquet")
    assert len(orders) == len(own.orders) > 0
    metrics = json.loads((done.directory / "metrics.json").read_text())
    headline, fills = (pd.read_parquet(done.directory / name) for name in HEADLINE)
    total = headline["equity"].iloc[-1] / done.result.config.init_cash - 1
    assert metrics["headline"]["total_return"] == pytest.approx(total)
    assert list(headline) == ["timestamp", "equity", "gross", "net", "buy_and_hold"]
    assert len(headline) == len(done.result.window_bars)
    assert len(fills) >= metrics["headline"]["trades"]
    assert metrics["when"]["units"]["alpha"] == "fraction a year"
    assert metrics["strategy_cell"]["cell"] == {"threshold": "q0.50", "risk": 0.01}
    final = own.equity[-1, 0] / own.init_cash - 1
    assert metrics["strategy_cell"]["symbols"]["SIM/USDT"]["total_return"] == pytest.approx(final)
    assert len(metrics["splits"]) == 3
    loaded = cv.Predictions.load(done.directory / "predictions.parquet")
    np.testing.assert_array_equal(loaded.proba, done.predictions.proba)


def test_the_script_form_predicts_the_same(home, done):
    bars = cv.load_bars("simulated:seed=5,bars=1200")
    preds = cv.walk_forward(bars, home / "tiny.toml", jobs=1)
    np.testing.assert_array_equal(preds.proba, done.predictions.proba)


@pytest.mark.slow
def test_running_again_trains_nothing_and_gives_the_same_page(done):
    page = done.report.read_bytes()
    headline = [(done.directory / name).read_bytes() for name in HEADLINE]
    seen = []
    again = pipeline.run(done.config, out=done.directory.parent, jobs=1, progress=seen.append)
    assert [event.cached for event in seen] == [True] * 3
    assert again.report.read_bytes() == page
    assert [(done.directory / name).read_bytes() for name in HEADLINE] == headline


@pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")
@pytest.mark.parametrize(
    "change",
    [
        "rule.min_edge=-0.5",
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in ("rule.hysteresis=0.01", 'sweep.threshold=["q0.30", "q0.60"]')
        ),
    ],
)
def test_another_rule_makes_a_run_of_its_own_without_training(home, done, change):
    ledger, data = done.directory.parent / "ledger.jsonl", DataSet.of(done.result.bars)
    before = count_trials(ledger, data).num_rules
    config = load_config(write_tiny(home), [change])
    seen = []
    other = pipeline.run(config, out=done.directory.parent, jobs=1, progress=seen.append)
    assert other.directory != done.directory
    assert [event.cached for event in seen] == [True] * 3
    np.testing.assert_array_equal(other.predictions.proba, done.predictions.proba)
    own = len(rule_entries(other.result, "")) - change.startswith("sweep")  # q0.50 is counted
    assert count_trials(ledger, data).num_rules == before + own > before


@pytest.mark.slow
def test_resweep_leaves_the_old_run_as_it_is(done):
    before = {path.name: path.read_bytes() for path in done.directory.glob("*.*")}
    other = pipeline.resweep(done.directory, {"threshold": ["q0.10", "q0.60"], "risk": [0.02]})
    assert other.directory != done.directory
    # the strategy's own threshold and risk are always among the cells
    assert len(other.result.metrics) == 3 * 2
    assert {path.name: path.read_bytes() for path in done.directory.glob("*.*")} == before


def test_resweep_refuses_what_no_sweep_can_be(done):
    with pytest.raises(ConfigError, match=r"\[sweep\] risk"):
        pipeline.resweep(done.directory, {"risk": ["high"]})


@pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")
@pytest.mark.slow
@pytest.mark.parametrize("now", ["gone", "broken", "another"])
def test_a_report_needs_the_priors_file_no_more(on_prior, prior, now):
    (note,) = on_prior.metrics["notes"]
    assert "family (regimes) was in the simulation" in note
    if now == "gone":
        prior.unlink(missing_ok=True)
    elif now == "broken":
        prior.write_bytes(b"no safetensors at all")
    else:
        write_prior(prior, features=("rsi_14",), seed=1)
    again = pipeline.resweep(on_prior.directory)
    assert again.directory == on_prior.directory, "nothing is swept that was not"
    assert again.metrics == on_prior.metrics


def test_nulls_that_train_again_refuse_another_prior(home, on_prior, prior):
    directory = copy_of(on_prior, home / "full")
    path = directory / "config.toml"
    path.write_text(path.read_text().replace('evidence = "fast"', 'evidence = "full"'))
    write_prior(prior, seed=1)
    with pytest.raises(DataError, match=r"not the network that .* was made with; run the strategy"):
        pipeline.resweep(directory)
    prior.write_bytes(b"no safetensors at all")
    with pytest.raises(ConvnextVbtError, match=r"is no file of a prior"):
        pipeline.resweep(directory)


def copy_of(done, folder):
    """The finished run in a folder of its own."""
    folder.mkdir()
    shutil.copytree(done.directory, folder / done.directory.name)
    return folder / done.directory.name


def prices(home, bars=1200):
    frame = cv.load_bars("simulated:seed=5,bars=1200").rows(0, bars)
    columns = {
        name: getattr(frame, name)[:, 0] for name in ("open", "high", "low", "close", "volume")
    }
    return pd.DataFrame(columns, index=pd.Index(frame.index, name="timestamp"))


@pytest.mark.slow
def test_later_bars_join_a_run_and_other_bars_do_not(home):
    path = home / "prices.csv"
    config = load_config(write_tiny(home), [f"data.source={path}"])
    table = prices(home)
    table.iloc[:-1].to_csv(path)
    first = pipeline.run(config, out=home / "grows", jobs=1)
    table.to_csv(path)
    seen = []
    longer = pipeline.run(config, out=home / "grows", jobs=1, progress=seen.append)
    assert longer.directory == first.directory
    assert [event.cached for event in seen] == [True] * 3
    assert len(longer.result.bars) == len(first.result.bars) + 1

    kept = (first.directory / "predictions.parquet").read_bytes()
    table.iloc[7, 4] += 1.0
    table.to_csv(path)
    with pytest.raises(DataError, match="was made from other data"):
        pipeline.run(config, out=home / "grows", jobs=1)
    with pytest.raises(DataError, match="was made from other data"):
        pipeline.resweep(first.directory)
    assert (first.directory / "predictions.parquet").read_bytes() == kept


def test_a_damaged_predictions_file_or_manifest_is_named_and_written_anew(home, done):
    directory = copy_of(done, home / "damaged")
    path = directory / "predictions.parquet"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"predictions\.parquet"):
        pipeline.resweep(directory)
    (directory / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        pipeline.resweep(directory)
    seen = []
    pipeline.run(done.config, out=home / "damaged", jobs=1, progress=seen.append)
    assert [event.cached for event in seen] == [True] * 3
    assert "manifest.json is damaged" in (directory / "run.log").read_text()
    assert path.read_bytes() == (done.directory / path.name).read_bytes()
    assert pipeline.open_run(directory)[0] == done.config


def test_an_older_format_is_refused(home, done):
    path = copy_of(done, home / "old") / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 0'))
    with pytest.raises(DataError, match="format 0, this version writes 1"):
        pipeline.run(done.config, out=home / "old", jobs=1)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ([("train = 500", "train = 1100")], ValueError, "splits.train"),
        ([("train = 500", "train = 40")], ValueError, "splits"),
        ([("bars=1200", "bars=1200,edg=1")], DataError, "edge"),
        ([("simulated:seed=5,bars=1200", "none.csv")], DataError, "none.csv"),
        ([('"candle_body"', '"candle_bdy"')], ValueError, "candle_bdy"),
        ([("[features]", '[features]\nfile = "none.py:f"')], UserCodeError, "no such file"),
        ([("[data]", '[data]\nstart = "soon"')], ConfigError, "not a date"),
        ([("[data]", '[data]\nstart = "2031-01-01"')], DataError, "no bars between"),
    ],
)
def test_what_cannot_be_run_is_one_clear_line(tmp_path, changes, error, message):
    with pytest.raises(error, match=message) as caught:
        pipeline.run(load_config(write_tiny(tmp_path, *changes)), out=tmp_path / "reports", jobs=1)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("reports/*/predictions.parquet"))


def test_dates_cut_the_bars(home):
    config = load_config(
        write_tiny(home), ['data.start="2022-01-03"', 'data.end="2022-01-05 12:00"']
    )
    bars = read_bars(config)
    assert str(bars.index[0]) == "2022-01-03 00:00:00+00:00"
    assert len(bars) == 60


OWN_CODE = """
import numpy as np
import pandas as pd
import convnext_vbt as cv
from convnext_vbt.learning.features import Features

def features(bars):
    body = (bars.close / bars.open - 1).astype(np.float32)
    return Features(names=("body",), values=body[:, :, None], warmup=0)

def rule(preds, bars):
    up = preds.prob_up > preds.prob_down
    return cv.Signals.from_frames(entries=up, exits=~up, size=0.5)

def nothing(preds, bars):
    return None
"""


@pytest.mark.slow
def test_the_users_own_features_and_rule_run_the_whole_way(tmp_path):
    (tmp_path / "mine.py").write_text(OWN_CODE)
    config = load_config(
        write_tiny(tmp_path),
        [f"features.file={tmp_path}/mine.py:features", f"rule.file={tmp_path}/mine.py:rule"],
    )
    run = pipeline.run(config, out=tmp_path / "reports", jobs=1)
    assert list(run.result.metrics.index.names) == ["risk", "symbol"]
    assert run.metrics["strategy_cell"]["cell"] == {"risk": 0.01}
    assert len(pd.read_parquet(run.directory / "orders.parquet")) > 0


def test_a_rule_that_returns_something_else_is_told(tmp_path):
    (tmp_path / "mine.py").write_text(OWN_CODE)
    config = load_config(write_tiny(tmp_path), [f"rule.file={tmp_path}/mine.py:nothing"])
    with pytest.raises(ConfigError, match=r"must return convnext_vbt\.Signals, got NoneType"):
        pipeline.run(config, out=tmp_path / "reports", jobs=1)


def test_a_plan_writes_nothing(tmp_path):
    told = plan(load_config(write_tiny(tmp_path)), out=tmp_path / "reports")
    assert told["splits"] == 3
    assert told["cells"] == 4
    assert told["finished"] == 0
    assert (told["trained_from"], told["tested_from"]) == ("2022-01-01", "2022-01-21")
    assert 0 < told["minutes"] < 1
    assert not (tmp_path / "reports").exists()


def test_check_counts_what_a_trader_asks_for(tmp_path):
    table = prices(tmp_path).drop(index=prices(tmp_path).index[100:103])
    table.to_csv(tmp_path / "holes.csv")
    facts = check_bars(str(tmp_path / "holes.csv"))
    assert facts["bars"] == 1197
    assert (facts["gaps"], facts["missing_bars"]) == (1, 3)
    assert sum(facts["labels"]["holes"].values()) == pytest.approx(1)


def test_bars_that_the_network_trained_beforehand_cannot_read_are_told(tmp_path, capsys):
    table = prices(tmp_path)
    table.to_csv(tmp_path / "whole.csv")
    table.drop(columns="volume").to_csv(tmp_path / "bare.csv")
    assert check_bars(str(tmp_path / "whole.csv"))["prior_lacks"] == []
    facts = check_bars(str(tmp_path / "bare.csv"))
    assert "volume_zscore_24" in facts["prior_lacks"]
    print_bars(facts)
    assert 'set model.prior = "none", for' in " ".join(capsys.readouterr().out.split())
    assert check_bars("sp500")["prior_lacks"] == ["hour_sin", "hour_cos"]


@pytest.mark.filterwarnings("ignore:.*no volume")
@pytest.mark.parametrize("change", ["features.names=['rsi_14']", "data.source=bare.csv"])
def test_what_a_prior_cannot_read_is_refused_by_a_dry_run_with_its_remedy(
    tmp_path, monkeypatch, change
):
    monkeypatch.chdir(tmp_path)
    bars = cv.load_bars("simulated:seed=5,bars=2500")
    fields = {name: getattr(bars, name)[:, 0] for name in ("open", "high", "low", "close")}
    pd.DataFrame(fields, index=pd.Index(bars.index, name="timestamp")).to_csv("bare.csv")
    sections = "[splits]\ntrain = 2100\ntest = 200\n[data]\nsource = 'simulated:bars=2500'\n"
    (tmp_path / "mine.toml").write_text(sections)
    with pytest.raises(InputError, match=r'reads features .*\. Set model\.prior = "none" to'):
        plan(load_config("mine.toml", [change]))
    assert plan(load_config("mine.toml", [change, 'model.prior = "none"']))["splits"] == 2
    for kind in ("logistic", "majority", "boosting"):  # they read no prior
        plan(load_config("mine.toml", [change, f"model.kind={kind}"]))


def test_thin_cells_are_warned_of(tmp_path, done):
    config = load_config(write_tiny(tmp_path, ("q0.20", "q0.999")), ["rule.threshold='q0.999'"])
    with pytest.warns(FewTradesWarning, match="fewer than 30 trades"):
        make_sweep(config, done.result.bars, done.predictions)


def test_tiny_has_no_thin_cells(done):
    """The other tests turn warnings into errors, so this strategy must not warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_sweep(done.config, done.result.bars, done.predictions)
    assert "fewer than" not in TINY


@pytest.mark.slow
def test_the_ledger_counts_each_distinct_rule_once(tmp_path):
    small = ["trading.risk=0.001", "sweep.risk=[0.0005, 0.001]"]  # so small that no size is capped
    config = load_config(write_tiny(tmp_path), small)
    out = tmp_path / "reports"
    first = pipeline.run(config, out=out, jobs=1)
    lines = (out / "ledger.jsonl").read_text().splitlines()
    assert len(lines) == 1 + 2  # the strategy and its two thresholds; risk makes no rule

    def trials(*changes):
        changed = load_config(write_tiny(tmp_path), [*small, *changes])
        counted = pipeline.run(changed, out=out, jobs=1).metrics["trials"]
        return counted["num_runs"], counted["num_rules"]

    # another risk is no other trial, a second threshold is a strategy and a rule
    assert trials("trading.risk=0.0005", "sweep.threshold=['q0.20', 'q0.30']") == (2, 3)
    # the same again is no trial, and what was counted when a run was finished stays its own
    lines = (out / "ledger.jsonl").read_text()
    again = pipeline.run(config, out=out, jobs=1)
    assert (out / "ledger.jsonl").read_text() == lines
    assert again.metrics["trials"]["num_runs"] == again.metrics["headline"]["num_trials"] == 1
    assert again.report.read_bytes() == first.report.read_bytes()


def test_what_makes_another_strategy_and_what_another_rule(tmp_path):
    strategy = write_tiny(tmp_path)

    def keys(*changes):
        return trial_keys(load_config(strategy, changes))

    run, rule = keys()
    assert keys("trading.risk=0.0005", "sweep.risk=[0.02]", "trading.init_cash=5") == (run, rule)
    swept = keys("sweep.threshold=['q0.20', 'q0.30']")
    assert swept[0] != run
    assert swept[1] == rule  # each threshold is counted by itself
    assert keys("rule.min_edge=1.0")[0] != run
    assert keys("rule.min_edge=1.0", "rule.hysteresis=0.02")[1] == rule  # counted as a level is
    assert keys("rule.exit=edge")[1] != rule
    other = keys("labels.up=1.5")
    assert other[0] != run
    assert other[1] != rule


def test_a_users_own_code_is_another_strategy_when_its_text_changes(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OWN_CODE)
    config = load_config(write_tiny(tmp_path), [f"rule.file={path}:rule"])
    before = trial_keys(config)
    path.write_text(OWN_CODE.replace("size=0.5", "size=0.6"))
    assert trial_keys(config)[0] != before[0]
    assert trial_keys(config)[1] != before[1]


def test_another_network_trained_beforehand_is_another_strategy(tmp_path):
    config = load_config(write_tiny(tmp_path, *ON_A_PRIOR))
    one, other = (trial_keys(config, prior=sha256) for sha256 in ("a", "b"))
    assert one[0] != other[0]
    assert one[1] != other[1]


def test_the_headline_and_the_verdict_are_in_the_metrics(done):
    assert done.metrics["verdict"]["word"] in ("PASS", "INCONCLUSIVE", "FAIL")
    assert all(reason["text"] for reason in done.metrics["verdict"]["reasons"])
    choices = done.metrics["headline"]["choices"]
    assert [choice["split"] for choice in choices] == [0, 1, 2]
    assert choices[0]["threshold"] == "q0.50"  # the rule's own until two test ranges are past


@pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")
@pytest.mark.slow
def test_full_evidence_trains_the_nulls_and_boosting_too(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(walkforward, "resolve_device", lambda name: asked.append(name) or "cpu")
    config = load_config(
        write_tiny(tmp_path), ["evidence=full", "training.ensemble=2", "splits.test=700"]
    )
    done = pipeline.run(config, out=tmp_path / "out", jobs=1, device="cpu")
    assert len(asked) > 1
    assert set(asked) == {"cpu"}, "the nulls are trained where the run is"
    kinds = [row["model"] for row in done.metrics["baselines"]["models"]]
    assert kinds == ["convnext", "majority", "logistic", "boosting"]
    assert len(done.metrics["sharpe_by_seed"]) == 2
    assert set(done.metrics["retrained_nulls"]) == {"shuffled_labels", "bootstrapped_bars"}
    said = done.metrics["sentences"]
    assert said[0].startswith("Headline Sharpe ratio by ensemble member: ")
    page = done.report.read_text().replace("−", "-")
    assert said[0] in page
    assert list(done.metrics["nulls"]) == [test.name for test in NULLS]
    assert all(f"<h3>{test.question}</h3>" in page for test in NULLS)
    assert len(said) == 1 + len(done.metrics["retrained_nulls"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("rule.threshold=q2", r"\[rule\] threshold 'q2' is not understood"),
        ("rule.full=1.5", r"\[rule\] full must lie in \(0, 1\), got 1.5"),
        ('sweep.threshold=["x"]', r"\[sweep\] threshold 'x' is not understood"),
        ("selection.initial=foo", r"\[selection\] initial 'foo' is not understood"),
        ("rule.file=nowhere.py:rule", r"nowhere.py: no such file"),
    ],
)
def test_what_the_sweep_would_refuse_is_found_before_any_training(tmp_path, change, message):
    config = load_config(write_tiny(tmp_path), [change])
    with pytest.raises(ConvnextVbtError, match=message):
        plan(config, out=tmp_path / "reports")
    with pytest.raises(ConvnextVbtError, match=message):
        pipeline.run(config, out=tmp_path / "reports", jobs=1)
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize("text", [None, "name = "])
def test_a_run_without_its_strategy_is_damaged(done, tmp_path, text):
    copy = shutil.copytree(done.directory, tmp_path / done.directory.name)
    (copy / "config.toml").unlink()
    if text is not None:
        (copy / "config.toml").write_text(text)
    with pytest.raises(DamagedError, match=r"config.toml is damaged .*run the strategy again"):
        pipeline.open_run(copy)
