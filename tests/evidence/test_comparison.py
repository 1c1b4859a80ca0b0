import re
from dataclasses import astuple, replace

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.evidence.comparison import Contender, compare_runs, different_settings
from convnext_vbt.evidence.difference import sharpe_difference
from convnext_vbt.evidence.headline import headline
from convnext_vbt.report.compare_page import comparison_equity, render_comparison
from convnext_vbt.trading.sweep import sweep
from tests.report.markets import THRESHOLDS, make_bars, make_predictions, make_sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*cells have fewer than 30 trades")


def contender(name, res, **settings):
    return Contender(
        name=name, result=res, headline=headline(res), verdict="FAIL", settings=settings
    )


@pytest.fixture(scope="module")
def whole():
    return contender("whole", make_sweep(risk=0.01), **{"rule.floor": "0.25", "seed": "0"})


@pytest.fixture(scope="module")
def other():
    res = make_sweep(threshold=["q0.60", "q0.70"], risk=0.01)
    return contender("other", res, **{"rule.floor": "0.5", "seed": "0"})


@pytest.fixture(scope="module")
def later():
    """The same bars without the first 500: its predictions begin 500 bars later."""
    bars = make_bars()
    bars = bars.rows(500, len(bars))
    res = sweep(bars, make_predictions(bars), threshold=THRESHOLDS, risk=0.01)
    return contender("later", res)


def test_over_one_window_the_figures_are_the_headlines_own(whole, other):
    found = compare_runs([whole, other])
    for row, one in zip(found.rows, (whole, other), strict=True):
        for name in ("total_return", "cagr", "max_drawdown", "sharpe", "trades"):
            expected = getattr(one.headline, name)
            assert row.figures[name] == pytest.approx(expected, rel=1e-12), name
        for name in ("sharpe_low", "sharpe_high"):
            assert row.figures[name] == pytest.approx(getattr(one.headline, name), rel=1e-12)
    pair = [one.headline.selection.simulation for one in (other, whole)]
    expected = astuple(sharpe_difference(*pair, days_per_year=365))
    assert astuple(found.rows[1].difference) == pytest.approx(expected)
    assert found.rows[0].difference is None
    assert found.unequal == ()


def test_a_run_that_began_earlier_is_measured_from_the_common_start(whole, later):
    found = compare_runs([whole, later])
    assert found.first == later.result.window_bars.index[0] > whole.result.window_bars.index[0]
    assert found.unequal == ()  # the bars are the same wherever both have some
    account = whole.headline.selection.simulation
    equity = pd.Series(account.equity[:, 0], account.index)
    base = equity[equity.index < found.first].iloc[-1]
    common = equity[equity.index >= found.first]
    figures = found.rows[0].figures
    assert figures["total_return"] == pytest.approx(common.iloc[-1] / base - 1)
    days = pd.concat([pd.Series([base]), common.groupby(common.index.date).last()])
    returns = days.pct_change().dropna()
    assert figures["sharpe"] == pytest.approx(returns.mean() / returns.std(ddof=1) * 365**0.5)
    peak = np.maximum(common.cummax(), base)
    assert figures["max_drawdown"] == pytest.approx((common / peak - 1).min())
    entries = account.index[account.trades["entry_idx"]]
    assert figures["trades"] == (entries >= found.first).sum() < len(entries)
    assert found.rows[1].difference.num_days == len(returns)
    assert "break_even" not in found.hold.figures


def test_buy_and_hold_is_that_of_the_symbols_over_the_window(whole, other):
    hold = compare_runs([whole, other]).hold
    bars, config = whole.result.window_bars, whole.result.config
    paid = bars.open[1, 0] * (1 + config.slippage) * (1 + config.fees)
    assert hold.figures["total_return"] == pytest.approx(bars.close[-1, 0] / paid - 1, rel=1e-3)


def test_unequal_terms_are_named(whole, later):
    costly = contender("costly", make_sweep(risk=0.01, fees=0.001))
    (text,) = compare_runs([whole, costly]).unequal
    assert text == (
        "costs: whole paid 5 bp of fees and 2 bp of slippage per side, costly 10 bp of fees and "
        "2 bp of slippage per side"
    )
    bars = make_bars("ETH/USDT")
    found = compare_runs([whole, contender("ether", make_sweep(bars=bars, risk=0.01))])
    assert found.unequal == ("data: whole traded BTC/USDT 1h, ether ETH/USDT 1h",)
    assert found.hold is None
    bars = make_bars()
    close = bars.close.copy()
    close[2_000] = np.sqrt(bars.high[2_000] * bars.low[2_000])
    restated = contender("restated", make_sweep(bars=replace(bars, close=close), risk=0.01))
    (text,) = compare_runs([whole, restated]).unequal
    assert "whole and restated have different bars over their common dates" in text
    page = render_comparison(compare_runs([whole, restated]))
    assert "These runs are not on equal terms" in page
    assert "These runs are not on equal terms" not in render_comparison(
        compare_runs([whole, later])
    )


def test_what_cannot_be_compared_is_refused(whole):
    with pytest.raises(ValueError, match="at least two different runs, got whole"):
        compare_runs([whole])
    with pytest.raises(ValueError, match="at least two different runs, got whole, whole"):
        compare_runs([whole, whole])
    bars = make_bars(bars=1_000)
    early = contender("early", sweep(bars, make_predictions(bars, first=600), risk=0.01))
    early = replace(early, result=replace(early.result, window=(600, 800)))
    with pytest.raises(ValueError, match="no out-of-sample day in common: whole 2022-02"):
        compare_runs([whole, early])


def test_only_settings_that_differ_are_named(whole, other):
    assert compare_runs([whole, other]).settings == ("rule.floor",)
    assert different_settings([{"a": "1", "b": "2"}, {"b": "2", "c": "3"}]) == ("a", "c")


def test_the_page_is_the_same_every_time_and_cannot_run_a_name(whole, other):
    evil = replace(other, name="<script>alert(1)</script>", settings={"<b>": "</script>"})
    found = compare_runs([whole, evil])
    page = render_comparison(found)
    assert page == render_comparison(found)
    assert "alert(1)</script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search(r"(?:src|href)=.https?:", page)
    names = [trace.name for trace in comparison_equity(found).data]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in names


def test_growth_at_month_ends_is_that_of_the_account(whole, other):
    page = render_comparison(compare_runs([whole, other]))
    equity = whole.headline.selection.simulation.equity[:, 0]
    assert f"<td>{equity[-1] / 10_000:.4f}</td>" in page


def test_a_run_without_a_trade_is_no_reason_to_fail(whole):
    idle = contender("idle", make_sweep(threshold=[0.999999], risk=0.01))
    found = compare_runs([whole, idle])
    assert "Idle minus whole: no Sharpe ratio, one of them never traded." in found.sentences
    assert "n/a (0 trades)" in render_comparison(found)
