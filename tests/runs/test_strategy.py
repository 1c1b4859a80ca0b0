"""What a strategy file says reaches the sweep whole."""

from dataclasses import asdict, fields

import pandas as pd
import pytest

from convnext_vbt.errors import ConfigError, InputError
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.runs.config import Config
from convnext_vbt.runs.strategy import check_rule, make_sweep, prepare, rule_exit
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.instruments import Instrument
from convnext_vbt.trading.rules import RuleConfig
from convnext_vbt.trading.sweep import sweep
from tests.evidence.markets import make_bars, make_predictions

RULE = {
    "threshold": 0.45, "hysteresis": 0.02, "short_threshold": "q0.55", "floor": 0.5, "full": 0.7,
    "min_edge": 0.5, "full_edge": 3.0,
}  # fmt: skip
TRADING = {
    "fees": 0.001, "slippage": 0.0004, "max_leverage": 1.5, "init_cash": 500.0, "stop": 0.02,
    "take_profit": 0.03, "max_holding": 9, "max_open_risk": 0.03, "trail": "close",
    "break_even": 2.0, "take_profit_ladder": ((0.5, 0.5), (1.0, 0.5)), "leave_at": "23:00",
    "limit_offset": 0.0001, "limit_bars": 3, "instruments": {"default": Instrument(tick=1e-6)},
}  # fmt: skip
LISTS = {"stop_multiple": [1.0, 2.0], "hysteresis": [0.02, 0.04], "min_edge": [0.0, 0.5]}


def test_every_key_is_tried_away_from_its_default():
    """A new parameter has to be added above, or nobody sees whether `sweep` hands it on."""
    assert RULE.keys() | {"short", "abstain", "exit"} == {
        field.name for field in fields(RuleConfig)
    }
    assert TRADING.keys() | {"risk"} == {field.name for field in fields(SimulationConfig)}
    rule, trading = asdict(RuleConfig()), asdict(SimulationConfig())
    assert not [key for key in RULE if RULE[key] == rule[key]]
    assert not [key for key in TRADING if TRADING[key] == trading[key]]


@pytest.mark.parametrize(("symbols", "short"), [(1, True), (2, True), (1, False)])
def test_every_key_of_rule_trading_and_sweep_is_the_sweeps_own(symbols, short):
    bars = make_bars(bars=1500, symbols=symbols)
    preds = make_predictions(bars)
    rule = RULE | {
        "exit": "bracket",
        "short": short,
        "short_threshold": RULE["short_threshold"] if short else None,
    }
    sections = {
        "rule": rule,
        "trading": {**TRADING, "risk": 0.03},
        "sweep": {**LISTS, "threshold": ["q0.60"], "risk": [0.01]},
    }
    found = make_sweep(Config.model_validate(sections, strict=False), bars, preds)
    rest = {name: value for name, value in (rule | TRADING | LISTS).items() if name != "threshold"}
    public = sweep(bars, preds, threshold=["q0.60", 0.45], risk=[0.01, 0.03], **rest)
    pd.testing.assert_frame_equal(found.metrics, public.metrics, check_exact=True)
    pd.testing.assert_frame_equal(found.daily_returns, public.daily_returns, check_exact=True)
    assert found.config == public.config
    assert found.grid == public.grid
    assert found.metrics["trades"].min() > 0


def test_exit_is_the_sweeps_own_and_has_its_stops_alone():
    bars = make_bars(bars=1500)
    preds = make_predictions(bars)
    config = Config.model_validate({"rule": {"exit": "edge", "min_edge": 0.5}}, strict=False)
    found = make_sweep(config, bars, preds)
    lists, asked = config.sweep, {"min_edge": 0.5, "full_edge": config.rule.full_edge}
    public = sweep(bars, preds, threshold=lists.threshold, risk=lists.risk, exit="edge", **asked)
    pd.testing.assert_frame_equal(found.metrics, public.metrics, check_exact=True)
    assert found.brackets.max_holding is None
    bracket = sweep(bars, preds, threshold=lists.threshold, risk=lists.risk, **asked)
    assert not found.metrics.equals(bracket.metrics)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"rule": {"min_edge": -3.0}}, "min_edge must be at least 0"),
        ({"sweep": {"min_edge": [-3.0]}}, "min_edge must be at least 0"),
        ({"rule": {"exit": "edge"}, "trading": {"take_profit": 0.1}}, "take_profit = 0.1 has no"),
        ({"rule": {"exit": "edge"}, "sweep": {"hysteresis": [0.1]}}, "hysteresis = .* has no"),
        (
            {"rule": {"exit": "edge"}, "sweep": {"take_profit_multiple": [2.0]}},
            "take_profit_multiple = .* has no",
        ),
        ({"rule": {"exit": "bracket", "threshold": 0.4, "hysteresis": 0.4}}, "hysteresis must lie"),
    ],
)
def test_what_cannot_be_traded_is_refused_before_any_training(sections, message):
    with pytest.raises(ConfigError, match=message):
        check_rule(Config.model_validate(sections, strict=False))


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"instruments": {"X": {"lot": 1.0}}},
            r"\[instruments\] names X, but the bars",
        ),
        ({"instruments": {"default": {"tick": 1e6}}}, "tick = 1e.06 is too large"),
        ({"trading": {"leave_at": "session end"}}, "never closes; write a time of"),
    ],
)
def test_what_these_bars_cannot_be_traded_by_is_refused_before_any_training(sections, message):
    with pytest.raises(ConfigError, match=message):
        prepare(Config.model_validate(sections, strict=False), simulated_bars(bars=200))


def test_a_rule_of_ones_own_keeps_its_bracket():
    """Its file decides what to signal: the keys of the confidence rule are not read."""
    rule = {"file": "mine.py:rule", "exit": "edge"}
    assert rule_exit(Config.model_validate({"rule": rule}, strict=False)) == "bracket"


def test_a_single_multiple_is_no_level_and_a_list_of_exit_levels_always_is():
    bars = make_bars(bars=1500)
    sections = {"rule": {"exit": "bracket"}, "sweep": {"hysteresis": [0.05]}}
    config = Config.model_validate(sections, strict=False)
    names = make_sweep(config, bars, make_predictions(bars)).metrics.index.names
    assert names == ["threshold", "hysteresis", "risk", "symbol"]


@pytest.mark.parametrize(
    ("kind", "names", "needed"),
    [
        ("logistic", ["rsi_14"], "189 bars up to it, 188 bars until .* and 1 bar that the model"),
        ("convnext", ["candle_body"], "584 bars up to it, 0 bars until .* and 584 bars that the"),
    ],
)
def test_a_training_range_without_enough_history_is_refused_before_anything_is_trained(
    kind, names, needed
):
    sections = {
        "features": {"names": names},
        "model": {"kind": kind, "prior": "none"},
        "splits": {"train": 40, "test": 200},
        "labels": {"horizon": 6, "halflife": 1.0},
    }
    config = Config.model_validate(sections, strict=False)
    with pytest.raises(
        InputError, match=rf"{needed}.* and there are 3\d; lengthen splits.train, or"
    ):
        prepare(config, simulated_bars(seed=1, bars=1_500))


@pytest.mark.parametrize("own", [{"training": {"steps": 8}}, {"model": {"pool": 2}}])
def test_a_network_of_ones_own_beside_a_prior_is_refused_before_anything_is_trained(own):
    sections = own | {"splits": {"train": 600, "test": 60}}
    config = Config.model_validate(sections, strict=False)
    with pytest.raises(InputError, match=r'a network of its own, .* model.prior = "none"'):
        prepare(config, simulated_bars(seed=1, bars=1_500))
