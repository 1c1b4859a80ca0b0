import warnings
from dataclasses import replace

import numpy as np

from convnext_vbt.errors import FewTradesWarning
from convnext_vbt.learning.fitting import predict_last
from convnext_vbt.learning.splitcache import read_split
from convnext_vbt.live.trained import difference_from_backtest, open_trained
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.runs import run as pipeline
from convnext_vbt.runs import strategy as stages
from convnext_vbt.runs.config import load_config
from tests.live.replay import replay
from tests.strategies import write_tiny


def test_the_last_bars_decided_one_at_a_time_are_the_backtest(trained, finished):
    worst, pairs = replay(trained, finished.result, 240)  # over a change of network and of rule
    assert worst < 1e-5
    counts = same_orders(pairs)
    assert min(counts.count(0), counts.count(1)) > 20
    assert counts.count(2) > 5  # reversals: two orders at one open


def test_symbols_share_one_account_as_in_the_backtest(tmp_path):
    sources = '["simulated:seed=5,bars=1200", "simulated:seed=6,bars=1200,symbol=B/USDT"]'
    changes = [
        f"data.source={sources}",
        "trading.max_open_risk=0.008",
        "trading.max_leverage=3",
        "model.base=none",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewTradesWarning)  # few trades a cell
        run = pipeline.run(load_config(write_tiny(tmp_path), changes), out=tmp_path, jobs=1)
    trained = open_trained(run.directory)
    worst, pairs = replay(trained, run.result, 60, more=20)
    assert worst < 1e-5
    assert len(pairs) == 2 * 60
    assert sum(same_orders(pairs)) > 20
    holed = without(run.result.bars, slice(1120, 1195), symbol=1)
    assert difference_from_backtest(trained, holed) < 1e-5, "by the other symbol alone"
    holed = without(holed, slice(1180, 1181), symbol=0)
    assert difference_from_backtest(trained, holed) is None


def test_a_network_on_its_base_predicts_one_bar_as_the_backtest_did(tmp_path, bars):
    config = load_config(write_tiny(tmp_path), ["training.ensemble=2"])
    prepared = stages.prepare(config, bars.rows(0, 800))
    preds = stages.walk(config, prepared, directory=tmp_path, jobs=1)
    kept = read_split(tmp_path, 0, config.model)
    assert kept.fitted.predictor.base is not None
    past = stages.make_features(config, bars.rows(0, 600))
    np.testing.assert_allclose(predict_last(kept.fitted, past), preds.proba[599], atol=1e-6)


def without(bars, rows, *, symbol):
    """The bars less some of one symbol."""
    fields = {name: getattr(bars, name).copy() for name in FIELDS}
    for values in fields.values():
        values[rows, symbol] = np.nan
    return replace(bars, **fields)


def same_orders(pairs):
    """How many orders each decision has, once they have been found equal to the backtest's."""
    for decided, simulated in pairs:
        assert [len(order) for order in decided] == [len(order) for order in simulated]
        for ours, theirs in zip(decided, simulated, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=3e-5)
    return [len(decided) for decided, _ in pairs]
