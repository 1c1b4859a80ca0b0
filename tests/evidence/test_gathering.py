"""Everything at once: the same figures as its parts, and nothing made twice."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from convnext_vbt.evidence import window
from convnext_vbt.evidence.accounts import Account, daily_returns, key_figures
from convnext_vbt.evidence.gathering import gather
from convnext_vbt.evidence.measures import sharpe
from convnext_vbt.evidence.scores import confusion
from convnext_vbt.evidence.selection import Preset
from convnext_vbt.evidence.verdict import assess
from convnext_vbt.evidence.window import Window
from convnext_vbt.learning.labels import labels_for
from convnext_vbt.trading import sweep
from convnext_vbt.trading.brackets import DISTANCES
from convnext_vbt.trading.simulation import simulate_signals
from tests.evidence.markets import TARGET, make_bars, make_predictions, make_sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")
OWN = {"threshold": "q0.60", "risk": 0.02}


@pytest.fixture(scope="module")
def result():
    bars = make_bars()
    costs = {"fees": 0.0005, "slippage": 0.0002}
    return make_sweep(bars, make_predictions(bars), risk=[0.005, 0.02], **costs)


@pytest.fixture(scope="module")
def labels(result):
    return labels_for(result.bars, TARGET).values


@pytest.fixture(scope="module")
def evidence(result, labels):
    return gather(result, selected=OWN, labels=labels)


def test_no_simulation_is_made_twice(result, monkeypatch):
    made = Counter()

    def counted(bars, signals, brackets, *, config, size_type="risk", best_first=False):
        digest = hashlib.sha256()
        arrays = signals.signals()
        for name in ("entries", "exits", "short_entries", "short_exits", "size"):
            digest.update(getattr(arrays, name).tobytes())
        for name in DISTANCES:
            digest.update(np.ascontiguousarray(getattr(brackets, name)).tobytes())
        made[digest.hexdigest(), config, size_type, best_first] += 1
        return simulate_signals(
            bars, signals, brackets, config=config, size_type=size_type, best_first=best_first
        )

    monkeypatch.setattr(window, "simulate_signals", counted)
    monkeypatch.setattr(sweep, "simulate_signals", counted)
    gather(result, selected=OWN)
    assert set(made.values()) == {1}
    # Eight cells, the headline at four costs, buy-and-hold.
    assert len(made) == 8 + 4 + 1


def test_costs_begin_with_what_the_verdict_knows(result, evidence):
    head = evidence.assessment.headline
    free, once, twice, thrice = (point.figures for point in evidence.costs)
    assert once == key_figures(head.selection.account, result.window_bars)
    assert twice["sharpe"] == evidence.assessment.doubled_costs_sharpe
    assert free["costs"] == 0.0
    assert free["sharpe"] > once["sharpe"] > twice["sharpe"] > thrice["sharpe"]
    assert [point.basis_points for point in evidence.costs] == pytest.approx([0, 7, 14, 21])


def test_the_headline_is_told_by_one_set_of_figures(evidence):
    head, figures = evidence.assessment.headline, evidence.headline_figures
    for name in ("total_return", "cagr", "max_drawdown", "sharpe", "sharpe_low", "dsr"):
        assert figures[name] == getattr(head, name), name
    assert figures["trades"] == head.trades == len(evidence.headline.trades)


def test_alone_it_is_judged_at_the_strategys_own_risk(result, evidence):
    wanted = assess(result, preset=Preset(risk=0.02))
    assert evidence.assessment.headline.risk == 0.02
    assert evidence.assessment.headline.sharpe == wanted.headline.sharpe
    given = gather(result, assessment=wanted)
    assert given.assessment is wanted
    assert given.cells.fixed is None


def test_holdings_and_labels(result, labels, evidence):
    (held,) = evidence.holdings
    account = Account.of(Window(result).buy_and_hold("S0"))
    assert held.figures["sharpe"] == sharpe(daily_returns(account), 365)
    assert "break_even" not in held.figures
    assert evidence.model.confusion.equals(confusion(result.predictions, labels))
    nothing = gather(result, labels=np.full_like(labels, -1), assessment=evidence.assessment)
    assert nothing.model is None
    assert nothing.split_scores["bars"].sum() == 0
    assert gather(result, assessment=evidence.assessment).split_scores is None
