"""A session laid over its run's backtest."""

import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.evidence.headline import headline_of
from convnext_vbt.live.fills import real_account
from convnext_vbt.live.journal import open_journal
from convnext_vbt.live.review import real_equity, review, sentences_of, view_of
from convnext_vbt.live.running import live_session
from convnext_vbt.report.live_page import growth_figure, price_figure, write_live_page
from tests.live.test_fills import fills_of
from tests.live.test_running import rehearsed
from tests.report.test_browser import Visit

COUNT = 58
"""Of closes: at the first one the backtest holds a position and the session is flat."""
SECONDS = pd.Timedelta(seconds=4)


@pytest.fixture(scope="module")
def session(finished, tmp_path_factory):
    """A journal whose orders were filled, all but each fifth, 1 bp worse, and its folder."""
    home = tmp_path_factory.mktemp("review")
    rehearsed(finished, home / "first.sqlite", COUNT)
    with open_journal(home / "first.sqlite") as journal:
        orders = sorted(journal.orders(), key=lambda one: (one.bar, one.number))
    path = fills_of(home, [
        {
            "time": (one.bar + SECONDS).isoformat(), "symbol": one.symbol, "side": one.side,
            "units": one.units, "fee": one.fee, "id": k,
            "price": one.price * (1.0001 if one.side == "Buy" else 0.9999),
        }
        for k, one in enumerate(orders) if k % 5 != 4
    ])  # fmt: skip
    rehearsed(finished, home / "a.sqlite", COUNT, fills=path)
    return home


@pytest.fixture(scope="module")
def found(finished, session):
    with open_journal(session / "a.sqlite") as journal:
        return review(finished.directory, journal)


def test_the_backtest_is_cut_to_the_dates_of_the_session(finished, found):
    selection = headline_of(finished.result, finished.config.preset).selection
    index = finished.result.bars.index[-COUNT:]
    assert found.equity.index.equals(index)
    assert found.backtest.equity.index.equals(index)
    np.testing.assert_array_equal(found.backtest.equity, selection.account.equity[-COUNT:])
    view = view_of(found)
    shadow, backtest, _ = view.lines
    growth = selection.account.equity[-COUNT:] / selection.account.equity[-COUNT]
    np.testing.assert_allclose(backtest.growth, growth, rtol=1e-12)
    np.testing.assert_allclose(shadow.growth, found.equity / 1e4, rtol=1e-12)
    np.testing.assert_allclose(view.difference.growth, shadow.growth / growth - 1, atol=1e-12)
    said = sentences_of(found)
    assert f"it made {shadow.growth[-1] - 1:+.2%} and the" in said[1]
    assert f"{growth[-1] - 1:+.2%}" in said[1]
    assert f"of its {len(found.orders)} orders there are the backtest's" in said[2]


def test_the_real_account_is_valued_at_every_close(found):
    real = real_equity(found)
    for row in (0, 7, 30, COUNT - 1):
        part = found.bars.rows(0, max(row + 1, 2))
        account = real_account(found.fills, part, equity=1e4, stops={})
        if row:
            assert real[row] == pytest.approx(account.equity, rel=1e-12)
    assert real[-1] != pytest.approx(found.equity.iloc[-1], rel=1e-6)
    assert len(view_of(found).lines) == 3


def test_the_reconciliation_is_a_table(found):
    view = view_of(found)
    ((matched, other, missing, extra, worse, cost),) = view.totals[1]
    rows = view.matches[1]
    states = [row[3] for row in rows]
    assert [matched, other, missing, extra] == [
        f"{states.count(name)}" for name in ("matched", "other size", "missing", "extra")
    ]
    assert states.count("matched") > 5
    assert states.count("missing") > 0
    assert worse == "+1.00"
    assert float(cost) == pytest.approx(
        sum(one.cost for one in found.matches if one.cost), abs=0.01
    )
    assert all(len(row) == len(view.matches[0]) for row in rows)
    assert len(view.closes[1]) == COUNT


def test_the_figures_hold_every_account_and_fill(found):
    view = view_of(found)
    growth = growth_figure(view)
    assert [trace.name for trace in growth.data] == [
        "shadow account", "backtest", "real account", "shadow over backtest"
    ]  # fmt: skip
    np.testing.assert_array_equal(growth.data[3].y, view.difference.growth * 1e4)
    price = price_figure(view.prices[0])
    drawn = {trace.name: len(trace.x) for trace in price.data}
    assert drawn.pop("close") == COUNT
    assert drawn["shadow account: bought"] + drawn["shadow account: sold"] == len(found.orders)
    assert drawn["real account: bought"] + drawn["real account: sold"] == len(found.fills)
    assert drawn["backtest: bought"] + drawn["backtest: sold"] == len(found.backtest.orders)


def test_the_page_is_written_at_the_end_however_it_comes(finished, tmp_path):
    heard, page = [], tmp_path / "live.html"
    closes = live_session(
        finished.directory, journal=tmp_path / "a.sqlite", page=page, rehearse=20, say=heard.append
    )
    next(closes)
    next(closes)
    closes.close()
    assert heard == [f"page: {page}"]
    text = page.read_text()
    assert "2 closes from 2022-02-19 04:00 UTC to 2022-02-19 05:00 UTC" in text
    assert "No real fills were told of" in text
    assert "http://" not in text.partition('<script type="text/plain"')[0]
    assert live_page_again(finished, tmp_path) == text


def live_page_again(finished, tmp_path):
    with open_journal(tmp_path / "a.sqlite") as journal:
        found = review(finished.directory, journal)
    return write_live_page(view_of(found), tmp_path / "again.html").read_text()


def test_without_common_dates_or_source_there_is_no_backtest(finished, session, tmp_path):
    path = tmp_path / "b.sqlite"
    path.write_bytes((session / "a.sqlite").read_bytes())
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in ("closes", "bars", "rows"):
            connection.execute(f"UPDATE {table} SET bar = replace(bar, '2022-', '2023-')")
        connection.execute("DELETE FROM orders")
        connection.execute("DELETE FROM fills")
    with open_journal(path) as journal:
        later = review(finished.directory, journal)
    assert later.backtest is None
    assert "the session other dates; run the strategy again" in sentences_of(later)[1]
    view = view_of(later)
    assert ([line.name for line in view.lines], view.difference) == (["shadow account"], None)
    assert write_live_page(view, tmp_path / "b.html").exists()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_it_draws_without_a_request_or_a_complaint(browser, found, tmp_path, width, scheme):
    address = write_live_page(view_of(found), tmp_path / "live.html").as_uri()
    view = {"width": width, "height": 900}
    with Visit(browser, address, viewport=view, color_scheme=scheme) as visit:
        assert visit.page.locator(".chart.js-plotly-plot").count() == 2
        assert visit.page.locator("#chart-growth .legendtext").count() == 3
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        assert visit.requests == [address]
        assert visit.complaints == []
