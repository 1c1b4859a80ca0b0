import warnings
from dataclasses import replace

import numpy as np
import pytest

from convnext_vbt.errors import FewTradesWarning
from convnext_vbt.learning.fitting import predict_last
from convnext_vbt.learning.splitcache import read_split
from convnext_vbt.live.account import Account, Holding
from convnext_vbt.live.decision import decide
from convnext_vbt.live.trained import difference_from_backtest, open_trained
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.runs import run as pipeline
from convnext_vbt.runs import strategy as stages
from convnext_vbt.runs.config import load_config
from convnext_vbt.trading.brackets import barrier_width
from tests.live.conftest import TOLD
from tests.live.replay import replay
from tests.live.test_running import asked
from tests.strategies import write_tiny


def test_the_last_bars_decided_one_at_a_time_are_the_backtest(trained, finished):
    worst, pairs = replay(trained, finished.result, 240)  # over a change of network and of rule
    assert worst < 1e-5
    counts = same_orders(pairs)
    assert min(counts.count(0), counts.count(1)) > 20
    assert counts.count(2) > 5  # reversals: two orders at one open


def test_lots_costs_and_moving_stops_are_decided_as_the_backtest_does(finished):
    run = asked(finished, "all that is asked of a trade")
    worst, pairs = replay(open_trained(run.directory), run.result, 240)
    assert worst < 1e-5
    told = 0
    for decided, simulated in pairs:
        assert [len(order) for order in decided] == [len(order) for order in simulated]
        for ours, theirs in zip(decided, simulated, strict=True):
            assert ours[0] == pytest.approx(theirs[0], abs=0.0011)  # a lot
            assert ours[0] == pytest.approx(round(ours[0], 3), abs=1e-9)
            if len(ours) > 1:
                assert ours[1] == pytest.approx(theirs[1], rel=3e-5)
                stop, first_step = theirs[2], 0.5 * theirs[3]
                assert -1e-4 < ours[2] - stop < 1e-9  # to the next tick, towards the entry
                assert -1e-4 < ours[3] - first_step < 1e-9
            told += len(ours) > 1
    assert told > 20


@pytest.fixture(scope="module")
def waiting(tmp_path_factory):
    """A finished run that enters where the edge is worth its costs and stays while it lasts."""
    home = tmp_path_factory.mktemp("waiting")
    changes = [
        "rule.exit=edge",
        "sweep.min_edge=[0.0, 4.0]",
        "trading.fees=0.00002",
        "trading.slippage=0.00001",
        "labels.horizon=4",
        "model.kind=logistic",  # of the network speaks the run of the test above
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewTradesWarning)  # few trades a cell
        return pipeline.run(load_config(write_tiny(home, *TOLD), changes), out=home, jobs=1)


def test_entries_worth_their_costs_and_exits_while_the_edge_lasts_are_the_backtests(waiting):
    trained = open_trained(waiting.directory)
    worst, pairs = replay(trained, waiting.result, 200, more=20, step=2)
    assert worst < 1e-5
    counts = same_orders(pairs)
    assert counts.count(0) > 10
    assert counts.count(1) + counts.count(2) > 2


def test_volatility_needs_its_history_for_a_stop_or_an_expectation(waiting):
    trained = open_trained(waiting.directory)
    kept = trained.kept(trained.predictions.splits[-1])
    fixed = {"trading": replace(trained.config.trading, stop=0.02)}
    blind = fixed | {
        "rule": replace(trained.config.rule, exit="bracket", min_edge=None),
        "sweep": replace(trained.config.sweep, min_edge=None),
    }
    asking, plain = (
        replace(trained, config=trained.config.model_copy(update=change)).history(kept)
        for change in (fixed, blind)
    )
    assert asking == trained.history(kept) > plain == kept.warmup + kept.fitted.receptive_field


def test_the_reasons_say_what_is_expected_and_what_it_costs(waiting):
    trained = open_trained(waiting.directory)
    bars, split = waiting.result.bars, trained.predictions.splits[-1]
    said = set()
    for t in range(1000, 1199, 3):
        account = Account(equity=1e4, held={"SIM/USDT": Holding(units=0.1)})
        one = decide(trained, bars.rows(0, t + 1), account).decisions[0]
        width = barrier_width(bars, trained.config.labels)[t, 0]
        gross = (one.prob_up - one.prob_down) * width
        edge = trained.rule(trained.split_of(bars.rows(0, t + 1)))["min_edge"]
        worth = "at least" if abs(gross) >= (1 + edge) * 0.00006 else "below"
        word = "long" if gross >= 0 else "short"
        (expected,) = [reason for reason in one.reasons if "expected to return" in reason]
        net = f"{abs(gross):.2%}, {abs(gross) - 0.00006:.2%} after costs"
        assert expected.startswith(f"a {word} is expected to return {net}, {worth} {edge:g} x the ")
        assert expected.endswith("round trip of 0.01%" + ": wait" * (worth == "below"))
        state = "it lasts" if gross >= 0 else "it has turned"
        assert f"a long is held while its expected return is not under 0: {gross:.2%}, {state}" in (
            one.reasons
        )
        assert (one.step == "hold long") == (gross >= 0)
        said.add((worth, word))
    assert split.test[1] > 1000
    assert len(said) > 2


@pytest.mark.slow
def test_symbols_share_one_account_as_in_the_backtest(tmp_path):
    sources = (
        '["simulated:seed=2,edge=3,bars=1200", "simulated:seed=9,edge=3,bars=1200,symbol=B/USDT"]'
    )
    changes = [
        f"data.source={sources}",
        "trading.max_open_risk=0.008",
        "trading.max_leverage=3",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewTradesWarning)  # few trades a cell
        run = pipeline.run(load_config(write_tiny(tmp_path, *TOLD), changes), out=tmp_path, jobs=1)
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
    assert kept.fitted.predictor.base
    fitted = replace(kept.fitted, fit=preds.fits[0])  # as `Trained.kept` does
    past = stages.make_features(config, bars.rows(0, 600))
    np.testing.assert_allclose(predict_last(fitted, past), preds.proba[599], atol=1e-6)


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
