"""`model.primary`: what it may give, that it reads no future, and what a run makes of it."""

import html
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import convnext_vbt as cv
from convnext_vbt.errors import ConfigError, DataError, UserCodeError
from convnext_vbt.evidence.accounts import Account, daily_returns
from convnext_vbt.evidence.measures import sharpe
from convnext_vbt.learning.walkforward import fit_alone
from convnext_vbt.live.trained import open_trained, predict_now
from convnext_vbt.predictions.slopes import apply
from convnext_vbt.runs import run as pipeline
from convnext_vbt.runs.audited import audit_strategy
from convnext_vbt.runs.bars import read_bars
from convnext_vbt.runs.config import Config, load_config, load_written
from convnext_vbt.runs.evidence import trial_keys
from convnext_vbt.runs.own_primary import primary_sides, refuse_early
from convnext_vbt.runs.strategy import check_rule, make_labels, predicted_paths, prepare
from convnext_vbt.trading.brackets import target_brackets
from convnext_vbt.trading.simulation import simulate_signals
from tests.evidence.markets import make_bars
from tests.strategies import write_tiny

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")

CROSS = """
import numpy as np

def rule(bars):
    close = bars.frame("close")
    gap = close / close.rolling(700, min_periods=12).mean() - 1
    return np.sign(gap).where(gap.abs() > 0.001)
"""
LOGISTIC = (
    ('prior = "none"\ndepths = [1, 1]\ndims = [4, 4]\n', 'kind = "logistic"\n'),
    ("[training]\nsteps = 2\nsegments = 2\nsegment_bars = 64\neval_every = 1\n", ""),
    ("seed=5,bars=1200", "seed=1,edge=2,bars=1200"),
)


@pytest.fixture
def primary(tmp_path):
    def written(body):
        path = tmp_path / "mine.py"
        path.write_text(body)
        return f"{path}:rule"

    return written


def returning(expression):
    return f"import numpy as np\nimport pandas as pd\ndef rule(bars):\n    return {expression}\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    (home / "mine.py").write_text(CROSS)
    return home


@pytest.fixture(scope="module")
def config(home):
    return load_config(write_tiny(home, *LOGISTIC), [f"model.primary={home / 'mine.py'}:rule"])


@pytest.fixture(scope="module")
def done(home, config):
    return pipeline.run(config, out=home / "reports", jobs=1)


@pytest.fixture(scope="module")
def sides(config):
    return primary_sides(config.model.primary, read_bars(config))


def test_sides_are_those_of_a_plain_formula(sides, config):
    close = pd.Series(read_bars(config).close[:, 0])
    gap = close / close.rolling(700, min_periods=12).mean() - 1
    expected = np.sign(gap).where(gap.abs() > 0.001).fillna(0)
    np.testing.assert_array_equal(sides[:, 0], expected)
    assert sides.dtype == np.int8
    assert set(np.unique(sides)) == {-1, 0, 1}


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("2 * np.ones(bars.close.shape)", r"a side is 2 \(300 such\); give 1 \(long\), -1 \(short"),
        ("np.ones(5)", r"the sides have the shape \(5, 1\); give \(300, 1\)"),
        ("np.full(bars.close.shape, 'long')", "the sides are no numbers"),
        ("bars.frame('close').iloc[::-1]", "the sides have another index than the bars"),
        ("bars.frame('close').rename(columns=str.lower)", r"the sides have the columns \['s0'\]"),
        ("1 / 0", r"raised ZeroDivisionError: division by zero \(line 4\)"),
    ],
)
def test_what_is_no_side_is_refused(primary, expression, message):
    with pytest.raises(UserCodeError, match=message):
        primary_sides(primary(returning(expression)), make_bars(bars=300))


def test_a_symbol_without_a_bar_has_no_side(primary):
    bars = make_bars(bars=60, symbols=2)
    fields = {
        name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume")
    }
    for values in fields.values():
        values[20:30, 1] = np.nan
    sides = primary_sides(
        primary(returning("np.ones(bars.close.shape, bool)")), replace(bars, **fields)
    )
    assert sides.sum(axis=0).tolist() == [60, 50]


@pytest.mark.parametrize(
    "expression",
    [
        "np.sign(bars.frame('close').shift(-1) - bars.frame('close'))",
        "np.sign(bars.frame('close') - bars.frame('close').mean())",
        "np.sign(bars.frame('close').resample('D').transform('last') - bars.frame('close'))",
        "np.where(np.arange(len(bars)) > len(bars) - 100, 1, -1)",
        "np.where(bars.frame('close').pct_change().shift(-1).abs() > 0.25, 1, -1)",
    ],
    ids=["next", "mean", "day", "length", "leap"],
)
def test_a_primary_that_reads_the_future_is_refused(primary, expression):
    with pytest.raises(
        UserCodeError, match=r"the side of S0 at .* changes with bars after .* such"
    ):
        refuse_early(primary(returning(expression)), make_bars(bars=400))


def test_a_primary_without_any_side_is_refused(primary):
    with pytest.raises(UserCodeError, match="it is neither long nor short at any bar"):
        refuse_early(primary(returning("np.zeros(bars.close.shape)")), make_bars(bars=400))


def test_a_dry_run_finds_it_too(primary, tmp_path):
    leaky = primary(returning("np.sign(-bars.frame('close').diff(-1))"))
    config = load_config(write_tiny(tmp_path, *LOGISTIC), [f"model.primary={leaky}"])
    with pytest.raises(UserCodeError, match="changes with bars after"):
        prepare(config, read_bars(config))


def test_a_trade_may_not_outlast_its_side(config):
    rule = config.rule
    edge = config.model_copy(update={"rule": replace(rule, exit="edge")})
    with pytest.raises(ConfigError, match=r'model.primary: with rule.exit = "edge" a trade would'):
        check_rule(edge)
    check_rule(config)


def test_only_bars_with_a_side_are_learned_from_and_judged(config, sides):
    bars = read_bars(config)
    plain = config.model_copy(update={"model": replace(config.model, primary=None)})
    labels, all_labels = make_labels(config, bars).values, make_labels(plain, bars).values
    np.testing.assert_array_equal(labels, np.where(sides == 0, -1, all_labels))


def test_predictions_and_trades_are_on_the_primarys_side_alone(done, sides):
    preds = done.predictions
    made = preds.split[:, 0] >= 0
    down, stay, up = preds.proba[made, 0].T
    side = sides[made, 0]
    assert (up[side > 0] >= down[side > 0]).all()
    assert (down[side < 0] >= up[side < 0]).all()
    assert (stay[side == 0] == 1).all()
    assert (up > down).any()
    assert (down > up).any()
    orders = pd.read_parquet(done.directory / "orders.parquet")
    signals = done.result.signals
    for entries, own in ((signals.entries, 1), (signals.short_entries, -1)):
        rows = entries.any(axis=1)
        assert rows.any()
        assert (sides[rows, 0] == own).all()
    assert len(orders)


def test_the_primary_alone_stands_beside_it(done, sides, config):
    """Its account is that of plain signals, simulated by themselves."""
    bars, preds = read_bars(config), done.predictions
    start, stop = done.result.window
    row = next(m for m in done.metrics["baselines"]["models"] if m["model"] == "primary")
    frame = pd.DataFrame(sides, index=bars.index, columns=list(bars.symbols)).iloc[start:stop]
    signals = cv.Signals.from_frames(
        entries=frame > 0, exits=frame <= 0, short_entries=frame < 0, short_exits=frame >= 0
    )
    brackets = target_brackets(bars, preds.target).rows(start, stop)
    traded = bars.rows(start, stop)
    alone = Account.of(simulate_signals(traded, signals, brackets, config=config.trading))
    assert row["trades"] == len(alone.trades) > 30
    assert row["sharpe"] == pytest.approx(sharpe(daily_returns(alone), bars.days_per_year))
    sentence = next(s for s in done.metrics["baselines"]["sentences"] if "primary" in s)
    assert sentence.startswith("Logistic regression minus the primary alone: Sharpe")
    page = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", done.report.read_text())))
    assert "minus the primary alone" in page
    assert "The primary alone takes all its trades at full size" in page


def test_quantiles_of_confidence_are_of_what_may_be_said(done, config):
    prepared = prepare(config, read_bars(config))
    options = {"model": config.model, "training": config.training, "seed": config.seed}
    for k, split in enumerate(prepared.splits):
        alone = fit_alone(prepared.features, prepared.labels, split, **options).out_of_fold
        down, _, up = apply(done.predictions.fits[k], alone.log_proba).T
        sure = np.where(up >= down, up, (up + down) / 2)  # rows are as if all were long
        np.testing.assert_allclose(
            done.predictions.split_quantiles(0.7)[k], np.quantile(sure, 0.7), rtol=1e-5
        )


def test_baselines_are_bound_to_the_primary(done):
    record = done.directory / "baselines" / "majority" / "000.json"
    assert "primary" in json.loads(record.read_text())["features"]


def test_a_live_prediction_is_the_backtests(done, sides, config):
    """Also where the primary looks back on more than the features do."""
    trained, bars = open_trained(done.directory), read_bars(config)
    split = done.predictions.splits[-1]
    short = trained.history(trained.kept(split))
    start, stop = split.test

    def of_few(row):
        few = bars.rows(row + 1 - short, row + 1)
        return primary_sides(config.model.primary, few)[-1, 0]

    differ = [row for row in range(start, stop) if of_few(row) != sides[row, 0]]
    assert len(differ) > 5
    for row in (*differ[::4], *range(start, stop, 60)):
        said = predict_now(trained, split, bars.rows(0, row + 1))
        np.testing.assert_allclose(said, done.predictions.proba[row], atol=1e-5)


def test_another_text_is_another_strategy_and_no_run_to_decide_by(done, config, home):
    before, path = trial_keys(config), home / "mine.py"
    path.write_text(CROSS.replace("700", "701"))
    try:
        assert trial_keys(config)[0] != before[0]
        assert trial_keys(config)[1] != before[1]
        with pytest.raises(DataError, match=r"mine.py:rule \(\[model\] primary\) is not what"):
            open_trained(done.directory)
    finally:
        path.write_text(CROSS)
    assert (
        open_trained(done.directory).config
        == config
        == load_written(done.directory / "config.toml")
    )


def test_without_a_primary_a_strategy_keeps_its_hash():
    assert "primary" not in Config().hashed()["model"]


def test_paths_are_bound_to_the_primary_too(config, sides):
    splits = replace(config.splits, kind="cpcv", groups=3)
    both = config.model_copy(update={"splits": splits})
    bars = read_bars(both)
    for preds in predicted_paths(both, prepare(both, bars), jobs=1):
        made = preds.split >= 0
        lean = preds.proba[:, :, 2] - preds.proba[:, :, 0]
        assert (np.sign(lean[made]) * sides[made] >= 0).all()
        assert (lean[made] > 0).any()
        assert (preds.proba[made & (sides == 0), 1] == 1).all()


@pytest.mark.slow
def test_the_audit_passes_and_finds_a_primary_that_knows_the_next_bar(config, primary):
    bars = read_bars(config).rows(0, 1_000)
    assert audit_strategy(config, bars, num_random_bars=4, jobs=1).passed
    leaky = primary(returning("np.sign(bars.frame('close').shift(-1) - bars.frame('close'))"))
    other = config.model_copy(update={"model": replace(config.model, primary=leaky)})
    report = audit_strategy(other, bars, num_random_bars=4, jobs=1)
    assert not report.passed
