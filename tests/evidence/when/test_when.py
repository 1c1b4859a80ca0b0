"""The headline of a small panel, from its orders and bars in plain pandas."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.evidence.accounts import Account
from convnext_vbt.evidence.selection import Preset, nested_selection
from convnext_vbt.evidence.when.when import UNITS, when_of
from convnext_vbt.evidence.window import Window
from convnext_vbt.storage import plain
from tests.evidence.markets import make_bars, make_predictions, make_sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")


def headline(symbols, *, threshold="q0.60", names=None):
    bars = make_bars(bars=4_100, symbols=symbols)
    bars = replace(bars, symbols=names or bars.symbols)
    res = make_sweep(bars, make_predictions(bars), threshold=threshold, fees=0.0005, slippage=2e-4)
    selection = nested_selection(res, Preset())
    return res, selection, when_of(res, selection, Account.of(Window(res).buy_and_hold()))


@pytest.fixture(scope="module")
def panel():
    return headline(2)


def leaves(value, name=""):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, name)
    else:
        yield name, value


def test_the_bars_on_disk_follow_from_the_orders(panel):
    res, selection, found = panel
    orders, bars = selection.simulation.orders_frame(), res.window_bars
    signed = orders["size"] * orders["side"].map({"Buy": 1, "Sell": -1})
    units = (
        signed.groupby([orders["timestamp"], orders["symbol"]]).sum().unstack()
        .reindex(index=bars.index, columns=list(bars.symbols)).fillna(0).cumsum()
    )  # fmt: skip
    worth = units.mask(units.abs() < 1e-9, 0) * bars.frame("close").ffill()
    table = found.bars
    assert table["timestamp"].tolist() == bars.index.tolist()
    equity = selection.simulation.equity[:, 0]
    np.testing.assert_array_equal(table["equity"], equity)
    np.testing.assert_allclose(table["net"], worth.sum(axis=1) / equity, atol=1e-9)
    np.testing.assert_allclose(table["gross"], worth.abs().sum(axis=1) / equity, atol=1e-9)
    assert (table["gross"] > table["net"].abs() + 0.01).any()  # a long beside a short
    assert table["net"].max() > 0 > table["net"].min()


def test_the_parts_add_up_to_the_account(panel):
    _, selection, found = panel
    account = selection.account
    profit = account.equity[-1] - account.init_cash
    assert found.sides["profit"].sum() == pytest.approx(profit)
    assert found.exits["profit"].sum() == pytest.approx(profit)
    count = len(account.trades)
    for table in (found.sides, found.exits, found.years, found.hours, found.weekdays):
        assert table["trades"].sum() == count > 100
    total = account.equity[-1] / account.init_cash
    assert (1 + found.years["total_return"]).prod() == pytest.approx(total)
    assert (1 + found.returns).prod() == pytest.approx(total)
    days = len(found.returns)
    assert found.regimes["days"][:3].sum() == days - 11  # the 20 days before it are not 31 closes
    assert found.regimes["days"][3:].sum() == days - 80


def test_every_figure_has_a_unit_and_is_json(panel):
    facts = panel[2].to_dict()
    json.dumps(plain(facts), allow_nan=False)
    units = facts.pop("units")
    assert len(units) == sum(map(len, UNITS.values()))  # no name has two
    numbers = {name for name, value in leaves(facts) if not isinstance(value, (str, type(None)))}
    assert numbers <= set(units)
    dated = {"hour", "weekday", "best_from", "worst_from", "first", "last"}
    assert set(units) - numbers <= dated


def test_an_account_that_never_traded_says_so():
    _, _, found = headline(1, threshold=0.9999)
    assert found.reason == "The headline never traded, so there is nothing to explain."
    facts = plain(found.to_dict())
    json.dumps(facts, allow_nan=False)
    assert [row["trades"] for row in facts["sides"]] == [0, 0]
    assert facts["exits"] == []
    assert facts["exposure"]["mean_gross"] == facts["exposure"]["bars_in_market"] == 0
    assert facts["relative"]["beta"] == facts["distribution"]["var_95"] == 0
    assert facts["distribution"]["skew"] is facts["extremes"][0]["best"] is None


def test_a_simulated_market_has_no_crises():
    named, simulated = (headline(1, names=(name,))[2] for name in ("BTC/USDT", "SIM/USDT"))
    assert named.crises["crisis"].tolist() == ["Luna and Celsius"]  # 170 days from January 2022
    assert simulated.crises.empty
    assert list(simulated.crises) == list(named.crises)
    pd.testing.assert_frame_equal(named.regimes, simulated.regimes)
