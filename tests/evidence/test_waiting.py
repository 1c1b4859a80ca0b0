"""How often nothing was worth its costs, against plain counting and a sweep that asks nothing."""

import math
from dataclasses import replace

import numpy as np
import pytest

from convnext_vbt.evidence.cells import look_into
from convnext_vbt.evidence.waiting import waiting_of
from convnext_vbt.market.volatility import ewma_volatility
from convnext_vbt.trading.signals import Signals
from tests.evidence.markets import TARGET, make_bars, make_predictions, make_sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")

COSTS = {"fees": 0.0005, "slippage": 0.0002}
RULE = {
    "threshold": ["q0.30", "q0.60"],
    "risk": [0.005, 0.01],
    "stop_multiple": [1.0, 2.0],
    **COSTS,
}
OWN = {"threshold": "q0.30", "risk": 0.01, "stop_multiple": 2.0}


@pytest.mark.parametrize("symbols", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize(
    ("rule", "edge"),
    [
        ({"min_edge": 4.0}, 4.0),
        ({"min_edge": [0.0, 4.0], "exit": "edge"}, 4.0),
        ({"min_edge": 4.0, "short": False}, 4.0),
    ],
)
def test_waiting_is_counted_and_compared_with_trading_anyway(symbols, rule, edge):
    bars = make_bars(bars=1500, symbols=symbols)
    preds = make_predictions(bars)
    result = make_sweep(bars, preds, **RULE, **rule)
    own = OWN | ({"min_edge": edge} if isinstance(rule["min_edge"], list) else {})
    found = waiting_of(result, look_into(result, own))

    down, up = (preds.proba[:, :, k].astype(float) for k in (0, 2))
    gross = (up - down) * ewma_volatility(bars, halflife=TARGET.halflife) * math.sqrt(12)
    if rule.get("short", True):
        gross = np.abs(gross)
    there = np.isfinite(preds.proba[:, :, 0])
    waits = there & ~(gross - 0.0014 >= edge * 0.0014)
    assert (found.predictions, found.waited) == (there.sum(), waits.sum())
    assert 0.02 < found.share < 0.98

    free = {name: value for name, value in rule.items() if name != "min_edge"}
    anyway = make_sweep(bars, preds, **RULE, **free)
    row = anyway.account_metrics.xs((0.01, 2.0), level=("risk", "stop_multiple")).loc["q0.30"]
    assert found.trades_anyway == row["trades"].item() > found.trades
    assert found.total_return_anyway == pytest.approx(row["total_return"].item(), rel=1e-9)
    at = result.account_metrics.xs((0.01, 2.0), level=("risk", "stop_multiple")).loc["q0.30"]
    if "min_edge" in at.index.names:
        at = at.xs(edge, level="min_edge")
    assert (found.trades, found.total_return) == (at["trades"].item(), at["total_return"].item())
    often = f"{waits.sum():,} of {there.sum():,} predictions ({found.share:.1%})"
    assert found.sentence.startswith(
        f"It waited on {often}: neither side was expected to return, net of costs, {edge:g} x the "
        f"0.14% that entry and exit cost. The strategy's own rule made {found.trades:,} trade"
    )
    assert found.sentence.endswith(
        f"without waiting it would have made {found.trades_anyway:,} trades and "
        f"{found.total_return_anyway:+.1%}."
    )


def test_bars_of_unknown_volatility_are_not_counted_as_waiting():
    bars = make_bars(bars=1500)
    preds = make_predictions(bars)
    slow = replace(preds, target=replace(TARGET, halflife=40.0))  # 798 bars until it is known
    found, all_known = (
        waiting_of(result, look_into(result))
        for result in (make_sweep(bars, one, min_edge=-1.0, **COSTS) for one in (slow, preds))
    )
    unknown = np.isnan(ewma_volatility(bars, halflife=40.0)) & (preds.split >= 0)
    assert found.undecided == unknown.sum() > 200
    assert found.waited == all_known.waited == 0  # to ask for any gain lets one side be worth it
    assert found.predictions + found.undecided == all_known.predictions
    said = (
        f"cost. {found.undecided:,} more, on bars whose volatility is not known, are not counted."
    )
    assert said in found.sentence
    assert (all_known.undecided, "not counted" in all_known.sentence) == (0, False)
    never = replace(preds, target=replace(TARGET, halflife=80.0))
    result = make_sweep(bars, never, min_edge=-1.0, **COSTS)
    assert waiting_of(result, look_into(result)) is None


def test_a_rule_that_asks_nothing_or_is_ones_own_does_not_wait():
    bars = make_bars(bars=1500)
    preds = make_predictions(bars)
    for exit_kind in ("bracket", "edge"):
        result = make_sweep(bars, preds, exit=exit_kind)
        assert waiting_of(result, look_into(result)) is None
    own = Signals.from_frames(entries=preds.prob_up > 0.4, exits=preds.prob_up < 0.3)
    result = make_sweep(bars, preds, signals=own)
    assert waiting_of(result, look_into(result)) is None
