"""The page in a real headless Chromium."""

import csv
import math
import re
import time
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.evidence import cells
from convnext_vbt.evidence.cells import Grid
from convnext_vbt.evidence.selection import Preset
from convnext_vbt.evidence.verdict import assess
from convnext_vbt.predictions import Predictions
from convnext_vbt.report import formats
from convnext_vbt.report.formats import format_number
from convnext_vbt.report.page import write_report
from convnext_vbt.trading.sweep import sweep
from tests.report.markets import FIXED, make_bars, make_sweep

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:.*cells have fewer than 30 trades"),
]


@pytest.fixture(scope="module")
def res():
    return make_sweep(stop_multiple=[1.0, 2.0])


@pytest.fixture(scope="module")
def address(res, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    return write_report(res, path, selected=FIXED, provenance={"Seed": "0"}).as_uri()


class Visit:
    """One page open in the browser, with everything that it asked for or complained of."""

    def __init__(self, browser, address, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.requests, self.complaints = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda message: (
                message.type in ("error", "warning") and self.complaints.append(message.text)
            ),
        )
        self.page.goto(address)
        self.ready()

    def ready(self):
        """Wait until everything on the page is drawn."""
        self.page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
        self.until("document.documentElement.dataset.drawn !== 'no'")

    def until(self, condition):
        """Wait for a condition; the page's own policy forbids the driver to poll inside it."""
        deadline = time.monotonic() + 60
        while not self.page.evaluate(condition):
            assert time.monotonic() < deadline, condition
            time.sleep(0.05)

    def figure(self, name):
        return self.page.text_content(f'[data-figure="{name}"] .chosen')

    def last(self, meta):
        """The last point of a line of the equity chart."""
        return self.page.evaluate(
            "meta => document.getElementById('chart-equity').data"
            ".find(trace => trace.meta === meta).y.at(-1)",
            meta,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


WIDE = {"width": 1400, "height": 900}
START = {**FIXED, "stop_multiple": 1.0, "view": "headline", "scale": "linear", "costs": "net"}


@pytest.fixture(scope="module")
def opened(browser, address):
    """The page on a wide screen: drawing it takes seconds, so that one serves many tests."""
    with Visit(browser, address, viewport=WIDE) as visit:
        assert visit.requests == [address]
        assert visit.complaints == []
        yield visit


@pytest.fixture
def wide(opened):
    """The same page with everything chosen as it was when it was opened."""
    opened.page.evaluate(
        """start => new Promise(done => {
            history.replaceState(null, "", "#");
            addEventListener("hashchange", done, {once: true});
            location.hash = start;
        })""",
        urlencode(START),
    )
    opened.page.select_option("#trade-order", "worst")
    opened.ready()
    assert opened.page.input_value('[data-level="threshold"]') == START["threshold"]
    opened.requests.clear()
    opened.complaints.clear()
    yield opened
    assert opened.complaints == []


def expected(res, name, **cell):
    row = Grid.of(res.metrics).find(cell)
    kind = formats.FIGURE[name].kind
    metrics = res.metrics.iloc[row]
    return formats.format_number(float(metrics[name]), kind, trades=float(metrics["trades"]))


def test_it_draws_without_a_request_or_a_complaint(res, wide):
    assert wide.page.locator(".chart.js-plotly-plot").count() >= 17
    blank = wide.page.locator(".chart.blank").evaluate_all("nodes => nodes.map(n => n.id)")
    assert blank == ["chart-rolling"]  # 62 days
    assert wide.page.locator("#chart-heatmap .heatmaplayer image").count() == 1
    for name in formats.FIGURE:
        if name in res.metrics:
            assert wide.figure(name) == expected(res, name, **FIXED)
            assert wide.figure(name) == wide.page.text_content(f'[data-figure="{name}"] .fixed')
    head = wide.last("headline: growth")
    assert formats.format_number(head - 1, "percent") == wide.page.text_content(
        '[data-figure="total_return"] .headline'
    )
    rules = wide.page.evaluate(
        "document.getElementById('chart-rules').data.map(trace => trace.y.length)"
    )
    assert rules == [4] * 4
    wide.page.click("#heatmap-details summary")
    wide.page.wait_for_selector("#heatmap-table tbody tr")
    assert wide.page.locator("#heatmap-table tbody tr").count() == 3
    wide.page.click("#equity-details summary")
    wide.page.wait_for_selector("#equity-table tbody tr")
    assert wide.page.locator("#equity-table tbody tr").count() >= 2
    wide.page.emulate_media(color_scheme="dark")
    wide.until(
        "getComputedStyle(document.querySelector('#chart-equity .legendtext')).fill"
        " === 'rgb(221, 227, 234)'"
    )
    assert wide.requests == []


@pytest.mark.slow
def test_a_click_on_the_heatmap_selects_and_the_address_remembers(res, wide):
    cell = {"threshold": "q0.70", "risk": 0.02, "stop_multiple": 1.0}
    plot = wide.page.locator("#chart-heatmap .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    wide.page.mouse.click(box["x"] + box["width"] / 8, box["y"] + box["height"] / 6)
    wide.until("location.hash.includes('q0.70')")
    wide.ready()
    assert wide.figure("total_return") == expected(res, "total_return", **cell)
    assert "hindsight" in wide.page.text_content("#selected-note")
    drawn = wide.last("selected cell: growth")
    total = res.metrics.iloc[Grid.of(res.metrics).find(cell)]["total_return"]
    assert drawn == pytest.approx(1 + total, abs=5.1e-5)
    trades = res.simulation(**cell, symbol="BTC/USDT").trades
    worst = wide.page.text_content("#trade-rows tr:first-child td:nth-child(11)")
    assert worst == f"{trades['pnl'].min():,.2f}".replace("-", "−")

    wide.page.reload()
    wide.ready()
    assert wide.figure("total_return") == expected(res, "total_return", **cell)
    wide.page.select_option('[data-level="stop_multiple"]', "2.0")
    assert wide.figure("trades") == expected(res, "trades", **cell | {"stop_multiple": 2.0})
    wide.page.click("#reset")
    assert wide.figure("cagr") == expected(res, "cagr", **FIXED)
    typed = {**FIXED, "threshold": "q0.80", "stop_multiple": 1.0}
    wide.page.evaluate("typed => { location.hash = typed; }", urlencode(typed))
    wide.until("document.querySelector('[data-level=\"threshold\"]').value === 'q0.80'")
    wide.ready()
    assert wide.figure("cagr") == expected(res, "cagr", **typed)


def test_the_csv_holds_every_trade_of_the_account_in_view(res, wide):
    head = assess(res, preset=Preset(risk=0.01), draws=1).headline.selection.simulation.trades
    cell = res.simulation(**FIXED, stop_multiple=1.0, symbol="BTC/USDT").trades
    assert wide.page.text_content("#trade-count") == str(len(head))
    for view, trades in (("headline", head), ("cell", cell)):
        wide.page.locator("#trades .view").select_option(view)
        with wide.page.expect_download() as download:
            wide.page.click("#csv")
        rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
        assert len(rows) == len(trades)
        assert {row["symbol"] for row in rows} == {"BTC/USDT"}
        profit = sum(float(row["profit"]) for row in rows)
        assert profit == pytest.approx(trades["pnl"].sum(), abs=0.005 * len(trades))
        assert [float(row["entry_price"]) for row in rows] == trades["entry_price"].tolist()
    assert "view=cell" in wide.page.evaluate("location.hash")


@pytest.mark.slow
def test_a_phone_scrolls_in_one_direction_only(browser, address):
    with Visit(browser, address, viewport={"width": 390, "height": 844}, has_touch=True) as visit:
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
        assert visit.complaints == []


@pytest.mark.slow
def test_print_fits_the_sheet(browser, address):
    sheet = {"width": 703, "height": 1000}  # A4 less 12 mm at each side
    with Visit(browser, address, viewport=sheet) as visit:
        visit.page.emulate_media(media="print")
        visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 703
        assert not visit.page.is_visible("#controls")
        assert not visit.page.is_visible("summary")
        cut = """() => Array.from(document.querySelectorAll(".chart.js-plotly-plot"))
            .filter(node => node.scrollWidth > node.clientWidth + 1).map(node => node.id)"""
        assert visit.page.evaluate(cut) == []
        assert visit.complaints == []


@pytest.mark.slow
def test_a_day_with_one_trade(browser, tmp_path):
    bars = make_bars(bars=500).rows(0, 24)
    up = pd.DataFrame(0.2, index=bars.index, columns=list(bars.symbols))
    up.iloc[3] = 0.9
    preds = Predictions.from_frames(prob_up=up, prob_down=0.0 * up)
    res = sweep(bars, preds, threshold=0.5, risk=0.01, stop=0.02)
    with Visit(browser, write_report(res, tmp_path / "day.html").as_uri()) as visit:
        total = format_number(res.metrics["total_return"].iloc[0], "percent")
        said = visit.page.text_content("#verdict .sentence").replace("\u00a0", " ")
        assert said == "One fixed rule, chosen by you. Each trade risks up to 1 % of the account."
        first = visit.page.text_content("#verdict .tiles dl >> nth=0")
        assert f"Net return{total}in 1 day, too few for a CAGR" in "".join(first.split("  "))
        assert "CAGR, net" not in first
        assert "too few days" in visit.page.text_content("#chart-rolling")
        assert visit.page.locator("#chart-equity .scatterlayer .point").count() == 6
        assert "Nothing to draw" not in visit.page.text_content("#equity .chart >> nth=0")
        assert visit.complaints == []


@pytest.mark.slow
def test_hostile_names_are_text(browser, tmp_path):
    name = "<script>alert(1)</script>"
    bars = make_bars(name, '<img src=x onerror="alert(1)">', bars=1_500)
    res = make_sweep(bars=bars, threshold=["q0.80", 0.999], risk=0.01)
    address = write_report(res, tmp_path / "report.html", title=name).as_uri()
    with Visit(browser, address) as visit:
        assert visit.page.text_content("h1") == name
        visit.page.select_option('[data-level="symbol"]', name)
        assert name in visit.page.text_content("#selected-name")
        visit.page.select_option('[data-level="threshold"]', "0.999")
        assert visit.figure("sharpe") == "n/a (0 trades)"
        assert "No trades" in visit.page.text_content("#trade-rows")
        assert (visit.requests, visit.complaints) == ([address], [])


@pytest.mark.slow
def test_a_cell_that_is_not_embedded_says_so(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "MAX_CELLS", 7)
    res = make_sweep(
        threshold=["q0.60", "q0.70", "q0.80", "q0.90"], risk=[0.001 * k for k in range(1, 9)]
    )
    address = write_report(res, tmp_path / "report.html").as_uri()
    carried = cells.chosen_rows(res, grid := Grid.of(res.metrics), [0])
    cell = grid.cell(next(row for row in range(len(grid)) if row not in carried))
    with Visit(browser, f"{address}#threshold={cell['threshold']}&risk={cell['risk']}") as visit:
        assert visit.figure("cagr") == expected(res, "cagr", **cell)
        assert re.search(r"\d+ of 32 cells have them", visit.page.text_content("#not-embedded"))
        visit.page.click("#nearest")
        assert not visit.page.is_visible("#not-embedded")
        assert visit.complaints == []


def test_both_formatters_write_the_same_text(browser):
    script = (Path(formats.__file__).parent / "templates" / "numbers.js").read_text()
    functions = re.search(r"function fixed.*?(?=const span)", script, re.DOTALL).group()
    kinds = ["percent", "ratio", "probability", "count", "times", "basis_points", "money", "days"]
    values = [
        0.0,
        -0.00004,
        0.9999,
        0.0549,
        -1.2345,
        9.96,
        12.3,
        99.999,
        1234.56,
        -98765.4321,
        math.nan,
    ]
    page = browser.new_page()  # a blank one
    for kind in kinds:
        written = page.evaluate(
            f"values => {{ const NA = 'n/a'; {functions} "
            f"return values.map(v => number(v ?? NaN, '{kind}')); }}",
            [None if math.isnan(value) else value for value in values],
        )
        assert written == [formats.format_number(value, kind) for value in values]
    page.close()


def test_tables_sort_by_click_and_by_key(wide):
    head = "#trades thead th:nth-child(11)"

    def profits():
        texts = wide.page.locator("#trade-rows td:nth-child(11)").all_text_contents()
        return [float(text.replace("−", "-").replace(",", "")) for text in texts]

    table = wide.page.locator("#trades .scroll")
    assert table.evaluate("node => node.scrollWidth <= node.clientWidth")  # no column cut off
    worst_first = profits()
    assert worst_first == sorted(worst_first)
    wide.page.click(head + " button")
    assert wide.page.get_attribute(head, "aria-sort") == "descending"
    assert profits() == worst_first[::-1]
    wide.page.focus(head + " button")
    wide.page.keyboard.press("Enter")
    assert wide.page.get_attribute(head, "aria-sort") == "ascending"
    assert profits() == worst_first
    wide.page.select_option("#trade-order", "last")  # another table is in no order
    assert wide.page.get_attribute(head, "aria-sort") == "none"


@pytest.mark.slow
def test_gross_gives_the_costs_back(res, wide):
    wide.page.select_option("#costs-in", "gross")
    wide.ready()
    assert "costs=gross" in wide.page.evaluate("location.hash")
    assert wide.page.is_visible("#gross-note")
    cell = res.simulation(**FIXED, stop_multiple=1.0, symbol="BTC/USDT")
    side = 1 - 2 * cell.orders["side"]
    raw = cell.orders["price"] / (1 + side * 0.0002)
    slipped = cell.orders["size"] * abs(cell.orders["price"] - raw)
    total = (cell.equity[-1, 0] + (cell.orders["fees"] + slipped).sum()) / 10_000 - 1
    assert wide.figure("total_return") == formats.format_number(total, "percent")
    assert wide.figure("psr") == "–"
    assert wide.last("selected cell: growth") == pytest.approx(1 + total, abs=5.1e-5)
    wide.page.select_option("#costs-in", "net")
    assert wide.figure("cagr") == expected(res, "cagr", **FIXED)


@pytest.mark.slow
def test_a_selection_changes_every_chart_that_follows_it(wide):
    follows = ("monthly", "trade_returns", "holding", "excursions", "price", "deciles", "equity",
               "split_sharpes", "outlines", "heatmap", "frontier")  # fmt: skip
    shot = (
        "names => names.map(n => JSON.stringify([document.getElementById('chart-' + n).data,"
        " document.getElementById('chart-' + n).layout.shapes]))"
    )
    before = wide.page.evaluate(shot, list(follows))
    wide.page.select_option('[data-level="threshold"]', "q0.70")
    wide.ready()
    after = wide.page.evaluate(shot, list(follows))
    same = [n for n, a, b in zip(follows, before, after, strict=True) if a == b]
    assert same == []
    assert "q0.70" in wide.page.text_content("#returns .whose")


@pytest.mark.slow
def test_at_most_two_thousand_markers_lie_on_the_price(browser, tmp_path):
    bars = make_bars(bars=6_000)
    index = bars.index
    flips = pd.DataFrame({bars.symbols[0]: (np.arange(len(index)) // 2) % 2 == 0}, index)
    up = flips.where(np.arange(len(index))[:, None] > 600).map(lambda x: 0.8 if x else 0.1)
    preds = Predictions.from_frames(prob_up=up, prob_down=0.9 - up)
    res = sweep(bars, preds, threshold=0.5, stop=0.05, risk=0.001, fees=0.0, slippage=0.0)
    assert len(res.simulation().trades) > 1_500
    address = write_report(res, tmp_path / "report.html").as_uri()
    with Visit(browser, address, viewport={"width": 1400, "height": 900}) as visit:
        counts = visit.page.evaluate(
            "document.getElementById('chart-price').data.slice(1).map(t => t.x.length)"
        )
        assert 1_900 <= sum(counts) <= 2_000
        assert "largest of" in visit.page.text_content("#price-note")
        assert visit.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("symbols", "arguments"),
    [
        (1, {"threshold": 0.999}),
        (1, {"threshold": "q0.90", "splits": 1}),
        (12, {"threshold": ["q0.50", "q0.90"], "risk": [0.01, 0.02]}),
    ],
)
def test_edge_cases_draw_without_a_complaint(browser, tmp_path, symbols, arguments):
    bars = make_bars(*(f"S{k}/USDT" for k in range(symbols)), bars=1_500)
    res = make_sweep(bars=bars, **({"risk": 0.01} | arguments))
    address = write_report(res, tmp_path / "report.html").as_uri()
    with Visit(browser, address, viewport={"width": 1400, "height": 900}) as visit:
        if symbols > 1:
            visit.page.select_option('[data-level="symbol"]', "S7/USDT")
            visit.ready()
            assert "S7/USDT" in visit.page.text_content("#price-note")
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 1400
        assert (visit.requests, visit.complaints) == ([address], [])
