"""The public functions are faces of the configurations: no default is stated twice."""

import ast
import inspect
import textwrap
from dataclasses import fields

import pytest

from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.portfolio import simulate
from convnext_vbt.trading.rules import RuleConfig, confidence_signals
from convnext_vbt.trading.sweep import SweepConfig, sweep

RULE, TRADING = ({f.name: f.default for f in fields(c)} for c in (RuleConfig, SimulationConfig))
OF_TRADE = ("fees", "slippage", "stop", "take_profit", "max_holding")
MULTIPLES = {f.name: f.default[0] for f in fields(SweepConfig) if f.name.endswith("_multiple")}
OWN = {"reference_risk", "signals", "size_type", "engine"}
"""And a sweep's threshold, whose default goes by the predictions."""


@pytest.mark.parametrize(
    ("face", "configured"),
    [
        (
            confidence_signals,
            {name: RULE[name] for name in RULE if name != "threshold"}
            | {name: TRADING[name] for name in OF_TRADE},
        ),
        (simulate, TRADING),
        (sweep, {n: RULE[n] for n in RULE if n != "threshold"} | TRADING | MULTIPLES),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_defaults_are_read_from_the_configurations(face, configured):
    parameters = inspect.signature(face).parameters.values()
    found = {p.name: p.default for p in parameters if p.default is not p.empty}
    own = OWN | {name for name in ("threshold",) if found.get(name, 0) is None}
    assert {name: value for name, value in found.items() if name not in own} == configured
    (function,) = ast.parse(textwrap.dedent(inspect.getsource(face))).body
    arguments = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    stated = {argument.arg: ast.unparse(default) for argument, default in arguments if default}
    for name in configured:
        source = stated[name].removesuffix("[0]")
        assert source in {f"{kind}_DEFAULTS.{name}" for kind in ("RULE", "TRADING", "SWEEP")}, name
