"""The section "When and why" against the orders and bars, and in its size."""

import html
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from convnext_vbt.evidence.gathering import gather
from convnext_vbt.evidence.selection import Preset
from convnext_vbt.evidence.verdict import assess
from convnext_vbt.report.formats import format_number
from convnext_vbt.report.page import render_evidence
from convnext_vbt.report.sections.when import figures
from tests.report.ledger import Ledger
from tests.report.markets import Page, make_bars, make_sweep
from tests.report.test_browser import Visit

pytestmark = pytest.mark.filterwarnings("ignore:.*cells have fewer than 30 trades")
CHARTS = ("years", "exits", "exposure", "days", "relative", "regimes")


def evidence_of(threshold):
    res = make_sweep(bars=make_bars(bars=4_100), threshold=threshold, risk=0.01)
    return gather(res, assessment=assess(res, preset=Preset(), draws=40))


def section(page):
    text = page[page.index('<section id="when"') :].partition("</section>")[0]
    return html.unescape(text).replace("−", "-")


def rows_of(text, label):
    table = text[text.index(f'aria-label="{label}"') :].partition("</table>")[0]
    body = table.partition("<tbody>")[2]
    return [re.findall(r"<t[dh][^>]*>([^<]*)", row) for row in body.split("</tr>") if "<t" in row]


def shown(value, kind):
    return format_number(value, kind).replace("−", "-")


@pytest.fixture(scope="module")
def evidence():
    return evidence_of("q0.50")


@pytest.fixture(scope="module")
def page(evidence):
    return render_evidence(evidence, provenance={})


@pytest.fixture(scope="module")
def book(evidence):
    window = evidence.result.window_bars
    names = ("open", "high", "low", "close")
    bars = pd.DataFrame({name: getattr(window, name)[:, 0] for name in names}, window.index)
    return Ledger(evidence.assessment.headline.selection.simulation.orders_frame(), bars)


def test_the_figures_of_the_days_from_orders_and_bars(page, evidence, book):
    text = section(page)
    own = np.asarray(book.day_returns())
    rows = dict(rows_of(text, "Distribution of daily returns"))
    var = np.percentile(own, 5)
    assert rows["VaR 95 %, historical: 5 % quantile"] == f"{var * 100:.2f} %"
    mean = own[own <= var].mean()
    assert rows["CVaR 95 %: mean of the days at or below it"] == f"{mean * 100:.2f} %"
    assert rows["Skew"] == shown(stats.skew(own), "ratio")
    assert rows["Excess kurtosis"] == shown(stats.kurtosis(own), "ratio")
    hold = evidence.holdings[0].lines.net.growth
    hold = hold / np.append(1.0, hold[:-1]) - 1
    line = stats.linregress(hold, own)
    rows = dict(rows_of(text, "Against buy and hold"))
    assert rows["Beta"] == shown(line.slope, "ratio")
    assert rows["Alpha a year (Jensen)"] == shown(line.intercept * 365, "percent")
    assert rows["Correlation"] == shown(line.rvalue, "ratio")


def test_each_part_has_a_sentence_a_picture_and_a_table(page, evidence):
    text = section(page)
    assert re.findall(r'id="chart-when_(\w+)"', text) == list(CHARTS)
    assert text.count("<details") == text.count("<h3>") == text.count('<p class="muted">') == 6
    when = evidence.when
    long, short = rows_of(text, "Longs and shorts")
    assert int(long[1]) + int(short[1]) == len(evidence.headline.trades)
    assert len(rows_of(text, "Hour of entry, UTC")) == 24
    assert len(rows_of(text, "Weekday of entry, UTC")) == 7
    assert [row[0] for row in rows_of(text, "Regimes")] == when.regimes["regime"].tolist()
    (crisis,) = rows_of(text, "Crises")
    assert crisis[0] == "Luna and Celsius, 2022-05-05 to 2022-06-18"
    assert crisis[2] == shown(when.crises["hold_return"].item(), "percent")
    (year,) = rows_of(text, "By year")
    assert year[:2] == ["2022", shown(evidence.headline_figures["total_return"], "percent")]


def test_what_is_not_folded_is_short(page):
    unfolded = re.sub(r"<details.*?</details>", "", section(page), flags=re.DOTALL)
    assert len(re.sub(r"<[^>]+>", " ", unfolded).split()) < 200


def test_the_pictures_hold_the_figures(evidence):
    when = evidence.when
    own, hold = figures.years_figure(when.years).data
    assert list(own.y) == (when.years["total_return"] * 100).tolist()
    assert list(hold.y) == (when.years["hold_return"] * 100).tolist()
    sides = figures.exits_figure(when.exits, "USDT").data
    assert np.nansum([bar.y for bar in sides]) == pytest.approx(when.sides["profit"].sum())
    gross, net, beta = figures.exposure_figure(when.rolling).data
    for line, values in ((gross, "gross"), (net, "net"), (beta, "beta")):
        np.testing.assert_array_equal(line.y, getattr(when.rolling, values))
    picture = figures.days_figure(when.returns, when.distribution)
    assert sum(picture.data[0].y) == len(when.returns)
    marks = [when.distribution.var_95 * 100, when.distribution.var_99 * 100]
    assert [shape.x0 for shape in picture.layout.shapes] == marks
    days, line = figures.relative_figure(when.returns, when.hold_returns, when.relative).data
    assert len(days.x) == len(when.returns)
    assert np.polyfit(line.x, line.y, 1)[0] == pytest.approx(when.relative.beta)
    own, _ = figures.regimes_figure(when.regimes).data
    np.testing.assert_array_equal(own.y, when.regimes["sharpe"])


def test_few_days_mark_no_value_at_risk(evidence):
    none = type(evidence.when.distribution).of(evidence.when.returns[:10])
    assert not figures.days_figure(evidence.when.returns[:10], none).layout.shapes


def test_the_rolling_table_is_in_the_page(page, evidence):
    found, rolling = Page.read(page), evidence.when.rolling
    for name in ("days", "gross", "net", "volatility", "beta", "sharpe"):
        shown = found.array(found.data["when"][name])
        np.testing.assert_array_equal(shown, getattr(rolling, name).astype(shown.dtype))


def test_without_a_trade_it_is_one_sentence():
    page = render_evidence(evidence_of(0.9999), provenance={})
    text = section(page)
    assert "The headline never traded, so there is nothing to explain." in text
    assert "chart-when" not in text
    assert "<details" not in text


@pytest.mark.browser
@pytest.mark.parametrize(
    ("width", "most"), [(1400, 1_200), pytest.param(390, 2_600, marks=pytest.mark.slow)]
)
def test_it_is_drawn_within_its_size(browser, page, tmp_path, width, most):
    path = tmp_path / "report.html"
    path.write_text(page, "utf-8")
    with Visit(browser, path.as_uri(), viewport={"width": width, "height": 900}) as visit:
        part = visit.page.locator("#when")
        part.scroll_into_view_if_needed()
        visit.until("document.documentElement.dataset.drawn !== 'no'")
        assert part.bounding_box()["height"] <= most
        assert visit.page.evaluate("document.documentElement.scrollWidth") == width
        visit.page.click("#when-rolling-details summary")
        visit.until("document.querySelectorAll('#when-rolling-table tbody tr').length > 90")
        assert visit.complaints == []
